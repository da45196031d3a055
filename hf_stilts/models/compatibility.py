"""Refuses a checkpoint that is not of the public model that was asked for: another architecture, size or tokenizer."""

from __future__ import annotations

from transformers import AutoConfig, AutoTokenizer

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint
from hf_stilts.models.adapters import find_adapter

_SHAPE = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")


def check_start(found: Checkpoint, base: str | None) -> None:
    """Refuse a checkpoint that does not descend from a public model: by its record, or else by comparing the two.

    Raises:
        StiltsError: it does not, or is an adapter that was trained on another model.
    """
    if base is None:
        return
    adapter = find_adapter(found.repo_id, found.commit)
    if adapter is not None and adapter.base != base:
        raise StiltsError(
            f"{found.repo_id} is an adapter of {adapter.base}; {base} was asked for, whose weights it does not fit. "
            f"Leave out model=, or pass model={adapter.base!r}."
        )
    parent = found.record.parent if found.record else None
    if adapter is None and (parent is None or _name(parent.id) != _name(base)):
        check_descent(found.repo_id, found.commit, base)


def check_descent(source: str, revision: str | None, base: str) -> None:
    """Compare a checkpoint with the model that it should descend from, by configuration and tokenizer.

    Args:
        source: repository id or folder of the checkpoint.
        revision: its commit.
        base: public model, or folder, that was asked for.

    Raises:
        StiltsError: architecture, vocabulary size, width or depth differ, or the tokens do.
    """
    found, asked = AutoConfig.from_pretrained(source, revision=revision), AutoConfig.from_pretrained(base)
    for name in _SHAPE:
        here, there = getattr(found, name, None), getattr(asked, name, None)
        if here != there:
            raise _refused(source, base, f"its {name} is {here}, not {there}")
    here = AutoTokenizer.from_pretrained(source, revision=revision).get_vocab()
    there = AutoTokenizer.from_pretrained(base).get_vocab()
    if here != there:
        different = next(token for token in {**there, **here} if here.get(token) != there.get(token))
        raise _refused(
            source, base, f"its tokenizer has {different!r} as {here.get(different)}, not {there.get(different)}"
        )


def _name(model: str) -> str:
    """Name of a model without its owner, or of a folder without its path."""
    return model.rstrip("/").rpartition("/")[2]


def _refused(source: str, base: str, reason: str) -> StiltsError:
    return StiltsError(
        f"{source} does not descend from {base}: {reason}. Name another base (--model, base=), or none to take the "
        "checkpoint for what it is; to see where it comes from: hf-stilts checkpoints lineage NAME"
    )
