"""FLORES-200: sentences of Wikinews, Wikijunior and Wikivoyage in 204 languages, each beside its English original."""

from __future__ import annotations

from collections.abc import Iterator

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.languages import nllb_code

FILES = ("{config}.dev", "{config}.devtest")
SOURCE = "https://github.com/facebookresearch/flores/blob/main/flores200/README.md"
CITATION = "NLLB Team (2022), No Language Left Behind: Scaling Human-Centered Machine Translation, arXiv 2207.04672."
FEATURES = Features({"sentence1": Value("string"), "sentence2": Value("string")})
SPLITS = {"validation": "dev", "test": "devtest"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """Line i of `hau_Latn.devtest` and of `eng_Latn.devtest` become one row."""
    return {
        split: Dataset.from_dict({"sentence1": source, "sentence2": target}, features=FEATURES)
        for split, source, target in parallel(raw, language)
    }


def parallel(raw: Raw, language: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each split that a language has: its sentences, and the English ones of the same lines."""
    for split, part in SPLITS.items():
        own, english = f"{nllb_code(language)}.{part}", f"{nllb_code('en')}.{part}"
        if not raw.find(own):
            continue
        source, target = raw.texts(own), raw.texts(english)
        if len(source) != len(target):
            raise raw.error(own, len(source), f"{len(source)} lines", f"{len(target)}, as in {english}")
        yield split, source, target
