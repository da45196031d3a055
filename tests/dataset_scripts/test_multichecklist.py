"""Suites of MultiCheckList: pickles in the published layout are read, and nothing that is in them is run."""

import functools
import os
import pickle
import sys
from dataclasses import replace

import pytest
import tiny
from checklist_suites import ANIMALS, COMPARISONS, OWL, TESTS, suite
from command import run
from datasets import Dataset
from transformers import AutoModelForQuestionAnswering

from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.zero_shot import zero_shot
from hf_stilts.hub.record import Record
from hf_stilts.kinds import kind_for
from hf_stilts.task import load_task


def written(folder, content, language="en"):
    folder.mkdir(exist_ok=True)
    (folder / f"{language}_squad_suite.pkl").write_bytes(content)
    return folder


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_suite_becomes_a_row_for_each_question(tmp_path, protocol):
    build("multichecklist", written(tmp_path / "raw", suite(TESTS, protocol)), tmp_path / "out")
    rows = load("multichecklist", "test", "en", data_dir=tmp_path / "out")
    assert rows["id"][:] == ["animal_vehicle-0-0", "animal_vehicle-0-1", "animal_vehicle-1-0", "comp-0-0"]
    assert rows["test_case"][:] == ["animal_vehicle-0", "animal_vehicle-0", "animal_vehicle-1", "comp-0"]
    assert rows[1] == {
        "id": "animal_vehicle-0-1",
        "question": "What vehicle?",
        "context": "Ann has an owl and a car.",
        "answers": {"text": ["car"], "answer_start": [21]},
        "test_case": "animal_vehicle-0",
    }
    assert rows[3]["answers"] == {"text": ["Anns"], "answer_start": [-1]}


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, exec, __import__, os.makedirs], ids=lambda each: each.__name__)
def test_what_no_suite_needs_is_refused_and_not_run(tmp_path, function):
    made = tmp_path / "made"
    argument = {os.system: f"touch {made}", os.makedirs: str(made), __import__: "antigravity"}.get(
        function, f"open({str(made)!r}, 'w')"
    )
    tests = {ANIMALS: (TESTS[ANIMALS][0], Malicious(function, argument))}
    with pytest.raises(StiltsError, match=rf"en_squad_suite.pkl, its pickle: found .*{function.__name__}"):
        build("multichecklist", written(tmp_path / "raw", suite(tests)), tmp_path / "out")
    assert not made.exists() and "antigravity" not in sys.modules


def test_what_a_suite_does_need_is_a_stand_in_that_does_nothing(tmp_path):
    """`partial` and `getattr` are among what a suite needs, and could reach anything."""
    made = tmp_path / "made"
    run_it = Malicious(functools.partial(os.path.exists, str(made)))
    content = suite({ANIMALS: TESTS[ANIMALS], COMPARISONS: ([[Malicious(getattr, made, "touch")]], [["Ann"]])})
    with pytest.raises(StiltsError, match="pathlib"):
        build("multichecklist", written(tmp_path / "raw", content), tmp_path / "out")
    with pytest.raises(StiltsError, match="genericpath.exists"):
        build("multichecklist", written(tmp_path / "raw", suite({ANIMALS: ([run_it], [])})), tmp_path / "out")
    content = suite({COMPARISONS: ([[Malicious(getattr, "text", "upper")]], [["Ann"]])})
    with pytest.raises(StiltsError, match="case comp-0: found <.*StandIn object"):
        build("multichecklist", written(tmp_path / "raw", content), tmp_path / "out")


@pytest.mark.parametrize(
    ("tests", "match"),
    [
        ({"Negation": TESTS[ANIMALS]}, "the test 'Negation'; expected one of A is COMP"),
        ({ANIMALS: ([OWL], [["owl", "car"], ["cat"]])}, "no cases with their labels"),
        ({ANIMALS: ([OWL], [["owl"]])}, "case animal_vehicle-0: found another number of answers"),
        ({ANIMALS: ([["Who?"]], [["owl"]])}, r"case animal_vehicle-0: found 'Who\?' -> 'owl'"),
        ({}, "no tests"),
    ],
)
def test_faults_are_named(tmp_path, tests, match):
    with pytest.raises(StiltsError, match=match):
        build("multichecklist", written(tmp_path / "raw", suite(tests)), tmp_path / "out")


@pytest.mark.parametrize("content", [b"no pickle", b"", pickle.dumps({"tests": 1}), suite])
def test_a_file_that_is_no_suite_is_named(tmp_path, content):
    content = suite(TESTS)[:-40] if content is suite else content
    with pytest.raises(StiltsError, match="en_squad_suite.pkl, its pickle"):
        build("multichecklist", written(tmp_path / "raw", content), tmp_path / "out")


def test_a_case_fails_if_one_of_its_questions_does(tmp_path):
    build("multichecklist", written(tmp_path / "raw", suite(TESTS)), tmp_path / "out")
    rows, task = load("multichecklist", "test", "en", data_dir=tmp_path / "out"), load_task("multichecklist")
    kind = kind_for(task, "en")
    # Two cases of animals, of which one fails by its second question; the only comparison is right.
    scores = kind.score(task, ["an owl.", "bus", "cat", "Anns"], rows)
    assert scores["failure_rate"] == 25 and scores["failure_rate_animal_vehicle"] == 50
    assert scores["failure_rate_comp"] == 0 and scores["exact_match"] == 75
    shares = kind.shares(task, ["an owl.", "bus", "cat", "Anns"], rows)
    assert shares.tolist() == [[0.5, 0.5], [0, 0], [0, 0.5], [0, 1]]
    assert 100 * shares[:, 0].sum() / shares[:, 1].sum() == scores["failure_rate"]
    with pytest.raises(StiltsError, match="at character -1"):  # nothing says where it is, so nothing is trained on it
        kind.features(task, rows, tiny.tokenizer(), max_length=64, train=True)


def test_a_model_of_squad_is_scored_by_test_and_language(tmp_path):
    raw = written(tmp_path / "raw", suite(TESTS))
    written(raw, suite(TESTS), "de")
    build("multichecklist", raw, tmp_path / "out")
    folder = tiny.save(tmp_path / "qa", model_class=AutoModelForQuestionAnswering)
    (tmp_path / "qa" / "stilts.json").write_text(Record(phase="target", languages=("en",), seed=7).to_json())
    table = zero_shot(folder, "multichecklist", ["en", "de"], data_dir=tmp_path / "out")
    main = table[table["main"]]
    assert set(main["metric"]) == {"failure_rate"} and list(main["language"]) == ["en", "de"]
    assert {"failure_rate_comp", "failure_rate_animal_vehicle", "em_and_f1"} <= set(table["metric"])
    command = [
        "evaluate",
        "multichecklist",
        "--model",
        folder,
        "--languages",
        "de",
        "--data-dir",
        str(tmp_path / "out"),
    ]
    assert "multichecklist failure_rate 100.0" in run(*command)[1]


def test_rows_without_cases_have_no_failure_rate():
    task = replace(load_task("xquad"), name="questions")
    answers = {"text": ["owl"], "answer_start": [0]}
    rows = Dataset.from_list([{"id": "1", "question": "?", "context": "owl", "answers": answers}])
    assert not [name for name in kind_for(task).score(task, ["owl"], rows) if "failure" in name]
