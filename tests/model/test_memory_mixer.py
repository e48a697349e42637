"""The network reads a memory as its equation says, and nothing sees what it must not."""

import json
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import megabase
from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model import memory_mixer
from megabase.model.architecture import Architecture
from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.config import HyenaDNAConfig
from megabase.model.language import TokenReader, next_token_loss
from megabase.model.load import load, save
from megabase.model.memory_mixer import MemoryMixer, log_without_memory, memory_rules
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAModel
from megabase.model.reading import weights_sha256
from megabase.model.released import check_hf
from megabase.ops.backends import Engine, new_memory
from megabase.ops.memory import default_odds
from tests import toys

PAD = DNA_VOCABULARY.id_of("[PAD]")
ENGINES = ("plain", "lean", "streamed")
KEYS = {**toys.MEMORY, **toys.SCALE_FREE}


def model(engine="auto", **keys):
    made = toys.model(**(KEYS | keys))
    made.backbone.engine = Engine(engine)
    return made


MODEL = model()


def mixer(made=MODEL) -> MemoryMixer:
    assert made.backbone.memory is not None
    return made.backbone.memory


def repetitive(batch=2, length=60, seed=0):
    """Give tokens with repeats, of which the second row has a few N."""
    rows = [toys.repeats(length, seed + row) for row in range(batch)]
    tokens = torch.tensor([DNA_VOCABULARY.encode(row).tokens.tolist() for row in rows])
    tokens[1:, 20:23] = DNA_VOCABULARY.unknown_id
    return tokens


TOKENS = repetitive()


def logits_of(made, tokens, **arguments):
    with torch.no_grad():
        return made(tokens, **arguments).logits


# -- the equation -------------------------------------------------------------------------


def test_the_network_is_its_equation():
    """Eq. memory-mixer, in numpy."""
    own = mixer().double()
    rng = np.random.default_rng(0)
    u = rng.normal(size=(2, 9, 8))
    f = rng.normal(size=(2, 9, own.rules.n_features))
    w = {name: parameter.detach().numpy() for name, parameter in own.named_parameters()}

    def gelu(x):
        return x * (1 + torch.erf(torch.from_numpy(x) / 2**0.5).numpy()) / 2

    inner = u @ w["from_hidden.weight"].T + w["from_hidden.bias"] + f @ w["from_features.weight"].T
    inner = gelu(gelu(inner) @ w["inner.weight"].T + w["inner.bias"])
    mixed = u + f @ w["skip.weight"].T + inner @ w["out.weight"].T + w["out.bias"]
    with torch.no_grad():
        hidden, features = map(torch.from_numpy, (u, f))
        np.testing.assert_allclose(own(hidden, features).numpy(), mixed)
        zeros = torch.zeros_like(features)
        torch.testing.assert_close(own(hidden.clone(), None), own(hidden.clone(), zeros))
    own.float()


def test_parts_of_a_long_sequence_are_the_whole(monkeypatch):
    own, length = mixer(), 50
    hidden = torch.randn(3, length, 8)
    features = torch.randn(3, length, own.rules.n_features).half()
    with torch.no_grad():
        mixed, unread = own(hidden.clone(), features), own(hidden.clone(), None)
        monkeypatch.setattr(memory_mixer, "_TOKENS_AT_ONCE", 21)
        torch.testing.assert_close(own(hidden.clone(), features), mixed)
        torch.testing.assert_close(own(hidden.clone(), None), unread)


def test_the_own_loss_changes_the_gradient_and_not_the_loss():
    """The gradient is that of the loss plus the weighted loss of the blocks alone."""
    model, tokens = toys.model(**toys.MEMORY), toys.repeated_tokens(2, 60)
    parameters = [model.backbone.blocks[0].mlp.fc1.weight, model.backbone.memory.skip.weight]

    def gradients(loss):
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    loss = model(tokens, labels=tokens).loss
    both = model(tokens, labels=tokens, own_loss_weight=0.7).loss
    states, _ = model._own_states(tokens, None, None, False)
    own = next_token_loss(states[-1], model.head_weight, tokens)
    assert torch.equal(both, loss)
    alone, skip = gradients(own)
    expected = [a + 0.7 * b for a, b in zip(gradients(loss), (alone, 0.0), strict=True)]
    torch.testing.assert_close(list(gradients(both)), expected)
    assert skip is None
    assert alone.abs().max() > 0


def test_the_blocks_do_not_see_the_memory():
    model, tokens = toys.model(**toys.MEMORY), toys.repeated_tokens(1, 60)
    with torch.no_grad():
        states = model(tokens, output_hidden_states=True).hidden_states
        zeros = torch.zeros(1, 60, model.backbone.memory.rules.n_features)
        without = model(tokens, output_hidden_states=True, memory_features=zeros).hidden_states
    assert torch.equal(states[-2], without[-2])
    assert not torch.allclose(states[-1], without[-1])


def test_the_features_are_those_of_the_memory_by_row():
    features = mixer().features(TOKENS)
    assert features.dtype is torch.float16
    for row, of_row in zip(TOKENS.numpy(), features, strict=True):
        memory = new_memory(mixer().rules, mixer().odds(), expected=9)
        bases = DNA_VOCABULARY.to_bases(row.astype(np.uint8))
        np.testing.assert_array_equal(of_row.numpy(), memory.read(bases))
    assert features[1, 20:23].abs().max() == 0


# -- what the model answers ----------------------------------------------------------------


def test_features_that_are_given_replace_those_that_are_computed():
    features = mixer().features(TOKENS)
    own = logits_of(MODEL, TOKENS)
    torch.testing.assert_close(logits_of(MODEL, TOKENS, memory_features=features), own)
    assert not torch.allclose(logits_of(MODEL, TOKENS, memory_features=0 * features), own)
    for kind in (HyenaDNAModel, HyenaDNAForSequenceClassification, HyenaDNAForTokenClassification):
        made = kind(toys.config(**KEYS)).eval()
        with torch.no_grad():
            found = made(TOKENS)[0]
            torch.testing.assert_close(made(TOKENS, memory_features=features)[0], found)
            assert not torch.allclose(made(TOKENS, memory_features=0 * features)[0], found)


@pytest.mark.parametrize("shape", [(2, 60, 3), (60, 7)])
def test_features_of_another_shape_are_an_error(shape):
    n = mixer().rules.n_features
    with pytest.raises((InputError, TypeError), match=rf"\(batch, length, {n}\)|memory_features"):
        TokenReader._features(MODEL, TOKENS, None, torch.zeros(shape))


def test_features_without_a_memory_are_an_error():
    with pytest.raises(InputError, match="were given, but the model has no memory"):
        toys.model()(TOKENS, memory_features=torch.zeros(2, 60, 7))


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4), on_left=st.booleans())
def test_a_padded_batch_answers_as_one_by_one(engine, lengths, on_left):
    made = model(engine)
    rows = [repetitive(2, length, seed=length)[1:] for length in lengths]
    spare = [max(lengths) - length for length in lengths]
    sides = [(n, 0) if on_left else (0, n) for n in spare]

    def padded(each, value):
        pairs = zip(each, sides, strict=True)
        return torch.cat([functional.pad(row, side, value=value) for row, side in pairs])

    batch, mask = padded(rows, PAD), padded([torch.ones_like(row) for row in rows], 0)
    together = logits_of(made, batch, attention_mask=mask)
    as_c = batch.masked_fill(mask == 0, 8)  # the mask counts, not the token
    again = logits_of(made, as_c, attention_mask=mask)
    torch.testing.assert_close(again[mask.bool()], together[mask.bool()])
    for row, answer, is_real in zip(rows, together, mask.bool(), strict=True):
        torch.testing.assert_close(answer[is_real], logits_of(made, row)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_later_token_changes_no_earlier_logit(engine):
    made, changed = model(engine), TOKENS.clone()
    changed[:, 40:] = changed[:, 40:].flip(1)
    before, after = logits_of(made, TOKENS), logits_of(made, changed)
    torch.testing.assert_close(before[:, :40], after[:, :40], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(before[:, 40:], after[:, 40:])


def test_the_logits_depend_on_what_no_filter_could_look_up():
    """Two sequences differ far back, where the memory counts, and their features differ now."""
    other = TOKENS.clone()
    other[0, :15] = other[0, :15].flip(0)
    assert not torch.equal(mixer().features(TOKENS)[0, -1], mixer().features(other)[0, -1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_engines_agree_in_every_dtype(dtype):
    plain = logits_of(model("plain").to(dtype), TOKENS)
    assert plain.dtype is dtype
    near = {"rtol": 0.1, "atol": 0.1} if dtype is torch.bfloat16 else {}
    for engine in ("auto", "lean"):
        torch.testing.assert_close(logits_of(model(engine).to(dtype), TOKENS), plain, **near)
    if dtype is torch.bfloat16:
        exact = logits_of(model("plain"), TOKENS)
        assert (plain - exact).abs().mean() < 0.15 * exact.abs().mean()


def test_states_of_every_layer_end_with_the_mixed_one():
    with torch.no_grad():
        states = MODEL(TOKENS, output_hidden_states=True).hidden_states
        torch.testing.assert_close(states[0], MODEL.backbone.embedding(TOKENS))
        for layer, state in enumerate(states):
            of_layer = MODEL.hidden_states(TOKENS, n_blocks=layer)
            torch.testing.assert_close(state, of_layer, rtol=1e-4, atol=1e-4)
    assert len(states) == 3


def test_embedded_tokens_have_features_of_0_which_is_logged_once(caplog):
    caplog.set_level("INFO", logger="megabase")
    log_without_memory.cache_clear()
    embedded = MODEL.backbone.embedding(TOKENS).detach()
    n = mixer().rules.n_features
    for _ in range(2):
        found = logits_of(MODEL, None, inputs_embeds=embedded)
    assert [record.message for record in caplog.records] == [
        "the memory is not used, because embedded tokens were given instead of tokens"
    ]
    zeros = torch.zeros(*TOKENS.shape, n)
    torch.testing.assert_close(found, logits_of(MODEL, TOKENS, memory_features=zeros))
    features = mixer().features(TOKENS)
    known = logits_of(MODEL, None, inputs_embeds=embedded, memory_features=features)
    torch.testing.assert_close(known, logits_of(MODEL, TOKENS))


@pytest.mark.parametrize("engine", ["plain", "streamed"])
def test_given_embedded_tokens_are_not_overwritten(monkeypatch, engine):
    monkeypatch.setattr(memory_mixer, "_TOKENS_AT_ONCE", 21)
    made, embedded = model(engine), torch.randn(2, 60, 8)
    kept, features = embedded.clone(), mixer().features(TOKENS)
    logits_of(made, None, inputs_embeds=embedded, memory_features=features)
    assert torch.equal(embedded, kept)


def test_a_long_sequence_is_read_beside_the_blocks_with_the_same_result(monkeypatch):
    made, tokens = model("auto"), TOKENS[:1]
    before, threads = logits_of(made, tokens), set()
    features = MemoryMixer.features

    def noted(*arguments, **keys):
        threads.add(threading.current_thread())
        return features(*arguments, **keys)

    monkeypatch.setattr(MemoryMixer, "features", noted)
    monkeypatch.setattr(memory_mixer, "_LONG", tokens.shape[1])
    assert torch.equal(logits_of(made, tokens), before)
    assert threading.current_thread() not in threads
    assert len(threads) == 1
    made.backbone.engine = Engine(max_bytes=1 << 30)
    torch.testing.assert_close(logits_of(made, tokens), before)
    assert threading.current_thread() in threads


# -- training -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["plain", "lean"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_gradient_reaches_every_weight_of_the_network_and_no_odds(engine, checkpointing):
    gradients = []
    for name, is_saved in (("plain", False), (engine, checkpointing)):
        made = model(name, embed_dropout=0.0).double().train()
        made.backbone.gradient_checkpointing = is_saved
        made(TOKENS, labels=TOKENS).loss.backward()
        gradients.append({name: p.grad for name, p in mixer(made).named_parameters()})
    assert len(gradients[0]) == 8
    for name, gradient in gradients[0].items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradients[1][name], gradient)


def test_nothing_makes_the_odds_trainable():
    made = model()
    made.requires_grad_(True)
    assert not mixer(made).pointer_odds.requires_grad
    assert not any("pointer_odds" in name for name, _ in made.named_parameters())
    optimizer = torch.optim.AdamW(made.train().parameters(), lr=0.1, weight_decay=0.5)
    made(TOKENS, labels=TOKENS).loss.backward()
    optimizer.step()
    np.testing.assert_allclose(mixer(made).odds(), default_odds(), rtol=1e-6)


# -- configuration and files ------------------------------------------------------------------


@pytest.fixture
def fitted():
    """A model whose odds were fitted."""
    made = model()
    with torch.no_grad():
        mixer(made).pointer_odds.copy_(torch.randn_like(mixer(made).pointer_odds))
    return made


def test_a_saved_model_comes_back(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "transformers")
    save(fitted, tmp_path / "megabase")
    for again in (
        HyenaDNAForCausalLM.from_pretrained(tmp_path / "transformers"),
        megabase.load(str(tmp_path / "megabase")).model,
        load(str(tmp_path / "transformers")).model,
    ):
        assert weights_sha256(again) == weights_sha256(fitted)
        assert memory_rules(again.config) == memory_rules(fitted.config)
        np.testing.assert_array_equal(mixer(again).odds(), mixer(fitted).odds())
        torch.testing.assert_close(logits_of(again, TOKENS), logits_of(fitted, TOKENS))
    new = HyenaDNAForSequenceClassification.from_pretrained(tmp_path / "megabase", num_labels=3)
    np.testing.assert_array_equal(mixer(new).odds(), mixer(fitted).odds())


def test_odds_keep_their_precision_in_a_model_of_half_precision(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    half = HyenaDNAForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert mixer(half).skip.weight.dtype is torch.bfloat16
    assert torch.equal(mixer(half).features(TOKENS), mixer(fitted).features(TOKENS))


def test_a_folder_without_the_odds_or_with_a_memory_too_many_is_an_error(fitted, tmp_path):
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 used here only

    save(fitted, tmp_path)
    (tmp_path / "fingerprint.json").unlink()
    tensors = load_file(tmp_path / "model.safetensors")
    odds = tensors.pop("backbone.memory.pointer_odds")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks backbone\.memory\.pointer_odds"):
        load(str(tmp_path))
    tensors["backbone.memory.pointer_odds"] = odds
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    keys = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps({key: keys[key] for key in keys.keys() - {"memory_orders", "pointer_orders"}})
    )
    with pytest.raises(InputError, match=r"unexpected tensor: backbone\.memory"):
        load(str(tmp_path))


def test_the_configuration_of_a_model_without_a_memory_has_no_key_of_one(tmp_path):
    save(toys.model(), tmp_path)
    keys = json.loads((tmp_path / "config.json").read_text())
    assert not [key for key in keys if key.startswith(("memory", "pointer"))]
    assert toys.model().backbone.memory is None
    save(model(), tmp_path / "with")
    keys = json.loads((tmp_path / "with" / "config.json").read_text())
    assert {key: keys[key] for key in toys.MEMORY} == toys.MEMORY


@pytest.mark.parametrize(
    ("orders", "seeds", "n_features"), [([2], None, 7), (None, [8], 19), ([1, 24], [8, 24], 33)]
)
def test_a_memory_may_have_counts_pointers_or_both(orders, seeds, n_features):
    made = toys.model(memory_orders=orders, pointer_orders=seeds)
    assert mixer(made).features(TOKENS).shape == (2, 60, n_features)
    assert logits_of(made, TOKENS).isfinite().all()


@pytest.mark.parametrize("kind", [Architecture, HyenaDNAConfig])
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("memory_orders", [0, 1], "at most 24 increasing integers from 1 to 24"),
        ("memory_orders", [3, 2], "increasing"),
        ("memory_orders", [25], "from 1 to 24"),
        ("memory_orders", "12", "increasing integers"),
        ("memory_orders", [True], "increasing integers"),
        ("pointer_orders", [7], "at most 4 increasing integers from 8 to 24"),
        ("pointer_orders", [8, 9, 10, 11, 12], "at most 4"),
        ("memory_pointers", 257, "from 1 to 256"),
        ("memory_pointers", 2.0, "must be an integer"),
        ("pointer_occurrences", 0, "from 1 to 64"),
        ("pointer_agreement", 33, "from 1 to 32"),
        ("pointer_hits", 17, "from 1 to 16"),
        ("pointer_life", 0, "from 1 to 1,048,576"),
        ("memory_width", 1, "from 2 to 65,536"),
    ],
)
def test_an_invalid_key_is_an_error(kind, key, value, message):
    with pytest.raises(InputError, match=f"{key} must be .*{message}|{key} .*{message}"):
        kind(**(toys.MEMORY | {key: value}))


def test_a_key_of_a_memory_without_a_memory_is_an_error():
    with pytest.raises(InputError, match="memory_width is for models with a memory; give"):
        HyenaDNAConfig.from_preset("tiny", 64, memory_width=64)
    assert HyenaDNAConfig.from_preset("tiny", 64, memory_width=64, memory_orders=[2]).has_memory


def test_the_released_layout_cannot_hold_a_memory():
    with pytest.raises(InputError, match="the -hf layout cannot hold a memory"):
        check_hf(toys.config(**toys.MEMORY))


@pytest.mark.parametrize(
    ("key", "value"), [("pointer_agreement", 25), ("pointer_occurrences", 1), ("pointer_life", 1)]
)
def test_every_rule_reaches_the_features(key, value):
    """The rules of `ops.memory` have tests of their own."""
    rules = memory_rules(toys.config(**(KEYS | {key: value})))
    assert rules != memory_rules(toys.config(**KEYS))


def test_more_tokens_leave_the_memory_as_it_was():
    made = model()
    before = logits_of(made, TOKENS)
    made.resize_token_embeddings(15)
    torch.testing.assert_close(logits_of(made, TOKENS)[..., :12], before)
    added = TOKENS.clone()
    added[:, 30] = 14
    unknown = TOKENS.clone()
    unknown[:, 30] = DNA_VOCABULARY.unknown_id
    assert torch.equal(mixer(made).features(added), mixer(made).features(unknown))


def test_a_memory_limit_is_kept_or_refused():
    made = model("streamed")
    made.backbone.engine = Engine("streamed", max_bytes=1 << 30)
    logits_of(made, TOKENS)
    made.backbone.engine = Engine("streamed", max_bytes=1000)
    with pytest.raises(InputError, match=r"2 x 60 tokens needs at least .* limit is 0\.00"):
        logits_of(made, TOKENS)
