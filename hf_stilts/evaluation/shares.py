"""What each example contributes to a task's main score, so that scores can be drawn again from the examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

    from hf_stilts.kinds import Kind
    from hf_stilts.task import Task


def shares(kind: Kind, task: Task, predictions: Sequence[Any], rows: Dataset) -> NDArray[np.float64] | None:
    """What each row gained and could have gained.

    Returns:
        float64 (rows, 2); the score is `100 * gained.sum() / possible.sum()`. For question answering that is the mean
        of EM and F1, which XTREME's averages use. `None` where the rows have no gold labels, or where the metric
        belongs to no row alone (F1 of two classes).
    """
    own = getattr(kind, "shares", None)
    if own is not None:
        return own(task, predictions, rows)
    metric = "em_and_f1" if task.kind == "question-answering" else task.metric
    if metric not in ("accuracy", "em_and_f1"):
        return None
    # A mean over rows: a row's share is its score when it is alone.
    alone = [kind.score(task, predictions[row : row + 1], rows.select([row])) for row in range(len(rows))]
    if not all(metric in scores for scores in alone):
        return None
    return np.array([(scores[metric] / 100, 1.0) for scores in alone]).reshape(-1, 2)
