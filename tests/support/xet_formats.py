"""Xorbs and shards as `hf-xet` uploads them, written from the specification."""

import struct

import pyarrow

XORB = "0123456789abcdef" * 4


def packed(chunk: bytes, scheme: int) -> bytes:
    """One chunk of a xorb as the specification writes it."""
    data = chunk
    if scheme == 2:
        data = b"".join(chunk[position::4] for position in range(4))
    if scheme:
        data = pyarrow.compress(data, codec="lz4", asbytes=True)
    sizes = len(data).to_bytes(3, "little"), len(chunk).to_bytes(3, "little")
    return bytes([0]) + sizes[0] + bytes([scheme]) + sizes[1] + data


def shard(terms: list[tuple[str, int, int, int]], sha256: str) -> bytes:
    """A shard of one file, with verification records and a sha256, as `hf-xet` sends it."""

    def raw(text: str) -> bytes:
        return struct.pack("<4Q", *(int(text[at : at + 16], 16) for at in range(0, 64, 16)))

    records = [bytes(48), bytes(32) + struct.pack("<2IQ", 0b11 << 30, len(terms), 0)]
    records += [raw(xorb) + struct.pack("<4I", 0, size, first, last) for xorb, first, last, size in terms]
    records += [bytes(48) for _ in terms]
    records += [raw(sha256) + bytes(16), b"\xff" * 32 + bytes(16), b"\xff" * 32 + bytes(16)]
    return b"".join(records)
