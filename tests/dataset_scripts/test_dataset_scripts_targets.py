"""Converters of the target tasks: what their raw files become, worked out by hand, and how a fault is answered."""

import json

import pytest
from datasets import load_dataset
from raw_targets import CHOICE, OWL, TARGETS, UP, XQUAD_R, context, entity, lines, mention, paragraph, question, squad

from hf_stilts.data.check import fault
from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build
from hf_stilts.errors import StiltsError
from hf_stilts.task import load_task


@pytest.fixture
def built(tmp_path):
    """Build a converter's hand-made files, some changed (None: left out), into tmp_path/out; the report."""

    def run(name, languages=None, **changes):
        for file, text in {**TARGETS[name], **changes}.items():
            if text is not None:
                (tmp_path / "raw" / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "raw" / file).write_text(text, encoding="utf-8")
        return build(name, tmp_path / "raw", tmp_path / "out", languages=languages, checksum=False)

    return run


def rows_of(report, config, split):
    """Rows of any configuration, those that no language's rows are in included."""
    files = [str(part.file) for part in report.parts if (part.config, part.split) == (config, split)]
    return load_dataset("parquet", data_files=files, split="train", cache_dir=str(report.folder / ".cache"))


def test_premises_of_xcopa_are_asked_about_in_english(built, tmp_path):
    built("xcopa", **{"sw/val.sw.jsonl": lines(CHOICE) + "\n"})  # some of the published files end in an empty line
    assert load("xcopa", "validation", "sw", data_dir=tmp_path / "out")[0] == {
        "id": "0",
        "context": "It rained.",
        "question": "What was the effect?",
        "choices": ["a", "b"],
        "label": 1,
    }
    assert load("xcopa", "test", "sw", data_dir=tmp_path / "out")["question"][:][1] == "What was the cause?"


def test_mlqa_keeps_every_pair_and_the_task_reads_the_contexts_own_language(built, tmp_path):
    report = built("mlqa", **{"test/test-context-de-question-de.json": squad({**OWL, "context": "Eine owl."
        , "qas": [question("m1", "owl", 5, "Was?")]})})  # fmt: skip
    assert {part.config: part.language for part in report.parts} == {
        "MLQA.en.en": "en",
        "MLQA.de.de": "de",
        "MLQA.en.de": "en-de",
    }
    assert load("mlqa", "test", "de", data_dir=tmp_path / "out")["question"][:] == ["Was?"]
    assert rows_of(report, "MLQA.en.de", "test")["context"][:] == ["An owl."]


def test_a_language_that_mlqa_is_only_asked_in_is_none_of_its_contexts(built):
    report = built("mlqa", languages=["de"])
    assert {part.config for part in report.parts} == {"MLQA.de.de"}


def test_wikianns_prefixes_go_once(built, tmp_path):
    built("panx")
    rows = load("panx", "test", "de", data_dir=tmp_path / "out")
    names = load_task("panx").labels
    found = [(row["tokens"], [names[tag] for tag in row["tags"]]) for row in rows]
    assert found == [(["Neu", "Athen"], ["B-LOC", "I-LOC"]), (["de:x"], ["O"])]
    assert len(load("panx", "train", "de", data_dir=tmp_path / "out")) == 2, "the last sentence needs no empty line"


def test_universal_ner_stands_in_for_wikiann(built, tmp_path):
    def iob2(*words):
        rows = "".join(f"{n}\t{word}\t{tag}\t-\t-\n" for n, (word, tag) in enumerate(words, start=1))
        return f"# text = made by hand\n{rows}\n"

    built(
        "panx",
        languages=["pt"],
        **{
            "UNER_Z/pt_a-ud-test.iob2": iob2(("Rio", "B-LOC"), ("#", "O")),
            "UNER_A/pt_b-ud-test.iob2": iob2(("Eco", "B-OTH"), ("lê", "O")),
        },
    )
    rows = load("panx", "test", "pt", data_dir=tmp_path / "out")
    assert rows["tokens"][:] == [["Rio", "#"], ["Eco", "lê"]], "joined in the order of the files' names"
    assert rows["tags"][:] == [[5, 0], [0, 0]], "an entity of another class is none of PAN-X's three"


def test_tydiqa_is_one_configuration_whose_ids_name_the_language(built, tmp_path):
    report = built("tydiqa")
    assert {(part.config, part.language, part.split, part.rows) for part in report.parts} == {
        ("secondary_task", "en-sw", "train", 2),
        ("secondary_task", "en-sw", "validation", 2),
    }
    assert rows_of(report, "secondary_task", "validation")["id"][:] == ["english--4-1", "swahili-3-1"]


def test_tydiqas_ids_get_their_language_back_where_xtreme_took_it(built):
    bare = squad({"context": "Bundi.", "qas": [question("-31-2", "Bundi", 0)]})
    report = built("tydiqa", languages=["sw"], **{"tydiqa.goldp.sw.train.json": bare})
    assert rows_of(report, "secondary_task", "train")["id"][:] == ["swahili--31-2"], "a language's own file goes first"


def test_tydiqas_questions_are_numbered_where_xtreme_left_them_alike(built):
    alike = squad({"context": "Bundi.", "qas": [question("0", "Bundi", 0), question("0", ".", 5)]})
    report = built("tydiqa", languages=["sw"], **{"tydiqa.goldp.sw.train.json": alike})
    assert rows_of(report, "secondary_task", "train")["id"][:] == ["swahili-train-0", "swahili-train-1"]


def test_a_question_of_tydiqa_stands_in_one_file(built):
    dev = squad({"context": "Bundi.", "qas": [question("swahili-3-1", "Bundi", 0)]})
    with pytest.raises(StiltsError, match="swahili-3-1 again; expected every id once in a language's files"):
        built("tydiqa", languages=["sw"], **{"swahili_tydiqa_dev.json": dev})


def test_wikianns_files_as_xtreme_renames_them(built, tmp_path):
    files = {f"de/{part}": None for part in ("train", "dev", "test")}
    built("panx", **files, **{"de-test": "de:Neu\tB-LOC\n\n"})
    assert load("panx", "test", "de", data_dir=tmp_path / "out")["tokens"][:] == [["Neu"]]


def test_splits_whose_file_is_missing_are_not_written(built, tmp_path):
    report = built("xcopa", **{"sw/test.sw.jsonl": None})
    assert {part.split for part in report.parts if part.config == "sw"} == {"validation"}


def test_every_language_answers_a_question_of_lareqa(built, tmp_path):
    built("lareqa")
    row = load("lareqa", "test", "en", data_dir=tmp_path / "out")[0]
    assert row["query_ids"] == ["q1_en", "q2_en"]
    assert row["queries"] == ["What?", "Whois it?"], "newlines are taken out, as in XTREME-R's script"
    assert row["candidate_ids"] == ["en_1_0", "en_1_1", "en_1_2", "en_2_0"]
    assert row["candidates"][1] == "An owl." + "A cat.An owl. An owl.", "sentence and paragraph, nothing between them"
    # q1's sentence stands twice in its paragraph: both are right. The German answer is the paragraph's second sentence.
    assert [sorted(gold) for gold in row["gold"]] == [["de_1_1", "en_1_1", "en_1_2"], ["de_2_0", "en_2_0"]]
    german = load("lareqa", "test", "de", data_dir=tmp_path / "out")[0]
    assert german["query_ids"] == ["q1_de", "q2_de"] and german["gold"] == row["gold"]


def test_a_question_answered_outside_all_sentences_is_left_out(built, tmp_path):
    text = paragraph("A cat. An owl.", [[0, 6]], question("q1", "owl", 10), question("q2", "cat", 2))
    built("lareqa", languages=["en"], **{"xquad-r/en.json": squad(text), "xquad-r/de.json": None})
    assert load("lareqa", "test", "en", data_dir=tmp_path / "out")[0]["query_ids"] == ["q2_en"]


def test_mentions_and_entities_of_mewslix(built, tmp_path):
    report = built("mewslix")
    row = load("mewslix", "test", "de", data_dir=tmp_path / "out")[0]
    assert row["query_ids"] == ["e2", "e3"] and row["gold"] == [["Q1524"], ["Q2"]]
    # The sentence around the mention alone; braces become parentheses, two blanks one, a line's end a blank.
    assert row["queries"][0] == "Athens: The (big) owl sat in { Athens } ."
    assert {part.split for part in report.parts if part.config == "de"} == {"test"}, "no German mention is for tuning"
    assert len(report.absent) == 9 and {"de", "en"}.isdisjoint(report.absent)
    entities = rows_of(report, "candidates", "test")
    assert entities[0] == {"id": "Q1524", "text": "A city. Old.", "language": "el"}
    assert entities["id"][:] == ["Q1524", "Q2"]
    pair = load("mewslix_pairs", data_dir=tmp_path / "out")[0]
    assert pair == {"id": "0", "query": "Athens: The (big) owl sat in { Athens } .", "candidate": "A city. Old."}


def test_questions_of_xtreme_up_and_their_shared_passages(built, tmp_path):
    others = ("retrieval_cross_lang/train/ta.jsonl", "retrieval_in_lang/test/te.jsonl", "ner/test/te.jsonl")
    report = built("xtreme_up_retrieval", **dict.fromkeys(others, lines(UP)))
    row = load("xtreme_up_retrieval", "test", "ta", data_dir=tmp_path / "out")[0]
    assert row["queries"] == ["ஆந்தை?", "?"] and row["gold"] == [["7"], ["7"]]
    assert row["query_ids"] == ["ta-1", "ta-2"], "two questions about one passage are two"
    assert {(part.config, part.split) for part in report.parts} == {
        ("ta", "validation"), ("ta", "test"), ("candidates", "test"),
    }  # fmt: skip
    texts = rows_of(report, "candidates", "test")["text"][:]
    assert texts == ["Owl It sat.", "A hare."]
    assert "te" in report.absent, "of another task of the archive"


def test_more_entities_than_are_held_at_once(built, monkeypatch):
    from hf_stilts.dataset_scripts import mewslix

    monkeypatch.setattr(mewslix, "AT_A_TIME", 3)
    text = lines(*(entity(f"Q{number}") for number in range(7)))
    report = built("mewslix", **{"candidate_set_entities.jsonl": text})
    assert rows_of(report, "candidates", "test")["id"][:] == [f"Q{number}" for number in range(7)]


MISPLACED = mention() | {"mention_span": {"start": 32, "end": 38, "text": "Athens"}}
ACROSS = mention() | {"mention_span": {"start": 35, "end": 43, "text": context()["text"][35:43]}}
BAD = [
    ("xcopa", {"sw/val.sw.jsonl": lines(CHOICE | {"label": 2})}, "line 1: found question 'effect' with label 2"),
    ("xcopa", {"sw/val.sw.jsonl": lines({"premise": "x"})}, "line 1: found no 'choice1'; expected {premise, "),
    ("mlqa", {"dev/dev-context-de-question-de.json": squad({**OWL, "context": "Owl."})}, "question m1: found '.' at"),
    ("panx", {"de/dev": "de:Athen\tB-LOC\nde:x\n"}, "dev, line 2: found 'de:x' without a tag"),
    ("panx", {"de/dev": "de:Athen\tB-CITY\n"}, "dev, line 1: found tag 'B-CITY'; expected one of O, B-PER"),
    ("panx", {"de/dev": None, "fr_x-ud-dev.iob2": "1\tParis\tB-LOC\n"}, "line 1: found 3 columns; expected 5"),
    ("tydiqa", {"tydiqa-goldp-v1.1-train.json": "{}"}, "train.json, its top: found no 'data'"),
    ("lareqa", {"xquad-r/de.json": squad({"context": "x", "qas": []})}, "paragraph 1: found no 'sentence_breaks'"),
    ("lareqa", {"xquad-r/de.json": squad(paragraph("x", [[0, 1]], *[question("q", "x", 0)] * 2))}, "question q again"),
    ("mewslix", {"wikinews_mentions-dev.jsonl": lines({"context": context(), "mentions": [MISPLACED]})},
     "line 1: found ' Athen' at offset 32 where the mention 'Athens' is said to be"),
    ("mewslix", {"wikinews_mentions-dev.jsonl": lines({"context": context(), "mentions": [ACROSS]})}, "in no sentence"),
    ("mewslix", {"candidate_set_entities.jsonl": lines({"entity_id": "Q1"})}, "line 1: found no 'sentence_spans'"),
    ("mewslix", {"candidate_set_entities.jsonl": None}, "No candidate_set_entities.jsonl below"),
    ("xtreme_up_retrieval", {"retrieval_cross_lang/index.jsonl": None}, "No retrieval_cross_lang/index.jsonl below"),
    ("xtreme_up_retrieval", {"retrieval_cross_lang/index.jsonl": lines(UP, UP)}, "line 2: found id '7', as in line 1"),
    ("xtreme_up_retrieval", {"retrieval_cross_lang/test/ta.jsonl": lines({"question": "?"})}, "line 1: found id None"),
    ("xtreme_up_retrieval", {"retrieval_cross_lang/test/ta.jsonl": lines({"id": "7"})}, "line 1: found no 'question'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "said"), BAD)
def test_a_fault_is_named_and_nothing_is_written(name, changes, said, built, tmp_path):
    with pytest.raises((StiltsError, FileNotFoundError), match=said):
        built(name, **changes)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_language_without_rows_is_said_to_be_absent(built):
    with pytest.raises(FileNotFoundError, match=r"hold no rows of 'ta'.*correct --languages"):
        built("mewslix", languages=["ta"])


def test_the_card_names_what_belongs_to_no_one_language(built):
    report = built("mewslix")
    card = (report.folder / "README.md").read_text()
    assert "config_name: candidates" in card and "config_name: wikipedia_pairs" in card
    read = json.loads(json.dumps(dict(report.raw)))
    assert sorted(read) == sorted(TARGETS["mewslix"])


def test_the_hand_made_sentences_are_where_they_say():
    assert context()["text"][33:39] == "Athens" and XQUAD_R["en"].count("sentence_breaks") == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query_ids": ["a"], "queries": ["?", "!"], "gold": [["x"]]}, "2 queries with 1 different ids"),
        ({"query_ids": ["a"], "queries": ["?"], "candidate_ids": ["x", "x"], "candidates": ["1", "2"], "gold": [["x"]]},
         "2 candidates with 1 different ids"),
        ({"query_ids": ["a", "b"], "queries": ["?", "!"], "gold": [["x"], []]}, "2 queries, 1 of them with gold ids"),
        ({"query_ids": ["a"], "queries": ["?"], "gold": [["x"]]}, ""),
    ],
)  # fmt: skip
def test_rows_of_a_search_are_checked(row, said):
    assert said in fault(row) and bool(said) == bool(fault(row))
