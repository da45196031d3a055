"""What noise costs, by hand-made results: drops, rates, flips and areas have the values of their definitions."""

import json

import pandas as pd
import pytest
from command import run
from result_files import one

from hf_stilts.errors import StiltsError
from hf_stilts.studies.robustness import robustness

CLEAN = {("xnli", "en"): 80.0, ("xnli", "de"): 60.0, ("pawsx", "en"): 90.0}


def row(task, language, score, noise=None, seed=0, start="none", **other):
    found = {"task": task, "language": language, "metric": "accuracy", "score": score, "main": True, "rows": 4}
    found |= {"intermediate": start, "model": f"org/{start}", "split": "test", "setting": "zero-shot"} | other
    return found | ({} if noise is None else {"noise": noise, "noise_seed": seed})


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def folder(root, start, noisy, clean=CLEAN):
    """A run: scores as they are, and (noise, seed) -> scores."""
    lines(root / "results.jsonl", [row(*cell, score, start=start) for cell, score in clean.items()])
    for (noise, seed), scores in noisy.items():
        rows = [row(*cell, score, noise, seed, start) for cell, score in scores.items()]
        lines(root / "noise" / f"{noise}-seed{seed}" / "results.jsonl", rows)
    return root


def scores(en, de, paws):
    return {("xnli", "en"): en, ("xnli", "de"): de, ("pawsx", "en"): paws}


@pytest.fixture
def runs(tmp_path):
    none = {("keyboard=0.1", 0): scores(72, 54, 88), ("keyboard=0.1", 1): scores(68, 48, 86)}
    none |= {("keyboard=0.3", 0): scores(40, 30, 81), ("keyboard=0.3", 1): scores(40, 30, 81)}
    mnli = {name: scores(80, 60, 90) for name in none}
    return folder(tmp_path / "none", "none", none), folder(tmp_path / "mnli", "mnli", mnli)


def test_languages(runs):
    cell = one(robustness(runs).languages, start="none", task="xnli", language="de", level=0.1)
    assert (cell["clean"], cell["score"], cell["drop"], cell["seeds"]) == (60, 51, 9, 2)
    assert cell["drop_rate"] == pytest.approx(100 * 9 / 60) and cell["sd"] == pytest.approx(18**0.5)
    assert cell["noise"] == "keyboard" and cell["robust_accuracy"] is None


def test_tasks(runs):
    report = robustness(runs)
    task = one(report.tasks, start="none", task="xnli", level=0.1)
    # Seeds: (72 + 54) / 2 and (68 + 48) / 2; drop rates: 10, 15 and 10, 20 per cent.
    assert (task["clean"], task["score"], task["worst"], task["worst_score"]) == (70, 60.5, "de", 51)
    assert task["sd"] == pytest.approx(stdev(63, 58)) and task["drop_rate"] == pytest.approx(13.75)
    assert one(report.tasks, start="mnli", task="xnli", level=0.3)["drop"] == 0
    assert report.rows() is report.tasks and report.notes == []


def stdev(one, other):
    return abs(one - other) / 2**0.5


def test_areas_and_the_average_drop_rate(runs):
    report = robustness(runs)
    curve = one(report.curves, start="none", task="pawsx")
    assert (curve["levels"], curve["scores"]) == ([0.0, 0.1, 0.3], [90, 87, 81])
    assert curve["area"] == pytest.approx((0.1 * 88.5 + 0.2 * 84) / 0.3)
    overall = one(report.overall, start="none")
    rates = [10, 15, 10, 20, 20 / 9, 40 / 9, 50, 50, 50, 50, 10, 10]
    assert overall["average_drop_rate"] == pytest.approx(sum(rates) / 12) and overall["settings"] == 12
    assert overall["area"] == pytest.approx(sum(each["area"] for each in report.curves if each["start"] == "none") / 2)
    assert one(report.overall, start="mnli")["average_drop_rate"] == 0


def test_examples_that_stay_right_and_predictions_that_flip(tmp_path):
    place = folder(tmp_path / "run", "none", {("case=0.1", 0): {("xnli", "de"): 50.0}}, {("xnli", "de"): 75.0})
    clean = [("a", 1, 1.0), ("b", 2, 1.0), ("c", 0, 1.0), ("d", 0, 0.0)]
    noisy = [("a", 1, 1.0), ("b", 0, 0.0), ("c", 0, 1.0), ("d", 2, 0.0)]
    for folder_of, examples in ((place, clean), (place / "noise" / "case=0.1-seed0", noisy)):
        found = [{"id": name, "prediction": said, "gained": gained, "possible": 1.0} for name, said, gained in examples]
        lines(folder_of / "predictions" / "xnli" / "de.jsonl", found)
    cell = one(robustness([place]).tasks, task="xnli")
    assert (cell["robust_accuracy"], cell["flip_rate"]) == (50.0, 50.0)


def test_a_file_of_tasks_with_several_models(tmp_path):
    rows = [row("xnli", "de", 60, model=name, intermediate=None) for name in "ab"]
    rows += [row("xnli", "de", score, "keyboard=0.2:text_pair", model=name) for name, score in (("a", 54), ("b", 30))]
    for each in rows:
        del each["intermediate"]
    rows += [rows[-1] | {"score": 45}]  # scored again: the last one counts
    report = robustness([lines(tmp_path / "rows.jsonl", rows)])
    assert {each["start"]: each["drop"] for each in report.tasks} == {"a": 6, "b": 15}
    assert report.tasks[0]["noise"] == "keyboard:text_pair"


def test_languages_that_are_not_everywhere_are_left_out(tmp_path):
    noisy = {("case=0.1", 0): scores(70, 50, 80), ("case=0.2", 0): {("xnli", "en"): 60.0, ("pawsx", "en"): 70.0}}
    report = robustness([folder(tmp_path / "run", "none", noisy)])
    assert {each["language"] for each in report.languages if each["task"] == "xnli"} == {"en"}
    assert report.notes == ["Left out of xnli, case, not everywhere there: de."]


def test_a_clean_score_of_zero_has_no_rate(tmp_path):
    run_of = folder(tmp_path / "run", "none", {("case=0.1", 0): {("xnli", "de"): 0.0}}, {("xnli", "de"): 0.0})
    report = robustness([run_of])
    assert report.tasks[0]["drop_rate"] is None and "xnli de" in report.notes[0]


def test_level_zero_is_the_clean_text_and_no_noise(tmp_path):
    rows = [row("xnli", "de", 80), row("xnli", "de", 80, "keyboard=0"), row("xnli", "de", 70, "keyboard=0.1")]
    report = robustness([lines(tmp_path / "rows.jsonl", rows)])
    assert report.overall[0]["average_drop_rate"] == 12.5 and report.overall[0]["settings"] == 1
    assert (report.curves[0]["levels"], report.curves[0]["area"]) == ([0.0, 0.1], pytest.approx(75))
    with pytest.raises(StiltsError, match="no noisy score"):
        robustness([lines(tmp_path / "zero.jsonl", rows[:2])])


def test_what_does_not_compare_is_refused(tmp_path):
    cell = {("xnli", "de"): 50.0}
    with pytest.raises(StiltsError, match="no noisy score"):
        robustness([folder(tmp_path / "clean", "none", {})])
    with pytest.raises(StiltsError, match="no clean one"):
        robustness([folder(tmp_path / "noisy", "none", {("case=0.1", 0): cell}, {("xnli", "en"): 1.0})])
    rows = [row("xnli", "de", 60), row("xnli", "de", 50, "case=0.1", rows=2)]
    with pytest.raises(StiltsError, match="rows 4 clean and 2 with noise"):
        robustness([lines(tmp_path / "rows.jsonl", rows)])
    rows = [row("xnli", "de", 60), row("xnli", "de", 50, "natural=0.1 (aaaaaaaa)")]
    rows += [row("xnli", "de", 50, "natural=0.1 (bbbbbbbb)", seed=1)]
    with pytest.raises(StiltsError, match="two dictionaries"):
        robustness([lines(tmp_path / "natural.jsonl", rows)])
    with pytest.raises(FileNotFoundError):
        robustness([tmp_path / "nothing"])


@pytest.mark.parametrize("row", ["", '{"a": 1}'])
def test_a_file_that_holds_no_scores_is_refused(row, tmp_path):
    (tmp_path / "odd.jsonl").write_text(f"{row}\n" if row else "")
    with pytest.raises(StiltsError, match="odd.jsonl has no 'model' in its rows.*evaluate TASK --output"):
        robustness([tmp_path / "odd.jsonl"])


def test_command(runs, tmp_path):
    pytest.importorskip("matplotlib")
    code, text = run("robustness", *runs, "--json", "--picture", tmp_path / "curves.png")
    found = json.loads(text)
    assert code == 0 and pd.DataFrame(found["overall"]).set_index("start").loc["mnli", "average_drop_rate"] == 0
    assert (tmp_path / "curves.png").stat().st_size > 1000
    code, text = run("robustness", *runs, "--languages")
    assert code == 0 and "90.0 87.0 81.0" in text and "average_drop_rate" in text.replace(" ", "")


def test_where_less_is_better_a_rise_is_the_drop(tmp_path):
    """Failures rise from 20 to 30 %, and from 40 to 50 %; of two cases one stays right; the third row is none."""
    clean, noisy = {("mcl", "en"): 20.0, ("mcl", "de"): 40.0}, {("mcl", "en"): 30.0, ("mcl", "de"): 50.0}
    place = folder(tmp_path / "run", "none", {("case=0.1", 0): noisy}, clean)
    for file in place.rglob("results.jsonl"):
        file.write_text(file.read_text().replace('"accuracy"', '"failure_rate"'))
    for folder_of, failed in ((place, (0.0, 0.0)), (place / "noise" / "case=0.1-seed0", (0.0, 0.5))):
        found = [{"id": str(n), "prediction": "x", "gained": each, "possible": 0.5} for n, each in enumerate(failed)]
        found.append({"id": "2", "prediction": "x", "gained": 0.0, "possible": 0.0})
        lines(folder_of / "predictions" / "mcl" / "en.jsonl", found)
    report = robustness([place])
    task = one(report.tasks, task="mcl")
    assert (task["drop"], task["drop_rate"], task["worst"], task["worst_score"]) == (10, 37.5, "de", 50)
    assert one(report.languages, language="en")["robust_accuracy"] == 50
