"""What the Hub gets of a training with a compact vocabulary, and of one that a NaN stopped."""

from types import SimpleNamespace

import pytest
import tiny
import torch
from guarded import Spoil
from guarded import trainer as guarded
from huggingface_hub import HfApi
from pending_checkpoints import commits, tags
from safetensors.torch import load
from stock_run import IMPATIENT
from toy_tasks import PAIRS, rows
from transformers import AutoModelForSequenceClassification

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing import outbox
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.training.run import run_phase

TOKEN = "hf_" + "SecretTokenOfTheTest" * 2


@pytest.fixture
def api(hub, monkeypatch):
    """Client of the `hub` fixture, to which the upload workers of trainings in this process talk too."""
    monkeypatch.setattr(outbox, "constants", SimpleNamespace(ENDPOINT=hub.url))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return HfApi(endpoint=hub.url, token=TOKEN)


def read(api, name, revision, cache):
    path = api.hf_hub_download("me/tiny", name, revision=revision, cache_dir=cache)
    with open(path, "rb") as file:
        return file.read()


def test_a_compact_vocabulary_is_published_in_full(tmp_path, api):
    flags = ["--output_dir", str(tmp_path / "out"), "--max_steps", "4", "--save_steps", "2", "--use_cpu", "True"]
    flags += ["--eval_strategy", "no", "--load_best_model_at_end", "False", "--learning_rate", "1e-2"]
    publish = PublishCheckpoints("me/tiny", pace=IMPATIENT)
    run_phase(
        "intermediate", PAIRS, flags, model=tiny.save(tmp_path / "public"), publish=publish, micro_tokens=64,
        compact_vocabulary=True, train_dataset=rows(PAIRS), eval_dataset=rows(PAIRS),
    )  # fmt: skip
    assert publish.report.ok
    assert sorted(tags(api)) == ["step-2", "step-4"] and len(commits(api)) == 2
    record = Record.from_json(read(api, RECORD_FILE, "step-4", tmp_path / "cache"))
    assert 5 < record.recipe["word_embeddings_trained"] < 60
    weights = load(read(api, "model.safetensors", "step-4", tmp_path / "cache"))
    final = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").state_dict()
    assert weights.keys() == final.keys()
    assert all(torch.equal(value, final[name]) for name, value in weights.items())
    assert len(weights["roberta.embeddings.word_embeddings.weight"]) == tiny.config().vocab_size


def test_what_was_good_before_a_nan_is_published(tmp_path, api):
    publish = PublishCheckpoints("me/tiny", pace=IMPATIENT)
    with pytest.raises(StiltsError, match="Step 4: "):
        guarded(tmp_path, callbacks=[Spoil(3), publish]).train()
    assert publish.report.ok
    assert tags(api).keys() == {"step-2"}
    weights = load(read(api, "model.safetensors", "main", tmp_path / "cache"))
    assert all(value.isfinite().all() for value in weights.values())
