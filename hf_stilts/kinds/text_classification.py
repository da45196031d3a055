"""One class for a text or a pair of texts: natural language inference, paraphrase, sentiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from hf_stilts.declarations import ColumnType
from hf_stilts.kinds.base import Kind
from hf_stilts.kinds.features import (
    IGNORED,
    Batch,
    all_labelled,
    column,
    first_output,
    head_class,
    map_rows,
    named_labels,
    pad,
)
from hf_stilts.kinds.rows import check_texts, label_ids

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class TextClassification(Kind):
    """Head on the pooled output. A prediction is a label's name.

    `max_length` 128 is that of XTREME's and jiant's scripts for XNLI and PAWS-X.
    """

    name: ClassVar[str] = "text-classification"
    columns: ClassVar[Mapping[str, ColumnType]] = {"text": "text", "text_pair": "text", "label": "label"}
    optional = ("text_pair",)
    labelled = True
    text_answers = "listed"
    pipeline_tag = "text-classification"
    head_class = "ForSequenceClassification"
    submission = "lines"
    official_scorer = "accuracy"

    max_length: int = 128

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`AutoModelForSequenceClassification`'s class."""
        return head_class(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, config, self.name)

    def head_config(self, task: Task) -> dict[str, Any]:
        """Labels by name, and the loss, which stock would else guess from the labels' number and type."""
        return {**named_labels(task.labels), "problem_type": "single_label_classification"}

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature per row, the longer text cut first. In training, rows without label (-1) are dropped.

        Raises:
            StiltsError: a row without text, or with a label that the task does not have.
        """
        self.check(task, rows)
        labels = label_ids(task, rows)
        paired = any(column(rows, "text_pair", None))
        keep = [row for row, label in enumerate(labels) if label >= 0 or not train]

        def make(batch: Batch, numbers: list[int]) -> Batch:
            pairs = [second or "" for second in batch["text_pair"]] if paired else None
            encoded = tokenizer(batch["text"], pairs, truncation=True, max_length=max_length)
            targets = [labels[row] if labels[row] >= 0 else IGNORED for row in numbers]
            return {**encoded, "labels": targets, "row": numbers}

        return map_rows(make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train)

    def check(self, task: Task, rows: Dataset) -> None:
        """Refuse rows without text."""
        check_texts(task, rows, "text", "text_pair")

    def gold_numbers(self, task: Task, rows: Dataset) -> list[int]:
        """Numbers of the labels."""
        return label_ids(task, rows)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Pads to the longest of a batch."""
        return partial(pad, tokenizer=tokenizer)

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Class ids int64 (batch,) from logits (batch, labels)."""
        return first_output(logits).argmax(dim=-1)

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[str]:
        """Names of the classes."""
        return [task.labels[int(output)] for output in outputs]

    def score(self, task: Task, predictions: Sequence[str], rows: Dataset) -> dict[str, float]:
        """`accuracy`; with two labels also `f1` of the second one and `acc_and_f1`, their mean (GLUE: QQP, MRPC).

        Nothing where no row has a gold label.

        Raises:
            StiltsError: only some rows have one.
        """
        gold = label_ids(task, rows)
        if not all_labelled(task, [row for row, label in enumerate(gold) if label < 0], len(gold)):
            return {}
        found = [task.label_id(prediction) for prediction in predictions]
        scores = {"accuracy": 100.0 * sum(map(int.__eq__, found, gold)) / len(gold)}
        if len(task.labels) == 2:
            hits = sum(a & b for a, b in zip(found, gold, strict=True))
            scores["f1"] = 200.0 * hits / (sum(found) + sum(gold)) if hits else 0.0
            scores["acc_and_f1"] = (scores["accuracy"] + scores["f1"]) / 2
        return scores

    def shares(self, task: Task, predictions: Sequence[str], rows: Dataset) -> NDArray[np.float64] | None:
        """Whether each row is right, and 1; float64 (rows, 2). `None` without gold, or where the metric is F1."""
        gold = label_ids(task, rows)
        if task.metric != "accuracy" or min(gold, default=-1) < 0:
            return None
        right = np.equal([task.label_id(prediction) for prediction in predictions], gold)
        return np.stack((right, np.ones(len(gold))), axis=1)


KIND = TextClassification()
