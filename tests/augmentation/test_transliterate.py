"""Rows in another script: the library's words, the answers in their places."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from language_rows import question, store
from places import DATA

from hf_stilts.augmentation.transliterate import Transliterator, transliterate, word_writer
from hf_stilts.data.check import fault
from hf_stilts.data.derived import write_made
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task

pytest.importorskip("uroman")
pytest.importorskip("indic_transliteration")

ASKED = Task(
    kind="question-answering", dataset="x/asked", config="{language}", languages=("en", "hi", "ta"), metric="f1",
    name="asked",
)  # fmt: skip
HINDI = "रमेश दिल्ली में रहता है। वह २० साल का है।"


def test_into_latin():
    row = {"text": "Москва, ABC 12", "text_pair": "Ещё", "label": 1}
    assert Transliterator("text-classification", "ru", "Latn")(row) == {
        "text": "Moskva, ABC 12", "text_pair": "Yeshchyo", "label": 1,
    }  # fmt: skip


def test_between_indic_scripts():
    # The two scripts have the same signs in the same order: these are the pairs ka-ma-la and ra-ma of both alphabets.
    row = {"tokens": ["कमल", "राम", "."], "tags": [0, 1, 0]}
    new = Transliterator("token-classification", "hi", "Telu")(row)
    assert new == {"tokens": ["కమల", "రామ", "."], "tags": [0, 1, 0]}
    assert Transliterator("token-classification", "te", "Deva")(new) == row


@settings(deadline=None)
@given(st.integers(0, len(HINDI) - 1), st.integers(1, len(HINDI)), st.sampled_from(["Latn", "Taml", "Beng"]))
def test_answers_are_where_they_say(start, length, script):
    answer = HINDI[start : start + length]
    row = {"id": "1", "question": "कौन?", "context": HINDI, "answers": {"text": [answer], "answer_start": [start]}}
    new = Transliterator("question-answering", "hi", script)(row)
    assert fault(new) == "" and new["context"] != HINDI


def test_an_answer_is_the_transliterated_answer():
    row = question(1, HINDI, "दिल्ली", "रमेश कहाँ रहता है?")
    new = Transliterator("question-answering", "hi", "Latn")(row)
    assert new["answers"]["text"] == [word_writer("hi", "Latn")("दिल्ली")] == ["dillii"]


def test_written_rows_are_loaded_by_their_tag(tmp_path):
    mirror = store(tmp_path, ASKED, {"hi": {"train": [question(n, HINDI, "दिल्ली") for n in range(3)]}})
    report = transliterate(ASKED, "Latn", mirror, languages=["hi"], data_dir=mirror)
    assert [(row["language"], row["rows"]) for row in report.rows()] == [("hi-Latn", 3)]
    rows = load(ASKED, language="hi-Latn", data_dir=mirror)
    assert rows["id"][:] == ["q0", "q1", "q2"] and rows[0]["answers"]["text"] == ["dillii"]
    write_made(ASKED, "te-t-en", {"train": [question(1, "ఢిల్లీ", "ఢిల్లీ")]}, mirror, {"by": "hand"})
    transliterate(ASKED, "Taml", mirror, languages=["te-t-en"], data_dir=mirror)
    assert len(load(ASKED, language="te-Taml-t-en", data_dir=mirror)) == 1


@pytest.mark.parametrize(
    ("language", "script"), [("en", "Latn"), ("ru", "Deva"), ("hi", "Deva"), ("hi", "Xxxx"), ("qaa", "Latn")]
)
def test_scripts_that_cannot_be_written(language, script):
    with pytest.raises(StiltsError, match=f"'{language}' .*cannot be written in '{script}'"):
        word_writer(language, script)


def test_evaluation_data_is_left_alone(tmp_path):
    bitext = Task(kind="bitext-retrieval", dataset="x/y", name="bitext")
    with pytest.raises(StiltsError, match="has no training rows"):
        transliterate(bitext, "Latn", tmp_path, languages=["hi"])


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "indic_transliteration", None)
    word_writer.cache_clear()
    with pytest.raises(StiltsError, match=r"pip install 'hf_stilts\[transliterate\]'"):
        word_writer("mr", "Gujr")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["ar", "hi", "th", "zh"])
def test_real_answers_are_where_they_say(language, tmp_path):
    from hf_stilts.dataset_scripts import build

    if not (DATA / "xquad").is_dir():
        pytest.skip(f"no {DATA / 'xquad'}")
    build("xquad", DATA / "xquad", tmp_path, languages=[language])
    rows = load("xquad", "test", language, data_dir=tmp_path, limit=100)
    new = [Transliterator("question-answering", language, "Latn")(row) for row in rows]
    assert [fault(row) for row in new] == [""] * len(rows)
    letters = {sign for row in new for text in row["answers"]["text"] for sign in text if sign.isalpha()}
    assert letters and "".join(letters).isascii()
