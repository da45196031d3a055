"""The transfer matrix: what anybody published about intermediate task x target x language, as far as it compares.

A score compares with a baseline where all that decided both was the same, but for the intermediate training and the
seed: base, target, language, metric, setting, split, data, what the target phase was trained on, and its recipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from huggingface_hub import HfApi

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import results_file
from hf_stilts.hub.checkpoints import list_checkpoints, owners, refuse_misspelt_origin
from hf_stilts.hub.published_scores import Ancestors, published_models
from hf_stilts.studies.comparable import (
    NONE,
    NOT_STATED,
    OF_A_LANGUAGE,
    Score,
    intermediate_checkpoints,
    scores_of_file,
    scores_of_models,
)
from hf_stilts.studies.pushed import gains_of_study, is_study
from hf_stilts.studies.tables import Table, as_csv, as_latex, as_markdown
from hf_stilts.tabular import Tabular, filled
from hf_stilts.task import lower_is_better

FORMATS: dict[str, Callable[[Table], str]] = {"md": as_markdown, "csv": as_csv, "latex": as_latex}
_MOST_DIFFERENCES = 3  # that a reason names


@dataclass(frozen=True, repr=False)
class TransferMatrix(Tabular):
    """Gains over the baseline by intermediate task, target and language, of all scores that compare.

    Attributes:
        cells: base, intermediate, target, language, metric: median `score` and `baseline` over models, `gain` in
            points (positive is better, also where less of the metric is), the numbers of models (`runs`,
            `baseline_runs`), and the number of the comparison.
        tasks: the same of each target, means over its `languages`; `of` is how many languages the comparison has.
        comparisons: for each number, what its scores have in common (`conditions`), and the names of what nobody
            states (`not stated`): there, that it was the same is an assumption.
        left_out: what compares with nothing: model, intermediate, target, languages, and why.
        notes: what a reader should know.
        checkpoints: published checkpoints to train targets from: base, intermediate, repository, and whether it is an
            `adapter`.
    """

    cells: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    left_out: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """The table of cells; the others are attributes of the same form."""
        return self.cells

    def one_comparison_each(self) -> list[dict[str, Any]]:
        """Rows of `tasks`, one for each base, intermediate task and target.

        Where several comparisons have a target, that with the most languages is taken, then that with the most models.
        """
        chosen: dict[tuple[str, str, str], dict[str, Any]] = {}
        for row in self.tasks:
            key = (row["base"], row["intermediate"], row["target"])
            before = chosen.get(key)
            if before is None or (row["languages"], row["runs"]) > (before["languages"], before["runs"]):
                chosen[key] = row
        return [row for _, row in sorted(chosen.items())]

    def lines(self) -> list[dict[str, Any]]:
        """The matrix as it is read: a line for each base and intermediate task, a column for each target."""
        lines: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.one_comparison_each():
            base, intermediate, target = row["base"], row["intermediate"], row["target"]
            line = lines.setdefault((base, intermediate), {"base": base, "intermediate": intermediate})
            some = f" ({row['languages']} of {row['of']})" if row["languages"] < row["of"] else ""
            line[target] = f"{row['gain']:+.1f}{some}"
        return filled(list(lines.values()))

    def text(self, spelt: str) -> str:
        """The matrix as Markdown (`md`) or `latex`; as `csv` its cells, a line for each number, none of them rounded.

        Raises:
            StiltsError: an unknown format.
        """
        if spelt not in FORMATS:
            raise StiltsError(f"No format {spelt!r}; there are {', '.join(FORMATS)}. Pass --format md.")
        rows = self.cells if spelt == "csv" else self.lines()
        table = Table("matrix", "Gain over the baseline in points, mean over languages", rows)
        return FORMATS[spelt](table).rstrip("\n")


def transfer_matrix(
    namespace: str | None = None,
    base: str | None = None,
    targets: Sequence[str] | None = None,
    *,
    results: Sequence[str | os.PathLike[str]] = (),
    derived: bool = False,
    api: HfApi | None = None,
) -> TransferMatrix:
    """Gather published scores into the transfer matrix.

    Args:
        namespace: whose models; None: anybody's.
        base: only scores of models that began with this public model.
        targets: only scores of these tasks.
        results: what is read beside that: files `results.jsonl` of `evaluate xtreme`, or their folders; and what
            `hf-stilts study push` put on the Hub (`"you/phang2020-results"`), or its folder: the arms of a study are
            compared within it alone.
        derived: also read models that others trained from the published checkpoints, by the scores on their cards.
        api: client of the Hub.

    Raises:
        StiltsError: a file of `results` cannot be read, or a study there has no gains by language; or there is nothing
            by this base or namespace, and one that is spelt almost alike.
    """
    studies = [each for each in results if is_study(each)]
    others = [each for each in results if each not in studies]
    of_files = []
    for path in others:
        of_files += scores_of_file(results_file(Path(path)))
    models = published_models(namespace, derived=derived, api=api)
    ancestors = Ancestors(models, api)
    scores, left_out = scores_of_models(models, ancestors)
    scores += of_files
    chosen = list(scores)
    if base is not None:
        chosen = [score for score in chosen if score.base == base]
    if targets is not None:
        chosen = [score for score in chosen if score.target in targets]
    if not (chosen or studies) and (base or namespace):
        api = api or HfApi()
        known = list_checkpoints(api=api) if namespace and not models else []
        refuse_misspelt_origin(base, namespace, {score.base for score in scores if score.base}, owners(known), api)
    found = compare(chosen)
    found.left_out.extend(left_out)
    checkpoints = intermediate_checkpoints(models, ancestors)
    found.checkpoints.extend(row for row in checkpoints if base in (None, row["base"]))
    for study in studies:
        _add_study(found, study, base, targets, api)
    found.notes.insert(0, f"{len(models)} models read, {len(scores)} scores found, {len(chosen)} asked for.")
    return found


def compare(scores: Sequence[Score]) -> TransferMatrix:
    """Put together the scores that compare, and say of the others why they do not."""
    groups: dict[tuple[Any, ...], list[Score]] = {}
    for score in scores:
        groups.setdefault(score.group, []).append(score)
    found = TransferMatrix([], [], [], [])
    alone: list[Score] = []
    for group in sorted(groups.values(), key=len, reverse=True):
        number = len(found.comparisons) + 1
        cells, lacking = _cells(group, number)
        alone += lacking
        if cells:
            found.cells.extend(cells)
            found.tasks.extend(_tasks(cells))
            found.comparisons.append(_comparison(group[0], cells, number))
    found.left_out.extend(_reasons(alone, scores))
    if any(comparison["not stated"] for comparison in found.comparisons):
        found.notes.append(
            "Some comparisons rest on what nobody states (see `comparisons`); hf-stilts evaluate TASK --publish states "
            "it for new scores."
        )
    return found


def _add_study(
    found: TransferMatrix,
    study: str | os.PathLike[str],
    base: str | None,
    targets: Sequence[str] | None,
    api: HfApi | None,
) -> None:
    """Add a study's gains: a comparison for each base, target and value of its factors."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in gains_of_study(study, {row["base"] for row in found.checkpoints}, api):
        if base in (None, row["base"]) and (targets is None or row["target"] in targets):
            conditions = row.pop("conditions")
            groups.setdefault((row["base"], row["target"], tuple(conditions.items())), []).append(row)
    for (own_base, target, conditions), rows in groups.items():
        number = len(found.comparisons) + 1
        cells = [row | {"comparison": number} for row in rows]
        found.cells.extend(cells)
        found.tasks.extend(_tasks(cells))
        about: dict[str, Any] = {"comparison": number, "base": own_base, "target": target, "metric": cells[0]["metric"]}
        about["intermediates"] = len({cell["intermediate"] for cell in cells})
        about["languages"] = len({cell["language"] for cell in cells})
        found.comparisons.append(about | {"not stated": [], "conditions": dict(conditions)})


def _cells(group: Sequence[Score], number: int) -> tuple[list[dict[str, Any]], list[Score]]:
    """Gains of one comparison by language; and the scores that have no baseline in it."""
    by_cell: dict[tuple[Any, ...], dict[str, list[Score]]] = {}
    for score in group:
        by_cell.setdefault(score.cell, {}).setdefault(score.intermediate, []).append(score)
    rows: list[dict[str, Any]] = []
    alone: list[Score] = []
    for starts in by_cell.values():
        baseline = starts.pop(NONE, None)
        for intermediate, ours in starts.items():
            if baseline is None:
                alone += ours
                continue
            found = median(each.score for each in ours)
            before = median(each.score for each in baseline)
            first = ours[0]
            row: dict[str, Any] = {"base": first.base, "intermediate": intermediate, "target": first.target}
            row |= {"language": first.language, "metric": first.metric, "score": found, "baseline": before}
            gain = before - found if lower_is_better(first.metric) else found - before
            row |= {"gain": gain, "runs": len(ours), "baseline_runs": len(baseline)}
            row |= {"setting": first.conditions["setting"], "comparison": number}
            rows.append(row)
    return rows, alone


def _tasks(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over languages of each intermediate task of one comparison; each language once, as most models have it."""
    by_start: dict[str, dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        languages = by_start.setdefault(cell["intermediate"], {})
        before = languages.get(cell["language"])
        if before is None or cell["runs"] + cell["baseline_runs"] > before["runs"] + before["baseline_runs"]:
            languages[cell["language"]] = cell
    every = {cell["language"] for cell in cells}
    rows = []
    for intermediate, languages in by_start.items():
        chosen = list(languages.values())
        row = {"base": chosen[0]["base"], "intermediate": intermediate, "target": chosen[0]["target"]}
        row |= {"languages": len(chosen), "of": len(every), "metric": chosen[0]["metric"]}
        for name in ("score", "baseline", "gain"):
            row[name] = fmean(cell[name] for cell in chosen)
        for name in ("runs", "baseline_runs"):
            row[name] = min(cell[name] for cell in chosen)
        rows.append(row | {"comparison": chosen[0]["comparison"]})
    return rows


def _comparison(score: Score, cells: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    common = {name: value for name, value in score.conditions.items() if name not in OF_A_LANGUAGE}
    missing = [name for name, value in score.conditions.items() if value == NOT_STATED]
    return {
        "comparison": number,
        "base": score.base,
        "target": score.target,
        "metric": score.metric,
        "intermediates": len({cell["intermediate"] for cell in cells}),
        "languages": len({cell["language"] for cell in cells}),
        "not stated": missing,
        "conditions": common,
    }


def _reasons(alone: Sequence[Score], scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Why scores have no baseline: there is none, or the nearest differs in something; a row a model and reason."""
    baselines: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        if score.intermediate == NONE:
            baselines.setdefault((score.base, score.target, score.language), []).append(score)
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for score in alone:
        candidates = baselines.get((score.base, score.target, score.language), [])
        why = f"no baseline: {score.target} from {score.base} without intermediate training is not there"
        if candidates:
            nearest = min((_differences(score, each) for each in candidates), key=len)
            more = f"; and {len(nearest) - _MOST_DIFFERENCES} more" if len(nearest) > _MOST_DIFFERENCES else ""
            why = "; ".join(nearest[:_MOST_DIFFERENCES]) + more
        row = {"model": score.model, "intermediate": score.intermediate, "target": score.target}
        rows.setdefault((*row.values(), why), row | {"languages": [], "why": why})["languages"].append(score.language)
    return list(rows.values())


def _differences(score: Score, baseline: Score) -> list[str]:
    """In what a score and a baseline differ, as sentences."""
    ours, theirs = ({"metric": each.metric, **each.conditions} for each in (score, baseline))
    found = []
    for name in dict.fromkeys((*ours, *theirs)):
        here, there = ours.get(name, NOT_STATED), theirs.get(name, NOT_STATED)
        if here != there:
            found.append(f"{name} {here} (baseline: {there})")
    return found
