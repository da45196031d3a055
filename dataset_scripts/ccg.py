"""CCG supertags: each word's category, from CCGbank (licensed), the Parallel Meaning Bank, or one sentence a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import load_task

SPLITS = {"train": "train", "validation": "dev", "test": "test"}
PMB = tuple("{language}/" + f"{part}.conll" for part in SPLITS.values())
LINES = tuple(f"ccg.{part}" for part in SPLITS.values())  # jiant's: words, a tab, categories
BANK = ("wsj_????.auto", "wsj*.stagged")
FILES = (*PMB, *LINES, *BANK)
SOURCE = "LDC2005T13 (CCGbank), or https://pmb.let.rug.nl (layer data of the Parallel Meaning Bank)"
CITATION = (
    "Hockenmaier and Steedman (2007), CCGbank, Computational Linguistics 33; Abzianidze et al. (2017), The Parallel "
    "Meaning Bank, EACL."
)
UNSEEN = "unseen"
"""Category of a word in dev or test whose own is nowhere in the training rows: no model gets it right."""

Sentence = list[tuple[str, str]]
_LEAF = re.compile(r"<L (\S+) \S+ \S+ (\S+) \S+>")
# Wall Street Journal sections, as everywhere in the supertagging literature.
_SECTIONS = {"train": range(2, 22), "validation": range(1), "test": range(23, 24)}
_ESCAPED = {"-LRB-": "(", "-RRB-": ")", "-LCB-": "{", "-RCB-": "}", "-LSB-": "[", "-RSB-": "]"}
_COLUMNS = 7  # of the Parallel Meaning Bank: token, token, symbol, semantic tag, category, sense, roles


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a sentence. The classes are the categories of the training rows of all languages, and `unseen`.

    CCGbank: sections 02 to 21 train, 00 validates, 23 tests, from its `.auto` trees or C&C's `.stagged` files. (Phang
    et al. 2020 count 38,015 and 5,484 sentences, which is another split; files in the form that jiant reads are read.)
    """
    found = {split: list(_sentences(raw, split, language)) for split in SPLITS}
    if not any(found.values()):
        return {}
    others = [code for code in load_task("ccg").languages if code != language]
    trained = [found["train"], *(_sentences(raw, "train", code) for code in others)]
    seen: set[str] = set()
    for sentence in chain.from_iterable(trained):
        seen.update(category for _, category in sentence)
    names = [*sorted(seen), UNSEEN]
    features = Features({"tokens": List(Value("string")), "supertags": List(ClassLabel(names=names))})
    made = {}
    for split, sentences in found.items():
        columns: dict[str, list[list[str]]] = {"tokens": [], "supertags": []}
        for sentence in sentences:
            columns["tokens"].append([word for word, _ in sentence])
            columns["supertags"].append([tag if tag in seen else UNSEEN for _, tag in sentence])
        if sentences:
            made[split] = Dataset.from_dict(columns, features=features)
    return made


def _sentences(raw: Raw, split: str, language: str) -> Iterator[Sentence]:
    for file in raw.find(f"{language}/{SPLITS[split]}.conll"):
        yield from raw.some(file, _conll(raw, file), "sentence")
    if language == "en":
        for file in raw.find(f"ccg.{SPLITS[split]}"):
            yield from raw.some(file, _lines(raw, file), "sentence")
        # Both kinds of file hold the same sentences, so one is enough.
        trees = [file for file in raw.find(BANK[0]) if _section(file)[0] in _SECTIONS[split]]
        tagged = [file for file in raw.find(BANK[1]) if {*_section(file)} <= {*_SECTIONS[split]}]
        raw.first_of(trees, tagged)
        for file in trees or tagged:
            yield from raw.some(file, _auto(raw, file) if trees else _stagged(raw, file), "sentence")


def _conll(raw: Raw, name: str) -> Iterator[Sentence]:
    sentence: Sentence = []
    for number, line in raw.lines(name):
        cells = line.split("\t")
        if line and not line.startswith("#"):
            if len(cells) != _COLUMNS:
                raise raw.error(name, number, f"{len(cells)} columns", f"{_COLUMNS}, separated by tabs")
            sentence.append((cells[0].replace("~", " "), cells[4]))  # `New~York` is one token
        elif not line and sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _lines(raw: Raw, name: str) -> Iterator[Sentence]:
    for number, cells in raw.table(name, columns=2):
        words, categories = (cell.split(" ") for cell in cells)
        if len(words) != len(categories):
            found = f"{len(words)} words with {len(categories)} categories"
            raise raw.error(name, number, found, "as many, separated by blanks")
        yield list(zip(map(_plain, words), categories, strict=True))


def _auto(raw: Raw, name: str) -> Iterator[Sentence]:
    for number, line in raw.lines(name):
        leaves = _LEAF.findall(line)
        if line.startswith("(") and not leaves:
            raise raw.error(name, number, "a tree without a leaf", "(<L category tag tag word category>) in it")
        if leaves:
            yield [(_plain(word), category) for category, word in leaves]


def _stagged(raw: Raw, name: str) -> Iterator[Sentence]:
    for number, line in raw.lines(name):
        tokens = [token.split("|") for token in line.split()]
        if any(len(token) != 3 for token in tokens):
            raise raw.error(name, number, f"{line[:60]!r}", "word|tag|category, separated by blanks")
        if tokens:
            yield [(_plain(word), category) for word, _, category in tokens]


def _section(name: str) -> range:
    """Sections that a file's name bears: `wsj_0203.auto` is of 02, `wsj02-21.stagged` of 02 to 21."""
    stem = Path(name).name.removeprefix("wsj").removeprefix("_")
    numbers = [int(number[:2]) for number in re.findall(r"\d{2,4}", stem)]
    return range(numbers[0], numbers[-1] + 1) if numbers else range(0)


def _plain(word: str) -> str:
    return _ESCAPED.get(word, word).replace("\\/", "/")
