"""SQuAD 2.0: SQuAD and as many questions without an answer, which have no answers here; in the publisher's JSON."""

from __future__ import annotations

from datasets import Dataset

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.xquad import FEATURES, questions

FILES = ("train-v2.0.json", "dev-v2.0.json")
SOURCE = "https://rajpurkar.github.io/SQuAD-explorer"
CITATION = "Rajpurkar, Jia and Liang (2018), Know What You Don't Know, ACL."


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question; text as published, blanks at the ends included, so that the offsets hold."""
    train, validation = FILES
    return raw.splits({"train": train, "validation": validation}, questions, FEATURES)
