"""IndicXNLI: XNLI's pairs in 11 languages of India, translated by machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import load_task

FILES = ("train/xnli_{language}.json", "dev/xnli_{language}.json", "test/xnli_{language}.json")
SOURCE = "https://huggingface.co/datasets/Divyanshu/indicxnli (folder forward)"
CITATION = "Aggarwal, Gupta and Kunchukuttan (2022), IndicXNLI: Evaluating Multilingual Inference for Indian Languages."
FEATURES = Features(
    {
        "premise": Value("string"),
        "hypothesis": Value("string"),
        "label": ClassLabel(names=list(load_task("indicxnli").labels)),
    }
)
SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a pair. A file is an object whose one list, named as its split, has the pairs.

    The publisher's folder `backward`, where the pairs are translated back into English, is not read.
    """
    found = {}
    for split, part in SPLITS.items():
        files = raw.find(f"forward/{part}/xnli_{language}.json") or raw.find(f"{part}/xnli_{language}.json")
        for file in files:
            found[split] = Dataset.from_list(list(_rows(raw, file, split)), features=FEATURES)
    return found


def _rows(raw: Raw, name: str, split: str) -> Iterator[dict[str, Any]]:
    content = raw.json(name)
    if not isinstance(content, dict) or not isinstance(content.get(split), list):
        raise raw.error(name, 1, f"no list {split!r}", f'{{"{split}": [...]}}')
    numbered = enumerate(content[split], start=1)
    for number, row in raw.some(name, numbered, "pair"):
        where = f"pair {number}"
        if not isinstance(row, dict) or not FEATURES.keys() <= row.keys():
            raise raw.error(name, where, f"{row!r:.60}", f"{{{', '.join(FEATURES)}}}")
        texts = {"premise": Value("string"), "hypothesis": Value("string"), "label": Value("int64")}
        raw.require_types(name, where, row, texts)
        if row["label"] not in (0, 1, 2):
            raise raw.error(name, where, f"label {row['label']}", "0, 1 or 2")
        yield {column: row[column] for column in FEATURES}
