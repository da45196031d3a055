"""The tables of a study: right numbers, from whatever is finished, in the formats that papers and tables want."""

import csv
import json
from dataclasses import asdict

import pytest
from command import run

from hf_stilts.errors import StiltsError
from hf_stilts.files import read_lines, write_json, write_lines
from hf_stilts.studies import tables
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.pictures import study_pictures
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study, describe_study
from hf_stilts.studies.tables import study_report

BASE = "org/base@0123456789012345678901234567890123456789"
# Arm -> per seed the score of each language; accuracy over ten examples, so every score is a multiple of ten.
LANGUAGES = ("de", "en", "fr", "sw", "ur", "zh")
SCORES = {
    arm: [dict(zip(LANGUAGES, seed, strict=True)) for seed in seeds]
    for arm, seeds in {
        "none": [(50, 70, 40, 30, 30, 20), (50, 70, 40, 30, 30, 20)],
        "50 % & more": [(60, 80, 60, 50, 40, 30), (80, 80, 60, 50, 60, 30)],
    }.items()
}


def study(**other):
    arms = {"none": None, "50 % & more": Intermediate("mnli")}
    fields = {"base": (BASE,), "arms": arms, "targets": ("xnli",), "languages": LANGUAGES, "seeds": (0, 1)}
    return Study(**{**fields, "name": "tried", "description": "Whether it is so.", **other})


def finish(folder, made, scores, leave_out=()):
    """Write what a run of a study leaves: records, results and predictions of its cells, and its note."""
    found, store = unfold(made), CellStore(folder)
    for entry in found.entries:
        cell = found.cells[entry.scores]
        if (entry.arm, entry.seed) in leave_out:
            continue
        place = store.folder(entry.scores)
        rows = []
        for code, score in scores[entry.arm][entry.seed].items():
            about = {"task": entry.task, "language": code, "rows": 10, "split": "test", "setting": "zero-shot"}
            rows += [{**about, "metric": "accuracy", "score": float(score), "main": True, "data_revision": "r"}]
            rows += [{**about, "metric": "other", "score": 1.0, "main": False, "data_revision": "r"}]
            examples = [{"id": n, "prediction": 0, "gained": float(10 * n < score), "possible": 1.0} for n in range(10)]
            write_lines(place / "predictions" / entry.task / f"{code}.jsonl", examples)
        write_lines(place / "results.jsonl", rows)
        store.write_record(cell, 0, {"rows": 60}, seconds=1.0, versions={})
        for need in cell.needs:
            trained = {"steps": 100, "batch": 8, "dev_score": 60.0}
            store.write_record(found.cells[need], 0, trained, seconds=7200.0, versions={})
            for start in found.cells[need].needs:
                store.write_record(found.cells[start], 0, trained, seconds=7200.0, versions={})
    cells = {
        name: {"title": cell.title, "stage": cell.stage, "needs": cell.needs, "problem": cell.problem}
        for name, cell in found.cells.items()
    }
    note = {"study": describe_study(made), "cells": cells, "entries": [asdict(entry) for entry in found.entries]}
    write_json(store.study_file(made.name), note)


def table(report, name):
    return next(each for each in report.tables if each.name == name).rows


def test_a_grid_of_languages_of_training_and_of_scoring(tmp_path):
    made = study(targets=("xnli",), train_on={"English": "en", "German": "de"})
    finish(tmp_path, made, SCORES)
    grid = table(study_report("tried", tmp_path), "grid")
    assert [(row["arm"], row["trained in"]) for row in grid] == [
        (arm, name) for arm in SCORES for name in ("English", "German")
    ]
    assert grid[2] == {"arm": "50 % & more", "task": "xnli", "trained in": "English"} | dict(
        zip(LANGUAGES, (70, 80, 60, 50, 50, 30), strict=True)
    )


def test_gains_are_those_of_the_medians_over_seeds_with_their_statistics(tmp_path):
    finish(tmp_path, study(), SCORES)
    report = study_report("tried", tmp_path)
    none, arm = table(report, "scores")
    assert none == {"arm": "none", "seeds": 2, "xnli": 40.0}
    assert arm["xnli"] == pytest.approx((320 / 6 + 360 / 6) / 2)
    (gain,) = table(report, "gains")
    assert gain["gain"] == pytest.approx(arm["xnli"] - 40) and (gain["up"], gain["down"]) == (6, 0)
    assert gain["p"] == gain["p_holm"] == 2 / 2**6  # six signs of one kind
    languages = {row["language"]: row for row in table(report, "languages")}
    assert languages["de"]["gain"] == 20.0 and languages["fr"]["gain"] == 20.0 and languages["en"]["gain"] == 10.0
    assert languages["de"]["low"] <= 20.0 <= languages["de"]["high"]
    assert all(row["p"] <= row["p_holm"] <= 1 for row in languages.values())
    assert max(row["p_holm"] for row in languages.values()) > min(row["p"] for row in languages.values())
    english = next(row for row in table(report, "gaps") if row["gap"] == "English less the others")
    assert english["baseline"] == 70 - 34 and english["gain of the higher"] == 10.0
    assert english["reduction"] == pytest.approx(36 - (80 - (48 + 56) / 2))
    assert table(report, "arms") == [
        {"base": "base", "arm": "50 % & more", "seeds": 2, "steps": 100, "examples": 800, "hours": 2.0}
    ]
    assert report.missing == [] and report.notes == []


def test_what_is_missing_is_named_and_leaves_the_rest_as_it_is(tmp_path):
    finish(tmp_path, study(), SCORES, leave_out={("50 % & more", 1)})
    report = study_report("tried", tmp_path)
    assert table(report, "scores")[1] == {"arm": "50 % & more", "seeds": 1, "xnli": pytest.approx(320 / 6)}
    (gain,) = table(report, "gains")
    assert gain["gain"] == pytest.approx(320 / 6 - 40) and gain["seeds"] == 1
    arm = "50 % & more, base, seed 1"
    assert report.missing == [arm, f"xnli after {arm}", f"xnli scores after {arm}"]
    assert "## Missing: 3 cells that are not finished" in report.markdown()


def test_an_arm_that_lacks_a_language_takes_it_from_no_other_arm(tmp_path):
    arms = {"lacking": Intermediate("qqp"), "none": None, "50 % & more": Intermediate("mnli")}
    lacking = [{code: score for code, score in seed.items() if code != "sw"} for seed in SCORES["none"]]
    finish(tmp_path / "three", study(arms=arms), SCORES | {"lacking": lacking})
    finish(tmp_path / "two", study(), SCORES)
    three, two = (study_report("tried", tmp_path / name, bootstrap=0) for name in ("three", "two"))
    for name in ("gains", "languages", "gaps"):
        own = [row for row in table(three, name) if row["arm"] == "50 % & more"]
        assert own and own == table(two, name)
    assert [row["arm"] for row in table(three, "gains")] == ["lacking", "50 % & more"]
    assert table(three, "gains")[0]["gain"] == 0.0  # over five languages; the baseline has six
    assert [note for note in three.notes if "sw" in note] == [
        "lacking: Left out, because some run lacks them: xnli sw."
    ]


def test_every_file_of_results_is_read_once(tmp_path, monkeypatch):
    made = study(train_on={"English": "en", "German": "de"})
    finish(tmp_path, made, SCORES)
    read = []

    def counted(path):
        read.append(path)
        return read_lines(path)

    monkeypatch.setattr(tables, "read_lines", counted)
    study_report("tried", tmp_path, bootstrap=0)
    assert len(read) == len(set(read)) == len({entry.scores for entry in unfold(made).entries})


def test_without_a_baseline_there_are_scores_and_a_note(tmp_path):
    finish(tmp_path, study(), SCORES, leave_out={("none", 0), ("none", 1)})
    report = study_report("tried", tmp_path)
    assert {each.name for each in report.tables} == {"scores", "arms"}
    assert report.notes == ["There are no gains: the baseline has no scores."]


def test_every_comparison_has_its_own_baseline(tmp_path):
    finish(tmp_path, study(noise=(None, "keyboard=0.1")), SCORES)
    report = study_report("tried", tmp_path, bootstrap=0)
    assert [(row["noise"], row["arm"]) for row in table(report, "gains")] == [
        ("none", "50 % & more"), ("keyboard=0.1", "50 % & more"),
    ]  # fmt: skip
    assert len(table(report, "scores")) == 4 and "low" not in table(report, "languages")[0]


def test_nothing_finished_is_said(tmp_path):
    finish(tmp_path, study(), SCORES, leave_out={(arm, seed) for arm in SCORES for seed in (0, 1)})
    with pytest.raises(StiltsError, match="No scores of tried are finished.*hf-stilts study run tried"):
        study_report("tried", tmp_path)


def test_the_files_are_those_of_papers(tmp_path):
    finish(tmp_path, study(), SCORES)
    report = study_report("tried", tmp_path)
    files = report.write(tmp_path / "report", ["md", "csv", "latex"])
    assert {file.name for file in files} >= {"report.md", "gains.csv", "gains.tex", "languages.csv", "scores.tex"}
    page = (tmp_path / "report" / "report.md").read_text()
    assert "| arm | xnli |\n|---|---|\n| 50 % & more | +16.7* |" in page and "Whether it is so." in page
    with (tmp_path / "report" / "gains.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["arm"], row["task"]) == ("50 % & more", "xnli") and float(row["gain"]) == pytest.approx(50 / 3)
    latex = (tmp_path / "report" / "gains.tex").read_text()
    assert (
        "\\begin{tabular}{lr}\n\\toprule\narm & xnli \\\\\n\\midrule\n50 \\% \\& more & +16.7* \\\\\n\\bottomrule"
        in latex
    )
    with pytest.raises(StiltsError, match="No format 'pdf'; there are md, csv, latex"):
        report.write(tmp_path, ["pdf"])


def test_the_command_prints_and_writes(tmp_path, mistake):
    finish(tmp_path, study(), SCORES)
    code, text = run("study", "report", "tried", "--output-dir", tmp_path, "--format", "md,latex", "--bootstrap", "10")
    assert code == 0 and "+16.7*" in text and "report.md" in text and (tmp_path / "report" / "gains.tex").is_file()
    found = json.loads(run("study", "report", "tried.py", "--output-dir", tmp_path, "--bootstrap", "0", "--json")[1])
    assert found["tables"]["gains"][0]["task"] == "xnli"
    assert "holds the studies tried, and not other" in mistake("study", "report", "other", "--output-dir", tmp_path)


def test_dev_scores_and_noise_of_a_study_are_tables_and_pictures(tmp_path):
    made = study(noise=(None, "keyboard=0.1"))
    finish(tmp_path, made, SCORES)
    found, store = unfold(made), CellStore(tmp_path)
    for entry in found.entries:
        file = store.folder(entry.scores) / "results.jsonl"
        rows = [{**row, "model": "m"} for row in read_lines(file)]
        if entry.noise:
            rows = [{**row, "noise": entry.noise, "noise_seed": 0, "score": row["score"] - 5} for row in rows]
        write_lines(file, rows)
    for cell in found.cells.values():
        if cell.stage == "intermediate":
            curve = [{"step": 50, "accuracy": 55.0}, {"step": 100, "accuracy": 60.0}]
            trained = {"steps": 100, "batch": 8, "curve": curve}
            store.write_record(cell, 0, trained, seconds=1.0, versions={})
    report = study_report("tried", tmp_path, bootstrap=0)
    noise = {row["arm"]: row for row in table(report, "noise")}
    assert noise["none"]["clean"] == 40.0 and noise["none"]["score"] == 35.0 and noise["none"]["level"] == 0.1
    area = {row["arm"]: row["area"] for row in table(report, "robustness")}
    assert area["none"] == pytest.approx(37.5)
    learning = [(row["seed"], row["step"], row["examples"], row["score"]) for row in table(report, "learning")]
    assert learning == [(0, 50, 400, 55.0), (0, 100, 800, 60.0), (1, 50, 400, 55.0), (1, 100, 800, 60.0)]
    pytest.importorskip("matplotlib")
    names = [each.name for each in study_pictures(report)]
    assert "noise-curves" in names and "learning-curves" in names
    assert "gain-matrix-none" in names and "gain-matrix-keyboard-0.1" in names  # a baseline of its own for each


def test_noise_of_several_seeds_is_a_mean_with_its_deviation_in_tables_of_noise_alone(tmp_path):
    made = study(noise=(None, "keyboard=0.1"), noise_seeds=(2, 7))
    finish(tmp_path, made, SCORES)
    store = CellStore(tmp_path)
    for entry in unfold(made).entries:
        file = store.folder(entry.scores) / "results.jsonl"
        rows = [{**row, "model": "m"} for row in read_lines(file)]
        if entry.noise:
            lost = {2: 4, 7: 6}[entry.noise_seed]
            said = {"noise": entry.noise, "noise_seed": entry.noise_seed}
            rows = [{**row, **said, "score": row["score"] - lost} for row in rows]
        write_lines(file, rows)
    report = study_report("tried", tmp_path, bootstrap=0)
    noise = {row["arm"]: row for row in table(report, "noise")}["none"]
    assert (noise["clean"], noise["score"], noise["drop"], noise["seeds"]) == (40.0, 35.0, 5.0, 2)
    assert noise["sd"] == pytest.approx(2**0.5)
    of_first = [row for row in table(report, "scores") if row["noise"] == "keyboard=0.1" and row["arm"] == "none"]
    assert [row["seeds"] for row in of_first] == [2] and 36.0 in of_first[0].values()


def test_scores_after_shots_are_a_table_and_curves_and_touch_no_other_table(tmp_path):
    given = {"targets": ("pawsx",), "languages": ("de", "en", "fr")}
    finish(tmp_path / "plain", study(**given), SCORES)
    made = study(**given, shots=(0, 10, 100))
    finish(tmp_path / "shots", made, SCORES)
    found, store = unfold(made), CellStore(tmp_path / "shots")
    for entry in found.entries:
        if entry.shots:
            file = store.folder(entry.scores) / "results.jsonl"
            rows = [row for row in read_lines(file) if row["language"] == entry.language]
            write_lines(file, [{**row, "score": row["score"] + entry.shots / 10 + entry.seed} for row in rows])
    report = study_report("tried", tmp_path / "shots", bootstrap=0)
    few = {(row["arm"], row["language"], row["shots"]): row["score"] for row in table(report, "shots")}
    assert len(few) == 2 * 2 * 3  # English was trained on already
    assert [few["none", "de", shots] for shots in (0, 10, 100)] == [50.0, 51.5, 60.5]
    assert [few["50 % & more", "fr", shots] for shots in (0, 100)] == [60.0, 70.5]
    plain = study_report("tried", tmp_path / "plain", bootstrap=0)
    for name in ("scores", "gains", "languages"):
        assert table(report, name) == table(plain, name)
    pytest.importorskip("matplotlib")
    figure = {each.name: each.figure for each in study_pictures(report)}["shot-curves"]
    lines = figure.axes[0].get_lines()
    assert list(lines[0].get_xdata()) == [0, 10, 100] and list(lines[0].get_ydata()) == [45.0, 46.5, 55.5]
    places = figure.axes[0].transData.transform([(number, 50) for number in (10, 100, 1000)])[:, 0]
    assert places[2] - places[1] == pytest.approx(places[1] - places[0])  # every tenfold is as long


def test_scores_by_hidden_state_are_a_table_and_a_curve_of_each_arm(tmp_path):
    made = study(targets=("tatoeba", "xnli"), languages=("de", "fr"), layers="all")
    scores = {arm: [{code: seed[code] for code in ("de", "fr")} for seed in SCORES[arm]] for arm in SCORES}
    finish(tmp_path, made, scores)
    found, store = unfold(made), CellStore(tmp_path)
    for entry in found.entries:
        assert ("layers" in found.cells[entry.scores].spec) == (entry.task == "tatoeba")
        if entry.task == "tatoeba" and (entry.arm != "none" or entry.seed == 0):  # its base has no seed
            file = store.folder(entry.scores) / "results.jsonl"
            rows = read_lines(file)
            clean = [row for row in rows if row["main"]]
            for layer in range(3):
                rows += [row | {"metric": "by_layer", "main": False, "layer": layer} for row in clean]
                for row in rows[-len(clean) :]:
                    row["score"] += layer + 10 * entry.seed * (entry.arm != "none")
            write_lines(file, rows)
    report = study_report("tried", tmp_path, bootstrap=0)
    layers = {(row["arm"], row["layer"]): row["score"] for row in table(report, "layers")}
    # Means over German and French: 45; of the seeds of the other arm 60 and 70 + 10: their median is 70.
    assert layers == {
        (arm, layer): mean + layer for arm, mean in (("none", 45), ("50 % & more", 70)) for layer in range(3)
    }
    (shown,) = [each for each in report.tables if each.name == "layers"]
    assert shown.lines()[0] == {"arm": "none", "task": "tatoeba", "seeds": 2, "languages": 2, "0": 45, "1": 46, "2": 47}
    pytest.importorskip("matplotlib")
    figure = {each.name: each.figure for each in study_pictures(report)}["layer-curves"]
    assert [list(line.get_ydata()) for line in figure.axes[0].get_lines()] == [[45, 46, 47], [70, 71, 72]]
    assert any("median over 2 seeds." in text.get_text() for text in figure.texts)
    unfinished = next(
        entry for entry in found.entries if entry.task == "tatoeba" and entry.arm != "none" and entry.seed
    )
    (store.folder(unfinished.scores) / "record.json").unlink()
    fewer = study_report("tried", tmp_path, bootstrap=0)
    figure = {each.name: each.figure for each in study_pictures(fewer)}["layer-curves"]
    assert any("median over 1 to 2 seeds." in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("fields", [{"layers": "8", "targets": ("tatoeba",)}, {"layers": "all"}])
def test_layers_that_no_target_has_are_refused(fields):
    with pytest.raises(StiltsError, match="layers="):
        study(**fields)


def test_cells_of_studies_without_layers_stay_what_they_were():
    with_layers, without = (unfold(study(targets=("tatoeba", "xnli"), layers=layers)) for layers in ("all", None))
    shared = with_layers.cells.keys() & without.cells.keys()
    assert {cell.title.split()[0] for name, cell in without.cells.items() if name not in shared} == {"tatoeba"}


def test_a_report_of_a_run_from_before_there_were_shots(tmp_path):
    made = study()
    finish(tmp_path, made, SCORES)
    note = CellStore(tmp_path).note("tried")
    for entry in note["entries"]:
        del entry["shots"], entry["language"]
    write_json(CellStore(tmp_path).study_file("tried"), note)
    assert "shots" not in [each.name for each in study_report("tried", tmp_path, bootstrap=0).tables]


def test_the_command_writes_a_page_and_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    finish(tmp_path, study(), SCORES)
    words = ["study", "report", "tried", "--output-dir", tmp_path, "--bootstrap", "0", "--format", "html"]
    code, text = run(*words, "--figures", tmp_path / "figures", "--group-by", "script")
    assert code == 0 and "report.html" in text
    assert "<svg" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    drawn = {file.name for file in (tmp_path / "figures").iterdir()}
    assert {"gain-matrix.svg", "gain-matrix.pdf", "gain-matrix.png", "gains-50-more.svg", "gap-english.png"} <= drawn


def test_scores_whose_record_is_broken_are_named_and_in_no_table(tmp_path):
    made = study()
    finish(tmp_path, made, SCORES)
    broken = unfold(made).entries[0].scores
    (CellStore(tmp_path).folder(broken) / "record.json").write_text('{"spec": {"stage": "sco')
    with pytest.raises(StiltsError, match=f"{broken}.record.json is broken.*--redo-broken"):
        study_report("tried", tmp_path)
