"""Is a difference between two models more than chance? Bootstrap over examples, sign test over languages, Holm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hf_stilts.errors import StiltsError

DRAWS_AT_A_TIME = 64
SIGNIFICANT = 0.05  # p-values below it are marked, after the correction for several tests
Examples: TypeAlias = Mapping[Any, tuple[float, float]]


@dataclass(frozen=True)
class Interval:
    """A difference of two scores in points, its 95 % interval, and how often chance alone would give as much."""

    gain: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    ours: Sequence[Examples],
    theirs: Sequence[Examples],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Difference of two models' scores on the same examples, drawn again and again with replacement (Koehn 2004).

    A model trained with several seeds has the median of its scores, in every draw as in the tables.

    Args:
        ours: for each seed, id of an example -> what the first model gained of the score there, and what was possible;
            the score is `100 * sum(gained) / sum(possible)`, so accuracy, EM, F1 of chunks and of mined pairs all fit.
        theirs: the same of the second model.
        samples: how many draws.
        seed: equal seeds give equal results.

    Returns:
        The percentile interval of the difference, and the two-sided p-value that it is 0.

    Raises:
        StiltsError: the two are not about the same examples.

    >>> better = {name: (1.0, 1.0) for name in range(50)}
    >>> worse = {name: (float(name % 2), 1.0) for name in range(50)}
    >>> found = paired_bootstrap([better], [worse])
    >>> found.gain, found.low > 0, found.p < 0.01
    (50.0, True, True)
    """
    draws = score_draws([*ours, *theirs], samples=samples, seed=seed)
    medians = [np.median(side, axis=1) for side in np.split(draws, [len(ours)], axis=1)]
    observed, *drawn = medians[0] - medians[1]
    return interval(float(observed), np.array(drawn))


def score_draws(runs: Sequence[Examples], *, samples: int, seed: int) -> NDArray[np.float64]:
    """Scores of several runs on the same examples, and on as many that are drawn from them with replacement.

    Args:
        runs: as a side of `paired_bootstrap`.
        samples: how many draws; every run sees the same.
        seed: equal seeds give equal results.

    Returns:
        Percent, float64 (1 + samples, runs); the first row is the scores themselves.

    Raises:
        StiltsError: the runs are not about the same examples.
    """
    pairs = list(itertools.chain.from_iterable(run.values() for run in runs))
    names = list(dict.fromkeys(itertools.chain.from_iterable(runs)))
    # Where nothing was gained at all it may as well be a ratio: pairs that two models mined, none of them right.
    is_mean = all(possible == 1 for _, possible in pairs) and any(gained for gained, _ in pairs)
    for name in names:
        if is_mean and not all(name in run for run in runs):
            raise StiltsError(
                f"The two models were not scored on the same examples: only one has {name!r}. Score both on the same "
                "rows (the same --limit and data) and compare again."
            )
    if not names:
        raise StiltsError("There is no example to compare. Score both models first.")
    # Where the score is a ratio, an example that one model has nothing to say on (no pair mined) counts for nothing.
    pairs_of_examples = []
    for name in names:
        pairs_of_examples.append([run.get(name, (0, 0)) for run in runs])
    table = np.array(pairs_of_examples, dtype=np.float64)
    table = table.reshape(len(names), -1)
    generator = np.random.default_rng(seed)
    equal = np.full(len(names), 1 / len(names))
    sums = [table.sum(axis=0)[None]]
    for count in _portions(samples, DRAWS_AT_A_TIME):
        times = generator.multinomial(len(names), equal, size=count)  # how often each example is drawn
        sums.append(times @ table)
    gained, possible = np.concatenate(sums)[:, ::2], np.concatenate(sums)[:, 1::2]
    scores: NDArray[np.float64] = 100 * np.divide(gained, possible, out=np.zeros_like(gained), where=possible > 0)
    return scores


def interval(observed: float, drawn: NDArray[np.float64]) -> Interval:
    """Percentile interval and two-sided p-value of a difference, from its bootstrap draws (n,)."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return Interval(observed, float(low), float(high), min(1.0, 2 * (int(tail) + 1) / (len(drawn) + 1)))


def sign_test(differences: Sequence[float]) -> float:
    """Two-sided p-value that gains and losses are equally likely; differences of 0 say nothing and are left out.

    >>> sign_test([1.2, 0.4, 3.0, 0.1, 2.2])   # 2 * (1/2)^5
    0.0625
    >>> sign_test([0.0])
    1.0

    """
    up, down = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    # Half of the sequences of n fair signs have their fewer ones on either side: both tails are equally likely.
    tail = sum(math.comb(up + down, count) for count in range(min(up, down) + 1))
    return min(1.0, 2 * tail / 2 ** (up + down))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, so raised that any one below 0.05 holds for all together (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below the one before it.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    result = np.empty(len(p_values))
    result[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return [float(value) for value in result]


def _portions(total: int, size: int) -> list[int]:
    """`total` in portions of at most `size`, so that the draws of long data sets fit the memory."""
    return [min(size, total - begun) for begun in range(0, total, size)]
