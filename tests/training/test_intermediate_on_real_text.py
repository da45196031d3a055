"""The benchmark of intermediate tasks, at its smallest: it runs through, keeps what is done and goes on from there."""

import json
import subprocess
import sys

import pytest
import tiny
from places import DATA, ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}; set HF_STILTS_TEST_DATA"),
]


def run(folder, tasks):
    small = "--steps 2 --seeds 1 --batch 4 --dev 8 --sentences 4 --length 64".split()
    command = [sys.executable, str(ROOT / "benchmarks/intermediate_on_real_text.py"), "--raw", str(DATA), "--encoder"]
    command += [tiny.save(folder / "encoder"), "--out", str(folder / "out"), "--tasks", tasks, *small]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_runs_in_pieces(tmp_path):
    assert "| copa | train, dev | 800 | 2 |" in run(tmp_path, "copa")
    first = (tmp_path / "out/results/copa-1.json").read_bytes()
    table = run(tmp_path, "copa,pawsx,ccg")
    assert "| pawsx | dev, test | 2000 | 2 |" in table and "| ccg | train, dev | 7745 | 2 |" in table
    assert (tmp_path / "out/results/copa-1.json").read_bytes() == first, "what is done is not done again"
    rows = json.loads((tmp_path / "out/results.json").read_text())
    assert {row["task"] for row in rows} == {"before", "copa", "pawsx", "ccg"}
    assert all(0 <= row["tatoeba"] <= 100 for row in rows)
    chances = {row["task"]: row["chance"] for row in rows if row["task"] != "before"}
    assert chances["copa"] >= 50 and chances["pawsx"] >= 50 and 0 < chances["ccg"] < 100
