"""`hf-stilts doctor`: what it finds wrong, what it says to type, and its exit code."""

import json
import shutil
from importlib import metadata
from types import SimpleNamespace

import huggingface_hub
import mirrors
import pytest
from command import run
from huggingface_hub import HfApi, constants
from packaging.requirements import Requirement

from hf_stilts.cli import doctor
from hf_stilts.hub import reachable
from hf_stilts.local_hub import LocalHub


def findings(*words):
    """Exit code, and what was found of each thing by its name."""
    code, said = run("doctor", "--json", *words)
    return code, {row["check"]: row for row in json.loads(said)}


@pytest.fixture
def healthy(monkeypatch, hub, stock):
    """A machine on which everything works: an embedded Hub that knows the token, and room on the disk."""
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "whoami", lambda: HfApi(hub.url, token="local").whoami())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**11))


def test_a_machine_on_which_everything_works(healthy, hub):
    code, found = findings()
    assert code == 0, found
    assert {row["state"] for row in found.values()} <= {"ok", "note"}
    assert found["Hub"]["found"] == f"{hub.url} answers"
    assert found["login"] == {"check": "login", "state": "ok", "found": "local", "type": ""}
    assert metadata.version("torch") in found["packages"]["found"]
    code, said = run("doctor")
    assert code == 0 and said.endswith("Nothing fails.\n")


def test_versions_are_held_against_the_bounds_of_the_package_itself(healthy, monkeypatch):
    there = metadata.version

    def version(name):
        if name == "peft":
            raise metadata.PackageNotFoundError(name)
        return {"torch": "2.0.1+cpu", "transformers": "6.0.0"}.get(name) or there(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    code, found = findings()
    assert code == 1
    bounds = {each.name: each.specifier for each in map(Requirement, metadata.requires("hf_stilts"))}
    assert found["torch"]["state"] == "fails"
    assert found["torch"]["found"] == f"2.0.1+cpu; expected {bounds['torch']}"
    assert found["torch"]["type"] == f"pip install 'torch{bounds['torch']}'"
    assert found["transformers"]["state"] == "fails" and "torch" not in found["packages"]["found"]
    assert found["extra peft"]["state"] == "note"  # only its own commands need it
    assert found["extra peft"]["type"] == "pip install 'hf_stilts[peft]'"
    assert "peft" not in found["extras"]["found"].split(", ")
    assert "peft: not installed" in found["extra dev"]["found"]  # which names the other extra


def test_an_extra_holds_what_the_extras_that_it_names_hold():
    requirements = [Requirement(each) for each in metadata.requires("hf_stilts")]
    named = {each.name for each in doctor._of_extra(requirements, "quickstart")}
    assert named == {"matplotlib", "pygit2", "starlette", "uvicorn"}


def test_a_hub_that_does_not_answer_fails_unless_there_is_a_mirror(healthy, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, found = findings()
    assert code == 1 and found["Hub"]["state"] == "fails" and "hf-stilts hub serve" in found["Hub"]["type"]
    assert found["login"]["state"] == "note"
    mirrors.build(tmp_path, {"udpos": {"train": ["en"]}})
    code, found = findings("--data-dir", str(tmp_path))
    assert code == 0 and found["Hub"]["state"] == "note"
    assert "udpos" in found["data"]["found"] and "mnli" not in found["data"]["found"]
    code, found = findings("--data-dir", str(tmp_path / "gone"))
    assert code == 1 and found["data"]["state"] == "fails" and "hf-stilts data prefetch" in found["data"]["type"]


def test_offline_on_purpose_does_not_fail_and_asks_nobody(healthy, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub, "whoami", lambda: pytest.fail("asked"))
    monkeypatch.setattr(reachable, "why_unreachable", lambda: None)  # as it answers then
    code, found = findings()
    assert code == 0 and found["Hub"]["type"] == "unset HF_HUB_OFFLINE"


def test_logins(healthy, monkeypatch, tmp_path):
    with LocalHub(tmp_path / "closed", token="its own") as closed:
        monkeypatch.setattr(huggingface_hub, "whoami", HfApi(closed.url, token="another").whoami)
        login = doctor._login(asked=True)
    assert login.state == "fails" and "Invalid user token" in login.found and "unset HF_TOKEN" in login.type
    reader = {"name": "ann", "auth": {"accessToken": {"role": "read"}}}
    monkeypatch.setattr(huggingface_hub, "whoami", lambda: reader)
    login = doctor._login(asked=True)
    assert login.state == "note" and "may only read" in login.found and "hf auth login" in login.type
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert doctor._login(asked=True).type == "hf auth login"


def test_too_little_room_fails(healthy, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * 10**9))
    code, found = findings()
    assert code == 1
    assert found["disk of cache"]["state"] == "ok"  # the weights alone
    assert found["disk of runs"]["state"] == "fails" and "expected 3.3 GB" in found["disk of runs"]["found"]


def test_a_slow_bfloat16_is_said(healthy, monkeypatch):
    import torch

    from hf_stilts import devices

    monkeypatch.setattr(devices, "default_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(devices, "bf16_slowdown", lambda: 20.0)
    found = {each.check: each for each in doctor._devices()}
    assert found["processor"].state == "note" and "20 times" in found["processor"].found
    monkeypatch.setattr(devices, "bf16_slowdown", lambda: 0.5)
    found = {each.check: each for each in doctor._devices()}
    assert found["processor"].state == "ok"
