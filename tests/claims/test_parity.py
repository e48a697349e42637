"""The released code and ours give the same numbers from the same weights, in every layout."""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from megabase.model.backbone import Backbone
from megabase.model.config import HyenaDNAConfig
from megabase.model.load import load
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.released import from_published, keys_of_original, name_pairs
from megabase.ops.backends import Engine
from tests.published_files import (
    Fixture,
    hf_config,
    read_fixture,
    to_hf,
    write_hf,
    write_lightning,
)

CASES = ["p1_d32_n2_l66", "p2_d64_n2_l258", "p3_d128_n4_l1026", "p4_d32_n2_l130_order3"]
ORDER_2 = CASES[:3]


@pytest.fixture(params=CASES)
def fixture(request, shared):
    return read_fixture(shared / "parity", request.param)


def close(ours, theirs):
    torch.testing.assert_close(
        ours, theirs, rtol=1e-4, atol=2e-5 * theirs.abs().max().item(), check_dtype=False
    )


@pytest.fixture(params=["auto", "lean", "plain"])
def engine(request):
    return Engine(request.param)


def model_of(fixture: Fixture, engine: Engine = Backbone.engine) -> HyenaDNAForCausalLM:
    config = HyenaDNAConfig(**keys_of_original(fixture.config, "the fixture"))
    tensors = from_published(fixture.weights, config, "the fixture")
    model = HyenaDNAForCausalLM(config).eval()
    model.load_state_dict(tensors)
    model.backbone.engine = engine
    return model


def test_logits_and_hidden_states(fixture, engine):
    model, theirs = model_of(fixture, engine), fixture.outputs
    with torch.no_grad():
        output = model(theirs["input_ids"], output_hidden_states=True)
    close(output.logits, theirs["logits"][..., :12])
    close(output.hidden_states[-1], theirs["last_hidden"])


def test_the_parts_of_the_first_layer(fixture):
    model, theirs = model_of(fixture), fixture.outputs
    block, length = model.backbone.blocks[0], theirs["input_ids"].shape[1]
    with torch.no_grad():
        embedded = model.backbone.embedding(theirs["input_ids"])
        mixed = block.mixer(block.norm_mixer(embedded))
        close(block.mixer.filters(length).flatten(0, 1).T, theirs["filter_layer0"])
        close(mixed, theirs["mixer_out_layer0"])
        close(block.mlp(block.norm_mlp(embedded + mixed)), theirs["block_out_layer0"])


def test_the_error_is_at_most_that_of_the_released_code(fixture, engine):
    model, theirs = model_of(fixture, engine), fixture.outputs
    truth = theirs["logits_float64"][..., :12]
    with torch.no_grad():
        ours = (model(theirs["input_ids"]).logits - truth).abs().max()
    assert ours <= 2 * (theirs["logits"][..., :12] - truth).abs().max()


def test_gradients(fixture, engine):
    """Check the gradients of the released loss, which is over all 16 rows of the embedding."""
    model, tokens = model_of(fixture, engine), fixture.outputs["input_ids"]
    hidden = model(tokens, output_hidden_states=True).hidden_states[-1]
    logits = hidden @ model.backbone.embedding.weight.T
    loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    close(loss[None], fixture.gradients["loss"])
    names, parameters = name_pairs(model.config), dict(model.named_parameters())
    checked = [name for name in fixture.gradients if name.startswith("grad.")]
    for name in checked:
        ours = f"backbone.{names[name.removeprefix('grad.backbone.')]}"
        close(parameters[ours].grad, fixture.gradients[name])
    assert len(checked) >= 6


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_released_training_file(fixture, tmp_path, checkpointed):
    folder = write_lightning(tmp_path / "released", fixture, checkpointed=checkpointed)
    for name in (folder, folder / "weights.ckpt"):
        with torch.no_grad():
            logits = load(str(name)).model(fixture.outputs["input_ids"]).logits
        close(logits, fixture.outputs["logits"][..., :12])


@pytest.mark.parametrize("case", ORDER_2)
def test_a_released_hf_folder_through_the_auto_classes(shared, tmp_path, case):
    fixture = read_fixture(shared / "parity", case)
    folder = write_hf(tmp_path / "released", fixture.config, to_hf(fixture.weights))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(model, HyenaDNAForCausalLM)
    with torch.no_grad():
        close(model(fixture.outputs["input_ids"]).logits, fixture.outputs["logits"][..., :12])
    assert AutoTokenizer.from_pretrained(folder)("ACGTN")["input_ids"] == [7, 8, 9, 10, 11]


def test_the_released_hf_names_themselves(shared, tmp_path):
    name = shared / "parity" / "p5_hfnames_init_d32_n2_l66"
    original = read_fixture(shared / "parity", CASES[0]).config
    folder = write_hf(tmp_path / "hf", original, load_file(f"{name}.weights.safetensors"))
    theirs = load_file(f"{name}.io.safetensors")
    with torch.no_grad():
        logits = load(str(folder)).model(theirs["input_ids"]).logits
    close(logits, theirs["logits"][..., :12])
    assert hf_config(original)["max_seq_len"] == 66
