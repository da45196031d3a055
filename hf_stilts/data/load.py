"""Rows of a task, from the Hub at its pinned revision or from a mirror of the same layout on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hf_stilts.data.canonical import canonical, named
from hf_stilts.data.derived import parse_tag, stored_as
from hf_stilts.data.exclusion import read_exclusion
from hf_stilts.data.mirror import Configuration
from hf_stilts.data.source import (
    commit_of,
    config_of,
    mirror_root,
    mirrored,
    reaching,
    source_of,
    splits_of,
    text_files,
)
from hf_stilts.errors import StiltsError
from hf_stilts.progress import progress_bars
from hf_stilts.task import SPLITS, Task, load_task

if TYPE_CHECKING:
    import datasets


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
            transliterated into, which a mirror holds (see `hf_stilts.data.derived`).
        limit: at most so many rows, the first ones; no more is read, or downloaded from the Hub, than they need; of
            CSV and JSON the whole files. Where the task joins several splits or tasks, the first ones of each, in
            equal shares.
        data_dir: a mirror: `<data_dir>/<owner>/<name>/` is what a clone of that data set's repository would be. Without
            it the environment variable `HF_STILTS_DATA` names the mirror; without that the rows come from the Hub.
        exclude: exclusion list (`hf-stilts data overlap`); the rows that it names are left out before `limit` counts.

    Returns:
        The columns of `task.declaration.columns`, and `id`, but for kinds whose rows are whole corpora. Where
        the data set has no ids, it is the number of the stored row, from 0 (`r2-17` where several splits are joined,
        `mnli-17` of a task that is made of others). Labels and tags are ids into `task.labels` (`ClassLabel`); -1 says
        that a row has no gold label.

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
        return _joined(load_parts(task, split, language, limit=limit, data_dir=data_dir))
    with reaching(task):
        source = source_of(task, language, data_dir)
        stored = _stored_splits(task, split, language, splits_of(source))
        shared = zip(stored, _shares(limit, len(stored)), strict=True)
        rows = [
            _read(task, source, name, language, share, "{}" if len(stored) == 1 else f"{name}-{{}}")
            for name, share in shared
            if share != 0
        ]
        return _joined(rows)


def _joined(parts: list[datasets.Dataset]) -> datasets.Dataset:
    import datasets

    return parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)


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
        keys = [f"{source.name}-{key}" for key in rows["id"][:]]
        rows = rows.remove_columns("id").add_column("id", keys)
        found.append(rows if share is None else rows.select(range(min(share, len(rows)))))
    return found


def _shares(limit: int | None, count: int) -> list[int | None]:
    """Equal shares of the limit: the first 500 rows of ANLI+ are of all its parts."""
    return [None if limit is None else limit // count + (place < limit % count) for place in range(count)]


def _read(
    task: Task,
    source: Configuration | datasets.DatasetBuilder,
    split: str,
    language: str,
    limit: int | None,
    number: str,
) -> datasets.Dataset:
    if not isinstance(source, Configuration):
        source = text_files(task, source) or source
    stream = limit is not None
    builder = source.builder(split, stream=stream) if isinstance(source, Configuration) else source
    if stream:
        return canonical(builder.as_streaming_dataset(split), task, language=language, limit=limit, number=number)
    with progress_bars(builder.info.download_size):
        # Sizes in a card are often older than the files beside it; the revision or digest says what the files are.
        builder.download_and_prepare(verification_mode="no_checks")
        return canonical(builder.as_dataset(split), task, language=language, number=number)


def labelled(task: Task | str, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """The task with its class names: its own, or where its file gives none those that its data set names.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task = load_task(task)
    if task.labels or task.parts or not task.declaration.labelled:
        return task
    language = "en" if "en" in task.languages else task.languages[0]
    with reaching(task):
        source = source_of(task, language, data_dir)
        features = source.features if isinstance(source, Configuration) else source.info.features
        if features is None:  # the card does not say the types, so the files must
            split = next(iter(splits_of(source)))
            builder = source.builder(split, stream=True) if isinstance(source, Configuration) else source
            features = builder.as_streaming_dataset(split)._resolve_features().features
    return named(task, features)


def load_candidates(task: Task | str, *, data_dir: str | os.PathLike[str] | None = None) -> datasets.Dataset | None:
    """Candidates that all languages of a task share, columns `id` and `text`; None where its rows hold their own.

    They stay on disk: a million of them take no memory until they are read.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task = load_task(task)
    kind = task.declaration.candidates_kind
    if task.candidates is None:
        return None
    if kind is None:
        raise StiltsError(
            f"Task {task.name} has candidates={task.candidates!r}; languages of a {task.kind} task share none. Leave "
            "candidates= out of its file."
        )
    # The configuration belongs to no one language.
    texts = replace(task, kind=kind, config=task.candidates, columns={}, train=(), languages=("en",))
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
    config = config_of(task, language)
    stored = mirrored(task, config, data_dir)
    return stored.revision if stored else commit_of(task, config)


def splits(task: Task | str, language: str = "en", data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """Which of train, validation and test `load` can give in a language.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task, language = stored_as(load_task(task), language, mirror_root(data_dir))
    if task.parts:
        each = [splits(part, language, data_dir) for part in task.sources]
        return tuple(split for split in each[0] if all(split in others for others in each))
    with reaching(task):
        present = set(splits_of(source_of(task, language, data_dir)))
    return tuple(split for split in SPLITS if present >= {*task.split_for(split).split("+")})


def served(task: Task | str, data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """Languages that are evaluated where none is asked for: in a mirror all, from the Hub all but `task.built`."""
    task = load_task(task)
    built = task.built if mirror_root(data_dir) is None else ()
    return tuple(language for language in task.languages if language not in built)


def present(
    task: Task | str,
    split: str,
    languages: Sequence[str] | None = None,
    *,
    available: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
) -> tuple[str, ...]:
    """Languages in which a split is there, before anything of it is read.

    Args:
        task: a task or its name.
        split: canonical split.
        languages: those that are asked for; default: `served`.
        available: leave out those that are not there, instead of refusing them.
        data_dir: as for `load`.

    Raises:
        StiltsError: some are missing, and `available` is false, or all are: which, the first one's reason, and what to
            type for the rest.
        ConnectionError: as `load`.
    """
    task = load_task(task)
    asked = tuple(languages or served(task, data_dir))
    missing: dict[str, Exception] = {}
    for language in asked:
        try:
            if split not in (there := splits(task, language, data_dir)):
                raise StiltsError(
                    f"Task {task.name} has no split {split!r} in language {language!r}. "
                    f"Ask for one that is there: {', '.join(there)}."
                )
        except (StiltsError, FileNotFoundError) as error:
            missing[language] = error
    found = tuple(language for language in asked if language not in missing)
    if not found:
        raise next(iter(missing.values()))
    if missing and not available:
        first = next(iter(missing))
        raise StiltsError(
            f"{task.name} has no {split} rows here in {len(missing)} of {len(asked)} languages: {', '.join(missing)}. "
            f"Pass --available to do without them, or --languages {','.join(found)}. "
            f"Of {first}: {str(missing[first]).rstrip('.')}."
        )
    return found


def _without(
    exclude: str | os.PathLike[str], task: Task, split: str, language: str, data_dir: str | os.PathLike[str] | None
) -> datasets.Dataset:
    """Rows of a split without those that an exclusion list names, as this language or as what it was made from."""
    exclusion = read_exclusion(exclude, task.name, split)
    stored, _ = stored_as(task, language, mirror_root(data_dir))
    names: dict[str, str | None] = {language: data_revision(task, language, data_dir)}
    if stored is not task:
        made = parse_tag(str(stored.config))
        names |= {str(stored.config): names[language], made.source or made.language: None}
    return exclusion.without(load(task, split, language, data_dir=data_dir), names)


def _stored_splits(task: Task, split: str, language: str, present: list[str]) -> list[str]:
    joined = task.split_for(split)
    stored = joined.split("+")
    if set(stored) <= set(present):
        return stored
    called = "" if joined == split else f" (called {joined!r} there)"
    train = way = ""
    if split == "train" and task.train:
        train = f" Its English training rows are those of {', '.join(task.train)}."
    elif split == "train" and language == "en" and task.has_head:
        way = f' To train it on the English rows of another task: train=("TASK",) in the file of {task.name}.'
    if split == "validation" and not task.held_out and task.split_for("train") in present:
        way = f" To evaluate on a share of the train rows in training: held_out=0.05 in the file of {task.name}."
    raise StiltsError(
        f"Task {task.name} has no split {split!r}{called} in language {language!r}.{train} "
        f"Ask for one that is there: {', '.join(present)}.{way}"
    )
