"""A study run by Hugging Face Jobs: each cell a job, and all that one cell leaves for another is on the Hub.

    datasets/<namespace>/<study>-results    cells.json            what the jobs are to do
                                            records/<cell>.json   the record of a finished cell
                                            cells/<cell>.zip      scores and predictions of a scores cell
    <namespace>/<base>-stilts-...           the model of each training cell

This process submits the cells that are ready, fetches the records of those that are finished, and may be ended at any
time: the same command, here or on another machine, goes on with what is on the Hub. See `job.py` for the other side.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, JobInfo, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

from hf_stilts import __version__
from hf_stilts.definitions import FILES as TASK_FILES
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.files import write, write_json
from hf_stilts.studies.cells import Cells, identity
from hf_stilts.studies.plan import Timing
from hf_stilts.studies.published import Publishing, published_names, use_published
from hf_stilts.studies.run import TRIES, StudyRun, Tell, order, prepare
from hf_stilts.studies.store import LOG, RECORD, CellStore
from hf_stilts.studies.study import Study

ORDERS_VARIABLE, CELL_VARIABLE = "HF_STILTS_ORDERS", "HF_STILTS_CELL"
ORDERS = "cells.json"  # what the jobs of a study are to do, in the results repository
RECORDS, FILES = "records", "cells"  # folders there: a record a cell; scores and predictions of a cell, as one file
NOTE = "hub_job.json"  # in a cell's folder: the job that it was given last
POLL = 20.0  # seconds between looks at the jobs
# Whatever else the Hub says of a job, it may still run and cost: a stage that is not known is never taken for an end.
_ENDED = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
STUDY_LABEL, CELL_LABEL, RUN_LABEL = "stilts-study", "stilts-cell", "stilts-run"
LIMIT_LABEL, PRICE_LABEL = "stilts-seconds", "stilts-usd-an-hour"
UV_IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
MODULE = "hf_stilts.studies.job"
_KNOWN = ("flavor", "timeout", "at_once", "data", "image", "package")
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_HOURS = {"second": 3600.0, "minute": 60.0, "hour": 1.0}  # units of a price in an hour
_LOG_TRIES = 3
_LINES = 200  # of a failed job's log that are kept
_EXAMPLE = "Type, for example: --jobs flavor=a10g-small,timeout=4h"


@dataclass(frozen=True)
class JobOptions:
    """How jobs are run.

    Args:
        flavor: hardware, as the Hub names it.
        timeout: seconds after which the Hub ends a job.
        at_once: how many jobs may wait or run at a time.
        data: data set repository that holds the mirror of the data sets; default: each from its own repository.
        image: Docker image with hf_stilts; default: one with uv, which installs `package`.
        package: what uv installs; default: this version of hf_stilts.
    """

    flavor: str
    timeout: int = 4 * 3600
    at_once: int = 8
    data: str | None = None
    image: str | None = None
    package: str = f"hf_stilts=={__version__}"

    @property
    def command(self) -> list[str]:
        """What a job runs."""
        python = ["python", "-m", MODULE]
        return python if self.image else ["uv", "run", "--no-project", "--with", self.package, *python]


@dataclass
class JobsRun(StudyRun):
    """As `StudyRun`, and the price in US dollars: of the jobs that have ended, and at most of those that run."""

    price: float = 0.0

    def __str__(self) -> str:
        return f"{super().__str__()} The study's jobs cost {self.price:.2f} USD at most."


def parse_jobs(text: str) -> JobOptions:
    """`flavor=a10g-small,timeout=4h` as options.

    Raises:
        StiltsError: an unknown option, no flavor, or a value that means nothing.
    """
    found: dict[str, Any] = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        name, value = name.strip().replace("-", "_"), value.strip()
        if name not in _KNOWN or not equals or not value:
            raise StiltsError(
                f"--jobs has {item!r}; name=value is expected, of {', '.join(_KNOWN)}. {did_you_mean(name, _KNOWN)} "
                f"{_EXAMPLE}"
            )
        found[name] = value
    if "flavor" not in found:
        raise StiltsError(f"--jobs names no hardware; flavor=NAME is expected. {_EXAMPLE}")
    if "timeout" in found:
        match = _TIME.fullmatch(found["timeout"])
        found["timeout"] = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if "at_once" in found:
        found["at_once"] = int(found["at_once"]) if found["at_once"].isdecimal() else 0
    for name in ("timeout", "at_once"):
        if found.get(name, 1) < 1:
            raise StiltsError(f"--jobs has a {name} that means nothing; timeout=4h and at_once=8 are expected forms.")
    return JobOptions(**found)


def price_of(flavor: str, api: HfApi | None = None) -> float:
    """US dollars an hour of a flavor, by the Hub's list.

    Raises:
        StiltsError: the Hub does not have it; those that it has are named with their prices.
        HTTPError: the Hub does not answer.
    """
    prices = {each.name: _hourly(each) for each in (api or HfApi()).list_jobs_hardware()}
    if flavor not in prices:
        there = ", ".join(f"{name} ({price:.2f} USD an hour)" for name, price in prices.items())
        raise StiltsError(
            f"The Hub has no hardware {flavor!r}; it has {there}. {did_you_mean(flavor, prices)} Correct --jobs flavor="
        )
    return prices[flavor]


def _hourly(hardware: Any) -> float:
    """US dollars an hour, of a row of the Hub's list."""
    return float(hardware.unit_cost_usd) * _HOURS.get(str(hardware.unit_label).rstrip("s"), 60.0)


def run_on_jobs(
    study: Study,
    output_dir: str | os.PathLike[str],
    options: JobOptions,
    publish: Publishing,
    *,
    max_price: float | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    available: bool = False,
    redo_broken: bool = False,
    tell: Tell | None = None,
    api: HfApi | None = None,
) -> JobsRun:
    """Do the cells of a study by Hugging Face Jobs; comes back when none is left that can be done.

    Args:
        study: the study; its bases and rows are on the Hub.
        output_dir: receives the records, scores and predictions, as `run_study` leaves them, but no models.
        options: of the jobs.
        publish: whose namespace has the models, the results and the jobs.
        max_price: US dollars that the study's jobs may cost, those of earlier calls included. A job is submitted only
            if this holds even where it, and all that run, take their whole time limit.
        data_dir: the mirror whose copy `options.data` is; cells are identified by its content.
        available: as for `run_study`.
        redo_broken: as for `run_study`.
        tell: is told what happens.
        api: client of the Hub.

    Raises:
        StiltsError: as `run_study`; something that the study needs is on this machine alone; the Hub has no such
            hardware, or the price would pass `max_price`.
    """
    api, token = api or HfApi(), get_token()
    token = api.token if isinstance(api.token, str) else token
    if not token:
        raise StiltsError("Nobody is logged in, and jobs need a token with write access. Run: hf auth login")
    store, tell = CellStore(output_dir), tell or (lambda outcome, title, detail: None)
    hourly = price_of(options.flavor, api)
    found, blocked = prepare(
        study, store, data_dir=data_dir, available=available, redo_broken=redo_broken, tell=tell, models=False
    )
    _check_on_the_hub(found, options)
    there, problem = use_published(store, found, publish.namespace, api)
    if problem:
        raise StiltsError(f"{problem}. Jobs need the Hub. Type the same command when it answers.")
    names = published_names(found, publish.namespace, targets=True)
    names |= {name: each.repo_id for name, each in there.items()}
    work = _Work(api, token, publish, options, store, found, blocked, tell, hourly, max_price)
    return work.carry_out(names)


def _check_on_the_hub(found: Cells, options: JobOptions) -> None:
    """Refuse what a machine of the Hub could not load.

    Raises:
        StiltsError: a base, task or mirror is on this machine alone.
    """
    for cell in found.cells.values():
        base = str(cell.call["base"][0])
        if Path(base).is_dir():
            raise StiltsError(
                f"The base {base} is a folder of this machine, which a job cannot see; a model on the Hub is expected. "
                f"Upload it (hf upload YOU/NAME {base}) and pass --base YOU/NAME."
            )
        tasks = cell.call["tasks"] if "tasks" in cell.call else [cell.call["task"]]
        files = [task for task in tasks if str(task).endswith(TASK_FILES)]
        if files:
            raise StiltsError(
                f"The task {files[0]} is a file of this machine, which a job cannot see; a task of hf_stilts is "
                "expected. Run this study without --jobs."
            )
        if cell.call["data_dir"] and options.data is None:
            raise StiltsError(
                f"The rows are in {cell.call['data_dir']}, a mirror on this machine, which a job cannot see. Upload it "
                f"(hf upload YOU/mirror {cell.call['data_dir']} --repo-type dataset --private) and add to --jobs: "
                "data=YOU/mirror; or leave out --data-dir and HF_STILTS_DATA, to read each data set from the Hub."
            )


@dataclass
class _Work:
    """One call: which cells have a job, which are ready, what the jobs have cost."""

    api: HfApi
    token: str = field(repr=False)
    publish: Publishing
    options: JobOptions
    store: CellStore
    found: Cells
    blocked: Mapping[str, str]
    tell: Tell
    hourly: float
    max_price: float | None

    def __post_init__(self) -> None:
        self.study = self.found.study.name
        self.results = f"{self.publish.namespace}/{self.study.replace('_', '-')}-results"
        self.run = uuid.uuid4().hex[:8]
        self.failures: dict[str, list[str]] = {}
        self.seen: set[str] = set()  # jobs that have ended, and whose end was told
        self.head: str | None = None  # commit of the results that was read last
        self.orders = ""
        self.result = JobsRun()

    def carry_out(self, names: Mapping[str, str]) -> JobsRun:
        """Submit what is ready until nothing is left that can be done, or may be paid."""
        self.api.create_repo(self.results, repo_type="dataset", private=self.publish.private, exist_ok=True)
        self._fetch_records(tell=False)
        self.result.before = sum(self.store.finished(name) for name in self.found.cells)
        self.result.left_out = [self.found.cells[name].title for name in self.blocked if not self.store.finished(name)]
        left = self._left()
        if left:
            self._check_estimate(left)
            self.orders = self._write_orders(names)
        while True:
            jobs = self._look()
            live = {job.labels[CELL_LABEL] for job in jobs if is_live(job) and job.labels}
            submitted = self._submit_ready(jobs, live)
            if not live and not submitted:
                break
            time.sleep(POLL)
        self._finish(jobs)
        return self.result

    def _look(self) -> list[JobInfo]:
        """The study's jobs as they are now; records are read after them, so that a job that has ended had its say."""
        labels = {STUDY_LABEL: label(self.study)}
        listed = self.api.list_jobs(namespace=self.publish.namespace, labels=labels, token=self.token)
        jobs = [job for job in listed if job.labels and CELL_LABEL in job.labels]
        self._fetch_records(tell=True)
        for job in jobs:
            name = (job.labels or {})[CELL_LABEL]
            if is_live(job) or job.id in self.seen:
                continue
            self.seen.add(job.id)
            ours = name in self.found.cells and (job.labels or {}).get(RUN_LABEL) == self.run
            if ours and not self.store.finished(name):
                self._note_failure(job, name)
        return jobs

    def _left(self) -> list[str]:
        """Cells that can still be done."""
        hopeless = {name for name, errors in self.failures.items() if len(errors) >= TRIES} | {*self.blocked}
        return self.found.unfinished(self.store.finished, hopeless)

    def _submit_ready(self, jobs: list[JobInfo], live: set[str]) -> int:
        """Submit the cells that wait for nothing, as many as may run and be paid; how many."""
        ready = []
        for name in self._left():
            waits = any(not self.store.finished(need) for need in self.found.cells[name].needs)
            if name not in live and not waits:
                ready.append(name)
        ready.sort(key=lambda name: len(self.failures.get(name, ())))
        price, count = self._price(jobs), 0
        for name in ready[: max(0, self.options.at_once - len(live))]:
            most = self.options.timeout / 3600 * self.hourly
            if self.max_price is not None and price + most > self.max_price:
                if not live and not count:
                    title = self.found.cells[name].title
                    said = f"{price:.2f} USD were spent, and {title} may cost {most:.2f} USD in its time limit"
                    self.tell(
                        "note", title, f"{said}, which passes --max-price {self.max_price:g}: nothing more is run."
                    )
                break
            self._submit(name)
            price, count = price + most, count + 1
        return count

    def _submit(self, name: str) -> None:
        """Give a cell a job. The token is its secret: no command line, label or record has it."""
        cell = self.found.cells[name]
        labels = {STUDY_LABEL: label(self.study), CELL_LABEL: name, RUN_LABEL: self.run}
        labels["name"] = f"{label(self.study)[:40]}-{name[:8]}"
        labels |= {LIMIT_LABEL: str(self.options.timeout), PRICE_LABEL: f"{self.hourly:.6f}"}
        environment = {ORDERS_VARIABLE: f"{self.results}@{self.orders}", CELL_VARIABLE: name}
        if constants.ENDPOINT != "https://huggingface.co":
            environment["HF_ENDPOINT"] = str(self.api.endpoint)
        job = self.api.run_job(
            image=self.options.image or UV_IMAGE,
            command=self.options.command,
            env=environment,
            secrets={"HF_TOKEN": self.token},
            flavor=self.options.flavor,
            timeout=self.options.timeout,
            labels=labels,
            namespace=self.publish.namespace,
            token=self.token,
        )
        about = {"job": job.id, "namespace": self.publish.namespace, "options": self.options.flavor}
        write_json(self.store.folder(name) / NOTE, about)
        self.tell("submitted", cell.title, f"job {job.id}")

    def _note_failure(self, job: JobInfo, name: str) -> None:
        """Keep the end of a failed job's log, and say why it failed by its last line."""
        lines = log_lines(self.api, job.id, self.publish.namespace, self.token)
        lines = [line.replace(self.token, "***") for line in lines]
        if lines:
            write(self.store.folder(name) / LOG, "\n".join(lines) + "\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        why = f"Job {job.id} ended: {job.status.stage}"
        why += f", {job.status.message}" if job.status.message else ""
        error = f"{why}. {last}".rstrip()
        self.failures.setdefault(name, []).append(error)
        number = len(self.store.failures(name)) + 1
        self.store.write_failure(name, number, self.run, error)
        self.tell("failed", self.found.cells[name].title, error)

    def _price(self, jobs: list[JobInfo]) -> float:
        """US dollars: what the jobs that have ended took, and all the time that the others may take."""
        total = 0.0
        for job in jobs:
            labels = job.labels or {}
            if is_live(job):
                seconds = float(labels.get(LIMIT_LABEL, self.options.timeout))
            else:
                seconds = float((job.durations.running_secs if job.durations else None) or 0.0)
            total += seconds / 3600 * float(labels.get(PRICE_LABEL, self.hourly))
        self.result.price = round(total, 4)
        return total

    def _check_estimate(self, left: list[str]) -> None:
        """Refuse before anything is submitted what would cost too much, as far as the hours of cells are known.

        Raises:
            StiltsError: it would.
        """
        if self.max_price is None:
            return
        timing = Timing(self.found, self.store, None, None)
        hours = [timing.hours(self.found.cells[name]) for name in left]
        known = sum(each for each in hours if each is not None)
        most = self.options.timeout / 3600
        estimate, one = known * self.hourly, most * self.hourly
        if estimate > self.max_price or one > self.max_price:
            unknown = sum(each is None for each in hours)
            leaves = f", without {unknown} cells of unknown speed" if unknown else ""
            raise StiltsError(
                f"The {len(left)} cells to do cost about {estimate:.2f} USD{leaves}, and one job at most {one:.2f} USD "
                f"({most:g} hours of {self.options.flavor} at {self.hourly:.2f} USD); --max-price allows "
                f"{self.max_price:.2f}. Nothing was submitted. Pass a larger --max-price, a shorter timeout= or "
                "another flavor= in --jobs, or run less: --arm, --targets, --seeds."
            )

    def _write_orders(self, names: Mapping[str, str]) -> str:
        """Put what the jobs are to do into the results repository; the commit that has it."""
        cells = {}
        for name, cell in self.found.cells.items():
            cells[name] = {**order(cell), "call": {**cell.call, "data_dir": None}}
        data, commit = self.options.data, None
        if data is not None:
            commit = self.api.dataset_info(data).sha
        orders = {"cells": cells, "names": names, "private": self.publish.private, "data": data, "data_commit": commit}
        content = json.dumps(orders, ensure_ascii=False, indent=0).encode()
        made = self.api.create_commit(
            self.results,
            [CommitOperationAdd(ORDERS, content)],
            commit_message=f"Cells of {self.study}",
            repo_type="dataset",
        )
        return str(made.oid)

    def _fetch_records(self, *, tell: bool) -> None:
        """Bring the records that are on the Hub and not here; a cell's record is written last."""
        head = self.api.dataset_info(self.results).sha
        if head == self.head:
            return
        files = self.api.list_repo_files(self.results, repo_type="dataset", revision=head)
        for path in files:
            folder, _, name = path.removesuffix(".json").partition("/")
            cell = self.found.cells.get(name) if folder == RECORDS else None
            if cell is None or self.store.finished(name):
                continue
            text = self._read(path, head).read_text(encoding="utf-8")
            if not _is_record(text, name):
                self.tell("note", cell.title, f"{path} of {self.results} is no record of {cell.title}; it is left out.")
                continue
            if cell.stage == "scores":
                with zipfile.ZipFile(self._read(f"{FILES}/{name}.zip", head)) as archive:
                    archive.extractall(self.store.folder(name))
            write(self.store.folder(name) / RECORD, text, durable=True)
            if tell:
                self.result.done.append(cell.title)
                self.tell("done", cell.title, "")
        self.head = head

    def _read(self, path: str, commit: str | None) -> Path:
        return Path(self.api.hf_hub_download(self.results, path, repo_type="dataset", revision=commit))

    def _finish(self, jobs: list[JobInfo]) -> None:
        """Say what is not done, and why."""
        self._price(jobs)
        for name, cell in self.found.cells.items():
            if self.store.finished(name) or name in self.blocked:
                continue
            if len(self.failures.get(name, ())) >= TRIES:
                self.result.failed[cell.title] = self.failures[name][-1]
            else:
                self.result.waiting.append(cell.title)


def _is_record(text: str, name: str) -> bool:
    try:
        record = json.loads(text)
        return identity(record["spec"]) == name and "result" in record
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def is_live(job: JobInfo) -> bool:
    """Whether a job waits or runs."""
    return job.status.stage not in _ENDED


def label(text: str) -> str:
    """A text as the label of a job may be."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def log_lines(api: HfApi, job: str, namespace: str, token: str | None = None) -> list[str]:
    """The end of a job's log; nothing where the Hub does not tell."""
    for _ in range(_LOG_TRIES):  # the client gives up in silence after 5 seconds without an answer
        try:
            lines = list(api.fetch_job_logs(job_id=job, namespace=namespace, tail=_LINES, token=token))
        except (HfHubHTTPError, HTTPError):
            continue
        if lines:
            return lines
    return []


@dataclass(frozen=True)
class HubJob:
    """The job of the Hub that a cell was given last: its id, whose it is, and its flavor."""

    job: str
    namespace: str
    options: str


def hub_job_of(store: CellStore, name: str) -> HubJob | None:
    """The job of the Hub that a cell was given; None where it was given none."""
    try:
        return HubJob(**json.loads((store.folder(name) / NOTE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def stages_of(study: str, namespaces: set[str], api: HfApi | None = None) -> dict[str, JobInfo] | None:
    """Job -> what the Hub says of it; None where the Hub cannot be asked."""
    api = api or HfApi()
    found: dict[str, JobInfo] = {}
    try:
        for namespace in sorted(namespaces):
            listed = api.list_jobs(namespace=namespace, labels={STUDY_LABEL: label(study)})
            found |= {job.id: job for job in listed}
    except (HfHubHTTPError, HTTPError):
        return None
    return found
