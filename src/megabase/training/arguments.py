"""A configuration in the terms of transformers.Trainer."""

import os
from typing import Any, cast

import torch
from torch import nn
from transformers import TrainingArguments

from megabase.errors import InputError
from megabase.model.products import warn_of_slow_bfloat16
from megabase.training.adaptation import WRAPPED
from megabase.training.run_config import AdaptConfig, PretrainConfig

_DECAYED = (
    "in_proj.weight",
    "out_proj.weight",
    "fc1.weight",
    "fc2.weight",
    "head.linear.weight",
)


def decayed_parameters(model: nn.Module) -> list[str]:
    """Return the names of the matrices of projections, MLPs and heads; nothing else decays.

    The network of the filters has no weight decay, as published. Biases, norms, the short
    convolution and the embedding have none either. The released code decays them by oversight:
    its configurations never use the parameter groups that it defines.
    """
    names = (name for name, _ in model.named_parameters())
    return [name for name in names if name.replace(WRAPPED, "").endswith(_DECAYED)]


def training_arguments(config: PretrainConfig, output: str) -> TrainingArguments:
    """Return the Trainer's arguments for a pretraining run.

    If several processes train, this call also initialises their communication.

    Parameters
    ----------
    config
        The configuration of the run.
    output
        The Trainer's output folder.

    Raises
    ------
    InputError
        If FSDP is requested without an accelerator.
    """
    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    is_fsdp = config.parallel == "fsdp" or os.environ.get("ACCELERATE_USE_FSDP") == "true"
    if is_fsdp and on_cpu:
        raise InputError(
            "FSDP needs accelerators, but none was found or device is cpu; use parallel=ddp"
        )
    is_one_of_several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    every = -(-config.steps // config.validations) if config.validations else None
    arguments = TrainingArguments(
        output_dir=output,
        max_steps=config.steps,
        per_device_train_batch_size=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": config.final_fraction},
        warmup_steps=round(config.warmup_fraction * config.steps),
        weight_decay=config.weight_decay,
        adam_beta1=config.beta1,
        adam_beta2=config.beta2,
        max_grad_norm=config.clip_norm,
        eval_strategy="steps" if every else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=config.checkpoint_every or -(-config.steps // 20),
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        seed=config.seed,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and is_one_of_several else None,
        ddp_find_unused_parameters=False,
        fsdp=cast("Any", True if config.parallel == "fsdp" else None),
        fsdp_config={"transformer_layer_cls_to_wrap": ["Block"]} if is_fsdp else None,
        bf16=_takes_bfloat16(config, on_cpu=on_cpu),
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=torch.cuda.is_available() and not on_cpu,
        ignore_data_skip=True,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )
    return _on_one_gpu(arguments)


def finetune_arguments(
    config: AdaptConfig, output: str, *, seed: int, steps_per_epoch: int
) -> TrainingArguments:
    """Return the Trainer's arguments for the fine-tuning from one seed.

    Parameters
    ----------
    config
        The configuration of the run.
    output
        The Trainer's output folder.
    seed
        The seed.
    steps_per_epoch
        Number of optimiser steps of an epoch; validation is measured after each epoch.

    Raises
    ------
    InputError
        If the process is one of several, as started by torchrun.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("finetune runs in one process; start it without torchrun")
    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    n_steps = config.epochs * steps_per_epoch
    arguments = TrainingArguments(
        output_dir=output,
        max_steps=n_steps,
        per_device_train_batch_size=1,
        learning_rate=config.peak_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(config.warmup_fraction * n_steps),
        weight_decay=config.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=config.clip_norm,
        eval_strategy="steps",
        eval_steps=steps_per_epoch,
        save_strategy="no",
        ignore_data_skip=True,
        logging_strategy="no",
        seed=seed,
        use_cpu=on_cpu,
        bf16=_takes_bfloat16(config, on_cpu=on_cpu),
        dataloader_pin_memory=torch.cuda.is_available() and not on_cpu,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )
    return _on_one_gpu(arguments)


def _on_one_gpu(arguments: TrainingArguments) -> TrainingArguments:
    if arguments.n_gpu > 1:
        # With several GPUs the Trainer would use DataParallel by default.
        arguments._n_gpu = 1  # pyright: ignore[reportPrivateUsage]
    return arguments


def _takes_bfloat16(config: PretrainConfig | AdaptConfig, *, on_cpu: bool) -> bool:
    """Return whether the matrix products run in bfloat16."""
    if config.precision != "auto":
        is_asked = config.precision == "bfloat16"
        if is_asked and on_cpu:
            warn_of_slow_bfloat16(torch.device("cpu"))
        return is_asked
    on_gpu = config.device == "auto" and torch.cuda.is_available()
    return on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
