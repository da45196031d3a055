"""The log of a training as lines that people read, on a terminal; elsewhere it stays as the stock Trainer has it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

# Of an evaluation or a training: how long it took, and rates that follow from that.
_SECONDS, _LEFT_OUT = "_runtime", ("_per_second", "total_flos", "epoch")


class LogLines(ProgressCallback):
    """The stock progress bar, which writes one line of text above it for each entry of the log, and no dictionary."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write an entry of the log."""
        if state.is_world_process_zero and self.training_bar is not None and logs:
            self.training_bar.write(log_line(logs, state.global_step, state.max_steps))


def log_line(logs: Mapping[str, Any], step: int, steps: int) -> str:
    """An entry of the log of the stock Trainer as a line of text.

    >>> log_line({"eval_loss": 1.23456, "eval_accuracy": 50.0, "eval_runtime": 2.5, "epoch": 1.0}, 10, 20)
    'step 10 of 20, evaluation: loss 1.235, accuracy 50, 2.5 s'
    >>> log_line({"loss": 0.5, "learning_rate": 3e-05, "epoch": 0.1}, 10, 20)
    'step 10 of 20: loss 0.5, learning_rate 3e-05'
    """
    title, prefix = "", ""
    for kind, said in {"eval_": ", evaluation", "train_": ", training"}.items():
        if any(name.startswith(kind) for name in logs):
            title, prefix = said, kind
    parts = []
    seconds = ""
    for name, value in logs.items():
        if name.endswith(_LEFT_OUT):
            continue
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        if name.endswith(_SECONDS):
            seconds = f"{value:.1f} s" if isinstance(value, float) else f"{shown} s"
        else:
            parts.append(f"{name.removeprefix(prefix)} {shown}")
    if seconds:
        parts.append(seconds)
    return f"step {step} of {steps}{title}: {', '.join(parts)}"


def write_log_lines(trainer: Trainer) -> None:
    """Give a Trainer `LogLines` in place of the stock progress bar, where a person looks at a terminal."""
    if sys.stderr.isatty() and trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(LogLines)
