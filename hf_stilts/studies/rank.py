"""Which intermediate task for a target: published gains, and how well encoders already fit the target's examples.

LogME (You et al. 2021, "LogME: practical assessment of pre-trained models for transfer learning", and its journal
version of 2022 for the fixed point) is the largest evidence of Bayesian linear regression from an encoder's vectors to
the labels. It needs one pass of each encoder over a few hundred examples and no training.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_stilts.data.load import load, splits
from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.hub.published_scores import Ancestors, PublishedModel
from hf_stilts.kinds import load_kind
from hf_stilts.studies.comparable import NONE, label_of
from hf_stilts.studies.explain import with_interval
from hf_stilts.studies.matrix import TransferMatrix
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, load_task

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)
Matrix = NDArray[np.float64]
_ROUNDS, _CLOSE = 500, 1e-8  # of the fixed point
_LEAST_POINTS = 4  # of a rank correlation
_BATCH = 32
_DRAWS = 1000
SAME_TARGET = 1.0
SAME_KIND = 0.5  # a target of the same kind says less about this one than its own scores


@dataclass(repr=False)
class Ranking(Tabular):
    """Intermediate tasks in order of their measured gain for a target.

    Attributes:
        target: name of the target.
        tasks: best first: base, intermediate, `gain` in points (weighted mean over targets), the targets that it
            rests on (`targets`), the numbers of gains of this target (`of_target`) and of others of its kind
            (`of_kind`); a gain is of one target in one language.
        notes: what a reader should know.
        estimates: best first: base, intermediate (`none`: the base itself), `model`, `logme` (nats an example, of the
            target's own examples) and `over_base`, what of that the base does not have.
        agreement: of `over_base` with the target's own measured gains: `spearman` with its 95 % interval
            (`spearman_low`, `spearman_high`), `points`; None where there are too few.
    """

    target: str
    tasks: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    estimates: list[dict[str, Any]] = field(default_factory=list)
    agreement: dict[str, Any] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """The table of intermediate tasks."""
        return self.tasks


def rank_tasks(target: str | Task, matrix: TransferMatrix) -> Ranking:
    """Rank intermediate tasks by the gains of a transfer matrix.

    The gain of each target is its mean over languages. Over targets it is a weighted mean: the target itself counts 1,
    another target of its kind 1/2, and one of another kind nothing. Bases are not mixed: each has rows of its own.

    Args:
        target: the task that is to be improved.
        matrix: gains of all targets, as `transfer_matrix` gathers them.

    Raises:
        StiltsError: no such target.
    """
    task = load_task(target)
    gains: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in matrix.one_comparison_each():
        if row["target"] == task.name or _kind(row["target"]) == task.kind:
            gains.setdefault((row["base"], row["intermediate"]), []).append(row)
    tasks = [_rank_row(task.name, base, intermediate, rows) for (base, intermediate), rows in gains.items()]
    tasks.sort(key=lambda row: (-row["gain"], row["base"], row["intermediate"]))
    return Ranking(task.name, tasks, _notes(task, tasks))


def _kind(target: str) -> str | None:
    """Kind of a published target; None where this installation does not know the task."""
    if "/" in target or target.endswith((".py", ".yaml")):  # others wrote the name: no file is run for it
        return None
    try:
        return load_task(target).kind
    except StiltsError:
        return None


def _rank_row(target: str, base: str, intermediate: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    weights = [SAME_TARGET if row["target"] == target else SAME_KIND for row in rows]
    total = sum(weight * row["gain"] for weight, row in zip(weights, rows, strict=True))
    return {
        "base": base,
        "intermediate": intermediate,
        "gain": total / sum(weights),
        "of_target": sum(row["languages"] for row in rows if row["target"] == target),
        "of_kind": sum(row["languages"] for row in rows if row["target"] != target),
        "targets": sorted(row["target"] for row in rows),
    }


def _notes(task: Task, tasks: list[dict[str, Any]]) -> list[str]:
    if not tasks:
        return [
            f"Not enough evidence: no published score of {task.name} or of another target of kind {task.kind} has a "
            "baseline to compare with. hf-stilts matrix says why; --results FOLDER adds scores of your own."
        ]
    notes = [f"Weights: {task.name} itself 1, other targets of kind {task.kind} 1/2."]
    if not any(row["of_target"] for row in tasks):
        notes.append(f"Nobody has measured {task.name}: the order rests on other targets of its kind alone.")
    return notes


def add_estimates(
    ranking: Ranking,
    target: str | Task,
    matrix: TransferMatrix,
    models: Sequence[PublishedModel],
    *,
    base: str | None = None,
    examples: int = 300,
    language: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Estimate by LogME how far published encoders fit a target, and say how that agrees with measured gains.

    Args:
        ranking: of the target; receives estimates, agreement and notes.
        target: the same task as of `rank_tasks`; one from a file is not found by its name.
        matrix: whose gains of this target the estimates are compared with.
        models: what is published; intermediate checkpoints among them are encoders, and the bases that they began with.
        base: only encoders that began with this public model.
        examples: how many rows of the target are read, the first ones of its training rows, else of its development
            rows.
        language: of these rows; default: English, else the target's first.
        data_dir: local mirror of the data sets.

    Raises:
        StiltsError: the target has not one label a text; or as `load`.
    """
    task = load_task(target)
    if not task.declaration.labelled or task.declaration.per_word:
        raise StiltsError(
            f"{task.name} is of kind {task.kind}, and LogME is for tasks with one label a text. Leave out --examples, "
            "to rank by measured gains alone."
        )
    code = language or ("en" if "en" in task.languages else task.languages[0])
    there = splits(task, code, data_dir)
    split = next((each for each in ("train", "validation") if each in there), "test")
    rows = load(task, split, code, limit=examples, data_dir=data_dir)
    for start, name, repository, commit in _encoders(models, ranking.notes):
        if base not in (None, start):
            continue
        try:
            value = logme(*_vectors(task, rows, repository, commit))
        except (OSError, ValueError) as error:  # one that others wrote hides no other
            ranking.notes.append(f"{repository} is not estimated: {str(error).splitlines()[0][:200]}")
            continue
        row = {"base": start, "intermediate": name, "model": repository, "logme": value}
        ranking.estimates.append(row)
    _compare(ranking, matrix)
    if ranking.estimates:
        ranking.notes.append(f"LogME: {len(rows)} {code} rows of the {split} split, mean of the last hidden state.")
    else:
        ranking.notes.append("Not enough evidence: no published encoder could be estimated.")


def logme(vectors: Matrix, labels: NDArray[np.int64]) -> float:
    """Largest log evidence an example of linear regression from vectors to each class, mean over classes.

    With prior precision a and noise precision b, both chosen to maximise it, the evidence of a column y of 0 and 1 is
    n/2 log b + d/2 log a - n/2 log 2 pi - b/2 |F m - y|^2 - a/2 |m|^2 - 1/2 log |a I + b F'F|, where
    m = b (a I + b F'F)^-1 F'y. In the singular vectors of F each round costs O(n).

    Args:
        vectors: float64 (n, d), F.
        labels: ids of classes (n,).

    Raises:
        StiltsError: fewer than two classes, or vectors that are not finite.
    """
    features = np.asarray(vectors, dtype=np.float64)
    classes = np.unique(labels)
    if len(classes) < 2 or not np.isfinite(features).all():
        raise StiltsError(
            f"{len(classes)} classes in {len(labels)} examples with finite vectors; two or more are expected. Pass "
            "more --examples."
        )
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    squares = singular**2
    evidence = []
    for each in classes:
        column = (labels == each).astype(np.float64)
        evidence.append(_largest_evidence(squares, (left.T @ column) ** 2, float(column @ column), features.shape))
    return float(fmean(evidence))


def _largest_evidence(squares: Matrix, projected: Matrix, norm: float, shape: tuple[int, ...]) -> float:
    """Of one class, an example: singular values squared, and the squares of the labels in their directions."""
    rows, width = shape
    outside = max(norm - float(projected.sum()), 0.0)
    prior, noise = 1.0, 1.0
    for _ in range(_ROUNDS):
        ratio = prior / noise
        shrunk = squares + ratio
        effective = float((squares / shrunk).sum())
        weights = float((squares * projected / shrunk**2).sum())
        residual = float((projected * (ratio / shrunk) ** 2).sum()) + outside
        prior = effective / max(weights, 1e-12)
        noise = (rows - effective) / max(residual, 1e-12)
        if abs(prior / noise - ratio) <= _CLOSE * ratio:
            break
    shrunk = squares + prior / noise
    weights = float((squares * projected / shrunk**2).sum())
    residual = float((projected * (prior / noise / shrunk) ** 2).sum()) + outside
    determinant = float(np.log(prior + noise * squares).sum()) + (width - len(squares)) * math.log(prior)
    value = rows * math.log(noise) + width * math.log(prior) - rows * math.log(2 * math.pi)
    return (value - noise * residual - prior * weights - determinant) / 2 / rows


def _encoders(models: Sequence[PublishedModel], notes: list[str]) -> list[tuple[str, str, str, str | None]]:
    """Base, intermediate task, repository and commit of what is published, after the bases themselves."""
    ancestors = Ancestors(models)
    bases: dict[str, tuple[str, str, str, str | None]] = {}
    found = []
    for model in models:
        record = model.record
        if record is None or record.phase == "target":
            continue
        if record.library != "transformers":
            notes.append(f"{model.repo_id} is not estimated: it is an adapter.")
            continue
        try:
            before, base = ancestors.of(record)
        except StiltsError as error:
            notes.append(f"{model.repo_id} is not estimated: {error}.")
            continue
        chain = [*reversed(before), record]
        first = chain[0].parent
        bases.setdefault(base, (base, NONE, base, first.commit if first else None))
        found.append((base, " > ".join(label_of(each) for each in chain), model.repo_id, model.commit))
    return [*bases.values(), *found]


def _vectors(task: Task, rows: Dataset, repository: str, commit: str | None) -> tuple[Matrix, NDArray[np.int64]]:
    """One pass of an encoder: the mean of its last hidden state over each row's tokens, (rows, width); and labels."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(repository, revision=commit)
    model = AutoModel.from_pretrained(repository, revision=commit, use_safetensors=True)
    encoder = (model.get_encoder() if model.config.is_encoder_decoder else model).to(default_device()).eval()
    kind = load_kind(task.kind)
    features = kind.features(task, rows, tokenizer, max_length=kind.max_length, train=False)
    readable = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in features.column_names]
    found = []
    for start in range(0, len(features), _BATCH):
        batch = features.select_columns(readable)[start : start + _BATCH]
        padded = tokenizer.pad(batch, return_tensors="pt").to(default_device())
        with torch.inference_mode():
            hidden = encoder(**padded).last_hidden_state.float()
        keep = padded["attention_mask"].unsqueeze(-1)
        found.append(((hidden * keep).sum(1) / keep.sum(1)).cpu().double().numpy())
    labels = np.asarray(rows["label"][:], dtype=np.int64)
    return np.concatenate(found)[labels >= 0], labels[labels >= 0]


def _compare(ranking: Ranking, matrix: TransferMatrix) -> None:
    """Order the estimates, and set them beside the gains of the same target."""
    rows = ranking.estimates
    bases = {row["base"]: row["logme"] for row in rows if row["intermediate"] == NONE}
    over: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        base = bases.get(row["base"])
        row["over_base"] = None if base is None else row["logme"] - base
        if base is not None and row["intermediate"] != NONE:
            over.setdefault((row["base"], row["intermediate"]), []).append(row["over_base"])
    rows.sort(key=lambda row: -row["logme"])
    gains = {
        (row["base"], row["intermediate"]): float(row["gain"])
        for row in matrix.one_comparison_each()
        if row["target"] == ranking.target
    }
    both = sorted(over.keys() & gains.keys())
    if len(both) < _LEAST_POINTS:
        ranking.notes.append(
            f"Not enough evidence that LogME agrees with gains of {ranking.target}: {len(both)} intermediate tasks "
            f"have both, and {_LEAST_POINTS} are the least."
        )
        return
    estimates = np.array([fmean(over[key]) for key in both])
    measured = np.array([gains[key] for key in both])
    if np.ptp(estimates) == 0 or np.ptp(measured) == 0:
        ranking.notes.append("Not enough evidence that LogME agrees with gains: all estimates or all gains are equal.")
        return
    try:
        with needs_extra("similarity", "The agreement of LogME with measured gains"):
            ranking.agreement = {**with_interval("spearman", estimates, measured, _DRAWS, 0), "points": len(both)}
    except StiltsError as error:
        ranking.notes.append(str(error))
        return
    low, high = ranking.agreement["spearman_low"], ranking.agreement["spearman_high"]
    if not (low > 0 or high < 0):
        ranking.notes.append(
            f"Not enough evidence that LogME agrees with gains of {ranking.target}: the interval holds 0."
        )
