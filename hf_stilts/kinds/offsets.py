"""Which characters of a context its tokens stand for, where the offsets of a tokenizer leave some of them out.

Tokenizers drop what their normaliser drops: the marks of accents, or, where letter and mark are composed, the mark
alone. Byte-level tokenizers that put a blank before every word take that blank for the word's first letter, and begin a
letter late. An answer that is cut out of the context by such offsets has lost letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

_CLUSTER = regex.compile(r"\X")
Offsets = NDArray[np.int32]


class Covered(NamedTuple):
    """Characters of a context that the tokens of one window stand for, int32 (tokens,) each; -1: none of them.

    Attributes:
        starts: first character.
        ends: last character, exclusive.
        whole_starts: as `starts`, of the whole grapheme cluster: what a reader takes for one letter.
        whole_ends: as `ends`, of the whole grapheme cluster.
    """

    starts: Offsets
    ends: Offsets
    whole_starts: Offsets
    whole_ends: Offsets


def cover(text: str, edges: Offsets, windows: Sequence[tuple[Offsets, NDArray[np.bool_]]]) -> list[Covered]:
    """Characters that the tokens of each window stand for.

    Args:
        text: the context, as far as the windows together read it.
        edges: its grapheme clusters, see `cluster_edges`.
        windows: for each the tokenizer's offsets, int32 (tokens, 2), and bool (tokens,), which tokens are of the text.
    """
    inside = [_in_order(offsets[of_text]) for offsets, of_text in windows]
    # What a token of one window stands for depends on which characters the tokens of all windows read.
    starts, ends = _with_skipped(text, edges, np.concatenate([np.zeros((0, 2), np.int32), *inside]))
    begins = np.cumsum([0, *map(len, inside)]).tolist()
    covered = []
    for (_, of_text), begin, end in zip(windows, begins, begins[1:], strict=False):
        own = slice(begin, end)
        some = starts[own] < ends[own]
        places = np.flatnonzero(of_text)[some]
        first, last = starts[own][some], ends[own][some]
        columns = (
            first,
            last,
            edges[np.searchsorted(edges, first, side="right") - 1],
            edges[np.searchsorted(edges, last, side="left")],
        )
        filled = np.full((len(columns), len(of_text)), -1, dtype=np.int32)
        filled[:, places] = columns
        covered.append(Covered(*filled))
    return covered


def cluster_edges(text: str) -> Offsets:
    r"""Where the grapheme clusters of a text begin, and where the last one ends: int32 (clusters + 1,).

    >>> cluster_edges("Cafe\u0301!").tolist()
    [0, 1, 2, 3, 5, 6]
    """
    if text.isascii():  # but for a line's end in two characters, which is blank
        return np.arange(len(text) + 1, dtype=np.int32)
    return np.array([0, *(match.end() for match in _CLUSTER.finditer(text))], dtype=np.int32)


def _in_order(offsets: Offsets) -> Offsets:
    """Offsets in which no token begins behind the one that follows it.

    Of a letter in several bytes, the token of the blank and the first byte says that it begins behind the letter.
    """
    ordered = offsets.copy()
    ordered[:, 0] = np.minimum.accumulate(offsets[::-1, 0])[::-1]
    return ordered


def _with_skipped(text: str, edges: Offsets, offsets: Offsets) -> tuple[Offsets, Offsets]:
    """Starts and ends of tokens, widened to the letters beside them that no token reads.

    Such letters belong to a token that is nothing without them (`"ĠA"` at (1, 1)), or to the token of the same word
    that follows them, or, at the end of a word, to the one before.
    """
    starts, ends = offsets[:, 0].copy(), offsets[:, 1].copy()
    for first, last in _skipped(text, edges, offsets):
        following = offsets[:, 0] == last
        empty = following & (offsets[:, 1] <= last)
        if empty.any():
            starts[empty] = first
        elif following.any() and _sort(text[last - 1]) == _sort(text[last]):
            starts[following] = first
        elif first and _sort(text[first - 1]) == _sort(text[first]):
            ends[(offsets[:, 1] == first) & (offsets[:, 0] < first)] = last
    return starts, ends


def _skipped(text: str, edges: Offsets, offsets: Offsets) -> Iterator[tuple[int, int]]:
    """Runs of characters that no token reads, all of one sort, as (first, last exclusive); none goes past a token."""
    changes = np.zeros(len(text) + 1, dtype=np.int64)
    some = offsets[offsets[:, 0] < offsets[:, 1]]
    np.add.at(changes, some[:, 0], 1)
    np.add.at(changes, some[:, 1], -1)
    read = np.cumsum(changes) > 0
    unread = np.flatnonzero(~np.logical_or.reduceat(read, edges[:-1])) if text else np.zeros(0, np.int64)
    if not "".join(map(text.__getitem__, edges[unread].tolist())).strip():
        return  # nothing but blanks, which is so for most tokenizers
    borders = {*offsets.ravel().tolist()}
    begin = end = 0
    for first, last in zip(edges[unread].tolist(), edges[unread + 1].tolist(), strict=True):
        sort = _sort(text[first])
        if begin < end and (first > end or first in borders or sort != _sort(text[begin])):
            yield begin, end
            begin = end
        if not sort:
            begin = end = last
            continue
        if begin == end:
            begin = first
        end = last
    if begin < end:
        yield begin, end


def _sort(character: str) -> str:
    """Whether a character is of a word, a sign, or neither: blanks and what only controls others."""
    category = unicodedata.category(character)[0]
    if category in "LNM":
        return "word"
    return "sign" if category in "PS" else ""
