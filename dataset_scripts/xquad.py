"""XQuAD: SQuAD questions with their paragraphs, in SQuAD's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "xquad.{language}.json"
SOURCE = "https://github.com/google-deepmind/xquad"
CITATION = (
    "Artetxe, Ruder and Yogatama (2020), On the Cross-lingual Transferability of Monolingual Representations, ACL."
)
FEATURES = Features(
    {
        "id": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
    }
)


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question; text as published, blanks at the ends included, so that the offsets hold."""
    return {"validation": Dataset.from_list(list(questions(raw, f"xquad.{language}.json")), features=FEATURES)}


def questions(raw: Raw, name: str, *, exact: bool = True, distinct: bool = True) -> Iterator[dict[str, Any]]:
    """Questions of a file in SQuAD's format, in its order.

    Args:
        raw: where the file is.
        name: its name.
        exact: whether every answer must stand in its context where it says, as it does not in machine translations.
        distinct: whether every id may be there once only.

    Raises:
        StiltsError: a key is missing, an id is there twice, or an answer is not in its context where it says.
    """
    seen: set[str] = set()
    where = "its top"
    try:
        for article, content in enumerate(raw.some(name, raw.json(name)["data"], "article")):
            for paragraph, text in enumerate(content["paragraphs"]):
                where = f"data[{article}].paragraphs[{paragraph}]"
                for question in text["qas"]:
                    row = _question(raw, name, where, question, text["context"], exact)
                    if distinct and row["id"] in seen:
                        raise raw.error(name, where, f"question {row['id']} again", "every id once")
                    seen.add(row["id"])
                    yield row
    except (KeyError, TypeError) as error:
        expected = "data[].paragraphs[].{context, qas[].{id, question, answers[].{text, answer_start}}}"
        raise raw.error(name, where, f"no {error}" if isinstance(error, KeyError) else str(error), expected) from error


def _question(raw: Raw, name: str, where: str, question: dict[str, Any], context: str, exact: bool) -> dict[str, Any]:
    texts = [answer["text"] for answer in question["answers"]]
    starts = [answer["answer_start"] for answer in question["answers"]]
    answers = {"text": texts, "answer_start": starts}
    row = {"id": question["id"], "context": context, "question": question["question"], "answers": answers}
    raw.require_types(name, where, row, FEATURES)
    for text, start in zip(texts, starts, strict=True):
        if exact and not context.startswith(text, start):
            found = f"{context[start : start + len(text)]!r} at offset {start} of the context"
            raise raw.error(name, f"question {question['id']}", found, f"the answer {text!r}")
    return row
