"""Trains LoRA in the body and the head in full, and saves these alone."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from transformers import AutoModel, PreTrainedModel, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.utils import ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME

from hf_stilts.errors import StiltsError
from hf_stilts.models.adapters import (
    Adapter,
    choose_modules,
    load_peft,
    lora_config,
    set_weights,
    split_off,
    stacked,
)
from hf_stilts.models.heads import own_weights, restore_head, save_head
from hf_stilts.models.opened import OpenedCheckpoint

if TYPE_CHECKING:
    from peft import LoraConfig

logger = logging.getLogger(__name__)


class LoraTraining:
    """LoRA in the body of a model, trained with the head in full; only these are saved.

    What was trained before is frozen.

    Args:
        model: changed in place.
        adapter: `"lora"`, `"lora=32"`, or a `peft.LoraConfig`.
        start: the checkpoint that the model's body came from.
        head: what the head is called in a checkpoint.

    Raises:
        StiltsError: no checkpoint, which an adapter has to name; or settings that do not suit the model.
    """

    def __init__(
        self, model: PreTrainedModel, adapter: str | LoraConfig, start: OpenedCheckpoint | None, head: str
    ) -> None:
        self.adapter, self.head = adapter, head
        config = lora_config(adapter)
        if start is None:
            raise StiltsError(
                f"adapter= was given with a {type(model).__name__} object. An adapter is saved without the body, and "
                "names the checkpoint that holds it. Pass base= or init= in place of model=."
            )
        body = model.base_model
        self._below = start.adapter
        origin = start.base or start
        self._own = _head_weights(model)
        choose_modules(body, config)
        tensors = model.state_dict(keep_vars=True)
        weights = [tensors[name] for name in self._own]
        model.requires_grad_(False)
        config.task_type = "FEATURE_EXTRACTION"
        if config.target_modules is not None and config.exclude_modules is None:
            own = {id(tensor) for tensor in weights}  # trained in full, a pooler among them
            excluded = []
            for name, module in body.named_modules():
                if name and any(id(each) in own for each in module.parameters()):
                    excluded.append(name)
            config.exclude_modules = excluded or None
        self.peft = load_peft().PeftModel(body, config)
        config.base_model_name_or_path, config.revision = origin.name, origin.commit
        for tensor in weights:
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(True)
        if self._below is not None:
            stacked(self._below, self.trained())  # what cannot be saved is said before the training
        trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        logger.info("Training %s of %s weights: LoRA and the head.", f"{trained:,}", f"{model.num_parameters():,}")

    def recipe(self) -> dict[str, str]:
        """What the record of a run says of it."""
        return {"adapter": self.adapter if isinstance(self.adapter, str) else "custom"}

    def trained(self) -> Adapter:
        """The adapter that is trained, as it is now."""
        weights = load_peft().get_peft_model_state_dict(self.peft, save_embedding_layers=False)
        return Adapter(self.peft.peft_config["default"], {name: part.cpu() for name, part in weights.items()})

    def refuse_folder_of_base(self, folder: str | Path) -> None:
        """Refuse to save into the folder of the model that the adapter is trained on.

        Raises:
            StiltsError: it is that folder.
        """
        base = Path(self.peft.peft_config["default"].base_model_name_or_path)
        if base.is_dir() and base.resolve() == Path(folder).resolve():
            raise StiltsError(
                f"{folder} holds the model that the adapter is trained on; saved there, the adapter would take its "
                "place. Pass another --output_dir."
            )

    def save(self, folder: Path, model: PreTrainedModel, tokenizer: Any, args: TrainingArguments) -> None:
        """Write the adapter and the head, with the tokenizer.

        Args:
            folder: where.
            model: whole, not wrapped.
            tokenizer: of the training.
            args: of the training.
        """
        folder.mkdir(parents=True, exist_ok=True)
        trained = self.trained()
        (trained if self._below is None else stacked(self._below, trained)).save(folder)
        tensors = model.state_dict()
        save_head(model, {name: tensors[name] for name in self._own}, folder, self.head)
        tokenizer.save_pretrained(folder)
        torch.save(args, folder / TRAINING_ARGS_NAME)

    def read(self, folder: str, model: PreTrainedModel) -> None:
        """Read back what `save` wrote for this very training.

        Raises:
            StiltsError: the folder holds no adapter.
        """
        file = Path(folder) / ADAPTER_SAFE_WEIGHTS_NAME
        if not file.is_file():
            raise StiltsError(
                f"{folder} holds no {file.name}: it was trained without adapter=. Go on without it, or start anew in "
                "another --output_dir."
            )
        weights = safetensors.torch.load_file(file)
        set_weights(self.peft, split_off(weights, self._below.config.r) if self._below else weights, folder)
        restore_head(model, self._own, folder, self.head)


def clear_earlier(folder: Path, *, adapter: bool) -> None:
    """Take away the weights that an earlier training left in a folder: they would be taken for a part of this one.

    Args:
        folder: where this training writes.
        adapter: whether those of an adapter go, or those of a whole model.
    """
    of_adapter, of_model = (ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME), ("config.json", "model*.safetensors*")
    for pattern in of_adapter if adapter else of_model:
        for file in folder.glob(pattern):
            file.unlink()


def _head_weights(model: PreTrainedModel) -> list[str]:
    """Names of a model's tensors that are none of its body's; where the model has no module for it (mT5's QA), too."""
    if model.base_model is not model:
        return own_weights(model, model.base_model)
    with torch.device("meta"):
        body = set(AutoModel.from_config(copy.deepcopy(model.config)).state_dict())
    return [name for name in model.state_dict() if name not in body]
