"""LAReQA: each XQuAD question in 11 languages, with every sentence that answers it, in whichever language (XQuAD-R).

Configuration `{language}`, split `test`, one row that holds the language's whole corpus:

| column | type | holds |
|---|---|---|
| `query_ids` | list of strings | `{id of the question}_{language}` |
| `queries` | list of strings | the questions |
| `candidate_ids` | list of strings | `{language}_{paragraph, from 1}_{sentence, from 0}` |
| `candidates` | list of strings | the sentence, then its whole paragraph |
| `gold` | list of lists of strings | each query's right candidates, of *all* languages that have files |

The candidates of a multilingual search are those of all languages' rows together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import load_task

FILES = "{language}.json"
SOURCE = "https://github.com/google-research-datasets/lareqa (folder xquad-r)"
CITATION = "Roy, Constant, Al-Rfou, Barua, Phillips and Yang (2020), LAReQA, EMNLP. Questions: XQuAD."
STRINGS = List(Value("string"))
FEATURES = Features(
    {
        "query_ids": STRINGS,
        "queries": STRINGS,
        "candidate_ids": STRINGS,
        "candidates": STRINGS,
        "gold": List(STRINGS),
    }
)


@dataclass
class Corpus:
    """One language's file: question id -> question, candidate id -> its text, question id -> ids of its answers."""

    questions: dict[str, str] = field(default_factory=dict)
    candidates: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """The language's questions and candidates; the answers of all languages below `raw`, so keep them together."""
    there = [each for each in load_task("lareqa").languages if raw.find(FILES.format(language=each))]
    corpora = {each: read(raw, each) for each in there}
    own = corpora[language]
    gold = []
    for question in own.questions:
        answers: list[str] = []
        for corpus in corpora.values():
            answers += corpus.answers.get(question, ())
        gold.append(answers)
    row = {
        "query_ids": [f"{question}_{language}" for question in own.questions],
        "queries": [*own.questions.values()],
        "candidate_ids": [*own.candidates],
        "candidates": [*own.candidates.values()],
        "gold": gold,
    }
    return {"test": Dataset.from_list([row], features=FEATURES)}


def read(raw: Raw, language: str) -> Corpus:
    """Questions and candidates of a file, as XTREME-R's `utils_lareqa.py` forms them (Ruder et al. 2021).

    A question's answer is the sentence in which it begins, wherever that sentence stands in its paragraph; a question
    that begins outside all sentences is left out.

    Raises:
        StiltsError: the file is not of this form, or holds a question twice.
    """
    name, corpus, where = FILES.format(language=language), Corpus(), "its top"
    content = raw.json(name)
    try:
        paragraphs = [paragraph for article in content["data"] for paragraph in article["paragraphs"]]
        for number, paragraph in enumerate(raw.some(name, paragraphs, "paragraph"), start=1):
            where = f"paragraph {number}"
            _add(raw, name, where, paragraph, f"{language}_{number}", corpus)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        expected = "data[].paragraphs[].{context, sentence_breaks[][start, end], qas[].{id, question, answers}}"
        if isinstance(error, KeyError):
            raise raw.error(name, where, f"no {error}", expected) from error
        raise raw.error(name, where, str(error), expected) from error
    return corpus


def _add(raw: Raw, name: str, where: str, paragraph: dict[str, Any], prefix: str, corpus: Corpus) -> None:
    context = paragraph["context"]
    breaks = [(start, end) for start, end in paragraph["sentence_breaks"]]
    sentences = {f"{prefix}_{place}": context[start:end] for place, (start, end) in enumerate(breaks)}
    corpus.candidates |= {each: (text + context).replace("\n", "") for each, text in sentences.items()}
    for question in paragraph["qas"]:
        if question["id"] in corpus.questions:
            raise raw.error(name, where, f"question {question['id']} again", "every id once")
        begins = question["answers"][0]["answer_start"]
        answer = next((context[start:end] for start, end in breaks if start <= begins < end), None)
        if answer is not None:
            corpus.questions[question["id"]] = question["question"].replace("\n", "")
            corpus.answers[question["id"]] = [each for each, text in sentences.items() if text == answer]
