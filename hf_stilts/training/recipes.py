"""Hyper-parameter profiles of the papers and their scripts, each figure with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import kind_for
from hf_stilts.task import Task


@dataclass(frozen=True)
class Recipe:
    """How to train on one task.

    Attributes:
        learning_rate: peak of the schedule.
        batch_size: examples per optimizer step over all devices and accumulation steps.
        epochs: passes over the training rows.
        max_length: tokens per window, special tokens included.
        warmup: share of the steps below 1, number of steps from 1 on. (The Trainer rounds a share up, jiant down.)
        weight_decay: of AdamW; none on biases and layer norms.
        eval_steps: steps between evaluations on the English dev rows.
        eval_limit: the first rows of dev that are used for selection.
        patience: evaluations without improvement before it stops; 0: never.
        selects: whether the checkpoint that is best on English dev is kept; else the last one.
        schedule: of the learning rate; "linear" ends at 0.
        optimizer: as `TrainingArguments` calls it.
        source: where the figures come from.
    """

    learning_rate: float
    batch_size: int
    epochs: int
    max_length: int
    warmup: float
    weight_decay: float
    source: str
    eval_steps: int = 1000
    eval_limit: int | None = None
    patience: int = 0
    selects: bool = True
    schedule: str = "linear"
    optimizer: str = "adamw_torch_fused"

    def arguments(self, *, device_batch_size: int | None = None) -> dict[str, Any]:
        """Keyword arguments for `transformers.TrainingArguments` on one device.

        >>> recipe("jiant", Task(kind="question-answering", dataset="x/y", metric="f1")).arguments(device_batch_size=4)[
        ...     "gradient_accumulation_steps"]
        4
        """
        per_device = min(device_batch_size or self.batch_size, self.batch_size)
        return {
            "learning_rate": self.learning_rate,
            "per_device_train_batch_size": per_device,
            "gradient_accumulation_steps": max(1, self.batch_size // per_device),
            "num_train_epochs": self.epochs,
            "warmup_steps": self.warmup,
            "weight_decay": self.weight_decay,
            "max_grad_norm": 1.0,
            "adam_epsilon": 1e-8,
            "lr_scheduler_type": self.schedule,
            "optim": self.optimizer,
        }


# jiant's guide of the authors (guides/benchmarks/xtreme.md and its run scripts): learning rate, warm-up, 500 dev rows
# every 1000 steps, patience 30, batch x accumulation; weight decay is the toolkit's default.
_JIANT = Recipe(1e-5, 32, 3, 256, 0.1, 0.01, "jiant, XTREME guide", eval_limit=500, patience=30)
# google-research/xtreme, scripts/train_*.sh as of 2020: linear decay without warm-up, the best checkpoint by English
# dev; of questions the last one.
_XTREME = Recipe(2e-5, 32, 5, 128, 0, 0.0, "google-research/xtreme, scripts of 2020", eval_steps=500)
_XTREME_QA = replace(
    _XTREME, learning_rate=3e-5, batch_size=16, epochs=2, max_length=384, warmup=500, weight_decay=1e-4, selects=False
)
_XTREME_R = replace(_XTREME, source="google-research/xtreme, scripts since August 2021")
# XCOPA's two stages are XTREME-R's alone; no other recipe has them.
_CHOICES = {f"target:{task}": _XTREME_R for task in ("siqa", "copa")}

# The two dual encoders of google-research/xtreme since August 2021, for Mewsli-X with mBERT's learning rate. LAReQA
# runs 4 x 4 there and Mewsli-X 64 x 4; pairs of other accumulation steps are no negatives, so a larger batch has more.
_LAREQA = replace(
    _XTREME, batch_size=16, epochs=3, max_length=256, eval_steps=1000, source="google-research/xtreme since August 2021"
)
_PAIRS = {
    "text-pairs": _LAREQA,
    "mewslix_pairs": replace(_LAREQA, batch_size=256, epochs=2, max_length=64),
}
# Phang et al. 2020, appendix: intermediate batch and epochs per task, target learning rate 3e-6. Taken from memory of
# the paper, not from its text: a default to start from, not a reference value.
_PAPER = replace(_JIANT, batch_size=24, source="Phang et al. 2020 (unverified)")
_PAPER_TARGET = replace(_JIANT, learning_rate=3e-6, source="Phang et al. 2020 (unverified)")

# A row is for a task by its name, or for the kinds that name it as their `recipe`; "" is for all others.
PROFILES: Mapping[str, Mapping[str, Recipe]] = {
    "jiant": {
        "": _JIANT,
        "answer-spans": replace(_JIANT, batch_size=16, epochs=2, max_length=384),
        "word-tagging": replace(_JIANT, epochs=10),
        "xnli": replace(_JIANT, epochs=2),
        "pawsx": replace(_JIANT, epochs=5),
        **_CHOICES,
        **_PAIRS,  # jiant has no dual encoder
    },
    "xtreme-2020": {
        "": _XTREME,
        "panx": replace(_XTREME, epochs=10, eval_steps=1000),
        "word-tagging": replace(_XTREME, epochs=10),
        "xnli": replace(_XTREME, eval_steps=100),
        "pawsx": replace(_XTREME, eval_steps=200),
        "answer-spans": _XTREME_QA,
    },
    "xtreme-r-2021": {
        **_PAIRS,
        "": _XTREME_R,
        "panx": replace(_XTREME_R, epochs=10, eval_steps=1000),
        "word-tagging": replace(_XTREME_R, epochs=10),
        "xnli": replace(_XTREME_R, learning_rate=3e-5, eval_steps=100, source=f"{_XTREME_R.source}, XLM-R large"),
        "pawsx": replace(_XTREME_R, eval_steps=200),
        "answer-spans": replace(_XTREME_QA, batch_size=32, epochs=3, source=_XTREME_R.source),
    },
    "paper": {
        "": _PAPER,
        "anli_plus": replace(_PAPER, epochs=2),
        "mnli": replace(_PAPER, epochs=2),
        "ccg": replace(_PAPER, epochs=15),
        "commonsenseqa": replace(_PAPER, batch_size=4, epochs=10),
        "cosmosqa": replace(_PAPER, batch_size=4, epochs=15),
        "hellaswag": replace(_PAPER, epochs=7),
        "answer-spans": replace(_PAPER, batch_size=8, max_length=384),
        "masked-text": replace(_PAPER, learning_rate=5e-6, batch_size=8),
        "target": _PAPER_TARGET,
        "target:xnli": replace(_PAPER_TARGET, batch_size=4, epochs=2),
        "target:pawsx": replace(_PAPER_TARGET, epochs=5),
        "target:answer-spans": replace(_PAPER_TARGET, batch_size=16, epochs=2, max_length=384),
        "target:word-tagging": replace(_PAPER_TARGET, epochs=10),
        **_CHOICES,
    },
}


def recipe(profile: str, task: Task, phase: str = "intermediate") -> Recipe:
    """Hyper-parameters of `profile` for a task: by task name, else by the kind's `recipe`, else its own default.

    A task that is answered with text has mT5's learning rate (Xue et al. 2021): 0.001, constant.

    Args:
        profile: a key of `PROFILES`.
        task: its name and kind choose the row.
        phase: `"intermediate"` or `"target"`; rows that are for the target phase alone are prefixed `target`.

    Raises:
        StiltsError: no such profile.
    """
    if profile not in PROFILES:
        raise StiltsError(f"No recipe {profile!r}; there are {', '.join(PROFILES)}. Pass one of them as --recipe.")
    rows = PROFILES[profile]
    of_kind = task.declaration.recipe
    keys = [task.name or of_kind, of_kind, ""]
    if phase == "target":
        keys = [f"target:{task.name}", f"target:{of_kind}", keys[0], "target", *keys[1:]]
    found = next(rows[key] for key in keys if key in rows)
    if not task.text_to_text:
        return found
    # Adafactor as the guide to T5 in transformers sets it up.
    with_text = replace(
        found, learning_rate=1e-3, warmup=0, weight_decay=0.0, schedule="constant", optimizer="adafactor"
    )
    whole = task.declaration.text_answers == "span"  # its context is not cut into windows
    longest = kind_for(task).max_length if whole else found.max_length
    return replace(with_text, max_length=longest, source=f"{found.source}; learning rate and window: Xue et al. 2021")
