"""Every kind through every architecture: rows, features, batch, loss, outputs, decoding, score."""

import pickle
from dataclasses import replace

import kind_cases
import numpy as np
import pytest
import tiny
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer, TrainingArguments

from hf_stilts.declarations import import_kind, list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.kinds.features import _tokenizer_state

WAYS = [(arch, kind) for arch in tiny.ARCHITECTURES for kind in kind_cases.ROWS if (arch, kind) != ("mt5", "fill-mask")]


def with_head(arch, kind, task):
    return tiny.with_head(kind.model_class(tiny.config(arch)), arch, **kind.head_config(task))


def test_every_kind_of_task_has_its_module():
    assert [import_kind(name).name for name in list_kinds()] == list_kinds()
    assert len(list_kinds()) >= 9


@pytest.mark.parametrize(("arch", "name"), WAYS)
def test_rows_to_loss_and_gradient(arch, name):
    kind, task, rows = kind_cases.built(name)
    tokenizer, model = tiny.tokenizer(arch), with_head(arch, kind, task)
    features = kind.features(task, rows, tokenizer, max_length=kind_cases.MAX_LENGTH, train=True)
    batch = kind_cases.batch_of(kind, features, tokenizer)
    assert batch["input_ids"].shape[-1] <= kind_cases.MAX_LENGTH
    assert all(values.dtype == torch.long for values in batch.values())
    model(**batch).loss.backward()
    grown = [name for name, weights in model.named_parameters() if weights.grad is not None and weights.grad.any()]
    assert any("embed" in name or "shared" in name for name in grown), "the loss does not reach the encoder"


@pytest.mark.parametrize(("arch", "name"), WAYS)
def test_predictions_follow_the_rows_in_whatever_batches_they_ran(arch, name):
    kind, task, rows = kind_cases.built(name)
    tokenizer, model = tiny.tokenizer(arch), with_head(arch, kind, task)
    features = kind.features(task, rows, tokenizer, max_length=kind_cases.MAX_LENGTH, train=False)
    assert sorted(set(features["row"])) == [
        row for row in range(len(rows)) if rows[row].get("tokens", 1) != [] and rows[row].get("text", 1) != ""
    ]
    places = list(range(len(features)))
    backwards = [places[::-1][start : start + 2] for start in range(0, len(places), 2)]
    found = []
    for batches in ([places], backwards, [[place] for place in places]):
        outputs = kind_cases.outputs_of(kind, model, features, tokenizer, batches)
        found.append(kind.decode(task, rows, features, outputs))
    assert len(found[0]) == len(rows)
    for other in found[1:]:
        if name == "fill-mask":
            np.testing.assert_allclose(np.array(other), np.array(found[0]), rtol=1e-4)
        else:
            assert other == found[0]


@pytest.mark.parametrize("name", kind_cases.ROWS)
def test_score_has_the_main_metric_of_the_task(name):
    kind, task, rows = kind_cases.built(name)
    labelled = rows.filter(lambda row: row.get("label", 0) >= 0)
    tokenizer, model = tiny.tokenizer(), with_head("xlm-roberta", kind, task)
    features = kind.features(task, labelled, tokenizer, max_length=kind_cases.MAX_LENGTH, train=False)
    outputs = kind_cases.outputs_of(kind, model, features, tokenizer, [range(len(features))])
    scores = kind.score(task, kind.decode(task, labelled, features, outputs), labelled)
    assert 0.0 <= scores[task.metric] <= 100.0
    assert all(type(value) is float for value in scores.values())


@pytest.mark.parametrize(
    ("arch", "name"),
    [("xlm-roberta", name) for name in kind_cases.ROWS] + [("mt5", "multiple-choice"), ("mt5", "question-answering")],
)
def test_stock_trainer_trains_and_scores(arch, name, tmp_path):
    kind, task, rows = kind_cases.built(name)
    tokenizer, model = tiny.tokenizer(arch), with_head(arch, kind, task)
    train, test = (kind.features(task, rows, tokenizer, max_length=32, train=train) for train in (True, False))

    def metrics(predicted):
        found = predicted.predictions
        return {"rows": len(kind.decode(task, rows, test, found[0] if isinstance(found, tuple) else found))}

    arguments = TrainingArguments(
        tmp_path, max_steps=2, per_device_train_batch_size=2, per_device_eval_batch_size=2, use_cpu=True,
        remove_unused_columns=False, disable_tqdm=True, report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, arguments, kind.collator(tokenizer), train, test, compute_metrics=metrics,
        preprocess_logits_for_metrics=kind.reduce,
    )  # fmt: skip
    assert np.isfinite(trainer.train().training_loss)
    assert trainer.evaluate()["eval_rows"] == len(rows)


def test_an_architecture_without_a_masked_lm_head_says_so():
    with pytest.raises(StiltsError, match="no fill-mask class for mt5.*Choose such a base model"):
        load_kind("fill-mask").model_class(tiny.config("mt5"))


def test_multiple_choice_without_a_stock_head_scores_each_choice_alone(tmp_path):
    kind, task, rows = kind_cases.built("multiple-choice")
    tokenizer, model = tiny.tokenizer("mt5"), with_head("mt5", kind, task)
    features = kind.features(task, rows, tokenizer, max_length=kind_cases.MAX_LENGTH, train=True)
    batch = kind_cases.batch_of(kind, features, tokenizer)
    model.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).architectures == ["MT5ForSequenceClassification"]
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(stock).__module__.startswith("transformers.")
    with torch.inference_mode():
        ours = model(**batch)
        flat = stock(batch["input_ids"].flatten(0, 1), attention_mask=batch["attention_mask"].flatten(0, 1)).logits
    assert ours.logits.shape == (2, 2)
    torch.testing.assert_close(ours.logits, flat.view(2, 2))
    torch.testing.assert_close(ours.loss, torch.nn.functional.cross_entropy(flat.view(2, 2), torch.tensor([1, 0])))
    assert kind.model_class(tiny.config("mt5")) is type(model)


def test_features_carry_the_same_name_in_every_process_and_another_for_another_recipe():
    kind, task, rows = kind_cases.built("token-classification")
    length, tokenizer = kind_cases.MAX_LENGTH, tiny.tokenizer()

    def fingerprint(kind=kind, task=task, tokenizer=tokenizer, length=length, train=False):
        return kind.features(task, rows, tokenizer, max_length=length, train=train)._fingerprint

    first = fingerprint()
    tokenizer("warm up", truncation=True, max_length=3)  # leaves its truncation behind in the tokenizer
    assert fingerprint() == first == fingerprint(tokenizer=tiny.tokenizer())
    others = [
        fingerprint(length=16),
        fingerprint(train=True),
        fingerprint(tokenizer=tiny.tokenizer("bert")),
        fingerprint(task=replace(task, labels=("VERB", "NOUN", "DET"))),
    ]
    assert len({first, *others}) == 5


def test_the_state_of_a_tokenizer_is_all_that_its_file_would_hold():
    tokenizer = tiny.tokenizer()
    written = tokenizer.backend_tokenizer.to_str()
    assert _tokenizer_state(tokenizer) == f"right {written}".encode()
    tokenizer.add_tokens(["Donaudampfschiff"])
    assert "Donaudampfschiff" in _tokenizer_state(tokenizer).decode()


def test_features_are_cached_beside_their_rows_only(tmp_path):
    kind, task, rows = kind_cases.built("text-classification")
    in_memory = kind.features(task, rows, tiny.tokenizer(), max_length=16, train=False)
    assert in_memory.cache_files == []
    rows.to_parquet(tmp_path / "rows.parquet")
    stored = Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path / "cache"))
    features = kind.features(task, stored, tiny.tokenizer(), max_length=16, train=False)
    assert [file["filename"].startswith(str(tmp_path / "cache")) for file in features.cache_files] == [True]
    assert features[:] == in_memory[:]


def test_collators_travel_to_other_processes():
    for name in kind_cases.ROWS:
        kind, task, rows = kind_cases.built(name)
        tokenizer = tiny.tokenizer()
        features = kind.features(task, rows, tokenizer, max_length=32, train=False)
        copy = pickle.loads(pickle.dumps(kind.collator(tokenizer)))
        ours, theirs = (collate([features[0], features[1]]) for collate in (kind.collator(tokenizer), copy))
        assert all(torch.equal(ours[column], theirs[column]) for column in ours)


def test_a_tokenizer_without_padding_token_says_what_to_set():
    kind, task, rows = kind_cases.built("text-classification")
    tokenizer = tiny.tokenizer()
    features = kind.features(task, rows, tokenizer, max_length=16, train=False)
    tokenizer.pad_token = None
    with pytest.raises(StiltsError, match="no padding token.*tokenizer.pad_token ="):
        kind.collator(tokenizer)([features[0]])


def test_rows_that_give_nothing_are_an_error():
    kind, task, _ = kind_cases.built("text-classification")
    unlabelled = Dataset.from_dict({"text": ["a", "b"], "label": [-1, -1]})
    with pytest.raises(StiltsError, match="none of 2 rows gives a feature"):
        kind.features(task, unlabelled, tiny.tokenizer(), max_length=16, train=True)
