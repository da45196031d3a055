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

    Quotes are those of the sentences, or CSV's in mirrors that have them (`Raw.texts`); XTREME's test files have lost
    the label.
    Where neither has training rows, they are those of XTREME's own translations, `en-de-translated.tsv`.
    """
    splits = {}
    for split, parts in SPLITS.items():
        published = [file for part in parts for file in raw.find(f"{language}/{part}.tsv")]
        xtreme = raw.find(f"{XTREME[split]}-{language}.tsv")
        if published or xtreme:
            rows = _published(raw, published[0]) if published else _xtreme(raw, xtreme[0])
            splits[split] = Dataset.from_list(list(rows), features=FEATURES)
    if "train" not in splits:
        name = TRANSLATED.format(language=language)
        translated = [_row(raw, name, n, str(n), *cells) for n, cells in raw.translated_pairs(language, LABELS)]
        splits |= {"train": Dataset.from_list(translated, features=FEATURES)} if translated else {}
    return splits


def _published(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    rows = raw.texts(name)
    header = next(rows)[1]
    places: dict[str, int] = {}
    for number, cells in rows:
        if header != [*FEATURES] or len(cells) != len(header):
            raise raw.error(
                name, number, f"{len(cells)} cells below {header}", f"{len(FEATURES)}: {', '.join(FEATURES)}"
            )
        if places.setdefault(cells[0], number) != number:
            raise raw.error(name, number, f"id {cells[0]!r}, as in line {places[cells[0]]}", "every id once")
        yield _row(raw, name, number, *cells)


def _xtreme(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for number, cells in raw.texts(name):
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
