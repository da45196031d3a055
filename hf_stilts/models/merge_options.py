"""How checkpoints are merged, and what is wrong with how it was asked for: known before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_stilts.errors import StiltsError, did_you_mean

HOW = ("mean", "task-arithmetic", "ties", "dare")
# Where no dev rows choose: Yadav et al. 2023 take 1 for TIES and 0.4 for task arithmetic, and keep the top fifth; Yu et
# al. 2024 drop nine in ten.
_WEIGHTS = {"task-arithmetic": 0.4, "ties": 1.0, "dare": 0.4}
_DENSITIES = {"ties": 0.2, "dare": 0.1}


@dataclass(frozen=True)
class MergeOptions:
    """How checkpoints of one base become one.

    Args:
        how: `mean`: the weighted mean of the weights (Wortsman et al. 2022, model soups); `task-arithmetic`: the base
            and the weighted sum of the checkpoints' differences from it (Ilharco et al. 2023); `ties`: of each
            difference the largest parts, those of the elected sign, averaged (Yadav et al. 2023); `dare`: of each
            difference parts drawn at random, scaled up by as much as there are fewer, summed (Yu et al. 2024). Parts
            are chosen tensor by tensor, as peft does it.
        weights: one for each checkpoint, or one for all; default: of `mean` equal ones that sum to 1 (so are others
            scaled), of `ties` 1, else 0.4.
        density: share of each difference that is kept, above 0 and up to 1; default: of `ties` 0.2, of `dare` 0.1.
        seed: of the parts that `dare` draws.

    Raises:
        StiltsError: an unknown way, or a density or weight that it does not take.
    """

    how: str = "mean"
    weights: tuple[float, ...] = ()
    density: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise StiltsError(
                f"No way to merge {self.how!r}; there are {', '.join(HOW)}. {did_you_mean(self.how, HOW)} Type for "
                "example: --how ties"
            )
        if self.density is not None and self.how not in _DENSITIES:
            raise StiltsError(
                f"--density {self.density:g} says how much of each difference is kept, and {self.how} keeps all. Leave "
                f"it out, or merge by {' or '.join(_DENSITIES)}."
            )
        if self.density is not None and not 0 < self.density <= 1:
            raise StiltsError(f"--density {self.density:g}: expected a share above 0 and up to 1. Type: --density 0.2")
        if self.how == "mean" and self.weights and not (min(self.weights) >= 0 and sum(self.weights) > 0):
            raise StiltsError(
                f"--weights {', '.join(f'{each:g}' for each in self.weights)}: a mean takes shares, none below 0 and "
                "not all 0. To subtract a task: --how task-arithmetic"
            )

    @property
    def kept(self) -> float:
        """Share of each difference that is kept; 1 where the way of merging keeps all."""
        return self.density or _DENSITIES.get(self.how, 1.0)

    def for_each(self, count: int) -> list[float]:
        """The weights of so many checkpoints.

        Raises:
            StiltsError: fewer than two checkpoints, or another number of weights.
        """
        if count < 2:
            raise StiltsError(f"{count} checkpoint was given to merge; two or more are expected. Name another one.")
        weights = list(self.weights) or [_WEIGHTS.get(self.how, 1.0)]
        if len(weights) not in (1, count):
            raise StiltsError(
                f"{len(weights)} weights for {count} checkpoints; one for each is expected, or one for all. Correct "
                "--weights."
            )
        weights = weights * count if len(weights) == 1 else weights
        return [weight / sum(weights) for weight in weights] if self.how == "mean" else weights


def check_checkpoints(names: Sequence[str], options: MergeOptions) -> None:
    """Refuse checkpoints that cannot be merged so, by their names alone.

    Raises:
        StiltsError: fewer than two, one of them twice, or another number of weights.
    """
    options.for_each(len(names))
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise StiltsError(f"{twice[0]} was given twice. Name it once; to count it twice as much: --weights 2,1")
