"""An output folder that was copied, renamed or moved, and goes on: two trainings never become one in a repository."""

import json
import shutil

import pytest
from pending_checkpoints import api_of, checkpoint, tags, upload_all, weights

from hf_stilts.hub.record import Record
from hf_stilts.publishing import outbox as outbox_module
from hf_stilts.publishing.outbox import Outbox, Run, outbox_status, read_run, write_run

SMALL = 100  # bytes of weights


@pytest.fixture
def api(hub, monkeypatch):
    monkeypatch.setattr(Outbox, "_wake_worker", lambda _: None)  # `upload_all` is the upload worker
    return api_of(hub)


def save(output_dir, *steps, content=b"", resumed=True, best=None, repo_id="me/tiny"):
    """Let a training save checkpoints in `output_dir`, and choose one at its end."""
    run = Outbox(output_dir, repo_id, private=True, record=Record(), resumed=resumed)
    for step in steps:
        run.add(checkpoint(output_dir, step, content, SMALL), Record(step=step))
    if best is not None:
        run.choose(best, "best")
    run.close()
    return run.run


def steps(api):
    return sorted(int(tag.removeprefix("step-")) for tag in tags(api))


def test_a_folder_that_was_copied_and_goes_on_in_both_places_publishes_one_training(tmp_path, api):
    first, copy = tmp_path / "first", tmp_path / "copy"
    save(first, 2, 4, resumed=False)
    assert upload_all(first, api).ok
    shutil.copytree(first, copy)  # with its times
    save(first, 6, content=b"first", best=4)
    save(copy, 7, 8, content=b"copy", best=8)
    assert upload_all(first, api).ok
    status = upload_all(copy, api)
    assert [pending.tag for pending in status.failed] == ["step-7", "step-8"]
    assert "another training (step-6)" in status.failed[0].reason
    assert "main of me/tiny is step-4: another training's" in str(status)
    assert steps(api) == [2, 4, 6] and weights(api, "main", tmp_path / "cache").startswith(b"weights of 4 ")


def test_the_folder_that_was_copied_is_refused_where_its_copy_was_first(tmp_path, api):
    first, copy = tmp_path / "first", tmp_path / "copy"
    save(first, 2, resumed=False)
    shutil.copytree(first, copy, copy_function=shutil.copyfile)  # before anything was sent, without its times
    save(copy, 4, content=b"copy")
    assert upload_all(copy, api).ok
    save(first, 6, content=b"first")
    status = upload_all(first, api)
    assert [pending.tag for pending in status.sent] == ["step-2"], "which is the very same checkpoint"
    assert "another training (step-4)" in status.failed[0].reason
    assert steps(api) == [2, 4] and weights(api, "main", tmp_path / "cache").startswith(b"weights of 4 copy")


def test_a_choice_in_an_old_copy_does_not_move_main(tmp_path, api):
    first, copy = tmp_path / "first", tmp_path / "copy"
    save(first, 2, 4, resumed=False, best=2)
    assert upload_all(first, api).ok
    shutil.copytree(first, copy)
    save(copy, 6, best=6)
    assert upload_all(copy, api).ok
    before = api.model_info("me/tiny").sha
    status = upload_all(first, api)
    assert api.model_info("me/tiny").sha == before
    assert "main of me/tiny is step-6: another training's" in str(status)


@pytest.mark.parametrize("copy_function", [shutil.copy2, shutil.copyfile])
def test_a_folder_that_was_moved_to_another_disk_goes_on(copy_function, tmp_path, api):
    first, moved = tmp_path / "first", tmp_path / "moved"
    save(first, 2, 4, resumed=False)
    upload_all(first, api)
    before = save(first, 6)  # not sent yet
    shutil.copytree(first, moved, copy_function=copy_function)
    shutil.rmtree(first)
    assert read_run(moved / "outbox").id == before.id
    assert upload_all(moved, api).ok
    after = save(moved, 8, best=4)
    assert after.id != before.id and after.origins == (before.id,)
    assert upload_all(moved, api).ok
    assert steps(api) == [2, 4, 6, 8] and weights(api, "main", tmp_path / "cache").startswith(b"weights of 4 ")


def test_a_folder_that_was_renamed_is_the_same_training(tmp_path, api):
    before = save(tmp_path / "old name", 2, resumed=False)
    (tmp_path / "old name").rename(tmp_path / "new name")
    after = save(tmp_path / "new name", 4)
    assert (after.id, after.origins) == (before.id, ())
    assert upload_all(tmp_path / "new name", api).ok and steps(api) == [2, 4]


def test_a_training_that_begins_anew_in_the_folder_of_another_is_another(tmp_path, api):
    save(tmp_path, 2, resumed=False)
    assert upload_all(tmp_path, api).ok
    save(tmp_path, 4, content=b"anew", resumed=False)
    assert "another training (step-2)" in upload_all(tmp_path, api).failed[0].reason


def test_a_copy_that_chooses_another_repository_is_a_training_of_its_own_there(tmp_path, api):
    first, copy = tmp_path / "first", tmp_path / "copy"
    save(first, 2, resumed=False)
    assert upload_all(first, api).ok
    shutil.copytree(first, copy)
    save(copy, 4, repo_id="me/other")
    assert upload_all(copy, api).ok and set(tags(api, "me/other")) == {"step-4"}
    other = tmp_path / "other"
    save(other, 8, content=b"of somebody else", resumed=False, repo_id="me/other")
    assert "another training (step-4)" in upload_all(other, api).failed[0].reason


def test_a_run_that_an_earlier_version_began_keeps_its_id(tmp_path, api):
    (tmp_path / "outbox").mkdir()
    write_run(tmp_path / "outbox", Run("me/tiny", True, Record(), since=0.0, id="a" * 32))
    about = json.loads((tmp_path / "outbox/run.json").read_text())
    (tmp_path / "outbox/run.json").write_text(
        json.dumps({k: v for k, v in about.items() if k not in ("place", "origins")})
    )
    run = save(tmp_path, 2)
    assert run.id == "a" * 32 and run.place == read_run(tmp_path / "outbox").place is not None


def test_where_no_place_can_be_told_a_training_goes_on_as_it_is(tmp_path, api, monkeypatch):
    before = save(tmp_path, 2, resumed=False)
    monkeypatch.setattr(outbox_module, "place_of", lambda _: None)
    assert save(tmp_path, 4).id == before.id and len(outbox_status(tmp_path).waiting) == 2
