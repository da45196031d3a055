"""Refuses a checkpoint that is not of the public model that was asked for: another architecture, size or tokenizer."""

from __future__ import annotations

from transformers import AutoConfig, AutoTokenizer

from hf_stilts.task import StiltsError

_SHAPE = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")


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


def _refused(source: str, base: str, reason: str) -> StiltsError:
    return StiltsError(
        f"{source} does not descend from {base}: {reason}. Pass another base=, or leave it out to take the checkpoint "
        "for what it is; to see where it comes from: hf-stilts checkpoints lineage NAME"
    )
