"""How much of a score is left on misspelt rows: drops, their rate, flipped predictions and the area under the curve."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import NOISE, predictions_file, read_results, results_file
from hf_stilts.files import read_lines
from hf_stilts.tabular import Tabular
from hf_stilts.task import lower_is_better

_OF_EXAMPLES = ("drop_rate", "robust_accuracy", "flip_rate")
_NOISE = re.compile(r"(?P<kind>[a-z]+)=(?P<level>[0-9.e+-]+)(?P<columns>[^ ]*)(?: \(.*\))?")
# What the clean and the noisy score of one run must agree in.
_ALIKE = (
    "model", "model_revision", "split", "setting", "data_revision", "rows", "layer", "pooling", "max_length", "dense",
    "pool", "candidates", "source_prefix", "target_prefix", "precision",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class RobustnessReport(Tabular):
    """What noise costs, as tables of plain rows; scores in per cent, drops in points, rates in per cent.

    Attributes:
        languages: start, task, language, noise and level: the `clean` score; the noisy `score`, its mean over noise
            seeds and runs, and its deviation over noise `seeds` (`sd`); `drop` (clean less noisy; noisy less clean
            where less of the metric is better) and `drop_rate` (the drop as a part of the clean score); where
            predictions were kept, `robust_accuracy` (examples wholly right both clean and noisy; of a failure rate,
            cases) and `flip_rate` (examples whose prediction is another).
        tasks: the same of each task's mean over languages; `drop_rate` is the mean of the languages' drop rates;
            `worst` is the language with the worst noisy score, `worst_score` that score.
        curves: start, task and noise: `levels`, the task's `scores` there from level 0 on, and `area`: the area under
            them as a part of the whole width, the mean score over all levels up to the highest.
        overall: start and noise: `average_drop_rate`, the mean of the drop rates of all `settings` (task, language,
            level and noise seed of a run), and `area`, the mean over tasks.
        notes: what was left out, and why.
    """

    languages: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    overall: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """The table of tasks; the others are attributes of the same form."""
        return self.tasks


def robustness(results: Iterable[str | os.PathLike[str]]) -> RobustnessReport:
    """Compare the noisy scores of runs with their clean ones.

    Args:
        results: folders of `run_benchmark`, with what lies in their `noise/`; or files of `evaluate --output` that hold
            both clean and noisy rows. Several runs of one start are its training seeds.

    Raises:
        FileNotFoundError: a folder without results.
        StiltsError: no noisy score, a noisy one without its clean one, or two that were not made alike.
    """
    paths = dict.fromkeys(map(Path, results))
    table = pd.concat([_run(path) for path in paths], ignore_index=True)
    table = table[table["main"].astype(bool)]
    # Level 0 is the clean text: it would be a second start of a curve, and make the mean of the drop rates smaller.
    table = table[~table["noise"].map(lambda noise: bool(noise) and _level(noise) == 0)]
    noisy = table[table["noise"] != ""]
    if noisy.empty:
        raise StiltsError(
            "These results have no noisy score; expected clean and noisy ones. Score on misspelt rows too, by the same "
            "command and into the same folder or file: hf-stilts evaluate ... --noise keyboard=0.1"
        )
    measured, notes = _measured(table[table["noise"] == ""], noisy)
    measured = _common(measured, notes)
    of_language = ("start", "task", "language", "noise", "level")
    languages = [key | _over_seeds(rows) for key, rows in _groups(measured, *of_language)]
    tasks = [_task_row(key, rows) for key, rows in _groups(measured, "start", "task", "noise", "level")]
    curves = [_curve(key, rows) for key, rows in _groups(tasks, "start", "task", "noise")]
    overall = [_overall(key, rows, curves) for key, rows in _groups(measured, "start", "noise")]
    return RobustnessReport(languages, tasks, curves, overall, notes)


def _run(path: Path) -> pd.DataFrame:
    """Rows of one run, clean (`noise` is empty) and noisy, each with the folder that its predictions lie in."""
    places = [path]
    if path.is_dir():
        places += sorted(place for place in (path / NOISE).glob("*") if results_file(place).is_file())
    parts = []
    for place in places:
        part = read_results(place)
        lacking = [name for name in ("model", "task", "language", "metric", "score") if name not in part]
        if lacking:
            raise StiltsError(
                f"{place} has no {lacking[0]!r} in its rows: these are no scores. Expected a file of hf-stilts "
                "evaluate TASK --output FILE, or a folder of hf-stilts evaluate xtreme."
            )
        part["place"] = str(place) if path.is_dir() else ""
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["noise"] = table["noise"].fillna("") if "noise" in table else ""
    table["noise_seed"] = table["noise_seed"].fillna(0).astype(int) if "noise_seed" in table else 0
    table["start"] = table["intermediate"] if "intermediate" in table else table["model"]
    # A file of `evaluate --output` may hold several models; what was scored twice counts once.
    table["run"] = str(path.resolve()) + "#" + table["model"].astype(str) if not path.is_dir() else str(path.resolve())
    return table.drop_duplicates(["run", "task", "language", "metric", "noise", "noise_seed"], keep="last")


def _level(noise: str) -> float | None:
    """Level of a noise in its text form; None of what is no noise."""
    match = _NOISE.fullmatch(noise)
    return None if match is None else float(match["level"])


def _measured(clean: pd.DataFrame, noisy: pd.DataFrame) -> tuple[list[dict[str, Any]], list[str]]:
    """Each noisy score beside its clean one."""
    before = {(row["run"], row["task"], row["language"]): row for row in clean.to_dict("records")}
    found: list[dict[str, Any]] = []
    worthless: set[str] = set()
    seen: dict[tuple[Any, ...], str] = {}
    for row in noisy.to_dict("records"):
        cell = (row["run"], row["task"], row["language"])
        if cell not in before:
            raise StiltsError(
                f"{row['task']} {row['language']} has a noisy score and no clean one in {row['run']}. Score it as it "
                "is, too, by the same command without --noise."
            )
        start = before[cell]
        _check_alike(row, start)
        match = _NOISE.fullmatch(row["noise"])
        if match is None:
            raise StiltsError(f"{row['noise']!r} in the results of {row['run']} is no noise: expected KIND=LEVEL.")
        kind, level = match["kind"] + match["columns"], float(match["level"])
        other = seen.setdefault((row["task"], row["language"], kind, level), row["noise"])
        if other != row["noise"]:
            raise StiltsError(
                f"{row['task']} {row['language']} was scored with noise {other} and {row['noise']}, of two "
                "dictionaries. Give results of one."
            )
        if not start["score"]:
            worthless.add(f"{row['task']} {row['language']}")
        kept = {"start": row["start"], "task": row["task"], "language": row["language"], "noise": kind, "level": level}
        lower = lower_is_better(str(row["metric"]))
        drop = row["score"] - start["score"] if lower else start["score"] - row["score"]
        kept |= {
            "lower": lower,
            "run": row["run"],
            "seed": row["noise_seed"],
            "clean": start["score"],
            "score": row["score"],
        }
        kept |= {"drop_rate": 100 * drop / start["score"] if start["score"] else None}
        found.append(kept | _examples(start, row))
    notes = [f"No drop rate where the clean score is 0: {', '.join(sorted(worthless))}."] if worthless else []
    return found, notes


def _common(measured: Sequence[dict[str, Any]], notes: list[str]) -> list[dict[str, Any]]:
    """The languages that every run has at every level of a noise: means over different languages do not compare."""
    kept: list[dict[str, Any]] = []
    for group, rows in _groups(measured, "task", "noise"):
        of_each = [_values("language", found) for _, found in _groups(rows, "run", "level", "seed")]
        everywhere = set.intersection(*of_each)
        left = sorted(set.union(*of_each) - everywhere)
        if not everywhere:
            raise StiltsError(
                f"No language of {group['task']} has a score at every level and seed of {group['noise']}. Score all "
                "of them: the same command again does what is missing."
            )
        if left:
            notes.append(f"Left out of {group['task']}, {group['noise']}, not everywhere there: {', '.join(left)}.")
        levels_of_runs = [_values("level", found) for _, found in _groups(rows, "run")]
        if any(levels != levels_of_runs[0] for levels in levels_of_runs):
            notes.append(f"Runs have {group['task']} at different levels of {group['noise']}: areas do not compare.")
        kept += [row for row in rows if row["language"] in everywhere]
    return kept


def _values(column: str, rows: Iterable[dict[str, Any]]) -> set[Any]:
    return {row[column] for row in rows}


def _check_alike(noisy: dict[str, Any], clean: dict[str, Any]) -> None:
    for column in _ALIKE:
        ours, theirs = noisy.get(column), clean.get(column)
        if ours != theirs and not (pd.isna(ours) and pd.isna(theirs)):
            raise StiltsError(
                f"{noisy['task']} {noisy['language']} was scored with {column} {theirs} clean and {ours} with noise; "
                "their difference would not be that of the noise. Give results that agree in it."
            )


def _examples(clean: dict[str, Any], noisy: dict[str, Any]) -> dict[str, float]:
    """Robust accuracy and flip rate, in per cent, where the predictions of both were kept."""
    before, after = _predictions(clean), _predictions(noisy)
    if before is None or after is None:
        return {}
    both = before.keys() & after.keys()
    if not both:
        return {}
    found = {"flip_rate": 100 * fmean(before[name]["prediction"] != after[name]["prediction"] for name in both)}
    if all("gained" in line for line in (*before.values(), *after.values())):
        lower = lower_is_better(str(clean["metric"]))
        # Of a failure rate one example of each case counts, and those that could gain nothing are no cases.
        counted = [name for name in both if not lower or before[name]["possible"] > 0]
        robust = [_right(before[name], lower) and _right(after[name], lower) for name in counted]
        found["robust_accuracy"] = 100 * fmean(robust)
    return found


def _predictions(row: dict[str, Any]) -> dict[Any, dict[str, Any]] | None:
    """Predictions behind a score by the id of their examples; None where none were kept."""
    if not row["place"]:
        return None
    file = predictions_file(Path(row["place"]), row["task"], row["language"])
    if not file.is_file():
        return None
    return {line["id"]: line for line in read_lines(file)}


def _right(line: dict[str, Any], lower: bool) -> bool:
    """Whether an example is wholly right; what it `gained` is its fault where less of the score is better."""
    if lower:
        return bool(line["gained"] == 0)
    return bool(line["gained"] >= line["possible"] > 0)


def _groups(rows: Sequence[dict[str, Any]], *names: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Rows that agree in some columns, in the order of the first of each."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return [(dict(zip(names, key, strict=True)), found) for key, found in groups.items()]


def _over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over noise seeds; within a seed, languages and runs count alike."""
    means = []
    for _, of_seed in _groups(rows, "seed"):
        means.append(fmean(row["score"] for row in of_seed))
    clean = fmean(row["clean"] for row in rows)
    score = fmean(row["score"] for row in rows)
    found = {"clean": clean, "score": score, "sd": stdev(means) if len(means) > 1 else None, "seeds": len(means)}
    found["drop"] = score - clean if rows[0]["lower"] else clean - score
    return found | {name: _mean(rows, name) for name in _OF_EXAMPLES}


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """Mean of what is known; None where nothing is."""
    known = [row[name] for row in rows if row.get(name) is not None]
    return fmean(known) if known else None


def _task_row(key: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    by_language = {}
    for group, found in _groups(rows, "language"):
        by_language[group["language"]] = fmean(row["score"] for row in found)
    worst = (max if rows[0]["lower"] else min)(by_language, key=by_language.__getitem__)
    return key | _over_seeds(rows) | {"worst": worst, "worst_score": by_language[worst]}


def _curve(key: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores over levels, level 0 being the clean score, and the area under them."""
    points = [(0.0, rows[0]["clean"]), *sorted((row["level"], row["score"]) for row in rows)]
    # Trapezoids over the widest level: a mean score, which does not grow with the number of levels.
    under = sum((right - left) * (low + high) / 2 for (left, low), (right, high) in itertools.pairwise(points))
    levels, scores = zip(*points, strict=True)
    return key | {"levels": list(levels), "scores": list(scores), "area": under / levels[-1]}


def _overall(key: dict[str, Any], rows: Sequence[dict[str, Any]], curves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    lower = {row["task"] for row in rows if row["lower"]}
    own = [each for each in curves if (each["start"], each["noise"]) == (key["start"], key["noise"])]
    # Areas under scores of which less is better are no part of a mean of the others.
    chosen = [each for each in own if each["task"] not in lower] or own
    areas = [each["area"] for each in chosen]
    counted = sum(row["drop_rate"] is not None for row in rows)
    return key | {
        "tasks": len(areas),
        "settings": counted,
        "average_drop_rate": _mean(rows, "drop_rate"),
        "area": fmean(areas),
    }
