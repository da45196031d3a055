"""Misspelt rows: labels, tags and answers stay right, whatever else happens to the text."""

import json

import pytest
from command import run
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from language_rows import PAIRS, QUESTIONS, TAGS, pair, question, store
from typer.testing import CliRunner

from hf_stilts.augmentation.noise import Noise
from hf_stilts.augmentation.noisy_rows import RowNoise, columns_of, misspell, noisy
from hf_stilts.cli import app
from hf_stilts.data.check import fault
from hf_stilts.data.derived import parse_tag
from hf_stilts.data.load import load
from hf_stilts.declarations import list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task, load_task

ALL = Noise("keyboard", 1.0)
CONTEXT = "Ada Lovelace wrote the first program in London, where Ada Lovelace lived with her mother."


def test_columns_by_default():
    assert {kind: columns_of(kind, ALL) for kind in list_kinds()} == {
        "text-classification": ("text", "text_pair"),
        "multiple-choice": ("context", "choices"),
        "token-classification": ("tokens",),
        "question-answering": ("question",),
        "fill-mask": ("text",),
        "bitext-retrieval": ("source",),
        "bitext-mining": ("source",),
        "sentence-similarity": ("query",),
        "answer-retrieval": ("queries",),
    }


def test_pairs_on_both_sides_or_one():
    row = {"id": "7", "text": "A man plays a guitar", "text_pair": "Somebody makes music", "label": 1}
    both = RowNoise(ALL, PAIRS, "en")(row, "7")
    one = RowNoise(Noise("keyboard", 1.0, ("text_pair",)), PAIRS, "en")(row, "7")
    assert both["text"] != row["text"] and both["text_pair"] == one["text_pair"] != row["text_pair"]
    assert (one["text"], one["label"], both["label"]) == (row["text"], 1, 1)


def test_choices_keep_their_number_and_their_label():
    row = {"context": "The man broke his toe", "question": "What was the cause?", "label": 1}
    row["choices"] = ["He got a hole in his sock", "He dropped a hammer on his foot"]
    new = RowNoise(ALL, load_task("xcopa"), "et")(row, "3")
    assert new["question"] == row["question"] and new["label"] == 1 and len(new["choices"]) == 2
    assert all(a != b for a, b in zip(new["choices"], row["choices"], strict=True)) and new["context"] != row["context"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=8), st.sampled_from(["keyboard", "character", "case"]))
def test_tokens_stay_aligned(tokens, kind):
    row = {"tokens": [token.replace("\0", "0") for token in tokens], "tags": [0] * len(tokens)}
    new = RowNoise(Noise(kind, 1.0), TAGS, "zh")(row, "1")
    assert new["tags"] == row["tags"] and list(map(bool, new["tokens"])) == list(map(bool, row["tokens"]))
    blanks = [[each for each in token if each.isspace()] for token in row["tokens"]]
    assert [[each for each in token if each.isspace()] for token in new["tokens"]] == blanks


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(CONTEXT) - 1), st.integers(1, 30), st.sampled_from(["keyboard", "character", "case"]))
def test_answers_are_where_they_say(start, length, kind):
    answer = CONTEXT[start : start + length]
    row = {"id": "1", "question": "Who was it?", "context": CONTEXT}
    row["answers"] = {"text": [answer], "answer_start": [start]}
    new = RowNoise(Noise(kind, 1.0, ("context",)), QUESTIONS, "en")(row, "1")
    assert fault(new) == "" and new["answers"]["text"] == [answer] and new["question"] == row["question"]
    assert new["context"] != CONTEXT


def test_the_context_stays_by_default():
    row = question(1, CONTEXT, "London", "Where did she live?")
    new = RowNoise(ALL, QUESTIONS, "en")(row, "q1")
    assert new["question"] != row["question"] and {**new, "question": ""} == {**row, "question": ""}


def test_a_mention_stays_or_is_the_same_twice():
    task = load_task("mewslix")
    row = {"query_ids": ["a"], "queries": ["Berlin: He lives in { Berlin } with his family."], "gold": [["x"]]}
    (kept,) = RowNoise(ALL, task, "en")(row, "0")["queries"]
    assert kept.startswith("Berlin: ") and "{ Berlin }" in kept and kept != row["queries"][0]
    (changed,) = RowNoise(Noise("keyboard", 1.0, ("queries", "mention")), task, "en")(row, "0")["queries"]
    mention, _, sentence = changed.partition(": ")
    assert mention != "Berlin" and f"{{ {mention} }}" in sentence


def test_sides_of_a_bitext():
    row = {"source": "Привет, мир", "target": "Hello, world"}
    new = RowNoise(ALL, load_task("tatoeba"), "ru")(row, "0")
    assert new["target"] == row["target"] and new["source"] != row["source"]
    both = RowNoise(Noise("character", 1.0, ("source", "target")), load_task("tatoeba"), "ru")(row, "0")
    assert both["target"].isascii() and both["target"] != row["target"]


def test_a_corpus_in_one_row_goes_by_its_ids():
    task = load_task("bucc2018")
    whole = {"source_ids": ["a", "b"], "source": ["Ein erster Satz", "Ein zweiter Satz"], "target": ["x"], "gold": []}
    part = {**whole, "source_ids": ["b"], "source": ["Ein zweiter Satz"]}
    assert RowNoise(ALL, task, "de")(whole, "0")["source"][1:] == RowNoise(ALL, task, "de")(part, "0")["source"]


def test_errors_follow_the_id_and_not_the_order():
    rows = Dataset.from_list([{"id": str(n), **pair(n)} for n in range(20)])
    level = Noise("keyboard", 0.5)
    there, edits = noisy(rows, PAIRS, "en", level)
    back, _ = noisy(rows.select(range(19, -1, -1)), PAIRS, "en", level)
    assert there.to_list() == back.to_list()[::-1] and edits > 10
    assert there["text"] != rows["text"] and there["label"] == rows["label"]
    assert there._fingerprint != rows._fingerprint != noisy(rows, PAIRS, "en", Noise("keyboard", 0.4))[0]._fingerprint
    other = noisy(rows, Task(kind=PAIRS.kind, dataset="x/y", name="other", labels=("no", "yes")), "en", level)[0]
    assert other["text"] != there["text"]


def test_level_zero_is_the_rows():
    rows = Dataset.from_list([{"id": str(n), **pair(n)} for n in range(3)])
    same, edits = noisy(rows, PAIRS, "en", Noise("keyboard", 0.0))
    assert same.to_list() == rows.to_list() and edits == 0 and same.features == rows.features


def test_rows_of_several_languages():
    rows = Dataset.from_list(
        [{"id": "1", "text": "добрый день", "text_pair": None, "label": 0, "language": "ru"},
         {"id": "2", "text": "guten Tag", "text_pair": None, "label": 0, "language": "de-t-en"}]
    )  # fmt: skip
    new = noisy(rows, PAIRS, "en", Noise("character", 1.0))[0]["text"]
    assert not new[0].isascii() and new[0] != "добрый день" and new[1] != "guten Tag"


def test_a_column_without_text():
    with pytest.raises(StiltsError, match="question, context"):
        columns_of("question-answering", Noise("keyboard", 0.1, ("questions",)))
    with pytest.raises(StiltsError, match="mention"):
        columns_of("text-classification", Noise("keyboard", 0.1, ("mention",)))


def test_tag():
    for tag in ("de-x-nz10-keyboard-0", "de-t-en-x-nz5-case-12", "en-x-cs50-de-sw-nz10-character-1"):
        assert str(parse_tag(tag)) == tag
    assert parse_tag("en-x-cs50-de-sw-nz10-character-1").languages == ("en", "de", "sw")
    assert parse_tag("de-x-nz10-keyboard-0").noise == "10-keyboard-0"


def test_written_rows_are_loaded_by_their_tag(tmp_path):
    mirror = store(tmp_path, PAIRS, {"en": {"train": [pair(n) for n in range(30)]}})
    report = misspell(PAIRS, Noise("keyboard", 0.2, seed=3), mirror, data_dir=mirror)
    (row,) = report.rows()
    rows = load(PAIRS, "train", "en-x-nz20-keyboard-3", data_dir=mirror)
    clean = load(PAIRS, "train", data_dir=mirror)
    assert row["language"] == "en-x-nz20-keyboard-3" and row["rows"] == 30 and rows["id"] == clean["id"]
    differ = sum(a != b for a, b in zip(rows.remove_columns("id"), clean.remove_columns("id"), strict=True))
    assert row["changed"] == differ > 10 and row["edits"] >= differ
    assert (
        rows.to_list()
        == noisy(clean, PAIRS, "en", Noise("keyboard", 0.2, seed=3))[0].select_columns(rows.column_names).to_list()
    )


def test_refused(tmp_path):
    mirror = store(tmp_path, PAIRS, {"en": {"train": [pair(n) for n in range(3)]}})
    with pytest.raises(StiltsError, match="per cent"):
        misspell(PAIRS, Noise("keyboard", 0.125), mirror, data_dir=mirror)
    with pytest.raises(StiltsError, match="misspelt already"):
        misspell(PAIRS, ALL, mirror, languages=["en-x-nz10-case-0"], data_dir=mirror)
    with pytest.raises(StiltsError, match="no training rows"):
        misspell("tatoeba", ALL, mirror)
    with pytest.raises(StiltsError, match=r"data noise pairs --languages en --noise case=0\.1 --seed 4"):
        load(PAIRS, "train", "en-x-nz10-case-4", data_dir=mirror)


def test_command(tmp_path):
    mirror = store(
        tmp_path, Task(kind=PAIRS.kind, dataset="nyu-mll/glue"), {"mnli": {"train": [nli(n) for n in range(9)]}}
    )
    words = (
        "data",
        "noise",
        "mnli",
        "--noise",
        "case=0.5",
        "--seed",
        2,
        "--out",
        mirror,
        "--data-dir",
        mirror,
        "--json",
    )
    code, text = run(*words)
    (row,) = json.loads(text)
    assert (
        code == 0 and (row["language"], row["rows"]) == ("en-x-nz50-case-2", 9) and row["edits"] >= row["changed"] > 0
    )


def nli(number):
    return {"premise": f"She sings song {number}", "hypothesis": "Somebody sings", "label": number % 3, "idx": number}


def test_the_command_says_what_a_noise_is():
    done = CliRunner().invoke(app, ["data", "noise", "mnli", "--noise", "keybord=0.1", "--out", "nowhere"])
    assert isinstance(done.exception, StiltsError) and "Did you mean keyboard?" in str(done.exception)
