"""Chunks of tags and their F1, by the rule that XTREME's published tagging scores follow (seqeval 0.0.x)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Chunks (type, first, last) of one sequence of tags, BIO, BIOES or plain.

    A tag's prefix is its first character, its type what follows the last "-", or the whole tag. So a plain part of
    speech is a type: a run of equal tags is one chunk, except that each tag that begins with S (SCONJ, SYM) is one for
    itself, and that one that begins with B would open a new one.

    >>> sorted(chunks(["B-PER", "I-PER", "O", "I-LOC"]))
    [('LOC', 3, 3), ('PER', 0, 1)]
    >>> sorted(chunks(["NOUN", "NOUN", "SCONJ", "SCONJ"]))
    [('NOUN', 0, 1), ('SCONJ', 2, 2), ('SCONJ', 3, 3)]
    """
    found = set()
    prefix, kind, first = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        next_prefix, next_kind = tag[0], tag.split("-")[-1]
        changes = kind != next_kind
        if prefix in "ES" or (prefix in "BI" and next_prefix in "BSO") or (prefix not in "O." and changes):
            found.add((kind, first, place - 1))
        if next_prefix in "BS" or (prefix in "ESO" and next_prefix in "EI") or (next_prefix not in "O." and changes):
            first = place
        prefix, kind = next_prefix, next_kind
    return found


def chunk_scores(gold: Iterable[Sequence[str]], found: Iterable[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of chunks over all sentences together, in percent; 0 where no chunk is right.

    Sentences are joined with an O after each, so no chunk crosses the end of one.
    """
    expected, predicted = (chunks([tag for tags in side for tag in (*tags, "O")]) for side in (gold, found))
    hits = 100.0 * len(expected & predicted)
    precision, recall = hits / max(len(predicted), 1), hits / max(len(expected), 1)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"f1": f1, "precision": precision, "recall": recall}
