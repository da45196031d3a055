"""How fast this machine trains: a few steps of each kind of training that a study has, measured and thrown away."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_stilts.studies.cells import Cell
from hf_stilts.studies.plan import Speed, examples_of, is_merge, speed_keys
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.worker import STAGES, load_libraries

logger = logging.getLogger(__name__)

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
    """Train a few steps for each base, stage and task of some cells; targets start from the base itself.

    Args:
        cells: trainings among them are measured, one of each kind; data and base must be there, or on the Hub.

    Returns:
        Speeds by `speed_keys`.

    Raises:
        StiltsError: as the training itself, where data or base are not there.
    """
    load_libraries()  # once for a whole run, and so no part of any cell
    found: dict[tuple[str, ...], Speed] = {}
    for cell in cells:
        key = speed_keys(cell)[0]
        if cell.stage == "scores" or is_merge(cell) or key in found:
            continue
        found[key] = _measured(cell)
        logger.info("%s: %.3g examples a second.", cell.title, 1 / found[key].each)
    return found


def _measured(cell: Cell) -> Speed:
    clock = _Clock()
    short = ["--max_steps", str(STEPS), "--save_strategy", "no", "--eval_strategy", "no"]
    call = {**cell.call, "start": None, "flags": [*cell.call["flags"], *short]}
    call["options"] = {**cell.call["options"], "callbacks": [clock]}
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        STAGES[cell.stage](CellStore(scratch), Path(scratch), call)
        whole = time.monotonic() - began
    each_step = (clock.ended - clock.begun) / max(1, clock.steps)
    spec = {**cell.spec, "flags": {**cell.spec["flags"], "max_steps": [STEPS]}}
    examples = examples_of(Cell(cell.stage, spec, cell.call, cell.title)) or STEPS
    return Speed(before=max(0.0, whole - (clock.ended - clock.first)), each=each_step * STEPS / examples)
