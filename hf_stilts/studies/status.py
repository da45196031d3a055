"""Where a run of a study stands, read from its folder alone: while it runs, when it was stopped, on any machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from hf_stilts.studies.cells import STAGES
from hf_stilts.studies.plan import STATES, state_of
from hf_stilts.studies.store import CellStore


@dataclass
class Status:
    """State of every cell of a study.

    Attributes:
        cells: a row each: `title`, `stage`, `state` (of `STATES`), `why`, and where one failed the last line of its
            `log`.
    """

    study: str
    cells: list[dict[str, Any]] = field(default_factory=list)

    def stages(self) -> list[dict[str, Any]]:
        """A row for each stage and one for all: how many cells are in each state that occurs."""
        states = [state for state in STATES if any(cell["state"] == state for cell in self.cells)]
        rows = []
        for stage in (*STAGES, "all"):
            cells = [cell for cell in self.cells if stage in (cell["stage"], "all")]
            counts = {state: sum(cell["state"] == state for cell in cells) for state in states}
            rows.append({"stage": stage, "cells": len(cells), **counts})
        return rows

    def wrong(self) -> list[dict[str, Any]]:
        """The cells that failed or are broken."""
        return [cell for cell in self.cells if cell["state"] in ("failed", "broken")]


def status(study: str, output_dir: str | os.PathLike[str]) -> Status:
    """State of the cells of a study that was run into a folder.

    Args:
        study: its name.
        output_dir: the folder.

    Raises:
        StiltsError: it was not run there; the studies that were are named.
    """
    store = CellStore(output_dir)
    cells = store.note(study)["cells"]
    blocked = {name: about["problem"] for name, about in cells.items() if about["problem"]}
    for name, about in cells.items():  # a cell stands behind those that it needs
        reasons = [blocked[need] for need in about["needs"] if need in blocked]
        if reasons:
            blocked.setdefault(name, reasons[0])
    found = Status(study)
    for name, about in cells.items():
        state, why = state_of(store, name, blocked)
        row = {"title": about["title"], "stage": about["stage"], "state": state, "why": why, "cell": name}
        row["log"] = _last_line(store, name) if state in ("failed", "running") else None
        found.cells.append(row)
    return found


def _last_line(store: CellStore, name: str) -> str | None:
    """Last line of a cell's log that says something."""
    path = store.folder(name) / "log.txt"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
