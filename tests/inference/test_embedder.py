"""The Embedder stands in a scikit-learn Pipeline like any other transformer."""

import pickle

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.adapters import Embedder
from megabase.inference.hidden import embed
from megabase.model.load import save
from tests import toys

MODEL = toys.model()
SEQUENCES = ["A" * 10 + toys.letters(i) for i in range(6)] + ["C" * 9 + "n"] * 6
LABELS = [0] * 6 + [1] * 6


@pytest.fixture
def embedder(tmp_path):
    save(MODEL, tmp_path / "model")
    return Embedder(str(tmp_path / "model"))


def test_transform_gives_the_embedding_of_each_sequence(embedder):
    found = embedder.fit(SEQUENCES).transform(np.array(SEQUENCES))
    expected = list(embed(MODEL, [DNA_VOCABULARY.encode(each).tokens for each in SEQUENCES]))
    assert (found.dtype, found.shape) == (np.float32, (12, 8))
    assert np.array_equal(found, expected)
    assert np.array_equal(embedder.fit_transform(SEQUENCES), found)


def test_each_parameter_changes_the_answer(embedder, tmp_path):
    save(toys.model(seed=1), tmp_path / "other")
    before = embedder.transform(SEQUENCES)
    for change in (
        {"layer": 1},
        {"pooling": "max"},
        {"strand": "forward"},
        {"precision": "bfloat16"},
        {"model": str(tmp_path / "other")},
    ):
        kept = embedder.get_params()
        changed = embedder.set_params(**change).transform(SEQUENCES)
        assert not np.array_equal(changed, before), change
        assert np.array_equal(embedder.set_params(**kept).transform(SEQUENCES), before)
    assert embedder.set_params(strand="both", stride=32).transform(["ACGT" * 20]).shape == (1, 16)


def test_it_goes_through_a_pipeline_a_search_a_clone_and_a_pickle(embedder):
    base = pytest.importorskip("sklearn.base")
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 an extra
    from sklearn.model_selection import GridSearchCV  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    pipeline = make_pipeline(embedder, LogisticRegression())
    assert pipeline.fit(SEQUENCES, LABELS).score(SEQUENCES, LABELS) == 1.0
    copy = pickle.loads(pickle.dumps(pipeline))  # noqa: S301 our own
    assert list(copy.predict(SEQUENCES)) == LABELS
    assert len(pickle.dumps(embedder)) < 1000
    assert base.clone(embedder).get_params() == embedder.get_params()
    search = GridSearchCV(pipeline, {"embedder__layer": [0, 2]}, cv=2).fit(SEQUENCES, LABELS)
    assert search.best_params_["embedder__layer"] in (0, 2)
    assert "strand='average'" in repr(pipeline)


@pytest.mark.parametrize(
    ("sequences", "change", "message"),
    [
        ("ACGT", {}, r"expected a list of sequences, got a str; write \[text\]"),
        ([], {}, "expected at least one sequence, got none"),
        (["ACGT", ""], {}, "sequence 1 .* has no letters"),
        (["ACGT", "AXGT"], {}, "'X' at position 1 .* of sequence 1"),
        (["A" * 65], {}, "has 65 bp, .* give a stride"),
        (["ACGT"], {"pooling": "none"}, "one vector per sequence is one of mean, last"),
        (["ACGT"], {"layer": 9}, "got 9"),
    ],
)
def test_invalid_input_is_an_error(embedder, sequences, change, message):
    with pytest.raises(InputError, match=message):
        embedder.set_params(**change).transform(sequences)


def test_an_unknown_parameter(embedder):
    with pytest.raises(
        InputError, match=r"parameter of Embedder is one of model, layer, .*; got 'pool'"
    ):
        embedder.set_params(pool="mean")
