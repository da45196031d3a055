"""What one training would take: built as the training builds it, in a folder that goes again, and not trained."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import torch

from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import step_tag
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.studies.plan import FORWARD
from hf_stilts.task import load_task
from hf_stilts.training.arguments import StiltsArguments
from hf_stilts.training.compact import CompactEmbedding, used_ids
from hf_stilts.training.flags import names
from hf_stilts.training.given_data import size
from hf_stilts.training.microbatches import CPU_TOKENS
from hf_stilts.training.options import OPTIONS
from hf_stilts.training.recipes import Recipe
from hf_stilts.training.run import (
    evaluate_within,
    mixture_arguments,
    mixture_trainer,
    phase_arguments,
    phase_trainer,
    planned_steps,
)
from hf_stilts.training.trainer import StiltsTrainer

_BATCHES = 3  # that the model is timed on, behind one that warms it up
# Bytes that a layer keeps for the backward pass, for each token and unit of width, in half precision, with an attention
# that does not keep its matrix (Korthikanti et al. 2022, table 2).
_KEPT = 34
# Numbers that an optimizer keeps for each weight; Adafactor's rows and columns are next to nothing.
_STATES = {"adafactor": 0, "sgd": 0, "adagrad": 1}
_ADAM = 2


def dry_run_phase(
    phase: str, task: str, flags: Sequence[str] = (), *, publish: PublishCheckpoints | None = None, **given: Any
) -> list[dict[str, Any]]:
    """What `run_phase` of the same words would do, a mapping for each training: a target may have several in a row.

    Rows, tokenizer and weights are loaded as for the training, and one batch goes forward to be timed. Nothing is
    trained, and nothing is written but what comes from the Hub into its cache.

    Args:
        phase: as for `run_phase`.
        task: as for `run_phase`.
        flags: as for `run_phase`.
        publish: would send the checkpoints.
        given: as for `run_phase`.

    Raises:
        StiltsError: as `run_phase`.
    """
    own = {name: given.pop(name) for name in OPTIONS if name in given}
    loaded = load_task(task)
    stages = loaded.train if phase == "target" and len(loaded.train) > 1 else (loaded,)
    found = []
    for stage in map(load_task, stages):
        figures, args = phase_arguments(phase, stage, flags, own)
        named = len(stages) == 1 or "output_dir" in names(flags)
        folder = args.output_dir if named else f"runs/{phase}-{loaded.name}"
        with _scratch(args):
            trainer = phase_trainer(phase, stage, args, **given)
            last = stage.name == load_task(stages[-1]).name
            found.append(_described(trainer, figures, folder, flags, publish if last else None))
    return found


def dry_run_mixture(
    tasks: Sequence[str], flags: Sequence[str] = (), *, publish: PublishCheckpoints | None = None, **given: Any
) -> list[dict[str, Any]]:
    """As `dry_run_phase`, of what `run_mixture` would do."""
    own = {name: given.pop(name) for name in OPTIONS if name in given}
    figures, args = mixture_arguments(tasks, flags, own)
    folder = args.output_dir
    with _scratch(args):
        trainer = mixture_trainer(tasks, flags, args, **given)
        return [_described(trainer, figures, folder, flags, publish)]


def _scratch(args: StiltsArguments) -> tempfile.TemporaryDirectory[str]:
    """A folder in the place of the output folder, which a Trainer makes as soon as it is made itself."""
    scratch = tempfile.TemporaryDirectory(prefix="hf_stilts_dry_run_")
    args.output_dir = scratch.name
    args.report_to = []
    return scratch


def _described(
    trainer: StiltsTrainer, figures: Recipe, folder: str, flags: Sequence[str], publish: PublishCheckpoints | None
) -> dict[str, Any]:
    """All that is known of a training before its first step."""
    args = trainer.args
    evaluate_within(trainer, figures, names(flags))
    steps = planned_steps(trainer)
    saved = saved_steps(args, steps)
    weights, trained = _weights(trainer.model)
    states = _states(args.optim) * trained * 4
    saved_bytes = 4 * (trained if trainer.adapter is not None else weights)
    kept = min(len(saved), args.save_total_limit or len(saved))
    each, timed = _seconds_each(trainer)
    examples = None if steps is None else steps * _batch(trainer)
    kinds = {name: vars(data.kind) for name, data in trainer.task_data.items()}  # their settings
    return {
        "phase": trainer.phase,
        "tasks": [*trainer.task_data],
        "folder": folder,
        "starts_from": str(trainer.transfer) if trainer.transfer else None,
        "recipe": figures.source,
        "rows": {name: len(data.rows) if data.rows is not None else None for name, data in trainer.task_data.items()},
        "languages": {name: dict(data.languages) for name, data in trainer.task_data.items() if data.languages},
        "windows": {name: size(data.features) for name, data in trainer.task_data.items()},
        "max_length": {name: data.max_length for name, data in trainer.task_data.items()},
        "stride": {name: kind["doc_stride"] for name, kind in kinds.items() if "doc_stride" in kind},
        "scored_on": {name: data.scored_on for name, data in trainer.task_data.items()},
        "batch": _batch(trainer),
        "steps": steps,
        "weights": weights,
        "trained_weights": trained,
        "word_embeddings": _vocabulary(trainer),
        "memory_gb": (4 * weights + 4 * trained + states + _activations(trainer)) / 1e9,
        "hours": None if examples is None else FORWARD * each * examples / 3600,
        "hours_from": timed,
        "evaluated_every": int(args.eval_steps) if args.eval_strategy == "steps" else str(args.eval_strategy.value),
        "checkpoints": [step_tag(step) for step in saved],
        "disk_gb": (kept * (saved_bytes + states) + saved_bytes) / 1e9,
        "published_to": publish.destination(args, trainer.model, trainer.record) if publish else None,
        "published_gb": len(saved) * saved_bytes / 1e9 if publish else None,
    }


def saved_steps(args: StiltsArguments, steps: int | None) -> list[int]:
    """Steps whose checkpoints a training of so many steps saves, as the stock Trainer does: the last one, too.

    Early stopping ends it sooner. Empty where it saves none, or where that depends on the scores.
    """
    strategy = str(args.save_strategy.value)
    if steps is None or strategy not in ("steps", "epoch"):
        return []
    if strategy == "epoch":
        epochs = max(1, math.ceil(args.num_train_epochs))
        return sorted({math.ceil(steps * epoch / args.num_train_epochs) for epoch in range(1, epochs)} | {steps})
    pace = args.save_steps if args.save_steps >= 1 else math.ceil(steps * args.save_steps)
    return sorted({*range(int(pace), steps + 1, int(pace)), steps})


def _batch(trainer: StiltsTrainer) -> int:
    """Examples of an optimizer step; of a mixture, whose tasks have their own, the mean over the tasks."""
    args = trainer.args
    own = [data.batch_size for data in trainer.task_data.values() if data.batch_size]
    if own:
        return round(sum(own) / len(own))
    return int(args.train_batch_size * args.gradient_accumulation_steps * args.world_size)


def _weights(model: torch.nn.Module) -> tuple[int, int]:
    """Numbers of weights that a checkpoint holds, and of those that are trained."""
    whole = sum(weight.numel() for weight in model.parameters())
    for module in model.modules():
        if isinstance(module, CompactEmbedding):
            whole += module.full().numel() - module.weight.numel()
    return whole, sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def _states(optimizer: Any) -> int:
    name = str(getattr(optimizer, "value", optimizer))
    return next((count for known, count in _STATES.items() if name.startswith(known)), _ADAM)


def _vocabulary(trainer: StiltsTrainer) -> dict[str, Any]:
    """How many word embeddings are trained, and with `--compact-vocabulary` would be; None where none can say."""
    table = trainer.model.get_input_embeddings()
    compact = isinstance(table, CompactEmbedding)
    whole = len(table.full()) if compact else int(table.weight.shape[0])
    used = len(table.rows) if compact else None
    if used is None:
        with suppress(StiltsError):
            used = len(used_ids(trainer.token_sources(trainer.train_dataset)))
    return {"whole": whole, "used": used, "compact": compact}


def _activations(trainer: StiltsTrainer) -> float:
    """Bytes that a micro-batch of the longest inputs leaves for its backward pass, about."""
    args, config = trainer.args, trainer.model.config
    longest = max(data.max_length for data in trainer.task_data.values())
    tokens = longest * args.train_batch_size
    most = trainer.micro.most
    if most is None and args.device.type == "cpu":
        most = CPU_TOKENS
    if most:
        tokens = max(longest, min(tokens, most))
    half = 1 if args.bf16 or args.fp16 else 2
    layers = getattr(config, "num_hidden_layers", 1) + (getattr(config, "num_decoder_layers", None) or 0)
    return float(_KEPT * half * tokens * config.hidden_size * layers)


def _seconds_each(trainer: StiltsTrainer) -> tuple[float, str]:
    """Seconds that an example takes forward on this machine, and how that was found."""
    model = trainer.model.to(trainer.args.device).train()
    batches = [*islice(iter(trainer.get_train_dataloader()), _BATCHES)]
    seconds, examples = 0.0, 0
    with torch.no_grad():
        for number, batch in enumerate([batches[0], *batches]):
            inputs = trainer._prepare_inputs(dict(batch))
            begun = time.perf_counter()
            float(trainer.compute_loss(model, inputs))  # a number: the device has finished
            if number:
                seconds += time.perf_counter() - begun
                examples += _examples_in(batch)
    said = f"{examples} examples forward on this machine ({trainer.args.device.type}), times {FORWARD}"
    return seconds / max(1, examples), f"{said}; without evaluating and loading"


def _examples_in(batch: Mapping[str, Any]) -> int:
    return max(len(value) for value in batch.values() if hasattr(value, "__len__"))
