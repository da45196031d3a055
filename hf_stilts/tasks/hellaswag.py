"""HellaSwag: choose how a video caption or an article of WikiHow goes on (Zellers et al. 2019)."""

from typing import Any

from hf_stilts.task import Task


def begin_each_ending(row: dict[str, Any]) -> dict[str, Any] | None:
    """Put the begun second sentence before every ending, as jiant does; unlabelled rows are dropped."""
    if row["label"] in ("", None):
        return None
    endings = [f"{row['ctx_b']} {ending}".strip() for ending in row["choices"]]
    return {"context": row["ctx_a"], "choices": endings, "label": int(row["label"])}


TASK = Task(
    kind="multiple-choice",
    dataset="Rowan/hellaswag",
    revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
    columns={"choices": "endings"},
    splits={"test": "validation"},  # the published test split has no labels
    prepare=begin_each_ending,
    license="mit",
    paper="1905.07830",
)
