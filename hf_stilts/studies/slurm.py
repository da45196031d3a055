"""A study run by Slurm, through submitit: each cell a job, behind the jobs of the cells that it needs.

    DIR/cells/<identity>/job.json   the job that a cell was given
    DIR/slurm/                      what submitit writes: the script, call and output of each job

A job works on its cell as a worker on one machine does, so several machines, jobs and runs may share a folder. A job
that is requeued goes on with its cell; a cell that fails is tried once more, in a new process of the same job.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from hf_stilts.errors import StiltsError, did_you_mean, needs_extra
from hf_stilts.files import write_json
from hf_stilts.studies import worker
from hf_stilts.studies.cells import Cell, Cells
from hf_stilts.studies.published import CellPublisher, Publishing
from hf_stilts.studies.run import (
    POLL,
    TRIES,
    Tell,
    begin_publishing,
    end_publishing,
    environment,
    order,
    prepare,
)
from hf_stilts.studies.store import LEASE, CellStore
from hf_stilts.studies.study import Study

logger = logging.getLogger(__name__)
JOB = "job.json"
LOGS = "slurm"
LARGEST_ARRAY = 1000  # elements of an array; Slurm's own default of MaxArraySize allows one more
# Options of sbatch that a study sets itself, and those that would start a cell several times at once.
_OWN = {
    "array": "type --array N",
    "dependency": "a cell waits for the cells that it needs",
    "error": "all output of a job goes into one file",
    "job-name": "it is the name of the study",
    "nodes": "a cell is one process",
    "ntasks": "a cell is one process",
    "ntasks-per-node": "a cell is one process",
    "open-mode": "a requeued job goes on with its output",
    "output": f"it is in {LOGS}/ of --output-dir",
    "requeue": "every job is requeued when it is preempted",
    "signal": "submitit sets it, to requeue a job that runs into its time limit",
    "wrap": "the study says what a job does",
}
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
# 255 is how a process ends that has asked Slurm to requeue its job.
_TRY = [
    "export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SLURM_CPUS_ON_NODE}",
    f"for try in $(seq {TRIES}); do",
]
_AGAIN = ["code=$?", "case $code in 0|255) break;; esac", "done", "exit $code"]
_ASKED = 120.0  # seconds that Slurm has to answer; its own commands wait for a minute


@dataclass
class Submission:
    """What Slurm was given.

    Attributes:
        before: how many cells were finished.
        submitted: title of a cell -> its job, of the cells that were submitted now.
        queued: title of a cell -> its job, of those that an earlier call submitted and that wait or run.
        left_out: titles of the cells whose rows are not there.
        unpublished: as of `StudyRun`.
    """

    before: int = 0
    submitted: dict[str, str] = field(default_factory=dict)
    queued: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    unpublished: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        numbers = f"{len(self.submitted)} cells submitted, {len(self.queued)} had a job, {self.before} were done"
        return numbers + (f", {len(self.left_out)} left out." if self.left_out else ".")


def submit_study(
    study: Study,
    output_dir: str | os.PathLike[str],
    options: Mapping[str, str],
    *,
    array: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    available: bool = False,
    redo_broken: bool = False,
    lease: float = LEASE,
    publish: Publishing | None = None,
    tell: Tell | None = None,
) -> Submission:
    """Give Slurm a job for every cell that is not finished and has none, and come back at once.

    Args:
        study: the study.
        output_dir: where cells lie; the machines of the cluster must see it under the same path.
        options: options of `sbatch` for each job, as `parse_options` reads them; `time` is among them.
        array: make one job array of the cells that wait for the same cells, of which so many run at a time.
        data_dir: local mirror of the data sets; else HF_STILTS_DATA, else the Hub.
        available: leave out the languages and cells whose rows are not there, instead of refusing to begin.
        redo_broken: do the cells again whose record or weights are broken.
        lease: seconds after which a cell is taken from a process of another machine that shows no sign of life.
        publish: as of `run_study`. A job publishes what it has trained, if its machine reaches the Hub; what was not
            sent, and target models, the next call sends.
        tell: is told what happens.

    Raises:
        StiltsError: as `run_study`; or Slurm is not here or refuses such jobs, and nothing was submitted; or it
            refuses after it has taken some.
    """
    with needs_extra("slurm", "A study on Slurm"):
        import submitit  # noqa: F401
    time_limit = _minutes(options)
    _check_accepted(options, array)
    store, tell = CellStore(Path(output_dir).absolute(), lease), tell or (lambda outcome, title, detail: None)
    found, blocked = prepare(study, store, data_dir=data_dir, available=available, redo_broken=redo_broken, tell=tell)
    finished = {name for name in found.cells if store.finished(name)}
    publisher = begin_publishing(store, found, publish, tell) if publish else None
    result = Submission(before=len(finished))
    result.left_out = [found.cells[name].title for name in blocked if name not in finished]
    left = [name for name in found.cells if name not in finished and name not in blocked]
    # Of two calls at a time, the second sees the jobs of the first.
    with FileLock(store.root / "studies" / ".slurm.lock"):
        jobs = _waiting_or_running(store, left)
        result.queued = {found.cells[name].title: job for name, job in jobs.items()}
        executor = _executor(store.root / LOGS, study.name, time_limit, options, array)
        for group in _groups(found, [name for name in left if name not in jobs], array is not None):
            needs = {need for name in group for need in found.cells[name].needs}
            needed = sorted({jobs[need] for need in needs if need in jobs})
            cells = [found.cells[name] for name in group]
            given = _submit(executor, store, cells, options, needed, result, publisher)
            for name, job in zip(group, given, strict=True):
                jobs[name] = result.submitted[found.cells[name].title] = job
                tell("submitted", found.cells[name].title, f"job {job}")
    if publisher is not None:
        result.unpublished = end_publishing(publisher, found, tell)
    return result


def parse_options(text: str) -> dict[str, str]:
    """Options of `sbatch` in one word: `partition=gpu,time=4:00:00,gpus=1`; a value may hold commas.

    Raises:
        StiltsError: it is no list of `name=value`, it has no time limit, or an option that the study sets itself.
    """
    found: dict[str, str] = {}
    for item in re.split(r",(?=[\w-]+=)", text):
        name, equals, value = item.partition("=")
        name = name.strip().lstrip("-").replace("_", "-")
        if not (equals and name and value.strip()):
            raise StiltsError(
                f"--slurm has {item!r}; options of sbatch as name=value are expected. "
                "Type, for example: --slurm partition=gpu,time=4:00:00,gpus=1"
            )
        if name in _OWN:
            raise StiltsError(f"--slurm has {name}, which is not for it to say: {_OWN[name]}. Leave it out.")
        found[name] = value.strip()
    _minutes(found)
    return found


def _spelt(options: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


def _minutes(options: Mapping[str, str]) -> int:
    """The time limit of a job, which submitit needs as minutes."""
    given = options.get("time")
    if given is None:
        raise StiltsError(
            "--slurm has no time; how long one cell may take is expected, after which it is requeued and goes on. "
            f"Type: --slurm {_spelt({**options, 'time': '4:00:00'})}"
        )
    match = _TIME.fullmatch(given)
    if match is None:
        raise StiltsError(
            f"--slurm has time={given}; minutes, or hours:minutes:seconds, or days-hours are expected. "
            "Type, for example: time=4:00:00"
        )
    days, *rest = match.groups()
    numbers = [int(each) for each in rest if each is not None]
    if days is not None:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        hours += 24 * int(days)
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:  # minutes[:seconds]
        hours, minutes, seconds = 0, *(*numbers, 0)[:2]
    return max(1, 60 * hours + minutes + (seconds > 0))


def _check_accepted(options: Mapping[str, str], array: int | None) -> None:
    """Ask Slurm whether it would take a job with these options, without submitting one.

    Raises:
        StiltsError: it is not here, or would not.
    """
    absent = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
    if absent:
        raise StiltsError(
            f"There is no {' and no '.join(absent)} on this machine; --slurm is for a machine where Slurm's commands "
            "are. Nothing was submitted. Type it on the cluster's login node, or leave out --slurm to work here."
        )
    words = [f"--{name}={value}" for name, value in options.items()]
    if array is not None:
        words.append(f"--array=0-1%{array}")
    said = _ask(["sbatch", "--test-only", *words, "--wrap=true"])
    if said.returncode == 0:
        return
    lines = [line.strip() for line in said.stderr.splitlines() if line.strip()]
    why = "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines)
    raise StiltsError(
        f"Slurm refuses such jobs: {why}. It was asked with: sbatch {' '.join(words)}; options that this cluster takes "
        f"are expected. Nothing was submitted.{_partitions(options)} Correct --slurm and type the command again."
    )


def _partitions(options: Mapping[str, str]) -> str:
    """The partitions that there are, where that is what is wrong."""
    said = _ask(["sinfo", "--noheader", "--format=%R"])
    there = sorted(set(said.stdout.split()))
    unknown = [name for name in options.get("partition", "").split(",") if name and name not in there]
    if said.returncode != 0 or not unknown:
        return ""
    return f" There is no partition {unknown[0]}. {did_you_mean(unknown[0], there)}"


def _ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm; one that is absent or does not answer is one that failed."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=_ASKED, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]}: {error}")


@dataclass(frozen=True)
class Job:
    """The job that a cell was given.

    Args:
        job: its number, with the index in an array: `12` or `12_3`.
        output: file of what it printed, from the folder of the cells.
        options: of sbatch, as `parse_options` reads them.
    """

    job: str
    output: str
    options: str


def job_of(store: CellStore, name: str) -> Job | None:
    """The job that a cell was given last; None where it was given none."""
    try:
        return Job(**json.loads((store.folder(name) / JOB).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # a note that was cut: the cell is given another job
        return None


def queue(jobs: Collection[str]) -> dict[str, tuple[str, str]] | None:
    """State and reason, in Slurm's words, of the jobs that wait or run; None where Slurm cannot be asked."""
    arrays = sorted({job.partition("_")[0] for job in jobs})
    if not arrays:
        return {}
    said = _ask(["squeue", "--array", "--noheader", "--format=%i|%T|%r", f"--jobs={','.join(arrays)}"])
    if said.returncode != 0:
        return {} if "Invalid job id" in said.stderr else None  # one that has ended long ago
    rows = [line.strip().split("|", 2) for line in said.stdout.splitlines() if line.strip()]
    # What waits for a job that has failed is about to be removed.
    return {job: (state, reason) for job, state, reason in rows if reason != "DependencyNeverSatisfied"}


def _waiting_or_running(store: CellStore, names: Sequence[str]) -> dict[str, str]:
    """Cell -> job, of the cells that have one which Slurm has not finished.

    Raises:
        StiltsError: Slurm does not say.
    """
    given = {name: job.job for name in names if (job := job_of(store, name))}
    there = queue(given.values())
    if there is None:
        raise StiltsError(
            f"squeue does not say which of the {len(given)} jobs that were submitted still wait or run; a list is "
            "expected, so that no cell is submitted twice. Nothing was submitted. Try squeue, then the command again."
        )
    return {name: job for name, job in given.items() if job in there}


def _groups(found: Cells, names: Sequence[str], arrays: bool) -> list[list[str]]:
    """Cells that are submitted together; each group stands behind those that it waits for."""
    if not arrays:
        return [[name] for name in names]
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        groups.setdefault(found.cells[name].needs, []).append(name)
    found_groups = []
    for group in groups.values():
        for start in range(0, len(group), LARGEST_ARRAY):
            found_groups.append(group[start : start + LARGEST_ARRAY])
    return found_groups


def _executor(folder: Path, name: str, minutes: int, options: Mapping[str, str], array: int | None) -> Any:
    """Submitit's executor for the jobs of a study."""
    import submitit

    executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
    srun = ["--open-mode=append"]  # the second try, and the requeued job, keep what the first printed
    if "cpus-per-task" in options:  # which srun does not take over from the job
        srun.append(f"--cpus-per-task={options['cpus-per-task']}")
    executor.update_parameters(
        stderr_to_stdout=True,
        slurm_job_name=name,
        slurm_time=minutes,
        slurm_setup=_TRY,
        slurm_teardown=_AGAIN,
        slurm_srun_args=srun,
        **({"slurm_array_parallelism": array} if array else {}),
    )
    return executor


def _submit(
    executor: Any,
    store: CellStore,
    cells: Sequence[Cell],
    options: Mapping[str, str],
    needed: Sequence[str],
    result: Submission,
    publisher: CellPublisher | None,
) -> list[str]:
    """Submit cells that wait for the same jobs, and note their own.

    Raises:
        StiltsError: Slurm refuses.
    """
    parameters: dict[str, Any] = {**options, "requeue": True}
    if needed:
        # Where one of these fails, Slurm removes the job instead of keeping it for ever.
        parameters |= {"dependency": "afterok:" + ":".join(needed), "kill-on-invalid-dep": "yes"}
    executor.update_parameters(slurm_additional_parameters=parameters)
    run = uuid.uuid4().hex[:8]
    try:
        with executor.batch():
            jobs = [executor.submit(_job(store, cell, run, publisher)) for cell in cells]
    except RuntimeError as error:  # submitit's, with what sbatch said
        raise StiltsError(
            f"Slurm refuses the job of {cells[0].title}: {str(error).strip()}. {len(result.submitted)} cells were "
            "submitted before it and stay so. Correct --slurm, or wait until some have ended, and type the command "
            "again: it submits the others."
        ) from error
    for cell, job in zip(cells, jobs, strict=True):
        output = os.path.relpath(job.paths.stdout, store.root)
        write_json(store.folder(cell.identity) / JOB, asdict(Job(job.job_id, output, _spelt(options))))
    return [job.job_id for job in jobs]


def _job(store: CellStore, cell: Cell, run: str, publisher: CellPublisher | None) -> CellJob:
    """What Slurm is to do for a cell; an intermediate training also publishes what it came to."""
    job = CellJob(str(store.root), store.lease, order(cell), run)
    if publisher is not None and cell.stage == "intermediate":
        job.repo_id, job.private = publisher.names[cell.identity], publisher.private
    return job


@dataclass
class CellJob:
    """What the job of a cell does: the function that submitit runs on the cluster.

    Args:
        root: folder of the cells.
        lease: of the store.
        cell: fields of the cell.
        run: of the submission, under which failures are noted.
        repo_id: where its checkpoint is published; None: nowhere.
        private: make that repository private.
    """

    root: str
    lease: float
    cell: dict[str, Any]
    run: str
    repo_id: str | None = None
    private: bool = True

    def __call__(self) -> str:
        """Do the cell, unless it is finished; wait where another process has it.

        Raises:
            RuntimeError: it failed; the cells that need it are not begun.
        """
        store, cell = CellStore(self.root, self.lease), Cell(**self.cell)
        os.environ.update(environment(0, 1))
        while not store.finished(cell.identity):
            failures = store.failures(cell.identity, self.run)
            if len(failures) >= TRIES:
                raise RuntimeError(failures[-1])
            worker.load_libraries()  # before the claim, which nothing shows to be alive meanwhile
            number = store.claim(cell.identity)
            if number is None:
                logger.info("%s is held by another process: %s", cell.title, store.held(cell.identity))
                time.sleep(POLL)
                continue
            answer = worker.attempt(store, cell, number, self.run)
            if answer["outcome"] == "failed":
                raise RuntimeError(answer["error"])
        if self.repo_id is not None:
            publisher = CellPublisher(store, {cell.identity: self.repo_id}, private=self.private)
            publisher.add(cell.identity, [publisher.where(need) for need in cell.needs])
            for why in publisher.finish().values():
                logger.warning("%s", why)
        return cell.title

    def checkpoint(self) -> Any:
        """What submitit requeues when the job is preempted or runs into its time limit: the same, which goes on."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
