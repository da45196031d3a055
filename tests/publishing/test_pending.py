"""Packing a checkpoint: what goes in, whole or not at all, and nothing of this machine."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pending_checkpoints import SECRET, checkpoint, put

from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json
from hf_stilts.hub.record import ParentModel, Record
from hf_stilts.publishing import pending as pending_module
from hf_stilts.publishing.outbox import outbox_status
from hf_stilts.publishing.pending import new_pending, pack, read_pending


def test_packing_links_weights_and_leaves_pickles_at_home(tmp_path):
    pending = put(tmp_path, 2)
    folder = tmp_path / "outbox" / pending.folder_name
    packed = sorted(path.name for path in (folder / "files").iterdir())
    assert packed == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "files/model.safetensors").samefile(tmp_path / "checkpoint-2/model.safetensors")
    assert not (folder / "files/config.json").samefile(tmp_path / "checkpoint-2/config.json")
    shutil.rmtree(tmp_path / "checkpoint-2")  # save_total_limit
    assert b"weights of 2" in (folder / "files/model.safetensors").read_bytes()
    assert [found for _, found in read_pending(tmp_path / "outbox")] == [pending]
    assert outbox_status(tmp_path).waiting == (pending,)


def test_another_file_system_is_copied_to(tmp_path, monkeypatch):
    def cross_device(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", cross_device)
    pending = put(tmp_path, 2)
    packed = tmp_path / "outbox" / pending.folder_name / "files/model.safetensors"
    assert packed.read_bytes() == (tmp_path / "checkpoint-2/model.safetensors").read_bytes()
    assert not packed.samefile(tmp_path / "checkpoint-2/model.safetensors")


def test_full_disk_leaves_no_half_pending_checkpoint_and_no_harm(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space"):
        put(tmp_path, 2)
    assert list((tmp_path / "outbox").iterdir()) == []
    assert SECRET in (tmp_path / "checkpoint-2/optimizer.pt").read_bytes()


class Killed(BaseException):
    """Stands for SIGKILL: what follows in the code does not happen."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.integers(0, 12))
def test_killed_while_packing_there_is_a_whole_pending_checkpoint_or_none(tmp_path_factory, after):
    output_dir = tmp_path_factory.mktemp("killed")
    left = after

    def counted(real):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "link"), (os, "replace"), (shutil, "copy2"), (Path, "mkdir"), (Path, "rename")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
        folder = output_dir / "checkpoint-2"
        left = 100
        checkpoint(output_dir, 2)
        os.makedirs(output_dir / "outbox", exist_ok=True)
        left = after
        try:
            pack(folder, output_dir / "outbox", new_pending(Record(step=2), "me/tiny", True))
            finished = True
        except Killed:
            finished = False
    found = list(read_pending(output_dir / "outbox"))
    assert len(found) == finished
    for path, pending in found:
        assert {name: (path / "files" / name).stat().st_size for name in pending.files} == {
            name: file.size for name, file in pending.files.items()
        }


def test_paths_of_this_machine_are_taken_out_of_configurations(tmp_path):
    folder = checkpoint(tmp_path, 2)
    config = {"_name_or_path": str(tmp_path / "base"), "id2label": {"0": "/m/02mk9"}, "auto_map": {"x": "/s"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_file": "C:\\Users\\ann\\tokenizer.json"}))
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path), "r": 8}))
    (tmp_path / "outbox").mkdir()
    record = Record(step=2, parent=ParentModel("org/base", "a" * 40))
    pending = pack(folder, tmp_path / "outbox", new_pending(record, "me/tiny", True))
    files = tmp_path / "outbox" / pending.folder_name / "files"
    assert json.loads((files / "config.json").read_text()) == config | {"_name_or_path": "org/base"}
    assert json.loads((files / "tokenizer_config.json").read_text()) == {"tokenizer_file": "org/base"}
    assert json.loads((files / "adapter_config.json").read_text()) == {"base_model_name_or_path": "org/base", "r": 8}
    assert pending.files["config.json"].size == (files / "config.json").stat().st_size


def test_sharded_state_of_fsdp_is_refused_with_advice(tmp_path):
    folder = checkpoint(tmp_path, 2)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model_fsdp_0").mkdir()
    with pytest.raises(StiltsError, match=r"checkpoint-2 holds no \*.safetensors.*FULL_STATE_DICT"):
        pack(folder, tmp_path, new_pending(Record(step=2), "me/tiny", True))


def test_missing_tokenizer_is_said(tmp_path):
    folder = checkpoint(tmp_path, 2)
    (folder / "tokenizer.json").unlink()
    (tmp_path / "outbox").mkdir()
    pending = pack(folder, tmp_path / "outbox", new_pending(Record(step=2), "me/tiny", True))
    assert "processing_class=tokenizer" in pending.notes[0]
    assert "processing_class=tokenizer" in str(outbox_status(tmp_path))


def test_state_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "parcel.json"
    write_json(path, {"state": "waiting"})

    def killed(*_):
        raise Killed

    monkeypatch.setattr(pending_module.os, "replace", killed)
    with pytest.raises(Killed):
        write_json(path, {"state": "sent"})
    assert json.loads(path.read_text()) == {"state": "waiting"}
    assert [p.name for p in tmp_path.iterdir()] == ["parcel.json"]
