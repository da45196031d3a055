"""COPA: choose the more plausible cause or effect of a sentence (Roemmele et al. 2011; Wang et al. 2019, SuperGLUE)."""

from typing import Any

from hf_stilts.task import Task


def ask(row: dict[str, Any]) -> dict[str, Any]:
    """Write the question out: "What was the cause?" (XTREME-R's scripts)."""
    return {**row, "question": f"What was the {row['question']}?"}


TASK = Task(
    kind="multiple-choice",
    dataset="aps/super_glue",
    config="copa",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    columns={"context": "premise", "choices": ("choice1", "choice2")},
    splits={"test": "validation"},  # the published test split has no labels
    prepare=ask,
    license="other",
    paper="1905.00537",
)
