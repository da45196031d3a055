"""Sets of characters for `re`, which looks characters up at once, by properties of which only `regex` knows."""

from __future__ import annotations

import re

import regex

# From the controls to Georgian; Khmer; more Latin and Greek, punctuation and signs; kana.
_BLOCKS = ((0x00, 0x10FF), (0x1780, 0x17FF), (0x1E00, 0x27BF), (0x3000, 0x30FF))
# Blocks of thousands, in each of which all characters have what the first one has: Han and Hangul.
_UNIFORM = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3))

USUAL = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in (*_BLOCKS, *_UNIFORM)) + "]*")
"""A text of which the sets know every character, as nearly every text in the languages of XTREME-R is."""


def character_set(properties: str) -> str:
    r"""The usual characters of a set of `regex` (version 1), as what stands between the brackets of a set of `re`.

    >>> re.findall("[" + character_set(r"[[\p{L}]--[aeiou]]") + "]+", "Nnß, e 漢")
    ['Nnß', '漢']
    """
    found = regex.compile(f"(?V1){properties}+")
    ranges = []
    for first, last in _BLOCKS:
        block = "".join(map(chr, range(first, last + 1)))
        ranges += [(match[0][0], match[0][-1]) for match in found.finditer(block)]
    ranges += [(chr(first), chr(last)) for first, last in _UNIFORM if found.match(chr(first))]
    return "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in ranges)
