"""An adapter as intermediate training of an arm: merged or stacked for the target, refused early without peft."""

from pathlib import Path

import mirrors
import pytest
import tiny
from safetensors.torch import load_file

from hf_stilts.errors import StiltsError
from hf_stilts.studies import run as module
from hf_stilts.studies import worker
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.run import run_study
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Soup, Study

FLAGS = {"use_cpu": True, "per_device_train_batch_size": 4, "learning_rate": 0.01, "max_steps": 4}


def study(base, **other):
    arms = {"whole": Intermediate("udpos"), "LoRA": Intermediate("udpos", adapter="lora=4")}
    named = {"base": (str(base),), "arms": arms, "targets": ("udpos",), "seeds": (0,), "flags": FLAGS, "name": "tried"}
    return Study(**{**named, **other})


@pytest.fixture
def world(tmp_path):
    return tiny.save(tmp_path / "xlmr"), mirrors.build(tmp_path / "mirror", mirrors.SMALL), CellStore(tmp_path / "run")


def trained(found, store, arm):
    """Folders of the models of the trainings of an arm: the intermediate one, then the targets."""
    folders = []
    for cell in found.cells.values():
        if cell.stage != "scores" and (cell.title.startswith(f"{arm}, ") or f" after {arm}, " in cell.title):
            assert worker.attempt(store, cell, store.claim(cell.identity), "run") == {"outcome": "done"}, cell.title
            folders.append(store.folder(cell.identity) / "model")
    return folders


def test_an_adapter_of_an_arm_is_merged_or_stacked_as_the_study_says(world):
    base, mirror, store = world
    found = unfold(study(base, adapter=(None, "lora=2")), data_dir=mirror)
    first, merged, stacked = trained(found, store, "LoRA")
    assert (first / "adapter_model.safetensors").is_file() and not (first / "model.safetensors").exists()
    assert (merged / "model.safetensors").is_file()
    ranks = [
        len(tensor) for name, tensor in load_file(stacked / "adapter_model.safetensors").items() if "lora_A" in name
    ]
    assert set(ranks) == {4 + 2}


def test_an_adapter_decides_the_identity_of_its_arm_alone(world):
    base, mirror, _ = world
    plain = unfold(study(base, arms={"whole": Intermediate("udpos")}), data_dir=mirror)
    assert set(plain.cells) < set(unfold(study(base), data_dir=mirror).cells)


def test_a_soup_of_the_steps_of_an_adapter_is_a_whole_encoder(world):
    base, mirror, store = world
    arms = {"soup": Soup(Intermediate("udpos", adapter="lora=4"), last=2, every=0.25)}
    found = unfold(study(base, arms=arms, targets=("tatoeba",)), data_dir=mirror)
    (model,) = trained(found, store, "soup")
    assert (model / "model.safetensors").is_file() and not [*Path(model).glob("adapter*")]


def test_without_peft_a_study_with_adapters_is_refused_before_anything_is_trained(world, tmp_path, monkeypatch):
    base, mirror, _ = world
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(StiltsError, match=r"LoRA, xlmr, seed 0 trains an adapter.*hf_stilts\[peft\]"):
        run_study(study(base), tmp_path / "run", data_dir=mirror)
    assert not (tmp_path / "run" / "cells").exists()
