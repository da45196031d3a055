"""Micro-batches: the loss and the gradient of the batch in one piece, whatever it is cut into."""

import itertools
import os
import subprocess
import sys

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from kind_cases import TASKS, built
from places import SUPPORT
from transformers import TrainingArguments

from hf_stilts.kinds.features import IGNORED
from hf_stilts.training.microbatches import MicroBatchTrainer, cut, items, joined, lengths, piece
from hf_stilts.training.trainer import IntermediateTrainer

KINDS = [kind for kind in TASKS if kind != "fill-mask"]


def cost(plan, lengths, overhead):
    return sum(max(lengths[row] for row in rows) * len(rows) + overhead for rows in plan)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(1, 120), st.integers(0, 60))
def test_no_other_cut_costs_less(lengths, most, overhead):
    """Against every way to cut the sorted examples; each example once, and nothing above the limit but single ones."""
    found = cut(lengths, most=most, overhead=overhead)
    assert sorted(itertools.chain(*found)) == list(range(len(lengths)))
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    possible = []
    for ends in itertools.product((False, True), repeat=len(order) - 1):
        edges = [0, *(place for place, end in enumerate(ends, 1) if end), len(order)]
        plan = [order[a:b] for a, b in itertools.pairwise(edges)]
        if all(len(rows) == 1 or cost([rows], lengths, 0) <= most for rows in plan):
            possible.append(cost(plan, lengths, overhead))
    assert all(len(rows) == 1 or cost([rows], lengths, 0) <= most for rows in found)
    assert cost(found, lengths, overhead) == min(possible)


def test_batches_are_joined_and_cut_to_what_is_not_padding():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    first = {"input_ids": mask * 7, "attention_mask": mask, "labels": torch.tensor([[3, 4, -100], [5, -100, -100]])}
    second = {key: value[:, :2] for key, value in first.items()}
    whole = joined([first, second], pad_token=9)
    assert whole["input_ids"].tolist() == [[7, 7, 0], [7, 0, 0], [7, 7, 9], [7, 0, 9]]
    assert whole["labels"][2:, 2].tolist() == [IGNORED, IGNORED]
    ends = lengths(whole["attention_mask"])
    assert ends == [2, 1, 2, 1]
    part = piece(whole | {"task": "tags"}, [1, 3], ends)
    assert {name: getattr(value, "shape", value) for name, value in part.items()} == {
        "input_ids": (2, 1), "attention_mask": (2, 1), "labels": (2, 1), "task": "tags",
    }  # fmt: skip
    assert items(part) == 2


def test_all_choices_count_as_long_as_the_longest():
    mask = torch.tensor([[[1, 1, 0, 0], [1, 1, 1, 0]], [[1, 0, 0, 0], [1, 1, 0, 0]]])
    ends = lengths(mask)
    assert ends == [6, 4]
    assert piece({"attention_mask": mask}, [1], ends)["attention_mask"].shape == (1, 2, 2)


def test_left_padding_is_kept():
    mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
    assert lengths(mask) == [3, 3]


def run(tmp_path, kind, arch="xlm-roberta", untrained=False, **settings):
    """One optimizer step on all training rows of a kind, three times over; the trainer, its log entry, the weights."""
    _, task, rows = built(kind)
    rows = rows.select([*range(len(rows))] * 3)
    micro = settings.pop("micro_tokens", None)
    settings = {
        "per_device_train_batch_size": 32, "max_steps": 1, "save_strategy": "no", "logging_steps": 1,
        "max_grad_norm": 1e9, "learning_rate": 1e-3, "optim": "sgd", "lr_scheduler_type": "constant", **settings,
    }  # fmt: skip
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, **settings)
    trainer = IntermediateTrainer(
        tiny.save(tmp_path / "public", arch), args, task=task, train_dataset=rows, eval_dataset=rows, max_length=32,
        micro_tokens=micro,
    )  # fmt: skip
    if untrained:
        return trainer.model, args, trainer
    trainer.train()
    return trainer, trainer.state.log_history[0], trainer.model.state_dict()


def same(one, other):
    (_, log, weights), (_, other_log, other_weights) = one, other
    assert log["loss"] == pytest.approx(other_log["loss"], rel=1e-6)
    assert log["grad_norm"] == pytest.approx(other_log["grad_norm"], rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(value, other_weights[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert", "mt5"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_step_is_that_of_the_batch_in_one_piece(kind, arch, tmp_path):
    """Weights after a step of plain SGD differ by the gradient, so equal weights are equal gradients, row by row."""
    whole = run(tmp_path / "whole", kind, arch, micro_tokens=0)
    pieces = run(tmp_path / "pieces", kind, arch, micro_tokens=64)
    assert len(pieces[0].micro.batches([largest(pieces[0])])) > 2
    same(whole, pieces)


def test_any_stock_training_may_be_run_in_micro_batches(tmp_path):
    whole = run(tmp_path / "whole", "text-classification", micro_tokens=0)
    model, args, data = run(tmp_path / "ours", "text-classification", untrained=True)
    stock = MicroBatchTrainer(
        model, args, data.data_collator, data.train_dataset, processing_class=data.processing_class
    )
    stock.model_accepts_loss_kwargs, stock.micro_tokens = False, 64
    stock.train()
    assert len(stock.micro.batches([largest(data)])) > 2
    same(whole, (stock, stock.state.log_history[0], stock.model.state_dict()))


def largest(trainer):
    return trainer.data_collator([trainer.train_dataset[row] for row in range(len(trainer.train_dataset))])


@pytest.mark.parametrize("kind", KINDS)
def test_accumulated_batches_of_unequal_numbers_of_items(kind, tmp_path):
    """The Trainer's loop averages the means of its batches; ours weighs them, and sorts across all of them."""
    whole = run(tmp_path / "whole", kind, micro_tokens=0, train_sampling_strategy="sequential")
    pieces = run(
        tmp_path / "pieces", kind, per_device_train_batch_size=2, gradient_accumulation_steps=16,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    same(whole, pieces)


def test_clipping_sees_the_whole_gradient(tmp_path):
    whole = run(tmp_path / "whole", "token-classification", micro_tokens=0, max_grad_norm=0.1)
    pieces = run(tmp_path / "pieces", "token-classification", micro_tokens=40, max_grad_norm=0.1)
    assert pieces[1]["grad_norm"] > 0.2
    same(whole, pieces)


def test_who_accumulates_never_gets_more_than_one_batch_at_a_time(tmp_path):
    trainer, *_ = run(tmp_path, "token-classification")
    features = [trainer.train_dataset[row] for row in range(6)]
    batches = [trainer.data_collator(features[:3]), trainer.data_collator(features[3:])]
    stock = max(batch["input_ids"].numel() for batch in batches)
    assert max(part["input_ids"].numel() for part in trainer.micro.batches(batches)) <= stock


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_does_not_depend_on_the_padding(kind, tmp_path):
    """Stock question answering lets padding compete for the answer; ours does not."""
    trainer, *_ = run(tmp_path, kind)
    batch = largest(trainer)
    padded = {
        name: torch.nn.functional.pad(value, (0, 20), value={"input_ids": 1, "labels": IGNORED}.get(name, 0))
        if value.shape == batch["attention_mask"].shape else value
        for name, value in batch.items()
    }  # fmt: skip
    trainer.model.eval()
    losses = [trainer.compute_loss(trainer.model, dict(each)).item() for each in (batch, padded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.slow
def test_two_processes_with_unequal_numbers_of_micro_batches(tmp_path):
    """Batches of 8 on one process and of 4 + 4 on two: equal losses, norms and weights after two clipped steps."""
    tiny.save(tmp_path / "public")
    here = SUPPORT
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here), "TOKENIZERS_PARALLELISM": "false"}
    for processes in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command += [str(here / "two_processes_microbatches.py"), str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(tmp_path / f"{count}.pt") for count in (1, 2))
    assert any(first != second for found in two.values() for first, second in zip(*found["counts"], strict=True))
    for kind, found in one.items():
        for (loss, norm), (other_loss, other_norm) in zip(found["logs"], two[kind]["logs"], strict=True):
            assert loss == pytest.approx(other_loss, rel=1e-5)
            assert norm == pytest.approx(other_norm, rel=1e-4)
        assert all(norm > 5e-4 for _, norm in found["logs"])
        for name, value in found["weights"].items():
            torch.testing.assert_close(value, two[kind]["weights"][name], rtol=1e-4, atol=1e-6)
