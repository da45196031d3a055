"""Large files of the embedded Hub, stored once each under their sha256, as git-lfs does beside a git repository."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from hf_stilts.local_hub.xorbs import SMALLEST_CHUNK, Term, XetFile, Xorb

BLOCK = 1 << 20  # bytes read or written at a time, so that memory stays flat whatever a file weighs

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,19})\n")
_UNPACKED = 4 << 30  # bytes that the files of one shard may unpack to, however little was uploaded for them
_UNPACKED_TIMES = 64  # as many times what was uploaded: more than any weights shrink by packing and sharing
POINTER_LIMIT = 200  # bytes; longer blobs are no pointers and need not be read to know it


class HubError(Exception):
    """What the Hub answers when it cannot do what was asked.

    Args:
        status: HTTP status, always 4xx (or 507 for a full disk).
        message: what was found, what was expected, what to do next; sent as ``X-Error-Message``.
        code: ``X-Error-Code``, from which `huggingface_hub` picks its exception; empty where it knows none.
        commit: ``X-Repo-Commit``: the commit in which a file is absent, so that a client notes that and asks once.
        fields: further members of the JSON answer.
    """

    def __init__(
        self, status: int, message: str, code: str = "", *, commit: str | None = None, **fields: object
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.commit, self.fields = status, message, code, commit, fields


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


class ObjectStore:
    """Large files by content under `root`: one is either whole and verified, or absent.

    What arrives through git-lfs lies in ``objects`` as it is. What arrives through xet lies in ``xorbs`` in packed
    chunks, of which files that resemble each other share most, and in ``objects`` as the list of its chunks.
    """

    def __init__(self, root: Path, incoming: Path) -> None:
        self._objects, self._xorbs, self.incoming = root / "objects", root / "xorbs", incoming
        self._terms = lru_cache(maxsize=16)(_read_terms)  # up to some 100 MB each
        self._xet_size = lru_cache(maxsize=4096)(lambda path: self._terms(path).size)
        for stale in self._xorbs.glob("*/*.new"):
            stale.unlink()

    def _path(self, oid: str, suffix: str = "") -> Path:
        return self._objects / oid[:2] / oid[2:4] / f"{oid}{suffix}"

    def size(self, oid: str) -> int | None:
        """Bytes of the object, None if it is not here."""
        with suppress(FileNotFoundError):
            return self._path(oid).stat().st_size
        with suppress(FileNotFoundError):
            return self._xet_size(self._path(oid, ".xet"))
        return None

    def read(self, oid: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes ``start <= i < stop`` in blocks."""
        try:
            file = self._path(oid).open("rb")
        except FileNotFoundError:
            yield from self._unpacked(self._terms(self._path(oid, ".xet")), start, stop)
            return
        with file:
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK, stop - start))):
                start += len(block)
                yield block

    def receive(self, oid: str, size: int) -> Incoming:
        """A writer for an object sent as it is, to be kept only if its length and sha256 are what was announced."""
        return Incoming(self._path(oid), self.incoming, (oid, size))

    def receive_xorb(self, xorb: str) -> Incoming | None:
        """A writer for a xorb that no file uses yet; None if one that a verified file uses is here already."""
        return None if self._xorb(xorb).exists() else Incoming(self._xorb(xorb, ".new"), self.incoming, None)

    def keep_files(self, files: Sequence[XetFile]) -> None:
        """Store files made of chunks that are here.

        Raises:
            HubError: 400 if a chunk is not here, or the bytes are not the file's own; 413 if all of them unpack to
                far more than was uploaded: each is unpacked and hashed, and a few bytes could buy hours of that.
        """
        wanted = 0
        xorbs = set()
        for file in files:
            for term in file.terms:
                wanted += max(term.size, SMALLEST_CHUNK)
                xorbs.add(term.xorb)
        allowed = _UNPACKED + _UNPACKED_TIMES * sum(map(self._packed, xorbs))
        if wanted > allowed:
            raise HubError(413, f"the files of the shard unpack to {wanted} bytes; expected at most {allowed} for it")
        for file in files:
            self._keep_file(file)

    def _packed(self, xorb: str) -> int:
        """Bytes of a xorb on disk, 0 if it is not here."""
        for path in self._xorb(xorb), self._xorb(xorb, ".new"):
            with suppress(FileNotFoundError):
                return path.stat().st_size
        return 0

    def _keep_file(self, file: XetFile) -> None:
        if self.size(file.sha256) == file.size:
            return
        digest, length = hashlib.sha256(), 0
        try:
            for block in self._unpacked(file, 0, file.size):
                digest.update(block)
                length += len(block)
        except (OSError, ValueError) as error:
            raise HubError(400, f"object {file.sha256} cannot be put together: {error}. Upload it again") from None
        if (length, digest.hexdigest()) != (file.size, file.sha256):
            raise HubError(400, f"the chunks make {length} bytes of sha256 {digest.hexdigest()}, not {file.sha256}")
        for xorb in {term.xorb for term in file.terms}:
            with suppress(FileNotFoundError):  # proven good already
                os.replace(self._xorb(xorb, ".new"), self._xorb(xorb))
        write_whole(self._path(file.sha256, ".xet"), json.dumps(file.terms).encode(), self.incoming)

    def _xorb(self, xorb: str, suffix: str = "") -> Path:
        return self._xorbs / xorb[:2] / f"{xorb}{suffix}"

    def _unpacked(self, file: XetFile, start: int, stop: int) -> Iterator[bytes]:
        position = 0
        xorbs: dict[str, Xorb] = {}
        for term in file.terms:
            end = position + term.size
            if start < end and position < stop:
                if term.xorb not in xorbs:
                    proven = self._xorb(term.xorb)
                    xorbs[term.xorb] = Xorb(proven if proven.exists() else self._xorb(term.xorb, ".new"))
                for chunk in xorbs[term.xorb].chunks(term.first, term.last):
                    if part := chunk[max(start - position, 0) : max(stop - position, 0)]:
                        yield part
                    position += len(chunk)
                if position != end:  # or a later request for a range would count wrongly
                    raise ValueError(f"chunks {term.first} to {term.last} of {term.xorb} are not {term.size} bytes")
            position = end


def _read_terms(path: Path) -> XetFile:
    terms = json.loads(path.read_bytes())
    return XetFile(path.stem, tuple(Term(*term) for term in terms))


def write_whole(path: Path, content: bytes, incoming: Path) -> None:
    """Write `path` so that it is there with all of `content`, also after a power cut, or not at all."""
    descriptor, name = tempfile.mkstemp(dir=incoming)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        _settle(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)


def _settle(part: Path, path: Path) -> None:
    descriptor = os.open(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, path)
    if os.name == "posix":  # elsewhere folders cannot be opened
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Incoming:
    """A large file on its way in; leaving the ``with`` block without an error checks and keeps it."""

    def __init__(self, target: Path, folder: Path, expected: tuple[str, int] | None) -> None:
        self._target, self._folder, self._expected = target, folder, expected
        self._hash, self._length = hashlib.sha256(), 0

    def __enter__(self) -> Incoming:
        descriptor, name = tempfile.mkstemp(dir=self._folder)
        self._file, self._path = os.fdopen(descriptor, "wb"), Path(name)
        return self

    def write(self, block: bytes) -> None:
        """Append `block`."""
        self._length += len(block)
        self._hash.update(block)
        self._file.write(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None:
                self._check()
                _settle(self._path, self._target)
        finally:
            self._path.unlink(missing_ok=True)

    def _check(self) -> None:
        found = (self._hash.hexdigest(), self._length)
        if self._expected not in (None, found):
            raise HubError(
                400, f"{found[1]} bytes with sha256 {found[0]} arrived, expected {self._expected}: try again"
            )
