"""The quickstart from end to end, twice: everything it promises is there, and the same seed gives the same numbers."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mirrors import build
from tiny import save

from hf_stilts.quickstart import real
from hf_stilts.quickstart.run import DIRECT, INTERMEDIATE, STEPS, TARGETS, comparison


@pytest.mark.slow
def test_two_quickstarts_with_one_seed_give_the_same_numbers(tmp_path):
    tables = []
    for name in ("first", "second"):
        command = [str(Path(sys.executable).parent / "hf-stilts"), "quickstart", "--folder", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout + done.stderr
        assert said.count(" checkpoints are on the Hub") == len(INTERMEDIATE), "each training says it once"
        tables.append(pd.read_json(tmp_path / name / "results.jsonl", lines=True))
    first, second = tables
    keys = ["encoder", "task", "language", "metric"]
    assert first.set_index(keys)["score"].equals(second.set_index(keys)["score"])
    for picture in ("gains.png", "layers.png"):
        assert (tmp_path / "first" / picture).read_bytes().startswith(b"\x89PNG")
    scores = comparison(first)
    assert scores.index.tolist() == [DIRECT, *INTERMEDIATE]
    assert scores.columns.tolist() == list(TARGETS)
    # Above chance: tags are 9 classes, of which the most frequent is a sixth; 250 candidate translations.
    assert (scores["world_pos"] > 30).all()
    assert (scores["world_bitext"] > 3 * 100 / 250).all()
    # Every checkpoint that was saved is on the Hub under its step.
    for name in INTERMEDIATE:
        (repository,) = (tmp_path / "first" / "hub").rglob(f"world-mini-stilts-{name}.git")
        tags = subprocess.run(["git", "tag"], cwd=repository, capture_output=True, text=True, check=True).stdout.split()
        assert sorted(tags) == sorted(f"step-{step}" for step in range(100, STEPS + 1, 100))


@pytest.mark.slow
def test_the_quickstart_with_a_real_encoder_compares_before_and_after(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real, "STEPS", 2)
    rows = {"snli": {"train": ["en"], "validation": ["en"]}, "tatoeba": {"test": real.LANGUAGES}}
    mirror = build(tmp_path / "mirror", rows)
    base = save(tmp_path / "base")
    for _ in range(2):
        real.run_real(tmp_path / "run", base=base, data_dir=mirror)
        said = capsys.readouterr().out
        assert "before and after SNLI" in said and "Done in" in said
        assert all(f"\n{language} " in said for language in real.LANGUAGES)
    assert "begun" not in said, "the second call has nothing to do"
