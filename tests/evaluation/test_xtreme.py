"""The official scorer: one small case per rule, groups and totals, and what it says of what is missing."""

import json
import subprocess
import sys

import pytest

from hf_stilts.benchmark import Benchmark, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.layout import file_of
from hf_stilts.evaluation.xtreme import evaluate, main, score_files
from hf_stilts.task import load_task

SMALL = Benchmark(
    name="small",
    title="Small",
    languages=("de", "en"),
    groups={"classification": ("xnli",), "qa": ("xquad", "mlqa"), "retrieval": ("tatoeba",)},
)


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def scored(tmp_path, task, language, found, gold):
    task = load_task(task)
    for side, content in (("P", found), ("L", gold)):
        name = file_of(tmp_path / side, task, language)
        fill(tmp_path, {str(name.relative_to(tmp_path)): content})
    return score_files(task, language, tmp_path / "P", tmp_path / "L")


def squad(**golds):
    """SQuAD's JSON: id -> gold answers, one paragraph each."""
    return {
        "version": "1.1",
        "data": [
            {"title": "", "paragraphs": [{"context": "", "qas": [{"id": name, "question": "", "answers": [
                {"text": text, "answer_start": 0} for text in texts]}]}]}
            for name, texts in golds.items()
        ],
    }  # fmt: skip


def test_accuracy_is_equality_of_stripped_lines(tmp_path):
    # Blanks around a line do not count, its case does: 2 of 4.
    scores, notes = scored(tmp_path, "pawsx", "de", "1 \n0\n\t1\n0\n", "1\n1\n1\n1\n")
    assert scores == {"accuracy": 50.0} and not notes
    assert scored(tmp_path, "xnli", "de", "neutral\nEntailment\n", "neutral\nentailment\n")[0] == {"accuracy": 50.0}


def test_the_last_line_needs_no_end_and_carriage_returns_are_ends(tmp_path):
    assert scored(tmp_path, "pawsx", "de", "1\r\n0", "1\n0\n")[0] == {"accuracy": 100.0}


def test_parts_of_speech_are_scored_as_chunks_and_by_accuracy(tmp_path):
    # Gold: NOUN 0-1, SCONJ 2, SCONJ 3 | DET. Found: NOUN 0, VERB 1, SCONJ 2, SCONJ 3 | DET. 3 of 5 found and of 4 gold
    # chunks: P = 3/5, R = 3/4, F1 = 2/3. 4 of 5 tags.
    gold = "NOUN\nNOUN\nSCONJ\nSCONJ\n\nDET\n"
    scores, notes = scored(tmp_path, "udpos", "de", "NOUN\nVERB\nSCONJ\nSCONJ\n\nDET\n\n", gold)
    assert scores == pytest.approx({"f1": 200 / 3, "precision": 60.0, "recall": 75.0, "accuracy": 80.0})
    assert not notes


def test_types_of_parts_of_speech_keep_their_first_letter(tmp_path):
    assert scored(tmp_path, "udpos", "de", "CCONJ\n", "SCONJ\n")[0]["f1"] == 0.0  # seqeval 1.x: 100


def test_the_last_sentence_counts_without_an_empty_line_behind_it(tmp_path):
    assert scored(tmp_path, "panx", "de", "O\n\nB-PER", "O\n\nB-PER\n\n")[0]["f1"] == 100.0


def test_a_sentence_with_a_tag_too_many_is_scored_as_the_official_code_does_and_told(tmp_path):
    # "ADJ" + O + "DET" + O against "ADJ", "ADJ" + O + "DET" + O: nothing is where it should be.
    scores, notes = scored(tmp_path, "udpos", "de", "ADJ\nADJ\n\nDET\n", "ADJ\n\nDET\n")
    assert scores == {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert len(notes) == 1 and "Sentence 0 has 1 gold tags and 2 predicted" in notes[0]


def test_bucc_counts_distinct_pairs(tmp_path):
    # 1 of 2 distinct found pairs is right, of 3 gold pairs: P = 1/2, R = 1/3, F1 = 2/5.
    scores, _ = scored(tmp_path, "bucc2018", "de", "a\tx\nb\ty\nb\ty\n", "a\tx\nc\tz\nd\tw\n")
    assert scores == pytest.approx({"f1": 40.0, "precision": 50.0, "recall": 100 / 3})
    assert scored(tmp_path, "bucc2018", "de", "", "a\tx\n")[0]["f1"] == 0.0


def test_xquad_is_scored_in_every_language_as_english_squad(tmp_path):
    # q1: the article goes, exact. q2: "北京市" and "北京" are one word each, and differ. q3 is not answered.
    scores, notes = scored(
        tmp_path, "xquad", "zh", {"q1": "the cat", "q2": "北京市"}, squad(q1=["cat"], q2=["北京"], q3=["x"])
    )
    assert scores == pytest.approx({"exact_match": 100 / 3, "f1": 100 / 3})
    assert notes == [f"{tmp_path}/P/xquad/test-zh.json: 1 of 3 questions are not answered and count 0"]


def test_mlqa_is_scored_by_its_own_normalisation(tmp_path):
    # 北 京 市 against 北 京: P = 2/3, R = 1, F1 = 4/5; the better of two gold answers counts.
    scores, _ = scored(tmp_path, "mlqa", "zh", {"q": "北京市"}, squad(q=["x", "北京"]))
    assert scores == pytest.approx({"exact_match": 0.0, "f1": 80.0})
    assert scored(tmp_path, "mlqa", "de", {"q": "Das Haus"}, squad(q=["haus"]))[0]["exact_match"] == 100.0


def test_labels_may_be_squads_articles_alone(tmp_path):
    assert scored(tmp_path, "tydiqa", "fi", {"q": "x"}, squad(q=["x"])["data"])[0]["f1"] == 100.0


def test_entities_are_ranked_by_reciprocal_rank_within_twenty(tmp_path):
    # Ranks 1, 2, none, 21, no ranking: (1 + 1/2) / 5.
    gold = {"a": ["Q1"], "b": ["Q1"], "c": ["Q1"], "d": ["Q1"], "e": ["Q1"]}
    found = {"a": ["Q1"], "b": ["Q2", "Q1"], "c": ["Q3"], "d": [f"Q{n}" for n in range(2, 22)] + ["Q1"]}
    scores, notes = scored(tmp_path, "mewslix", "de", found, gold)
    assert scores == pytest.approx({"map@20": 30.0})
    assert "1 of 5 queries have no ranking" in notes[0]


def test_lareqa_has_several_right_answers(tmp_path):
    # Right at ranks 1 and 3 of two: (1/1 + 2/3) / 2.
    scores, _ = scored(tmp_path, "lareqa", "de", {"q": ["a", "x", "b"]}, {"q": ["a", "b"]})
    assert scores == pytest.approx({"map@20": 250 / 3})


def test_xcopa_compares_labels_of_json_lines(tmp_path):
    scores, _ = scored(
        tmp_path, "xcopa", "et", '{"label": 0, "idx": 1}\n{"label": 1}\n', '{"label": 0}\n{"label": 0}\n'
    )
    assert scores == {"accuracy": 50.0}


def two_sides(tmp_path):
    fill(
        tmp_path / "L",
        {
            "xnli/test-de.tsv": "neutral\n", "xnli/test-en.tsv": "neutral\n",
            "xquad/test-de.json": squad(q=["a b"]), "xquad/test-en.json": squad(q=["x y"]),
            "mlqa/test-de.json": squad(q=["haus"]), "mlqa/test-en.json": squad(q=["house"]),
            "tatoeba/test-de.tsv": "0\n1\n",
        },
    )  # fmt: skip
    fill(
        tmp_path / "P",
        {
            "xnli/test-de.tsv": "neutral\n", "xnli/test-en.tsv": "entailment\n",
            "xquad/test-de.json": {"q": "b"}, "xquad/test-en.json": {"q": "z"},
            "mlqa/test-de.json": {"q": "Haus"}, "mlqa/test-en.json": {"q": "House"},
            "tatoeba/test-de.tsv": "0\n0\n",
        },
    )  # fmt: skip
    return tmp_path / "P", tmp_path / "L"


def test_tasks_groups_and_the_total(tmp_path):
    report = evaluate(*two_sides(tmp_path), SMALL)
    # XNLI: (100 + 0) / 2. XQuAD: "a b" loses its article: German exact; English none: EM 50, F1 50. MLQA: all.
    # Tatoeba has no English, and 1 of 2 rows. qa (50 + 100) / 2; all (50 + 50 + 100 + 50) / 4.
    assert report.tasks == {"xnli": 50.0, "xquad": 50.0, "mlqa": 100.0, "tatoeba": 50.0}
    assert report.totals == {"classification": 50.0, "qa": 75.0, "retrieval": 50.0, "all": 62.5}
    assert report.averages("xquad") == {"exact_match": 50.0, "f1": 50.0, "metric": 50.0}
    assert report.notes == []
    written = report.as_json()
    assert written["all_task"] == 62.5 and written["xnli"]["avg_accuracy"] == 50.0
    assert written["xquad"]["f1"] == {"de": 100.0, "en": 0.0} and written["missing"] == {}


def test_a_question_answering_score_is_the_mean_of_exact_match_and_f1(tmp_path):
    predictions, labels = two_sides(tmp_path)
    fill(predictions, {"xquad/test-en.json": {"q": "x"}})
    # English: "x" against "x y": F1 2/3. EM (100 + 0) / 2, F1 (100 + 66.7) / 2, their mean 66.7.
    assert evaluate(predictions, labels, SMALL).tasks["xquad"] == pytest.approx((50 + 250 / 3) / 2)


def test_a_missing_language_leaves_its_task_without_a_score_and_the_benchmark_without_a_total(tmp_path):
    predictions, labels = two_sides(tmp_path)
    (predictions / "mlqa/test-en.json").unlink()
    report = evaluate(predictions, labels, SMALL)
    assert "mlqa" not in report.tasks and report.missing["mlqa"] == ("en",)
    assert report.totals == {"classification": 50.0, "retrieval": 50.0}
    assert report.notes == [
        f"mlqa has no score in en: there is no {predictions}/mlqa/test-en.json, and so on.",
        "No total: mlqa not or not wholly scored; a mean over the rest is none.",
    ]
    written = report.as_json()
    assert "all_task" not in written and "qa" not in written and "avg_f1" not in written["mlqa"]
    assert written["mlqa"]["f1"] == {"de": 100.0} and written["missing"] == {"mlqa": ["en"]}


def test_a_task_without_folder_is_named(tmp_path):
    predictions, labels = two_sides(tmp_path)
    (predictions / "tatoeba").rename(predictions / "elsewhere")
    report = evaluate(predictions, labels, SMALL)
    assert report.missing["tatoeba"] == ("de",) and "No total: tatoeba" in report.notes[0]
    assert "retrieval" not in report.totals and report.totals["qa"] == 75.0


def test_xtreme_r_has_a_total_with_lareqa_and_says_that_upstream_has_none(tmp_path):
    retrieval = Benchmark(
        name="r", title="R", languages=("de",), groups={"retrieval": ("tatoeba", "lareqa")}, unread=("lareqa",)
    )
    predictions, labels = two_sides(tmp_path)
    report = evaluate(predictions, labels, retrieval, lareqa=40.0)
    # Tatoeba 50, LAReQA 40 as given.
    assert report.totals == {"retrieval": 45.0, "all": 45.0}
    assert (
        "cannot read it, and so never forms a total; there its group is the mean of tatoeba: 50.00" in report.notes[0]
    )
    without = evaluate(predictions, labels, retrieval)
    assert without.totals == {} and "No total: lareqa" in without.notes[0]
    fill(predictions, {"lareqa/test-de.json": {"q": ["x", "a"]}})
    fill(labels, {"lareqa/test-de.json": {"q": ["a"]}})
    assert evaluate(predictions, labels, retrieval).totals["all"] == 50.0  # LAReQA 50 from the files
    with pytest.raises(StiltsError, match="lareqa=0.4 with Small. Expected percent, 0 to 100, and xtreme-r"):
        evaluate(predictions, labels, SMALL, lareqa=0.4)
    with pytest.raises(StiltsError, match="lareqa=140"):
        evaluate(predictions, labels, retrieval, lareqa=140)


def test_official_groups_are_those_of_the_benchmarks():
    xtreme = load_benchmark("xtreme")
    assert {name: set(tasks) for name, tasks in xtreme.groups.items()} == {
        "classification": {"xnli", "pawsx"}, "tagging": {"udpos", "panx"}, "qa": {"xquad", "mlqa", "tydiqa"},
        "retrieval": {"bucc2018", "tatoeba"},
    }  # fmt: skip
    counts = {task: len(xtreme.languages_of(task)) for task in xtreme.tasks}
    assert counts == {
        "xnli": 15, "pawsx": 7, "udpos": 33, "panx": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9,
        "bucc2018": 4, "tatoeba": 36,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("task", "found", "gold", "message"),
    [
        ("xnli", "neutral\n", "neutral\nneutral\n", "test-de.tsv has 1 lines; its labels have 2"),
        ("udpos", "X\n\nX\n", "X\n", "has 2 sentences; its labels have 1"),
        ("xnli", "", "", "has 0 lines; its labels have 0. Expected as many, at least one"),
        ("xquad", "{", squad(q=["x"]), "test-de.json, line 1 is no JSON"),
        ("xquad", "3", squad(q=["x"]), "holds int. Expected one JSON object"),
        ("xquad", {"q": 3}, squad(q=["x"]), "cannot be scored"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, task, found, gold, message):
    with pytest.raises(StiltsError, match=message):
        scored(tmp_path, task, "de", found, gold)


def test_bytes_that_are_no_text_are_named(tmp_path):
    fill(tmp_path, {"L/xnli/test-de.tsv": "neutral\n", "P/xnli/x": ""})
    (tmp_path / "P/xnli/test-de.tsv").write_bytes(b"neutral\xff\n")
    with pytest.raises(StiltsError, match="test-de.tsv is not UTF-8"):
        score_files(load_task("xnli"), "de", tmp_path / "P", tmp_path / "L")


def test_folders_without_a_task_in_common(tmp_path):
    with pytest.raises(FileNotFoundError, match="No folder .*P of predictions"):
        evaluate(tmp_path / "P", tmp_path, SMALL)
    with pytest.raises(StiltsError, match="No task of Small has a folder in both"):
        evaluate(fill(tmp_path / "P", {"xnli/test-de.tsv": "neutral\n"}), tmp_path, SMALL)


def test_the_module_is_a_command(tmp_path, capsys):
    predictions, labels = two_sides(tmp_path)
    arguments = ["--predictions", str(predictions), "--labels", str(labels)]
    assert main([*arguments, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert "all_task" not in written and written["mlqa"]["f1"] == {"de": 100.0, "en": 100.0}
    assert set(written["missing"]["mlqa"]) == {"ar", "es", "hi", "vi", "zh"}
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "2, 13 missing" in shown and "No total: xnli, pawsx" in shown
    assert main([*arguments[:2], "--labels", str(tmp_path / "none")]) == 1
    assert "No folder" in capsys.readouterr().err


def test_python_runs_it(tmp_path):
    command = [sys.executable, "-m", "hf_stilts.evaluation.xtreme", "--help"]
    assert "--predictions" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
