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

    recipe: str = option("jiant", "Profile of hyper-parameters: jiant, xtreme-2020, xtreme-r-2021, paper.")
    adapter: str | None = option(None, "Train an adapter and the head only: lora, or lora=32 with its rank.")
    lora_target_modules: str | None = option(
        None, "Linear layers that LoRA adapts: query,value; default: peft's choice for the architecture, or all."
    )
    text_to_text: bool = option(
        False, "Train an encoder-decoder (mT5) to generate the answer; only possible answers are generated."
    )
    contrastive: str | None = option(
        None, "Add a contrastive loss between each row and its translation into this language."
    )

    languages: str | None = option(
        None, "Languages of the training rows: de, or en,sw, or with shares en=0.75,sw=0.25; default: en."
    )
    limit: int | None = option(None, "Maximum number of rows.")
    exclude: Path | None = option(None, "List of training rows to leave out, as data overlap writes it.")
    max_length: int | None = option(
        None, "Maximum number of tokens of an input; default: the recipe's, at most the model's."
    )
    data_dir: Path | None = option(None, DATA_DIR_HELP)

    micro_tokens: int | None = option(
        None, "Maximum number of tokens in a micro-batch; the result is the same. 0: whole batches."
    )
    compact_vocabulary: bool | None = option(
        False, "Train only the word embeddings that occur in the data: the same model, less than half the memory."
    )

    batches: Literal["monolingual", "cross-lingual", "hybrid"] | None = option(
        None, "With several --languages: batches in one language, across two, or half of each."
    )
    pooling: Literal["pooler", "mean", "cls"] | None = option(
        None, "Pooling of vectors; default: the sentence encoder's own, else the pooler, else the mean."
    )
    prefix: str | None = option(
        None, "Text before every input, as 'query: '; default: the prompts of a sentence encoder."
    )
    logit_scale: float | None = option(None, "Initial value of the learned scale; default: 100.")
    both_directions: bool = option(False, "Add the loss of candidates against queries.")

    sampler: str = option(
        "proportional", "Sampling of tasks: proportional, uniform, temperature=2, mnli=2,qqp=1 or 0:mnli=1;9000:..."
    )
    cap: int | None = option(2**17, "Maximum number of examples of a task that the sampler counts.")
    name: str | None = option(None, "Name of the mixture in the name of the repository.")
    text: Path | None = option(None, "Folder of en.txt, sw.txt, ... for the task fill_mask.")
    text_examples: int | None = option(None, "Maximum number of text windows, over all languages; default: all.")
    alpha: float = option(0.3, "Exponent of the shares of languages in the text.")

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
