"""How fast this machine is: a few steps of each training and a few rows of each task, measured and thrown away."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_stilts.studies.cells import Cell
from hf_stilts.studies.plan import Speed, examples_of, is_merge, speed_keys
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.worker import STAGES, load_libraries

logger = logging.getLogger(__name__)

FEW, MANY = 8, 64  # rows of each task that are scored, to tell a row from what comes before the first
STEPS, WARM = 12, 2  # steps of each training, and those of them that are not counted: the first ones allocate


class _Clock(TrainerCallback):
    """Times the steps of a training, without those that warm up."""

    def __init__(self) -> None:
        self.begun = self.ended = self.first = 0.0
        self.steps = 0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == 1:
            self.first = time.monotonic()
        if state.global_step == WARM:
            self.begun = time.monotonic()
        self.ended, self.steps = time.monotonic(), state.global_step - WARM


def probe(cells: Iterable[Cell]) -> dict[tuple[str, ...], Speed]:
    """Train a few steps for each base, stage and task of some cells, and score a few rows with what was trained.

    Args:
        cells: one of each kind is measured, targets from the base itself; a cell stands behind those that it needs.
            Data and base must be there, or on the Hub.

    Returns:
        Speeds by `speed_keys`. Scores whose model was trained before, and what trains nothing, are not measured.

    Raises:
        StiltsError: as the training itself, where data or base are not there.
    """
    load_libraries()  # once for a whole run, and so no part of any cell
    found: dict[tuple[str, ...], Speed] = {}
    measured: dict[tuple[str, ...], str] = {}  # training of a kind -> the cell that stands for all of them
    models: dict[str, str] = {}  # training cell -> the one whose model it has here
    with tempfile.TemporaryDirectory() as scratch:
        store = CellStore(scratch)
        for cell in cells:
            key, name = speed_keys(cell)[0], cell.identity
            if is_merge(cell):
                continue
            if cell.stage != "scores":
                if key not in found:
                    found[key] = _training(store, cell)
                    measured[key] = name
                models[name] = measured[key]
            elif key not in found and (cell.call["model"] is None or cell.call["model"] in models):
                found[key] = _scoring(store, cell, models.get(cell.call["model"]))
            else:
                continue
            logger.info("%s: %.3g examples a second.", cell.title, 1 / found[key].each)
    return found


def _training(store: CellStore, cell: Cell) -> Speed:
    """Speed of a training, whose model stays in the store."""
    clock = _Clock()
    short = ["--max_steps", str(STEPS), "--save_strategy", "no", "--eval_strategy", "no"]
    call = {**cell.call, "start": None, "soup": None, "flags": [*cell.call["flags"], *short]}
    call["options"] = {**cell.call["options"], "callbacks": [clock]}
    began = time.monotonic()
    STAGES[cell.stage](store, store.folder(cell.identity), call)
    whole = time.monotonic() - began
    each_step = (clock.ended - clock.begun) / max(1, clock.steps)
    spec = {**cell.spec, "flags": {**cell.spec["flags"], "max_steps": [STEPS]}}
    examples = examples_of(Cell(cell.stage, spec, cell.call, cell.title)) or STEPS
    return Speed(before=max(0.0, whole - (clock.ended - clock.first)), each=each_step * STEPS / examples)


def _scoring(store: CellStore, cell: Cell, model: str | None) -> Speed:
    """Speed of scoring in one language: two numbers of rows tell what a row takes from what loading takes."""
    times = []
    for number, most in enumerate((FEW, FEW, MANY)):  # the first time reads what later ones find in memory
        limit = min(most, cell.call["limit"] or most)
        call = {**cell.call, "model": model, "languages": cell.call["languages"][:1], "limit": limit}
        began = time.monotonic()
        result = STAGES["scores"](store, store.root / f"probe-{number}" / cell.identity, call)
        times.append((result["rows"], time.monotonic() - began))
    _, (few, short), (many, long) = times
    each = (long - short) / (many - few) if many > few and long > short else long / max(1, many)
    return Speed(before=max(0.0, short - each * few), each=each)
