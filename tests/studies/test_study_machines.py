"""A study on two machines that share a folder: each has its own name and sees only its own processes."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import quick_worker

from hf_stilts.studies.cells import unfold
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study

# A process namespace of its own: what runs in it can be signalled by nobody in the other, as on another machine.
MACHINE = ("unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--uts")
LEASE = 3.0
CALL = """
import socket, sys
socket.sethostname({name!r})
sys.path[:0] = {tests!r}
from hf_stilts.studies import run
from test_study_machines import LEASE, study
run.WORKER = ({worker!r},)
run.POLL = 0.1
run._flaw = lambda model: None  # what the other machine has done has no weights
result = run.run_study(study(), {folder!r}, lease=LEASE)
print(len(result.done), result.failed, result.waiting)
"""


def study():
    arms = {"none": None, "mnli": Intermediate("mnli"), "squad": Intermediate("squad_v1")}
    base = ("org/base@0123456789012345678901234567890123456789",)
    return Study(base=base, arms=arms, targets=("xquad", "udpos", "panx"), seeds=(0, 1, 2), name="shared")


def machine(name, folder):
    """A run of the study on another machine."""
    tests = [str(Path(__file__).parent), str(Path(quick_worker.__file__).parent)]
    code = CALL.format(name=name, worker=quick_worker.__file__, tests=tests, folder=str(folder))
    return subprocess.Popen([*MACHINE, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def did(folder):
    path = folder / "did.txt"
    return path.read_text().split() if path.is_file() else []


@pytest.fixture
def folder(tmp_path):
    if shutil.which("unshare") is None or subprocess.run([*MACHINE, "true"], capture_output=True).returncode:
        pytest.skip("a second machine is made with unshare of util-linux, as root")
    (tmp_path / "does.json").write_text("{}")
    return tmp_path


@pytest.mark.slow
def test_two_machines_do_each_cell_once(folder):
    machines = [machine("one", folder), machine("two", folder)]
    ended = [each.communicate(timeout=120)[0].split() for each in machines]
    cells = unfold(study()).cells
    assert [each.returncode for each in machines] == [0, 0]
    assert sorted(did(folder)) == sorted(cells), "none twice, none left out"
    shares = [int(words[0]) for words in ended]
    assert sum(shares) == len(cells) and min(shares) > 0, "both took part"


@pytest.mark.slow
def test_the_cell_of_a_machine_that_is_lost_is_taken_over(folder):
    cells = unfold(study()).cells
    first = next(iter(cells))
    (folder / "does.json").write_text(json.dumps({first: "hang once"}))
    lost = machine("lost", folder)
    while first not in did(folder):
        assert lost.poll() is None
        time.sleep(0.05)
    lost.kill()  # and with it all that runs there
    lost.wait()
    store = CellStore(folder, lease=LEASE)
    assert store.held(first)["machine"].startswith("lost "), "nobody here can know that it is gone"
    other = machine("other", folder)
    assert other.communicate(timeout=120)[0].split()[0] == str(len(cells))
    assert sorted(did(folder)) == sorted([*cells, first]), "only the cell that was under way is begun again"
    assert store.finished(first) and store.newest_attempt(first) == 2
