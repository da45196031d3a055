"""Which pictures a comparison has: of a study, of `gains`, of a benchmark's scores; drawn one after another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hf_stilts.benchmark import Benchmark
from hf_stilts.studies.drawing import FORMATS, arm_labels, save
from hf_stilts.studies.figures import (
    gain_matrix,
    gaps,
    language_gains,
    layer_curves,
    learning_curves,
    noise_curves,
    score_matrix,
    shot_curves,
)
from hf_stilts.studies.gains import GainReport
from hf_stilts.studies.robustness import RobustnessReport
from hf_stilts.studies.tables import StudyReport, groups_of

if TYPE_CHECKING:
    from hf_stilts.studies.matrix import TransferMatrix  # which imports `datasets`

Rows = Sequence[Mapping[str, Any]]
_GAPS = {"English less the others": "gap-english", "classes 4-5 less 0-2": "gap-resources"}

_NOISE_NOTE = (
    "Area: mean score over the levels. Drop: mean of the drop rates over targets, languages, levels and seeds."
)


@dataclass(frozen=True)
class Picture:
    """A picture of a comparison.

    Args:
        name: of its files.
        title: what it shows.
        figure: of matplotlib.
    """

    name: str
    title: str
    figure: Any


def write_pictures(pictures: Iterator[Picture], folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write pictures into a folder: each as SVG, PDF and PNG.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    return [file for each in pictures for file in save(each.figure, folder / each.name, formats)]


def study_pictures(report: StudyReport, *, by: str = "class", most_arms: int | None = None) -> Iterator[Picture]:
    """Pictures of a study's tables, those of each comparison together.

    Args:
        report: of `study_report`.
        by: how languages are grouped, of `figures.GROUPINGS`.
        most_arms: gains by language of at most so many arms of a comparison, those with the largest mean gain;
            default: of all.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    tables = {table.name: table.rows for table in report.tables}
    for said, chosen in _comparisons(tables, report.factors, ("gains", "languages", "gaps")):
        yield from _of_comparison(chosen, report.groups, said, by, most_arms)
    others = [name for name in report.factors if name != "noise"]
    for said, chosen in _comparisons(tables, others, ("noise", "robustness")):
        title = _titled("Scores on misspelt rows", said)
        overall = [{**row, "start": row["arm"]} for row in chosen["robustness"]]
        figure = noise_curves(_curves(chosen["noise"]), overall=overall, title=title, note=_NOISE_NOTE)
        yield Picture(_named("noise-curves", said), title, figure)
    for said, chosen in _comparisons(tables, others, ("shots",)):
        title = _titled("Scores by training rows of the language itself", said)
        yield Picture(_named("shot-curves", said), title, shot_curves(chosen["shots"], title=title))
    for said, chosen in _comparisons(tables, [*others, "task"], ("layers",)):
        title = _titled("Retrieval accuracy by hidden state", said)
        rows = chosen["layers"]
        languages = max(row["languages"] for row in rows)
        foot = f"{rows[0]['task']}, mean over n = {languages} languages, {_seeds({row['seeds'] for row in rows})}."
        figure = layer_curves(_layer_curves(rows), title=title, foot=foot)
        yield Picture(_named("layer-curves", said), title, figure)
    for said, chosen in _comparisons(tables, ["base"], ("learning",)):
        title = _titled("Dev score of intermediate training by steps", said)
        yield Picture(_named("learning-curves", said), title, learning_curves(chosen["learning"], title=title))


def gain_pictures(report: GainReport, benchmark: Benchmark, *, by: str = "class") -> Iterator[Picture]:
    """Pictures of the gains of some runs, as those of a study with one comparison.

    Args:
        report: of `gains`.
        benchmark: whose groups stand over the columns.
        by: how languages are grouped, of `figures.GROUPINGS`.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    tables = {}
    for name, rows in {"gains": report.tasks, "languages": report.languages, "gaps": report.gaps}.items():
        tables[name] = [{**row, "arm": row["intermediate"]} for row in rows]
    factors = ["base"] if any("base" in row for row in report.tasks) else []
    for said, chosen in _comparisons(tables, factors, tuple(tables)):
        yield from _of_comparison(chosen, benchmark.groups, said, by, None)


def matrix_pictures(matrix: TransferMatrix) -> Iterator[Picture]:
    """Pictures of a transfer matrix: of each base the gains by target, and by target and language.

    Args:
        matrix: of `transfer_matrix`; where several comparisons have a target, the one of `one_comparison_each`.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    rows = matrix.one_comparison_each()
    groups = groups_of(dict.fromkeys(row["target"] for row in rows))
    bases = list(dict.fromkeys(row["base"] for row in rows))
    for base in bases:
        said = {"base": base} if len(bases) > 1 else {}
        of_base = [row for row in rows if row["base"] == base]
        chosen = {(row["intermediate"], row["target"]): row["comparison"] for row in of_base}
        cells = []
        for cell in matrix.cells:
            place = (cell["intermediate"], cell["target"])
            if cell["base"] == base and chosen.get(place) == cell["comparison"]:
                cells.append(_of_matrix(cell))
        title = _titled("Gain over the baseline, published scores", said)
        figure = gain_matrix([_of_matrix(row) for row in of_base], groups=groups, title=title)
        yield Picture(_named("matrix", said), title, figure)
        title = _titled("Gain over the baseline in every language, published scores", said)
        yield Picture(_named("matrix-languages", said), title, gain_matrix(cells, groups=groups, title=title))


def _of_matrix(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a transfer matrix in the words of a study."""
    found = {"arm": row["intermediate"], "task": row["target"], "gain": row["gain"], "seeds": row["runs"]}
    return found | ({"language": row["language"]} if "language" in row else {})


def robustness_picture(report: RobustnessReport) -> Picture:
    """Picture of what noise costs.

    Args:
        report: of `robustness`.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    title = "Scores on misspelt rows"
    figure = noise_curves(report.curves, overall=report.overall, title=title, note=_NOISE_NOTE)
    return Picture("noise-curves", title, figure)


def score_pictures(rows: Rows, benchmark: Benchmark, title: str) -> Iterator[Picture]:
    """Picture of a benchmark's scores in every language.

    Args:
        rows: of `run_benchmark`, the main ones.
        benchmark: whose groups give the order of the tasks.
        title: above it.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    yield Picture("scores", title, score_matrix(rows, groups=benchmark.groups, title=title))


def _of_comparison(
    tables: Mapping[str, Rows],
    groups: Mapping[str, Sequence[str]],
    said: Mapping[str, str],
    by: str,
    most_arms: int | None,
) -> Iterator[Picture]:
    """Gains and gaps of one comparison; `said` tells it apart from the others."""
    if tables["gains"]:
        title = _titled("Gain over the baseline", said)
        yield Picture(_named("gain-matrix", said), title, gain_matrix(tables["gains"], groups=groups, title=title))
    languages = tables["languages"]
    if languages:
        title = _titled("Gain over the baseline in every language", said)
        figure = gain_matrix(languages, groups=groups, title=title)
        yield Picture(_named("gain-matrix-languages", said), title, figure)
    arms = list(dict.fromkeys(row["arm"] for row in languages))
    names, drawn = _arm_names(arms), arm_labels(arms)
    for arm in _largest(languages, most_arms):
        own = [row for row in languages if row["arm"] == arm]
        figure = language_gains(own, by=by, title=_titled(f"Gain of {drawn[arm]} by language", said))
        yield Picture(_named(f"gains-{names[arm]}", said), _titled(f"Gain of {arm} by language", said), figure)
    for gap, name in _GAPS.items():
        rows = [row for row in tables["gaps"] if row["gap"] == gap]
        if rows:
            title = _titled(f"Gap before and after, {gap}", said)
            yield Picture(_named(name, said), title, gaps(rows, title=title))


def _comparisons(
    tables: Mapping[str, Rows], factors: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[dict[str, str], dict[str, Rows]]]:
    """Rows of some tables, comparison by comparison, each with what tells it apart where there are several."""
    found: dict[tuple[str, ...], dict[str, list[Mapping[str, Any]]]] = {}
    for name in names:
        for row in tables.get(name, ()):
            key = tuple(str(row[factor]) for factor in factors)
            found.setdefault(key, {each: [] for each in names})[name].append(row)
    for key, chosen in found.items():
        yield dict(zip(factors, key, strict=True)) if len(found) > 1 else {}, dict(chosen)


def _largest(rows: Rows, most: int | None) -> list[str]:
    """Arms in their order; where they are too many, those with the largest mean gain."""
    gains: dict[str, list[float]] = {}
    for row in rows:
        gains.setdefault(row["arm"], []).append(row["gain"])
    ranked = sorted(gains, key=lambda arm: -fmean(gains[arm]))
    return [arm for arm in gains if arm in ranked[:most]]


def _curves(rows: Rows) -> list[dict[str, Any]]:
    """Scores over levels, the clean score at level 0, as `noise_curves` takes them."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        points = found.setdefault((row["arm"], row["task"], row["noise"]), [(0.0, row["clean"])])
        points.append((row["level"], row["score"]))
    curves = []
    for (arm, task, noise), points in found.items():
        levels, scores = zip(*sorted(points), strict=True)
        curves.append({"start": arm, "task": task, "noise": noise, "levels": levels, "scores": scores})
    return curves


def _seeds(numbers: set[int]) -> str:
    """How many seeds the arms of a picture have, which need not be the same number."""
    fewest, most = min(numbers), max(numbers)
    if most == 1:
        return "one seed"
    return f"median over {most} seeds" if fewest == most else f"median over {fewest} to {most} seeds"


def _layer_curves(rows: Rows) -> dict[str, list[float]]:
    """Arm -> its scores from hidden state 0 on, as `layer_curves` takes them."""
    curves: dict[str, list[float]] = {}
    for row in rows:
        curves.setdefault(row["arm"], []).append(row["score"])
    return curves


def _titled(title: str, said: Mapping[str, str]) -> str:
    return f"{title}: {', '.join(said.values())}" if said else title


def _arm_names(arms: Sequence[str]) -> dict[str, str]:
    """Arms as parts of the names of files, no two alike; those of other scripts are numbered."""
    found: dict[str, str] = {}
    for number, arm in enumerate(arms, start=1):
        name = _named(arm, {})
        found[arm] = name if name and name not in found.values() else f"arm-{number}"
    return found


def _named(name: str, said: Mapping[str, str]) -> str:
    """Name of a file: ASCII letters, digits and hyphens, and nothing of a path."""
    parts = [re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in (name, *said.values())]
    return "-".join(part for part in parts if part)
