"""Every training option of hf_stilts, declared once: type, default and help, for Trainers, flags and commands.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from hf_stilts.errors import StiltsError
from hf_stilts.options import DATA_DIR_HELP, Options, option


@dataclass
class StiltsOptions(Options):
    """How to train, beyond `transformers.TrainingArguments`; the Trainers describe each option.

    Python code may give richer values than a command line can: a `ContrastiveLoss`, a `peft.LoraConfig`, a mapping.

    Raises:
        StiltsError: a number below the least that an option takes.
    """

    LEAST = {"limit": 1, "max_length": 1, "micro_tokens": 0, "cap": 1, "text_examples": 1, "alpha": 0}
    PANELS = {
        "Training": ("recipe", "adapter", "lora_target_modules", "text_to_text", "contrastive"),
        "Data": ("languages", "limit", "exclude", "max_length", "data_dir"),
        "Memory": ("micro_tokens", "compact_vocabulary"),
        "Dual encoder": ("batches", "pooling", "prefix", "logit_scale", "both_directions"),
        "Mixture": ("sampler", "cap", "name", "text", "text_examples", "alpha"),
    }

    recipe: str = option("jiant", "Hyper-parameter profile: jiant, xtreme-2020, xtreme-r-2021, paper.")
    adapter: str | None = option(None, "lora, or lora=32 for its rank: train that and the head, and save megabytes.")
    lora_target_modules: str | None = option(
        None, "Linear layers that LoRA adapts, as query,value; default: peft's for the architecture, or all."
    )
    text_to_text: bool = option(False, "Let an encoder-decoder (mT5) answer in words, of possible answers only.")
    contrastive: str | None = option(
        None, "Also hold each row's features to those of its translation into this language."
    )

    languages: str | None = option(
        None, "Of the training rows: de, or en,sw, or with shares en=0.75,sw=0.25; default: en."
    )
    limit: int | None = option(None, "Use at most so many rows.")
    exclude: Path | None = option(None, "List of training rows to leave out, of: data overlap.")
    max_length: int | None = option(None, "Tokens per window; default: the recipe's, capped by the model.")
    data_dir: Path | None = option(None, DATA_DIR_HELP)

    micro_tokens: int | None = option(
        None, "Most tokens that go through the model at a time; the result is the same. 0: no cutting."
    )
    compact_vocabulary: bool = option(
        False, "Train only the word embeddings that the data uses: the same model, less than half the memory."
    )

    batches: Literal["monolingual", "cross-lingual", "hybrid"] | None = option(
        None, "With several --languages: a batch is in one language, across two, or half of each."
    )
    pooling: Literal["pooler", "mean", "cls"] | None = option(
        None, "How vectors are pooled; default: as a sentence encoder's folder says, else the pooler, else the mean."
    )
    prefix: str | None = option(None, "Put before every text, as 'query: '; default: a sentence encoder's prompts.")
    logit_scale: float | None = option(None, "Where the learned scale starts; default: 100.")
    both_directions: bool = option(False, "Also ask which query belongs to a candidate.")

    sampler: str = option("proportional", "proportional, uniform, temperature=2, mnli=2,qqp=1 or 0:mnli=1;9000:...")
    cap: int | None = option(2**17, "So many examples of a task count.")
    name: str | None = option(None, "Its name on the Hub, after the model's.")
    text: Path | None = option(None, "Folder of en.txt, sw.txt, ... for fill_mask.")
    text_examples: int | None = option(None, "So many windows of text in all; default: as many as there are.")
    alpha: float = option(0.3, "Exponent of the languages' shares of the text.")

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
LEAST = StiltsOptions.LEAST
PANELS = StiltsOptions.PANELS
MIXTURE_OPTIONS = PANELS["Mixture"]
PAIR_OPTIONS = PANELS["Dual encoder"]


def taken(args: Any, keywords: dict[str, Any]) -> StiltsOptions:
    """Options of a Trainer: those of its arguments where these have any, and over them its keywords.

    Args:
        args: `StiltsArguments`, or whatever else has no option of ours.
        keywords: of the Trainer; ours are taken out of them.
    """
    values = {name: getattr(args, name) for name in OPTIONS} if isinstance(args, StiltsOptions) else {}
    values |= {name: keywords.pop(name) for name in OPTIONS if name in keywords}
    return StiltsOptions(**values)
