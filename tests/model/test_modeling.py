"""The Hugging Face classes: exact under padding, causal, strict in loading, honest in the loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModel, AutoModelForCausalLM

from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAModel
from tests import toys

PAD = 4
MODEL = toys.model()


@settings(deadline=None)
@given(length=st.integers(1, 40), left=st.integers(0, 20), right=st.integers(0, 6))
def test_padding_on_either_side_changes_nothing(length, left, right):
    tokens = toys.tokens(2, length, seed=length)
    padded = functional.pad(tokens, (left, right), value=PAD)
    mask = functional.pad(torch.ones_like(tokens), (left, right))
    alone = MODEL(tokens).logits
    together = MODEL(padded, attention_mask=mask).logits[:, left : left + length]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_without_the_mask_padding_on_the_left_is_seen():
    tokens = toys.tokens(1, 30)
    padded = functional.pad(tokens, (10, 0), value=PAD)
    assert not torch.allclose(MODEL(padded).logits[:, 10:], MODEL(tokens).logits, atol=1e-2)


def test_rows_of_a_batch_may_be_padded_on_different_sides():
    tokens = toys.tokens(1, 12)
    batch = torch.cat(
        [functional.pad(tokens, (8, 0), value=PAD), functional.pad(tokens, (0, 8), value=PAD)]
    )
    logits = MODEL(batch, attention_mask=batch != PAD).logits
    torch.testing.assert_close(logits[0, 8:], logits[1, :12], rtol=1e-4, atol=1e-4)


@settings(deadline=None)
@given(length=st.integers(2, 60), place=st.integers(0, 58))
def test_a_changed_token_changes_nothing_before_it(length, place):
    place = min(place, length - 1)
    tokens = toys.tokens(1, length, seed=length)
    changed = tokens.clone()
    changed[0, place] = 7 + (tokens[0, place] - 7 + 1) % 4
    before, after = MODEL(tokens).logits, MODEL(changed).logits
    torch.testing.assert_close(after[:, :place], before[:, :place], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after[:, place], before[:, place], atol=1e-3)


def test_logits_are_those_of_the_real_vocabulary():
    hidden = HyenaDNAModel.forward(MODEL, toys.tokens(1, 9)).last_hidden_state
    logits = MODEL(toys.tokens(1, 9)).logits
    assert logits.shape == (1, 9, 12)
    torch.testing.assert_close(logits, hidden @ MODEL.backbone.embedding.weight[:12].T)


def test_the_loss_is_the_mean_over_targets_of_the_next_token():
    tokens = toys.tokens(2, 20)
    labels = tokens.masked_fill(tokens == 11, -100)
    output = MODEL(tokens, labels=labels)
    log_p = torch.log_softmax(output.logits.double(), dim=-1)
    terms = [
        -log_p[row, i - 1, labels[row, i]].item()
        for row in range(2)
        for i in range(1, 20)
        if labels[row, i] != -100
    ]
    assert output.loss.item() == pytest.approx(math.fsum(terms) / len(terms), rel=1e-5)
    summed = MODEL(tokens, labels=labels, num_items_in_batch=7).loss
    assert summed.item() == pytest.approx(math.fsum(terms) / 7, rel=1e-5)


def test_embedded_tokens_may_be_given_in_place_of_tokens():
    tokens = toys.tokens(2, 15)
    embedded = MODEL.get_input_embeddings()(tokens)
    torch.testing.assert_close(MODEL(inputs_embeds=embedded).logits, MODEL(tokens).logits)
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        MODEL(tokens, inputs_embeds=embedded)


def test_hidden_states_are_the_embedding_each_block_and_the_norm():
    tokens = toys.tokens(1, 15)
    states = MODEL(tokens, output_hidden_states=True).hidden_states
    first, second = MODEL.backbone.blocks
    embedded = MODEL.backbone.embedding(tokens)
    torch.testing.assert_close(states[0], embedded)
    torch.testing.assert_close(states[1], first(embedded))
    torch.testing.assert_close(states[2], MODEL.backbone.norm(second(states[1])))
    assert MODEL(tokens).hidden_states is None


def test_only_the_last_logits_are_returned_on_request():
    tokens = toys.tokens(2, 15)
    torch.testing.assert_close(MODEL(tokens, logits_to_keep=3).logits, MODEL(tokens).logits[:, -3:])
    with pytest.raises(ValueError, match="leave logits_to_keep at 0"):
        MODEL(tokens, labels=tokens, logits_to_keep=3)


def test_a_tuple_is_returned_on_request():
    tokens = toys.tokens(1, 5)
    (logits,) = MODEL(tokens, return_dict=False)
    torch.testing.assert_close(logits, MODEL(tokens).logits)


def test_a_sequence_beyond_the_positions_is_an_error():
    assert MODEL(toys.tokens(1, 66)).logits.shape[1] == 66
    with pytest.raises(ValueError, match="67 tokens is longer than this model's 66"):
        MODEL(toys.tokens(1, 67))


@pytest.mark.parametrize("mask", [None, torch.tensor([[1] * 20, [0] * 5 + [1] * 15])])
def test_gradient_checkpointing_renames_nothing_and_gives_the_same_gradients(mask):
    tokens = toys.tokens(2, 20)
    gradients = {}
    for checkpointing in (False, True):
        model = toys.model(embed_dropout=0.0).train()
        model.backbone.gradient_checkpointing = checkpointing
        model(tokens, attention_mask=mask, labels=tokens).loss.backward()
        gradients[checkpointing] = {name: p.grad for name, p in model.named_parameters()}
    assert gradients[True].keys() == gradients[False].keys()
    for name, gradient in gradients[True].items():
        torch.testing.assert_close(gradient, gradients[False][name])


def test_every_parameter_has_a_gradient():
    tokens = toys.tokens(2, 20)
    model = toys.model().train()
    model(tokens, labels=tokens).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_weights_in_bfloat16_answer_nearly_the_same(tmp_path):
    MODEL.save_pretrained(tmp_path)
    half = HyenaDNAForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.dtype is torch.bfloat16
    tokens = toys.tokens(1, 60)
    exact, rounded = MODEL(tokens).logits, half(tokens).logits.float()
    assert (rounded - exact).abs().max() < 0.1 * exact.abs().max()


def test_starting_weights_follow_the_table():
    torch.manual_seed(0)
    model = HyenaDNAForCausalLM(toys.config(d_model=256, n_layer=4, max_seq_len=66))
    block = model.backbone.blocks[0]
    std = {
        0.02: (
            block.mixer.in_proj,
            block.mlp.fc1,
            model.backbone.embedding,
            block.mixer.filters.linears[1],
        ),
        0.02 / math.sqrt(8): (block.mixer.out_proj, block.mlp.fc2),
        1 / 3: (block.mixer.short_conv,),  # uniform on ±1/√3
    }
    for expected, layers in std.items():
        for layer in layers:
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert block.mixer.skip.std().item() == pytest.approx(1.0, rel=0.1)
    assert block.mixer.short_conv.bias.abs().max() <= 3**-0.5
    assert block.mixer.short_conv.bias.abs().max() > 0.5
    assert torch.all(block.mixer.filters.frequency == 10.0)
    assert torch.all(block.mixer.in_proj.bias == 0)
    assert torch.all(block.norm_mlp.weight == 1)


def test_starting_weights_with_a_gain_follow_the_table():
    keys = toys.SCALE_FREE | {"initializer_gain": 1.0, "d_model": 256, "n_layer": 4}
    model = HyenaDNAForCausalLM(toys.config(**keys))
    block = model.backbone.blocks[0]
    std = {
        1 / 16: (block.mixer.in_proj, block.mlp.fc1),
        1 / 8: (block.mixer.filters.linears[1], block.mixer.filters.linears[-1]),
        1 / 16 / math.sqrt(8): (block.mixer.out_proj,),
        1 / 32 / math.sqrt(8): (block.mlp.fc2,),
        0.02: (model.backbone.embedding,),
    }
    for expected, layers in std.items():
        for layer in layers:
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert torch.all(block.mixer.filters.near == 0)


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForCausalLM])
def test_a_saved_model_loads_bit_by_bit_through_the_auto_classes(tmp_path, auto):
    MODEL.save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path)
    assert not again.training
    for name, tensor in MODEL.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_an_option_of_the_configuration_may_be_given_to_from_pretrained(tmp_path):
    MODEL.save_pretrained(tmp_path)
    model = HyenaDNAForCausalLM.from_pretrained(tmp_path, output_hidden_states=True)
    assert len(model(toys.tokens(1, 5)).hidden_states) == 3


def test_a_model_in_shards_loads_too(tmp_path):
    MODEL.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    again = HyenaDNAForCausalLM.from_pretrained(tmp_path)
    tokens = toys.tokens(1, 20)
    assert torch.equal(again(tokens).logits, MODEL(tokens).logits)
