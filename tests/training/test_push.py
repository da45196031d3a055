"""The stock ways to the Hub, with Trainers of ours: our card, our record and our tags go, and no pickle."""

import dual_encoders
import mixtures
import pytest
import tiny
import yaml
from huggingface_hub import CommitInfo
from pending_checkpoints import tags
from toy_tasks import PAIRS, TAGS, rows
from transformers import TrainingArguments

from hf_stilts import PublishCheckpoints
from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record
from hf_stilts.publishing.push import taken_over
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer


def single(trainer_class, folder, callbacks=(), **args):
    arguments = {"max_steps": 2, "save_steps": 1, "report_to": [], "disable_tqdm": True, "use_cpu": True, **args}
    data = rows(PAIRS)
    return trainer_class(
        tiny.save(folder / "public"),
        TrainingArguments(str(folder / "run"), **arguments),
        task=PAIRS,
        train_dataset=data,
        eval_dataset=data,
        callbacks=list(callbacks),
    )


def encoders(folder):
    return dual_encoders.trainer(folder / "run", tiny.save(folder / "public"), hub_model_id="me/tiny")


TRAINERS = {
    "IntermediateTrainer": (lambda folder: single(IntermediateTrainer, folder, hub_model_id="me/tiny"), "pairs"),
    "TargetTrainer": (lambda folder: single(TargetTrainer, folder, hub_model_id="me/tiny"), "pairs"),
    "MixtureTrainer": (
        lambda folder: mixtures.mixture(folder, (PAIRS, TAGS), count=4, args={"hub_model_id": "me/tiny"}),
        "pairs, tags",
    ),
    "DualEncoderTrainer": (encoders, "search"),
}


def names(api, revision="main"):
    return {file.rfilename for file in api.model_info("me/tiny", revision=revision).siblings} - {".gitattributes"}


def read(api, cache, name, revision="main"):
    return open(api.hf_hub_download("me/tiny", name, revision=revision, cache_dir=cache), "rb").read()


@pytest.mark.parametrize("name", list(TRAINERS))
def test_a_push_is_our_card_record_and_tag(name, tmp_path, here, api):
    make, tasks = TRAINERS[name]
    trainer = make(tmp_path)
    commit = trainer.push_to_hub(license="mit", tags="medical", finetuned_from="somebody/else")
    assert isinstance(commit, CommitInfo) and commit.oid == tags(api)["step-0"]
    assert type(trainer).__name__ == name
    assert {"README.md", "stilts.json", "model.safetensors", "config.json", "tokenizer.json"} <= names(api)
    assert not [file for file in names(api) if file.endswith((".bin", ".pt", ".pth"))]
    record = Record.from_json(read(api, tmp_path, "stilts.json"))
    assert ", ".join(record.task_names) == tasks
    card = read(api, tmp_path, "README.md").decode()
    about = yaml.safe_load(card.split("---")[1])
    assert about["license"] == "mit" and {"stilts", "medical"} <= {*about["tags"]}
    assert "generated_from_trainer" not in about["tags"] and "somebody/else" not in card


def test_push_to_hub_in_the_arguments_publishes_every_checkpoint(tmp_path, here, api):
    trainer = single(IntermediateTrainer, tmp_path, push_to_hub=True, hub_model_id="me/tiny")
    trainer.train()
    trainer.save_model()
    assert set(tags(api)) == {"step-1", "step-2"}
    assert api.model_info("me/tiny").private, "unless hub_private_repo=False"
    before = api.model_info("me/tiny").sha
    assert trainer.push_to_hub().oid == tags(api)["step-2"] == before, "it is there already"
    for revision in ("main", "step-1"):
        assert not [file for file in names(api, revision) if file.endswith((".bin", ".pt", ".pth"))]


def test_the_strategy_end_publishes_the_final_model_alone(tmp_path, here, api):
    trainer = single(IntermediateTrainer, tmp_path, push_to_hub=True, hub_model_id="me/tiny", hub_strategy="end")
    trainer.train()
    trainer.save_model()
    assert set(tags(api)) == {"step-2"}


def test_who_publishes_is_decided_once():
    def taken(callbacks=(), **args):
        args = TrainingArguments("run", push_to_hub=True, report_to=[], **args)
        ours, found = taken_over(args, callbacks)
        assert args.push_to_hub and not ours.push_to_hub, "the user's own object stays as it is"
        return [each for each in found if isinstance(each, PublishCheckpoints)]

    mine = PublishCheckpoints("me/mine")
    assert taken([mine]) == [mine]
    (found,) = taken(hub_model_id="me/tiny", hub_token="t", hub_private_repo=False, hub_strategy="checkpoint")
    assert (found.repo_id, found.token, found.private, found.resume) == ("me/tiny", "t", False, True)
    (found,) = taken()
    assert (found.repo_id, found.private, found.resume) == (None, True, False)
    with pytest.raises(StiltsError, match="published on main"):
        taken(hub_revision="other")
    plain = TrainingArguments("run", report_to=[])
    assert taken_over(plain, []) == (plain, [])


def test_the_card_in_the_folder_is_ours_and_keeps_what_was_written(tmp_path):
    trainer = single(IntermediateTrainer, tmp_path)
    card = tmp_path / "run/README.md"
    card.parent.mkdir(exist_ok=True)
    card.write_text("---\nlicense: mit\n---\nBy hand.\n")
    trainer.create_model_card(language="de", dataset_tags=["me/data"], tasks="x", model_name="x")
    trainer.create_model_card()
    text = card.read_text()
    about = yaml.safe_load(text.split("---")[1])
    assert (about["license"], about["language"], about["datasets"]) == ("mit", ["en", "de"], ["me/data"])
    assert text.count("By hand.") == text.count("# public-stilts-pairs") == 1
    assert Record.from_json((tmp_path / "run/stilts.json").read_text()).task_names == ("pairs",)
    with pytest.raises(StiltsError, match="no argument 'licence'"):
        trainer.create_model_card(licence="mit")


def test_a_push_that_fails_says_how_to_send_it(tmp_path, here, api):
    api.create_repo("me/tiny", private=True)
    api.upload_file(path_or_fileobj=b"x", path_in_repo="pytorch_model.bin", repo_id="me/tiny")
    trainer = single(IntermediateTrainer, tmp_path, hub_model_id="me/tiny")
    with pytest.raises(StiltsError, match=r"pytorch_model\.bin.*--retry"):
        trainer.push_to_hub()
    assert trainer.push_to_hub(blocking=False) is None
