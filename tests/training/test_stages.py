"""XCOPA is trained on SIQA, then on COPA: one call, a folder each, finished stages kept, the head goes on."""

import pytest
import tiny
import torch
from datasets import Dataset
from transformers import AutoModelForMultipleChoice

from hf_stilts.data.mirror import CARD, read_card
from hf_stilts.dataset_scripts.repository import Config, update_card, write_card, write_parquet
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.zero_shot import zero_shot
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.task import load_task
from hf_stilts.training import run
from hf_stilts.training.trainer import TargetTrainer

FLAGS = ("--max_steps", "2", "--use_cpu", "true", "--per_device_train_batch_size", "4", "--learning_rate", "1e-3")


def stored(name, number):
    """A row as the data set of SIQA, COPA or XCOPA has it."""
    if name == "siqa":
        return {"context": "the cat reads", "question": "why ?", "answerA": "because", "answerB": "a dog",
                "answerC": f"two {number}", "label": str(1 + number % 3)}  # fmt: skip
    return {"premise": "it was big", "choice1": "a house", "choice2": f"one {number}", "question": "cause",
            "label": number % 2, "idx": number}  # fmt: skip


@pytest.fixture
def world(tmp_path):
    """The public model, and a mirror with rows of the three data sets."""
    for name, language in (("siqa", "en"), ("copa", "en"), ("xcopa", "sw")):
        task = load_task(name)
        splits = ("test",) if name == "xcopa" else ("train", "validation")
        rows = Dataset.from_list([stored(name, number) for number in range(6)])
        config = Config(task.config_for(language), dict.fromkeys(splits, rows), (language,), {"raw": {}})
        folder = tmp_path / "mirror" / task.dataset
        write_parquet(config, folder)
        card = read_card(folder / CARD)
        update_card(card, [config], folder, "other", "")
        write_card(card, folder)
    return {"model": tiny.save(tmp_path / "public"), "data_dir": tmp_path / "mirror"}


def train(world, folder, **changes):
    flags = [*FLAGS, "--output_dir", str(folder)]
    return run.run_phase("target", "xcopa", flags, **{**world, **changes})


def test_one_call_trains_both_stages_and_the_result_is_scored(world, tmp_path):
    result = train(world, tmp_path / "run")
    assert (result["task"], result["folder"], result["steps"]) == ("xcopa", str(tmp_path / "run"), 2)
    assert 0 <= result["accuracy"] <= 100
    for folder in (tmp_path / "run" / "siqa", tmp_path / "run"):
        AutoModelForMultipleChoice.from_pretrained(folder)
    record = Record.from_json((tmp_path / "run" / RECORD_FILE).read_text())
    assert [task.name for task in record.tasks] == ["siqa", "copa"]
    assert record.parent.id == "public", "what the whole started from, not the stage between"
    table = zero_shot(str(tmp_path / "run"), "xcopa", ["sw"], data_dir=world["data_dir"])
    assert table["setting"].tolist() == ["zero-shot"]


def test_the_second_stage_starts_with_the_first_ones_head(world, tmp_path):
    train(world, tmp_path / "run")
    folder = tmp_path / "run" / "siqa"
    copa = {"task": "copa", "data_dir": world["data_dir"]}
    with pytest.warns(FutureWarning, match="init= with keep_head=True"):
        as_before = TargetTrainer(after=folder, **copa).model
    siqa = AutoModelForMultipleChoice.from_pretrained(folder)
    for model in (TargetTrainer(init=folder, keep_head=True, **copa).model, as_before):
        assert torch.equal(model.classifier.weight, siqa.classifier.weight)
        assert torch.equal(model.roberta.pooler.dense.weight, siqa.roberta.pooler.dense.weight)
    assert not torch.equal(TargetTrainer(init=folder, **copa).model.classifier.weight, siqa.classifier.weight)


def test_a_finished_stage_is_not_done_again_and_a_killed_one_is(world, tmp_path, monkeypatch):
    whole = train(world, tmp_path / "whole")
    trained, stock = [], run.TargetTrainer.train

    def watched(trainer, *args, **named):
        trained.append(trainer.task.name)
        if trained == ["siqa", "copa"]:
            raise KeyboardInterrupt
        return stock(trainer, *args, **named)

    monkeypatch.setattr(run.TargetTrainer, "train", watched)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "run")
    again = train(world, tmp_path / "run", resume=True)
    assert trained == ["siqa", "copa", "copa"]
    assert again["accuracy"] == whole["accuracy"]
    weights = [
        AutoModelForMultipleChoice.from_pretrained(tmp_path / each).classifier.weight for each in ("whole", "run")
    ]
    assert torch.equal(*weights), "as if it had not been killed"
    with pytest.raises(StiltsError, match="holds a run.*finished at step 2.*--resume auto.*--overwrite.*--output_dir"):
        train(world, tmp_path / "run")
    assert trained[3:] == []
    train(world, tmp_path / "run", overwrite=True)
    assert trained[3:] == ["siqa", "copa"], "all is done anew"


def test_a_finished_stage_with_other_flags_is_refused(world, tmp_path):
    train(world, tmp_path / "run")
    (tmp_path / "run" / RECORD_FILE).unlink()  # as if it had been killed in the second stage
    flags = [*FLAGS, "--output_dir", str(tmp_path / "run"), "--learning_rate", "0.5"]
    with pytest.raises(StiltsError, match="siqa was trained with other settings: learning_rate .* there and 0.5 here"):
        run.run_phase("target", "xcopa", flags, resume=True, **world)


def test_a_stage_from_another_start_is_refused(world, tmp_path):
    train(world, tmp_path / "run")
    other = tiny.save(tmp_path / "other", seed=1)
    before = (tmp_path / "run" / RECORD_FILE).read_bytes()
    with pytest.raises(StiltsError, match="siqa was trained from public; this run starts from other.*--output_dir"):
        train(world, tmp_path / "run", resume=True, model=other)
    assert (tmp_path / "run" / RECORD_FILE).read_bytes() == before


def test_one_trainer_is_one_stage(world, tmp_path):
    with pytest.raises(StiltsError, match=r"siqa, copa one after another.*hf-stilts target xcopa.*keep_head=True"):
        TargetTrainer(world["model"], task="xcopa")
    with pytest.raises(StiltsError, match="after= was given beside"):
        TargetTrainer(world["model"], task="copa", after=tmp_path)
    for start in ({}, {"base": world["model"]}, {"base": world["model"], "init": world["model"]}):
        with pytest.raises(StiltsError, match="keep_head=True is for init= alone"):
            TargetTrainer(task="copa", keep_head=True, **start)
    with pytest.raises(StiltsError, match="public has no stilts.json.*leave out keep_head=True"):
        TargetTrainer(task="copa", init=world["model"], keep_head=True)
