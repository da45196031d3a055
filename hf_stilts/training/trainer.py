"""The two phases as real `transformers.Trainer` subclasses: one for the intermediate task, one for the target task."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_utils import HubStrategy, has_length, set_seed

from hf_stilts.data.canonical import named
from hf_stilts.data.load import labelled
from hf_stilts.devices import warn_of_slow_bf16
from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.kinds import Kind
from hf_stilts.kinds.features import check_length, readable_length
from hf_stilts.models.body import match_padding
from hf_stilts.models.compatibility import check_start
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint
from hf_stilts.models.transfer import Transfer, load_trained, with_fresh_head
from hf_stilts.publishing.push import refuse_branch, stated_by, taken_over
from hf_stilts.retrieval.encode import embedded_tokens
from hf_stilts.retrieval.sentence_encoder import keep_beside
from hf_stilts.task import Task, load_task
from hf_stilts.training.budget_guard import BudgetGuard
from hf_stilts.training.checks import check_options, check_trained
from hf_stilts.training.compact import SameVocabulary, compact_for, without_compact_embeddings
from hf_stilts.training.contrastive import ContrastiveLoss, contrastive_loss, take
from hf_stilts.training.current_model import CurrentModel
from hf_stilts.training.flags import check_reporting
from hf_stilts.training.given_data import rows_as_dataset, size
from hf_stilts.training.guards import CollapseGuard, FiniteSteps, NotFinite, chance_loss
from hf_stilts.training.lora import LoraTraining, clear_earlier
from hf_stilts.training.microbatches import MicroBatches
from hf_stilts.training.options import taken
from hf_stilts.training.provenance import codes_of, exclusion, training_rows
from hf_stilts.training.recipes import Recipe
from hf_stilts.training.recipes import recipe as load_recipe
from hf_stilts.training.resuming import Resuming, unreadable_states
from hf_stilts.training.same_run import Settings, settings_of
from hf_stilts.training.start import DEFAULT_BASE, model_and_base
from hf_stilts.training.stock import AskableCallbacks, StockTrainer
from hf_stilts.training.task_data import TaskData

logger = logging.getLogger(__name__)


class StiltsTrainer(StockTrainer):
    """What both phases share: a task becomes rows, features, collator, head and score; the rest is the stock Trainer.

    Everything that a stock Trainer takes may be passed and wins over what the task would give.

    Args:
        model: a model object that already has the right head.
        base: instead of `model`, name or folder of the public model to start from: its body is transferred, the head is
            fresh. Default: `FacebookAI/xlm-roberta-base`.
        revision: commit of `base`. Default: the newest.
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
            less than half of the memory; word embeddings are then exempt from weight decay, and the log says so. None:
            wherever the model comes out the same.
        contrastive: an auxiliary loss between the training rows and their translations, or the language of these; its
            negatives are the other examples of a batch, so batches are then run as they come.
        text_to_text: train an encoder-decoder (mT5) to answer with text, see `hf_stilts.kinds.text_to_text`.
        adapter: `"lora"`, `"lora=32"` or a `peft.LoraConfig`: train only that in the body, and the head in full, and
            save a few megabytes. On a checkpoint that is an adapter itself, the two are saved as one.
        stock: any further argument of `transformers.Trainer`.
    """

    phase = ""
    trains_pairs = False
    start: OpenedCheckpoint | None = None  # that the model's body came from; None where a model object was given

    def __init__(
        self,
        model: PreTrainedModel | str | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[..., Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        *,
        task: str | Task | Sequence[str | Task],
        base: str | OpenedCheckpoint | None = None,
        revision: str | None = None,
        **stock: Any,
    ) -> None:
        model, base = model_and_base(model, base)
        self.options = taken(args, stock)
        self.adapter = self.options.whole_adapter
        self.contrastive: ContrastiveLoss | None = contrastive_loss(self.options.contrastive)
        self.tasks = self._trained_tasks(task)
        self.given = self._by_task(train_dataset)
        self.tasks = {name: self._labelled(each) for name, each in self.tasks.items()}
        self.recipes = {name: load_recipe(self.options.recipe, each, self.phase) for name, each in self.tasks.items()}
        args = self._arguments(args, data_collator)
        check_reporting(args.report_to)
        if args.bf16:
            warn_of_slow_bf16(args.device.type, "Leave bf16 (--bf16) out.")
        set_seed(args.seed)  # the stock Trainer seeds after the model is made: too late for a fresh head
        self.transfer: Transfer | None = None
        model_init = stock.pop("model_init", None)
        if model_init is not None:
            model = self._first_model(model or base, model_init)
        if model is None:
            self.start = open_checkpoint(base or DEFAULT_BASE, revision)
            model, self.transfer = self._from_checkpoint(self.start, args.seed)
            logger.info("%s", self.transfer)
            processing_class = processing_class or self.start.tokenizer
        self._check_model(model)
        if processing_class is None and (data_collator is None or train_dataset is None or eval_dataset is None):
            raise StiltsError(
                "A model object came without its tokenizer. Pass processing_class=, or a name as base=; or "
                "features as train_dataset= and eval_dataset=, and data_collator=."
            )
        self.tokenizer_for_rows = processing_class
        self.task_data = self._read_tasks(model, args, eval_dataset)
        self.data = next(iter(self.task_data.values()))
        collate, features, evaluated = self._stock_data(data_collator, args)
        self.lora = LoraTraining(model, self.adapter, self.start, self._head) if self.adapter is not None else None
        optimizer = (stock.get("optimizers") or (None,))[0]
        self.trained_rows = self._compact(model, args, features, optimizer)
        stock.setdefault("compute_metrics", self._score)
        stock.setdefault("preprocess_logits_for_metrics", self._reduce)
        self.current = CurrentModel(self)
        self.pushes_the_end = args.push_to_hub and args.hub_strategy == HubStrategy.END
        args, stock["callbacks"] = taken_over(args, stock.get("callbacks") or [])
        super().__init__(model, args, collate, features, evaluated, processing_class, **stock)
        self._complete(model_init)

    # What a mixture does in another way.

    def _trained_tasks(self, task: Any) -> dict[str, Task]:
        """The tasks that are trained, by name.

        Raises:
            StiltsError: one that is not trained by this Trainer, or an option that does not go with it.
        """
        trained = self.training_task(load_task(task), self.options.text_to_text)
        check_trained(trained)
        if trained.declaration.in_batch_negatives and not self.trains_pairs:
            raise StiltsError(
                f"{trained.name} is a {trained.kind} task, whose pairs are each other's negatives; "
                f'{type(self).__name__} has none. Use DualEncoderTrainer(task="{trained.name}", phase="{self.phase}"): '
                f"hf-stilts {self.phase} {trained.typed}"
            )
        check_options(self.options, trained)
        return {str(trained.name): trained}

    def _by_task(self, train_dataset: Any) -> dict[str, Any]:
        """Training rows or features of the caller, by task."""
        return {} if train_dataset is None else dict.fromkeys(self.tasks, rows_as_dataset(train_dataset))

    def _arguments(self, args: TrainingArguments | None, data_collator: Any) -> TrainingArguments:
        """Arguments of the stock Trainer, with what the collators need."""
        if args is None:
            name, figures = next(iter(self.recipes.items()))
            args = TrainingArguments(f"runs/{self.phase}-{name}", **figures.arguments())
        if data_collator is None:
            args.remove_unused_columns = False  # a kind's collator picks what the model reads, and may need more itself
        return args

    def _from_checkpoint(self, start: OpenedCheckpoint, seed: int) -> tuple[PreTrainedModel, Transfer]:
        """The model that is trained, the body of a checkpoint under a fresh head, and what went into it."""
        return with_fresh_head(start, next(iter(self.tasks.values())))

    def _check_model(self, model: Any) -> None:
        if not isinstance(model, PreTrainedModel) and not hasattr(model, "config"):
            raise StiltsError(f"model= is a {type(model).__name__}; pass a transformers model, or a name as base=.")

    def _body(self, model: Any) -> Any:
        """What reads the tokens."""
        return model

    def _read_tasks(self, model: Any, args: TrainingArguments, eval_dataset: Any) -> dict[str, TaskData]:
        """The data of each task."""
        languages = self.options.languages
        if self.given and (languages is not None or self.options.exclude is not None):
            raise StiltsError(
                "languages= and exclude= choose rows of the task, but train_dataset= brings its own rows."
            )
        found = self._task_data(model)
        for name, data in found.items():
            data.read(self.given.get(name), eval_dataset, self._rows_of(data.task, languages))
        return found

    def _stock_data(self, data_collator: Any, args: TrainingArguments) -> tuple[Any, Any, Any]:
        """Collator, training data and evaluation data for the stock Trainer."""
        data = self.data
        collate = data_collator or data.kind.collator(self.tokenizer_for_rows)
        features = self.training_features(data)
        if self.contrastive is not None:
            features = self.contrastive.features(
                data.kind,
                data.task,
                features,
                data.rows,
                self.tokenizer_for_rows,
                max_length=data.max_length,
                data_dir=self.options.data_dir,
            )
            collate = self.contrastive.collator(collate, self.tokenizer_for_rows)
        sets = {name: evaluated for name, (evaluated, _) in data.scored.items()}
        return collate, features, sets[""] if [*sets] == [""] else sets

    def get_train_dataloader(self) -> DataLoader[Any]:
        """As the stock method.

        Raises:
            StiltsError: there is no batch; the stock Trainer would end after no step, and save the model as trained.
        """
        loader: DataLoader[Any] = super().get_train_dataloader()
        if has_length(loader) and not len(loader):
            batch = self._train_batch_size * self.args.world_size
            raise StiltsError(
                f"{size(self.train_dataset)} training examples make no whole batch of {batch}, and "
                "dataloader_drop_last drops the others: nothing would be trained. Leave it out "
                "(--dataloader_drop_last), or pass a smaller --per_device_train_batch_size."
            )
        return loader

    def _set_up(self, model: Any) -> None:
        """Change a model that is about to be trained where this training needs it."""
        self.kind.set_up(model, self.max_length)

    def _guards(self) -> None:
        """Add the callbacks that watch a training of one task."""
        averaged = self.contrastive is None and not self.task.text_to_text
        self.add_callback(BudgetGuard(self.recipe, size(self.train_dataset) or 0))
        self.add_callback(CollapseGuard(chance_loss(self.train_dataset) if averaged else None))

    # What all trainings do alike.

    def _labelled(self, task: Task) -> Task:
        """A task with its class names, from the caller's rows or its own."""
        if task.name not in self.given:
            return labelled(task, self.options.data_dir)
        rows = self.given[task.name]
        return named(task, rows.features if isinstance(rows, Dataset) else None)

    def _task_data(self, model: Any) -> dict[str, TaskData]:
        """The data of each task, with nothing read yet."""
        tokenizer, asked = self.tokenizer_for_rows, self.options.max_length
        body = self._body(model)
        check_length(body, asked)
        readable = None
        if tokenizer is not None:
            match_padding(body, tokenizer)
            readable = readable_length(body, tokenizer)
        found = {}
        for name, task in self.tasks.items():
            figures = self.recipes[name]
            longest = figures.max_length if readable is None else min(figures.max_length, readable)
            found[name] = TaskData(
                task, figures, self.options, tokenizer, asked or longest, embedded=embedded_tokens(body)
            )
        return found

    def _rows_of(self, task: Task, languages: Any) -> Callable[[], Dataset]:
        """What loads a task's own training rows."""
        options = self.options
        return lambda: training_rows(
            task, languages, limit=options.limit, data_dir=options.data_dir, exclude=options.exclude
        )

    def training_features(self, data: TaskData) -> Any:
        """What the stock Trainer trains on."""
        return data.features

    def _complete(self, model_init: Callable[..., Any] | None) -> None:
        """Add what the stock Trainer lacks, and undo what is wrong with it."""
        self.model_init = model_init  # the stock Trainer would call it once more
        if self.args.device.type == "cpu":
            self.args.dataloader_pin_memory = False  # torch warns that there is nothing to pin memory for
        if self.lora is not None:
            self.lora.refuse_folder_of_base(self.args.output_dir)
        self._same_vocabulary = SameVocabulary(self.trained_rows)
        self.add_callback(self._same_vocabulary)
        self._set_up(self.model)
        # The loss is a mean over labels. Micro-batches of other examples would have other negatives.
        averaged = self.contrastive is None and not self.task.text_to_text and not self.trains_pairs
        self.micro = MicroBatches(self, self.options.micro_tokens if averaged else 0)
        self.finite = FiniteSteps(self)
        self.resuming = Resuming(self)
        self.callback_handler: Any = AskableCallbacks(self.callback_handler, self.record)
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
        self._guards()

    @property
    def handover(self) -> Transfer | None:
        """Old name of `transfer`."""
        warnings.warn("trainer.handover is trainer.transfer now.", FutureWarning, stacklevel=2)
        return self.transfer

    @property
    def members(self) -> dict[str, TaskData]:
        """Old name of `task_data`."""
        warnings.warn("trainer.members is trainer.task_data now.", FutureWarning, stacklevel=2)
        return self.task_data

    @property
    def task(self) -> Task:
        """What is trained; of a mixture, the task that is evaluated now."""
        return self.data.task

    @property
    def kind(self) -> Kind:
        """Kind of `task`."""
        return self.data.kind

    @property
    def recipe(self) -> Recipe:
        """Hyper-parameters of `task`, of the profile `options.recipe`."""
        return self.data.figures

    @property
    def max_length(self) -> int:
        """Tokens per window of `task`."""
        return self.data.max_length

    @property
    def scoring(self) -> tuple[Any, Dataset | None]:
        """Features and rows of the set that is evaluated now."""
        return self.data.scoring

    @property
    def train_rows(self) -> Dataset | None:
        """Rows that the training features came from."""
        return self.data.rows

    def _first_model(self, model: Any, model_init: Callable[..., Any]) -> Any:
        """What `model_init` gives, for what is read off a model before the training.

        Raises:
            StiltsError: it was given beside what is for one model.
        """
        given = {"model": model, "adapter": self.adapter, "compact_vocabulary": self.options.compact_vocabulary or None}
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

    def _compact(
        self, model: PreTrainedModel, args: TrainingArguments, features: Any, optimizer: Any
    ) -> torch.Tensor | None:
        """Leave only the word embeddings that the data uses to train; None where all are trained.

        Raises:
            StiltsError: as `compact_for`, where it was asked for.
        """
        given = (model, args, self.token_sources(features), self.tokenizer_for_rows, optimizer)
        if self.options.compact_vocabulary:
            return compact_for(*given)
        if self.options.compact_vocabulary is False or args.weight_decay or self._reads_other_words:
            return None
        with suppress(StiltsError):  # another model would come out, or nothing is saved
            return compact_for(*given)
        return None

    @property
    def _reads_other_words(self) -> bool:
        """Whether a step may read words that stand in no training row."""
        text_to_text = any(data.task.text_to_text for data in self.task_data.values())
        return self.trains_pairs or text_to_text or self.options.contrastive is not None

    def token_sources(self, train_dataset: Any) -> Iterable[Any]:
        """Data sets that hold every token of a training batch in a column `input_ids`."""
        return [train_dataset]

    @property
    def vocabulary_recipe(self) -> dict[str, int]:
        """What the record of a run says of a compact vocabulary."""
        return {} if self.trained_rows is None else {"word_embeddings_trained": len(self.trained_rows)}

    def _unsmoothed(self) -> list[str]:
        """Tasks whose loss `label_smoothing_factor` does not reach."""
        return [name for name, data in self.task_data.items() if not data.kind.smoothed]

    @classmethod
    def training_task(cls, task: Task, text_to_text: bool = False) -> Task:
        """Task whose rows and head are trained, or that is answered with text."""
        return replace(task, text_to_text=text_to_text or task.text_to_text)

    @property
    def main_metrics(self) -> tuple[str, ...]:
        """Scores that a run is judged by; the first one selects the best checkpoint."""
        return (self.task.metric,)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As the stock method; a resume is compared with the run, and a loss that is no number ends it.

        Args:
            resume_from_checkpoint: folder of a checkpoint, or True for the newest whole one in `args.output_dir`.
            *args: as for the stock method.
            **kwargs: as for the stock method.

        Raises:
            StiltsError: no whole checkpoint is there; or it began at another model, is of other tasks, or of a later
                step than the last one of this run. Other settings (batch, rate, seed) are said, and gone on with.
            NotFinite: the loss or the gradient of a step was no finite number. What was saved before is published.
        """
        start = self.resuming.begin(self.settings(), resume_from_checkpoint)
        self.micro.begin()
        self.finite.begin()
        try:
            return super().train(None if start is None else str(start), *args, **kwargs)
        except NotFinite:
            self.control = self.callback_handler.on_train_end(self.args, self.state, self.control)
            raise
        except UnpicklingError as error:  # it is read with weights_only=True, which runs no code of the file
            raise unreadable_states(start, error) from error

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """As the stock method, in micro-batches; the loss is kept for the step's end."""
        loss = self.micro.step(model, inputs, num_items_in_batch, super().training_step)
        self.finite.note(loss)
        return loss

    @property
    def _head(self) -> str:
        """What the head is called in a checkpoint of an adapter."""
        return str(next(iter(self.tasks)))

    def save_weights(self, folder: Path) -> bool:
        """Save an adapter and the head; of a whole model, only what an earlier training left is taken away."""
        if self.lora is not None:
            self.lora.refuse_folder_of_base(folder)
        if self.args.should_save:
            clear_earlier(folder, adapter=self.lora is None)
        if self.lora is None:
            return False
        if self.args.should_save:
            self.lora.save(folder, self.accelerator.unwrap_model(self.model), self.processing_class, self.args)
        return True

    def read_weights(self, folder: str) -> bool:
        """Read back an adapter and the head."""
        if self.lora is not None:
            self.lora.read(folder, self.accelerator.unwrap_model(self.model))
        return self.lora is not None

    def check_step(self, norm: Any) -> None:
        """Stop before a step whose loss or gradient is no finite number."""
        self.finite.check(norm)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """As the stock method; a checkpoint's state of other rows would not fit, and torch does not say why."""
        self._same_vocabulary.check(self.state)
        return super().create_optimizer(*args, **kwargs)

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        """As the stock method, without compact embeddings."""
        return without_compact_embeddings(super().get_decay_parameter_names(model), model)

    def settings(self) -> Settings:
        """What decides the result of this run, by name."""
        return settings_of(self.current.described())

    def resume_point(
        self, epochs_and_steps: tuple[int, int], max_steps: int, epochs: int, checkpoint: Any
    ) -> tuple[int, int]:
        """Where a resumed run goes on; nowhere where it was finished.

        Raises:
            StiltsError: the checkpoint is of a later step than the last one of this run.
        """
        return self.resuming.point(epochs_and_steps, max_steps, epochs, checkpoint)

    def record(self) -> Record:
        """What `stilts.json` says of this run's origin; `PublishCheckpoints` asks for it."""
        data = self.data
        return Record(
            phase=self.phase,
            tasks=data.sources(),
            parent=self.transfer.parent if self.transfer else None,
            languages=codes_of(data.languages) or ("en",),
            pipeline_tag=self.task.declaration.pipeline_tag,
            scored_on=data.scored_on,
            recipe={
                "profile": self.options.recipe,
                "max_length": self.max_length,
                **self.vocabulary_recipe,
                **({} if self.lora is None else self.lora.recipe()),
                **(self.contrastive.recipe() if self.contrastive else {}),
                **({"text_to_text": True} if self.task.text_to_text else {}),
                **exclusion(self.options.exclude),
            },
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the stock method; beside the final model lies what it went through, which evaluation reads.

        Beside every model lies what its start says of sentence vectors (`modules.json` ...), where it says anything.
        """
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            keep_beside(self.accelerator.unwrap_model(self.model), Path(output_dir or self.args.output_dir))
        if not _internal_call and self.is_world_process_zero():
            self.current.write_record(Path(output_dir or self.args.output_dir))
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
            self.current.write_card(stated)

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
        return self.current.push(private=private, token=token, wait=blocking, stated=stated)

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, *rest: Any, **stock: Any
    ) -> Any:
        """As the stock method; a kind whose stock loss depends on the padding has its own."""
        pairs = take(inputs)
        kind = (
            self.task_data[inputs["task"]].kind if "task" in inputs else self.kind
        )  # batches of a mixture name theirs
        loss, outputs = super().compute_loss(model, inputs, True, *rest, **stock)
        own = kind.loss(outputs, inputs) if self.compute_loss_func is None else None
        loss = loss if own is None else own
        if pairs and self.contrastive is not None:
            loss = loss + self.contrastive(self.accelerator.unwrap_model(model), outputs, inputs, pairs)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, Any, Any]:
        """As the stock method, which reads answers off the scores of the gold ones; a kind may run the model itself."""
        if not self.kind.generates:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        read = {name: inputs[name] for name in ("input_ids", "attention_mask", "labels")}
        loss, _, labels = super().prediction_step(model, read, True, ignore_keys)
        if prediction_loss_only:
            return loss, None, None
        with torch.inference_mode(), self.compute_loss_context_manager():
            return loss, self.kind.run(self.accelerator.unwrap_model(model), inputs), inputs["labels"]

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
        return self.current.step

    def _scoring(self, data: Any) -> Any:
        """What the Trainer's loop runs over, noting the rows that its outputs will be scored against."""
        return self.data.turn_to(data)

    def _score(self, output: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Scores of an evaluation."""
        return self.data.score(output, self.args, self.weights_step, whole=compute_result)

    def _reduce(self, logits: Any, labels: Any) -> Any:
        """What is kept of the outputs of a batch."""
        return self.kind.reduce(logits, labels)


class IntermediateTrainer(StiltsTrainer):
    """Phase two: trains the whole encoder on one English intermediate task, from a public pre-trained model.

    Add `PublishCheckpoints()` to `callbacks` and every checkpoint that is saved reaches the Hub under
    `<namespace>/<base>-stilts-<task>`, tagged `step-N` (Phang et al. 2020, section 2, step 2). All arguments are those
    of `StiltsTrainer`.
    """

    phase = "intermediate"


class TargetTrainer(StiltsTrainer):
    """Phase three: fine-tunes an encoder on the English data of a target task, with a fresh head.

    Args:
        model: as `StiltsTrainer`.
        base: with `init`, the public model that the intermediate checkpoint descends from; without it, the start.
        init: intermediate checkpoint by name: `"mnli"`, `"mnli@step-2000"`, a repository id or a folder. `None` trains
            from the public model directly, which is the baseline.
        keep_head: `init` is the target training that goes before this one on the way to the same target (SIQA's before
            COPA, for XCOPA), usually its output folder: its head goes on too, and so does its record.
        namespace: user or organisation that published `init`; default: `HF_STILTS_NAMESPACE`, then yourself.
        after: old word for `init=..., keep_head=True`.
        rest: as `StiltsTrainer`.
    """

    phase = "target"

    def __init__(
        self,
        model: PreTrainedModel | str | None = None,
        args: TrainingArguments | None = None,
        *,
        base: str | None = None,
        init: str | os.PathLike[str] | None = None,
        keep_head: bool = False,
        namespace: str | None = None,
        after: str | os.PathLike[str] | None = None,
        **rest: Any,
    ) -> None:
        if after is not None:
            if model is not None or base is not None or init is not None:
                raise StiltsError("after= was given beside another start. Pass init= and keep_head=True alone.")
            warnings.warn("after= is init= with keep_head=True now.", FutureWarning, stacklevel=2)
            init, keep_head = after, True
        model, base = model_and_base(model, base)
        self.before: Record | None = None
        start: str | OpenedCheckpoint | None = base
        if keep_head and (init is None or base is not None):
            raise StiltsError("keep_head=True is for init= alone, the training before this one. Pass it, and no base=.")
        if init is not None:
            if model is not None:
                raise StiltsError("Both a model object and init= were given. Pass init= alone, or the model alone.")
            start = open_checkpoint(resolve(os.fspath(init), base=base, namespace=namespace))
            check_start(start, base)
            if keep_head:
                model = self._with_its_head(start, rest["task"], rest.get("text_to_text", _text_to_text(args)))
                rest["processing_class"] = rest.get("processing_class") or start.tokenizer
                self.start, start = start, None
        super().__init__(model, args, base=start, **rest)

    def _with_its_head(self, opened: OpenedCheckpoint, task: str | Task, text_to_text: bool) -> PreTrainedModel:
        """Model of the training before this one, whose record this one's continues."""
        self.before = opened.record
        if self.before is None:
            raise StiltsError(
                f"{opened.name} has no {RECORD_FILE}; one is expected of the training before this one. Pass its output "
                "folder, or leave out keep_head=True for a fresh head."
            )
        return load_trained(opened, self.training_task(load_task(task), text_to_text))[0]

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
                f"Type hf-stilts target {task.typed} (run_phase), or train {first} first, then "
                f"TargetTrainer(task='{last}', init=<its output folder>, keep_head=True)."
            )
        source = load_task(task.train[0]) if task.train else task
        return super().training_task(source, text_to_text or task.text_to_text)


def _text_to_text(args: Any) -> bool:
    """Whether a training's arguments, where they hold options of ours, say that it answers with text."""
    return bool(getattr(args, "text_to_text", False))
