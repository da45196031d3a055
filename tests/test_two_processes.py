"""Two CPU processes train with the same loss scale as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny


def test_two_processes_do_not_scale_the_loss(tmp_path):
    """8 rows on one process and 4 + 4 on two: the same gradient norm and loss, all 8 predictions."""
    tiny.save(tmp_path / "public")
    here = Path(__file__).parent
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here), "TOKENIZERS_PARALLELISM": "false"}
    for processes, per_device in ((1, 8), (2, 4)):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command += [str(here / "two_processes.py"), str(tmp_path), str(per_device)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"{count}.json").read_text()) for count in (1, 2))
    assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-3)
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
    assert one["predictions"] == two["predictions"] == 8
