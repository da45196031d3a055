"""Evaluation inside a Trainer: rows or features, one set or several, scored by the task's kind against the rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial, reduce
from typing import Any

import torch
from datasets import Dataset
from transformers import EvalPrediction, PreTrainedTokenizerBase, Trainer
from transformers.trainer_pt_utils import EvalLoopContainer, nested_concat

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import Kind
from hf_stilts.kinds.features import IGNORED
from hf_stilts.task import Task
from hf_stilts.training.given_data import has_features, rows_as_dataset
from hf_stilts.training.guards import warn_of_one_answer

logger = logging.getLogger(__name__)

LOWER_IS_BETTER = ("loss", "perplexity")


class ScoringTrainer(Trainer):
    """A Trainer that scores what it evaluates, and evaluates rows as well as features.

    Attributes:
        task: what is scored.
        kind: its kind.
        scored: features of each evaluation set with the rows that they came from, "" the only one.
        scoring: those of the set that is evaluated now.
        tokenizer_for_rows: turns rows into features, with `max_length` tokens per window; None where all are features.
    """

    task: Task
    kind: Kind
    scored: dict[str, tuple[Any, Dataset | None]]
    scoring: tuple[Any, Dataset | None]
    tokenizer_for_rows: PreTrainedTokenizerBase | None
    max_length: int
    _outputs: EvalLoopContainer | None = None  # of the batches so far, under batch_eval_metrics

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

    @property
    def weights_step(self) -> int:
        """Step whose weights the model has: after a training, the best one's where that was loaded."""
        best = self.state.best_global_step if self.state.best_model_checkpoint is not None else None
        loaded = self.args.load_best_model_at_end and not self.is_in_train
        return best if loaded and best is not None else self.state.global_step

    def _scoring(self, data: Any) -> Any:
        """What the Trainer's loop runs over, noting the rows that its outputs will be scored against."""
        self._outputs = None
        if data is None or isinstance(data, str):  # the default set, or one of several
            self.scoring = self.scored.get(data or "", (None, None))
            return data
        known = [pair for pair in self.scored.values() if pair[0] is data]  # trainer.eval_dataset itself
        self.scoring = known[0] if known else self._featurise(data, train=False)
        if self.scoring[1] is None:
            logger.warning(
                "The evaluation data are features without the rows that they came from, so there is a loss and no "
                "score. Pass rows, with the columns of a %s task, to get one.",
                self.task.kind,
            )
        return self.scoring[0]

    def _score(self, output: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Scores of an evaluation; under `batch_eval_metrics` the Trainer's loop asks at each batch for all so far."""
        features, rows = self.scoring
        if rows is None:  # features from elsewhere: there is nothing to score them against
            return {}
        predicted: Any = output.predictions
        if self.args.batch_eval_metrics:
            self._outputs = self._outputs or EvalLoopContainer(padding_index=IGNORED)
            self._outputs.add(predicted)
            if not compute_result:
                return {}
            predicted, self._outputs = self._outputs.get_arrays(), None
        elif not self.args.eval_do_concat_batches:
            predicted = reduce(partial(nested_concat, padding_index=IGNORED), predicted)
        predictions = self.kind.decode(self.task, rows, features, predicted)
        scores = self.kind.score(self.task, predictions, rows)
        warn_of_one_answer(predictions, scores.get(self.task.metric), self.weights_step)
        return scores

    def _featurise(self, given: Any, *, train: bool) -> tuple[Any, Dataset | None]:
        """Features, and the rows that they came from; data that are already features have none."""
        given = rows_as_dataset(given)
        if has_features(given):
            return given, None
        needed = self.task.declaration.required()
        missing = [column for column in needed if column not in given.column_names]
        if missing:
            raise StiltsError(
                f"The {'train' if train else 'evaluation'} data has columns {', '.join(given.column_names)}; a "
                f"{self.task.kind} task reads {', '.join(needed)}, or features with input_ids. "
                f"Rename the column that holds {missing[0]}."
            )
        tokenizer = self.tokenizer_for_rows
        if tokenizer is None:
            raise StiltsError(
                f"The {'train' if train else 'evaluation'} data are rows, and a model object came without the "
                "tokenizer that turns them into features. Pass processing_class=, or features with input_ids."
            )
        return self.kind.features(self.task, given, tokenizer, max_length=self.max_length, train=train), given

    def _get_eval_sampler(self, eval_dataset: Dataset) -> torch.utils.data.Sampler[Any] | None:
        """Evaluate in the order of the rows: the stock sampler shuffles them by length under `group_by_length`."""
        strategy = self.args.train_sampling_strategy
        self.args.train_sampling_strategy = "sequential"
        try:
            return super()._get_eval_sampler(eval_dataset)
        finally:
            self.args.train_sampling_strategy = strategy
