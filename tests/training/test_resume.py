"""Going on with a run, and not training over one: whole checkpoints, finished runs, other settings, the same folder."""

import json
import shutil

import pytest
import tiny
import torch
from datasets import Dataset
from safetensors.torch import load_file
from toy_tasks import PAIRS, TAGS, WORDS, rows
from transformers import TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record
from hf_stilts.publishing.outbox import FOLDER, Outbox
from hf_stilts.training.budget import budget_of
from hf_stilts.training.run import run_mixture, run_phase
from hf_stilts.training.same_run import check_checkpoint
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer

DATA = Dataset.from_list([{"text": f"{WORDS[n % 12]} {WORDS[n * 5 % 12]}", "label": n % 2} for n in range(40)])
EVALUATED = ("--eval_strategy", "steps", "--eval_steps", "2", "--save_steps", "2")


@pytest.fixture
def train(tmp_path):
    """Train six steps in a folder, with a checkpoint at every second; the result of the run."""
    source = tiny.save(tmp_path / "public")

    def run(folder, *flags, phase="target", **settings):
        words = ["--output_dir", str(tmp_path / folder), "--max_steps", "6", "--use_cpu", "true", "--report_to", "none"]
        words += ["--per_device_train_batch_size", "4", "--learning_rate", "0.01", *EVALUATED, *flags]
        given = {"model": source, "train_dataset": DATA, "eval_dataset": DATA, "limit": 30, **settings}
        return run_phase(phase, PAIRS, words, **given)

    return run


@pytest.fixture
def untrained(monkeypatch):
    """From now on a training is a failure."""

    def forbid():
        for trainer in (TargetTrainer, IntermediateTrainer):
            monkeypatch.setattr(trainer, "train", lambda *_, **__: pytest.fail("trained again"))

    return forbid


def weights(folder):
    return {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}  # not of the file


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def unfinish(folder, step):
    """What a kill while `checkpoint-<step>` was written leaves: no state, no final model, no record."""
    for name in ("stilts.json", "model.safetensors", f"checkpoint-{step}/trainer_state.json"):
        (folder / name).unlink()


@pytest.mark.parametrize("phase", ["target", "intermediate"])
def test_a_checkpoint_that_a_kill_left_half_is_passed_over(phase, train, tmp_path, caplog):
    whole = train("whole", "--save_total_limit", "9", phase=phase)
    train("run", "--save_total_limit", "9", phase=phase)
    unfinish(tmp_path / "run", 6)
    again = train("run", "--save_total_limit", "9", phase=phase, resume=True)
    assert [line for line in caplog.messages if "is passed over" in line] == [
        f"{tmp_path / 'run/checkpoint-6'} is not whole (trainer_state.json is missing), so it is passed over."
    ]
    assert (again["steps"], again["accuracy"]) == (6, whole["accuracy"])
    assert same(weights(tmp_path / "run/checkpoint-6"), weights(tmp_path / "whole/checkpoint-6"))
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_weights_that_were_cut_off_are_named_and_written_again(train, tmp_path, caplog):
    whole = train("run", "--save_total_limit", "9")
    expected = weights(tmp_path / "run")
    cut(tmp_path / "run/model.safetensors")
    cut(tmp_path / "run/checkpoint-6/model.safetensors")
    again = train("run", "--save_total_limit", "9", resume=True)
    assert any("final model in" in line and "is not whole: model.safetensors has" in line for line in caplog.messages)
    assert any("checkpoint-6 is not whole" in line for line in caplog.messages)
    assert same(weights(tmp_path / "run"), expected) and again["accuracy"] == whole["accuracy"]


def test_a_best_checkpoint_that_was_cut_is_not_loaded_at_the_end(train, tmp_path, caplog):
    train("run", "--save_total_limit", "9")
    unfinish(tmp_path / "run", 6)
    state = tmp_path / "run/checkpoint-4/trainer_state.json"
    best = {"best_global_step": 2, "best_metric": 100.0, "best_model_checkpoint": str(tmp_path / "run/checkpoint-2")}
    state.write_text(json.dumps(json.loads(state.read_text()) | best))
    cut(tmp_path / "run/checkpoint-2/model.safetensors")
    assert train("run", "--save_total_limit", "9", resume=True)["steps"] == 6
    assert any("checkpoint-2 is not whole" in line and "those to come" in line for line in caplog.messages)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "run/checkpoint-6"))


def test_the_stock_way_to_resume_takes_the_newest_whole_one(tmp_path):
    data, source = rows(PAIRS), tiny.save(tmp_path / "public")

    def trainer():
        args = TrainingArguments(
            str(tmp_path / "run"), use_cpu=True, report_to="none", max_steps=4, save_steps=2,
            per_device_train_batch_size=4,
        )  # fmt: skip
        return IntermediateTrainer(source, args, task=PAIRS, train_dataset=data, eval_dataset=data)

    with pytest.raises(StiltsError, match="holds no whole checkpoint"):
        trainer().train(resume_from_checkpoint=True)
    trainer().train()
    expected = weights(tmp_path / "run/checkpoint-4")
    (tmp_path / "run/checkpoint-4/trainer_state.json").unlink()
    with pytest.raises(
        StiltsError, match=r"checkpoint-4 is not whole \(trainer_state.json is missing\).*an earlier one"
    ):
        trainer().train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-4"))
    trainer().train(resume_from_checkpoint=True)
    assert same(weights(tmp_path / "run/checkpoint-4"), expected)


def test_a_finished_run_is_not_trained_again_though_its_last_checkpoint_is_gone(train, tmp_path, untrained):
    flags = ("--save_total_limit", "1", "--metric_for_best_model", "loss", "--greater_is_better", "true")
    first = train("run", *flags)
    (kept,) = (tmp_path / "run").glob("checkpoint-*")
    assert kept.name != "checkpoint-6", "the stock Trainer has deleted the last one"
    assert budget_of(tmp_path / "run").steps == 6
    before, record = weights(tmp_path / "run"), (tmp_path / "run/stilts.json").read_bytes()
    untrained()
    again = train("run", *flags, resume=True)
    assert (again["steps"], again["accuracy"]) == (6, first["accuracy"])
    shutil.rmtree(kept)
    assert train("run", *flags, "--disable_tqdm", "true", resume=True)["steps"] == 6, "what the record says counts"
    assert same(weights(tmp_path / "run"), before) and (tmp_path / "run/stilts.json").read_bytes() == record


def test_a_finished_mixture_and_a_finished_adapter_give_their_result_again(train, tmp_path):
    data = {task.name: rows(task, 12) for task in (PAIRS, TAGS)}
    flags = ["--output_dir", str(tmp_path / "mixture"), "--max_steps", "4", "--use_cpu", "true", "--report_to", "none"]
    flags += ["--per_device_train_batch_size", "4", "--learning_rate", "0.01"]
    given = {"model": str(tmp_path / "public"), "train_dataset": data, "eval_dataset": data}
    first = run_mixture([PAIRS, TAGS], flags, **given)
    again = run_mixture([PAIRS, TAGS], flags, resume=True, **given)
    changing = {"seconds"}
    assert again["seconds"] == 0
    assert {key: again[key] for key in again if key not in changing} == {
        key: first[key] for key in first if key not in changing
    }
    first = train("adapter", adapter="lora")
    again = train("adapter", adapter="lora", resume=True)
    assert again["seconds"] == 0 and (again["steps"], again["accuracy"]) == (6, first["accuracy"])
    with pytest.raises(StiltsError, match="adapter lora there and None here"):
        train("adapter", resume=True)


def test_fewer_steps_than_were_trained_are_refused_and_more_go_on(train, tmp_path):
    train("run", "--save_total_limit", "9")
    with pytest.raises(StiltsError, match="finished run of 6 steps: max_steps 6 there and 4 here. Nothing was trained"):
        train("run", "--max_steps", "4", resume=True)
    (tmp_path / "run/stilts.json").unlink()  # a run that was killed at step 6 of 8
    with pytest.raises(StiltsError, match="checkpoint-6 is of step 6, and this run ends at step 4. Nothing"):
        train("run", "--max_steps", "4", resume=True)
    assert train("run", "--max_steps", "8", resume=True)["steps"] == 8
    assert train("run", "--max_steps", "10", resume=True)["steps"] == 10, "of a finished run, too"
    assert Record.from_json((tmp_path / "run/stilts.json").read_bytes()).step == 10


def test_other_settings_are_said_with_both_values(train, tmp_path, caplog):
    train("run", "--save_total_limit", "9")
    unfinish(tmp_path / "run", 6)
    other = ("--learning_rate", "0.02", "--seed", "7", "--per_device_train_batch_size", "2", "--logging_steps", "1")
    train("run", "--save_total_limit", "9", *other, resume=True)
    (line,) = [line for line in caplog.messages if "was trained with other settings" in line]
    for said in ("learning_rate 0.01 there and 0.02 here", "seed 42 there and 7 here", "batch 4 there and 2 here"):
        assert said in line
    assert "logging" not in line and "max_steps" not in line
    caplog.clear()
    (tmp_path / "run/stilts.json").unlink()
    train("run", "--save_total_limit", "9", *other, resume=True)
    assert not [line for line in caplog.messages if "other settings" in line]


def test_a_finished_run_of_other_settings_is_refused(train, untrained):
    train("run")
    untrained()
    with pytest.raises(StiltsError, match="finished run.*learning_rate 0.01 there and 0.02 here.*--overwrite"):
        train("run", "--learning_rate", "0.02", resume=True)
    with pytest.raises(StiltsError, match="finished run.*training rows 30 there and 20 here"):
        train("run", limit=20, resume=True)


def test_a_checkpoint_of_another_start_is_not_gone_on_from(train, tmp_path):
    train("run", "--save_total_limit", "9")
    unfinish(tmp_path / "run", 6)
    other = tiny.save(tmp_path / "other", seed=1)
    with pytest.raises(StiltsError, match="checkpoint-4 is of another run: start public there and other here"):
        train("run", model=other, resume=True)


@pytest.mark.parametrize("phase", ["target", "intermediate"])
def test_the_same_command_twice_loses_nothing(phase, train, tmp_path, untrained):
    train("run", phase=phase)
    files = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    untrained()
    with pytest.raises(StiltsError, match="pairs, finished at step 6.*Nothing was done.*--resume auto.*--overwrite.*"):
        train("run", phase=phase)
    assert train("run", phase=phase, resume=True)["steps"] == 6
    with pytest.raises(StiltsError, match="--resume goes on with a run and --overwrite deletes it"):
        train("run", phase=phase, resume=True, overwrite=True)
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == files


def test_a_run_that_was_killed_is_not_trained_over(train, tmp_path):
    train("run", "--save_total_limit", "9")
    unfinish(tmp_path / "run", 6)
    with pytest.raises(StiltsError, match="holds a run .3 checkpoints, not finished"):
        train("run")
    with pytest.raises(StiltsError, match="holds a run .3 checkpoints, not finished"):
        run_mixture([PAIRS], ["--output_dir", str(tmp_path / "run")])


def test_overwriting_leaves_nothing_of_the_run_before(train, tmp_path):
    train("run", "--save_total_limit", "9")
    (tmp_path / "run/heads/tags").mkdir(parents=True)
    (tmp_path / "run/notes.txt").write_text("mine")
    assert train("run", "--max_steps", "2", overwrite=True)["steps"] == 2
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    assert not (tmp_path / "run/heads").exists() and (tmp_path / "run/notes.txt").read_text() == "mine"


def test_checkpoints_that_were_not_sent_are_not_overwritten(train, tmp_path, monkeypatch):
    monkeypatch.setattr(Outbox, "_wake_worker", lambda _: None)  # no upload worker
    train("run", "--save_total_limit", "9")
    outbox = Outbox(tmp_path / "run", "me/tiny", private=True, record=Record(step=2))
    outbox.add(tmp_path / "run/checkpoint-2", Record(step=2))
    with pytest.raises(StiltsError, match="not on the Hub yet. Nothing was done.*publish --retry.*--output_dir.*rm -r"):
        train("run", overwrite=True)
    assert (tmp_path / "run/checkpoint-6").is_dir()
    shutil.rmtree(tmp_path / "run" / FOLDER)
    assert train("run", overwrite=True)["steps"] == 6


def test_what_a_folder_holds_is_said_before_anything_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "run/checkpoint-2").mkdir(parents=True)
    with pytest.raises(StiltsError, match="holds a run"):
        run_phase("intermediate", "mnli", ["--output_dir", str(tmp_path / "run")], model="org/nowhere")


class Evil:
    """Unpickled without care, it writes a file."""

    def __init__(self, sign):
        self.sign = sign

    def __reduce__(self):
        return open, (str(self.sign), "w")


def test_states_made_to_harm_run_no_code_and_are_named(train, tmp_path):
    train("run", "--save_total_limit", "9", "--max_steps", "2")
    for file in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        checkpoint = shutil.copytree(tmp_path / "run/checkpoint-2", tmp_path / file / "checkpoint-2")
        torch.save({"state": Evil(tmp_path / "code was run")}, checkpoint / file)
        with pytest.raises(StiltsError, match="checkpoint-2 cannot be read, and no code") as error:
            train(file, resume=True)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "code was run").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"stateful_callbacks": [1]},
        {"stateful_callbacks": {"RunSettings": {"attributes": {}}}},
        {"stateful_callbacks": {"RunSettings": {"attributes": {"settings": 5}}}},
    ],
)
def test_a_state_that_no_trainer_wrote_is_named(change, tmp_path):
    state = {"global_step": 4, **change}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    with pytest.raises(StiltsError, match=r"trainer_state\.json cannot be gone on from"):
        check_checkpoint(tmp_path, {"seed": 42})
