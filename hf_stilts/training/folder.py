"""The output folder of a run: who may train in it, so that no run is lost to a command that was typed twice."""

from __future__ import annotations

import shutil
from pathlib import Path

from accelerate import PartialState

from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import HEADS
from hf_stilts.hub.record import RECORD_FILE
from hf_stilts.publishing.outbox import FOLDER, outbox_status
from hf_stilts.training.same_run import finished_run

# What a run leaves beside its checkpoints and is not sure to be written again by the next one.
_LEFT = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json")


def claim(output_dir: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Take a folder for a run before anything is loaded.

    Args:
        output_dir: where the run will write.
        resume: it goes on with what is there.
        overwrite: it deletes what is there: checkpoints, the final model and its record, and the outbox once all of
            it is on the Hub. Other files, and the folders of other runs inside, stay.

    Raises:
        StiltsError: the folder holds a run and neither is asked for, or both; or checkpoints in its outbox were not
            sent yet.
    """
    folder = Path(output_dir)
    if resume and overwrite:
        raise StiltsError("--resume goes on with a run and --overwrite deletes it; both were given. Leave out one.")
    state = PartialState()
    held = _held(folder)
    state.wait_for_everyone()  # nobody writes before everybody has looked
    if resume or held is None:
        return
    if not overwrite:
        raise StiltsError(
            f"{folder} holds a run ({held}). Nothing was done. To go on with it, or to have its result: --resume auto. "
            "To train anew and lose it: --overwrite. To keep both: another --output_dir"
        )
    _check_sent(folder)
    if state.is_main_process:
        _clear(folder)
    state.wait_for_everyone()


def _held(folder: Path) -> str | None:
    """What a folder holds of a run; None where there is nothing to lose."""
    record = finished_run(folder)
    if record is not None:
        return f"{', '.join(record.task_names) or 'of unknown tasks'}, finished at step {record.step}"
    checkpoints = [path for path in folder.glob("checkpoint-*") if path.is_dir()]
    return f"{len(checkpoints)} checkpoints, not finished" if checkpoints else None


def _check_sent(folder: Path) -> None:
    if not (folder / FOLDER).is_dir():
        return
    status = outbox_status(folder)
    if not status.ok:
        raise StiltsError(
            f"{folder / FOLDER} holds checkpoints that are not on the Hub yet. Nothing was done. Send them first: "
            f"{status.command}; or pass another --output_dir. To give them up: rm -r {folder / FOLDER}"
        )


def _clear(folder: Path) -> None:
    """Delete a run."""
    (folder / RECORD_FILE).unlink(missing_ok=True)  # first: what is half deleted is no finished run
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint.is_dir():
            shutil.rmtree(checkpoint)
    for left in (folder / HEADS, folder / FOLDER):
        shutil.rmtree(left, ignore_errors=True)
    for pattern in _LEFT:
        for file in folder.glob(pattern):
            file.unlink()
