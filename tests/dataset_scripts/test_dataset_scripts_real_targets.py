"""Converters of the target tasks on the publishers' own files, where they are on this machine: counts, and text."""

import json
import shutil

import pytest
from places import DATA
from raw_targets import entity, lines

from hf_stilts.data.check import check
from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}; set HF_STILTS_TEST_DATA")


def rows_by_part(report):
    return {(part.language, part.split): part.rows for part in report.parts}


def test_xcopa(tmp_path):
    report = build("xcopa", DATA / "xcopa", tmp_path)
    assert len(report.parts) == 20 and report.absent == ("it",)
    assert {rows for (_, split), rows in rows_by_part(report).items() if split == "validation"} == {100}
    assert {rows for (_, split), rows in rows_by_part(report).items() if split == "test"} == {500}
    assert check("xcopa", ["qu", "zh"], data_dir=tmp_path, limit=None).ok
    rows = load("xcopa", "test", "sw", data_dir=tmp_path)
    assert set(rows["question"]) == {"What was the cause?", "What was the effect?"}
    assert 200 < sum(rows["label"]) < 300, "both choices are right about as often"


@pytest.mark.slow
def test_tydiqa(tmp_path):
    report = build("tydiqa", DATA / "tydiqa_goldp", tmp_path)
    assert {part.split: part.rows for part in report.parts} == {"train": 3696 + 1625 + 2755, "validation": 5077}
    dev = {"ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669}
    assert {code: len(load("tydiqa", "test", code, data_dir=tmp_path)) for code in dev} == dev
    assert check("tydiqa", ["en", "ko", "sw"], data_dir=tmp_path, limit=None).ok


def test_panx_from_universal_ner(tmp_path):
    report = build("panx", DATA / "uner", tmp_path)
    counts = rows_by_part(report)
    assert counts["en", "validation"] == 2001 and counts["en", "test"] == 2077 + 1000  # EWT, then PUD
    assert counts["pt", "test"] == 1167 + 1000 and counts["zh", "train"] == 1200 and counts["tl", "test"] == 128
    assert check("panx", ["ru", "tl", "zh"], data_dir=tmp_path, limit=None).ok
    tags = [tag for tags in load("panx", "test", "ru", data_dir=tmp_path)["tags"] for tag in tags]
    assert set(tags) == set(range(7)) and tags.count(0) > len(tags) / 2


def test_universal_ner(tmp_path):
    counts = rows_by_part(build("uner", DATA / "uner", tmp_path))
    assert counts["en", "test"] == 2077 and counts["pt", "test"] == 1167 and counts["ru", "test"] == 1000
    assert counts["zh", "train"] == 1200 and ("zh_Hant", "test") not in counts
    assert check("uner", ["en", "ru", "zh"], data_dir=tmp_path, limit=None).ok
    tags = [tag for tags in load("uner", "test", "tl", data_dir=tmp_path)["tags"] for tag in tags]
    assert 0 < sum(tag != 0 for tag in tags) < len(tags) / 2


def test_mlqa_samples(tmp_path):
    report = build("mlqa", DATA / "format_samples/mlqa", tmp_path)
    assert {part.config for part in report.parts} == {
        f"MLQA.en.{code}" for code in ("ar", "de", "en", "es", "hi", "vi", "zh")
    }
    assert load("mlqa", "test", "en", data_dir=tmp_path)["question"][0].endswith("?")


def test_lareqa(tmp_path):
    # Candidates a language, from the LAReQA paper's data; five of the eleven languages are here.
    candidates = {"de": 1276, "en": 1180, "es": 1215, "tr": 1167, "zh": 1196}
    build("lareqa", DATA / "lareqa/xquad-r", tmp_path)
    for language, expected in candidates.items():
        row = load("lareqa", "test", language, data_dir=tmp_path)[0]
        assert (len(row["queries"]), len(row["candidates"])) == (1190, expected)
        assert {len(gold) for gold in row["gold"]} == {len(candidates)}, "one right answer in each language"
    assert check("lareqa", list(candidates), data_dir=tmp_path).ok


def test_mewslix_sample(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(DATA / "format_samples/mewsli-x/example_mentions.jsonl", raw / "wikinews_mentions-test.jsonl")
    shutil.copy(raw / "wikinews_mentions-test.jsonl", raw / "wikinews_mentions-dev.jsonl")
    named = json.loads((raw / "wikinews_mentions-test.jsonl").read_text().split("\n")[0])["mentions"]
    (raw / "candidate_set_entities.jsonl").write_text(lines(*(entity(each["entity_id"]) for each in named)))
    build("mewslix", raw, tmp_path)
    row = load("mewslix", "test", "en", data_dir=tmp_path)[0]
    spoken = [each["mention_span"]["text"] for each in named]
    assert all(
        f"{text}: " in query and f"{{ {text} }}" in query for text, query in zip(spoken, row["queries"], strict=True)
    )
    assert row["gold"] == [[each["entity_id"]] for each in named]
