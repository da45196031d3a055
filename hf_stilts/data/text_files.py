"""CSV and JSON of a mirror, read without guessing: a text stays a text, whatever it looks like.

The stock readers take the words `null` and `NA` of a CSV file for missing values, `007` for a number and a JSON text
such as `2020-01-01` for a point in time, and decide so file by file. Here every cell of a CSV file is text, JSON keeps
the types that it has, and all files of a split have one schema. They become Parquet, which the stock reader then reads.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_stilts.errors import StiltsError
from hf_stilts.files import parse_lines

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features


_QUOTED = re.compile(r'"(?:[^"]|"")*"')
# One cell in ten of those with quotes: a sentence of a plain file may look as CSV would write it, but rarely.
_BY_ACCIDENT = 10
FORMATS = ("csv", "json")  # as `datasets` calls their readers
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
_OPTIONS = {"csv": {"sep", "delimiter", "quoting", "quotechar", "encoding", "names"}, "json": set()}
_LARGEST_CELL = 1 << 27  # characters; Python's own bound is a document of 131,072


def readable(files: Sequence[str], module: str, options: Mapping[str, Any]) -> bool:
    """Whether these files, with these options of their card, are read here; `datasets` reads others."""
    known = all(_plain_name(Path(file)).suffix in _ENDINGS for file in files)
    return known and module in FORMATS and not set(options) - _OPTIONS[module]


def as_parquet(
    files: Sequence[str], module: str, options: Mapping[str, Any], features: Features | None, key: str
) -> str:
    """Path of a Parquet file in the cache with the rows of all files, in their order; made where it is not there yet.

    Args:
        files: of one format.
        module: `csv` or `json`.
        options: of the reader, as the card gives them.
        features: types that the card gives; an empty cell of CSV is missing in a column of numbers.
        key: changes with the content of the files.

    Raises:
        StiltsError: a file cannot be read, all of them are empty, or columns have different types in different rows;
            file and line are named where they are known.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Value

    target = Path(datasets.config.HF_DATASETS_CACHE) / "text_files" / f"{key}.parquet"
    if not target.is_file():
        numbers = {name for name, feature in (features or {}).items() if feature != Value("string")}
        tables = [_csv(Path(file), options, numbers) if module == "csv" else _json(Path(file)) for file in files]
        try:
            table = pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as error:
            raise StiltsError(
                f"The files {', '.join(map(str, files))} do not go together: {error}. Expected columns of the same "
                "types in all of them. Correct them."
            ) from error
        if not table.num_columns:
            raise StiltsError(
                f"{', '.join(map(str, files))} {'is' if len(files) == 1 else 'are'} empty; one row at least is "
                "expected. Write the rows, or take the split out of the card."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
        pq.write_table(table, unfinished)
        unfinished.replace(target)
    return str(target)


def quotes_of_csv(lines: Iterable[tuple[int, Sequence[str]]]) -> bool:
    """Whether a CSV writer wrote numbered lines of cells: it quotes every cell, or those with a quote within, doubled.

    In a plain file, a cell that begins and ends with a quote is a sentence in quotes.

    Raises:
        MixedQuotes: some cells are quoted as CSV has it, and others are not.
    """
    doubled, loose = 0, 0  # cells with quotes that CSV would write so; that it would not
    single: int | None = None  # line with a sentence in quotes, or a cell that CSV need not have quoted
    first: int | None = None  # line with a doubled quote
    bare = [False, False]  # a cell without quotes that is no number: in the first line, which may be a header; below
    number = 0
    for number, cells in lines:
        for cell in cells:
            if '"' not in cell:
                bare[number > 1] |= not cell.isdecimal()
            elif not _QUOTED.fullmatch(cell):
                loose += 1
            elif '""' in cell[1:-1]:
                doubled, first = doubled + 1, first or number
            else:
                single = single or number
    everything = not bare[number > 1]
    if not loose and everything and (single or doubled):
        return True
    if not doubled or doubled * _BY_ACCIDENT <= loose:
        return False
    if loose:
        found = f"quotes doubled within a cell, and {loose} cells that are not CSV's"
        raise MixedQuotes(first or 1, found, "the quotes of CSV in all of its cells or in none")
    if single:
        found = "quotes around a cell that has none within"
        raise MixedQuotes(single, found, f"none, or CSV's as in line {first}")
    return True


class MixedQuotes(ValueError):
    """A file whose quotes are neither those of its sentences nor CSV's: line, what was found, what was expected."""

    def __init__(self, line: int, found: str, expected: str) -> None:
        super().__init__(f"line {line}: found {found}; expected {expected}")
        self.line, self.found, self.expected = line, found, expected


def _plain_name(file: Path) -> Path:
    """The name without the ending that says how it is compressed."""
    return file.with_suffix("") if file.suffix in _OPENERS else file


def _text(file: Path, encoding: str = "utf-8-sig") -> str:
    """A file's text, without a byte order mark."""
    try:
        with _OPENERS.get(file.suffix, open)(file, "rb") as opened:
            return str(opened.read(), encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise StiltsError(
            f"{file}, line {line}: found byte {error.object[error.start]:#04x}; expected {error.encoding}. "
            "Correct it, or give encoding: in the card."
        ) from error


def _csv(file: Path, options: Mapping[str, Any], numbers: Collection[str]) -> pa.Table:
    import pyarrow as pa

    tabs = _plain_name(file).suffix == ".tsv"
    separator = options.get("sep", options.get("delimiter", "\t" if tabs else ","))
    text = _text(file, options.get("encoding") or "utf-8-sig")
    quoting: Any = options.get("quoting")
    if quoting is None:
        quoting = csv.QUOTE_NONE if separator == "\t" and _is_plain(file, text) else csv.QUOTE_MINIMAL
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quotechar=options.get("quotechar", '"'),
        quoting=quoting,
        strict=True,
    )
    limit = csv.field_size_limit(_LARGEST_CELL)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise StiltsError(f"{file}, line {reader.line_num} is no CSV: {error}. Correct it.") from error
    finally:
        csv.field_size_limit(limit)
    named = options.get("names") or (rows.pop(0)[1] if rows else [])
    named = [name or f"Unnamed: {place}" for place, name in enumerate(named)]  # as pandas calls an index without a name
    if not named or len(set(named)) != len(named):
        raise StiltsError(
            f"{file} has the header {', '.join(named) or '(none)'}; expected the name of each column once. Correct it."
        )
    for line, row in rows:
        if len(row) != len(named):
            raise StiltsError(
                f"{file}, line {line} has {len(row)} cells; expected {len(named)}: {', '.join(named)}. Correct it."
            )
    columns = list(zip(*(row for _, row in rows), strict=True)) or [()] * len(named)
    arrays = {}
    for name, cells in zip(named, columns, strict=True):
        # An empty cell among numbers is a missing one.
        values = [cell or None for cell in cells] if name in numbers else list(cells)
        arrays[name] = pa.array(values, pa.string())
    return pa.table(arrays)


def _is_plain(file: Path, text: str) -> bool:
    """Whether the quotes of a file with tabs are text: then each line is a row, with as many cells as all others."""
    lines = [line.removesuffix("\r").split("\t") for line in text.split("\n") if line.strip("\r")]
    if len({len(cells) for cells in lines}) > 1:  # there are line ends within cells of CSV
        return False
    try:
        return not quotes_of_csv(enumerate(lines, start=1))
    except MixedQuotes as error:
        raise StiltsError(f"{file}, {error}. Correct it, or give quoting: in the card.") from error


def _json(file: Path) -> pa.Table:
    import pyarrow as pa

    rows = list(_objects(file))
    try:
        # By columns and not by rows: a key that the first row lacks is there in the second.
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise StiltsError(
            f"{file} cannot be read: {error}. Expected values of one type in a column. Correct it."
        ) from error


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    text = _text(file)
    if text.lstrip().startswith("["):
        try:
            yield from (dict(row) for row in json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise StiltsError(f"{file} is no list of JSON objects ({error}). Correct it.") from error
    else:
        yield from parse_lines(text, file)
