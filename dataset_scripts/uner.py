"""Universal NER: persons, organisations and places in treebanks of Universal Dependencies."""

from __future__ import annotations

from collections.abc import Iterator

from datasets import ClassLabel, Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import load_task

FILES = ("{config}-ud-train.iob2", "{config}-ud-dev.iob2", "{config}-ud-test.iob2")
SOURCE = "https://github.com/UniversalNER (a repository for each treebank)"
CITATION = (
    "Mayhew et al. (2024), Universal NER: A Gold-Standard Multilingual Named Entity Recognition Benchmark, NAACL."
)
TAGS = load_task("uner").labels
FEATURES = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(TAGS)))})
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
COLUMNS = 5  # ID TOKEN TAG MISC ANNOTATOR

Words = list[tuple[str, str]]


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a sentence, from the files of the language's treebank (`sv_talbanken-ud-test.iob2`)."""
    treebank = load_task("uner").config_for(language)
    found = {}
    for split, part in SPLITS.items():
        rows: dict[str, list[list[str]]] = {"tokens": [], "ner_tags": []}
        files = raw.find(f"{treebank}-ud-{part}.iob2")
        for file in files:
            for words in raw.some(file, iob2(raw, file), "sentence"):
                rows["tokens"].append([token for token, _ in words])
                rows["ner_tags"].append([tag for _, tag in words])
        if files:
            found[split] = Dataset.from_dict(rows, features=FEATURES)
    return found


def iob2(raw: Raw, name: str) -> Iterator[Words]:
    """Sentences of a file, each word with its tag; the "other" entities of some treebanks are none of the classes.

    Raises:
        StiltsError: a line has not five columns, or its tag is none of the seven.
    """
    words: Words = []
    for number, line in raw.lines(name):
        cells = line.split("\t")
        if line.startswith("#") and len(cells) != COLUMNS:
            continue
        if line and len(cells) != COLUMNS:
            raise raw.error(name, number, f"{len(cells)} columns", f"{COLUMNS}, separated by tabs")
        if line:
            tag = "O" if cells[2].endswith("-OTH") else cells[2]
            if tag not in TAGS:
                raise raw.error(name, number, f"tag {tag!r}", f"one of {', '.join(TAGS)}")
            words.append((cells[1], tag))
        elif words:
            yield words
            words = []
    if words:
        yield words
