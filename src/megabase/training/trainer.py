"""The one subclass of transformers.Trainer: our order of windows, our groups."""

from collections.abc import Sized
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainingArguments

from megabase.training.config import PretrainConfig
from megabase.training.optim import decayed_parameters


class PretrainTrainer(Trainer):
    """Trains on examples in their order, which decides by itself which window is which."""

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        examples = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(cast("Sized", examples))

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Name the parameters with weight decay."""
        return decayed_parameters(model)


def training_arguments(
    config: PretrainConfig, output: str, *, validates: bool
) -> TrainingArguments:
    """Translate a configuration into the Trainer's terms.

    Parameters
    ----------
    config
        The run.
    output
        Folder that the Trainer is told to write to; nothing is saved there by itself.
    validates
        Whether there are validation windows.
    """
    per_pass = config.windows_per_pass or config.windows_per_step
    every = max(1, config.steps // config.validations) if validates and config.validations else 0
    return TrainingArguments(
        output_dir=output,
        max_steps=config.steps,
        per_device_train_batch_size=per_pass,
        per_device_eval_batch_size=per_pass,
        gradient_accumulation_steps=config.windows_per_step // per_pass,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": config.final_fraction},
        warmup_steps=round(config.warmup_fraction * config.steps),
        weight_decay=config.weight_decay,
        adam_beta1=config.beta1,
        adam_beta2=config.beta2,
        max_grad_norm=config.clip_norm,
        eval_strategy="steps" if every else "no",
        eval_steps=every or None,
        save_strategy="no",
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        seed=config.seed,
        use_cpu=config.device == "cpu" or not torch.accelerator.is_available(),
        bf16=_takes_bfloat16(config),
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )


def _takes_bfloat16(config: PretrainConfig) -> bool:
    """Whether the matrix products run in bfloat16."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    on_gpu = config.device == "auto" and torch.cuda.is_available()
    return on_gpu and torch.cuda.is_bf16_supported()
