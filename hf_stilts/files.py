"""Files that are whole or not there at all: writing, JSON, JSON lines, checksums. Standard library only."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError

_CHUNK = 1 << 20


def write(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file whole or not at all: a reader, or a process killed meanwhile, sees the old text or the new one.

    Args:
        path: the file; its folder is made where there is none.
        text: its content, UTF-8, newlines as they are.
        durable: also wait until the disk has it (fsync), so that it survives a power cut.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows which files a folder has; does nothing where folders cannot be opened (Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: object, *, durable: bool = False) -> None:
    """`write` a value as indented JSON."""
    write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", durable=durable)


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """`write` JSON lines, an object a line; numpy's numbers become plain ones."""
    write(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain) + "\n" for row in rows))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a file of JSON lines.

    Raises:
        FileNotFoundError: there is no such file.
        StiltsError: a line is no JSON object; file and line are named.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise StiltsError(
            f"{path}, line {line}: found byte {error.object[error.start]:#04x}; expected UTF-8. Correct it there."
        ) from error
    return parse_lines(content, path)


def parse_lines(content: str, path: Path) -> list[dict[str, Any]]:
    """Objects of JSON lines that were read from a file, which an error names.

    Raises:
        StiltsError: a line is no JSON object; file and line are named.
    """
    rows = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line:
            continue
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise StiltsError(
                f"{path}, line {number} is no JSON object ({error}); expected one object a line. Remove the line, or "
                "the file, and run the command again."
            ) from error
    return rows


def sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def cut_short(path: Path) -> str | None:
    """What is wrong with a safetensors file by its length; None where it is as long as its header says.

    Only the header is read: whether the bytes behind it are the right ones, `sha256` says.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")  # of the header, which is JSON
        if size < 8 or length > size - 8:
            return f"{path.name} has {size:,} bytes, fewer than its header"
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return f"the header of {path.name} cannot be read"
    return None if size == expected else f"{path.name} has {size:,} bytes, and {expected:,} are expected"


def cut_weights(folder: Path) -> str | None:
    """What is wrong with the first safetensors file of a checkpoint, heads included, that is cut short; else None."""
    for pattern in ("*.safetensors", "heads/*/*.safetensors"):
        for path in sorted(folder.glob(pattern)):
            if wrong := cut_short(path):
                return wrong
    return None


def _plain(value: Any) -> Any:
    """What numpy calls a number."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is neither a number, a text nor a list of them")
