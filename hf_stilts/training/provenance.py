"""What a checkpoint says of the data that it was trained on: data set, commit, rows and licence of every source."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_stilts.augmentation.noisy_rows import load_noisy, stored_tag
from hf_stilts.data.derived import is_tag, parse_tag, row_keys, stored_as
from hf_stilts.data.language_mix import mix_languages
from hf_stilts.data.language_shares import Languages
from hf_stilts.data.load import data_revision, load, load_parts, splits
from hf_stilts.data.source import mirror_root
from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256
from hf_stilts.hub.record import TaskSource
from hf_stilts.task import Task

logger = logging.getLogger(__name__)


def training_rows(
    task: Task,
    languages: Languages | None = None,
    *,
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Training rows of a task: the first English ones, or several languages at shares (`mix_languages`).

    A language may be one of misspelt rows (`en-x-nz10-keyboard-0`), which are made where no mirror holds them.
    """
    if languages is None:
        return load(task, "train", "en", limit=limit, data_dir=data_dir, exclude=exclude)
    return mix_languages(task, languages, limit, data_dir=data_dir, exclude=exclude, rows_of=load_noisy)


def with_validation(
    task: Task, rows: Dataset, *, judged: int | None, limit: int | None, data_dir: str | os.PathLike[str] | None
) -> tuple[Dataset, Dataset, str]:
    """Rows to train on, the English rows to evaluate on, and a description of these for the record and the card.

    They are the first of the validation split. Without one they are `task.held_out` of the English train rows, those
    whose ids have the smallest hashes, and no row of such an id is trained on, whichever its language.

    Args:
        task: what is trained.
        rows: of `training_rows`, or of the caller.
        judged: at most so many rows to evaluate on.
        limit: of the training rows, by which the English ones are the same.
        data_dir: as for `load`.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`; nothing to evaluate on, or nothing left to train on.
    """
    present = splits(task, "en", data_dir)
    if "validation" in present or "train" not in present or not task.held_out or "id" not in rows.column_names:
        dev = load(task, "validation", "en", limit=judged, data_dir=data_dir)
        return rows, dev, f"{len(dev)} rows of the English {task.split_for('validation')} split"
    english = load(task, "train", "en", limit=limit, data_dir=data_dir)
    hashes = {key: _hash(key) for key in row_keys(english)}
    bound = max(int(task.held_out * 2**64), min(hashes.values()) + 1)  # of very few rows, one is held out
    kept = [number for number, key in enumerate(row_keys(rows)) if _hash(key) >= bound]
    if not kept:
        raise StiltsError(
            f"Task {task.name} has {len(rows)} training rows and no validation split; expected two at least, to hold "
            "one out. Add rows or a validation split, or pass eval_dataset=."
        )
    dev = english.select([number for number, key in enumerate(row_keys(english)) if hashes[key] < bound])
    logger.warning(
        "%s has no validation split: %d of its %d training rows, chosen by id, are not trained on; English ones are "
        "evaluated on instead. To change that: held_out=%g in the task's file, or a validation split",
        task.name,
        len(rows) - len(kept),
        len(rows),
        task.held_out,
    )
    dev = dev.select(range(min(judged or len(dev), len(dev))))
    return rows.select(kept), dev, f"{len(dev)} rows held out of the English {task.split_for('train')} split, by id"


def _hash(key: str) -> int:
    """The same on every machine and in every process, as Python's own is not."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def exclusion(exclude: str | os.PathLike[str] | None) -> dict[str, str]:
    """What the recipe of a record says of the rows that were left out: the beginning of the list's sha256."""
    return {"excluded": sha256(Path(exclude))[:16]} if exclude else {}


def languages_of(rows: Any) -> dict[str, int]:
    """Rows of each language, by the column `language`; empty where there is none, or it holds something else."""
    if not isinstance(rows, Dataset) or "language" not in rows.column_names:
        return {}
    found = Counter(rows["language"][:])
    return dict(sorted(found.items())) if all(is_tag(language) for language in found) else {}


def codes_of(languages: Mapping[str, int]) -> tuple[str, ...]:
    """Codes of every language that has words in the rows: of code-switched rows, all that were switched into."""
    return tuple(dict.fromkeys(code for language in languages for code in parse_tag(language).languages))


def sources(
    task: Task,
    rows: int,
    *,
    language: str = "en",
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> tuple[TaskSource, ...]:
    """Sources of a task's training rows: one, or of a task made of parts one for each, all under the task's name.

    Args:
        task: what was trained on.
        rows: how many rows, of all parts together.
        language: of the rows; rows made from the task's own have their tag for a configuration.
        limit: with which the rows were loaded.
        data_dir: from where.
    """
    made_of = stored_tag(task, language, data_dir)
    stored, code = stored_as(task, made_of, mirror_root(data_dir))
    if stored is not task:
        return (
            TaskSource(
                name=task.name,
                dataset=task.dataset if "/" in task.dataset else None,
                config=stored.config,
                revision=data_revision(task, made_of, data_dir=data_dir),
                split="train",
                rows=rows,
                license=task.license,
                language=language,
            ),
        )
    counts = [rows]
    if task.parts:
        counts = [len(part) for part in load_parts(task, "train", code, limit=limit, data_dir=data_dir)]
        if sum(counts) != rows:  # drawn across the parts: how many of each was not noted
            return (TaskSource(task.name, split="train", rows=rows, license=task.license, language=language),)
    return tuple(
        TaskSource(
            name=task.name,
            dataset=source.dataset if "/" in source.dataset else None,
            config=source.config_for(made_of),
            revision=data_revision(source, made_of, data_dir=data_dir),
            split=source.split_for("train"),
            rows=count,
            license=source.license,
            language=language,
        )
        for source, count in zip(task.sources, counts, strict=True)
    )
