"""Where a run of a study stands, read from its folder alone: while it runs, when it was stopped, on any machine."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from hf_stilts.studies.cells import STAGES
from hf_stilts.studies.hub_jobs import hub_job_of, is_live, log_lines, stages_of
from hf_stilts.studies.plan import STATES, state_of
from hf_stilts.studies.slurm import job_of, queue
from hf_stilts.studies.store import LOG, CellStore


@dataclass
class Status:
    """State of every cell of a study.

    Attributes:
        cells: a row each: `title`, `stage`, `state` (of `STATES`), `why`, the last line of its `log` where it failed
            or runs, and its `job` where Slurm was given one.
        slurm: options of the jobs that Slurm was given for cells which are not finished.
        hub: flavor and namespace of the Hub's jobs, where cells that are not finished were given one.
    """

    study: str
    cells: list[dict[str, Any]] = field(default_factory=list)
    slurm: str | None = None
    hub: tuple[str, str] | None = None

    def stages(self) -> list[dict[str, Any]]:
        """A row for each stage and one for all: how many cells are in each state that occurs."""
        occurring = {cell["state"] for cell in self.cells}
        states = [state for state in STATES if state in occurring]
        rows = []
        for stage in (*STAGES, "all"):
            cells = [cell for cell in self.cells if stage in (cell["stage"], "all")]
            count = Counter(cell["state"] for cell in cells)
            counts = {state: count[state] for state in states}
            rows.append({"stage": stage, "cells": len(cells), **counts})
        return rows

    def next_command(self) -> str:
        """What of `hf-stilts study` to type now: run, status while Slurm works on all that is left, or report."""
        states = {cell["state"] for cell in self.cells}
        if states & {"to do", "failed", "broken"}:
            return "run"
        return "status" if "queued" in states else "report"

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
        found.cells.append({"title": about["title"], "stage": about["stage"], "state": state, "why": why, "cell": name})
    _ask_slurm(store, found)
    _ask_hub(store, found)
    for row in found.cells:
        row["log"] = _last_line(store.folder(row["cell"]) / LOG) if row["state"] in ("failed", "running") else None
    return found


def _ask_slurm(store: CellStore, found: Status) -> None:
    """Correct what only Slurm knows: which cells wait in its queue, and which lost their job without a word."""
    given = {}
    for row in found.cells:
        if row["state"] in ("to do", "failed", "running") and (job := job_of(store, row["cell"])):
            given[row["cell"]] = job
    there = queue([job.job for job in given.values()]) if given else {}
    for row in found.cells:
        job = given.get(row["cell"])
        if job is None:
            continue
        row["job"], found.slurm = job.job, job.options
        if there is None:
            if row["state"] == "to do":
                row |= {"state": "queued", "why": f"job {job.job}, as far as can be said where there is no squeue"}
        elif job.job in there:
            state, reason = there[job.job]
            said = "" if reason == "None" else f" ({reason})"
            row |= {"state": "queued" if state == "PENDING" else "running", "why": f"job {job.job}: {state}{said}"}
        elif row["state"] == "to do" and (last := _last_line(store.root / job.output)):
            # A job that waited for one which failed has said nothing, and is to be submitted again.
            why = f"job {job.job} ended without a result. {last} ({store.root / job.output})"
            row |= {"state": "failed", "why": why}


def _ask_hub(store: CellStore, found: Status) -> None:
    """Correct what only the Hub knows: which cells its jobs work on, and which ended without a record."""
    given = {}
    for row in found.cells:
        if row["state"] in ("to do", "failed") and (job := hub_job_of(store, row["cell"])):
            given[row["cell"]] = job
    there = stages_of(found.study, {job.namespace for job in given.values()}) if given else {}
    for row in found.cells:
        job = given.get(row["cell"])
        if job is None:
            continue
        row["job"], found.hub = job.job, (job.options, job.namespace)
        about = there.get(job.job) if there is not None else None
        if there is None and row["state"] == "to do":
            row |= {"state": "queued", "why": f"job {job.job}, as far as can be said where the Hub does not answer"}
        elif about is not None and is_live(about):
            stage = str(about.status.stage)
            row |= {"state": "running" if stage == "RUNNING" else "queued", "why": f"job {job.job}: {stage}"}
        elif about is not None and row["state"] == "to do":
            if about.status.stage == "COMPLETED":  # its record is on the Hub, and is fetched by the run's command
                row |= {"state": "queued", "why": f"job {job.job} has ended; its record was not fetched yet"}
                continue
            last = ([line for line in log_lines(HfApi(), job.job, job.namespace) if line.strip()] or [""])[-1]
            row |= {"state": "failed", "why": f"job {job.job} ended: {about.status.stage}. {last}".rstrip()}


def _last_line(path: Path) -> str | None:
    """Last line of a log that says something."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
