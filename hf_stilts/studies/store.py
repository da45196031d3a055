"""Cells on disk: a record that is written last, an attempt that one process holds at a time, and what failed.

    DIR/studies/<name>.json             what was asked for, and the cells of it
    DIR/cells/<identity>/record.json    the result: a cell with a record is finished
                         attempt-0001.json   who works or worked on it; held as long as its file is touched
                         failure-0001.json   what stopped that attempt
                         log.txt, model/, results.jsonl, predictions/

Several processes, and machines that share the folder, may work on one study. An attempt is a file that only one of them
can create; it is held by touching it, and lost when nobody did for `LEASE` seconds, or when its process is gone from
this machine. The next one makes an attempt with a higher number, so that a process which was only asleep sees that it
has lost the cell, and writes no record.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json
from hf_stilts.studies.cells import Cell, identity

LEASE = 120.0  # seconds; a training touches its attempt from a thread of its own, which a long step does not stop
RECORD = "record.json"
LOG = "log.txt"
MODEL = "model"  # folder of a cell's trained model
_ATTEMPT = re.compile(r"attempt-(\d{4})\.json")


class LostCell(RuntimeError):
    """Another process took the cell over while this one was asleep; what this one did is not recorded."""


class CellStore:
    """The cells of an output folder.

    Args:
        root: the output folder of a study, or of several; it need not be there yet.
        lease: seconds after which an attempt that nobody touches is lost.
    """

    def __init__(self, root: str | os.PathLike[str], lease: float = LEASE) -> None:
        self.root, self.lease = Path(root), lease
        self._looked, self._ahead = 0.0, 0.0

    def folder(self, name: str) -> Path:
        """Where a cell's files lie."""
        return self.root / "cells" / name

    def record(self, name: str) -> dict[str, Any] | None:
        """Record of a finished cell; None where it is not finished.

        Raises:
            StiltsError: there is a record that cannot be read, or that is of another cell.
        """
        path = self.folder(name) / RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            whole = identity(record["spec"]) == name and "result" in record
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            raise StiltsError(
                f"{path} is broken: it is not the record of this cell; the JSON that a finished cell writes is "
                "expected. To do the cell again, add --redo-broken to: hf-stilts study run."
            )
        return dict(record)

    def finished(self, name: str) -> bool:
        """Whether a cell has a record; its content is not read."""
        return (self.folder(name) / RECORD).is_file()

    def records(self) -> dict[str, dict[str, Any]]:
        """Identity -> record of every finished cell of the folder; broken records are left out."""
        found = {}
        for path in sorted((self.root / "cells").glob(f"*/{RECORD}")):
            with suppress(StiltsError):
                record = self.record(path.parent.name)
                if record is not None:
                    found[path.parent.name] = record
        return found

    def write_record(
        self, cell: Cell, attempt: int, result: Mapping[str, Any], *, seconds: float, versions: Mapping[str, str]
    ) -> None:
        """Finish a cell: nothing of it is written after this.

        Args:
            cell: the cell.
            attempt: number of the attempt that did it.
            result: what it came to.
            seconds: how long this attempt took.
            versions: of the packages that decide a result.

        Raises:
            LostCell: another process has taken the cell over.
        """
        if self.newest_attempt(cell.identity) != attempt:
            raise LostCell(cell.title)
        record: dict[str, Any] = {"stage": cell.stage, "title": cell.title, "spec": cell.spec, "result": result}
        record |= {"seconds": round(seconds, 2), "versions": dict(versions)}
        write_json(self.folder(cell.identity) / RECORD, record, durable=True)

    def newest_attempt(self, name: str) -> int:
        """Number of the newest attempt at a cell; 0 where there was none."""
        folder = self.folder(name)
        if not folder.is_dir():
            return 0
        return max((int(match[1]) for each in os.listdir(folder) if (match := _ATTEMPT.fullmatch(each))), default=0)

    def held(self, name: str) -> dict[str, Any] | None:
        """Who works on a cell now: its attempt's `machine`, `process` and `number`; None where nobody does."""
        return self._held(name, self.newest_attempt(name))

    def _held(self, name: str, number: int) -> dict[str, Any] | None:
        """Who holds an attempt; None where nobody does, or there is no such attempt."""
        path = self._attempt(name, number)
        try:
            age = self._now() - path.stat().st_mtime
            holder = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            holder = {}  # the process that made it was ended before it could write its name
        if age > self.lease or _is_gone(holder):
            return None
        return {**holder, "number": number}

    def claim(self, name: str) -> int | None:
        """Begin an attempt at a cell; its number, or None where another process holds the cell or was quicker."""
        # The number is read once: of two that see the same newest attempt let go, only one can create the next.
        newest = self.newest_attempt(name)
        if self.finished(name) or self._held(name, newest) is not None:
            return None
        self.folder(name).mkdir(parents=True, exist_ok=True)
        number = newest + 1
        about = {"machine": _machine(), "process": os.getpid()}
        try:
            with self._attempt(name, number).open("x", encoding="utf-8") as file:
                file.write(json.dumps(about) + "\n")
        except FileExistsError:
            return None
        if self.finished(name):  # by whoever held it a moment ago
            self.let_go(name, number)
            return None
        return number

    @contextmanager
    def holding(self, name: str, number: int) -> Iterator[None]:
        """Touch an attempt as long as the block runs; then let it go."""
        path, ended = self._attempt(name, number), threading.Event()

        def touch() -> None:
            while not ended.wait(self.lease / 4):
                path.touch()

        thread = threading.Thread(target=touch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.let_go(name, number)

    def let_go(self, name: str, number: int) -> None:
        """End an attempt: whoever comes next need not wait until its lease is over."""
        os.utime(self._attempt(name, number), (0, 0))

    def write_failure(self, name: str, number: int, run: str, error: str) -> None:
        """Say what stopped an attempt, and in which run."""
        write_json(self.folder(name) / f"failure-{number:04d}.json", {"run": run, "error": error})

    def failures(self, name: str, run: str | None = None) -> list[str]:
        """What stopped the attempts at a cell, the oldest first; those of one run where it is named."""
        found = []
        for path in sorted(self.folder(name).glob("failure-*.json")):
            said = json.loads(path.read_text(encoding="utf-8"))
            if run in (None, said["run"]):
                found.append(str(said["error"]))
        return found

    def redo(self, name: str) -> None:
        """Make a cell whose record is broken an unfinished one; the record is kept under another name."""
        path = self.folder(name) / RECORD
        path.replace(path.with_name(f"broken-{uuid.uuid4().hex[:8]}.json"))

    def study_file(self, name: str) -> Path:
        """Where it is noted what a study of that name was when it was run last."""
        return self.root / "studies" / f"{name}.json"

    def studies(self) -> list[str]:
        """Names of the studies that were run into this folder."""
        return sorted(path.stem for path in (self.root / "studies").glob("*.json"))

    def note(self, name: str) -> dict[str, Any]:
        """What a study was when it was run last, as `run_study` noted it.

        Raises:
            StiltsError: a study of that name was not run into this folder, or the note cannot be read.
        """
        path = self.study_file(name)
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            there = self.studies()
            missing = "does not exist" if not self.root.is_dir() else "holds no study"
            holds = f"holds the studies {', '.join(there)}, and not {name}" if there else missing
            raise StiltsError(
                f"{self.root} {holds}. Expected the --output-dir of a run of {name}. Run it: hf-stilts study run "
                f"{name} --output-dir {shlex.quote(str(self.root))} (names: hf-stilts study list)"
            ) from None
        except ValueError as error:
            raise StiltsError(
                f"{path} cannot be read ({error}); the JSON that a run writes is expected. Type its command again: "
                f"hf-stilts study run {name} --output-dir {shlex.quote(str(self.root))}"
            ) from error

    def _attempt(self, name: str, number: int) -> Path:
        return self.folder(name) / f"attempt-{number:04d}.json"

    def _now(self) -> float:
        """The time by the clock that dates the files of this folder, which on a shared one is not this machine's."""
        if time.time() - self._looked > 1.0:
            probe = self.root / f".clock-{uuid.uuid4().hex[:8]}"
            self._looked, self._ahead = time.time(), 0.0
            try:
                probe.touch()
                self._ahead = probe.stat().st_mtime - time.time()
                probe.unlink()
            except OSError:  # somebody else's folder, which may only be read
                return time.time()
        return time.time() + self._ahead


def _machine() -> str:
    """Name of this machine since it was started, and of the container within it whose processes see each other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether the process that held an attempt has ended, as far as this machine can say."""
    process = holder.get("process")
    if os.name == "nt" or holder.get("machine") != _machine() or not isinstance(process, int):
        return False  # Windows has no signal that only asks
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _zombie(process)


def _zombie(process: int) -> bool:
    """Whether a process has ended and only waits for its parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
