r"""Grapheme clusters, what a reader takes for one character: those that `\X` of `regex` finds, sooner."""

from __future__ import annotations

import re
from functools import cache, lru_cache

import regex

from hf_stilts.data.characters import character_set

LINKERS = "\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d\u1039\u17d2"
"""Marks that make one grapheme cluster of the consonants before and behind them."""
_CLUSTER = regex.compile(r"\X")
# Characters behind which nothing but marks belongs to the cluster, and marks that tie nothing to what is behind them.
_LETTERS = r"[\p{GCB=Other}\p{GCB=LV}\p{GCB=LVT}]"
_MARKS = rf"[[\p{{GCB=Extend}}\p{{GCB=SpacingMark}}]--[{LINKERS}]]"


def clusters(text: str) -> list[str]:
    r"""Grapheme clusters of a text, from left to right.

    >>> [len(each) for each in clusters("a\u0301b")], clusters("किम")
    ([2, 1], ['कि', 'म'])
    """
    all_letters, all_known, known_cluster = _patterns()
    if all_letters.fullmatch(text):
        return list(text)
    if all_known.fullmatch(text):
        return known_cluster.findall(text)
    return _CLUSTER.findall(text)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A text of such letters, of letters and marks; a cluster of these. Made when the first text is read."""
    letters, marks = character_set(_LETTERS), character_set(_MARKS)
    return (
        re.compile(f"[{letters}]*"),
        re.compile(f"[{letters}{marks}]*"),
        re.compile(f"[{letters}][{marks}]*|[{marks}]+"),
    )


@lru_cache(maxsize=1 << 16)
def parted(two: str) -> bool:
    """Whether a grapheme cluster may end between two neighbouring characters; also between one and an end of a text."""
    return len(two) < 2 or len(_CLUSTER.findall(two)) == 2
