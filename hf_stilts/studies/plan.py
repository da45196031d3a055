"""What a study takes before any of it is run: cells by state, what each arm reads, hours, storage, published names."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from hf_stilts.errors import StiltsError
from hf_stilts.studies.cells import STAGES, Cell, Cells, is_mixture, unfold
from hf_stilts.studies.sizes import SCORED, TRAINING, WEIGHTS
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Merged, Soup, Study
from hf_stilts.task import load_task
from hf_stilts.training.recipes import recipe as load_recipe

STATES = ("done", "on the Hub", "running", "queued", "failed", "broken", "no data", "to do")
NOTHING_TO_DO = ("done", "on the Hub", "no data")
FORWARD = 3  # a training step is a forward pass and a backward one of twice its cost
CAP = 2**17  # of a mixture: examples of a task that count, unless cap is given
EPOCHS = 3  # of a mixture: what `run_mixture` trains unless num_train_epochs is given
_RESULTS = 300_000  # bytes of the scores and predictions of a thousand rows, about


@dataclass(frozen=True)
class Reads:
    """What an arm reads in phase two: optimizer steps, and examples, each as often as it is read."""

    steps: int
    examples: int

    def __str__(self) -> str:
        return f"{self.steps:,} steps, {self.examples:,} examples"


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a plan.

    Args:
        identity: of the cell; title: what people call it.
        stage: intermediate, target or scores.
        state: of `STATES`.
        hours: an estimate, of cells that are still to be done; None where no rate is known.
        gigabytes: what it leaves on the disk.
        name: repository on the Hub, where a namespace was given.
        why: what failed, is broken or missing; of a cell on the Hub, where.
    """

    identity: str
    title: str
    stage: str
    state: str
    hours: float | None = None
    gigabytes: float | None = None
    name: str | None = None
    why: str | None = None


@dataclass
class Plan:
    """A study's plan.

    Attributes:
        study: its name.
        cells: all of them, in the order in which they are run.
        arms: arm -> what it reads; None where the size of its data is not known.
        rate: where the hours come from, in words.
        notes: what a reader should know.
        price: on Hugging Face Jobs: `flavor`, US dollars an `hour`, and of the known hours (`usd`); None where that
            was not asked for.
    """

    study: str
    cells: list[PlannedCell]
    arms: dict[str, Reads | None]
    rate: str
    notes: list[str] = field(default_factory=list)
    price: dict[str, Any] | None = None

    def price_at(self, flavor: str, hourly: float) -> None:
        """Note what the cells to do cost on a flavor of Hugging Face Jobs, at so many US dollars an hour."""
        hours = self.stages()[-1]["hours"]
        self.price = {"flavor": flavor, "hour": hourly, "usd": None if hours is None else round(hours * hourly, 2)}

    def stages(self) -> list[dict[str, Any]]:
        """A row for each stage and one for all: cells, how many in each state that occurs, hours and gigabytes."""
        rows = []
        occurring = {cell.state for cell in self.cells}
        states = [state for state in STATES if state in occurring]
        for stage in (*STAGES, "all"):
            cells = [cell for cell in self.cells if stage in (cell.stage, "all")]
            row: dict[str, Any] = {"stage": stage, "cells": len(cells)}
            count = Counter(cell.state for cell in cells)
            row |= {state: count[state] for state in states}
            left = [cell for cell in cells if cell.state not in NOTHING_TO_DO]
            row["hours"] = _total([cell.hours for cell in left])
            row["GB"] = _total([cell.gigabytes for cell in cells if cell.state != "no data"])
            rows.append(row)
        return rows

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        arms = {name: None if reads is None else asdict(reads) for name, reads in self.arms.items()}
        return {**vars(self), "cells": [asdict(cell) for cell in self.cells], "arms": arms, "stages": self.stages()}


def plan(
    study: Study,
    *,
    output_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    namespace: str | None = None,
    rate: float | None = None,
    measure: Callable[[Iterable[Cell]], Mapping[tuple[str, ...], Speed]] | None = None,
    available: bool = False,
    revisions: Mapping[str, str] | None = None,
    there: Callable[[CellStore, Cells], Mapping[str, str]] | None = None,
) -> Plan:
    """Plan a study: nothing is downloaded, trained or written.

    Args:
        study: the study.
        output_dir: where it is, or will be, run; cells that are finished there are done.
        data_dir: local mirror of the data sets.
        namespace: whose checkpoints the names are spelt for.
        rate: examples that a training goes through in a second; default: measured from the cells that are finished.
        measure: measures the speed of cells on this machine: `hf_stilts.studies.probe.probe`, which trains a few steps.
        available: score only the languages whose rows are there.
        revisions: as for `unfold`.
        there: tells which cells somebody has published, and where: identity -> repository.

    Raises:
        StiltsError: the arms of a comparison do not read equally and the study's `controls` ask for it; or as `unfold`.
    """
    found = unfold(study, data_dir=data_dir, revisions=revisions, available=available)
    arms = arm_reads(study)
    notes = check_controls(study, arms)
    store = CellStore(output_dir)
    blocked = found.blocked()
    probed = None
    if measure is not None:
        probed = measure(cell for name, cell in found.cells.items() if name not in blocked and not store.finished(name))
    timing = Timing(found, store, rate, probed)
    names = _names(found, namespace) if namespace else {}
    published = there(store, found) if there else {}
    cells = []
    for name, cell in found.cells.items():
        state, why = state_of(store, name, blocked)
        if name in published and state in ("to do", "failed"):
            state, why = "on the Hub", published[name]
        hours = None if state in NOTHING_TO_DO else timing.hours(cell)
        cells.append(PlannedCell(name, cell.title, cell.stage, state, hours, gigabytes(cell), names.get(name), why))
    notes += missing_rows(found)
    unknown = sum(cell.hours is None for cell in cells if cell.state not in NOTHING_TO_DO)
    if unknown and unknown < len(cells):
        notes.append(f"The hours leave out {unknown} cells, of which no speed or size is known.")
    return Plan(study.name, cells, arms, timing.said(), notes)


def _names(found: Cells, namespace: str) -> dict[str, str]:
    from hf_stilts.studies.published import published_names  # the Hub's client takes half a second

    return published_names(found, namespace)


def missing_rows(found: Cells) -> list[str]:
    """What rows are not there, each once, and how many cells cannot be run without them."""
    counted = Counter(found.blocked().values())
    return [f"{count} cells cannot be run. {problem}" for problem, count in counted.items()]


def state_of(store: CellStore, name: str, blocked: Mapping[str, str]) -> tuple[str, str | None]:
    """State of a cell, of `STATES`, and what failed, is broken or missing."""
    try:
        if store.record(name) is not None:
            return "done", None
    except StiltsError as error:
        return "broken", str(error)
    if name in blocked:
        return "no data", blocked[name]
    if store.held(name) is not None:
        return "running", None
    failures = store.failures(name)
    return ("failed", failures[-1]) if failures else ("to do", None)


def arm_reads(study: Study) -> dict[str, Reads | None]:
    """What each arm with intermediate training reads, by its flags, its recipe and the known sizes of its data.

    Raises:
        StiltsError: a training saves fewer checkpoints than its `Soup` averages.
    """
    found = {name: _reads(study, arm) for name, arm in study.arms.items() if arm is not None}
    for name, reads in found.items():
        arm = study.arms[name]
        if isinstance(arm, Soup) and reads is not None:
            _check_soup(name, arm, reads.steps)
    return found


def _check_soup(name: str, arm: Soup, steps: int) -> None:
    if arm.saves(steps) < arm.last:
        raise StiltsError(
            f"{name} averages the last {arm.last} checkpoints, and with every={arm.every:g} a training of {steps} "
            f"steps saves {arm.saves(steps)}. Nothing was done. Train longer, or lower "
            "every= or last= of its Soup."
        )


def check_controls(study: Study, arms: Mapping[str, Reads | None]) -> list[str]:
    """Refuse a study whose arms do not read equally where its `controls` ask for it.

    Returns:
        Notes on arms of which it is not known.

    Raises:
        StiltsError: they do not; every arm is named with its numbers.
    """
    known = {name: reads for name, reads in arms.items() if reads is not None}
    unequal = []
    for control in study.controls:
        if len({getattr(reads, control) for reads in known.values()}) > 1:
            unequal.append(control)
    if unequal:
        each = "; ".join(f"{name}: {reads}" for name, reads in known.items())
        raise StiltsError(
            f"The arms of study {study.name} do not read equally many {' and '.join(unequal)}: {each}. Expected equal "
            f"numbers, as controls={study.controls} says. Give every arm the same limit= and "
            'flags={"max_steps": N, "per_device_train_batch_size": M}, or leave the control out.'
        )
    unknown = [name for name in arms if name not in known] if study.controls else []
    return [f"Not compared, since the size of their data is not known: {', '.join(unknown)}."] if unknown else []


def _reads(study: Study, arm: Intermediate | Merged | Soup) -> Reads | None:
    if isinstance(arm, Intermediate):
        return _reads_of_training(study, arm)
    if isinstance(arm, Soup):
        return _reads_of_training(study, arm.training)
    steps, examples = 0, 0
    for part in arm.parts:  # a merge has read what its parts have
        reads = _reads_of_training(study, part)
        if reads is None:
            return None
        steps, examples = steps + reads.steps, examples + reads.examples
    return Reads(steps, examples)


def _reads_of_training(study: Study, arm: Intermediate) -> Reads | None:
    flags = {**study.flags, **arm.flags}
    tasks = [load_task(task) for task in arm.tasks]
    recipes = [load_recipe(arm.recipe or study.recipe, task, "intermediate") for task in tasks]
    accumulated = int(flags.get("gradient_accumulation_steps", 1))
    batches = [int(flags.get("per_device_train_batch_size", figures.batch_size)) * accumulated for figures in recipes]
    limit = arm.limit or study.train_limit
    sizes = [_rows_of(task.name, limit) for task in tasks]
    steps = int(flags.get("max_steps", 0))
    if not is_mixture(arm):
        rows, batch = sizes[0], batches[0]
        if steps > 0:
            return Reads(steps, steps * batch)
        if rows is None:
            return None
        epochs = float(flags.get("num_train_epochs", recipes[0].epochs))
        return Reads(math.ceil(math.ceil(rows / batch) * epochs), round(rows * epochs))
    if any(size is None for size in sizes):
        return None
    return _reads_of_mixture(
        arm,
        {task.name: size or 0 for task, size in zip(tasks, sizes, strict=True)},
        {task.name: batch for task, batch in zip(tasks, batches, strict=True)},
        steps,
        float(flags.get("num_train_epochs", EPOCHS)),
    )


def _reads_of_mixture(
    arm: Intermediate, sizes: Mapping[str, int], batches: Mapping[str, int], steps: int, epochs: float
) -> Reads:
    """Steps of a mixture, and the examples to be expected, since each step is of one task that is drawn."""
    from hf_stilts.training.samplers import max_steps, parse_sampler, probabilities  # numpy: for mixtures alone

    cap = arm.cap or CAP
    steps = steps if steps > 0 else max_steps(sizes, batches, epochs, cap)
    sampler = parse_sampler(arm.sampler or "proportional", cap)
    drawn = probabilities(sampler, sizes)
    return Reads(steps, round(steps * sum(drawn[task] * batches[task] for task in drawn)))


def _rows_of(task: str, limit: int | None) -> int | None:
    """Training rows of a task, as far as they are known; a limit is taken to be met where they are not."""
    known = TRAINING.get(task)
    if known is None:
        return limit
    return min(known, limit) if limit else known


class Speed(NamedTuple):
    """Seconds that a cell takes before it begins (loading, reading rows) and for each example."""

    before: float
    each: float


class Timing:
    """How long cells take: by a stated rate, by what was measured here, or by the cells that are finished."""

    def __init__(
        self, found: Cells, store: CellStore, rate: float | None, probed: Mapping[tuple[str, ...], Speed] | None
    ) -> None:
        self.stated, self.probed = rate, probed
        self.measured: dict[tuple[str, ...], list[Speed]] = {key: [speed] for key, speed in (probed or {}).items()}
        if probed is None:
            self._learn_folder(found, store)

    def hours(self, cell: Cell) -> float | None:
        """An estimate for one cell; None where nothing like it is known."""
        if is_merge(cell):
            return 0.0
        examples = examples_of(cell)
        speed = self._speed(cell)
        return None if examples is None or speed is None else (speed.before + speed.each * examples) / 3600

    def _speed(self, cell: Cell) -> Speed | None:
        if self.stated:
            return Speed(0.0, 1 / self.stated / (FORWARD if cell.stage == "scores" else 1))
        for key in speed_keys(cell):
            if key in self.measured:
                before, each = (fmean(values) for values in zip(*self.measured[key], strict=True))
                return Speed(before, each)
        base = speed_keys(cell)[0][0]
        trained: list[Speed] = []
        for key, speeds in self.measured.items():
            if key[0] == base:
                trained += speeds
        if self.probed is None or not trained:
            return None
        # Scores that the probe could not measure: a forward pass of the same base.
        return Speed(0.0, fmean(speed.each for speed in trained) / FORWARD)

    def said(self) -> str:
        """Where the hours come from."""
        if self.stated:
            return f"{self.stated:g} examples a second in training, as stated, and {FORWARD} times as many in scoring"
        if self.probed is not None:
            return (
                "measured on this machine, a few steps of each training and a few rows of each task; where the model "
                f"of scores was trained before, {FORWARD} times as many examples as in training"
            )
        count = max((len(values) for values in self.measured.values()), default=0)
        if not count:
            return "unknown: no cell is finished yet; measure it with --probe, or state --rate EXAMPLES_PER_SECOND"
        return f"measured on up to {count} finished cells of each base and stage"

    def _learn_folder(self, found: Cells, store: CellStore) -> None:
        """Learn from every finished cell of the folder whose base is one of this study's, also from other studies'."""
        records = store.records()
        specs: dict[str, Mapping[str, Any]] = {name: record["spec"] for name, record in records.items()}
        specs |= {name: cell.spec for name, cell in found.cells.items()}
        bases = {_base_of(cell.spec, specs): str(cell.call["base"][0]) for cell in found.cells.values()}
        for record in records.values():
            base = _base_of(record["spec"], specs)
            if base is not None and base in bases:
                self._learn(bases[base], record)

    def _learn(self, base: str, record: Mapping[str, Any]) -> None:
        spec, result = record["spec"], record["result"]
        seconds = float(record["seconds"])
        if spec["stage"] == "scores":
            examples, busy = float(result["rows"]), seconds
        else:
            if not result.get("batch") or not result.get("train_seconds"):
                return  # a mixture, or a training that an earlier attempt had finished
            examples, busy = float(result["steps"] * result["batch"]), float(result["train_seconds"])
        if examples:
            for key in _keys(base, spec):
                self.measured.setdefault(key, []).append(Speed(max(0.0, seconds - busy), busy / examples))


def is_merge(cell: Cell) -> bool:
    """Whether a cell merges what others have trained, which takes seconds."""
    return "merge" in cell.spec


def speed_keys(cell: Cell) -> list[tuple[str, ...]]:
    """What a cell's speed may be known by: base, stage and tasks; else base and stage."""
    return _keys(str(cell.call["base"][0]), cell.spec)


def _keys(base: str, spec: Mapping[str, Any]) -> list[tuple[str, ...]]:
    stage = str(spec["stage"])
    tasks = "+".join(spec.get("tasks") or spec["task"])
    return [(base, stage, tasks), (base, stage)]


def _base_of(spec: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Identity of the base that a cell's model was made from; None where a cell before it is not known."""
    while "base" not in spec:
        before = spec["start"] if "start" in spec else spec["parts"][0]
        if before not in specs:
            return None
        spec = specs[before]
    return str(spec["base"])


def examples_of(cell: Cell) -> float | None:
    """Examples that a cell goes through, about."""
    if cell.stage == "scores":
        known: list[int | None] = [SCORED.get(task) for task in cell.spec["task"]]
        each = [rows for rows in (*known, cell.spec["limit"]) if rows is not None]
        return float(min(each) * max(1, len(cell.spec["data"]))) if each else None
    steps = int(cell.spec["flags"].get("max_steps", [0])[0])
    options = cell.spec["options"]
    total = 0.0
    for name, task in cell.spec["tasks"].items():
        figures = task["recipe"]
        rows = _rows_of(name, options.get("limit"))
        batch = float(cell.spec["flags"].get("per_device_train_batch_size", [figures["batch_size"]])[0])
        if steps > 0:
            total += steps * batch / len(cell.spec["tasks"])
        elif rows is None:
            return None
        elif options.get("mixture"):
            total += min(rows, options.get("cap") or CAP) * EPOCHS
        else:
            total += rows * figures["epochs"]
    return total


def gigabytes(cell: Cell) -> float | None:
    """What a cell leaves on the disk: weights of a training, predictions of scores."""
    if cell.stage == "scores":
        rows = examples_of(cell)
        return None if rows is None else rows / 1000 * _RESULTS / 1e9
    name = str(cell.call["base"][0])
    folder = Path(name)
    weights = WEIGHTS.get(name)
    if folder.is_dir():
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if weights is None:
        return None
    whole = is_merge(cell) or "soup" in cell.spec
    adapter = not whole and cell.spec["options"].get("adapter")
    return weights / 1e9 * (0.02 if adapter else 1.0)


def _total(values: Sequence[float | None]) -> float | None:
    """Sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return round(math.fsum(known), 2) if known or not values else None
