"""Whether a training goes on with the run that its folder holds: which of the settings that decide a result differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState, TrainerState

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record

logger = logging.getLogger(__name__)

Settings = dict[str, Any]
STEPS = ("max_steps", "num_train_epochs")
# Part of a record's recipe, and no setting: results of the training, or summed up in "batch", or of the evaluation.
_RESULTS = ("best_step", "logit_scale")
_BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps", "processes")
_EVALUATION = ("eval_strategy", "eval_steps", "per_device_eval_batch_size")
# Where a record lacks one of these, the run was made without it; of other names an older version may not have known.
_OPTIONAL = ("adapter", "text_to_text", "excluded", "contrastive_weight", "word_embeddings_trained", "data_seed")


class RunSettings(TrainerCallback, ExportableState):
    """Keeps in `trainer_state.json` the settings of a run that decide its result.

    Args:
        settings: name -> value, see `settings_of`.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or {}

    def state(self) -> dict[str, Any]:
        """What `trainer_state.json` keeps."""
        return {"args": {}, "attributes": {"settings": self.settings}}


def settings_of(record: Record) -> Settings:
    """Settings of a run that decide its result, by the names of the flags where they have one.

    Args:
        record: what the run says of itself, filled in by `describe_run`.
    """
    recipe = record.recipe
    settings: Settings = {
        name: value for name, value in recipe.items() if name not in (*_RESULTS, *_BATCH, *_EVALUATION)
    }
    sizes = [recipe.get(name) for name in _BATCH[:2]]
    if "batch_sizes" not in recipe and all(isinstance(size, int) for size in sizes):
        devices = record.hardware.get("devices") or recipe.get("processes") or 1
        settings["batch"] = int(sizes[0] or 1) * int(sizes[1] or 1) * int(devices)
    settings["seed"] = record.seed
    settings["start"] = record.parent.id if record.parent else None
    settings["tasks"] = ", ".join(record.task_names)
    rows = [source.rows for source in record.tasks]
    settings["training rows"] = None if None in rows else sum(count or 0 for count in rows)
    return settings


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that are not the same: name -> value before and now."""
    found = {}
    for name in (*before, *(name for name in now if name not in before)):
        known = name in before and name in now
        if (known or name in _OPTIONAL) and before.get(name) != now.get(name):
            found[name] = before.get(name), now.get(name)
    return found


def said(found: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences in words: `learning_rate 1e-05 there and 3e-05 here`."""
    return "; ".join(f"{name} {before} there and {now} here" for name, (before, now) in found.items())


def check_checkpoint(checkpoint: Path, now: Settings) -> None:
    """Compare a run with the checkpoint that it goes on from: other settings are said, another start is refused.

    Raises:
        StiltsError: the checkpoint is of other tasks, or began at another model; or its state cannot be read.
    """
    try:
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        kept = (state.stateful_callbacks or {}).get(RunSettings.__name__)
        if not kept:  # of a stock Trainer, or an earlier version
            return
        found = differences(dict(kept["attributes"]["settings"]), now)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:  # fetched, others may have written it
        raise StiltsError(
            f"{checkpoint / TRAINER_STATE_NAME} cannot be gone on from ({type(error).__name__}: {str(error)[:200]}). "
            "Nothing was trained. Pass an earlier checkpoint, or train from the start."
        ) from error
    other = {name: values for name, values in found.items() if name in ("start", "tasks")}
    if other:
        raise StiltsError(
            f"{checkpoint} is of another run: {said(other)}. Nothing was trained. Pass another --output_dir."
        )
    if found:
        logger.warning(
            "%s was trained with other settings, and the training goes on with those of this call: %s.",
            *(checkpoint, said(found)),
        )
