"""XCOPA: a premise and its more plausible cause or effect, in the publisher's JSON lines."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "*.{language}.jsonl"
SOURCE = "https://github.com/cambridgeltl/xcopa (folder data)"
CITATION = "Ponti, Glavaš, Majewska, Liu, Vulić and Korhonen (2020), XCOPA, EMNLP."
FEATURES = Features(
    {
        "premise": Value("string"),
        "choice1": Value("string"),
        "choice2": Value("string"),
        "question": Value("string"),
        "label": Value("int32"),
        "idx": Value("int32"),
        "changed": Value("bool"),
    }
)
SPLITS = {"validation": "val", "test": "test"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a premise; `question` is `cause` or `effect`, `changed` says that the translation is no literal one."""
    files = {split: f"{part}.{language}.jsonl" for split, part in SPLITS.items()}
    return raw.splits(files, _rows, FEATURES)


def _rows(raw: Raw, name: str) -> list[dict[str, Any]]:
    rows = []
    for number, item in raw.records(name, FEATURES, unique=("idx",)):
        if item["question"] not in ("cause", "effect") or item["label"] not in (0, 1):
            found = f"question {item['question']!r} with label {item['label']!r}"
            raise raw.error(name, number, found, "cause or effect, and 0 or 1")
        rows.append({key: item[key] for key in FEATURES})
    return rows
