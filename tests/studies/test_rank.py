"""Intermediate tasks in order of their gains for a target."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
from command import run
from datasets import Dataset
from scipy.optimize import minimize

from hf_stilts.errors import StiltsError
from hf_stilts.hub.published_scores import Ancestors, PublishedModel
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.studies import rank as module
from hf_stilts.studies.matrix import TransferMatrix
from hf_stilts.studies.rank import add_estimates, logme, rank_tasks
from hf_stilts.task import Task, load_task


def gain(intermediate, target, points, base="b", languages=2, runs=1):
    row = {"base": base, "intermediate": intermediate, "target": target, "gain": points}
    return row | {"languages": languages, "runs": runs}


def matrix(*rows):
    return TransferMatrix([], list(rows), [], [])


def test_the_target_counts_one_its_kind_half_and_others_nothing():
    rows = [gain("mnli", "xnli", 3.0), gain("mnli", "pawsx", 6.0, languages=7), gain("mnli", "udpos", 90.0)]
    found = rank_tasks("xnli", matrix(*rows, gain("qqp", "pawsx", 5.0), gain("mnli", "./evil.py", 90.0)))
    assert [(row["intermediate"], row["gain"]) for row in found.rows()] == [("qqp", 5.0), ("mnli", pytest.approx(4.0))]
    mnli = found.tasks[1]
    assert (mnli["of_target"], mnli["of_kind"], mnli["targets"]) == (2, 7, ["pawsx", "xnli"])


def test_bases_are_not_mixed_and_the_widest_comparison_is_taken():
    rows = [gain("mnli", "xnli", 1.0, "small"), gain("mnli", "xnli", 9.0), gain("mnli", "xnli", 2.0, languages=15)]
    found = rank_tasks("xnli", matrix(*rows))
    assert [(row["base"], row["gain"]) for row in found.tasks] == [("b", 2.0), ("small", 1.0)]


def test_weak_and_no_evidence_are_said():
    assert "Nobody has measured xnli" in rank_tasks("xnli", matrix(gain("mnli", "pawsx", 1.0))).notes[1]
    nothing = rank_tasks("xnli", matrix(gain("mnli", "udpos", 1.0)))
    assert nothing.tasks == [] and nothing.notes[0].startswith("Not enough evidence")
    with pytest.raises(StiltsError, match="xnli"):
        rank_tasks("xnlii", matrix())


def test_the_command_reads_results_beside_what_is_published(stock, tmp_path):
    assert "Not enough evidence" in run("rank", "xnli")[1]
    words = []
    for start, score in {"none": 60.0, "mnli": 62.0}.items():
        folder = tmp_path / start
        folder.mkdir()
        line = {"task": "xnli", "language": "de", "metric": "accuracy", "score": score, "main": True, "rows": 5010}
        line |= {"split": "test", "setting": "zero-shot", "data_revision": "a" * 40, "benchmark": "xtreme"}
        line |= {"intermediate": start, "base": "FacebookAI/xlm-roberta-base"}
        (folder / "results.jsonl").write_text(json.dumps(line) + "\n")
        (folder / "settings.json").write_text(json.dumps({"recipe": "jiant", "flags": []}))
        words += ["--results", str(folder)]
    found = json.loads(run("rank", "xnli", *words, "--json")[1])
    assert [(row["intermediate"], row["gain"], row["of_target"]) for row in found["tasks"]] == [("mnli", 2.0, 1)]
    assert "mnli" in run("rank", "xnli", *words)[1]


def evidence_by_hand(features, column):
    """The largest evidence of Bayesian linear regression, an example, by a general optimiser over both precisions."""
    rows, width = features.shape

    def negative(logarithms):
        prior, noise = np.exp(logarithms)
        precision = prior * np.eye(width) + noise * features.T @ features
        mean = noise * np.linalg.solve(precision, features.T @ column)
        misfit = noise * np.sum((features @ mean - column) ** 2) + prior * mean @ mean
        value = rows * np.log(noise) + width * np.log(prior) - rows * np.log(2 * np.pi)
        return -(value - misfit - np.linalg.slogdet(precision)[1]) / 2 / rows

    starts = [(0.0, 0.0), (4.0, 2.0), (-3.0, 2.0)]
    return max(-minimize(negative, start, method="Nelder-Mead", tol=1e-10).fun for start in starts)


@pytest.mark.parametrize(("rows", "width"), [(60, 5), (20, 40)], ids=["more rows", "more columns"])
def test_logme_is_the_largest_evidence(rows, width):
    draw = np.random.default_rng(3)
    features = draw.normal(size=(rows, width))
    labels = (features[:, 0] + 0.5 * draw.normal(size=rows) > 0).astype(int) + (features[:, 1] > 1)
    expected = np.mean([evidence_by_hand(features, (labels == each).astype(float)) for each in np.unique(labels)])
    assert logme(features, labels) == pytest.approx(expected, abs=1e-4)


def test_logme_prefers_vectors_that_know_the_labels():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, size=200)
    noise = draw.normal(size=(200, 16))
    helpful = noise.copy()
    helpful[:, 0] += labels
    assert logme(helpful, labels) > logme(noise, labels) + 0.01
    with pytest.raises(StiltsError, match="1 classes in 200 examples.*--examples"):
        logme(noise, np.zeros(200, dtype=int))


def published(name, tasks, **other):
    record = Record(tasks=tuple(TaskSource(task) for task in tasks), parent=ParentModel("org/base", "a" * 40))
    return PublishedModel(name, "b" * 40, replace(record, **other))


def test_encoders_are_estimated_beside_their_base_and_set_against_gains(monkeypatch):
    quality = {"org/base": 0.0, "me/a": 0.5, "me/b": 1.0, "me/c": 1.5, "me/d": 2.0}
    rows = Dataset.from_dict({"text": [str(n) for n in range(120)], "label": [n % 2 for n in range(120)]})
    asked = []

    def vectors(task, given, repository, commit):
        asked.append((repository, commit))
        if repository == "me/broken":
            raise OSError("no weights")
        labels = np.asarray(given["label"][:])
        found = np.random.default_rng(1).normal(size=(len(labels), 4))
        found[:, 0] += quality[repository] * labels
        return found, labels

    monkeypatch.setattr(module, "_vectors", vectors)
    monkeypatch.setattr(module, "splits", lambda *of_task: ("train", "validation"))
    monkeypatch.setattr(module, "load", lambda task, split, code, **how: rows.select(range(min(how["limit"], 120))))
    monkeypatch.setattr(Ancestors, "_record", lambda self, parent: None)
    models = [published(f"me/{task}", (task,)) for task in ("a", "b", "c", "d", "broken")]
    models += [published("me/target", ("xnli",), phase="target"), published("me/lora", ("e",), library="peft")]
    gains = matrix(*(gain(task, "xnli", points, "org/base") for task, points in zip("abcd", (1, 2, 4, 3), strict=True)))
    found = rank_tasks("xnli", gains)
    add_estimates(found, "xnli", gains, models, examples=100)
    assert [row["intermediate"] for row in found.estimates] == ["d", "c", "b", "a", "none"]
    assert found.estimates[-1]["over_base"] == 0.0 and found.estimates[0]["over_base"] > 0
    assert ("org/base", "a" * 40) in asked and ("me/a", "b" * 40) in asked and "me/target" not in dict(asked)
    assert found.agreement["points"] == 4 and found.agreement["spearman"] == pytest.approx(0.8)
    assert found.agreement["spearman_low"] <= 0.8 <= found.agreement["spearman_high"]
    assert found.agreement["spearman_low"] < 0, "four points"
    said = " ".join(found.notes)
    assert "Not enough evidence that LogME agrees with gains of xnli: the interval holds 0" in said
    assert "me/broken is not estimated: no weights" in said and "me/lora is not estimated: it is an adapter" in said
    assert "100 en rows of the train split" in said

    few = rank_tasks("xnli", matrix())
    add_estimates(few, "xnli", matrix(), models[:2], examples=100, base="org/base")
    assert few.agreement is None and "Not enough evidence that LogME agrees" in " ".join(few.notes)
    none = rank_tasks("xnli", matrix())
    add_estimates(none, "xnli", matrix(), models, base="another")
    assert none.estimates == [] and "no published encoder could be estimated" in none.notes[-1]
    mine = Task(kind="text-classification", dataset="me/mine", labels=("no", "yes"), name="mine", file="mine.yaml")
    own = rank_tasks(mine, matrix())
    add_estimates(own, mine, matrix(), models[:1], examples=100)
    assert own.target == "mine" and own.estimates, "a task that only its file knows"
    with pytest.raises(StiltsError, match="one label a text"):
        add_estimates(rank_tasks("udpos", matrix()), "udpos", matrix(), models)


def test_vectors_are_means_over_tokens_whatever_stands_beside(tmp_path):
    folder = tiny.save(tmp_path / "model")
    task = load_task("mnli")
    texts = {"text": ["the dog", "the old house and a city"], "text_pair": ["a cat", "one"], "label": [0, 2]}
    both, labels = module._vectors(task, Dataset.from_dict(texts), folder, None)
    alone = Dataset.from_dict({name: values[:1] for name, values in texts.items()})
    assert list(labels) == [0, 2]
    np.testing.assert_allclose(module._vectors(task, alone, folder, None)[0][0], both[0], atol=1e-5)
