"""Compact vocabulary: the model that full training gives, to the bit, and full checkpoints all along."""

import json
import logging
import shutil

import numpy as np
import pytest
import tiny
import torch
from datasets import Dataset, IterableDataset
from safetensors.torch import load_file
from toy_tasks import PAIRS, rows
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.training.compact import CompactEmbedding, compact, refuse_inexact, used_ids
from hf_stilts.training.trainer import IntermediateTrainer


def trainer(tmp_path, name, arch="xlm-roberta", compact_vocabulary=True, data=None, **settings):
    """Four steps of AdamW on batches of 4, clipped, on 8 rows."""
    settings = {
        "per_device_train_batch_size": 4, "max_steps": 4, "save_steps": 2, "logging_steps": 1, "learning_rate": 1e-2,
        "max_grad_norm": 1e-4, "weight_decay": 0.0, **settings,
    }  # fmt: skip
    args = TrainingArguments(str(tmp_path / name), use_cpu=True, **settings)
    public = tmp_path / f"public-{arch}"
    if not public.exists():
        tiny.save(public, arch)
    data = rows(PAIRS) if data is None else data
    return IntermediateTrainer(
        str(public), args, task=PAIRS, train_dataset=data, eval_dataset=rows(PAIRS, 12),
        compact_vocabulary=compact_vocabulary,
    )  # fmt: skip


def saved(run):
    return load_file(f"{run.args.output_dir}/checkpoint-{run.state.global_step}/model.safetensors")


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert", "mt5"])
def test_training_gives_the_same_bits_as_with_the_full_vocabulary(arch, tmp_path):
    full, small = (trainer(tmp_path, str(flag), arch, flag) for flag in (False, True))
    before = full.model.get_input_embeddings().weight.detach().clone()
    for run in (full, small):
        run.train()
    logs = [[{k: v for k, v in log.items() if k in ("loss", "grad_norm")} for log in run.state.log_history[:4]]
            for run in (full, small)]  # fmt: skip
    assert logs[0] == logs[1]
    assert all(log["grad_norm"] > 1e-4 for log in logs[0])  # clipping took place in every step
    weights = [saved(run) for run in (full, small)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert json.loads((tmp_path / "True/checkpoint-4/config.json").read_text())["vocab_size"] == len(before)
    after = small.model.get_input_embeddings().full()
    touched = (after != before).any(dim=1).nonzero()[:, 0].tolist()
    assert 5 < len(touched) < len(before) // 2
    assert set(touched) <= set(small.trained_rows.tolist())


def test_optimizer_and_gradients_are_of_the_rows_in_use(tmp_path):
    run = trainer(tmp_path, "run", max_steps=1)
    run.train()
    embedding = run.model.get_input_embeddings()
    used = used_ids([run.train_dataset])
    assert set(used) <= set(embedding.rows.tolist())
    assert embedding.weight.shape == (len(embedding.rows), 32)
    assert run.optimizer.state[embedding.weight]["exp_avg"].shape == embedding.weight.shape
    assert len(embedding.rows) < 40 < len(embedding.full())


def test_a_checkpoint_is_a_stock_folder_with_the_same_outputs(tmp_path):
    """Outputs on text of words that were not trained, too."""
    run = trainer(tmp_path, "run")
    run.train()
    run.save_model(str(tmp_path / "final"))
    batch = run.processing_class(["the doctor walks", "eine Stadt"], padding=True, return_tensors="pt")
    assert not set(batch["input_ids"].flatten().tolist()) <= set(run.trained_rows.tolist())
    run.model.eval()
    for folder in ("run/checkpoint-4", "final"):
        stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / folder)
        assert type(stock.get_input_embeddings()) is torch.nn.Embedding
        assert torch.equal(stock(**batch).logits, run.model(**batch).logits)


def test_resume_goes_on_as_if_uninterrupted(tmp_path):
    run = trainer(tmp_path, "run")
    run.train()
    shutil.copytree(tmp_path / "run/checkpoint-2", tmp_path / "again/checkpoint-2")
    again = trainer(tmp_path, "again")
    again.train(resume_from_checkpoint=True)
    assert again.state.log_history[-2]["loss"] == run.state.log_history[-2]["loss"]
    assert all(torch.equal(value, saved(run)[name]) for name, value in saved(again).items())


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_optimizer_state_of_other_rows_is_refused(before, after, tmp_path):
    trainer(tmp_path, "run", compact_vocabulary=before, max_steps=2).train()
    with pytest.raises(StiltsError, match=r"checkpoint of step 2 .* the full vocabulary.*start anew"):
        trainer(tmp_path, "run", compact_vocabulary=after).train(resume_from_checkpoint=True)


def test_other_data_is_refused_on_resume(tmp_path):
    trainer(tmp_path, "run", max_steps=2).train()
    with pytest.raises(StiltsError, match="compact vocabulary [0-9a-f]{16}; this run has compact vocabulary"):
        trainer(tmp_path, "run", data=rows(PAIRS, 6)).train(resume_from_checkpoint=True)


def test_the_best_checkpoint_is_loaded_back(tmp_path):
    run = trainer(
        tmp_path, "run", eval_strategy="steps", eval_steps=2, load_best_model_at_end=True,
        metric_for_best_model="loss", greater_is_better=True, learning_rate=1e-1,
    )  # fmt: skip
    run.train()
    best = load_file(f"{run.state.best_model_checkpoint}/model.safetensors")
    assert torch.equal(run.model.get_input_embeddings().full(), best["roberta.embeddings.word_embeddings.weight"])
    assert torch.equal(run.model.get_input_embeddings().weight,
                       best["roberta.embeddings.word_embeddings.weight"][run.trained_rows])  # fmt: skip


def test_word_embeddings_are_exempt_from_decay_and_the_log_says_so(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        run = trainer(tmp_path, "run", weight_decay=0.1)
    assert "word embeddings are exempt from the weight decay of 0.1" in caplog.text
    names = run.get_decay_parameter_names(run.model)
    assert "roberta.embeddings.word_embeddings.weight" not in names
    assert "roberta.embeddings.position_embeddings.weight" in names
    run = trainer(tmp_path, "full", compact_vocabulary=False, weight_decay=0.1)
    assert "roberta.embeddings.word_embeddings.weight" in run.get_decay_parameter_names(run.model)


def test_an_unforeseen_token_is_named_in_training_and_read_from_disk_in_evaluation(tmp_path):
    table = torch.randn(10, 4)
    embedding = CompactEmbedding(table, torch.tensor([2, 5]), str(tmp_path))
    assert torch.equal(embedding.eval()(torch.tensor([[5, 7]])), table[[5, 7]][None])
    with pytest.raises(StiltsError, match="Token 7 occurs in a training batch"):
        embedding.train()(torch.tensor([[5, 7]]))


def test_half_precision_tables_survive(tmp_path):
    table = torch.randn(10, 4).to(torch.bfloat16)
    assert torch.equal(CompactEmbedding(table, torch.tensor([2]), str(tmp_path)).full(), table)
    assert not list(tmp_path.iterdir())  # the file has no name


def test_tied_and_frozen_embeddings_are_refused(tmp_path):
    masked = tiny.with_head(AutoModelForMaskedLM)
    with pytest.raises(StiltsError, match="XLMRobertaLMHead.decoder, which gives every word"):
        compact(masked, np.array([1]), tmp_path)
    model = tiny.encoder()
    model.get_input_embeddings().requires_grad_(False)
    with pytest.raises(StiltsError, match="frozen already"):
        compact(model, np.array([1]), tmp_path)
    with pytest.raises(StiltsError, match="token 99999; the model's vocabulary ends"):
        compact(tiny.encoder(), np.array([99999]), tmp_path)


def test_a_model_may_be_made_compact_anew(tmp_path):
    model = tiny.encoder()
    before = model.state_dict()["embeddings.word_embeddings.weight"].clone()
    for ids in ([3, 4], [5, 6, 7]):
        embedding = compact(model, np.array(ids), tmp_path)
    assert embedding.rows.tolist() == [1, 5, 6, 7]  # and the padding
    assert torch.equal(model.state_dict()["embeddings.word_embeddings.weight"], before)


def test_inexact_optimizers_are_refused(tmp_path):
    with pytest.raises(StiltsError, match="optimizer adafactor would not give.*--optim adamw_torch_fused"):
        refuse_inexact(TrainingArguments(str(tmp_path), optim="adafactor"))
    with pytest.raises(StiltsError, match="The SGD that was passed"):
        refuse_inexact(TrainingArguments(str(tmp_path)), torch.optim.SGD([torch.zeros(1)]))


def test_where_the_model_comes_out_the_same_a_trainer_may_choose_it(tmp_path):
    chosen = {
        name: trainer(tmp_path, name, compact_vocabulary=None, **settings).trained_rows is not None
        for name, settings in {"adamw": {}, "decay": {"weight_decay": 0.1}, "adafactor": {"optim": "adafactor"}}.items()
    }
    assert chosen == {"adamw": True, "decay": False, "adafactor": False}


def test_data_that_cannot_be_read_beforehand_is_refused():
    with pytest.raises(StiltsError, match="needs to read all training tokens beforehand; IterableDataset"):
        used_ids([IterableDataset.from_generator(lambda: iter([{"input_ids": [1]}]))])
    nested = Dataset.from_dict({"input_ids": [[[0, 9], [4]], [[9]]]})
    assert used_ids([nested, nested.select([1])]).tolist() == [0, 4, 9]
