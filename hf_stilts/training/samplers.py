"""Which task each step of a mixture trains, and on which of its examples: pure functions of the seed and the step."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_stilts.errors import StiltsError

# Raffel et al. 2020 cap the size of a task in examples-proportional mixing; 2**17 is what Phang et al. 2020 took.
CAP = 2**17

Sizes = Mapping[str, int]
Sampler = Callable[[Sizes, int], Mapping[str, float]]
"""From each task's number of examples and the optimizer step to each task's weight; weights need not sum to 1."""


@dataclass(frozen=True)
class Proportional:
    """Weight min(n, cap) (Raffel et al. 2020, section 3.5.2; jiant's `Proportional`). `cap=None`: no cap.

    >>> Proportional(cap=100)({"qqp": 400, "copa": 50}, 0)
    {'qqp': 100, 'copa': 50}
    """

    cap: int | None = CAP

    def __call__(self, sizes: Sizes, step: int) -> dict[str, float]:
        """Weights, the same at every step."""
        return {task: capped(size, self.cap) for task, size in sizes.items()}


@dataclass(frozen=True)
class Uniform:
    """The same weight for every task."""

    def __call__(self, sizes: Sizes, step: int) -> dict[str, float]:
        """Weights, the same at every step."""
        return dict.fromkeys(sizes, 1.0)


@dataclass(frozen=True)
class Temperature:
    """Weight min(n, cap) ** (1 / temperature): 1 is `Proportional`, and the higher, the nearer to `Uniform`.

    >>> Temperature(2.0, cap=None)({"qqp": 400, "copa": 100}, 0)
    {'qqp': 20.0, 'copa': 10.0}
    """

    temperature: float = 2.0
    cap: int | None = CAP

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise StiltsError(f"A temperature of {self.temperature} was given; more than 0 is expected, e.g. 2.")

    def __call__(self, sizes: Sizes, step: int) -> dict[str, float]:
        """Weights, the same at every step."""
        return {task: float(capped(size, self.cap) ** (1 / self.temperature)) for task, size in sizes.items()}


@dataclass(frozen=True)
class Given:
    """The weights that are given (jiant's `SpecifiedProb`)."""

    weights: Mapping[str, float]

    def __call__(self, sizes: Sizes, step: int) -> dict[str, float]:
        """Weights, the same at every step."""
        return dict(self.weights)


@dataclass(frozen=True)
class Schedule:
    """Weights that change over the steps: given at some steps, on straight lines between them, constant outside.

    What jiant's `TimeDependentProb` writes as expressions in the step. For other curves, pass a function of sizes and
    step as the sampler.

    >>> Schedule({0: {"mnli": 1, "fill_mask": 1}, 1000: {"mnli": 1, "fill_mask": 0}})({"mnli": 9, "fill_mask": 9}, 250)
    {'mnli': 1.0, 'fill_mask': 0.75}
    """

    at: Mapping[int, Mapping[str, float]]

    def __post_init__(self) -> None:
        if len({frozenset(weights) for weights in self.at.values()}) != 1:
            raise StiltsError(
                f"A schedule names tasks {[', '.join(weights) for weights in self.at.values()]}; the same tasks are "
                "expected at each of its steps. Type for example: 0:mnli=1,qqp=1;1000:mnli=1,qqp=0"
            )

    def __call__(self, sizes: Sizes, step: int) -> dict[str, float]:
        """Weights at `step`."""
        steps = sorted(self.at)
        tasks = self.at[steps[0]]
        weights = {}
        for task in tasks:
            weights[task] = float(np.interp(step, steps, [self.at[known][task] for known in steps]))
        return weights


def capped(size: int, cap: int | None) -> int:
    """The number of examples that counts.

    >>> capped(400, 100), capped(400, None)
    (100, 400)
    """
    return size if cap is None else min(size, cap)


def parse_sampler(text: str, cap: int | None = CAP) -> Sampler:
    """Sampler from a word or two of the command line.

    Args:
        text: `proportional`, `uniform`, `temperature=2`, weights (`mnli=2,qqp=1`) or a schedule
            (`0:mnli=1,qqp=1;1000:mnli=1,qqp=0`).
        cap: for `proportional` and `temperature`.

    Raises:
        StiltsError: none of these.

    >>> parse_sampler("mnli=2,qqp=1")
    Given(weights={'mnli': 2.0, 'qqp': 1.0})
    """
    word, _, value = text.partition("=")
    try:
        if text in ("proportional", "uniform"):
            return Proportional(cap) if text == "proportional" else Uniform()
        if word == "temperature":
            return Temperature(float(value), cap)
        if ":" in text:
            return Schedule({int(step): _weights(rest) for step, rest in _pairs(text.split(";"), ":")})
        return Given(_weights(text))
    except (ValueError, IndexError) as error:
        if isinstance(error, StiltsError):
            raise
        raise StiltsError(
            f"Sampler {text!r} is none. Type proportional, uniform, temperature=2, weights (mnli=2,qqp=1), or a "
            "schedule (0:mnli=1,qqp=1;1000:mnli=1,qqp=0)."
        ) from error


def describe_sampler(sampler: Sampler) -> str:
    """A sampler in the words that `parse_sampler` reads; a function of the user's own by its name.

    >>> describe_sampler(Temperature(2.0, cap=None))
    'temperature=2.0'
    """
    if isinstance(sampler, Temperature):
        return f"temperature={sampler.temperature}"
    if isinstance(sampler, Given):
        return ",".join(f"{task}={weight:g}" for task, weight in sampler.weights.items())
    if isinstance(sampler, Schedule):
        return ";".join(f"{step}:{describe_sampler(Given(weights))}" for step, weights in sorted(sampler.at.items()))
    return str(getattr(sampler, "__name__", type(sampler).__name__)).lower()


def probabilities(sampler: Sampler, sizes: Sizes, step: int = 0) -> dict[str, float]:
    """Each task's probability at a step.

    Raises:
        StiltsError: weights of other tasks than the mixture's, a negative or infinite one, or none above 0.

    >>> probabilities(Uniform(), {"mnli": 392_702, "copa": 400})
    {'mnli': 0.5, 'copa': 0.5}
    """
    weights = sampler(sizes, step)
    if set(weights) != set(sizes):
        raise StiltsError(
            f"The sampler weighs {', '.join(weights) or 'nothing'}; the mixture's tasks are {', '.join(sizes)}. "
            "Give each of them a weight, 0 for never."
        )
    total = sum(weights.values())
    if not (min(weights.values()) >= 0 and 0 < total < math.inf):
        raise StiltsError(
            f"At step {step} the sampler's weights are {dict(weights)}; finite ones of at least 0 are expected, one of "
            "them above 0."
        )
    return {task: weights[task] / total for task in sizes}


def max_steps(sizes: Sizes, batch_sizes: Sizes, epochs: float = 3, cap: int | None = CAP) -> int:
    """Optimizer steps of a mixture: the sum over tasks of epochs * ceil(min(n, cap) / batch).

    So jiant counts whole epochs; a fraction of a step, which fractional epochs may leave, counts here and not there.

    >>> max_steps({"mnli": 392_702, "copa": 400}, {"mnli": 24, "copa": 4}, epochs=3)  # 3 * (ceil(5461.3) + 100)
    16686
    """
    return math.ceil(sum(epochs * math.ceil(capped(size, cap) / batch_sizes[task]) for task, size in sizes.items()))


class Draws(NamedTuple):
    """One optimizer step: all its examples come from one task.

    `examples` int64 (batch,): their numbers in the task. `seeds` (batch,): one for each draw, for what is random about
    an example, such as its masks.
    """

    task: str
    examples: NDArray[np.int64]
    seeds: list[int]


@dataclass(frozen=True)
class Plan:
    """The sequence of steps of a mixture. Step t is the same whatever was or will be done before and after it.

    A task goes through all its examples in a random order, then through all in another, as often as it is drawn; its
    order does not depend on the other tasks of the mixture.

    Args:
        sizes: number of examples of each task.
        batch_sizes: examples per optimizer step of each task, over all devices and accumulation steps.
        sampler: weights of the tasks at a step.
        seed: decides everything.
    """

    sizes: Sizes
    batch_sizes: Sizes
    sampler: Sampler = field(default_factory=Proportional)
    seed: int = 42

    def __post_init__(self) -> None:
        empty = [task for task, size in self.sizes.items() if size < 1]
        if empty:
            raise StiltsError(f"Task {empty[0]} has no examples. Leave it out of the mixture, or give it rows.")

    def tasks(self, steps: int) -> NDArray[np.int64]:
        """Number of the task of each of the first `steps` steps, int64 (steps,)."""
        uniform = np.random.default_rng([self.seed, 0]).random(steps)
        if isinstance(self.sampler, (Proportional, Uniform, Temperature, Given)):
            # Their weights are the same at every step. The last sum may be a little below 1 and is left out.
            cumulative = np.cumsum([*probabilities(self.sampler, self.sizes).values()])
            return np.searchsorted(cumulative[:-1], uniform, side="right")
        drawn = np.empty(steps, dtype=np.int64)
        for step in range(steps):
            cumulative = np.cumsum([*probabilities(self.sampler, self.sizes, step).values()])
            drawn[step] = np.searchsorted(cumulative[:-1], uniform[step], side="right")
        return drawn

    def steps(self, steps: int) -> Iterator[Draws]:
        """The first `steps` steps."""
        names = list(self.sizes)
        streams = {task: _Stream(self.seed, task, size) for task, size in self.sizes.items()}
        for number in self.tasks(steps).tolist():
            task = names[number]
            yield Draws(task, *streams[task].draw(self.batch_sizes[task]))


class _Stream:
    """A task's endless order of examples: one permutation of them all after another."""

    def __init__(self, seed: int, task: str, size: int) -> None:
        self.key = [seed, 1, zlib.crc32(task.encode())]  # hash() would differ from process to process
        self.size = size
        self.drawn = 0
        self.epoch = -1

    def draw(self, count: int) -> tuple[NDArray[np.int64], list[int]]:
        parts, first = [], self.drawn
        while count:
            epoch, begin = divmod(self.drawn, self.size)
            if epoch != self.epoch:
                # By the epoch's own seed, so that a resumed run finds its place without drawing again.
                self.epoch, self.order = epoch, np.random.default_rng([*self.key, epoch]).permutation(self.size)
            parts.append(self.order[begin : begin + count])
            count -= len(parts[-1])
            self.drawn += len(parts[-1])
        text = f"{self.key} ".encode()
        return np.concatenate(parts), [zlib.crc32(text + str(draw).encode()) for draw in range(first, self.drawn)]


def language_shares(sizes: Sizes, alpha: float = 0.3) -> dict[str, float]:
    """Probability of each language, q = p ** alpha normalised (Conneau & Lample 2019, section 3.1; XLM-R: 0.3).

    Args:
        sizes: number of examples of each language.
        alpha: 1 keeps the languages' own shares, 0 makes all equal.

    >>> language_shares({"en": 900, "sw": 100}, alpha=0.5)  # square roots 30 and 10
    {'en': 0.75, 'sw': 0.25}
    """
    total = sum(sizes.values())
    powers = {language: (size / total) ** alpha for language, size in sizes.items() if size}
    return {language: power / sum(powers.values()) for language, power in powers.items()}


def language_draws(
    sizes: Sizes, shares: Mapping[str, float], total: int, seed: int = 42
) -> dict[str, NDArray[np.int64]]:
    """Which examples of each language make up a multilingual text of `total` examples.

    A language gives its share of the total, rounded by largest remainder; one that has fewer examples gives them again
    and again, each as often as any other, give or take one.
    """
    exact = {language: share * total for language, share in shares.items()}
    counts = {language: int(share) for language, share in exact.items()}
    by_remainder = sorted(exact, key=lambda language: counts[language] - exact[language])
    for language in by_remainder[: total - sum(counts.values())]:
        counts[language] += 1
    return {
        language: _Stream(seed, f"text:{language}", sizes[language]).draw(count)[0]
        for language, count in counts.items()
        if count
    }


def _weights(text: str) -> dict[str, float]:
    return {task.strip(): float(weight) for task, weight in _pairs(text.split(","), "=")}


def _pairs(parts: list[str], between: str) -> list[list[str]]:
    return [[*part.split(between, 1)] for part in parts]
