"""Training rows of one task in several languages, at given shares, with the number of examples held equal."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hf_stilts.data.derived import row_keys
from hf_stilts.data.language_shares import Languages, shares
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError
from hf_stilts.progress import progress_bars
from hf_stilts.task import Task, load_task

if TYPE_CHECKING:
    from datasets import Dataset


logger = logging.getLogger(__name__)


def counts(of: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Rows of each language: `total` by largest remainder, the earlier language first where remainders are equal.

    >>> counts(shares("en,de,sw"), 10)
    {'en': 4, 'de': 3, 'sw': 3}
    """
    exact = {language: share * total for language, share in of.items()}
    found = {language: math.floor(each) for language, each in exact.items()}
    by_remainder = sorted(exact, key=lambda language: found[language] - exact[language])  # sorting keeps the order
    for language in by_remainder[: total - sum(found.values())]:
        found[language] += 1
    return found


def mix_languages(
    task: Task | str,
    languages: Languages,
    total: int | None = None,
    *,
    seed: int = 0,
    split: str = "train",
    data_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
    rows_of: Callable[..., Dataset] = load,
) -> Dataset:
    """Rows of a task in one or more languages, at exact shares.

    The rows depend on the arguments alone; those of one language are among those of a larger total. An example that is
    there in several languages, as translations are, is taken in one of them, and in a second one only where a language
    has no other rows left: of translations, all arms of a comparison hold as many different examples. (Which rows are
    translations of each other is known by `row_keys`.)

    Args:
        task: a task or its name.
        languages: what `shares` takes. A language is one of the task's own, or one that its rows were made into
            (`hf_stilts.data.derived`). A share of 0 gives no rows, and counts for the default of `total`.
        total: rows of all languages together. Default: as many as the smallest of the languages has rows, which keeps
            the total equal over all shares of the same languages.
        seed: chooses the rows and their order.
        split: canonical split.
        data_dir: as for `load`.
        exclude: as for `load`.
        rows_of: what gives the rows of one language, in place of `load`.

    Returns:
        Canonical rows, shuffled, with a column `language` that holds the language as it was asked for.

    Raises:
        StiltsError: a language has too few rows, or as `shares` and `load`.
    """
    task, of = load_task(task), shares(languages)
    rows = {language: rows_of(task, split, language, data_dir=data_dir, exclude=exclude) for language in of}
    if total is None:
        total = min(map(len, rows.values()))
    if total < 1:
        raise StiltsError(f"total={total} asks for no rows. Give 1 or more, or None for as many as there are.")
    needed = counts(of, total)
    for language, number in needed.items():
        if len(rows[language]) < number:
            possible = min(math.floor(len(rows[each]) / share) for each, share in of.items() if share)
            raise StiltsError(
                f"Task {task.name} has {len(rows[language])} rows of {split} in {language!r}; a share of "
                f"{float(of[language]):g} of {total} needs {number}. Give a smaller share, or a total of {possible} or "
                f"less (--limit {possible})."
            )
    chosen = _choose({language: row_keys(rows[language]) for language in of}, needed, seed)
    return _gathered(rows, chosen, seed)


def _choose(keys: Mapping[str, list[str]], needed: Mapping[str, int], seed: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers of each language, by one order of the keys for all languages; the scarcest language chooses first."""
    chosen: dict[str, NDArray[np.int64]] = {}
    taken: set[str] = set()
    again = 0
    for language in sorted(needed, key=lambda each: len(keys[each]) - needed[each]):
        if not needed[language]:
            chosen[language] = np.empty(0, np.int64)
            continue
        order = np.argsort([_hash(seed, key) for key in keys[language]], kind="stable")
        used = np.array([keys[language][number] in taken for number in order])
        found = np.concatenate([order[~used], order[used]])[: needed[language]]
        again += max(0, needed[language] - int((~used).sum()))
        taken.update(keys[language][number] for number in found)
        chosen[language] = found
    if again:
        logger.warning("%d of %d examples are there in more than one language.", again, sum(needed.values()))
    return chosen


def _gathered(rows: Mapping[str, Dataset], chosen: Mapping[str, NDArray[np.int64]], seed: int) -> Dataset:
    from datasets import concatenate_datasets

    with_rows = [language for language in rows if len(chosen[language])]
    in_all = set.intersection(*(set(each.column_names) for each in rows.values()))
    columns = [name for name in rows[with_rows[0]].column_names if name in in_all]
    parts = []
    with progress_bars(sum(each.data.nbytes for each in rows.values())):
        for language in with_rows:
            # The column comes before the choice: after it, all rows would be copied.
            own = rows[language].select_columns(columns).add_column("language", [language] * len(rows[language]))
            parts.append(own.select(chosen[language]))
        mixed = concatenate_datasets(parts)
    return mixed.select(np.random.default_rng(seed).permutation(len(mixed)))


def _hash(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {key}".encode(), digest_size=8).digest(), "big") >> 1
