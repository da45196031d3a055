"""Tasks that data set repositories on the Hub bring: a file `stilts_task.yaml` with the fields of `Task`.

No code is run. What the file says is checked before it is used: the data set is the repository itself, at the commit of
the file, unless the file names another one; the tasks that it trains on are tasks that are installed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hf_stilts.definitions import read_yaml
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.files import write
from hf_stilts.task import Task, list_tasks, load_task

FILE = "stilts_task.yaml"
TAG = "stilts-task"
"""Tag in the card of a data set with such a file, by which `list_hub_tasks` finds it."""

_REFERENCE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_NAME = re.compile("[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class HubTask:
    """A data set on the Hub that says it brings a task: repository, languages and licence of its card, downloads."""

    repository: str
    languages: tuple[str, ...]
    license: str
    downloads: int


def is_hub_task(name: str) -> bool:
    """Whether a task's name is that of a repository on the Hub, and of no file here.

    >>> [is_hub_task(name) for name in ("user/catalan-nli", "user/catalan-nli@main", "mnli", "tasks/mine.py")]
    [True, True, False, False]
    """
    return _REFERENCE.fullmatch(name) is not None and not name.endswith((".py", ".yaml")) and not Path(name).exists()


def hub_task(name: str) -> Task:
    """The task of a data set repository.

    Args:
        name: `user/dataset`, or `user/dataset@revision`.

    Raises:
        StiltsError: there is no such repository or file; or its file is wrong: file, line and field are said.
        ConnectionError: the Hub cannot be reached, and the file is not in the cache.
    """
    return load_task(str(task_file(name)))


def task_file(name: str) -> Path:
    """File of a task of the Hub, complete: a path that every command takes for a task.

    It lies in the cache of the Hub's client. Beside what the publisher wrote it says the repository, and the commit
    that was read, so that another process has the same rows.

    Args:
        name: as of `hub_task`.

    Raises:
        StiltsError, ConnectionError: as of `hub_task`.
    """
    match = _REFERENCE.fullmatch(name)
    if match is None:
        raise StiltsError(f"{name!r} is no data set of the Hub; expected user/dataset or user/dataset@revision.")
    repository = match["repository"]
    path = _downloaded(repository, match["revision"])
    task = read_yaml(path, Task, {"dataset": repository})
    stem = task.name or re.sub("[^a-z0-9]+", "_", repository.partition("/")[2].lower()).strip("_")
    _check(task, stem, f"{path}: {repository}/{FILE}")
    if task.dataset == repository and task.revision is None:
        task = replace(task, revision=path.parent.name)
    complete = path.parents[2] / "stilts" / path.parent.name / f"{stem}.yaml"
    if not complete.is_file():
        write(complete, f"# {repository}/{FILE} at {path.parent.name}\n{_as_yaml(task)}")
    return complete


def _downloaded(repository: str, revision: str | None) -> Path:
    """The file as it was published, in the cache: its folder is named as the commit."""
    try:
        validate_repo_id(repository)
        return Path(hf_hub_download(repository, FILE, repo_type="dataset", revision=revision))
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        at = f" at {revision}" if revision else ""
        raise StiltsError(
            f"No task {repository!r}: the Hub shows no such data set{at}. Expected a task of hf_stilts, a file, or a "
            "data set that you may read. Run: hf-stilts tasks, or: hf-stilts tasks --hub"
        ) from error
    except LocalEntryNotFoundError as error:
        raise ConnectionError(
            f"The task {repository} is on the Hub, which cannot be reached: {error}. Expected a network, or its "
            f"{FILE} in the cache. Type the command again when the Hub answers."
        ) from error
    except EntryNotFoundError as error:
        raise StiltsError(
            f"The data set {repository} has no {FILE}; expected one with the fields of a task. See what has: hf-stilts "
            "tasks --hub; or write a file of your own: docs/how-to/targets.md"
        ) from error


def _check(task: Task, stem: str, where: str) -> None:
    """Refuse what a file from the Hub must not say: a path (a file of Python would be run), or a name that is taken."""
    if not _NAME.fullmatch(stem) or stem in list_tasks():
        raise StiltsError(
            f"{where}, field name: the task is called {stem!r}; expected a-z, 0-9 and _, and no name that a task of "
            "hf_stilts has. Write for example: name: catalan_nli"
        )
    try:
        validate_repo_id(task.dataset)
    except HFValidationError as error:
        raise StiltsError(f"{where}, field dataset: {error} Write for example: dataset: user/dataset") from error
    unknown = [name for name in task.train if name not in list_tasks()]
    if unknown:
        raise StiltsError(
            f"{where}, field train: {unknown[0]!r} is no task that is installed here. "
            f"{did_you_mean(unknown[0], list_tasks(), 3)} Run: hf-stilts tasks"
        )


def _as_yaml(task: Task) -> str:
    """The fields that are not as they are by default."""
    values: dict[str, Any] = {}
    for field in fields(task):
        value = getattr(task, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default and field.name not in ("name", "file"):  # both follow from where the file lies
            values[field.name] = json.loads(json.dumps(value))  # lists of tuples
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def list_hub_tasks() -> Iterator[HubTask]:
    """Data sets of the Hub that have the tag `stilts-task`, the most downloaded first."""
    for info in HfApi().list_datasets(filter=TAG, sort="downloads", full=True):
        tags = [tag.partition(":") for tag in info.tags or ()]
        languages = tuple(value for kind, _, value in tags if kind == "language")
        licences = [value for kind, _, value in tags if kind == "license"]
        yield HubTask(info.id, languages, licences[0] if licences else "unknown", info.downloads or 0)
