"""CommonsenseQA: choose among five answers to an everyday question (Talmor et al. 2019)."""

from typing import Any

from hf_stilts.task import Task


def letters_to_ids(row: dict[str, Any]) -> dict[str, Any] | None:
    """Take the choices' texts and turn the answer's letter into its position; unlabelled rows are dropped."""
    if row["label"] not in row["choices"]["label"]:
        return None
    return {
        "context": row["context"],
        "choices": row["choices"]["text"],
        "label": row["choices"]["label"].index(row["label"]),
    }


TASK = Task(
    kind="multiple-choice",
    dataset="tau/commonsense_qa",
    revision="94630fe30dad47192a8546eb75f094926d47e155",
    columns={"context": "question", "choices": "choices", "label": "answerKey"},
    splits={"test": "validation"},  # the published test split has no answers
    prepare=letters_to_ids,
    license="mit",
    paper="1811.00937",
)
