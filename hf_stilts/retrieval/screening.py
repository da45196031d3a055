"""The k best entries of every row and column of a large product, at the speed of bfloat16 and exact as float32.

One product X Y^T serves both directions and is never stored. It is taken in bfloat16 of centred vectors, and how wrong
its scores can be has a bound for every row and column. Whatever could be among the k best within that bound is scored
again in float32, and nothing else can be: the answer does not depend on the precision of the product.

How little is looked at decides the speed. A strip of the product is reduced to the maxima of groups of entries, along
the rows and along the columns. The k-th largest of these is a lower limit of the k-th best score. Groups whose maximum
stays below that by more than twice the bound hold nothing of interest; in the others, only entries above that line do.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

GROUP = 32  # entries behind one maximum
WIDTH = 2048  # columns of a block of the product
STRIP_ENTRIES = 1 << 25  # of the strip of the product that is kept while it is searched
STRIP_ROWS = 256  # at least, so that a product is worth its name
SEED_ROWS = 1024  # a first look at these tells which scores of a column are high
FOLD = 8  # row maxima are folded this far before their k-th largest is looked for
CROWD = 64  # with more groups of interest than this times k, a row or column is cheaper to score in full
PAIRS = 1024  # entries scored again at a time; what fits the cache
CHUNK = 4096  # rows of a side prepared at a time
FAR = -8.0  # what padding scores with everything; centred unit vectors stay above -4


class Best(NamedTuple):
    """Indices int64 and scores float32 of the k best, both (rows, k), and the rows left to be scored in full."""

    indices: Tensor
    scores: Tensor
    crowded: Tensor


def screened_neighbours(x: Tensor, y: Tensor, k: int, dtype: torch.dtype, both: bool = True) -> list[Best]:
    """The k best rows of y for every row of x, and if `both` of x for every row of y, by inner product.

    Args:
        x: float32 (n, d), rows of length 1 or 0.
        y: float32 (m, d), on the same device; the side that is kept in `dtype` as a whole.
        k: at most n / 512 and m / 512, or too few groups would tell too little.
        dtype: of the product: bfloat16, or float32 where that is as fast. The result is the same.
        both: whether the second direction is wanted too.
    """
    n, m = len(x), len(y)
    left, right = Side(x, dtype), Side(y, dtype)
    left.measure(right)
    right.measure(left)
    row_slack, column_slack = left.slack(right), right.slack(left)
    blocks = -(-m // WIDTH)
    fitting = STRIP_ENTRIES // (blocks * WIDTH)
    rows = min(max(STRIP_ROWS, fitting // GROUP * GROUP), -(-n // GROUP) * GROUP)
    kept = right.operand(0, blocks * WIDTH, first=False)
    strip = Strip(rows, kept)
    columns = Columns(m, k, dtype, x.device)
    if both and rows < SEED_ROWS:
        for start in range(0, min(n, SEED_ROWS), rows):
            strip.fill(left.operand(start, rows, first=True))
            columns.update(strip.column_maxima, column_slack)
        columns.restart()

    parts = []
    for start in range(0, n, rows):
        strip.fill(left.operand(start, rows, first=True))
        here = min(rows, n - start)
        limit = line(strip.top_of_rows(k)[:here], row_slack[start : start + here], dtype)
        row, column, _, crowded = strip.rows_above(limit, CROWD * k)
        parts.append(Best(*settle(x[start : start + here], y, row, column, k), crowded))
        if not both:
            continue
        columns.update(strip.column_maxima, column_slack)
        row, column, score, crowded = strip.columns_above(columns.limit, columns.crowded, CROWD * k)
        columns.add(start + row, column, score, crowded)
    found = [Best(*(torch.cat(part) for part in zip(*parts, strict=True)))]
    if both:
        row, column = columns.candidates()
        found.append(Best(*settle(y, x, column, row, k), columns.crowded))
    return found


class Side:
    """One side of the product: centred and rounded as it is needed, and what that loses."""

    def __init__(self, vectors: Tensor, dtype: torch.dtype) -> None:
        self.vectors, self.dtype = vectors, dtype
        self.mean = vectors.mean(dim=0)

    def measure(self, other: "Side") -> None:
        """For every row: its product with the other side's mean, its length, and what rounding takes away."""
        shares, norms, losses = [], [], []
        for chunk in self.vectors.split(CHUNK):
            centred = chunk - self.mean
            shares.append(centred @ other.mean)
            norms.append(centred.norm(dim=1))
            losses.append(centred.sub_(centred.to(self.dtype)).norm(dim=1))
        self.share, self.norm, self.loss = torch.cat(shares), torch.cat(norms), torch.cat(losses)

    def slack(self, other: "Side") -> Tensor:
        """How wrong the product of every row can be, before the result is rounded.

        |x.y - x~.y~| <= |x - x~| |y| + |x~| |y - y~|, with the largest the other side has; and what float32 sums lose.
        """
        return self.loss * other.norm.max() + (self.norm + self.loss) * other.loss.max() + 5e-5

    def operand(self, start: int, rows: int, first: bool) -> Tensor:
        """Some rows as they are multiplied, padded to `rows` with rows that score far below everything.

        With x = x' + p and y = y' + q, p and q the means: x.y = x'.y' + x'.q + y'.p + p.q. The second and third term
        ride along as two more columns each, their value and what rounding took from it; the last is always the same.
        """
        chunk = self.vectors[start : start + rows]
        here, width = chunk.shape
        matrix = torch.zeros(rows, width + 4, dtype=self.dtype, device=chunk.device)
        for at in range(0, here, CHUNK):
            part = chunk[at : at + CHUNK]
            matrix[at : at + len(part), :width] = part - self.mean
        own, others = (width, width + 2) if first else (width + 2, width)
        share = self.share[start : start + here]
        matrix[:here, own] = share.to(self.dtype)
        matrix[:here, own + 1] = share - matrix[:here, own]
        matrix[:here, others : others + 2] = 1
        matrix[here:, own] = FAR
        return matrix


class Strip:
    """Some rows of x multiplied with all rows of y, in blocks, and the maxima of groups of these scores."""

    def __init__(self, rows: int, right: Tensor) -> None:
        self.right = right.view(-1, WIDTH, right.shape[1])
        self.rows, blocks = rows, len(self.right)
        self.slots, self.steps = WIDTH // GROUP, rows // GROUP
        self.product = torch.empty(blocks, rows, WIDTH, dtype=right.dtype, device=right.device)
        self.keys = as_keys(self.product)
        self.row_maxima = self.keys.new_empty(rows, blocks, self.slots)
        self.column_maxima = self.keys.new_empty(self.steps, blocks, WIDTH)

    def fill(self, left: Tensor) -> None:
        """Multiply. A group holds every `slots`-th entry of a row of a block, or every `steps`-th of a column."""
        for b, right in enumerate(self.right):
            torch.mm(left, right.T, out=self.product[b])
            torch.amax(self.keys[b].view(self.rows, GROUP, self.slots), dim=1, out=self.row_maxima[:, b])
            torch.amax(self.keys[b].view(GROUP, self.steps, WIDTH), dim=0, out=self.column_maxima[:, b])

    def top_of_rows(self, k: int) -> Tensor:
        """The k-th largest group maximum of every row; groups are put together first, which can only lower it."""
        coarse = self.row_maxima.view(self.rows, FOLD, -1).amax(dim=1)
        return as_scores(coarse, self.product.dtype).topk(k, dim=1).values[:, -1]

    def rows_above(self, limit: Tensor, crowd: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Entries that reach the limit of their row: row, column, score; and the rows where too many do."""
        bar = as_keys(limit.to(self.product.dtype))
        hit = self.row_maxima.view(self.rows, -1)[: len(limit)] >= bar[:, None]
        crowded = (hit.sum(dim=1) > crowd) | (limit <= 0)
        hit[crowded] = False
        row, slot = hit.nonzero(as_tuple=True)
        block, slot = slot // self.slots, slot % self.slots
        first = (block * self.rows + row) * WIDTH + slot
        group, member, score = self.members(first, self.slots, bar[row])
        return row[group], block[group] * WIDTH + slot[group] + member * self.slots, score, crowded

    def columns_above(self, limit: Tensor, skip: Tensor, crowd: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same for the limits of columns, but for those to skip; a limit below 0 counts as 0 here."""
        bar = as_keys(limit.clamp(min=0).to(self.product.dtype))
        hit = self.column_maxima.view(self.steps, -1)[:, : len(limit)] >= bar
        crowded = skip | (hit.sum(dim=0) > crowd)
        hit[:, crowded] = False
        step, column = hit.nonzero(as_tuple=True)
        first = ((column // WIDTH) * self.rows + step) * WIDTH + column % WIDTH
        group, member, score = self.members(first, self.steps * WIDTH, bar[column])
        return step[group] + member * self.steps, column[group], score, crowded

    def members(self, first: Tensor, stride: int, bar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The entries of some groups that reach the bar: which group, which member, the score."""
        places = first[:, None] + torch.arange(0, GROUP * stride, stride, device=first.device)
        group, member = (self.keys.view(-1)[places] >= bar[:, None]).nonzero(as_tuple=True)
        return group, member, self.product.view(-1)[places[group, member]]


class Columns:
    """What is known of the columns so far: the k largest group maxima, the limit they set, and the entries above it."""

    def __init__(self, m: int, k: int, dtype: torch.dtype, device: torch.device) -> None:
        self.m, self.k, self.dtype = m, k, dtype
        self.limit = torch.full((m,), -torch.inf, device=device)
        self.crowded = torch.zeros(m, dtype=torch.bool, device=device)
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []
        self.count, self.most = 0, 8 * k * m
        self.restart()

    def restart(self) -> None:
        """Forget the maxima but not the limit: the same rows come again, and would count twice."""
        lowest = as_keys(torch.full((self.m,), FAR, dtype=self.dtype, device=self.limit.device))
        self.maxima = [lowest] * self.k

    def update(self, column_maxima: Tensor, slack: Tensor) -> None:
        """Let every group maximum of a strip sink to its place among the k largest, then raise the limit."""
        for value in column_maxima.view(len(column_maxima), -1)[:, : self.m]:
            for place, standing in enumerate(self.maxima):
                self.maxima[place] = torch.maximum(standing, value)
                value = torch.minimum(standing, value)
        top = as_scores(self.maxima[-1], self.dtype)
        self.limit = torch.maximum(self.limit, line(top, slack, self.dtype))

    def add(self, row: Tensor, column: Tensor, score: Tensor, crowded: Tensor) -> None:
        """Keep the entries of a strip; throw away what has fallen below the limit whenever there are many."""
        self.crowded = crowded
        self.found.append((row, column, score))
        self.count += len(row)
        if self.count > self.most:
            self.found = [self.above()]
            self.count = len(self.found[0][0])
            self.most = max(self.most, 2 * self.count)

    def above(self) -> tuple[Tensor, Tensor, Tensor]:
        """The entries that still reach the limit of their column."""
        row, column, score = (torch.cat(part) for part in zip(*self.found, strict=True))
        keep = (score >= self.limit[column].to(self.dtype)) & ~self.crowded[column]
        return row[keep], column[keep], score[keep]

    def candidates(self) -> tuple[Tensor, Tensor]:
        """Row and column of all entries that can be among the k best; a column whose limit is below 0 is crowded."""
        self.crowded = self.crowded | (self.limit <= 0)
        return self.above()[:2]


def line(top: Tensor, slack: Tensor, dtype: torch.dtype) -> Tensor:
    """Screened score from which on an entry may be among the k best, given the k-th largest group maximum.

    If a true score differs from the screened s by at most slack + u |s|, u being what rounding to `dtype` does, then k
    true scores are at least top (1 - u) - slack, and an entry that reaches this has (1 + u) s of at least that less
    slack. The last factor is for the rounding of the line itself.
    """
    u = torch.finfo(dtype).eps / 2
    return (top * (1 - u) - 2 * slack) / (1 + u) * (1 - 2 * u)


def as_keys(scores: Tensor) -> Tensor:
    """Scores in a type that compares quickly: bfloat16 above 0 rise with their bits as int16, all others lie below."""
    return scores.view(torch.int16) if scores.dtype == torch.bfloat16 else scores


def as_scores(keys: Tensor, dtype: torch.dtype) -> Tensor:
    """What `as_keys` took, as float32; maxima of scores that are all below 0 are below 0, no more is known of them."""
    return (keys.view(dtype) if dtype == torch.bfloat16 else keys).float()


def settle(x: Tensor, y: Tensor, row: Tensor, column: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices and float32 scores of the k best of the given entries of every row; the lower index first in a tie."""
    order = (row * len(y) + column).argsort()
    row, column = row[order], column[order]
    score = torch.cat([*inner_products(x, y, row, column), x.new_empty(0)])
    # Stable sorts, the last one first: by row, then by falling score, then by rising column.
    order = score.argsort(descending=True, stable=True)
    order = order[row[order].argsort(stable=True)]
    row, column, score = row[order], column[order], score[order]
    count = torch.bincount(row, minlength=len(x))
    place = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    first = place < k
    indices = torch.zeros(len(x), k, dtype=torch.int64, device=x.device)
    scores = torch.full((len(x), k), -torch.inf, device=x.device)
    indices[row[first], place[first]] = column[first]
    scores[row[first], place[first]] = score[first]
    return indices, scores


def inner_products(x: Tensor, y: Tensor, row: Tensor, column: Tensor) -> Iterator[Tensor]:
    """The float32 inner products of some rows of x and y, a few at a time in buffers that stay in the cache."""
    one, other = torch.empty(2, PAIRS, x.shape[1], device=x.device)
    for r, c in zip(row.split(PAIRS), column.split(PAIRS), strict=True):
        a = torch.index_select(x, 0, r, out=one[: len(r)])
        b = torch.index_select(y, 0, c, out=other[: len(r)])
        yield a.mul_(b).sum(dim=1)
