"""The arguments of a training, stock ones and those of hf_stilts, in one object, from a recipe and a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import HfArgumentParser, TrainingArguments

from hf_stilts.devices import default_device
from hf_stilts.training.flags import FlagParser, refuse_unknown, words
from hf_stilts.training.options import OPTIONS, StiltsOptions
from hf_stilts.training.recipes import Recipe


@dataclass(repr=False)
class StiltsArguments(StiltsOptions, TrainingArguments):
    """Stock `TrainingArguments` with the training options of hf_stilts (`StiltsOptions`).

    A Trainer of hf_stilts takes it, a plain `TrainingArguments`, and the same options as keywords, which win:
    `TargetTrainer(args=StiltsArguments("runs/x", limit=500), task="xnli")`. `HfArgumentParser(StiltsArguments)` makes
    flags of it.

    Args:
        rest: fields of `transformers.TrainingArguments`, and of `hf_stilts.training.options.StiltsOptions`.
    """

    def __post_init__(self) -> None:
        if (self.bf16 or self.bf16_full_eval) and default_device().type == "cpu":
            self.use_cpu = True  # the only device there is; stock wants to be told
        TrainingArguments.__post_init__(self)
        self.check()

    def to_dict(self) -> dict[str, Any]:
        """As the stock method, for loggers: what JSON cannot hold (paths, a `LoraConfig`) as text."""
        found: dict[str, Any] = super().to_dict()
        for name in OPTIONS:
            if not isinstance(found[name], str | int | float | None):
                found[name] = str(found[name])
        return found


class _Flags(FlagParser, HfArgumentParser):
    """Flags as `HfArgumentParser` makes them, with errors of one line."""

    def __init__(self, options: type[StiltsOptions]) -> None:
        HfArgumentParser.__init__(self, options, allow_abbrev=False)


def typed_options(flags: Sequence[str], given: Mapping[str, Any] | None = None) -> StiltsOptions:
    """Options of ours among the flags of a command line, and over them those that were given as keywords.

    Raises:
        StiltsError: a value that an option cannot take.
    """
    parser = _Flags(StiltsOptions)
    parsed, _ = parser.parse_args_into_dataclasses(
        words(flags), return_remaining_strings=True, look_for_args_file=False
    )
    options = {name: getattr(parsed, name) for name in OPTIONS}
    return StiltsOptions(**{**options, **(given or {})})


def arguments(figures: Recipe, flags: Sequence[str], given: Mapping[str, Any] | None = None) -> StiltsArguments:
    """Arguments of a training: the recipe's, overridden by flags, and our options by what was given as keywords.

    >>> from hf_stilts.task import load_task
    >>> from hf_stilts.training.recipes import recipe
    >>> arguments(recipe("jiant", load_task("mnli")), ["--output_dir", "runs/x", "--max-steps", "5"]).max_steps
    5

    Args:
        figures: the recipe.
        flags: of `StiltsArguments`, with `_` or `-`.
        given: options of `StiltsOptions` by name.

    Raises:
        StiltsError: a flag that `StiltsArguments` does not have (the nearest is named), or a value it cannot take.
    """
    defaults = [word for key, value in figures.arguments().items() for word in (f"--{key}", str(value))]
    parser = _Flags(StiltsArguments)
    parsed, unknown = parser.parse_args_into_dataclasses([*defaults, *words(flags)], return_remaining_strings=True)
    refuse_unknown(unknown, [field.name for field in StiltsArguments.__dataclass_fields__.values() if field.init])
    for name, value in (given or {}).items():
        setattr(parsed, name, value)
    parsed.check()
    return parsed
