"""Trains what an encoder-decoder answers in words: scores decoded answers, refuses options that are for heads."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import Kind
from hf_stilts.task import Task


class InWordsTrainer(Trainer):
    """A Trainer whose kind may generate (`hf_stilts.kinds.Kind.generates`): evaluation then asks its `run`."""

    kind: Kind

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, Any, Any]:
        """As the stock method, which reads answers off the scores of the gold answer's tokens."""
        if not self.kind.generates:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        read = {name: inputs[name] for name in ("input_ids", "attention_mask", "labels")}
        loss, _, labels = super().prediction_step(model, read, True, ignore_keys)
        if prediction_loss_only:
            return loss, None, None
        with torch.inference_mode(), self.compute_loss_context_manager():
            return loss, self.kind.run(self.accelerator.unwrap_model(model), inputs), inputs["labels"]


def check_in_words(task: Task, **options: Any) -> None:
    """Refuse options that read or save a head or a body, where the task is answered by a whole encoder-decoder.

    Raises:
        StiltsError: such an option was given.
    """
    given = [name for name, value in options.items() if value]
    if task.text_to_text and given:
        raise StiltsError(
            f"{given[0]}={options[given[0]]!r} was given for {task.name} in words; it is for an encoder and its head, "
            f"and here a whole encoder-decoder is trained. Leave out --{given[0].replace('_', '-')} or --text-to-text."
        )
