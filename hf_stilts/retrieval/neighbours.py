"""Exact nearest neighbours by cosine between two sets of sentence vectors, in both directions."""

import time
import warnings
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_stilts.metrics.bucc_mining.mining import Nearest, unit_rows
from hf_stilts.retrieval.screening import screened_neighbours

BLOCK = 2048  # rows of either side in one block of a product that is searched in full
SCREENED_ROWS = 512  # per neighbour asked for, at least 4096: with fewer rows, searching in full is as quick


class Neighbours(NamedTuple):
    """The neighbours of both sides: `forward` of every row of x among y, `backward` of every row of y among x."""

    forward: Nearest
    backward: Nearest


def neighbours(x: Any, y: Any, k: int = 4) -> Neighbours:
    """The k rows of the other side with the highest cosine, for every row of both sides; exact, never n x m in memory.

    The scores are float32 inner products whatever the hardware multiplies fastest; see `screening`. Beside the vectors,
    memory holds a quarter of a copy of both sides and about 500 MB. Rows that already have length 1 are not copied, so
    a memory-mapped array stays on disk.

    Args:
        x: vectors (n, d), any float type; scaled to length 1 here. A zero row has cosine 0 with everything.
        y: vectors (m, d).
        k: how many; a side with fewer rows gives all it has, none if it is empty.

    Returns:
        `forward` with `indices` int64 and `scores` float32, both (n, min(k, m)); `backward`, (m, min(k, n)). Best
        first; among equal scores the lower index first.

    Raises:
        ValueError: k below 1, not two matrices of one width, or a row with NaN or infinity, which is named.

    >>> neighbours([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.1], [0.1, 1.0]], k=1).forward.indices
    array([[0],
           [1]])
    """
    return unit_neighbours(unit_rows(x, "x"), unit_rows(y, "y"), k)


def unit_neighbours(x: NDArray[np.float32], y: NDArray[np.float32], k: int) -> Neighbours:
    """The same for rows that have length 1 or 0."""
    if len(x) < len(y):  # the second side is the one that is kept a second time
        return Neighbours(*reversed(search(y, x, k, both=True)))
    return Neighbours(*search(x, y, k, both=True))


def nearest_rows(x: NDArray[np.float32], y: NDArray[np.float32], k: int) -> Nearest:
    """The neighbours of the rows of x alone, which have length 1 or 0 as those of y."""
    return search(x, y, k, both=False)[0]


def search(x: NDArray[np.float32], y: NDArray[np.float32], k: int, both: bool) -> list[Nearest]:
    """The neighbours of x among y, and if `both` of y among x, in the way that suits their number."""
    if k < 1:
        raise ValueError(f"k is {k}. Expected at least 1 neighbour; BUCC uses k=4.")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"The vectors have widths {x.shape[1]} and {y.shape[1]}. Expected one width; use one encoder.")
    rows, columns = as_tensor(x), as_tensor(y)
    sides = [(rows, columns), (columns, rows)][: 1 + both]
    if min(len(x), len(y)) < max(4096, SCREENED_ROWS * k):
        return [exhaustive(one, other, k) for one, other in sides]
    found = screened_neighbours(rows, columns, k, product_dtype(x.shape[1]), both)
    for (one, other), best in zip(sides, found, strict=True):
        left = best.crowded.nonzero().squeeze(1)
        in_full = exhaustive(one[left], other, k)
        best.indices[left], best.scores[left] = torch.from_numpy(in_full.indices), torch.from_numpy(in_full.scores)
    return [Nearest(best.indices.numpy(), best.scores.numpy()) for best in found]


def exhaustive(x: Tensor, y: Tensor, k: int, block: int = BLOCK) -> Nearest:
    """The k rows of y with the highest inner product to every row of x, by looking at every product."""
    indices = torch.zeros(len(x), min(k, len(y)), dtype=torch.int64)
    scores = torch.zeros(len(x), min(k, len(y)))
    for top in range(0, len(x), block):
        rows = x[top : top + block]
        best, places = torch.empty(len(rows), 0), torch.empty(len(rows), 0, dtype=torch.int64)
        for left in range(0, len(y), block):
            score, place = top_k(rows @ y[left : left + block].T, k)
            # Earlier blocks hold lower columns, so the lower place is the lower column among equal scores.
            best, order = top_k(torch.cat((best, score), dim=1), k)
            places = torch.cat((places, place + left), dim=1).gather(1, order)
        scores[top : top + block], indices[top : top + block] = best, places
    return Nearest(indices.numpy(), scores.numpy())


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest entries of every row (all, if there are fewer) and where they stand; the lower place wins a tie."""
    width = scores.shape[1]
    if width <= k:
        order = scores.argsort(dim=1, descending=True, stable=True)
        return scores.gather(1, order), order
    values, places = scores.topk(k + 1, dim=1)
    # topk takes any of several equal entries; only where the last one taken equals the first one left does it matter.
    tied = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
    places = places[:, :k]
    if len(tied):
        places[tied] = scores[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
    places = places.sort(dim=1).values
    values, order = scores.gather(1, places).sort(dim=1, descending=True, stable=True)
    return values, places.gather(1, order)


def as_tensor(vectors: NDArray[np.float32]) -> Tensor:
    """The same memory as a tensor; torch warns of memory that must not be written to, which nobody does here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(vectors)


@cache
def product_dtype(width: int) -> torch.dtype:
    """int8 if this machine multiplies it clearly faster than float32; seen by trying, in a few milliseconds."""
    low, high = (seconds(torch.zeros(512, width, dtype=dtype)) for dtype in (torch.int8, torch.float32))
    return torch.int8 if 1.3 * low < high else torch.float32


def seconds(matrix: Tensor) -> float:
    """The best of a few products of a matrix with itself."""
    multiply = torch.mm if matrix.is_floating_point() else torch._int_mm

    def product(_: int) -> float:
        start = time.perf_counter()
        multiply(matrix, matrix.T)
        return time.perf_counter() - start

    return min(map(product, range(4)))
