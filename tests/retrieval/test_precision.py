"""In which number format vectors are computed: what "auto" decides, int8, and what results say of it."""

import json
import logging

import numpy as np
import pytest
import tiny
import torch
from datasets import Dataset
from torch import nn

from hf_stilts import devices
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.bitext_retrieval import KIND
from hf_stilts.retrieval import cache, precision
from hf_stilts.retrieval.encode import encode
from hf_stilts.retrieval.hidden_states import probe_tokens
from hf_stilts.retrieval.int8 import Int8Linear, int8_layers
from hf_stilts.retrieval.precision import name_of, settle
from hf_stilts.task import load_task

SENTENCES = ["the cat sat", "a dog", "the mouse ran up the clock", "a"]


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture
def measured(monkeypatch):
    """Set what this processor is measured to take, as times of float32."""

    def say(bf16=1.0, int8=1.0):
        monkeypatch.setattr(devices, "slowdowns", lambda: {"bf16": bf16, "int8": int8})

    return say


@pytest.mark.parametrize(("factor", "chosen"), [(0.3, "bf16"), (0.95, None), (8.6, None)])
def test_auto_is_bf16_where_that_is_clearly_faster(measured, monkeypatch, factor, chosen):
    measured(bf16=factor)
    monkeypatch.setattr(precision, "CLOSE", 0.99)
    assert settle(tiny.encoder(), "auto") == chosen


def test_auto_is_float32_where_vectors_lose_their_direction(measured, monkeypatch):
    measured(bf16=0.3)
    monkeypatch.setattr(precision, "CLOSE", 1.01)
    model = tiny.encoder()
    assert settle(model, "auto") is None and name_of(model, None) == "fp32"


def test_without_a_wish_nothing_is_decided_or_measured(monkeypatch):
    monkeypatch.setattr(devices, "slowdowns", lambda: pytest.fail("measured"))
    assert settle(tiny.encoder(), None) is None
    assert np.array_equal(*(encode(tiny.encoder(), tiny.tokenizer(), SENTENCES, precision=p) for p in (None, "fp32")))


def test_half_weights_stay_as_they_are(measured):
    measured(bf16=0.3)
    model = tiny.encoder().to(torch.bfloat16)
    assert settle(model, "auto") is None and name_of(model, None) == "bf16"
    with pytest.raises(ValueError, match="int8 cannot bring back"):
        settle(model, "int8")


def test_measured_once_for_a_processor_and_kept(monkeypatch, tmp_path):
    kept = tmp_path / "there" / "kept.json"
    monkeypatch.setattr(devices, "_measured_file", lambda: kept)
    devices.slowdowns.cache_clear()
    found = devices.slowdowns()
    assert found == json.loads(kept.read_text()) and min(found.values()) > 0
    monkeypatch.setattr(devices, "_measure", lambda: pytest.fail("measured again"))
    devices.slowdowns.cache_clear()
    assert devices.slowdowns() == found


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"bf16": "fast", "int8": 1}'])
def test_a_file_that_is_not_ours_is_measured_anew(monkeypatch, tmp_path, content):
    kept = tmp_path / "kept.json"
    kept.write_text(content)
    monkeypatch.setattr(devices, "_measured_file", lambda: kept)
    monkeypatch.setattr(devices, "_measure", lambda: {"bf16": 0.5, "int8": 0.25})
    devices.slowdowns.cache_clear()
    assert devices.slowdowns() == json.loads(kept.read_text()) == {"bf16": 0.5, "int8": 0.25}
    devices.slowdowns.cache_clear()


def test_a_linear_layer_in_int8_is_close_in_spite_of_a_large_input():
    torch.manual_seed(0)
    layer, rows = nn.Linear(128, 96).requires_grad_(False), torch.randn(2, 40, 128)
    rows[..., 17] += 200  # as some inputs of transformers are, for every token
    exact = layer(rows)

    def off(large):
        return float((Int8Linear(layer, torch.tensor(large))(rows) - exact).norm() / exact.norm())

    apart = exact - rows[..., 17:18] * layer.weight[:, 17]  # what the other inputs say
    said = Int8Linear(layer, torch.tensor([17]))(rows) - rows[..., 17:18] * layer.weight[:, 17]
    assert float((said - apart).norm() / apart.norm()) < 0.02
    assert off([17]) < 0.2 * off([3])


def test_int8_is_close_and_the_model_comes_back_as_it_was():
    model, tokenizer = tiny.encoder(hidden_size=64, intermediate_size=128), tiny.tokenizer()
    modules = dict(model.named_modules())
    exact, rounded = (encode(model, tokenizer, SENTENCES, precision=each) for each in (None, "int8"))
    assert not np.array_equal(exact, rounded) and cosines(exact, rounded).min() > 0.999
    assert dict(model.named_modules()) == modules
    with pytest.raises(RuntimeError, match="within"), int8_layers(model):
        assert sum(isinstance(module, Int8Linear) for module in model.modules()) == 12  # 6 in each of 2 layers
        raise RuntimeError("within")
    assert dict(model.named_modules()) == modules
    # What one sentence becomes does not depend on the others, but for the order in which float32 is summed.
    alone = encode(model, tokenizer, SENTENCES[:1], precision="int8")
    np.testing.assert_allclose(alone[0], rounded[0], atol=1e-5)


def test_int8_is_refused_where_it_is_not_for():
    model = tiny.encoder()
    model.set_input_embeddings(type("Compact", (nn.Embedding,), {})(10, 32))
    with pytest.raises(StiltsError, match="plain table of word embeddings; the model has Compact"):
        settle(model, "int8")
    assert settle(model, "auto") is None


def test_slow_int8_is_said_with_its_factor(measured, caplog):
    measured(int8=3.21)
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        encode(tiny.encoder(), tiny.tokenizer(), SENTENCES, precision="int8")
    assert "int8 3.2 times slower than float32" in caplog.text


def test_inputs_of_a_trial_are_of_the_whole_vocabulary():
    model = tiny.encoder()
    tokens = probe_tokens(model)
    assert tokens.shape == (16, 16) and (tokens.min(), tokens.max()) == (0, model.config.vocab_size - 1)


def test_results_say_the_precision_that_was_used(measured, monkeypatch):
    measured(bf16=0.3)
    monkeypatch.setattr(precision, "CLOSE", 0.99)
    rows = Dataset.from_dict({"source": SENTENCES, "target": SENTENCES})
    settings = []
    for asked in (None, "fp32", "bf16", "auto"):
        found = KIND.evaluate(load_task("tatoeba"), rows, tiny.encoder(), tiny.tokenizer(), precision=asked)
        settings.append(found.settings.get("precision"))
    assert settings == [None, None, "bf16", "bf16"]


def test_kept_vectors_are_of_the_precision_that_was_used(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "CLOSE", 0.99)
    for factor in (0.3, 8.6):  # two machines, one folder
        measured(bf16=factor)
        cache.cached_encode(tmp_path, tiny.encoder(), tiny.tokenizer(), SENTENCES, precision="auto")
    assert len(list(tmp_path.glob("*.npy"))) == 2
