"""Every training option of hf_stilts, declared once: type, default and help, for Trainers, flags and commands.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from hf_stilts.errors import StiltsError


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class StiltsOptions:
    """How to train, beyond `transformers.TrainingArguments`; the Trainers describe each option.

    Python code may give richer values than a command line can: a `ContrastiveLoss`, a `peft.LoraConfig`, a mapping.

    Raises:
        StiltsError: a number below the least that an option takes.
    """

    recipe: str = _option("jiant", "Hyper-parameter profile: jiant, xtreme-2020, xtreme-r-2021, paper.")
    adapter: str | None = _option(None, "lora, or lora=32 for its rank: train that and the head, and save megabytes.")
    lora_target_modules: str | None = _option(
        None, "Linear layers that LoRA adapts, as query,value; default: peft's for the architecture, or all."
    )
    text_to_text: bool = _option(False, "Let an encoder-decoder (mT5) answer in words, of possible answers only.")
    contrastive: str | None = _option(
        None, "Also hold each row's features to those of its translation into this language."
    )

    languages: str | None = _option(
        None, "Of the training rows: de, or en,sw, or with shares en=0.75,sw=0.25; default: en."
    )
    limit: int | None = _option(None, "Use at most so many rows.")
    exclude: Path | None = _option(None, "List of training rows to leave out, of: data overlap.")
    max_length: int | None = _option(None, "Tokens per window; default: the recipe's, capped by the model.")
    data_dir: Path | None = _option(None, "Local mirror of the data sets; else HF_STILTS_DATA, else the Hub.")

    micro_tokens: int | None = _option(
        None, "Most tokens that go through the model at a time; the result is the same. 0: no cutting."
    )
    compact_vocabulary: bool = _option(
        False, "Train only the word embeddings that the data uses: the same model, less than half the memory."
    )

    batches: Literal["monolingual", "cross-lingual", "hybrid"] | None = _option(
        None, "With several --languages: a batch is in one language, across two, or half of each."
    )
    pooling: Literal["pooler", "mean", "cls"] | None = _option(
        None, "How vectors are pooled; default: as a sentence encoder's folder says, else the pooler, else the mean."
    )
    prefix: str | None = _option(None, "Put before every text, as 'query: '; default: a sentence encoder's prompts.")
    logit_scale: float | None = _option(None, "Where the learned scale starts; default: 100.")
    both_directions: bool = _option(False, "Also ask which query belongs to a candidate.")

    sampler: str = _option("proportional", "proportional, uniform, temperature=2, mnli=2,qqp=1 or 0:mnli=1;9000:...")
    cap: int | None = _option(2**17, "So many examples of a task count.")
    name: str | None = _option(None, "Its name on the Hub, after the model's.")
    text: Path | None = _option(None, "Folder of en.txt, sw.txt, ... for fill_mask.")
    text_examples: int | None = _option(None, "So many windows of text in all; default: as many as there are.")
    alpha: float = _option(0.3, "Exponent of the languages' shares of the text.")

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            StiltsError: the message names the option and the least that it takes.
        """
        for name, least in LEAST.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and value < least:
                raise StiltsError(
                    f"{name}={value} was given; {least} or more is expected. Correct {flag_of(name)} ({name}=)."
                )

    def given(self) -> dict[str, Any]:
        """The options that are not at their defaults, by name."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not OPTIONS[name] and value != OPTIONS[name]}

    @property
    def whole_adapter(self) -> Any:
        """`adapter` with `lora_target_modules` in one word: `"lora=16:query,value"`; or the object that was given.

        Raises:
            StiltsError: modules beside an object, which names its own.
        """
        if self.lora_target_modules is None:
            return self.adapter
        if not isinstance(self.adapter, str | None):
            raise StiltsError(
                f"lora_target_modules= was given beside a {type(self.adapter).__name__}, which has target_modules. "
                "Name the modules there."
            )
        return f"{self.adapter or 'lora'}:{self.lora_target_modules}"


HELP: dict[str, str] = {option.name: option.metadata["help"] for option in fields(StiltsOptions)}
OPTIONS: dict[str, Any] = {option.name: option.default for option in fields(StiltsOptions)}
LEAST: dict[str, float] = {"limit": 1, "max_length": 1, "micro_tokens": 0, "cap": 1, "text_examples": 1, "alpha": 0}
# Under which heading a command's help shows them.
PANELS: dict[str, tuple[str, ...]] = {
    "Training": ("recipe", "adapter", "lora_target_modules", "text_to_text", "contrastive"),
    "Data": ("languages", "limit", "exclude", "max_length", "data_dir"),
    "Memory": ("micro_tokens", "compact_vocabulary"),
    "Dual encoder": ("batches", "pooling", "prefix", "logit_scale", "both_directions"),
    "Mixture": ("sampler", "cap", "name", "text", "text_examples", "alpha"),
}
MIXTURE_OPTIONS = PANELS["Mixture"]
PAIR_OPTIONS = PANELS["Dual encoder"]


def flag_of(name: str) -> str:
    """An option as a command line spells it.

    >>> flag_of("micro_tokens")
    '--micro-tokens'
    """
    return f"--{name.replace('_', '-')}"


def taken(args: Any, keywords: dict[str, Any]) -> StiltsOptions:
    """Options of a Trainer: those of its arguments where these have any, and over them its keywords.

    Args:
        args: `StiltsArguments`, or whatever else has no option of ours.
        keywords: of the Trainer; ours are taken out of them.
    """
    values = {name: getattr(args, name) for name in OPTIONS} if isinstance(args, StiltsOptions) else {}
    values |= {name: keywords.pop(name) for name in OPTIONS if name in keywords}
    return StiltsOptions(**values)
