"""Chunks of tags, counted in arrays: entities, and the runs of parts of speech behind XTREME's published POS "F1".

The walk over tags is seqeval's, which is conlleval's: a tag's first character is its prefix, B, E and S open or close,
I goes on, O and "." stand outside, and a new type opens a new chunk. The two rules differ in what a tag's type is:

* "upos", seqeval 0.0.x, by which XTREME scores both of its tagging tasks: what follows the last hyphen, or the whole
  tag. So a run of equal parts of speech is one chunk, but each SCONJ and SYM, which begin with S, is one for itself.
* "iob2", seqeval 1.x: what follows the first hyphen. Both rules agree on tags such as O, B-PER, I-PER; on raw parts of
  speech this one drops the first letter, and CCONJ and SCONJ become one type.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Rule: TypeAlias = Literal["upos", "iob2"]
Ints: TypeAlias = NDArray[np.integer[Any]]

OUTSIDE = "O"
PREFIXES = "BIESO."  # any other first character is a prefix of its own, and all of those behave alike


def _pairs(*wanted: str) -> NDArray[np.bool_]:
    """Whether two neighbouring prefixes are among those wanted, written "BS" for B and then S; `*` is any."""
    every = PREFIXES + "*"
    table = np.zeros((len(every), len(every)), dtype=bool)
    for pair in wanted:
        rows, columns = (slice(None) if prefix == "*" else every.index(prefix) for prefix in pair)
        table[rows, columns] = True
    return table


ENDS = _pairs("E*", "S*", "BB", "BS", "BO", "IB", "IS", "IO")
STARTS = _pairs("*B", "*S", "EE", "EI", "SE", "SI", "OE", "OI")
INSIDE = np.array([prefix not in "O." for prefix in PREFIXES + "*"])


class Tags(NamedTuple):
    """Sentences of tags, one behind the other: `ids` (n,), numbers of tag names; `lengths` (sentences,)."""

    ids: Ints
    lengths: Ints


class Counts(NamedTuple):
    """Chunks of each type, int64 (types,): right ones, predicted ones, gold ones; `types` has their names."""

    correct: Ints
    found: Ints
    gold: Ints
    types: tuple[str, ...]


def number_tags(*sides: Sequence[Sequence[str]]) -> tuple[list[Tags], list[str]]:
    """Lists of tags as arrays, one vocabulary for all sides.

    >>> (gold, found), names = number_tags([["DET", "NOUN"], ["DET"]], [["DET", "VERB"], ["DET"]])
    >>> names, found.ids.tolist(), found.lengths.tolist()
    (['DET', 'NOUN', 'VERB'], [0, 2, 0], [2, 1])
    """
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    numbered = []
    for side in sides:
        lengths = np.fromiter(map(len, side), dtype=np.int64, count=len(side))
        ids = np.fromiter(map(index.__getitem__, itertools.chain.from_iterable(side)), dtype=np.int32)
        numbered.append(Tags(ids, lengths))
    return numbered, list(index)


def chunks(tags: Sequence[str], rule: Rule = "upos") -> list[tuple[str, int, int]]:
    """Chunks (type, first, last) of one sentence, in its order.

    >>> chunks(["B-PER", "I-PER", "O", "I-LOC"])
    [('PER', 0, 1), ('LOC', 3, 3)]
    >>> chunks(["NOUN", "NOUN", "SCONJ", "SCONJ"])
    [('NOUN', 0, 1), ('SCONJ', 2, 2), ('SCONJ', 3, 3)]
    """
    (numbered,), names = number_tags([tags])
    prefix_of, type_of, types = _vocabulary(names, rule)
    keys = _keys(_joined(numbered, len(names)), prefix_of, type_of)
    last = np.flatnonzero(keys >= 0).tolist()
    return [(types[keys[end] % len(types)], int(keys[end]) // len(types), end) for end in last]


def count_chunks(gold: Tags, found: Tags, names: Sequence[str], rule: Rule = "upos") -> Counts:
    """Chunks that both sides have, type and both ends alike, and chunks of either side. None crosses a sentence's end.

    Sides of unequal lengths are compared place by place as they stand, one outside tag behind every sentence: that is
    how XTREME's scorer reads them too.

    Args:
        gold: numbered tags.
        found: numbered tags, by the same names.
        names: names of the tags.
        rule: what a tag's type is, see the head of this module.

    Raises:
        ValueError: an empty tag, or an unknown rule.
    """
    prefix_of, type_of, types = _vocabulary(names, rule)
    sides = [_keys(_joined(tags, len(names)), prefix_of, type_of) for tags in (gold, found)]
    shared = min(len(side) for side in sides)
    same = sides[0][:shared][sides[0][:shared] == sides[1][:shared]]
    counted = (same, sides[1], sides[0])
    correct, predicted, expected = (np.bincount(keys[keys >= 0] % len(types), minlength=len(types)) for keys in counted)
    return Counts(correct, predicted, expected, types)


def count_by_sentence(gold: Tags, found: Tags, names: Sequence[str], rule: Rule = "upos") -> Ints:
    """Right, predicted and gold chunks of each sentence, int64 (sentences, 3); arguments as in `count_chunks`.

    >>> (gold, found), names = number_tags([["NOUN", "VERB"], ["DET"]], [["NOUN", "NOUN"], ["DET"]])
    >>> count_by_sentence(gold, found, names).tolist()
    [[0, 1, 2], [1, 1, 1]]

    Raises:
        ValueError: the sides have not the same numbers of tags.
    """
    _check_lengths(gold, found)
    prefix_of, type_of, _ = _vocabulary(names, rule)
    expected, predicted = (_keys(_joined(tags, len(names)), prefix_of, type_of) for tags in (gold, found))
    sentence = np.repeat(np.arange(len(gold.lengths)), gold.lengths + 1)
    columns = ((predicted >= 0) & (expected == predicted), predicted >= 0, expected >= 0)
    return np.stack([np.bincount(sentence[column], minlength=len(gold.lengths)) for column in columns], axis=1)


def chunk_scores(
    gold: Sequence[Sequence[str]], found: Sequence[Sequence[str]], rule: Rule = "upos"
) -> dict[str, float]:
    """`f1`, `precision` and `recall` of the chunks of all sentences together, between 0 and 1; 0 where none is right.

    >>> chunk_scores([["NOUN", "NOUN", "VERB"]], [["NOUN", "VERB", "VERB"]])["f1"]
    0.0
    >>> chunk_scores([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "B-LOC"]])
    {'f1': 0.5, 'precision': 0.5, 'recall': 0.5}
    """
    (expected, predicted), names = number_tags(gold, found)
    return overall(count_chunks(expected, predicted, names, rule))


def overall(counts: Counts) -> dict[str, float]:
    """F1, precision and recall over all types together (micro), in the order of operations of the official scorer."""
    return _f1(int(counts.correct.sum()), int(counts.found.sum()), int(counts.gold.sum()))


def each_type(counts: Counts) -> dict[str, dict[str, float]]:
    """The same for each type that occurs, with `number`, its gold chunks."""
    rows = zip(counts.types, *(column.tolist() for column in counts[:3]), strict=True)
    return {name: {**_f1(hits, found, gold), "number": gold} for name, hits, found, gold in rows if found or gold}


def token_accuracy(gold: Tags, found: Tags) -> float:
    """Share of equal tags, between 0 and 1; 0 where there is no tag.

    Raises:
        ValueError: the sides have not the same numbers of tags.
    """
    _check_lengths(gold, found)
    return float(np.mean(gold.ids == found.ids)) if len(gold.ids) else 0.0


def _check_lengths(gold: Tags, found: Tags) -> None:
    if not np.array_equal(gold.lengths, found.lengths):
        shared = min(len(gold.lengths), len(found.lengths))
        differing = np.flatnonzero(gold.lengths[:shared] != found.lengths[:shared])
        place = int(differing[0]) if len(differing) else shared
        counts = [int(side.lengths[place]) if place < len(side.lengths) else 0 for side in (gold, found)]
        raise ValueError(
            f"Sentence {place} has {counts[0]} gold tags and {counts[1]} predicted ones. Expected one for each word; "
            "check that both are of the same sentences."
        )


def _vocabulary(names: Sequence[str], rule: Rule) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Number of the prefix and of the type of each name, with the outside tag added behind them; names of the types."""
    if rule not in get_args(Rule):
        raise ValueError(f"rule={rule!r} is not known. Expected one of: {', '.join(get_args(Rule))}.")
    if not all(names):
        raise ValueError("A tag is the empty string. Expected a name such as NOUN, B-PER or O; correct the data.")
    names = [*names, OUTSIDE]
    types, type_of = np.unique([_type(name, rule) for name in names], return_inverse=True)
    prefix_of = np.array([(PREFIXES + name[0]).index(name[0]) for name in names])
    return prefix_of, type_of, tuple(types.tolist())


def _type(name: str, rule: Rule) -> str:
    return name.split("-")[-1] if rule == "upos" else name[1:].split("-", 1)[-1] or "_"


def _joined(tags: Tags, outside: int) -> Ints:
    """One array with an outside tag behind every sentence."""
    sentences = len(tags.lengths)
    joined = np.full(len(tags.ids) + sentences, outside, dtype=np.int64)
    joined[np.arange(len(tags.ids)) + np.repeat(np.arange(sentences), tags.lengths)] = tags.ids
    return joined


def _keys(joined: Ints, prefix_of: Ints, type_of: Ints) -> Ints:
    """Behind every place where a chunk ends its first place and its type, packed into one number; -1 elsewhere."""
    prefix, kind = prefix_of[joined], type_of[joined]
    # Before the first tag stands an outside one with a type that no tag has.
    earlier, earlier_kind = np.roll(prefix, 1), np.roll(kind, 1)
    earlier[:1], earlier_kind[:1] = PREFIXES.index(OUTSIDE), -1
    changes = kind != earlier_kind
    ends = ENDS[earlier, prefix] | (INSIDE[earlier] & changes)
    starts = STARTS[earlier, prefix] | (INSIDE[prefix] & changes)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(joined)), 0))
    closed = np.flatnonzero(ends) - 1
    keys = np.full(len(joined), -1, dtype=np.int64)
    keys[closed] = first[closed] * (int(type_of.max()) + 1) + kind[closed]
    return keys


def _f1(correct: int, found: int, gold: int) -> dict[str, float]:
    precision, recall = correct / found if found else 0.0, correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": f1, "precision": precision, "recall": recall}
