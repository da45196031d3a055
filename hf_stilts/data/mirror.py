"""A mirror: folders on this machine that look as dataset repositories on the Hub do, a card with `configs:` and the files below."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def digest(folder: Path, files: Iterable[Path]) -> str:
    """12 hex digits that change whenever a file, its name, or the folder's card does; not when the folder moves."""
    found = hashlib.sha256()
    for path in [folder / "README.md", *sorted(files)]:
        name = path.resolve().relative_to(folder.resolve()).as_posix()
        found.update(f"{sha256(path)}  {name}\n".encode())
    return found.hexdigest()[:12]
