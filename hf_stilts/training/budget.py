"""How much a run trains: against its recipe, and against the other arms of a comparison, which must get as much."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.pending import STATE_FILE
from hf_stilts.publishing.saved import newest_saved

_GUARD = "BudgetGuard"  # whose state the Trainer keeps in a checkpoint (`hf_stilts.training.budget_guard`)


@dataclass(frozen=True)
class Budget:
    """What a run trains: optimizer steps, and examples per step over all devices and accumulation steps."""

    steps: int
    batch: int

    @property
    def examples(self) -> int:
        """Examples read, each as often as it was."""
        return self.steps * self.batch

    def __str__(self) -> str:
        return f"{self.steps:,} steps of {self.batch} ({self.examples:,} examples)"


def budget_of(arm: str | os.PathLike[str] | Record) -> Budget:
    """What a run has trained, from what it left behind.

    Args:
        arm: a record; a folder with `stilts.json` or `trainer_state.json`, a run's folder or one of its checkpoints;
            or the name of a published checkpoint (`"mnli"`, `"mnli@step-2000"`, `"org/model"`).

    Raises:
        StiltsError: nothing there says how many examples a step had.
    """
    if isinstance(arm, Record):
        return _recorded(arm, arm.title)
    folder = Path(arm)
    if folder.is_dir():
        last = folder if (folder / STATE_FILE).is_file() else newest_saved(folder) or folder
        if (last / STATE_FILE).is_file():
            state = json.loads((last / STATE_FILE).read_text(encoding="utf-8"))
            kept = state.get("stateful_callbacks", {}).get(_GUARD)
            if kept:
                steps = state["global_step"]
                if last != folder and (folder / RECORD_FILE).is_file():  # the last checkpoint may have been deleted
                    steps = max(steps, Record.from_json((folder / RECORD_FILE).read_bytes()).step)
                return Budget(steps, kept["attributes"]["batch"])
    record = resolve(os.fspath(arm), to_load=False).record
    if record is None:
        raise StiltsError(
            f"{arm} has neither a stilts.json nor a {STATE_FILE} of a training with hf_stilts; one is expected. "
            "Pass the output folder of such a training, or a published checkpoint."
        )
    return _recorded(record, str(arm))


def equal_budget(
    arms: Mapping[str, str | os.PathLike[str] | Record] | Iterable[str | os.PathLike[str]], *, tolerance: float = 0.0
) -> dict[str, Budget]:
    """Check that the arms of a comparison trained equally: as many examples in as many steps.

    Args:
        arms: name of each arm and where it lies (see `budget_of`), or only where.
        tolerance: share by which steps and examples may differ from the first arm's; 0.01 for a last step cut short.

    Returns:
        What each arm trained.

    Raises:
        StiltsError: they did not; every arm is named with its numbers.
    """
    named = dict(arms) if isinstance(arms, Mapping) else {os.fspath(arm): arm for arm in arms}
    found = {name: budget_of(arm) for name, arm in named.items()}
    if len(found) < 2:
        raise StiltsError(f"{len(found)} arms were given to compare; two or more are expected.")
    first = next(iter(found.values()))
    unequal = False
    for budget in found.values():
        for ours, theirs in ((budget.steps, first.steps), (budget.examples, first.examples)):
            unequal = unequal or abs(ours - theirs) > tolerance * theirs
    if unequal:
        each = "; ".join(f"{name}: {budget}" for name, budget in found.items())
        raise StiltsError(
            f"The arms of this comparison did not train equally. {each}. Train them with the same --max_steps and "
            "batch, or pass tolerance= (--tolerance 0.01)."
        )
    return found


def _recorded(record: Record, name: str) -> Budget:
    factors = [record.recipe.get(each) for each in ("per_device_train_batch_size", "gradient_accumulation_steps")]
    if "batch_sizes" in record.recipe or not all(isinstance(factor, int) for factor in factors):
        raise StiltsError(
            f"The record of {name} does not say how many examples each step had. Compare mixtures and foreign "
            "checkpoints by hand."
        )
    devices = record.hardware.get("devices") or record.recipe.get("processes") or 1
    return Budget(record.step, math.prod(int(factor or 1) for factor in (*factors, devices)))
