"""The model of a Trainer as it is now: of which step it is, what it went through, and how it gets to the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo

from hf_stilts.files import write
from hf_stilts.hub.record import RECORD_FILE, Record, at_step
from hf_stilts.publishing.callback import PublishCheckpoints, describe_run
from hf_stilts.publishing.push import publisher_among, publisher_of, push, write_card


class CurrentModel:
    """What `save_model`, `create_model_card` and `push_to_hub` of a Trainer say of its model.

    Args:
        trainer: a `StiltsTrainer`; asked anew at every call, since the model and its step change.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    @property
    def step(self) -> int:
        """Step whose weights the model has: after a training, the best one's where that was loaded."""
        trainer = self.trainer
        best = trainer.state.best_global_step if trainer.state.best_model_checkpoint is not None else None
        loaded = trainer.args.load_best_model_at_end and not trainer.is_in_train
        return int(best if loaded and best is not None else trainer.state.global_step)

    def described(self) -> Record:
        """The run's record, with what arguments and model say of themselves; of no step."""
        trainer = self.trainer
        return describe_run(trainer.record(), trainer.args, trainer.model)

    def record(self) -> Record:
        """What the weights went through that the model has now: those of the best checkpoint, perhaps."""
        state = self.trainer.state
        return at_step(self.described(), self.step, state.epoch, state.log_history)

    def write_record(self, folder: Path) -> None:
        """Write `stilts.json` beside the final model: of the last step, with the best one where that was loaded."""
        last = self.trainer.state.global_step
        record = replace(self.record(), step=last)
        if self.step != last:
            record = replace(record, recipe={**record.recipe, "best_step": self.step})
        write(folder / RECORD_FILE, record.to_json())

    def write_card(self, stated: Mapping[str, Any]) -> None:
        """Write card and `stilts.json` into the output folder; `stated` is the front matter that the user gives."""
        write_card(self._folder, self._destination(self._publisher()), self.record(), stated)

    def push(
        self, *, private: bool | None, token: str | None, wait: bool, stated: Mapping[str, Any]
    ) -> CommitInfo | None:
        """Publish what lies in the output folder, as `hf_stilts.publishing.push.push`.

        Raises:
            StiltsError: it is not on the Hub.
        """
        publisher = self._publisher()
        return push(
            self._folder,
            self._destination(publisher),
            self.record(),
            publisher=publisher,
            private=private,
            token=token,
            wait=wait,
            stated=stated,
        )

    @property
    def _folder(self) -> Path:
        return Path(self.trainer.args.output_dir)

    def _publisher(self) -> PublishCheckpoints:
        publisher = publisher_among(self.trainer.callback_handler.callbacks) or publisher_of(self.trainer.args)
        publisher.record = publisher.record or self.trainer.record
        return publisher

    def _destination(self, publisher: PublishCheckpoints) -> str:
        return publisher.destination(self.trainer.args, self.trainer.model)
