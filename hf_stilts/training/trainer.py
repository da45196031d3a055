"""The two phases as real `transformers.Trainer` subclasses: one trains the intermediate encoder, one the target task."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import set_seed

from hf_stilts.data.load import data_revision, load
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.lineage import ParentModel, Record, TaskSource
from hf_stilts.kinds import load_kind
from hf_stilts.task import KINDS, OPTIONAL_COLUMNS, StiltsError, Task, load_task
from hf_stilts.training.encoder import HandOver, load_tokenizer, with_fresh_head
from hf_stilts.training.recipes import recipe as load_recipe

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "FacebookAI/xlm-roberta-base"


class StiltsTrainer(Trainer):
    """What both phases share: a task becomes rows, features, collator, head and score; the rest is the stock Trainer.

    Everything that a stock Trainer takes may be passed and wins over what the task would give.

    Args:
        model: name or folder of the checkpoint to start from (its body is handed over, the head is fresh), or a model
            that already has the right head. Default: `FacebookAI/xlm-roberta-base`.
        args: stock `TrainingArguments`. Default: those of `recipe`, written to `runs/<phase>-<task>`.
        task: name, path of a task file, or `Task`.
        recipe: profile of `hf_stilts.training.recipes` that gives the window length, and `args` where they are `None`.
        train_dataset: features, or rows with the kind's canonical columns. Default: the task's English train split.
        eval_dataset: the same for evaluation. Default: the English validation split, capped as the recipe says.
        processing_class: tokenizer. Default: the one beside the checkpoint.
        limit: at most so many training rows.
        max_length: tokens per window. Default: the recipe's, capped by what the model can read.
        data_dir: local mirror of the data sets (see `hf_stilts.data.load`).
        stock: any further argument of `transformers.Trainer`.
    """

    phase = ""

    def __init__(
        self,
        model: str | PreTrainedModel | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[..., Any] | None = None,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        *,
        task: str | Task,
        recipe: str = "jiant",
        limit: int | None = None,
        max_length: int | None = None,
        data_dir: str | None = None,
        revision: str | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        **stock: Any,
    ) -> None:
        self.task = self.training_task(load_task(task))
        self.kind = load_kind(self.task.kind)
        if not self.task.has_head:
            raise StiltsError(
                f"{self.task.name} is a {self.task.kind} task: it has no training data and no head. "
                f"Evaluate an encoder on it as it is: hf-stilts evaluate {self.task.name} --model NAME"
            )
        self.recipe = load_recipe(recipe, self.task, self.phase)
        self.data_dir = data_dir
        self.handover: HandOver | None = None
        args = args or TrainingArguments(f"runs/{self.phase}-{self.task.name}", **self.recipe.arguments())
        set_seed(args.seed)  # the stock Trainer seeds after the model is made: too late for a fresh head
        source = model if isinstance(model, str) else None
        if model is None:
            source = DEFAULT_MODEL
        if source is not None:
            model, self.handover = with_fresh_head(source, self.task, revision=revision)
            logger.info("%s", self.handover)
            processing_class = processing_class or load_tokenizer(source, revision)
        if processing_class is None:
            raise StiltsError("A model object came without its tokenizer. Pass processing_class=, or the model by name.")
        if not isinstance(model, PreTrainedModel) and not hasattr(model, "config"):
            raise StiltsError(f"model= is a {type(model).__name__}; pass a checkpoint's name or a transformers model.")
        self.max_length = max_length or min(self.recipe.max_length, readable_length(model, processing_class))
        self.train_rows: Dataset | None = None
        self.eval_rows: Dataset | None = None
        train_dataset = self._featurise(train_dataset, "train", limit, processing_class)
        eval_dataset = self._featurise(eval_dataset, "validation", self.recipe.eval_limit, processing_class)
        super().__init__(
            model,
            args,
            data_collator or self.kind.collator(processing_class),
            train_dataset,
            eval_dataset,
            processing_class,
            compute_metrics=compute_metrics or (self._score if self.eval_rows is not None else None),
            preprocess_logits_for_metrics=stock.pop("preprocess_logits_for_metrics", self.kind.reduce),
            callbacks=list(callbacks or []),
            **stock,
        )
        # Stock transformers 5 takes a forward with **kwargs as proof that the loss is already divided by the number of
        # items in the effective batch; the encoder heads ignore that number, so the loss would be multiplied by the
        # accumulation steps and by the process count.
        self.model_accepts_loss_kwargs = False
        self.started = time.time()

    def training_task(self, task: Task) -> Task:
        """Task whose rows and head are trained."""
        return task

    def record(self) -> Record:
        """What a published checkpoint of this run says of its origin (`stilts.json`); `PublishCheckpoints` asks for it."""
        own_data = self.train_rows is None
        source = TaskSource(
            name=self.task.name,
            dataset=None if own_data else self.task.dataset,
            config=None if own_data else self.task.config_for("en"),
            revision=None if own_data else data_revision(self.task, "en", data_dir=self.data_dir),
            split=None if own_data else self.task.split_for("train"),
            rows=len(self.train_dataset if self.train_rows is None else self.train_rows),
            license=None if own_data else self.task.license,
        )
        return Record(
            phase=self.phase,
            tasks=(source,),
            parent=self.handover and parent_of(self.handover),
            languages=("en",),
            pipeline_tag=self.task.kind,
            recipe={"profile": self.recipe.source, "max_length": self.max_length},
        )

    def _featurise(
        self, given: Dataset | None, split: str, limit: int | None, tokenizer: PreTrainedTokenizerBase
    ) -> Dataset | None:
        """Features of a split, keeping its rows for scoring; a data set that is already features passes through."""
        if given is None:
            given = load(self.task, split, "en", limit=limit, data_dir=self.data_dir)
        elif "input_ids" in given.column_names:
            return given
        needed = [column for column in KINDS[self.task.kind] if column not in OPTIONAL_COLUMNS]
        missing = [column for column in needed if column not in given.column_names]
        if missing:
            raise StiltsError(
                f"{split} data has columns {', '.join(given.column_names)}; a {self.task.kind} task reads "
                f"{', '.join(needed)}, or features with input_ids. Rename the column that holds {missing[0]}."
            )
        if split == "train":
            self.train_rows = given
        else:
            self.eval_rows = given
        return self.kind.features(self.task, given, tokenizer, max_length=self.max_length, train=split == "train")

    def _score(self, output: EvalPrediction) -> dict[str, float]:
        outputs = output.predictions
        predictions = self.kind.decode(self.task, self.eval_rows, self.eval_dataset, outputs)
        return self.kind.score(self.task, predictions, self.eval_rows)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> torch.utils.data.Sampler | None:
        """Evaluate in the order of the rows: the stock sampler shuffles them by length under `group_by_length`."""
        strategy = self.args.train_sampling_strategy
        self.args.train_sampling_strategy = "sequential"
        try:
            return super()._get_eval_sampler(eval_dataset)
        finally:
            self.args.train_sampling_strategy = strategy


class IntermediateTrainer(StiltsTrainer):
    """Phase two: trains the whole encoder on one English intermediate task, from a public pre-trained model.

    Add `PublishCheckpoints()` to `callbacks` and every checkpoint that is saved reaches the Hub under
    `<namespace>/<base>-stilts-<task>`, tagged `step-N` (Phang et al. 2020, section 2, step 2).
    """

    phase = "intermediate"


class TargetTrainer(StiltsTrainer):
    """Phase three: fine-tunes an encoder on the English data of a target task, with a fresh head.

    Args:
        init: intermediate checkpoint by name: `"mnli"`, `"mnli@step-2000"`, a repository id or a folder. `None` trains
            from the public model directly, which is the baseline.
        model: with `init`, the public model that the intermediate checkpoint descends from; without it, the start.
        rest: as `StiltsTrainer`.
    """

    phase = "target"

    def __init__(
        self,
        model: str | PreTrainedModel | None = None,
        args: TrainingArguments | None = None,
        *,
        init: str | None = None,
        namespace: str | None = None,
        **rest: Any,
    ) -> None:
        revision = None
        if init is not None:
            if isinstance(model, PreTrainedModel):
                raise StiltsError("Both a model object and init= were given. Pass init= alone, or the model alone.")
            found = resolve(init, base=model, namespace=namespace)
            model, revision = found.repo_id, found.commit
        super().__init__(model, args, revision=revision, **rest)

    def training_task(self, task: Task) -> Task:
        """Task that supplies the English rows: XQuAD has none and is trained on SQuAD."""
        if len(task.train) > 1:
            first, *_, last = task.train
            raise StiltsError(
                f"{task.name} trains on {', '.join(task.train)} one after another. Train {first} first, then "
                f"TargetTrainer(task='{last}', init=<its output folder>)."
            )
        source = load_task(task.train[0]) if task.train else task
        return replace(source, name=source.name)


def parent_of(handover: HandOver) -> ParentModel:
    """Where a body came from, for the record: a folder by its last part only, so that no path leaves the machine."""
    if Path(handover.source).is_dir():
        return ParentModel(id=Path(handover.source).name, published=False)
    return ParentModel(id=handover.source, commit=handover.revision)


def readable_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Longest window that both the position embeddings and the tokenizer allow."""
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    offset = 2 if model.config.model_type in ("xlm-roberta", "roberta", "camembert") else 0  # padding_idx + 1 is skipped
    return int(min(positions - offset, tokenizer.model_max_length))
