"""MNLI: pairs of sentences from ten genres, in MultiNLI's own files; as in GLUE without the undecided ones."""

from __future__ import annotations

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts import snli
from hf_stilts.dataset_scripts.raw import Raw

FILES = ("multinli_1.0_*.jsonl", "multinli_1.0_*.txt")
SOURCE = "https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip"
CITATION = "Williams, Nangia and Bowman (2018), A Broad-Coverage Challenge Corpus, NAACL."
FEATURES = Features({**snli.FEATURES, "idx": Value("int32")})
SPLITS = {"train": "train", "validation_matched": "dev_matched", "validation_mismatched": "dev_mismatched"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a pair; a dev part is matched where its genres are those of the training rows."""
    splits = {}
    for split, part in SPLITS.items():
        files = raw.first_of(*(raw.find(f"multinli_1.0_{part}.{end}") for end in ("jsonl", "txt")))
        if files:
            decided = (row for row in snli.pairs(raw, files[0]) if row["label"] != -1)
            rows = [row | {"idx": number} for number, row in enumerate(decided)]
            splits[split] = Dataset.from_list(rows, features=FEATURES)
    return splits
