"""Gains over a baseline: medians over seeds, gaps between languages, the best start per target, and what is chance."""

import csv
import io
import json

import numpy as np
import pytest
from command import run
from hypothesis import given, settings
from hypothesis import strategies as st
from result_files import SCORES, one, write

from hf_stilts.benchmark import load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import read_results
from hf_stilts.studies.gains import gains
from hf_stilts.studies.pictures import gain_pictures
from hf_stilts.studies.statistics import holm, paired_bootstrap, sign_test

# Dev score of each target from each start, and scores by language; three seeds of "mnli", two of the baseline.


@pytest.mark.parametrize("column", ["layer", "pooling", "pool", "candidates"])
def test_scores_of_other_searches_do_not_compare(column, tmp_path):
    cells = {("tatoeba", "de"): 30}
    runs = [write(tmp_path / start, start, cells, **{column: start}) for start in ("none", "mnli")]
    with pytest.raises(StiltsError, match=f"tatoeba de was scored with {column} none and mnli"):
        gains(runs)


def test_noisy_scores_do_not_compare_with_clean_ones(tmp_path):
    cells = {("xnli", "de"): 30}
    runs = [write(tmp_path / "none", "none", cells), write(tmp_path / "mnli", "mnli", cells, noise="keyboard=0.1")]
    with pytest.raises(StiltsError, match=r"xnli de was scored with noise none and keyboard=0\.1"):
        gains(runs)


@pytest.mark.parametrize(
    ("given", "without"), [({"precision": "bf16"}, "float32"), ({"source_prefix": "query:"}, "none")]
)
def test_a_setting_that_a_row_leaves_out_is_named_by_what_that_means(given, without, tmp_path):
    cells = {("tatoeba", "de"): 30}
    runs = [write(tmp_path / "none", "none", cells, **given), write(tmp_path / "mnli", "mnli", cells)]
    (column, value), *_ = given.items()
    with pytest.raises(StiltsError, match=f"tatoeba de was scored with {column} {value} and {without};"):
        gains(runs)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("recipe", "jiant", "xtreme-2020"), ("flags", ["--max_steps", "5"], []), ("train_limit", 5, None)],
)
def test_runs_that_were_trained_otherwise_do_not_compare(name, ours, theirs, files):
    for file in files:
        seed = ["--seed", file.parent.name[-1]]
        settings = {"flags": seed, "recipe": "jiant", "train_limit": None}
        given = {name: ours if "mnli" in file.parent.name else theirs}
        given["flags"] = [*seed, *given.get("flags", [])]
        file.with_name("settings.json").write_text(json.dumps({**settings, **given}))
    with pytest.raises(StiltsError, match=f"was run with {name} .*would not be that of intermediate training"):
        gains(files)
    for file in files:  # seeds may differ, and how much is printed
        flags = ["--seed", file.parent.name[-1], "--disable_tqdm", "true" if "mnli" in file.parent.name else "false"]
        file.with_name("settings.json").write_text(json.dumps({"flags": flags}))
    assert gains(files).tasks


def test_files_of_one_folder_are_runs_of_their_own_and_count_once(files, tmp_path):
    flat = []
    for number, file in enumerate(files):
        flat.append(tmp_path / f"{number}.jsonl")
        flat[-1].write_text(file.read_text())
    assert gains([*flat, *flat]).tasks == gains(files).tasks


def test_results_of_tasks_are_not_those_of_a_benchmark(tmp_path):
    (tmp_path / "out.jsonl").write_text(json.dumps({"task": "udpos", "main": True, "score": 1.0}) + "\n")
    with pytest.raises(StiltsError, match="does not say where its models started"):
        gains([tmp_path / "out.jsonl"])


def test_two_models_that_mine_nothing_right_are_alike():
    found = paired_bootstrap([{"a": (0.0, 1.0)}], [{"a": (0.0, 1.0), "b": (0.0, 1.0)}], samples=10)
    assert (found.gain, found.low, found.high) == (0.0, 0.0, 0.0)


def test_gain_of_a_language_is_the_difference_of_medians_over_seeds(files):
    """xnli sw: median of 50, 51, 46 is 50, of 40, 42 is 41: 9 points. Deviations: sqrt(7) of three, sqrt(2) of two."""
    row = one(gains(files).languages, task="xnli", language="sw")
    assert (row["score"], row["baseline"], row["gain"], row["seeds"]) == (50, 41, 9, 2)
    assert (row["spread"], row["baseline_spread"]) == (pytest.approx(7**0.5), pytest.approx(2**0.5))


def test_gain_of_a_task_is_that_of_its_mean_over_languages(files):
    """xnli by run: 187/3, 192/3, 185/3 against 170/3, 178/3: medians 187/3 and 174/3."""
    row = one(gains(files).tasks, task="xnli")
    assert row["gain"] == pytest.approx(13 / 3)
    assert (row["up"], row["down"], row["p"]) == (3, 0, pytest.approx(0.25))  # 2 * (1/2)^3
    # Three tasks have one, one and three languages: p = 1, 1, 0.25; Holm: 3 * 0.25 = 0.75, then 1.
    assert row["p_holm"] == pytest.approx(0.75)


def test_gain_of_a_group_needs_all_its_tasks(files):
    """classification = (xnli + pawsx) / 2. By run: (62.33+79)/2, (64+75)/2, (61.67+77)/2; baseline (56.67+80)/2 ..."""
    report = gains(files)
    row = one(report.groups, group="classification")
    ours = np.median([(187 / 3 + 79) / 2, (192 / 3 + 75) / 2, (185 / 3 + 77) / 2])
    assert row["gain"] == pytest.approx(ours - np.median([(170 / 3 + 80) / 2, (178 / 3 + 82) / 2]))
    assert [row["group"] for row in report.groups] == ["classification", "mean of these tasks"]


def test_gaps_and_what_is_left_of_them(files):
    """xnli, English less de and sw, by run: 73-57, 75-58.5, 77-54: 16, 16.5, 23; baseline 70-50 and 74-52: 20, 22.

    Classes 4-5 (en, de) less 0-2 (sw): 18.5, 19.5, 23.5; baseline 25, 26.
    """
    found = gains(files).gaps
    english = one(found, task="xnli", gap="English less the others")
    assert (english["points"], english["baseline"], english["reduction"]) == (16.5, 21, 4.5)
    classes = one(found, task="xnli", gap="classes 4-5 less 0-2")
    assert (classes["points"], classes["baseline"], classes["reduction"]) == (19.5, 25.5, 6)
    assert {row["task"] for row in found} == {"xnli"}, "a task of one language has no gap"


@pytest.mark.parametrize(
    ("english", "german", "reduction", "change"),
    [
        (70, 52, 2, "reduced"),
        (60, 58, 8, "reduced, but the higher side fell too"),
        (72, 55, 3, "reduced"),
        (66, 50, 0, "narrower only since the higher side fell"),
        (65, 48, 0, "narrower only since the higher side fell"),
        (69, 51, 1, "reduced, but the higher side fell too"),
        (71, 51, 0, "as before"),
        (68, 45, -3, "wider"),
        (75, 52, -3, "wider"),
    ],
)
def test_a_gap_is_reduced_only_as_far_as_the_lower_side_rose(english, german, reduction, change, tmp_path):
    """The baseline has 70 in English and 50 in German, a gap of 20."""
    before = write(tmp_path / "none", "none", {("xnli", "en"): 70, ("xnli", "de"): 50})
    after = write(tmp_path / "mnli", "mnli", {("xnli", "en"): english, ("xnli", "de"): german})
    row = one(gains([before, after]).gaps, gap="English less the others")
    assert (row["reduction"], row["change"]) == (reduction, change)
    assert (row["gain of the higher"], row["gain of the lower"]) == (english - 70, german - 50)


def test_the_best_start_is_chosen_on_english_dev_and_never_on_test(files):
    """Dev says mnli for xnli (61 against 60) and none for pawsx (70 against 68). Tatoeba has no dev: the rises
    are +1 and -2, -0.5 in the mean, so the baseline is taken although mnli is 22 points better on the test set."""
    best = gains(files).best
    assert [(row["task"], row["best"]) for row in best[:-1]] == [
        ("xnli", "mnli"),
        ("pawsx", "none"),
        ("tatoeba", "none"),
    ]
    assert one(best, task="tatoeba")["chosen on"] == "dev of the other targets"
    combined = one(best, task="mean of 3")
    assert combined["gain"] == pytest.approx((187 / 3 - 174 / 3) / 3)


def test_languages_that_a_run_lacks_are_left_out_and_said(files, tmp_path):
    less = {cell: score for cell, score in SCORES["mnli"][0].items() if cell != ("xnli", "sw")}
    report = gains([*files[:3], write(tmp_path / "less", "mnli", less)])
    assert report.notes == ["Left out, because some run lacks them: xnli sw."]
    assert [row["language"] for row in report.languages if row["task"] == "xnli"] == ["en", "de"]


def test_what_does_not_compare_is_refused(files, tmp_path):
    with pytest.raises(StiltsError, match="start from mnli; the baseline 'none' and at least one other are expected"):
        gains(files[2:])
    with pytest.raises(StiltsError, match="results of mbert start from mnli; the baseline 'none'"):
        gains([*files, write(tmp_path / "mbert", "mnli", SCORES["mnli"][0], base="mbert")])
    with pytest.raises(StiltsError, match="pawsx en was scored with setting zero-shot and translate-train"):
        gains([*files, write(tmp_path / "mt", "mnli", SCORES["mnli"][0], setting="translate-train")])
    with pytest.raises(StiltsError, match="No results were given"):
        gains([])


def test_each_base_is_compared_with_its_own_baseline(files, tmp_path):
    cells = {start: {("xnli", "de"): score, ("xnli", "en"): score} for start, score in (("none", 50), ("mnli", 54))}
    others = [write(tmp_path / f"mbert-{start}", start, scores, base="mbert") for start, scores in cells.items()]
    report = gains([*files, *others])
    assert one(report.tasks, base="mbert", task="xnli")["gain"] == 4
    assert one(report.tasks, base="xlmr", task="xnli") == {"base": "xlmr", **one(gains(files).tasks, task="xnli")}
    pictures = {picture.name for picture in gain_pictures(report, load_benchmark("xtreme"))}
    assert {"gain-matrix-xlmr", "gain-matrix-mbert"} <= pictures


def test_the_reduction_of_a_gap_has_an_interval_over_examples(tmp_path):
    """Of 200 German examples 120 are right before and 160 after; of English ones 180 before, and 180 or 140 after."""
    right = {"none": {"en": 180, "de": 120}, "mnli": {"en": 180, "de": 160}, "qqp": {"en": 140, "de": 118}}
    files = [write(tmp_path / start, start, {("xnli", "en"): 0.0, ("xnli", "de"): 0.0}) for start in right]
    for file, counts in zip(files, right.values(), strict=True):
        folder = file.parent / "predictions" / "xnli"
        folder.mkdir(parents=True)
        for language, count in counts.items():
            lines = [json.dumps({"id": n, "gained": float(n < count), "possible": 1.0}) for n in range(200)]
            (folder / f"{language}.jsonl").write_text("\n".join(lines) + "\n")
    found = gains(files).gaps
    risen, fallen = one(found, intermediate="mnli"), one(found, intermediate="qqp")
    assert 12 < risen["low"] < 20 < risen["high"] < 28 and risen["p"] == risen["p_holm"] < 0.01
    assert fallen["low"] == 0 and fallen["p"] > 0.2  # English fell, and German did not rise


def test_predictions_beside_the_results_give_an_interval(tmp_path):
    """100 examples: the baseline is right on the first 40, mnli on the first 60."""
    scores = {("xnli", "de"): 0.0}
    files = [write(tmp_path / start, start, scores) for start in ("none", "mnli")]
    for file, right in zip(files, (40, 60), strict=True):
        lines = [{"id": i, "prediction": "x", "gained": float(i < right), "possible": 1.0} for i in range(100)]
        path = file.parent / "predictions" / "xnli" / "de.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [gains(files, seed=seed).languages[0] for seed in (1, 1, 2, 3, 4)]
    assert rows[0] == rows[1] and rows[1:].count(rows[0]) < 4, "the seed decides the draws"
    # The difference of 20 has a standard error of 100 * sqrt(0.2 * 0.8 / 100) = 4.
    assert rows[0]["low"] == pytest.approx(20 - 1.96 * 4, abs=1.5) and rows[0]["high"] == pytest.approx(27.8, abs=1.5)
    assert rows[0]["p"] < 0.01
    assert "low" not in gains(files, bootstrap=0).languages[0]


def test_bootstrap_of_a_ratio_counts_what_only_one_model_has():
    """F1 of mined pairs: (2+0)/(2+1) against 2/(2+1+1); the ids differ, since each model mined its own."""
    ours, theirs = {"a": (2.0, 2.0), "b": (0.0, 1.0)}, {"a": (2.0, 2.0), "b": (0.0, 1.0), "c": (0.0, 1.0)}
    assert paired_bootstrap([ours], [theirs]).gain == pytest.approx(100 * (2 / 3 - 2 / 4))


def test_bootstrap_refuses_other_examples():
    with pytest.raises(StiltsError, match="only one has 'c'"):
        paired_bootstrap([{"a": (1.0, 1.0), "c": (1.0, 1.0)}], [{"a": (1.0, 1.0), "b": (0.0, 1.0)}])


def test_bootstrap_takes_the_median_of_the_seeds_as_the_tables_do():
    """Seeds score 10, 20 and 90 against 50: the gain of their median is -30, that of their mean would be -10."""
    seeds = [{name: (float(name < right), 1.0) for name in range(100)} for right in (10, 20, 90)]
    found = paired_bootstrap(seeds, [{name: (float(name < 50), 1.0) for name in range(100)}])
    assert found.gain == -30 and -42 < found.low < -30 < found.high < -18


def test_two_equal_models_differ_by_nothing():
    same = {name: (float(name % 3 == 0), 1.0) for name in range(30)}
    found = paired_bootstrap([same], [same])
    assert (found.gain, found.low, found.high, found.p) == (0, 0, 0, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None)
def test_holm_keeps_the_order_and_never_falls_below_the_test_alone(p_values):
    raised = holm(p_values)
    assert all(alone <= together <= 1 for alone, together in zip(p_values, raised, strict=True))
    assert np.argsort(p_values, kind="stable").tolist() == sorted(
        range(len(raised)), key=lambda i: (raised[i], p_values[i], i)
    )


def test_sign_test_by_hand():
    """Two of eight down: 2 * (1 + 8 + 28) / 256."""
    assert sign_test([1, 1, 1, 1, 1, 1, -1, -1, 0]) == pytest.approx(74 / 256)


def test_the_command_prints_tables_of_other_programs_and_draws(tmp_path, mistake):
    pytest.importorskip("matplotlib")
    files = [
        write(tmp_path / f"{start}{n}", start, seed) for start, seeds in SCORES.items() for n, seed in enumerate(seeds)
    ]
    code, text = run("gains", *files, "--format", "csv", "--languages", "--figures", tmp_path / "drawn")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert code == 0 and len(rows) == 5 and one(rows, task="xnli", language="sw")["gain"] == "9.0"
    assert one(rows, task="xnli", language="sw")["rows"] == "2"
    names = {file.name for file in (tmp_path / "drawn").iterdir()}
    assert {"gain-matrix.svg", "gain-matrix-languages.pdf", "gains-mnli.png", "gap-resources.svg"} <= names
    latex = run("gains", *files, "--format", "latex")[1]
    assert "intermediate & xnli & pawsx & tatoeba" in latex and "mnli & +4.3 & -4.0 & +22.0" in latex
    assert "| mnli | +4.3 | -4.0 | +22.0 |" in run("gains", *files, "--format", "md")[1]
    assert "--format md and --json were given" in mistake("gains", *files, "--format", "md", "--json")


def test_the_command_of_a_benchmark_prints_and_draws_its_scores(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    file = write(tmp_path / "run", "mnli", SCORES["mnli"][0])
    monkeypatch.setattr("hf_stilts.studies.benchmark.run_benchmark", lambda *_, **__: read_results(file))
    monkeypatch.setattr("hf_stilts.hub.reachable.check_reachable", lambda *_, **__: None)
    code, text = run("evaluate", "xtreme", "--format", "csv", "--figures", tmp_path / "drawn")
    assert code == 0
    assert text == "language,xnli,pawsx,tatoeba\nde,64.0,,50.0\nen,73.0,79.0,\nsw,50.0,,\n"
    assert (tmp_path / "drawn" / "scores.svg").is_file()
    latex = run("evaluate", "xtreme", "--format", "latex")[1]
    assert "sw & 50.0 & -- & -- \\\\" in latex and "xnli & classification & accuracy & 62.3 & 3 & 15" in latex


def test_where_less_is_better_a_fall_is_the_gain(tmp_path):
    """Failures in English, German and Swahili; xnli rises by 4 points beside them."""
    failures = {"none": (10, 30, 60), "mnli": (8, 20, 30), "squad_v1": (12, 40, 70)}
    runs = []
    for start, (en, de, sw) in failures.items():
        file = write(tmp_path / start, start, {("multichecklist", "en"): en, ("multichecklist", "de"): de,
            ("multichecklist", "sw"): sw, ("xnli", "de"): 64 if start == "mnli" else 60}, dev_score=1)  # fmt: skip
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            if row["task"] == "multichecklist" and row["main"]:
                row |= {"metric": "failure_rate", "dev_score": {"none": 80, "mnli": 85, "squad_v1": 70}[start]}
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        runs.append(file)
    report = gains(runs)
    swahili = one(report.languages, intermediate="mnli", task="multichecklist", language="sw")
    assert (swahili["score"], swahili["baseline"], swahili["gain"]) == (30, 60, 30)
    task = one(report.tasks, intermediate="mnli", task="multichecklist")
    assert task["gain"] == pytest.approx(14) and (task["up"], task["down"]) == (3, 0)
    assert one(report.tasks, intermediate="squad_v1", task="multichecklist")["gain"] < 0
    gap = one(report.gaps, intermediate="mnli", task="multichecklist", gap="English less the others")
    assert (gap["baseline"], gap["points"], gap["change"]) == (35, 17, "reduced")
    assert one(report.groups, intermediate="mnli")["score"] == 64, "a mean over scores of two directions says nothing"
    best = one(report.best, task="multichecklist")  # dev rows are SQuAD's, of whose score more is better
    assert best["best"] == "mnli" and best["gain"] == pytest.approx(14) and best["score"] == pytest.approx(58 / 3)
    assert any("less of their score is better: multichecklist" in note for note in report.notes)
