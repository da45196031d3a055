"""ANLI: pairs that fooled a model, of three rounds, in the publisher's JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import load_task

PARTS, ROUNDS = ("train", "dev", "test"), (1, 2, 3)
FILES = tuple(f"R{number}/{part}.jsonl" for number in ROUNDS for part in PARTS)
SOURCE = "https://github.com/facebookresearch/anli (anli_v1.0.zip)"
CITATION = "Nie, Williams, Dinan, Bansal, Weston and Kiela (2020), Adversarial NLI, ACL."
LABELS = {name[0]: name for name in load_task("anli").labels}  # published as e, n and c
TEXTS = ("uid", "premise", "hypothesis", "reason")
FEATURES = Features({**dict.fromkeys(TEXTS, Value("string")), "label": ClassLabel(names=list(LABELS.values()))})


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a pair, a split of each round's part: `train_r1` is of `R1/train.jsonl`."""
    splits = {}
    for part in PARTS:
        for number in ROUNDS:
            for file in raw.find(f"R{number}/{part}.jsonl")[:1]:
                splits[f"{part}_r{number}"] = Dataset.from_list(list(_rows(raw, file)), features=FEATURES)
    return splits


def _rows(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    texts = dict.fromkeys(("uid", "context", "hypothesis", "label"), Value("string"))
    for number, item in raw.records(name, texts, unique=("uid",)):
        if item["label"] not in LABELS:
            raise raw.error(name, number, f"label {item['label']!r}", f"one of {', '.join(LABELS)}")
        row = {"uid": item["uid"], "premise": item["context"], "hypothesis": item["hypothesis"]}
        yield row | {"reason": item.get("reason", ""), "label": LABELS[item["label"]]}
