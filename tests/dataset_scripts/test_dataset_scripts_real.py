"""The five converters on the publishers' own files, where they are on this machine: counts, and rows that read well."""

import pytest
from places import DATA

from hf_stilts.data.check import check
from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}; set HF_STILTS_TEST_DATA")

FEWER = {"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548}  # the rest have 1,000


def rows_by_part(report):
    return {(part.language, part.split): part.rows for part in report.parts}


def test_tatoeba(tmp_path):
    report = build("tatoeba", DATA / "tatoeba", tmp_path)
    assert len(report.parts) == 41 and not report.absent
    assert rows_by_part(report) == {(part.language, "test"): FEWER.get(part.language, 1000) for part in report.parts}
    assert sum(part.rows for part in report.parts) == 36692
    source, target = (DATA / f"tatoeba/tatoeba.jav-eng.{side}" for side in ("jav", "eng"))
    rows = load("tatoeba", "test", "jv", data_dir=tmp_path)
    assert rows["source"][-1] == source.read_text().rstrip("\n").rpartition("\n")[2]
    assert rows["target"][-1] == target.read_text().rstrip("\n").rpartition("\n")[2]
    assert check("tatoeba", ["th", "zh"], data_dir=tmp_path, limit=None).ok


def test_xquad(tmp_path):
    report = build("xquad", DATA / "xquad", tmp_path, languages=["en", "ro", "zh"])
    assert set(rows_by_part(report).values()) == {1190}
    assert check("xquad", ["en", "ro", "zh"], data_dir=tmp_path, limit=None).ok
    ids = [load("xquad", "test", language, data_dir=tmp_path)["id"][:] for language in ("en", "ro", "zh")]
    assert ids[0] == ids[1] == ids[2], "questions are parallel"


def test_commonsenseqa(tmp_path):
    report = build("commonsenseqa", DATA / "commonsenseqa", tmp_path)
    assert rows_by_part(report) == {("en", "train"): 9741, ("en", "validation"): 1221, ("en", "test"): 1140}
    assert check("commonsenseqa", data_dir=tmp_path, limit=None).ok


def test_udpos(tmp_path):
    languages = ["ar", "de", "es", "fa", "he", "kk", "te"]
    report = build("udpos", DATA / "ud", tmp_path, languages=languages)
    counts = rows_by_part(report)
    assert counts["de", "validation"] == 799 and counts["de", "test"] == 500 + 200  # GSD and PUD
    assert counts["te", "train"] == 1051 and counts["kk", "test"] == 500 and counts["ar", "test"] == 200
    assert check("udpos", languages, data_dir=tmp_path, limit=None).ok
    words = sum(len(tokens) for tokens in load("udpos", "test", "de", data_dir=tmp_path)["tokens"])
    build("udpos", DATA / "ud", tmp_path, languages=["de"], options={"fused": False})
    raw = load("udpos", "test", "de", data_dir=tmp_path)
    files = [*(DATA / "ud").glob("UD_German-*/*-test.conllu")]
    lines = [line.split("\t") for file in files for line in file.read_text(encoding="utf-8").split("\n")]
    ranges = [line[0].split("-") for line in lines if len(line) == 10 and "-" in line[0]]
    assert sum(len(tokens) for tokens in raw["tokens"]) == sum(len(line) == 10 and line[0].isdigit() for line in lines)
    assert words == sum(map(len, raw["tokens"])) - sum(int(last) - int(first) for first, last in ranges)
    assert {"im", "zum"} & {token for tokens in raw["tokens"] for token in tokens} == set()
