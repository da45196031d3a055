"""Two CPU processes train with the same loss scale as one, and evaluate a benchmark with the same results."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mirrors
import pytest
import tiny
from places import SUPPORT


def torchrun(processes: int, script: str, *arguments: object) -> None:
    here = SUPPORT
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += [str(here / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_do_not_scale_the_loss(tmp_path):
    """8 rows on one process and 4 + 4 on two: the same gradient norm and loss, all 8 predictions."""
    tiny.save(tmp_path / "public")
    for processes, per_device in ((1, 8), (2, 4)):
        torchrun(processes, "two_processes.py", tmp_path, per_device)
    one, two = (json.loads((tmp_path / f"{count}.json").read_text()) for count in (1, 2))
    assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-3)
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
    assert one["predictions"] == two["predictions"] == 8


@pytest.mark.slow
def test_two_processes_evaluate_as_one_and_write_everything_once(tmp_path):
    """Two processes train and score; one scores the very same models: equal files, to the byte."""
    model, data = tiny.save(tmp_path / "public"), mirrors.build(tmp_path / "mirror", mirrors.SMALL, count=11)
    torchrun(2, "benchmark_processes.py", model, data, tmp_path / "two")
    for part in ("training", "settings.json"):
        copy = shutil.copytree if (tmp_path / "two" / part).is_dir() else shutil.copy
        (tmp_path / "one").mkdir(exist_ok=True)
        copy(tmp_path / "two" / part, tmp_path / "one" / part)
    torchrun(1, "benchmark_processes.py", model, data, tmp_path / "one")
    predictions = sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").glob("predictions/*/*"))
    assert len(predictions) == 9
    for name in predictions:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    tables = [(tmp_path / run / "results.jsonl").read_text().replace(f"/{run}/", "/") for run in ("one", "two")]
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_the_command_speaks_once_under_torchrun(tmp_path):
    model, data = tiny.save(tmp_path / "public"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--no-python"]
    command += [str(Path(sys.executable).with_name("hf-stilts")), "evaluate", "tatoeba", "--model", model]
    command += ["--languages", "de,fi", "--data-dir", str(data), "--output", str(tmp_path / "rows.jsonl"), "--json"]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(json.loads(done.stdout)) == len(lines) == 4  # two languages, accuracy in both directions
