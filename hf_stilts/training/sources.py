"""What a checkpoint says of the data that it was trained on: data set, commit, rows and licence of every source."""

from __future__ import annotations

import os

from hf_stilts.data.load import data_revision, load_parts
from hf_stilts.hub.lineage import TaskSource
from hf_stilts.task import Task


def sources(
    task: Task,
    rows: int,
    *,
    language: str = "en",
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> tuple[TaskSource, ...]:
    """Sources of a task's training rows: one, or of a task made of parts one for each, all under the task's name.

    Args:
        task: what was trained on.
        rows: how many rows, of all parts together.
        language: of the rows.
        limit: with which the rows were loaded.
        data_dir: from where.
    """
    counts = [rows]
    if task.parts:
        counts = [len(part) for part in load_parts(task, "train", language, limit=limit, data_dir=data_dir)]
    return tuple(
        TaskSource(
            name=task.name,
            dataset=source.dataset if "/" in source.dataset else None,
            config=source.config_for(language),
            revision=data_revision(source, language, data_dir=data_dir),
            split=source.split_for("train"),
            rows=count,
            license=source.license,
        )
        for source, count in zip(task.sources, counts, strict=True)
    )
