"""Converters of the intermediate tasks: hand-made raw files become labelled rows, and faults are named by line."""

import json

import pytest
from raw_intermediate import COPA, INTERMEDIATE, PAIR, SITUATION, STORY, sentences, table

from hf_stilts.data.load import labelled, load, splits
from hf_stilts.dataset_scripts import build
from hf_stilts.errors import StiltsError


def built(name, tmp_path, **changes):
    for file, text in {**INTERMEDIATE[name], **changes}.items():
        if text is not None:
            (tmp_path / "raw" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / file).write_text(text, encoding="utf-8")
    build(name, tmp_path / "raw", tmp_path / "out", checksum=False)
    return tmp_path / "out"


def test_snli_in_its_three_forms(tmp_path):
    out = built("snli", tmp_path)
    assert load("snli", data_dir=out)[:] == {
        "id": ["0", "2"], "text": ["An owl sleeps."] * 2, "text_pair": ["A bird sleeps."] * 2, "label": [0, 1],
    }, "the pair without a gold label is gone"  # fmt: skip
    pairs = [load("snli", split, data_dir=out)[0] for split in ("validation", "test")]
    assert pairs == [
        {"id": "0", "text": 'An "owl', "text_pair": "A mouse", "label": 2},
        {"id": "0", "text": "Owls sleep .", "text_pair": "Birds sleep .", "label": 0},
    ]


def test_the_three_sources_of_anli_plus(tmp_path):
    for name in ("anli", "mnli", "snli"):
        out = built(name, tmp_path)
    assert load("anli", data_dir=out)["label"][:] == [2, 1, 0], "rounds 1 to 3"
    assert [load("mnli", split, data_dir=out)["label"][:] for split in ("train", "validation", "test")] == [
        [0],
        [1],
        [2],
    ]
    rows = load("anli_plus", data_dir=out)
    assert rows["label"][:] == [2, 1, 0] + [0] + [0, 1]
    assert {*rows["text"]} == {"An owl sleeps."} and len(load("anli_plus", "test", data_dir=out)) == 3 + 1 + 1


def test_hellaswag_begins_each_ending(tmp_path):
    out = built("hellaswag", tmp_path)
    endings = ["the owl eats it.", "the owl drives a bus.", "the owl reads.", "the owl melts."]
    row = load("hellaswag", data_dir=out)[0]
    assert row == {"id": "0", "context": "A man holds a mouse.", "choices": endings, "label": 0}
    assert load("hellaswag", "test", data_dir=out)["label"][:] == [3], "the published test part has no labels"


def test_cosmosqa_with_quoted_cells(tmp_path):
    out = built("cosmosqa", tmp_path)
    assert load("cosmosqa", data_dir=out)[0] == {
        "id": "s1", "context": 'It rained,\nand "rained".', "question": "Why?", "choices": [*"wxyz"], "label": 2,
    }  # fmt: skip
    assert load("cosmosqa", "test", data_dir=out)["label"][:] == [0]


def test_siqa_counts_from_one(tmp_path):
    out = built("siqa", tmp_path)
    assert load("siqa", "validation", data_dir=out)["label"][:] == [2, 1]
    row = load("siqa", data_dir=out)[0]
    answers = {"choices": ["full", "sad", "a"], "label": 0}
    assert row == {"id": "0", "context": "Ada fed the owl.", "question": "How is it?", **answers}


@pytest.mark.parametrize("form", ["xml", "json"])
def test_copa_asks_by_cause_and_effect(form, tmp_path):
    changes = {}
    if form == "json":
        rows = [
            {
                "premise": "It got wet.",
                "choice1": "Sun.",
                "choice2": "Rain.",
                "question": "cause",
                "label": 1,
                "idx": 0,
            },
            {
                "premise": "It rained.",
                "choice1": "Mud.",
                "choice2": "Dust.",
                "question": "effect",
                "label": 0,
                "idx": 0,
            },
        ]
        changes = {"copa-dev.xml": None, "train.jsonl": json.dumps(rows[0]), "val.jsonl": json.dumps(rows[1])}
    out = built("copa", tmp_path, **changes)
    train, validation = load("copa", data_dir=out), load("copa", "validation", data_dir=out)
    assert train[:] == {"id": ["0"], "context": ["It got wet."], "question": ["What was the cause?"],
                        "choices": [["Sun.", "Rain."]], "label": [1]}  # fmt: skip
    assert validation[0]["question"] == "What was the effect?" and validation[0]["label"] == 0


def test_squad_2_keeps_questions_without_answer(tmp_path):
    train = load("squad_v2", data_dir=built("squad_v2", tmp_path))
    assert train["answers"][:] == [{"text": ["owl"], "answer_start": [3]}, {"text": [], "answer_start": []}]


def test_translated_answers_are_found_again_or_dropped(tmp_path, caplog):
    out = built("squad_translate_train", tmp_path)
    rows = load("squad_translate_train", "train", "de", data_dir=out)
    # "Eule" stands at 5 and at 21; the file says 20.
    assert rows["answers"][:] == [{"text": ["Eule"], "answer_start": [21]}]
    assert "squad.translate.train.en-de.json: dropped 1 of 2 questions" in caplog.text


def test_pawsx_trains_in_every_language(tmp_path):
    out = built("pawsx", tmp_path)
    assert load("pawsx", "train", "de", data_dir=out)[0] == {
        "id": "7", "text": 'Eine "Eule', "text_pair": "Eule", "label": 1
    }  # fmt: skip
    assert load("pawsx", "validation", "zh", data_dir=out)["label"][:] == [0]
    assert splits("pawsx", "de", out) == ("train", "validation") and splits("pawsx", "zh", out) == ("validation",)


def test_pawsx_as_xtreme_writes_it(tmp_path):
    files = {"dev-de.tsv": '"Das ""Haus"" steht"\tEin Haus\t1\n', "test-de.tsv": "Eule\tUhu\n"}
    out = built("pawsx", tmp_path, **dict.fromkeys(INTERMEDIATE["pawsx"]), **files)
    row = {"id": "1", "text": 'Das "Haus" steht', "text_pair": "Ein Haus", "label": 1}
    assert load("pawsx", "validation", "de", data_dir=out)[:] == {name: [value] for name, value in row.items()}
    assert load("pawsx", "test", "de", data_dir=out)["label"][:] == [-1], "XTREME keeps the labels of its test files"


def test_a_broken_line_of_translated_nli_shifts_no_ids(tmp_path):
    lines = [f"e{n}\th{n}\td{n}\tg{n}\tneutral" if n != 1 else "broken" for n in range(3)]
    out = built("xnli", tmp_path, **dict.fromkeys(INTERMEDIATE["xnli"]), **{"en-de-translated.tsv": "\n".join(lines)})
    rows = load("xnli_translate_train", "train", "de", data_dir=out)
    assert rows["id"][:] == ["0", "2"] and rows["text"][:] == ["d0", "d2"]


@pytest.mark.parametrize("name", ["xnli", "xnli_translate_train"])
def test_translated_nli(name, tmp_path):
    out = built("xnli", tmp_path)
    row = load(name, "train", "de", data_dir=out)[0]
    assert row == {"id": "0", "text": "Eulen schlafen", "text_pair": "Vögel", "label": 2}
    with pytest.raises(FileNotFoundError, match="hf-stilts data build xnli --raw"):
        load(name, "train", "de", data_dir=tmp_path)
    assert [load(name, "validation", code, data_dir=out)["label"][:] for code in ("de", "en")] == [[1], [0]]
    assert splits(name, "en", out) == ("validation",)


def test_supertags_of_the_parallel_meaning_bank(tmp_path):
    out = built("ccg", tmp_path)
    task = labelled("ccg", out)
    assert task.labels == ("np", "np/n", "s:dcl\\np", "unseen"), "of the training rows of all languages"
    assert load("ccg", data_dir=out)[0] == {"id": "0", "tokens": ["Owls", "sleep"], "tags": [0, 2]}
    # n/n is in no training row, so nobody can get it right; in `New~York` the tilde is a blank.
    assert load("ccg", "validation", data_dir=out)[0] == {"id": "0", "tokens": ["New York", "sleep"], "tags": [3, 2]}
    assert load("ccg", "validation", "de", data_dir=out, limit=1)["tags"][:] == [[0, 2]]


AUTO = "ID=wsj_{0}.1 PARSER=GOLD NUMPARSE=1\n(<T S 0 2> (<L NP NNS NNS {1} NP>) (<L {2} VBP VBP sleep {2}>))\n"
CCGBANK = [
    {f"AUTO/{name[:2]}/wsj_{name}.auto": AUTO.format(name, word, tag)
     for name, word, tag in (("0201", "-LRB-", "S\\NP"), ("0001", "Owls", "S[dcl]\\NP"), ("2301", "a\\/b", "S\\NP"))},
    {"gold/wsj02-21.stagged": "-LRB-|NNS|NP sleep|VBP|S\\NP\n",
     "gold/wsj00.stagged": "Owls|NNS|NP sleep|VBP|S[dcl]\\NP\n",
     "gold/wsj23.stagged": "a\\/b|NNS|NP sleep|VBP|S\\NP\n"},
    {"ccg.train": "-LRB- sleep\tNP S\\NP\n", "ccg.dev": "Owls sleep\tNP S[dcl]\\NP\n",
     "ccg.test": "a\\/b sleep\tNP S\\NP\n"},
]  # fmt: skip


@pytest.mark.parametrize("files", CCGBANK, ids=["trees", "stagged", "lines"])
def test_supertags_of_ccgbank(files, tmp_path):
    out = built("ccg", tmp_path, **dict.fromkeys(INTERMEDIATE["ccg"]), **files)
    assert labelled("ccg", out).labels == ("NP", "S\\NP", "unseen")
    rows = [load("ccg", split, data_dir=out)[:] for split in ("train", "validation", "test")]
    assert [row["tokens"] for row in rows] == [[["(", "sleep"]], [["Owls", "sleep"]], [["a/b", "sleep"]]]
    assert [row["tags"] for row in rows] == [[[0, 1]], [[0, 2]], [[0, 1]]]


BAD = [
    ("snli", {"snli_1.0_train.jsonl": json.dumps(PAIR | {"gold_label": "yes"})}, "line 1: found label 'yes'"),
    ("snli", {"snli_1.0_train.jsonl": json.dumps({"sentence1": "a"})}, "line 1: found no 'sentence2'"),
    ("snli", {"snli_1.0_dev.txt": table(("gold_label", "sentence1", "sentence2"), ("neutral", "a"))}, "no 'sentence2'"),
    ("snli", {"snli_1.0_dev.txt": table(("gold_label",), ("neutral", "a"))}, "line 2: found 2 cells; expected at most"),
    ("snli", {"s2.test": "One .\nTwo .\n"}, "labels.test, its end: found 1, 2, 1 lines"),
    ("anli", {"R1/dev.jsonl": json.dumps({"uid": "", "context": "", "hypothesis": "", "label": "x"})}, "label 'x'"),
    ("hellaswag", {"hellaswag_val.jsonl": "{}"}, "line 1: found no 'ind'"),
    ("cosmosqa", {"valid.csv": f"{','.join(STORY)},label\n1,2,3,4,5,6,7,9\n"}, "line 2: found label '9'"),
    ("cosmosqa", {"valid.csv": f"{','.join(STORY)},label\n1,2,3,4,5,6,7,0,\n"}, "line 2: found 1 cells too many"),
    ("cosmosqa", {"valid.csv": f"{','.join(STORY)},label\n1,2\n"}, "line 2: found no 'question'"),
    ("siqa", {"train-labels.lst": "1\n2\n"}, "train-labels.lst, its end: found 2 labels; expected 1"),
    ("siqa", {"train-labels.lst": "0\n"}, "train-labels.lst, line 1: found label '0'"),
    ("siqa", {"train.jsonl": json.dumps({**SITUATION, "answerC": None})}, "line 1: found no 'answerC'"),
    ("copa", {"copa-dev.xml": COPA.replace("</item>", "", 1)}, "line 6: found broken XML"),
    ("copa", {"copa-dev.xml": COPA.replace('"cause"', '"why"')}, "item 400: found asks-for 'why'"),
    ("squad_v2", {"dev-v2.0.json": "{}"}, "found no 'data'"),
    ("pawsx", {"dev-zh.tsv": "a\tb\t2\n"}, "dev-zh.tsv, line 1: found label '2'"),
    ("xnli", {"multinli.train.de.tsv": "premise\thypo\tlabel\na\tb\tmaybe\n"}, "line 2: found label 'maybe'"),
    ("ccg", {"en/dev.conll": sentences(("Owls\tnp",))}, "line 3: found 2 columns; expected 7"),
    ("ccg", {"ccg.dev": "Owls sleep\tNP\n"}, "ccg.dev, line 1: found 2 words with 1 categories"),
    ("ccg", {"wsj_0001.auto": "(<T S 0 2>)\n"}, "line 1: found a tree without a leaf"),
    ("ccg", {"wsj00.stagged": "Owls|NP\n"}, "line 1: found 'Owls|NP'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "said"), BAD)
def test_a_fault_is_named(name, changes, said, tmp_path):
    with pytest.raises(StiltsError, match=said.replace("|", r"\|")):
        built(name, tmp_path, **changes)
    assert not list(tmp_path.rglob("*.parquet"))


def test_all_that_is_missing_is_said(tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(FileNotFoundError, match=r"No de/train.conll or .*wsj_\?\?\?\?.auto.*LDC2005T13"):
        build("ccg", tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize(("name", "label", "strange"), [("pawsx", "1", "Eulen"), ("xnli", "contradictory", "Eulen")])
def test_the_translations_of_xtreme_are_training_rows_where_there_are_no_others(name, label, strange, tmp_path, caplog):
    rows = [("Owls", "Birds", "Eulen", "Vögel", label), ("Owls", "Birds", "Eulen", "Vögel", strange), ("Owls",)]
    files = {**dict.fromkeys(INTERMEDIATE[name]), "en-de-translated.tsv": table(*rows)}
    out = built(name, tmp_path, **files)
    train = load("xnli_translate_train" if name == "xnli" else name, "train", "de", data_dir=out)
    assert (train["text"][:], train["text_pair"][:]) == (["Eulen"], ["Vögel"])
    assert "left out 2 lines" in caplog.text
    published = built(name, tmp_path / "both", **{"en-de-translated.tsv": table(*rows)})
    other = load("xnli_translate_train" if name == "xnli" else name, "train", "de", data_dir=published)
    assert other["text"][:] != train["text"][:]
