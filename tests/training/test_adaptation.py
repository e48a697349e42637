"""Only the requested weights move, and a saved model answers as it did before."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictions import predictions
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.load import base_sha256, load_classifier, save
from megabase.model.prompted import HyenaDNAForPromptedClassification
from megabase.model.reading import weights_sha256
from megabase.runtime.artifacts import read_record
from megabase.training.adaptation import ADAPTER, TARGETS, moving, set_training
from megabase.training.arguments import decayed_parameters
from megabase.training.finetune import METRICS, PREDICTIONS, finetune
from megabase.training.fit import starting_model
from megabase.training.labelled import LabelledData
from megabase.training.memory_plan import rows_per_pass
from megabase.training.run_config import FinetuneConfig
from tests import toys
from tests.labelled_tables import motif_rows, read_rows, write_rows

LANGUAGE = toys.model(d_model=16, **toys.SCALE_FREE)
WAYS = ("full", "head", "lora", "prompt")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    save(LANGUAGE, folder / "language")
    write_rows(folder / "train.csv", motif_rows(40))
    write_rows(folder / "test.csv", motif_rows(20, seed=1))
    return folder


def config(tables, **changes):
    fixed = {"train": str(tables / "train.csv"), "model": str(tables / "language")}
    few = {"n_seeds": 1, "epochs": 2, "batch_size": 16, "device": "cpu"}
    return FinetuneConfig(**(fixed | few | changes))


def start(adapt, **keys):
    """Give a model with three classes as a run starts from it, and its configuration."""
    if adapt == "lora":
        pytest.importorskip("peft")
    prompt = {"prompt_tokens": 4} if adapt == "prompt" else {}
    run = FinetuneConfig(train="t", model="m", adapt=adapt, **(prompt | keys))
    examples = Examples([np.zeros(4, dtype=np.uint8)], np.array([0]))
    data = LabelledData(Labels(("a", "b", "c")), examples, examples, None, [], 64)
    return starting_model(run, data, LANGUAGE, seed=0)[0], run


@pytest.fixture(scope="module", params=WAYS)
def made(request, tables):
    """A run of each way, that no test changes."""
    if request.param == "lora":
        pytest.importorskip("peft")
    out = tables / request.param
    run = config(tables, adapt=request.param, learning_rate=1e-2, test=str(tables / "test.csv"))
    finetune(run, out)
    return request.param, out


def test_predictions_before_saving_are_those_after_loading(made):
    adapt, out = made
    rows = read_rows(out / PREDICTIONS)
    model = load_classifier(str(out))
    assert isinstance(model, HyenaDNAForPromptedClassification) == (adapt == "prompt")
    sequences = [DNA_VOCABULARY.encode(row["sequence"]).tokens for row in rows]
    answers = list(predictions(model, sequences))
    assert [row["p_1"] for row in rows] == [f"{answer[1]:.8g}" for answer in answers]
    assert len({row["p_1"] for row in rows}) > 10


def test_only_what_moves_has_changed(made):
    adapt, out = made
    after, before = load_classifier(str(out)).state_dict(), LANGUAGE.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    expected = {
        "full": set(before),
        "head": set(),
        "lora": {name for name in before if name.endswith(tuple(f"{t}.weight" for t in TARGETS))},
        "prompt": set(),
    }
    assert changed == expected[adapt]
    new = {name: tensor.numel() for name, tensor in after.items() if name not in before}
    n_moving = json.loads((out / METRICS).read_text())["n_parameters"]["moving"]
    lora = 2 * 8 * ((16 + 48) + (16 + 16) + 2 * (16 + 64)) if adapt == "lora" else 0
    full = sum(tensor.numel() for tensor in before.values()) if adapt == "full" else 0
    assert n_moving == sum(new.values()) + lora + full
    assert new == (
        {"prompt.vectors": 32 * 16}
        if adapt == "prompt"
        else {"head.linear.weight": 32, "head.linear.bias": 2}
    )


@pytest.mark.parametrize("adapt", WAYS)
def test_gradients_reach_what_moves_and_nothing_else(adapt):
    model, _ = start(adapt)
    set_training(model, adapt)
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    for _ in range(2):  # the second of the low-rank matrices starts at 0, and hides the first
        model(toys.tokens(3, 20), labels=torch.tensor([0, 1, 2])).loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad)
    belongs = {
        "full": lambda name: True,
        "head": lambda name: name.startswith("head."),
        "lora": lambda name: "lora_" in name or name.startswith("head.modules_to_save"),
        "prompt": lambda name: name == "prompt.vectors",
    }[adapt]
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == belongs(name), name
        assert (parameter.grad is not None and bool(parameter.grad.any())) == belongs(name), name
    assert all(torch.equal(before[name], tensor) for name, tensor in model.named_buffers())


def test_a_frozen_model_drops_nothing_out_but_of_the_prompt():
    model, _ = start("prompt")
    assert model.config.embed_dropout == 0.1
    set_training(model, "prompt")
    model.prompt.dropout.p = 0.0
    tokens = toys.tokens(2, 20)
    assert torch.equal(model(tokens).logits, model(tokens).logits)
    model.prompt.dropout.p = 0.1
    assert not torch.equal(model(tokens).logits, model(tokens).logits)


def test_recomputed_blocks_give_the_prompt_the_same_gradient():
    found = []
    for checkpointing in (False, True):
        model, _ = start("prompt")
        set_training(model, "prompt")
        model.prompt.dropout.p, model.backbone.gradient_checkpointing = 0.0, checkpointing
        with torch.no_grad():
            model.prompt.vectors.copy_(torch.ones_like(model.prompt.vectors).tril())
        model(toys.tokens(2, 20), labels=torch.tensor([0, 1])).loss.backward()
        found.append(model.prompt.vectors.grad)
    torch.testing.assert_close(*found)


def test_the_folder_of_a_prompt_records_its_model(tables):
    out = tables / "said"
    finetune(config(tables, adapt="prompt", prompt_tokens=3, epochs=1, prompt_dropout=0.2), out)
    model = load_classifier(str(out))
    assert model.config.base_sha256 == weights_sha256(LANGUAGE) == base_sha256(model)
    assert (model.config.n_prompt_tokens, model.config.answer_letters) == (3, "AN")
    assert model.config.prompt_dropout == 0.2
    with pytest.raises(InputError, match="prompt"):
        AutoModelForSequenceClassification.from_pretrained(out)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's own
def test_the_adapter_is_saved_with_the_model(tables):
    peft = pytest.importorskip("peft")
    out, run = tables / "again", config(tables, adapt="lora", learning_rate=1e-2, epochs=1)
    finetune(run, out)
    names = {f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/adapter_model.safetensors"}
    assert {name for name in read_record(out)["files"] if "/" in name} == names
    merged = load_classifier(str(out))
    base = HyenaDNAForSequenceClassification(merged.config)
    base.backbone.load_state_dict(LANGUAGE.backbone.state_dict())
    tokens = toys.tokens(2, 30)
    again = peft.PeftModel.from_pretrained(base, out / ADAPTER).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(tokens).logits, merged(tokens).logits)
    finetune(config(tables, adapt="head", epochs=1), out, overwrite=True)
    assert not (out / ADAPTER).exists()


def test_rates_and_decay_are_those_of_the_way():
    rates = {adapt: FinetuneConfig(train="t", model="m", adapt=adapt).peak_rate for adapt in WAYS}
    assert rates == {"full": 6e-4, "head": 1e-2, "lora": 1e-3, "prompt": 1e-3}
    decayed = {
        adapt: set(decayed_parameters(start(adapt)[0])) & set(moving(start(adapt)[0]))
        for adapt in WAYS
    }
    assert decayed["prompt"] == set()
    assert decayed["head"] == {"head.linear.weight"}
    assert decayed["lora"] == {"head.modules_to_save.default.linear.weight"}


def test_rank_and_alpha_are_those_of_the_configuration():
    model, _ = start("lora", lora_rank=3, lora_alpha=6.0, lora_dropout=0.25)
    adapter = model.backbone.blocks[0].mlp.fc1
    assert adapter.lora_A["default"].weight.shape == (3, 16)
    assert (adapter.scaling["default"], adapter.lora_dropout["default"].p) == (2.0, 0.25)


def test_a_pass_counts_the_tokens_of_the_prompt():
    run = FinetuneConfig(train="t", model="m", adapt="prompt", device="cpu", batch_size=1000)
    shape = toys.config(max_seq_len=20_000)
    alone, _ = rows_per_pass(run, shape, 100)
    shape.n_prompt_tokens = 1537
    assert rows_per_pass(run, shape, 100)[0] == 10 < alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapt": "prompt", "model": None}, "adapt=prompt trains on top"),
        ({"adapt": "lora", "model": None, "preset": "tiny"}, "adapt=lora trains on top"),
        ({"adapt": "head", "prompt_tokens": 4}, "prompt_tokens has no effect with adapt=head"),
        ({"lora_rank": 4}, "lora_rank has no effect with adapt=full; it is for lora"),
        (
            {"adapt": "prompt", "pooling": "max"},
            "pooling has no effect .* full, head, lora",
        ),
        ({"adapt": "prompt", "prompt_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_an_invalid_configuration_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(**({"train": "t", "model": "m"} | changes))


@pytest.mark.parametrize(
    ("keys", "label", "message"),
    [
        ({}, lambda number: number / 7, "these labels are values; use adapt=full, head or lora"),
        ({}, lambda number: number % 6, "for 2 to 5 classes; got 6"),
        (
            {"prompt_tokens": 45},
            lambda number: number % 2,
            "reads 64 tokens, .* prompt takes 45 .*at most 39 would fit",
        ),
        ({"prompt_tokens": 64}, lambda number: number % 2, "64 prompt tokens leave no room"),
    ],
)
def test_what_a_prompt_cannot_answer_is_refused_before_any_work(
    tables, tmp_path, keys, label, message
):
    rows = [row | {"label": str(label(number))} for number, row in enumerate(motif_rows(36))]
    train = str(write_rows(tmp_path / "train.csv", rows))
    with pytest.raises(InputError, match=message):
        finetune(config(tables, adapt="prompt", train=train, **keys), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_truncation_leaves_space_for_the_prompt(tables, tmp_path):
    run = config(
        tables,
        adapt="prompt",
        prompt_tokens=50,
        crop="centre",
        epochs=1,
        test=str(tables / "test.csv"),
    )
    finetune(run, tmp_path / "out")
    assert np.isfinite(
        [float(row["p_1"]) for row in read_rows(tmp_path / "out" / PREDICTIONS)]
    ).all()
