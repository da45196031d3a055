"""From nearest neighbours to sentence pairs: margin scores, one-to-one matching, the threshold and its F1, in numpy.

The rules are those of XTREME's BUCC scripts (`third_party/utils_retrieve.py`, `third_party/bucc2018.py`), which jiant
and Phang et al. (2020) share, and which go back to LASER (Artetxe and Schwenk 2019). Nothing here loops over rows in
Python, and nothing knows torch: the same file runs in a Space and under `hf_stilts.retrieval`.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Margin: TypeAlias = Literal["ratio", "distance", "absolute"]
Retrieval: TypeAlias = Literal["max", "forward", "backward", "intersect", "all"]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

# Once a round of mutual-best matching settles less than this share of the pairs, a plain walk is the faster way.
SLOW_ROUND = 1 / 64


class Nearest(NamedTuple):
    """The k nearest rows of the other side: `indices` int64 (n, k) and their cosines, `scores` (n, k), best first."""

    indices: NDArray[np.int64]
    scores: NDArray[Any]


class Pairs(NamedTuple):
    """Scored row pairs, best first: `source` int64 (p,), `target` int64 (p,), `score` float64 (p,)."""

    source: Ints
    target: Ints
    score: Floats

    def take(self, rows: NDArray[Any]) -> "Pairs":
        """Some of the pairs, by their places or by a mask."""
        return Pairs(self.source[rows], self.target[rows], self.score[rows])


class Cut(NamedTuple):
    """What remains of a candidate list above a threshold, and how good that is; plain Python numbers."""

    value: float
    precision: float
    recall: float
    f1: float
    kept: int
    correct: int


def check_choice(name: str, value: str, choices: Any) -> None:
    """Refuse a word that is not among the members of a `Literal`."""
    known = get_args(choices)
    if value not in known:
        raise ValueError(f"{name}={value!r} is not known. Expected one of: {', '.join(known)}.")


def margin_scores(cosine: NDArray[Any], source_mean: NDArray[Any], target_mean: NDArray[Any], margin: Margin) -> Floats:
    """Score of a pair from its cosine and from the mean cosine of either side to its own k nearest neighbours.

    With `a` the cosine and `b` the mean of the two means: ratio `a / b`, distance `a - b`, absolute `a`, as in LASER.
    A ratio over a mean that is not positive says nothing; it is 0, so that such a pair is never mined.

    >>> margin_scores(np.array([0.9]), np.array([0.7]), np.array([0.5]), "ratio").round(6)
    array([1.5])
    """
    cosine = np.asarray(cosine, dtype=np.float64)
    if margin == "absolute":
        return cosine
    expected = (np.asarray(source_mean, dtype=np.float64) + np.asarray(target_mean, dtype=np.float64)) / 2
    if margin == "distance":
        return cosine - expected
    ratio: Floats = np.divide(cosine, expected, out=np.zeros_like(cosine), where=expected > 0)
    return ratio


def mine(
    forward: Nearest,
    backward: Nearest,
    margin: Margin = "ratio",
    retrieval: Retrieval = "max",
    floor: float | None = 0.0,
) -> Pairs:
    """Pairs from the neighbours of both directions: `forward` of every source row, `backward` of every target row.

    * `forward`: every source row with the best-scoring of its neighbours; `backward`: the same from the target side;
    * `intersect`: the pairs that both of these contain;
    * `max`: both lists together, walked by falling score; a pair is taken if neither row was taken before (XTREME);
    * `all`: every pair of neighbours of either direction, once: the candidates, without any matching.

    Pairs whose score is not above `floor` are dropped (XTREME: 0; None keeps all). Among equal scores the lower source
    row comes first, then the lower target row.
    """
    check_choice("margin", margin, Margin)
    check_choice("retrieval", retrieval, Retrieval)
    if not forward.indices.size or not backward.indices.size:
        nothing = np.empty(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.empty(0))
    source_mean = forward.scores.mean(axis=1, dtype=np.float64)
    target_mean = backward.scores.mean(axis=1, dtype=np.float64)
    forward_score = margin_scores(forward.scores, source_mean[:, None], target_mean[forward.indices], margin)
    backward_score = margin_scores(backward.scores, source_mean[backward.indices], target_mean[:, None], margin)
    if retrieval == "all":
        there = Pairs(
            np.repeat(np.arange(len(source_mean)), forward.indices.shape[1]),
            forward.indices.ravel(),
            forward_score.ravel(),
        )
        back = Pairs(
            backward.indices.ravel(),
            np.repeat(np.arange(len(target_mean)), backward.indices.shape[1]),
            backward_score.ravel(),
        )
    else:
        best, back_best = best_column(forward_score, forward.indices), best_column(backward_score, backward.indices)
        there = Pairs(np.arange(len(best)), at(forward.indices, best), at(forward_score, best))
        back = Pairs(at(backward.indices, back_best), np.arange(len(back_best)), at(backward_score, back_best))
    if retrieval == "forward":
        pairs = best_first(there)
    elif retrieval == "backward":
        pairs = best_first(back)
    elif retrieval == "intersect":
        mutual = back.source[there.target] == there.source
        pairs = best_first(there.take(mutual))
    else:
        columns = (np.concatenate(sides) for sides in zip(there, back, strict=True))
        pairs = distinct(Pairs(*columns))
        if retrieval == "max":
            pairs = one_to_one(pairs)
    if floor is not None:
        pairs = pairs.take(pairs.score > floor)
    return pairs


def best_column(score: Floats, indices: Ints) -> Ints:
    """Per row, the column with the highest score, and among equal scores the one with the lowest index: int64 (n,)."""
    at_top = score == score.max(axis=1, keepdims=True)
    column: Ints = np.where(at_top, indices, np.iinfo(np.int64).max).argmin(axis=1)
    return column


def at(matrix: NDArray[Any], column: Ints) -> NDArray[Any]:
    """One entry of every row."""
    return np.take_along_axis(matrix, column[:, None], axis=1)[:, 0]


def best_first(pairs: Pairs) -> Pairs:
    """The same pairs by falling score, then by rising source and target."""
    order = np.lexsort((pairs.target, pairs.source, -pairs.score))
    return pairs.take(order)


def distinct(pairs: Pairs) -> Pairs:
    """Every pair once, with the best score it had, best first."""
    pairs = best_first(pairs)
    _, first = np.unique(pair_keys(pairs.source, pairs.target), return_index=True)
    first.sort()
    return pairs.take(first)


def pair_keys(source: Ints, target: Ints) -> Ints:
    """One integer for every (source, target): equal exactly where the pairs are equal; ids must not be negative."""
    width = int(target.max(initial=-1)) + 1
    if width and int(source.max(initial=0)) > np.iinfo(np.int64).max // width - 1:
        raise ValueError("Row ids are too large to pair. Expected row numbers; number the sentences from 0.")
    return source * width + target


def one_to_one(pairs: Pairs) -> Pairs:
    """The greedy matching of pairs that come best first: a pair is taken if neither side was taken by a better one.

    A pair that is the best remaining one of both its rows is certainly taken, so whole rounds are taken at once.

    >>> one_to_one(Pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([3.0, 2.0, 1.0]))).target
    array([0, 1])
    """
    taken: list[Ints] = []
    left = np.arange(len(pairs.score))
    sides = (pairs.source, pairs.target)
    used = tuple(np.zeros(int(ids.max(initial=-1)) + 1, dtype=bool) for ids in sides)
    while len(left):
        firsts = tuple(first_occurrence(ids[left]) for ids in sides)
        mutual = left[firsts[0] & firsts[1]]
        taken.append(mutual)
        for seen, ids in zip(used, sides, strict=True):
            seen[ids[mutual]] = True
        before = len(left)
        left = left[~(used[0][pairs.source[left]] | used[1][pairs.target[left]])]
        if before - len(left) < SLOW_ROUND * before:
            taken.append(walk(pairs, left, used))
            break
    kept = np.sort(np.concatenate(taken)) if taken else left
    return pairs.take(kept)


def first_occurrence(ids: Ints) -> NDArray[np.bool_]:
    """True where an id stands for the first time."""
    first = np.full(int(ids.max(initial=-1)) + 1, len(ids))
    np.minimum.at(first, ids, np.arange(len(ids)))
    mask: NDArray[np.bool_] = first[ids] == np.arange(len(ids))
    return mask


def walk(pairs: Pairs, left: Ints, used: tuple[NDArray[np.bool_], ...]) -> Ints:
    """The same matching pair by pair, for long chains in which every pair waits for the one before it."""
    taken = []
    for i, source, target in zip(left.tolist(), pairs.source[left].tolist(), pairs.target[left].tolist(), strict=True):
        if not used[0][source] and not used[1][target]:
            used[0][source] = used[1][target] = True
            taken.append(i)
    return np.array(taken, dtype=np.int64)


def is_gold(source: Ints, target: Ints, gold: Ints) -> NDArray[np.bool_]:
    """Which of the pairs stand in `gold`, int64 (g, 2): bool (p,)."""
    keys = pair_keys(np.concatenate((source, gold[:, 0])), np.concatenate((target, gold[:, 1])))
    return np.isin(keys[: len(source)], keys[len(source) :])


def best_cut(score: NDArray[Any], correct: NDArray[np.bool_], gold: int) -> Cut:
    """The threshold with the best F1 over candidates, given which are correct and how many gold pairs there are.

    After every prefix of the candidates by falling score, F1 = 2 * correct / (kept + gold); the first best prefix wins.
    The threshold is half-way between its last score and the next one (XTREME's `bucc_optimize`). Unlike there, the best
    prefix may be the whole list (the threshold is then its last score), and a prefix that ends among equal scores does
    not count, since no threshold can cut there. If no candidate is correct the threshold is 0.0, as in XTREME.

    >>> best_cut(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, True, False, False]), gold=2).value
    2.5
    """
    order = np.argsort(-score)
    score = np.asarray(score, dtype=np.float64)[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], np.ones(min(len(score), 1), dtype=bool)))
    hits = np.cumsum(correct[order])[ends]
    f1 = 2 * hits / (ends + 1 + gold)
    if not hits.any():
        return cut_at(0.0, score, correct[order], gold)
    last = int(ends[int(f1.argmax())])
    value = float(score[last])
    if last + 1 < len(score):
        middle = (value + float(score[last + 1])) / 2
        value = middle if middle > score[last + 1] else value
    return cut_at(value, score, correct[order], gold)


def cut_at(value: float, score: NDArray[Any], correct: NDArray[np.bool_], gold: int) -> Cut:
    """Precision, recall and F1 of the candidates that score at least `value`; each is 0.0 where nothing is correct.

    >>> cut_at(2.0, np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), gold=4)
    Cut(value=2.0, precision=0.5, recall=0.25, f1=0.3333333333333333, kept=2, correct=1)
    """
    keep = score >= value
    kept, hits = int(keep.sum()), int((keep & correct).sum())
    f1 = 2 * hits / (kept + gold) if hits else 0.0
    return Cut(float(value), hits / kept if kept else 0.0, hits / gold if gold else 0.0, f1, kept, hits)


def number_ids(source: Sequence[Any], target: Sequence[Any], gold: Iterable[Sequence[Any]]) -> tuple[Ints, Ints, Ints]:
    """Any hashable ids as integers from 0, equal where the ids are: source (p,), target (p,), distinct gold (g, 2).

    Raises:
        ValueError: there is no gold pair, or one that is not a pair.
    """
    gold = gold.tolist() if isinstance(gold, np.ndarray) else list(gold)
    if not gold:
        raise ValueError(
            "The gold list is empty. Expected at least one (source id, target id) pair; check the gold file."
        )
    if set(map(len, gold)) != {2} or isinstance(gold[0], str):
        raise ValueError("A gold entry is not a pair of ids. Type gold=[(source id, target id), ...].")
    gold_source, gold_target = zip(*gold, strict=True)
    numbers = []
    for ids in ((source, gold_source), (target, gold_target)):
        columns = [column.tolist() if isinstance(column, np.ndarray) else column for column in ids]
        known = dict.fromkeys(itertools.chain(*columns))
        number = dict(zip(known, range(len(known)), strict=True))
        numbers.append([np.fromiter(map(number.__getitem__, column), np.int64, len(column)) for column in columns])
    return numbers[0][0], numbers[1][0], np.unique(np.stack((numbers[0][1], numbers[1][1]), axis=1), axis=0)


def unit_rows(vectors: Any, name: str) -> NDArray[np.float32]:
    """Rows of length 1 as float32 (n, d); a zero row stays zero, so its cosine with everything is 0.

    If they all have that length already, to the last digits, the very array comes back.

    Raises:
        ValueError: not a matrix, or a row holds NaN or infinity; the first such row is named.
    """
    if hasattr(vectors, "detach"):  # a tensor, which numpy reads only in its own float types and without a gradient
        vectors = vectors.detach().float().cpu()
    vectors = np.asarray(vectors, dtype=np.float32)
    if min(vectors.strides, default=0) < 0:  # a reversed view, of which torch can make no tensor
        vectors = vectors.copy()
    if vectors.ndim != 2:
        raise ValueError(f"{name} has shape {vectors.shape}. Expected (rows, dimensions).")
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length))[0])
        raise ValueError(
            f"{name} holds NaN or infinity, first in row {row}. Expected finite numbers; check the encoder's output."
        )
    if np.allclose(length, 1, rtol=0, atol=1e-6):
        return vectors
    unit: NDArray[np.float32] = vectors / np.where(length > 0, length, 1).astype(np.float32)[:, None]
    return unit


def nearest(x: NDArray[np.float32], y: NDArray[np.float32], k: int, rows: int = 1024) -> Nearest:
    """The k rows of `y` (all, if it has fewer) with the highest inner product to each row of `x`; exact.

    Among equal scores the lower index comes first. `hf_stilts.retrieval.neighbours` does the same, faster; this one
    needs numpy only, and `rows` times the rows of `y` in memory.
    """
    k = min(k, len(y))
    indices, scores = np.empty((len(x), k), dtype=np.int64), np.empty((len(x), k), dtype=np.float32)
    for start in range(0, len(x) if k else 0, rows):
        block = x[start : start + rows] @ y.T
        order = np.argsort(-block, axis=1, kind="stable")[:, :k]
        indices[start : start + rows] = order
        scores[start : start + rows] = np.take_along_axis(block, order, axis=1)
    return Nearest(indices, scores)
