"""What goes wrong on the way to the Hub, and what must not be lost or done twice when it does."""

import errno
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_fixture import Fault, HubProcess
from huggingface_hub import HfApi
from pending_checkpoints import FAST, api_of, checkpoint, commits, put, tags, until, upload_all, weights
from places import ROOT

from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256, write_json
from hf_stilts.hub.record import Record
from hf_stilts.local_hub import LocalHub
from hf_stilts.publishing import outbox, upload
from hf_stilts.publishing import pending as pending_checkpoint
from hf_stilts.publishing.outbox import Outbox, Pace, Run, outbox_status, retry, start_worker, write_run
from hf_stilts.publishing.pending import new_pending, note_unpacked, read_pending
from hf_stilts.publishing.worker import COMMITS_PER_HOUR, Signals, UploadWorker, _retry_after

COMMIT = "POST .*/commit/main"
TAG = "POST .*/tag/"
PASSING = {
    "500 on commit": Fault(COMMIT, status=500),
    "503 on everything, ten times": Fault(".", times=10, status=503),
    "429 with Retry-After": Fault(COMMIT, status=429, headers={"Retry-After": "1"}),
    "409 on commit": Fault(COMMIT, status=409),
    "412 on commit": Fault(COMMIT, status=412),
    "connection dropped before the commit": Fault(COMMIT, drop=True),
    "connection dropped before creation": Fault("POST .*/repos/create", drop=True),
    "answer of the creation lost": Fault("POST .*/repos/create", lose_answer=True),
    "answer of the commit lost": Fault(COMMIT, times=2, lose_answer=True),
    "answer of the commit truncated": Fault(COMMIT, truncate=10),
    "answer of the tag lost": Fault(TAG, lose_answer=True),
    "500 on tag": Fault(TAG, status=500),
    "upload refused once": Fault("(PUT|POST) .*(lfs|xet|xorb|shard)", status=500),
    "confirmation truncated": Fault("POST .*/paths-info/", truncate=5),
}


@pytest.fixture
def api(hub):
    return api_of(hub)


@pytest.fixture
def here(hub, monkeypatch):
    """Make upload workers that are started as processes talk to the `hub` fixture."""
    monkeypatch.setattr(outbox, "constants", SimpleNamespace(ENDPOINT=hub.url))
    monkeypatch.setenv("HF_TOKEN", "local")


def assert_nothing_lost_nothing_twice(api, cache, steps):
    """Every step has its own weights under its own tag, in exactly one commit, and each commit is tagged."""
    assert sorted(commits(api)) == [f"step-{step}: intermediate training" for step in steps]
    assert {name for name in tags(api)} == {f"step-{step}" for step in steps}
    for step in steps:
        assert weights(api, f"step-{step}", cache).startswith(b"weights of %d " % step)


@pytest.mark.parametrize("name", PASSING)
def test_every_checkpoint_arrives_once_in_spite_of(name, tmp_path, api, faults):
    faults.add(Fault(**vars(PASSING[name])))
    for step in (2, 4):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    assert status.ok, str(status)
    assert all(fault.times == 0 for fault in faults.waiting), "the fault never happened"
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4))


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_token_keeps_the_files_and_says_so(code, tmp_path, api, faults):
    faults.add(Fault(COMMIT, times=2, status=code))
    for step in (2, 4):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    assert [pending.state for pending in status.checkpoints] == ["failed", "failed"]
    assert f"the Hub answered {code}" in status.failed[0].reason
    assert len(list((tmp_path / "outbox").glob("step-*/files/model.safetensors"))) == 2
    assert upload_all(tmp_path, api).ok  # the user has logged in again
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4))


def test_retry_after_is_kept_to(tmp_path, api, faults):
    faults.add(Fault(COMMIT, status=429, headers={"Retry-After": "2"}))
    put(tmp_path, 2)
    started = time.monotonic()
    assert upload_all(tmp_path, api).ok
    assert time.monotonic() - started >= 2  # a lower bound, not a speed


def test_a_wait_longer_than_our_patience_is_left_for_later(tmp_path, api, faults):
    faults.add(Fault(COMMIT, status=429, headers={"Retry-After": "3600"}))
    put(tmp_path, 2)
    status = upload_all(tmp_path, api)
    assert "come back in 3600 s" in status.waiting[0].reason
    assert list((tmp_path / "outbox").glob("step-*/files/model.safetensors"))


@pytest.mark.parametrize(("header", "expected"), [("7", 7), ("Fri, 01 Jan 2100 00:00:00 GMT", 1e8), ("soon", 60)])
def test_retry_after_is_read_as_seconds_or_date(header, expected):
    class Answer:
        status_code = 503
        headers = {"Retry-After": header}

    assert _retry_after(Answer) >= expected


def test_bytes_that_the_hub_garbled_are_noticed_before_the_files_are_forgotten(tmp_path, api, monkeypatch):
    real, garbled = upload.differences, ["model.safetensors"]
    monkeypatch.setattr(upload, "differences", lambda *a: [garbled.pop()] if garbled else real(*a))
    put(tmp_path, 2)
    signals = Signals()
    worker = UploadWorker(tmp_path / "outbox", api, FAST, signals)
    worker._try(*next(read_pending(tmp_path / "outbox")))
    pending = outbox_status(tmp_path).waiting[0]
    assert "holds other bytes in model.safetensors" in pending.reason and not tags(api)
    assert list((tmp_path / "outbox").glob("step-*/files/model.safetensors"))
    assert upload_all(tmp_path, api).ok and len(commits(api)) == 1


def test_a_disk_that_is_full_for_a_while_loses_nothing_on_the_way(tmp_path, api, monkeypatch):
    real, full = (
        os.replace,
        [3, 4, 5, 6],
    )  # which of the writes fail: some of the first pending checkpoint's, some of the second's
    count = itertools.count()

    def replace(source, target, **options):
        if "outbox" in str(target) and next(count) in full:  # the Hub of this test has another disk
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target, **options)

    for step in (2, 4):
        put(tmp_path, step)
    monkeypatch.setattr(os, "replace", replace)
    status = upload_all(tmp_path, api)
    assert status.ok, str(status)
    assert next(count) > max(full)
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4))


def test_a_mismatch_in_any_file_is_a_difference(tmp_path, api):
    put(tmp_path, 2)
    upload_all(tmp_path, api)
    for name in ("model.safetensors", "config.json", "nowhere.json"):
        (tmp_path / name).write_bytes(b"other bytes")
        files = {name: upload.LocalFile(tmp_path / name, sha256(tmp_path / name))}
        assert upload.differences(api, "me/tiny", "step-2", files) == [name]


def test_bytes_that_stay_wrong_on_the_hub_are_not_committed_again(tmp_path, api, monkeypatch):
    put(tmp_path, 2)
    monkeypatch.setattr(upload, "differences", lambda *a: ["model.safetensors"])
    status = upload_all(tmp_path, api)
    assert "holds other bytes in model.safetensors" in status.failed[0].reason
    for _ in range(2):
        assert not upload_all(tmp_path, api).ok
    assert len(on_main(api)) == 1 and not tags(api)
    monkeypatch.undo()  # it was the check that went wrong
    assert upload_all(tmp_path, api).ok and len(commits(api)) == 1


def on_main(api):
    return [commit for commit in api.list_repo_commits("me/tiny") if commit.title.startswith("step-")]


def test_bytes_that_changed_on_our_disk_between_two_tries_are_never_committed(tmp_path, api, faults):
    pending = put(tmp_path, 2)
    faults.add(Fault(COMMIT, status=500))
    worker = UploadWorker(tmp_path / "outbox", api, FAST, Signals())
    worker._try(*next(read_pending(tmp_path / "outbox")))
    file = tmp_path / "outbox" / pending.folder_name / "files/model.safetensors"
    about = file.stat()
    with file.open("r+b") as stream:
        stream.write(b"W")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))  # nothing but the bytes tells it
    for _ in range(2):
        status = upload_all(tmp_path, api)
        assert "model.safetensors of step-2 is no longer what was saved" in status.failed[0].reason
    assert not on_main(api)


class ImpatientSignals(Signals):
    """Nobody waits for hours in a test."""

    def wait(self, seconds):
        assert seconds < 60, f"it would wait {seconds:.0f} s"
        super().wait(seconds)


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_is_set_neither_stops_it_nor_makes_it_give_up(jump, tmp_path, api, faults, monkeypatch):
    for step in (2, 4):
        put(tmp_path, step)
    faults.add(Fault(COMMIT, times=2, status=503))
    real, moved = time.time, []

    def now():
        return real() + sum(moved)

    signals = ImpatientSignals()
    signals.close()
    worker = UploadWorker(tmp_path / "outbox", api, FAST, signals)
    succeeded, back_off = worker._succeeded, worker._back_off
    monkeypatch.setattr(worker, "_back_off", lambda: (back_off(), moved.append(jump)))
    monkeypatch.setattr(worker, "_succeeded", lambda: (succeeded(), moved.append(jump)))
    monkeypatch.setattr(time, "time", now)
    worker.run()
    monkeypatch.undo()
    assert outbox_status(tmp_path).ok and len(moved) >= 4
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4))


def test_the_newest_to_resume_from_is_the_last_one_packed_though_the_clock_was_set_back(tmp_path, api, monkeypatch):
    put(tmp_path, 2, branch="resume")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    put(tmp_path, 4, branch="resume")
    assert outbox_status(tmp_path).to_resume.step == 4
    assert upload_all(tmp_path, api).to_resume.step == 4
    monkeypatch.undo()
    state = api.hf_hub_download("me/tiny", "trainer_state.json", revision="resume", cache_dir=tmp_path / "cache")
    assert json.loads(Path(state).read_text())["global_step"] == 4


@pytest.mark.parametrize("later", [False, True])
def test_one_to_resume_from_that_a_full_disk_did_not_take_is_packed_by_the_retry(later, tmp_path, api):
    put(tmp_path, 2, branch="resume")
    saved = checkpoint(tmp_path, 4)
    failed = new_pending(Record(step=4), "me/tiny", True, "resume")
    note_unpacked(tmp_path / "outbox", replace(failed, state="failed", reason="No space left on device"))
    if later:  # another training saved the same step
        os.utime(saved / "trainer_state.json", (time.time() + 60, time.time() + 60))
    status = upload_all(tmp_path, api)
    assert (status.to_resume.step, status.to_resume.state) == (4, "failed" if later else "sent"), str(status)
    state = api.hf_hub_download("me/tiny", "trainer_state.json", revision="resume", cache_dir=tmp_path / "cache")
    assert json.loads(Path(state).read_text())["global_step"] == (2 if later else 4)


def test_a_date_to_come_back_is_read_by_the_clock_of_the_hub():
    class Answer:
        status_code = 503
        headers = {"Retry-After": "Fri, 01 Jan 2100 00:00:30 GMT", "Date": "Fri, 01 Jan 2100 00:00:00 GMT"}

    assert _retry_after(Answer) == 30


def test_the_hourly_limit_is_said_with_the_time_at_which_it_goes_on(tmp_path, api):
    sent_at = time.time() - 600
    for step in range(2 * COMMITS_PER_HOUR, 0, -2):
        other = tmp_path / f"outbox/step-{step}-sent"
        other.mkdir(parents=True)
        about = replace(new_pending(Record(step=step), "me/tiny", True), state="sent", sent_at=sent_at, commit="a" * 40)
        write_json(other / "parcel.json", asdict(about))
    for step in (1000, 1002, 1004, 1006):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    assert len(status.waiting) == 4 and not api.repo_exists("me/tiny")
    goes_on = time.strftime("%H:%M", time.localtime(sent_at + 3600))
    assert f"step-1000 to step-1006 (4 checkpoints) waiting: the Hub takes {COMMITS_PER_HOUR} commits" in str(status)
    assert f"it goes on at {goes_on}" in str(status) and status.command in str(status)


def test_the_limit_of_one_repository_does_not_hold_up_another(tmp_path, api):
    (tmp_path / "outbox").mkdir()
    for step in range(COMMITS_PER_HOUR):
        other = tmp_path / f"outbox/step-{step}-sent"
        other.mkdir()
        about = replace(new_pending(Record(step=step), "me/full", True), state="sent", sent_at=time.time(), commit="a")
        write_json(other / "parcel.json", asdict(about))
    put(tmp_path, 2)
    worker = UploadWorker(tmp_path / "outbox", api, FAST, Signals())
    assert worker._must_wait([pair for pair in read_pending(tmp_path / "outbox") if pair[1].state == "waiting"]) == 0


def test_a_disk_that_is_full_at_the_start_stops_no_training(tmp_path, here, api, monkeypatch, caplog):
    full = [True]
    real = outbox.write_json

    def write(path, *arguments, **options):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *arguments, **options)

    monkeypatch.setattr(outbox, "write_json", write)
    outbox_ = Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST)
    assert "No space left" in caplog.text and "the training goes on" in caplog.text
    full.clear()
    outbox_.add(checkpoint(tmp_path, 2), Record(step=2))
    assert outbox_.close().ok and list(tags(api)) == ["step-2"]


@pytest.fixture
def unwritable(monkeypatch):
    """While it holds something, nothing can be packed or noted in an outbox: a full disk, a read-only one."""
    now: list[bool] = []

    def refusing(function):
        def write(*arguments, **options):
            if now:
                raise OSError(errno.EROFS, "Read-only file system")
            return function(*arguments, **options)

        return write

    monkeypatch.setattr(outbox, "pack", refusing(outbox.pack))
    monkeypatch.setattr(pending_checkpoint, "update", refusing(pending_checkpoint.update))
    return now


@pytest.fixture
def no_worker(monkeypatch):
    """No upload worker can be started."""

    def start(*arguments, **options):
        raise OSError(errno.ENOMEM, "no process")

    monkeypatch.setattr(outbox, "start_worker", start)


@pytest.mark.parametrize("until_the_end", [False, True])
def test_checkpoints_that_an_unwritable_outbox_did_not_take_are_named_at_the_end(
    until_the_end, tmp_path, here, api, unwritable
):
    outbox_ = Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST)
    outbox_.add(checkpoint(tmp_path, 2), Record(step=2))
    unwritable.append(True)
    for step in (4, 6):
        outbox_.add(checkpoint(tmp_path, step), Record(step=step))
    shutil.rmtree(tmp_path / "checkpoint-4")  # save_total_limit
    unwritable.clear()
    if until_the_end:
        shutil.rmtree(tmp_path / "checkpoint-6")
    else:
        outbox_.add(checkpoint(tmp_path, 8), Record(step=8))
    status = outbox_.close()
    lost = [4, 6] if until_the_end else [4]
    assert not status.ok and [each.step for each in status.failed] == lost, str(status)
    assert all("Read-only file system" in each.reason for each in status.failed)
    assert {*tags(api)} == ({"step-2"} if until_the_end else {"step-2", "step-6", "step-8"})
    assert outbox_status(tmp_path).failed == status.failed  # written down for the next command, too


def test_a_report_names_what_an_outbox_could_not_note_to_the_end(tmp_path, no_worker, unwritable):
    outbox_ = Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST)
    unwritable.append(True)
    outbox_.add(checkpoint(tmp_path, 2), Record(step=2))
    outbox_.add(checkpoint(tmp_path, 4), Record(step=4))
    shutil.rmtree(tmp_path / "checkpoint-2")
    status = outbox_.close()
    assert [each.step for each in status.failed] == [2] and status.unpacked == (4,)
    assert "step-2 failed: it could not be packed" in str(status) and not status.ok


def test_a_full_disk_is_said_at_once_and_not_after_the_patience(tmp_path, monkeypatch):
    put(tmp_path, 2)
    started = []
    monkeypatch.setattr(outbox, "start_worker", lambda *arguments, **options: started.append(True))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=4096))
    with pytest.raises(StiltsError, match="is full") as refused:
        retry(tmp_path)
    assert f"Free some space, then: hf-stilts publish --retry {tmp_path}" in str(refused.value) and not started
    assert "is full, so nothing can be sent" in str(outbox_status(tmp_path))


def test_a_full_disk_is_no_matter_where_all_is_sent(tmp_path, here, api, monkeypatch):
    put(tmp_path, 2)
    upload_all(tmp_path, api)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    assert retry(tmp_path, pace=FAST).ok and "full" not in str(outbox_status(tmp_path))


def test_a_broken_pending_checkpoint_is_told_of_once(tmp_path, caplog):
    put(tmp_path, 2)
    put(tmp_path, 4)
    for _, pending in list(read_pending(tmp_path / "outbox")):
        (tmp_path / "outbox" / pending.folder_name / "parcel.json").write_text("{")
    for _ in range(3):
        assert not list(read_pending(tmp_path / "outbox"))
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 2 and "cannot be read" in caplog.text


def test_a_checkpoint_of_a_time_to_come_is_packed_by_the_retry(tmp_path, api):
    """The clock was set back, or that of the file server is ahead."""
    (tmp_path / "outbox").mkdir()
    write_run(tmp_path / "outbox", Run("me/tiny", True, Record(), since=time.time(), id="a" * 32, earlier={}))
    later = time.time() + 3600
    os.utime(checkpoint(tmp_path, 4) / "trainer_state.json", (later, later))
    assert outbox_status(tmp_path).unpacked == (4,)
    status = upload_all(tmp_path, api)
    assert status.ok and [*tags(api)] == ["step-4"], str(status)


def test_a_training_goes_on_with_what_was_saved_at_a_time_to_come(tmp_path, no_worker):
    """Its next save may delete it."""
    (tmp_path / "outbox").mkdir()
    write_run(tmp_path / "outbox", Run("me/tiny", True, Record(), since=time.time(), id="a" * 32, earlier={}))
    later = time.time() + 3600
    os.utime(checkpoint(tmp_path, 4) / "trainer_state.json", (later, later))
    Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST, resumed=True)
    assert [pending.step for _, pending in read_pending(tmp_path / "outbox")] == [4]


def test_a_choice_that_the_full_disk_did_not_take_is_carried_out_by_one_retry(tmp_path, here, api, monkeypatch):
    full, real, wait_for = [], outbox.write_json, outbox.wait_for

    def write(path, *arguments, **options):
        if full and path.name.startswith("choice-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *arguments, **options)

    def wait_until_there_is_room(*arguments):
        wait_for(*arguments)
        full.clear()

    monkeypatch.setattr(outbox, "write_json", write)
    monkeypatch.setattr(outbox, "wait_for", wait_until_there_is_room)
    outbox_ = Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST)
    for step in (2, 4):
        outbox_.add(checkpoint(tmp_path, step), Record(step=step))
    full.append(True)
    outbox_.choose(2, "best")
    status = outbox_.close()
    assert not status.ok and "main is not step-2" in str(status) and status.command
    assert "main of me/tiny is step-2: best." in str(retry(tmp_path, pace=FAST))


def test_a_folder_in_which_nothing_can_be_made_stops_no_training(tmp_path, here, caplog):
    (tmp_path / "outbox").write_text("a file where the folder should be")
    outbox_ = Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST)
    outbox_.add(checkpoint(tmp_path, 2), Record(step=2))
    outbox_.choose(2, "best")
    with pytest.raises(FileNotFoundError):  # which the callback says in a line
        outbox_.close()
    assert "the training goes on" in caplog.text


def test_others_committing_to_main_meanwhile_cost_nothing(tmp_path, hub, api):
    put(tmp_path, 2)
    upload_all(tmp_path, api)
    stop = threading.Event()

    def meddle():
        mine, count = api_of(hub), 0
        while not stop.is_set() and count < 20:  # a busy machine would never find main where it read it
            count += 1
            mine.upload_file(path_or_fileobj=b"%d" % count, path_in_repo="notes.txt", repo_id="me/tiny")
            time.sleep(0.1)

    thread = threading.Thread(target=meddle)
    thread.start()
    for step in (4, 6):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    stop.set()
    thread.join()
    assert status.ok, str(status)
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4, 6))
    assert b"notes.txt" in b" ".join(file.rfilename.encode() for file in api.model_info("me/tiny").siblings)


def test_a_hub_that_is_down_from_the_first_second_loses_nothing(tmp_path):
    with LocalHub(tmp_path / "hub") as hub:
        pass  # it has a port now, and is dead
    for step in (2, 4):
        put(tmp_path, step)
    api = HfApi(endpoint=hub.url, token="local")
    status = upload_all(tmp_path, api, Pace(first_wait=0.05, longest_wait=0.2, patience=0.5))
    assert len(status.waiting) == 2 and "ConnectError" in str(status) and "--retry" in str(status)
    with LocalHub(tmp_path / "hub", port=int(hub.url.rpartition(":")[2])):
        assert upload_all(tmp_path, api).ok
        assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4))


@pytest.mark.slow
def test_a_hub_killed_in_the_middle_loses_nothing(tmp_path):
    with HubProcess(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.url, token="local")
        for step in range(2, 7):
            put(tmp_path, step)
        signals = Signals()
        worker = UploadWorker(tmp_path / "outbox", api, FAST, signals)
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: len(outbox_status(tmp_path).sent) >= 2)
        hub.kill()
        time.sleep(0.3)
        hub.start()
        signals.close()
        thread.join()
        assert outbox_status(tmp_path).ok
        assert_nothing_lost_nothing_twice(api, tmp_path / "cache", range(2, 7))


@pytest.mark.parametrize("request_pattern", [pytest.param("preupload", marks=pytest.mark.slow), "commit/main", "tag/"])
@pytest.mark.usefixtures("real_process")
def test_a_worker_killed_at_any_request_is_taken_over(request_pattern, tmp_path, here, api, faults):
    put(tmp_path, 2)
    fault = Fault(request_pattern, delay=1.0)  # the Hub does it, and nobody hears the answer
    faults.add(fault)
    worker = start_worker(tmp_path / "outbox", FAST)
    until(lambda: fault.times == 0)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdin.close()
    put(tmp_path, 4)
    status = retry(tmp_path, pace=FAST)
    assert status.ok, str(status)
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2, 4))


@pytest.mark.usefixtures("real_process")
def test_a_connection_that_hangs_is_given_up(tmp_path, here, api, faults):
    faults.add(Fault(COMMIT, delay=3.0))
    put(tmp_path, 2)
    status = retry(tmp_path, pace=Pace(first_wait=0.1, timeout=0.5, patience=60.0))
    assert status.ok and status.sent[0].attempts >= 2
    assert_nothing_lost_nothing_twice(api, tmp_path / "cache", (2,))


@pytest.mark.slow
@pytest.mark.usefixtures("real_process")
def test_a_worker_that_hangs_altogether_does_not_hold_up_the_end(tmp_path, here, faults):
    faults.add(Fault(".", times=1000, delay=4.0))
    put(tmp_path, 2)
    status = retry(tmp_path, pace=Pace(timeout=0.5, patience=0.5))
    assert len(status.waiting) == 1 and status.command


@pytest.mark.usefixtures("real_process")
def test_forked_workers_that_hold_the_pipe_open_do_not_hold_up_the_end(tmp_path, here, api):
    outbox_ = Outbox(tmp_path, "me/tiny", private=True, record=Record(), pace=FAST)
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))  # like a data loader's
    worker.start()
    try:
        outbox_.add(checkpoint(tmp_path, 2), Record(step=2))
        outbox_.choose(2, "only one")
        assert outbox_.close().ok
        assert outbox_.worker.returncode == 0  # not killed for its silence
    finally:
        worker.kill()
        worker.join()


@pytest.mark.slow
def test_watching_uploads_what_another_process_puts_in(tmp_path, here, api):
    put(tmp_path, 2)
    # A suite that runs in the background may hand down an ignored SIGINT.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"from hf_stilts.publishing.outbox import retry; print(retry({str(tmp_path)!r}, watch=True))"
    watcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=_environment(api))
    try:
        until(lambda: len(outbox_status(tmp_path).sent) == 1)
        put(tmp_path, 4)
        until(lambda: len(outbox_status(tmp_path).sent) == 2)
    finally:
        watcher.send_signal(signal.SIGINT)
        said = watcher.communicate(timeout=20)[0]
    assert "2 of 2 checkpoints" in said


def _environment(api):
    return os.environ | {"HF_ENDPOINT": api.endpoint, "HF_TOKEN": "local", "PYTHONPATH": str(ROOT)}
