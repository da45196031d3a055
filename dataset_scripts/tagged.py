"""Files with a word and its tag a line, and an empty line behind each sentence, as Masakhane publishes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw

SPLITS = {"train": "train", "validation": "dev", "test": "test"}

Words = list[tuple[str, str]]


def splits(raw: Raw, folder: str, column: str, tags: tuple[str, ...]) -> dict[str, Dataset]:
    """The splits of one language.

    Args:
        raw: the files.
        folder: name of the language's.
        column: that holds the tags.
        tags: all of them, in the order of their numbers.
    """
    features = Features(
        {"id": Value("string"), "tokens": List(Value("string")), column: List(ClassLabel(names=list(tags)))}
    )
    found = {}
    for split, part in SPLITS.items():
        files = raw.find(f"{folder}/{part}.txt")
        rows: dict[str, list[Any]] = {"id": [], "tokens": [], column: []}
        for file in files:
            for words in raw.some(file, _sentences(raw, file, tags), "sentence"):
                rows["id"].append(str(len(rows["id"])))
                rows["tokens"].append([word for word, _ in words])
                rows[column].append([tag for _, tag in words])
        if files:
            found[split] = Dataset.from_dict(rows, features=features)
    return found


def _sentences(raw: Raw, name: str, tags: tuple[str, ...]) -> Iterator[Words]:
    words: Words = []
    for number, line in raw.lines(name):
        if not line.strip():
            if words:
                yield words
            words = []
            continue
        word, _, tag = line.rstrip().rpartition(" ")
        if not word or tag not in tags:
            raise raw.error(name, number, f"{line!r}", f"a word, a blank and one of {', '.join(tags)}")
        words.append((word, tag))
    if words:
        yield words
