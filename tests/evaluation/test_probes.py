"""Frozen embeddings: measured beside the others, embedded once, long rows in chunks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.evaluation import probes as module
from megabase.evaluation.benchmark import PAGE, RESULTS, TEXT, evaluate_tasks
from megabase.evaluation.probes import MAP, PROBES, Frozen, check_probes
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.task_data import Choice
from megabase.inference.hidden import hidden_states
from megabase.model.load import save
from megabase.training.labelled import LabelledData
from megabase.training.run_config import AdaptConfig
from tests import toys
from tests.evaluation.tasks.test_gene_biotypes import write_genes
from tests.labelled_tables import write_task

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

TASK = "genomic_benchmarks/human_enhancers_cohn"
FEW = {"n_seeds": 1, "epochs": 1, "device": "cpu", "batch_size": 16}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(toys.model(), folder)
    return str(folder)


@pytest.fixture
def data(tmp_path):
    return write_task(tmp_path, 60, 40)


def evaluated(task, data, output, model):
    settings = AdaptConfig(**FEW, model=model)
    report = evaluate_tasks([task], output, choice=Choice(data), settings=settings, probes=True)
    return report["tasks"][0]


def test_probes_are_reported_next_to_the_others_and_rows_are_embedded_once(
    data, tmp_path, model, monkeypatch
):
    calls = []

    def counted(*arguments, **named):
        calls.append(arguments)
        return embed(*arguments, **named)

    def stop(*_, **__):
        raise KeyboardInterrupt

    embed, out = module.embed, tmp_path / "out"
    monkeypatch.setattr(module, "embed", counted)
    with monkeypatch.context() as patch:
        patch.setattr("megabase.evaluation.benchmark.cnn", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluated(TASK, data, out, model)
    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_probe", stop)  # what was measured is kept
        report = evaluated(TASK, data, out, model)
    assert len(calls) == 1
    names = [*dict.fromkeys(row["model"] for row in report["results"])]
    assert names == ["majority", "k-mers", *PROBES, "CNN", "megabase, pretrained, full"]
    rows = [r for r in report["results"] if r["model"] in PROBES and r["metric"] == "accuracy"]
    assert [row["seed"] for row in rows] == [None, None, 0]
    assert [set(row["settings"]) for row in rows] == [
        {name, "validation_mcc"} for name in ("C", "n_neighbors", "max_iter")
    ]
    assert all(low <= row["value"] <= high for row in rows for low, high in [row["interval"]])
    assert (out / report["figure"]).name == MAP
    assert "data:image/png" in (out / PAGE).read_text()
    assert "frozen: the unmodified pretrained model" in (out / TEXT).read_text()


def test_vectors_that_determine_the_label_give_a_perfect_probe(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, 80)
    frozen = frozen_of(labels, tmp_path)
    vectors = np.stack([(-1.0) ** labels, np.ones(80)], axis=1).astype(np.float32)
    np.save(tmp_path / module.EMBEDDINGS, vectors)
    found = frozen.fit("frozen, linear")
    np.testing.assert_array_equal(found.answers.argmax(axis=1), labels[60:])
    assert found.settings["validation_mcc"] == 1.0


def frozen_of(labels, folder, n_letters=30, chunks=False):
    """Give a frozen toy on random rows: 40 to learn from, 20 held out, the rest the test."""
    sequences = [row.numpy().astype(np.uint8) for row in toys.tokens(len(labels), n_letters)]
    whole = Examples(sequences, np.asarray(labels, dtype=np.int64))
    train, held, test = (
        whole.part(np.arange(start, end)) for start, end in ((0, 40), (40, 60), (60, len(labels)))
    )
    data = LabelledData(Labels(("no", "yes")), train, held, test, [], n_letters)
    return Frozen("toys/one", toys.model(), AdaptConfig(device="cpu"), data, test, folder,
                  chunks=chunks)  # fmt: skip


def test_a_long_row_is_the_mean_over_its_positions_in_chunks(tmp_path, caplog):
    frozen = frozen_of(np.arange(80) % 2, tmp_path, n_letters=100, chunks=True)
    caplog.set_level("INFO")
    frozen.fit("frozen, linear")
    model, tokens = toys.model(), toys.tokens(80, 100)[:1]
    with torch.no_grad():
        first = hidden_states(model, tokens[:, :64])[0]
        last = hidden_states(model, tokens[:, 36:])[0, 28:]
    expected = torch.cat([first, last]).mean(dim=0)
    kept = np.load(tmp_path / module.EMBEDDINGS)
    assert kept.shape == (80, 8)
    np.testing.assert_allclose(kept[0], expected.numpy(), rtol=1e-5, atol=1e-6)
    assert "80 rows are longer than the context of 64 bp" in caplog.text


def test_a_row_over_the_context_is_an_error_elsewhere(tmp_path):
    with pytest.raises(InputError, match="100 bp, and the model reads at most 64"):
        frozen_of(np.arange(80) % 2, tmp_path, n_letters=100).fit("frozen, linear")
    assert not (tmp_path / module.EMBEDDINGS).exists()


def test_biotypes_have_probes_and_baselines_only(tmp_path, model):
    write_genes(tmp_path)
    report = evaluated("biotypes/human", tmp_path, tmp_path / "out", model)
    assert list(dict.fromkeys(r["model"] for r in report["results"])) == [
        "majority", "k-mers", *PROBES
    ]  # fmt: skip
    assert report["published"] == []
    assert report["n_published_left_out"] == 3
    text = (tmp_path / "out" / TEXT).read_text()
    assert "adapted models and CNNs are left out because they cannot read chunks" in text
    assert json.loads((tmp_path / "out" / RESULTS).read_text())["probes"]


BASES, GENES = find_task("gene_structure/chr20"), find_task("biotypes/human")


@pytest.mark.parametrize(
    ("tasks", "has_model", "is_asked", "problem"),
    [
        ([find_task(TASK)], False, True, "pass --model, or remove --probes"),
        ([BASES], True, True, "gene_structure/chr20 has a label for each base"),
        ([GENES], True, False, "the rows of biotypes/human are read in chunks.*pass --probes"),
    ],
)
def test_what_probes_cannot_do_is_an_error(tasks, has_model, is_asked, problem):
    with pytest.raises(InputError, match=problem):
        check_probes(tasks, has_model=has_model, is_asked=is_asked)


def test_labels_of_bases_have_no_chunks():
    with pytest.raises(InputError, match="chunks need one label per row"):
        replace(BASES, chunks=True)
