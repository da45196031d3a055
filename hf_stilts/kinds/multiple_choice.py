"""Choose one of several continuations or answers: each is read with the context, the one that scores highest wins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from transformers import MODEL_FOR_MULTIPLE_CHOICE_MAPPING, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
from transformers.modeling_outputs import MultipleChoiceModelOutput

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
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
from hf_stilts.kinds.rows import check_lists_of_texts, check_texts, which, wrong_value

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class MultipleChoice(Kind):
    """One logit for each choice, softmax over the choices (jiant; XTREME-R's XCOPA). A prediction is a choice's number.

    `max_length` 128 is that of XTREME-R's XCOPA script.
    """

    name: ClassVar[str] = "multiple-choice"
    columns: ClassVar[Mapping[str, ColumnType]] = {
        "context": "text",
        "question": "text",
        "choices": "texts",
        "label": "label",
    }
    optional = ("question",)
    several_texts = True
    text_answers = "listed"
    pipeline_tag = "multiple-choice"
    head_class = "ForMultipleChoice"
    submission = "choices"
    official_scorer = "accuracy"

    max_length: int = 128

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`AutoModelForMultipleChoice`'s class; for an architecture without one, its sequence classifier.

        That classifier (mT5's, say) then has one label and reads batches of shape (batch, choices, length) as the stock
        multiple-choice classes do. It is saved under its stock name and loads with
        `AutoModelForSequenceClassification`.
        """
        if type(config) in MODEL_FOR_MULTIPLE_CHOICE_MAPPING:
            return head_class(MODEL_FOR_MULTIPLE_CHOICE_MAPPING, config, self.name)
        classifier: Any = head_class(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, config, self.name)
        return _over_choices(classifier)

    def head_config(self, task: Task) -> dict[str, Any]:
        """One logit for each choice."""
        return named_labels(["choice"])

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature per row: as many token lists as choices, each "context question" paired with a choice.

        In training, rows without label (-1) are dropped.

        Raises:
            StiltsError: a row without text or choices, rows with unequal numbers of choices, or a label that is not
                the number of a choice.
        """
        self.check(task, rows)
        labels = choice_numbers(task, rows)
        width = len(rows[0]["choices"]) if len(rows) else 0
        keep = [row for row, label in enumerate(labels) if label >= 0 or not train]

        def make(batch: Batch, numbers: list[int]) -> Batch:
            for row, choices in zip(numbers, batch["choices"], strict=True):
                if len(choices) != width:
                    raise StiltsError(
                        f"Task {task.name}: {which(rows, row)} has {len(choices)} choices, row 0 has {width}; a batch "
                        "needs equal numbers. Make them equal in the task's prepare=."
                    )
            questions = batch.get("question", [None] * len(numbers))
            prompts = [" ".join(filter(None, parts)) for parts in zip(batch["context"], questions, strict=True)]
            firsts = list(chain.from_iterable([prompt] * width for prompt in prompts))
            encoded = tokenizer(firsts, list(chain(*batch["choices"])), truncation=True, max_length=max_length)
            made: Batch = {}
            for name, flat in encoded.items():
                made[name] = [flat[start : start + width] for start in range(0, len(firsts), width)]
            made["labels"] = [labels[row] if labels[row] >= 0 else IGNORED for row in numbers]
            made["row"] = numbers
            return made

        return map_rows(make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train)

    def check(self, task: Task, rows: Dataset) -> None:
        """Refuse rows without text or without choices."""
        check_texts(task, rows, "context", "question")
        check_lists_of_texts(task, rows, "choices")
        empty = next((row for row, choices in enumerate(rows["choices"][:]) if not choices), None)
        if empty is not None:
            raise wrong_value(task, rows, empty, "choices", [], "at least one choice")

    def gold_numbers(self, task: Task, rows: Dataset) -> list[int]:
        """Numbers of the choices."""
        return choice_numbers(task, rows)

    def listed_answers(self, task: Task, batch: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
        """The numbers of the choices, from 1."""
        return [tuple(map(str, range(1, len(choices) + 1))) for choices in batch["choices"]]

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Pads all choices of a batch alike: (batch, choices, longest)."""
        return partial(_pad_choices, tokenizer=tokenizer)

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Number of the best choice, int64 (batch,), from logits (batch, choices)."""
        return first_output(logits).argmax(dim=-1)

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[int]:
        """Numbers of the choices, from 0."""
        return [int(output) for output in outputs]

    def score(self, task: Task, predictions: Sequence[int], rows: Dataset) -> dict[str, float]:
        """`accuracy`; nothing where no row has a gold label.

        Raises:
            StiltsError: only some rows have one.
        """
        gold = choice_numbers(task, rows)
        if not all_labelled(task, [row for row, label in enumerate(gold) if label < 0], len(gold)):
            return {}
        return {"accuracy": 100.0 * sum(map(int.__eq__, predictions, gold)) / len(gold)}

    def shares(self, task: Task, predictions: Sequence[int], rows: Dataset) -> NDArray[np.float64] | None:
        """Whether each row is right, and 1; float64 (rows, 2). `None` without gold."""
        gold = choice_numbers(task, rows)
        if min(gold, default=-1) < 0:
            return None
        return np.stack((np.equal(predictions, gold), np.ones(len(gold))), axis=1)


def choice_numbers(task: Task, rows: Dataset) -> list[int]:
    """Each row's right choice by its number from 0, -1 where it is not known.

    Raises:
        StiltsError: a label that is not the number of a choice.
    """
    counts = map(len, rows["choices"][:]) if "choices" in rows.column_names else repeat(sys.maxsize)
    numbers = []
    for row, (label, count) in enumerate(zip(column(rows, "label", None), counts, strict=False)):
        if label is None:
            label = -1
        if not isinstance(label, int) or not -1 <= label < count:
            expected = f"the number of a choice, 0 to {count - 1}, or -1 for none"
            raise wrong_value(task, rows, row, "label", label, expected)
        numbers.append(label)
    return numbers


def _pad_choices(features: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    width = len(features[0]["input_ids"])
    read = [name for name in tokenizer.model_input_names if name in features[0]]
    choices = []
    for row in features:
        for number in range(width):
            choices.append({name: row[name][number] for name in read})
    flat = pad(choices, tokenizer)
    batch = {name: values.view(len(features), width, -1) for name, values in flat.items()}
    return {**batch, "labels": torch.tensor([row["labels"] for row in features])}


@cache
def _over_choices(stock: Any) -> type[PreTrainedModel]:
    """A sequence classifier that scores the choices one by one and compares them."""

    class OverChoices(stock):
        def forward(
            self, input_ids: torch.Tensor, labels: torch.Tensor | None = None, **inputs: Any
        ) -> MultipleChoiceModelOutput:
            def flatten(value: Any) -> Any:
                return value.flatten(0, 1) if isinstance(value, torch.Tensor) and value.ndim == 3 else value

            flat = {name: flatten(value) for name, value in inputs.items()}
            logits = super().forward(input_ids.flatten(0, 1), **flat)[0].view(input_ids.shape[:2])
            loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
            return MultipleChoiceModelOutput(loss=loss, logits=logits)

    # config.json names the class that a checkpoint loads with, and that is the stock one.
    OverChoices.__name__ = OverChoices.__qualname__ = stock.__name__
    return OverChoices


KIND = MultipleChoice()
