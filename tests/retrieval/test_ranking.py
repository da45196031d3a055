"""mAP@k against XTREME's loop and by hand."""

import numpy as np
import pytest

from hf_stilts.retrieval.ranking import mean_average_precision


def xtreme_map(queries, candidates, relevant, k):
    """`mean_avg_prec_at_k` of XTREME's utils_lareqa: one full sort for every query."""
    total = 0.0
    for query, answers in zip(queries, relevant, strict=True):
        order = np.argsort(candidates.dot(query))[::-1][:k]
        hits, score = 0, 0.0
        for rank, row in enumerate(order, 1):
            if row in answers:
                hits += 1
                score += hits / rank
        total += score / min(k, len(answers)) if answers else 0.0
    return total / len(queries)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_equals_xtremes_loop(k):
    rng = np.random.default_rng(k)
    queries, candidates = rng.normal(size=(60, 6)), rng.normal(size=(90, 6))
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    relevant = [set(rng.choice(90, size=rng.integers(0, 30), replace=False).tolist()) for _ in queries]
    assert mean_average_precision(queries, candidates, relevant, k) == pytest.approx(
        xtreme_map(queries, candidates, relevant, k), abs=1e-8
    )


def test_edges():
    assert mean_average_precision([[1.0, 0.0]], [[1.0, 0.0]], [[]]) == 0.0
    # The only candidate is right, and the only right answer: precision 1 whatever k is.
    assert mean_average_precision([[1.0, 0.0]], [[0.5, 0.1]], [[0]], k=20) == 1.0
    with pytest.raises(ValueError, match="1 rankings for 2 lists"):
        mean_average_precision([[1.0, 0.0]], [[1.0, 0.0]], [[0], [0]])
