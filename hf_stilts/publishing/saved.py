"""Checkpoints of an output folder that are whole: one that was killed while it was written is passed over, by name.

Every reader of checkpoint folders asks here: resuming, publishing, the guards, the comparison of budgets.
"""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path

from hf_stilts.files import cut_weights
from hf_stilts.publishing.pending import STATE_FILE

logger = logging.getLogger(__name__)

# What `torch.save` writes beside the weights, each a zip file, whose table of contents comes last.
_ARCHIVES = ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth")
# Weights by any name: safetensors, pickles, and the folders of FSDP and DeepSpeed.
_WEIGHTS = ("*.safetensors", "pytorch_model*", "global_step*")


def saved_steps(output_dir: str | Path) -> dict[int, Path]:
    """Step -> folder of the whole checkpoints in `output_dir`."""
    return {step: folder for step, folder in _folders(output_dir).items() if flaw(folder) is None}


def newest_saved(output_dir: str | Path) -> Path | None:
    """Newest whole checkpoint in `output_dir`, None where there is none; newer ones that are not whole are named."""
    folders = _folders(output_dir)
    for step in sorted(folders, reverse=True):
        wrong = flaw(folders[step])
        if wrong is None:
            return folders[step]
        logger.warning("%s is not whole (%s), so it is passed over.", folders[step], wrong)
    return None


def flaw(checkpoint: Path) -> str | None:
    """What keeps a checkpoint from being gone on from; None where it is whole.

    The Trainer writes its state file last, so that a checkpoint without it was killed before. What was cut later, by
    hand or by a full disk, shows in the lengths of its files.
    """
    try:
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{STATE_FILE} is missing"
    except (OSError, ValueError, RecursionError) as error:
        return f"{STATE_FILE} cannot be read: {type(error).__name__}: {error}"
    if not isinstance(state, dict) or "global_step" not in state:
        return f"{STATE_FILE} does not say which step it is of"
    if wrong := weights_flaw(checkpoint):
        return wrong
    for pattern in _ARCHIVES:
        for path in checkpoint.glob(pattern):
            if not zipfile.is_zipfile(path):
                return f"{path.name} is cut short"
    return None


def weights_flaw(checkpoint: Path) -> str | None:
    """What keeps the weights of a checkpoint from being loaded; None where they are whole."""
    if not any(any(checkpoint.glob(pattern)) for pattern in _WEIGHTS):
        return "it holds no weights"
    for index in checkpoint.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return f"{index.name} cannot be read: {type(error).__name__}: {error}"
        missing = sorted(shard for shard in shards if not (checkpoint / shard).is_file())
        if missing:
            return f"{missing[0]} is missing"
    return cut_weights(checkpoint)


def _folders(output_dir: str | Path) -> dict[int, Path]:
    """Step -> folder of every checkpoint, whole or not."""
    found = {}
    for folder in Path(output_dir).glob("checkpoint-*"):
        step = folder.name.rpartition("-")[2]
        if step.isdecimal() and folder.is_dir():
            found[int(step)] = folder
    return found
