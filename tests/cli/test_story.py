"""The README's four commands, one after another, each in its own process, against an embedded Hub and a mirror."""

import os
import subprocess
import sys

import pytest
import tiny
from story import BASE, write_mirror


@pytest.mark.slow
def test_three_phases_by_their_commands(stilts, tmp_path):
    steps = ("--max_steps", "4", "--save_steps", "2", "--eval_steps", "2", "--per_device_train_batch_size", "4")
    first = ("intermediate", "mnli", "--base", BASE, "--namespace", "me", "--use_cpu", "1")
    (trained,) = stilts(*first, *steps, "--json")
    assert trained["steps"] == 4
    assert f"come from {BASE}@" in trained["body"]
    (published,) = stilts("checkpoints", "--task", "mnli", "--json")
    assert published["name"] == "me/xlm-roberta-base-stilts-mnli"
    assert published["base"] == BASE
    walk = stilts("checkpoints", "lineage", published["name"], "--json")
    assert [step["name"] for step in walk] == [published["name"], BASE]
    assert {row["state"] for row in stilts("checkpoints", "verify", published["name"], "--json")} == {"unchanged"}

    again = stilts("reproduce", "me/xlm-roberta-base-stilts-mnli@step-2", "--json")
    assert {row["compared"]: row["difference"] for row in again} == {"accuracy": 0, "loss": 0, "weights": 0}

    target = ("target", "udpos", "--init", "mnli", "--base", BASE, "--namespace", "me", "--output_dir", "runs/udpos")
    (tagger,) = stilts(*target, "--max_steps", "2", "--use_cpu", "1", "--json")
    assert "come from me/xlm-roberta-base-stilts-mnli@" in tagger["body"]
    assert "new: classifier" in tagger["body"]
    rows = stilts("evaluate", "udpos", "--model", "runs/udpos", "--languages", "en,de", "--json")
    assert {row["language"]: row["setting"] for row in rows} == {"en": "in-language", "de": "zero-shot"}
    found = stilts("evaluate", "tatoeba", "--model", published["name"], "--languages", "de", "--json")
    assert {row["model"] for row in found} == {published["name"]}
    assert all(len(row["model_revision"]) == 40 for row in found)
    told = stilts("evaluate", "tatoeba", "--model", published["name"], "--languages", "de", "--publish")
    assert f"The card of {published['name']} has these scores since commit" in told
    (collected,) = stilts("checkpoints", "collect", "A study", "mnli", "--namespace", "me", "--json")
    assert collected["collection"].startswith("me/a-study")

    # Another folder stands for another machine: the run goes on from the Hub's step 4 with its optimizer; of step 2,
    # the best so far, the weights alone are fetched, for it was not trained there.
    run = (*first, *steps[:2], "--save_steps", "2", "--eval_steps", "2", "--seed", "7", "--resume", "auto")
    stilts(*run, "--output_dir", "runs/here")
    stilts(*run, "--max_steps", "6", "--output_dir", "runs/elsewhere")
    trained_there = {file.parent.name for file in (tmp_path / "runs" / "elsewhere").glob("checkpoint-*/optimizer.pt")}
    assert trained_there == {"checkpoint-4", "checkpoint-6"}

    told = stilts("evaluate", "udpos", "--model", published["name"], "--languages", "de", code=1)
    assert "no trained head for udpos" in told
    told = stilts("target", "udpos", "--init", "mnly", "--namespace", "me", code=1)
    assert "mnli" in told


@pytest.mark.slow
def test_the_hub_down_from_the_start_loses_nothing(tmp_path):
    """No Hub answers: training ends well, the checkpoints wait, and the report says what to type."""
    public, mirror = tiny.save(tmp_path / "public"), write_mirror(tmp_path)
    environment = os.environ | {
        "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "x", "HF_HOME": str(tmp_path / "home"),
        "HF_STILTS_DATA": str(mirror), "HF_STILTS_NAMESPACE": "me", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    code = f"""
from hf_stilts import IntermediateTrainer, PublishCheckpoints
from hf_stilts.publishing.outbox import Pace
from transformers import TrainingArguments
publish = PublishCheckpoints("me/x", pace=Pace(patience=3))
args = TrainingArguments("run", max_steps=2, save_steps=1, save_total_limit=1, use_cpu=True, report_to="none")
trainer = IntermediateTrainer({public!r}, args, task="mnli", callbacks=[publish])
trainer.train()
print(trainer.state.global_step, len(publish.report.waiting), publish.report)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    last = done.stdout.splitlines()
    assert any(line.startswith("2 2 ") for line in last), done.stdout
    assert "hf-stilts publish --retry" in done.stdout
