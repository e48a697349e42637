"""Low-rank adapters reach the answer on every path, and can be added to the weights."""

import pytest
import torch

from megabase.errors import InputError
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.ops.backends import ENGINES, Engine
from megabase.runtime import environment
from megabase.training.adaptation import MEMORY_TARGETS, TARGETS, LowRank, freeze
from tests import toys

peft = pytest.importorskip("peft")
TOKENS = toys.tokens(3, 40)
MASK = torch.ones(3, 40).masked_fill(torch.arange(40) > 30, 0)


def base(**keys):
    torch.manual_seed(0)
    model = HyenaDNAForSequenceClassification(toys.config(num_labels=3, **keys))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def adapted(dropout=0.0):
    """Give a model with adapters that are not zero, and them."""
    model = base()
    adapters = LowRank(model, rank=2, alpha=4.0, dropout=dropout)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    return model.eval(), adapters


def by_hand():
    """Eq. low-rank, with the numbers of `adapted`."""
    model, plain = adapted()[0], base()
    tensors, weights = model.state_dict(), plain.state_dict()
    for name in weights:
        stem, _, kind = name.rpartition(".")
        if kind == "weight" and stem.endswith(TARGETS):
            a, b = (tensors[f"{stem}.lora_{x}.default.weight"] for x in "AB")
            weights[name] = weights[name] + 4.0 / 2 * b @ a
    plain.load_state_dict(weights)
    return plain.eval()


@pytest.mark.parametrize("engine", ["auto", "lean", "plain"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
@pytest.mark.parametrize("training", [True, False])
def test_adapters_act_on_every_path(engine, mask, training):
    assert engine in ENGINES
    model, definition = adapted()[0].train(training), by_hand()
    model.backbone.dropout.eval()
    model.backbone.engine, definition.backbone.engine = Engine(engine), Engine("plain")
    with torch.set_grad_enabled(training):
        found = model(TOKENS, attention_mask=mask).logits
    expected = definition(TOKENS, attention_mask=mask).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(found, base()(TOKENS, attention_mask=mask).logits, atol=1e-2)


def test_recomputed_blocks_give_the_same_gradients():
    found = []
    for checkpointing in (False, True):
        model, _ = adapted()
        model.train().backbone.dropout.eval()
        model.backbone.gradient_checkpointing = checkpointing
        model(TOKENS).logits.square().sum().backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        found.append(grads)
    assert all("lora_" in name or name.startswith("head.") for name in found[0])
    assert len(found[0]) == 2 * 4 * 2 + 2
    for name, grad in found[0].items():
        assert grad.abs().max() > 0, name
        torch.testing.assert_close(grad, found[1][name])


def test_merged_weights_answer_the_same_in_a_plain_model():
    model, adapters = adapted()
    with torch.no_grad():
        before = model(TOKENS).logits
        adapters.merge()
        torch.testing.assert_close(model(TOKENS).logits, before, rtol=1e-5, atol=1e-5)
    assert model.state_dict().keys() == base().state_dict().keys()
    assert [type(m) for m in model.modules()] == [type(m) for m in base().modules()]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's own
def test_an_adapter_alone_comes_back_in_peft(tmp_path):
    model, adapters = adapted()
    adapters.save(tmp_path)
    again = peft.PeftModel.from_pretrained(base(), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(TOKENS).logits, model(TOKENS).logits)
    size = (tmp_path / "adapter_model.safetensors").stat().st_size
    assert size < sum(4 * p.numel() for p in base().parameters())


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'megabase\[lora\]'"):
        LowRank(base(), rank=2, alpha=4.0, dropout=0.0)


def test_the_network_of_a_memory_is_adapted_and_its_odds_are_not(tmp_path):
    model = base(**toys.MEMORY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    adapters = LowRank(model, rank=2, alpha=4.0, dropout=0.0)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    for target in MEMORY_TARGETS:
        assert f"backbone.{target}.lora_B.default.weight" in trained
    assert not any("pointer_odds" in name for name in trained)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    with torch.no_grad():
        answer = model.eval()(TOKENS, MASK).logits
        adapters.merge()
        torch.testing.assert_close(model(TOKENS, MASK).logits, answer, rtol=1e-4, atol=1e-5)
    after = model.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert {f"backbone.{target}.weight" for target in MEMORY_TARGETS} <= changed
    assert "backbone.memory.pointer_odds" not in changed


def test_adapters_of_a_model_without_a_memory_name_none(tmp_path):
    adapters = LowRank(base(), rank=2, alpha=4.0, dropout=0.0)
    adapters.save(tmp_path)
    assert "memory" not in (tmp_path / "adapter_config.json").read_text()


@pytest.mark.parametrize("adapt", ["full", "head"])
def test_the_odds_of_pointers_are_never_trained(adapt):
    model = base(**toys.MEMORY).train()
    freeze(model, adapt)
    model(TOKENS, MASK, labels=torch.tensor([0, 1, 2])).loss.backward()
    read = model.backbone.memory.skip.weight.grad
    assert (read is not None) is (adapt == "full")
    assert not model.backbone.memory.pointer_odds.requires_grad
