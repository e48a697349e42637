"""All engines give the same answers, and each is taken where it can be."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from megabase.model import streaming as streamed
from megabase.model.hyena import ImplicitFilter
from megabase.ops import backends, recompute
from megabase.ops import streamed as tiles
from megabase.ops.backends import Engine, steps_for
from megabase.ops.steps import Steps
from megabase.ops.streamed_plan import plan_streamed
from tests import toys

ENGINES = ("plain", "lean", "streamed")
TRITON = pytest.param(
    "triton", marks=pytest.mark.skipif(not find_spec("triton"), reason="triton is not installed")
)


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Cut even toys into tiles, and not evenly."""
    monkeypatch.setattr(tiles, "_TOKENS_PROJECTED", 13)
    monkeypatch.setattr(tiles, "_TOKENS_FED", 7)
    monkeypatch.setattr(recompute, "_TOKENS_ON_CPU", 5)
    monkeypatch.setattr(recompute, "KEPT_INSIDE", 0)


@pytest.fixture(params=[False, True], ids=["by torch", "compiled"])
def _steps(request, monkeypatch):
    """Go both ways between the products."""
    if not request.param:
        monkeypatch.setattr(backends, "_compiled", lambda: (None, "a test"))


def model(engine="auto", *, filters=None, **options):
    short = options.pop("short_filter_order", 3)
    made = toys.model(short_filter_order=short, **(filters or {}))
    made.backbone.engine = Engine(engine, **options)
    return made


def answer(made, tokens, **arguments):
    with torch.no_grad():
        return made(tokens, **arguments)


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize("filters", [{}, toys.SCALE_FREE], ids=["published", "scale-free"])
@pytest.mark.parametrize("engine", ["lean", "streamed", TRITON])
@pytest.mark.parametrize("length", [1, 2, 3, 14, 33, 64])
def test_logits_are_those_of_the_definition(engine, length, filters):
    tokens = toys.tokens(2, length)
    plain, ours = model("plain", filters=filters), model(engine, filters=filters)
    torch.testing.assert_close(answer(ours, tokens).logits, answer(plain, tokens).logits)


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize("engine", ["lean", "streamed"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_not_seen(engine, side):
    tokens = toys.tokens(2, 30)
    mask = torch.ones(2, 30, dtype=torch.long)
    mask[1, :9] = 0
    mask = mask if side == "left" else mask.flip(-1)
    ours = answer(model(engine), tokens, attention_mask=mask).logits
    plain = answer(model("plain"), tokens, attention_mask=mask).logits
    torch.testing.assert_close(ours[mask.bool()], plain[mask.bool()])
    alone = answer(model("plain"), tokens[1:, mask[1].bool()]).logits[0]
    torch.testing.assert_close(ours[1, mask[1].bool()], alone)


@pytest.mark.parametrize(("side", "is_masked"), [("left", True), ("right", False)])
def test_padding_that_no_token_follows_costs_the_layers_no_mask(side, is_masked):
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[1, :9] = False
    seen, made = [], model("lean")
    made.backbone.blocks[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    answer(made, toys.tokens(2, 30), attention_mask=mask if side == "left" else mask.flip(-1))
    assert [each is not None for each in seen] == [is_masked]


@pytest.mark.parametrize("engine", ENGINES)
def test_double_precision_is_kept(engine):
    tokens = toys.tokens(1, 40)
    ours = answer(model(engine).double(), tokens).logits
    assert ours.dtype is torch.float64
    torch.testing.assert_close(ours, answer(model("plain").double(), tokens).logits)


@pytest.mark.parametrize("engine", ENGINES)
def test_hidden_states_of_every_layer(engine):
    tokens = toys.tokens(2, 33)
    ours = answer(model(engine), tokens, output_hidden_states=True).hidden_states
    plain = answer(model("plain"), tokens, output_hidden_states=True).hidden_states
    assert len(ours) == 3
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("n_taps", "filters"), [(2, {}), (3, {}), (3, toys.SCALE_FREE)])
def test_lean_gradients_are_those_of_the_definition(checkpointing, n_taps, filters):
    tokens, gradients = toys.tokens(2, 50), []
    for engine in ("plain", "lean"):
        made = model(engine, short_filter_order=n_taps, filters=filters).double().train()
        made.backbone.dropout.p = 0.0
        made.backbone.gradient_checkpointing = checkpointing
        made(tokens, labels=tokens).loss.backward()
        gradients.append({name: p.grad for name, p in made.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("n_kept", [0, 1 << 23])
@pytest.mark.parametrize("side", ["left", "right"])
def test_lean_gradients_on_padded_rows_are_those_of_the_definition(monkeypatch, side, n_kept):
    monkeypatch.setattr(recompute, "KEPT_INSIDE", n_kept)
    tokens, gradients = toys.tokens(2, 30), []
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[1, :9] = False
    mask = mask if side == "left" else mask.flip(-1)
    for engine in ("plain", "lean"):
        made = model(engine).double().train()
        made.backbone.dropout.p = 0.0
        labels = tokens.masked_fill(~mask, -100)
        made(tokens, attention_mask=mask, labels=labels).loss.backward()
        gradients.append({name: p.grad for name, p in made.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.skipif(not find_spec("triton"), reason="triton is not installed")
def test_gradients_through_the_kernels_are_those_of_the_definition():
    tokens, gradients = toys.tokens(1, 20), []
    mask = torch.arange(20)[None] >= 5
    for engine in ("plain", "triton"):
        made = model(engine).train()
        made.backbone.dropout.p = 0.0
        made(tokens, attention_mask=mask, labels=tokens).loss.backward()
        gradients.append({name: p.grad for name, p in made.named_parameters()})
    for name, gradient in gradients[0].items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.skipif(not find_spec("triton"), reason="triton is not installed")
def test_the_kernels_bypass_no_hook_and_no_other_norm():
    tokens, seen = toys.tokens(1, 20), []
    made = model("triton")
    made.backbone.blocks[0].norm_mlp.register_forward_hook(lambda *_: seen.append(1))
    answer(made, tokens)
    assert seen

    class Twice(nn.LayerNorm):
        def forward(self, u):
            return 2 * super().forward(u)

    made = model("triton")
    before = answer(made, tokens).logits
    made.backbone.blocks[0].norm_mlp = Twice(8)
    assert not torch.allclose(answer(made, tokens).logits, before)


def test_kernels_where_there_is_no_gpu_are_an_error(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match=r"engine 'triton' cannot be used: (the model|triton)"):
        answer(model("triton"), toys.tokens(1, 9))


def test_the_streamed_engine_serves_what_needs_no_gradient_on_a_cpu():
    backbone = model().backbone
    r = torch.empty(0)
    assert backbone.choose_engine(r).name == "lean"
    with torch.no_grad():
        assert backbone.choose_engine(r).name == "streamed"
        assert toys.model(hyena_order=3).backbone.choose_engine(r).name == "lean"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert backbone.choose_engine(r) == ("lean", "not streamed: autocast is on")


def test_a_hook_or_another_module_is_not_bypassed():
    tokens = toys.tokens(1, 20)
    made = model()
    seen = []
    made.backbone.blocks[1].mlp.fc1.register_forward_hook(lambda *_: seen.append(1))
    answer(made, tokens)
    assert seen
    made = model()

    class Twice(nn.Linear):
        def forward(self, u):
            return 2 * super().forward(u)

    for engine in ("auto", "lean"):
        made = model(engine)
        before = answer(made, tokens).logits
        changed = Twice(8, 24)
        changed.load_state_dict(made.backbone.blocks[0].mixer.in_proj.state_dict())
        made.backbone.blocks[0].mixer.in_proj = changed
        assert not torch.allclose(answer(made, tokens).logits, before)


def change_hook(module):
    module.register_forward_hook(lambda *_: None)


def change_pre_hook(module):
    module.register_forward_pre_hook(lambda *_: None)


def change_backward_hook(module):
    module.register_full_backward_hook(lambda *_: None)


def change_forward(module):
    module.forward = module.forward


CHANGES = (change_hook, change_pre_hook, change_backward_hook, change_forward)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", ["blocks.0.mixer.in_proj", "blocks.1.mlp", "norm"])
def test_the_modified_module_is_reported(change, place):
    backbone = model().backbone
    change(backbone.get_submodule(place))
    with torch.no_grad():
        choice = backbone.choose_engine(torch.empty(0))
    assert choice.name == "lean"
    assert place in choice.why


def test_what_the_streamed_engine_cannot_say_the_others_do():
    tokens = toys.tokens(1, 20)
    made = model()
    made.backbone.blocks[0].norm_mlp.eps = 1.0
    ours = answer(made, tokens).logits
    made.backbone.engine = Engine("plain")
    torch.testing.assert_close(ours, answer(made, tokens).logits)
    for place in ("mixer.in_proj", "mixer.short_conv", "mlp.fc1"):
        made = model()
        made.backbone.blocks[0].get_submodule(place).bias = None
        ours = answer(made, tokens).logits
        made.backbone.engine = Engine("plain")
        torch.testing.assert_close(ours, answer(made, tokens).logits)


def test_a_hook_that_keeps_the_embedding_keeps_it():
    made, kept, tokens = model(), [], toys.tokens(1, 20)
    made.backbone.embedding.register_forward_hook(lambda _m, _i, out: kept.append(out))
    answer(made, tokens)
    torch.testing.assert_close(kept[0], made.backbone.embedding.weight[tokens].detach())


@pytest.mark.parametrize("engine", ENGINES)
def test_no_number_on_padding_harms_no_token(engine):
    embedded = torch.randn(1, 20, 8)
    embedded[:, 12:] = torch.nan
    mask = torch.arange(20)[None] < 12
    logits = answer(model(engine), None, inputs_embeds=embedded, attention_mask=mask).logits
    assert not logits[:, :12].isnan().any()


def test_no_tokens_are_an_error():
    with pytest.raises(ValueError, match=r"at least one token, got shape \(1, 0\)"):
        answer(model(), torch.zeros(1, 0, dtype=torch.long))


def test_spectra_follow_what_else_makes_the_filter():
    made, tokens = model("streamed"), toys.tokens(1, 20)
    answer(made, tokens)
    made.backbone.blocks[0].mixer.filters.shift = 5.0
    with torch.no_grad():
        made.backbone.blocks[1].mixer.skip.add_(1.0)
    ours = answer(made, tokens).logits
    made.backbone.engine = Engine("plain")
    torch.testing.assert_close(ours, answer(made, tokens).logits)


def test_spectra_are_given_back_when_training_goes_on():
    made, tokens = model(), toys.tokens(1, 20)
    answer(made, tokens)
    operator = made.backbone.blocks[0].mixer
    assert operator in streamed._SPECTRA
    made(tokens)
    assert operator not in streamed._SPECTRA


@pytest.mark.usefixtures("_steps")
def test_where_spectra_are_kept_the_filter_is_computed_once(monkeypatch):
    made, tokens = model("streamed"), toys.tokens(1, 20)
    answer(made, tokens)
    computed = []
    monkeypatch.setattr(ImplicitFilter, "features", lambda *_: computed.append(1))
    answer(made, tokens)
    assert computed == []


def test_kept_spectra_follow_the_parameters():
    tokens = toys.tokens(1, 20)
    made = model("streamed")
    before = answer(made, tokens).logits
    made.backbone.blocks[0].mixer.filters.linears[0].weight.data.mul_(1.5)
    after = answer(made, tokens).logits
    assert not torch.allclose(before, after)
    made.backbone.engine = Engine("plain")
    torch.testing.assert_close(after, answer(made, tokens).logits)
    made.backbone.engine = Engine("streamed")
    made.double()
    assert answer(made, tokens).logits.dtype is torch.float64


def test_inputs_that_are_given_embedded_are_left_as_they_were():
    made = model("streamed")
    embedded = torch.randn(1, 20, 8)
    kept = embedded.clone()
    answer(made, None, inputs_embeds=embedded)
    torch.testing.assert_close(embedded, kept, rtol=0, atol=0)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_normed_residual_is_the_residual(compiled):
    """Check Eq. normed-residual, before and after it is written."""
    r = torch.randn(2, 20, 8)
    residual = tiles.Residual(r.clone(), 1e-5, steps_for(r) if compiled else Steps())
    torch.testing.assert_close(residual.restored(), r)
    torch.testing.assert_close(residual.normed, nn.functional.layer_norm(r, (8,)))
    tile, more = slice(7, 14), torch.randn(7, 8)
    kept = residual.read(1, tile, torch.zeros(8))
    residual.write(1, tile, kept, torch.zeros(8))
    torch.testing.assert_close(residual.restored()[1, tile], r[1, tile])
    residual.write(1, tile, residual.read(1, tile, torch.zeros(8)) + more, torch.ones(8))
    torch.testing.assert_close(residual.restored()[1, tile], r[1, tile] + more + 1)


@pytest.mark.parametrize("group", [1, 2, 4, 8])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_neither_groups_nor_spectra_change_the_answer(group, keep, compiled):
    made, tokens = model("plain"), toys.tokens(2, 30)
    plain = answer(made, tokens, output_hidden_states=True).hidden_states
    with torch.no_grad():
        r = made.backbone.embedding(tokens)
        *_, last = streamed.run(
            made.backbone.blocks, r, None, group=group, keep_spectra=keep,
            compiled_mixer=compiled, matmul_dtype=torch.float32,
        )  # fmt: skip
        hidden = made.backbone.norm(last.restored())
    torch.testing.assert_close(hidden, plain[-1])


def test_bfloat16_products_are_near_but_not_the_same():
    tokens = toys.tokens(2, 64)
    exact = answer(model("plain"), tokens).logits
    rounded = answer(model(matmul_dtype=torch.bfloat16), tokens).logits
    assert rounded.dtype is torch.float32
    error = (rounded - exact).abs().max() / exact.abs().max()
    assert 1e-5 < error < 0.1


def test_less_memory_means_smaller_groups_and_no_kept_spectra():
    config = toys.config(d_model=256, n_layer=8, max_seq_len=1_000_002)
    free = plan_streamed(config, 1_000_000)
    assert (free.group, free.keep_spectra) == (64, False)
    tight = plan_streamed(config, 1_000_000, max_bytes=int(2.9 * 2**30))
    assert tight.group < 64
    assert tight.n_bytes <= 2.9 * 2**30 < free.n_bytes
    assert plan_streamed(config, 8192).keep_spectra
    with pytest.raises(ValueError, match=r"1 x 1,000,000 tokens need at least .* limit is 1\.00"):
        plan_streamed(config, 1_000_000, max_bytes=2**30)


def test_a_limit_is_kept_or_refused():
    tokens = toys.tokens(1, 20)
    answer(model(max_bytes=2**30), tokens)
    with pytest.raises(ValueError, match="20 tokens need at least"):
        answer(model(max_bytes=1000), tokens)
    with pytest.raises(ValueError, match="with the streamed engine, but grad"):
        model(max_bytes=2**30)(tokens)


def test_an_unknown_engine_is_an_error():
    with pytest.raises(ValueError, match="one of auto, plain, lean, triton, streamed; got 'fast'"):
        Engine("fast")
