"""What a Trainer of ours takes because the stock Trainer takes it: model_init, searches, any data, batch metrics."""

import copy
import importlib.machinery
import logging
import sys
import types
from functools import partial

import mixtures
import pytest
import tiny
import torch
import transformers.trainer
from datasets import Dataset
from toy_tasks import CHOICES, PAIRS, SPANS, TAGS, rows
from transformers import TrainingArguments, XLMRobertaForSequenceClassification

from hf_stilts.errors import StiltsError
from hf_stilts.models.transfer import with_fresh_head
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.mixture_tasks import shared_model
from hf_stilts.training.trainer import IntermediateTrainer

EVERY = pytest.mark.parametrize("task", [PAIRS, TAGS, CHOICES, SPANS], ids=lambda task: task.kind)


def arguments(tmp_path, **settings):
    settings = {"per_device_train_batch_size": 4, "max_steps": 2, "save_strategy": "no", "logging_steps": 1, **settings}
    return TrainingArguments(str(tmp_path / "run"), use_cpu=True, report_to="none", **settings)


@pytest.fixture
def public(tmp_path):
    return tiny.save(tmp_path / "public")


def trained(run):
    run.train()
    return run.model.state_dict()


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_predicting_the_evaluation_set_gives_its_scores(public, tmp_path, caplog):
    data = rows(PAIRS)
    run = IntermediateTrainer(public, arguments(tmp_path), task=PAIRS, train_dataset=data, eval_dataset=data)
    expected = run.evaluate()["eval_accuracy"]
    assert run.predict(run.eval_dataset).metrics["test_accuracy"] == expected
    assert run.evaluate(run.eval_dataset)["eval_accuracy"] == expected
    assert run.predict(data).metrics["test_accuracy"] == expected
    assert not [line for line in caplog.messages if "no score" in line]
    assert "test_accuracy" not in run.predict(run.eval_dataset.select(range(4))).metrics
    assert any("features without the rows" in line for line in caplog.messages)


def test_each_evaluation_set_of_a_mixture_is_predicted_as_its_task(tmp_path):
    run = mixtures.mixture(tmp_path, tasks=(PAIRS, TAGS))
    for task in ("tags", "pairs", "tags"):  # whichever was turned to
        metric = run.tasks[task].metric
        expected = run.evaluate()[f"eval_{task}_{metric}"]
        assert run.predict(run.eval_dataset[task]).metrics[f"test_{metric}"] == expected
        assert run.evaluate(run.eval_dataset[task])[f"eval_{metric}"] == expected


@EVERY
def test_batch_metrics_are_those_of_the_whole(task, public, tmp_path):
    data = rows(task, 10)
    seen = []
    for settings in ({}, {"batch_eval_metrics": True}, {"eval_do_concat_batches": False}):
        args = arguments(tmp_path, per_device_eval_batch_size=4, **settings)
        run = IntermediateTrainer(public, args, task=task, train_dataset=data, eval_dataset=data)
        scores = run.evaluate() | run.predict(data).metrics
        seen.append({name: value for name, value in scores.items() if "runtime" not in name and "second" not in name})
        seen[-1] = {name: value for name, value in seen[-1].items() if not name.endswith(("_loss", "_time"))}
    assert f"test_{task.metric}" in seen[0] and seen[0] == seen[1] == seen[2]


def test_model_init_is_what_is_trained(public, tmp_path):
    made = []

    def fresh():
        made.append(with_fresh_head(public, PAIRS)[0])
        return made[-1]

    data, tokenizer = rows(PAIRS), tiny.tokenizer()
    given = {"task": PAIRS, "train_dataset": data, "eval_dataset": data, "processing_class": tokenizer}
    run = IntermediateTrainer(args=arguments(tmp_path), model_init=fresh, **given)
    assert run.model is made[0] and run.model.config.hidden_size == 32
    first = copy.deepcopy(trained(run))
    assert len(made) == 2 and run.model is made[1], "a new one for each training"
    assert same(trained(run), first), "which begins at the seed"
    with pytest.raises(StiltsError, match="model_init= makes a new model.*model= is for one"):
        IntermediateTrainer(public, arguments(tmp_path), model_init=fresh, **given)
    with pytest.raises(StiltsError, match="adapter= is for one"):
        IntermediateTrainer(args=arguments(tmp_path), model_init=fresh, adapter="lora", **given)


def test_masked_words_alone_are_scored_by_every_model_of_an_init(tmp_path):
    tasks = {task.name: task for task in mixtures.FIVE}
    fresh = partial(shared_model, mixtures.public(tmp_path), tasks, None, 0)
    data = {task.name: rows(task) for task in mixtures.FIVE[:-1]}
    run = MixtureTrainer(
        args=arguments(tmp_path, max_steps=1), tasks=mixtures.FIVE, train_dataset=data, eval_dataset=data,
        text=mixtures.text(), model_init=lambda: fresh()[0], processing_class=tiny.tokenizer(),
    )  # fmt: skip
    before = run.model
    run.train()
    assert run.model is not before
    assert len(run.model.heads["text"]._forward_pre_hooks) == len(before.heads["text"]._forward_pre_hooks) == 1


def test_a_search_tries_each_setting_from_a_fresh_model(public, tmp_path, monkeypatch):
    """The stock search, with a backend that tries three learning rates in the place of optuna's sampler."""
    optuna = types.ModuleType("optuna")
    optuna.__spec__, optuna.TrialPruned = importlib.machinery.ModuleSpec("optuna", None), RuntimeError
    optuna.trial = types.SimpleNamespace(BaseTrial=types.SimpleNamespace)
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    objectives = []

    class Backend:
        def ensure_available(self):
            """It is here."""

        def run(self, trainer, n_trials, direction, **_):
            for number in range(n_trials):
                trainer.objective = None
                trainer.train(trial=types.SimpleNamespace(number=number, params={}))
                objectives.append((trainer.args.learning_rate, trainer.compute_objective(trainer.evaluate())))
            return max(objectives, key=lambda pair: pair[1])

    monkeypatch.setitem(
        transformers.trainer.ALL_HYPERPARAMETER_SEARCH_BACKENDS, transformers.trainer.HPSearchBackend.OPTUNA, Backend
    )
    rates = [0.0, 0.02, 0.0]
    data = rows(PAIRS)
    run = IntermediateTrainer(
        args=arguments(tmp_path, max_steps=6, eval_strategy="epoch", save_strategy="steps", save_steps=6),
        model_init=lambda trial: with_fresh_head(public, PAIRS)[0], task=PAIRS, train_dataset=data, eval_dataset=data,
        processing_class=tiny.tokenizer(),
    )  # fmt: skip
    best = run.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": rates[trial.number]},
        n_trials=3,
        direction="maximize",
        backend="optuna",
    )
    assert [rate for rate, _ in objectives] == rates
    assert objectives[0][1] == objectives[2][1], "the third begins where the first did, not where the second ended"
    assert best == max(objectives, key=lambda pair: pair[1])
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"run-0", "run-1", "run-2"}


class Torch(torch.utils.data.Dataset):
    def __init__(self, features):
        self.features = features

    def __len__(self):
        return len(self.features)

    def __getitem__(self, place):
        return self.features[place]


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, features):
        self.features = features

    def __iter__(self):
        return iter(self.features)


def test_features_in_any_container_train_the_same(public, tmp_path):
    data = rows(PAIRS)
    given = {"task": PAIRS, "eval_dataset": data, "max_length": 32}
    of_rows = IntermediateTrainer(public, arguments(tmp_path), train_dataset=data, **given)
    features = [dict(feature) for feature in of_rows.train_dataset]
    expected = copy.deepcopy(trained(of_rows))
    for container in (features, Torch(features), Dataset.from_list(features), data.to_list(), Torch(data.to_list())):
        run = IntermediateTrainer(public, arguments(tmp_path), train_dataset=container, **given)
        assert same(trained(run), expected), type(container)
        assert run.record().tasks[0].rows == 8
    streamed = []
    for stream in (Stream(features), Dataset.from_list(features).to_iterable_dataset()):
        run = IntermediateTrainer(public, arguments(tmp_path), train_dataset=stream, **given)
        streamed.append(copy.deepcopy(trained(run)))
        run.save_model()
        assert run.state.global_step == 2 and run.record().tasks[0].rows is None
    assert same(*streamed) and not same(streamed[0], expected), "in the order of the stream"
    cut = IntermediateTrainer(public, arguments(tmp_path), train_dataset=features, limit=4, **given)
    assert len(cut.train_dataset) == 4
    with pytest.raises(StiltsError, match="a stream with columns text, text_pair, label.*Pass a Dataset"):
        IntermediateTrainer(public, arguments(tmp_path), train_dataset=data.to_iterable_dataset(), **given)
    with pytest.raises(StiltsError, match="a list without examples"):
        IntermediateTrainer(public, arguments(tmp_path), train_dataset=[], **given)


def test_rows_to_evaluate_may_be_a_list(public, tmp_path):
    data = rows(PAIRS)
    run = IntermediateTrainer(public, arguments(tmp_path), task=PAIRS, train_dataset=data, eval_dataset=data.to_list())
    assert run.evaluate(data.to_list())["eval_accuracy"] == run.evaluate()["eval_accuracy"]
    assert "eval_loss" in run.evaluate([dict(feature) for feature in run.eval_dataset])


def test_a_mixture_takes_lists_too(tmp_path):
    lists = {task.name: rows(task, 16).to_list() for task in (PAIRS, TAGS)}
    ours, theirs = (
        mixtures.mixture(tmp_path, tasks=(PAIRS, TAGS), args={"max_steps": 2}, **data)
        for data in ({"train_dataset": lists, "eval_dataset": lists}, {})
    )
    ours.train()
    theirs.train()
    assert mixtures.logged(ours, "loss", "grad_norm") == mixtures.logged(theirs, "loss", "grad_norm") != []
    with pytest.raises(StiltsError, match="draws its examples by number, and a Stream is a stream"):
        mixtures.mixture(tmp_path, tasks=(PAIRS, TAGS), train_dataset={"pairs": Stream([])})


def test_features_and_a_collator_need_no_tokenizer(public, tmp_path):
    data = rows(PAIRS)
    whole = IntermediateTrainer(public, arguments(tmp_path), task=PAIRS, train_dataset=data, eval_dataset=data)
    torch.manual_seed(0)
    model = XLMRobertaForSequenceClassification.from_pretrained(public, num_labels=2)
    given = {"task": PAIRS, "train_dataset": whole.train_dataset, "eval_dataset": whole.eval_dataset}
    run = IntermediateTrainer(model, arguments(tmp_path), data_collator=whole.data_collator, **given)
    run.train()
    assert run.state.global_step == 2 and "eval_loss" in run.evaluate()
    with pytest.raises(StiltsError, match="without its tokenizer.*data_collator="):
        IntermediateTrainer(model, arguments(tmp_path), **given)
    with pytest.raises(StiltsError, match="evaluation data are rows.*Pass processing_class="):
        IntermediateTrainer(
            model, arguments(tmp_path), data_collator=whole.data_collator, **{**given, "eval_dataset": data}
        )


def test_the_warning_of_one_answer_names_the_step_of_the_weights(public, tmp_path, caplog):
    """The best checkpoint is loaded at the end: what is evaluated then is of its step, not of the last one."""
    data = Dataset.from_list([{"text": "the cat", "text_pair": "a dog", "label": n % 2} for n in range(24)])
    args = arguments(
        tmp_path, max_steps=6, learning_rate=1e-9, eval_strategy="steps", eval_steps=2, save_strategy="steps",
        save_steps=2, load_best_model_at_end=True, metric_for_best_model="accuracy",
    )  # fmt: skip
    run = IntermediateTrainer(public, args, task=PAIRS, train_dataset=data, eval_dataset=data)
    run.train()
    assert (run.state.best_global_step, run.state.global_step) == (2, 6)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run.evaluate()
    assert any(line.startswith("Step 2: all 24 predictions are") for line in caplog.messages)


@pytest.mark.parametrize(("task", "said"), [(SPANS, True), (PAIRS, False)], ids=["questions", "classes"])
def test_label_smoothing_that_does_nothing_is_said(task, said, public, tmp_path, caplog):
    data, losses = rows(task), []
    for factor in (0.0, 0.3):
        args = arguments(tmp_path, label_smoothing_factor=factor, max_steps=1)
        run = IntermediateTrainer(public, args, task=task, train_dataset=data, eval_dataset=data)
        run.train()
        losses.append(run.state.log_history[0]["loss"])
    assert (losses[0] == losses[1]) is said
    assert any("does nothing for spans" in line for line in caplog.messages) is said
