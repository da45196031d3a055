"""The outbox: what a training run hands over to be published, and what became of it.

    <output_dir>/outbox/
        run.json                    where this run publishes, and what its checkpoints have in common
        place                       its inode and time of change tell whether the folder was copied
        step-200-1f0c9a7e/          one pending checkpoint each (see pending.py)
        claim.json                  that this training goes on with one of another machine (see claim.py)
        choice-5d2e8b10.json        which checkpoint a training chose for `main` of a repository
        main-5d2e8b10.json          which checkpoint `main` is, and why
        lock, courier.log           the one process that uploads, and what it saw

Everything is on disk before it counts, so any process can be killed at any time and another one can go on. What a power
cut leaves unreadable is set aside as `*.broken` and rebuilt; no command and no training stops for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_token

from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json
from hf_stilts.hub.record import Record, at_step
from hf_stilts.publishing.claim import CLAIM_FILE, read_claimed
from hf_stilts.publishing.pending import (
    STATE_FILE,
    UNREADABLE,
    PendingCheckpoint,
    new_pending,
    note_checksums,
    note_unpacked,
    pack,
    pending_folders,
    read_pending,
    set_aside,
)
from hf_stilts.publishing.published import Own
from hf_stilts.publishing.saved import saved_steps
from hf_stilts.tabular import Tabular

logger = logging.getLogger(__name__)

FOLDER = "outbox"
RUN_FILE = "run.json"
END = b"end\n"
_LAST = "the last checkpoint"
# At the end of a training, an upload that is slower than this is left to `hf-stilts publish --retry`.
_SILENT_SECONDS = 10.0  # a Hub that answers needs less, and nobody need be told
_SLOWEST_BYTES_PER_SECOND = 1_000_000
_LEAST_FREE = 1 << 16  # bytes; an upload writes how far it is, a card and a record before it sends anything


@dataclass(frozen=True)
class Pace:
    """How patient the upload worker is; all in seconds.

    Args:
        first_wait: before the second try; doubled with each failure up to `longest_wait`.
        timeout: without a byte from the Hub, before a connection is given up.
        patience: without any success after the last checkpoint, before the rest is left for later.
    """

    first_wait: float = 1.0
    longest_wait: float = 300.0
    timeout: float = 120.0
    patience: float = 300.0


@dataclass(frozen=True)
class Run:
    """What the checkpoints of a run have in common.

    Args:
        repo_id: destination, with or without a namespace.
        private: whether the repository is made private.
        record: what the card of each checkpoint says.
        since: when publishing began, in seconds since 1970: checkpoints saved before are not this run's.
        id: tells it from another training that publishes to the same repository; None where it goes on with one.
        earlier: step -> time (ns) of the checkpoints that were there when publishing began, which are not this run's.
        place: where the outbox is, as `place_of` tells it; None where a version wrote it that did not know.
        origins: ids that this training had before its folder was copied or moved.
    """

    repo_id: str
    private: bool
    record: Record
    since: float
    id: str | None = None
    earlier: dict[str, int] | None = None
    place: str | None = None
    origins: tuple[str, ...] = ()

    @property
    def lineage(self) -> tuple[str, ...]:
        """All ids of this training, the oldest first."""
        return self.origins if self.id is None else (*self.origins, self.id)

    def going_on_in(self, place: str | None, repo_id: str) -> Run:
        """Return this run as a resumed training continues it, at `place` and to `repo_id`.

        A folder that was copied takes a new id: the one it was copied from may go on as well, and two trainings of one
        id would be mixed in the repository. A folder that was only renamed stays in its place; one that was moved to
        another disk cannot be told from a copy, and nobody is in the way of its new id.
        """
        moved = None not in (self.place, place) and self.place != place
        if not moved and repo_id == self.repo_id:
            return replace(self, place=place)
        return replace(self, id=uuid.uuid4().hex, origins=self.lineage, place=place)

    def known_as(self, id: str, before: tuple[str, ...]) -> Run:
        """Return this run under an id, and those that it had `before`."""
        return replace(self, id=id, origins=tuple(each for each in before if each != id))

    def saved_it(self, step: int, state_file: Path) -> bool:
        """Whether a checkpoint was saved since publishing began, whatever the clock did meanwhile."""
        about = state_file.stat()
        if self.earlier is None:  # written by a version that went by the clock
            return about.st_mtime >= self.since
        return self.earlier.get(str(step)) != about.st_mtime_ns


@dataclass(frozen=True)
class Choice:
    """The wish that `main` be the checkpoint of `step`; `commit` once it is, `reason` where it cannot be.

    Without one, `main` is the newest checkpoint.
    """

    path: Path
    repo_id: str
    step: int
    why: str
    commit: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "path"}

    def is_main(self, main: MainState) -> bool:
        """Whether it is fulfilled by what `main` is."""
        return same_repository(main.repo_id, self.repo_id) and main.step == self.step


@dataclass(frozen=True)
class MainState:
    """What `main` of a repository is: the checkpoint of `step`, since `commit`, and why that one."""

    repo_id: str
    step: int
    why: str
    commit: str


@dataclass(frozen=True, repr=False)
class OutboxStatus(Tabular):
    """What became of the checkpoints of an output folder; `str()` gives the report for people."""

    output_dir: Path
    checkpoints: tuple[PendingCheckpoint, ...]
    choices: tuple[Choice, ...] = ()
    to_resume: PendingCheckpoint | None = None
    unpacked: tuple[int, ...] = ()
    mains: tuple[MainState, ...] = ()
    broken: tuple[str, ...] = ()
    full: bool = False

    @property
    def sent(self) -> tuple[PendingCheckpoint, ...]:
        """Those on the Hub, every file confirmed."""
        return tuple(pending for pending in self.checkpoints if pending.state == "sent")

    @property
    def waiting(self) -> tuple[PendingCheckpoint, ...]:
        """Those that still lie in the outbox and will be tried again."""
        return tuple(pending for pending in self.checkpoints if pending.state == "waiting")

    @property
    def failed(self) -> tuple[PendingCheckpoint, ...]:
        """Those that need the user; each says why in `reason`."""
        return tuple(pending for pending in self.checkpoints if pending.state == "failed")

    @property
    def ok(self) -> bool:
        """Whether all is on the Hub and `main` is what was chosen, or the newest."""
        resumable = self.to_resume is None or self.to_resume.state == "sent"
        sent = len(self.sent) == len(self.checkpoints) and not self.unpacked and not self.broken
        return resumable and sent and not self.unsettled and all(choice.commit for choice in self.choices)

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Repositories with sent checkpoints of which it is not known that `main` is the right one."""
        newest: dict[str, int] = {}
        for pending in self.sent:
            newest[pending.repo_id] = max(pending.step, newest.get(pending.repo_id, 0))
        known = {main.repo_id: main.step for main in self.mains}
        chosen = {main.repo_id for main in self.mains if any(choice.is_main(main) for choice in self.choices)}
        not_chosen = {repo_id: step for repo_id, step in newest.items() if repo_id not in chosen}
        return tuple(repo_id for repo_id, step in not_chosen.items() if known.get(repo_id, -1) < step)

    @property
    def command(self) -> str | None:
        """What to type to send the rest; None when there is no rest."""
        return None if self.ok else f"hf-stilts publish --retry {shlex.quote(str(self.output_dir))}"

    def rows(self) -> list[dict[str, str | int | None]]:
        """Return what a table of the outbox shows, a checkpoint a row."""
        return [
            {
                "checkpoint": pending.tag,
                "state": pending.state,
                "repository": pending.repo_id,
                "commit": pending.commit,
                "bytes": sum(file.size for file in pending.files.values()),
                "tries": pending.attempts,
                "reason": pending.reason,
            }
            for pending in self.checkpoints
        ]

    def __str__(self) -> str:
        saved = len(self.checkpoints) + len(self.unpacked) + len(self.broken)
        lines = [f"{len(self.sent)} of {saved} checkpoints are on the Hub."]
        lines += [f"main of {main.repo_id} is step-{main.step}: {main.why}." for main in self.mains]
        if not self.waiting:
            lines += [f"main of {repo_id} has not been checked since, or is gone." for repo_id in self.unsettled]
        lines += [f"main is not step-{c.step}: {c.reason or 'not done yet'}." for c in self.choices if not c.commit]
        lines += [f"step-{step} was saved, and is not in the outbox yet." for step in self.unpacked]
        lines += [f"{name} of the outbox has files, and nothing says of what." for name in self.broken]
        lines += _reasons((*self.waiting, *self.failed))
        if self.to_resume and self.to_resume.state != "sent":
            lines.append(f"To resume at {self.to_resume.tag}, {self.to_resume.state}: {self.to_resume.reason}.")
        lines += sorted({f"Note: {note}." for pending in self.checkpoints for note in pending.notes})
        if self.full and not self.ok:
            lines.append(f"The disk of {self.output_dir / FOLDER} is full, so nothing can be sent. Free some space.")
        if self.command:
            waits = bool(self.waiting or self.unpacked)
            lines.append(
                f"What waits lies in {self.output_dir / FOLDER}. To send it: {self.command}"
                if waits
                else f"To try again: {self.command}"
            )
        return "\n".join(lines)


def _reasons(checkpoints: tuple[PendingCheckpoint, ...]) -> list[str]:
    """One line for all checkpoints that wait or failed for the same reason."""
    tags: dict[str, list[str]] = {}
    for pending in checkpoints:
        tags.setdefault(f"{pending.state}: {pending.reason or 'not tried yet'}.", []).append(pending.tag)
    lines = []
    for reason, names in tags.items():
        several = f"{names[0]} to {names[-1]} ({len(names)} checkpoints)" if len(names) > 3 else ", ".join(names)
        lines.append(f"{several} {reason}")
    return lines


class Outbox:
    """The training's side: put checkpoints in, and at the end wait for the upload worker.

    A full disk, or a folder that cannot be written, stops no training: it is said, and tried again at each save.

    Args:
        output_dir: the run's folder; the outbox is made inside.
        repo_id: destination, with or without a namespace.
        private: make the repository private and refuse a public one.
        record: what all checkpoints of the run have in common.
        pace: how long to wait between tries, and for the Hub after the end.
        token: access token; default: the one that `hf auth login` stored.
        overwrite: files of another model that the repository holds are removed, not a reason to refuse.
        resumed: the training goes on from a checkpoint. What an earlier one chose for `main` then stays until this one
            chooses, and its checkpoints belong to the same run; of a folder that was copied, to one that follows it.
    """

    def __init__(
        self,
        output_dir: str | Path,
        repo_id: str,
        *,
        private: bool,
        record: Record,
        pace: Pace | None = None,
        token: str | None = None,
        overwrite: bool = False,
        resumed: bool = False,
    ) -> None:
        self.folder = Path(output_dir) / FOLDER
        self.pace = pace or Pace()
        self.token, self.overwrite = token, overwrite
        self.packed: set[int] = set()
        self.worker: subprocess.Popen[bytes] | None = None
        self._reading: list[threading.Thread] = []
        self._said: set[str | None] = set()  # reasons of refusals
        there = {str(step): (path / STATE_FILE).stat().st_mtime_ns for step, path in saved_steps(output_dir).items()}
        run_id = None if resumed else uuid.uuid4().hex
        self.run = Run(repo_id, private, record, since=time.time(), id=run_id, earlier=there)
        self._resumed, self._begun = resumed, False
        self._unwritten: Choice | None = None
        # Not packed, and not noted either: the outbox could not be written.
        self._unnoted: list[PendingCheckpoint] = []
        self._begin()
        if self._begun:
            self._adopt_earlier()
        self._wake_worker()

    @property
    def _choice(self) -> Path:
        return self.folder / f"choice-{_short_hash(self.run.repo_id)}.json"

    def _begin(self) -> None:
        """Write where the run publishes, unless that is done."""
        if self._begun:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            earlier = read_run(self.folder)
            place = place_of(self.folder)
            self.run = replace(self.run, place=place)
            claimed = read_claimed(self.folder)
            if not self._resumed:
                (self.folder / CLAIM_FILE).unlink(missing_ok=True)
            elif claimed and claimed.place == place and same_repository(claimed.repo_id, self.run.repo_id):
                before = earlier.lineage if earlier else ()
                self.run = self.run.known_as(claimed.claim.run, before)
            elif earlier:
                goes_on = earlier.going_on_in(place, self.run.repo_id)
                self.run = replace(self.run, id=goes_on.id, origins=goes_on.origins)
            if earlier and earlier.repo_id == self.run.repo_id:
                since = min(earlier.since, self.run.since)
                self.run = replace(self.run, since=since, earlier=earlier.earlier)
            write_run(self.folder, self.run)
            if not self._resumed:  # a training that was begun anew has chosen nothing yet
                self._choice.unlink(missing_ok=True)
            self._begun = True
        except OSError as error:
            logger.warning(
                "Nothing can be written in %s (%s), so nothing is published yet; the training goes on, and it is tried "
                "again at each save. Free some space.",
                *(self.folder, error),
            )

    def _adopt_earlier(self) -> None:
        """Pack what a killed training saved and did not pack, before `save_total_limit` deletes it."""
        try:
            adopt(self.folder, self.run, begun=math.inf, before=math.inf)  # all that is there, whatever the clock did
        except Exception as error:  # whatever it is, the training goes on; the upload worker tries again
            logger.warning("What an earlier training saved in %s is not in the outbox: %s", self.folder.parent, error)

    def add(
        self, checkpoint: Path, record: Record, branch: str = "main", stated: Mapping[str, Any] | None = None
    ) -> None:
        """Put a checkpoint in; its folder may be deleted afterwards. A failure is logged and reported, never raised.

        `stated` is front matter of its card that the user gives.
        """
        self._begin()
        pending = None
        try:
            pending = new_pending(record, self.run.repo_id, self.run.private, branch, self.run.id)
            pending = replace(pending, stated=dict(stated or {}))
            pending = pack(checkpoint, self.folder, pending)
            self._note_checksums(pending)
            if branch == "main":
                self.packed.add(record.step)
        except Exception as error:  # whatever it is, the training goes on
            logger.warning("%s is not in the outbox: %s", checkpoint.name, error)
            if pending is not None:
                reason = f"it could not be packed: {error or type(error).__name__}"
                self._unnoted.append(replace(pending, state="failed", reason=reason))
        self._note_unpacked()
        self._say_refused()
        self._wake_worker()

    def _note_unpacked(self) -> None:
        """Note what could not be packed; what cannot be noted either is tried again at the next save and at the end."""
        self._unnoted = [pending for pending in self._unnoted if not note_unpacked(self.folder, pending)]

    def _say_refused(self) -> None:
        """Say once, while the training still runs, why checkpoints of it will not be published."""
        for _, pending in read_pending(self.folder):
            if pending.state == "failed" and pending.files and pending.reason not in self._said:
                self._said.add(pending.reason)
                logger.warning("%s is not published: %s", pending.tag, pending.reason)

    def _note_checksums(self, pending: PendingCheckpoint) -> None:
        """Read what was packed in a thread, which lets the training go on: hashing and reading free the interpreter."""
        thread = threading.Thread(target=note_checksums, args=(self.folder / pending.folder_name, pending), daemon=True)
        self._reading = [each for each in self._reading if each.is_alive()]
        self._reading.append(thread)
        thread.start()

    def client(self) -> HfApi:
        """Client of the Hub that this outbox is sent to."""
        return HfApi(endpoint=constants.ENDPOINT, token=self.token)

    def choose(self, step: int, why: str) -> None:
        """Ask that `main` be the checkpoint of `step`, once that is sent, and not the newest one.

        A failure is logged, never raised: all checkpoints are still sent then.
        """
        self._unwritten = Choice(self._choice, repo_id=self.run.repo_id, step=step, why=why)
        self._write_choice()

    def _write_choice(self) -> None:
        """Write the choice unless that is done: a disk that was full may have room after the waiting, for `--retry`."""
        choice = self._unwritten
        if choice is None:
            return
        try:
            write_json(choice.path, choice.to_dict(), durable=True)
            self._unwritten = None
        except OSError as error:
            logger.warning("main will be the newest checkpoint and not step-%d, %s: %s", choice.step, choice.why, error)

    def choose_newest(self) -> None:
        """Let `main` be the newest checkpoint, whatever an earlier training chose; a failure is logged."""
        try:
            self._choice.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("main stays what an earlier training chose: %s", error)

    def close(self, wait: bool = True) -> OutboxStatus:
        """Say that no more will come, wait for the worker unless told not to (it goes on by itself), and report."""
        self._note_unpacked()
        self._wake_worker()
        for thread in self._reading:
            thread.join()
        try:
            if self.worker is not None:
                dismiss(self.worker)
                if wait:
                    wait_for(self.worker, self.folder, self.pace)
        except KeyboardInterrupt:
            logger.warning("Not waiting any longer; the upload worker goes on in the background.")
        self._write_choice()
        return self._with_unnoted(outbox_status(self.folder.parent))

    def _with_unnoted(self, status: OutboxStatus) -> OutboxStatus:
        """The report with the checkpoints that only this process knows of; those that are still there are in it."""
        known = {*status.unpacked, *(pending.step for pending in status.checkpoints)}
        lost = [pending for pending in self._unnoted if pending.branch == "main" and pending.step not in known]
        return replace(status, checkpoints=(*status.checkpoints, *lost))

    def _wake_worker(self) -> None:
        """Tell the worker of a new checkpoint; start one where none runs: a killed one's work is on disk."""
        try:
            if self.worker is None or self.worker.poll() is not None:
                self.worker = start_worker(self.folder, self.pace, self.token, self.overwrite)
            _tell(self.worker, b"new\n")
        except OSError as error:
            logger.warning("The upload worker cannot be reached (%s); checkpoints stay in %s.", error, self.folder)


def outbox_status(output_dir: str | Path) -> OutboxStatus:
    """Report what was sent, waits or failed in the outbox of `output_dir`; raise FileNotFoundError if it has none."""
    folder = _outbox_of(output_dir)
    read = list(read_pending(folder))
    checkpoints = [pending for _, pending in read]
    to_resume = [pending for pending in checkpoints if pending.branch != "main"]
    unread = {path for path in pending_folders(folder) if (path / "files").is_dir()} - {path for path, _ in read}
    return OutboxStatus(
        folder.parent,
        checkpoints=tuple(pending for pending in checkpoints if pending.branch == "main"),
        choices=tuple(read_choices(folder)),
        to_resume=to_resume[-1] if to_resume else None,
        unpacked=tuple(sorted(unpacked(folder))),
        mains=tuple(read_mains(folder)),
        broken=tuple(sorted(path.name for path in unread)),
        full=shutil.disk_usage(folder).free < _LEAST_FREE,
    )


def unpacked(folder: Path) -> set[int]:
    """Steps of checkpoints that a run has saved since it began, and that are in no pending checkpoint."""
    run = read_run(folder)
    if run is None:
        return set()
    packed = {pending.step for _, pending in read_pending(folder) if pending.branch == "main"}
    saved = saved_steps(folder.parent)
    return {step for step, path in saved.items() if run.saved_it(step, path / STATE_FILE)} - packed


def adopt(outbox: Path, run: Run, begun: float, before: float) -> None:
    """Pack checkpoints saved `before` that are not pending: the process was killed, or the disk full, before that.

    Those saved before `begun`, when this training wrote its `run.json`, are an earlier one's, of unknown id. A training
    does it before its first step, since its next save may delete them; the upload worker, for one that is dead.
    """
    checkpoints = [(folder, pending) for folder, pending in read_pending(outbox) if pending.branch == "main"]
    known = {pending.step for _, pending in checkpoints if pending.files}
    for step, checkpoint in sorted(saved_steps(outbox.parent).items()):
        state_file = checkpoint / STATE_FILE
        try:
            saved = state_file.stat().st_mtime
            if saved >= before or not run.saved_it(step, state_file):
                continue
            state = json.loads(state_file.read_text(encoding="utf-8"))
            if state["global_step"] in known:
                continue
            record = at_step(run.record, state["global_step"], state.get("epoch"), state.get("log_history", []))
            run_id = run.id if saved >= begun else None
            pack(state_file.parent, outbox, new_pending(record, run.repo_id, run.private, run=run_id))
            for folder, pending in checkpoints:
                if pending.step == record.step and not pending.files:
                    shutil.rmtree(folder)
        except UNREADABLE as error:
            logger.warning("%s could not be packed: %s", state_file.parent.name, error)


def repack_to_resume(outbox: Path) -> None:
    """Pack the newest checkpoint to resume from again where the disk was full, if it still is as it was saved then."""
    to_resume = [(folder, pending) for folder, pending in read_pending(outbox) if pending.branch != "main"]
    if not to_resume:
        return
    folder, pending = to_resume[-1]
    saved = saved_steps(outbox.parent).get(pending.step)
    if pending.files or pending.state == "sent" or saved is None:
        return
    try:
        if (saved / STATE_FILE).stat().st_mtime > pending.packed_at:  # a later save of the same step
            return
        again = new_pending(pending.read_record(), pending.repo_id, pending.private, pending.branch, run=pending.run)
        pack(saved, outbox, again)
        shutil.rmtree(folder)
    except (StiltsError, *UNREADABLE) as error:
        logger.warning("%s, to resume from, could not be packed: %s", saved.name, error)


def retry(
    output_dir: str | Path, watch: bool = False, pace: Pace | None = None, *, overwrite: bool = False
) -> OutboxStatus:
    """Send what waits or failed in the outbox of `output_dir` and report.

    With `watch`, stay and upload what a training running elsewhere puts in, until interrupted (Ctrl-C). With
    `overwrite`, files of another model are removed from the repository.

    Raises:
        FileNotFoundError: there is no outbox.
        StiltsError: its disk is full.
    """
    folder, pace = _outbox_of(output_dir), pace or Pace()
    before = outbox_status(output_dir)
    if before.full and not before.ok:
        raise StiltsError(
            f"The disk of {folder} is full, and an upload first writes there how far it is; {_LEAST_FREE // 1024} kB "
            f"are expected. Free some space, then: {before.command}"
        )
    worker = start_worker(folder, pace, overwrite=overwrite)
    try:
        if watch:
            worker.wait()
    except KeyboardInterrupt:
        logger.info("No longer watching; sending what is there.")
    dismiss(worker)
    wait_for(worker, folder, pace)
    return outbox_status(output_dir)


def start_worker(
    folder: Path, pace: Pace, token: str | None = None, overwrite: bool = False
) -> subprocess.Popen[bytes]:
    """Start the upload worker, a process; it lives until it is dismissed, or we are dead, and nothing is left to do."""
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "HF_ENDPOINT": constants.ENDPOINT,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    if token := token or get_token():
        environment["HF_TOKEN"] = token  # by environment: arguments can be read by every user of the machine
    worker = [sys.executable, "-m", "hf_stilts.publishing.worker", str(folder.absolute()), json.dumps(vars(pace))]
    with (folder / "courier.log").open("ab") as log:
        return subprocess.Popen(
            [*worker, *(["overwrite"] if overwrite else [])],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C ends the training, and the upload worker sends what is there
        )


def dismiss(worker: subprocess.Popen[bytes]) -> None:
    """Tell the upload worker that no more will come: it finishes what is there, whether we wait or not."""
    try:
        _tell(worker, END)  # said, since the end of the pipe may be held open by forked data loader workers
        if worker.stdin is not None:
            worker.stdin.close()
    except OSError as error:
        logger.debug("The upload worker is gone already: %s", error)


def _tell(worker: subprocess.Popen[bytes], message: bytes) -> None:
    if worker.stdin is not None:
        worker.stdin.write(message)
        worker.stdin.flush()


def wait_for(worker: subprocess.Popen[bytes], folder: Path, pace: Pace) -> None:
    """Wait until the worker is done; it is ended when it makes no progress for longer than the files can need."""
    unsent, deadline, begun, said = -1, 0.0, time.monotonic(), False
    while worker.poll() is None:
        waiting = [pending for _, pending in read_pending(folder) if pending.state == "waiting"]
        if len(waiting) != unsent:
            unsent = len(waiting)
            size = sum(file.size for pending in waiting for file in pending.files.values())
            deadline = time.monotonic() + pace.patience + pace.timeout + size / _SLOWEST_BYTES_PER_SECOND
        if unsent and not said and time.monotonic() - begun > _SILENT_SECONDS:
            said = True
            logger.warning(
                "Waiting up to %.0f s more for %d checkpoints to reach the Hub; nothing is lost if you interrupt.",
                *(deadline - time.monotonic(), unsent),
            )
        if time.monotonic() > deadline:
            worker.kill()
        try:
            worker.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            continue


def read_run(folder: Path) -> Run | None:
    """Read where the run publishes; None where no run has been begun.

    One that cannot be read is set aside and rebuilt from the pending checkpoints; None where there are none.
    """
    path = folder / RUN_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        record = Record.from_json(json.dumps(data["record"]))
        known = {name: value for name, value in data.items() if name in _names_of(Run)}
        origins = tuple(data.get("origins", ()))
        return Run(**{**known, "record": record, "since": float(data["since"]), "origins": origins})
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        return _rebuild_run(folder, path, error)


def _rebuild_run(folder: Path, path: Path, error: Exception) -> Run | None:
    begun = path.stat().st_mtime  # when it was written, a training began: what was saved since is its own
    set_aside(path, error)
    checkpoints = [pending for _, pending in read_pending(folder)]
    if not checkpoints:
        logger.warning("Where this run publishes is not known any more. Start its training again, with --resume auto.")
        return None
    newest, since = checkpoints[-1], min(begun, *(pending.packed_at for pending in checkpoints))
    # What only one checkpoint has is left out.
    record = at_step(newest.read_record(), 0, None, [])
    run = Run(newest.repo_id, newest.private, record, since, newest.run)
    try:
        write_run(folder, run)
        os.utime(path, (begun, begun))
    except OSError as problem:
        logger.warning("%s could not be rebuilt: %s", path, problem)
    return run


def place_of(folder: Path) -> str | None:
    """Tell where an outbox is, so that it is the same after its folder was renamed, and another in a copy of it.

    The inode and the time of change of a file: no way of copying keeps both. None where no file can be made.
    """
    marker = folder / "place"
    try:
        if not marker.exists():  # touching it would change its time
            marker.touch()
        about = marker.stat()
    except OSError as error:
        logger.debug("Where the outbox is cannot be told: %s", error)
        return None
    return f"{about.st_ino}-{about.st_ctime_ns}"


def own_checkpoints(folder: Path, run_id: str | None) -> Own:
    """How the training `run_id`, whose checkpoints are in the outbox `folder`, knows them on the Hub."""
    run = read_run(folder)
    lineage: tuple[str, ...] = () if run_id is None else (run_id,)
    if run is not None and run_id is not None and run_id in run.lineage:
        lineage, run_id = run.lineage, run.id
    # Of a run whose id is not known, those are its own that say none either.
    mine = [pending for _, pending in read_pending(folder) if pending.run in (lineage or (None,))]
    sent = frozenset(pending.commit for pending in mine if pending.commit)
    claimed = read_claimed(folder)
    inherited = frozenset(claimed.claim.continued) if claimed and claimed.claim.run in lineage else frozenset()
    return Own(run_id, sent, frozenset(pending.id[:8] for pending in mine), frozenset(lineage), inherited)


def write_run(folder: Path, run: Run) -> None:
    """Write where a run publishes, so that it survives a power cut."""
    written = {**dataclasses.asdict(run), "record": json.loads(run.record.to_json())}
    write_json(folder / RUN_FILE, written, durable=True)


def read_choices(folder: Path) -> list[Choice]:
    """Read which checkpoints `main` shall be, oldest wish first.

    One that cannot be read is set aside and rebuilt from the newest checkpoint's state, which knows the best step.
    """
    found = []
    for path in folder.glob("choice-*.json"):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            choice = Choice(path=path, **data)
            _check_types(choice)
            found.append((path.stat().st_mtime_ns, choice))
        except FileNotFoundError:  # just removed
            continue
        except UNREADABLE as error:
            written = path.stat().st_mtime_ns
            set_aside(path, error)
            if rebuilt := _rebuild_choice(folder, path):
                found.append((written, rebuilt))
    # Outboxes of an earlier version say so where nothing was chosen: then main is the newest anyway.
    return [choice for _, choice in sorted(found, key=lambda pair: pair[0]) if choice.why != _LAST]


def _rebuild_choice(folder: Path, path: Path) -> Choice | None:
    run = read_run(folder)
    if run is None or path.name != f"choice-{_short_hash(run.repo_id)}.json":
        return None
    saved = saved_steps(folder.parent)
    if not saved:
        return None
    newest = json.loads((saved[max(saved)] / STATE_FILE).read_text(encoding="utf-8"))
    if newest.get("best_global_step") is None or newest.get("best_metric") is None:
        return None
    choice = Choice(path, run.repo_id, int(newest["best_global_step"]), f"best so far ({newest['best_metric']:.4f})")
    try:
        write_json(path, choice.to_dict(), durable=True)
    except OSError as error:
        logger.warning("%s could not be rebuilt: %s", path, error)
    return choice


def read_mains(folder: Path) -> list[MainState]:
    """Read what `main` of each repository is, as far as it is known; what cannot be read will be asked again."""
    found = []
    for path in sorted(folder.glob("main-*.json")):
        try:
            main = MainState(**json.loads(path.read_text(encoding="utf-8")))
            _check_types(main)
            found.append(main)
        except UNREADABLE as error:
            logger.warning("%s cannot be read (%s); the upload worker will ask the Hub.", path, error)
    return found


def _check_types(stored: Choice | MainState) -> None:
    """Raise TypeError where a file holds another type of value than was written: then it cannot be read."""
    if not isinstance(stored.repo_id, str) or not isinstance(stored.why, str) or type(stored.step) is not int:
        raise TypeError(f"repo_id {stored.repo_id!r}, step {stored.step!r} or why {stored.why!r} is of another type")


def write_main(folder: Path, main: MainState) -> None:
    """Write what `main` of a repository is now."""
    write_json(folder / f"main-{_short_hash(main.repo_id)}.json", dataclasses.asdict(main), durable=True)


def forget_main(folder: Path, repo_id: str) -> None:
    """What `main` of a repository was is not known any more: the repository is gone."""
    for main in read_mains(folder):
        if same_repository(main.repo_id, repo_id):
            (folder / f"main-{_short_hash(main.repo_id)}.json").unlink(missing_ok=True)


def same_repository(full: str, repo_id: str) -> bool:
    """Whether a repository's full name is meant by `repo_id`, which may lack its namespace.

    >>> same_repository("me/tiny", "tiny"), same_repository("me/tiny", "you/tiny")
    (True, False)
    """
    return f"/{full}".endswith(f"/{repo_id}")


def _short_hash(repo_id: str) -> str:
    return hashlib.sha256(repo_id.encode()).hexdigest()[:8]


def _names_of(kind: type) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def _outbox_of(output_dir: str | Path) -> Path:
    folder = Path(output_dir)
    folder = folder if folder.name == FOLDER and not (folder / FOLDER).is_dir() else folder / FOLDER
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no outbox in {output_dir}. An output folder of a training with PublishCheckpoints is expected: "
            "hf-stilts publish OUTPUT_DIR"
        )
    return folder
