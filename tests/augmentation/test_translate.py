"""Translated rows: answers found again or counted, nothing translated twice, nothing lost when it is killed."""

import contextlib
import multiprocessing
import os

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from language_rows import CHOICES, PAIRS, QUESTIONS, TAGS, pair, question, store
from tiny_translators import Words

from hf_stilts.augmentation.answer_spans import Segments, Span, marked, search, unmarked
from hf_stilts.augmentation.translate import _Run, translate
from hf_stilts.augmentation.translation_cache import TranslationCache
from hf_stilts.data.check import fault
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task


def translated(tmp_path, rows, translator=None, task=QUESTIONS, to=("de",)):
    store(tmp_path, task, {"en": {"train": rows}})
    report = translate(task, to, translator or Words(), tmp_path, data_dir=tmp_path)
    return load(task, language="de", data_dir=tmp_path), report.written[0]


def test_an_answer_is_found_as_its_own_translation(tmp_path):
    rows, report = translated(tmp_path, [question(1, "Hello there. The cat sat on the mat.  Yes!", "the mat")])
    assert rows[0] == {
        "id": "q1", "question": "Was ist da?", "context": "Hallo da. Die Katze saß auf die Matte. Ja!",
        "answers": {"text": ["die Matte"], "answer_start": [28]},
    }  # fmt: skip
    assert (report.rows, report.kept, report.searched, report.bracketed, report.dropped) == (1, 1, 1, 0, {})


def test_an_answer_that_reads_otherwise_by_itself_is_found_by_brackets(tmp_path):
    translator = Words(exceptions={"the mat": "der Teppich"})
    rows, report = translated(tmp_path, [question(1, "Hello. The cat sat on the mat.", "the mat")], translator)
    assert "The cat sat on [the mat]." in translator.asked
    assert rows[0]["context"] == "Hallo. Die Katze saß auf die Matte."
    assert rows[0]["answers"] == {"text": ["die Matte"], "answer_start": [25]}
    assert (report.searched, report.bracketed) == (0, 1)


def test_of_several_places_it_is_the_one_with_the_same_number(tmp_path):
    context = "The cat is no dog cat."
    row = question(1, context, "cat")
    row["answers"] = {"text": ["cat"], "answer_start": [context.rindex("cat")]}
    rows, report = translated(tmp_path, [row])
    assert rows[0]["answers"] == {"text": ["Katze"], "answer_start": ["Die Katze ist kein Hund Katze.".rindex("Katze")]}


def test_an_answer_that_is_lost_drops_the_row_and_says_why(tmp_path):
    exceptions = {
        "the mat": "x", "The cat sat on [the mat].": "Die Katze saß.",  # the brackets are gone
        "The dog [1] sat.": "Der Hund [1] saß.", "dog": "x",  # it has brackets already
        "where is it": None,
    }  # fmt: skip
    rows = [
        question(1, "The cat sat on the mat.", "the mat"),
        question(2, "The dog [1] sat.", "dog"),
        question(3, "The cat.", "cat", "where is it"),
        question(4, "The cat.", "cat"),
    ]
    found, report = translated(tmp_path, rows, Words(exceptions=exceptions))
    assert found["id"][:] == ["q4"]
    assert report.dropped == {"answer lost": 1, "answer lost, brackets in its sentence": 1, "no translation": 1}
    assert report.kept + sum(report.dropped.values()) == report.rows == 4


def test_unanswerable_questions_stay(tmp_path):
    rows, report = translated(tmp_path, [question(1, "The cat.", "")])
    assert rows[0]["answers"] == {"text": [], "answer_start": []} and report.kept == 1


def test_an_answer_over_two_sentences_keeps_them_together(tmp_path):
    rows, _ = translated(tmp_path, [question(1, "Hello. The cat. The dog. Yes.", "The cat. The dog")])
    assert rows[0]["answers"]["text"] == ["Die Katze. die Hund"]
    assert rows[0]["context"] == "Hallo. Die Katze. die Hund. Ja."


def test_of_several_answers_those_that_are_found_stay(tmp_path):
    row = question(1, "The cat sat on the mat.", "the mat")
    row["answers"] = {"text": ["the mat", "mat", "cat"], "answer_start": [15, 19, 4]}
    rows, _ = translated(tmp_path, [row], Words(exceptions={"cat": "x", "The [cat] sat on the mat.": "kaputt"}))
    assert rows[0]["answers"]["text"] == ["die Matte", "Matte"]


def test_pairs_and_choices(tmp_path):
    rows, _ = translated(tmp_path, [{"text": "The cat.", "text_pair": "", "label": 1}], task=PAIRS)
    assert rows[0] == {"id": "0", "text": "Die Katze.", "text_pair": "", "label": 1}
    choices = [
        {"context": "hello", "question": "", "choices": ["a cat", "12"], "label": 1},
        {"context": "hello", "question": "", "choices": ["cat", "Cat"], "label": 1},
    ]
    rows, report = translated(tmp_path, choices, task=CHOICES)
    assert rows.to_list() == [
        {"id": "0", "context": "Hallo", "question": "", "choices": ["Eine Katze", "12"], "label": 1}
    ]
    assert report.dropped == {"choices alike": 1}


def test_nothing_is_translated_twice(tmp_path):
    rows = [question(n, "The cat. The dog.", "cat") for n in range(5)]
    translator = Words()
    translated(tmp_path, rows, translator)
    assert sorted(translator.asked) == ["The cat.", "The dog.", "What is there?", "cat"]
    again, other = Words(), Words("other settings")
    translated(tmp_path, rows, again)
    assert again.asked == []
    translated(tmp_path, rows, other)
    assert len(other.asked) == 4


def test_a_killed_run_goes_on(tmp_path):
    rows = [pair(n) for n in range(400)]
    texts = {text for row in rows for text in (row["text"], row["text_pair"])}
    with pytest.raises(KeyboardInterrupt):
        translated(tmp_path, rows, Words(fails_after=300), task=PAIRS)
    assert not list(tmp_path.glob("varieties/**/*.parquet"))  # nothing is half there
    going_on = Words()
    found, report = translated(tmp_path, rows, going_on, task=PAIRS)
    assert report.kept == len(found) == 400
    assert 0 < len(going_on.asked) <= len(texts) - 300


def test_a_process_that_is_killed_outright_keeps_what_it_had(tmp_path):
    """No exception, no clean-up: the process is gone within its third call, and what the first two gave is kept."""
    child = multiprocessing.get_context("fork").Process(target=_killed, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == 9
    going_on = Words()
    translated(tmp_path, [pair(n) for n in range(400)], going_on, task=PAIRS)
    assert len(going_on.asked) == 800 - 512  # of 256 a call


def _killed(tmp_path):
    class Killed(Words):
        def __call__(self, texts, source, target):
            if len(self.asked) >= 512:
                os._exit(9)
            return super().__call__(texts, source, target)

    translated(tmp_path, [pair(n) for n in range(400)], Killed(), task=PAIRS)


def test_text_is_cut_and_put_together_as_the_target_writes_it():
    segments = Segments.of(" One.  Two!\n\nThree ")
    assert segments.texts == ("One.", "Two!", "Three")
    assert segments.joined(["Eins.", "Zwei!", "Drei"], "de") == (" Eins. Zwei!\n\nDrei ", [1, 7, 14])
    assert segments.joined(["一。", "二！", "三"], "zh") == (" 一。二！\n\n三 ", [1, 3, 7])
    assert Segments.of("一。二！").joined(["One.", "Two!"], "en") == ("One. Two!", [0, 5])
    assert Segments.of("").joined([], "de") == ("", [])


@pytest.mark.parametrize(
    ("answer", "sentence", "source", "at", "expected"),
    [
        ("die Katze.", "Hier ist die Katze!", "Here is the cat!", (8, 15), "die Katze"),  # stops at the edges
        ("Die Katze", "Hier ist die Katze!", "Here is the cat!", (8, 15), "die Katze"),  # case
        ("Hund", "Hunde und Hundehütten", "Dogs and kennels", (0, 4), None),  # whole words
        ("猫", "我的猫很小。", "My cat is small.", (3, 6), "猫"),  # no words to be whole
        ("Tor", "Tor um Tor", "goal after goal", (11, 15), "Tor"),
        ("Tor", "Tor um Tor", "scoring", (0, 7), None),  # twice there, once here: which one?
        ("?", "Was?", "What?", (4, 5), None),
    ],
)
def test_search(answer, sentence, source, at, expected):
    found = search(answer, sentence, source, Span(*at))
    assert (found and sentence[found.start : found.end]) == expected
    if expected == "Tor":
        assert found.start == 7  # the second, as in the source


@given(st.text(alphabet="ab .[]［】猫", max_size=12), st.integers(0, 11), st.integers(1, 12))
def test_brackets_come_off_as_they_went_on(sentence, start, length):
    answer = Span(start, min(start + length, len(sentence)))
    if start < len(sentence) and sentence[start : answer.end].strip() == sentence[start : answer.end] != "":
        with_brackets = marked(sentence, answer)
        assert (with_brackets is None) == bool(set("[]［】") & set(sentence))
        if with_brackets and sentence[start : answer.end].strip(" ."):
            assert unmarked(with_brackets) == (sentence, answer)


@pytest.mark.parametrize("text", ["no brackets", "[only one", "two] of[ them", "[a] [b]", "[]", "[.]", "[[a]]"])
def test_brackets_that_say_nothing(text):
    assert unmarked(text) is None


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return TranslationCache(tmp_path_factory.mktemp("cache") / "translations.sqlite")


@settings(deadline=None, max_examples=60)
@given(
    words=st.lists(st.sampled_from("The cat dog sat. Who no! mat \n 12 cat,".split(" ")), min_size=1, max_size=14),
    data=st.data(),
)
def test_answers_are_where_they_say(cache, words, data):
    context = " ".join(words)
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    answers = {"text": [context[start:end]], "answer_start": [start]}
    rows = Dataset.from_list([{"id": "1", "context": context, "question": "who", "answers": answers}])
    run = _Run(QUESTIONS, rows, cache, Words(), "en", "de")
    run.ask()
    found = []
    with contextlib.suppress(StiltsError):  # the only row is dropped
        found = list(run.translated())
    assert len(found) + run.dropped.total() == 1
    assert all(fault(new) == "" for new in found)


def test_what_cannot_be_translated_says_why(tmp_path):
    mirror = store(tmp_path, TAGS, {"en": {"train": [{"tokens": ["a"], "tags": [0]}]}})
    with pytest.raises(StiltsError, match="tag for each token.*hf-stilts data code-switch tags --to de"):
        translate(TAGS, ["de"], Words(), mirror, data_dir=mirror)
    with pytest.raises(StiltsError, match="has no training rows"):
        translate(Task(kind="bitext-retrieval", dataset="x/y", name="b"), ["de"], Words(), mirror)
    mirror = store(tmp_path, QUESTIONS, {"en": {"train": [question(1, "a cat", "cat")]}})
    for target in ("en", "hi-Latn"):
        with pytest.raises(StiltsError, match=f"--to {target}: expected the code of another language"):
            translate(QUESTIONS, [target], Words(), mirror, data_dir=mirror)
    with pytest.raises(StiltsError, match="no rows of its own in 'fr'"):
        translate(QUESTIONS, ["de"], Words(), mirror, language="fr", data_dir=mirror)
    with pytest.raises(
        StiltsError, match=r"No row of questions is left in 'de' of 1 \(1 for: no translation\).*--model"
    ):
        translate(QUESTIONS, ["de"], Words(exceptions={"What is there?": None}), mirror, data_dir=mirror)


def test_the_card_says_what_was_made_and_how(tmp_path):
    translated(tmp_path, [question(1, "a cat", "cat")], to=("de", "sw"))
    card = (tmp_path / "varieties/questions/README.md").read_text()
    assert "license: cc-by-sa-4.0" in card and "by: words" in card and "- de\n- sw" in card
    assert "from: questions en mirror:" in card
