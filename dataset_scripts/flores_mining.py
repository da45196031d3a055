"""FLORES-200 as two corpora, of a language and of English, in which every sentence has a translation."""

from __future__ import annotations

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts import flores
from hf_stilts.dataset_scripts.raw import Raw

FILES, SOURCE, CITATION = flores.FILES, flores.SOURCE, flores.CITATION
STRINGS = List(Value("string"))
FEATURES = Features(
    {"source_ids": STRINGS, "source": STRINGS, "target_ids": STRINGS, "target": STRINGS, "gold": List(STRINGS)}
)


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a split; a sentence's id is the number of its line, from 1, behind the code of its side."""
    found = {}
    for split, source, target in flores.parallel(raw, language):
        gold = [[f"{language}-{line}", f"en-{line}"] for line in range(1, len(source) + 1)]
        row = {
            "source_ids": [pair[0] for pair in gold],
            "source": source,
            "target_ids": [pair[1] for pair in gold],
            "target": target,
            "gold": gold,
        }
        found[split] = Dataset.from_list([row], features=FEATURES)
    return found
