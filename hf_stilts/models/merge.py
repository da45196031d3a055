"""Makes one encoder of several that were trained from the same public model: mean, task arithmetic, TIES, DARE."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.files import write
from hf_stilts.hub.card import CARD_FILE, render
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.naming import mixture_name, repo_id, step_tag
from hf_stilts.hub.record import RECORD_FILE, ParentModel, Record, TaskSource
from hf_stilts.models.body import load_body
from hf_stilts.models.compatibility import check_start
from hf_stilts.models.merge_options import MergeOptions, check_checkpoints
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint

State = Mapping[str, torch.Tensor]


def merge_checkpoints(
    names: Sequence[str],
    base: str,
    output_dir: str | os.PathLike[str],
    options: MergeOptions | None = None,
    *,
    namespace: str | None = None,
    revision: str | None = None,
) -> Record:
    """Merge intermediate checkpoints of one base, and write the result as a checkpoint to train targets from.

    Args:
        names: two or more, each a task's, a task's at a step (`mnli@step-2000`), a repository or a folder; an adapter
            counts with its base.
        base: public model that all were trained from.
        output_dir: folder that is made: weights, tokenizer, card and `stilts.json`, in which every parent stands.
        options: how; default: their mean.
        namespace: whose checkpoints a task's name means.
        revision: commit, tag or branch of the public model; default: its newest commit.

    Returns:
        What `stilts.json` says of it. Its `step` is 0: nothing was trained.

    Raises:
        StiltsError: the checkpoints do not fit each other or the base, or the folder holds something.
    """
    options = options or MergeOptions()
    check_checkpoints(names, options)
    folder = Path(output_dir)
    if folder.exists() and any(folder.iterdir()):
        raise StiltsError(f"{folder} is not empty; a new folder is expected. Nothing was done. Pass another one.")
    public = open_checkpoint(base, revision)
    parents = [open_checkpoint(resolve(name, base=base, namespace=namespace)) for name in names]
    for parent in parents:
        check_start(parent, base)
    model, missing = load_body(public)
    start = {name: tensor for name, tensor in model.state_dict().items() if name not in missing}
    states = [_body_of(parent) for parent in parents]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        state = merged(start, states, options)
    record = _record(public, parents, options)
    folder.mkdir(parents=True, exist_ok=True)
    model.load_state_dict(state, strict=False)
    # What the public model does not hold was drawn at random, and stays out.
    kept = {name: tensor for name, tensor in model.state_dict().items() if name in state}
    model.save_pretrained(folder, state_dict=kept)
    public.tokenizer.save_pretrained(folder)
    write(folder / RECORD_FILE, record.to_json())
    write(folder / CARD_FILE, render(record, merged_repository(record), step_tag(record.step)))
    return record


def merged_repository(record: Record, namespace: str | None = None) -> str:
    """Name of the repository of a merge: `<namespace>/<base>-stilts-<tasks>-<how>`."""
    base = record.parent.id if record.parent else "encoder"
    return repo_id(namespace, base, [f"{mixture_name(record.task_names or ['checkpoints'])}-{record.recipe['merge']}"])


def merged(base: State, states: Sequence[State], options: MergeOptions) -> dict[str, torch.Tensor]:
    """Merge weights, tensor by tensor; what is no fraction, or what no checkpoint holds, is the base's.

    Args:
        base: weights of the base by their names.
        states: the same of each checkpoint.
        options: how.

    Returns:
        Float32 where the base is: as many tensors as the base has, of the same shapes.

    Raises:
        StiltsError: a tensor of a checkpoint has another shape than the base's, or some lack it.
    """
    weights = torch.tensor(options.for_each(len(states)))
    combined = None if options.how == "mean" else _combined(options)
    found: dict[str, torch.Tensor] = {}
    for name, tensor in base.items():
        there = [state[name] for state in states if name in state]
        if not there or not tensor.is_floating_point():
            found[name] = tensor
            continue
        shapes = {tuple(each.shape) for each in (tensor, *there)}
        if len(shapes) > 1 or len(there) < len(states):
            raise StiltsError(
                f"{name} is there in {len(there)} of {len(states)} checkpoints, in the shapes "
                f"{', '.join(map(str, sorted(shapes)))}; one shape is expected, in each. Merge checkpoints of one base."
            )
        if combined is None:
            shaped = weights.reshape(-1, *[1] * tensor.dim())
            found[name] = (torch.stack(there).float() * shaped).sum(dim=0).to(tensor.dtype)
        else:
            differences = [each.float() - tensor.float() for each in there]
            found[name] = (tensor.float() + combined(differences, weights)).to(tensor.dtype)
    return found


def _combined(options: MergeOptions) -> Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]:
    """What makes one difference of several: peft's functions for merging adapters, whose weights are differences."""
    with needs_extra("peft", f"Merging by {options.how}"):
        from peft.utils import merge_utils

    if options.how == "task-arithmetic":
        return merge_utils.task_arithmetic
    if options.how == "ties":
        return partial(merge_utils.ties, density=options.kept)

    def dare(deltas: list[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
        # Not `dare_linear`: peft 0.18 forgets to scale what it keeps.
        kept = [merge_utils.prune(delta, options.kept, method="random") / options.kept for delta in deltas]
        return merge_utils.task_arithmetic(kept, weights)

    return dare


def _body_of(opened: OpenedCheckpoint) -> dict[str, torch.Tensor]:
    """Weights of a checkpoint's body without its pooler, which is a part of the head that it was trained under."""
    model, missing = load_body(opened)
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name not in missing and "pooler" not in name.split(".")
    }


def _record(public: OpenedCheckpoint, parents: Sequence[OpenedCheckpoint], options: MergeOptions) -> Record:
    """What the merge went through: all that its parents were trained on, each once."""
    tasks: dict[TaskSource, None] = {}
    languages: dict[str, None] = {}
    for parent in parents:
        if parent.record is not None:
            tasks |= dict.fromkeys(parent.record.tasks)
            languages |= dict.fromkeys(parent.record.languages)
    recipe: dict[str, Any] = {"merge": options.how}
    recipe["weights"] = ", ".join(f"{weight:.4g}" for weight in options.for_each(len(parents)))
    if options.how in ("ties", "dare"):
        recipe["density"] = options.kept
    known = {parent.record.parent for parent in parents if parent.record and parent.record.parent}
    own = _parent(public)
    licences = {each.license for each in known if each.id == own.id}
    return Record(
        phase="intermediate",
        tasks=tuple(tasks),
        parent=replace(own, license=licences.pop() if len(licences) == 1 else None),
        merged_from=tuple(_parent(parent) for parent in parents),
        languages=tuple(languages),
        recipe=recipe,
        seed=options.seed if options.how == "dare" else None,
        architecture=None,
    )


def _parent(opened: OpenedCheckpoint) -> ParentModel:
    if Path(opened.name).is_dir():
        return ParentModel(id=Path(opened.name).resolve().name, published=False)
    return ParentModel(id=opened.name, commit=opened.commit)
