"""SQuAD 1.1: questions with their paragraphs, in the publisher's JSON."""

from __future__ import annotations

from datasets import Dataset

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.xquad import FEATURES, questions

FILES = ("train-v1.1.json", "dev-v1.1.json")
SOURCE = "https://rajpurkar.github.io/SQuAD-explorer"
CITATION = "Rajpurkar, Zhang, Lopyrev and Liang (2016), SQuAD, EMNLP."


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question; text as published, blanks at the ends included, so that the offsets hold."""
    train, validation = FILES
    return raw.splits({"train": train, "validation": validation}, questions, FEATURES)
