"""Which similarity goes with what languages gain: correlations, a regression, and prediction of languages left out."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hf_stilts.errors import StiltsError, did_you_mean, needs_extra
from hf_stilts.evaluation.results import read_results
from hf_stilts.languages import LANGUAGES
from hf_stilts.studies.gains import BASELINE, gains
from hf_stilts.studies.statistics import holm
from hf_stilts.tabular import Tabular

Outcome: TypeAlias = Literal["gain", "score"]
Numbers: TypeAlias = NDArray[np.float64]
FEWEST = 5  # languages; fewer say nothing of a correlation that is also given a second variable
SIZE = "log_cc100"


@dataclass(frozen=True, repr=False)
class Explanation(Tabular):
    """How similarity goes with gains, as tables of plain rows; gains in points, languages are the cases.

    Attributes:
        correlations: intermediate, task and measure: number of `languages`; `pearson` and `spearman`, each with the
            95 % percentile interval over languages drawn again (`_low`, `_high`) and its `_p`; `p_holm`: Spearman's p
            corrected over the measures of one intermediate and task; `partial` and `partial_p`: Pearson's correlation
            given the log of the language's CC-100 size; `error`: mean absolute error in points of each language's gain
            predicted from measure and size by a regression on the other languages, `error_of_mean`: predicted by
            their mean gain.
        regression: intermediate, task and term of the regression on all measures together and size: `coefficient`
            in points for a standard deviation of the term, its 95 % interval (`low`, `high`) and `p`; `r2` and
            `r2_adjusted` of the whole.
        points: intermediate, task, language: the `gain` and the measures, for pictures.
        notes: what was left out, and why.
    """

    correlations: list[dict[str, Any]]
    regression: list[dict[str, Any]]
    points: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """The correlations; the others are attributes of the same form."""
        return self.correlations


def explain(
    results: Iterable[str | os.PathLike[str]],
    similarities: Sequence[Mapping[str, Any]],
    measures: Sequence[str],
    *,
    to: str = "en",
    outcome: Outcome = "gain",
    baseline: str = BASELINE,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Explanation:
    """Compare what languages gain, or score, with how alike each is to the language of training.

    Args:
        results: files `results.jsonl` of `run_benchmark`, or their folders; for "score" also of `evaluate --output`.
        similarities: rows with `first`, `second` and measures, of `SimilarityReport.pairs`.
        measures: which of their columns.
        to: the language of training; pairs without it are not read.
        outcome: "gain" over the baseline, or the "score" itself.
        baseline: as for `gains`.
        bootstrap: draws of languages; 0 leaves intervals out.
        seed: of the draws.

    Raises:
        StiltsError: an unknown measure, too few languages that have both, the extra `similarity` is not installed, or
            as `gains`.
    """
    with needs_extra("similarity", "A regression"):
        import scipy.stats  # noqa: F401
        import statsmodels.api  # noqa: F401
    known = sorted({name for row in similarities for name in row})
    for name in measures:
        if name not in known:
            raise StiltsError(f"No measure {name!r} among the similarities. {did_you_mean(name, known)}")
    alike = _similar_to(to, similarities)
    table = _gains(results, baseline) if outcome == "gain" else _scores(results)
    table = [row for row in table if row["language"] in alike]
    found = Explanation([], [], [])
    without_size = sorted({row["language"] for row in table if row["language"] not in LANGUAGES})
    if without_size:
        found.notes.append(
            f"{', '.join(without_size)}: the table of hf_stilts/languages.py has no size of CC-100 for them: left out."
        )
        table = [row for row in table if row["language"] in LANGUAGES]
    for (start, task), rows in _groups(table).items():
        case = {"intermediate": start, "task": task}
        if len(rows) < FEWEST:
            found.notes.append(
                f"{start}, {task}: {len(rows)} languages have a similarity, fewer than {FEWEST}: left out."
            )
            continue
        points = [_point(row, alike[row["language"]], measures) for row in rows]
        found.points.extend(case | point for point in points)
        found.correlations.extend(_correlations(case, points, measures, bootstrap, seed, found.notes))
        found.regression.extend(_regression(case, points, measures, found.notes))
    if not found.correlations:
        raise StiltsError(
            f"No task has {FEWEST} languages with both a {outcome} and a similarity to {to}. "
            f"{' '.join(found.notes)} Measure more languages: hf-stilts similarity TASK_OR_FOLDER --to {to}"
        )
    return found


def _similar_to(to: str, similarities: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The rows of pairs with one language, by the other language of the pair."""
    found = {}
    for row in similarities:
        if row["first"] == to:
            found[row["second"]] = row
        elif row["second"] == to:
            found[row["first"]] = row
    return found


def _gains(results: Iterable[str | os.PathLike[str]], baseline: str) -> list[dict[str, Any]]:
    rows = gains(results, baseline=baseline, bootstrap=0).languages
    return [{name: row[name] for name in ("intermediate", "task", "language", "gain")} for row in rows]


def _scores(results: Iterable[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Median score of each language over the runs of a start, in the column `gain` as the others have it."""
    table = pd.concat([read_results(Path(path)) for path in results], ignore_index=True)
    table = table[table["main"].astype(bool)]
    if "noise" in table:
        table = table[table["noise"].isna()]
    start = "intermediate" if "intermediate" in table else "model"
    median = table.groupby([start, "task", "language"], sort=False)["score"].median()
    return [
        {"intermediate": start, "task": task, "language": language, "gain": float(score)}
        for (start, task, language), score in median.items()
    ]


def _groups(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["intermediate"], row["task"]), []).append(row)
    return groups


def _point(row: Mapping[str, Any], alike: Mapping[str, Any], measures: Sequence[str]) -> dict[str, Any]:
    point = {"language": row["language"], "gain": row["gain"]} | {name: alike.get(name) for name in measures}
    size = LANGUAGES[row["language"]].cc100_mb
    return point | {SIZE: None if size is None else math.log10(size)}


def _columns(points: Sequence[Mapping[str, Any]], *names: str) -> list[Numbers]:
    return [np.array([point[name] for point in points], dtype=np.float64) for name in names]


def _correlations(
    case: Mapping[str, Any],
    points: Sequence[dict[str, Any]],
    measures: Sequence[str],
    bootstrap: int,
    seed: int,
    notes: list[str],
) -> list[dict[str, Any]]:
    """A row a measure, of the languages that have it."""
    rows = []
    for name in measures:
        having = [point for point in points if point[name] is not None]
        x, size, gain = _columns(having, name, SIZE, "gain")
        if len(having) < FEWEST or np.ptp(x) == 0 or np.ptp(gain) == 0:
            notes.append(
                f"{case['intermediate']}, {case['task']}: {name} is known of {len(having)} languages, or the same of "
                "all, or they gain alike: left out."
            )
            continue
        row = {**case, "measure": name, "languages": len(having)}
        row |= with_interval("pearson", x, gain, bootstrap, seed) | with_interval("spearman", x, gain, bootstrap, seed)
        rows.append(row | _given_size(x, size, gain) | _left_out(x, size, gain))
    for row, corrected in zip(rows, holm([row["spearman_p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def with_interval(name: str, x: Numbers, y: Numbers, draws: int, seed: int) -> dict[str, float | None]:
    """A correlation (`pearson` or `spearman`), its p-value, and its percentile interval over the points."""
    from scipy import stats

    statistic = stats.pearsonr if name == "pearson" else stats.spearmanr
    whole = statistic(x, y)
    found: dict[str, float | None] = {name: float(whole.statistic), f"{name}_low": None, f"{name}_high": None}
    found[f"{name}_p"] = float(whole.pvalue)
    if draws:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a draw of one language again and again has no correlation: nan
            drawn = stats.bootstrap(
                (x, y),
                _pearson if name == "pearson" else _spearman,
                paired=True,
                vectorized=True,
                n_resamples=draws,
                method="percentile",
                rng=seed,
            ).bootstrap_distribution
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


def _pearson(x: Numbers, y: Numbers, axis: int = -1) -> Any:
    from scipy import stats

    return stats.pearsonr(x, y, axis=axis).statistic


def _spearman(x: Numbers, y: Numbers, axis: int = -1) -> Any:
    from scipy import stats

    return _pearson(stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis), axis)


def _fitted(y: Numbers, *terms: Numbers) -> Any:
    """Ordinary least squares of y on a constant and terms."""
    import statsmodels.api as sm

    return sm.OLS(y, np.column_stack([np.ones(len(y)), *terms])).fit()


def _given_size(x: Numbers, size: Numbers, gain: Numbers) -> dict[str, float | None]:
    """Pearson's correlation of what size does not explain of either, with its p (one degree of freedom fewer)."""
    from scipy import stats

    free = len(x) - 3
    # Where measure or gain is all size, nothing is left but rounding errors.
    left = [_fitted(each, size).resid for each in (x, gain)]
    if any(np.abs(rest).max() <= 1e-9 * np.ptp(each) for rest, each in zip(left, (x, gain), strict=True)):
        return {"partial": None, "partial_p": None}
    partial = float(_pearson(*left))
    t = abs(partial) * math.sqrt(free / max(1 - partial**2, 1e-300))
    return {"partial": partial, "partial_p": float(2 * stats.t.sf(t, free))}


def _left_out(x: Numbers, size: Numbers, gain: Numbers) -> dict[str, float]:
    """Mean absolute error of each language's gain, predicted from the others."""
    errors, of_mean = [], []
    for place in range(len(gain)):
        others = np.arange(len(gain)) != place
        model = _fitted(gain[others], x[others], size[others])
        predicted = float(model.params @ [1.0, x[place], size[place]])
        errors.append(abs(predicted - gain[place]))
        of_mean.append(abs(float(gain[others].mean()) - gain[place]))
    return {"error": float(fmean(errors)), "error_of_mean": float(fmean(of_mean))}


def _regression(
    case: Mapping[str, Any], points: Sequence[dict[str, Any]], measures: Sequence[str], notes: list[str]
) -> list[dict[str, Any]]:
    """Rows of the terms of one regression on all measures and size."""
    having = [point for point in points if all(point[name] is not None for name in measures)]
    names = [*measures, SIZE]
    terms = _columns(having, *names)
    terms = [(term - term.mean()) / term.std(ddof=1) if len(having) > 1 and np.ptp(term) else term for term in terms]
    design = np.column_stack([np.ones(len(having)), *terms])
    if len(having) < len(names) + 3 or np.linalg.matrix_rank(design) < design.shape[1]:
        notes.append(
            f"{case['intermediate']}, {case['task']}: no regression on {len(names)} terms with {len(having)} languages "
            f"(two more than terms and constant are expected, and no term that others make up). Choose: --measures "
            f"{measures[0]}"
        )
        return []
    (gain,) = _columns(having, "gain")
    model = _fitted(gain, *terms)
    rows = []
    for place, name in enumerate(names, start=1):
        low, high = model.conf_int(0.05)[place]
        row = {**case, "term": name, "coefficient": float(model.params[place]), "low": float(low), "high": float(high)}
        row |= {"p": float(model.pvalues[place]), "r2": float(model.rsquared)}
        rows.append(row | {"r2_adjusted": float(model.rsquared_adj), "languages": len(having)})
    return rows
