"""MLQA: SQuAD-like questions on paragraphs of 7 languages, each asked in several of them, in SQuAD's JSON."""

from __future__ import annotations

from collections.abc import Iterator

from datasets import Dataset

from hf_stilts.dataset_scripts import Beside
from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.xquad import FEATURES, questions
from hf_stilts.task import load_task

FILES = "*-context-{language}-question-{language}.json"
SOURCE = "https://github.com/facebookresearch/MLQA (MLQA_V1.zip)"
CITATION = "Lewis, Oğuz, Rinott, Riedel and Schwenk (2020), MLQA, ACL."
SPLITS = {"validation": "dev", "test": "test"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """Questions in the context's own language: the setting of XTREME."""
    return _pair(raw, language, language)


def beside(raw: Raw, languages: list[str]) -> Iterator[Beside]:
    """`MLQA.{context}.{question}`: contexts of the built languages, asked about in any other."""
    for context in languages:
        for question in load_task("mlqa").languages:
            splits = _pair(raw, context, question) if context != question else {}
            if splits:
                yield Beside(f"MLQA.{context}.{question}", (context, question), splits)


def _pair(raw: Raw, context: str, question: str) -> dict[str, Dataset]:
    files = {split: f"{part}-context-{context}-question-{question}.json" for split, part in SPLITS.items()}
    return raw.splits(files, questions, FEATURES)
