"""Rows of a task, from the Hub at its pinned revision or from a local mirror of the same layout."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from hf_stilts.data.canonical import canonical
from hf_stilts.data.mirror import digest
from hf_stilts.task import StiltsError, Task, load_task

MIRROR = "HF_STILTS_DATA"


def load(
    task: Task | str,
    split: str = "train",
    language: str = "en",
    *,
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> datasets.Dataset:
    """One split of a task in one language, with canonical columns.

    Args:
        task: a task or its name.
        split: `train`, `validation` or `test`; the task knows what the data set calls it.
        language: two-letter code, one of `task.languages`.
        limit: at most so many rows, the first ones; no more is read, and from the Hub no more is downloaded, than they need.
        data_dir: a mirror: `<data_dir>/<owner>/<name>/` is what a clone of that data set's repository would be. Without it the
            environment variable `HF_STILTS_DATA` names the mirror, and without that the rows come from the Hub.

    Returns:
        The columns of `hf_stilts.task.KINDS[task.kind]`, and `id` where there is one. Labels and tags are ids into `task.labels`
        (`ClassLabel`); -1 says that a row has no gold label.

    Raises:
        StiltsError: the task does not have this language or split, or its rows do not have the form that it declares.
        FileNotFoundError: the mirror lacks the data set; the message says which command builds it.
        ConnectionError: the Hub cannot be reached, or `HF_HUB_OFFLINE` is set and the revision is not in the cache.
    """
    task = load_task(task)
    if limit is not None and limit < 1:
        raise StiltsError(f"limit={limit} asks for no rows. Give 1 or more, or None for all.")
    with _reaching(task):
        builder = _builder(task, language, data_dir)
        stored = _stored_split(task, split, language, builder)
        if limit is not None:
            return canonical(builder.as_streaming_dataset(stored), task, limit=limit)
        builder.download_and_prepare()
    return canonical(builder.as_dataset(stored), task)


def data_revision(task: Task | str, language: str = "en", data_dir: str | os.PathLike[str] | None = None) -> str:
    """What identifies the rows that `load` gives: a commit sha on the Hub, or `mirror:` and 12 hex digits of the files' content.

    Raises:
        As `load`.
    """
    task = load_task(task)
    if mirror_folder(task, data_dir) is not None:
        return str(_builder(task, language, data_dir).config.description)
    if task.revision is not None and re.fullmatch("[0-9a-f]{40}", task.revision):
        return task.revision
    with _reaching(task):
        return str(HfApi().dataset_info(task.dataset, revision=task.revision).sha)


def mirror_folder(task: Task, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Folder of the task's data set in the mirror that `load` would read; None when it would read the Hub."""
    root = data_dir if data_dir is not None else os.environ.get(MIRROR)
    return Path(root).expanduser() / task.dataset if root else None


def _builder(task: Task, language: str, data_dir: str | os.PathLike[str] | None) -> datasets.DatasetBuilder:
    if language not in task.languages:
        raise StiltsError(f"Task {task.name} has no language {language!r}. It has: {', '.join(task.languages)}.")
    config, folder = task.config_for(language), mirror_folder(task, data_dir)
    if folder is None:
        return _hub_builder(task, config)
    if not (folder / "README.md").is_file():
        raise FileNotFoundError(
            f"The mirror has no {task.dataset}: there is no {folder / 'README.md'}. {_how_to_build(task)}"
        )
    try:
        files = datasets.load_dataset_builder(str(folder), config).config.data_files
    except (ValueError, FileNotFoundError) as error:
        raise FileNotFoundError(
            f"{folder} does not hold configuration {config!r}: {error} {_how_to_build(task)}"
        ) from error
    # `datasets` keys its cache for such a folder by the folder's name and card alone, so an edited file, or a second mirror, would
    # give the old rows. The description goes into the key: it names the content.
    content = digest(folder, [Path(file) for split in files.values() for file in split])
    return datasets.load_dataset_builder(str(folder), config, description=f"mirror:{content}")


def _hub_builder(task: Task, config: str | None) -> datasets.DatasetBuilder:
    try:
        # hf://, because a folder google/xquad below the working directory would otherwise be taken for the repository
        builder = datasets.load_dataset_builder(f"hf://datasets/{task.dataset}", config, revision=task.revision)
    except ValueError as error:
        raise StiltsError(
            f"{task.dataset} on the Hub does not give configuration {config!r} at revision {task.revision}: {error} "
            f"Correct config= or revision= of task {task.name}."
        ) from error
    # Without a network `datasets` falls back to any revision that is in its cache.
    if task.revision is not None and builder.hash != task.revision:
        raise ConnectionError(f"the cache holds {task.dataset} at {builder.hash}, not at the pinned {task.revision}")
    return builder


def _stored_split(task: Task, split: str, language: str, builder: datasets.DatasetBuilder) -> str:
    stored = task.split_for(split)
    present = list(builder.config.data_files or builder.info.splits or {})
    if stored in present:
        return stored
    called = "" if stored == split else f" (called {stored!r} there)"
    train = (
        f" Its English training rows are those of: {', '.join(task.train)}." if task.train and split == "train" else ""
    )
    raise StiltsError(
        f"Task {task.name} has no split {split!r}{called} in language {language!r}. It has: {', '.join(present)}.{train} "
        f"Ask for one of these."
    )


@contextmanager
def _reaching(task: Task) -> Iterator[None]:
    """Say what to do when the Hub is out of reach or does not have the data set."""
    try:
        yield
    except (DatasetNotFoundError, RepositoryNotFoundError) as error:
        raise StiltsError(
            f"Task {task.name} reads {task.dataset}, which the Hub does not show: {error} Expected a data set repository that you "
            "may read. Correct dataset= and revision=, or run: hf auth login"
        ) from error
    except (ConnectionError, HTTPError, LocalEntryNotFoundError) as error:
        raise ConnectionError(
            f"The rows of task {task.name} are on the Hub ({task.dataset}), which cannot be reached: {error}. Expected a network, or "
            f"a mirror on this machine. {_how_to_build(task)}; then pass data_dir=DIR or set {MIRROR}=DIR."
        ) from error


def _how_to_build(task: Task) -> str:
    prefetch = f"Run: hf-stilts data prefetch {task.name} --out DIR (where there is a network)"
    if importlib.util.find_spec(f"hf_stilts.dataset_scripts.{task.name}") is None:
        return prefetch
    return f"{prefetch}, or: hf-stilts data build {task.name} --raw DIR --out DIR (from the publisher's files)"
