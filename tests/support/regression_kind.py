"""A kind that the package does not have, in one file, as another package would bring it: a number for a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from hf_stilts.declarations import ColumnType
from hf_stilts.kinds import Kind
from hf_stilts.kinds.features import first_output, head_class, map_rows, named_labels, pad
from hf_stilts.kinds.rows import check_texts

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class TextRegression(Kind):
    """One output on the pooled token, mean squared error. A prediction is a number, right within `tolerance`."""

    name: ClassVar[str] = "text-regression"
    columns: ClassVar[Mapping[str, ColumnType]] = {"text": "text", "stars": "number"}
    smoothed = False
    pipeline_tag = "text-classification"

    max_length: int = 64
    tolerance: float = 0.5

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        return head_class(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, config, self.name)

    def head_config(self, task: Task) -> dict[str, Any]:
        return {**named_labels(["stars"]), "problem_type": "regression"}

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        check_texts(task, rows, "text")

        def make(batch: dict[str, list[Any]], numbers: list[int]) -> dict[str, list[Any]]:
            encoded = tokenizer(batch["text"], truncation=True, max_length=max_length)
            return {**encoded, "labels": batch["stars"], "row": numbers}

        return map_rows(make, task, rows, tokenizer, list(range(len(rows))), kind=self, max_length=max_length)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        return partial(pad, tokenizer=tokenizer)

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        return first_output(logits)[:, 0]

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[float]:
        return [float(output) for output in outputs]

    def score(self, task: Task, predictions: Sequence[float], rows: Dataset) -> dict[str, float]:
        error = np.abs(np.subtract(predictions, rows["stars"][:]))
        return {"accuracy": 100.0 * float((error <= self.tolerance).mean()), "mean_error": float(error.mean())}

    def shares(self, task: Task, predictions: Sequence[float], rows: Dataset) -> NDArray[np.float64] | None:
        right = np.abs(np.subtract(predictions, rows["stars"][:])) <= self.tolerance
        return np.stack((right, np.ones(len(right))), axis=1)


KIND = TextRegression()
