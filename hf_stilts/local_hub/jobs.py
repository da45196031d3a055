"""Jobs of the embedded Hub: a command each, run as a process of this machine, where the Hub was started to do so."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hf_stilts.local_hub.http import Call, optional, plain
from hf_stilts.local_hub.http import field as member
from hf_stilts.local_hub.objects import HubError
from hf_stilts.local_hub.repos import iso
from hf_stilts.local_hub.store import check_id

_TIMEOUT = 1800  # seconds of a job that names no limit, as on the public Hub
_MOST_LOG = 1 << 20  # bytes of a log that are shown, its end
_ENDED = ("COMPLETED", "CANCELED", "ERROR")
# What the public Hub asked for some of its machines when this was written, in millionths of a dollar for a minute.
_HARDWARE = {
    "cpu-basic": ("CPU Basic", "2 vCPU", "16 GB", 167, None),
    "t4-small": ("Nvidia T4 - small", "4 vCPU", "15 GB", 6667, ("T4", "16 GB")),
    "a10g-small": ("Nvidia A10G - small", "4 vCPU", "15 GB", 16667, ("A10G", "24 GB")),
    "a100-large": ("Nvidia A100 - large", "12 vCPU", "142 GB", 41667, ("A100", "80 GB")),
}


@dataclass
class Job:
    """One job: what was asked for, and what became of it. The secrets are in its process alone."""

    id: str
    owner: str
    spec: dict[str, Any]
    log: Path
    created: datetime
    stage: str = "SCHEDULING"
    message: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """What clients are told."""
        ran = ((self.finished or _now()) - self.started).total_seconds() if self.started else None
        owner = {"id": self.owner, "name": self.owner, "type": "user"}
        return {
            **self.spec,
            "id": self.id,
            "createdAt": iso(self.created),
            "startedAt": iso(self.started) if self.started else None,
            "finishedAt": iso(self.finished) if self.finished else None,
            "status": {"stage": self.stage, "message": self.message},
            "durations": {"runningSecs": None if ran is None else int(ran)},
            "owner": owner,
            "initiator": owner,
        }


class Jobs:
    """The jobs of one Hub; they end with it.

    Args:
        folder: for their logs.
        allowed: whether commands are run at all.
    """

    def __init__(self, folder: Path, allowed: bool) -> None:
        self.folder, self.allowed = folder, allowed
        self.jobs: dict[str, Job] = {}
        self.lock = threading.RLock()

    def start(self, owner: str, body: Mapping[str, Any], endpoint: str) -> Job:
        """Run a command; HubError 403 where this Hub runs none."""
        if not self.allowed:
            raise HubError(403, "this Hub runs no jobs. Start it with: hf-stilts hub serve DIR --run-jobs --token WORD")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        spec = {name: body.get(name) for name in ("dockerImage", "spaceId", "command", "arguments", "flavor", "labels")}
        spec |= {"environment": body.get("environment") or {}}
        job_id = secrets.token_hex(12)
        job = Job(job_id, owner, spec, self.folder / f"{job_id}.log", _now())
        hidden = {str(name): str(value) for name, value in (body.get("secrets") or {}).items()}
        given = {str(name): str(value) for name, value in (body.get("environment") or {}).items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**kept, "PATH": path, "HF_ENDPOINT": endpoint, **given, **hidden}
        limit = float(body.get("timeoutSeconds") or _TIMEOUT)
        with self.lock:
            self.jobs[job_id] = job
        threading.Thread(target=self._carry_out, args=(job, environment, limit), daemon=True).start()
        return job

    def _carry_out(self, job: Job, environment: dict[str, str], limit: float) -> None:
        words = [*job.spec["command"], *(job.spec["arguments"] or [])]
        with tempfile.TemporaryDirectory() as folder, job.log.open("wb") as log:
            try:
                with self.lock:
                    if job.stage in _ENDED:
                        return
                    job.process = subprocess.Popen(
                        words, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
                    )
                    job.stage, job.started = "RUNNING", _now()
                code = job.process.wait(timeout=limit)
                self._end(job, "COMPLETED" if code == 0 else "ERROR", None if code == 0 else f"exit code {code}")
            except subprocess.TimeoutExpired:
                self._end(job, "ERROR", "the time limit is over")
            except (OSError, ValueError) as error:
                log.write(f"{words[0]}: {error}\n".encode())
                self._end(job, "ERROR", "the command could not be started")

    def _end(self, job: Job, stage: str, message: str | None = None) -> None:
        with self.lock:
            if job.stage in _ENDED:
                return
            job.stage, job.message, job.finished = stage, message, _now()
        if job.process is not None and job.process.poll() is None:
            try:
                os.killpg(job.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            job.process.wait()

    def find(self, owner: str, job_id: str) -> Job:
        """The job; HubError 404 where there is none."""
        job = self.jobs.get(job_id)
        if job is None or job.owner != owner:
            raise HubError(404, f"no job {job_id!r:.100} of {owner}")
        return job

    def cancel(self, job: Job) -> None:
        """End a job, with all processes that it has started."""
        self._end(job, "CANCELED")

    def close(self) -> None:
        """End all jobs."""
        for job in [*self.jobs.values()]:
            self.cancel(job)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _jobs(call: Call) -> Jobs:
    call.member()
    found: Jobs = call.request.app.state.jobs
    return found


def _job(call: Call) -> Job:
    return _jobs(call).find(call.params["namespace"], call.params["job"])


def create(call: Call) -> Response:
    """POST /api/jobs/NAMESPACE."""
    jobs, body = _jobs(call), call.json()
    check_id(f"{call.params['namespace']}/job")
    command = member(body, "command", list)
    if not command or not all(isinstance(word, str) for word in command):
        raise HubError(400, "'command' is no list of words")
    for name in ("environment", "secrets", "labels"):
        optional(body, name, dict)
    return JSONResponse(jobs.start(call.params["namespace"], body, call.endpoint).as_json())


def listing(call: Call) -> Response:
    """GET /api/jobs/NAMESPACE?stage=&label=name=value, the newest first."""
    stages, labels = call.asked("stage"), [each.partition("=")[::2] for each in call.asked("label")]
    rows = []
    for job in reversed([*_jobs(call).jobs.values()]):
        has = job.spec["labels"] or {}
        if job.owner != call.params["namespace"] or (stages and job.stage not in stages):
            continue
        if all(has.get(name) == value for name, value in labels):
            rows.append(job.as_json())
    return call.page(rows)


def hardware(call: Call) -> Response:
    """GET /api/jobs/hardware."""
    rows = []
    for name, (shown, cpu, ram, price, accelerator) in _HARDWARE.items():
        row: dict[str, Any] = {"name": name, "prettyName": shown, "cpu": cpu, "ram": ram, "accelerator": None}
        row |= {"unitCostMicroUSD": price, "unitCostUSD": price / 1e6, "unitLabel": "minute"}
        if accelerator is not None:
            row["accelerator"] = {"type": "gpu", "model": accelerator[0], "quantity": "1", "vram": accelerator[1]}
            row["accelerator"]["manufacturer"] = "Nvidia"
        rows.append(row)
    return JSONResponse(rows)


def get(call: Call) -> Response:
    """GET /api/jobs/NAMESPACE/JOB."""
    return JSONResponse(_job(call).as_json())


def cancel(call: Call) -> Response:
    """POST /api/jobs/NAMESPACE/JOB/cancel."""
    job = _job(call)
    _jobs(call).cancel(job)
    return JSONResponse(job.as_json())


def logs(call: Call) -> Response:
    """GET /api/jobs/NAMESPACE/JOB/logs: what the job has printed until now, as server-sent events."""
    job = _job(call)
    lines: list[str] = []
    if job.log.is_file():
        with job.log.open("rb") as file:
            file.seek(max(0, job.log.stat().st_size - _MOST_LOG))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    tail = call.number("tail", len(lines))
    # The stock client leaves out what is later than the answer's Date, whose clock may be two seconds behind.
    time = iso(job.created - timedelta(seconds=2))
    events = [json.dumps({"timestamp": time, "data": line}) for line in lines[len(lines) - min(tail, len(lines)) :]]
    return Response("".join(f"data: {event}\n\n" for event in events), media_type="text/event-stream")


_ONE = "/api/jobs/{namespace}/{job}"

ROUTES = [
    Route("/api/jobs/hardware", plain(hardware), methods=["GET"]),
    Route("/api/jobs/{namespace}", plain(create), methods=["POST"]),
    Route("/api/jobs/{namespace}", plain(listing), methods=["GET"]),
    Route(_ONE, plain(get), methods=["GET"]),
    Route(f"{_ONE}/cancel", plain(cancel), methods=["POST"]),
    Route(f"{_ONE}/logs", plain(logs), methods=["GET"]),
]
