"""The dual encoder: its loss by hand, stock checkpoints that go on exactly, all architectures, two processes as one."""

import json
import math
import os
import subprocess
import sys

import pytest
import tiny
import torch
from datasets import Dataset
from dual_encoders import SEARCH, rows, trainer
from places import SUPPORT
from toy_tasks import PAIRS
from transformers import AutoModel, AutoTokenizer, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.kinds.dual_encoder import DualEncoder, DualEncoding
from hf_stilts.retrieval import encode
from hf_stilts.training.dual_encoder import DualEncoderTrainer
from hf_stilts.training.run import run_phase
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer

KIND = load_kind("sentence-similarity")


@pytest.fixture
def public(tmp_path):
    return tiny.save(tmp_path / "public")


def test_the_loss_is_cross_entropy_of_scaled_cosines():
    """Two pairs with vectors at 0 and 90 degrees, their candidates at 60 and 90, scale 2.

    Query 1: logits 2 cos 60 = 1 and 2 cos 90 = 0: loss log(1 + e^-1). Query 2: 2 cos 30 = sqrt 3 and 2: log(1 + e^(sqrt
    3 - 2)). The other way, candidate 1 against both queries: 1 and sqrt 3; candidate 2: 0 and 2.
    """
    model = DualEncoder(tiny.config("bert"), tiny.encoder("bert")).eval()
    model.configure(logit_scale=2.0)
    angles = iter([torch.tensor([0.0, 90.0]), torch.tensor([60.0, 90.0])] * 2)
    model.vectors = lambda ids, mask: torch.stack(
        [f(torch.deg2rad(a)) for a in [next(angles)] for f in (torch.cos, torch.sin)], 1
    )
    forward = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(math.sqrt(3) - 2))) / 2
    backward = (math.log(1 + math.exp(math.sqrt(3) - 1)) + math.log(1 + math.exp(-2))) / 2
    empty = [torch.zeros(2, 1)] * 4
    assert model(*empty, labels=torch.arange(2)).loss.item() == pytest.approx(forward)
    model.configure(both_directions=True)
    assert model(*empty, labels=torch.arange(2)).loss.item() == pytest.approx((forward + backward) / 2)


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_a_checkpoint_is_a_stock_encoder_that_encodes_as_it_was_trained(arch, tmp_path):
    run = trainer(tmp_path / "run", tiny.save(tmp_path / "public", arch), max_steps=2)
    run.train()
    run.save_model(str(tmp_path / "saved"))
    model, tokenizer = (auto.from_pretrained(tmp_path / "saved") for auto in (AutoModel, AutoTokenizer))
    encoding = DualEncoding.of(model.config)
    assert encoding.pooling == ("pooler" if arch in ("xlm-roberta", "bert", "roberta") else "mean")
    assert encoding.logit_scale == run.model.logit_scale.item() != 100.0
    texts = rows()["query"][:]
    found = torch.from_numpy(encode(model, tokenizer, texts, pooling=encoding.pooling))
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    expected = run.model.eval().vectors(batch["input_ids"], batch["attention_mask"])
    assert (torch.nn.functional.normalize(found, dim=1) - expected).abs().max() < 1e-5


def test_it_learns_and_scores_among_distinct_candidates(tmp_path, public):
    run = trainer(
        tmp_path / "run", public, max_steps=60, per_device_train_batch_size=12, pooling="mean", logit_scale=20.0
    )
    before = run.evaluate()["eval_mrr@20"]
    run.train()
    after = run.evaluate()
    assert after["eval_mrr@20"] > max(before + 10, 90), (before, after)
    # Two rows with one candidate: whichever is found, it is the right one for both.
    twice = Dataset.from_dict({"query": ["a", "b", "c"], "candidate": ["x", "y", "x"]})
    vectors = torch.eye(2)[[0, 1, 0]]
    ranked = KIND.decode(SEARCH, twice, None, torch.stack((vectors, vectors), 1))
    assert ranked == [[0, 1], [1, 0], [0, 1]]
    assert KIND.score(SEARCH, ranked, twice) == {"mrr@20": 100.0, "recall@20": 100.0, "accuracy": 100.0}


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, public):
    """Six steps of three a pass, stopped after four: weights, scale and moments go on as if nothing had happened."""
    whole = trainer(tmp_path / "whole", public)
    whole.train()
    trainer(tmp_path / "cut", public, save_strategy="steps", save_steps=4).train()
    resumed = trainer(tmp_path / "cut", public)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-4"))
    for (name, one), other in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_the_best_checkpoint_comes_back(tmp_path, public):
    run = trainer(
        tmp_path / "run", public, save_strategy="steps", save_steps=2, eval_strategy="steps", eval_steps=2,
        load_best_model_at_end=True, metric_for_best_model="mrr@20", greater_is_better=True,
    )  # fmt: skip
    run.train()
    best = AutoModel.from_pretrained(run.state.best_model_checkpoint)
    assert torch.equal(best.get_input_embeddings().weight, run.model.get_input_embeddings().weight)
    assert DualEncoding.of(best.config).logit_scale == run.model.logit_scale.item()


def test_what_it_is_not_for_is_said(tmp_path, public):
    with pytest.raises(StiltsError, match="pairs is a text-classification task"):
        DualEncoderTrainer(public, task=PAIRS)
    with pytest.raises(StiltsError, match="which has no pooler"):
        DualEncoder(tiny.config("distilbert")).configure(pooling="pooler")
    with pytest.raises(StiltsError, match="is a XLMRobertaModel.*DualEncoder"):
        DualEncoderTrainer(tiny.encoder(), task=SEARCH)
    with pytest.raises(StiltsError, match="expected monolingual, hybrid, cross-lingual, a share"):
        DualEncoderTrainer(public, task=SEARCH, batches="mixed")


@pytest.mark.slow
def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path, public):
    """8 pairs on one process, 4 + 4 on two with gathered negatives, both directions: equal loss, gradient and scale."""
    here = SUPPORT
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here), "TOKENIZERS_PARALLELISM": "false"}
    for processes, per_device in ((1, 8), (2, 4)):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command += [str(here / "two_encoders.py"), str(tmp_path), str(per_device)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"{count}.json").read_text()) for count in (1, 2))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["scale"] == pytest.approx(one["scale"], rel=1e-6)
    for name, gradient in one["gradients"].items():
        assert two["gradients"][name] == pytest.approx(gradient, rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize("phase", [IntermediateTrainer, TargetTrainer])
def test_other_trainers_name_the_one_for_pairs(phase, tmp_path, public):
    with pytest.raises(StiltsError, match=f'DualEncoderTrainer.task="search", phase="{phase.phase}".*hf-stilts'):
        phase(public, TrainingArguments(str(tmp_path), use_cpu=True), task=SEARCH, train_dataset=rows())


def test_batches_of_languages_are_for_dual_encoders(tmp_path, public):
    data = Dataset.from_list([{"text": "a", "text_pair": "b", "label": 0}])
    given = {"model": public, "train_dataset": data, "eval_dataset": data}
    with pytest.raises(StiltsError, match="--batches is for dual encoders; pairs is a text-classification task"):
        run_phase("target", PAIRS, ["--output_dir", str(tmp_path / "run")], batches="hybrid", **given)
    with pytest.raises(StiltsError, match="not trained with micro_tokens="):
        run_phase("intermediate", SEARCH, ["--output_dir", str(tmp_path / "run")], micro_tokens=64, **given)
    with pytest.raises(StiltsError, match="not trained with compact_vocabulary="):
        run_phase("intermediate", SEARCH, ["--output_dir", str(tmp_path / "run")], compact_vocabulary=True, **given)
    result = run_phase(
        "intermediate", SEARCH, ["--output_dir", str(tmp_path / "run"), "--max_steps", "1", "--use_cpu", "True"],
        model=public, train_dataset=rows(), eval_dataset=rows(), max_length=16,
    )  # fmt: skip
    assert result["phase"] == "intermediate" and result["mrr@20"] > 0
    assert json.loads((tmp_path / "run" / "stilts.json").read_text())["phase"] == "intermediate"
