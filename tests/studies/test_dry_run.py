"""`--dry-run` says what the training of the same words then does, and writes nothing."""

import json

import mirrors
import pytest
import tiny
from command import run
from transformers import TrainingArguments

from hf_stilts.hub.naming import step_of
from hf_stilts.publishing.saved import saved_steps as saved_in
from hf_stilts.studies.dry_run import saved_steps

ENGLISH = {"train": ["en"], "validation": ["en"]}
WORDS = ("--save_steps", "2", "--eval_steps", "2", "--use_cpu", "1", "--per_device_train_batch_size", "4")


@pytest.fixture
def place(tmp_path, monkeypatch):
    tiny.save(tmp_path / "base")
    mirrors.build(tmp_path / "mirror", {"udpos": ENGLISH, "siqa": ENGLISH, "copa": ENGLISH, "xcopa": {"test": ["et"]}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    return tmp_path


def planned(*words):
    code, said = run(*words, "--base", "base", "--data-dir", "mirror", *WORDS, "--dry-run", "--json")
    assert code == 0
    return json.loads(said)


def test_what_is_said_is_what_the_training_does(place):
    words = ("target", "udpos", "--max_steps", "5", "--save_total_limit", "9", "--compact-vocabulary")
    (said,) = planned(*words)
    assert sorted(path.name for path in place.iterdir()) == ["base", "mirror"]
    assert (said["rows"], said["windows"], said["batch"], said["steps"]) == ({"udpos": 10}, {"udpos": 10}, 4, 5)
    assert said["published_to"] is None and said["hours"] > 0 and said["memory_gb"] > 0
    code, result = run(*words, "--base", "base", "--data-dir", "mirror", *WORDS, "--json")
    (result,) = json.loads(result)
    assert code == 0 and result["steps"] == said["steps"] and result["folder"] == said["folder"]
    assert result["body"] == said["starts_from"]
    assert sorted(saved_in(said["folder"])) == [step_of(tag) for tag in said["checkpoints"]] == [2, 4, 5]
    record = json.loads((place / said["folder"] / "stilts.json").read_text())
    assert record["recipe"]["word_embeddings_trained"] == said["word_embeddings"]["used"]
    weights = (place / said["folder"] / "model.safetensors").stat().st_size
    assert weights == pytest.approx(4 * said["weights"], rel=0.1)
    held = sum(
        file.stat().st_size for file in place.glob(f"{said['folder']}/**/*") if file.suffix in (".pt", ".safetensors")
    )
    assert said["disk_gb"] * 1e9 == pytest.approx(held, rel=0.35)  # random states and headers are more of a tiny model


def test_each_stage_of_a_target_is_said(place):
    first, last = planned("target", "xcopa", "--max_steps", "3", "--publish", "--namespace", "me")
    assert (first["tasks"], last["tasks"]) == (["siqa"], ["copa"])
    assert first["published_to"] is None and last["published_to"] == "me/base-stilts-copa"


def test_a_mixture_names_what_it_publishes(place):
    (said,) = planned("intermediate", "udpos", "siqa", "--namespace", "me", "--name", "two", "--max_steps", "4")
    assert said["published_to"] == "me/base-stilts-two"
    assert said["rows"] == {"udpos": 10, "siqa": 10} and said["published_gb"] > 0
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("options", "steps", "expected"),
    [
        ({"save_steps": 4}, 10, [4, 8, 10]),
        ({"save_steps": 0.5}, 10, [5, 10]),
        ({"save_strategy": "epoch", "num_train_epochs": 3}, 9, [3, 6, 9]),
        ({"save_strategy": "no"}, 9, []),
        ({"save_steps": 4}, None, []),
    ],
)
def test_steps_that_are_saved(options, steps, expected, tmp_path):
    assert saved_steps(TrainingArguments(str(tmp_path), use_cpu=True, **options), steps) == expected
