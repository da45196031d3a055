"""Whether a published checkpoint's training can be run again: known before torch, a model or rows are loaded."""

from __future__ import annotations

from huggingface_hub import HfApi, try_to_load_from_cache

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint, locate, resolve
from hf_stilts.hub.record import ParentModel, Record
from hf_stilts.task import Task, list_tasks, load_task

_PHASES = ("intermediate", "target")


def reproducible(
    name: str, task: str | Task | None = None, api: HfApi | None = None
) -> tuple[Checkpoint, Record, Task, ParentModel]:
    """A checkpoint whose record tells enough to train it again, with its record, its task and its parent.

    Args:
        name: as of `resolve`.
        task: the task of the record, where it is not installed: the path of its file.
        api: client of the Hub.

    Raises:
        StiltsError: the record does not tell enough, or the Hub does not have what it began with.
    """
    checkpoint = resolve(name, api=api, to_load=False)
    record = checkpoint.record
    if record is None or checkpoint.commit is None:
        raise StiltsError(f"{name} is not on the Hub with a stilts.json. Name one that is: hf-stilts checkpoints")
    check_rows(checkpoint, record)
    trained = same_task(record.task_names[0], task)
    return checkpoint, record, trained, _parent(name, record, api)


def check_rows(checkpoint: Checkpoint, record: Record) -> None:
    """Refuse a record that does not name rows which the Hub has, and a recipe.

    Raises:
        StiltsError: it does not.
    """
    if record.merged_from:
        raise StiltsError(
            f"{checkpoint.repo_id} is a merge of {len(record.merged_from)} checkpoints; the checkpoint of one training "
            "is expected. Repeat the trainings, and merge again: hf-stilts merge"
        )
    missing = [name for name in ("profile", "max_length") if name not in record.recipe]
    elsewhere = [name for name in ("excluded", "contrastive_weight") if name in record.recipe]
    if elsewhere:  # the record knows that there was a list, or translations, but does not hold them
        raise StiltsError(
            f"{checkpoint.repo_id} records {elsewhere[0]}={record.recipe[elsewhere[0]]}: it was trained with --exclude "
            "or --contrastive, whose rows the Hub does not have. Run the command that published it."
        )
    rows = sum(source.rows or 0 for source in record.tasks)
    single = len(record.task_names) == 1 and record.languages == ("en",)
    if record.phase not in _PHASES or not single or missing or not rows or record.tasks[0].dataset is None:
        raise StiltsError(
            f"{checkpoint.repo_id} records {record.title} ({' '.join(record.languages)}), "
            f"{'no ' + ' and '.join(missing) if missing else 'its rows'} not as can be run again: one task's own "
            "English rows, in phase intermediate or target. Run the script that published it."
        )


def same_task(name: str, given: str | Task | None) -> Task:
    """The task of a record: an installed one, or the one that was given.

    Raises:
        StiltsError: it is not installed, or another one was given.
    """
    if given is None and name not in list_tasks():
        raise StiltsError(
            f"It was trained on the task {name}, which is not installed here. Pass the path of its file: "
            f"--task {name}.py (task=)"
        )
    task = load_task(name if given is None else given)
    if task.name != name:
        raise StiltsError(f"It was trained on the task {name}; {task.name} was given. Pass the file of {name}.")
    return task


def _parent(name: str, record: Record, api: HfApi | None) -> ParentModel:
    """The model that a training began with, which the Hub, or the cache, has at that commit."""
    parent = record.parent
    if parent is None or not parent.published or parent.commit is None:
        raise StiltsError(
            f"{name} was trained from {parent.id if parent else 'fresh weights'}, of which the Hub has no commit. "
            "Publish the parent first, then train from its repository id."
        )
    if isinstance(try_to_load_from_cache(parent.id, "config.json", revision=parent.commit), str):
        return parent  # loaded before
    try:
        locate(parent.id, parent.commit, api)
    except StiltsError as error:
        raise StiltsError(
            f"{name} was trained from {parent.id}@{parent.commit[:12]}, which cannot be had: {error} Nothing was "
            "downloaded or trained. Publish that model there again, with its history, or name another checkpoint."
        ) from error
    return parent
