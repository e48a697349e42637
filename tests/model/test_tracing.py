"""Where PyTorch traces or transforms a call, plain operations give the same answers."""

import pytest
import torch
from torch import func
from torch._subclasses.fake_tensor import FakeTensorMode

from megabase.errors import InputError
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.ops.backends import Engine
from tests import toys

TOKENS = toys.tokens(2, 9) % 4 + 7
MODEL = toys.model(**toys.SCALE_FREE)
MODELS = {
    "language model": MODEL,
    "classifier": HyenaDNAForSequenceClassification(toys.config(num_labels=3)).eval(),
}
NEAR = {"rtol": 1e-4, "atol": 1e-4}


def weights(model=MODEL):
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def called(tensors, model=MODEL, **keywords):
    return func.functional_call(model, tensors, (TOKENS,), keywords)


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_answers_the_same(name):
    model = MODELS[name]
    with torch.no_grad():
        exported = torch.export.export(model, (TOKENS,)).module()
        torch.testing.assert_close(exported(TOKENS).logits, model(TOKENS).logits, **NEAR)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize("name", MODELS)
def test_a_traced_model_answers_the_same_and_refuses_another_length(name):
    model = MODELS[name]
    traced = torch.jit.trace(model, TOKENS, strict=False)
    torch.testing.assert_close(traced(TOKENS)["logits"], model(TOKENS).logits, **NEAR)
    for other in (TOKENS[:, :8], TOKENS.repeat(1, 2), TOKENS[:, :1]):
        with pytest.raises(RuntimeError):
            traced(other)


@pytest.mark.parametrize("with_gradients", [True, False])
def test_a_model_is_mapped_over_sequences_and_over_weights(with_gradients):
    with torch.set_grad_enabled(with_gradients):
        logits = MODEL(TOKENS).logits
        each = func.vmap(lambda tokens: MODEL(tokens[None]).logits[0])(TOKENS)
        torch.testing.assert_close(each, logits, **NEAR)
        two = {name: torch.stack([tensor, tensor]) for name, tensor in weights().items()}
        for ours in func.vmap(lambda tensors: called(tensors).logits)(two):
            torch.testing.assert_close(ours, logits, **NEAR)


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_forward_mode_gives_the_derivative_that_backward_mode_gives():
    def loss(tensors):
        return called(tensors, labels=TOKENS).loss

    MODEL.zero_grad()
    MODEL(TOKENS, labels=TOKENS).loss.backward()
    backward = {name: parameter.grad for name, parameter in MODEL.named_parameters()}
    MODEL.zero_grad()
    _, forward = func.jvp(loss, (weights(),), (backward,))  # pyright: ignore[reportAssignmentType]
    torch.testing.assert_close(forward, sum(g.square().sum() for g in backward.values()), **NEAR)
    for name, gradient in func.grad(loss)(weights()).items():
        torch.testing.assert_close(gradient, backward[name], **NEAR)


def second_derivatives(engine, checkpointing=False, mask=None):
    """Give the gradient of the squared gradient of the loss."""
    model = toys.model(embed_dropout=0.0, **toys.SCALE_FREE).train()
    model.backbone.engine = Engine(engine)
    model.backbone.gradient_checkpointing = checkpointing
    loss = model(TOKENS, attention_mask=mask, labels=TOKENS).loss
    first = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in first), list(model.parameters()))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("mask", [None, torch.tensor([[1] * 9, [0] * 4 + [1] * 5])])
def test_second_derivatives_are_those_of_the_plain_engine(checkpointing, mask):
    for ours, plain in zip(
        second_derivatives("auto", checkpointing, mask),
        second_derivatives("plain", mask=mask),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-4 * plain.abs().max().item())


REMEMBERING = toys.model(**toys.SCALE_FREE, **toys.MEMORY)
NEEDS_FEATURES = r"a model with a memory cannot be traced \(.*\); pass memory_features"


class WithFeatures(torch.nn.Module):
    """The model as a function of tokens and features alone."""

    def __init__(self):
        super().__init__()
        self.model = REMEMBERING

    def forward(self, tokens, features):
        return self.model(tokens, memory_features=features).logits


def features_of(tokens):
    return REMEMBERING.backbone.memory.features(tokens)


def exported(model, *inputs):
    return torch.export.export(model, inputs).module()


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize("trace", [exported, torch.jit.trace], ids=["exported", "traced"])
def test_a_model_with_a_memory_is_traced_with_its_features(trace):
    with torch.no_grad():
        inputs = TOKENS, features_of(TOKENS)
        arguments = inputs if trace is exported else (inputs,)
        traced = trace(WithFeatures(), *arguments)
        for tokens in (TOKENS, TOKENS.flip(1)):
            features = features_of(tokens)
            torch.testing.assert_close(traced(tokens, features), REMEMBERING(tokens).logits, **NEAR)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
def test_a_model_with_a_memory_is_not_traced_without_its_features():
    with pytest.raises(Exception, match=NEEDS_FEATURES):
        exported(REMEMBERING, TOKENS)
    with pytest.raises(InputError, match=NEEDS_FEATURES):
        torch.jit.trace(REMEMBERING, TOKENS, strict=False)
    with pytest.raises(InputError, match=NEEDS_FEATURES):
        func.vmap(lambda tokens: REMEMBERING(tokens[None]).logits[0])(TOKENS)


def test_a_model_with_a_memory_is_mapped_over_sequences_with_their_features():
    each = func.vmap(
        lambda tokens, features: REMEMBERING(tokens[None], memory_features=features[None]).logits[0]
    )(TOKENS, features_of(TOKENS))
    torch.testing.assert_close(each, REMEMBERING(TOKENS).logits, **NEAR)


def test_fake_tensors_pass():
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert MODEL(mode.from_tensor(TOKENS)).logits.shape == (2, 9, 12)


def test_a_requested_engine_is_never_replaced_silently():
    model = toys.model()
    model.backbone.engine = Engine("streamed")
    with pytest.raises(ValueError, match=r"torch.func transforms it; set .*Engine\('plain'\)"):
        func.vmap(lambda tokens: model(tokens[None]).logits)(TOKENS)
