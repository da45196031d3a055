"""What a Trainer is given to train or evaluate on, of any type that the stock Trainer takes: rows or features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
import torch
from datasets import Dataset

from hf_stilts.errors import StiltsError

FEATURE = "input_ids"  # the column that features have and rows have not


def rows_as_dataset(given: Any) -> Any:
    """Rows in any container as a `datasets.Dataset`; features, and streams, as they came.

    Args:
        given: a `datasets.Dataset` or `datasets.IterableDataset`, a list of dicts, or any torch data set.

    Raises:
        StiltsError: nothing in it, examples that are no dicts, or a stream of rows.
    """
    if isinstance(given, datasets.IterableDataset):  # which may be torch's IterableDataset, too
        columns = given.column_names or list(next(iter(given), {}))
        if FEATURE not in columns:
            raise StiltsError(
                f"The data is a stream with columns {', '.join(columns) or 'of no name'}; rows are turned into "
                "features beforehand, which needs all of them. Pass a Dataset: "
                "Dataset.from_list(list(stream.take(10_000))), or a stream of features with input_ids."
            )
        return given
    if isinstance(given, Dataset | torch.utils.data.IterableDataset):
        return given
    count = size(given)
    if not count:
        raise StiltsError(
            f"The data is a {type(given).__name__} without examples; rows with the kind's columns, or features with "
            "input_ids, are expected. Pass a Dataset, a list of dicts, or a torch data set."
        )
    first = given[0]
    if not isinstance(first, Mapping):
        raise StiltsError(
            f"The examples of the data are of type {type(first).__name__}; dicts are expected, rows with the kind's "
            "columns or features with input_ids. Pass such a list, Dataset or torch data set."
        )
    return given if FEATURE in first else Dataset.from_list([given[place] for place in range(count)])


def as_dataset(given: Any) -> Dataset:
    """Rows or features in any container as a `datasets.Dataset`, from which examples are drawn by number.

    Raises:
        StiltsError: as `rows_as_dataset`; or a stream.
    """
    given = rows_as_dataset(given)
    if isinstance(given, Dataset):
        return given
    count = size(given)
    if count is None:
        raise StiltsError(
            f"A mixture draws its examples by number, and a {type(given).__name__} is a stream. Pass a Dataset, a list "
            "of dicts, or a torch data set with a length."
        )
    return Dataset.from_list([given[place] for place in range(count)])


def has_features(given: Any) -> bool:
    """Whether data that came through `rows_as_dataset` are features: what is no `Dataset` always is."""
    return FEATURE in given.column_names if isinstance(given, Dataset) else True


def size(given: Any) -> int | None:
    """Number of examples; None of a stream."""
    try:
        return len(given)
    except TypeError:
        return None


def first_of(given: Any, limit: int) -> Any:
    """The first examples of any data.

    Raises:
        StiltsError: a torch stream, which cannot be cut.
    """
    if isinstance(given, Dataset):
        return given.select(range(min(limit, len(given))))
    if isinstance(given, datasets.IterableDataset):
        return given.take(limit)
    if isinstance(given, list):
        return given[:limit]
    count = size(given)
    if count is None or isinstance(given, torch.utils.data.IterableDataset):
        raise StiltsError(
            f"limit={limit} was given with a {type(given).__name__}, whose first examples cannot be taken. Leave out "
            "limit=, or cut the data."
        )
    return torch.utils.data.Subset(given, range(min(limit, count)))
