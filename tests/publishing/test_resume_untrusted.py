"""A branch `resume` made to harm: nothing outside of the checkpoint's own folder is written, read or deleted."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, constants
from pending_checkpoints import api_of, checkpoint, put, upload_all

from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256
from hf_stilts.local_hub import LocalHub
from hf_stilts.publishing.resume import newest_checkpoint


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A Hub with a checkpoint and one to resume from; the tests change the branch `resume` alone."""
    folder = tmp_path_factory.mktemp("published")
    with LocalHub(folder / "hub") as hub:
        api = api_of(hub)
        put(folder / "theirs", 2)
        put(folder / "theirs", 4, branch="resume")
        assert upload_all(folder / "theirs", api).ok
        path = api.hf_hub_download("me/tiny", "stilts.json", revision="resume", cache_dir=folder / "cache")
        yield api, folder / "theirs/checkpoint-4", json.loads(Path(path).read_text())


@pytest.fixture
def api(published, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return published[0]


@pytest.fixture
def commit(tmp_path, published, api):
    """Change the branch `resume` with a record that agrees."""
    _, saved, recorded = published

    def change(state=None, **record):
        file = tmp_path / "changed.json"
        if state is None:
            shutil.copy(saved / "trainer_state.json", file)
        else:
            file.write_text(state if isinstance(state, str) else json.dumps(state))
        pinned = {**recorded["files"], "trainer_state.json": sha256(file)}
        about = {**recorded, "files": pinned, **record}
        files = {"stilts.json": json.dumps(about).encode(), "trainer_state.json": file}
        api.create_commit(
            "me/tiny",
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message="evil",
            revision="resume",
        )

    return change


@pytest.mark.parametrize("best", ["/", "..", "x/..", "runs/outbox", "/tmp/kept", "checkpoint-2", "../checkpoint-2/"])
def test_the_best_checkpoint_is_known_by_its_step_and_not_by_a_path(best, commit, tmp_path, api):
    commit({"global_step": 4, "best_model_checkpoint": best, "best_global_step": 2})
    mine = tmp_path / "home/run"
    for kept in (mine / "outbox/kept", tmp_path / "home/kept", mine / "kept/x"):
        kept.mkdir(parents=True)
    assert newest_checkpoint(mine, "me/tiny", api) == mine / "checkpoint-4"
    assert (mine / "outbox/kept").is_dir() and (tmp_path / "home/kept").is_dir() and (mine / "kept/x").is_dir()
    assert (mine / "checkpoint-2/model.safetensors").is_file()
    state = json.loads((mine / "checkpoint-4/trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(mine / "checkpoint-2")


@pytest.mark.parametrize(
    "state",
    [
        "[" * 200_000,
        "5",
        {"best_model_checkpoint": "x"},
        {"best_model_checkpoint": "x", "best_global_step": "../2"},
        {"best_model_checkpoint": "x", "best_global_step": -1},
        {"best_model_checkpoint": "x", "best_global_step": {}},
    ],
)
def test_a_state_that_cannot_be_read_leaves_nothing(state, commit, tmp_path, api):
    commit(state)
    with pytest.raises(StiltsError, match=r"trainer_state\.json of me/tiny@resume cannot be read") as error:
        newest_checkpoint(tmp_path / "mine", "me/tiny", api)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "mine").iterdir())


def test_a_record_that_names_files_elsewhere_or_none_is_refused(commit, tmp_path, api):
    checkpoint(tmp_path / "mine", 2)
    commit(files={"../checkpoint-2/model.safetensors": "a" * 64})
    with pytest.raises(StiltsError, match="outside of the repository"):
        newest_checkpoint(tmp_path / "mine", "me/tiny", api)
    for files in ({}, {"gone.safetensors": "a" * 64}):
        commit(files=files)
        with pytest.raises(StiltsError, match="holds other bytes than were published in (stilts.json|gone)"):
            newest_checkpoint(tmp_path / "mine", "me/tiny", api)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["checkpoint-2"]
