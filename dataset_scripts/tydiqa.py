"""TyDiQA, gold passages: questions asked in nine languages, in SQuAD's JSON, all in one file or a file a language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.dataset_scripts.xquad import FEATURES, questions
from hf_stilts.languages import language_of
from hf_stilts.task import load_task

FILES = "*tydiqa*.json"
SOURCE = "https://github.com/google-research-datasets/tydiqa (tydiqa-goldp-v1.1-train.json, tydiqa-goldp-v1.1-dev.json)"
CITATION = "Clark, Choi, Collins, Garrette, Kwiatkowski, Nikolaev and Palomaki (2020), TyDi QA, TACL 8."
SPLITS = {"train": "train", "validation": "dev"}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """The language's questions, with ids that begin with its name (`swahili-...`), which is how the task knows them.

    Files of one language (`tydiqa-goldp-dev-swahili.json`, `swahili_tydiqa_dev.json`, XTREME's
    `tydiqa.goldp.sw.train.json`) go before those of all languages. XTREME keeps the last number of an id alone, which
    many questions share: they are numbered instead.
    """
    splits = {}
    for split, part in SPLITS.items():
        files = {file: _language_of(file) for file in raw.find(f"*tydiqa*{part}*.json")}
        own = [file for file, spoken in files.items() if spoken == language]
        common = [file for file, spoken in files.items() if spoken is None]
        rows = list(_rows(raw, raw.first_of(own, common), language, split))
        if rows:
            splits[split] = Dataset.from_list(rows, features=FEATURES)
    return splits


def _rows(raw: Raw, files: list[str], language: str, split: str) -> Iterator[dict[str, Any]]:
    name, seen = language_of(language).name.lower(), set[str]()
    for file in files:
        for row in questions(raw, file, distinct=False):
            prefix, dash, _ = row["id"].partition("-")
            if row["id"].isdigit():
                row["id"], prefix = f"{name}-{split}-{len(seen)}", name
            elif not (dash and prefix.isalpha()):
                row["id"], prefix = f"{name}-{row['id']}", name
            if row["id"] in seen:
                raise raw.error(file, "its questions", f"{row['id']} again", "every id once in a language's files")
            if prefix == name:
                seen.add(row["id"])
                yield row


def _language_of(file: str) -> str | None:
    """Language that a file's name bears, by name or as a code between points; None for a file of all languages."""
    words = Path(file).name.lower().replace("_", ".").replace("-", ".").split(".")
    return next(
        (code for code in load_task("tydiqa").languages if {code, language_of(code).name.lower()} & {*words}), None
    )
