"""Which checkpoints are whole: by what a kill, a full disk or a hand leaves of them."""

import json
import re

import pytest
from pending_checkpoints import checkpoint

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import check_name
from hf_stilts.publishing.saved import flaw, newest_saved, saved_steps


def _cut(file, share=0.5):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


def _index(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))


DAMAGE = {
    "killed before the state": (lambda folder: (folder / "trainer_state.json").unlink(), "trainer_state.json is mis"),
    "killed in the state": (
        lambda folder: _cut(folder / "trainer_state.json"),
        "json cannot be read: JSON",
    ),
    "power cut": (
        lambda folder: (folder / "trainer_state.json").write_text(""),
        "json cannot be read: JSON",
    ),
    "state of something else": (lambda folder: (folder / "trainer_state.json").write_text("{}"), "which step"),
    "weights cut": (lambda folder: _cut(folder / "model.safetensors"), "550,0.* bytes, and 1,100,0.* are expected"),
    "weights empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "0 bytes, fewer than its header"),
    "header cut": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x02" + bytes(9)), "header of model"),
    "a shard missing": (_index, "model-00002-of-00002.safetensors is missing"),
    "optimizer cut": (lambda folder: _cut(folder / "optimizer.pt", 0.9), "optimizer.pt is cut short"),
    "half deleted": (
        lambda folder: [(folder / name).unlink() for name in ("model.safetensors", "pytorch_model.bin")],
        "it holds no weights",
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_not_whole_is_passed_over_by_name(damage, said, tmp_path, caplog):
    for step in (2, 4, 6):
        checkpoint(tmp_path, step)
    assert newest_saved(tmp_path) == tmp_path / "checkpoint-6" and not caplog.records
    damage(tmp_path / "checkpoint-6")
    assert newest_saved(tmp_path) == tmp_path / "checkpoint-4"
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'checkpoint-6'} is not whole")
    assert re.search(said, flaw(tmp_path / "checkpoint-6"))
    assert saved_steps(tmp_path) == {2: tmp_path / "checkpoint-2", 4: tmp_path / "checkpoint-4"}


def test_a_folder_without_checkpoints_has_none(tmp_path):
    (tmp_path / "checkpoint-best").mkdir()
    assert newest_saved(tmp_path) is None and newest_saved(tmp_path / "nowhere") is None


def test_a_model_whose_weights_are_cut_short_is_named(tmp_path):
    folder = checkpoint(tmp_path, 2)
    check_name(str(folder))
    _cut(folder / "model.safetensors")
    with pytest.raises(StiltsError, match="checkpoint-2 cannot be loaded: model.safetensors has 550,0.*Use another"):
        check_name(str(folder))
