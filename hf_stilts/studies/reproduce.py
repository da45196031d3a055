"""Runs a published checkpoint's training again, from its own `stilts.json`, and compares scores and weights."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint
from hf_stilts.hub.record import Record
from hf_stilts.publishing.callback import versions
from hf_stilts.studies.reproducible import reproducible
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task
from hf_stilts.training.arguments import StiltsArguments
from hf_stilts.training.dual_encoder import DualEncoderTrainer
from hf_stilts.training.provenance import sources
from hf_stilts.training.run import TRAINERS
from hf_stilts.training.trainer import IntermediateTrainer


@dataclass(frozen=True, repr=False)
class Reproduction(Tabular):
    """What came of it.

    Attributes:
        checkpoint: the published one, with the commit that was compared.
        folder: where the new one lies.
        scores: name -> (published, found); the loss is among them.
        largest: largest difference between two weights; 0.0 says that every bit is the same.
        versions: package -> (then, now), where they differ.
    """

    checkpoint: Checkpoint
    folder: Path
    scores: Mapping[str, tuple[float, float]]
    largest: float
    versions: Mapping[str, tuple[str, str]]

    def within(self, points: float) -> bool:
        """Whether no score is off by more than so many points."""
        return all(abs(then - now) <= points for then, now in self.scores.values())

    def rows(self) -> list[dict[str, object]]:
        """One dictionary a score, for tables, and one for the weight that differs most."""
        scores = [
            {"compared": name, "published": round(then, 4), "found": round(now, 4), "difference": round(now - then, 4)}
            for name, (then, now) in self.scores.items()
        ]
        return [*scores, {"compared": "weights", "published": None, "found": None, "difference": self.largest}]

    def __str__(self) -> str:
        alike = "the same, bit by bit" if self.largest == 0 else f"off by up to {self.largest:.2g}"
        changed = ", ".join(f"{package} {then} then, {now} now" for package, (then, now) in self.versions.items())
        return f"Weights of {self.checkpoint.repo_id}: {alike}." + (f" Versions differ: {changed}." if changed else "")


def reproduce(
    name: str,
    output_dir: str | os.PathLike[str] | None = None,
    *,
    task: str | Task | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    micro_tokens: int | None = None,
) -> Reproduction:
    """Train a published checkpoint anew, from the same parent commit, on the same rows, with the same recipe and seed.

    Args:
        name: what `resolve` takes: a task, `task@step-N`, a repository id with or without a revision.
        output_dir: where to train; `runs/reproduce-<repository>` if None.
        task: the task of the record, where it is not installed: the path of its file.
        data_dir: local mirror of the data sets. It must hold the very rows: their digest is compared first.
        micro_tokens: most tokens that go through the model at a time, where this machine has less memory.

    Raises:
        StiltsError: the record does not tell enough to do it again, the Hub has not what it began with, or the rows
            here are not the rows of then.
    """
    checkpoint, record, task, parent = reproducible(name, task)
    rows = sum(source.rows or 0 for source in record.tasks)
    task = _with_rows_of_then(checkpoint, record, rows, task, data_dir)
    trainer_class = DualEncoderTrainer if task.declaration.in_batch_negatives else TRAINERS[record.phase]
    folder = Path(output_dir or f"runs/reproduce-{checkpoint.repo_id.rpartition('/')[2]}")
    start: dict[str, Any] = {"init": f"{parent.id}@{parent.commit}"}
    if trainer_class is IntermediateTrainer:
        start = {"base": parent.id, "revision": parent.commit}
    if trainer_class is DualEncoderTrainer:
        start["prefix"] = [str(record.recipe.get(name, "")) for name in ("query_prefix", "candidate_prefix")]
        start["phase"] = record.phase
    known = ("max_length", "adapter", "text_to_text", "pooling", "both_directions")
    options: dict[str, Any] = {option: record.recipe[option] for option in known if option in record.recipe}
    options |= {
        "recipe": str(record.recipe["profile"]),
        "limit": rows,
        "compact_vocabulary": "word_embeddings_trained" in record.recipe,
        "data_dir": data_dir,
    }
    if micro_tokens is not None:
        options["micro_tokens"] = micro_tokens
    args = _arguments(record, folder, name, **options)
    trainer = trainer_class(args=args, task=task, callbacks=[_StopAt(record.step)], **start)
    trainer.train()
    trainer.save_model(str(folder))
    found = {key.removeprefix("eval_"): float(value) for key, value in trainer.evaluate().items()}
    here = versions()
    return Reproduction(
        checkpoint,
        folder,
        {key: (float(value), found[key]) for key, value in record.metrics.items() if key in found},
        _largest_difference(checkpoint, record, folder),
        {key: (then, here[key]) for key, then in record.versions.items() if key in here and here[key] != then},
    )


class _StopAt(TrainerCallback):
    """Ends the training at the step that was published; the schedule stays that of the whole run."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_training_stop |= state.global_step >= self.step


def _with_rows_of_then(
    checkpoint: Checkpoint, record: Record, rows: int, task: Task, data_dir: str | os.PathLike[str] | None
) -> Task:
    """The task with the rows of then."""
    if len(record.tasks) == 1 and data_dir is None and re.fullmatch("[0-9a-f]{40}", record.tasks[0].revision or ""):
        task = replace(task, revision=record.tasks[0].revision)
    here = sources(task, rows, limit=rows, data_dir=data_dir)
    for then, now in zip(record.tasks, here, strict=True):
        if (then.dataset, then.revision, then.rows) != (now.dataset, now.revision, now.rows):
            raise StiltsError(
                f"{checkpoint.repo_id} was trained on {then.rows} rows of {then.dataset} at {then.revision}; here are "
                f"{now.rows} of {now.dataset} at {now.revision}. "
                "Pass --data-dir with the mirror of then, or none for the Hub."
            )
    return task


def _arguments(record: Record, folder: Path, name: str, **options: Any) -> StiltsArguments:
    known = {field.name for field in fields(TrainingArguments) if field.init}
    recipe: dict[str, Any] = {name: value for name, value in record.recipe.items() if name in known}
    seed = 42 if record.seed is None else record.seed
    # Under torchrun the stock arguments do not find out themselves that there is no accelerator.
    recipe.setdefault("use_cpu", default_device().type == "cpu")
    made = StiltsArguments(str(folder), seed=seed, save_strategy="no", report_to="none", **recipe, **options)
    processes = int(str(record.recipe.get("processes", 1)))
    if processes != made.world_size:
        raise StiltsError(
            f"It was trained by {processes} processes; here {'is' if made.world_size == 1 else 'are'} "
            f"{made.world_size}, whose batches are others. Run: torchrun --nproc_per_node {processes} --no-python "
            f"hf-stilts reproduce {name}"
        )
    return made


def _largest_difference(checkpoint: Checkpoint, record: Record, folder: Path) -> float:
    """Between the weights of a folder and those on the Hub; infinite where names or shapes differ."""
    names = [name for name in record.files if "/" not in name and name.endswith(".safetensors")]
    then: dict[str, torch.Tensor] = {}
    for name in names:
        path = HfApi().hf_hub_download(checkpoint.repo_id, name, revision=checkpoint.commit)
        then |= load_file(path)
    now = {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}
    if {key: tensor.shape for key, tensor in then.items()} != {key: tensor.shape for key, tensor in now.items()}:
        return float("inf")
    return max((float((then[key].float() - now[key].float()).abs().max()) for key in then), default=0.0)
