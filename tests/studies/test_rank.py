"""Intermediate tasks in order of their gains for a target."""

import json

import pytest
from command import run
from huggingface_hub import constants

from hf_stilts.errors import StiltsError
from hf_stilts.studies.matrix import TransferMatrix
from hf_stilts.studies.rank import rank_tasks


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


def test_the_command_reads_results_beside_what_is_published(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "local")
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
