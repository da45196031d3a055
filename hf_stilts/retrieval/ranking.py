"""Mean average precision of ranked candidates, for retrieval with several right answers (LAReQA)."""

from collections.abc import Iterable, Sequence
from typing import Any

from hf_stilts.metrics.bucc_mining.mining import unit_rows
from hf_stilts.metrics.retrieval_map.ranking import average_precision, find_hits
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
    hits = find_hits(indices.tolist(), [set(map(int, rows)) for rows in relevant], k)
    return float(average_precision(hits).mean())
