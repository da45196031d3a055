"""Training rows that share a sentence with an evaluation set: found, counted, listed, and left out."""

import dataclasses
import json

import pytest
from datasets import Dataset
from language_rows import PAIRS, QUESTIONS, pair, question, store
from places import DATA

from hf_stilts.data.derived import write_made
from hf_stilts.data.language_mix import mix_languages
from hf_stilts.data.load import load
from hf_stilts.data.overlap import hashes, overlap
from hf_stilts.data.sentences import boundaries, normalised, sentences
from hf_stilts.dataset_scripts import build
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task

TEST = Task(
    kind="bitext-retrieval", dataset="x/bitext", config="{language}", languages=("de", "th"), name="bitext"
)  # fmt: skip


def test_a_language_that_the_mirror_lacks_is_left_out_by_the_right_option(mirror):
    """`--languages` are those of the training rows."""
    wider = dataclasses.replace(TEST, languages=("de", "th", "sw", "tr"))
    with pytest.raises(FileNotFoundError, match="lacks bitext in sw, tr;.* --against-languages de,th$"):
        overlap(QUESTIONS, [wider], data_dir=mirror)
    named = overlap(QUESTIONS, [wider], against_languages=["de", "th"], data_dir=mirror)
    assert named.shared[0].keys == {"q1", "q2"}
    elsewhere = dataclasses.replace(TEST, dataset="x/nowhere")
    with pytest.raises(FileNotFoundError, match="the mirror lacks x/nowhere"):
        overlap(QUESTIONS, [elsewhere], data_dir=mirror)


@pytest.mark.parametrize(
    ("sentence", "counts"),
    [("แมวนั่งอยู่ บนเสื่อ", True), ("猫 坐着", True), ("Das Haus", False), ("Ένα δύο", False), ("هو ذهب هناك", True)],
)
def test_a_blank_between_phrases_makes_no_words(sentence, counts):
    assert bool(hashes(sentence, 3)) is counts


@pytest.fixture
def mirror(tmp_path):
    """Of five rows two share a sentence with the bitext: row 1 its second, spelt otherwise; row 2 its question."""
    contexts = ["Nobody was there at all.", "One thing.  The ｃａｔ\tsat there. Another.", "A dog.", "No.", "แมวนั่งอยู่"]
    asked = ["Who was it?", "Who sat where?", "What did they SEE?", "What was it?", "Where was it?"]
    rows = [
        question(n, context, context.split()[-1], each)
        for n, (context, each) in enumerate(zip(contexts, asked, strict=True))
    ]
    store(tmp_path, QUESTIONS, {"en": {"train": rows}})
    test = {
        "de": {
            "test": [{"source": "Nein.", "target": "No."}, {"source": "Sie sitzt.", "target": "the CAT sat there."}]
        },
        "th": {
            "test": [{"source": "อะไร", "target": "what did they see?"}],
            "train": [{"source": "x", "target": "Who was it?"}],
        },
    }
    return store(tmp_path, TEST, test)


def test_sentences_are_found_whatever_their_blanks_and_case(mirror):
    report = overlap(QUESTIONS, [TEST], data_dir=mirror)
    (found,) = report.shared
    assert found.keys == {"q1", "q2"}  # "No." is too short; "Who was it?" stands in the train split only
    assert (found.texts, found.rows, found.all_texts) == (2, 5, 10)  # a context and a question, of five of each
    assert set(found.examples) == {"the cat sat there.", "what did they see?"}


def test_short_sentences_count_if_asked(mirror):
    assert "q3" in overlap(QUESTIONS, [TEST], minimum=1, data_dir=mirror).shared[0].keys


def test_each_evaluation_set_and_language_is_counted_apart(mirror):
    report = overlap(QUESTIONS, [TEST], against_languages=["th"], data_dir=mirror)
    assert report.shared[0].keys == {"q2"}
    assert [row["sharing"] for row in report.rows()] == [1]


def test_listed_rows_are_left_out_in_every_language(mirror, tmp_path):
    report = overlap(QUESTIONS, [TEST], data_dir=mirror)
    file = report.exclusion().save(tmp_path / "exclude.json")
    left = [row for row in load(QUESTIONS, data_dir=mirror) if row["id"] not in report.shared[0].keys]
    assert load(QUESTIONS, data_dir=mirror, exclude=file).to_list() == left
    assert load(QUESTIONS, data_dir=mirror, exclude=file, limit=1).to_list() == left[:1]
    write_made(QUESTIONS, "de-t-en", {"train": load(QUESTIONS, data_dir=mirror)}, mirror, {"by": "hand"})
    assert load(QUESTIONS, language="de", data_dir=mirror, exclude=file)["id"][:] == [row["id"] for row in left]
    assert len(mix_languages(QUESTIONS, "en,de", data_dir=mirror, exclude=file)) == len(left)


def test_rows_without_ids_are_known_by_their_number(tmp_path):
    mirror = store(tmp_path, PAIRS, {"en": {"train": [pair(n) for n in range(4)]}})
    store(mirror, TEST, {"de": {"test": [{"source": "x", "target": "en two 2"}]}})
    report = overlap(PAIRS, [TEST], against_languages=["de"], data_dir=mirror)
    file = report.exclusion().save(tmp_path / "exclude.json")
    assert load(PAIRS, data_dir=mirror, exclude=file)["text"][:] == ["en one 0", "en one 1", "en one 3"]


def test_a_list_of_other_data_is_refused(mirror, tmp_path):
    file = overlap(QUESTIONS, [TEST], data_dir=mirror).exclusion().save(tmp_path / "exclude.json")
    with pytest.raises(StiltsError, match="excludes rows of questions, train; these are of pairs"):
        load(PAIRS, data_dir=store(tmp_path, PAIRS, {"en": {"train": [pair(1)]}}), exclude=file)
    content = json.loads(file.read_text())
    content["languages"]["sw"] = content["languages"].pop("en")
    file.write_text(json.dumps(content))
    with pytest.raises(StiltsError, match="says nothing of en; it was made for sw.*hf-stilts data overlap questions"):
        load(QUESTIONS, data_dir=mirror, exclude=file)
    content["languages"] = {"en": {"revision": "mirror:000000000000", "keys": []}}
    file.write_text(json.dumps(content))
    with pytest.raises(StiltsError, match="names rows of revision mirror:0+; these are of mirror:"):
        load(QUESTIONS, data_dir=mirror, exclude=file)
    file.write_text("{}")
    with pytest.raises(StiltsError, match="is no exclusion list"):
        load(QUESTIONS, data_dir=mirror, exclude=file)
    with pytest.raises(FileNotFoundError, match="hf-stilts data overlap questions --against TASKS --exclude"):
        load(QUESTIONS, data_dir=mirror, exclude=tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("He said: “No.” Then he left.", ["He said: “No.”", "Then he left."]),
        ("3.14 is no end, e.g. here.", ["3.14 is no end, e.g.", "here."]),
        ("你好。我走了！", ["你好。", "我走了！"]),
        ("यह घर है। वह गया।", ["यह घर है।", "वह गया।"]),
        ("a\n\nb\n", ["a", "b"]),
        (" \n ", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected
    assert all(0 < end < len(text) for end in boundaries(text))


def test_normalised():
    assert normalised("ＡＢＣ\u00a0 ﬁn\tẞ ") == "abc fin ss"


@pytest.mark.slow
def test_squad_half_shares_78_paragraphs_with_xquad(tmp_path):
    """The two sets' common paragraphs were counted by whole text when the folder was made: 78 of 646, 729 questions."""
    raw = DATA / "squad_v2" / "dev-v2.0.json"
    if not raw.is_file():
        pytest.skip(f"no {raw}")
    build("xquad", DATA / "xquad", tmp_path)
    task = Task(kind="question-answering", dataset="x/squad", languages=("en",), name="squad")
    rows = [
        {
            "id": each["id"], "context": paragraph["context"], "question": each["question"],
            "answers": {key: [answer[key] for answer in each["answers"]] for key in ("text", "answer_start")},
        }
        for article in json.loads(raw.read_text())["data"]
        for paragraph in article["paragraphs"]
        for each in paragraph["qas"]
    ]  # fmt: skip
    (tmp_path / "x/squad").mkdir(parents=True)
    Dataset.from_list(rows).to_parquet(tmp_path / "x/squad/train.parquet")
    (tmp_path / "x/squad/README.md").write_text("---\n{}\n---\n")
    report = overlap(task, ["xquad"], data_dir=tmp_path)
    keys = report.shared[0].keys
    assert len({row["context"] for row in rows}) == 646
    assert len({row["context"] for row in rows if row["id"] in keys}) == 78
    left = load(task, data_dir=tmp_path, exclude=report.exclusion().save(tmp_path / "exclude.json"))
    assert (len(left), sum(bool(answers["text"]) for answers in left["answers"])) == (5349, 2575)
