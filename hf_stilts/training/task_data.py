"""The data of one task in a training: rows, their features, what they are scored on, and where they came from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

from datasets import Dataset
from transformers import EvalPrediction, PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_pt_utils import EvalLoopContainer, nested_concat

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import TaskSource
from hf_stilts.kinds import Kind, kind_for
from hf_stilts.kinds.features import IGNORED, check_tokens
from hf_stilts.retrieval.encode import UNLIMITED
from hf_stilts.task import Task
from hf_stilts.training.given_data import first_of, has_features, rows_as_dataset, size
from hf_stilts.training.guards import warn_of_one_answer
from hf_stilts.training.options import StiltsOptions
from hf_stilts.training.provenance import languages_of, sources, with_validation
from hf_stilts.training.recipes import Recipe
from hf_stilts.training.text import mix, texts_of

logger = logging.getLogger(__name__)


@dataclass
class TaskData:
    """One task as it is trained and scored; a Trainer has one, a mixture one for each of its tasks.

    Attributes:
        task: what is trained.
        figures: its recipe.
        options: of the training.
        tokenizer: turns rows into features; None where all data are features.
        max_length: tokens per window.
        batch_size: examples per optimizer step, where it is not that of the arguments.
        embedded: how many tokens the model has embeddings for.
        kind: the task's kind.
        features: what is trained, one example each.
        rows: the training rows that the features came from; None of data that came as features.
        languages: training rows of each language, as far as the rows say.
        own: whether the training rows came from the caller, so that the task's data set says nothing of them.
        scored: features of each evaluation set with the rows that they came from, `""` the only one.
        scoring: those of the set that is evaluated now.
        scored_on: what the evaluation rows are, for the record and the card.
        one_answer: whether at the last evaluation all predictions were the same, and not all right.
    """

    task: Task
    figures: Recipe
    options: StiltsOptions
    tokenizer: PreTrainedTokenizerBase | None
    max_length: int
    batch_size: int | None = None
    embedded: int = UNLIMITED
    kind: Kind = field(init=False)
    features: Any = field(init=False)
    rows: Dataset | None = None
    languages: Mapping[str, int] = field(default_factory=dict)
    own: bool = False
    scored: dict[str, tuple[Any, Dataset | None]] = field(default_factory=dict)
    scoring: tuple[Any, Dataset | None] = (None, None)
    scored_on: str | None = None
    one_answer: bool = False
    _outputs: EvalLoopContainer | None = None  # of the batches so far, under batch_eval_metrics

    def __post_init__(self) -> None:
        self.kind = kind_for(self.task)

    @property
    def dev(self) -> tuple[Any, Dataset | None]:
        """Features and rows of the only evaluation set."""
        return self.scored[""]

    def read(self, train: Any, evaluation: Any, load_rows: Callable[[], Dataset]) -> None:
        """Make the features that are trained and evaluated.

        Args:
            train: features or rows of the caller; None: the task's own rows.
            evaluation: the same, or several such by name; None: the English validation rows.
            load_rows: gives the task's own rows.
        """
        limit = self.options.limit
        self.own = train is not None
        if train is None:
            train = load_rows()
        elif limit is not None:
            train = first_of(train, limit)
        if evaluation is None:
            train, evaluation, self.scored_on = with_validation(
                self.task, train, judged=self.figures.eval_limit, limit=limit, data_dir=self.options.data_dir
            )
        self.features, self.rows = self.featurise(train, train=True)
        self.languages = languages_of(train)
        self._evaluate_on(evaluation)

    def read_text(self, evaluation: Any, seed: int) -> None:
        """Make the features of masked language modelling on text in several languages.

        Args:
            evaluation: as for `read`; None: the first texts.
            seed: chooses texts and windows.
        """
        options: Any = self.options
        texts, held_out = texts_of(
            self.task,
            options.text,
            limit=options.limit,
            held_out=self.figures.eval_limit or 500,
            data_dir=options.data_dir,
        )
        self.own = options.text is not None
        self.languages = {language: len(rows) for language, rows in texts.items()}
        self.features = mix(
            texts,
            lambda rows: self.featurise(rows, train=True)[0],
            total=options.text_examples,
            alpha=options.alpha,
            seed=seed,
        )
        self._evaluate_on(held_out if evaluation is None else evaluation)

    def featurise(self, given: Any, *, train: bool) -> tuple[Any, Dataset | None]:
        """Features, and the rows that they came from; data that are already features have none.

        Raises:
            StiltsError: a column is missing, or rows came without a tokenizer.
        """
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
        if self.tokenizer is None:
            raise StiltsError(
                f"The {'train' if train else 'evaluation'} data are rows, and a model object came without the "
                "tokenizer that turns them into features. Pass processing_class=, or features with input_ids."
            )
        features = self.kind.features(self.task, given, self.tokenizer, max_length=self.max_length, train=train)
        check_tokens(features, self.embedded, self.tokenizer)
        return features, given

    def turn_to(self, data: Any) -> Any:
        """Note the rows that the outputs of the next evaluation are scored against, and give what it runs over.

        Args:
            data: features or rows; None or a name: an evaluation set.
        """
        self._outputs = None
        if data is None or isinstance(data, str):
            self.scoring = self.scored.get(data or "", (None, None))
            return data
        known = [pair for pair in self.scored.values() if pair[0] is data]  # trainer.eval_dataset itself
        self.scoring = known[0] if known else self.featurise(data, train=False)
        if self.scoring[1] is None:
            logger.warning(
                "The evaluation data are features without the rows that they came from, so there is a loss and no "
                "score. Pass rows, with the columns of a %s task, to get one.",
                self.task.kind,
            )
        return self.scoring[0]

    def score(
        self, output: EvalPrediction, args: TrainingArguments, step: int, *, whole: bool = True
    ) -> dict[str, float]:
        """Scores of an evaluation.

        Args:
            output: what the Trainer hands over.
            args: of the training.
            step: whose weights were evaluated.
            whole: whether all batches are there: under `batch_eval_metrics` the Trainer asks at each for all so far.
        """
        features, rows = self.scoring
        if rows is None:  # features from elsewhere: there is nothing to score them against
            return {}
        predicted: Any = output.predictions
        if args.batch_eval_metrics:
            self._outputs = self._outputs or EvalLoopContainer(padding_index=IGNORED)
            self._outputs.add(predicted)
            if not whole:
                return {}
            predicted, self._outputs = self._outputs.get_arrays(), None
        elif not args.eval_do_concat_batches:
            predicted = reduce(partial(nested_concat, padding_index=IGNORED), predicted)
        predictions = self.kind.decode(self.task, rows, features, predicted)
        scores = self.kind.score(self.task, predictions, rows)
        self.one_answer = warn_of_one_answer(predictions, scores.get(self.task.metric), step)
        return scores

    def sources(self) -> tuple[TaskSource, ...]:
        """What the record says of the training rows; of rows from elsewhere the task's data set says nothing."""
        name, trained = str(self.task.name), self.features if self.rows is None else self.rows
        if self.own:
            each = [TaskSource(name, rows=count, language=code) for code, count in self.languages.items()]
            return tuple(each) or (TaskSource(name, rows=size(trained)),)
        found: list[TaskSource] = []
        for language, count in (self.languages or {"en": len(trained)}).items():
            limit, data_dir = self.options.limit, self.options.data_dir
            found += sources(self.task, count, language=language, limit=limit, data_dir=data_dir)
        return tuple(found)

    def _evaluate_on(self, evaluation: Any) -> None:
        several = evaluation if isinstance(evaluation, dict) else {"": evaluation}
        self.scored = {name: self.featurise(data, train=False) for name, data in several.items()}
        self.scoring = self.scored.get("", (None, None))
