"""The loss between originals and translations: by hand, with gradients to both, in the Trainer, and what it refuses."""

import math
from types import SimpleNamespace

import pytest
import tiny
import torch
from datasets import Dataset
from toy_tasks import CHOICES, PAIRS, SPANS, TAGS, WORDS, rows
from transformers import TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.training import contrastive
from hf_stilts.training.contrastive import IDS, MASK, ContrastiveLoss
from hf_stilts.training.trainer import IntermediateTrainer


def translated(task, count=8):
    """The same rows with the words in upper case, last row first, found again by their id."""
    made = rows(task, count)
    if task.kind == "text-classification":
        made = made.map(lambda row: {"text": row["text"].upper()})
    return made


def trainer(tmp_path, loss, task=PAIRS, data=None, **settings):
    arguments = {"per_device_train_batch_size": 4, "max_steps": 2, "save_strategy": "no", "logging_steps": 1}
    own = {"compact_vocabulary": settings.pop("compact_vocabulary", False)}
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, **{**arguments, **settings})
    return IntermediateTrainer(
        tiny.save(tmp_path / "public"), args, task=task, train_dataset=rows(task) if data is None else data,
        eval_dataset=rows(task), contrastive=loss, **own,
    )  # fmt: skip


def test_the_loss_by_hand():
    """Originals at 0 and 90 degrees, translations at 0 and 60, temperature 1/2, weight 3; a third has no translation.

    Cosines times 2: (2, 1) and (0, sqrt 3). Rows: log(1 + e^(1-2)), log(1 + e^(0 - sqrt 3)). Columns: log(1 + e^(0-2)),
    log(1 + e^(1 - sqrt 3)). The loss is 3 x the mean of the four.
    """
    loss = ContrastiveLoss("de", weight=3.0, temperature=0.5, layer=0)
    angles = torch.deg2rad(torch.tensor([0.0, 90.0, 45.0]))
    states = torch.stack((angles.cos(), angles.sin()), 1)[:, None]
    turned = torch.deg2rad(torch.tensor([0.0, 60.0]))
    loss._hidden = lambda encoder, batch: torch.stack((turned.cos(), turned.sin()), 1)[:, None]
    model = SimpleNamespace(base_model=None)
    pairs = {IDS: torch.tensor([[5], [6], [0]]), MASK: torch.tensor([[1], [1], [0]])}
    given = SimpleNamespace(hidden_states=(states,)), {"attention_mask": torch.ones(3, 1)}, pairs
    root = math.sqrt(3)
    four = [math.log1p(math.exp(each)) for each in (-1, -root, -2, 1 - root)]
    assert loss(model, *given).item() == pytest.approx(3 * sum(four) / 4)
    pairs[MASK] = torch.tensor([[1], [0], [0]])
    assert loss(model, *given).item() == 0.0


def test_both_sides_have_gradients_and_padding_none(tmp_path):
    """The features of translations are those of the model itself: same texts, same layer, the most certain answer."""
    loss = ContrastiveLoss("de", layer=1)
    run = trainer(tmp_path, ContrastiveLoss(rows(PAIRS), layer=1))
    batch = run.data_collator([run.train_dataset[row] for row in range(4)])
    pairs = {name: batch.pop(name) for name in (IDS, MASK)}
    assert torch.equal(pairs[IDS], batch["input_ids"])  # the translations are the very same texts
    batch.pop("labels")
    outputs = run.model(**batch, output_hidden_states=True)
    encoder = run.model.base_model
    assert torch.allclose(
        loss._hidden(encoder, {"input_ids": pairs[IDS], "attention_mask": pairs[MASK]}), outputs.hidden_states[1]
    )
    loss(run.model, outputs, batch, pairs).backward()
    layers = encoder.encoder.layer
    assert layers[0].attention.self.query.weight.grad.norm() > 0
    assert layers[1].attention.self.query.weight.grad is None  # above the layer: nothing ran for it


@pytest.mark.parametrize("task", [PAIRS, TAGS, SPANS], ids=lambda task: task.kind)
def test_the_trainer_adds_it_and_learns_from_it(task, tmp_path):
    """Weight 0 logs the task's loss; weight 1 logs more, and other gradients; evaluation is not touched."""
    logged = {}
    for weight in (0.0, 1.0):
        run = trainer(tmp_path, ContrastiveLoss(translated(task), weight=weight, layer=2), task, max_grad_norm=1e9)
        assert run.evaluate()["eval_loss"] > 0
        run.train()
        logged[weight] = run.state.log_history[0]
        assert run.record().recipe["contrastive_layer"] == 2
    plain = trainer(tmp_path, None, task, max_grad_norm=1e9)
    plain.train()
    assert logged[0.0]["loss"] == pytest.approx(plain.state.log_history[0]["loss"], rel=1e-5)
    assert logged[1.0]["loss"] > logged[0.0]["loss"] + 0.1
    assert logged[1.0]["grad_norm"] != pytest.approx(logged[0.0]["grad_norm"], rel=1e-3)


def test_translations_are_found_by_id(tmp_path):
    named = Dataset.from_list([{"id": str(n), "text": f"the {WORDS[n]}", "label": 0} for n in range(4)])
    other = Dataset.from_list([{"id": str(n), "text": f"das {WORDS[n]}", "label": 0} for n in (3, 1)])
    run = trainer(tmp_path, ContrastiveLoss(other, layer=1), data=named)
    decode = run.processing_class.decode
    assert [decode(ids, skip_special_tokens=True) for ids in run.train_dataset[IDS]] == [
        "", f"das {WORDS[1]}", "", f"das {WORDS[3]}",
    ]  # fmt: skip
    with pytest.raises(StiltsError, match="None of 4 training rows has a translation"):
        unknown = Dataset.from_list([{"id": "x", "text": "das", "label": 0}])
        trainer(tmp_path, ContrastiveLoss(unknown, layer=1), data=named)


def test_what_it_cannot_do_is_said(tmp_path):
    with pytest.raises(StiltsError, match="an example of a multiple-choice task holds several"):
        trainer(tmp_path, ContrastiveLoss(rows(CHOICES)), CHOICES)
    with pytest.raises(
        StiltsError, match="layer 9; this model has 0 .embeddings. to 2.*--contrastive always asks layer 3"
    ):
        trainer(tmp_path, ContrastiveLoss(rows(PAIRS), layer=9)).train()
    with pytest.raises(StiltsError, match="Leave out compact_vocabulary"):
        trainer(tmp_path, ContrastiveLoss(rows(PAIRS), layer=1), compact_vocabulary=True)


def test_a_language_stands_for_the_tasks_own_translations(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(contrastive, "load", lambda *given, **named: asked.append((given, named)) or rows(PAIRS))
    run = trainer(tmp_path, "de")
    assert [given[1:] for given, _ in asked] == [("train", "de")]
    assert run.contrastive == ContrastiveLoss("de") and IDS in run.train_dataset.column_names
