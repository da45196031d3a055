"""The output folder of a run: its name, and who may train in it, so that no run is lost to a command typed twice."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from hf_stilts.data.language_shares import Languages, shares
from hf_stilts.errors import StiltsError
from hf_stilts.files import cut_weights
from hf_stilts.hub.naming import ADAPTER_SUFFIX, HEADS, TEXT_SUFFIX, language_suffix, mixture_name
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.outbox import FOLDER, outbox_status
from hf_stilts.publishing.saved import saved_steps
from hf_stilts.task import Task
from hf_stilts.training.flags import deciding
from hf_stilts.training.options import StiltsOptions

logger = logging.getLogger(__name__)

# What a run leaves beside its checkpoints and is not sure to be written again by the next one.
_LEFT = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json")


def run_folder(phase: str, task: Task, options: StiltsOptions) -> str:
    """Where the run of one task writes, if no flag says so; the name tells what its repository's name tells."""
    suffix = _spelt(options.languages) + ADAPTER_SUFFIX * bool(options.whole_adapter)
    text_to_text = options.text_to_text or task.text_to_text
    return f"runs/{phase}-{task.name}{suffix}{TEXT_SUFFIX * text_to_text}"


def mixture_folder(tasks: Iterable[str], options: StiltsOptions) -> str:
    """Where the run of a mixture writes, if no flag says so."""
    return f"runs/intermediate-{options.name or mixture_name([*tasks])}{_spelt(options.languages)}"


def check_free(output_dir: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds a run, or cannot be written to, before anything is loaded.

    Args:
        output_dir: where the run will write.
        resume: it goes on with what is there.
        overwrite: it deletes what is there.

    Raises:
        StiltsError: the folder holds a run and neither is asked for, or both; checkpoints in its outbox were not sent
            yet; or nothing can be written there.
    """
    folder = Path(output_dir)
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise StiltsError(
            f"The run would be written to {folder}, and {there} is no folder that can be written to. Name another "
            "place: --output_dir"
        )
    if resume and overwrite:
        raise StiltsError("--resume goes on with a run and --overwrite deletes it; both were given. Leave out one.")
    held = _held(folder)
    if resume or held is None:
        return
    if not overwrite:
        raise StiltsError(
            f"{folder} holds a run ({held}). Nothing was done. To go on with it, or to have its result: --resume auto. "
            "To train anew and lose it: --overwrite. To keep both: another --output_dir"
        )
    _check_sent(folder)


def check_steps(folder: str | Path, flags: Sequence[str]) -> None:
    """Refuse to go on with a run for fewer steps than it has been trained.

    Args:
        folder: where the run lies; nothing may be there yet.
        flags: stock flags, of which `--max_steps` counts. Without it the steps are known when the rows are.

    Raises:
        StiltsError: the run was trained for more steps.
    """
    folder = Path(folder)
    asked = next((value for value in deciding(flags).get("max_steps", ()) if isinstance(value, float)), 0.0)
    if asked <= 0:
        return
    if (folder / RECORD_FILE).is_file() and not cut_weights(folder):
        step, what = Record.from_json((folder / RECORD_FILE).read_bytes()).step, "a finished run"
    else:
        step, what = max(saved_steps(folder), default=0), "the checkpoint"
    if step > asked:
        raise StiltsError(
            f"{folder} holds {what} of {step} steps, and --max_steps {asked:g} asks for fewer. Nothing was trained. "
            f"Leave out --max_steps, or pass {step} or more; for a run of {asked:g} steps another --output_dir."
        )


def claim(output_dir: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Take a folder for a run before a model is loaded.

    Args:
        output_dir: where the run will write.
        resume: it goes on with what is there.
        overwrite: it deletes what is there: checkpoints, the final model and its record, and the outbox once all of
            it is on the Hub. Other files, and the folders of other runs inside, stay.

    Raises:
        StiltsError: as `check_free`.
    """
    from accelerate import PartialState  # which imports torch

    state = PartialState()
    check_free(output_dir, resume=resume, overwrite=overwrite)
    state.wait_for_everyone()  # nobody writes before everybody has looked
    if overwrite and state.is_main_process and _held(Path(output_dir)) is not None:
        _clear(Path(output_dir))
    state.wait_for_everyone()


def finished_run(folder: str | Path) -> Record | None:
    """Record of the finished training whose final model lies in a folder: it is written last.

    None where there is none, or where the final model is cut short, which is said.
    """
    path = Path(folder) / RECORD_FILE
    if not path.is_file():
        return None
    if wrong := cut_weights(Path(folder)):
        logger.warning("The final model in %s is not whole: %s. It is written again.", folder, wrong)
        return None
    return Record.from_json(path.read_bytes())


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
            f"{status.command}; or pass another --output_dir. To give them up: rm -r "
            f"{shlex.quote(str(folder / FOLDER))}"
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


def _spelt(languages: Languages | None) -> str:
    """Languages as the run's repository spells them, so that an English run is not taken up by a German one."""
    of = shares(languages) if languages is not None else {}
    return language_suffix({code: round(10**6 * of[code]) for code in sorted(of)})
