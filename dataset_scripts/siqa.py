"""Social IQa: a situation, a question and three answers in JSON lines; the right one's number in a file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "*-labels.lst"
SOURCE = "https://storage.googleapis.com/ai2-mosaic/public/socialiqa/socialiqa-train-dev.zip"
CITATION = "Sap, Rashkin, Chen, Le Bras and Choi (2019), Social IQa, EMNLP."
TEXTS = ("context", "question", "answerA", "answerB", "answerC")
FEATURES = Features(dict.fromkeys((*TEXTS, "label"), Value("string")))
SPLITS = {"train": "train", "validation": "dev"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """Line i of `train.jsonl` and of `train-labels.lst` become one row; labels count from 1, as on the Hub."""
    return {
        split: Dataset.from_list(list(_rows(raw, part)), features=FEATURES)
        for split, part in SPLITS.items()
        if raw.find(f"{part}-labels.lst")
    }


def _rows(raw: Raw, part: str) -> Iterator[dict[str, Any]]:
    items = [item for _, item in raw.records(f"{part}.jsonl", {key: FEATURES[key] for key in TEXTS})]
    labels = [line.strip() for _, line in raw.lines(f"{part}-labels.lst")]
    if len(items) != len(labels):
        found = f"{len(labels)} labels"
        raise raw.error(f"{part}-labels.lst", "its end", found, f"{len(items)}, as there are rows in {part}.jsonl")
    for number, (item, label) in enumerate(zip(items, labels, strict=True), start=1):
        if label not in ("1", "2", "3"):
            raise raw.error(f"{part}-labels.lst", number, f"label {label!r}", "1, 2 or 3")
        yield {**{key: item[key] for key in TEXTS}, "label": label}
