"""SQuAD 1.1 by machine in ten languages, as released with XTREME; answers are found again where they were shifted."""

from __future__ import annotations

import logging

from datasets import Dataset

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.xquad import FEATURES, questions
from hf_stilts.tasks.tydiqa import realign

logger = logging.getLogger(__name__)

SPLITS = {"translate_train": "train", "translate_dev": "dev"}
FILES = tuple(f"squad.translate.{part}.en-" + "{language}.json" for part in SPLITS.values())
SOURCE = "https://console.cloud.google.com/storage/browser/xtreme_translations (folder SQuAD)"
CITATION = "Hu et al. (2020), XTREME, ICML; Rajpurkar et al. (2016), SQuAD, EMNLP."


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question; those whose answer is nowhere in the translated paragraph are dropped and counted."""
    splits = {}
    for split, part in SPLITS.items():
        file = f"squad.translate.{part}.en-{language}.json"
        if raw.find(file):
            found = [realign(row) for row in questions(raw, file, exact=False)]
            rows = [row for row in found if row is not None]
            if len(rows) < len(found):
                logger.warning(
                    "%s: dropped %d of %d questions without their answer", file, len(found) - len(rows), len(found)
                )
            splits[split] = Dataset.from_list(rows, features=FEATURES)
    return splits
