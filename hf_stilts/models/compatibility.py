"""Refuses a checkpoint that is not of the public model that was asked for: another architecture, size or tokenizer."""

from __future__ import annotations

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint

_SHAPE = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")


def check_start(found: Checkpoint | OpenedCheckpoint, base: str | None) -> None:
    """Refuse a checkpoint that does not descend from a public model: by its record, or else by comparing the two.

    Raises:
        StiltsError: it does not, or is an adapter that was trained on another model.
    """
    if base is None:
        return
    opened = open_checkpoint(found)
    if opened.adapter is not None:
        if opened.adapter.base != base:
            raise StiltsError(
                f"{opened.name} is an adapter of {opened.adapter.base}; {base} was asked for, whose weights it does "
                f"not fit. Leave out base= (--base), or give it as {opened.adapter.base}."
            )
        return
    parent = opened.record.parent if opened.record else None
    if parent is None or _name(parent.id) != _name(base):
        check_descent(opened, open_checkpoint(base))


def check_descent(found: OpenedCheckpoint, base: OpenedCheckpoint) -> None:
    """Compare a checkpoint with the model that it should descend from, by configuration and tokenizer.

    Raises:
        StiltsError: architecture, vocabulary size, width or depth differ, or the tokens do.
    """
    for name in _SHAPE:
        here, there = getattr(found.config, name, None), getattr(base.config, name, None)
        if here != there:
            raise _refused(found.name, base.name, f"its {name} is {here}, not {there}")
    here, there = found.tokenizer.get_vocab(), base.tokenizer.get_vocab()
    if here != there:
        different = next(token for token in {**there, **here} if here.get(token) != there.get(token))
        reason = f"its tokenizer has {different!r} as {here.get(different)}, not {there.get(different)}"
        raise _refused(found.name, base.name, reason)


def _name(model: str) -> str:
    """Name of a model without its owner, or of a folder without its path."""
    return model.rstrip("/").rpartition("/")[2]


def _refused(source: str, base: str, reason: str) -> StiltsError:
    return StiltsError(
        f"{source} does not descend from {base}: {reason}. Name another base (--base, base=), or none to take the "
        "checkpoint for what it is; to see where it comes from: hf-stilts checkpoints lineage NAME"
    )
