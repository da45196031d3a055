"""XTREME-UP's cross-lingual retrieval for QA: questions in 26 languages, most of India, and English passages.

| configuration | splits | a row |
|---|---|---|
| `{language}` of a question | `validation`, `test` | all: `query_ids`, `queries`, `gold` (a passage id each) |
| `candidates` | `test` | one passage of both splits: `id`, `text` |

A passage is its title, a blank and its text, as the publisher's baseline forms it, but in its own case. The training
questions are not read: the task asks what an encoder does without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts import Beside
from hf_stilts.dataset_scripts.raw import Raw

FOLDER = "retrieval_cross_lang"
INDEX = f"{FOLDER}/index.jsonl"
FILES = (f"{FOLDER}/validation/{{language}}.jsonl", f"{FOLDER}/test/{{language}}.jsonl")
SOURCE = "https://github.com/google-research/xtreme-up (xtreme-up-v1.1.jsonl.tgz)"
CITATION = "Ruder et al. (2023), XTREME-UP, Findings of EMNLP; questions after XOR-TyDi QA (NAACL 2021)."
STRING, STRINGS = Value("string"), List(Value("string"))
QUESTION = {"question": STRING}
PASSAGE = {"title": STRING, "context": STRING}
FEATURES = Features({"query_ids": STRINGS, "queries": STRINGS, "gold": List(STRINGS)})
CANDIDATE = Features({"id": STRING, "text": STRING})


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a split: the language's questions in the order of the file.

    The id of a line is that of its passage, which several questions may share; a question's own is the language and
    the number of its line.
    """
    splits = {}
    for split in ("validation", "test"):
        for file in raw.find(f"{FOLDER}/{split}/{language}.jsonl"):
            row: dict[str, list[str] | list[list[str]]]
            lines = list(raw.records(file, QUESTION))
            row = {"query_ids": [f"{language}-{number}" for number, _ in lines]}
            row["queries"] = [line["question"] for _, line in lines]
            row["gold"] = [[_id(raw, file, number, line)] for number, line in lines]
            splits[split] = Dataset.from_list([row], features=FEATURES)
    return splits


def beside(raw: Raw, languages: list[str]) -> Iterator[Beside]:
    """The passages that all questions are searched among.

    Raises:
        FileNotFoundError: the index is not there.
    """
    found = raw.find(INDEX)
    if not found:
        raise FileNotFoundError(
            f"No {INDEX} below {raw.folder}; the passages are expected there. Unpack the whole archive of {SOURCE}."
        )
    rows = []
    for number, line in raw.records(found[0], PASSAGE, unique=("id",)):
        rows.append({"id": _id(raw, found[0], number, line), "text": f"{line['title']} {line['context']}".strip()})
    yield Beside("candidates", (), {"test": Dataset.from_list(rows, features=CANDIDATE)})


def _id(raw: Raw, name: str, number: int, line: dict[str, Any]) -> str:
    """Id of a passage; the publisher's scripts read a number as its digits."""
    value = line.get("id")
    if not isinstance(value, str | int):
        raise raw.error(name, number, f"id {value!r}", "a string or a number")
    return str(value)
