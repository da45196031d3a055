"""Turns the rows of any data set into the columns that a kind reads: renamed, gathered, labelled by name, typed."""

from __future__ import annotations

import inspect
import itertools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task

if TYPE_CHECKING:
    from datasets import Dataset, Features, IterableDataset


Row: TypeAlias = dict[str, Any]
Mapping: TypeAlias = dict[str, str | tuple[str, ...]]

_UNLABELLED = -1


def types(task: Task) -> dict[str, Any]:
    """Feature type of every column that `task` may offer, `id` included.

    >>> types(Task(kind="bitext-mining", dataset="x/y"))["gold"]
    List(List(Value('string')))
    """
    from datasets import ClassLabel, List, Value

    label = ClassLabel(names=list(task.labels)) if task.labels else Value("int64")
    string, strings = Value("string"), List(Value("string"))
    known: dict[ColumnType, Any] = {
        "id": string,
        "ids": strings,
        "text": string,
        "texts": strings,
        "answers": {"text": strings, "answer_start": List(Value("int32"))},
        "number": Value("float64"),
        "label": label,
        "labels": List(label),
    }
    declared = {column: known[holds] for column, holds in task.declaration.columns.items()}
    if task.declaration.corpus:
        return {column: List(held) for column, held in declared.items()}
    return {"id": string, **declared}


def _labels(task: Task) -> list[str]:
    """Columns that hold the number of a class or of a choice, or one for each word."""
    return [column for column, holds in task.declaration.columns.items() if holds in ("label", "labels")]


def named(task: Task, features: Features | None) -> Task:
    """The task with class names: its own, or where it has none those of the columns' `ClassLabel`.

    >>> from datasets import ClassLabel, Features, List, Value
    >>> tags = Features({"tokens": List(Value("string")), "supertags": List(ClassLabel(names=["n", "np/n"]))})
    >>> named(Task(kind="token-classification", dataset="x/y", columns={"tags": "supertags"}), tags).labels
    ('n', 'np/n')
    """
    if task.labels or not task.declaration.labelled or features is None:
        return task
    columns = (task.columns.get(column, column) for column in _labels(task))
    names = next((names for column in columns if (names := _class_names(features, column))), ())
    return replace(task, labels=tuple(names))


def canonical(
    rows: Dataset | IterableDataset,
    task: Task,
    *,
    language: str | None = None,
    limit: int | None = None,
    number: str = "{}",
) -> Dataset:
    """Rows with the canonical columns of the task's kind, and no others but `id`.

    Columns are renamed by `task.columns` (a tuple of columns becomes one list), then `task.prepare` runs on each row,
    which also sees the data set's other columns, and class names where the data set has a `ClassLabel`. Last, every
    label becomes the id that `task.labels` gives its *name*: data sets order their label names differently.

    Args:
        rows: one split as it is stored; a stream is read only as far as `limit` asks.
        task: what the columns mean.
        language: drop the rows of other ones, where a configuration holds several (`task.language_of`).
        limit: at most so many rows, counted after `task.prepare` has dropped its own.
        number: the `id` of rows that come without one: their number among the stored ones, from 0, in this form. It
            names the same example in every language, whatever is dropped, chosen or shuffled later.

    Returns:
        A `Dataset` typed by `types(task)`.

    Raises:
        StiltsError: a mapped or required column is missing, a label is unknown, or no row is left.
    """
    from datasets import Dataset, Features

    stored = dict(rows.features or dict.fromkeys(next(iter(rows), {})))  # a stream of JSON lines has no types yet
    mapping = _mapping(task, list(stored))
    label_columns = [column for column in _labels(task) if task.labels and column in mapping]
    names = {column: _class_names(stored, mapping[column]) for column in label_columns}
    if isinstance(rows, Dataset) and limit is None and _only_renames(rows, task, mapping, names):
        with _typed(task, stored, TypeError):
            return _numbered(_rename(rows, mapping, types(task)), task, number)

    kept = (row for row in _converted(rows, _converter(task, mapping, names, language), number) if row is not None)
    first = list(itertools.islice(kept, limit or 1))
    if not first:
        where, choose = (f" in language {language!r}", "language or split") if task.language_of else ("", "split")
        raise StiltsError(
            f"{_whose(task)} has no row left{where}: there is none in this split, or prepare dropped them all. "
            f"Choose another {choose}."
        )
    features = Features({column: kind for column, kind in types(task).items() if column in first[0]})
    _require(task, features)
    known = {"task": task, "mapping": mapping, "names": names, "language": language}
    known |= {"columns": list(features), "number": number, "code": _code(task)}
    if limit is not None:
        with _typed(task, stored, ValueError):  # `datasets` turns a value into a number itself
            return Dataset.from_list(first, features=features)
    with _typed(task, stored):
        return rows.map(
            _batch,
            batched=True,
            with_indices=True,
            fn_kwargs=known,
            remove_columns=rows.column_names,
            features=features,
            desc=f"{task.name or task.dataset}: canonical columns",
        )


@contextmanager
def _typed(task: Task, stored: Row, *more: type[Exception]) -> Iterator[None]:
    """Say which types were there and which were expected, where Arrow cannot turn one into the other."""
    import pyarrow as pa
    from datasets.table import CastError

    try:
        yield
    except (pa.ArrowException, CastError, *more) as error:
        if task.declaration.labelled and not task.labels and (column := _text_label(task, stored)):
            raise StiltsError(
                f"{_whose(task)} has no labels= and its column {column!r} holds text: {error}. Expected the names of "
                f"its classes. Write them in {_file(task)}, in the order of their ids: labels=(...)."
            ) from error
        raise StiltsError(
            f"{_whose(task)} has columns of other types than {task.kind} reads: {error}. Stored: {stored}. "
            f"Expected: {types(task)}. Convert them in prepare= in {_file(task)}."
        ) from error


def _text_label(task: Task, stored: Row) -> str | None:
    """Stored column of the labels, if it holds text; None if not."""
    from datasets import List, Value

    for column in _labels(task):
        name = task.columns.get(column, column)
        if isinstance(name, str) and stored.get(name) in (Value("string"), List(Value("string"))):
            return name
    return None


def _mapping(task: Task, present: list[str]) -> Mapping:
    """Canonical column -> stored column(s), for every canonical column that the data set can fill."""
    used = {column for columns in task.columns.values() for column in _as_tuple(columns)}
    missing = sorted(used - set(present))
    if missing:
        raise StiltsError(
            f"{_whose(task)} maps column {missing[0]!r}, which the data set does not have. "
            f"It has: {', '.join(present)}. Correct columns= in {_file(task)}, or the files."
        )
    # A column that was mapped elsewhere does not also stand for itself: CommonsenseQA's `question` is the `context`.
    own = {column: column for column in types(task) if column in present and column not in used | set(task.columns)}
    mapping: Mapping = {**own, **task.columns}
    if task.prepare is None:
        _require(task, mapping, present)
    return {column: mapping[column] for column in types(task) if column in mapping}


def _require(task: Task, found: Iterable[str], present: Iterable[str] = ()) -> None:
    missing = [column for column in task.declaration.required() if column not in set(found)]
    if missing:
        raise StiltsError(
            f"{_whose(task)} has no column {missing[0]!r}, which {task.kind} reads. "
            f"There are: {', '.join(present or found)}. Map it with columns= or make it in prepare= in {_file(task)}."
        )


def _class_names(stored: dict[str, Any], column: str | tuple[str, ...]) -> list[str] | None:
    from datasets import ClassLabel

    feature = stored.get(column) if isinstance(column, str) else None
    feature = getattr(feature, "feature", feature)
    return [str(name) for name in feature.names] if isinstance(feature, ClassLabel) else None


def _only_renames(rows: Dataset, task: Task, mapping: Mapping, names: dict[str, list[str] | None]) -> bool:
    from datasets import Value

    for column in _labels(task):
        label = mapping.get(column)
        # A missing label becomes -1, and a text is read as a label, row by row.
        if isinstance(label, str) and (rows.data.column(label).null_count or rows.features[label] == Value("string")):
            return False
    gathered = any(not isinstance(columns, str) for columns in mapping.values())
    relabelled = any(tuple(names[column] or ()) != task.labels for column in names)
    return (
        not (task.prepare or task.language_of)
        and not gathered
        and not relabelled
        and len({*mapping.values()}) == len(mapping)
    )


def _rename(rows: Dataset, mapping: Mapping, known: dict[str, Any]) -> Dataset:
    from datasets import Features

    renamed = rows.select_columns([str(stored) for stored in mapping.values()])
    renamed = renamed.rename_columns({str(stored): column for column, stored in mapping.items()})
    features = Features({column: known[column] for column in mapping})
    return renamed if renamed.features == features else renamed.cast(features)


def _numbered(rows: Dataset, task: Task, number: str) -> Dataset:
    if "id" in rows.column_names or task.declaration.corpus:
        return rows
    return rows.add_column("id", [number.format(place) for place in range(len(rows))]).select_columns(
        ["id", *rows.column_names]
    )


def _converter(
    task: Task, mapping: Mapping, names: dict[str, list[str] | None], language: str | None
) -> Callable[[Row, str], Row | None]:
    """One stored row and its number -> one canonical row, or None where `task.prepare` drops it."""
    from datasets import List

    used = {column for columns in mapping.values() for column in _as_tuple(columns)}
    known, label_columns = types(task), _labels(task)

    def convert(row: Row, number: str) -> Row | None:
        if language and task.language_of and _by_task(task, task.language_of, row) != language:
            return None
        new: Row = {}
        for column, stored in mapping.items():
            new[column] = row[stored] if isinstance(stored, str) else [row[each] for each in stored]
        for column, labels in names.items():
            if labels:
                new[column] = _each(new[column], partial(_name, labels))
        if task.prepare is not None:
            rest = {column: value for column, value in row.items() if column not in used and column not in mapping}
            prepared = _by_task(task, task.prepare, {**rest, **new})
            if prepared is None:
                return None
            new = {**{column: new[column] for column in ("id",) if column in new}, **prepared}
        for column in label_columns:
            if column in new:
                new[column] = _each(new[column], partial(_label_id, task))
        new = {"id": number, **new}
        found = {column: new[column] for column in known if column in new}
        wrong = [
            column for column in found if isinstance(known[column], List) != isinstance(found[column], list | tuple)
        ]
        if wrong:  # Arrow would take a string for the list of its characters
            raise StiltsError(
                f"{_whose(task)}: found {wrong[0]} = {found[wrong[0]]!r:.80}; expected {known[wrong[0]]}. "
                f"Correct columns= or prepare= in {_file(task)}."
            )
        return found

    return convert


def _by_task(task: Task, function: Callable[[Row], Any], row: Row) -> Any:
    """What a function of the task's own file makes of a row.

    Raises:
        StiltsError: it fails; the message says at which line, and what the row holds.
    """
    try:
        return function(row)
    except StiltsError:
        raise
    except Exception as error:
        here, *frames = traceback.extract_tb(error.__traceback__)
        where = next((frame for frame in reversed(frames) if frame.filename == frames[0].filename), here)
        name = getattr(function, "__name__", "prepare")
        raise StiltsError(
            f"{name} of {_whose(task)} ends in {type(error).__name__}: {error}. The row has {', '.join(row)}. "
            f" Correct {where.filename}, line {where.lineno}: {where.line}"
        ) from error


def _converted(
    rows: Iterable[Row], convert: Callable[[Row, str], Row | None], number: str, places: Iterable[int] | None = None
) -> Iterator[Row | None]:
    for place, row in zip(itertools.count() if places is None else places, rows, strict=False):
        try:
            yield convert(row, number.format(place))
        except StiltsError as error:
            raise StiltsError(f"Row {place} (the first is 0): {error}") from error


def _batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    task: Task,
    mapping: Mapping,
    names: dict[str, list[str] | None],
    language: str | None,
    columns: list[str],
    number: str,
    code: str,
) -> dict[str, list[Any]]:
    """Convert a batch; `code` is not read: it makes the cache of `Dataset.map` notice an edited `prepare`."""
    rows = (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))
    convert = _converter(task, mapping, names, language)
    kept = [row for row in _converted(rows, convert, number, indices) if row is not None]
    return {column: [row[column] for row in kept] for column in columns}


def _code(task: Task) -> str:
    # `datasets` hashes an imported function by its name alone, and would hand out the rows of an older version of it.
    own = inspect.getsource(sys.modules[__name__])
    functions = filter(None, (task.prepare, task.language_of))
    try:
        return own + "".join(inspect.getsource(inspect.getmodule(each) or each) for each in functions)
    except (OSError, TypeError):  # typed into an interpreter: then it is hashed by value
        return own


def _name(labels: list[str], label: Any) -> Any:
    return labels[label] if isinstance(label, int) and 0 <= label < len(labels) else label


def _label_id(task: Task, label: Any) -> Any:
    if label is None or label == "":  # a cell of CSV that is empty
        return _UNLABELLED
    return task.label_id(label) if task.labels else label


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    return [change(one) for one in value] if isinstance(value, list) else change(value)


def _as_tuple(columns: str | Iterable[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _whose(task: Task) -> str:
    return f"Task {task.name or '(without a name)'} ({task.dataset})"


def _file(task: Task) -> str:
    if inspect.isfunction(task.prepare):
        return inspect.getfile(task.prepare)
    return task.file or f"{task.name or 'the task'}.py"
