"""Tatoeba test set: 1,000 or fewer sentences of each language with their English translations, line by line."""

from __future__ import annotations

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.languages import language_of

TASK = "tatoeba112"  # all languages of the publisher's; XTREME has fewer
FILES = "tatoeba.{iso3}-eng.*"
SOURCE = "https://github.com/facebookresearch/LASER/tree/main/data/tatoeba/v1"
CITATION = "Artetxe and Schwenk (2019), Massively Multilingual Sentence Embeddings, TACL 7. Sentences: tatoeba.org."
FEATURES = Features({"sentence1": Value("string"), "sentence2": Value("string"), "lang": Value("string")})


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """Line i of `tatoeba.deu-eng.deu` and of `tatoeba.deu-eng.eng` become one row, in the published order."""
    pair = f"{language_of(language).iso3}-eng"
    sides = [raw.texts(f"tatoeba.{pair}.{side}") for side in pair.split("-")]
    if len(sides[0]) != len(sides[1]):
        short = min((0, 1), key=lambda side: len(sides[side]))
        found = f"the end after {len(sides[short])} lines"
        expected = f"{len(sides[1 - short])} lines, as in its other side"
        raise raw.error(f"tatoeba.{pair}.{pair.split('-')[short]}", len(sides[short]) + 1, found, expected)
    rows = {"sentence1": sides[0], "sentence2": sides[1], "lang": [pair] * len(sides[0])}
    return {"test": Dataset.from_dict(rows, features=FEATURES)}
