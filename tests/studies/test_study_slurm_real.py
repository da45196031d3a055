"""A study on a real Slurm of one node: a job is killed, one is requeued, and the scores are those of a plain run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mirrors
import one_node_slurm
import pytest
import tiny

from hf_stilts.files import read_lines
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import load_study

pytest.importorskip("submitit")
missing = one_node_slurm.missing()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing is not None, reason=str(missing))]
SOURCE = """
from hf_stilts import Intermediate, Study

STUDY = Study(
    base=({base!r},),
    arms={{"none": None, "squad": Intermediate("squad_v1")}},
    targets=("udpos",),
    languages=("en", "de"),
    seeds=(7,),
    flags={{"max_steps": 400, "use_cpu": True, "per_device_train_batch_size": 4, "save_steps": {first}}},
)
"""
SLURM = ("--slurm", "partition=tests,time=30")
FIRST = 10  # step of the first checkpoint


class Cluster:
    """The study on a cluster: its commands, its cells by title, and Slurm."""

    def __init__(self, folder, slurm):
        self.slurm, self.store = slurm, CellStore(folder / "run")
        base, mirror = tiny.save(folder / "base"), mirrors.build(folder / "mirror", mirrors.SMALL)
        self.file = folder / "mine.py"
        self.file.write_text(SOURCE.format(base=base, first=FIRST))
        self.data = ("--data-dir", mirror)
        cells = unfold(load_study(str(self.file)), data_dir=mirror).cells
        self.cells = {cell.title: name for name, cell in cells.items()}

    def study(self, what, *words, output=None, code=0):
        command = [Path(sys.executable).parent / "hf-stilts", "study", what, self.file]
        command += ["--output-dir", output or self.store.root, *words]
        environment = {**os.environ, **self.slurm.environment}
        done = subprocess.run(
            [str(word) for word in command], env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def submit(self, *words):
        return json.loads(self.study("run", *self.data, *SLURM, *words, "--json"))[0]

    def states(self):
        return {cell["title"]: cell for cell in json.loads(self.study("status", "--json"))["cells"]}

    def checkpoints(self, title):
        found = (self.store.folder(self.cells[title]) / "model").glob("checkpoint-*/trainer_state.json")
        return {int(path.parent.name.removeprefix("checkpoint-")) for path in found}

    def until_it_trains(self, title):
        """Wait until a cell has saved checkpoints and deleted its first."""
        until(lambda: max(self.checkpoints(title), default=0) >= 4 * FIRST)
        assert not self.store.finished(self.cells[title]) and FIRST not in self.checkpoints(title)

    def until_it_goes_on(self, title):
        """Wait until a second attempt at a cell is at its end; it must not begin with the first step."""
        name = self.cells[title]

        def over():
            assert FIRST not in self.checkpoints(title), "it began anew"
            return self.store.finished(name)

        until(over)

    def attempts(self):
        return {title: self.store.newest_attempt(name) for title, name in self.cells.items()}


def until(true, seconds=900):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def stopped_for_good(process):
    """Keep a process from finishing its training while Slurm, which first wakes it up, waits to end it."""
    try:
        os.kill(process, signal.SIGSTOP)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def cluster(tmp_path):
    with one_node_slurm.OneNodeSlurm(tmp_path / "slurm") as slurm:
        yield Cluster(tmp_path, slurm)


def scores(root, name):
    rows = read_lines(CellStore(root).folder(name) / "results.jsonl")
    return {(row["language"], row["metric"]): row["score"] for row in rows}


def test_a_study_is_finished_whatever_happens_to_its_jobs(cluster, tmp_path):
    refused = cluster.study("run", *cluster.data, "--slurm", "partition=test,time=30", code=1)
    assert "There is no partition test. Did you mean tests?" in refused and not cluster.store.root.exists()
    given = cluster.submit()
    assert set(given["submitted"]) == set(cluster.cells)
    assert cluster.submit()["submitted"] == {}
    states = cluster.states()
    assert {state["state"] for state in states.values()} <= {"queued", "running"}
    assert "PENDING (Dependency)" in states["udpos after squad, base, seed 7"]["why"]

    killed, requeued = "squad, base, seed 7", "udpos after squad, base, seed 7"
    cluster.until_it_trains(killed)
    os.kill(cluster.store.held(cluster.cells[killed])["process"], signal.SIGKILL)
    cluster.until_it_goes_on(killed)
    cluster.until_it_trains(requeued)
    running = cluster.store.held(cluster.cells[requeued])["process"]
    cluster.slurm("scontrol", "requeue", given["submitted"][requeued])
    until(lambda: stopped_for_good(running))
    cluster.until_it_goes_on(requeued)
    until(lambda: not cluster.slurm("squeue", "--noheader").strip())

    states = cluster.states()
    assert {state["state"] for state in states.values()} == {"done"}, states
    assert cluster.attempts() == {title: 2 if title in (killed, requeued) else 1 for title in cluster.cells}
    assert cluster.submit() == {"before": 5, "submitted": {}, "queued": {}, "left_out": [], "unpublished": {}}
    cluster.study("run", *cluster.data, output=tmp_path / "plain")
    for title, name in cluster.cells.items():
        if "scores" in title:
            assert scores(cluster.store.root, name) == scores(tmp_path / "plain", name), title


def test_arrays_and_a_cell_that_cannot_be_done(cluster):
    bad, store = "squad, base, seed 7", cluster.store
    folder = store.folder(cluster.cells[bad])
    folder.mkdir(parents=True)
    (folder / "model").write_text("a file where the training writes a folder")
    given = cluster.submit("--array", "2")["submitted"]
    arrays = {title: job.partition("_") for title, job in given.items()}
    assert arrays[bad][0] == arrays["udpos after none, base, seed 7"][0], "both wait for nothing"
    assert {arrays[bad][2], arrays["udpos after none, base, seed 7"][2]} == {"0", "1"}
    until(lambda: not cluster.slurm("squeue", "--noheader").strip())
    states = cluster.states()
    assert states[bad]["state"] == "failed" and len(store.failures(cluster.cells[bad])) == 2
    assert states[bad]["log"] and states["udpos after squad, base, seed 7"]["state"] == "to do"
    assert states["udpos scores after none, base, seed 7"]["state"] == "done"
    assert "--slurm partition=tests,time=30" in cluster.study("status")
    (folder / "model").unlink()
    assert set(cluster.submit()["submitted"]) == {title for title in cluster.cells if "none" not in title}
