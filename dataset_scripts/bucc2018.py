"""BUCC 2018: two comparable corpora of each language pair, and which sentence of one translates which of the other."""

from __future__ import annotations

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "{language}-en.*"
SOURCE = "https://comparable.limsi.fr/bucc2018/bucc2018-task.html"
CITATION = "Zweigenbaum, Sharoff and Rapp (2018), Overview of the Third BUCC Shared Task, BUCC at LREC."
FEATURES = Features(
    {
        "sentence1": List(Value("string")),
        "sentence2": List(Value("string")),
        "gold": List(List(Value("int64"))),
        "source_ids": List(Value("string")),
        "target_ids": List(Value("string")),
    }
)
# The publisher keeps the gold of its own test part; XTREME tests on `training` and tunes on `sample`.
SPLITS = {"validation": "sample", "test": "training"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a split: all sentences of both sides, and the gold as pairs of line numbers that count from 1."""
    stems = {split: f"{language}-en.{part}" for split, part in SPLITS.items()}
    return {split: _split(raw, stem, language) for split, stem in stems.items() if raw.find(f"{stem}.*")}


def _split(raw: Raw, stem: str, language: str) -> Dataset:
    source, target = (_sentences(raw, f"{stem}.{side}") for side in (language, "en"))
    lines = []
    for side in (source, target):
        lines.append({each: line for line, each in enumerate(side, start=1)})
    gold: list[list[int]] = []
    for number, pair in raw.table(f"{stem}.gold", columns=2):
        stray = [each for each, known in zip(pair, lines, strict=True) if each not in known]
        if stray:
            raise raw.error(
                f"{stem}.gold", number, f"id {stray[0]!r}", f"an id of {stem}.{language} and one of {stem}.en"
            )
        gold.append([known[each] for each, known in zip(pair, lines, strict=True)])
    row = {
        "sentence1": [*source.values()],
        "sentence2": [*target.values()],
        "gold": gold,
        "source_ids": [*source],
        "target_ids": [*target],
    }
    return Dataset.from_list([row], features=FEATURES)


def _sentences(raw: Raw, name: str) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for number, (each, sentence) in raw.table(name, columns=2):
        if each in sentences:
            raise raw.error(name, number, f"id {each!r} again", "every id once")
        sentences[each] = sentence
    return sentences
