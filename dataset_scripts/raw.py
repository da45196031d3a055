"""The publisher's files: found by name below a folder, checked against known sha256 sums, read line by line."""

from __future__ import annotations

import csv
import itertools
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from datasets import Dataset, Features, List, Value

from hf_stilts.data.text_files import MixedQuotes, quotes_of_csv
from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # no text has them: the file is damaged, or no text file
# How JSON may write them, and halves of characters.
_ESCAPED = re.compile(r"\\u(00[01][0-9a-f]|007f|d[89a-f])|\\[bf]", re.IGNORECASE)
_INT32 = 1 << 31
_PYTHON: dict[str, type] = {"string": str, "int32": int, "int64": int, "bool": bool}

SUMS = "SHA256SUMS"
TRANSLATED = "en-{language}-translated.tsv"
PUBLISHED = Path(__file__).with_name(SUMS)


class Raw:
    """A folder of raw files.

    Args:
        folder: where the files are, at any depth: a publisher's archive as it unpacks, or a clone of its repository.
        name: the converter's name; the sums of `dataset_scripts/SHA256SUMS` below it are those of the published files.
        checksum: refuse a file whose sum differs from the published one, or from the folder's own `SHA256SUMS`.

    Attributes:
        read: file -> sha256 of every file read so far, by its path below the folder.
        left_out: file -> why it is not read, of those that `leave_out` was told of.
        place: file and line that were read last.

    Raises:
        FileNotFoundError: no such folder.
        StiltsError: its `SHA256SUMS` cannot be read.
    """

    def __init__(self, folder: Path, name: str, *, checksum: bool = True) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"No folder {folder}. Expected the publisher's files there. Correct --raw.")
        self.folder = folder
        self.read: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.place: tuple[str, int] | None = None
        self._quoted: dict[str, bool] = {}
        self._files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        self._known: list[tuple[str, dict[str, str]]] = []
        if checksum:
            known = {f"/{file}": digest for file, digest in read_sums(PUBLISHED).items() if file.startswith(f"{name}/")}
            published = {file.removeprefix(f"/{name}"): digest for file, digest in known.items()}
            here = {}
            for file in self._files:
                for end, digest in published.items():
                    if f"/{file}".endswith(end):
                        here[file] = digest
            self._known.append((f"the published files ({PUBLISHED.name})", here))
            if (folder / SUMS).is_file():
                self._known.append((f"{folder / SUMS}", read_sums(folder / SUMS)))

    def find(self, pattern: str) -> list[str]:
        """Files whose name matches a shell pattern, sorted by that name; `de/train` also asks for the folder's name."""
        parts = pattern.count("/") + 1
        found = (file for file in self._files if fnmatchcase("/".join(Path(file).parts[-parts:]), pattern))
        return sorted(found, key=lambda file: (Path(file).name, file))

    def leave_out(self, files: Iterable[str], why: str) -> None:
        """Note files that are of the publisher's and are not read, so that `build` can say so."""
        self.left_out |= dict.fromkeys(files, why)

    def first_of(self, *choices: list[str]) -> list[str]:
        """The first of several choices of files that is there; the others hold the same rows and are left out."""
        found = next(filter(None, choices), [])
        others = [file for files in choices for file in files if file not in found]
        if found:
            self.leave_out(others, f"the rows were read from {found[0]}")
        return found

    def splits(
        self,
        files: Mapping[str, str],
        rows: Callable[[Raw, str], Iterable[dict[str, Any]]],
        features: Features,
    ) -> dict[str, Dataset]:
        """A data set for each split whose file is there.

        Args:
            files: split -> name of its file.
            rows: reads the rows of a file.
            features: types of their columns.
        """
        found = {}
        for split, name in files.items():
            if self.find(name):
                found[split] = Dataset.from_list(list(rows(self, name)), features=features)
        return found

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        r"""Numbered lines of the one file of this name, from 1; only "\n" ends a line (U+2028 and U+0085 do not).

        A byte order mark before the first line is no part of it.

        Raises:
            StiltsError: the file is blank, its lines end in "\r" alone, or one holds a control character.
        """
        number, blank = 0, True
        with self._checked(name).open("rb") as file:  # one line at a time: a million entities are a large file
            for number, content in enumerate(file, start=1):
                line = self._decoded(name, content.removesuffix(b"\n"), number).removesuffix("\r")
                line = line.removeprefix("\ufeff") if number == 1 else line
                if "\r" in line:
                    raise self.error(name, number, "a carriage return within the line", 'lines that end in "\\n"')
                self._refuse_control(name, number, line)
                blank = blank and not line.strip()
                self.place = name, number
                yield number, line
        if blank:
            raise self.error(name, max(number, 1), "blank lines only" if number else "an empty file", "rows")

    def texts(self, name: str) -> list[str]:
        """All `lines` of the one file of this name, without their numbers."""
        return [line for _, line in self.lines(name)]

    def some(self, name: str, found: Iterable[Item], what: str) -> Iterator[Item]:
        """What was found in a file, all of it.

        Raises:
            StiltsError: there was nothing.
        """
        nothing = True
        for each in found:
            nothing = False
            yield each
        if nothing:
            raise self.error(name, "its end", f"no {what}", f"one {what} at least")

    def table(self, name: str, columns: int) -> Iterator[tuple[int, list[str]]]:
        """Numbered `cells`.

        Raises:
            StiltsError: a line has another number of columns.
        """
        for number, cells in self.cells(name):
            if len(cells) != columns:
                raise self.error(name, number, f"{len(cells)} columns", f"{columns}, separated by tabs")
            yield number, cells

    def cells(self, name: str) -> Iterator[tuple[int, list[str]]]:
        """Numbered lines, split at tabs. Quotes are text, unless the whole file has those of CSV, as some mirrors do.

        A row is a line: a cell with a line end within makes a row with too few cells.

        Raises:
            StiltsError: some cells are quoted as CSV has it, and others are not.
        """
        if name not in self._quoted:
            lines = ((number, line.split("\t")) for number, line in self.lines(name))
            try:
                self._quoted[name] = quotes_of_csv(lines)
            except MixedQuotes as error:
                raise self.error(name, error.line, error.found, error.expected) from error
        for number, line in self.lines(name):
            cells = line.split("\t")
            if self._quoted[name]:
                cells = [cell[1:-1].replace('""', '"') if '"' in cell else cell for cell in cells]
            yield number, cells

    def translated_pairs(self, language: str, labels: Collection[str]) -> Iterator[tuple[int, list[str]]]:
        """Numbered (text, text, label) of XTREME's machine translations, `en-de-translated.tsv`; nothing without it.

        Its lines have five columns: the English pair, the translated one, the label. Lines that are not so are known to
        be among them; they are left out and counted, as XTREME's own reader in TensorFlow Datasets leaves them out.
        """
        name, dropped = TRANSLATED.format(language=language), 0
        for number, cells in self.cells(name) if self.find(name) else ():
            if len(cells) == 5 and cells[4] in labels:
                yield number, cells[2:]
            else:
                dropped += 1
        if dropped:
            logger.warning("%s: left out %d lines that are not five columns with a label", name, dropped)

    def content(self, name: str) -> bytes:
        """All bytes of the one file of this name."""
        return self._checked(name).read_bytes()

    def json(self, name: str) -> Any:
        """Content of a JSON file."""
        return self._parse(name, self._decoded(name, self.content(name), 1).removeprefix("\ufeff"), 1)

    def json_lines(self, name: str) -> Iterator[tuple[int, Any]]:
        """Numbered objects of a file with one JSON object a line; blank lines are none."""
        for number, line in self.lines(name):
            if line.strip():
                yield number, self._parse(name, line, number)

    def records(
        self, name: str, columns: Mapping[str, Any], unique: tuple[str, ...] = ()
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbered rows, each with these columns at least; no two have the same values in all columns of `unique`.

        By the file's ending: `.jsonl` is an object a line, whose values are of the columns' types; `.csv` has commas,
        quotes and a header; any other file is of `cells` and has a header.

        Raises:
            StiltsError: there is no row, one lacks a column or has more cells than the header, or two are the same.
        """
        places: dict[tuple[str, ...], int] = {}
        for number, row in self.some(name, self._rows(name), "row"):
            missing = [column for column in columns if not isinstance(row, dict) or row.get(column) is None]
            if missing:
                raise self.error(name, number, f"no {missing[0]!r}", f"{{{', '.join(columns)}}}")
            if name.endswith(".jsonl"):
                self.require_types(name, number, row, columns)
            if unique and all(column in row for column in unique):
                first = places.setdefault(tuple(str(row[column]) for column in unique), number)
                if first != number:
                    found = f"{unique[0]} {row[unique[0]]!r}, as in line {first}"
                    raise self.error(name, number, found, f"every {unique[0]} once")
            yield number, row

    def require_types(self, name: str, line: int | str, row: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
        """Refuse a row of JSON whose values are not of its columns' types: Arrow would guess, or name no line."""
        for column, feature in columns.items():
            if not _is_of(row[column], feature):
                raise self.error(name, line, f"{column} {row[column]!r:.60}", str(feature))

    def _rows(self, name: str) -> Iterator[tuple[int, Any]]:
        if name.endswith(".jsonl"):
            yield from self.json_lines(name)
        elif name.endswith(".csv"):
            yield from self._csv(name)
        else:
            header = next(self.cells(name))[1]
            for number, cells in itertools.islice(self.cells(name), 1, None):
                if len(cells) > len(header):
                    raise self.error(name, number, f"{len(cells)} cells", f"at most {len(header)}, as in its header")
                yield number, dict(zip(header, cells, strict=False))  # SNLI leaves out empty cells at the end

    def _csv(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        line = 0

        def lines() -> Iterator[str]:  # a quoted cell may hold line ends, so the reader gets the lines one by one
            nonlocal line
            for line, text in self.lines(name):  # noqa: B007
                yield text + "\n"

        reader = csv.DictReader(lines(), strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:  # an odd quote, a cell without an end
                raise self.error(name, line, str(error), "CSV with commas and quotes") from error
            if None in row:
                raise self.error(name, line, f"{len(row[None])} cells too many", "as many as its header")
            yield line, row

    def error(self, name: str, line: int | str, found: str, expected: str) -> StiltsError:
        """What to raise for a fault in a file; `line` is a number, or says otherwise where."""
        where = f"line {line}" if isinstance(line, int) else line
        return StiltsError(
            f"{self._path(name)}, {where}: found {found}; expected {expected}. "
            "Fetch the file again, or correct it there."
        )

    def _path(self, name: str) -> Path:
        found = [name] if name in self._files else [file for file in self._files if Path(file).name == name]
        if not found:
            raise FileNotFoundError(
                f"No {name} below {self.folder}. Expected the publisher's file. Fetch it, or correct --raw."
            )
        if len(found) > 1:
            raise StiltsError(
                f"{name} is there {len(found)} times: {', '.join(found)}. Expected it once. Narrow --raw."
            )
        return self.folder / found[0]

    def _checked(self, name: str) -> Path:
        path = self._path(name)
        file = path.relative_to(self.folder).as_posix()
        if file in self.read:
            return path
        self.read[file] = found = sha256(path)
        for source, known in self._known:
            expected = known.get(file, found)
            if found != expected:
                raise StiltsError(
                    f"{path} has sha256 {found}; expected {expected}, as in {source}. "
                    "Fetch the file again, or go on with --no-checksum."
                )
        return path

    def _decoded(self, name: str, content: bytes, line: int) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            line += content.count(b"\n", 0, error.start)
            raise self.error(name, line, f"byte {content[error.start]:#04x}", "UTF-8") from error

    def _parse(self, name: str, text: str, line: int) -> Any:
        self.place = name, line
        try:
            content = json.loads(text)
            for each in _strings(content) if _ESCAPED.search(text) else ():
                self._refuse_control(name, line, each)
        except json.JSONDecodeError as error:
            raise self.error(name, line + error.lineno - 1, f"broken JSON ({error.msg})", "JSON") from error
        except StiltsError:
            raise
        except ValueError as error:  # a number of thousands of digits
            raise self.error(name, line, str(error), "numbers of a few digits") from error
        except RecursionError as error:
            raise self.error(name, line, "JSON nested hundreds of times", "flat JSON") from error
        return content

    def _refuse_control(self, name: str, line: int, text: str) -> None:
        if found := _CONTROL.search(text):
            raise self.error(name, line, f"control character {found[0]!r}", "text")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise self.error(name, line, f"half of a character, {text[error.start]!r}", "whole ones") from error


def _is_of(value: Any, feature: Any) -> bool:
    """Whether a value of JSON is of a type; that of a `ClassLabel` is the converter's to check."""
    if isinstance(feature, dict):
        return isinstance(value, dict) and all(_is_of(value.get(key), part) for key, part in feature.items())
    if isinstance(feature, List):
        return isinstance(value, list) and all(_is_of(each, feature.feature) for each in value)
    if not isinstance(feature, Value):
        return True
    if type(value) is not _PYTHON[feature.dtype]:  # JSON's true is no number, though Python says that it is one
        return False
    return feature.dtype != "int32" or value in range(-_INT32, _INT32)


def _strings(content: Any) -> Iterator[str]:
    """Every text in what JSON holds."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from _strings(value)
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value)


def read_sums(path: Path) -> dict[str, str]:
    """File -> sha256, from a list as `sha256sum` writes it.

    Raises:
        StiltsError: a line is not of that form.
    """
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        digest, _, file = line.partition(" ")
        if line and (len(digest) != 64 or not file[1:]):
            raise StiltsError(f"{path}, line {number}: found {line!r}; expected 64 hex digits and a file. Correct it.")
        if line:
            sums[file[1:].removeprefix("./")] = digest.lower()
    return sums
