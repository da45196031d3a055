"""CommonsenseQA: five answers to an everyday question; its random split, the test part published without answers."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "*_rand_split*.jsonl"
SOURCE = "https://www.tau-nlp.org/commonsenseqa"
CITATION = "Talmor, Herzig, Lourie and Berant (2019), CommonsenseQA, NAACL."
FEATURES = Features(
    {
        "id": Value("string"),
        "question": Value("string"),
        "question_concept": Value("string"),
        "choices": {"label": List(Value("string")), "text": List(Value("string"))},
        "answerKey": Value("string"),
    }
)
SPLITS = {
    "train": "train_rand_split.jsonl",
    "validation": "dev_rand_split.jsonl",
    "test": "test_rand_split_no_answers.jsonl",
}


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question; `answerKey` is empty where the publisher keeps the answer."""
    return raw.splits(SPLITS, _rows, FEATURES)


def _rows(raw: Raw, name: str) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for number, item in raw.json_lines(name):
        try:
            row = _row(item)
        except (KeyError, TypeError) as error:
            found = f"no {error}" if isinstance(error, KeyError) else str(error)
            expected = "{id, question: {stem, question_concept, choices: [{label, text}]}, answerKey}"
            raise raw.error(name, number, found, expected) from error
        raw.require_types(name, number, row, FEATURES)
        if row["id"] in rows:
            raise raw.error(name, number, f"question {row['id']} again", "every id once")
        if row["answerKey"] not in (*row["choices"]["label"], ""):
            raise raw.error(name, number, f"answer {row['answerKey']!r}", f"one of {row['choices']['label']}")
        rows[row["id"]] = row
    return list(rows.values())


def _row(item: dict[str, Any]) -> dict[str, Any]:
    question = item["question"]
    choices = question["choices"]
    return {
        "id": item["id"],
        "question": question["stem"],
        "question_concept": question["question_concept"],
        "choices": {"label": [each["label"] for each in choices], "text": [each["text"] for each in choices]},
        "answerKey": item.get("answerKey", ""),
    }
