"""Stock Trainers with `PublishCheckpoints`: what arrives, what never leaves, and what the training must not notice."""

import base64
import errno
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import stock_run
import yaml
from hub_fixture import TOKEN, Fault, read
from huggingface_hub import HfApi, constants, snapshot_download
from pending_checkpoints import api_of, commits, tags, until
from places import ROOT
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import ParentModel, Record
from hf_stilts.local_hub import LocalHub
from hf_stilts.publishing import outbox
from hf_stilts.publishing.callback import PublishCheckpoints, describe_run, parent_of
from hf_stilts.publishing.outbox import outbox_status, retry
from hf_stilts.publishing.resume import newest_checkpoint

SHORT = {"repo_id": "me/tiny", "pace": {"patience": 0.5}}
EVALUATE = {"eval_strategy": "steps", "eval_steps": 2}


@pytest.mark.usefixtures("real_process")
def test_every_checkpoint_of_a_stock_trainer_arrives(tmp_path, api, hub):
    _, report = stock_run.run(tmp_path / "out")
    assert report.ok and str(report) == (
        "3 of 3 checkpoints are on the Hub.\nmain of me/tiny is step-6: the newest checkpoint."
    )
    assert sorted(tags(api)) == ["step-2", "step-4", "step-6"] and len(commits(api)) == 3
    assert api.model_info("me/tiny").private
    for step in (2, 4, 6):
        saved = tmp_path / f"out/checkpoint-{step}"
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            assert read(api, name, f"step-{step}", tmp_path / "cache") == (saved / name).read_bytes()
    folder = snapshot_download("me/tiny", revision="step-4", endpoint=hub.url, cache_dir=tmp_path / "cache")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.num_parameters() == stock_run.classifier().num_parameters()
    assert len(AutoTokenizer.from_pretrained(folder)) == len(stock_run.tiny.tokenizer())


def test_rotation_and_weights_only_lose_nothing_and_main_is_the_best(tmp_path, api):
    arguments = EVALUATE | {"save_total_limit": 1, "save_only_model": True, "load_best_model_at_end": True}
    arguments |= {"metric_for_best_model": "eval_loss", "greater_is_better": True}  # the loss falls: the first is best
    trainer, report = stock_run.run(tmp_path / "out", args=arguments)
    assert report.ok and trainer.state.best_global_step == 2
    assert sorted(tags(api)) == ["step-2", "step-4", "step-6"]
    assert "main of me/tiny is step-2: best eval_loss" in str(report)
    for name in ("model.safetensors", "stilts.json"):
        assert read(api, name, "main", tmp_path / "cache") == read(api, name, "step-2", tmp_path / "cache")
    card = read(api, "README.md", "main", tmp_path / "cache").decode()
    assert "This is `step-2`" in card
    assert "Evaluations of" not in card, "of the first step there is one, in whatever order the others arrived"
    last = read(api, "README.md", "step-6", tmp_path / "cache").decode().partition("up to this step:")[2]
    assert re.findall(r"^\| (\d+) \|", last, re.M)[:3] == ["2", "4", "6"]


def test_card_and_record_hold_the_scores_of_their_own_step(tmp_path, api):
    arguments = {"eval_strategy": "steps", "eval_steps": 4}  # at 4, and as always at the last step
    trainer, _ = stock_run.run(tmp_path / "out", args=arguments, publish={"namespace": "me", "with_record": True})
    name = "me/xlm-roberta-base-stilts-mnli"
    records = {}
    for step in (2, 4, 6):
        records[step] = Record.from_json(read(api, "stilts.json", f"step-{step}", tmp_path / "cache", name))
    logged = next(entry for entry in trainer.state.log_history if "eval_loss" in entry)
    assert records[4].metrics == {"loss": logged["eval_loss"], "accuracy": logged["eval_accuracy"]}
    assert records[2].metrics == {} and records[6].metrics["loss"] < records[4].metrics["loss"]
    card = read(api, "README.md", "step-4", tmp_path / "cache", name).decode()
    front = yaml.safe_load(card.split("---")[1])
    score = front["model-index"][0]["results"][0]["metrics"][0]
    assert score == {"type": "accuracy", "value": logged["eval_accuracy"]}
    assert "No score was computed at step 2" in read(api, "README.md", "step-2", tmp_path / "cache", name).decode()
    four = records[4]
    assert (four.seed, four.step, four.pipeline_tag, four.recipe["max_steps"]) == (42, 4, "text-classification", 6)
    assert four.versions["transformers"] and four.hardware["device"] == "cpu" and four.wall_seconds > 0


def test_without_a_tokenizer_report_and_card_say_so(tmp_path, api):
    _, report = stock_run.run(tmp_path / "out", steps=2, tokenizer=False)
    assert report.ok and "pass processing_class=tokenizer" in str(report)
    assert "no tokenizer was saved" in read(api, "README.md", "step-2", tmp_path / "cache").decode()


class Recorder:
    """Keeps every byte that reaches the Hub, the token's own header aside."""

    def __init__(self):
        self.bytes = bytearray()

    def __call__(self, app):
        async def recording(scope, receive, send):
            if scope["type"] == "http":
                headers = b"".join(key + value for key, value in scope["headers"] if key != b"authorization")
                self.bytes += scope["raw_path"] + scope["query_string"] + headers

            async def heard():
                message = await receive()
                self.bytes += message.get("body", b"")
                return message

            await app(scope, heard, send)

        return recording


@pytest.mark.usefixtures("real_process")
def test_no_path_name_token_or_pickle_leaves_the_machine(tmp_path, monkeypatch):
    base = tmp_path / "private-folder" / "base"
    stock_run.classifier().save_pretrained(base)
    stock_run.tiny.tokenizer().save_pretrained(base)
    recorder = Recorder()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # plain bodies, to be searched
    with LocalHub(tmp_path / "hub", middleware=recorder) as hub:
        monkeypatch.setattr(outbox, "constants", SimpleNamespace(ENDPOINT=hub.url))
        _, report = stock_run.run(tmp_path / "private-folder/out", args=EVALUATE, model=str(base))
        assert report.ok
        names = {file.rfilename for file in api_of(hub).model_info("me/tiny", revision="step-2").siblings}
    sent = bytes(recorder.bytes)
    encoded = re.findall(rb'"content": ?"([A-Za-z0-9+/=]+)"', sent)
    everything = sent + b"".join(base64.b64decode(text) for text in encoded)
    assert b"model_type" in everything and (base / "model.safetensors").read_bytes()[:500] in everything  # we do see
    needles = [str(tmp_path), "private-folder", str(Path.home()) + "/", os.getcwd(), TOKEN, "data.pkl", "exp_avg"]
    needles += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 5]  # "vm" may be chance
    assert [needle for needle in needles if needle.encode() in everything] == []
    allowed = {
        "README.md",
        "config.json",
        "model.safetensors",
        "stilts.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert names - {".gitattributes"} == allowed


def test_a_hub_that_is_down_neither_stops_nor_loses_the_training(tmp_path, monkeypatch):
    with LocalHub(tmp_path / "hub") as hub:
        pass  # it has a port, and is dead
    monkeypatch.setattr(outbox, "constants", SimpleNamespace(ENDPOINT=hub.url))
    monkeypatch.setenv("HF_TOKEN", "local")
    trainer, report = stock_run.run(tmp_path / "out", args={"save_total_limit": 1}, publish=SHORT)
    assert trainer.state.global_step == 6
    assert len(report.waiting) == 3 and f"hf-stilts publish --retry {tmp_path / 'out'}" in str(report)
    with LocalHub(tmp_path / "hub", port=int(hub.url.rpartition(":")[2])):
        assert retry(tmp_path / "out", pace=stock_run.IMPATIENT).ok
        assert len(tags(HfApi(endpoint=hub.url, token="local"))) == 3


def test_a_second_run_of_the_same_name_moves_neither_a_tag_nor_main_and_is_told_so_before_its_first_step(
    tmp_path, api, caplog
):
    stock_run.run(tmp_path / "one", steps=2)
    before, history = tags(api), commits(api)
    assert "another training" not in caplog.text
    _, report = stock_run.run(tmp_path / "two", steps=4, seed=1)
    told = [record for record in caplog.records if "me/tiny holds checkpoints of another" in record.getMessage()]
    said = next(record for record in told if record.name == "hf_stilts.publishing.callback")
    assert "(step-2)" in said.getMessage() and "choose another repository" in said.getMessage()
    assert said.created < (tmp_path / "two/checkpoint-2").stat().st_mtime
    assert [pending.tag for pending in report.failed] == ["step-2", "step-4"] and not report.sent
    for pending in report.failed:  # no advice to delete the other's tag of the same step
        assert "another training (step-2)" in pending.reason
    assert tags(api) == before and commits(api) == history


@pytest.mark.slow
def test_a_training_killed_at_any_step_loses_no_saved_checkpoint(tmp_path, api, client):
    job = json.dumps({"kill_at": 5, "publish": {"repo_id": "me/tiny"}})
    command = [sys.executable, str(Path(stock_run.__file__)), str(tmp_path / "out"), job]
    environment = client.environment | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    until(lambda: len(outbox_status(tmp_path / "out").sent) == 2)  # the upload worker outlives it
    assert sorted(tags(api)) == ["step-2", "step-4"]
    _, report = stock_run.run(tmp_path / "out", args={"save_total_limit": 3})
    assert sorted(tags(api)) == ["step-2", "step-4", "step-6"]
    assert len(commits(api)) == 3, str(report)


def test_after_a_resume_main_is_the_best_of_the_whole_run(tmp_path, api, monkeypatch, caplog):
    monkeypatch.setattr(stock_run, "KillAt", stock_run.BreakAt)
    best = {"metric_for_best_model": "loss", "greater_is_better": True, **EVALUATE}  # it falls: step 2 is the best
    job = {"args": best, "publish": {"repo_id": "me/tiny"}}
    with pytest.raises(stock_run.Broken):
        stock_run.run(tmp_path / "out", kill_at=5, **job)
    trainer, report = stock_run.run(tmp_path / "out", resume_from=str(tmp_path / "out/checkpoint-4"), **job)
    assert trainer.state.best_global_step == 2 and report.ok
    assert "main of me/tiny is step-2: best loss" in str(report)
    assert "another training" not in caplog.text, "a resumed training is in nobody's way"
    main, best = (read(api, "stilts.json", revision, tmp_path / "cache") for revision in ("main", "step-2"))
    assert main == best


def test_numbers_that_json_does_not_have_stop_no_training(tmp_path, api):
    publish = {"repo_id": "me/tiny", "record": Record(recipe={"layer": np.int64(8)})}
    assert stock_run.run(tmp_path / "out", args={"max_grad_norm": float("inf")}, publish=publish)[1].ok
    record = json.loads(read(api, "stilts.json", "step-2", tmp_path / "cache"))
    assert record["recipe"]["max_grad_norm"] == "inf" and record["recipe"]["layer"] == 8


def test_a_full_disk_at_the_end_costs_the_choice_alone(tmp_path, api, monkeypatch, caplog):
    real = outbox.write_json

    def full(path, *arguments, **options):
        if path.name.startswith("choice-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *arguments, **options)

    monkeypatch.setattr(outbox, "write_json", full)
    best = {"metric_for_best_model": "loss", "greater_is_better": True, **EVALUATE}  # it falls: step 2 is the best
    trainer, report = stock_run.run(tmp_path / "out", args=best)
    assert trainer.state.global_step == 6 and trainer.state.best_global_step == 2
    assert report.ok and "main of me/tiny is step-6: the newest checkpoint" in str(report)
    assert "main will be the newest checkpoint and not step-2" in caplog.text


def test_a_bare_name_goes_to_the_namespace(tmp_path, api):
    callback = PublishCheckpoints("tiny", namespace="org")
    assert callback.destination(TrainingArguments(str(tmp_path), use_cpu=True), None) == "org/tiny"


@pytest.mark.slow
@pytest.mark.usefixtures("real_process")
@pytest.mark.parametrize("kill_at", [5, 6, 9])
def test_a_killed_training_goes_on_elsewhere_to_the_very_same_weights(kill_at, tmp_path, api, client, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    arguments = EVALUATE | {"load_best_model_at_end": True, "save_total_limit": 2, "logging_steps": 1}
    job = {"steps": 10, "args": arguments, "publish": {"repo_id": "me/tiny", "resume": True}}
    stock_run.run(tmp_path / "whole", **job | {"publish": {"repo_id": "me/whole"}})
    command = [
        sys.executable,
        str(Path(stock_run.__file__)),
        str(tmp_path / "cut"),
        json.dumps(job | {"kill_at": kill_at}),
    ]
    environment = client.environment | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, capture_output=True).returncode == -signal.SIGKILL
    until(
        lambda: (
            outbox_status(tmp_path / "cut").to_resume.state == "sent" and not outbox_status(tmp_path / "cut").waiting
        )
    )
    shutil.rmtree(tmp_path / "cut")  # the machine is gone
    start = newest_checkpoint(tmp_path / "elsewhere", "me/tiny", api)
    assert start.name == f"checkpoint-{(kill_at - 1) // 2 * 2}"  # the save at the step's end was not reached
    _, report = stock_run.run(tmp_path / "elsewhere", resume_from=str(start), **job)
    assert report.ok, str(report)
    for revision in ("step-10", "main"):  # the last one, and the best one
        ours, theirs = (
            read(api, "model.safetensors", revision, tmp_path / "cache", n) for n in ("me/tiny", "me/whole")
        )
        assert ours == theirs
    assert sorted(tags(api), key=lambda tag: int(tag[5:])) == [f"step-{step}" for step in (2, 4, 6, 8, 10)]


def test_resuming_needs_the_optimizer(tmp_path, here):
    with pytest.raises(StiltsError, match="resume=True .--resume auto. needs the optimizer.*--save_only_model"):
        stock_run.run(tmp_path / "out", args={"save_only_model": True}, publish={"repo_id": "me/x", "resume": True})


@pytest.mark.slow
def test_a_slow_hub_is_waited_for_only_at_the_end(tmp_path, api, faults):
    faults.add(Fault(".", times=1000, delay=0.02))
    trainer, report = stock_run.run(tmp_path / "out")
    assert report.ok
    status = json.loads((tmp_path / "out/checkpoint-6/trainer_state.json").read_text())
    assert status["global_step"] == 6 and len(tags(api)) == 3


def test_without_a_name_or_a_task_it_says_so_before_training(tmp_path, here):
    with pytest.raises(StiltsError, match="Pass a name: PublishCheckpoints"):
        stock_run.run(tmp_path / "out", publish={"namespace": "me"})
    assert not (tmp_path / "out/checkpoint-2").exists()
    with pytest.raises(StiltsError, match="no name the Hub allows"):
        PublishCheckpoints("me/a b")


def test_other_ranks_do_nothing(tmp_path):
    callback, state = PublishCheckpoints("me/tiny"), SimpleNamespace(is_world_process_zero=False)
    for event in (callback.on_train_begin, callback.on_save, callback.on_train_end):
        event(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    assert callback.report is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("org/base", ("org/base", "a" * 40, True)),
        ("/cache/models--org--base/snapshots/" + "b" * 40, ("org/base", "b" * 40, True)),
        (".", (Path.cwd().name, None, False)),
    ],
)
def test_the_parent_is_read_from_the_configuration(source, expected):
    parent = parent_of(SimpleNamespace(_name_or_path=source, _commit_hash="a" * 40))
    assert (parent.id, parent.commit, parent.published) == expected
    assert parent_of(SimpleNamespace(_name_or_path="")) is None


def test_the_commit_that_was_loaded_completes_a_named_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    args = TrainingArguments(str(tmp_path), use_cpu=True)
    for name, commit, expected in (
        ("org/base", None, "a" * 40),
        ("org/base", "c" * 40, "c" * 40),
        ("org/b", None, None),
    ):
        model = SimpleNamespace(config=SimpleNamespace(_name_or_path="org/base", _commit_hash="a" * 40))
        record = Record(parent=ParentModel(name, commit))
        assert describe_run(record, args, model).parent == ParentModel(name, expected)


def test_the_commit_is_read_from_the_cache_only_where_there_is_no_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    config = SimpleNamespace(_name_or_path="org/base")
    assert parent_of(config) == ParentModel("org/base")
    for commit, weights, expected in (
        ("a", "model.safetensors", "a"),
        ("b", "stilts.json", "a"),
        ("c", "model.bin", None),
    ):
        snapshot = tmp_path / "models--org--base/snapshots" / (commit * 40)
        snapshot.mkdir(parents=True)
        (snapshot / weights).touch()
        assert parent_of(config) == ParentModel("org/base", expected and expected * 40)


def test_adapters_are_published_as_adapters(tmp_path, api, monkeypatch):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], r=2)
    real = stock_run.classifier
    monkeypatch.setattr(stock_run, "classifier", lambda seed: peft.get_peft_model(real(seed), config))
    _, report = stock_run.run(tmp_path / "out", steps=2)
    assert report.ok, str(report)
    names = {file.rfilename for file in api.model_info("me/tiny", revision="step-2").siblings}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names and "model.safetensors" not in names
    record = Record.from_json(read(api, "stilts.json", "step-2", tmp_path / "cache"))
    assert (record.library, record.pipeline_tag) == ("peft", "text-classification")


@pytest.mark.slow
def test_two_processes_publish_once(tmp_path, api, client):
    job = json.dumps({"steps": 4, "publish": {"repo_id": "me/tiny"}})
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29611"]
    environment = client.environment | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(Path(stock_run.__file__)), str(tmp_path / "out"), job],
        env=environment, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(tags(api)) == ["step-2", "step-4"] and len(commits(api)) == 2
