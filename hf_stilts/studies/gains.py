"""What an intermediate task brought: score less baseline, per language, task and group, over seeds, with p-values."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hf_stilts.benchmark import TOTAL, Benchmark, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import SETTINGS, predictions_file, read_results, results_file
from hf_stilts.files import read_lines
from hf_stilts.languages import find_language
from hf_stilts.studies.statistics import holm, interval, score_draws, sign_test
from hf_stilts.tabular import Tabular
from hf_stilts.task import load_task, lower_is_better
from hf_stilts.training.flags import deciding

BASELINE = "none"
Predictions: TypeAlias = Callable[[str, str, str], Path]
# Resource classes of Joshi et al. 2020 as they are usually gathered; class 3 is neither.
LOW, HIGH = (0, 1, 2), (4, 5)
# What a row without the column was scored with: results leave out what is not used.
WITHOUT = {
    "noise": "none",
    "train_languages": "en",
    "source_prefix": "none",
    "target_prefix": "none",
    "precision": "float32",
}


@dataclass(frozen=True, repr=False)
class GainReport(Tabular):
    """What intermediate training brought, as tables of plain rows; scores, gains and gaps are in points.

    A gain is positive where the start is better than the baseline: where less of a metric is better (a failure rate),
    it is the baseline less the score, and such tasks are left out of means over tasks.

    Attributes:
        languages: intermediate, task, language: median `score` and `baseline` over seeds, `gain`, `spread` and
            `baseline_spread` (standard deviations over seeds), `seeds`, and where the results say so the `rows` that
            were scored; where the predictions of both were kept, the 95 % interval of the gain over examples (`low`,
            `high`) and its `p`.
        tasks: the same of each task's mean over languages; `up` and `down` languages, `p` of the sign test over
            languages, `p_holm` corrected over the tasks of one intermediate task.
        groups: the same of each group and of the total.
        gaps: per task, English less the mean of the other languages, and classes 4-5 less classes 0-2 of Joshi et al.;
            `reduction` is the baseline's gap less this one, as far as the lower side rose, negative where the gap
            widened; `change` says so: "reduced", "reduced, but the higher side fell too", "narrower only since the
            higher side fell" (reduction 0), "as before" or "wider". With predictions, the 95 % interval of the
            reduction (`low`, `high`), its `p`, and `p_holm` over the gaps of one intermediate task.
        best: per target the start with the best English dev score, and as last row the mean over targets: the combined
            row of Phang et al. 2020.
        notes: what was left out, and why.

    Where the results are of several public models, each is compared with its own baseline, and every row begins with
    its `base`.
    """

    languages: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    best: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """The table of tasks; the others are attributes of the same form: `pd.DataFrame(report.gaps)`."""
        return self.tasks


def gains(
    results: Iterable[str | os.PathLike[str]],
    *,
    baseline: str = BASELINE,
    benchmark: Benchmark | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> GainReport:
    """Compare runs from intermediate checkpoints with runs without.

    Args:
        results: files `results.jsonl` of `run_benchmark`, or their folders; several of one intermediate task are its
            seeds. Predictions beside them are read for the bootstrap.
        baseline: the intermediate that the others are compared with; "none" is the public model.
        benchmark: whose groups and total are formed. Default: the one that the results name.
        bootstrap: draws for each language; 0 leaves the bootstrap out.
        seed: of the bootstrap.

    Raises:
        StiltsError: no baseline, nothing to compare with it, or runs of different benchmarks or settings.
    """
    files = list(dict.fromkeys(results_file(Path(path)).resolve() for path in results))
    if not files:
        raise StiltsError("No results were given. Pass files: hf-stilts gains runs/*/results.jsonl")
    runs = [read_results(file).assign(run=str(file)) for file in files]
    for file, run in zip(files, runs, strict=True):
        if not {"intermediate", "base", "benchmark", "main"} <= set(run.columns):
            raise StiltsError(
                f"{file} does not say where its models started: it is of a task, or empty. Expected results.jsonl of a "
                "benchmark's run: hf-stilts evaluate xtreme --base NAME --output-dir DIR"
            )
    _check_settings(files)
    return compare(runs, _predictions_beside, baseline=baseline, benchmark=benchmark, bootstrap=bootstrap, seed=seed)


def compare(
    runs: Sequence[pd.DataFrame],
    predictions: Predictions,
    *,
    baseline: str = BASELINE,
    benchmark: Benchmark | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> GainReport:
    """As `gains`, of results that were read already.

    Args:
        runs: rows of each run, with a column `run` that names it.
        predictions: run, task and language -> the file of its predictions, which need not be there.
        baseline: as in `gains`.
        benchmark: as in `gains`.
        bootstrap: as in `gains`.
        seed: as in `gains`.

    Raises:
        StiltsError: as in `gains`.
    """
    bases = list(dict.fromkeys(itertools.chain.from_iterable(run["base"].unique() for run in runs)))
    if len(bases) > 1:
        reports = {}
        for base in bases:
            own = [run[run["base"] == base] for run in runs]
            reports[base] = compare(
                [part for part in own if len(part)],
                predictions,
                baseline=baseline,
                benchmark=benchmark,
                bootstrap=bootstrap,
                seed=seed,
            )
        return _together(reports)
    table, notes = _comparable(runs, baseline)
    lower = _lower_is_better(table)
    table = _turned(table, lower)
    averaged = _averaged(list(table["task"].unique()), lower)
    if lower and len(averaged) < table["task"].nunique():
        notes.append(f"Left out of means over tasks, since less of their score is better: {', '.join(sorted(lower))}.")
    units = _units(table, benchmark or load_benchmark(table["benchmark"].iloc[0]), averaged)
    starts = [name for name in table["intermediate"].unique() if name != baseline]
    report = GainReport(
        *_gain_tables(units, starts, baseline), _gaps(units, starts, baseline), _best(table, baseline, lower), notes
    )
    _add_rows(report, table)
    _add_bootstrap(report, table, predictions, lower, baseline, bootstrap, seed)
    _add_sign_tests(report)
    _turn_back([*report.languages, *report.tasks], lower)
    if lower.issuperset(averaged):
        _turn_back(report.groups, [row["group"] for row in report.groups])
    return report


def _together(reports: Mapping[str, GainReport]) -> GainReport:
    """Tables of several bases, each compared with its own baseline: one of each, with the base before the rest."""
    found = GainReport([], [], [], [], [])
    for base, report in reports.items():
        for name in ("languages", "tasks", "groups", "gaps", "best"):
            getattr(found, name).extend({"base": base, **row} for row in getattr(report, name))
        found.notes.extend(f"{base}: {note}" for note in report.notes)
    return found


def best_starts(runs: Sequence[pd.DataFrame], baseline: str = BASELINE) -> list[dict[str, Any]]:
    """`GainReport.best` alone, of results as `compare` takes them."""
    table = _comparable(runs, baseline)[0]
    lower = _lower_is_better(table)
    return _best(_turned(table, lower), baseline, lower)


def _comparable(runs: Sequence[pd.DataFrame], baseline: str) -> tuple[pd.DataFrame, list[str]]:
    """Main rows of the tasks and languages that every run has, and what was left out."""
    table = pd.concat(runs, ignore_index=True)
    table = table[table["main"].astype(bool)]
    _check(table, baseline)
    return _common(table)


def _lower_is_better(table: pd.DataFrame) -> set[str]:
    """Tasks of whose main metric less is better."""
    metrics = dict(zip(table["task"], table["metric"], strict=True)) if "metric" in table else {}
    return {task for task, metric in metrics.items() if lower_is_better(str(metric))}


def _dev_lower_is_better(task: str, lower: set[str]) -> bool:
    """The same of a target's dev score, whose metric is that of the task whose rows it is trained on."""
    try:
        train = load_task(task).train
        return lower_is_better(load_task(train[-1]).metric) if train else task in lower
    except StiltsError:  # a task that is installed elsewhere
        return task in lower


def _turned(table: pd.DataFrame, lower: set[str]) -> pd.DataFrame:
    """The table with the sign of scores turned where less is better, so that a rise is a gain in every task."""
    if not lower:
        return table
    signs = table["task"].map(lambda task: -1.0 if task in lower else 1.0)
    table = table.assign(score=signs * table["score"])
    if "dev_score" in table:
        turned = {task for task in table["task"].unique() if _dev_lower_is_better(task, lower)}
        signs = table["task"].map(lambda task: -1.0 if task in turned else 1.0)
        table["dev_score"] = signs * table["dev_score"].astype(float)
    return table


def _turn_back(rows: Iterable[dict[str, Any]], lower: Collection[str]) -> None:
    """Give scores their own sign again; gains keep theirs: positive is better."""
    for row in rows:
        if row.get("task", row.get("group")) in lower:
            row |= {name: -row[name] for name in ("score", "baseline")}


def _averaged(tasks: Sequence[str], lower: set[str]) -> list[str]:
    """Tasks that a mean is over: scores of which more is better, or if there are none the others."""
    return [task for task in tasks if task not in lower] or list(tasks)


def _predictions_beside(run: str, task: str, language: str) -> Path:
    """Predictions of a run that is named by its file of results."""
    return predictions_file(Path(run).parent, task, language)


def _check_settings(files: Sequence[Path]) -> None:
    """Refuse runs that differ in more than where they start and in their seed, as far as `settings.json` says so."""
    seen: dict[str, tuple[Any, Path]] = {}
    for file in files:
        path = file.with_name(SETTINGS)
        settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for name in ("recipe", "flags", "limit", "train_limit", "adapter", "text_to_text") if settings else ():
            value = settings.get(name)
            before, other = seen.setdefault(name, (value, file))
            if name == "flags":
                differ = _without_seed(value) != _without_seed(before)
            else:
                differ = value != before
            if differ:
                raise StiltsError(
                    f"{other.parent} was run with {name} {before!r} and {file.parent} with {value!r}; their difference "
                    "would not be that of intermediate training. Give runs that agree in it."
                )


def _without_seed(flags: Sequence[str] | None) -> dict[str, Any]:
    """Flags that decide a result, but for the seed."""
    return {name: values for name, values in deciding(flags or ()).items() if name != "seed"}


def _check(table: pd.DataFrame, baseline: str) -> None:
    """Refuse what does not compare."""
    starts = list(table["intermediate"].unique())
    if baseline not in starts or len(starts) < 2:
        lacking = "without --init" if baseline == BASELINE else f"from {baseline}"
        raise StiltsError(
            f"The results of {', '.join(table['base'].unique())} start from {', '.join(starts)}; the baseline "
            f"{baseline!r} and at least one other are expected. Add the results of a run {lacking}."
        )
    for column, option in (("benchmark", "benchmark"), ("split", "--split")):
        values = list(table[column].unique()) if column in table else []
        if len(values) > 1:
            raise StiltsError(
                f"These results are of {option} {' and '.join(map(str, values))}; their difference would not be that "
                "of intermediate training. Compare those of one at a time."
            )
    for column, value in WITHOUT.items():
        table = table.assign(**{column: table[column].fillna(value) if column in table else value})
    # Targets that were trained in other languages, which the label says, have another setting for that.
    alike_trained = table.groupby(["task", "language", "train_languages"])
    per_cell = table.groupby(["task", "language"])
    decide = ("noise", "setting", "data_revision", "rows", "layer", "pooling", "max_length", "dense")
    for column in (*decide, "pool", "candidates", "source_prefix", "target_prefix", "precision"):
        if column not in table:
            continue
        cells = alike_trained if column == "setting" else per_cell
        counts = cells[column].nunique()
        if (counts > 1).any():
            cell = counts.idxmax()[:2]
            values = table.set_index(["task", "language"]).loc[cell, column].dropna().unique()
            raise StiltsError(
                f"{' '.join(cell)} was scored with {column} {' and '.join(map(str, values))}; scores of different "
                "settings do not compare. Give results that agree in it."
            )


def _common(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The tasks and languages that every run has: means over different languages do not compare."""
    count = table.groupby(["task", "language"])["run"].nunique()
    everywhere = set(count[count == table["run"].nunique()].index)
    cells = pd.MultiIndex.from_frame(table[["task", "language"]])
    left = [" ".join(cell) for cell in count.index if cell not in everywhere]
    if not everywhere:
        raise StiltsError("These runs have no task and language in common. Give results of the same benchmark.")
    notes = [f"Left out, because some run lacks them: {', '.join(left)}."] if left else []
    return table[[cell in everywhere for cell in cells]], notes


def _units(table: pd.DataFrame, benchmark: Benchmark, averaged: Sequence[str]) -> pd.DataFrame:
    """Scores of everything that is compared, run by run: columns level, name, language, score, intermediate, run.

    Groups and the total are means over the tasks of `averaged`.
    """
    cells = table[["intermediate", "run", "task", "language", "score"]].rename(columns={"task": "name"})
    per_task = cells.groupby(["intermediate", "run", "name"], sort=False, as_index=False)["score"].mean()
    rows = []
    for (start, run), scores in per_task.groupby(["intermediate", "run"], sort=False):
        of_tasks = dict(zip(scores["name"], scores["score"], strict=True))
        found = {name: score for name, score in of_tasks.items() if name in averaged}
        totals = benchmark.totals(found)
        named = {**totals, "mean of these tasks": fmean(found.values())} if TOTAL not in totals else totals
        rows += [{"intermediate": start, "run": run, "name": name, "score": score} for name, score in named.items()]
    levels = {"language": cells, "task": per_task, "group": pd.DataFrame(rows)}
    return pd.concat([part.assign(level=level) for level, part in levels.items()]).fillna({"language": ""})


def _gain_tables(
    units: pd.DataFrame, starts: Sequence[str], baseline: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    scores = units.groupby(["level", "name", "language", "intermediate"], sort=False)["score"]
    # Looked up thousands of times, which a Series is slow at.
    median, spread, seeds = (each.to_dict() for each in (scores.median(), scores.std(), scores.count()))
    tables: dict[str, list[dict[str, Any]]] = {"language": [], "task": [], "group": []}
    for start in starts:
        for unit in units[["level", "name", "language"]].drop_duplicates().itertuples(index=False, name=None):
            ours, theirs = (*unit, start), (*unit, baseline)
            row = {"intermediate": start, "group" if unit[0] == "group" else "task": unit[1]}
            if unit[0] == "language":
                row["language"] = unit[2]
            row |= {"score": float(median[ours]), "baseline": float(median[theirs])}
            row |= {"gain": row["score"] - row["baseline"], "seeds": int(min(seeds[ours], seeds[theirs]))}
            row |= {"spread": _number(spread[ours]), "baseline_spread": _number(spread[theirs])}
            tables[unit[0]].append(row)
    return tables["language"], tables["task"], tables["group"]


def _gaps(units: pd.DataFrame, starts: Sequence[str], baseline: str) -> list[dict[str, Any]]:
    """Differences between languages, and what of them is gone after intermediate training."""
    cells = units[units["level"] == "language"]
    rows = []
    every = cells.pivot_table(index=["intermediate", "run"], columns=["name", "language"], values="score")
    for name in cells["name"].unique():
        pivot = every[name]
        for gap, (above, below) in _sides_of(list(pivot)).items():
            higher, lower = pivot[above].mean(axis=1), pivot[below].mean(axis=1)
            sides_of_run = pd.DataFrame({"higher": higher, "lower": lower, "gap": higher - lower})
            by_start = sides_of_run.groupby("intermediate")
            seeds, median = by_start.size(), by_start.median().to_dict("index")
            for start in starts:
                before, after = median[baseline], median[start]
                rise = after["lower"] - before["lower"]
                narrowing = before["gap"] - after["gap"]
                rows.append(
                    {
                        "intermediate": start,
                        "task": name,
                        "gap": gap,
                        "languages": f"{len(above)} and {len(below)}",
                        "points": after["gap"],
                        "baseline": before["gap"],
                        "gain of the higher": after["higher"] - before["higher"],
                        "gain of the lower": rise,
                        "reduction": float(_reduction(narrowing, rise)),
                        "change": _change(narrowing, rise),
                        "seeds": int(min(seeds[start], seeds[baseline])),
                    }
                )
    return rows


def _sides_of(languages: Sequence[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Each gap with the languages of its higher and of its lower side, where there are both."""
    english, others = [code for code in languages if code == "en"], [code for code in languages if code != "en"]
    high: list[str] = []
    low: list[str] = []
    for code in languages:
        known = find_language(code)
        if known and known.joshi in HIGH:
            high.append(code)
        elif known and known.joshi in LOW:
            low.append(code)
    gaps = {"English less the others": (english, others), "classes 4-5 less 0-2": (high, low)}
    return {name: (above, below) for name, (above, below) in gaps.items() if above and below}


def _reduction(narrowing: Any, rise: Any) -> Any:
    """How much of a gap is gone by a rise of the lower side: a fall of the higher side is no gain.

    Args:
        narrowing: the gap before less the gap after, in points; a number or an array.
        rise: points that the lower side gained.

    >>> float(_reduction(3.0, -2.0)), float(_reduction(3.0, 1.0)), float(_reduction(-2.0, 1.0))
    (0.0, 1.0, -2.0)
    """
    return np.where(np.less(narrowing, 0), narrowing, np.clip(rise, 0, np.maximum(narrowing, 0)))


def _change(narrowing: float, rise: float) -> str:
    """What became of a gap, in words.

    >>> _change(3.0, -2.0), _change(3.0, 1.0)
    ('narrower only since the higher side fell', 'reduced, but the higher side fell too')
    """
    if narrowing < 0:
        return "wider"
    if narrowing == 0:
        return "as before"
    if rise <= 0:
        return "narrower only since the higher side fell"
    if rise < narrowing:
        return "reduced, but the higher side fell too"
    return "reduced"


def _best(table: pd.DataFrame, baseline: str, lower: set[str]) -> list[dict[str, Any]]:
    """The start that is best on each target's English dev rows, the baseline among them, and the mean over targets.

    A target without dev rows (retrieval) takes the start whose dev scores rise most over the other targets.
    """
    per_run = table.groupby(["task", "intermediate", "run"], sort=False)[["score", "dev_score"]].mean()
    median = per_run.groupby(["task", "intermediate"], sort=False).median()
    dev = median["dev_score"].unstack().astype(float)
    rises = dev.sub(dev[baseline], axis=0).mean()
    rows = []
    for task in median.index.get_level_values("task").unique():
        own = dev.loc[task].dropna()
        chosen_on, choices = ("English dev", own) if len(own) else ("dev of the other targets", rises.dropna())
        if choices.empty:
            continue
        chosen = baseline if choices.get(baseline) == choices.max() else str(choices.idxmax())
        score, before = (float(median.loc[(task, start), "score"]) for start in (chosen, baseline))
        rows.append({"task": task, "best": chosen, "chosen on": chosen_on, "score": score, "baseline": before})
    if rows:
        averaged = _averaged([row["task"] for row in rows], lower)
        chosen_rows = [row for row in rows if row["task"] in averaged]
        title = f"mean of {len(chosen_rows)}"
        mean: dict[str, Any] = {"task": title, "best": "best per target", "chosen on": ""}
        for name in ("score", "baseline"):
            mean[name] = fmean(row[name] for row in chosen_rows)
        rows.append(mean)
        lower = {*lower, title} if lower.issuperset(averaged) else lower
    rows = [row | {"gain": row["score"] - row["baseline"]} for row in rows]
    _turn_back(rows, lower)
    return rows


def _add_rows(report: GainReport, table: pd.DataFrame) -> None:
    """How many rows of each language were scored; all runs have as many (`_check`)."""
    if "rows" not in table:
        return
    counts = table.dropna(subset=["rows"]).groupby(["task", "language"])["rows"].first().to_dict()
    for row in report.languages:
        count = counts.get((row["task"], row["language"]))
        if count is not None:
            row["rows"] = int(count)


def _add_bootstrap(
    report: GainReport,
    table: pd.DataFrame,
    predictions: Predictions,
    lower: set[str],
    baseline: str,
    samples: int,
    seed: int,
) -> None:
    """Intervals over examples, of the gains of languages and of the reductions of gaps; all seeds see the same draw."""
    if not samples:
        return
    runs = {str(start): list(own.unique()) for start, own in table.groupby("intermediate", sort=False)["run"]}
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in report.languages:
        rows.setdefault((row["intermediate"], row["task"]), []).append(row)
    for (start, task), languages in rows.items():
        ours = len(runs[start])
        sign = -1 if task in lower else 1
        drawn = {}
        for row in languages:
            files = (predictions(run, task, row["language"]) for run in (*runs[start], *runs[baseline]))
            examples = _examples_of_all(files)
            if examples is None:
                continue
            draws = sign * score_draws(examples, samples=samples, seed=seed)
            row |= _tested(_median(draws[:, :ours]) - _median(draws[:, ours:]))
            drawn[row["language"]] = draws
        if len(drawn) < len(languages):
            continue  # a side's mean is over all of its languages
        sides = _sides_of([row["language"] for row in languages])
        for row in report.gaps:
            if (row["intermediate"], row["task"]) == (start, task):
                one, other = sides[row["gap"]]
                above = np.mean([drawn[code] for code in one], axis=0)
                below = np.mean([drawn[code] for code in other], axis=0)
                narrowing = _median((above - below)[:, ours:]) - _median((above - below)[:, :ours])
                row |= _tested(_reduction(narrowing, _median(below[:, :ours]) - _median(below[:, ours:])))


def _examples_of_all(files: Iterable[Path]) -> list[dict[Any, tuple[float, float]]] | None:
    """Examples of every run; None where one has no predictions, or predictions that do not say what they gained."""
    found = []
    for file in files:
        examples = _examples(file) if file.is_file() else {}
        if not examples:
            return None
        found.append(examples)
    return found


def _median(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the runs of one start, in every draw."""
    middle: NDArray[np.float64] = np.median(draws, axis=1)
    return middle


def _tested(draws: NDArray[np.float64]) -> dict[str, float]:
    """Interval and p-value of a difference, of which the first is the observed one."""
    found = interval(float(draws[0]), draws[1:])
    return {"low": found.low, "high": found.high, "p": found.p}


def _examples(file: Path) -> dict[Any, tuple[float, float]]:
    """What each example gained and could have gained; nothing where the file does not say."""
    return {line["id"]: (line["gained"], line["possible"]) for line in read_lines(file) if "gained" in line}


def _add_sign_tests(report: GainReport) -> None:
    of_languages: dict[tuple[str, str], list[float]] = {}
    for cell in report.languages:
        of_languages.setdefault((cell["intermediate"], cell["task"]), []).append(cell["gain"])
    for start in dict.fromkeys(row["intermediate"] for row in report.tasks):
        rows = [row for row in report.tasks if row["intermediate"] == start]
        for row in rows:
            differences = of_languages.get((start, row["task"]), [])
            row |= {"up": sum(value > 0 for value in differences), "down": sum(value < 0 for value in differences)}
            row |= {"p": sign_test(differences)}
        gaps = [row for row in report.gaps if row["intermediate"] == start and "p" in row]
        for tested in (rows, gaps):
            for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
                row |= {"p_holm": corrected}


def _number(value: float) -> float | None:
    """A standard deviation, which one seed does not have."""
    return None if pd.isna(value) else float(value)
