"""XStoryCloze: a story of four sentences and two endings, in 11 languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import Raw

FILES = "*.val.{language}.tsv.split_20_80_*.tsv"
SOURCE = "https://huggingface.co/datasets/juletxara/xstory_cloze (files spring2016.val.*.tsv)"
CITATION = "Lin et al. (2022), Few-shot Learning with Multilingual Generative Language Models, EMNLP."
SPLITS = {"train": "train", "eval": "eval"}
# Column of the file -> column of the data set.
TEXTS = {
    "InputStoryid": "story_id",
    "InputSentence1": "input_sentence_1",
    "InputSentence2": "input_sentence_2",
    "InputSentence3": "input_sentence_3",
    "InputSentence4": "input_sentence_4",
    "RandomFifthSentenceQuiz1": "sentence_quiz1",
    "RandomFifthSentenceQuiz2": "sentence_quiz2",
}
ANSWER = "AnswerRightEnding"
FEATURES = Features({**dict.fromkeys(TEXTS.values(), Value("string")), "answer_right_ending": Value("int32")})


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a story; `answer_right_ending` counts from 1, as the publisher does."""
    found = {}
    for split, part in SPLITS.items():
        for file in raw.find(f"*.val.{language}.tsv.split_20_80_{part}.tsv"):
            found[split] = Dataset.from_list(list(_rows(raw, file)), features=FEATURES)
    return found


def _rows(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for number, row in raw.records(name, dict.fromkeys((*TEXTS, ANSWER), Value("string")), unique=("InputStoryid",)):
        answer = row[ANSWER].strip()
        if answer not in ("1", "2"):
            raise raw.error(name, number, f"{ANSWER} {answer!r}", "1 or 2")
        yield {column: row[cell] for cell, column in TEXTS.items()} | {"answer_right_ending": int(answer)}
