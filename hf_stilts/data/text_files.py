"""CSV and JSON of a mirror, read without guessing: a text stays a text, whatever it looks like.

The stock readers take the words `null` and `NA` of a CSV file for missing values, `007` for a number and a JSON text
such as `2020-01-01` for a point in time, and decide so file by file. Here every cell of a CSV file is text, JSON keeps
the types that it has, and all files of a split have one schema. They become Parquet, which the stock reader then reads.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hf_stilts.errors import StiltsError
from hf_stilts.files import read_lines

FORMATS = ("csv", "json")  # as `datasets` calls their readers
_OPTIONS = {
    "csv": {"sep", "delimiter", "quoting", "quotechar", "encoding", "names", "header", "skiprows"},
    "json": set(),
}


def readable(files: Sequence[str], module: str, options: Mapping[str, Any]) -> bool:
    """Whether these files, with these options of their card, are read here; `datasets` reads others (compressed)."""
    plain = all(Path(file).suffix in (".csv", ".tsv", ".json", ".jsonl") for file in files)
    return plain and module in FORMATS and not set(options) - _OPTIONS[module]


def as_parquet(files: Sequence[str], module: str, options: Mapping[str, Any], key: str) -> str:
    """Path of a Parquet file in the cache with the rows of all files, in their order; made where it is not there yet.

    Args:
        files: of one format.
        module: `csv` or `json`.
        options: of the reader, as the card gives them.
        key: changes with the content of the files.

    Raises:
        StiltsError: a file cannot be read, or columns have different types in different rows; file and line are named
            where they are known.
    """
    target = Path(datasets.config.HF_DATASETS_CACHE) / "text_files" / f"{key}.parquet"
    if not target.is_file():
        read = _csv if module == "csv" else _json
        tables = [read(Path(file), options) for file in files]
        try:
            table = pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as error:
            raise StiltsError(
                f"The files {', '.join(map(str, files))} do not go together: {error}. Expected columns of the same "
                "types in all of them. Correct them."
            ) from error
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
        pq.write_table(table, unfinished)
        unfinished.replace(target)
    return str(target)


def _csv(file: Path, options: Mapping[str, Any]) -> pa.Table:
    known = dict(options)
    if "sep" not in known and "delimiter" not in known:
        known["sep"] = "\t" if file.suffix == ".tsv" else ","
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, **known)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise StiltsError(
            f"{file} cannot be read as CSV: {error}. Expected a header and a row a line. Correct it."
        ) from error
    columns = {str(name): pa.array(frame[name].tolist(), pa.string()) for name in frame.columns}
    return pa.table(columns)


def _json(file: Path, _: Mapping[str, Any]) -> pa.Table:
    rows = list(_objects(file))
    try:
        # By columns and not by rows: a key that the first row lacks is there in the second.
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise StiltsError(
            f"{file} cannot be read: {error}. Expected values of one type in a column. Correct it."
        ) from error


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as opened:
        listed = opened.read(1) == "["
    if not listed:
        yield from read_lines(file)
        return
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        yield from (dict(row) for row in content)
    except (ValueError, TypeError, RecursionError) as error:
        raise StiltsError(f"{file} is no list of JSON objects ({error}). Correct it.") from error
