"""Refuses rows in which something is missing, by one rule for all kinds: which row, which column, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_stilts.errors import StiltsError
from hf_stilts.kinds.features import column

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_stilts.task import Task

_AT_A_TIME = 10_000


def check_texts(task: Task, rows: Dataset, *columns: str) -> None:
    """Refuse rows without text in one of the columns; None is no text, but may stand in one that a kind can do without.

    Raises:
        StiltsError: a column is missing, or a row has None, NaN or a number where text is expected.
    """
    for name in columns:
        if not _has_column(task, rows, name):
            continue
        start = 0
        optional = name in task.declaration.optional
        for values in _arrays(rows, name):
            place = _first_without_text(values, optional)
            if place is not None:
                raise wrong_value(task, rows, start + place, name, rows[start + place][name], 'text, be it ""')
            start += len(values)


def check_lists_of_texts(task: Task, rows: Dataset, *columns: str) -> None:
    """Refuse rows without a list in one of the columns, or with an entry in it that is no text.

    Raises:
        StiltsError: as in `check_texts`.
    """
    for name in columns:
        if not _has_column(task, rows, name):
            continue
        start = 0
        for values in _arrays(rows, name):
            if _all_texts(values):
                start += len(values)
                continue
            for row, value in enumerate(values.to_pylist(), start):
                if not isinstance(value, list):
                    raise wrong_value(task, rows, row, name, value, "a list of texts")
                for place, text in enumerate(value):
                    if not isinstance(text, str):
                        raise wrong_value(task, rows, row, f"{name}[{place}]", text, 'text, be it ""')
            start += len(values)


def label_ids(task: Task, rows: Dataset) -> list[int]:
    """Each row's label as an id of the task's labels, -1 where it has none.

    Raises:
        StiltsError: a label that the task does not have.
    """
    known: dict[Any, int] = {None: -1}
    ids = []
    for row, label in enumerate(column(rows, "label", None)):
        # What is neither a name nor a number is no label, and may be no key either.
        if not isinstance(label, (str, int, type(None))) or label not in known:
            found = label_id(task, rows, row, "label", label)
            known[label] = found
        ids.append(known[label])
    return ids


def label_id(task: Task, rows: Dataset, row: int, name: str, label: Any) -> int:
    """Id of one label of a row; the error says where it stands."""
    try:
        return task.label_id(label)
    except StiltsError as error:
        known = ", ".join(task.labels)
        expected = f"one of {known}, its number from 0 to {len(task.labels) - 1}, or -1 for none" if known else "none"
        raise wrong_value(task, rows, row, name, label, expected) from error


def wrong_value(task: Task, rows: Dataset, row: int, name: str, value: Any, expected: str) -> StiltsError:
    """The error of a row that cannot be read: its number, its id where it has one, the column, and what to do."""
    return StiltsError(
        f"Task {task.name}: {which(rows, row)} has {name} {value!r}; expected {expected}. "
        f"Correct column {name.partition('[')[0]}, or drop the row with rows.filter(...) or in the task's prepare=."
    )


@contextmanager
def naming_language(language: str) -> Iterator[None]:
    """Say in which language's rows a fault was found: a row's number alone does not."""
    try:
        yield
    except StiltsError as error:
        raise StiltsError(f"In {language}: {error}") from error


def which(rows: Dataset, row: int) -> str:
    """A row by its number, from 0, and by its id where rows have ids: `row 3 (id 'q7')`."""
    known = rows[row]["id"] if "id" in rows.column_names else None
    return f"row {row}" if known is None else f"row {row} (id {known!r})"


def _has_column(task: Task, rows: Dataset, name: str) -> bool:
    """Whether there is something to check; an optional column may be absent."""
    if name in rows.column_names or name in task.declaration.optional:
        return name in rows.column_names
    needed = ", ".join(task.declaration.required())
    raise StiltsError(
        f"Task {task.name}: the rows have columns {', '.join(rows.column_names)}; a {task.kind} task reads "
        f"{needed}. Rename the column that holds {name}: rows.rename_column(..., {name!r})."
    )


def _arrays(rows: Dataset, name: str) -> Iterator[pa.Array]:
    """A column in pieces, as Arrow holds it: texts that are there need not become Python's."""
    for batch in rows.select_columns(name).with_format("arrow").iter(_AT_A_TIME):
        values = batch[name]
        yield values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _first_without_text(values: pa.Array, optional: bool) -> int | None:
    """Place of the first value that is no text; of an optional column, that is neither text nor None."""
    if _is_text(values.type):
        wrong = None if optional else values.is_null()
    else:
        wrong = values.is_valid() if optional else pa.array([True] * len(values))
    place = -1 if wrong is None else wrong.index(True).as_py()
    return None if place < 0 else place


def _all_texts(values: pa.Array) -> bool:
    if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)) or values.null_count:
        return False
    texts = values.flatten()
    return not len(texts) or (_is_text(texts.type) and not texts.null_count)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
