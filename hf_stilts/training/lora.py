"""Trains LoRA in the body and the head in full, and saves these alone."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from transformers import AutoModel, PreTrainedModel, Trainer
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
from hf_stilts.task import Task

if TYPE_CHECKING:
    from peft import LoraConfig

logger = logging.getLogger(__name__)


class AdapterTrainer(Trainer):
    """A Trainer that can train LoRA in the body and the head in full, and saves these alone.

    Attributes:
        task: what is trained; the head is called after it.
        adapter: `"lora"`, `"lora=32"`, a `peft.LoraConfig`, or None to train the model as it is.
        start: the checkpoint that the model's body came from; None where a model object was given.
    """

    task: Task
    adapter: str | LoraConfig | None = None
    start: OpenedCheckpoint | None = None

    def __init__(self, model: PreTrainedModel, *stock: Any, **named: Any) -> None:
        if self.adapter is not None:
            self._adapt(model, lora_config(self.adapter))
        super().__init__(model, *stock, **named)
        if self.adapter is not None:
            self._refuse_folder_of_base(self.args.output_dir)

    @property
    def adapter_recipe(self) -> dict[str, str]:
        """What the record of a run says of it."""
        return {} if self.adapter is None else {"adapter": self.adapter if isinstance(self.adapter, str) else "custom"}

    def _adapt(self, model: PreTrainedModel, config: LoraConfig) -> None:
        """Put LoRA into the body and leave only it and the head to train; what was there before is frozen."""
        if self.start is None:
            raise StiltsError(
                f"adapter= was given with a {type(model).__name__} object. An adapter is saved without the body, and "
                "names the checkpoint that holds it. Pass base= or init= in place of model=."
            )
        body = model.base_model
        self._below = self.start.adapter
        origin = self.start.base or self.start
        self._own = _head_weights(model)
        choose_modules(body, config)
        tensors = model.state_dict(keep_vars=True)
        head = [tensors[name] for name in self._own]
        model.requires_grad_(False)
        config.task_type = "FEATURE_EXTRACTION"
        if config.target_modules is not None and config.exclude_modules is None:
            own = {id(tensor) for tensor in head}  # trained in full, a pooler among them
            inside = (name for name, module in body.named_modules() if {id(each) for each in module.parameters()} & own)
            config.exclude_modules = [name for name in inside if name] or None
        self._lora = load_peft().PeftModel(body, config)
        config.base_model_name_or_path, config.revision = origin.name, origin.commit
        for tensor in head:
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(True)
        if self._below is not None:
            stacked(self._below, self._trained())  # what cannot be saved is said before the training
        trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        logger.info("Training %s of %s weights: LoRA and the head.", f"{trained:,}", f"{model.num_parameters():,}")

    def _refuse_folder_of_base(self, folder: str | Path) -> None:
        base = Path(self._lora.peft_config["default"].base_model_name_or_path)
        if base.is_dir() and base.resolve() == Path(folder).resolve():
            raise StiltsError(
                f"{folder} holds the model that the adapter is trained on; saved there, the adapter would take its "
                "place. Pass another --output_dir."
            )

    def _trained(self) -> Adapter:
        """The adapter that is trained, as it is now."""
        weights = load_peft().get_peft_model_state_dict(self._lora, save_embedding_layers=False)
        return Adapter(self._lora.peft_config["default"], {name: part.cpu() for name, part in weights.items()})

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As the stock method; with an adapter, that and the head in place of the model."""
        folder = Path(output_dir or self.args.output_dir)
        if self.adapter is not None:
            self._refuse_folder_of_base(folder)
        if self.args.should_save:  # what an earlier training left in the folder would be taken for a part of this one
            adapter, model = (ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME), ("config.json", "model*.safetensors*")
            earlier = model if self.adapter is not None else adapter
            for file in (file for pattern in earlier for file in folder.glob(pattern)):
                file.unlink()
        if self.adapter is None:
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            trained = self._trained()
            (trained if self._below is None else stacked(self._below, trained)).save(folder)
            whole = self.accelerator.unwrap_model(self.model)
            tensors = whole.state_dict()
            save_head(whole, {name: tensors[name] for name in self._own}, folder, self._head)
            self.processing_class.save_pretrained(folder)
            torch.save(self.args, folder / TRAINING_ARGS_NAME)

    @property
    def _head(self) -> str:
        return self.task.name

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.adapter is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._restore(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.adapter is None:
            super()._load_best_model()
        else:
            self._restore(self.state.best_model_checkpoint)

    def _restore(self, folder: str) -> None:
        """Read back what `_save` wrote for this very training."""
        file = Path(folder) / ADAPTER_SAFE_WEIGHTS_NAME
        if not file.is_file():
            raise StiltsError(
                f"{folder} holds no {file.name}: it was trained without adapter=. Go on without it, or start anew in "
                "another --output_dir."
            )
        weights = safetensors.torch.load_file(file)
        set_weights(self._lora, split_off(weights, self._below.config.r) if self._below else weights, folder)
        restore_head(self.accelerator.unwrap_model(self.model), self._own, folder, self._head)


def _head_weights(model: PreTrainedModel) -> list[str]:
    """Names of a model's tensors that are none of its body's; where the model has no module for it (mT5's QA), too."""
    if model.base_model is not model:
        return own_weights(model, model.base_model)
    with torch.device("meta"):
        body = set(AutoModel.from_config(copy.deepcopy(model.config)).state_dict())
    return [name for name in model.state_dict() if name not in body]
