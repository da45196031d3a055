"""SNLI: say whether a sentence follows from the caption of a picture (Bowman et al. 2015)."""

from typing import Any

from hf_stilts.task import Task


def drop_undecided(row: dict[str, Any]) -> dict[str, Any] | None:
    """Drop the pairs whose annotators did not agree; the data set marks them -1."""
    return None if row["label"] == -1 else row


TASK = Task(
    kind="text-classification",
    dataset="stanfordnlp/snli",
    config="plain_text",
    revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    prepare=drop_undecided,
    license="cc-by-sa-4.0",
    paper="1508.05326",
)
