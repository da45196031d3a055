"""The base classes of kinds: what every kind must have, and what it has where it does not say otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_stilts.declarations import Declaration

if TYPE_CHECKING:
    import numpy as np
    import torch
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


class Kind(Declaration, ABC):
    """Base of the kinds with a head; a module `hf_stilts/kinds/<name>.py` holds one instance named `KIND`.

    A kind is a frozen dataclass. What it declares (`hf_stilts.declarations.Declaration`) stands in the class body;
    settings (doc stride, share of masked tokens) are fields: `dataclasses.replace(KIND, doc_stride=64)`.

    `features` are plain rows of integers (`input_ids`, `attention_mask`, labels) without padding; `collator` pads them,
    on the right. `reduce` shrinks a batch of model outputs on the device to what decoding needs (class ids instead of
    logits), so that evaluation holds little memory; `outputs[i]` is that of feature `i`. `decode` gives one prediction
    per row.
    """

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Tokens per window where neither a recipe nor the user says; a field of the dataclass."""

    @abstractmethod
    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """Stock transformers class with this kind's head for this architecture."""

    @abstractmethod
    def head_config(self, task: Task) -> dict[str, Any]:
        """Configuration of a fresh head: `num_labels`, `id2label`, `label2id`, by the task's names."""

    @abstractmethod
    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """Rows to features: unpadded lists of int, and the number of the row that each is of in column `row`.

        Args:
            task: what the rows are of; its labels give the numbers of classes.
            rows: rows with the kind's canonical columns.
            tokenizer: the model's.
            max_length: tokens per window, special ones included; a longer row may give several windows.
            train: for training; then rows without a gold label may be left out.

        Raises:
            StiltsError: a row lacks what the kind reads; the message names row and column.
        """

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Features to a padded batch; ignores columns that no model reads."""

    @abstractmethod
    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Model outputs of one batch to what `decode` reads; also the Trainer's `preprocess_logits_for_metrics`.

        Args:
            logits: what the Trainer hands over (a tensor, or a tuple where the model gives several), or the model's
                output object itself when it was called without labels; in evaluation, what `run` gave.
            labels: those of the batch; only fill-mask reads them.

        Returns:
            A tensor whose first dimension is the batch.
        """

    @abstractmethod
    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> Sequence[Any]:
        """One prediction per row, in the order of the rows: a label's name, a list of tags, a text, ...

        Args:
            task: what the rows are of.
            rows: n rows.
            features: what `features(..., train=False)` made of them.
            outputs: what `reduce` left of each feature, in the order of the features.
        """

    @abstractmethod
    def score(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> dict[str, float]:
        """Metrics as percentages; `task.metric` is one of the keys. Nothing where no row has a gold label.

        Args:
            task: what the rows are of.
            predictions: one for each row, as `decode` gives them.
            rows: rows with their gold labels.
        """

    def shares(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> NDArray[np.float64] | None:
        """What each row gained of the score and could have gained, float64 (rows, 2), so that it can be drawn again.

        The score is `100 * gained.sum() / possible.sum()`: the main metric, of questions the mean of EM and F1. `None`
        where rows have no gold label, or where the metric is no such ratio (F1 of two classes).
        """
        return None

    def answer_similarity(self, predictions: Sequence[Any], rows: Dataset) -> dict[str, float]:
        """How alike answers and gold ones are in their characters, in percent; nothing of kinds without answers."""
        return {}

    def check(self, task: Task, rows: Dataset) -> None:  # noqa: B027  most kinds check while they make features
        """Refuse rows in which something is missing.

        Raises:
            StiltsError: something is; which row, which column, and what to do.
        """

    def in_language(self, task: Task, language: str) -> Kind:
        """The kind as it is for one language of the task."""
        return self

    def set_up(self, model: PreTrainedModel, max_length: int) -> None:  # noqa: B027  most train it as it is
        """Change a model that is about to be trained on windows of `max_length` tokens, in place."""

    def loss(self, outputs: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """The kind's own loss instead of the model's, a scalar; `None`: the model's is right."""
        return None

    @property
    def generates(self) -> bool:
        """Whether evaluation asks `run` for answers that no single call of the model gives."""
        return False

    def run(self, model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> Any:
        """What `reduce` is given in evaluation: the model's outputs."""
        return model(**inputs)

    def gold_numbers(self, task: Task, rows: Dataset) -> list[int]:
        """Number of each row's right answer among its `listed_answers`, -1 where it is not known.

        For kinds with `text_answers = "listed"`.

        Raises:
            NotImplementedError: of any other kind.
        """
        raise NotImplementedError(f"{type(self).__name__} lists no answers")

    def listed_answers(self, task: Task, batch: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
        """Possible answers of each row of a batch (column -> values): the names of the task's labels.

        For kinds with `text_answers = "listed"`.
        """
        rows = len(next(iter(batch.values())))
        return [task.labels] * rows

    def may_be_silent(self, rows: Dataset) -> bool:
        """Whether no answer may be the right one; for kinds with `text_answers = "span"`."""
        return False


class RetrievalKind(Declaration, ABC):
    """Base of the kinds without training data or head: the encoder is used as it is.

    A kind with `joint = True` has `evaluate_jointly`, the others have `evaluate`.
    """

    has_head = False

    @property
    def tuned_on(self) -> str | None:
        """Canonical split, if any, on which a threshold is set for the others (`tune_on=` of `evaluate`)."""
        return None

    def first(self, rows: Dataset, limit: int) -> Dataset:
        """A quick look at a part: rows of a language, of which `load` took at most `limit`; of a corpus, cut down."""
        return rows

    def evaluate(
        self, task: Task, rows: Dataset, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **options: Any
    ) -> Retrieved:
        """Encode, search and score one language; `task.metric` is one of the scores.

        Args:
            task: for messages, and its metric.
            rows: rows of the language, with the kind's canonical columns.
            model: any encoder, with or without a head.
            tokenizer: the model's.
            options: of `hf_stilts.encode` and the kind's own.

        Raises:
            NotImplementedError: of a kind that searches all languages at once.
        """
        raise NotImplementedError(f"{type(self).__name__} does not evaluate one language by itself")

    def evaluate_jointly(
        self,
        task: Task,
        rows: Mapping[str, Dataset],
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        candidates: Dataset | None = None,
        **options: Any,
    ) -> dict[str, Retrieved]:
        """Encode, search and score all languages at once: language -> rows in, language -> what was found out.

        Args:
            task: for messages, and its metric.
            rows: language -> its rows.
            model: any encoder.
            tokenizer: the model's.
            candidates: those that the languages share, one row each with `id` and `text`.
            options: of `hf_stilts.encode` and the kind's own.

        Raises:
            NotImplementedError: of a kind that evaluates each language by itself.
        """
        raise NotImplementedError(f"{type(self).__name__} evaluates each language by itself")


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
        by_layer: the main metric in percent of `hidden_states[0]`, `[1]`, ..., where it was asked for.
    """

    scores: dict[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[str | int] = ()
    predictions: Sequence[Any] = ()
    shares: NDArray[np.float64] | None = None
    by_layer: Sequence[float] = ()
