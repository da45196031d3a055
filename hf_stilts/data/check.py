"""Looks at the first rows of every language and split of a task, and names what is wrong before training does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hf_stilts.data.load import load, served, splits
from hf_stilts.errors import StiltsError
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, load_task

_TEXTS = ("text", "text_pair", "context", "question", "source", "target", "query", "candidate")


@dataclass(frozen=True)
class Checked:
    """One language and split: how many of its rows `check` looked at, and the first fault in them, if any."""

    language: str
    split: str
    rows: int
    fault: str = ""


@dataclass(frozen=True, repr=False)
class CheckReport(Tabular):
    """What `check` found for a task: one `Checked` for every language and split that the data set has."""

    task: str
    checked: tuple[Checked, ...]
    held_out: float = 0
    """Share of the train rows that training evaluates on, where there is no English validation split."""
    untrained: bool = False
    """Whether the target phase has nothing to train on: no English train split, and no other task named for it."""

    @property
    def ok(self) -> bool:
        """No fault anywhere."""
        return not any(each.fault for each in self.checked)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a language and split, for tables; languages that fail alike share one.

        `rows checked` counts the rows that were looked at, not those that the split holds.
        """
        alike: dict[tuple[str, str], list[Checked]] = {}
        for each in self.checked:
            key = (each.split, each.fault) if each.fault else (each.language, each.split)
            alike.setdefault(key, []).append(each)
        rows = []
        for same in alike.values():
            languages = " ".join(each.language for each in same)
            row = {"language": languages, "split": same[0].split, "rows checked": sum(each.rows for each in same)}
            rows.append(row | {"fault": same[0].fault})
        return rows

    def __str__(self) -> str:
        languages = {each.language for each in self.checked}
        failed = {each.language for each in self.checked if each.fault}
        said = f"{self.task}: {len(languages) - len(failed)} of {len(languages)} languages are in order."
        if self.held_out:
            share = f"{100 * self.held_out:g} %"
            said += f" It has no validation split: training holds out {share} of the train rows for it."
        if self.untrained:
            said += (
                f" It has no English train split: it can be scored, and not be trained as a target. To train it on the "
                f'English rows of other tasks: train=("TASK",) in the file of {self.task}.'
            )
        return said


def check(
    task: Task | str,
    languages: Iterable[str] | None = None,
    *,
    limit: int | None = 8,
    data_dir: str | os.PathLike[str] | None = None,
) -> CheckReport:
    """Load the first rows of every language and split; look for faults in columns, labels, offsets and gold pairs.

    Args:
        task: a task or its name.
        languages: two-letter codes; when None all of the task's that the Hub or the mirror serves.
        limit: rows of each split; None for all.
        data_dir: as for `hf_stilts.data.load.load`.

    Raises:
        ConnectionError: the Hub cannot be reached. Every other fault is in the report.
    """
    task = load_task(task)
    chosen = languages or served(task, data_dir)
    checked: tuple[Checked, ...] = ()
    for language in chosen:
        checked += tuple(_language(task, language, limit, data_dir))
    english = [each for each in checked if each.language == "en"]
    # Where a split failed, those behind it were not looked at.
    if not task.has_head or not english or any(each.fault for each in english):
        return CheckReport(task.name, checked)
    there = {each.split for each in english}
    held_out = task.held_out if "train" in there and "validation" not in there else 0
    return CheckReport(task.name, checked, held_out, untrained="train" not in there and not task.train)


def fault(row: dict[str, Any]) -> str:
    """What is wrong with a canonical row, beyond the types of its columns; empty if nothing is.

    >>> fault({"tokens": ["a", "b"], "tags": [0]})
    '2 tokens with 1 tags; expected as many, and one at least'
    """
    missing = next((column for column in _TEXTS if column in row and row[column] is None), None)
    if missing:
        return f"{missing} is missing; expected text"
    if "tokens" in row and not 0 < len(row["tokens"]) == len(row["tags"]):
        return f"{len(row['tokens'])} tokens with {len(row['tags'])} tags; expected as many, and one at least"
    if "choices" in row and row["label"] not in range(-1, len(row["choices"])):
        return f"label {row['label']} of {len(row['choices'])} choices; expected 0 to {len(row['choices']) - 1}"
    if "answers" in row:
        return _answer_fault(row["context"], **row["answers"])
    if "queries" in row:
        return _search_fault(row)
    return _mining_fault(row) if "gold" in row else ""


def _language(
    task: Task, language: str, limit: int | None, data_dir: str | os.PathLike[str] | None
) -> Iterator[Checked]:
    split = ""
    try:
        for split in splits(task, language, data_dir):
            rows = load(task, split, language, limit=limit, data_dir=data_dir)
            faults = ((number, fault(row)) for number, row in enumerate(rows))
            first = next((f"row {number} (the first is 0): {found}" for number, found in faults if found), "")
            yield Checked(language, split, len(rows), first)
    except (StiltsError, FileNotFoundError) as error:
        yield Checked(language, split, 0, str(error))


def _answer_fault(context: str, text: list[str], answer_start: list[int]) -> str:
    for answer, start in zip(text, answer_start, strict=True):
        if start == -1 and answer not in context:  # of a behavioural test: it is compared, and not trained on
            continue
        if start < 0 or not context.startswith(answer, start):
            there = context[start : start + len(answer)]
            return f"at offset {start} the context says {there!r}; expected the answer {answer!r}"
    return ""


def _search_fault(row: dict[str, Any]) -> str:
    for ids, texts in (("query_ids", "queries"), ("candidate_ids", "candidates")):
        if ids in row and not len(row[texts]) == len(row[ids]) == len(set(row[ids])):
            return f"{len(row[texts])} {texts} with {len(set(row[ids]))} different ids; expected as many"
    known = sum(map(bool, row["gold"]))  # a query's right candidates may be in other languages, but there is one
    if not len(row["queries"]) == len(row["gold"]) == known:
        return f"{len(row['queries'])} queries, {known} of them with gold ids; expected all of them"
    return ""


def _mining_fault(row: dict[str, Any]) -> str:
    for side in ("source", "target"):
        ids = row[f"{side}_ids"]
        if len(ids) != len(row[side]) or len(set(ids)) != len(ids):
            return f"{len(row[side])} {side} sentences with {len(set(ids))} different ids; expected as many"
    sources, targets = set(row["source_ids"]), set(row["target_ids"])
    stray = next((pair for pair in row["gold"] if pair[0] not in sources or pair[1] not in targets), None)
    return f"gold pair {stray} names a sentence that is not there; expected ids of both sides" if stray else ""
