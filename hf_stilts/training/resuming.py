"""What a training goes on from: which checkpoint, whether it is of the same run, and how much of it is left."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import Trainer

from hf_stilts.errors import StiltsError
from hf_stilts.publishing.saved import flaw, newest_saved, weights_flaw
from hf_stilts.training.same_run import RunSettings, Settings, check_checkpoint

logger = logging.getLogger(__name__)


class Resuming:
    """Finds and checks the checkpoint of a training that goes on, and keeps in every checkpoint what is compared.

    Args:
        trainer: whose training.
    """

    nothing_left = False  # the checkpoint is of a training that ended, whatever its step

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._kept = RunSettings()
        trainer.add_callback(self._kept)

    def begin(self, settings: Settings, resume_from_checkpoint: str | bool | None) -> Path | None:
        """Checkpoint that a training goes on from; None where it begins anew.

        Args:
            settings: what decides the result of the run.
            resume_from_checkpoint: as of `Trainer.train`.

        Raises:
            StiltsError: no whole checkpoint is there, or it is of another run.
        """
        self._kept.settings = settings
        if not resume_from_checkpoint:
            return None
        given = None if isinstance(resume_from_checkpoint, bool) else Path(resume_from_checkpoint)
        start = self._whole_checkpoint(given)
        check_checkpoint(start, settings)
        return start

    def point(self, epochs_and_steps: tuple[int, int], max_steps: int, epochs: int, checkpoint: Any) -> tuple[int, int]:
        """Epochs that are trained already and steps within the next one; all epochs where the run was finished.

        Args:
            epochs_and_steps: as the stock Trainer counts them.
            max_steps: last step of this run.
            epochs: of this run.
            checkpoint: for messages.

        Raises:
            StiltsError: the checkpoint is of a later step than the last one of this run.
        """
        trainer = self.trainer
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, RunSettings):  # the stock method may have put a checkpoint's in place of ours
                callback.settings = self._kept.settings
        # A stock checkpoint has no such entry.
        trainer.state.stateful_callbacks[RunSettings.__name__] = self._kept.state()
        self._forget_broken_best()
        step = trainer.state.global_step
        if self.nothing_left:
            return epochs, 0
        if step > max_steps:
            raise StiltsError(
                f"{checkpoint} is of step {step}, and this run ends at step {max_steps}. Nothing was "
                f"trained. Leave out --max_steps, or pass {step} or more; for a run of {max_steps} steps another "
                "--output_dir."
            )
        return (epochs, 0) if step == max_steps else epochs_and_steps

    def _whole_checkpoint(self, given: Path | None) -> Path:
        folder = self.trainer.args.output_dir
        found = given or newest_saved(folder)
        if found is None:
            raise StiltsError(
                f"{folder} holds no whole checkpoint to go on from; one is expected. Pass another --output_dir, or "
                "train from the start: trainer.train()"
            )
        if wrong := flaw(found):
            raise StiltsError(
                f"{found} is not whole ({wrong}); a checkpoint as the Trainer saves it is expected. Pass an earlier "
                "one, or True for the newest whole one."
            )
        return found

    def _forget_broken_best(self) -> None:
        """Let a checkpoint to come be the best one where the weights of the one that was are not whole."""
        state = self.trainer.state
        best = state.best_model_checkpoint
        if best is not None and (wrong := weights_flaw(Path(best))):
            logger.warning("%s is not whole (%s), so the best checkpoint is one of those to come.", best, wrong)
            state.best_model_checkpoint = state.best_global_step = state.best_metric = None


def unreadable_states(start: Path | None, error: Exception) -> StiltsError:
    """What to raise where `torch.load` refused the states of a checkpoint."""
    return StiltsError(
        f"The optimizer, scheduler or random states in {start} cannot be read, and no code of theirs was "
        f"run ({' '.join(str(error).split())[:200]}). States that a Trainer saved are expected. Delete that "
        "folder; if it was fetched, delete the branch resume of its repository, too."
    )
