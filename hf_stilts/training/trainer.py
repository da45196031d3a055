"""The two phases as real `transformers.Trainer` subclasses: one for the intermediate task, one for the target task."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import HubStrategy, set_seed

from hf_stilts.data.canonical import named
from hf_stilts.data.language_shares import Languages
from hf_stilts.data.load import labelled
from hf_stilts.errors import StiltsError
from hf_stilts.files import write
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.record import RECORD_FILE, Record, at_step
from hf_stilts.kinds import kind_for
from hf_stilts.kinds.features import check_length, readable_length
from hf_stilts.models.body import match_padding
from hf_stilts.models.compatibility import check_start
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint
from hf_stilts.models.transfer import HandOver, load_trained, with_fresh_head
from hf_stilts.publishing.callback import PublishCheckpoints, describe_run
from hf_stilts.publishing.push import (
    publisher_among,
    publisher_of,
    push,
    refuse_branch,
    stated_by,
    taken_over,
    write_card,
)
from hf_stilts.publishing.saved import flaw, newest_saved, weights_flaw
from hf_stilts.task import Task, load_task
from hf_stilts.training.budget import BudgetGuard
from hf_stilts.training.checks import check_options, check_trained
from hf_stilts.training.compact import CompactTrainer
from hf_stilts.training.contrastive import ContrastiveLoss, contrastive_loss, take
from hf_stilts.training.given_data import first_of, rows_as_dataset, size
from hf_stilts.training.guards import CollapseGuard, GuardedTrainer, chance_loss
from hf_stilts.training.lora import AdapterTrainer
from hf_stilts.training.microbatches import MicroBatchTrainer
from hf_stilts.training.options import taken
from hf_stilts.training.provenance import (
    codes_of,
    exclusion,
    languages_of,
    sources,
    sources_of_own_rows,
    training_rows,
    with_validation,
)
from hf_stilts.training.recipes import recipe as load_recipe
from hf_stilts.training.same_run import RunSettings, Settings, check_checkpoint, settings_of
from hf_stilts.training.scoring import ScoringTrainer
from hf_stilts.training.text_to_text import InWordsTrainer

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "FacebookAI/xlm-roberta-base"


class StiltsTrainer(ScoringTrainer, InWordsTrainer, GuardedTrainer, AdapterTrainer, CompactTrainer, MicroBatchTrainer):
    """What both phases share: a task becomes rows, features, collator, head and score; the rest is the stock Trainer.

    Everything that a stock Trainer takes may be passed and wins over what the task would give.

    Args:
        model: name or folder of the checkpoint to start from (its body is handed over, the head is fresh), or a model
            that already has the right head. Default: `FacebookAI/xlm-roberta-base`.
        args: stock `TrainingArguments`, or `StiltsArguments`, which also hold the options below. Default: those of
            `recipe`, written to `runs/<phase>-<task>`.
        task: name, path of a task file, or `Task`.
        recipe: profile of `hf_stilts.training.recipes` that gives the window length, and `args` where they are `None`.
        train_dataset: features, or rows with the kind's canonical columns, in whatever the stock Trainer takes: a
            `Dataset`, a list of dicts, a torch data set; a stream of features. Default: the task's English train split.
        eval_dataset: the same for evaluation. Default: the English validation split, capped as the recipe says.
        processing_class: tokenizer. Default: the one beside the checkpoint; features with a `data_collator` need none.
        model_init: instead of `model`, as the stock Trainer has it: called at the start of each training, for
            `hyperparameter_search`.
        languages: of the training rows: `"de"`, `"en,sw"`, `{"en": 0.75, "sw": 0.25}` (`mix_languages`); those that the
            task has, and those that its rows were made into. Default: English. With shares, `limit` is the total.
        exclude: list of training rows to leave out (`hf-stilts data overlap`).
        limit: at most so many training rows.
        max_length: tokens per window. Default: the recipe's, capped by what the model can read.
        data_dir: local mirror of the data sets (see `hf_stilts.data.load`).
        micro_tokens: most tokens that go through the model at a time, padding included; the examples of an optimizer
            step, its loss and its gradient stay the same. Default: what suits the device; 0: batches as they come.
        compact_vocabulary: train only the word embeddings that the training rows use. The same model to the bit, with
            less than half of the memory; word embeddings are then exempt from weight decay, and the log says so.
        contrastive: an auxiliary loss between the training rows and their translations, or the language of these; its
            negatives are the other examples of a batch, so batches are then run as they come.
        text_to_text: train an encoder-decoder (mT5) to answer in words, see `hf_stilts.kinds.text_to_text`.
        adapter: `"lora"`, `"lora=32"` or a `peft.LoraConfig`: train only that in the body, and the head in full, and
            save a few megabytes. On a checkpoint that is an adapter itself, the two are saved as one.
        stock: any further argument of `transformers.Trainer`.
    """

    phase = ""
    trains_pairs = False
    contrastive: ContrastiveLoss | None = None
    nothing_left = False  # the checkpoint that is gone on from is of a training that ended, whatever its step

    def __init__(
        self,
        model: str | OpenedCheckpoint | PreTrainedModel | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[..., Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        *,
        task: str | Task,
        model_init: Callable[..., Any] | None = None,
        revision: str | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        **stock: Any,
    ) -> None:
        self.options = options = taken(args, stock)
        recipe, languages, max_length = options.recipe, options.languages, options.max_length
        data_dir, limit = options.data_dir, options.limit
        trained = self.training_task(load_task(task), options.text_to_text)
        check_trained(trained)
        check_options(options, trained)
        if train_dataset is None:
            self.task = labelled(trained, data_dir)
        else:
            train_dataset = rows_as_dataset(train_dataset)
            self.task = named(trained, train_dataset.features if isinstance(train_dataset, Dataset) else None)
        self._refuse_what_is_trained_otherwise()
        self.kind = kind_for(self.task)
        self.profile, self.recipe = recipe, load_recipe(recipe, self.task, self.phase)
        self.data_dir, self.limit, self.exclude = data_dir, limit, options.exclude
        self.contrastive = contrastive = contrastive_loss(options.contrastive)
        classic = contrastive is None and not self.task.text_to_text  # the loss is a mean over labels
        # Micro-batches of other examples would have other negatives.
        self.micro_tokens = options.micro_tokens if classic and not self.trains_pairs else 0
        self.compact_vocabulary, self.adapter = options.compact_vocabulary, options.whole_adapter
        self.handover: HandOver | None = None
        args = args or TrainingArguments(f"runs/{self.phase}-{self.task.name}", **self.recipe.arguments())
        if data_collator is None:
            args.remove_unused_columns = False  # a kind's collator picks what the model reads, and may need more itself
        set_seed(args.seed)  # the stock Trainer seeds after the model is made: too late for a fresh head
        if model_init is not None:
            model = self._first_model(model, model_init)
        if model is None or isinstance(model, str | OpenedCheckpoint):
            self.start = open_checkpoint(model or DEFAULT_MODEL, revision)
            model, self.handover = with_fresh_head(self.start, self.task)
            logger.info("%s", self.handover)
            processing_class = processing_class or self.start.tokenizer
        if processing_class is None and (data_collator is None or train_dataset is None or eval_dataset is None):
            raise StiltsError(
                "A model object came without its tokenizer. Pass processing_class=, or the model by name; or "
                "features as train_dataset= and eval_dataset=, and data_collator=."
            )
        if not isinstance(model, PreTrainedModel) and not hasattr(model, "config"):
            raise StiltsError(f"model= is a {type(model).__name__}; pass a checkpoint's name or a transformers model.")
        check_length(model, max_length)
        self.max_length = max_length or self.recipe.max_length
        if processing_class is not None:
            match_padding(model, processing_class)
            self.max_length = max_length or min(self.recipe.max_length, readable_length(model, processing_class))
        self.tokenizer_for_rows = processing_class
        self.own_data = train_dataset is not None
        self.scored_on: str | None = None
        train_dataset = self._training_data(train_dataset, languages)
        if eval_dataset is None:
            train_dataset, eval_dataset, self.scored_on = with_validation(
                self.task, train_dataset, judged=self.recipe.eval_limit, limit=limit, data_dir=data_dir
            )
        train_dataset, self.train_rows = self._featurise(train_dataset, train=True)
        collate = data_collator or self.kind.collator(processing_class)
        if contrastive is not None:
            train_dataset = self._with_translations(contrastive, train_dataset)
            collate = contrastive.collator(collate, processing_class)
        several = eval_dataset if isinstance(eval_dataset, dict) else {"": eval_dataset}
        # Features of each evaluation set with the rows that they came from: decoding and scoring read both.
        self.scored = {name: self._featurise(data, train=False) for name, data in several.items()}
        features = {name: features for name, (features, _) in self.scored.items()}
        self.scoring = self.scored.get("", (None, None))
        self._begin(
            model,
            args,
            collate,
            train_dataset,
            features if isinstance(eval_dataset, dict) else features[""],
            processing_class,
            compute_metrics=compute_metrics or self._score,
            preprocess_logits_for_metrics=stock.pop("preprocess_logits_for_metrics", self.kind.reduce),
            callbacks=list(callbacks or []),
            model_init=model_init,
            **stock,
        )
        self.add_callback(BudgetGuard(self.recipe, size(train_dataset) or 0))
        self.add_callback(CollapseGuard(chance_loss(train_dataset) if classic else None))

    def _training_data(self, given: Any, languages: Languages | None) -> Any:
        """Rows or features to train on: the task's rows, or the first of what was given."""
        if given is None:
            where = {"data_dir": self.data_dir, "exclude": self.exclude}
            return training_rows(self.task, languages, limit=self.limit, **where)
        if languages is not None or self.exclude is not None:
            raise StiltsError(
                "languages= and exclude= choose rows of the task, but train_dataset= brings its own rows."
            )
        return given if self.limit is None else first_of(given, self.limit)

    def _begin(
        self,
        model: Any,
        args: TrainingArguments,
        *stock: Any,
        model_init: Callable[..., Any] | None = None,
        callbacks: Sequence[Any] | None = None,
        **named: Any,
    ) -> None:
        """Construct the stock Trainer, and undo what is wrong with it; all phases and mixtures come through here."""
        self.pushes_the_end = args.push_to_hub and args.hub_strategy == HubStrategy.END
        args, callbacks = taken_over(args, callbacks or [])
        super().__init__(model, args, *stock, callbacks=callbacks, **named)
        self.model_init = model_init  # the stock Trainer would call it once more
        self._set_up(self.model)
        self._run_settings = RunSettings()
        self.add_callback(self._run_settings)
        unsmoothed = self._unsmoothed()
        if self.args.label_smoothing_factor and unsmoothed:
            logger.warning(
                "label_smoothing_factor=%g does nothing for %s, whose loss is not over classes; the stock Trainer does "
                "not smooth it either.",
                *(self.args.label_smoothing_factor, ", ".join(unsmoothed)),
            )
        # Stock transformers 5 takes a forward with **kwargs as proof that the loss is already divided by the number of
        # items in the effective batch; the encoder heads ignore that number, so the loss would be multiplied by the
        # accumulation steps and by the process count.
        self.model_accepts_loss_kwargs = False

    def _first_model(self, model: Any, model_init: Callable[..., Any]) -> Any:
        """What `model_init` gives, for what is read off a model before the training.

        Raises:
            StiltsError: it was given beside what is for one model.
        """
        given = {"model": model, "adapter": self.adapter, "compact_vocabulary": self.compact_vocabulary or None}
        others = [name for name, value in given.items() if value is not None]
        if others:
            raise StiltsError(
                f"model_init= makes a new model for each training, and {others[0]}= is for one that is there. "
                "Leave out one of them."
            )
        self.model_init = model_init
        return super().call_model_init()

    def call_model_init(self, trial: Any = None) -> Any:
        """As the stock method; the model is set up as the first one was."""
        model = super().call_model_init(trial)
        self._set_up(model)
        return model

    def _set_up(self, model: Any) -> None:
        """Change a model that is about to be trained where this training needs it."""
        self.kind.set_up(model, self.max_length)

    def _unsmoothed(self) -> list[str]:
        """Tasks whose loss `label_smoothing_factor` does not reach."""
        return [] if self.kind.smoothed else [str(self.task.name)]

    def _refuse_what_is_trained_otherwise(self) -> None:
        task, phase = self.task.name, self.phase
        if self.task.declaration.in_batch_negatives and not self.trains_pairs:
            raise StiltsError(
                f"{task} is a {self.task.kind} task, whose pairs are each other's negatives; {type(self).__name__} "
                f'has none. Use DualEncoderTrainer(task="{task}", phase="{phase}"): hf-stilts {phase} {task}'
            )

    @classmethod
    def training_task(cls, task: Task, text_to_text: bool = False) -> Task:
        """Task whose rows and head are trained, or that is answered in words."""
        return replace(task, text_to_text=text_to_text or task.text_to_text)

    @property
    def main_metrics(self) -> tuple[str, ...]:
        """Scores that a run is judged by; the first one selects the best checkpoint."""
        return (self.task.metric,)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As the stock method; publishing callbacks learn what this run is, and a resume is compared with it.

        Args:
            resume_from_checkpoint: folder of a checkpoint, or True for the newest whole one in `args.output_dir`.
            *args: as for the stock method.
            **kwargs: as for the stock method.

        Raises:
            StiltsError: no whole checkpoint is there; or it began at another model, is of other tasks, or of a later
                step than the last one of this run. Other settings (batch, rate, seed) are said, and gone on with.
        """
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, PublishCheckpoints) and callback.record is None:
                callback.record = self.record
        self._run_settings.settings = self.settings()
        if not resume_from_checkpoint:
            return super().train(None, *args, **kwargs)
        given = None if isinstance(resume_from_checkpoint, bool) else Path(resume_from_checkpoint)
        checkpoint = self._whole_checkpoint(given)
        check_checkpoint(checkpoint, self._run_settings.settings)
        try:
            return super().train(str(checkpoint), *args, **kwargs)
        except UnpicklingError as error:  # it is read with weights_only=True, which runs no code of the file
            raise StiltsError(
                f"The optimizer, scheduler or random states in {checkpoint} cannot be read, and no code of theirs was "
                f"run ({' '.join(str(error).split())[:200]}). States that a Trainer saved are expected. Delete that "
                "folder; if it was fetched, delete the branch resume of its repository, too."
            ) from error

    def settings(self) -> Settings:
        """What decides the result of this run, by name."""
        return settings_of(describe_run(self.record(), self.args, self.model))

    def _whole_checkpoint(self, given: Path | None) -> Path:
        folder = self.args.output_dir
        found = given or newest_saved(folder)
        if found is None:
            raise StiltsError(
                f"{folder} holds no whole checkpoint to go on from; one is expected. Pass another --output_dir, or "
                "train from the start: trainer.train()"
            )
        if wrong := flaw(found):
            raise StiltsError(
                f"{found} is not whole ({wrong}); a checkpoint as the Trainer saves it is expected. Pass an earlier "
                "one, or True for the newest whole one."
            )
        return found

    def _init_training_state(
        self, max_steps: int, per_epoch: int, epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> tuple[int, int]:
        """As the stock method, which trains a step too many where a finished run is resumed within an epoch."""
        done: tuple[int, int] = super()._init_training_state(
            max_steps, per_epoch, epochs, resume_from_checkpoint, trial
        )
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, RunSettings):  # the stock method may have put a checkpoint's in place of ours
                callback.settings = self._run_settings.settings
        self.state.stateful_callbacks[RunSettings.__name__] = (
            self._run_settings.state()
        )  # a stock one has no such entry
        step, best = self.state.global_step, self.state.best_model_checkpoint
        if best is not None and (wrong := weights_flaw(Path(best))):
            logger.warning("%s is not whole (%s), so the best checkpoint is one of those to come.", best, wrong)
            self.state.best_model_checkpoint = self.state.best_global_step = self.state.best_metric = None
        if self.nothing_left:
            return epochs, 0
        if step > max_steps:
            raise StiltsError(
                f"{resume_from_checkpoint} is of step {step}, and this run ends at step {max_steps}. Nothing was "
                f"trained. Leave out --max_steps, or pass {step} or more; for a run of {max_steps} steps another "
                "--output_dir."
            )
        return (epochs, 0) if step == max_steps else done

    def record(self) -> Record:
        """What `stilts.json` says of this run's origin; `PublishCheckpoints` asks for it."""
        rows = self.train_dataset if self.train_rows is None else self.train_rows
        by_language = languages_of(rows)
        # Of rows from elsewhere the task's data set and its licence say nothing.
        trained_on = (
            sources_of_own_rows(self.task, rows)
            if self.own_data
            else tuple(
                source
                for language, count in (by_language or {"en": len(rows)}).items()
                for source in sources(self.task, count, language=language, limit=self.limit, data_dir=self.data_dir)
            )
        )
        return Record(
            phase=self.phase,
            tasks=trained_on,
            parent=self.handover.parent if self.handover else None,
            languages=codes_of(by_language) or ("en",),
            pipeline_tag=self.task.declaration.pipeline_tag,
            scored_on=self.scored_on,
            recipe={
                "profile": self.profile,
                "max_length": self.max_length,
                **self.vocabulary_recipe,
                **self.adapter_recipe,
                **(self.contrastive.recipe() if self.contrastive else {}),
                **({"text_to_text": True} if self.task.text_to_text else {}),
                **exclusion(self.exclude),
            },
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the stock method; beside the final model lies what it went through, which evaluation reads."""
        super().save_model(output_dir, _internal_call)
        if not _internal_call and self.is_world_process_zero():
            state, record = self.state, describe_run(self.record(), self.args, self.model)
            best = self.weights_step if self.weights_step != state.global_step else None
            record = at_step(record, best or state.global_step, state.epoch, state.log_history)
            record = replace(
                record, step=state.global_step, recipe={**record.recipe, **({"best_step": best} if best else {})}
            )
            write(Path(output_dir or self.args.output_dir) / RECORD_FILE, record.to_json())
        if not _internal_call and self.pushes_the_end:
            self.push_to_hub()

    def create_model_card(self, *args: Any, **card: Any) -> None:
        """Write our card and `stilts.json` into `args.output_dir`; what people wrote in a card that is there stays.

        Args:
            *args: none; the stock method's arguments are given by name.
            **card: of the stock method, `language`, `license`, `tags` and `dataset_tags` are joined to what the run
                knows. The others (`finetuned_from`, `tasks` ...) it knows better.

        Raises:
            StiltsError: an argument that the stock method does not have.
        """
        if args:
            raise StiltsError(f"create_model_card({args[0]!r}) was called; give its arguments by name: language=...")
        stated = stated_by(card)
        if self.is_world_process_zero():
            publisher = self._publisher()
            repo_id = publisher.destination(self.args, self.model)
            write_card(Path(self.args.output_dir), repo_id, self._record_of_weights(), stated)

    def push_to_hub(
        self,
        commit_message: str | None = None,
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **card: Any,
    ) -> Any:
        """Publish the model as it is now, under the tag of its step: as `PublishCheckpoints` does, without pickles.

        Args:
            commit_message: not used; it says which step this is.
            blocking: wait until it is on the Hub.
            token: access token. Default: `args.hub_token`, else the one of `hf auth login`.
            revision: `main` or None.
            private: make the repository private. Default: as `args.hub_private_repo` says, else private.
            **card: as `create_model_card`.

        Returns:
            The `CommitInfo`, as of the stock method; None where it is not waited for, and on other ranks.

        Raises:
            StiltsError: it is not on the Hub; the message says why and how to send it.
        """
        refuse_branch(revision)
        stated = stated_by(card)
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        publisher = self._publisher()
        return push(
            Path(self.args.output_dir),
            publisher.destination(self.args, self.model),
            self._record_of_weights(),
            publisher=publisher,
            private=private,
            token=token,
            wait=blocking,
            stated=stated,
        )

    def _publisher(self) -> PublishCheckpoints:
        publisher = publisher_among(self.callback_handler.callbacks) or publisher_of(self.args)
        publisher.record = publisher.record or self.record
        return publisher

    def _record_of_weights(self) -> Record:
        """What the weights went through that the model has now: those of the best checkpoint, perhaps."""
        record = describe_run(self.record(), self.args, self.model)
        return at_step(record, self.weights_step, self.state.epoch, self.state.log_history)

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, *rest: Any, **stock: Any
    ) -> Any:
        """As the stock method; a kind whose stock loss depends on the padding has its own."""
        pairs = take(inputs)
        loss, outputs = super().compute_loss(model, inputs, True, *rest, **stock)
        own = self.kind.loss(outputs, inputs) if self.compute_loss_func is None else None
        loss = loss if own is None else own
        if pairs and self.contrastive is not None:
            loss = loss + self.contrastive(self.accelerator.unwrap_model(model), outputs, inputs, pairs)
        return (loss, outputs) if return_outputs else loss

    def _with_translations(self, contrastive: ContrastiveLoss, features: Dataset) -> Dataset:
        """Training features with those that the contrastive loss compares them with."""
        return contrastive.features(
            self.kind, self.task, features, self.train_rows, self.tokenizer_for_rows,
            max_length=self.max_length, data_dir=self.data_dir,
        )  # fmt: skip


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
        after: instead of both, output folder of the target training that goes before this one on the way to the same
            target (SIQA's before COPA, for XCOPA): its head goes on too, and so does its record.
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
        after: str | os.PathLike[str] | None = None,
        **rest: Any,
    ) -> None:
        start: str | OpenedCheckpoint | PreTrainedModel | None = model
        self.before: Record | None = None
        if after is not None:
            if model is not None or init is not None:
                raise StiltsError("after= was given beside model= or init=. Pass after= alone: it says where to start.")
            self.before = Record.from_json((Path(after) / RECORD_FILE).read_text(encoding="utf-8"))
            words = rest.get("text_to_text", getattr(args, "text_to_text", False))
            trained = self.training_task(load_task(rest["task"]), words)
            self.start = open_checkpoint(str(after))
            start, _ = load_trained(self.start, trained)
            rest["processing_class"] = rest.get("processing_class") or self.start.tokenizer
        if init is not None:
            if isinstance(model, PreTrainedModel):
                raise StiltsError("Both a model object and init= were given. Pass init= alone, or the model alone.")
            start = open_checkpoint(resolve(init, base=model, namespace=namespace))
            check_start(start, model)
        super().__init__(start, args, **rest)

    def record(self) -> Record:
        """As for every run; after another training, that one's tasks go first and its parent is the parent."""
        own = super().record()
        if self.before is None:
            return own
        return replace(own, tasks=(*self.before.tasks, *own.tasks), parent=self.before.parent)

    @classmethod
    def training_task(cls, task: Task, text_to_text: bool = False) -> Task:
        """Task that supplies the English rows: XQuAD has none and is trained on SQuAD."""
        if len(task.train) > 1:
            first, *_, last = task.train
            raise StiltsError(
                f"{task.name} trains on {', '.join(task.train)} one after another, which is more than one Trainer. "
                f"Type hf-stilts target {task.name} (run_phase), or train {first} first, then "
                f"TargetTrainer(task='{last}', after=<its output folder>)."
            )
        source = load_task(task.train[0]) if task.train else task
        return super().training_task(source, text_to_text or task.text_to_text)
