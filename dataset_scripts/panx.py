"""PAN-X: persons, organisations and places in Wikipedia sentences; or in Universal NER's treebanks, as a stand-in."""

from __future__ import annotations

from collections.abc import Iterator

from datasets import ClassLabel, Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.uner import Words, iob2

FILES = (
    *("{language}" + f"{mark}{part}" for mark in "/-" for part in ("train", "dev", "test")),
    "{language}_*-ud-*.iob2",
)
SOURCE = "https://www.amazon.com/clouddrive/share/d3KGCRCIYwhKJF0H3eWA26hjg2ZCRhjpEQtDL70FSBN"
CITATION = (
    "Pan et al. (2017), Cross-lingual Name Tagging and Linking for 282 Languages, ACL; split by Rahimi, Li and Cohn "
    "(2019), ACL. Stand-in: Mayhew et al. (2024), Universal NER, NAACL."
)
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
FEATURES = Features(
    {"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(TAGS))), "langs": List(Value("string"))}
)
SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a sentence, the `de:` before each word taken off.

    Args:
        raw: WikiANN's files, of each archive in a folder of its language or renamed as XTREME does it (`de/train`,
            `de-train`: `de:token<TAB>tag`), or Universal NER's `de_*-ud-train.iob2`, joined in the order of their file
            names. WikiANN's go first where both are.
        language: two-letter code.
    """
    splits = {}
    for split, part in SPLITS.items():
        wikiann = raw.find(f"{language}/{part}") or raw.find(f"{language}-{part}")
        universal = raw.find(f"{language}_*-ud-{part}.iob2")
        raw.first_of(wikiann, universal)
        sentences: list[Words] = []
        for file in wikiann or universal:
            found = _wikiann(raw, file, language) if wikiann else iob2(raw, file)
            sentences += raw.some(file, found, "sentence")
        rows: dict[str, list[list[str]]] = {"tokens": [], "ner_tags": [], "langs": []}
        for words in sentences:
            rows["tokens"].append([token for token, _ in words])
            rows["ner_tags"].append([tag for _, tag in words])
            rows["langs"].append([language] * len(words))
        if sentences:
            splits[split] = Dataset.from_dict(rows, features=FEATURES)
    return splits


def _wikiann(raw: Raw, name: str, language: str) -> Iterator[Words]:
    """Sentences of a file; as in XTREME's script, a line without two columns ends a sentence."""
    words: Words = []
    for number, line in raw.lines(name):
        cells = line.split("\t")
        if len(cells) == 2:
            words.append((cells[0].removeprefix(f"{language}:"), _known(raw, name, number, cells[1])))
        elif line.strip() and len(cells) == 1:
            raise raw.error(name, number, f"{line!r} without a tag", f"`{language}:token<TAB>tag`, or an empty line")
        elif words:
            yield words
            words = []
    if words:
        yield words


def _known(raw: Raw, name: str, number: int, tag: str) -> str:
    if tag not in TAGS:
        raise raw.error(name, number, f"tag {tag!r}", f"one of {', '.join(TAGS)}")
    return tag
