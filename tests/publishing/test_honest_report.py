"""The report says what is on the Hub, after copies, clocks, power cuts and repositories that are gone."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hub_fixture import Fault
from pending_checkpoints import api_of, checkpoint, put, tags, upload_all

from hf_stilts.files import sha256
from hf_stilts.hub.record import Record
from hf_stilts.publishing.outbox import Outbox, Pace, Run, outbox_status, write_run
from hf_stilts.publishing.pending import read_pending
from hf_stilts.publishing.upload import prepare


@pytest.fixture
def api(hub):
    return api_of(hub)


def test_a_copy_without_times_has_the_same_bytes(tmp_path, api):
    """`cp -r` of an output folder whose upload worker had read the files while the Hub was down."""
    put(tmp_path / "run", 2)
    for folder, pending in read_pending(tmp_path / "run/outbox"):
        prepare(folder, pending, api)
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "run")
    assert upload_all(tmp_path / "copy", api).ok and set(tags(api)) == {"step-2"}


def test_bytes_that_changed_under_the_same_time_are_not_published(tmp_path, api):
    """A power cut may keep a file's size and time, and lose what was in it."""
    put(tmp_path, 2)
    ((folder, pending),) = read_pending(tmp_path / "outbox")
    prepare(folder, pending, api)
    weights = folder / "files/model.safetensors"
    about = weights.stat()
    content = weights.read_bytes()
    weights.unlink()  # it is linked: the checkpoint keeps its bytes
    weights.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    status = upload_all(tmp_path, api)
    assert not status.ok and not status.sent


def test_a_repository_that_is_gone_is_not_said_to_be_there(tmp_path, api):
    put(tmp_path, 2)
    assert upload_all(tmp_path, api).ok
    api.delete_repo("me/tiny")
    for _ in range(2):  # and it is not made again: it may have been deleted on purpose
        status = upload_all(tmp_path, api)
        assert not status.ok and str(status).startswith("0 of 1 checkpoints")
        assert "me/tiny is gone from the Hub" in str(status) and not api.repo_exists("me/tiny")
    api.create_repo("me/tiny", private=True)  # as the report says
    assert upload_all(tmp_path, api).ok and set(tags(api)) == {"step-2"}


def test_an_outbox_of_which_nothing_can_be_read_is_not_empty(tmp_path):
    for step in (2, 4):
        put(tmp_path, step)
    for file in (tmp_path / "outbox").glob("*/parcel.json"):
        file.write_text("")
    (tmp_path / "outbox/run.json").write_text("")
    status = outbox_status(tmp_path)
    assert not status.ok and str(status).startswith("0 of 2 checkpoints")
    assert all(name in str(status) for name in status.broken)


def test_a_clock_that_was_ahead_when_publishing_began_hides_no_checkpoint(tmp_path, api):
    checkpoint(tmp_path, 1)
    before = (tmp_path / "checkpoint-1/trainer_state.json").stat().st_mtime_ns
    (tmp_path / "outbox").mkdir()
    write_run(tmp_path / "outbox", Run("me/tiny", True, Record(), time.time() + 3600, "a" * 32, {"1": before}))
    assert json.loads((tmp_path / "outbox/run.json").read_text())["earlier"] == {"1": before}
    checkpoint(tmp_path, 2)
    assert outbox_status(tmp_path).unpacked == (2,)
    assert upload_all(tmp_path, api).ok and set(tags(api)) == {"step-2"}


def test_weights_that_a_power_cut_emptied_are_taken_from_their_checkpoint(tmp_path, api):
    """All of a small file became zeros, of the same size and time; it was never read before."""
    checkpoint(tmp_path, 2, size=1000)  # small enough to be copied into the outbox
    put(tmp_path, 2)
    ((folder, _),) = read_pending(tmp_path / "outbox")
    weights = folder / "files/model.safetensors"
    about = weights.stat()
    weights.write_bytes(bytes(about.st_size))
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert upload_all(tmp_path, api).ok
    published = api.hf_hub_download("me/tiny", "model.safetensors", revision="step-2", cache_dir=tmp_path / "cache")
    assert sha256(Path(published)) == sha256(tmp_path / "checkpoint-2/model.safetensors")


def test_weights_of_zeros_are_not_published(tmp_path, api):
    checkpoint(tmp_path, 2, size=1000)
    put(tmp_path, 2)
    for weights in tmp_path.rglob("model.safetensors"):
        about = weights.stat()
        weights.write_bytes(bytes(about.st_size))
        os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    status = upload_all(tmp_path, api)
    assert not status.sent and "model.safetensors" in status.failed[0].reason


@pytest.fixture
def sent(tmp_path, api):
    """An output folder of which two checkpoints are on the Hub."""
    for step in (2, 4):
        checkpoint(tmp_path, step, size=100)
        put(tmp_path, step)
    assert upload_all(tmp_path, api).ok
    return tmp_path


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_tag_that_was_removed_is_set_again_where_its_commit_is_there(on_disk, sent, api):
    before = tags(api)
    for tag in before:
        api.delete_tag("me/tiny", tag=tag)
    if not on_disk:
        for step in (2, 4):
            shutil.rmtree(sent / f"checkpoint-{step}")
    status = upload_all(sent, api)
    assert status.ok and tags(api) == before


def make_anew(api):
    api.delete_repo("me/tiny")
    api.create_repo("me/tiny", private=True)


@pytest.mark.parametrize("copied", [True, False])
def test_a_repository_that_was_made_anew_gets_what_is_here_still(copied, sent, api, tmp_path):
    if copied:  # without its times
        shutil.copytree(sent, tmp_path / "copy", copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("hub*"))
        sent = tmp_path / "copy"
    make_anew(api)
    status = upload_all(sent, api)
    assert status.ok and set(tags(api)) == {"step-2", "step-4"}, str(status)
    assert all(pending.commit == tags(api)[pending.tag] for pending in status.sent)


def test_what_is_neither_on_the_hub_nor_here_is_said(sent, api):
    shutil.rmtree(sent / "checkpoint-2")
    checkpoint(sent, 4, b"of a later run", size=100)
    make_anew(api)
    for _ in range(2):
        status = upload_all(sent, api)
        assert str(status).startswith("0 of 2 checkpoints are on the Hub.") and not status.ok
        assert [pending.tag for pending in status.failed] == ["step-2", "step-4"] and not tags(api)
        assert "tag step-2 of me/tiny is gone" in status.failed[0].reason
        assert "checkpoint-2 here" in status.failed[0].reason


def test_a_tag_that_became_another_checkpoint_is_not_said_to_be_ours(sent, api, tmp_path):
    make_anew(api)
    put(tmp_path / "another", 2, b"of another training")
    assert upload_all(tmp_path / "another", api).ok
    status = upload_all(sent, api)
    assert [pending.tag for pending in status.failed] == ["step-2"]
    assert "tag step-2 of me/tiny is already another checkpoint" in status.failed[0].reason


def test_the_branch_to_resume_from_is_sent_again(tmp_path, api):
    put(tmp_path, 2)
    put(tmp_path, 2, branch="resume")
    assert upload_all(tmp_path, api).ok
    make_anew(api)
    assert upload_all(tmp_path, api).ok
    assert {branch.name for branch in api.list_repo_refs("me/tiny").branches} == {"main", "resume"}


def test_a_hub_that_cannot_be_asked_is_not_said_to_hold_it(sent, api, faults):
    faults.add(Fault(".", times=10_000, status=503))
    status = upload_all(sent, api, Pace(first_wait=0.05, longest_wait=0.1, patience=0.2))
    assert not status.ok and "main of me/tiny has not been checked since" in str(status)
    faults.waiting.clear()
    assert upload_all(sent, api).ok


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A checkpoint that a training saved, and that no upload worker read yet."""
    monkeypatch.setattr(Outbox, "_wake_worker", lambda _: None)
    outbox = Outbox(tmp_path / "run", "me/tiny", private=True, record=Record())
    outbox.add(checkpoint(tmp_path / "run", 2), Record(step=2))
    outbox.close()
    return tmp_path / "run"


def lose_second_half(file):
    """As a power cut may leave it: of the same size and time, zeros for what had not reached the disk."""
    about, content = file.stat(), file.read_bytes()
    file.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("parcel", ["whole", ""])
def test_zeros_in_weights_that_nobody_had_read_are_not_published(parcel, saved, api):
    ((folder, _),) = read_pending(saved / "outbox")
    lose_second_half(folder / "files/model.safetensors")  # it is linked: the checkpoint loses it, too
    if not parcel:
        (folder / "parcel.json").write_text("")
    status = upload_all(saved, api)
    assert not status.sent and "model.safetensors of step-2 is no longer what was saved" in status.failed[0].reason
    assert not api.repo_exists("me/tiny") or not tags(api)


def test_weights_that_are_whole_in_the_checkpoint_are_taken_from_there(saved, api, tmp_path):
    ((folder, _),) = read_pending(saved / "outbox")
    weights, kept = folder / "files/model.safetensors", saved / "checkpoint-2/model.safetensors"
    weights.unlink()
    shutil.copy2(kept, weights)
    lose_second_half(weights)
    assert upload_all(saved, api).ok
    published = api.hf_hub_download("me/tiny", "model.safetensors", revision="step-2", cache_dir=tmp_path / "cache")
    assert sha256(Path(published)) == sha256(kept)


def test_a_copy_made_before_anybody_read_the_files_has_the_same_bytes(saved, api, tmp_path):
    shutil.copytree(saved, tmp_path / "copy", copy_function=shutil.copyfile)
    assert upload_all(tmp_path / "copy", api).ok and set(tags(api)) == {"step-2"}


def test_a_copy_of_what_was_overwritten_is_refused(saved, api, tmp_path):
    with (saved / "checkpoint-2/model.safetensors").open("r+b") as file:  # the link shares this content
        file.write(b"\x60")
    shutil.copytree(saved, tmp_path / "copy", copy_function=shutil.copyfile)
    assert "overwritten after step-2" in upload_all(tmp_path / "copy", api).failed[0].reason
