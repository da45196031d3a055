"""Social IQa: choose among three answers what people feel, want or do next (Sap et al. 2019)."""

from typing import Any

from hf_stilts.task import Task


def count_from_zero(row: dict[str, Any]) -> dict[str, Any]:
    """Labels are published as "1" to "3"."""
    return {**row, "label": int(row["label"]) - 1}


TASK = Task(
    kind="multiple-choice",
    dataset="lighteval/siqa",
    revision="54c6a1f8cb6daf4f5abf24a601852612fb35eb25",
    columns={"choices": ("answerA", "answerB", "answerC")},
    splits={"test": "validation"},
    prepare=count_from_zero,
    paper="1904.09728",
)
