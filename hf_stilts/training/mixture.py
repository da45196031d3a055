"""Intermediate training on several tasks at once: one encoder, a head for each task, one task per optimizer step.

How it is built, for whoever trains or measures with it:

- `MixtureTrainer(model, args, tasks=["mnli", "squad_v2"], sampler="proportional")` is a `StiltsTrainer` of the
  phase "intermediate", made by the same `__init__`; what it does in another way, it overrides.
- `trainer.model` is a `hf_stilts.models.heads.SharedBody`: `model.body` is the stock `AutoModel`, `model.heads[task]`
  the stock model of that task's kind whose body modules are the same objects. `model(task="mnli", **batch)` gives what
  `model.heads["mnli"](**batch)` gives.
- `trainer.train_dataset` is a `MixtureDataset`; `trainer.plan` a `hf_stilts.training.samplers.Plan`, a pure function
  of seed and step. A batch is what the task's kind makes of it, and `"task"`.
- `trainer.task_data[task]` is a `hf_stilts.training.task_data.TaskData`: the task, its kind, features, rows, batch
  size.
"""

from __future__ import annotations

import copy
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_utils import seed_worker, speed_metrics
from transformers.utils.generic import find_labels

from hf_stilts.data.language_shares import Languages
from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import language_suffix, mixture_name
from hf_stilts.hub.record import Record
from hf_stilts.models.heads import SharedBody
from hf_stilts.models.opened import OpenedCheckpoint
from hf_stilts.models.transfer import Transfer
from hf_stilts.task import Task, lower_is_better
from hf_stilts.training.checks import check_mixture, mixture_tasks
from hf_stilts.training.given_data import as_dataset
from hf_stilts.training.mixture_data import Collator, MixtureDataset, StepBatches
from hf_stilts.training.mixture_tasks import (
    aggregate_weights,
    effective_batches,
    mixture_recipe,
    refuse_unknown,
    shared_model,
)
from hf_stilts.training.provenance import codes_of, exclusion
from hf_stilts.training.samplers import (
    Plan,
    Sampler,
    describe_sampler,
    max_steps,
    parse_sampler,
    probabilities,
)
from hf_stilts.training.start import model_and_base
from hf_stilts.training.task_data import TaskData
from hf_stilts.training.trainer import StiltsTrainer

logger = logging.getLogger(__name__)


class MixtureTrainer(StiltsTrainer):
    """Phase two on several tasks: a stock Trainer whose every optimizer step is of one task (Phang et al. 2020; jiant).

    The sequence of (task, examples) is a function of `args.seed` and the step alone: the same after a kill and resume,
    for any accumulation, and in sum over any number of processes. A checkpoint holds the body in its root and the heads
    in `heads/<task>/`; see `hf_stilts.models.heads`.

    `evaluate()` scores every task and adds `eval_aggregate`, the (weighted) mean of their main metrics; make it
    `metric_for_best_model` to keep the best checkpoint and to stop early.

    Args:
        model: a `SharedBody` with a head for each task.
        base: instead of `model`, name or folder of the public model to start from. Default:
            `FacebookAI/xlm-roberta-base`.
        args: stock `TrainingArguments`, or `StiltsArguments`, which also hold the options below. `max_steps`, where it
            is not given, is the sum over tasks of
            epochs * ceil(min(n, cap) / batch).
        tasks: names, paths of task files, or `Task`s.
        name: what the mixture is called on the Hub, after its base. Default: its tasks joined, where they are few.
        sampler: which task a step is of: `"proportional"`, `"uniform"`, `"temperature=2"`, weights, a schedule (see
            `samplers.parse_sampler`), or a function from sizes and step to weights.
        cap: examples of a task that count for `sampler` and for the number of steps; `None`: all.
        batch_sizes: examples per optimizer step over all devices and accumulation steps, for all tasks or each its own.
            Default: what `args` say, or each task's recipe where `args` is `None`.
        aggregate: weights of the tasks in `eval_aggregate`. Default: all the same, but none for masked language
            modelling, which is there to keep what the encoder knows.
        recipe: profile of `hf_stilts.training.recipes`.
        train_dataset: task -> features or rows, where they are not the task's own English train split.
        eval_dataset: the same for evaluation. Default: the English validation split, capped as the recipe says.
        processing_class: tokenizer. Default: the one beside the checkpoint.
        languages: task -> languages of its training rows, as for `StiltsTrainer`; English where it is not named. As
            one string (`"en,sw"`): of all tasks but masked language modelling.
        exclude: list of training rows to leave out (`hf-stilts data overlap`).
        limit: at most so many training rows of each task.
        max_length: tokens per window. Default: each task's recipe, capped by what the model can read.
        text: for a task of masked language modelling: its text per language (see `text.texts_of`). Default: the
            task's data set.
        text_examples: how many windows of text are drawn from all languages. Default: as many as there are, at most
            two million.
        alpha: exponent of the languages' shares of the text (Conneau & Lample 2019): 0.3 as for XLM-R.
        data_dir: local mirror of the data sets.
        micro_tokens: as for `StiltsTrainer`.
        compact_vocabulary: as for `StiltsTrainer`.
        revision: commit of `base`.
        stock: any further argument of `transformers.Trainer`.
    """

    phase = "intermediate"

    def __init__(
        self,
        model: SharedBody | str | None = None,
        args: TrainingArguments | None = None,
        *,
        tasks: Sequence[str | Task],
        base: str | None = None,
        batch_sizes: int | Mapping[str, int] | None = None,
        aggregate: Mapping[str, float] | None = None,
        train_dataset: Mapping[str, Any] | None = None,
        eval_dataset: Mapping[str, Any] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        **stock: Any,
    ) -> None:
        model, base = model_and_base(model, base)
        if own := {"compute_metrics", "data_collator"} & {*stock}:
            raise StiltsError(f"{own.pop()}= is each task's own in a mixture. Leave it out, or train one task alone.")
        loaded = mixture_tasks(tasks)
        refuse_unknown(loaded, train_dataset=train_dataset, eval_dataset=eval_dataset, batch_sizes=batch_sizes)
        self.batch_sizes = batch_sizes
        self.aggregate_weights = aggregate_weights(loaded, aggregate)
        given = train_dataset, eval_dataset, processing_class
        super().__init__(model, args, None, *given, task=[*loaded.values()], base=base, **stock)
        self.turn_to(next(iter(self.tasks)))  # the stock Trainer has the labels of a body without heads

    def _trained_tasks(self, task: Any) -> dict[str, Task]:
        tasks = mixture_tasks(task)
        check_mixture(self.options, tasks)
        languages: Any = self.options.languages
        refuse_unknown(tasks, languages=languages)
        return tasks

    def _by_task(self, train_dataset: Any) -> dict[str, Any]:
        return {task: as_dataset(rows) for task, rows in (train_dataset or {}).items()}

    def _arguments(self, args: TrainingArguments | None, data_collator: Any) -> TrainingArguments:
        if args is None:
            name = self.options.name or mixture_name([*self.tasks])
            args = TrainingArguments(f"runs/mixture-{name}", **mixture_recipe(self.recipes).arguments())
            by_recipe = {task: figures.batch_size for task, figures in self.recipes.items()}
            self.batch_sizes = self.batch_sizes or by_recipe
        args = copy.copy(args)  # steps and columns are this mixture's, not those of the next one
        if args.ddp_find_unused_parameters is None:
            args.ddp_find_unused_parameters = True  # a step trains one head; under checkpointing stock assumes all
        return super()._arguments(args, data_collator)

    def _from_checkpoint(self, start: OpenedCheckpoint, seed: int) -> tuple[Any, Transfer]:
        return shared_model(start, self.tasks, None, seed)

    def _check_model(self, model: Any) -> None:
        if not isinstance(model, SharedBody):
            raise StiltsError(
                f"model= or model_init= gave a {type(model).__name__}; a mixture trains a SharedBody. Give one: "
                "hf_stilts.models.heads.SharedBody(body, heads)"
            )

    def _body(self, model: SharedBody) -> Any:
        return model.body

    def _read_tasks(self, model: Any, args: TrainingArguments, eval_dataset: Any) -> dict[str, TaskData]:
        parts = args.gradient_accumulation_steps * args.world_size
        sizes = effective_batches(self.tasks, self.batch_sizes, args.train_batch_size * parts, parts)
        languages, found = self._languages_by_task(), self._task_data(model)
        for name, data in found.items():
            data.batch_size = sizes[name]
            given, evaluation = self.given.get(name), (eval_dataset or {}).get(name)
            if data.task.declaration.pretraining and given is None:
                data.read_text(evaluation, args.seed)
            else:
                data.read(given, evaluation, self._rows_of(data.task, languages.get(name)))
        return found

    def _languages_by_task(self) -> Mapping[str, Languages]:
        """Languages of each task's training rows; those that were given without a task are of all but masked words."""
        given: Any = self.options.languages
        if given is None or isinstance(given, Mapping):
            return given or {}
        return {task: given for task, about in self.tasks.items() if not about.declaration.pretraining}

    def _stock_data(self, data_collator: Any, args: TrainingArguments) -> tuple[Any, Any, Any]:
        options: Any = self.options
        self.name = options.name or mixture_name([*self.tasks]) + language_suffix(self._languages(of_text=False))
        examples = {task: len(data.features) for task, data in self.task_data.items()}
        sizes = {task: data.batch_size or 1 for task, data in self.task_data.items()}
        asked = options.sampler
        self.sampler: Sampler = parse_sampler(asked, options.cap) if isinstance(asked, str) else asked
        probabilities(self.sampler, examples)  # a mistake in the weights shows now, and not after an hour
        self.plan = Plan(examples, sizes, self.sampler, args.seed)
        if args.max_steps <= 0:
            args.max_steps = max_steps(examples, sizes, args.num_train_epochs, options.cap)
        collators = {task: data.kind.collator(self.tokenizer_for_rows) for task, data in self.task_data.items()}
        self.collator = Collator(collators, current=next(iter(self.tasks)))
        features = MixtureDataset({task: data.features for task, data in self.task_data.items()})
        return self.collator, features, {task: data.dev[0] for task, data in self.task_data.items()}

    def _set_up(self, model: Any) -> None:
        for task, head in model.heads.items():
            self.task_data[task].kind.set_up(head, self.task_data[task].max_length)

    def _guards(self) -> None:
        """None: a mixture has no recipe as a whole, and no frequencies of one set of labels."""

    def turn_to(self, task: str) -> None:
        """Make `task` the one that `evaluate(rows)` and `predict(rows)` are about.

        Raises:
            StiltsError: it is no task of the mixture.
        """
        if task not in self.task_data:
            raise StiltsError(f"{task!r} is not in the mixture. Name one of its tasks: {', '.join(self.task_data)}.")
        self.data = self.task_data[task]
        self.data.turn_to("")
        self.collator.current = task
        self.label_names = find_labels(type(self.model.heads[task]))

    @property
    def main_metrics(self) -> tuple[str, ...]:
        """The aggregate, then the main score of each task."""
        return ("aggregate", *(f"{task}_{about.metric}" for task, about in self.tasks.items()))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the plan, in its order, shared out over the processes."""
        args = self.args
        parts = args.gradient_accumulation_steps * args.world_size
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=StepBatches(self.plan, args.max_steps, parts),
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            worker_init_fn=partial(seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index),
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Scores of every task, each under its name (`eval_mnli_accuracy`), and `eval_aggregate`.

        Args:
            eval_dataset: one task by name, or rows of the task that was turned to; default: all tasks.
            ignore_keys: as for the stock method.
            metric_key_prefix: as for the stock method.
        """
        turned_to = self.collator.current
        try:
            if eval_dataset is not None:
                return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            start = time.time()
            metrics: dict[str, float] = {}
            for task in self.task_data:
                self.turn_to(task)
                loader = self.get_eval_dataloader(task)
                prefix = f"{metric_key_prefix}_{task}"
                metrics |= self.evaluation_loop(loader, "Evaluation", None, ignore_keys, prefix).metrics
        finally:
            self.turn_to(turned_to)
        metrics[f"{metric_key_prefix}_aggregate"] = self._aggregate(metrics, metric_key_prefix)
        rows = sum(len(data.dev[0]) for data in self.task_data.values())
        metrics |= speed_metrics(metric_key_prefix, start, num_samples=rows)
        self.log(metrics)
        # Once, with all scores: early stopping would not find the aggregate among those of a single task.
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def predict(self, test_dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """As for one task: that of `trainer.eval_dataset[task]`, for other data the one that was turned to."""
        turned_to = self.collator.current
        try:
            return super().predict(test_dataset, *args, **kwargs)
        finally:
            self.turn_to(turned_to)

    def _scoring(self, data: Any) -> Any:
        if isinstance(data, str):
            self.turn_to(data)
            return data
        for task, known in self.task_data.items():
            if known.dev[0] is data:
                self.turn_to(task)
        return super()._scoring(data)

    def _aggregate(self, metrics: Mapping[str, float], prefix: str) -> float:
        total = 0.0
        for task, weight in self.aggregate_weights.items():
            metric = self.tasks[task].metric
            if f"{prefix}_{task}_{metric}" not in metrics:
                raise StiltsError(
                    f"The evaluation rows of {task} give no {metric}; gold labels are expected. Pass eval_dataset= "
                    f"with labels, or aggregate= without {task}."
                )
            total += weight * metrics[f"{prefix}_{task}_{metric}"] * (-1 if lower_is_better(metric) else 1)
        return total / sum(self.aggregate_weights.values())

    def record(self) -> Record:
        """What `stilts.json` says of this run's origin."""
        tasks = self.task_data.items()
        return Record(
            phase=self.phase,
            mixture=self.name,
            tasks=tuple(source for data in self.task_data.values() for source in data.sources()),
            parent=self.transfer.parent if self.transfer else None,
            languages=codes_of(self._languages()),
            pipeline_tag="feature-extraction",
            recipe={
                "profile": self.options.recipe,
                "sampler": describe_sampler(self.sampler),
                "cap": self.options.cap,
                "batch_sizes": ",".join(f"{task}={data.batch_size}" for task, data in tasks),
                "max_length": ",".join(f"{task}={data.max_length}" for task, data in tasks),
                **self.vocabulary_recipe,
                **exclusion(self.options.exclude),
            },
        )

    def _languages(self, of_text: bool = True) -> dict[str, int]:
        """Training rows of each language over all tasks, or over those that are more than text to read on."""
        found: Counter[str] = Counter()
        for data in self.task_data.values():
            if of_text or not data.kind.pretraining:
                trained = data.features if data.rows is None else data.rows
                found += Counter(data.languages or {"en": len(trained)})
        return dict(found)

    def token_sources(self, train_dataset: Any) -> list[Dataset]:
        """What compact vocabularies are made from."""
        return [*train_dataset.features.values()]

    def read_weights(self, folder: str) -> bool:
        """Read the body and the heads."""
        logger.info("Loading the body and the heads of %s.", folder)
        self.model.load_weights(folder)
        return True
