"""A few rows of every kind that trains a head, and the way of a row through it: features, batch, model, decoding."""

from __future__ import annotations

import kind_cases
import torch
from datasets import Dataset

from hf_stilts.kinds import load_kind
from hf_stilts.kinds.features import TARGETS
from hf_stilts.task import Task

TASKS = {
    kind: Task(kind=kind, dataset="nobody/nothing", labels=labels, name=kind.replace("-", "_"), metric=metric)
    for kind, labels, metric in (
        ("text-classification", ("entailment", "neutral", "contradiction"), "accuracy"),
        ("multiple-choice", (), "accuracy"),
        ("token-classification", ("NOUN", "VERB", "DET"), "f1"),
        ("question-answering", (), "f1"),
        ("fill-mask", (), "accuracy"),
    )
}
# Lengths differ a lot, so that padding and windows matter and sorting by length would show.
ROWS = {
    "text-classification": {
        "text": ["the cat reads", "a dog walks by the old river in the big city", "she", "it was"],
        "text_pair": ["the cat does not", "it is a dog", "who sings with the red book and the teacher", "a house"],
        "label": [2, 0, 1, -1],
    },
    "multiple-choice": {
        "context": ["the doctor walks", "she sings in the old house by the river", "it was big"],
        "question": ["where to ?", "why ?", ""],
        "choices": [["house", "city by the river"], ["because", "the cat is not small"], ["one", "two"]],
        "label": [1, 0, -1],
    },
    "token-classification": {
        "tokens": [["the", "cat", "sings"], ["a", "dog"] * 30, [], ["Stadt"]],
        "tags": [["DET", "NOUN", "VERB"], ["DET", "NOUN"] * 30, [], ["NOUN"]],
    },
    "question-answering": {
        "id": ["q1", "q2", "q3"],
        "question": ["who sings ?", "where is the big red house of the teacher ?", "what ?"],
        "context": [" the cat sings", "the city of the doctor is big and " * 6 + "the house is in Berlin .", "it is"],
        "answers": [
            {"text": ["the cat"], "answer_start": [1]},
            {"text": ["Berlin", "in Berlin"], "answer_start": [34 * 6 + 16, 34 * 6 + 13]},
            {"text": ["it"], "answer_start": [0]},
        ],
    },
    "fill-mask": {"text": ["the cat reads", "the teacher sings and the doctor walks by the river " * 5, "", "two"]},
}
MAX_LENGTH = 32


def rows_of(kind: str) -> Dataset:
    return Dataset.from_dict(ROWS[kind])


def batch_of(kind, features, tokenizer, places=None):
    places = range(len(features)) if places is None else places
    return kind.collator(tokenizer)([features[place] for place in places])


def outputs_of(kind, model, features, tokenizer, batches):
    """Outputs by feature, from batches in whatever order."""
    outputs = [None] * len(features)
    for places in batches:
        batch = batch_of(kind, features, tokenizer, places)
        labels = {name: batch.pop(name, None) for name in TARGETS}["labels"]
        with torch.inference_mode():
            reduced = kind.reduce(model(**batch), labels)
        for place, output in zip(places, reduced.numpy(), strict=True):
            outputs[place] = output
    return outputs


def built(name: str):
    return load_kind(name), TASKS[name], rows_of(name)


def labelled_rows(name):
    """The rows of the kind's cases that can be learnt from, so that every step sees all of them."""
    rows = kind_cases.rows_of(name)
    return rows.filter(lambda row: row.get("label", 0) >= 0 and row.get("tokens", 1) != [] and row.get("text", 1) != "")
