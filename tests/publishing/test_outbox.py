"""The outbox on disk, and what one upload worker brings to the Hub from it."""

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from huggingface_hub import constants
from pending_checkpoints import FAST, api_of, checkpoint, commits, put, tags, upload_all, weights, write_weights

from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json
from hf_stilts.hub.record import ParentModel, Record
from hf_stilts.publishing.outbox import Choice, Outbox, Run, outbox_status, retry
from hf_stilts.publishing.pending import new_pending, note_unpacked, pack, read_pending, update
from hf_stilts.publishing.resume import newest_checkpoint
from hf_stilts.publishing.worker import COMMITS_PER_HOUR, Signals, UploadWorker


@pytest.fixture
def api(hub):
    return api_of(hub)


def test_every_checkpoint_is_one_commit_and_one_tag(tmp_path, api):
    for step in (2, 4, 6):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    assert (
        status.ok
        and status.command is None
        and str(status) == ("3 of 3 checkpoints are on the Hub.\nmain of me/tiny is step-6: the newest checkpoint.")
    )
    assert commits(api) == [f"step-{step}: intermediate training" for step in (2, 4, 6)]
    assert api.model_info("me/tiny").private
    for step in (2, 4, 6):
        assert weights(api, f"step-{step}", tmp_path / "cache").startswith(b"weights of %d " % step)
    here = {file.rfilename for file in api.model_info("me/tiny", revision="step-2").siblings} - {".gitattributes"}
    assert here == {"README.md", "config.json", "model.safetensors", "stilts.json", "tokenizer.json"}
    assert not list((tmp_path / "outbox").glob("step-*/files"))  # forgotten, since confirmed


def test_main_becomes_the_chosen_checkpoint_and_is_left_alone_if_it_is(tmp_path, api):
    for step in (2, 4):
        put(tmp_path, step)
    path = tmp_path / "outbox/choice-1.json"
    for step, expected in ((4, 2), (2, 3)):  # 4 is the last already: no commit; 2 takes a third one
        write_json(path, Choice(path, "me/tiny", step, "best").to_dict())
        status = upload_all(tmp_path, api)
        assert status.ok and len(commits(api)) == expected
        assert weights(api, "main", tmp_path / "cache") == weights(api, f"step-{step}", tmp_path / "cache")
    assert commits(api)[-1] == "main is step-2: best"
    assert len(tags(api)) == 2


def test_what_is_sent_after_the_choice_does_not_stay_on_main(tmp_path, api):
    put(tmp_path, 2, b"of an older run")
    upload_all(tmp_path, api)
    put(tmp_path, 2, b"of a newer run")
    put(tmp_path, 4, b"the best")
    path = tmp_path / "outbox/choice-1.json"
    write_json(path, Choice(path, "me/tiny", 4, "best").to_dict())
    assert [pending.tag for pending in upload_all(tmp_path, api).failed] == ["step-2"]
    api.delete_tag("me/tiny", tag="step-2")  # as the report says
    assert upload_all(tmp_path, api).ok
    assert weights(api, "main", tmp_path / "cache") == weights(api, "step-4", tmp_path / "cache")


def test_a_checkpoint_that_another_machine_sent_can_be_chosen(tmp_path, api):
    for step in (2, 4):
        put(tmp_path / "there", step)
    upload_all(tmp_path / "there", api)
    put(tmp_path / "here", 6)
    path = tmp_path / "here/outbox/choice-1.json"
    write_json(path, Choice(path, "tiny", 2, "best").to_dict())
    assert not upload_all(tmp_path / "here", api).ok, "me/tiny is meant where the user is me"
    write_json(path, Choice(path, "me/tiny", 2, "best").to_dict())
    assert upload_all(tmp_path / "here", api).ok
    assert weights(api, "main", tmp_path / "cache") == weights(api, "step-2", tmp_path / "cache")


def test_the_branch_resume_does_not_go_back(tmp_path, api):
    put(tmp_path / "a", 200, branch="resume")
    put(tmp_path / "b", 400, branch="resume")
    upload_all(tmp_path / "b", api)
    assert upload_all(tmp_path / "a", api).ok
    assert weights(api, "resume", tmp_path / "cache").startswith(b"weights of 400")
    time.sleep(1.1)  # commits are dated to the second
    put(tmp_path / "c", 100, branch="resume")  # of a run that was begun anew
    upload_all(tmp_path / "c", api)
    assert weights(api, "resume", tmp_path / "cache").startswith(b"weights of 100")


def test_a_checkpoint_to_resume_from_is_kept_for_each_repository_until_a_newer_one_is_packed(tmp_path, api):
    put(tmp_path, 2, repo_id="me/a", branch="resume")
    put(tmp_path, 4, repo_id="me/b", branch="resume")
    unpacked = replace(new_pending(Record(step=6), "me/a", True, "resume"), state="failed", reason="disk full")
    assert note_unpacked(tmp_path / "outbox", unpacked)
    upload_all(tmp_path, api)
    for repository, step in (("me/a", 2), ("me/b", 4)):
        assert weights(api, "resume", tmp_path / "cache", repository).startswith(b"weights of %d" % step)


def test_what_was_saved_and_not_packed_is_counted(tmp_path, api):
    outbox = tmp_path / "out" / "outbox"
    outbox.mkdir(parents=True)
    run = Run("me/tiny", True, Record(), since=time.time() - 60)
    write_json(outbox / "run.json", dataclasses.asdict(run))
    for step in (2, 4):
        checkpoint(tmp_path / "out", step)
    status = outbox_status(tmp_path / "out")
    assert not status.ok and str(status).startswith(
        "0 of 2 checkpoints are on the Hub.\nstep-2 was saved, and is not in"
    )
    assert outbox_status(outbox).unpacked == (2, 4)
    assert upload_all(tmp_path / "out", api).ok


def test_an_output_folder_may_be_called_outbox(tmp_path):
    put(tmp_path / "outbox", 2)
    assert len(outbox_status(tmp_path / "outbox").checkpoints) == 1


def test_same_content_is_not_sent_again_and_other_content_never_moves_a_tag(tmp_path, api, faults):
    put(tmp_path, 2)
    upload_all(tmp_path, api)
    before = tags(api)
    put(tmp_path, 2)
    faults.seen.clear()
    assert upload_all(tmp_path, api).ok
    assert not [request for request in faults.seen if request.startswith(("PUT", "POST /api/models/me/tiny/commit"))]
    put(tmp_path, 2, content=b"of another run")
    status = upload_all(tmp_path, api)
    assert tags(api) == before and len(commits(api)) == 1
    assert "step-2 of me/tiny is already another checkpoint" in status.failed[0].reason
    assert status.command == f"hf-stilts publish --retry {tmp_path}" and status.command in str(status)
    moved = tmp_path.rename(tmp_path.with_name("my runs"))
    assert outbox_status(moved).command == f"hf-stilts publish --retry '{moved}'"


def test_a_file_overwritten_after_packing_never_goes_out_under_the_old_name(tmp_path, api):
    pending = put(tmp_path, 2)
    with (tmp_path / "checkpoint-2/model.safetensors").open("r+b") as file:  # the link shares this content
        file.write(b"weights of a later run")
    os.utime(tmp_path / "checkpoint-2/model.safetensors", ns=(1, pending.files["model.safetensors"].mtime_ns + 1))
    status = upload_all(tmp_path, api)
    assert "overwritten after step-2" in status.failed[0].reason
    assert not api.repo_exists("me/tiny") or not tags(api)


@pytest.mark.parametrize("private", [True, False])
def test_a_public_repository_is_written_to_only_if_asked(tmp_path, api, private):
    api.create_repo("me/tiny", private=False)
    put(tmp_path, 2, private=private)
    status = upload_all(tmp_path, api)
    assert status.ok is not private
    if private:
        reason = status.failed[0].reason
        assert "exists and is public" in reason and "hf repos settings me/tiny --private" in reason and not tags(api)


def test_without_a_namespace_it_goes_to_the_user(tmp_path, api):
    put(tmp_path, 2, repo_id="tiny")
    sent = upload_all(tmp_path, api).sent
    assert sent[0].repo_id == f"{api.whoami()['name']}/tiny"


def test_shards_of_the_commit_before_do_not_stay(tmp_path, api):
    folder = checkpoint(tmp_path, 2)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    write_weights(folder / "model-00002-of-00002.safetensors", b"second shard", 100)
    (folder / "model.safetensors.index.json").write_text("{}")
    (tmp_path / "outbox").mkdir()
    pack(folder, tmp_path / "outbox", new_pending(Record(step=2), "me/tiny", True))
    put(tmp_path, 4)
    assert upload_all(tmp_path, api).ok
    before, after = (
        {file.rfilename for file in api.model_info("me/tiny", revision=tag).siblings if "safetensors" in file.rfilename}
        for tag in ("step-2", "step-4")
    )
    assert {"model-00001-of-00002.safetensors", "model.safetensors.index.json"} <= before
    assert after == {"model.safetensors"}


def test_the_branch_resume_holds_the_newest_checkpoint_only_and_main_none_of_it(tmp_path, api):
    for step in (2, 4):
        put(tmp_path, step)
        put(tmp_path, step, branch="resume")
    status = upload_all(tmp_path, api)
    assert status.ok and len(status.sent) == 2 and (status.to_resume.step, status.to_resume.state) == (4, "sent")
    on_resume = {file.rfilename for file in api.model_info("me/tiny", revision="resume").siblings}
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "model.safetensors"} <= on_resume
    assert not {"training_args.bin", "pytorch_model.bin"} & on_resume
    on_main = {file.rfilename for file in api.model_info("me/tiny").siblings}
    assert not [name for name in on_main if name.endswith((".pt", ".pth")) or "state" in name]
    put(tmp_path, 6, branch="resume")
    assert upload_all(tmp_path, api).ok
    assert [commit.title for commit in api.list_repo_commits("me/tiny", revision="resume")] == ["To resume at step-6"]
    assert len(commits(api)) == 2 and set(tags(api)) == {"step-2", "step-4"}
    assert upload_all(tmp_path, api).ok  # nothing left to do


def test_what_is_fetched_to_resume_is_whole_and_unchanged_or_not_there(tmp_path, api, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert newest_checkpoint(tmp_path / "new", "me/tiny", api) is None
    put(tmp_path, 4, branch="resume")
    assert upload_all(tmp_path, api).ok
    checkpoint(tmp_path / "local", 6)
    assert newest_checkpoint(tmp_path / "local", "me/tiny", api) == tmp_path / "local/checkpoint-6"  # newer
    folder = newest_checkpoint(tmp_path / "new", "me/tiny", api)
    assert folder == tmp_path / "new/checkpoint-4"
    assert (folder / "optimizer.pt").read_bytes() == (tmp_path / "checkpoint-4/optimizer.pt").read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["checkpoint-4", "outbox"]
    api.upload_file(path_or_fileobj=b"x", path_in_repo="optimizer.pt", repo_id="me/tiny", revision="resume")
    with pytest.raises(StiltsError, match="other bytes than were published in optimizer.pt"):
        newest_checkpoint(tmp_path / "other", "me/tiny", api)
    assert not list((tmp_path / "other").glob("*"))


def test_the_parents_licence_is_asked_from_the_hub(tmp_path, api):
    api.create_repo("org/base")
    card = b"---\nlicense: cc-by-nc-4.0\n---\n"
    api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="org/base")
    (tmp_path / "outbox").mkdir()
    for step, parent in ((2, "org/base"), (4, "org/gone"), (6, "no id at all")):
        record = Record(step=step, parent=ParentModel(parent))
        pack(checkpoint(tmp_path, step), tmp_path / "outbox", new_pending(record, "me/tiny", True))
    assert upload_all(tmp_path, api).ok
    cards = {step: api.model_info("me/tiny", revision=f"step-{step}").card_data for step in (2, 4, 6)}
    assert [card["license"] for card in cards.values()] == ["cc-by-nc-4.0", "unknown", "unknown"]


def test_a_checkpoint_that_was_not_packed_in_time_is_taken_up(tmp_path, api):
    put(tmp_path, 2)
    run = {"repo_id": "me/tiny", "private": True, "record": {"phase": "target"}, "since": time.time() - 60}
    write_json(tmp_path / "outbox/run.json", run)
    checkpoint(tmp_path, 4)  # killed before on_save
    (checkpoint(tmp_path, 6) / "trainer_state.json").unlink()  # killed while saving
    old = checkpoint(tmp_path, 1) / "trainer_state.json"
    os.utime(old, (1, 1))  # of a run before publishing
    status = upload_all(tmp_path, api)
    assert [pending.step for pending in status.sent] == [2, 4]
    assert commits(api)[-1] == "step-4: target training"


def test_what_a_killed_training_did_not_pack_is_packed_before_the_next_save_may_delete_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Outbox, "_wake_worker", lambda _: None)  # the upload worker is slow to start
    put(tmp_path, 2)
    run = {"repo_id": "me/tiny", "private": True, "record": {}, "since": 0.0}
    write_json(tmp_path / "outbox/run.json", run)
    saved = checkpoint(tmp_path, 4)  # killed before on_save, the upload worker too
    os.utime(saved / "trainer_state.json", (100, 100))
    Outbox(tmp_path, "me/tiny", private=True, record=Record(), resumed=True)
    shutil.rmtree(saved)  # save_total_limit
    assert sorted(pending.step for pending in outbox_status(tmp_path).waiting) == [2, 4]


def test_what_was_fetched_from_the_hub_is_not_sent_again(tmp_path, api, monkeypatch):
    """Two machines in turn: the folder of the first holds a run that is older than what the second one published."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Outbox, "_wake_worker", lambda _: None)
    put(tmp_path / "second", 4, branch="resume")
    assert upload_all(tmp_path / "second", api).ok
    run = {"repo_id": "me/tiny", "private": True, "record": {}, "since": 1.0}
    (tmp_path / "first/outbox").mkdir(parents=True)
    write_json(tmp_path / "first/outbox/run.json", run)
    assert newest_checkpoint(tmp_path / "first", "me/tiny", api) == tmp_path / "first/checkpoint-4"
    Outbox(tmp_path / "first", "me/tiny", private=True, record=Record(), resumed=True)
    status = outbox_status(tmp_path / "first")
    assert not status.waiting and not status.unpacked


def test_what_a_running_training_is_about_to_pack_is_left_to_it(tmp_path, api):
    (tmp_path / "outbox").mkdir()
    before, after = checkpoint(tmp_path, 2), checkpoint(tmp_path, 4)
    run = {"repo_id": "me/tiny", "private": True, "record": {}, "since": 0.0}
    write_json(tmp_path / "outbox/run.json", run)
    os.utime(before / "trainer_state.json", (100, 100))  # an earlier run's, killed before it was packed
    os.utime(tmp_path / "outbox/run.json", (200, 200))
    os.utime(after / "trainer_state.json", (300, 300))  # this run's, on_save comes next
    worker = UploadWorker(tmp_path / "outbox", api, FAST, Signals())
    worker._start_afresh()
    assert [pending.step for _, pending in read_pending(tmp_path / "outbox")] == [2]
    worker.signals.close()
    worker._start_afresh()
    assert [pending.step for _, pending in read_pending(tmp_path / "outbox")] == [2, 4]


def test_the_hourly_limit_of_the_hub_is_kept_to(tmp_path, api):
    now = time.time()
    pending = put(tmp_path, 2)
    folder = tmp_path / "outbox" / pending.folder_name
    for index in range(COMMITS_PER_HOUR):
        other = tmp_path / "outbox" / f"step-{index}-sent"
        other.mkdir()
        update(other, replace(pending, state="sent", sent_at=now - 3600 + 60 + index))
    worker = UploadWorker(tmp_path / "outbox", api, FAST, Signals())
    # the oldest of the 120 was sent 3540 s ago, so in 60 s it no longer counts
    assert 1 < worker._must_wait([(folder, pending)]) <= 60
    shutil.rmtree(tmp_path / "outbox" / "step-0-sent")
    assert worker._must_wait([(folder, pending)]) == 0


def test_two_processes_upload_an_outbox_once(tmp_path, hub, api):
    for step in range(2, 8):
        put(tmp_path, step)
    threads = [threading.Thread(target=upload_all, args=(tmp_path, api_of(hub))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox_status(tmp_path).ok and len(commits(api)) == 6


def test_a_broken_pending_checkpoint_does_not_hold_up_the_others(tmp_path, api, caplog):
    put(tmp_path, 2)
    (tmp_path / "outbox/step-9-broken").mkdir()
    (tmp_path / "outbox/step-9-broken/parcel.json").write_text("{")
    assert [pending.step for pending in upload_all(tmp_path, api).sent] == [2]
    assert "step-9-broken" in caplog.text


def test_without_an_outbox_the_command_says_so(tmp_path):
    for function in (outbox_status, retry):
        with pytest.raises(FileNotFoundError, match="no outbox.*hf-stilts publish OUTPUT_DIR"):
            function(tmp_path)


def test_what_cannot_be_packed_is_reported_and_raises_nothing(tmp_path, monkeypatch):
    idle = [sys.executable, "-c", "import sys; sys.stdin.read()"]  # a upload worker that does nothing
    start = functools.partial(subprocess.Popen, idle, stdin=subprocess.PIPE)
    monkeypatch.setattr("hf_stilts.publishing.outbox.start_worker", lambda *_: start())
    outbox = Outbox(tmp_path, "me/tiny", private=True, record=Record())
    outbox.add(tmp_path / "checkpoint-3", Record(step=3))
    status = outbox.close()
    assert [pending.step for pending in status.failed] == [3] and "No such file" in status.failed[0].reason
