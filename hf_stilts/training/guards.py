"""Alarms of a training: it stops before a NaN gets into the weights, and says so when nothing is learnt."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.kinds.features import flat_column
from hf_stilts.publishing.saved import newest_saved

logger = logging.getLogger(__name__)

# A loss within this share of what label frequencies alone give, over a tenth of the training, is called flat; a
# constant answer to fewer predictions than these may be chance.
FLAT, WINDOW, SHORTEST, FEW = 0.98, 0.1, 100, 20


class NotFinite(StiltsError):
    """The loss or the gradient of a step was no finite number."""


class FiniteSteps:
    """Stops a training at a loss or gradient that is no finite number, with the weights as they were before it.

    The loss is looked at as it was computed: stock logging leaves out what is not finite, and shows the mean of the
    rest. Under fp16 the stock gradient scaler skips such steps by itself, and nothing is stopped.

    Args:
        trainer: whose steps.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._losses: list[torch.Tensor] = []  # of the batches since the last optimizer step

    def begin(self) -> None:
        """Forget what an earlier training left."""
        self._losses = []

    def note(self, loss: torch.Tensor) -> None:
        """Keep the loss of a batch for the step's end."""
        self._losses.append(loss)

    def check(self, norm: Any) -> None:
        """Look at a step before it is taken.

        Args:
            norm: of its gradient; None where it is not known.

        Raises:
            NotFinite: it or the loss is no finite number; says which step, and what to type.
        """
        trainer = self.trainer
        losses, self._losses = self._losses, []
        scaled = getattr(trainer.accelerator, "scaler", None) is not None
        if scaled or not losses:
            return
        loss = torch.stack(losses).sum()
        everywhere = trainer.accelerator.gather(loss.reshape(1))  # one that stops alone leaves the others waiting
        if everywhere.isfinite().all() and (norm is None or math.isfinite(norm)):
            return
        kept = newest_saved(trainer.args.output_dir)
        where = f"the last good checkpoint is {kept}" if kept else "no checkpoint had been saved yet"
        rate, step = trainer.args.learning_rate, trainer.state.global_step + 1  # its peak: in the warm-up it may be 0
        size = "not known" if norm is None else float(norm)
        raise NotFinite(
            f"Step {step}: the loss is {float(loss)}, the gradient's norm {size}; "
            f"finite numbers are expected. The step was not taken; {where}. Start anew with --learning_rate "
            f"{rate / 2:g} or more --warmup_steps; or look for the layer: --resume auto --debug underflow_overflow"
        )


class CollapseGuard(TrainerCallback):
    """Warns where the training loss stays at what a model without any input would have.

    A tenth of the training, at least 100 steps, is looked at a time, after the warm-up.

    Args:
        chance: that loss in nats, see `chance_loss`; None: there is none to compare with.
    """

    def __init__(self, chance: float | None) -> None:
        self.chance = chance
        self._seen: list[tuple[int, float]] = []
        self._since = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a new window, behind the warm-up."""
        self._since = max(state.global_step, args.get_warmup_steps(state.max_steps))
        self._seen = []

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the window when it is full."""
        if self.chance is None or not logs or "loss" not in logs or state.global_step <= self._since:
            return
        self._seen.append((state.global_step, float(logs["loss"])))
        if state.global_step - self._since < max(SHORTEST, WINDOW * state.max_steps):
            return
        loss = sum(loss for _, loss in self._seen) / len(self._seen)
        if loss >= FLAT * self.chance and state.is_world_process_zero:
            logger.warning(
                "Nothing learnt from step %d to %d: the training loss is %.4f; it is %.4f where a model knows only "
                "how often each label occurs. Large encoders collapse so: try a --learning_rate below %g, more "
                "--warmup_steps (now %s), or another --seed. A small or fresh one may need a higher rate.",
                *(self._since, state.global_step, loss, self.chance, args.learning_rate, args.warmup_steps),
            )
        self._since, self._seen = state.global_step, []


def chance_loss(features: Any) -> float | None:
    """Cross entropy, in nats, of the best constant answer to a data set: the entropy of its labels.

    For balanced classes that is log(number of classes).

    >>> from datasets import Dataset
    >>> round(chance_loss(Dataset.from_dict({"labels": [0, 1, 2, 0, 1, 2]})), 4)
    1.0986

    Returns:
        None where there are no labels, or only one.
    """
    if "labels" not in (getattr(features, "column_names", None) or ()):
        return None
    labels = np.concatenate([*flat_column(features, "labels")])
    if not np.issubdtype(labels.dtype, np.integer) or not (labels >= 0).any():
        return None
    shares = np.bincount(labels[labels >= 0]) / (labels >= 0).sum()
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum()) or None


def warn_of_one_answer(predictions: Sequence[Any], score: float | None, step: int) -> bool:
    """Warn where all predictions are the same and not all are right; returns whether it did.

    Args:
        predictions: one for each row, or a list of tags for each.
        score: the main score, in percent; 100 says that the one answer is right.
        step: optimizer steps done.
    """
    flat = [*chain(*predictions)] if predictions and isinstance(predictions[0], list) else predictions
    if len(flat) < FEW or any(answer != flat[0] for answer in flat) or isinstance(flat[0], (float, tuple)):
        return False
    if score is not None and score >= 100:
        return False
    logger.warning(
        "Step %d: all %d predictions are %r, which scores %s. Early in a training that passes; else the model has "
        "collapsed. Try a lower --learning_rate, more --warmup_steps, or another --seed.",
        *(step, len(flat), flat[0], "nothing" if score is None else f"{score:.1f}"),
    )
    return True
