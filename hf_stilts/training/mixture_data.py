"""The examples of a mixture as one data set, and the batches of its plan: what a stock DataLoader reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch.utils.data import BatchSampler

from hf_stilts.kinds.features import TARGETS
from hf_stilts.training.samplers import Plan

Feature = dict[str, Any]
Collate = Callable[[list[Feature]], dict[str, torch.Tensor]]


class DrawnExample(NamedTuple):
    """One example of one step: its number in the task, and a seed for what is random about it."""

    task: str
    example: int
    seed: int


class DrawnFeature(NamedTuple):
    """A draw and the feature that it drew."""

    draw: DrawnExample
    feature: Feature


class MixtureDataset(torch.utils.data.Dataset[DrawnFeature]):
    """The features of all tasks of a mixture, looked up by `DrawnExample`."""

    def __init__(self, features: Mapping[str, Dataset]) -> None:
        self.features = features

    def __len__(self) -> int:
        return sum(map(len, self.features.values()))

    def __getitem__(self, draw: DrawnExample) -> DrawnFeature:
        return DrawnFeature(draw, self.features[draw.task][draw.example])

    def __getitems__(self, draws: list[DrawnExample]) -> list[DrawnFeature]:
        """A batch, whose draws are all of one task, in one look-up."""
        columns = self.features[draws[0].task][[draw.example for draw in draws]]
        rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
        return [DrawnFeature(draw, row) for draw, row in zip(draws, rows, strict=True)]


class StepBatches(BatchSampler):
    """The steps of a plan in micro-batches: `parts` of each step one after another, dealt out to the processes in turn.

    Args:
        plan: what is drawn at each step.
        steps: how many steps.
        parts: accumulation steps times processes; divides every task's batch size.
    """

    batch_size: Any = None  # differs from task to task, which is how accelerate is told
    drop_last = False

    def __init__(self, plan: Plan, steps: int, parts: int) -> None:
        self.plan, self.steps, self.parts = plan, steps, parts

    def __len__(self) -> int:
        return self.steps * self.parts

    def __iter__(self) -> Iterator[list[DrawnExample]]:  # type: ignore[override]
        for drawn in self.plan.steps(self.steps):
            draws = [DrawnExample(drawn.task, *each) for each in zip(drawn.examples.tolist(), drawn.seeds, strict=True)]
            size = len(draws) // self.parts
            for part in range(self.parts):
                yield draws[part * size : (part + 1) * size]


@dataclass
class Collator:
    """Batches as each task's own collator makes them, with the task's name in `"task"`.

    Args:
        collators: by task.
        current: the task of features that do not say of which they are, as those of an evaluation.
    """

    collators: Mapping[str, Collate]
    current: str = field(default="")

    def __call__(self, examples: Sequence[DrawnFeature | Feature]) -> dict[str, Any]:
        """A batch of one task."""
        drawn = [example for example in examples if isinstance(example, DrawnFeature)]
        task = drawn[0].draw.task if drawn else self.current
        collate = self.collators[task]
        features = [_settled(each, collate) for each in drawn] or [each for each in examples if isinstance(each, dict)]
        return {**collate(features), "task": task}


def _settled(drawn: DrawnFeature, collate: Collate) -> Feature:
    """A feature whose targets are there, those that its collator draws (masked words) from the draw's own seed.

    So they depend neither on what else is in the batch nor on what was drawn before, and come back after a resume.
    """
    if not {*TARGETS}.isdisjoint(drawn.feature):
        return drawn.feature
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(drawn.draw.seed)
        alone = collate([drawn.feature])
    return {**drawn.feature, **{name: values[0] for name, values in alone.items()}}
