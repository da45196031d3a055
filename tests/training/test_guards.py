"""Guards: a NaN stops the training before it spoils the weights; what is not learnt or not equal is said in numbers."""

import json
import logging
import math

import pytest
import torch
from command import run as run_command
from datasets import Dataset
from guarded import Spoil, trainer
from safetensors.torch import load_file
from toy_tasks import PAIRS, TAGS, rows
from transformers import TrainerCallback, TrainerState, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record
from hf_stilts.training.budget import Budget, budget_of, equal_budget
from hf_stilts.training.budget_guard import BudgetGuard
from hf_stilts.training.guards import CollapseGuard, chance_loss, warn_of_one_answer
from hf_stilts.training.recipes import recipe


@pytest.mark.parametrize(("value", "accumulation", "clip"), [(math.nan, 1, 1.0), (math.inf, 2, 0.0)])
def test_a_number_that_is_none_stops_the_training_before_the_step(value, accumulation, clip, tmp_path):
    spoil = Spoil(3, value)
    run = trainer(tmp_path, callbacks=[spoil], gradient_accumulation_steps=accumulation, max_grad_norm=clip)
    with pytest.raises(
        StiltsError, match=r"Step 4: the loss is (nan|inf).*checkpoint is .*checkpoint-2\..*_rate 2.5e-05"
    ):
        run.train()
    assert run.state.global_step == 3
    assert spoil.ended == 1  # publishing ends as after any training
    kept = load_file(tmp_path / "run/checkpoint-2/model.safetensors")
    assert all(value.isfinite().all() for value in kept.values())
    bias = run.model.classifier.out_proj.bias
    assert bias.isfinite().all()  # the optimizer did not run


def test_before_any_checkpoint_it_says_so(tmp_path):
    """In the first step of the warm-up the rate is 0, half of which would be no advice."""
    with pytest.raises(StiltsError, match="no checkpoint had been saved yet.*--learning_rate 2.5e-05 or"):
        trainer(tmp_path, callbacks=[Spoil(0)], warmup_steps=3).train()


def test_stock_still_calls_the_hook_that_sees_the_gradient(tmp_path):
    """`_get_grad_norm` is private: when this fails, transformers has renamed it and the guard needs another place."""
    run = trainer(tmp_path, max_steps=1)
    seen = []
    stock = run._get_grad_norm
    run._get_grad_norm = lambda *args, **named: seen.append(stock(*args, **named)) or seen[-1]
    run.train()
    assert seen == [pytest.approx(run.state.log_history[0]["grad_norm"])]


def test_chance_is_the_entropy_of_the_labels(tmp_path):
    """1/4 and 3/4: -(log(1/4) / 4 + 3 log(3/4) / 4) = 0.5623."""
    assert chance_loss(Dataset.from_dict({"labels": [0, 1, 1, 1]})) == pytest.approx(0.5623, abs=1e-4)
    assert chance_loss(Dataset.from_dict({"labels": [[0, -100], [2, 1]]})) == pytest.approx(math.log(3))
    assert chance_loss(Dataset.from_dict({"labels": [1, 1]})) is None
    assert chance_loss(Dataset.from_dict({"input_ids": [[1]]})) is None
    assert chance_loss(trainer(tmp_path, TAGS).train_dataset) == pytest.approx(math.log(2))  # 12 N, 12 V


@pytest.mark.parametrize(("loss", "warned"), [(0.70, True), (0.5, False)])
def test_a_loss_that_stays_at_chance_is_named_with_numbers(loss, warned, tmp_path, caplog):
    """Steps 10 to 110 of 200, after ten of warm-up; chance of two balanced classes is 0.6931."""
    guard = CollapseGuard(math.log(2))
    args = TrainingArguments(str(tmp_path), warmup_steps=10, learning_rate=3e-5)
    state = TrainerState(max_steps=200)
    guard.on_train_begin(args, state, None)
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        for step in range(5, 115, 5):
            state.global_step = step
            guard.on_log(args, state, None, logs={"loss": 9.0 if step <= 10 else loss})
    expected = "Nothing learnt from step 10 to 110: the training loss is 0.7000; it is 0.6931"
    assert (expected in caplog.text) == warned
    assert caplog.text.count("Nothing learnt") == warned


def test_one_answer_to_everything_is_named(caplog):
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        assert warn_of_one_answer(["yes"] * 30, 52.0, 7)
        assert "Step 7: all 30 predictions are 'yes', which scores 52.0." in caplog.text
        assert warn_of_one_answer([["N", "N"]] * 20, None, 7)
        assert not warn_of_one_answer(["yes"] * 29 + ["no"], 52.0, 7)
        assert not warn_of_one_answer(["yes"] * 30, 100.0, 7)
        assert not warn_of_one_answer(["yes"] * 10, 52.0, 7)


def test_evaluation_looks_for_it(tmp_path, caplog):
    run = trainer(tmp_path)
    with torch.no_grad():
        run.model.classifier.out_proj.weight.zero_()
        run.model.classifier.out_proj.bias.copy_(torch.tensor([1.0, 0.0]))
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        run.evaluate(rows(PAIRS, 40))
    assert "all 40 predictions are 'no', which scores 50.0" in caplog.text
    assert run.data.one_answer


def test_another_budget_than_the_recipes_is_named_with_numbers(tmp_path, caplog):
    """jiant: 3 epochs of batches of 32; 8 rows give one step each."""
    run = trainer(tmp_path)
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        run.train()
    assert "trains 6 steps of 4 (24 examples); the recipe (jiant, XTREME guide) trains 3 steps of 32 (96" in caplog.text
    caplog.clear()
    guard = BudgetGuard(recipe("jiant", PAIRS), 320)
    args = TrainingArguments(str(tmp_path), per_device_train_batch_size=8, gradient_accumulation_steps=4, use_cpu=True)
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        guard.on_train_begin(args, TrainerState(max_steps=30), None)
        assert not caplog.text
        guard.on_train_begin(args, TrainerState(max_steps=30, train_batch_size=7), None)  # auto_find_batch_size
    assert "trains 30 steps of 28 (840 examples)" in caplog.text


def test_arms_of_a_comparison_are_compared(tmp_path):
    """From a run's folder, from a checkpoint in it, and from a record."""
    run = trainer(tmp_path, max_steps=4, gradient_accumulation_steps=2)
    run.train()
    folder = tmp_path / "run"
    same = Record(step=4, recipe={"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "processes": 1})
    arms = {"a": folder, "b": folder / "checkpoint-4", "c": same}
    assert equal_budget(arms) == dict.fromkeys("abc", Budget(steps=4, batch=8))
    with pytest.raises(StiltsError, match=r"late: 4 steps of 8 \(32 examples\); early: 2 steps of 8 \(16 examples\)"):
        equal_budget({"late": folder, "early": folder / "checkpoint-2"})
    wide = Record(step=4, recipe={**same.recipe, "gradient_accumulation_steps": 2})
    with pytest.raises(StiltsError, match="did not train equally"):
        equal_budget({"a": folder, "wide": wide})
    assert equal_budget({"a": folder, "almost": Record(step=4, recipe=same.recipe)}, tolerance=0.01)
    with pytest.raises(StiltsError, match="1 arms were given"):
        equal_budget([folder])


def test_a_folder_that_does_not_say_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/trainer_state.json").write_text(json.dumps({"global_step": 3}))
    with pytest.raises(StiltsError):
        budget_of(tmp_path / "other")
    with pytest.raises(StiltsError, match="does not say how many examples each step had"):
        budget_of(Record(step=3, recipe={"batch_sizes": "a=8,b=4"}))


@pytest.mark.parametrize("micro_tokens", [None, 0], ids=["cut", "as they come"])
def test_a_batch_without_labels_is_not_trained_on_and_said(micro_tokens, tmp_path, caplog):
    """Stock cross entropy over nothing is NaN, with a gradient of 0, which stock logging shows as a loss of 0."""
    run = trainer(tmp_path, TAGS, max_steps=4, train_sampling_strategy="sequential")
    run.micro.most = micro_tokens
    features = [dict(feature) for feature in run.train_dataset]
    for feature in features[:4]:
        feature["labels"] = [-100] * len(feature["labels"])
    run.train_dataset = features
    seen, stock = [], type(run).training_step
    run.training_step = lambda *args, **named: seen.append(float(stock(run, *args, **named))) or torch.tensor(seen[-1])
    before = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
    moved = []

    class Watch(TrainerCallback):
        def on_step_end(self, *_, model=None, **__):
            moved.append(any(not torch.equal(before[name], weight) for name, weight in model.named_parameters()))

    run.add_callback(Watch())
    run.train()
    assert seen[0] == seen[2] == 0.0 and min(seen[1], seen[3]) > 0.1, "none of them is NaN"
    assert moved[:2] == [False, True], "the first step, without labels, changes no weight"
    assert sum("no example of a batch has a label" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_loss_that_is_none_stops_the_training_though_its_gradient_is_one(accumulation, tmp_path):
    """The guard looks at the loss as it was computed, before stock logging leaves it out."""
    run = trainer(tmp_path, gradient_accumulation_steps=accumulation, per_device_train_batch_size=2)
    calls = []

    def loss(outputs, labels, num_items_in_batch=None):
        calls.append(None)
        spoilt = math.nan if len(calls) == 3 * accumulation - accumulation + 1 else 0.0  # first batch of step 3
        return torch.nn.functional.cross_entropy(outputs.logits, labels) + spoilt

    run.compute_loss_func = loss
    with pytest.raises(StiltsError, match="Step 3: the loss is nan, the gradient's norm [0-9.]+; .*checkpoint-2"):
        run.train()
    assert run.state.global_step == 2


def test_the_command_says_what_each_arm_trained(tmp_path, mistake):
    for name, step in {"a": 4, "b": 4, "late": 5}.items():
        recipe = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "stilts.json").write_text(Record(phase="target", step=step, recipe=recipe).to_json())
    code, text = run_command("equal-budget", tmp_path / "a", tmp_path / "b", "--json")
    assert code == 0
    assert json.loads(text) == [
        {"arm": str(tmp_path / name), "steps": 4, "batch": 8, "examples": 32} for name in ("a", "b")
    ]
    said = mistake("equal-budget", tmp_path / "a", tmp_path / "late")
    assert "late: 5 steps of 8 (40 examples)" in said and "--tolerance" in said
