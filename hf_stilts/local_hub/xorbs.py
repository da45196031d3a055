"""The two formats in which `hf-xet` uploads large files: xorbs hold compressed chunks, shards say which make a file.

Both are specified in public: https://huggingface.co/docs/xet/xorb and https://huggingface.co/docs/xet/shard.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow

SMALLEST_CHUNK, _LARGEST_CHUNK, _MOST_CHUNKS = 8 << 10, 128 << 10, 8192  # bytes, bytes, and chunks of one xorb
_RECORD = 48  # bytes; everything in a shard is a multiple
_BOOKEND = b"\xff" * 32
_WITH_VERIFICATION, _WITH_SHA256 = 1 << 31, 1 << 30


class Term(NamedTuple):
    """A run of chunks ``first <= i < last`` of a xorb that unpack to `size` bytes of a file."""

    xorb: str
    first: int
    last: int
    size: int


@dataclass(frozen=True)
class XetFile:
    """A file as a shard describes it: its terms in order, and the sha256 that their bytes must have."""

    sha256: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(term.size for term in self.terms)


def hash_text(raw: bytes) -> str:
    """A 32-byte hash in the spelling of xet: four little-endian numbers, 16 hexadecimal digits each.

    >>> hash_text(bytes(range(32)))[:16]
    '0706050403020100'
    """
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def files_in_shard(shard: bytes) -> Iterator[XetFile]:
    """The files that an uploaded shard describes. ValueError where the bytes are no such shard."""
    records = (shard[at : at + _RECORD] for at in range(_RECORD, len(shard), _RECORD))  # the first is the header
    try:
        while (header := next(records))[:32] != _BOOKEND:
            flags, count = struct.unpack_from("<2I", header, 32)
            terms = []
            for _ in range(count):
                record = next(records)
                size, first, last = struct.unpack_from("<3I", record, 36)
                terms.append(Term(hash_text(record[:32]), first, last, size))
            for _ in range(count if flags & _WITH_VERIFICATION else 0):
                next(records)
            if not flags & _WITH_SHA256:
                raise ValueError("a file in the shard has no sha256")
            yield XetFile(hash_text(next(records)[:32]), tuple(terms))
    except (StopIteration, struct.error):
        raise ValueError("the shard ends before its list of files does") from None


class Xorb:
    """A xorb on disk: each chunk follows a header of 8 bytes, so where one begins is found once and kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("Q", [0])

    def chunks(self, first: int, last: int) -> Iterator[bytes]:
        """The unpacked chunks ``first <= i < last``. ValueError where they cannot be read."""
        if last > _MOST_CHUNKS:
            raise ValueError(f"xorb {self.path.name} has no chunk {last - 1}: expected at most {_MOST_CHUNKS}")
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            while len(self._starts) < last:
                self._starts.append(self._starts[-1] + 8 + self._header(data, len(self._starts) - 1)[0])
            for index in range(first, last):
                packed, scheme, size = self._header(data, index)
                at = self._starts[index] + 8
                if index + 1 == len(self._starts):
                    self._starts.append(at + packed)
                yield _unpack(data[at : at + packed], scheme, size)

    def _header(self, data: mmap.mmap, index: int) -> tuple[int, int, int]:
        """Packed length, scheme and unpacked length of a chunk."""
        at = self._starts[index]
        if at + 8 > len(data):
            raise ValueError(f"xorb {self.path.name} has no chunk {index}")
        header = data[at : at + 8]
        return int.from_bytes(header[1:4], "little"), header[4], int.from_bytes(header[5:8], "little")


def _unpack(packed: bytes, scheme: int, size: int) -> bytes:
    if size > _LARGEST_CHUNK:
        raise ValueError(f"a chunk says {size} bytes; expected at most {_LARGEST_CHUNK}")
    if scheme == 0:
        chunk = packed
    elif scheme in (1, 2):
        chunk = bytes(pyarrow.decompress(packed, decompressed_size=size, codec="lz4", asbytes=True))
    else:
        raise ValueError(f"a chunk is packed by the unknown scheme {scheme}")
    if len(chunk) != size:
        raise ValueError(f"a chunk has {len(chunk)} bytes and says {size}")
    return _ungroup(chunk) if scheme == 2 else chunk


def _ungroup(grouped: bytes) -> bytes:
    """Undo "byte grouping": all first bytes of the 4-byte words, then all second ones, and so on."""
    source, target = np.frombuffer(grouped, np.uint8), np.empty(len(grouped), np.uint8)
    start = 0
    for position in range(4):
        stop = start + len(target[position::4])
        target[position::4] = source[start:stop]
        start = stop
    return target.tobytes()
