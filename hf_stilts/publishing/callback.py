"""A callback for any stock Trainer that brings every checkpoint it saves to the Hub, without slowing or stopping it.

>>> from hf_stilts import PublishCheckpoints
>>> callback = PublishCheckpoints("me/my-model")     # Trainer(..., callbacks=[callback])
>>> callback.report is None                          # until the training has ended
True
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_token
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_stilts.declarations import Declaration, declared, list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import check_repo_id, repo_id
from hf_stilts.hub.record import ParentModel, Record, Scalar, TaskSource, at_step
from hf_stilts.publishing.outbox import Outbox, OutboxStatus, Pace, own_checkpoints
from hf_stilts.publishing.pending import RESUME_BRANCH
from hf_stilts.publishing.upload import full_name, look
from hf_stilts.retrieval.sentence_encoder import keep_beside, kept_by_training
from hf_stilts.task import Task, list_tasks, load_task

logger = logging.getLogger(__name__)

# What decides the result of a run, by the names of TrainingArguments; folders and names of runs stay at home.
_RECIPE = (
    *("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("warmup_steps", "lr_scheduler_type", "weight_decay", "optim", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("max_grad_norm", "label_smoothing_factor", "bf16", "fp16", "train_sampling_strategy", "data_seed"),
    *("eval_strategy", "eval_steps", "per_device_eval_batch_size"),  # an evaluation draws random numbers, too
)
_PACKAGES = ("hf_stilts", "transformers", "torch", "datasets", "peft")
_ASK_SECONDS = 5.0  # a Hub that answers needs less
_REPOSITORY = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)?")
_UNNAMED = re.compile(r"LABEL_\d+")  # what transformers calls a class that nobody named
_ROWS = re.compile(r"hf://datasets/(?P<dataset>[^@]+)@(?P<commit>[0-9a-f]{40})/")
_SNAPSHOT = re.compile(r"models--(?P<name>.+?)[/\\]snapshots[/\\](?P<commit>[0-9a-f]{40})")


class PublishCheckpoints(TrainerCallback):
    """Publish every checkpoint: one commit on `main` and a tag `step-N` each, in the background, until it has worked.

    On each save the weights, configuration and tokenizer are hard-linked into `<output_dir>/outbox`; another process
    uploads them, retries, and compares the Hub's checksums before it forgets a file. The end of the training waits for
    it; `report` then says what was sent, and what to type for the rest. Optimizer state, pickles and paths never leave.

    Args:
        repo_id: destination. Default: `<namespace>/<base>-stilts-<task>`, for which `record` must know the task.
        namespace: user or organisation. Default: the environment's HF_STILTS_NAMESPACE, else the token's user.
        private: make the repository private, and refuse to write to a public one. False publishes for everybody.
        resume: also keep the newest checkpoint with optimizer, scheduler and random states on the branch `resume`, so
            that `newest_checkpoint` of `hf_stilts.publishing.resume` continues on another machine. Three times the
            bytes.
        record: what the card shall say that a stock Trainer does not know (phase, tasks, languages, parent), or a
            function that returns it when the training begins. What it leaves open is filled in from the run.
        task: name of what is trained on, or a task of hf_stilts, for a Trainer that does not know it. Default: what the
            training rows tell (`datasets.load_dataset` notes where they are from).
        overwrite: remove files of another model that the repository holds; without it, nothing is published there. The
            card is not overwritten: what people wrote in it stays.
        wait: at the end, wait until all are sent. False lets the other process go on alone, for trainings of several
            processes that go on together: rank 0 would keep the others waiting.
        pace: how long to wait between tries, and for the Hub after the end.
        token: access token. Default: the one of `hf auth login`.
    """

    def __init__(
        self,
        repo_id: str | None = None,
        *,
        namespace: str | None = None,
        private: bool = True,
        resume: bool = False,
        record: Record | Callable[[], Record] | None = None,
        task: str | Task | None = None,
        overwrite: bool = False,
        wait: bool = True,
        pace: Pace | None = None,
        token: str | None = None,
    ) -> None:
        self.repo_id = check_repo_id(repo_id) if repo_id else None
        self.namespace = namespace or os.environ.get("HF_STILTS_NAMESPACE")
        self.private = private
        self.resume = resume
        self.record = record
        self.task = load_task(task) if task in list_tasks() else task
        self.overwrite = overwrite
        self.wait = wait
        self.pace = pace
        self.report: OutboxStatus | None = None
        self.token = token
        self._outbox: Outbox | None = None
        self._run = Record()
        self._asked: Callable[[], Record] | None = None  # what the Trainer of this training says of itself
        self._started, self._resumed_at = 0.0, 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Decide where to publish, and start the process that uploads; the Hub itself is not needed yet."""
        if not state.is_world_process_zero:
            return
        self._asked = kwargs.get("record")
        if self.resume and args.save_only_model:
            raise StiltsError(
                "resume=True (--resume auto) needs the optimizer's state. Leave out save_only_model "
                "(--save_only_model)."
            )
        model = kwargs.get("model")
        if self._outbox is not None:  # of a training that was broken off in this process
            self._outbox.close(wait=False)
        loader = kwargs.get("train_dataloader")
        self._run = self._describe(args, model, getattr(loader, "dataset", None))
        self._started, self._resumed_at = time.time(), state.global_step
        if not (self.token or get_token()):
            logger.warning(
                "Nobody is logged in, so nothing reaches the Hub yet. The training goes on, its checkpoints are kept. "
                "To send them: hf auth login, then: hf-stilts publish --retry %s",
                shlex.quote(args.output_dir),
            )
        self._outbox = Outbox(
            Path(args.output_dir),
            self.destination(args, model),
            private=self.private,
            record=self._run,
            pace=self.pace,
            token=self.token,
            overwrite=self.overwrite,
            resumed=state.global_step > 0,
        )
        if self.token or get_token():
            _warn_of_another_training(self._outbox)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Link the checkpoint that was just written into the outbox."""
        if self._outbox is None:
            return
        seconds = round(time.time() - self._started, 1)
        record = at_step(self._run, state.global_step, state.epoch, state.log_history, seconds)
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if checkpoint.is_dir():
            keep_beside(kwargs.get("model"), checkpoint)
        for branch in ("main", RESUME_BRANCH) if self.resume else ("main",):
            self._outbox.add(checkpoint, record, branch)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say which checkpoint `main` shall be, wait until all are sent, and report."""
        if self._outbox is None:
            return
        outbox, self._outbox = self._outbox, None
        saved = [*outbox.packed]
        if self._resumed_at:  # what was saved before is in the outbox, or on the Hub from another machine
            saved += {self._resumed_at, min(state.best_global_step or self._resumed_at, self._resumed_at)}
        best = best_step(args, state, saved)
        try:
            if best is not None:
                outbox.choose(*best)
            elif saved:
                outbox.choose_newest()
            self.report = outbox.close(self.wait)
        except OSError as error:  # a full disk must not cost the training its end
            logger.warning(
                "Not all is sent (%s). To send it: hf-stilts publish --retry %s", error, shlex.quote(args.output_dir)
            )
            return
        logger.log(logging.INFO if self.report.ok else logging.WARNING, "%s", self.report)

    def interrupt(self) -> OutboxStatus | None:
        """After a Ctrl-C: leave the rest to the upload worker and report at once; None where no training began."""
        if self._outbox is None:
            return None
        outbox, self._outbox = self._outbox, None
        try:
            self.report = outbox.close(wait=False)
        except OSError as error:
            logger.warning("What was sent is not known: %s", error)
        return self.report

    def destination(self, args: TrainingArguments, model: Any, record: Callable[[], Record] | None = None) -> str:
        """Return the repository that a training of `model` with `args` publishes to, without namespace if it has none.

        `record` gives what the Trainer says of the training, where it did not begin yet.

        Raises StiltsError where no name was given and the record does not tell enough to make one.
        """
        if self.repo_id:
            return self.repo_id if "/" in self.repo_id or not self.namespace else f"{self.namespace}/{self.repo_id}"
        self._asked = record or self._asked
        run = self._describe(args, model)
        if not run.tasks or run.parent is None:
            raise StiltsError(
                "PublishCheckpoints does not know the task and the base model, of which a name is made. "
                'Pass a name: PublishCheckpoints("me/my-model")'
            )
        if run.mixture:  # whose name says all
            return repo_id(self.namespace, run.parent.id, [run.mixture], run.seed)
        kind = {"adapter": run.library == "peft", "text_to_text": bool(run.recipe.get("text_to_text"))}
        return repo_id(self.namespace, run.parent.id, run.task_names, run.seed, run.rows_by_language, **kind)

    def _describe(self, args: TrainingArguments, model: Any, rows: Any = None) -> Record:
        wanted = self.record or self._asked or Record()
        given = wanted() if callable(wanted) else wanted
        if not given.tasks and (source := source_of(rows, self.task)):
            given = replace(given, tasks=(source,))
        return describe_run(given, args, model)


def _warn_of_another_training(outbox: Outbox) -> None:
    """Say before the first step that the repository is another training's: nothing of this one will be published.

    A Hub that does not answer holds up the training for seconds only; the upload worker says the same later.
    """
    repo_id, run_id = outbox.run.repo_id, outbox.run.id
    if run_id is None:  # it goes on with a run of unknown id
        return

    def ask() -> None:
        try:
            api = outbox.client()
            full = full_name(api, repo_id)
            own = own_checkpoints(outbox.folder, run_id)
            taken = look(api, full, api.model_info(full), own).of_another_run(own)
        except Exception as error:  # no repository yet, no Hub, no network: none of it stops a training
            logger.debug("Whether %s holds another training is not known: %s", repo_id, error)
            return
        if taken:
            logger.warning(
                "%s holds checkpoints of another training (%s), and one repository is one training. This one goes on, "
                "and none of its checkpoints will be published there, unless they are the same bytes. To publish them: "
                "stop it, and choose another repository (repo_id=, --namespace).",
                *(full, ", ".join(taken)),
            )

    asking = threading.Thread(target=ask, daemon=True)  # the client of this process waits for an answer without limit
    asking.start()
    asking.join(_ASK_SECONDS)


def best_step(args: TrainingArguments, state: TrainerState, saved: list[int]) -> tuple[int, str] | None:
    """Return the best step by `metric_for_best_model` and why, if it was saved; None lets `main` be the newest."""
    if args.metric_for_best_model and state.best_global_step in saved and state.best_metric is not None:
        return state.best_global_step, f"best {args.metric_for_best_model} ({state.best_metric:.4f})"
    return None


def describe_run(record: Record, args: TrainingArguments, model: Any) -> Record:
    """Fill in what `record` leaves open and the run itself knows: recipe, seed, parent, kind, versions, hardware."""
    config = getattr(model, "config", None)
    trained = model.get_base_model() if hasattr(model, "get_base_model") else model  # what peft wraps
    architecture = type(trained).__name__
    tags = [kind.pipeline_tag for kind in _kinds() if kind.head_class and architecture.endswith(kind.head_class)]
    sentences = kept_by_training(model)
    kept: dict[str, Scalar] = {} if sentences is None else {"sentence_vectors": str(sentences)}
    last = None if sentences is None else int(trained.config.num_hidden_layers)
    return replace(
        record,
        parent=_with_commit(record.parent, parent_of(config)),
        recipe={**recipe_of(args), **kept, **record.recipe},
        layer=last if record.layer is None else record.layer,
        seed=args.seed if record.seed is None else record.seed,
        pipeline_tag=record.pipeline_tag or next(iter(tags), None),
        architecture=record.architecture or architecture,
        labels=record.labels or labels_of(config, record.pipeline_tag or next(iter(tags), None)),
        library="peft" if hasattr(getattr(model, "base_model", None), "peft_config") else record.library,
        versions={"python": platform.python_version(), **versions(), **record.versions},
        hardware={**_hardware(args), **record.hardware},
    )


def _kinds() -> list[type[Declaration]]:
    return [declared(kind) for kind in list_kinds()]


def labels_of(config: Any, pipeline_tag: str | None) -> tuple[str, ...]:
    """Names of a classifier's or tagger's classes; none where they have the names that transformers makes up."""
    if not any(kind.labelled for kind in _kinds() if kind.pipeline_tag == pipeline_tag):
        return ()
    names = tuple(str(name) for _, name in sorted((getattr(config, "id2label", None) or {}).items()))
    return () if all(_UNNAMED.fullmatch(name) for name in names) else names


def source_of(rows: Any, task: Task | str | None) -> TaskSource | None:
    """What is known of training rows that no task of ours gave: `load_dataset` notes repository, commit and split.

    Args:
        rows: what the Trainer's loader reads; only a `datasets.Dataset` knows where it is from.
        task: what the user says it is; default: the task of hf_stilts that reads these rows, else the data set's name.
    """
    info = getattr(rows, "info", None)
    urls = [_ROWS.match(url) for url in getattr(info, "download_checksums", None) or {}]
    found = next((match for match in urls if match), None)
    dataset = found["dataset"] if found else None
    config = getattr(info, "config_name", None) if dataset else None
    if task is None and dataset:
        same = (each for each in map(load_task, list_tasks()) if (each.dataset, each.config) == (dataset, config))
        task = next(same, dataset.rpartition("/")[2])
    if task is None:
        return None
    return TaskSource(
        name=task.name if isinstance(task, Task) else task,
        dataset=dataset,
        config=config,
        revision=found["commit"] if found else None,
        split=str(rows.split) if dataset and getattr(rows, "split", None) else None,
        rows=len(rows) if hasattr(rows, "__len__") else None,
        license=task.license if isinstance(task, Task) and dataset == task.dataset else None,
    )


def parent_of(config: Any) -> ParentModel | None:
    """Read from a model's configuration which checkpoint it was loaded from; None for a model made from scratch."""
    source = getattr(config, "_name_or_path", None)
    if not source:
        return None
    if cached := _SNAPSHOT.search(str(source)):
        return ParentModel(cached["name"].replace("--", "/"), cached["commit"])
    if Path(source).exists() or not _REPOSITORY.fullmatch(source):  # a folder that is gone since is no repository
        return ParentModel(re.split(r"[/\\]", str(Path(source).absolute()))[-1], published=False)
    return ParentModel(source, getattr(config, "_commit_hash", None) or only_cached_commit(source))


def only_cached_commit(name: str) -> str | None:
    """Return the commit of a model in the cache if it is the only one there: then that is what was loaded.

    transformers 5 no longer keeps the commit with the model, and of several nobody could say which it was.
    """
    snapshots = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "snapshots")
    weights = [path.parent.name for path in snapshots.glob("*/*") if path.suffix in (".safetensors", ".bin")]
    return weights[0] if len(set(weights)) == 1 else None


def _with_commit(given: ParentModel | None, loaded: ParentModel | None) -> ParentModel | None:
    """Complete the parent that the record names by the commit that was in fact loaded."""
    if given is None:
        return loaded
    same = loaded is not None and loaded.id == given.id
    return replace(given, commit=loaded.commit) if same and loaded and given.commit is None else given


def recipe_of(args: TrainingArguments) -> dict[str, Scalar]:
    """Pick the hyper-parameters that decide a run's result, with the number of processes."""
    values = args.to_dict()
    recipe = {name: values[name] for name in _RECIPE if values.get(name) is not None}
    return {**recipe, "processes": args.world_size}


@cache
def versions() -> Mapping[str, str]:
    """Packages that decide a run's result -> their version here."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _hardware(args: TrainingArguments) -> dict[str, Scalar]:
    on_gpu = args.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(args.device) if on_gpu else args.device.type,
        "devices": args.world_size * max(1, args.n_gpu),
    }
