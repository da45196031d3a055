"""A kind is behaviour: how rows of one shape become features, which head reads them, how outputs are scored."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


class Kind(Protocol):
    """What every kind with a head offers; a module `hf_stilts/kinds/<name>.py` holds one instance named `KIND`.

    `features` are plain rows of integers (`input_ids`, `attention_mask`, labels) without padding; `collator` pads them,
    on the right. `reduce` shrinks a batch of model outputs on the device to what decoding needs (class ids instead of
    logits), so that evaluation holds little memory; `outputs[i]` is that of feature `i`. `decode` gives one prediction
    per row. A kind whose answers are not read off one call of the model has `run(model, inputs)`, whose result `reduce`
    is given instead. Settings beyond these (doc stride, share of masked tokens) are fields of the instance:
    `dataclasses.replace(KIND, doc_stride=64)`.
    """

    name: str
    max_length: int

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """Stock transformers class with this kind's head for this architecture."""

    def head_config(self, task: Task) -> dict[str, Any]:
        """Configuration of a fresh head: `num_labels`, `id2label`, `label2id`, by the task's names."""

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """Rows to features; one row may give several (windows), each with the row's number in column `row`."""

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Features to a padded batch; ignores columns that no model reads."""

    def reduce(self, logits: Any, labels: Any = None) -> Any:
        """Model outputs of one batch to what `decode` reads; also the Trainer's `preprocess_logits_for_metrics`.

        `logits` is what the Trainer hands over (a tensor, or a tuple where the model gives several), or the model's
        output object itself when it was called without labels. Only fill-mask reads `labels`, those of the batch.
        """

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[Any]:
        """One prediction per row, in the order of the rows."""

    def score(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> dict[str, float]:
        """Metrics as percentages; `task.metric` is one of the keys."""

    def shares(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> NDArray[np.float64] | None:
        """What each row gained of the score and could have gained, float64 (rows, 2), so that it can be drawn again.

        The score is `100 * gained.sum() / possible.sum()`: the main metric, of questions the mean of EM and F1. `None`
        where rows have no gold label, or where the metric is no such ratio (F1 of two classes).
        """


@dataclass(frozen=True)
class Retrieved:
    """What a retrieval kind found in one language.

    Attributes:
        scores: metrics as percentages, and nothing else.
        settings: what decided them besides the model (`layer`, `pooling`, `threshold`); columns of every table.
        ids: one for each prediction.
        predictions: what was found: the number of a sentence, an id, or a ranked list of ids.
        shares: float64 (predictions, 2): what each gained and could have gained; the main metric is
            `100 * gained.sum() / possible.sum()`. `None` where the metric is no such ratio.
    """

    scores: dict[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[str | int] = ()
    predictions: Sequence[Any] = ()
    shares: NDArray[np.float64] | None = None


class RetrievalKind(Protocol):
    """A kind without training data or head: the encoder is used as it is.

    `tuned_on` names the canonical split, if any, on which a threshold is set for the others (`tune_on=` of `evaluate`).
    A kind with `joint = True` searches all languages at once: its `evaluate` is given language -> rows, and returns
    language -> `Retrieved`. One whose row is a whole corpus may have `first(rows, limit)`, for a quick look at a part.
    """

    name: str
    tuned_on: str | None

    def evaluate(
        self, task: Task, rows: Dataset, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **options: Any
    ) -> Retrieved:
        """Encode, search and score one language; `task.metric` is one of the scores."""


def kind_for(task: Task, language: str = "en") -> Any:
    """The task's kind, as text to text if it is that, and set up for one language: MLQA compares answers by it."""
    kind = load_kind(task.kind)
    if task.text_to_text:
        from hf_stilts.kinds.text_to_text import TextToText

        kind = TextToText(kind)
    return kind.in_language(task, language) if hasattr(kind, "in_language") else kind


def load_kind(name: str) -> Any:
    """Kind by its Hugging Face task name: `"text-classification"` is `hf_stilts.kinds.text_classification.KIND`."""
    return importlib.import_module(f"hf_stilts.kinds.{name.replace('-', '_')}").KIND
