"""Which intermediate task for a target: published gains of that target, and of targets of the same kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.studies.matrix import TransferMatrix
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, load_task

SAME_TARGET = 1.0
SAME_KIND = 0.5  # a target of the same kind says less about this one than its own scores


@dataclass(frozen=True, repr=False)
class Ranking(Tabular):
    """Intermediate tasks in order of their measured gain for a target.

    Attributes:
        target: name of the target.
        tasks: best first: base, intermediate, `gain` in points (weighted mean over targets), the targets that it
            rests on (`targets`), the numbers of gains of this target (`of_target`) and of others of its kind
            (`of_kind`); a gain is of one target in one language.
        notes: what a reader should know.
    """

    target: str
    tasks: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """The table of intermediate tasks."""
        return self.tasks


def rank_tasks(target: str | Task, matrix: TransferMatrix) -> Ranking:
    """Rank intermediate tasks by the gains of a transfer matrix.

    The gain of each target is its mean over languages. Over targets it is a weighted mean: the target itself counts 1,
    another target of its kind 1/2, and one of another kind nothing. Bases are not mixed: each has rows of its own.

    Args:
        target: the task that is to be improved.
        matrix: gains of all targets, as `transfer_matrix` gathers them.

    Raises:
        StiltsError: no such target.
    """
    task = load_task(target)
    gains: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in matrix.one_comparison_each():
        if row["target"] == task.name or _kind(row["target"]) == task.kind:
            gains.setdefault((row["base"], row["intermediate"]), []).append(row)
    tasks = [_rank_row(task.name, base, intermediate, rows) for (base, intermediate), rows in gains.items()]
    tasks.sort(key=lambda row: (-row["gain"], row["base"], row["intermediate"]))
    return Ranking(task.name, tasks, _notes(task, tasks))


def _kind(target: str) -> str | None:
    """Kind of a published target; None where this installation does not know the task."""
    if "/" in target or target.endswith((".py", ".yaml")):  # a stranger wrote the name: no file is run for it
        return None
    try:
        return load_task(target).kind
    except StiltsError:
        return None


def _rank_row(target: str, base: str, intermediate: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    weights = [SAME_TARGET if row["target"] == target else SAME_KIND for row in rows]
    total = sum(weight * row["gain"] for weight, row in zip(weights, rows, strict=True))
    return {
        "base": base,
        "intermediate": intermediate,
        "gain": total / sum(weights),
        "of_target": sum(row["languages"] for row in rows if row["target"] == target),
        "of_kind": sum(row["languages"] for row in rows if row["target"] != target),
        "targets": sorted(row["target"] for row in rows),
    }


def _notes(task: Task, tasks: list[dict[str, Any]]) -> list[str]:
    if not tasks:
        return [
            f"Not enough evidence: no published score of {task.name} or of another target of kind {task.kind} has a "
            "baseline to compare with. hf-stilts matrix says why; --results FOLDER adds scores of your own."
        ]
    notes = [f"Weights: {task.name} itself 1, other targets of kind {task.kind} 1/2."]
    if not any(row["of_target"] for row in tasks):
        notes.append(f"Nobody has measured {task.name}: the order rests on other targets of its kind alone.")
    return notes
