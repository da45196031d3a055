"""A Hub that does not answer is found out in one short question, and what it stops is said with the right reason."""

import socket

import pytest
from huggingface_hub import constants

from hf_stilts.errors import StiltsError
from hf_stilts.hub import reachable
from hf_stilts.hub.reachable import check_reachable, why_unreachable


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


@pytest.fixture
def down(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def put(cache, name):
    snapshot = cache / f"models--{name.replace('/', '--')}" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")


def test_a_hub_that_answers_is_no_hindrance(cache, hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    check_reachable("org/model", "mnli")
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("name", ["org/model", "mnli", "mnli@step-4", "bert-base-multilingual-cased"])
def test_what_is_neither_here_nor_cached_is_refused_with_the_reason(name, cache, down):
    with pytest.raises(StiltsError, match="127.0.0.1:9 does not answer .*refused.*" + name) as refusal:
        check_reachable(name)
    assert "hf-stilts hub serve" in str(refusal.value)


@pytest.mark.parametrize(
    ("cached", "name"),
    [
        ("org/model", "org/model@step-4"),
        ("me/xlm-roberta-base-stilts-mnli", "mnli"),
        ("me/xlm-roberta-base-stilts-mnli-seed7", "mnli@step-2"),
        ("bert-base-multilingual-cased", "bert-base-multilingual-cased"),
    ],
)
def test_what_is_cached_goes_on_without_the_hub(cached, name, cache, down, caplog):
    put(cache, cached)
    check_reachable(name)
    assert constants.HF_HUB_OFFLINE and "going on with the cache alone" in caplog.text


def test_a_folder_asks_nobody(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(reachable, "why_unreachable", lambda: pytest.fail("asked"))
    check_reachable(str(tmp_path), None)


def test_who_is_offline_on_purpose_is_not_asked_again(cache, down, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert why_unreachable() is None


def test_a_hub_that_hangs_is_given_up(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert why_unreachable(seconds=0.2)


@pytest.mark.parametrize(
    "words",
    [
        ("intermediate", "mnli"),
        ("target", "xnli", "--init", "mnli"),
        ("target", "xnli"),
        ("evaluate", "xnli", "--model", "me/x"),
        ("evaluate", "xtreme", "--base", "FacebookAI/xlm-roberta-base", "--init", "mnli"),
    ],
)
def test_every_command_that_loads_a_model_says_so(words, cache, down, mistake):
    said = mistake(*words)
    assert "The Hub at http://127.0.0.1:9 does not answer" in said and "Traceback" not in said
