"""Models: loading a checkpoint folder, adding adapters, switching dropout."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from alignment import chat
from alignment.training import folder as folders
from alignment.training.errors import CheckpointRefused, template_held
from alignment.training.spec import LoraTuning

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint folder, with its chat template.  Raises CheckpointRefused."""
    from transformers import AutoTokenizer

    folders.inspect(folder)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (ValueError, OSError, KeyError) as error:
        raise CheckpointRefused(
            f"The tokenizer of {folder.name} cannot be loaded.", "Save it again with save_pretrained.", "checkpoint"
        ) from error
    if tokenizer.eos_token_id is None:
        raise CheckpointRefused(
            f"The tokenizer of {folder.name} names no end-of-sequence token.",
            "Set eos_token in tokenizer_config.json.",
            "checkpoint",
        )
    try:
        chat.require_template(tokenizer)
    except chat.TemplateStopped as error:
        raise template_held(f"{folder.name}: {error.reason}.") from error
    except chat.TemplateRefused as error:
        raise CheckpointRefused(
            f"{folder.name} cannot be asked a plain question: {error.reason}.",
            "Give the checkpoint another chat template.",
            "checkpoint",
        ) from error
    return tokenizer


def load_generation_config(folder: Path) -> GenerationConfig:
    """How a checkpoint generates, as far as it says so.  Raises CheckpointRefused."""
    from transformers import AutoConfig, GenerationConfig

    base = folders.base_chain(folder)[-1]
    with _refusing(folder):
        if (base / "generation_config.json").exists():
            return GenerationConfig.from_pretrained(base, local_files_only=True)
        config = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True)
        return GenerationConfig.from_model_config(config)


def load_model(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The causal language model of a checkpoint folder, in evaluation mode; adapters are merged into their base.

    Safetensors only, no code from the folder is run.  Raises CheckpointRefused.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    chain = folders.base_chain(folder)
    folders.require_language_model(*chain)
    with _refusing(folder):
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            chain[-1], dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        for adapter in reversed(chain[:-1]):
            model = _merged(model, adapter)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_classifier(
    folder: Path, labels: Sequence[str], padding: int, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """A sequence classifier with these labels on the backbone of a language model's folder, in evaluation mode.

    Its head has random weights; it takes `padding` for padding.  Raises CheckpointRefused.
    """
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    chain, loud = folders.base_chain(folder), logging.get_verbosity()
    folders.require_language_model(*chain)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # the missing head and the unused projection are what is wanted
    try:
        with _refusing(folder):
            model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
                chain[-1],
                id2label=dict(enumerate(labels)),
                label2id={label: place for place, label in enumerate(labels)},
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
            )
            for adapter in reversed(chain[:-1]):
                model = _merged(model, adapter)
    finally:
        logging.set_verbosity(loud)
    model.config.get_text_config().pad_token_id = padding
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_reward_model(
    folder: Path, labels: Sequence[str], padding: int, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """The sequence classifier of a reward model's folder, in evaluation mode; adapters are merged into their base, and
    their head is its own.  Raises CheckpointRefused."""
    from transformers import AutoModelForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    folders.require_safetensors(folder)
    if (folder / folders.ADAPTER).exists():
        model = load_classifier(folders.base_chain(folder)[1], labels, padding, dtype)
        with _refusing(folder):
            model = _merged(model, folder)
    else:
        with _refusing(folder):
            model = AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
        model.config.get_text_config().pad_token_id = padding
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_adapted(base: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The base with an adapter merged into it, wherever the adapter's own config says its base lies."""
    folders.require_safetensors(adapter)
    folders.require_language_model(adapter)
    model = load_model(base, dtype)
    with _refusing(adapter):
        return _merged(model, adapter)


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """Name what the libraries raise about the weights of a folder that cannot be used, or are damaged."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise CheckpointRefused(
            f"The weights of {folder.name} are damaged.", "Copy the checkpoint again.", "checkpoint"
        ) from error
    except (ValueError, OSError, KeyError) as error:
        raise CheckpointRefused(
            f"The weights of {folder.name} cannot be loaded as a causal language model.",
            "Choose a folder of a text model whose architecture the installed transformers knows.",
            "checkpoint",
        ) from error


def _merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    from peft import PeftModel

    with _quiet_peft():
        merged: PreTrainedModel = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.requires_grad_(True)  # peft froze the base; merged, it is a model like any other, and may be trained whole
    return merged


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """peft 0.21 still asks transformers 5 for an attribute by its old name, which warns and changes nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def add_adapters(
    model: PreTrainedModel, tuning: LoraTuning, base: Path, dtype: torch.dtype = torch.float32, *, head: bool = False
) -> PreTrainedModel:
    """The model with untrained adapters beside its frozen weights; their config names `base` as what they adapt.

    The `head` of a classifier is trained whole and saved with them.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        lora_dropout=tuning.dropout,
        target_modules=tuning.targets,
        task_type="SEQ_CLS" if head else "CAUSAL_LM",
        base_model_name_or_path=str(base),
    )
    model.name_or_path = str(base)
    try:
        with _quiet_peft():
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise CheckpointRefused(
            f"The model has no layers named {tuning.targets}.", "Use all-linear, or name its layers.", "tuning.targets"
        ) from error
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    return cast("PreTrainedModel", adapted)


def train_only_adapter_dropout(model: PreTrainedModel) -> None:
    """Switch on the adapters' own dropout, and no other: policy and reference must differ by training alone."""
    for name, module in model.named_modules():
        module.training = "lora_dropout" in name


@contextmanager
def dropout_off(model: PreTrainedModel) -> Iterator[None]:
    """Measure and sample what is being trained without its dropout; afterwards every module is as it was."""
    before = [module for module in model.modules() if module.training]
    for module in before:
        module.training = False
    try:
        yield
    finally:
        for module in before:
            module.training = True
