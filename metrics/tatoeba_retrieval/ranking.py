"""Accuracy of nearest-neighbour retrieval between two sides of a bitext, in both directions, in plain numpy.

The protocol is Tatoeba's (Artetxe and Schwenk 2019) as XTREME and Phang et al. (2020) score it: cosine, no margin,
no CSLS.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Best(NamedTuple):
    """The best row of the other side, for every row of both sides: int64 (n,) and (m,)."""

    forward: NDArray[np.int64]
    backward: NDArray[np.int64]


def best_matches(queries: Any, candidates: Any, rows: int = 4096) -> Best:
    """Row with the highest cosine in the other matrix, both directions out of one product; the lower row wins a tie.

    Args:
        queries: vectors (n, d).
        candidates: vectors (m, d), at least one.
        rows: how many queries are compared at a time; memory is `rows` times m.

    Raises:
        ValueError: not two matrices of one width, no candidate, or a row with NaN or infinity, which is named.

    >>> best_matches([[1.0, 0.0], [0.0, 2.0]], [[0.1, 1.0], [3.0, 0.2]])
    Best(forward=array([1, 0]), backward=array([1, 0]))
    """
    x, y = unit_rows(queries, "query_embeddings"), unit_rows(candidates, "candidate_embeddings")
    if not len(x) or not len(y) or x.shape[1] != y.shape[1]:
        raise ValueError(f"Embeddings have shapes {x.shape} and {y.shape}. Expected (n, d) and (m, d), neither empty.")
    forward = np.empty(len(x), dtype=np.int64)
    backward, best = np.zeros(len(y), dtype=np.int64), np.full(len(y), -np.inf, dtype=np.float32)
    for start in range(0, len(x), rows):
        block = x[start : start + rows] @ y.T
        forward[start : start + rows] = block.argmax(axis=1)
        at_top = block.argmax(axis=0)
        score = block[at_top, np.arange(len(y))]
        backward = np.where(score > best, at_top + start, backward)
        best = np.maximum(score, best)
    return Best(forward, backward)


def unit_rows(vectors: Any, name: str) -> NDArray[np.float32]:
    """Rows of length 1 as float32; a zero row stays zero, so its cosine with everything is 0."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"{name} has shape {vectors.shape}. Expected (rows, dimensions).")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length[:, 0]))[0])
        raise ValueError(
            f"{name} holds NaN or infinity, first in row {row}. Expected finite numbers; check the encoder."
        )
    unit: NDArray[np.float32] = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


def accuracy(predictions: Any, references: Any) -> float:
    """Share of equal entries, between 0 and 1; a prediction of -1 (no answer) is wrong.

    Raises:
        ValueError: the lists differ in length or are empty.
    """
    predictions, references = np.asarray(predictions), np.asarray(references)
    if predictions.shape != references.shape or not predictions.size:
        raise ValueError(
            f"{predictions.size} predictions for {references.size} references. Expected as many, at least one."
        )
    return float(np.mean((predictions == references) & (predictions >= 0)))
