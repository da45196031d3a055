"""The outbox: what a training run hands over to be published, and what became of it.

    <output_dir>/outbox/
        run.json                    where this run publishes, and what its checkpoints have in common
        step-200-1f0c9a7e/          one parcel a checkpoint (see parcel.py)
        choice-5d2e8b10.json        which checkpoint `main` of a repository shall be
        lock, courier.log           the one process that delivers, and what it saw

Everything is on disk before it counts, so any process can be killed at any time and another one can go on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_token

from hf_stilts.files import write_json
from hf_stilts.hub.record import Record
from hf_stilts.publishing.pending import STATE_FILE, Parcel, new_parcel, note_unpacked, pack, read_parcels

logger = logging.getLogger(__name__)

FOLDER = "outbox"
RUN_FILE = "run.json"
END = b"end\n"
# At the end of a training, an upload that is slower than this is left to `hf-stilts publish --retry`.
_SILENT_SECONDS = 10.0  # a Hub that answers needs less, and nobody need be told
_SLOWEST_BYTES_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class Pace:
    """How patient the courier is; all in seconds.

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
    """What the checkpoints of a run have in common; `since` is when it began, in seconds since 1970."""

    repo_id: str
    private: bool
    record: Record
    since: float


@dataclass(frozen=True)
class Choice:
    """The wish that `main` be the checkpoint of `step`; `commit` once it is, `reason` where that failed."""

    path: Path
    repo_id: str
    step: int
    why: str
    commit: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "path"}


@dataclass(frozen=True)
class OutboxStatus:
    """What became of the checkpoints of an output folder; `str()` gives the report for people."""

    output_dir: Path
    parcels: tuple[Parcel, ...]
    choices: tuple[Choice, ...] = ()
    to_resume: Parcel | None = None
    unpacked: tuple[int, ...] = ()

    @property
    def sent(self) -> tuple[Parcel, ...]:
        """Those on the Hub, every file confirmed."""
        return tuple(parcel for parcel in self.parcels if parcel.state == "sent")

    @property
    def waiting(self) -> tuple[Parcel, ...]:
        """Those that still lie in the outbox and will be tried again."""
        return tuple(parcel for parcel in self.parcels if parcel.state == "waiting")

    @property
    def failed(self) -> tuple[Parcel, ...]:
        """Those that need the user; each says why in `reason`."""
        return tuple(parcel for parcel in self.parcels if parcel.state == "failed")

    @property
    def ok(self) -> bool:
        """Whether all is on the Hub and `main` is what was chosen."""
        resumable = self.to_resume is None or self.to_resume.state == "sent"
        sent = len(self.sent) == len(self.parcels) and not self.unpacked
        return resumable and sent and all(choice.commit for choice in self.choices)

    @property
    def command(self) -> str | None:
        """What to type to send the rest; None when there is no rest."""
        return None if self.ok else f"hf-stilts publish --retry {self.output_dir}"

    def rows(self) -> list[dict[str, str | int | None]]:
        """Return what a table of the outbox shows, a checkpoint a row."""
        return [
            {
                "checkpoint": parcel.tag,
                "state": parcel.state,
                "repository": parcel.repo_id,
                "commit": parcel.commit[:12] if parcel.commit else None,
                "bytes": sum(file.size for file in parcel.files.values()),
                "tries": parcel.attempts,
                "reason": parcel.reason,
            }
            for parcel in self.parcels
        ]

    def __str__(self) -> str:
        lines = [f"{len(self.sent)} of {len(self.parcels) + len(self.unpacked)} checkpoints are on the Hub."]
        lines += [f"step-{step} was saved, and is not in the outbox yet." for step in self.unpacked]
        for parcel in (*self.waiting, *self.failed):
            lines.append(f"{parcel.tag} {parcel.state}: {parcel.reason or 'not tried yet'}.")
        if self.to_resume and self.to_resume.state != "sent":
            lines.append(f"To resume at {self.to_resume.tag}, {self.to_resume.state}: {self.to_resume.reason}.")
        if not self.waiting:
            lines += [f"main is not step-{c.step}: {c.reason or 'not done yet'}." for c in self.choices if not c.commit]
        lines += sorted({f"Note: {note}." for parcel in self.parcels for note in parcel.notes})
        if self.command:
            lines.append(f"What waits lies in {self.output_dir / FOLDER}. To send it: {self.command}")
        return "\n".join(lines)


class Outbox:
    """The training's side: put checkpoints in, and at the end wait for the courier.

    Args:
        output_dir: the run's folder; the outbox is made inside.
        repo_id: destination, with or without a namespace.
        private: make the repository private and refuse a public one.
        record: what all checkpoints of the run have in common.
        token: access token; default: the one that `hf auth login` stored.
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
    ) -> None:
        self.folder = Path(output_dir) / FOLDER
        self.pace = pace or Pace()
        self.token = token
        self.packed: set[int] = set()
        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = read_run(self.folder)
        since = earlier.since if earlier and earlier.repo_id == repo_id else time.time()
        self.run = Run(repo_id=repo_id, private=private, record=record, since=since)
        written = {**dataclasses.asdict(self.run), "record": json.loads(record.to_json())}
        write_json(self.folder / RUN_FILE, written)
        # What main was to be after an earlier training is for this one to say again.
        self._choice.unlink(missing_ok=True)
        self.courier: subprocess.Popen[bytes] | None = None
        self._ring()

    @property
    def _choice(self) -> Path:
        return self.folder / f"choice-{hashlib.sha256(self.run.repo_id.encode()).hexdigest()[:8]}.json"

    def add(self, checkpoint: Path, record: Record, branch: str = "main") -> None:
        """Put a checkpoint in; its folder may be deleted afterwards. A failure is logged and reported, never raised."""
        parcel = None
        try:
            parcel = new_parcel(record, self.run.repo_id, self.run.private, branch)
            pack(checkpoint, self.folder, parcel)
            if branch == "main":
                self.packed.add(record.step)
        except Exception as error:  # whatever it is, the training goes on
            logger.warning("%s is not in the outbox: %s", checkpoint.name, error)
            if parcel is not None:
                note_unpacked(self.folder, parcel, str(error) or type(error).__name__)
        self._ring()

    def choose(self, step: int, why: str) -> None:
        """Ask that `main` be the checkpoint of `step` once all are sent."""
        write_json(self._choice, Choice(self._choice, repo_id=self.run.repo_id, step=step, why=why).to_dict())

    def close(self, wait: bool = True) -> OutboxStatus:
        """Say that no more will come, wait for the courier unless told not to (it goes on by itself), and report."""
        self._ring()
        try:
            if self.courier is not None:
                dismiss(self.courier)
                if wait:
                    wait_for(self.courier, self.folder, self.pace)
        except KeyboardInterrupt:
            logger.warning("Not waiting any longer; the courier goes on in the background.")
        return outbox_status(self.folder.parent)

    def _ring(self) -> None:
        """Tell the courier of a new parcel; start one where none runs: a killed one's work is on disk."""
        try:
            if self.courier is None or self.courier.poll() is not None:
                self.courier = start_courier(self.folder, self.pace, self.token)
            _tell(self.courier, b"parcel\n")
        except OSError as error:
            logger.warning("The courier cannot be reached (%s); checkpoints stay in %s.", error, self.folder)


def outbox_status(output_dir: str | Path) -> OutboxStatus:
    """Report what was sent, waits or failed in the outbox of `output_dir`; raise FileNotFoundError if it has none."""
    folder = _outbox_of(output_dir)
    parcels = [parcel for _, parcel in read_parcels(folder)]
    to_resume = [parcel for parcel in parcels if parcel.branch != "main"]
    return OutboxStatus(
        folder.parent,
        parcels=tuple(parcel for parcel in parcels if parcel.branch == "main"),
        choices=tuple(read_choices(folder)),
        to_resume=to_resume[-1] if to_resume else None,
        unpacked=tuple(sorted(unpacked(folder))),
    )


def unpacked(folder: Path) -> set[int]:
    """Steps of checkpoints that a run has saved since it began, and that are in no parcel."""
    run = read_run(folder)
    if run is None:
        return set()
    states = folder.parent.glob(f"checkpoint-*/{STATE_FILE}")
    steps = (file.parent.name.rpartition("-")[2] for file in states if file.stat().st_mtime >= run.since)
    packed = {parcel.step for _, parcel in read_parcels(folder) if parcel.branch == "main"}
    return {int(step) for step in steps if step.isdecimal()} - packed


def retry(output_dir: str | Path, watch: bool = False, pace: Pace | None = None) -> OutboxStatus:
    """Send what waits or failed in the outbox of `output_dir` and report; raise FileNotFoundError if it has none.

    With `watch`, stay and deliver what a training running elsewhere puts in, until interrupted (Ctrl-C).
    """
    folder, pace = _outbox_of(output_dir), pace or Pace()
    courier = start_courier(folder, pace)
    try:
        if watch:
            courier.wait()
    except KeyboardInterrupt:
        logger.info("No longer watching; sending what is there.")
    dismiss(courier)
    wait_for(courier, folder, pace)
    return outbox_status(output_dir)


def start_courier(folder: Path, pace: Pace, token: str | None = None) -> subprocess.Popen[bytes]:
    """Start the process that delivers; it lives until it is dismissed, or we are dead, and nothing is left to do."""
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "HF_ENDPOINT": constants.ENDPOINT,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    if token := token or get_token():
        environment["HF_TOKEN"] = token  # by environment: arguments can be read by every user of the machine
    with (folder / "courier.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hf_stilts.publishing.worker", str(folder.absolute()), json.dumps(vars(pace))],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C ends the training, and the courier sends what is there
        )


def dismiss(courier: subprocess.Popen[bytes]) -> None:
    """Tell the courier that no more parcels will come: it finishes what is there, whether we wait or not."""
    try:
        _tell(courier, END)  # said, since the end of the pipe may be held open by forked data loader workers
        if courier.stdin is not None:
            courier.stdin.close()
    except OSError as error:
        logger.debug("The courier is gone already: %s", error)


def _tell(courier: subprocess.Popen[bytes], message: bytes) -> None:
    if courier.stdin is not None:
        courier.stdin.write(message)
        courier.stdin.flush()


def wait_for(courier: subprocess.Popen[bytes], folder: Path, pace: Pace) -> None:
    """Wait until the courier is done; it is ended when it makes no progress for longer than the files can need."""
    unsent, deadline, begun, said = -1, 0.0, time.monotonic(), False
    while courier.poll() is None:
        waiting = [parcel for _, parcel in read_parcels(folder) if parcel.state == "waiting"]
        if len(waiting) != unsent:
            unsent = len(waiting)
            size = sum(file.size for parcel in waiting for file in parcel.files.values())
            deadline = time.monotonic() + pace.patience + pace.timeout + size / _SLOWEST_BYTES_PER_SECOND
        if unsent and not said and time.monotonic() - begun > _SILENT_SECONDS:
            said = True
            logger.warning(
                "Waiting up to %.0f s more for %d checkpoints to reach the Hub; nothing is lost if you interrupt.",
                *(deadline - time.monotonic(), unsent),
            )
        if time.monotonic() > deadline:
            courier.kill()
        try:
            courier.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            continue


def read_run(folder: Path) -> Run | None:
    """Read where the run publishes; None where no run has been begun."""
    try:
        data = json.loads((folder / RUN_FILE).read_text())
        return Run(**{**data, "record": Record.from_json(json.dumps(data["record"]))})
    except FileNotFoundError:
        return None


def read_choices(folder: Path) -> list[Choice]:
    """Read which checkpoints `main` shall be, oldest wish first."""
    paths = sorted(folder.glob("choice-*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [Choice(path=path, **json.loads(path.read_text())) for path in paths]


def _outbox_of(output_dir: str | Path) -> Path:
    folder = Path(output_dir)
    folder = folder if folder.name == FOLDER and not (folder / FOLDER).is_dir() else folder / FOLDER
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no outbox in {output_dir}. An output folder of a training with PublishCheckpoints is expected: "
            "hf-stilts publish OUTPUT_DIR"
        )
    return folder
