"""`hf-stilts evaluate` of a benchmark and `hf-stilts gains`: what they print for people and for machines."""

import json

import mirrors
import pytest
import tiny
from command import run
from mirrors import FLAGS
from result_files import one
from transformers import AutoModelForTokenClassification

from hf_stilts.evaluation.results import read_results
from hf_stilts.task import load_task

LABELS = load_task("udpos").labels
POS = {"id2label": dict(enumerate(LABELS)), "label2id": {label: number for number, label in enumerate(LABELS)}}


def test_a_benchmark_stands_where_a_task_may(tmp_path):
    model, data = tiny.save(tmp_path / "public"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    words = ["evaluate", "xtreme", "--base", model, "--data-dir", data, "--output-dir", tmp_path / "run"]
    words += ["--tasks", "udpos, tatoeba", "--languages", "en,de", "--limit", 5, "--layer", 1, *FLAGS]
    code, text = run(*words, "--json")
    found = json.loads(text)
    assert code == 0 and list(found["tasks"]) == ["udpos", "tatoeba"] and not found["complete"]
    rows = read_results(tmp_path / "run")
    assert set(rows["rows"]) == {5} and set(rows["layer"].dropna()) == {1}
    code, text = run(*words)
    lines = [line.split() for line in text.splitlines() if line]
    assert code == 0 and "do not compare with published ones" in text
    score = f"{found['tasks']['udpos']['score']:.1f}"
    assert ["udpos", "tagging", "f1", score, "2", "of", "33"] in lines


def test_what_a_benchmark_could_not_run_is_told_after_its_scores(tmp_path, monkeypatch, capsys):
    import sys

    from hf_stilts.cli import main

    model, data = tiny.save(tmp_path / "public"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    words = ["evaluate", "xtreme", "--base", model, "--data-dir", data, "--output-dir", tmp_path / "run"]
    words += ["--tasks", "xnli,udpos,tatoeba", "--languages", "de,et", "--skip", "tatoeba:et", "--skip", "udpos"]
    monkeypatch.setattr(sys, "argv", ["hf-stilts", *map(str, words), *FLAGS, "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == 1 and list(json.loads(said.out)["tasks"]) == ["tatoeba"]
    assert "1 of 2 tasks of XTREME could not be run" in said.err and "  xnli: No " in said.err


def test_only_what_is_there_is_scored_where_that_is_asked_for(tmp_path):
    model, data = tiny.save(tmp_path / "public"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    words = ["evaluate", "tatoeba", "--model", model, "--data-dir", data, "--layer", 1, "--available", "--json"]
    code, text = run(*words)
    assert code == 0 and {row["language"] for row in json.loads(text)} == {"de", "fi"}


def test_what_only_a_benchmark_takes_is_refused_for_a_task(mistake, tmp_path):  # noqa: F811
    said = mistake("evaluate", "tatoeba", "--model", tmp_path, "--max_steps", 5)
    assert "--max_steps is no option for tatoeba" in said and "hf-stilts target tatoeba --init NAME" in said
    assert "--init is no option for udpos" in mistake("evaluate", "udpos", "--model", tmp_path, "--init", "mnli")
    assert "--label is no option for udpos" in mistake("evaluate", "udpos", "--model", tmp_path, "--label", "a")
    assert "Did you mean tatoeba" in mistake("evaluate", "tatoba", "--model", tmp_path)


def test_what_only_a_task_takes_is_refused_for_a_benchmark(mistake, tmp_path):  # noqa: F811
    assert "--publish is for tasks: xtreme trains" in mistake("evaluate", "xtreme", "--base", tmp_path, "--publish")
    said = mistake("evaluate", "xtreme", "--base", tmp_path, "--output", tmp_path / "rows.jsonl")
    assert "--output is for tasks" in said and "results.jsonl of --output-dir" in said


def test_a_layer_is_for_the_tasks_that_search(mistake, tmp_path):  # noqa: F811
    model = tiny.save(tmp_path / "model", model_class=AutoModelForTokenClassification, **POS)
    words = ["evaluate", "udpos", "--model", model, "--languages", "de", "--layer", 1]
    assert "layer= is no option of udpos" in mistake(*words)
    data = mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    code, text = run(*words[:2], "tatoeba", *words[2:], "--data-dir", data, "--json")
    assert code == 0 and {row["task"]: row["layer"] for row in json.loads(text)} == {"udpos": None, "tatoeba": 1}


def test_scores_are_published_of_whole_test_sets_on_published_models(mistake, tmp_path):  # noqa: F811
    model = tiny.save(tmp_path / "model")
    assert "--publish is for whole test sets" in mistake(
        "evaluate", "udpos", "--model", model, "--publish", "--limit", 5
    )
    assert "cannot take scores: it has no stilts.json" in mistake("evaluate", "udpos", "--model", model, "--publish")


@pytest.mark.parametrize("languages", [True, False])
def test_gains_for_people(files, languages):  # noqa: F811
    code, text = run("gains", *files, *(["--languages"] if languages else []))
    lines = [line.split() for line in text.splitlines()]
    assert code == 0
    xnli = next(line for line in lines if line[:2] == ["mnli", "xnli"])
    assert xnli[2:5] == ["62.3", "58.0", "4.3"] and xnli[-2:] == ["0.250", "0.750"]
    assert (["mnli", "xnli", "sw"] in [line[:3] for line in lines]) == languages


def test_gains_for_machines(files):  # noqa: F811
    code, text = run("gains", *[file.parent for file in files], "--json", "--bootstrap", 0)
    found = json.loads(text)
    assert code == 0 and set(found) == {"languages", "tasks", "groups", "gaps", "best", "notes"}
    assert one(found["languages"], task="xnli", language="sw")["gain"] == 9


def test_every_level_of_noise_with_every_seed(tmp_path):
    model, data = tiny.save(tmp_path / "public"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    words = ["evaluate", "tatoeba", "--model", model, "--data-dir", data, "--layer", 1, "--languages", "de"]
    levels = ["--noise", "0", "--noise", "keyboard=0.2", "--noise-seed", 0, "--noise-seed", 1]
    code, text = run(*words, *levels, "--output", tmp_path / "rows.jsonl", "--json")
    rows = [row for row in json.loads(text) if row["main"]]
    assert code == 0 and [(row["noise"], row["noise_seed"]) for row in rows] == [
        (None, None), ("keyboard=0.2", 0.0), ("keyboard=0.2", 1.0)
    ]  # fmt: skip
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(json.loads(text))
    _, text = run(*words, *levels)
    assert [line.count("noise keyboard=0.2 seed") for line in text.splitlines() if "mean over" in line] == [0, 1, 1]


def test_noise_that_does_not_fit(tmp_path, mistake):  # noqa: F811
    words = ["evaluate", "tatoeba", "--model", tmp_path]
    assert "no --noise was given" in mistake(*words, "--noise-seed", 1)
    assert "--publish is for test sets as they are" in mistake(*words, "--noise", "case=0.1", "--publish")
    assert "Did you mean keyboard?" in mistake(*words, "--noise", "keybord=0.1")
    levels = ["--noise", "case=0.1", "--noise", "case=0.2"]
    assert "hf-stilts robustness DIR --json" in mistake("evaluate", "xtreme", "--base", tmp_path, *levels, "--json")
