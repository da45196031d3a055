"""Submissions: byte for byte what the official scorer reads, and what is said of a folder that it would not."""

import json

import pytest
from command import run

from hf_stilts.benchmark import Benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.layout import FORMATS
from hf_stilts.evaluation.submission import check_submission, write_submission
from hf_stilts.evaluation.xtreme import evaluate

ALL = Benchmark(
    name="everything",
    title="Everything",
    languages=("de", "et", "zh"),
    groups={
        "classification": ("xnli", "pawsx", "xcopa"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad",),
        "retrieval": ("bucc2018", "mewslix", "lareqa"),
    },
    unread=("lareqa",),
)
SMALL = Benchmark(name="small", title="Small", languages=("de",), groups={"all of it": ("xnli", "udpos", "xquad")})

# For each file what evaluation left behind, and the bytes of the submission.
FILES = {
    "xnli/test-de.tsv": ([(0, "neutral"), (1, "entailment")], "neutral\nentailment\n"),
    "pawsx/test-zh.tsv": ([(0, "1"), (1, "0")], "1\n0\n"),
    "xcopa/test-et.jsonl": ([(0, 1), (1, 0)], '{"label": 1}\n{"label": 0}\n'),
    "udpos/test-de.tsv": ([(0, ["DET", "NOUN"]), (1, ["X"])], "DET\nNOUN\n\nX\n"),
    "panx/test-et.tsv": ([(0, ["O"]), (1, ["B-PER"])], "O\n\nB-PER\n"),
    "xquad/test-zh.json": (
        [("q1", "北京"), ("q2", "")],
        '{\n  "q1": "\\u5317\\u4eac",\n  "q2": ""\n}\n',
    ),
    "bucc2018/test-de.tsv": (
        [("de-000000001", "en-000000007"), ("de-000000002", None), ("de-000000003", "en-000000001")],
        "de-000000001\ten-000000007\nde-000000003\ten-000000001\n",
    ),
    "mewslix/test-de.json": ([("m1", ["Q1", "Q2"])], '{\n  "m1": [\n    "Q1",\n    "Q2"\n  ]\n}\n'),
}


def leave_behind(run, files):
    """Predictions as `hf-stilts evaluate` stores them."""
    for name, pairs in files.items():
        task, _, language = name.partition("/test-")
        path = run / "predictions" / task / f"{language.split('.')[0]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": name, "prediction": prediction, "gained": 1.0} for name, prediction in pairs]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return run


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes().decode() for path in folder.rglob("*") if path.is_file()}


def test_every_kind_is_written_byte_for_byte(tmp_path):
    run = leave_behind(tmp_path / "run", {name: pairs for name, (pairs, _) in FILES.items()})
    leave_behind(run, {"lareqa/test-de.json": [("q", ["a"])]})
    written = write_submission(tmp_path / "out", run, ALL)
    assert tree(tmp_path / "out") == {name: text for name, (_, text) in FILES.items()}
    assert written["udpos"] == ("de",) and "lareqa" not in written
    assert write_submission(tmp_path / "again", run / "predictions", ALL) == written


def test_tatoeba_follows_the_sorted_english_sentences(tmp_path, monkeypatch):
    english = ["b dog ", "a cat", "c owl"]
    monkeypatch.setattr("hf_stilts.evaluation.submission.load", lambda *_, **__: {"target": english})
    tatoeba = Benchmark(name="t", title="T", languages=("de",), groups={"retrieval": ("tatoeba",)})
    # English sorted: a cat (row 1), b dog (row 0), c owl (row 2); nearest German rows: 1 -> 1, 0 -> 2, 2 -> 2.
    run = leave_behind(tmp_path / "run", {"tatoeba/test-de.tsv": [(0, 2), (1, 1), (2, 2)]})
    write_submission(tmp_path / "out", run, tatoeba)
    assert tree(tmp_path / "out") == {"tatoeba/test-de.tsv": "1\n2\n2\n"}
    leave_behind(run, {"tatoeba/test-de.tsv": [(0, 2), (1, 1)]})
    with pytest.raises(StiltsError, match="has 2 predictions; tatoeba has 3 sentences in de.*without --limit"):
        write_submission(tmp_path / "out", run, tatoeba)


def test_sentences_survive_being_written_and_read(tmp_path):
    sentences = [["X"], [], ["X", "X"], []]
    path = tmp_path / "file"
    path.write_text(FORMATS["tags"].write(list(enumerate(sentences))), encoding="utf-8")
    assert FORMATS["tags"].read(path) == sentences


def test_what_is_written_is_well_formed_and_scores_in_full_against_itself(tmp_path):
    run = leave_behind(tmp_path / "run", {name: pairs for name, (pairs, _) in FILES.items() if "xquad" not in name})
    write_submission(tmp_path / "out", run, ALL)
    missing = [problem for problem in check_submission(tmp_path / "out", ALL) if "missing" not in problem.problem]
    assert missing == []
    report = evaluate(tmp_path / "out", tmp_path / "out", ALL.__class__("p", "P", ("zh",), {"one": ("pawsx",)}))
    assert report.totals["all"] == 100.0


@pytest.mark.parametrize(
    ("name", "pairs", "message"),
    [
        ("xnli/test-de.tsv", [(0, "neutral"), (1, "contradictory")], "de.jsonl, line 2: found 'contradictory'"),
        ("udpos/test-de.tsv", [(0, ["DET", "noun"])], "line 1: found .*expected tags such as ADJ"),
        ("xcopa/test-et.jsonl", [(0, 2)], "line 1: found 2, expected the number of a choice"),
        ("xquad/test-de.json", [("q", None)], "line 1: found None, expected the text"),
        ("mewslix/test-de.json", [("m", ["Q1", "Q1"])], "expected a list of up to 20 different ids"),
        ("mewslix/test-de.json", [("m", [f"Q{n}" for n in range(21)])], "expected a list of up to 20 different ids"),
    ],
)  # fmt: skip
def test_predictions_of_another_kind_are_refused_and_nothing_is_written(tmp_path, name, pairs, message):
    run = leave_behind(tmp_path / "run", {"pawsx/test-zh.tsv": [(0, "1")], name: pairs})
    with pytest.raises(StiltsError, match=message):
        write_submission(tmp_path / "out", run, ALL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"limit": 4, "split": "test"}, {"limit": None, "split": "validation"}])
def test_a_run_of_other_rows_is_no_submission(settings, tmp_path):
    leave_behind(tmp_path / "run", {name: pairs for name, (pairs, _) in FILES.items()})
    (tmp_path / "run" / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(StiltsError, match="a submission is of the whole test set. Evaluate again"):
        write_submission(tmp_path / "out", tmp_path / "run", ALL)
    assert not (tmp_path / "out").exists()


def test_rows_without_prediction_and_folders_without_rows(tmp_path):
    run = leave_behind(tmp_path / "run", {"xnli/test-de.tsv": [(0, "neutral")]})
    (run / "predictions/xnli/de.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(StiltsError, match="de.jsonl, line 1 has id. Expected id and prediction"):
        write_submission(tmp_path / "out", run, ALL)
    with pytest.raises(FileNotFoundError, match="No predictions of Everything in .*nowhere"):
        write_submission(tmp_path / "out", tmp_path / "nowhere", ALL)


def well_formed(folder):
    for name, text in {
        "xnli/test-de.tsv": "neutral\nentailment\n",
        "udpos/test-de.tsv": "DET\nNOUN\n\nX\n",
        "xquad/test-de.json": '{\n  "q1": "x",\n  "q2": ""\n}\n',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_well_formed_submission_has_no_problems(tmp_path):
    folder = well_formed(tmp_path)
    assert check_submission(folder, SMALL) == check_submission(folder, SMALL, labels=folder) == []


@pytest.mark.parametrize(
    ("file", "text", "line", "problem"),
    [
        ("xnli/test-de.tsv", "neutral\nEntailment\n", 2, "found 'Entailment', expected one of entailment"),
        ("xnli/test-de.tsv", "neutral\n\n", 2, "found ''"),
        ("xnli/test-de.tsv", "", None, "the file is empty"),
        ("xnli/test-de.tsv", None, None, "the file is missing"),
        ("udpos/test-de.tsv", "DET\nthe NOUN\n", 2, "found 'the NOUN', expected one tag"),
        ("udpos/test-de.tsv", "DET\n\n\nX\n", 3, "empty sentence"),
        ("xquad/test-de.json", '{\n  "q1": "x",\n}', 3, "no JSON"),
        ("xquad/test-de.json", '{\n  "q1": "x",\n  "q2": ["y"]\n}', 3, "q2: found ['y'], expected the text"),
        ("xquad/test-de.json", '["x"]', 1, "found list, expected an object"),
        ("xnli/test_de_predictions.txt", "neutral", None, "does not look for this name, but e.g. for test-de.tsv"),
    ],
)
def test_problems_are_told_with_file_and_line(tmp_path, file, text, line, problem):
    path = well_formed(tmp_path) / file
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text, encoding="utf-8")
    found = check_submission(tmp_path, SMALL)
    assert [(each.file, each.line) for each in found] == [(file, line)]
    assert problem in found[0].problem


def test_files_are_compared_with_their_labels(tmp_path):
    labels, folder = well_formed(tmp_path / "labels"), well_formed(tmp_path / "folder")
    (folder / "xnli/test-de.tsv").write_text("neutral\n")
    (folder / "udpos/test-de.tsv").write_text("DET\nNOUN\n\nX\nX\n")
    (folder / "xquad/test-de.json").write_text('{"q1": "x", "q3": "y"}')
    assert [(each.file, each.line, each.problem) for each in check_submission(folder, SMALL, labels)] == [
        ("xnli/test-de.tsv", None, "1 lines; the labels have 2"),
        ("udpos/test-de.tsv", 4, "sentence 1 has 2 tags from here on; the labels have 1"),
        ("xquad/test-de.json", None, "1 of 2 ids are missing, e.g. q2; they count 0"),
        ("xquad/test-de.json", None, "1 ids are in no label file, e.g. q3"),
    ]


def test_pairs_and_rows_are_checked(tmp_path):
    two = Benchmark(name="b", title="B", languages=("de",), groups={"retrieval": ("bucc2018", "tatoeba")})
    good = "de-000000001\ten-000000002"
    for name, text in {
        "bucc2018": f"{good}\n1\t2\nfr-000000001\ten-000000002\n{good}\n",
        "tatoeba": "1\n2\nx\n0\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "test-de.tsv").write_text(text)
    found = check_submission(tmp_path, two)
    assert [(each.file, each.line) for each in found] == [
        ("bucc2018/test-de.tsv", 2), ("bucc2018/test-de.tsv", 3), ("bucc2018/test-de.tsv", 4),
        ("tatoeba/test-de.tsv", 3),
    ]  # fmt: skip
    assert "the same pair as in line 1" in found[2].problem
    (tmp_path / "tatoeba/test-de.tsv").write_text("0\n2\n")
    assert "the file has 2 lines, so rows end at 1" in check_submission(tmp_path, two)[-1].problem


def test_what_the_scorer_reads_of_a_cut_test_set_is_no_problem(tmp_path):
    """The official mock data: Tatoeba's first lines with the row numbers of the whole, and a folder of another task."""
    one = Benchmark(name="t", title="T", languages=("de",), groups={"retrieval": ("tatoeba",)})
    for name, text in {
        "found/tatoeba/test-de.tsv": "308\n1\n",
        "found/mewslix/test-de.json": "{}",
        "cut/tatoeba/test-de.tsv": "308\n512\n",
        "whole/tatoeba/test-de.tsv": "1\n0\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)

    def levels(labels):
        found = check_submission(tmp_path / "found", one, labels and tmp_path / labels)
        return [(each.file, each.line, each.level) for each in found]

    assert levels("cut") == [("mewslix", None, "warning")]
    assert levels("whole") == [("mewslix", None, "warning"), ("tatoeba/test-de.tsv", 1, "error")]
    assert levels(None) == [("mewslix", None, "warning"), ("tatoeba/test-de.tsv", 1, "warning")]


def test_warnings_alone_are_no_failure(tmp_path, monkeypatch):
    from hf_stilts.evaluation import submission

    monkeypatch.setattr(submission, "load_benchmark", lambda _: SMALL)
    folder = well_formed(tmp_path)
    (folder / "mewslix").mkdir()
    code, said = run("submission", "check", folder, "--json")
    assert (code, [each["level"] for each in json.loads(said)]) == (0, ["warning"])
    (folder / "xnli/test-de.tsv").write_text("maybe\n")
    code, said = run("submission", "check", folder, "--json")
    assert (code, [each["level"] for each in json.loads(said)]) == (1, ["warning", "error"])


def test_folders_are_named_and_many_problems_are_few_lines(tmp_path):
    folder = well_formed(tmp_path)
    (folder / "xnli/test-de.tsv").write_text("x\n" * 40)
    (folder / "udpos/test-de.tsv").unlink()
    (folder / "udpos").rmdir()
    (folder / "pawsx").mkdir()
    found = check_submission(folder, SMALL)
    assert [each.file for each in found] == ["pawsx"] + ["xnli/test-de.tsv"] * 6 + ["udpos"]
    assert "35 more" in found[6].problem and "leaves out the task" in found[7].problem
    with pytest.raises(FileNotFoundError, match="No folder .*gone.*hf-stilts submission"):
        check_submission(tmp_path / "gone", SMALL)


def test_the_command_writes_checks_and_scores(tmp_path):
    left = leave_behind(tmp_path / "run", {"xnli/test-de.tsv": [(0, "neutral")]})
    code, written = run("submission", tmp_path / "out", "--predictions", left, "--json")
    assert code == 0 and json.loads(written) == [{"task": "xnli", "files": 1, "languages": ["de"]}]
    assert run("submission", "write", tmp_path / "out", "--predictions", left)[0] == 0
    code, problems = run("submission", "check", tmp_path / "out", "--json")
    assert code == 1 and ["pawsx", None] in [[each["file"], each["line"]] for each in json.loads(problems)]
    code, scores = run("submission", "score", tmp_path / "out", "--labels", tmp_path / "out", "--json")
    assert code == 0 and json.loads(scores)["xnli"]["accuracy"] == {"de": 100.0}
