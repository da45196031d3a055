"""CosmosQA: a story from a blog, a question and four answers, in the publisher's CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = ("train.csv", "valid.csv", "test.jsonl")
SOURCE = "https://github.com/wilburOne/cosmosqa (folder data)"
CITATION = "Huang, Le Bras, Bhagavatula and Choi (2019), Cosmos QA, EMNLP."
TEXTS = ("id", "context", "question", "answer0", "answer1", "answer2", "answer3")
FEATURES = Features({**dict.fromkeys(TEXTS, Value("string")), "label": Value("int32")})


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question; `label` is -1 in the test part."""
    return raw.splits(dict(zip(("train", "validation", "test"), FILES, strict=True)), _rows, FEATURES)


def _rows(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for number, item in raw.records(name, {key: FEATURES[key] for key in TEXTS}, unique=("id",)):
        label = str(item.get("label", -1))
        if label not in ("-1", "0", "1", "2", "3"):
            raise raw.error(name, number, f"label {label!r}", "0, 1, 2 or 3")
        yield {**{key: item[key] for key in TEXTS}, "label": int(label)}
