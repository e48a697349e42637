"""The steps between the products are what they are defined to be, by torch and compiled."""

import ctypes

import pytest
import torch
from torch.nn import functional

from megabase.ops import backends, definition, native_mixer
from megabase.ops.backends import describe_steps, gated_conv_by, mixer_for, steps_for
from megabase.ops.folding import CUBIC, scaled_for_gelu
from megabase.ops.gated_conv import Workspace, split_streams
from megabase.ops.native_mixer import NativeMixer
from megabase.ops.short_conv import ShortFilter, with_input_bias
from megabase.ops.steps import NativeSteps, Steps

EPS = 1e-5
SIZES = ((1, 1), (3, 7), (5, 16), (7, 129), (64, 256))


def compiled():
    steps = steps_for(torch.empty(0, dtype=torch.float32))
    if not isinstance(steps, NativeSteps):
        pytest.skip(describe_steps(torch.float32))
    return steps


@pytest.fixture(params=["torch", "compiled"])
def steps(request):
    return Steps() if request.param == "torch" else compiled()


def near(ours, truth):
    torch.testing.assert_close(ours.double(), truth, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_normed_is_read(steps, size):
    normed, scale, bias = torch.randn(size), torch.rand(size[0], 1), torch.randn(size[1])
    near(steps.read(normed, scale, bias), normed.double() * scale + bias)


@pytest.mark.parametrize("size", SIZES)
def test_the_norm_is_that_of_torch(steps, size):
    r = 100 + torch.randn(size)
    torch.testing.assert_close(
        steps.norm(r, EPS).double(), functional.layer_norm(r.double(), size[1:], eps=EPS),
        rtol=1e-4, atol=1e-4,  # of numbers about 100
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_can_be_read_again(steps, size):
    r, bias, before = torch.randn(size), torch.randn(size[1]), torch.randn(size[0], 1)
    total = r.double() + bias
    normed, scale, mean = torch.empty(size), torch.empty(size[0], 1), before.clone()
    steps.write(r, bias, EPS, normed=normed, scale=scale, mean=mean)
    near(normed, functional.layer_norm(total, size[1:], eps=EPS))
    near(mean, before + total.mean(1, keepdim=True))
    near(steps.read(normed, scale, torch.zeros(size[1])) + mean - before, total)


def test_a_norm_may_be_written_where_the_numbers_were(steps):
    r = torch.randn(5, 33)
    truth = functional.layer_norm(r.double(), (33,), eps=EPS)
    scale, mean = torch.empty(5, 1), torch.zeros(5, 1)
    steps.write(r, torch.zeros(33), EPS, normed=r, scale=scale, mean=mean)
    near(r, truth)


@pytest.mark.parametrize("size", SIZES)
def test_the_gelu_is_the_tanh_form(steps, size):
    x, bias = 4 * torch.randn(size), torch.randn(size[1])
    eye = torch.eye(size[1])
    expand, scaled_bias, contract = scaled_for_gelu(eye, bias, eye)
    ours = steps.gelu((x @ expand.T).contiguous(), scaled_bias) @ contract.T
    near(ours, functional.gelu(x.double() + bias, approximate="tanh"))


def test_the_gelu_far_out_is_the_number_or_nothing(steps):
    x = torch.tensor([[-1e20, -1e4, -20.0, -0.0, 0.0, 20.0, 1e4, 1e20]])
    far = x.clone()
    near(steps.gelu(x, torch.zeros(8)), far.double().clamp(min=0))
    assert steps.gelu(torch.full((1, 9), torch.nan), torch.zeros(9)).isnan().all()


def test_the_cubic_is_that_of_the_scaled_gelu():
    assert pytest.approx(0.044715 / (8 / torch.pi)) == CUBIC


LENGTHS = (1, 2, 3, 4, 7, 33, 64, 255, 256, 257, 600)


def draw(length, *, batch=2, channel=16, n_taps=3):
    """Give streams, taps and bias of the short filter, long filter and skip weight."""
    shapes = ((batch, 3 * channel, length), (3 * channel, n_taps), (3 * channel,),
              (channel, length), (channel,))  # fmt: skip
    return [torch.randn(shape) for shape in shapes]


def mixed(steps, streams, short, h, d, mask=None, *, as_spectra=True, kind=None):
    """Mix all channels by a mixer of the steps."""
    out = torch.full((len(streams), len(h), streams.shape[2]), torch.nan)
    mixer = mixer_for(steps, out, len(h), n_filters=0 if as_spectra else 1, dtype=torch.float32)
    assert kind is None or isinstance(mixer, kind)
    taps = h.clone()
    taps[:, 0] += d
    long = mixer.spectra_of(taps) if as_spectra else taps
    for rows in mixer.chunks(len(h)):
        parts = split_streams(streams, short, rows)
        mixer.mix(parts, mask, long[rows], out=out[:, rows])
    return out


def edgeless(taps, bias):
    return ShortFilter(taps, bias, torch.zeros_like(taps[:, 1:]))


@pytest.mark.parametrize("as_spectra", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_mixer_gives_the_defining_sum(steps, length, as_spectra):
    """Check Eq. right-angle."""
    streams, taps, bias, h, d = draw(length)
    truth = definition.gated_conv(*(t.double() for t in (streams, taps, bias, h, d)))
    ours = mixed(steps, streams, edgeless(taps, bias), h, d, as_spectra=as_spectra)
    torch.testing.assert_close(
        ours.double(), truth, rtol=1e-5, atol=3e-6 * truth.abs().max().item()
    )


@pytest.mark.parametrize("n_taps", [1, 2, 4])
def test_the_mixer_takes_short_filters_of_any_length_and_an_edge(steps, n_taps):
    streams, taps, bias, h, d = draw(300, n_taps=n_taps)
    input_bias = torch.randn(len(taps))
    with_bias = (streams + input_bias[:, None]).double()
    truth = definition.gated_conv(with_bias, *(t.double() for t in (taps, bias, h, d)))
    ours = mixed(steps, streams, with_input_bias(taps, bias, input_bias), h, d)
    torch.testing.assert_close(
        ours.double(), truth, rtol=1e-5, atol=3e-6 * truth.abs().max().item()
    )


def test_the_mixer_does_not_see_what_is_masked(steps):
    streams, taps, bias, h, d = draw(100)
    mask = torch.ones(2, 1, 100, dtype=torch.bool)
    mask[0, :, 60:] = mask[1, :, :30] = False
    truth = definition.gated_conv(*(t.double() for t in (streams, taps, bias, h, d)), mask)
    ours = mixed(steps, streams * mask, edgeless(taps, bias), h, d, mask)
    torch.testing.assert_close(
        ours.double(), truth, rtol=1e-5, atol=3e-6 * truth.abs().max().item()
    )


def test_the_mixer_sees_no_future(steps):
    streams, *rest, h, d = draw(500)
    changed = streams.clone()
    changed[..., 400:] = 0.0
    a, b = (mixed(steps, each, edgeless(*rest), h, d) for each in (streams, changed))
    near = {"rtol": 1e-5, "atol": 3e-6 * a.abs().max().item()}
    torch.testing.assert_close(a[..., :400], b[..., :400], **near)
    assert not torch.allclose(a[..., 400:], b[..., 400:])


def with_gradients(function, inputs, weight, mask):
    """Give the answer, and the gradients of its weighted sum."""
    inputs = [t.detach().to(weight.dtype).requires_grad_() for t in inputs]
    streams = inputs[0] if mask is None else inputs[0] * mask
    answer = function(streams, *inputs[1:], mask)
    return [answer.detach(), *torch.autograd.grad((weight * answer).sum(), inputs)]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 33, 300])
def test_gradients_are_those_of_the_defining_sum(steps, length, batch, is_masked):
    inputs, weight = draw(length, batch=batch), torch.randn(batch, 16, length)
    mask = torch.rand(batch, 1, length) > 0.3 if is_masked else None

    def by_steps(streams, taps, bias, h, d, mask):
        return gated_conv_by(steps, streams, edgeless(taps, bias), h, d, mask)

    ours = with_gradients(by_steps, inputs, weight, mask)
    truth = with_gradients(definition.gated_conv, inputs, weight.double(), mask)
    for name, a, b in zip(("y", "streams", "taps", "bias", "h", "d"), ours, truth, strict=True):
        torch.testing.assert_close(
            a.double(), b, rtol=1e-5, atol=3e-6 * b.abs().max().item(),
            msg=lambda m, name=name: f"{name}: {m}",
        )  # fmt: skip


@pytest.mark.parametrize("n_taps", [1, 2, 4])
def test_gradients_of_an_edge_and_of_short_filters_of_any_length(n_taps):
    streams, taps, bias, h, d = draw(300, n_taps=n_taps)
    inputs, weight = (streams, taps, bias, torch.randn(48), h, d), torch.randn(2, 16, 300)

    def mixed_by(steps):
        def function(streams, taps, bias, input_bias, h, d, mask):
            return gated_conv_by(
                steps, streams, with_input_bias(taps, bias, input_bias), h, d, mask
            )

        return function

    ours = with_gradients(mixed_by(compiled()), inputs, weight, None)
    truth = with_gradients(mixed_by(Steps()), inputs, weight.double(), None)
    for a, b in zip(ours, truth, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=3e-6 * b.abs().max().item())


def test_gradients_are_compiled_in_float32_only(monkeypatch):
    streams, taps, bias, h, d = draw(20)
    narrow = [streams, edgeless(taps, bias), h, d]
    wide = [t.double() for t in (streams, taps, bias, h, d)]
    wide = [wide[0], edgeless(*wide[1:3]), *wide[3:]]
    assert gated_conv_by(compiled(), *wide).dtype is torch.float64

    def is_compiled(streams, *_, make_mixer):
        mixer = make_mixer(streams, 16, False)
        return torch.full((2, 16, 20), float(isinstance(mixer, NativeMixer)))

    monkeypatch.setattr(backends, "mixed_in_chunks", is_compiled)
    assert gated_conv_by(compiled(), *narrow).all()
    assert not gated_conv_by(compiled(), *wide).any()


def test_numbers_may_lie_in_any_order_and_the_defaults_be_any():
    inputs, weight = draw(50), torch.randn(2, 16, 50)
    mask = (torch.rand(50, 2) > 0.3).t()[:, None]
    order = [inputs[0].transpose(1, 2).contiguous().transpose(1, 2), *inputs[1:3],
             inputs[3].t().contiguous().t(), inputs[4]]  # fmt: skip

    def mixed_by(steps):
        return lambda streams, taps, bias, h, d, mask: gated_conv_by(
            steps, streams, edgeless(taps, bias), h, d, mask
        )

    truth = with_gradients(mixed_by(Steps()), inputs, weight.double(), mask)
    native_mixer._tables.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        ours = with_gradients(mixed_by(compiled()), order, weight, mask)
    finally:
        torch.set_default_dtype(torch.float32)
    for a, b in zip(ours, truth, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=3e-6 * b.abs().max().item())


def test_a_second_derivative_is_that_of_the_defining_sum():
    def twice(function, wide):
        inputs = [t.to(wide).requires_grad_() for t in given]
        (first,) = torch.autograd.grad(
            function(*inputs).square().sum(), inputs[3], create_graph=True
        )
        return torch.autograd.grad(first.square().sum(), inputs)

    given = draw(20)
    steps = compiled()
    ours = twice(lambda s, t, b, h, d: gated_conv_by(steps, s, edgeless(t, b), h, d), torch.float32)
    truth = twice(definition.gated_conv, torch.float64)
    for a, b in zip(ours, truth, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize("length", [8192, 10_000])
def test_long_sequences_are_mixed_as_in_double_precision(length):
    streams, taps, bias, h, d = inputs = draw(length, batch=1)
    ours = mixed(compiled(), streams, edgeless(taps, bias), h, d, kind=NativeMixer)
    streams, taps, bias, h, d = (t.double() for t in inputs)
    truth = gated_conv_by(Steps(), streams, edgeless(taps, bias), h, d)
    torch.testing.assert_close(
        ours.double(), truth, rtol=1e-5, atol=3e-6 * truth.abs().max().item()
    )


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_do_not_change_the_answer(n_threads):
    before, inputs = torch.get_num_threads(), draw(200)
    streams, taps, bias, h, d = inputs
    one = mixed(compiled(), streams, edgeless(taps, bias), h, d, kind=NativeMixer)
    torch.set_num_threads(n_threads)
    try:
        some = mixed(compiled(), streams, edgeless(taps, bias), h, d)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one, some)


def test_the_compiled_mixer_is_taken_where_channels_fill_the_lanes(monkeypatch):
    def mixer(n_channels, dtype=torch.float32, group=None):
        like = torch.empty(1, n_channels, 20)
        return mixer_for(compiled(), like, group or n_channels, n_filters=1, dtype=dtype)

    assert isinstance(mixer(64), NativeMixer)
    assert isinstance(mixer(64, group=16), NativeMixer)
    for other in (mixer(65), mixer(64, group=4), mixer(64, dtype=torch.bfloat16)):
        assert isinstance(other, Workspace)
    monkeypatch.setattr(native_mixer, "_MOST_BYTES", 1000)
    assert isinstance(mixer(64), Workspace)


def test_compiled_steps_refuse_what_they_would_misread():
    with pytest.raises(TypeError, match="contiguous"):
        compiled().norm(torch.randn(4, 6).t(), EPS)
    with pytest.raises(TypeError, match="float32"):
        compiled().norm(torch.randn(4, 6).double(), EPS)


def test_a_structure_that_lies_otherwise_in_c_is_refused_before_use(monkeypatch):
    library = compiled()._library
    native_mixer.check_layout(library)
    fields = native_mixer._ChannelRows._fields_

    class Swapped(ctypes.Structure):
        _fields_ = (fields[0], fields[2], fields[1])

    class Shorter(ctypes.Structure):
        _fields_ = fields[:2]

    for other, message in ((Swapped, r"rows.batch is 8 bytes in C, 16"), (Shorter, "rows is 24")):
        monkeypatch.setitem(native_mixer._STRUCTURES, "rows", other)
        with pytest.raises(OSError, match=message):
            native_mixer.check_layout(library)


def test_functions_of_c_refuse_what_they_do_not_take():
    library = compiled()._library
    with pytest.raises(ctypes.ArgumentError):
        library.norm_tokens(1.5, None, 1, 1, 0.0)
    with pytest.raises(OSError, match="lacks no_such_function"):
        native_mixer.declare(library, {"no_such_function": (None, ())})
