"""Large files of the embedded Hub, stored once each under their sha256, as git-lfs does beside a git repository."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

BLOCK = 1 << 20  # bytes read or written at a time, so that memory stays flat whatever a file weighs

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,19})\n")
POINTER_LIMIT = 200  # bytes; longer blobs are no pointers and need not be read to know it


class HubError(Exception):
    """What the Hub answers when it cannot do what was asked.

    Args:
        status: HTTP status, always 4xx (or 507 for a full disk).
        message: what was found, what was expected, what to do next; sent as ``X-Error-Message``.
        code: ``X-Error-Code``, from which `huggingface_hub` picks its exception; empty where it knows none.
        fields: further members of the JSON answer.
    """

    def __init__(self, status: int, message: str, code: str = "", **fields: object) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.fields = status, message, code, fields


def write_pointer(oid: str, size: int) -> bytes:
    """The text that git stores in place of a large file (git-lfs specification, "The pointer").

    >>> write_pointer("0" * 64, 12).decode().splitlines()[2]
    'size 12'
    """
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


def read_pointer(blob: bytes) -> tuple[str, int] | None:
    """The (sha256, size in bytes) that a pointer names, or None if `blob` is an ordinary file.

    >>> read_pointer(write_pointer("a" * 64, 7)) == ("a" * 64, 7), read_pointer(b"version 1")
    (True, None)
    """
    match = _POINTER.fullmatch(blob)
    return (match[1].decode(), int(match[2])) if match else None


def check_sha256(oid: object) -> str:
    """`oid` itself if it is a lower-case hexadecimal sha256; anything else is the client's mistake."""
    if not isinstance(oid, str) or not re.fullmatch(r"[0-9a-f]{64}", oid):
        raise HubError(400, f"{oid!r} is no object id: expected 64 lower-case hexadecimal digits (sha256)")
    return oid


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut; a no-op where folders cannot be opened (Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class ObjectStore:
    """Files by content under `folder`: an object is either whole and verified, or absent."""

    def __init__(self, folder: Path, incoming: Path) -> None:
        self.folder, self.incoming = folder, incoming
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, oid: str) -> Path:
        """Where the object lies, or would lie."""
        return self.folder / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """Bytes of the object, None if it is not here."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, oid: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes ``start <= i < stop`` in blocks."""
        with self.path(oid).open("rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK, stop - start))):
                start += len(block)
                yield block

    def receive(self, oid: str, size: int) -> Incoming:
        """A writer for the object; leaving its ``with`` block without an error verifies and keeps it."""
        return Incoming(self, oid, size)


class Incoming:
    """A large file on its way in: kept only if its length and its sha256 are what was announced."""

    def __init__(self, store: ObjectStore, oid: str, size: int) -> None:
        self._store, self._oid, self._size = store, oid, size
        self._hash, self._length = hashlib.sha256(), 0

    def __enter__(self) -> Incoming:
        descriptor, name = tempfile.mkstemp(dir=self._store.incoming)
        self._file, self._path = os.fdopen(descriptor, "wb"), Path(name)
        return self

    def write(self, block: bytes) -> None:
        """Append `block`; refuses more bytes than announced."""
        self._length += len(block)
        if self._length > self._size:
            raise HubError(413, f"more than the announced {self._size} bytes arrived for {self._oid}")
        self._hash.update(block)
        self._file.write(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._keep()
        finally:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _keep(self) -> None:
        if self._length != self._size:
            raise HubError(400, f"{self._length} bytes arrived for {self._oid}, expected {self._size}: send it again")
        if (found := self._hash.hexdigest()) != self._oid:
            raise HubError(400, f"the bytes that arrived have sha256 {found}, expected {self._oid}: send them again")
        self._file.flush()
        os.fsync(self._file.fileno())
        target = self._store.path(self._oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, target)
        sync_folder(target.parent)
