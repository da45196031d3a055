"""Dictionary code-switching: whole words, the same for the same example, answers and tags in their places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from language_rows import CHOICES, PAIRS, QUESTIONS, TAGS, pair, question, store

from hf_stilts.augmentation.code_switch import CodeSwitcher, code_switch, read_lexicon
from hf_stilts.data.check import fault
from hf_stilts.data.load import load
from hf_stilts.data.words import Edit, rewrite, runs
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task

GERMAN = {"the": ("der", "die"), "cat": ("Katze",), "dog": ("Hund",), "new york": ("x",), "city": ("Groß Stadt",)}
SWAHILI = {"cat": ("paka",), "book": ("kitabu",)}
FROM_CHINESE = {"猫": ("cat",), "我": ("I",), "学生": ("student",), "学": ("study",)}
WORDS = ["the", "cat", "Dog", "CITY", "cats", "don't", "book", "x-y", "3", "猫", "!", "naïve", "किताब"]


def switched(text, lexicons=None, probability=1.0, **more):
    switcher = CodeSwitcher("fill-mask", lexicons or {"de": GERMAN}, probability, **more)
    return switcher({"text": text})["text"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cats concatenate a cat.", "cats concatenate a Katze."),  # whole words only
        ("cat-dog (dog) 'cat'", "Katze-Hund (Hund) 'Katze'"),
        ("dog's", "dog's"),  # an apostrophe is part of the word
        ("CAT Dog dog", "KATZE Hund Hund"),
        ("city", "Groß Stadt"),
        ("", ""),
        ("CaT", "Katze"),
    ],
)
def test_words(text, expected):
    assert switched(text) == expected


def test_scripts_without_blanks_take_the_longest_entry():
    # 学生 before 学; 是 has no entry. In Thai and Japanese words the same way.
    assert switched("我是学生。", {"en": FROM_CHINESE}) == "I是student。"
    assert switched("แมวตัว", {"en": {"แมว": ("cat",)}}) == "catตัว"
    assert switched("ネコー猫", {"en": {"ネコー": ("kitty",), "猫": ("cat",)}}) == "kittycat"


def test_marks_are_part_of_a_word():
    # दिल is the head of दिल्ली, which continues with a mark; `\w` would end the word before it.
    assert switched("दिल्ली दिल", {"en": {"दिल": ("heart",)}}) == "दिल्ली heart"


def test_runs_are_where_they_say():
    text = "Don't 東京タワーab कि-ताब 12"
    found = [(text[run.start : run.end], run.unspaced) for run in runs(text)]
    assert found == [
        ("Don't", False),
        ("東京タワー", True),
        ("ab", False),
        ("कि", False),
        ("ताब", False),
        ("12", False),
    ]


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 5))
def test_the_same_example_is_switched_alike_whatever_stands_beside_it(words, probability, seed):
    switcher = CodeSwitcher("text-classification", {"de": GERMAN, "sw": SWAHILI}, probability, seed)
    rows = [
        {"text": " ".join(words), "text_pair": "the cat", "label": 1},
        {"text": "the dog", "text_pair": "", "label": 0},
    ]
    forwards, backwards = [switcher(row) for row in rows], [switcher(row) for row in reversed(rows)]
    assert forwards == backwards[::-1]
    assert [row["label"] for row in forwards] == [1, 0]
    assert rows[0]["text"] == " ".join(words)  # the row that was given is not changed


@given(st.lists(st.sampled_from(WORDS), max_size=20), st.integers(0, 5))
def test_a_smaller_probability_switches_some_of_the_same_words(words, seed):
    text = "|".join(words)
    less, more = (switched(text, {"de": GERMAN, "sw": SWAHILI}, p, seed=seed).split("|") for p in (0.25, 0.75))
    assert all(few in (word, many) for word, few, many in zip(text.split("|"), less, more, strict=True))


def test_probabilities_are_met():
    """2000 known words at 0.5: four standard deviations are 4 * sqrt(2000 * 0.25) = 89."""
    assert abs(switched("cat " * 2000, probability=0.5).count("Katze") - 1000) < 90
    assert switched("cat dog", probability=0.0) == "cat dog"
    both = switched("cat " * 2000, {"de": GERMAN, "sw": SWAHILI})
    assert abs(both.count("paka") - 1000) < 90  # a language for each word
    assert "der" in switched("the " * 50) and "die" in switched("the " * 50)


@st.composite
def questions(draw):
    context = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)) + draw(
        st.sampled_from(["", "."])
    )
    start = draw(st.integers(0, len(context) - 1))
    end = draw(st.integers(start + 1, len(context)))
    other = draw(st.integers(0, start))
    return {
        "id": "1", "question": "the cat", "context": context,
        "answers": {"text": [context[start:end], context[other:end]], "answer_start": [start, other]},
    }  # fmt: skip


@given(questions(), st.sampled_from([0.5, 1.0]))
def test_answers_are_where_they_say_even_if_they_begin_within_a_word(row, probability):
    new = CodeSwitcher("question-answering", {"de": GERMAN, "sw": SWAHILI}, probability)(row)
    assert fault(new) == ""
    before, after = row["answers"]["text"], new["answers"]["text"]
    # What an answer is switched to is what the same edits make of it: its words are those of the lexicons.
    allowed = {word for lexicon in (GERMAN, SWAHILI) for each in lexicon.values() for word in each}
    allowed |= {each.capitalize() for each in allowed} | {each.upper() for each in allowed}
    for old, now in zip(before, after, strict=True):
        assert old == now or any(word in now for word in allowed)


def test_an_answer_within_a_word_keeps_the_word():
    row = question(1, "two dogs and a dog", "dog")  # begins inside "dogs"... and is the head of it
    new = CodeSwitcher("question-answering", {"de": {**GERMAN, "dogs": ("Hunde",)}}, 1.0)(row)
    assert new["context"] == "two dogs and a Hund"
    assert new["answers"] == {"text": ["dog"], "answer_start": [4]}


def test_tokens_keep_their_number_and_tags():
    row = {"tokens": ["The", "cat", "city", "."], "tags": [0, 1, 0, 1]}
    new = CodeSwitcher("token-classification", {"de": {**GERMAN, "the": ("der",)}}, 1.0)(row)
    assert new == {"tokens": ["Der", "Katze", "city", "."], "tags": [0, 1, 0, 1]}  # "Groß Stadt" would need two tags


def test_choices_are_switched_each_by_itself():
    row = {"context": "cat", "question": "", "choices": ["a dog", "a cat", "none"], "label": 2}
    new = CodeSwitcher("multiple-choice", {"de": GERMAN}, 1.0)(row)
    assert new == {"context": "Katze", "question": "", "choices": ["a Hund", "a Katze", "none"], "label": 2}


def test_offsets_after_edits():
    # "ab cd ef": cd -> X, ef -> long; the end of the text moves by -1 and +2.
    assert rewrite("ab cd ef", [Edit(3, 5, "X"), Edit(6, 8, "long")], [0, 3, 5, 6, 8]) == ("ab X long", [0, 3, 4, 5, 9])


@pytest.fixture
def lexicons(tmp_path):
    folder = tmp_path / "lexicons"
    folder.mkdir()
    (folder / "en-de.txt").write_text("one eins\ntwo\tzwei\nTWO\tpaar Stück\n\n", encoding="utf-8")
    (folder / "en-sw.txt").write_text("one moja\n", encoding="utf-8")
    return folder


def test_lexicons(lexicons):
    assert read_lexicon(lexicons / "en-de.txt") == {"one": ("eins",), "two": ("zwei", "paar Stück")}
    (lexicons / "en-xx.txt").write_text("\ufeffone eins\r\n", encoding="utf-8")
    assert read_lexicon(lexicons / "en-xx.txt") == {"one": ("eins",)}, "a byte order mark is no letter"
    (lexicons / "en-xx.txt").write_text("one\n")
    with pytest.raises(StiltsError, match="line 1: found 'one'; expected a word and a translation"):
        read_lexicon(lexicons / "en-xx.txt")
    with pytest.raises(FileNotFoundError, match=r"No lexicon.*--lexicons"):
        read_lexicon(lexicons / "en-fr.txt")
    (lexicons / "en-xx.txt").write_text("\n")
    with pytest.raises(StiltsError, match="is empty"):
        read_lexicon(lexicons / "en-xx.txt")


def test_written_rows_are_loaded_by_their_tag(tmp_path, lexicons):
    mirror = store(tmp_path, PAIRS, {"en": {"train": [pair(n) for n in range(6)]}})
    report = code_switch(PAIRS, ["de", "sw"], lexicons, mirror, probability=1, data_dir=mirror)
    (found,) = report.rows()
    # "en one 0" and "en two 0" in each of 6 rows: 6 words of which 2 are known.
    assert (found["language"], found["rows"], found["words"], found["known"], found["switched"]) == (
        "en-x-cs100-de-sw", 6, 36, 12, 12,
    )  # fmt: skip
    rows = load(PAIRS, language="en-x-cs100-de-sw", data_dir=mirror)
    assert rows["label"][:] == [0, 1] * 3 and rows["id"][:] == list("012345")
    assert {text.split()[1] for text in rows["text"]} == {"eins", "moja"}
    report = code_switch(PAIRS, ["de", "sw"], lexicons, mirror, mode="bilingual", data_dir=mirror)
    assert [row["language"] for row in report.rows()] == ["en-x-cs50-de", "en-x-cs50-sw"]
    mapped = load(PAIRS, data_dir=mirror).map(CodeSwitcher(PAIRS.kind, {"de": read_lexicon(lexicons / "en-de.txt")}))
    assert mapped["text"][:] == load(PAIRS, language="en-x-cs50-de", data_dir=mirror)["text"][:]


def test_what_cannot_be_switched_says_why(tmp_path, lexicons):
    mirror = store(tmp_path, PAIRS, {"en": {"train": [pair(1)]}})
    bitext = Task(kind="bitext-retrieval", dataset="x/y", name="bitext")
    with pytest.raises(StiltsError, match="bitext is a bitext-retrieval task: it has no training rows"):
        code_switch(bitext, ["de"], lexicons, tmp_path)
    with pytest.raises(StiltsError, match="expected 0 to 1"):
        code_switch(PAIRS, ["de"], lexicons, mirror, probability=2, data_dir=mirror)
    with pytest.raises(StiltsError, match="no whole per cent"):
        code_switch(PAIRS, ["de"], lexicons, mirror, probability=0.333, data_dir=mirror)
    with pytest.raises(StiltsError, match="one at least"):
        CodeSwitcher("fill-mask", {})
    code_switch(PAIRS, ["de"], lexicons, mirror, data_dir=mirror)
    with pytest.raises(StiltsError, match="code-switched already"):
        code_switch(PAIRS, ["sw"], lexicons, mirror, language="en-x-cs50-de", data_dir=mirror)


@pytest.mark.parametrize(
    ("task", "row"),
    [
        (QUESTIONS, question(1, "One cat, two cats.", "two")),
        (CHOICES, {"context": "one", "question": "two", "choices": ["one", "x"], "label": 0}),
        (TAGS, {"tokens": ["one", "two"], "tags": [0, 1]}),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_every_kind_with_training_rows_comes_back_whole(task, row, tmp_path, lexicons):
    mirror = store(tmp_path, task, {"en": {"train": [row]}})
    code_switch(task, ["de"], lexicons, mirror, probability=1, data_dir=mirror)
    (new,) = load(task, language="en-x-cs100-de", data_dir=mirror)
    assert fault(new) == "" and new != load(task, data_dir=mirror)[0]
