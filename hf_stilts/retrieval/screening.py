"""The k best entries of every row and column of a large product, at the speed of int8 and exact as float32.

One product X Y^T serves both directions and is never stored. It is taken in int8 of centred and randomly turned
vectors, and how wrong its scores can be has a bound for every row and column. Whatever could be among the k best within
that bound is scored again in float32, and nothing else can be: the answer does not depend on the precision of the
product.

How little is looked at decides the speed. A strip of the product is reduced to the maxima of groups of entries, along
the rows and along the columns. The k-th largest of these is a lower limit of the k-th best score. Groups whose maximum
stays below that by more than twice the bound hold nothing of interest; in the others, only entries above that line do.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

GROUP = 32  # entries behind one maximum
WIDTH = 2048  # columns of a block of the product
STRIP_ENTRIES = 1 << 26  # of the strip of the product that is kept while it is searched
STRIP_ROWS = 256  # at least, so that a product is worth its name
SEED_ROWS = 1024  # a first look at these tells which scores of a column are high
FOLD = 8  # row maxima are folded this far before their k-th largest is looked for
CROWD = 64  # with more groups of interest than this times k, a row or column is cheaper to score in full
PAIRS = 1024  # entries scored again at a time; what fits the cache
CHUNK = 4096  # rows of a side prepared at a time
FAR = -(2**30)  # what padding scores with everything; no real product comes near
SHARES = 32  # columns of 127s by 127s that a side's shares may take
CLIP = 5.75  # root mean squares of an entry that int8 reaches to; of turned vectors hardly any entry is larger
RISK = 1e-12  # how probable it is that the rounding of a row does more to one product than its bound says
SUMS = 5e-5  # what sums in float32 lose, at most


class Best(NamedTuple):
    """Indices int64 and scores float32 of the k best, both (rows, k), and the rows left to be scored in full."""

    indices: Tensor
    scores: Tensor
    crowded: Tensor


def screened_neighbours(x: Tensor, y: Tensor, k: int, dtype: torch.dtype, both: bool = True) -> list[Best]:
    """The k best rows of y for every row of x, and if `both` of x for every row of y, by inner product.

    Args:
        x: float32 (n, d), rows of length 1 or 0.
        y: float32 (m, d), on the same device; not longer than x, if one of them is.
        k: at most n / 512 and m / 512, or too few groups would tell too little.
        dtype: of the product: int8, or float32 where that is as fast. The result is the same.
        both: whether the second direction is wanted too.
    """
    n, m = len(x), len(y)
    left, right = (RoundedSide(side) if dtype == torch.int8 else Side(side) for side in (x, y))
    left.meet(right)
    row_slack, column_slack = left.slack(right), right.slack(left)
    unit, same = left.scale * right.scale, left.mean @ right.mean  # what the product says of a score, and leaves out
    blocks = -(-m // WIDTH)
    fitting = STRIP_ENTRIES // (blocks * WIDTH)
    rows = min(max(STRIP_ROWS, fitting // GROUP * GROUP), -(-n // GROUP) * GROUP)
    strip = Strip(rows, m, right.operand(left, 0, blocks * WIDTH, first=False))
    vars(right).pop("rounded", None)  # the strip has a copy
    columns = Columns(m, k, strip.product.dtype, x.device)
    if both and rows < SEED_ROWS:
        for start in range(0, min(n, SEED_ROWS), rows):
            strip.fill(left.operand(right, start, rows, first=True), n - start)
            columns.update(strip.column_maxima, column_slack)
        columns.restart()

    parts = []
    for start in range(0, n, rows):
        strip.fill(left.operand(right, start, rows, first=True), n - start)
        here = min(rows, n - start)
        limit = line(strip.top_of_rows(k)[:here], row_slack[start : start + here])
        row, column, score, crowded = strip.rows_above(limit, CROWD * k)
        score = (score + row_slack[start + row]) / unit + same
        parts.append(Best(*settle(x[start : start + here], y, row, column, score, k), crowded))
        if not both:
            continue
        columns.update(strip.column_maxima, column_slack)
        row, column, score, crowded = strip.columns_above(columns.limit, columns.crowded, CROWD * k)
        columns.add(start + row, column, score, crowded)
    found = [Best(*(torch.cat(part) for part in zip(*parts, strict=True)))]
    if both:
        row, column, score = columns.above()
        score = (score + column_slack[column]) / unit + same
        found.append(Best(*settle(y, x, column, row, score, k), columns.crowded))
    return found


class Side:
    """One side of a product in float32: centred as it is needed.

    With x = x' + p and y = y' + q, p and q the means: x.y = x'.y' + x'.q + y'.p + p.q. The second and third term, each
    side's shares, ride along as more columns; the last is always the same.
    """

    dtype = torch.float32
    scale = 1024.0  # of every entry; scores are counted in units of one over the product of both sides' scales
    shares: Tensor
    factors: Tensor

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.mean = vectors.mean(dim=0)
        # Of every row: its length, what rounding takes from it, and what that can do to a product with a unit vector.
        self.norm = self.loss = self.error = vectors.new_zeros(len(vectors))

    def meet(self, other: "Side") -> None:
        """Work out both sides' columns for the shares (rows, s), and the factors (s,) that they meet."""
        for one, two in ((self, other), (other, self)):
            one.shares = (one.vectors @ two.mean - one.mean @ two.mean)[:, None] * self.scale * other.scale
            one.factors = one.shares.new_ones(1)

    def slack(self, other: "Side") -> Tensor:
        """How wrong the product of every row can be: what rounding took from it, from the other row, and from both."""
        score = self.error * other.norm.max() + self.norm * other.error.max() + self.loss * other.loss.max() + SUMS
        return score * self.scale * other.scale + 2  # shares are rounded to whole units, and so are limits

    def entries(self, start: int, stop: int) -> Tensor:
        """Some rows as they are multiplied."""
        return (self.vectors[start:stop] - self.mean) * self.scale

    def operand(self, other: "Side", start: int, rows: int, first: bool) -> Tensor:
        """Some rows with both sides' columns for the shares, padded to `rows` with rows of zeros."""
        here, width = self.vectors[start : start + rows].shape
        own, others = self.shares.shape[1], other.shares.shape[1]
        matrix = torch.zeros(rows, width + own + others, dtype=self.dtype, device=self.vectors.device)
        for at in range(0, here, CHUNK):
            stop = min(at + CHUNK, here)
            matrix[at:stop, :width] = self.entries(start + at, start + stop)
        shares = slice(width, width + own) if first else slice(width + others, None)
        factors = slice(width + own, None) if first else slice(width, width + others)
        matrix[:here, shares] = self.shares[start : start + here]
        matrix[:here, factors] = other.factors
        return matrix


class RoundedSide(Side):
    """One side of a product in int8: centred, turned at random and rounded, a quarter of the vectors' size.

    What rounding takes from x' is e. |e.y'| can be as large as |e| |y'|, but hardly ever is: all rows are turned by one
    random rotation, so the part of y' that is at right angles to x' points anywhere, whatever e is, and its product
    with e exceeds t |e| |y'| with a probability below (1 - t^2)^((d - 2) / 2). The part along x' is at most the `lean`
    of e, |e.x'| / |x'|, times |y'|.
    """

    dtype = torch.int8

    def __init__(self, vectors: Tensor) -> None:
        super().__init__(vectors)
        n, d = vectors.shape
        square = (torch.linalg.vector_norm(vectors) ** 2 / n - self.mean @ self.mean) / d
        self.scale = 127 / (CLIP * math.sqrt(max(float(square), 1e-6)))

    def meet(self, other: "RoundedSide") -> None:  # type: ignore[override]
        """As in float32; the scale is made smaller where the shares would take too many columns."""
        super().meet(other)
        largest = max(float(side.shares.abs().max()) for side in (self, other))
        smaller = min(1.0, SHARES * 127 * 127 / max(largest, 1.0))
        for side in (self, other):
            side.scale *= math.sqrt(smaller)
            side.shares, side.factors = in_127s(side.shares[:, 0] * smaller)
            side.round()

    def round(self) -> None:
        """Centre, turn and round all rows, and note what is lost."""
        n, d = self.vectors.shape
        chance = math.sqrt(1 - RISK ** (2 / (d - 2))) if d > 2 else 1.0
        turn = rotation(d).to(self.vectors.device)
        self.rounded = torch.empty(n, d, dtype=self.dtype, device=self.vectors.device)
        measured = []
        for start in range(0, n, CHUNK):
            turned = (self.vectors[start : start + CHUNK] - self.mean) @ turn
            rounded = (turned * self.scale).round_().clamp_(-127, 127)
            self.rounded[start : start + CHUNK] = rounded
            lost = turned - rounded.div_(self.scale)
            norm, loss = turned.norm(dim=1), lost.norm(dim=1)
            lean = (lost * turned).sum(dim=1).abs() / norm.clamp(min=1e-12)
            measured.append(torch.stack((norm, loss, torch.minimum(lean + chance * loss, loss))))
        self.norm, self.loss, self.error = torch.cat(measured, dim=1)

    def entries(self, start: int, stop: int) -> Tensor:
        """Some rows as they are multiplied."""
        return self.rounded[start:stop]


def in_127s(share: Tensor) -> tuple[Tensor, Tensor]:
    """Columns (n, s) and factors (s,), none above 127, whose product is the share (n,) as a whole number."""
    whole = share.round()
    coarse = (whole / 127).round()
    number = int(coarse.abs().max() / 127) + 1
    columns = [coarse.sign() * (coarse.abs() - 127 * at).clamp(0, 127) for at in range(number)]
    return torch.stack((*columns, whole - 127 * coarse), dim=1), share.new_tensor([127.0] * number + [1.0])


def rotation(d: int) -> Tensor:
    """A random rotation (d, d), the same in every call: drawn without a look at the vectors, which is all it takes."""
    q, r = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(0)))
    return q * r.diagonal().sign()


class Strip:
    """Some rows of x multiplied with all rows of y, in blocks, and the maxima of groups of these scores."""

    def __init__(self, rows: int, m: int, right: Tensor) -> None:
        self.right = right.view(-1, WIDTH, right.shape[1])
        self.rows, self.last, blocks = rows, m % WIDTH or WIDTH, len(self.right)
        self.slots, self.steps = WIDTH // GROUP, rows // GROUP
        self.multiply, dtype = (torch.mm, right.dtype) if right.is_floating_point() else (torch._int_mm, torch.int32)
        self.product = torch.empty(blocks, rows, WIDTH, dtype=dtype, device=right.device)
        self.row_maxima = self.product.new_empty(rows, blocks, self.slots)
        self.column_maxima = self.product.new_empty(self.steps, blocks, WIDTH)

    def fill(self, left: Tensor, real: int) -> None:
        """Multiply; rows from `real` on are padding, as the last columns.

        A group holds every `slots`-th entry of a row of a block, or every `steps`-th of a column.
        """
        for b, right in enumerate(self.right):
            self.multiply(left, right.T, out=self.product[b])
            self.product[b, real:] = FAR
            if b == len(self.right) - 1:
                self.product[b, :, self.last :] = FAR
            torch.amax(self.product[b].view(self.rows, GROUP, self.slots), dim=1, out=self.row_maxima[:, b])
            torch.amax(self.product[b].view(GROUP, self.steps, WIDTH), dim=0, out=self.column_maxima[:, b])

    def top_of_rows(self, k: int) -> Tensor:
        """The k-th largest group maximum of every row; groups are put together first, which can only lower it."""
        return self.row_maxima.view(self.rows, FOLD, -1).amax(dim=1).topk(k, dim=1).values[:, -1]

    def rows_above(self, limit: Tensor, crowd: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Entries that reach the limit of their row: row, column, score; and the rows where too many do."""
        hit = self.row_maxima.view(self.rows, -1)[: len(limit)] >= limit[:, None]
        crowded = hit.sum(dim=1) > min(crowd, most_of(hit.shape[1]))
        hit[crowded] = False
        row, slot = hit.nonzero(as_tuple=True)
        block, slot = slot // self.slots, slot % self.slots
        first = (block * self.rows + row) * WIDTH + slot
        group, member, score = self.members(first, self.slots, limit[row])
        return row[group], block[group] * WIDTH + slot[group] + member * self.slots, score, crowded

    def columns_above(self, limit: Tensor, skip: Tensor, crowd: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same for the limits of columns, but for those to skip."""
        hit = self.column_maxima.view(self.steps, -1)[:, : len(limit)] >= limit
        crowded = skip | (hit.sum(dim=0) > min(crowd, most_of(hit.shape[0])))
        hit[:, crowded] = False
        step, column = hit.nonzero(as_tuple=True)
        first = ((column // WIDTH) * self.rows + step) * WIDTH + column % WIDTH
        group, member, score = self.members(first, self.steps * WIDTH, limit[column])
        return step[group] + member * self.steps, column[group], score, crowded

    def members(self, first: Tensor, stride: int, bar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The entries of some groups that reach the bar: which group, which member, the score."""
        places = first[:, None] + torch.arange(0, GROUP * stride, stride, device=first.device)
        scores = self.product.view(-1)[places]
        group, member = (scores >= bar[:, None]).nonzero(as_tuple=True)
        return group, member, scores[group, member]


class Columns:
    """What is known of the columns so far: the k largest group maxima, the limit they set, and the entries above it."""

    def __init__(self, m: int, k: int, dtype: torch.dtype, device: torch.device) -> None:
        self.maxima = torch.full((k, m), FAR, dtype=dtype, device=device)
        self.limit = self.maxima[0].clone()
        self.crowded = torch.zeros(m, dtype=torch.bool, device=device)
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []
        self.count, self.most = 0, 8 * k * m

    def restart(self) -> None:
        """Forget the maxima but not the limit: the same rows come again, and would count twice."""
        self.maxima.fill_(FAR)

    def update(self, column_maxima: Tensor, slack: Tensor) -> None:
        """Let the group maxima of a strip sink to their places among the k largest, then raise the limit."""
        groups = column_maxima.view(len(column_maxima), -1)[:, : len(self.limit)]
        rising = (groups.amax(dim=0) > self.maxima[-1]).nonzero().squeeze(1)
        best = [*self.maxima[:, rising]]
        for value in groups[:, rising]:
            for place, standing in enumerate(best):
                best[place] = torch.maximum(standing, value)
                value = torch.minimum(standing, value)
        self.maxima[:, rising] = torch.stack(best)
        self.limit[rising] = torch.maximum(self.limit[rising], line(best[-1], slack[rising]))

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
        """The entries that still reach the limit of their column: all that can be among the k best."""
        row, column, score = (torch.cat(part) for part in zip(*self.found, strict=True))
        keep = (score >= self.limit[column]) & ~self.crowded[column]
        return row[keep], column[keep], score[keep]


def most_of(groups: int) -> int:
    """So many of all groups that what is in them need not be looked for: vectors that are all but equal."""
    return max(2 * GROUP, groups // 2)


def line(top: Tensor, slack: Tensor) -> Tensor:
    """Screened score from which on an entry may be among the k best, given the k-th largest group maximum.

    If a true score differs from the screened one by at most the slack, then k true scores are at least `top - slack`,
    and an entry that reaches this is screened at no less than that less the slack again.
    """
    return (top - 2 * slack).floor().clamp(min=FAR / 2).to(top.dtype)


def settle(x: Tensor, y: Tensor, row: Tensor, column: Tensor, most: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices and float32 scores of the k best of the given entries of every row; the lower index first in a tie.

    `most` is what each entry can score. The k that promise most are scored first; then those that can still beat them.
    """
    order = by_row(row, most)
    row, column, most = row[order], column[order], most[order]
    first = place_in_row(row, len(x)) < k
    score = torch.full_like(most, -torch.inf)
    score[first] = inner_products(x, y, row[first], column[first])
    bar = most.new_full((len(x),), torch.inf).scatter_reduce(0, row[first], score[first], "amin")
    bar[torch.bincount(row, minlength=len(x)) < k] = -torch.inf
    rest = ~first & (most >= bar[row])
    score[rest] = inner_products(x, y, row[rest], column[rest])
    scored = first | rest
    row, column, score = row[scored], column[scored], score[scored]
    order = column.argsort(stable=True)
    order = order[by_row(row[order], score[order])]
    row, column, score = row[order], column[order], score[order]
    place = place_in_row(row, len(x))
    best = place < k
    indices = torch.zeros(len(x), k, dtype=torch.int64, device=x.device)
    scores = torch.full((len(x), k), -torch.inf, device=x.device)
    indices[row[best], place[best]] = column[best]
    scores[row[best], place[best]] = score[best]
    return indices, scores


def by_row(row: Tensor, score: Tensor) -> Tensor:
    """The order by row, the highest score first; what is equal stays in its order."""
    order = score.argsort(descending=True, stable=True)
    return order[row[order].argsort(stable=True)]


def place_in_row(row: Tensor, rows: int) -> Tensor:
    """How many entries of the same row stand before each, of entries in the order of their rows."""
    count = torch.bincount(row, minlength=rows)
    return torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]


def inner_products(x: Tensor, y: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The float32 inner products of some rows of x and y, a few at a time in buffers that stay in the cache."""
    one, other = torch.empty(2, PAIRS, x.shape[1], device=x.device)
    found = x.new_empty(len(row))
    for start in range(0, len(row), PAIRS):
        r, c = row[start : start + PAIRS], column[start : start + PAIRS]
        a = torch.index_select(x, 0, r, out=one[: len(r)])
        b = torch.index_select(y, 0, c, out=other[: len(r)])
        torch.sum(a.mul_(b), dim=1, out=found[start : start + PAIRS])
    return found
