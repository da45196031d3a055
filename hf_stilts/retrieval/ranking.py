"""Mean average precision of ranked candidates, for retrieval with several right answers (LAReQA)."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_stilts.metrics.bucc_mining.mining import is_gold, unit_rows
from hf_stilts.retrieval.neighbours import nearest_rows


def mean_average_precision(queries: Any, candidates: Any, relevant: Sequence[Iterable[int]], k: int = 20) -> float:
    """Mean over queries of the average precision within the first k candidates by cosine (XTREME-R's mAP@20).

    For one query: the sum over the hits of (hits so far / rank), divided by the smaller of k and the number of right
    answers; 0.0 for a query without any.

    Args:
        queries: vectors (n, d), at least one.
        candidates: vectors (m, d).
        relevant: for every query the rows of its right answers.
        k: how deep to look.

    >>> mean_average_precision([[1.0, 0.0]], [[1.0, 0.1], [0.0, 1.0], [1.0, 0.3]], [[0, 1]], k=3)  # ranks 1 and 3
    0.8333333333333333
    """
    indices = nearest_rows(unit_rows(queries, "queries"), unit_rows(candidates, "candidates"), k).indices
    if len(relevant) != len(indices) or not len(indices):
        raise ValueError(f"{len(relevant)} answer lists for {len(indices)} queries. Expected as many, at least one.")
    answers = [np.unique(np.fromiter(rows, dtype=np.int64)) for rows in relevant]
    count = np.array([len(rows) for rows in answers])
    gold = np.stack((np.repeat(np.arange(len(answers)), count), np.concatenate(answers)), axis=1)
    n, depth = indices.shape
    hit = is_gold(np.repeat(np.arange(n), depth), indices.ravel(), gold).reshape(n, depth)
    precision: NDArray[np.float64] = np.where(hit, hit.cumsum(axis=1) / np.arange(1, depth + 1), 0.0)
    return float((precision.sum(axis=1) / np.clip(np.minimum(count, k), 1, None)).mean())
