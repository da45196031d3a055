"""One rule for the device, and a word where bfloat16 is slow."""

import logging

import pytest
import tiny
import torch
from places import ROOT
from toy_tasks import PAIRS, rows
from transformers import AutoModelForSequenceClassification, TrainingArguments

from hf_stilts import devices
from hf_stilts.devices import bf16_slowdown, default_device
from hf_stilts.retrieval import encode
from hf_stilts.training.trainer import IntermediateTrainer


@pytest.mark.parametrize(
    ("there", "chosen"),
    [((), "cpu"), (("mps",), "mps"), (("xpu",), "xpu"), (("cuda", "mps"), "cuda"), (("xpu", "mps"), "xpu")],
)
def test_the_accelerator_that_is_there_is_taken(there, chosen, monkeypatch):
    for name, module in (("cuda", torch.cuda), ("xpu", torch.xpu), ("mps", torch.backends.mps)):
        monkeypatch.setattr(module, "is_available", lambda name=name: name in there)
    assert default_device().type == chosen


def test_no_other_place_decides():
    for path in (ROOT / "hf_stilts").rglob("*.py"):
        if path.name != "devices.py":
            assert "is_available()" not in path.read_text(encoding="utf-8").replace("group.is_available()", ""), path


def test_slow_bf16_is_said_with_its_factor(monkeypatch, caplog):
    arguments = (tiny.encoder(), tiny.tokenizer(), ["the cat"])
    monkeypatch.setattr(devices, "bf16_slowdown", lambda: 8.6)
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        encode(*arguments)
        assert not caplog.records
        encode(*arguments, precision="bf16")
    assert "bfloat16 9 times slower than float32" in caplog.text
    caplog.clear()
    monkeypatch.setattr(devices, "bf16_slowdown", lambda: 0.5)
    encode(*arguments, precision="bf16")
    assert not caplog.records


def test_slow_bf16_is_said_by_every_trainer(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(devices, "bf16_slowdown", lambda: 8.6)
    data = rows(PAIRS)
    for bf16 in (False, True):
        args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, report_to="none", bf16=bf16)
        IntermediateTrainer(
            tiny.with_head(AutoModelForSequenceClassification, num_labels=2), args, task=PAIRS, train_dataset=data,
            eval_dataset=data, processing_class=tiny.tokenizer(),
        )  # fmt: skip
        assert ("bfloat16 9 times slower than float32" in caplog.text) is bf16


def test_it_is_measured_once():
    assert bf16_slowdown() == bf16_slowdown() > 0
