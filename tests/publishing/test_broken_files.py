"""Files of the outbox that a power cut left empty or cut: named, set aside, rebuilt; nothing stops."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hub_fixture import Fault
from huggingface_hub import HfApi
from pending_checkpoints import FAST, api_of, checkpoint, commits, put, tags, upload_all, weights

from hf_stilts.files import write_json
from hf_stilts.hub.record import Record
from hf_stilts.publishing import outbox as outbox_module
from hf_stilts.publishing.outbox import Choice, Outbox, Run, outbox_status, read_choices, read_run, retry, write_run
from hf_stilts.publishing.pending import read_pending, update
from hf_stilts.publishing.worker import Signals, UploadWorker

BROKEN = ["", "{", '{"repo_id": "me/tiny', "[]", "null", '{"repo_id": "me/tiny"}', "\0" * 64, "[" * 5000]


WAITING = [(2, "waiting"), (4, "waiting")]


@pytest.fixture
def api(hub):
    return api_of(hub)


def mend(output_dir):
    """Let an upload worker begin, which needs no Hub yet."""
    signals = Signals()
    signals.close()
    UploadWorker(output_dir / "outbox", HfApi(endpoint="http://nowhere.invalid"), FAST, signals)._start_afresh()


def begin(output_dir, **of_record):
    (output_dir / "outbox").mkdir(parents=True, exist_ok=True)
    run = Run("me/tiny", True, Record(phase="target", **of_record), since=time.time() - 60, id="a" * 32)
    write_run(output_dir / "outbox", run)
    return run


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_run_file_is_rebuilt_from_the_pending_checkpoints(text, tmp_path, caplog):
    begin(tmp_path)
    put(tmp_path, 2)
    checkpoint(tmp_path, 4)  # saved, not packed yet
    (tmp_path / "outbox/run.json").write_text(text)
    mend(tmp_path)
    assert [(pending.step, pending.state) for pending in outbox_status(tmp_path).checkpoints] == WAITING
    assert (tmp_path / "outbox/run.json.broken").read_text() == text
    assert "run.json cannot be read" in caplog.text
    assert read_run(tmp_path / "outbox").repo_id == "me/tiny"


def test_what_was_rebuilt_is_published(tmp_path, api):
    begin(tmp_path, languages=("en",))
    broken = put(tmp_path, 2)
    shutil.rmtree(tmp_path / "checkpoint-2")
    put(tmp_path, 4)
    state = {"global_step": 6, "best_global_step": 4, "best_metric": 0.7, "log_history": []}
    (checkpoint(tmp_path, 6) / "trainer_state.json").write_text(json.dumps(state))  # saved, not packed yet
    choice = f"choice-{outbox_module._short_hash('me/tiny')}.json"
    for file in (f"{broken.folder_name}/parcel.json", "run.json", choice):
        (tmp_path / "outbox" / file).write_text("")
    status = upload_all(tmp_path, api)
    assert status.ok and {pending.step for pending in status.sent} == {2, 4, 6}, str(status)
    assert "main of me/tiny is step-4: best so far (0.7000)" in str(status), str(status)
    assert sorted(tags(api)) == ["step-2", "step-4", "step-6"]
    assert weights(api, "step-2", tmp_path / "cache").startswith(b"weights of 2 ")


def test_a_broken_run_file_with_nothing_beside_it_stops_neither_a_training_nor_a_report(tmp_path, here, api):
    (tmp_path / "outbox").mkdir()
    for _ in range(2):
        (tmp_path / "outbox/run.json").write_text("")
        assert str(outbox_status(tmp_path)).startswith("0 of 0 checkpoints")
    (tmp_path / "outbox/run.json").write_text("")
    outbox = Outbox(tmp_path, "me/tiny", private=True, record=Record())
    outbox.add(checkpoint(tmp_path, 2), Record(step=2))
    assert outbox.close().ok
    assert read_run(tmp_path / "outbox").repo_id == "me/tiny"


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_choice_is_rebuilt_from_the_newest_checkpoint(text, tmp_path):
    begin(tmp_path)
    for step, best, score in ((2, 2, 0.4), (4, 4, 0.7), (6, 4, 0.7)):
        folder = checkpoint(tmp_path, step)
        state = {"global_step": step, "best_global_step": best, "best_metric": score, "log_history": []}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    path = tmp_path / f"outbox/choice-{outbox_module._short_hash('me/tiny')}.json"
    path.write_text(text)
    mend(tmp_path)
    assert path.with_name(f"{path.name}.broken").read_text() == text
    assert read_choices(tmp_path / "outbox") == [Choice(path, "me/tiny", 4, "best so far (0.7000)")]


def test_a_broken_choice_of_which_nothing_is_known_leaves_the_newest(tmp_path, api):
    put(tmp_path, 2)
    (tmp_path / "outbox/choice-1.json").write_text("")
    assert upload_all(tmp_path, api).ok
    assert read_choices(tmp_path / "outbox") == []


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_pending_checkpoint_is_rebuilt_from_its_files(text, tmp_path, caplog):
    begin(tmp_path, languages=("en",))
    pending = put(tmp_path, 2)
    shutil.rmtree(tmp_path / "checkpoint-2")
    (tmp_path / "outbox" / pending.folder_name / "parcel.json").write_text(text)
    put(tmp_path, 4)
    mend(tmp_path)
    rebuilt = {pending.step: pending for pending in outbox_status(tmp_path).checkpoints}
    assert sorted((pending.step, pending.state) for pending in rebuilt.values()) == WAITING
    assert (rebuilt[2].files, rebuilt[2].id[:8]) == (pending.files, pending.id[:8])
    assert "set aside as parcel.json.broken" in caplog.text
    record = rebuilt[2].read_record()
    assert (record.step, record.phase, record.languages) == (2, "target", ("en",))


@pytest.mark.parametrize("cut", [b"", b"{"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("tried", [False, True])
def test_a_file_that_was_cut_in_the_outbox_is_taken_from_its_checkpoint(name, cut, tried, tmp_path, api, faults):
    begin(tmp_path)
    pending = put(tmp_path, 2)
    if tried:  # its sha256 is known then
        faults.add(Fault("POST .*/commit/", times=1, status=503))
        UploadWorker(tmp_path / "outbox", api, FAST, Signals())._try(*next(read_pending(tmp_path / "outbox")))
    (tmp_path / "outbox" / pending.folder_name / "files" / name).write_bytes(cut)
    status = upload_all(tmp_path, api)
    assert status.ok, str(status)
    published = api.hf_hub_download("me/tiny", name, revision="step-2", cache_dir=tmp_path / "cache")
    assert Path(published).read_text() == (tmp_path / "checkpoint-2" / name).read_text()


def test_a_file_that_is_gone_from_the_outbox_is_taken_from_its_checkpoint(tmp_path, api):
    pending = put(tmp_path, 2)
    shutil.rmtree(tmp_path / "outbox" / pending.folder_name / "files")
    assert upload_all(tmp_path, api).ok
    assert weights(api, "step-2", tmp_path / "cache").startswith(b"weights of 2 ")


@pytest.mark.parametrize("content", [b"of a later run", None])
def test_a_file_that_was_cut_is_not_taken_from_a_later_save_of_its_step(content, tmp_path, api):
    pending = put(tmp_path, 2)
    (tmp_path / "outbox" / pending.folder_name / "files/config.json").write_text("")
    shutil.rmtree(tmp_path / "checkpoint-2")
    if content:
        checkpoint(tmp_path, 2, content)
    status = upload_all(tmp_path, api)
    assert [failed.step for failed in status.failed] == [2] and "config.json" in status.failed[0].reason
    assert not api.repo_exists("me/tiny") or not tags(api)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kept", [True, False])
def test_one_that_is_rebuilt_publishes_no_file_that_is_cut(name, kept, tmp_path, api):
    begin(tmp_path)
    pending = put(tmp_path, 2)
    folder = tmp_path / "outbox" / pending.folder_name
    (folder / "parcel.json").write_text("")
    whole = (folder / "files" / name).read_bytes()
    (folder / "files" / name).unlink()
    (folder / "files" / name).write_bytes(whole[: len(whole) // 2])
    if not kept:
        shutil.rmtree(tmp_path / "checkpoint-2")
    status = upload_all(tmp_path, api)
    assert status.ok == kept, str(status)
    if kept:
        published = api.hf_hub_download("me/tiny", name, revision="step-2", cache_dir=tmp_path / "cache")
        assert Path(published).read_bytes() == whole
    else:
        assert name in status.failed[0].reason
        assert not api.repo_exists("me/tiny") or not tags(api)


@pytest.mark.parametrize("changed", [{"step": None}, {"step": "2"}, {"repo_id": None}])
def test_a_main_or_choice_file_of_other_types_is_asked_for_again(changed, tmp_path, api, caplog):
    begin(tmp_path)
    put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    stored = {"repo_id": "me/tiny", "step": 2, "why": "best", "commit": None, **changed}
    for file in ("main", "choice"):
        path = tmp_path / f"outbox/{file}-{outbox_module._short_hash('me/tiny')}.json"
        path.write_text(json.dumps({**stored, "commit": ""}))
        str(outbox_status(tmp_path))
        assert path.name in caplog.text
    status = upload_all(tmp_path, api)
    assert status.ok and [main.step for main in status.mains] == [2], str(status)


def test_a_broken_one_that_was_committed_is_not_committed_twice(tmp_path, api, faults):
    begin(tmp_path)
    pending = put(tmp_path, 2)
    faults.add(Fault("POST .*/tag/", times=3, status=500))
    UploadWorker(tmp_path / "outbox", api, FAST, Signals())._try(*next(read_pending(tmp_path / "outbox")))
    faults.waiting.clear()
    assert len(commits(api)) == 1 and not tags(api)
    (tmp_path / "outbox" / pending.folder_name / "parcel.json").write_text("")
    assert upload_all(tmp_path, api).ok
    assert len(commits(api)) == 1 and list(tags(api)) == ["step-2"]


def test_a_broken_one_whose_files_are_gone_is_asked_for_on_the_hub(tmp_path, api):
    begin(tmp_path)
    sent = put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    lost = put(tmp_path, 4)
    shutil.rmtree(tmp_path / "outbox" / lost.folder_name / "files")
    for pending in (sent, lost):
        shutil.rmtree(tmp_path / f"checkpoint-{pending.step}")
        (tmp_path / "outbox" / pending.folder_name / "parcel.json").write_text("")
    status = upload_all(tmp_path, api)
    assert [pending.step for pending in status.sent] == [2] and len(commits(api)) == 1
    assert "either it was sent, or it is lost" in status.failed[0].reason and status.failed[0].step == 4


def test_a_report_of_what_lies_broken_names_the_file_and_changes_no_pending_checkpoint(tmp_path, caplog):
    pending = put(tmp_path, 2)
    path = tmp_path / "outbox" / pending.folder_name / "parcel.json"
    path.write_text("")
    (tmp_path / "outbox/main-1.json").write_text("")
    assert outbox_status(tmp_path).checkpoints == ()
    assert str(path) in caplog.text and path.read_text() == "" and "main-1.json" in caplog.text


def test_the_command_goes_on_over_broken_files(tmp_path, here, api):
    begin(tmp_path)
    put(tmp_path, 2)
    for name in ("run.json", "choice-1.json", "main-1.json"):
        (tmp_path / "outbox" / name).write_text("")
    assert retry(tmp_path).ok and list(tags(api)) == ["step-2"]


def test_what_an_earlier_version_wrote_is_read(tmp_path, api):
    """Without `run` and `id`, and with fields that a later one may add."""
    pending = put(tmp_path, 2)
    path = tmp_path / "outbox" / pending.folder_name / "parcel.json"
    data = json.loads(path.read_text())
    del data["run"]
    write_json(path, data | {"later": 1})
    since = time.time() - 60
    write_json(tmp_path / "outbox/run.json", {"repo_id": "me/tiny", "private": True, "record": {}, "since": since})
    choice = {"repo_id": "me/tiny", "step": 2, "why": "the last checkpoint", "commit": None, "reason": None}
    write_json(tmp_path / "outbox/choice-1.json", choice)
    checkpoint(tmp_path, 4)
    status = upload_all(tmp_path, api)
    assert status.ok and "step-4: the newest" in str(status)


def test_what_must_last_is_synced_before_it_counts(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    begin(tmp_path)
    assert any("run.json" in name for name in synced) and str(tmp_path / "outbox") in synced
    pending = put(tmp_path, 2)
    synced.clear()
    folder = tmp_path / "outbox" / pending.folder_name
    update(folder, pending, state="sent")
    assert any("parcel.json" in name for name in synced) and str(folder) in synced
    synced.clear()
    outbox = object.__new__(Outbox)
    outbox.folder, outbox.run = tmp_path / "outbox", read_run(tmp_path / "outbox")
    outbox.choose(2, "best")
    assert any("choice-" in name for name in synced)
    assert isinstance(read_choices(tmp_path / "outbox")[0], Choice)
