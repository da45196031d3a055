"""Where the rows of a task are, a mirror on this machine or the Hub, and what to type where they are in neither."""

from __future__ import annotations

import glob
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from hf_stilts.data.mirror import CARD, Configuration, read_configuration
from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json
from hf_stilts.options import MIRROR, check_mirror
from hf_stilts.task import Task, list_tasks, load_task

if TYPE_CHECKING:
    import datasets
    from datasets.packaged_modules.cache.cache import Cache


_COMMIT = re.compile("[0-9a-f]{40}")
# The Hub's client lets its HTTP library's errors through; which library that is depends on the client's version.
UNREACHABLE: tuple[type[Exception], ...] = (ConnectionError, LocalEntryNotFoundError, HfHubHTTPError.__bases__[0])


def mirror_folder(task: Task, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Folder of the task's data set in the mirror that `load` would read; None when it would read the Hub."""
    root = mirror_root(data_dir)
    return root / task.dataset if root else None


def mirror_root(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Folder of the mirror that `load` would read; None when it would read the Hub."""
    root = data_dir if data_dir is not None else os.environ.get(MIRROR)
    if root and "::" in str(Path(root).expanduser().resolve()):
        raise StiltsError(
            f"The path of the mirror {root} holds '::', which the libraries take for a file within an archive. "
            "Expected a folder without it. Rename it."
        )
    return Path(root).expanduser() if root else None


def commit_of(task: Task, config: str | None = None) -> str:
    """Commit of the data set that is read from the Hub: the pinned one, or the newest.

    Without a network the newest is the newest of the cache, which holds each configuration of its own: `config`.
    """
    _refuse_what_no_hub_has(task)
    if task.revision is not None and _COMMIT.fullmatch(task.revision):
        return task.revision
    with reaching(task):
        try:
            return str(HfApi().dataset_info(task.dataset, revision=task.revision).sha)
        except UNREACHABLE:
            if task.revision is not None:
                raise
            source = _on_the_hub(task, config)
            return source.folder.name if isinstance(source, Configuration) else str(source.hash)


def config_of(task: Task, language: str) -> str | None:
    """Name of the configuration that holds a language, which must be one of the task's."""
    if language not in task.languages:
        raise StiltsError(
            f"Task {task.name} has no language {language!r}. Give one that it has: {', '.join(task.languages)}."
        )
    return task.config_for(language)


def source_of(
    task: Task, language: str, data_dir: str | os.PathLike[str] | None
) -> Configuration | datasets.DatasetBuilder:
    """A configuration of a mirror, or what reads it from the Hub where no mirror was named."""
    config = config_of(task, language)
    return mirrored(task, config, data_dir) or _on_the_hub(task, config)


def mirrored(task: Task, config: str | None, data_dir: str | os.PathLike[str] | None) -> Configuration | None:
    """A configuration of the mirror that was named, by argument or environment; None where none was."""
    check_mirror(data_dir)
    folder = mirror_folder(task, data_dir)
    if folder is None:
        return None
    if not (folder / CARD).is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise FileNotFoundError(
                f"{folder} has files and no {CARD}. Expected the card, which is written last, so that half a copy is "
                f"not read. {_how_to_get(task)}; for files of your own write {folder / CARD}: empty, or with the "
                "configurations in its front matter, as on the Hub."
            )
        raise FileNotFoundError(f"No {folder / CARD}: the mirror lacks {task.dataset}. {_how_to_get(task)}.")
    try:
        return read_configuration(folder, config)
    except (ValueError, FileNotFoundError) as error:
        missing = f"{folder} does not hold configuration {config!r}: {error}"
        fewer = "To do without it, name the others: --languages. " if "{" in (task.config or "") else ""
        raise FileNotFoundError(f"{missing}. {fewer}{_how_to_get(task)}.") from error


def hub_builder(task: Task, config: str | None) -> datasets.DatasetBuilder:
    """What reads a configuration from the Hub at the pinned commit, or from the cache of an earlier time."""
    import datasets
    from datasets.packaged_modules.cache.cache import Cache

    _refuse_what_no_hub_has(task)
    try:
        # hf://, because a folder google/xquad below the working directory would be taken for the repository otherwise
        builder = datasets.load_dataset_builder(f"hf://datasets/{task.dataset}", config, revision=task.revision)
    except ValueError as error:
        if "Couldn't find cache" in str(error):  # the Hub was out of reach, which `datasets` does not say here
            raise ConnectionError(f"the cache does not hold configuration {config!r}") from error
        raise StiltsError(
            f"{task.dataset} on the Hub does not give configuration {config!r} at revision {task.revision}: "
            f"{_without_list(error)}. "
            f"Correct config= or revision= of task {task.name}, or build what the Hub lacks. {_how_to_get(task)}."
        ) from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise StiltsError(
            f"{task.dataset} on the Hub is a loading script, which `datasets` no longer runs; expected Parquet or JSON "
            f"lines. {_how_to_get(task, readable=False)}; then pass --data-dir DIR (data_dir=) or set {MIRROR}=DIR."
        ) from error
    # Out of reach of the Hub, `datasets` falls back to the newest in its cache, of whatever revision.
    if isinstance(builder, Cache) and task.revision is not None and builder.hash != task.revision:
        return _cached(builder, task.revision)
    return builder


def _on_the_hub(task: Task, config: str | None) -> Configuration | datasets.DatasetBuilder:
    """What reads a configuration from the Hub; without a network, from what an earlier time left in the caches."""
    from datasets.packaged_modules.cache.cache import Cache

    try:
        builder = hub_builder(task, config)
    except UNREACHABLE:
        kept = _kept_text_files(task, config)
        if kept is None:
            raise
        return kept
    return (_kept_text_files(task, config) if isinstance(builder, Cache) else None) or builder


def text_files(task: Task, builder: datasets.DatasetBuilder) -> Configuration | None:
    """CSV and JSON of the Hub read as those of a mirror, without a guess at types; None for files of other formats.

    The files of all splits come into the cache of the Hub's client.
    """
    from datasets.packaged_modules.csv.csv import Csv
    from datasets.packaged_modules.json.json import Json

    if not isinstance(builder, Csv | Json):
        return None
    root = f"hf://datasets/{task.dataset}@{builder.hash}/"
    paths = [path.removeprefix(root) for files in builder.config.data_files.values() for path in files]
    # The client takes patterns, and the name of a file may look like one.
    wanted = [CARD, *map(glob.escape, paths)]
    folder = Path(snapshot_download(task.dataset, repo_type="dataset", revision=task.revision, allow_patterns=wanted))
    write_json(_note(task, folder, builder.config.name), paths)
    return read_configuration(folder, builder.config.name)


def _kept_text_files(task: Task, config: str | None) -> Configuration | None:
    """What `text_files` left in the cache; None where there is nothing, or not all of it."""
    try:
        # Without a pattern the client wants the whole repository, which was never asked for.
        folder = Path(
            snapshot_download(
                task.dataset,
                repo_type="dataset",
                revision=task.revision,
                allow_patterns=[CARD],
                local_files_only=True,
            )
        )
        kept = read_configuration(folder, config)
        paths = json.loads(_note(task, folder, kept.name).read_text(encoding="utf-8"))
    except (LocalEntryNotFoundError, FileNotFoundError, ValueError):
        return None
    return kept if all((folder / path).is_file() for path in paths) else None


def _note(task: Task, folder: Path, config: str) -> Path:
    """Where it is noted which files of a commit make up a configuration: a snapshot may hold a part of them."""
    import datasets

    name = f"{task.dataset.replace('/', '--')}@{folder.name}-{quote(config, safe='')}.json"
    return Path(datasets.config.HF_DATASETS_CACHE) / "text_files" / name


def _cached(newest: Cache, revision: str) -> Cache:
    """The same configuration at another revision, out of the cache as well."""
    from datasets.packaged_modules.cache.cache import Cache

    name = str(newest.config.name)
    for folder in Path(newest.cache_dir).parent.parent.glob(f"*/{revision}"):
        return Cache(
            dataset_name=newest.dataset_name,
            repo_id=newest.repo_id,
            config_name=name,
            version=folder.parent.name,
            hash=revision,
        )
    raise ConnectionError(f"the newest in the cache is of {newest.hash}, not of the pinned {revision}")


def _without_list(error: Exception) -> str:
    """What `datasets` says, without the list of all configurations, of which some data sets have thousands."""
    return str(error).partition(" Available: ")[0].rstrip(".")


def splits_of(source: Configuration | datasets.DatasetBuilder) -> list[str]:
    """Names of the splits that are there, as the data set calls them."""
    if isinstance(source, Configuration):
        return list(source.files)
    return [str(split) for split in source.config.data_files or source.info.splits or ()]


@contextmanager
def reaching(task: Task) -> Iterator[None]:
    """Say what to do when the Hub is out of reach or does not have the data set."""
    try:
        yield
    except Exception as error:
        said = _said(task, error)
        if said is None:
            raise
        raise said from error


def _said(task: Task, error: Exception) -> Exception | None:
    """What to raise instead of an error of `datasets` or of the Hub's client; None for any other."""
    if type(error) is FileNotFoundError or isinstance(error, StiltsError):
        return None  # ours: a mistake of the user does not wait for `datasets`
    import pyarrow as pa
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    if isinstance(error, DatasetNotFoundError | RepositoryNotFoundError):
        return StiltsError(
            f"Task {task.name} reads {task.dataset}, which the Hub does not show: {error} Expected a data set that you "
            "may read. Pass the mirror that it was built into as --data-dir, or correct the task's dataset= and "
            "revision=; to log in: hf auth login"
        )
    if isinstance(error, DatasetGenerationError | pa.ArrowException):
        return StiltsError(
            f"The files of task {task.name} ({task.dataset}) cannot be read: {error.__cause__ or error}. "
            f"Expected Parquet or JSON lines. Get them again. {_how_to_get(task)}."
        )
    if isinstance(error, UNREACHABLE):
        return ConnectionError(
            f"The rows of task {task.name} are on the Hub ({task.dataset}), which cannot be reached: {error}. Expected "
            f"a network, or a mirror here. {_how_to_get(task)}; "
            f"then pass --data-dir DIR (data_dir=) or set {MIRROR}=DIR."
        )
    return None


def _refuse_what_no_hub_has(task: Task) -> None:
    if "/" not in task.dataset:
        raise FileNotFoundError(
            f"The rows of task {task.name} are on no Hub: their publisher does not give them away. Expected a mirror "
            f"here. {_how_to_get(task)}; then pass --data-dir DIR (data_dir=) or set {MIRROR}=DIR."
        )


def _how_to_get(task: Task, *, readable: bool = True) -> str:
    """What to type; `readable` says whether the Hub's copy can be read at all where there is a network."""
    ways = []
    if readable and "/" in task.dataset:
        ways.append(f"hf-stilts data prefetch {task.typed} --out DIR (where there is a network)")
    converter = _converter_of(task.name, task.dataset)
    if converter is not None:
        ways.append(f"hf-stilts data build {converter} --raw DIR --out DIR (from the publisher's files)")
    if not ways:
        return (
            f"No converter makes them. Put files and a {CARD} into DIR/{task.dataset}, as in a data set repository, or "
            f"write the converter dataset_scripts/{task.name}.py"
        )
    return f"Run: {', or: '.join(ways)}"


@cache
def _converter_of(name: str, dataset: str) -> str | None:
    """Converter that makes a data set: that of the task of this name, or of another task that reads the same one.

    Looked up once in a process: a mirror that lacks a data set lacks it in each of its languages.
    """
    if importlib.util.find_spec(f"hf_stilts.dataset_scripts.{name}"):
        return name
    for other in list_tasks():
        if load_task(other).dataset == dataset and importlib.util.find_spec(f"hf_stilts.dataset_scripts.{other}"):
            return other
    return None
