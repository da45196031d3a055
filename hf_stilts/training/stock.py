"""The private methods of the stock Trainer that hf_stilts steps into: all of them here, each with its reason.

A private method may change with any version of transformers. `tests/training/test_stock.py` trains with a Trainer and
sees that stock still calls each of these, with the arguments that they take. "Changed in" says in which versions from
5.16, the lowest that is supported, to 5.23 the body of the stock method is another; its arguments never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler


class StockTrainer(Trainer):
    """The stock Trainer, with hooks in place of private methods; a hook that nobody overrides changes nothing."""

    control: TrainerControl

    def check_step(self, norm: Any) -> None:
        """Look at the gradient's norm, and stop a step that must not be taken."""

    def resume_point(
        self, epochs_and_steps: tuple[int, int], max_steps: int, epochs: int, checkpoint: Any
    ) -> tuple[int, int]:
        """Epochs that are trained already, and steps within the next one."""
        return epochs_and_steps

    def training_order(self, train_dataset: Any) -> torch.utils.data.Sampler[Any] | None:
        """Order of the training examples; None: the stock one."""
        return None

    def save_weights(self, folder: Path) -> bool:
        """Write the weights in a form of one's own; whether that was done."""
        return False

    def read_weights(self, folder: str) -> bool:
        """Read what `save_weights` wrote; whether that was done."""
        return False

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """Stop before the optimizer's step: no public method or callback comes between the norm and the step.

        Changed in 5.17 (mixed meshes).
        """
        norm = super()._get_grad_norm(model, grad_norm)
        self.check_step(norm)
        return norm

    def _init_training_state(
        self, max_steps: int, per_epoch: int, epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> tuple[int, int]:
        """Say what a resumed run has done: stock trains a step too many where it was finished within an epoch.

        Changed in 5.17 (a best checkpoint that is gone is forgotten).
        """
        done = super()._init_training_state(max_steps, per_epoch, epochs, resume_from_checkpoint, trial)
        return self.resume_point(done, max_steps, epochs, resume_from_checkpoint)

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[Any] | None:
        """Keep the order of batches that were planned beforehand.

        Changed in 5.17 (`batch_rebalance`).
        """
        dataset = self.train_dataset if train_dataset is None else train_dataset
        order = self.training_order(dataset)
        return super()._get_train_sampler(train_dataset) if order is None else order

    def _get_eval_sampler(self, eval_dataset: Any) -> torch.utils.data.Sampler[Any] | None:
        """Evaluate in the order of the rows: stock sorts by length under `group_by_length`, and answers lose their row.

        Never changed.
        """
        strategy = self.args.train_sampling_strategy
        self.args.train_sampling_strategy = "sequential"
        try:
            return super()._get_eval_sampler(eval_dataset)
        finally:
            self.args.train_sampling_strategy = strategy

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save an adapter and a head in place of the model; `save_model` also gathers sharded weights, and stays stock.

        Changed in 5.18 and 5.23 (all processes come here, and only some write).
        """
        if not self.save_weights(Path(output_dir or self.args.output_dir)):
            super()._save(output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Resume from weights that `save_weights` wrote, or that bear other names than the model's.

        Changed in 5.23 (adapters of peft).
        """
        if not self.read_weights(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        """As `_load_from_checkpoint`, at the end of the training. Never changed."""
        if not self.read_weights(str(self.state.best_model_checkpoint)):
            super()._load_best_model()


class AskableCallbacks(CallbackHandler):
    """Callbacks that may ask for the record of the run: `on_train_begin` gets the function `record`.

    Args:
        stock: the callbacks of a Trainer.
        record: what a callback may ask.
    """

    def __init__(self, stock: CallbackHandler, record: Callable[[], Any]) -> None:
        self.__dict__.update(stock.__dict__)
        self.record = record

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> Any:
        """As the stock method."""
        return super().on_train_begin(args, state, control, record=self.record, **kwargs)
