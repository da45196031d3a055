"""Translations by nearest neighbour (Tatoeba) and mined pairs with a threshold (BUCC), from sentence vectors."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hf_stilts.metrics.bucc_mining import mining as rules
from hf_stilts.metrics.bucc_mining.mining import Margin, Pairs, Retrieval, unit_rows
from hf_stilts.retrieval.neighbours import as_tensor, exhaustive, nearest_rows, unit_neighbours
from hf_stilts.tabular import Tabular

Method: TypeAlias = Literal["cosine", "margin", "csls"]
Duplicates: TypeAlias = Literal["drop", "expand", "keep"]
Ints: TypeAlias = NDArray[np.int64]


class Matches(NamedTuple):
    """For every source row, the target row it matches and how well: `indices` int64 (n,), `scores` float32 (n,)."""

    indices: Ints
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class BitextPairs(Tabular):
    """Scored pairs of rows, best first, and how they were made.

    `source` and `target` are int64 row numbers (p,), `score` is float64 (p,); `setting` holds k, margin, retrieval,
    duplicates, and whatever the caller adds (layer, pooling, precision ...).
    """

    source: Ints
    target: Ints
    score: NDArray[np.float64]
    setting: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.score)

    def rows(self) -> list[dict[str, int | float]]:
        """One dictionary a pair, best first."""
        return [{"source": source, "target": target, "score": score} for source, target, score in self]

    def __repr__(self) -> str:
        noted = "".join(f", {name}={value!r}" for name, value in self.setting.items())
        best = f", scores {self.score.max():.3f} to {self.score.min():.3f}" if len(self) else ""
        return f"<BitextPairs: {len(self)} pairs{best}{noted}>"

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        """One (source row, target row, score) after the other."""
        return zip(self.source.tolist(), self.target.tolist(), self.score.tolist(), strict=True)

    def above(self, threshold: float) -> "BitextPairs":
        """The pairs that score at least the threshold."""
        kept = self.score >= threshold
        return BitextPairs(self.source[kept], self.target[kept], self.score[kept], self.setting)

    def noting(self, **setting: Any) -> "BitextPairs":
        """The same pairs with more in their setting (layer, pooling, precision ...); it stands in every result."""
        return replace(self, setting={**self.setting, **setting})


@dataclass(frozen=True)
class Threshold:
    """A score from which on pairs are kept, how good it was where it was set, and what it was set on."""

    value: float
    precision: float
    recall: float
    f1: float
    kept: int
    correct: int
    gold: int
    on: str
    setting: dict[str, Any]

    def apply(self, pairs: BitextPairs) -> BitextPairs:
        """The pairs that score at least this threshold.

        Raises:
            ValueError: the pairs carry scores of another kind (k, margin or retrieval differ).
        """
        for name, mine in self.setting.items():
            if name in SCORE_SETTING and pairs.setting.get(name, mine) != mine:
                raise ValueError(
                    f"The threshold was set on pairs with {name}={mine!r}, these have {name}={pairs.setting[name]!r}. "
                    "Expected scores of one kind; mine both splits with the same arguments."
                )
        return pairs.above(self.value)

    def evaluate(self, pairs: BitextPairs, gold: Any) -> dict[str, Any]:
        """Precision, recall and F1 of another split's pairs above this threshold, as a flat record of plain values."""
        self.apply(pairs)
        gold_pairs = gold_rows(gold)
        correct = rules.is_gold(pairs.source, pairs.target, gold_pairs)
        cut = rules.cut_at(self.value, pairs.score, correct, len(gold_pairs))
        return {
            "f1": cut.f1,
            "precision": cut.precision,
            "recall": cut.recall,
            "threshold": self.value,
            "threshold_from": self.on,
            "candidates": len(pairs),
            "kept": cut.kept,
            "correct": cut.correct,
            "gold": len(gold_pairs),
            **pairs.setting,
        }


# A threshold means something only for scores that were made with the same of these.
SCORE_SETTING = ("k", "margin", "retrieval", "layer", "pooling")


def match_translations(source: Any, target: Any, method: Method = "cosine", k: int = 4) -> Matches:
    """The best target row for every source row; Tatoeba's protocol with the default method.

    * "cosine": the nearest neighbour (XTREME, jiant, Phang et al. 2020);
    * "margin": the best ratio margin among the k nearest neighbours (LASER's search mode);
    * "csls": the highest 2 cos(x, y) - r(x) - r(y) over all rows, r being the mean cosine to the k nearest rows of the
      other side (Conneau et al. 2018).

    XTREME's direction has the English sentences as `source` here and the other language's as `target`. A target row may
    be matched more than once; among equal scores the lower row wins.

    Args:
        source: vectors (n, d); scaled to length 1 here.
        target: vectors (m, d), at least one if there is a source row.
        method: see above.
        k: neighbours that make the margin or r.

    Returns:
        For each source row the matched target row, `indices` int64 (n,), and how well it matches, `scores` float32
        (n,): the cosine, the margin or CSLS.

    Raises:
        ValueError: an unknown method, k below 1, widths that differ, no target row, or a row with NaN or infinity.

    >>> match_translations([[1.0, 0.0], [0.0, 1.0]], [[0.2, 1.0], [1.0, 0.1]]).indices
    array([1, 0])
    """
    rules.check_choice("method", method, Method)
    x, y = unit_rows(source, "source"), unit_rows(target, "target")
    if not len(y) and len(x):
        raise ValueError("There is no target row. Expected at least one vector to match the source rows with.")
    if not len(x):
        return Matches(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    if method == "cosine":
        best_row = nearest_rows(x, y, 1)
        return Matches(best_row.indices[:, 0], best_row.scores[:, 0])
    near = unit_neighbours(x, y, k)
    source_mean, target_mean = near.forward.scores.mean(axis=1), near.backward.scores.mean(axis=1)
    if method == "margin":
        cosine, indices = near.forward.scores, near.forward.indices
        score = rules.margin_scores(cosine, source_mean[:, None], target_mean[indices], "ratio")
        best = rules.best_column(score, indices)
        return Matches(rules.at(indices, best), rules.at(score, best).astype(np.float32))
    # One more dimension, 1 on the one side and -r(y) / 2 on the other, makes CSLS an inner product.
    x, y = np.hstack((x, np.ones_like(x[:, :1]))), np.hstack((y, -target_mean[:, None] / 2))
    best_of_all = exhaustive(as_tensor(x), as_tensor(y), 1)
    return Matches(best_of_all.indices[:, 0], 2 * best_of_all.scores[:, 0] - source_mean)


def mine_bitext(
    source: Any,
    target: Any,
    k: int = 4,
    margin: Margin = "ratio",
    retrieval: Retrieval = "max",
    *,
    duplicates: Duplicates = "drop",
    sentences: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    floor: float | None = 0.0,
) -> BitextPairs:
    """Pairs of rows that are probably translations of each other, best first: BUCC as XTREME and jiant mine it.

    Cosine, the k nearest neighbours in both directions, a margin over the mean of those (Artetxe and Schwenk 2019),
    then matching. Identical rows of a side count as one row while mining.

    Args:
        source: vectors (n, d); scaled to length 1 here. A zero row has cosine 0 with everything and is never mined.
        target: vectors (m, d). If a side is empty there are no pairs; if it has fewer than k rows, k is that many.
        k: neighbours of either side.
        margin: "ratio" cos / mean, "distance" cos - mean, "absolute" cos.
        retrieval: "max" takes each row at most once, best pairs first; "forward" gives every source row its best
            target, "backward" every target row its best source, "intersect" what both contain; "all" gives all
            candidates.
        duplicates: what becomes of rows that occur more than once on their side. "drop": pairs with them are discarded
            (XTREME); "expand": a pair stands for every combination of the equal rows (jiant); "keep": rows are not
            compared, each is mined for itself.
        sentences: the texts (or ids) of both sides, to say which rows are equal; None compares the vectors, which
            `encode` makes equal for equal sentences.
        floor: pairs that do not score above it are discarded (XTREME: 0); None discards none.

    Returns:
        Row numbers of both sides, `source` and `target` int64 (p,), with their margins, `score` float64 (p,).

    Raises:
        ValueError: k below 1, an unknown word, widths that differ, a row with NaN or infinity, or texts that do not
            number as the rows do.

    >>> pairs = mine_bitext([[1.0, 0.0], [0.0, 1.0]], [[0.1, 1.0], [1.0, 0.2]], k=2)
    >>> pairs.source.tolist(), pairs.target.tolist()
    ([1, 0], [0, 1])
    """
    rules.check_choice("duplicates", duplicates, Duplicates)
    source, target = unit_rows(source, "source"), unit_rows(target, "target")
    keys = sentences or (source, target)
    sides = [group(side, key, duplicates) for side, key in zip((source, target), keys, strict=True)]
    near = unit_neighbours(sides[0].heads_of(source), sides[1].heads_of(target), k)
    pairs = rules.mine(near.forward, near.backward, margin, retrieval, floor)
    if duplicates == "drop":
        once = (sides[0].size[pairs.source] == 1) & (sides[1].size[pairs.target] == 1)
        pairs = Pairs(sides[0].first[pairs.source[once]], sides[1].first[pairs.target[once]], pairs.score[once])
    else:
        pairs = expand(pairs, sides[0], sides[1])
    setting = {"k": k, "margin": margin, "retrieval": retrieval, "duplicates": duplicates}
    return BitextPairs(pairs.source, pairs.target, pairs.score, setting)


class Groups(NamedTuple):
    """Rows that are equal: the lowest row of each group, how many it has, and all rows sorted by group."""

    first: Ints
    size: Ints
    members: Ints

    def heads_of(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first row of each group; not a copy where no two rows are equal."""
        return vectors if len(self.first) == len(vectors) else vectors[self.first]


def group(vectors: NDArray[np.float32], keys: Any, duplicates: Duplicates) -> Groups:
    """Groups of equal rows in the order of their first row; with "keep", each row for itself."""
    n = len(vectors)
    if len(keys) != n:
        raise ValueError(f"{len(keys)} sentences were given for {n} vectors. Expected one for each row.")
    if duplicates == "keep":
        return Groups(np.arange(n), np.ones(n, dtype=np.int64), np.arange(n))
    if keys is vectors:
        keys = [row.tobytes() for row in vectors]
    first_of: dict[Hashable, int] = {}
    first = np.fromiter((first_of.setdefault(key, row) for row, key in enumerate(keys)), np.int64, n)
    heads, size = np.unique(first, return_counts=True)
    return Groups(heads, size, np.argsort(first, kind="stable"))


def expand(pairs: Pairs, source: Groups, target: Groups) -> Pairs:
    """Every pair of groups as all pairs of their rows, best first."""
    copies = source.size[pairs.source] * target.size[pairs.target]
    pair = np.repeat(np.arange(len(copies)), copies)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(copies) - copies, copies)
    step = target.size[pairs.target[pair]]
    rows = []
    for side, ids, offset in ((source, pairs.source, within // step), (target, pairs.target, within % step)):
        start = np.cumsum(side.size) - side.size
        rows.append(side.members[start[ids[pair]] + offset])
    return rules.best_first(Pairs(rows[0], rows[1], pairs.score[pair]))


def score_bitext(
    source: Any, target: Any, pairs: Any = None, k: int = 4, margin: Margin = "ratio"
) -> NDArray[np.float64]:
    """Margin scores float64 (p,) of given pairs of rows (p, 2), or of row i with row i if None (LASER's score mode)."""
    rules.check_choice("margin", margin, Margin)
    x, y = unit_rows(source, "source"), unit_rows(target, "target")
    near = unit_neighbours(x, y, k)
    if pairs is None:
        if len(x) != len(y):
            raise ValueError(f"The sides have {len(x)} and {len(y)} rows. Expected as many, or pairs=[(i, j), ...].")
        pairs = np.stack((np.arange(len(x)), np.arange(len(y))), axis=1)
    rows = row_pairs(pairs)
    cosine = np.einsum("pd,pd->p", x[rows[:, 0]], y[rows[:, 1]])
    means = [side.scores.mean(axis=1, dtype=np.float64) for side in near]
    return rules.margin_scores(cosine, means[0][rows[:, 0]], means[1][rows[:, 1]], margin)


def fit_threshold(pairs: BitextPairs, gold: Any, on: str = "dev") -> Threshold:
    """The threshold with the best F1 against gold pairs; XTREME's rule, for `Threshold.apply` to another split.

    It lies half-way between the last kept score and the next one. Unlike in XTREME's script the best cut may be after
    the last pair, and never falls between equal scores. If no pair is right it is 0.0, with an F1 of 0.0.

    Args:
        pairs: mined pairs; each counts once.
        gold: int (g, 2), rows of the source and the target side, at least one pair.
        on: what the pairs come from; it travels in every result.
    """
    gold_pairs = gold_rows(gold)
    correct = rules.is_gold(pairs.source, pairs.target, gold_pairs)
    cut = rules.best_cut(pairs.score, correct, len(gold_pairs))
    return Threshold(
        value=cut.value,
        precision=cut.precision,
        recall=cut.recall,
        f1=cut.f1,
        kept=cut.kept,
        correct=cut.correct,
        gold=len(gold_pairs),
        on=on,
        setting=pairs.setting,
    )


def row_pairs(pairs: Any) -> Ints:
    """Pairs of row numbers as int64 (p, 2).

    Raises:
        ValueError: not pairs, or not whole numbers from 0.
    """
    rows = np.asarray(pairs if isinstance(pairs, np.ndarray) else list(pairs))
    if not rows.size:
        return np.empty((0, 2), dtype=np.int64)
    if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu" or rows.min() < 0:
        raise ValueError(
            f"The pairs have shape {rows.shape} and type {rows.dtype}. "
            "Expected (source row, target row) integers counted from 0; map ids to rows first."
        )
    return rows.astype(np.int64)


def gold_rows(gold: Any) -> Ints:
    """The distinct gold pairs as int64 (g, 2), at least one."""
    rows = np.unique(row_pairs(gold), axis=0)
    if not len(rows):
        raise ValueError("The gold list is empty. Expected at least one (source row, target row); check the gold file.")
    return rows
