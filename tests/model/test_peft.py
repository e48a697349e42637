"""peft works with its own task types: low ranks, scales and prompts; prefixes are refused."""

import logging

import pytest
import torch

from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAModel
from tests import toys

peft = pytest.importorskip("peft")

TOKENS = toys.tokens(2, 9) % 4 + 7
CLASSES = {
    "CAUSAL_LM": HyenaDNAForCausalLM,
    "SEQ_CLS": HyenaDNAForSequenceClassification,
    "TOKEN_CLS": HyenaDNAForTokenClassification,
    "FEATURE_EXTRACTION": HyenaDNAModel,
}
TARGETS = ["in_proj", "fc2"]
KINDS = {
    "low ranks": lambda task: peft.LoraConfig(task_type=task, r=2, target_modules=TARGETS),
    "scales": lambda task: peft.IA3Config(
        task_type=task, target_modules=TARGETS, feedforward_modules=["fc2"]
    ),
    "a prompt": lambda task: peft.PromptTuningConfig(task_type=task, num_virtual_tokens=3),
    "an encoded prompt": lambda task: peft.PromptEncoderConfig(
        task_type=task, num_virtual_tokens=3, encoder_hidden_size=8
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def base(task, **keys):
    torch.manual_seed(0)
    return CLASSES[task](toys.config(num_labels=2, **keys)).eval()


@pytest.mark.parametrize("task", CLASSES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapted_model_answers_takes_a_gradient_and_comes_back(tmp_path, task, kind):
    model = peft.get_peft_model(base(task), KINDS[kind](task))
    mask = torch.ones_like(TOKENS)
    mask[1, 6:] = 0
    out = model(input_ids=TOKENS, attention_mask=mask)[0]
    out.square().sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert trained
    assert all(p.grad is not None for p in trained)
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.1 * torch.randn_like(parameter))
    changed = model(input_ids=TOKENS, attention_mask=mask)[0]
    assert not torch.allclose(changed, out)
    model.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(base(task), tmp_path)
    torch.testing.assert_close(again(input_ids=TOKENS, attention_mask=mask)[0], changed)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapted_model_generates_with_a_cache_what_it_generates_without(kind):
    model = peft.get_peft_model(toys.model(), KINDS[kind]("CAUSAL_LM"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    options = {"input_ids": TOKENS, "max_new_tokens": 8, "do_sample": False}
    cached, plain = (model.generate(use_cache=use, **options) for use in (True, False))
    assert torch.equal(cached, plain)


@pytest.mark.parametrize("task", CLASSES)
def test_prefix_tuning_is_refused_in_a_line_that_names_what_to_use(task):
    settings = peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=3)
    model = peft.get_peft_model(base(task), settings)
    with pytest.raises(ValueError, match=r"prefix tuning, .* use PromptTuningConfig"):
        model(input_ids=TOKENS)


def test_a_soft_prompt_is_seen_by_what_is_generated():
    settings = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    model = peft.get_peft_model(toys.model(), settings)
    prompt = model.get_prompt(batch_size=2)
    embedded = model.base_model.get_input_embeddings()(TOKENS)
    whole = torch.cat([prompt, embedded], dim=1)
    options = {"max_new_tokens": 8, "do_sample": False}
    given = model.generate(input_ids=TOKENS, **options)[:, 9:]
    assert torch.equal(given, model.base_model.generate(inputs_embeds=whole, **options))


def test_labels_that_a_prompt_has_shifted_are_an_error():
    model = peft.get_peft_model(base("TOKEN_CLS"), KINDS["a prompt"]("TOKEN_CLS"))
    with pytest.raises(ValueError, match=r"labels must have shape \(2, 12\).* the label -100"):
        model(input_ids=TOKENS, labels=torch.zeros_like(TOKENS))


def test_a_head_that_is_left_out_of_training_is_logged_once(caplog):
    model = peft.get_peft_model(base("SEQ_CLS"), KINDS["low ranks"]("SEQ_CLS")).train()
    with caplog.at_level(logging.WARNING, "megabase"):
        for _ in range(2):
            model(input_ids=TOKENS, labels=torch.tensor([0, 1]))
    assert [record.message for record in caplog.records if "modules_to_save" in record.message]
    assert len(caplog.records) == 1
    settings = KINDS["low ranks"]("SEQ_CLS")
    settings.modules_to_save = ["head"]
    caplog.clear()
    model = peft.get_peft_model(base("SEQ_CLS"), settings).train()
    model(input_ids=TOKENS, labels=torch.tensor([0, 1]))
    assert not caplog.records


def test_the_heads_that_peft_requests_are_not_saved(tmp_path):
    base("CAUSAL_LM").save_pretrained(tmp_path)
    assert "num_attention_heads" not in (tmp_path / "config.json").read_text()
