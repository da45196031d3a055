"""MasakhaNER 2.0: persons, organisations, places and dates in the news of 20 African languages."""

from __future__ import annotations

from datasets import Dataset

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.tagged import splits
from hf_stilts.task import load_task

FILES = ("{config}/train.txt", "{config}/dev.txt", "{config}/test.txt")
SOURCE = "https://github.com/masakhane-io/masakhane-ner/tree/main/MasakhaNER2.0/data"
CITATION = (
    "Adelani et al. (2022), MasakhaNER 2.0: Africa-centric Transfer Learning for Named Entity Recognition, EMNLP."
)
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-DATE", "I-DATE")


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a sentence, from the files of the language's folder (`hau/train.txt`: `word tag`)."""
    folder = load_task("masakhaner2").config_for(language)
    return splits(raw, f"{folder}", "ner_tags", TAGS)
