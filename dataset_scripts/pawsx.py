"""PAWS-X: pairs of sentences of much the same words, in the publisher's files or in XTREME's and its translations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import TRANSLATED, Raw
from hf_stilts.task import load_task

SPLITS = {"train": ("train", "translated_train"), "validation": ("dev_2k",), "test": ("test_2k",)}
XTREME = {"train": "train", "validation": "dev", "test": "test"}
FILES = (
    *("{language}/" + f"{part}.tsv" for parts in SPLITS.values() for part in parts),
    *(f"{part}-" + "{language}.tsv" for part in XTREME.values()),
    TRANSLATED,
)
SOURCE = "https://github.com/google-research-datasets/paws/tree/master/pawsx"
CITATION = "Yang, Zhang, Tar and Baldridge (2019), PAWS-X, EMNLP."
LABELS = load_task("pawsx").labels
FEATURES = Features(
    {
        "id": Value("int32"),
        "sentence1": Value("string"),
        "sentence2": Value("string"),
        "label": ClassLabel(names=list(LABELS)),
    }
)


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a pair, of `de/translated_train.tsv` and so on; or of XTREME's `dev-de.tsv`, without header and id.

    Quotes are those of the sentences, or CSV's in mirrors that have them (`Raw.cells`); XTREME's test files have lost
    the label.
    Where neither has training rows, they are those of XTREME's own translations, `en-de-translated.tsv`.
    """
    splits = {}
    for split, parts in SPLITS.items():
        published = [file for part in parts for file in raw.find(f"{language}/{part}.tsv")]
        xtreme = raw.find(f"{XTREME[split]}-{language}.tsv")
        translated = raw.find(TRANSLATED.format(language=language)) if split == "train" else []
        files = raw.first_of(*([file] for file in published), xtreme, translated)
        if not files:
            continue
        if published:
            rows = _published(raw, files[0])
        else:
            rows = _xtreme(raw, files[0]) if xtreme else _translated(raw, files[0], language)
        splits[split] = Dataset.from_list(list(rows), features=FEATURES)
    return splits


def _published(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for number, row in raw.records(name, FEATURES, unique=("id",)):
        yield _row(raw, name, number, row["id"], row["sentence1"], row["sentence2"], row["label"])


def _translated(raw: Raw, name: str, language: str) -> Iterator[dict[str, Any]]:
    for number, cells in raw.translated_pairs(language, LABELS):
        yield _row(raw, name, number, str(number), *cells)


def _xtreme(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for number, cells in raw.cells(name):
        if len(cells) == 2 and name.rpartition("/")[2].startswith(XTREME["test"]):
            yield {"id": number, "sentence1": cells[0], "sentence2": cells[1], "label": -1}
        elif len(cells) == 3:
            yield _row(raw, name, number, str(number), *cells)
        else:
            raise raw.error(name, number, f"{len(cells)} columns", "3, separated by tabs")


def _row(raw: Raw, name: str, number: int, each: str, first: str, second: str, label: str) -> dict[str, Any]:
    if label not in LABELS or not each.isdigit():
        raise raw.error(name, number, f"label {label!r} of pair {each!r}", "0 or 1, of a number")
    return {"id": int(each), "sentence1": first, "sentence2": second, "label": label}
