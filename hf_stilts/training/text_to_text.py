"""Trains what an encoder-decoder answers in words: scores decoded answers."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer

from hf_stilts.kinds import Kind


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
