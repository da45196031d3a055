"""Training from a sentence-transformers model: its checkpoints make sentence vectors as it did, or it is said."""

import json
from pathlib import Path

import numpy as np
import pytest
import sentence_encoders
import stock_run
import tiny
from dual_encoders import trainer as dual_trainer
from toy_tasks import PAIRS, rows
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments

from hf_stilts.kinds.dual_encoder import DualEncoding
from hf_stilts.publishing.pending import new_pending, pack
from hf_stilts.retrieval import encode
from hf_stilts.retrieval.sentence_encoder import read_sentence_encoder, say_once
from hf_stilts.training.trainer import IntermediateTrainer

PROMPTS = {"prompts": {"query": "who ", "document": "the cat "}}
TANH = "torch.nn.modules.activation.Tanh"
TEXTS = ["the cat sings", "der Hund und das Haus", "a"]


@pytest.fixture(autouse=True)
def said_anew():
    say_once.cache_clear()


def trained(folder, public):
    args = TrainingArguments(
        str(folder), use_cpu=True, max_steps=1, save_steps=1, per_device_train_batch_size=2, report_to="none"
    )
    run = IntermediateTrainer(
        public, args, task=PAIRS, train_dataset=rows(PAIRS), eval_dataset=rows(PAIRS), max_length=16
    )
    run.train()
    return run


def test_checkpoints_keep_how_vectors_are_made(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    public = sentence_encoders.save(tmp_path / "public", dense=TANH, settings=PROMPTS)
    run = trained(tmp_path / "run", public)
    checkpoint = tmp_path / "run" / "checkpoint-1"
    found, start = read_sentence_encoder(str(checkpoint)), read_sentence_encoder(public)
    assert str(found) == str(start) and found.prompts == start.prompts
    model, tokenizer = (auto.from_pretrained(checkpoint) for auto in (AutoModel, AutoTokenizer))
    peer = sentence_transformers.SentenceTransformer(str(checkpoint), device="cpu")
    np.testing.assert_allclose(encode(model, tokenizer, TEXTS), peer.encode(TEXTS), atol=2e-6)
    assert encode(model, tokenizer, TEXTS).shape == (3, 24)

    run.save_model()
    record = json.loads((tmp_path / "run" / "stilts.json").read_text(encoding="utf-8"))
    assert record["layer"] == 2
    assert record["recipe"]["sentence_vectors"] == str(start)
    pending = pack(checkpoint, tmp_path, new_pending(run.record(), "me/tiny", True))
    kept = {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"}
    assert {*kept, "2_Dense/config.json", "2_Dense/model.safetensors"} <= set(pending.files)


def test_what_cannot_be_kept_is_said_to_be_lost(tmp_path, caplog):
    public = sentence_encoders.save(tmp_path / "public")
    Path(public, "1_Pooling", "config.json").write_text('{"pooling_mode": "weightedmean"}')
    trained(tmp_path / "run", public)
    assert not (tmp_path / "run" / "checkpoint-1" / "modules.json").exists()
    assert "lose how its start makes sentence vectors" in caplog.text and "pooling weightedmean" in caplog.text
    assert json.loads((tmp_path / "run" / "checkpoint-1" / "config.json").read_text())


def test_a_stock_trainer_that_publishes_keeps_it_too(tmp_path, api):
    public = sentence_encoders.save(tmp_path / "public")
    model = AutoModelForSequenceClassification.from_pretrained(public, num_labels=2)
    _, report = stock_run.run(tmp_path / "out", model=model, publish={"repo_id": "me/tiny", "task": "mnli"})
    assert report.ok
    assert {"modules.json", "1_Pooling/config.json"} <= set(api.list_repo_files("me/tiny"))


def test_other_starts_leave_nothing(tmp_path):
    run = trained(tmp_path / "run", tiny.save(tmp_path / "public"))
    assert not (tmp_path / "run" / "checkpoint-1" / "modules.json").exists()
    assert run.record().layer is None


@pytest.mark.parametrize(("given", "pooling"), [({}, "cls"), ({"pooling": "mean"}, "mean")])
def test_a_dual_encoder_starts_as_the_folder_says(tmp_path, caplog, given, pooling):
    """And not with the pooler, which the model was never trained with."""
    public = sentence_encoders.save(tmp_path / "public", dense=TANH, settings=PROMPTS)
    run = dual_trainer(tmp_path / "run", public, max_steps=1, **given)
    ids = run.train_dataset[0]["input_ids"]
    tokenizer = AutoTokenizer.from_pretrained(public)
    assert [tokenizer.decode(each, skip_special_tokens=True).split()[0] for each in ids] == ["who", "the"]
    run.train()
    run.save_model(str(tmp_path / "saved"))
    encoding = DualEncoding.of(AutoModel.from_pretrained(tmp_path / "saved").config)
    assert (encoding.pooling, encoding.query_prefix, encoding.candidate_prefix) == (pooling, "who ", "the cat ")
    assert run.record().recipe["query_prefix"] == "who " and not (tmp_path / "saved" / "modules.json").exists()
    assert "1 Dense" in caplog.text and f"starts with {pooling} pooling" in caplog.text
