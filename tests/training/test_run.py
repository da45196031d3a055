"""Runs from the command line's words: what stops early stays stopped, what is best is kept, and folders are safe."""

import json
import shutil
from dataclasses import replace

import pytest
import tiny
from datasets import Dataset
from toy_tasks import PAIRS, WORDS
from transformers import AutoModel

from hf_stilts.errors import StiltsError
from hf_stilts.models.body import load_body
from hf_stilts.training import run
from hf_stilts.training.recipes import recipe
from hf_stilts.training.run import run_phase

DATA = Dataset.from_list([{"text": f"{WORDS[n % 12]} {WORDS[n * 5 % 12]}", "label": n % 2} for n in range(40)])


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train in a folder, evaluating every second step, with a patience of two; the number of steps of the run."""
    source = tiny.save(tmp_path / "public")
    figures = replace(recipe("jiant", PAIRS), eval_steps=2, patience=2)
    monkeypatch.setattr(run, "load_recipe", lambda *_: figures)

    def steps(folder, *flags, resume=False, rate="1e-9", **settings):
        words = ["--output_dir", str(tmp_path / folder), "--learning_rate", rate, "--max_steps", "30", *flags]
        words += ["--use_cpu", "true", "--report_to", "none", "--per_device_train_batch_size", "4"]
        given = {"model": source, "train_dataset": DATA, "eval_dataset": DATA, **settings}
        return run_phase("intermediate", PAIRS, words, resume=resume, **given)["steps"]

    return steps


def test_early_stopping_counts_on_after_a_resume(train, tmp_path):
    assert train("run") == 6, "nothing is learnt, so the second evaluation without improvement is the third"
    assert train("run", resume=True) == 6, "what had stopped is not taken up"
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    assert train("run", resume=True) == 6, "what was killed stops where it would have stopped"


def test_a_finished_run_is_not_trained_further(train, tmp_path):
    short = ("--max_steps", "4")  # less than an epoch, whose rest the Trainer's loop would begin
    assert train("run", *short) == train("run", *short, resume=True) == 4


def test_a_run_that_learnt_nothing_says_so(tmp_path, monkeypatch):
    words = ["--output_dir", str(tmp_path / "run"), "--max_steps", "1", "--use_cpu", "true", "--report_to", "none"]
    given = {"model": tiny.save(tmp_path / "public"), "train_dataset": DATA, "eval_dataset": DATA}
    for same_answer, told in ((True, "pairs"), (False, None)):
        monkeypatch.setattr("hf_stilts.training.task_data.warn_of_one_answer", lambda *_, same=same_answer: same)
        assert run_phase("target", PAIRS, words, overwrite=True, **given).get("collapsed") == told


@pytest.mark.parametrize(
    ("flags", "metric", "greater"),
    [
        ((), "accuracy", True),
        (("--metric_for_best_model", "loss"), "loss", False),
        (("--metric_for_best_model", "accuracy", "--greater_is_better", "false"), "accuracy", False),
    ],
)
def test_what_is_best_is_what_was_asked_for(flags, metric, greater, train, tmp_path):
    train("run", "--max_steps", "2", *flags)
    state = json.loads((tmp_path / "run" / "checkpoint-2" / "trainer_state.json").read_text())
    patience = state["stateful_callbacks"]["EarlyStoppingCallback"]["args"]
    assert patience["early_stopping_patience"] == 2
    import torch

    args = torch.load(tmp_path / "run" / "checkpoint-2" / "training_args.bin", weights_only=False)
    assert (args.metric_for_best_model, args.greater_is_better) == (metric, greater)


def test_several_evaluation_sets_are_judged_by_the_first(train):
    assert train("run", "--max_steps", "2", eval_dataset={"en": DATA, "de": DATA}) == 2


def test_the_record_has_the_scores_of_the_weights_beside_it(train, tmp_path):
    flags = ("--metric_for_best_model", "loss", "--max_steps", "12")
    steps = train("run", *flags, rate="0.05")
    record = json.loads((tmp_path / "run" / "stilts.json").read_text())
    state = json.loads((tmp_path / "run" / f"checkpoint-{steps}" / "trainer_state.json").read_text())
    assert record["step"] == steps and record["recipe"]["best_step"] == state["best_global_step"] < steps
    assert record["metrics"]["loss"] == pytest.approx(state["best_metric"])


def test_an_adapter_is_not_saved_over_its_base(train, tmp_path):
    base = tiny.save(tmp_path / "base")
    with pytest.raises(StiltsError, match="holds the model that the adapter is trained on.*another --output_dir"):
        train("base", model=base, adapter="lora")
    assert isinstance(load_body(base)[0], AutoModel.from_pretrained(base).__class__)
