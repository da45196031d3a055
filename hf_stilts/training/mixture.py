"""Intermediate training on several tasks at once: one encoder, a head for each task, one task per optimizer step.

How it is built, for whoever trains or measures with it:

- `MixtureTrainer(model, args, tasks=["mnli", "squad_v2"], sampler="proportional")` is a `StiltsTrainer` of the
  phase "intermediate"; it comes through `StiltsTrainer._begin` as every phase does.
- `trainer.model` is a `hf_stilts.models.heads.SharedBody`: `model.body` is the stock `AutoModel`, `model.heads[task]`
  the stock model of that task's kind whose body modules are the same objects. `model(task="mnli", **batch)` gives what
  `model.heads["mnli"](**batch)` gives.
- `trainer.train_dataset` is a `Pool`; `trainer.plan` a `hf_stilts.training.samplers.Plan`, a pure function of seed and
  step. A batch is what the task's kind makes of it, and `"task"`.
- `trainer.members[task]` holds the task, its kind, features, rows and batch size.
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

from hf_stilts.data.canonical import named
from hf_stilts.data.language_shares import Languages
from hf_stilts.data.load import labelled, load
from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import language_suffix, mixture_name
from hf_stilts.hub.record import Record, TaskSource
from hf_stilts.kinds import kind_for
from hf_stilts.kinds.features import check_length, readable_length
from hf_stilts.models.body import match_padding
from hf_stilts.models.heads import SharedBody
from hf_stilts.models.opened import open_checkpoint
from hf_stilts.task import Task
from hf_stilts.training.checks import check_mixture, mixture_tasks
from hf_stilts.training.given_data import as_dataset
from hf_stilts.training.mixture_data import Collator, Pool, StepBatches
from hf_stilts.training.mixture_tasks import (
    Member,
    aggregate_weights,
    effective_batches,
    mixture_recipe,
    refuse_unknown,
    shared_model,
)
from hf_stilts.training.options import taken
from hf_stilts.training.provenance import codes_of, exclusion, languages_of, sources, training_rows, with_validation
from hf_stilts.training.recipes import recipe as load_recipe
from hf_stilts.training.samplers import (
    Plan,
    Sampler,
    describe_sampler,
    max_steps,
    parse_sampler,
    probabilities,
)
from hf_stilts.training.scoring import LOWER_IS_BETTER
from hf_stilts.training.start import DEFAULT_BASE, model_and_base
from hf_stilts.training.text import mix, texts_of
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
        train_dataset: Mapping[str, Dataset] | None = None,
        eval_dataset: Mapping[str, Dataset] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        revision: str | None = None,
        **stock: Any,
    ) -> None:
        model, base = model_and_base(model, base)
        self.options = options = taken(args, stock)
        recipe, name, cap, max_length = options.recipe, options.name, options.cap, options.max_length
        data_dir, limit = options.data_dir, options.limit
        if own := {"compute_metrics", "data_collator"} & {*stock}:
            raise StiltsError(f"{own.pop()}= is each task's own in a mixture. Leave it out, or train one task alone.")
        self.given = {task: as_dataset(rows) for task, rows in (train_dataset or {}).items()}
        self.tasks = {
            task: named(about, self.given[task].features) if task in self.given else labelled(about, data_dir)
            for task, about in mixture_tasks(tasks).items()
        }
        languages = self._languages_by_task(options.languages)
        refuse_unknown(
            self.tasks,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            languages=languages,
            batch_sizes=batch_sizes,
        )
        check_mixture(options, self.tasks)
        self.recipes = {task: load_recipe(recipe, about, self.phase) for task, about in self.tasks.items()}
        self.profile = recipe
        self.name = name or mixture_name([*self.tasks])
        if args is None:
            args = TrainingArguments(f"runs/mixture-{self.name}", **mixture_recipe(self.recipes).arguments())
            batch_sizes = batch_sizes or {task: figures.batch_size for task, figures in self.recipes.items()}
        args = copy.copy(args)  # steps and columns are this mixture's, not those of the next one
        if args.ddp_find_unused_parameters is None:
            args.ddp_find_unused_parameters = True  # a step trains one head; under checkpointing stock assumes all
        args.remove_unused_columns = False  # batches are put together by each task's own collator
        self.data_dir, self.limit, self.exclude, self.handover = data_dir, limit, options.exclude, None
        self.micro_tokens, self.compact_vocabulary = options.micro_tokens, options.compact_vocabulary
        self.aggregate_weights = aggregate_weights(self.tasks, aggregate)
        self.cap, self.alpha = cap, options.alpha
        if stock.get("model_init") is not None:
            model = self._first_model(model or base, stock["model_init"])
            if not isinstance(model, SharedBody):
                raise StiltsError(
                    f"model_init= gave a {type(model).__name__}; a mixture trains a SharedBody. Return one: "
                    "hf_stilts.models.heads.SharedBody(body, heads)"
                )
        if not isinstance(model, SharedBody):
            opened = open_checkpoint(base or DEFAULT_BASE, revision)
            model, self.handover = shared_model(opened, self.tasks, None, args.seed)
            logger.info("%s", self.handover)
            processing_class = processing_class or opened.tokenizer
        if processing_class is None:
            raise StiltsError("A model object came without its tokenizer. Pass processing_class=.")
        self.tokenizer_for_rows = processing_class
        match_padding(model.body, processing_class)
        readable = readable_length(model.body, processing_class)
        parts = args.gradient_accumulation_steps * args.world_size
        sizes = effective_batches(self.tasks, batch_sizes, args.train_batch_size * parts, parts)
        self.text = partial(texts_of, text=options.text, limit=limit, data_dir=data_dir)
        self.text_examples = options.text_examples
        self.rows_of = partial(training_rows, limit=limit, data_dir=data_dir, exclude=options.exclude)
        self.members: dict[str, Member] = {}
        check_length(model.body, max_length)
        for task in self.tasks:
            self.task, self.kind = self.tasks[task], kind_for(self.tasks[task])
            self.max_length = max_length or min(self.recipes[task].max_length, readable)
            dev, chosen = (eval_dataset or {}).get(task), languages.get(task)
            self.members[task] = self._member(task, sizes[task], dev, chosen, args.seed)
        self.name = name or self.name + language_suffix(self._languages(of_text=False))
        examples = {task: len(member.features) for task, member in self.members.items()}
        sampler: Any = options.sampler
        self.sampler: Sampler = parse_sampler(sampler, cap) if isinstance(sampler, str) else sampler
        probabilities(self.sampler, examples)  # a mistake in the weights shows now, and not after an hour
        self.plan = Plan(examples, sizes, self.sampler, args.seed)
        if args.max_steps <= 0:
            args.max_steps = max_steps(examples, sizes, args.num_train_epochs, cap)
        self.scored = {task: member.dev for task, member in self.members.items()}
        self.collator = Collator({task: m.kind.collator(processing_class) for task, m in self.members.items()})
        self.turn_to(next(iter(self.tasks)), model)
        self._begin(
            model,
            args,
            self.collator,
            Pool({task: member.features for task, member in self.members.items()}),
            {task: member.dev[0] for task, member in self.members.items()},
            processing_class,
            compute_metrics=self._score,
            preprocess_logits_for_metrics=lambda logits, labels: self.kind.reduce(logits, labels),
            **stock,
        )

    def _languages_by_task(self, given: Any) -> Mapping[str, Languages]:
        """Languages of each task's training rows; those that were given without a task are of all but masked words."""
        if given is None or isinstance(given, Mapping):
            return given or {}
        return {task: given for task, about in self.tasks.items() if not about.declaration.pretraining}

    def _set_up(self, model: Any) -> None:
        for task, head in model.heads.items():
            self.members[task].kind.set_up(head, self.members[task].max_length)

    def _unsmoothed(self) -> list[str]:
        return [task for task, member in self.members.items() if not member.kind.smoothed]

    def _member(self, task: str, batch_size: int, dev: Dataset | None, chosen: Languages | None, seed: int) -> Member:
        about, own = self.tasks[task], self.given.get(task)
        judged = self.recipes[task].eval_limit
        if about.declaration.pretraining and own is None:
            texts, held_out = self.text(about, held_out=judged or 500)
            languages = {language: len(rows) for language, rows in texts.items()}
            features = mix(
                texts,
                lambda rows: self._featurise(rows, train=True)[0],
                total=self.text_examples,
                alpha=self.alpha,
                seed=seed,
            )
            dev = dev if dev is not None else held_out
        else:
            rows = own if own is not None else self.rows_of(about, chosen)
            if own is not None and self.limit is not None:
                rows = own.select(range(min(self.limit, len(own))))
            if dev is None:
                rows, dev, _ = with_validation(about, rows, judged=judged, limit=self.limit, data_dir=self.data_dir)
            features, languages = self._featurise(rows, train=True)[0], languages_of(rows) or {"en": len(rows)}
        if dev is None:
            dev = load(about, "validation", "en", limit=judged, data_dir=self.data_dir)
        scored = self._featurise(dev, train=False)
        return Member(about, self.kind, batch_size, self.max_length, features, languages, scored)

    def turn_to(self, task: str, model: SharedBody | None = None) -> None:
        """Make `task` the one that `evaluate(rows)` and `predict(rows)` are about."""
        if task not in self.members:
            raise StiltsError(f"{task!r} is not in the mixture. Name one of its tasks: {', '.join(self.members)}.")
        member = self.members[task]
        self.task, self.kind, self.max_length = member.task, member.kind, member.max_length
        self.scoring = member.dev
        self.collator.current = task
        self.label_names = find_labels(type((model or self.model).heads[task]))

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

    def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **stock: Any) -> Any:
        """As for one task, of the task that the batch is of."""
        self.kind = self.members[inputs["task"]].kind
        return super().compute_loss(model, inputs, *rest, **stock)

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
                if isinstance(eval_dataset, str):
                    self.turn_to(eval_dataset)
                return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            start = time.time()
            metrics: dict[str, float] = {}
            for task in self.members:
                self.turn_to(task)
                loader = self.get_eval_dataloader(task)
                prefix = f"{metric_key_prefix}_{task}"
                metrics |= self.evaluation_loop(loader, "Evaluation", None, ignore_keys, prefix).metrics
        finally:
            self.turn_to(turned_to)
        metrics[f"{metric_key_prefix}_aggregate"] = self._aggregate(metrics, metric_key_prefix)
        rows = sum(len(member.dev[0]) for member in self.members.values())
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
        for task, member in self.members.items():
            if member.dev[0] is data:
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
            total += weight * metrics[f"{prefix}_{task}_{metric}"] * (-1 if metric in LOWER_IS_BETTER else 1)
        return total / sum(self.aggregate_weights.values())

    def record(self) -> Record:
        """What `stilts.json` says of this run's origin."""
        return Record(
            phase=self.phase,
            mixture=self.name,
            tasks=tuple(source for task in self.members for source in self._sources(task)),
            parent=self.handover.parent if self.handover else None,
            languages=codes_of(self._languages()),
            pipeline_tag="feature-extraction",
            recipe={
                "profile": self.profile,
                "sampler": describe_sampler(self.sampler),
                "cap": self.cap,
                "batch_sizes": ",".join(f"{task}={member.batch_size}" for task, member in self.members.items()),
                "max_length": ",".join(f"{task}={member.max_length}" for task, member in self.members.items()),
                **self.vocabulary_recipe,
                **exclusion(self.exclude),
            },
        )

    def _languages(self, of_text: bool = True) -> dict[str, int]:
        """Training rows of each language over all tasks, or over those that are more than text to read on."""
        members = (member for member in self.members.values() if of_text or not member.kind.pretraining)
        return dict(sum((Counter(member.languages) for member in members), Counter()))

    def _sources(self, task: str) -> tuple[TaskSource, ...]:
        languages, about = self.members[task].languages, self.tasks[task]
        if task in self.given or (about.declaration.pretraining and self.text.keywords["text"] is not None):
            return tuple(TaskSource(name=task, rows=rows, language=code) for code, rows in languages.items())
        found = partial(sources, about, limit=self.limit, data_dir=self.data_dir)
        return tuple(each for code, rows in languages.items() for each in found(rows, language=code))

    def token_sources(self, train_dataset: Any) -> list[Dataset]:
        """What compact vocabularies are made from."""
        return [*train_dataset.features.values()]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.model.load_weights(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        logger.info("Loading the best model, of %s.", self.state.best_model_checkpoint)
        self.model.load_weights(self.state.best_model_checkpoint)
