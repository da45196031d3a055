"""The report says what is on the Hub, after copies, clocks, power cuts and repositories that are gone."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from pending_checkpoints import api_of, checkpoint, deliver_all, put, tags

from hf_stilts.files import sha256
from hf_stilts.hub.record import Record
from hf_stilts.publishing.outbox import Run, outbox_status, write_run
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
    assert deliver_all(tmp_path / "copy", api).ok and set(tags(api)) == {"step-2"}


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
    status = deliver_all(tmp_path, api)
    assert not status.ok and not status.sent


def test_a_repository_that_is_gone_is_not_said_to_be_there(tmp_path, api):
    put(tmp_path, 2)
    assert deliver_all(tmp_path, api).ok
    api.delete_repo("me/tiny")
    status = deliver_all(tmp_path, api)
    assert not status.ok and "main of me/tiny has not been checked since, or is gone" in str(status)


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
    assert deliver_all(tmp_path, api).ok and set(tags(api)) == {"step-2"}


def test_weights_that_a_power_cut_emptied_are_taken_from_their_checkpoint(tmp_path, api):
    """All of a small file became zeros, of the same size and time; it was never read before."""
    checkpoint(tmp_path, 2, size=1000)  # small enough to be copied into the outbox
    put(tmp_path, 2)
    ((folder, _),) = read_pending(tmp_path / "outbox")
    weights = folder / "files/model.safetensors"
    about = weights.stat()
    weights.write_bytes(bytes(about.st_size))
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert deliver_all(tmp_path, api).ok
    published = api.hf_hub_download("me/tiny", "model.safetensors", revision="step-2", cache_dir=tmp_path / "cache")
    assert sha256(Path(published)) == sha256(tmp_path / "checkpoint-2/model.safetensors")


def test_weights_of_zeros_are_not_published(tmp_path, api):
    checkpoint(tmp_path, 2, size=1000)
    put(tmp_path, 2)
    for weights in tmp_path.rglob("model.safetensors"):
        about = weights.stat()
        weights.write_bytes(bytes(about.st_size))
        os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    status = deliver_all(tmp_path, api)
    assert not status.sent and "model.safetensors" in status.failed[0].reason
