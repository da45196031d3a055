"""HellaSwag: a beginning and four endings, in the publisher's JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "hellaswag_*.jsonl"
SOURCE = "https://github.com/rowanz/hellaswag (folder data)"
CITATION = "Zellers, Holtzman, Bisk, Farhadi and Choi (2019), HellaSwag, ACL."
TEXTS = ("activity_label", "ctx_a", "ctx_b", "ctx", "source_id", "split", "split_type")
FEATURES = Features(
    {
        "ind": Value("int32"),
        **dict.fromkeys(TEXTS, Value("string")),
        "endings": List(Value("string")),
        "label": Value("string"),
    }
)
SPLITS = {"train": "train", "validation": "val", "test": "test"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a beginning; `label` is the number of the right ending as text, empty in the test part."""
    files = {split: f"hellaswag_{part}.jsonl" for split, part in SPLITS.items()}
    return raw.splits(files, _rows, FEATURES)


def _rows(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    known = {key: feature for key, feature in FEATURES.items() if key != "label"}
    for number, item in raw.records(name, known, unique=("ind",)):
        label = str(item.get("label", ""))
        if label not in ("", *map(str, range(len(item["endings"])))):
            raise raw.error(name, number, f"label {label!r}", f"the number of one of {len(item['endings'])} endings")
        yield {**{key: item[key] for key in known}, "label": label}
