"""Intermediate training on several tasks at once: one encoder, a head for each task, one task per optimizer step.

How it is built, for whoever trains or measures with it:

- `MixtureTrainer(model, args, tasks=["mnli", "squad_v2"], sampler="proportional")` is a `StiltsTrainer` of the
  phase "intermediate"; it comes through `StiltsTrainer._begin` as every phase does.
- `trainer.model` is a `hf_stilts.training.heads.SharedBody`: `model.body` is the stock `AutoModel`, `model.heads[task]`
  the stock model of that task's kind whose body modules are the same objects. `model(task="mnli", **batch)` gives what
  `model.heads["mnli"](**batch)` gives.
- `trainer.train_dataset` is a `Pool`; `trainer.plan` a `hf_stilts.training.samplers.Plan`, a pure function of seed and
  step. A batch is what the task's kind makes of it, and `"task"`.
- `trainer.members[task]` holds the task, its kind, features, rows and batch size.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainingArguments
from transformers.trainer_utils import seed_worker, set_seed, speed_metrics
from transformers.utils.generic import find_labels

from hf_stilts.data.load import labelled, load
from hf_stilts.hub.lineage import Record, TaskSource
from hf_stilts.hub.naming import mixture_name
from hf_stilts.kinds import load_kind
from hf_stilts.kinds.masked_positions import score_masked_positions_only
from hf_stilts.task import StiltsError, Task, load_task
from hf_stilts.training.encoder import HandOver, load_body, load_tokenizer, with_fresh_head
from hf_stilts.training.heads import SharedBody
from hf_stilts.training.pool import Collator, Pool, StepBatches
from hf_stilts.training.recipes import Recipe
from hf_stilts.training.recipes import recipe as load_recipe
from hf_stilts.training.samplers import (
    CAP,
    Plan,
    Sampler,
    describe_sampler,
    max_steps,
    parse_sampler,
    probabilities,
)
from hf_stilts.training.sources import sources
from hf_stilts.training.text import Text, mix, texts_of
from hf_stilts.training.trainer import DEFAULT_MODEL, StiltsTrainer, parent_of, readable_length

logger = logging.getLogger(__name__)

EPOCHS = 3  # jiant's default, and how often a mixture goes through its capped tasks in Phang et al. 2020 (remembered)
_LOWER_IS_BETTER = ("loss", "perplexity")


@dataclass(frozen=True)
class Member:
    """One task of a mixture: how it is trained and scored, and what on.

    Args:
        batch_size: examples per optimizer step, over all devices and accumulation steps.
        max_length: tokens per window.
        features: what is trained, one example each; `rows`: how many rows they came from.
        dev: features to evaluate on, and the rows that they came from.
        languages: codes of the languages trained in.
    """

    task: Task
    kind: Any
    batch_size: int
    max_length: int
    features: Dataset
    rows: int
    dev: tuple[Dataset, Dataset | None]
    languages: tuple[str, ...] = ("en",)


class MixtureTrainer(StiltsTrainer):
    """Phase two on several tasks: a stock Trainer whose every optimizer step is of one task (Phang et al. 2020; jiant).

    The sequence of (task, examples) is a function of `args.seed` and the step alone: the same after a kill and resume,
    for any accumulation, and in sum over any number of processes. A checkpoint holds the body in its root and the heads
    in `heads/<task>/`; see `hf_stilts.training.heads`.

    `evaluate()` scores every task and adds `eval_aggregate`, the (weighted) mean of their main metrics; make it
    `metric_for_best_model` to keep the best checkpoint and to stop early.

    Args:
        model: name or folder of the checkpoint to start from. Default: `FacebookAI/xlm-roberta-base`.
        args: stock `TrainingArguments`. `max_steps`, where not given, is the sum over tasks of
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
        limit: at most so many training rows of each task.
        max_length: tokens per window. Default: each task's recipe, capped by what the model can read.
        text: for a task of kind fill-mask: its text per language (see `text.texts_of`). Default: the task's data set.
        text_examples: how many windows of text are drawn from all languages. Default: as many as there are, at most
            two million.
        alpha: exponent of the languages' shares of the text (Conneau & Lample 2019): 0.3 as for XLM-R.
        data_dir: local mirror of the data sets.
        micro_tokens: as for `StiltsTrainer`.
        revision: commit of `model`.
        stock: any further argument of `transformers.Trainer`.
    """

    phase = "intermediate"

    def __init__(
        self,
        model: str | SharedBody | None = None,
        args: TrainingArguments | None = None,
        *,
        tasks: Sequence[str | Task],
        name: str | None = None,
        sampler: str | Sampler = "proportional",
        cap: int | None = CAP,
        batch_sizes: int | Mapping[str, int] | None = None,
        aggregate: Mapping[str, float] | None = None,
        recipe: str = "jiant",
        train_dataset: Mapping[str, Dataset] | None = None,
        eval_dataset: Mapping[str, Dataset] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        limit: int | None = None,
        max_length: int | None = None,
        text: Text | None = None,
        text_examples: int | None = None,
        alpha: float = 0.3,
        data_dir: str | os.PathLike[str] | None = None,
        micro_tokens: int | None = None,
        revision: str | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        **stock: Any,
    ) -> None:
        self.given = {**(train_dataset or {})}
        loaded = [load_task(task) for task in tasks]
        self.tasks = checked([task if task.name in self.given else labelled(task, data_dir) for task in loaded])
        self.recipes = {task: load_recipe(recipe, about, self.phase) for task, about in self.tasks.items()}
        self.profile = recipe
        self.name = name or mixture_name([*self.tasks])
        if args is None:
            args = TrainingArguments(f"runs/mixture-{self.name}", **mixture_recipe(self.recipes).arguments())
            batch_sizes = batch_sizes or {task: figures.batch_size for task, figures in self.recipes.items()}
        args.remove_unused_columns = False  # batches are put together by each task's own collator
        self.data_dir, self.limit, self.micro_tokens, self.handover = data_dir, limit, micro_tokens, None
        self.aggregate_weights = aggregate_weights(self.tasks, aggregate)
        self.cap, self.alpha = cap, alpha
        if not isinstance(model, SharedBody):
            source = model or DEFAULT_MODEL
            model, self.handover = shared_model(source, self.tasks, revision, args.seed)
            logger.info("%s", self.handover)
            processing_class = processing_class or load_tokenizer(source, revision)
        if processing_class is None:
            raise StiltsError("A model object came without its tokenizer. Pass processing_class=.")
        self.tokenizer_for_rows = processing_class
        readable = readable_length(model.body, processing_class)
        parts = args.gradient_accumulation_steps * args.world_size
        sizes = effective_batches(self.tasks, batch_sizes, args.train_batch_size * parts, parts)
        self.text = partial(texts_of, text=text, limit=limit, data_dir=data_dir)
        self.text_examples = text_examples
        self.members: dict[str, Member] = {}
        for task in self.tasks:
            self.task, self.kind = self.tasks[task], load_kind(self.tasks[task].kind)
            self.max_length = max_length or min(self.recipes[task].max_length, readable)
            self.members[task] = self._member(task, sizes[task], (eval_dataset or {}).get(task), limit, args.seed)
        examples = {task: len(member.features) for task, member in self.members.items()}
        self.sampler = parse_sampler(sampler, cap) if isinstance(sampler, str) else sampler
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
            callbacks=list(callbacks or []),
            **stock,
        )
        for task, head in model.heads.items():
            if self.tasks[task].kind == "fill-mask":
                score_masked_positions_only(head)

    def _member(self, task: str, batch_size: int, dev: Dataset | None, limit: int | None, seed: int) -> Member:
        about, own = self.tasks[task], self.given.get(task)
        languages: tuple[str, ...] = ("en",)
        judged = self.recipes[task].eval_limit
        if about.kind == "fill-mask" and own is None:
            texts, held_out = self.text(about, held_out=judged or 500)
            total = sum(map(len, texts.values()))
            features = mix(
                texts,
                lambda rows: self._featurise(rows, train=True)[0],
                total=self.text_examples,
                alpha=self.alpha,
                seed=seed,
            )
            languages, dev = tuple(texts), dev if dev is not None else held_out
        else:
            rows = own if own is not None else load(about, "train", "en", limit=limit, data_dir=self.data_dir)
            features, total = self._featurise(rows, train=True)[0], len(rows)
        if dev is None:
            dev = load(about, "validation", "en", limit=judged, data_dir=self.data_dir)
        scored = self._featurise(dev, train=False)
        return Member(about, self.kind, batch_size, self.max_length, features, total, scored, languages)

    def turn_to(self, task: str, model: SharedBody | None = None) -> None:
        """Make `task` the one that `evaluate(rows)` and `predict(rows)` are about."""
        member = self.members[task]
        self.task, self.kind, self.max_length = member.task, member.kind, member.max_length
        self.scoring = member.dev
        self.collator.current = task
        self.label_names = find_labels(type((model or self.model).heads[task]))

    @property
    def main_metric(self) -> str:
        """What selects the best checkpoint."""
        return "aggregate"

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
        metrics[f"{metric_key_prefix}_aggregate"] = self._aggregate(metrics, metric_key_prefix)
        rows = sum(len(member.dev[0]) for member in self.members.values())
        metrics |= speed_metrics(metric_key_prefix, start, num_samples=rows)
        self.log(metrics)
        # Once, with all scores: early stopping would not find the aggregate among those of a single task.
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _aggregate(self, metrics: Mapping[str, float], prefix: str) -> float:
        total = 0.0
        for task, weight in self.aggregate_weights.items():
            metric = self.tasks[task].metric
            if f"{prefix}_{task}_{metric}" not in metrics:
                raise StiltsError(
                    f"The evaluation rows of {task} give no {metric}; gold labels are expected. Pass eval_dataset= "
                    f"with labels, or aggregate= without {task}."
                )
            total += weight * metrics[f"{prefix}_{task}_{metric}"] * (-1 if metric in _LOWER_IS_BETTER else 1)
        return total / sum(self.aggregate_weights.values())

    def record(self) -> Record:
        """What `stilts.json` says of this run's origin."""
        return Record(
            phase=self.phase,
            mixture=self.name,
            tasks=tuple(source for task in self.members for source in self._sources(task)),
            parent=parent_of(self.handover) if self.handover else None,
            languages=tuple(dict.fromkeys(code for member in self.members.values() for code in member.languages)),
            pipeline_tag="feature-extraction",
            recipe={
                "profile": self.profile,
                "sampler": describe_sampler(self.sampler),
                "cap": self.cap,
                "batch_sizes": ",".join(f"{task}={member.batch_size}" for task, member in self.members.items()),
                "max_length": ",".join(f"{task}={member.max_length}" for task, member in self.members.items()),
            },
        )

    def _sources(self, task: str) -> tuple[TaskSource, ...]:
        member, about = self.members[task], self.tasks[task]
        if task in self.given or (about.kind == "fill-mask" and self.text.keywords["text"] is not None):
            return (TaskSource(name=task, rows=member.rows),)
        language = member.languages[0]
        found = sources(about, member.rows, language=language, limit=self.limit, data_dir=self.data_dir)
        return found if len(member.languages) == 1 else tuple(replace(each, config=None) for each in found)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.model.load_weights(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        logger.info("Loading the best model, of %s.", self.state.best_model_checkpoint)
        self.model.load_weights(self.state.best_model_checkpoint)


def checked(tasks: Sequence[Task]) -> dict[str, Task]:
    """Tasks by name.

    Raises:
        StiltsError: none, one twice, one without a name, or one that trains no head.
    """
    found: dict[str, Task] = {}
    for task in tasks:
        if not task.name or task.name in found:
            raise StiltsError(
                f"A mixture was given the task {task.name!r} {'twice' if task.name else 'of no name'}; different names "
                "are expected. Pass Task(name=...), or leave it out."
            )
        if not task.has_head:
            raise StiltsError(
                f"{task.name} is a {task.kind} task: it has no training data and no head. Leave it out of the mixture."
            )
        found[task.name] = task
    if not found:
        raise StiltsError("A mixture of no tasks was asked for; one or more are expected. See: hf-stilts tasks")
    return found


def mixture_recipe(recipes: Mapping[str, Recipe]) -> Recipe:
    """Figures of a whole mixture from those of its tasks: the first task's, with the lowest of their learning rates."""
    figures = [*recipes.values()]
    return replace(figures[0], learning_rate=min(each.learning_rate for each in figures), epochs=EPOCHS)


def effective_batches(
    tasks: Mapping[str, Task], given: int | Mapping[str, int] | None, stock: int, parts: int
) -> dict[str, int]:
    """Examples per optimizer step of each task; each must fall into equal micro-batches.

    Raises:
        StiltsError: one that does not, or a size for a task that is not in the mixture.
    """
    by_task = given if isinstance(given, Mapping) else dict.fromkeys(tasks, given or stock)
    strangers = [task for task in by_task if task not in tasks]
    if strangers:
        raise StiltsError(f"batch_sizes names {strangers[0]}; the mixture's tasks are {', '.join(tasks)}.")
    sizes = {task: by_task.get(task, stock) for task in tasks}
    for task, size in sizes.items():
        if size < 1 or size % parts:
            raise StiltsError(
                f"A step of {task} has {size} examples, for {parts} micro-batches (accumulation steps times processes);"
                f" a multiple of {parts} is expected. Pass batch_sizes={{'{task}': {max(parts, size - size % parts)}}}."
            )
    return sizes


def aggregate_weights(tasks: Mapping[str, Task], given: Mapping[str, float] | None) -> dict[str, float]:
    """Weights of the tasks in the mean of their main metrics.

    Raises:
        StiltsError: a task that is not in the mixture, or no weight above 0.
    """
    judged = {task: 1.0 for task, about in tasks.items() if about.kind != "fill-mask"} or dict.fromkeys(tasks, 1.0)
    weights = dict(given) if given is not None else judged
    if set(weights) - set(tasks) or min(weights.values(), default=0) < 0 or not sum(weights.values()) > 0:
        raise StiltsError(
            f"aggregate={weights} is no set of weights for {', '.join(tasks)}. Give tasks of the mixture numbers of at "
            "least 0, one of them above 0."
        )
    return {task: weight for task, weight in weights.items() if weight}


def shared_model(
    source: str, tasks: Mapping[str, Task], revision: str | None, seed: int
) -> tuple[SharedBody, HandOver]:
    """One body from `source` under fresh heads; each head drawn from the seed, whatever the others are."""
    loaded = load_body(source, revision)
    heads: dict[str, PreTrainedModel] = {}
    fresh: list[str] = []
    for name, task in tasks.items():
        set_seed(seed)
        heads[name], handover = with_fresh_head(source, task, revision=revision, loaded=loaded)
        fresh += [f"heads.{name}.{parameter}" for parameter in handover.fresh]
    model = SharedBody(loaded[0], heads)
    carried = len(loaded[0].state_dict()) - len(loaded[1])
    return model, replace(handover, carried=carried, fresh=tuple(fresh))
