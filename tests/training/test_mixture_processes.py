"""A mixture on two CPU processes: together they are given what one process is, and find the same gradient."""

import json
import os
import subprocess
import sys

import mixtures
import pytest
from places import SUPPORT


def train(folder, processes, accumulation):
    here = SUPPORT
    paths = [str(here), str(here.parent)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += [str(here / "mixtures.py"), str(folder), "8", str(accumulation)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((folder / f"{processes}-{accumulation}-{rank}.json").read_text()) for rank in range(processes)]
    steps = []
    for first in range(0, len(ranks[0]["seen"]), accumulation):
        parts = [rank["seen"][first + part] for part in range(accumulation) for rank in ranks]
        assert len({task for task, _ in parts}) == 1, "a step of two tasks"
        steps.append((parts[0][0], [example for _, examples in parts for example in examples]))
    return steps, ranks


@pytest.mark.slow
def test_two_processes_train_the_steps_of_one(tmp_path):
    """8 examples a step: in one piece, and as 2 processes times 2 accumulated micro-batches of 2."""
    mixtures.public(tmp_path)
    whole, (one,) = train(tmp_path, 1, 1)
    cut, two = train(tmp_path, 2, 2)
    assert len(whole) == 8 and whole == cut
    for rank in two:
        assert rank["log"] == [pytest.approx(each, rel=1e-3, abs=1e-6) for each in one["log"]]
        assert rank["aggregate"] == pytest.approx(one["aggregate"])
