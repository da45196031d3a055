"""The tasks of a mixture: which may be in it, how each is trained and weighed, and the model that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from transformers import PreTrainedModel
from transformers.trainer_utils import set_seed

from hf_stilts.errors import StiltsError
from hf_stilts.models.heads import SharedBody
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint
from hf_stilts.models.transfer import Transfer, load_body_for, with_fresh_head
from hf_stilts.task import Task
from hf_stilts.training.recipes import Recipe

EPOCHS = 3  # jiant's default, and how often a mixture goes through its capped tasks in Phang et al. 2020 (unverified)


def refuse_unknown(tasks: Mapping[str, Task], **by_task: object) -> None:
    """Stop where an argument that is given by task names one that is not in the mixture, and would be ignored.

    Raises:
        StiltsError: it does.
    """
    for argument, given in by_task.items():
        unknown = [task for task in given if task not in tasks] if isinstance(given, Mapping) else []
        if unknown:
            raise StiltsError(
                f"{argument} names {unknown[0]}; the mixture's tasks are {', '.join(tasks)}. Name one of them."
            )


def mixture_recipe(recipes: Mapping[str, Recipe]) -> Recipe:
    """Figures of a whole mixture from those of its tasks: the first task's, with the lowest of their learning rates."""
    figures = [*recipes.values()]
    return replace(figures[0], learning_rate=min(each.learning_rate for each in figures), epochs=EPOCHS)


def effective_batches(
    tasks: Mapping[str, Task], given: int | Mapping[str, int] | None, stock: int, parts: int
) -> dict[str, int]:
    """Examples per optimizer step of each task; each must fall into equal micro-batches.

    Raises:
        StiltsError: one that does not.
    """
    by_task = given if isinstance(given, Mapping) else dict.fromkeys(tasks, given or stock)
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
    judged = [name for name, task in tasks.items() if not task.declaration.pretraining] or [*tasks]
    weights = dict(given) if given is not None else dict.fromkeys(judged, 1.0)
    if set(weights) - set(tasks) or min(weights.values(), default=0) < 0 or not sum(weights.values()) > 0:
        raise StiltsError(
            f"aggregate={weights} is no set of weights for {', '.join(tasks)}. Give tasks of the mixture numbers of at "
            "least 0, one of them above 0."
        )
    return {task: weight for task, weight in weights.items() if weight}


def shared_model(
    source: str | OpenedCheckpoint, tasks: Mapping[str, Task], revision: str | None, seed: int
) -> tuple[SharedBody, Transfer]:
    """One body from `source` under fresh heads; each head drawn from the seed, whatever the others are."""
    opened = open_checkpoint(source, revision)
    loaded = load_body_for(opened, tasks.values())
    heads: dict[str, PreTrainedModel] = {}
    fresh: list[str] = []
    for name, task in tasks.items():
        set_seed(seed)
        heads[name], transfer = with_fresh_head(opened, task, loaded=loaded)
        fresh += [f"heads.{name}.{parameter}" for parameter in transfer.fresh]
    model = SharedBody(loaded.model, heads)
    carried = len(loaded.model.state_dict()) - len(loaded.missing)
    return model, replace(transfer, carried=carried, fresh=tuple(fresh))
