"""A study run on this machine: worker processes do its cells, and whatever is finished is not done again."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, cast

from huggingface_hub import get_token

from hf_stilts.errors import StiltsError
from hf_stilts.files import cut_weights, write_json
from hf_stilts.studies.cells import Cell, Cells, unfold
from hf_stilts.studies.plan import arm_reads, check_controls, gigabytes, missing_rows
from hf_stilts.studies.published import CellPublisher, Publishing, published_names, use_published
from hf_stilts.studies.store import LEASE, MODEL, CellStore
from hf_stilts.studies.study import Study, describe_study

TRIES = 2
POLL = 2.0  # seconds between looks at cells that another process holds
WORKER = ("-m", "hf_stilts.studies.worker")
_STOPPING = 20.0  # seconds that a worker has to end by itself

Tell = Callable[[str, str, str], None]
"""Called with an outcome ("begun", "done", "failed", "note"), the cell's title and a detail."""


@dataclass
class StudyRun:
    """What a run came to.

    Attributes:
        done: titles of the cells that this run finished.
        before: how many were finished when it began.
        failed: title -> what stopped it, of cells that failed twice.
        waiting: titles of the cells that need one of these.
        left_out: titles of the cells whose rows are not there.
        unpublished: title -> why, of checkpoints that are not on the Hub although that was asked for.
    """

    before: int = 0
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unpublished: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        numbers = f"{len(self.done)} cells done, {self.before} were before"
        more = {"failed": self.failed, "wait for these": self.waiting, "left out": self.left_out}
        more["not published"] = self.unpublished
        return ", ".join([numbers, *(f"{len(titles)} {what}" for what, titles in more.items() if titles)]) + "."


def run_study(
    study: Study,
    output_dir: str | os.PathLike[str],
    *,
    workers: int = 1,
    data_dir: str | os.PathLike[str] | None = None,
    available: bool = False,
    redo_broken: bool = False,
    lease: float = LEASE,
    publish: Publishing | None = None,
    tell: Tell | None = None,
) -> StudyRun:
    """Do the cells of a study that are not finished, whole comparisons first.

    The same call goes on where an earlier one stopped, however it did. Several calls, on machines that share the
    folder, share the cells. A cell that fails is tried once more after the others.

    Args:
        study: the study.
        output_dir: where cells lie; several studies may share it, and then share cells.
        workers: how many processes work at a time; with GPUs each has one of its own.
        data_dir: local mirror of the data sets; else HF_STILTS_DATA, else the Hub.
        available: leave out the languages and cells whose rows are not there, instead of refusing to begin.
        redo_broken: do the cells again whose record or weights are broken.
        lease: seconds after which a cell is taken from a process of another machine that shows no sign of life.
        publish: publish the checkpoints of finished intermediate trainings, those of earlier calls too, and use those
            that anybody has published in that namespace. None: neither.
        tell: is told what happens.

    Raises:
        StiltsError: rows are missing, records are broken, arms do not read equally, there is no room on the disk, or
            the workers cannot be started.
    """
    store, tell = CellStore(output_dir, lease), tell or (lambda outcome, title, detail: None)
    found, blocked = prepare(study, store, data_dir=data_dir, available=available, redo_broken=redo_broken, tell=tell)
    publisher = begin_publishing(store, found, publish, tell) if publish else None
    result = _Run(store, found, blocked, workers, tell, publisher).carry_out()
    if publisher is not None:
        result.unpublished = end_publishing(publisher, found, tell)
    return result


def begin_publishing(store: CellStore, found: Cells, publish: Publishing, tell: Tell) -> CellPublisher:
    """Let cells use what is published, and begin to publish those that earlier calls have finished.

    Raises:
        StiltsError: nobody is logged in.
    """
    if not get_token():
        raise StiltsError(
            f"Nobody is logged in, and publishing to {publish.namespace} needs a token with write access. Nothing was "
            "done. Run: hf auth login; or leave out --namespace."
        )
    there, problem = use_published(store, found, publish.namespace)
    if problem:
        tell("note", found.study.name, problem)
    for name, published in there.items():
        title = found.cells[name].title
        tell("note", title, f"{title} is not trained: {published.repo_id} is that checkpoint, by {published.by}.")
    names = published_names(found, publish.namespace, targets=publish.targets)
    publisher = CellPublisher(store, names, private=publish.private)
    for name, cell in found.cells.items():
        if cell.stage == "intermediate" and not cell.needs and store.finished(name):
            publisher.add(name)
    return publisher


def end_publishing(publisher: CellPublisher, found: Cells, tell: Tell) -> dict[str, str]:
    """Wait for what is being published, then publish merges and target models, whose records name where they started.

    Returns:
        Title -> why, of cells whose checkpoint is not on the Hub.
    """
    failed = publisher.finish()
    for stage in ("intermediate", "target"):  # a target may start from a merge
        for name, cell in found.cells.items():
            if cell.stage == stage and (cell.needs or stage == "target") and publisher.store.finished(name):
                publisher.add(name, [publisher.where(need) for need in cell.needs])
        failed |= publisher.finish()
    named = {found.cells[name].title: why for name, why in failed.items()}
    for title, why in named.items():
        tell("note", title, f"{title} is finished, and its checkpoint is not published. {why}")
    return named


def prepare(
    study: Study,
    store: CellStore,
    *,
    data_dir: str | os.PathLike[str] | None,
    available: bool,
    redo_broken: bool,
    tell: Tell,
    models: bool = True,
) -> tuple[Cells, dict[str, str]]:
    """What comes before the first cell of a run, wherever the cells are done: look at everything, note the study.

    Without `models` the trained models lie elsewhere: neither they nor room for them are looked for.

    Returns:
        The cells, and those that cannot be done: identity -> why, all of them left out by `available`.

    Raises:
        StiltsError: as `run_study`.
    """
    before = _noted(store, study.name)
    revisions = _pinned(study, before.get("revisions", {}))
    found = unfold(study, data_dir=data_dir, revisions=revisions, available=available)
    for note in check_controls(study, arm_reads(study)):
        tell("note", study.name, note)
    if models:
        _check_extras(found)
    blocked = found.blocked()
    if blocked and (not available or len(blocked) == len(found.cells)):
        raise StiltsError(
            "\n".join(missing_rows(found)) + "\nNothing was done. Get these rows, or leave out what needs them: "
            "--available, --arm, --targets, --languages."
        )
    _mend(store, found, blocked, redo_broken, models)
    if models:
        _check_room(store, found, blocked)
    _tell_of_changes(store, before, found, tell)
    _write_note(store, study, found, revisions)
    return found, blocked


def _check_extras(found: Cells) -> None:
    """Refuse a merge that could not be made when its parts are trained.

    Raises:
        StiltsError: peft is not installed here, and a merge needs it.
    """
    for cell in found.cells.values():
        if cell.call.get("merge", {}).get("how", "mean") != "mean" and find_spec("peft") is None:
            raise StiltsError(
                f"{cell.title} is a merge by {cell.call['merge']['how']}, which needs peft; it is not installed here. "
                'Nothing was done. Run: pip install "hf_stilts[peft]"; or leave the arm out.'
            )
        if cell.call.get("options", {}).get("adapter") and find_spec("peft") is None:
            raise StiltsError(
                f"{cell.title} trains an adapter, which needs peft; it is not installed here. Nothing was done. Run: "
                'pip install "hf_stilts[peft]"; or leave out adapter=.'
            )


def _noted(store: CellStore, name: str) -> dict[str, Any]:
    return store.note(name) if store.study_file(name).is_file() else {}


def _pinned(study: Study, before: Mapping[str, str]) -> dict[str, str]:
    """Commit of each base that the study names without one: the one of the first run, else the newest."""
    found = {}
    for base in study.base:
        if Path(base).is_dir() or "@" in base:
            continue
        if base in before:
            found[base] = before[base]
            continue
        from hf_stilts.hub.checkpoints import resolve  # the Hub's client, for bases that are on the Hub alone

        found[base] = str(resolve(base, to_load=False).commit)
    return found


def _mend(store: CellStore, found: Cells, blocked: Mapping[str, str], redo: bool, models: bool) -> None:
    """Find records and weights that are broken; make their cells unfinished where that was asked for.

    Raises:
        StiltsError: there are some, and it was not.
    """
    needed: set[str] = set()
    for name, cell in found.cells.items():
        if not store.finished(name):
            needed.update(cell.needs)
    broken: dict[str, str] = {}
    for name in found.cells:
        if name in blocked or not store.finished(name):
            continue
        try:
            store.record(name)
        except StiltsError as error:
            broken[name] = str(error)
            continue
        if models and name in needed and (wrong := _flaw(store.folder(name) / MODEL)):
            broken[name] = f"{store.folder(name) / MODEL}: {wrong}"
    if broken and not redo:
        raise StiltsError(
            f"{len(broken)} cells that were finished are broken. " + " ".join(broken.values()) + " Nothing was "
            "done. To do these cells again, type the command with --redo-broken"
        )
    for name in broken:
        store.redo(name)


def _flaw(model: Path) -> str | None:
    """What is wrong with a trained model; None where it can be loaded, as far as its files say."""
    if not any(model.glob("*.safetensors")):
        return "the weights are gone"
    return cut_weights(model)


def _check_room(store: CellStore, found: Cells, blocked: Mapping[str, str]) -> None:
    """Refuse to begin what cannot end.

    Raises:
        StiltsError: the disk has less room than the cells that are left will take, as far as that is known.
    """
    left = [cell for name, cell in found.cells.items() if name not in blocked and not store.finished(name)]
    needed = sum(gigabytes(cell) or 0.0 for cell in left)
    there = store.root.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free / 1e9
    if needed > free:
        raise StiltsError(
            f"{there} has {free:.1f} GB free, and the {len(left)} cells to do leave about {needed:.1f} GB. Nothing was "
            "done. Make room, pass another --output-dir, or run less: --arm, --targets, --seeds."
        )


def _tell_of_changes(store: CellStore, before: Mapping[str, Any], found: Cells, tell: Tell) -> None:
    """Name the finished cells of the last run that the study has no more."""
    gone = [
        about["title"]
        for name, about in before.get("cells", {}).items()
        if name not in found.cells and store.finished(name)
    ]
    if gone:
        shown = "; ".join(gone[:5]) + ("; ..." if len(gone) > 5 else "")
        tell(
            "note",
            found.study.name,
            f"The study was changed: {len(gone)} finished cells are no part of it any more and are kept: {shown}",
        )


def _write_note(store: CellStore, study: Study, found: Cells, revisions: Mapping[str, str]) -> None:
    cells = {
        name: {"title": cell.title, "stage": cell.stage, "needs": cell.needs, "problem": cell.problem}
        for name, cell in found.cells.items()
    }
    entries = [asdict(entry) for entry in found.entries]
    note = {"study": describe_study(study), "revisions": revisions, "cells": cells, "entries": entries}
    write_json(store.study_file(study.name), note)


class _Run:
    """One call: which cell is next, which worker has it, what came of it."""

    def __init__(
        self,
        store: CellStore,
        found: Cells,
        blocked: Mapping[str, str],
        workers: int,
        tell: Tell,
        publisher: CellPublisher | None = None,
    ) -> None:
        self.store, self.found, self.blocked, self.tell, self.publisher = store, found, blocked, tell, publisher
        self.name = uuid.uuid4().hex[:8]
        self.finished = {name for name in found.cells if store.finished(name)}
        self.failures: dict[str, list[str]] = {}
        self.later: dict[str, float] = {}  # cell that another process holds -> when to look again
        self.result = StudyRun(before=len(self.finished))
        self.result.left_out = [found.cells[name].title for name in blocked if name not in self.finished]
        self.answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self.cells = len(found.cells) - len(self.result.left_out)
        left = self.cells - len(self.finished)
        self.workers = [_Worker(store, number, workers, self.answers) for number in range(min(workers, left))]

    def carry_out(self) -> StudyRun:
        """Give out cells until none is left that can be done."""
        try:
            while self._give_out() or any(worker.cell for worker in self.workers) or self._left():
                self._listen()
        finally:
            for worker in self.workers:
                worker.stop()
        for name, cell in self.found.cells.items():
            if name in self.finished or name in self.blocked:
                continue
            if len(self.failures.get(name, ())) >= TRIES:
                self.result.failed[cell.title] = self.failures[name][-1]
            else:
                self.result.waiting.append(cell.title)
        return self.result

    def _left(self) -> list[str]:
        """Cells that can still be done: now, or when those that they need are finished."""
        hopeless = {name for name, errors in self.failures.items() if len(errors) >= TRIES} | {*self.blocked}
        return self.found.unfinished(lambda name: name in self.finished, hopeless)

    def _give_out(self) -> bool:
        """Give every worker that has none a cell that is ready; whether one was given."""
        given = False
        for worker in self.workers:
            if worker.ready and worker.cell is None and (cell := self._next()) is not None:
                worker.start(cell, self.name)
                self.tell("begun", cell.title, "")
                given = True
        return given

    def _next(self) -> Cell | None:
        """The first cell that is ready; one that has failed only where there is no other."""
        busy = {worker.cell.identity for worker in self.workers if worker.cell}
        ready = []
        for name in self._left():
            cell = self.found.cells[name]
            if name in busy or self.later.get(name, 0.0) > time.monotonic():
                continue
            if name in self.later and self.store.finished(name):  # by the process that held it
                self.finished.add(name)
            elif all(need in self.finished for need in cell.needs):
                ready.append(cell)
        return min(ready, key=lambda cell: len(self.failures.get(cell.identity, ())), default=None)

    def _listen(self) -> None:
        """Wait for what a worker says, or until it is time to look again at cells of other processes."""
        try:
            worker, answer = self.answers.get(timeout=POLL)
        except queue.Empty:
            return
        cell = worker.cell
        if answer == {"outcome": "ready"}:
            worker.ready, worker.silent = True, 0
            return
        if answer is None:
            ended = worker.ended()
            worker.restart()
            if cell is None or self.store.finished(cell.identity):
                return
            answer = {"outcome": "failed", "error": ended}
            self.store.write_failure(cell.identity, self.store.newest_attempt(cell.identity), self.name, ended)
        if cell is None:
            return
        worker.cell = None
        if answer["outcome"] == "done":
            self.finished.add(cell.identity)
            self.result.done.append(cell.title)
            self.tell("done", cell.title, f"{len(self.finished)} of {self.cells} cells")
            if self.publisher is not None and cell.stage == "intermediate" and not cell.needs:
                self.publisher.add(cell.identity)
        elif answer["outcome"] == "taken":
            self.later[cell.identity] = time.monotonic() + POLL
        else:
            self.failures.setdefault(cell.identity, []).append(answer["error"])
            self.tell("failed", cell.title, answer["error"])


class _Worker:
    """A worker process, the cell that it has, and the thread that listens to it."""

    def __init__(self, store: CellStore, number: int, count: int, answers: queue.Queue[Any]) -> None:
        self.store, self.number, self.count, self.answers = store, number, count, answers
        self.cell: Cell | None = None
        self.ready = False
        self.silent = 0  # how often it ended before it was ready
        self._spawn()

    def start(self, cell: Cell, run: str) -> None:
        """Give it a cell."""
        self.cell = cell
        try:
            self._orders.write(json.dumps({"cell": order(cell), "run": run}) + "\n")
            self._orders.flush()
        except BrokenPipeError:
            return  # it has ended, which its listener says

    def ended(self) -> str:
        """How the process ended."""
        code = self.process.wait()
        if code < 0:
            return f"The worker was ended by signal {-code}; signal 9 often means that the memory was used up."
        return f"The worker ended with exit code {code}. See {self._log}"

    def restart(self) -> None:
        """Start the process anew.

        Raises:
            StiltsError: it ended twice before it was ready.
        """
        self.silent += not self.ready
        self.ready = False
        if self.silent >= TRIES:
            raise StiltsError(
                f"The worker process ended {self.silent} times before it could begin; one that waits for cells is "
                f"expected. What it said is in {self._log}. Mend that and type the command again."
            )
        self._spawn()

    def stop(self) -> None:
        """End it: it lets its cell go, which the next run goes on with."""
        try:
            self._orders.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(timeout=_STOPPING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _spawn(self) -> None:
        self._log = self.store.root / f"worker-{self.number}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *WORKER, str(self.store.root)]
        with self._log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*command, "--lease", str(self.store.lease)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env={**os.environ, **environment(self.number, self.count)},
                start_new_session=True,  # Ctrl-C is for the process that gives the orders; it ends the others
            )
        self._orders = cast(IO[str], self.process.stdin)
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()

    def _listen(self, lines: Any) -> None:
        for line in lines:
            self.answers.put((self, json.loads(line)))
        self.answers.put((self, None))


def order(cell: Cell) -> dict[str, Any]:
    """Fields of a cell that its worker needs, as JSON holds them."""
    return {name: getattr(cell, name) for name in ("stage", "spec", "call", "title", "needs")}


def environment(number: int, count: int) -> dict[str, str]:
    """What a worker's environment has of its own: one GPU, and its share of the processors."""
    found = {"TOKENIZERS_PARALLELISM": "false"} if count > 1 else {}
    if count > 1 and "OMP_NUM_THREADS" not in os.environ:
        found["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = given.split(",") if given is not None else [str(each) for each in range(_gpus())]
    if devices and devices != [""]:
        # One each: several in one process would multiply the batch, and so change the result.
        found["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    return found


def _gpus() -> int:
    """NVIDIA GPUs of this machine, without loading torch."""
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
