"""SNLI: pairs of sentences and whether the second follows from the first; the publisher's files, or tokenised ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import load_task

FILES = ("snli_1.0_*.jsonl", "snli_1.0_*.txt", "labels.*")
SOURCE = "https://nlp.stanford.edu/projects/snli/snli_1.0.zip"
CITATION = "Bowman, Angeli, Potts and Manning (2015), A large annotated corpus for natural language inference, EMNLP."
LABELS = load_task("snli").labels
FEATURES = Features(
    {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=list(LABELS))}
)
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
UNDECIDED = "-"  # the annotators did not agree; -1 on the Hub


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a pair, of `snli_1.0_dev.jsonl` or `.txt`, or of InferSent's three tokenised files `s1.dev` and so on."""
    splits = {}
    for split, part in SPLITS.items():
        tokenised = raw.find(f"labels.{part}")
        files = raw.first_of(*(raw.find(f"snli_1.0_{part}.{end}") for end in ("jsonl", "txt")), tokenised)
        if files:
            rows = _tokenised(raw, part) if files == tokenised else pairs(raw, files[0])
            splits[split] = Dataset.from_list(list(rows), features=FEATURES)
    return splits


def pairs(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    """Pairs of a file as SNLI and MultiNLI are published, `.jsonl` or `.txt`; the label is -1 where it is undecided."""
    texts = dict.fromkeys(("sentence1", "sentence2", "gold_label"), Value("string"))
    for number, row in raw.records(name, texts, unique=("pairID", "sentence1", "sentence2")):
        yield _row(raw, name, number, row["sentence1"], row["sentence2"], row["gold_label"])


def _tokenised(raw: Raw, part: str) -> Iterator[dict[str, Any]]:
    columns = []
    for name in ("s1", "s2", "labels"):
        columns.append([line.strip() for line in raw.texts(f"{name}.{part}")])
    if len({len(column) for column in columns}) > 1:
        found = f"{', '.join(str(len(column)) for column in columns)} lines in s1, s2 and labels"
        raise raw.error(f"labels.{part}", "its end", found, "as many in each")
    for number, (premise, hypothesis, label) in enumerate(zip(*columns, strict=True), start=1):
        yield _row(raw, f"labels.{part}", number, premise, hypothesis, label)


def _row(raw: Raw, name: str, number: int, premise: str, hypothesis: str, label: str) -> dict[str, Any]:
    if label not in (*LABELS, UNDECIDED):
        raise raw.error(name, number, f"label {label!r}", f"one of {', '.join(LABELS)}, or {UNDECIDED}")
    return {"premise": premise, "hypothesis": hypothesis, "label": -1 if label == UNDECIDED else label}
