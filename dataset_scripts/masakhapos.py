"""MasakhaPOS: parts of speech in the news of 20 African languages."""

from __future__ import annotations

from datasets import Dataset

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.tagged import splits
from hf_stilts.task import load_task

FILES = ("{config}/train.txt", "{config}/dev.txt", "{config}/test.txt")
SOURCE = "https://github.com/masakhane-io/masakhane-pos/tree/main/data"
CITATION = "Dione et al. (2023), MasakhaPOS: Part-of-Speech Tagging for Typologically Diverse African Languages, ACL."
TAGS = load_task("masakhapos").labels


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a sentence, from the files of the language's folder (`hau/train.txt`: `word tag`)."""
    folder = load_task("masakhapos").config_for(language)
    return splits(raw, f"{folder}", "upos", TAGS)
