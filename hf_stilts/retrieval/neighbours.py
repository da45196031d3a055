"""Exact nearest neighbours by cosine between two sets of sentence vectors, both directions out of one product."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_stilts.metrics.bucc_mining.mining import Nearest, unit_rows

# Rows of either side in one block of the product; a block and its copies stay below 100 MB.
BLOCK = 2048


class Neighbours(NamedTuple):
    """The neighbours of both sides: `forward` of every row of x among y, `backward` of every row of y among x."""

    forward: Nearest
    backward: Nearest


def neighbours(x: Any, y: Any, k: int = 4) -> Neighbours:
    """The k rows of the other side with the highest cosine, for every row of both sides; exact, never n x m in memory.

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
    return inner_neighbours(unit_rows(x, "x"), unit_rows(y, "y"), k)


def inner_neighbours(x: NDArray[np.float32], y: NDArray[np.float32], k: int, block: int = BLOCK) -> Neighbours:
    """The same by inner product of the rows as they are; `block` rows of either side at a time."""
    if k < 1:
        raise ValueError(f"k is {k}. Expected at least 1 neighbour; BUCC uses k=4.")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"The vectors have widths {x.shape[1]} and {y.shape[1]}. Expected one width; use one encoder.")
    rows, columns = torch.from_numpy(x), torch.from_numpy(y)
    forward, backward = _Best(len(x), min(k, len(y))), _Best(len(y), min(k, len(x)))
    for top in range(0, len(x), block):
        for left in range(0, len(y), block):
            product = rows[top : top + block] @ columns[left : left + block].T
            forward.update(top, product, left)
            backward.update(left, product.T, top)
    return Neighbours(forward.result(), backward.result())


class _Best:
    """The k best columns of every row, over blocks that come in the order of their columns."""

    def __init__(self, rows: int, k: int) -> None:
        self.k = k
        self.scores = torch.full((rows, k), -torch.inf)
        self.indices = torch.zeros((rows, k), dtype=torch.int64)

    def update(self, row: int, block: Tensor, column: int) -> None:
        here = slice(row, row + len(block))
        scores, indices = top_k(block, self.k)
        scores = torch.cat((self.scores[here], scores), dim=1)
        indices = torch.cat((self.indices[here], indices + column), dim=1)
        # Earlier blocks hold lower columns, so the lower place is the lower column among equal scores.
        self.scores[here], place = top_k(scores, self.k)
        self.indices[here] = indices.gather(1, place)

    def result(self) -> Nearest:
        return Nearest(self.indices.numpy(), self.scores.numpy())


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
