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
    return raw.splits({split: f"{part}-labels.lst" for split, part in SPLITS.items()}, _rows, FEATURES)


def _rows(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    texts = name.replace("-labels.lst", ".jsonl")
    items = [item for _, item in raw.records(texts, {key: FEATURES[key] for key in TEXTS})]
    labels = [line.strip() for _, line in raw.lines(name)]
    if len(items) != len(labels):
        raise raw.error(name, "its end", f"{len(labels)} labels", f"{len(items)}, as there are rows in {texts}")
    for number, (item, label) in enumerate(zip(items, labels, strict=True), start=1):
        if label not in ("1", "2", "3"):
            raise raw.error(name, number, f"label {label!r}", "1, 2 or 3")
        yield {**{key: item[key] for key in TEXTS}, "label": label}
