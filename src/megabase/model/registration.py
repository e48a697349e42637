"""Register our classes with the Auto classes of transformers."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM, HyenaDNAModel
from megabase.model.token_classification import HyenaDNAForTokenClassification
from megabase.model.tokenizer import HyenaDNATokenizer

AutoConfig.register(HyenaDNAConfig.model_type, HyenaDNAConfig)
AutoModel.register(HyenaDNAConfig, HyenaDNAModel)
AutoModelForCausalLM.register(HyenaDNAConfig, HyenaDNAForCausalLM)
AutoModelForSequenceClassification.register(HyenaDNAConfig, HyenaDNAForSequenceClassification)
AutoModelForTokenClassification.register(HyenaDNAConfig, HyenaDNAForTokenClassification)
AutoTokenizer.register(HyenaDNAConfig, HyenaDNATokenizer)
