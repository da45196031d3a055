"""Intermediate tasks on the publishers' own files, where they are on this machine: counts, rows, features."""

import gzip
import shutil
from collections import Counter

import pytest
import tiny
from places import DATA

from hf_stilts.data.check import check
from hf_stilts.data.load import labelled, load
from hf_stilts.dataset_scripts import build
from hf_stilts.kinds import load_kind

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}; set HF_STILTS_TEST_DATA")

# Task -> folder, and how many rows of each language and split are published there.
PUBLISHED = {
    "snli": ("snli_tokenised", {("en", "validation"): 9842, ("en", "test"): 9824}),
    "cosmosqa": ("cosmosqa", {("en", "validation"): 2985}),
    "squad_v2": ("squad_v2", {("en", "validation"): 6078}),
    "copa": ("copa_balanced", {("en", "train"): 800, ("en", "validation"): 200}),
    "pawsx": ("pawsx", {("en", "validation"): 2000, ("en", "test"): 2000, ("zh", "validation"): 2000}),
    "ccg": (
        "ccg_pmb",
        {
            (language, split): rows
            for language, counts in {
                "en": (7745, 1174, 1053), "de": (1741, 559, 547), "it": (685, 540, 461), "nl": (539, 438, 491),
            }.items()
            for split, rows in zip(("train", "validation", "test"), counts, strict=True)
        },
    ),
}  # fmt: skip


def features(name, split, language, mirror, limit=200):
    """The first rows as a trainer of the tiny encoder would get them."""
    task = labelled(name, mirror)
    rows = load(task, split, language, limit=limit, data_dir=mirror)
    made = load_kind(task.kind).features(task, rows, tiny.tokenizer(), max_length=128, train=True)
    assert len({*made["row"]}) == len(rows), "every row trains"
    return rows


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_become_features(name, tmp_path):
    folder, expected = PUBLISHED[name]
    report = build(name, DATA / folder, tmp_path)
    assert {(part.language, part.split): part.rows for part in report.parts} == expected
    assert check(name, dict.fromkeys(language for language, _ in expected), data_dir=tmp_path, limit=None).ok
    for language, split in expected:
        features(name, split, language, tmp_path)


def test_hellaswag(tmp_path):
    (tmp_path / "raw").mkdir()
    packed = DATA / "hellaswag" / "derived_hellaswag_val.jsonl.gz"
    with gzip.open(packed) as source, (tmp_path / "raw" / "hellaswag_val.jsonl").open("wb") as target:
        shutil.copyfileobj(source, target)
    build("hellaswag", tmp_path / "raw", tmp_path)
    rows = load("hellaswag", "validation", data_dir=tmp_path)
    assert len(rows) == 10042 and {len(choices) for choices in rows["choices"]} == {4}
    assert {*rows["label"]} == {0, 1, 2, 3}
    features("hellaswag", "validation", "en", tmp_path)


def test_what_the_rows_say(tmp_path):
    for name in ("ccg", "copa", "squad_v2"):
        build(name, DATA / PUBLISHED[name][0], tmp_path)
    task = labelled("ccg", tmp_path)
    # 370 different categories are in the training files of the four languages (cut -f5 *.conll | sort -u | wc -l).
    assert len(task.labels) == 370 + 1 and task.labels[-1] == "unseen"
    tags = [tag for row in load("ccg", "test", data_dir=tmp_path)["tags"] for tag in row]
    assert 0 < tags.count(370) / len(tags) < 0.002, "0.12 % of the words with English categories alone, fewer with all"
    asked = Counter(load("copa", "train", data_dir=tmp_path)["question"])
    assert {*asked} == {"What was the cause?", "What was the effect?"}
    train, dev = (load("copa", split, data_dir=tmp_path) for split in ("train", "validation"))
    # A mirrored item has the choices of its twin in another premise: neither split holds those of the other.
    choices = [{frozenset(each) for each in rows["choices"]} for rows in (train, dev)]
    assert not choices[0] & choices[1] and len(train) // 2 >= len(choices[0]) >= 390
    answers = load("squad_v2", "validation", data_dir=tmp_path)["answers"]
    assert sum(not each["text"] for each in answers) == 3168


def test_published_samples_are_read(tmp_path):
    """One to three rows each, in the publisher's own layout: for the parsers alone."""
    samples = DATA / "format_samples"
    folders = {
        "snli": "snli",
        "mnli": "multi_nli",
        "hellaswag": "hellaswag",
        "cosmosqa": "cosmos_qa",
        "pawsx": "paws-x",
    }
    for name, folder in folders.items():
        build(name, samples / folder, tmp_path, checksum=False)
        languages = ["de", "en", "es", "fr", "ja", "ko", "zh"] if name == "pawsx" else ["en"]
        for language in languages:
            assert len(load(name, "train", language, data_dir=tmp_path)) > 0
    assert load("hellaswag", data_dir=tmp_path)["choices"][0][0].startswith("then , the man adds wax")
