"""The publisher's files: found by name below a folder, checked against known sha256 sums, read line by line."""

from __future__ import annotations

import csv
import itertools
import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256

logger = logging.getLogger(__name__)

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # no text has them: the file is damaged, or no text file
# How JSON may write them, and halves of characters.
_ESCAPED = re.compile(r"\\u(00[01][0-9a-f]|007f|d[89a-f])", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')

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

    Raises:
        FileNotFoundError: no such folder.
        StiltsError: its `SHA256SUMS` cannot be read.
    """

    def __init__(self, folder: Path, name: str, *, checksum: bool = True) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"No folder {folder}. Expected the publisher's files there. Correct --raw.")
        self.folder = folder
        self.read: dict[str, str] = {}
        self._files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        self._known: list[tuple[str, dict[str, str]]] = []
        if checksum:
            known = {f"/{file}": digest for file, digest in read_sums(PUBLISHED).items() if file.startswith(f"{name}/")}
            published = {file.removeprefix(f"/{name}"): digest for file, digest in known.items()}
            here = {
                file: digest for file in self._files for end, digest in published.items() if f"/{file}".endswith(end)
            }
            self._known.append((f"the published files ({PUBLISHED.name})", here))
            if (folder / SUMS).is_file():
                self._known.append((f"{folder / SUMS}", read_sums(folder / SUMS)))

    def find(self, pattern: str) -> list[str]:
        """Files whose name matches a shell pattern, sorted by that name; `de/train` also asks for the folder's name."""
        parts = pattern.count("/") + 1
        found = (file for file in self._files if fnmatchcase("/".join(Path(file).parts[-parts:]), pattern))
        return sorted(found, key=lambda file: (Path(file).name, file))

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        r"""Numbered lines of the one file of this name, from 1; only "\n" ends a line (U+2028 and U+0085 do not).

        A byte order mark before the first line is no part of it.

        Raises:
            StiltsError: the file is empty, its lines end in "\r" alone, or one holds a control character.
        """
        number = 0
        with self._checked(name).open("rb") as file:  # one line at a time: a million entities are a large file
            for number, content in enumerate(file, start=1):
                line = self._decoded(name, content.removesuffix(b"\n"), number).removesuffix("\r")
                line = line.removeprefix("\ufeff") if number == 1 else line
                if "\r" in line:
                    raise self.error(name, number, "a carriage return within the line", 'lines that end in "\\n"')
                self._refuse_control(name, number, line)
                yield number, line
        if not number:
            raise self.error(name, 1, "an empty file", "rows")

    def table(self, name: str, columns: int) -> Iterator[tuple[int, list[str]]]:
        """Numbered lines, split at tabs; quotes mean nothing.

        Raises:
            StiltsError: a line has another number of columns.
        """
        for number, line in self.lines(name):
            cells = line.split("\t")
            if len(cells) != columns:
                raise self.error(name, number, f"{len(cells)} columns", f"{columns}, separated by tabs")
            yield number, cells

    def texts(self, name: str) -> Iterator[tuple[int, list[str]]]:
        """Numbered lines, split at tabs, of a file that is published plain and has CSV's quotes in some mirrors.

        The file as a whole decides: a CSV writer quotes every cell, or those in which there is a quote, which it
        doubles. In a plain file, a cell that begins and ends with a quote is a sentence in quotes. A row is a line.

        Raises:
            StiltsError: some cells are quoted as CSV has it, and others are not.
        """
        rows = [(number, line.split("\t")) for number, line in self.lines(name)]
        marked = [(number, cell) for number, cells in rows for cell in cells if '"' in cell]
        plain = next((number for number, cell in marked if not _QUOTED.fullmatch(cell)), None)
        doubled = [number for number, cell in marked if '""' in cell[1:-1]]
        everything = all('"' in cell or cell.isdecimal() for _, cells in rows for cell in cells)
        if not marked or plain is not None or not (doubled or everything):
            yield from rows
            return
        if not everything and len(doubled) < len(marked):
            number = next(number for number, cell in marked if '""' not in cell[1:-1])
            expected = f"none, or CSV's as in line {doubled[0]}"
            raise self.error(name, number, "quotes around a cell that has none within", expected)
        for number, cells in rows:
            yield number, [cell[1:-1].replace('""', '"') if '"' in cell else cell for cell in cells]

    def translated_pairs(self, language: str, labels: Collection[str]) -> Iterator[tuple[int, list[str]]]:
        """Numbered (text, text, label) of XTREME's machine translations, `en-de-translated.tsv`; nothing without it.

        Its lines have five columns: the English pair, the translated one, the label. Lines that are not so are known to
        be among them; they are left out and counted, as XTREME's own reader in TensorFlow Datasets leaves them out.
        """
        name, dropped = TRANSLATED.format(language=language), 0
        for number, line in self.lines(name) if self.find(name) else ():
            cells = line.split("\t")
            if len(cells) == 5 and cells[4] in labels:
                yield number, cells[2:]
            else:
                dropped += 1
        if dropped:
            logger.warning("%s: left out %d lines that are not five columns with a label", name, dropped)

    def json(self, name: str) -> Any:
        """Content of a JSON file."""
        return self._parse(name, self._decoded(name, self._checked(name).read_bytes(), 1).removeprefix("\ufeff"), 1)

    def json_lines(self, name: str) -> Iterator[tuple[int, Any]]:
        """Numbered objects of a file with one JSON object a line; blank lines are none."""
        found = 0
        for number, line in self.lines(name):
            if line.strip():
                found = number
                yield number, self._parse(name, line, number)
        if not found:
            raise self.error(name, 1, "no row", "a JSON object a line")

    def records(
        self, name: str, keys: Iterable[str], unique: str | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbered rows, each with these keys at least, and those with `unique` with each of its values once.

        By the file's ending: `.jsonl` is an object a line; `.csv` has commas, quotes and a header; any other file has
        tabs and a header, and quotes mean nothing.

        Raises:
            StiltsError: there is no row, one lacks a key or has more cells than the header, or `unique` stands twice.
        """
        keys, places = list(keys), dict[str, int]()
        number = 0
        for number, row in self._rows(name):
            missing = [key for key in keys if not isinstance(row, dict) or row.get(key) is None]
            if missing:
                raise self.error(name, number, f"no {missing[0]!r}", f"{{{', '.join(keys)}}}")
            if unique is not None and unique in row:
                first = places.setdefault(str(row[unique]), number)
                if first != number:
                    raise self.error(
                        name, number, f"{unique} {row[unique]!r}, as in line {first}", f"every {unique} once"
                    )
            yield number, row
        if not number:
            raise self.error(name, 1, "no row", f"rows with {', '.join(keys)}")

    def _rows(self, name: str) -> Iterator[tuple[int, Any]]:
        if name.endswith(".jsonl"):
            yield from self.json_lines(name)
        elif name.endswith(".csv"):
            yield from self._csv(name)
        else:
            header = next(self.lines(name), (0, ""))[1].split("\t")
            for number, line in itertools.islice(self.lines(name), 1, None):
                cells = line.split("\t")
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
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise self.error(name, line + error.lineno - 1, f"broken JSON ({error.msg})", "JSON") from error
        except RecursionError as error:
            raise self.error(name, line, "JSON nested a thousand times", "flat JSON") from error
        if _ESCAPED.search(text):
            for each in _strings(content):
                self._refuse_control(name, line, each)
        return content

    def _refuse_control(self, name: str, line: int, text: str) -> None:
        if found := _CONTROL.search(text):
            raise self.error(name, line, f"control character {found[0]!r}", "text")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise self.error(name, line, f"half of a character, {text[error.start]!r}", "whole ones") from error


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
