"""Publishing into a repository that somebody had before: nothing of theirs is lost, no two models in one revision."""

import json

import pytest
import yaml
from hub_fixture import ask, commit_lines
from pending_checkpoints import api_of, checkpoint, put, tags, upload_all

from hf_stilts.files import write_json
from hf_stilts.hub.existing_card import BEGIN, END
from hf_stilts.hub.record import Record
from hf_stilts.hub.scores import add_scores
from hf_stilts.publishing.outbox import Choice, Outbox, retry

MINE = "---\nlicense: mit\ntags:\n- medical\n---\n# Mine\n\nBy hand.\n"


@pytest.fixture
def api(hub):
    return api_of(hub)


def existing(api, **files):
    api.create_repo("me/tiny", private=True)
    for name, content in files.items():
        upload(api, name.replace("__", "/").replace("_dot_", "."), content)


def upload(api, name, content):
    api.upload_file(path_or_fileobj=content.encode(), path_in_repo=name, repo_id="me/tiny")


def names(api, revision="main"):
    return {file.rfilename for file in api.model_info("me/tiny", revision=revision).siblings} - {".gitattributes"}


def read(api, cache, name="README.md", revision="main"):
    path = api.hf_hub_download("me/tiny", name, revision=revision, cache_dir=cache, force_download=True)
    return open(path, encoding="utf-8", newline="").read()


def choose(output_dir, step):
    path = output_dir / "outbox/choice-1.json"
    write_json(path, Choice(path, "me/tiny", step, "best").to_dict())


def test_a_hand_written_card_and_other_files_stay(tmp_path, api):
    existing(api, README_dot_md=MINE, LICENSE="MIT", docs__how_dot_md="how")
    put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    card = read(api, tmp_path)
    assert "# Mine\n\nBy hand.\n" in card and "This is `step-2`" in card
    assert yaml.safe_load(card.split("---")[1])["license"] == "mit"
    assert {"LICENSE", "docs/how.md"} < names(api)


def test_edits_between_two_saves_stay_and_also_where_main_becomes_an_earlier_one(tmp_path, api):
    put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    upload(api, "README.md", read(api, tmp_path).replace("license: unknown", "license: mit") + "\nThanks to all.\n")
    upload(api, "LICENSE", "MIT")
    put(tmp_path, 4)
    assert upload_all(tmp_path, api).ok
    upload(api, "LICENSE", "MIT, 2026")
    upload(api, "README.md", read(api, tmp_path) + "\nAnd to you.\n")
    choose(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    card = read(api, tmp_path)
    assert "This is `step-2`" in card and card.count(BEGIN) == card.count(END) == 1
    assert card.endswith("\nThanks to all.\n\nAnd to you.\n")
    assert "license: mit" in card
    assert read(api, tmp_path, "LICENSE") == "MIT, 2026"
    assert json.loads(read(api, tmp_path, "stilts.json"))["step"] == 2
    assert "Thanks" not in read(api, tmp_path, revision="step-2"), "a tag never moves"


def test_an_edit_made_while_we_upload_stays(tmp_path, api, monkeypatch):
    put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    stock, once = type(api).create_commit, [True]

    def edited_first(self, *arguments, **named):
        if once.pop() if once else False:
            upload(api_of_same(self), "README.md", read(self, tmp_path) + "\nJust now.\n")
        return stock(self, *arguments, **named)

    def api_of_same(client):
        monkeypatch.setattr(type(api), "create_commit", stock)
        return client

    monkeypatch.setattr(type(api), "create_commit", edited_first)
    put(tmp_path, 4)
    assert upload_all(tmp_path, api).ok
    assert read(api, tmp_path).endswith("\nJust now.\n") and "This is `step-4`" in read(api, tmp_path)


def test_scores_are_added_to_a_card_that_somebody_edited(tmp_path, api):
    put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    upload(api, "README.md", read(api, tmp_path).replace("license: unknown", "license: mit") + "\nThanks.\n")
    add_scores("me/tiny", {"de": {"udpos_f1": 71.25}}, api)
    card = read(api, tmp_path)
    assert "71.2500" in card and "license: mit" in card and card.endswith("\nThanks.\n")


OTHERS = {"pytorch_model_dot_bin": "p", "onnx__model_dot_onnx": "o", "modules_dot_json": "[]", "config_dot_json": "{}"}


def test_files_of_another_model_are_a_reason_to_refuse_and_are_removed_on_demand(tmp_path, here, api):
    existing(api, README_dot_md=MINE.replace("license", "pipeline_tag: fill-mask\nlicense"), LICENSE="MIT", **OTHERS)
    before = api.model_info("me/tiny").sha
    put(tmp_path, 2)
    status = upload_all(tmp_path, api)
    (failed,) = status.failed
    for said in ("pytorch_model.bin", "onnx/model.onnx", "modules.json", "config.json", "--overwrite"):
        assert said in failed.reason
    assert "LICENSE" not in failed.reason
    assert api.model_info("me/tiny").sha == before and not tags(api)

    assert retry(tmp_path, overwrite=True).ok
    assert names(api) == {"README.md", "LICENSE", "config.json", "model.safetensors", "stilts.json", "tokenizer.json"}
    card = read(api, tmp_path)
    assert "fill-mask" not in card, "that was the other model"
    assert "license: mit" in card and "By hand." in card
    put(tmp_path, 4)
    assert upload_all(tmp_path, api).ok, "what is there now is ours"


def test_a_run_may_say_beforehand_that_the_other_model_goes(tmp_path, here, api):
    existing(api, **OTHERS)
    outbox = Outbox(tmp_path, "me/tiny", private=True, record=Record(), overwrite=True)
    outbox.add(checkpoint(tmp_path, 2), Record(step=2))
    assert outbox.close().ok
    assert "pytorch_model.bin" not in names(api)


def test_what_somebody_adds_to_our_model_is_not_removed_unasked(tmp_path, api):
    put(tmp_path, 2)
    put(tmp_path, 4)
    assert upload_all(tmp_path, api).ok
    upload(api, "onnx/model.onnx", "of step 4")
    choose(tmp_path, 2)
    status = upload_all(tmp_path, api)
    assert not status.ok and "onnx/model.onnx" in str(status)
    put(tmp_path, 6)
    assert "onnx/model.onnx" in upload_all(tmp_path, api).failed[0].reason
    assert "onnx/model.onnx" in names(api)


def test_a_card_that_cannot_be_kept_is_not_thrown_away(tmp_path, hub, api):
    api.create_repo("me/tiny", private=True)
    ask(hub.url, "POST", "/api/models/me/tiny/commit/main", commit_lines({"README.md": "# Größe".encode("latin-1")}))
    put(tmp_path, 2)
    assert "UTF-8" in upload_all(tmp_path, api).failed[0].reason
    assert not tags(api)


def test_a_branch_of_somebody_is_not_the_one_to_resume_from(tmp_path, api):
    existing(api, README_dot_md=MINE)
    api.create_branch("me/tiny", branch="resume")
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/tiny", revision="resume")
    before = api.model_info("me/tiny", revision="resume").sha
    put(tmp_path, 2, branch="resume")
    status = upload_all(tmp_path, api)
    assert status.to_resume.state == "failed" and "resume" in status.to_resume.reason
    assert api.model_info("me/tiny", revision="resume").sha == before
