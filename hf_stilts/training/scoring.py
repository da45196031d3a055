"""Evaluation inside a Trainer: rows or features, one set or several, scored by the task's kind against the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from datasets import Dataset
from transformers import EvalPrediction, PreTrainedTokenizerBase, Trainer

from hf_stilts.errors import StiltsError
from hf_stilts.task import KINDS, OPTIONAL_COLUMNS, Task
from hf_stilts.training.guards import warn_of_one_answer

LOWER_IS_BETTER = ("loss", "perplexity")


class ScoringTrainer(Trainer):
    """A Trainer that scores what it evaluates, and evaluates rows as well as features.

    Attributes:
        task: what is scored.
        kind: its kind.
        scored: features of each evaluation set with the rows that they came from, "" the only one.
        scoring: those of the set that is evaluated now.
        tokenizer_for_rows: turns rows into features, with `max_length` tokens per window.
    """

    task: Task
    kind: Any
    scored: dict[str, tuple[Any, Dataset | None]]
    scoring: tuple[Any, Dataset | None]
    tokenizer_for_rows: PreTrainedTokenizerBase
    max_length: int

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """As the stock method, and rows with the kind's canonical columns are taken as well as features."""
        if isinstance(eval_dataset, Mapping):
            scores: dict[str, float] = {}
            for name, data in eval_dataset.items():
                scores |= self.evaluate(data, ignore_keys, f"{metric_key_prefix}_{name}")
            return scores
        return super().evaluate(self._scoring(eval_dataset), ignore_keys, metric_key_prefix)

    def predict(self, test_dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """As the stock method, and rows with the kind's canonical columns are taken as well as features."""
        return super().predict(self._scoring(test_dataset), *args, **kwargs)

    def _scoring(self, data: Any) -> Any:
        """What the stock loop runs over, noting the rows that its outputs will be scored against."""
        if isinstance(data, Dataset):
            self.scoring = self._featurise(data, train=False)
            return self.scoring[0]
        self.scoring = self.scored.get(data or "", (None, None))  # None is the default set, a string one of several
        return data

    def _score(self, output: EvalPrediction) -> dict[str, float]:
        features, rows = self.scoring
        if rows is None:  # features from elsewhere: there is nothing to score them against
            return {}
        predictions = self.kind.decode(self.task, rows, features, output.predictions)
        scores: dict[str, float] = self.kind.score(self.task, predictions, rows)
        warn_of_one_answer(predictions, scores.get(self.task.metric), self.state.global_step)
        return scores

    def _featurise(self, given: Dataset, *, train: bool) -> tuple[Dataset, Dataset | None]:
        """Features, and the rows that they came from; a data set that is already features has none."""
        if "input_ids" in given.column_names:
            return given, None
        kind = self.task.kind
        needed = [column for column in KINDS[kind] if (kind, column) not in OPTIONAL_COLUMNS]
        missing = [column for column in needed if column not in given.column_names]
        if missing:
            raise StiltsError(
                f"The {'train' if train else 'evaluation'} data has columns {', '.join(given.column_names)}; a "
                f"{self.task.kind} task reads {', '.join(needed)}, or features with input_ids. "
                f"Rename the column that holds {missing[0]}."
            )
        tokenizer = self.tokenizer_for_rows
        return self.kind.features(self.task, given, tokenizer, max_length=self.max_length, train=train), given

    def _get_eval_sampler(self, eval_dataset: Dataset) -> torch.utils.data.Sampler[Any] | None:
        """Evaluate in the order of the rows: the stock sampler shuffles them by length under `group_by_length`."""
        strategy = self.args.train_sampling_strategy
        self.args.train_sampling_strategy = "sequential"
        try:
            return super()._get_eval_sampler(eval_dataset)
        finally:
            self.args.train_sampling_strategy = strategy
