"""Rows of a task, from the Hub at its pinned revision or from a mirror of the same layout on this machine."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from huggingface_hub import DatasetCard, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from hf_stilts.data.canonical import canonical, named
from hf_stilts.data.exclusion import read_exclusion
from hf_stilts.data.mirror import CARD, Configuration, describe, read_card, read_configuration, write
from hf_stilts.data.progress import progress_bars
from hf_stilts.data.variety import stored_as, variety
from hf_stilts.task import LABELLED, StiltsError, Task, load_task

MIRROR = "HF_STILTS_DATA"
# The Hub's client lets its HTTP library's errors through; which library that is depends on the client's version.
UNREACHABLE: tuple[type[Exception], ...] = (ConnectionError, LocalEntryNotFoundError, HfHubHTTPError.__bases__[0])


@dataclass(frozen=True)
class Prefetched:
    """What `prefetch` copied for one task: from which repository and commit, into which folder, how many bytes."""

    task: str
    dataset: str
    revision: str
    folder: Path
    files: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class PrefetchReport:
    """What `prefetch` copied into a mirror: for the task itself, then for the tasks that train it."""

    mirror: Path
    parts: tuple[Prefetched, ...]

    def rows(self) -> list[dict[str, object]]:
        """One dictionary a task, for tables."""
        return [vars(part) | {"folder": str(part.folder), "files": len(part.files)} for part in self.parts]

    def __str__(self) -> str:
        return str(self.mirror)


def load(
    task: Task | str,
    split: str = "train",
    language: str = "en",
    *,
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
) -> datasets.Dataset:
    """One split of a task in one language, with canonical columns.

    Args:
        task: a task or its name.
        split: `train`, `validation` or `test`; the task knows what the data set calls it.
        language: two-letter code, one of `task.languages`; or what the task's rows were translated, code-switched or
            transliterated into, which a mirror holds (see `hf_stilts.data.variety`).
        limit: at most so many rows, the first ones; no more is read, or downloaded from the Hub, than they need. Where
            the task joins several splits or tasks, the first ones of each, in equal shares.
        data_dir: a mirror: `<data_dir>/<owner>/<name>/` is what a clone of that data set's repository would be. Without
            it the environment variable `HF_STILTS_DATA` names the mirror; without that the rows come from the Hub.
        exclude: exclusion list (`hf-stilts data overlap`); the rows that it names are left out before `limit` counts.

    Returns:
        The columns of `hf_stilts.task.KINDS[task.kind]`, and `id` where there is one. Labels and tags are ids into
        `task.labels` (`ClassLabel`); -1 says that a row has no gold label.

    Raises:
        StiltsError: the task does not have this language or split, or its rows do not have the form that it declares.
        FileNotFoundError: the mirror lacks the data set; the message says which command builds it.
        ConnectionError: the Hub cannot be reached, or `HF_HUB_OFFLINE` is set and the revision is not in the cache.
    """
    task = load_task(task)
    if limit is not None and limit < 1:
        raise StiltsError(f"limit={limit} asks for no rows. Give 1 or more, or None for all.")
    if exclude is not None:
        rows = _without(exclude, task, split, language, data_dir)
        return rows if limit is None else rows.select(range(min(limit, len(rows))))
    task, language = stored_as(task, language, mirror_root(data_dir))
    task = labelled(task, data_dir)
    if task.parts:
        return datasets.concatenate_datasets(load_parts(task, split, language, limit=limit, data_dir=data_dir))
    with _reaching(task):
        source = _source(task, language, data_dir)
        stored = _stored_splits(task, split, language, _splits(source))
        shared = zip(stored, _shares(limit, len(stored)), strict=True)
        rows = [_read(task, source, name, language, share) for name, share in shared if share != 0]
        return datasets.concatenate_datasets(rows)


def load_parts(
    task: Task,
    split: str,
    language: str = "en",
    *,
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[datasets.Dataset]:
    """As `load`, of a task that is made of others: the rows of each of `task.sources`, with the labels of the whole."""
    found = []
    for source, share in zip(task.sources, _shares(limit, len(task.sources)), strict=True):
        rows = canonical(load(source, split, language, limit=share or limit, data_dir=data_dir), task)
        found.append(rows if share is None else rows.select(range(min(share, len(rows)))))
    return found


def _shares(limit: int | None, count: int) -> list[int | None]:
    """Equal shares of the limit: the first 500 rows of ANLI+ are of all its parts."""
    return [None if limit is None else limit // count + (place < limit % count) for place in range(count)]


def _read(
    task: Task, source: Configuration | datasets.DatasetBuilder, split: str, language: str, limit: int | None
) -> datasets.Dataset:
    stream = limit is not None
    builder = source.builder(split, stream=stream) if isinstance(source, Configuration) else source
    if stream:
        return canonical(builder.as_streaming_dataset(split), task, language=language, limit=limit)
    with progress_bars(builder.info.download_size):
        # Sizes in a card are often older than the files beside it; the revision or digest says what the files are.
        builder.download_and_prepare(verification_mode="no_checks")
        return canonical(builder.as_dataset(split), task, language=language)


def labelled(task: Task | str, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """The task with its class names: its own, or where its file gives none those that its data set names.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task = load_task(task)
    if task.labels or task.parts or task.kind not in LABELLED:
        return task
    language = "en" if "en" in task.languages else task.languages[0]
    with _reaching(task):
        source = _source(task, language, data_dir)
    return named(task, source.features if isinstance(source, Configuration) else source.info.features)


def load_candidates(task: Task | str, *, data_dir: str | os.PathLike[str] | None = None) -> datasets.Dataset | None:
    """Candidates that all languages of a task share, columns `id` and `text`; None where its rows hold their own.

    They stay on disk: a million of them take no memory until they are read.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task = load_task(task)
    if task.candidates is None:
        return None
    # Plain texts, as masked language modelling reads them; the configuration belongs to no one language.
    texts = replace(task, kind="fill-mask", config=task.candidates, columns={}, train=(), languages=("en",))
    return load(texts, "test", "en", data_dir=data_dir)


def data_revision(task: Task | str, language: str = "en", data_dir: str | os.PathLike[str] | None = None) -> str:
    """What identifies the rows that `load` gives: a commit of the Hub, or `mirror:` and 12 hex digits of content.

    Of a task with parts it is that of each: `anli@... mnli@...`.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task, language = stored_as(load_task(task), language, mirror_root(data_dir))
    if task.parts:
        return " ".join(f"{part.name}@{data_revision(part, language, data_dir)}" for part in task.sources)
    mirrored = _mirrored(task, _config(task, language), data_dir)
    return mirrored.revision if mirrored else _commit(task)


def splits(task: Task | str, language: str = "en", data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """Which of train, validation and test `load` can give in a language.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task, language = stored_as(load_task(task), language, mirror_root(data_dir))
    if task.parts:
        each = [splits(part, language, data_dir) for part in task.sources]
        return tuple(split for split in each[0] if all(split in others for others in each))
    with _reaching(task):
        present = set(_splits(_source(task, language, data_dir)))
    return tuple(split for split in ("train", "validation", "test") if present >= {*task.split_for(split).split("+")})


def served(task: Task | str, data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """Languages that are evaluated where none is asked for: in a mirror all, from the Hub all but `task.built`."""
    task = load_task(task)
    built = task.built if mirror_root(data_dir) is None else ()
    return tuple(language for language in task.languages if language not in built)


def mirror_folder(task: Task, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Folder of the task's data set in the mirror that `load` would read; None when it would read the Hub."""
    root = mirror_root(data_dir)
    return root / task.dataset if root else None


def mirror_root(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Folder of the mirror that `load` would read; None when it would read the Hub."""
    root = data_dir if data_dir is not None else os.environ.get(MIRROR)
    return Path(root).expanduser() if root else None


def _without(
    exclude: str | os.PathLike[str], task: Task, split: str, language: str, data_dir: str | os.PathLike[str] | None
) -> datasets.Dataset:
    """Rows of a split without those that an exclusion list names, as this language or as what it was made from."""
    exclusion = read_exclusion(exclude, task.name, split)
    stored, _ = stored_as(task, language, mirror_root(data_dir))
    names: dict[str, str | None] = {language: data_revision(task, language, data_dir)}
    if stored is not task:
        made = variety(str(stored.config))
        names |= {str(stored.config): names[language], made.source or made.language: None}
    return exclusion.without(load(task, split, language, data_dir=data_dir), names)


def prefetch(task: Task | str, out: str | os.PathLike[str], languages: Iterable[str] | None = None) -> PrefetchReport:
    """Copy what a task reads, and the tasks that train it, from the Hub into a mirror, at the pinned commits.

    Args:
        task: a task or its name.
        out: the mirror; what it already holds of other tasks stays.
        languages: two-letter codes; all of the task's that the Hub has when None.

    Returns:
        What was copied, task by task.

    Raises:
        StiltsError, ConnectionError: as `load`. Files that have come stay, and a second call goes on from there; the
            card, which makes them visible to `load`, is written last.
    """
    task, mirror = load_task(task), Path(out).expanduser()
    wanted = tuple(languages or (code for code in task.languages if code not in task.built))
    own = [(source, wanted) for source in task.sources]
    trained_on = [(source, ("en",)) for name in task.train for source in load_task(name).sources]
    return PrefetchReport(mirror, tuple(_prefetch(source, mirror, codes) for source, codes in [*own, *trained_on]))


def _prefetch(task: Task, out: Path, languages: tuple[str, ...]) -> Prefetched:
    revision, folder = _commit(task), out / task.dataset
    root = f"hf://datasets/{task.dataset}@{revision}/"
    files, infos = {}, {}
    with _reaching(task):
        shared = [] if task.candidates is None else [task.candidates]
        for config in dict.fromkeys([*(_config(task, language) for language in languages), *shared]):
            builder = _hub_builder(replace(task, revision=revision), config)
            if not builder.config.data_files:
                raise ConnectionError("only the cache of an earlier load was found, which is no copy of its files")
            name = config or builder.config.name
            files[name] = {
                split: [path.removeprefix(root) for path in paths] for split, paths in builder.config.data_files.items()
            }
            infos[name] = builder.info
        paths = sorted({path for splits in files.values() for paths in splits.values() for path in paths})
        snapshot_download(task.dataset, repo_type="dataset", revision=revision, allow_patterns=paths, local_dir=folder)
        card = read_card(folder / CARD) if (folder / CARD).is_file() else _foreign_card(task, revision)
    describe(card, files, infos)
    write(folder / CARD, str(card))
    size = sum((folder / path).stat().st_size for path in paths)
    return Prefetched(task.name, task.dataset, revision, folder, tuple(paths), size)


def _foreign_card(task: Task, revision: str) -> DatasetCard:
    """The repository's own card, without the configurations: it names files that a mirror of a part does not have."""
    try:
        card = read_card(Path(hf_hub_download(task.dataset, CARD, repo_type="dataset", revision=revision)))
    except EntryNotFoundError:
        return read_card(None)
    card.data.pop("configs", None)
    card.data.pop("dataset_info", None)
    return card


def _commit(task: Task) -> str:
    if task.revision is not None and re.fullmatch("[0-9a-f]{40}", task.revision):
        return task.revision
    with _reaching(task):
        return str(HfApi().dataset_info(task.dataset, revision=task.revision).sha)


def _config(task: Task, language: str) -> str | None:
    if language not in task.languages:
        raise StiltsError(
            f"Task {task.name} has no language {language!r}. Give one that it has: {', '.join(task.languages)}."
        )
    return task.config_for(language)


def _source(
    task: Task, language: str, data_dir: str | os.PathLike[str] | None
) -> Configuration | datasets.DatasetBuilder:
    config = _config(task, language)
    mirrored = _mirrored(task, config, data_dir)
    if mirrored is None and "/" not in task.dataset:
        raise FileNotFoundError(
            f"The rows of task {task.name} are on no Hub: their publisher does not give them away. Expected a mirror "
            f"here. {_how_to_get(task)}; then pass data_dir=DIR or set {MIRROR}=DIR."
        )
    return mirrored or _hub_builder(task, config)


def _mirrored(task: Task, config: str | None, data_dir: str | os.PathLike[str] | None) -> Configuration | None:
    folder = mirror_folder(task, data_dir)
    if folder is None:
        return None
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"No {folder / CARD}: the mirror lacks {task.dataset}. {_how_to_get(task)}.")
    try:
        return read_configuration(folder, config)
    except (ValueError, FileNotFoundError) as error:
        missing = f"{folder} does not hold configuration {config!r}: {error}"
        raise FileNotFoundError(f"{missing}. {_how_to_get(task)}.") from error


def _hub_builder(task: Task, config: str | None) -> datasets.DatasetBuilder:
    try:
        # hf://, because a folder google/xquad below the working directory would be taken for the repository otherwise
        builder = datasets.load_dataset_builder(f"hf://datasets/{task.dataset}", config, revision=task.revision)
    except ValueError as error:
        if "Couldn't find cache" in str(error):  # the Hub was out of reach, which `datasets` does not say here
            raise ConnectionError(f"the cache does not hold configuration {config!r}") from error
        raise StiltsError(
            f"{task.dataset} on the Hub does not give configuration {config!r} at revision {task.revision}: {error}. "
            f"Correct config= or revision= of task {task.name}, or build what the Hub lacks. {_how_to_get(task)}."
        ) from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise StiltsError(
            f"{task.dataset} on the Hub is a loading script, which `datasets` no longer runs; expected Parquet or JSON "
            f"lines. {_how_to_get(task)}; then pass data_dir=DIR or set {MIRROR}=DIR."
        ) from error
    # Out of reach of the Hub, `datasets` falls back to the newest in its cache, of whatever revision.
    if task.revision is not None and builder.hash != task.revision:
        raise ConnectionError(f"the newest in the cache is of {builder.hash}, not of the pinned {task.revision}")
    return builder


def _splits(source: Configuration | datasets.DatasetBuilder) -> list[str]:
    if isinstance(source, Configuration):
        return list(source.files)
    return [str(split) for split in source.config.data_files or source.info.splits or ()]


def _stored_splits(task: Task, split: str, language: str, present: list[str]) -> list[str]:
    joined = task.split_for(split)
    stored = joined.split("+")
    if set(stored) <= set(present):
        return stored
    called = "" if joined == split else f" (called {joined!r} there)"
    train = (
        f" Its English training rows are those of {', '.join(task.train)}." if split == "train" and task.train else ""
    )
    raise StiltsError(
        f"Task {task.name} has no split {split!r}{called} in language {language!r}.{train} "
        f"Ask for one that is there: {', '.join(present)}."
    )


@contextmanager
def _reaching(task: Task) -> Iterator[None]:
    """Say what to do when the Hub is out of reach or does not have the data set."""
    try:
        yield
    except (DatasetNotFoundError, RepositoryNotFoundError) as error:
        raise StiltsError(
            f"Task {task.name} reads {task.dataset}, which the Hub does not show: {error} Expected a data set that you "
            "may read. Correct dataset= and revision=, or run: hf auth login"
        ) from error
    except (DatasetGenerationError, pa.ArrowException) as error:
        raise StiltsError(
            f"The files of task {task.name} ({task.dataset}) cannot be read: {error.__cause__ or error}. "
            f"Expected Parquet or JSON lines. Get them again. {_how_to_get(task)}."
        ) from error
    except UNREACHABLE as error:
        raise ConnectionError(
            f"The rows of task {task.name} are on the Hub ({task.dataset}), which cannot be reached: {error}. Expected "
            f"a network, or a mirror here. {_how_to_get(task)}; then pass data_dir=DIR or set {MIRROR}=DIR."
        ) from error


def _how_to_get(task: Task) -> str:
    ways = [
        f"hf-stilts data prefetch {task.name} --out DIR (where there is a network)" if "/" in task.dataset else "",
        f"hf-stilts data build {task.name} --raw DIR --out DIR (from the publisher's files)"
        if importlib.util.find_spec(f"hf_stilts.dataset_scripts.{task.name}")
        else "",
    ]
    return f"Run: {', or: '.join(filter(None, ways))}"
