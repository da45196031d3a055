"""The publisher's files: found by name below a folder, checked against known sha256 sums, read line by line."""

from __future__ import annotations

import csv
import itertools
import json
import logging
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256

logger = logging.getLogger(__name__)

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
        r"""Numbered lines of the one file of this name, from 1; only "\n" ends a line (U+2028 and U+0085 do not)."""
        with self._checked(name).open("rb") as file:  # one line at a time: a million entities are a large file
            for number, line in enumerate(file, start=1):
                yield number, self._decoded(name, line.removesuffix(b"\n"), number).removesuffix("\r")

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

    def quoted_table(self, name: str) -> Iterator[tuple[int, list[str]]]:
        """Numbered rows of a file with tabs and quotes, as Python's `csv` writes it, and without a header."""
        reader = csv.reader((line + "\n" for _, line in self.lines(name)), delimiter="\t")
        for cells in reader:
            yield reader.line_num, cells

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
        return self._parse(name, self._decoded(name, self._checked(name).read_bytes(), 1), 1)

    def json_lines(self, name: str) -> Iterator[tuple[int, Any]]:
        """Numbered objects of a file with one JSON object a line; blank lines are none."""
        for number, line in self.lines(name):
            if line.strip():
                yield number, self._parse(name, line, number)

    def records(self, name: str, keys: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbered rows, each with these keys at least.

        By the file's ending: `.jsonl` is an object a line; `.csv` has commas, quotes and a header; any other file has
        tabs and a header, and quotes mean nothing.

        Raises:
            StiltsError: a row lacks a key, or has more cells than the header.
        """
        keys = list(keys)
        for number, row in self._rows(name):
            missing = [key for key in keys if not isinstance(row, dict) or row.get(key) is None]
            if missing:
                raise self.error(name, number, f"no {missing[0]!r}", f"{{{', '.join(keys)}}}")
            yield number, row

    def _rows(self, name: str) -> Iterator[tuple[int, Any]]:
        if name.endswith(".jsonl"):
            yield from self.json_lines(name)
        elif name.endswith(".csv"):
            # A quoted cell may hold line ends, so the reader gets the lines and says where it stands.
            reader = csv.DictReader(line + "\n" for _, line in self.lines(name))
            for row in reader:
                if None in row:
                    raise self.error(name, reader.line_num, f"{len(row[None])} cells too many", "as many as its header")
                yield reader.line_num, row
        else:
            header = next(self.lines(name), (0, ""))[1].split("\t")
            for number, line in itertools.islice(self.lines(name), 1, None):
                cells = line.split("\t")
                if len(cells) > len(header):
                    raise self.error(name, number, f"{len(cells)} cells", f"at most {len(header)}, as in its header")
                yield number, dict(zip(header, cells, strict=False))  # SNLI leaves out empty cells at the end

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
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise self.error(name, line + error.lineno - 1, f"broken JSON ({error.msg})", "JSON") from error


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
