"""Average precision, reciprocal rank and recall within the first k results, in plain numpy.

The definitions are XTREME-R's (Ruder et al. 2021): mAP@20 of LAReQA divides by the smaller of k and the number of right
answers, MRR@20 of Mewsli-X gives a query without a hit 0; with one right answer each the two are the same.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Hits(NamedTuple):
    """Where the right answers stand: `hit` bool (n, k), best first; `gold` int64 (n,), how many there are to find."""

    hit: NDArray[np.bool_]
    gold: NDArray[np.int64]


def find_hits(rankings: Sequence[Sequence[Any]], gold: Sequence[Collection[Any]], k: int = 20) -> Hits:
    """Right answers among the first k of every ranking; shorter rankings are filled up with misses.

    Args:
        rankings: for every query the retrieved ids, best first.
        gold: for every query the ids of its right answers.
        k: how deep to look.

    Raises:
        ValueError: k below 1, not as many rankings as gold lists, none at all, or a ranking that names an id twice.

    >>> find_hits([["b", "a"], ["c"]], [["a"], ["a", "c"]], k=3).hit
    array([[False,  True, False],
           [ True, False, False]])
    """
    if k < 1:
        raise ValueError(f"k is {k}. Expected 1 or more; XTREME-R looks at the first 20.")
    if len(rankings) != len(gold) or not len(rankings):
        raise ValueError(
            f"{len(rankings)} rankings for {len(gold)} lists of right answers. Expected as many, at least one."
        )
    hit = np.zeros((len(rankings), k), dtype=bool)
    for row, (ranking, answers) in enumerate(zip(rankings, gold, strict=True)):
        first, right = list(ranking[:k]), set(answers)
        if len(set(first)) < len(first):
            twice = next(name for place, name in enumerate(first) if name in first[:place])
            raise ValueError(f"Ranking {row} names {twice!r} twice. Expected each candidate once; drop the later one.")
        hit[row, : len(first)] = [name in right for name in first]
    return Hits(hit, np.array([len(set(answers)) for answers in gold], dtype=np.int64))


def average_precision(hits: Hits) -> NDArray[np.float64]:
    """For every query the sum over its hits of (hits so far / rank), divided by min(k, right answers); float64 (n,).

    A query without a right answer has 0.

    >>> average_precision(find_hits([["a", "x", "b"]], [["a", "b"]]))  # (1/1 + 2/3) / 2
    array([0.83333333])
    """
    k = hits.hit.shape[1]
    precision = np.where(hits.hit, hits.hit.cumsum(axis=1) / np.arange(1, k + 1), 0.0)
    return np.asarray(precision.sum(axis=1) / np.clip(np.minimum(hits.gold, k), 1, None))


def reciprocal_rank(hits: Hits) -> NDArray[np.float64]:
    """For every query 1 / rank of its first hit, 0 where there is none within k; float64 (n,).

    >>> reciprocal_rank(find_hits([["x", "a"], ["x"]], [["a"], ["a"]]))
    array([0.5, 0. ])
    """
    return np.where(hits.hit.any(axis=1), 1.0 / (hits.hit.argmax(axis=1) + 1), 0.0)


def recall(hits: Hits) -> NDArray[np.float64]:
    """For every query the share of its right answers that stand within the first k; 0 without any; float64 (n,)."""
    return np.asarray(hits.hit.sum(axis=1) / np.clip(hits.gold, 1, None))
