"""A Hub that does not answer ends a command in one question and one line, not in half a minute of retries."""

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http
from typer.testing import CliRunner

from hf_stilts.cli import app

ASK_THE_HUB = (
    "checkpoints",
    "checkpoints collect title mnli",
    "matrix",
    "rank xnli",
    "data prefetch xquad --out {folder}",
    "data translate mnli --to de --model some/translator --out {folder}",
    "reproduce some/checkpoint",
    "intermediate mnli --base some/model --output_dir {folder}",
    "evaluate xnli --model some/model",
    "evaluate xtreme --base some/model --output_dir {folder}",
)


@pytest.mark.parametrize("words", ASK_THE_HUB)
def test_a_command_that_needs_the_hub_says_at_once_that_it_does_not_answer(words, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: pytest.fail("tried again"))
    done = CliRunner().invoke(app, words.format(folder=tmp_path / "out").split())
    assert "127.0.0.1:9 does not answer" in str(done.exception)


@pytest.mark.parametrize("words", ["data check xquad", "data noise mnli --noise keyboard=0.1 --out {folder}"])
def test_rows_come_from_the_cache_alone_then(words, tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: pytest.fail("tried again"))
    done = CliRunner().invoke(app, words.format(folder=tmp_path / "out").split())
    assert "cannot be reached" in str(done.exception) and "--data-dir DIR" in str(done.exception)
    assert "going on with the cache alone" in caplog.text
