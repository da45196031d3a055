"""How an adapter is written in words: `lora`, `lora=32`, `lora=32:query,value`. Read before torch is imported."""

from __future__ import annotations

from hf_stilts.errors import StiltsError, nearest

RANK = 16


def rank_and_modules(adapter: str) -> tuple[int, list[str]]:
    """Rank of LoRA, and the modules that it adapts; none where peft shall choose them.

    >>> rank_and_modules("lora=32:query,value"), rank_and_modules("lora")
    ((32, ['query', 'value']), (16, []))

    Raises:
        StiltsError: another word, or a rank that is no number from 1.
    """
    chosen, colon, listed = adapter.partition(":")
    modules = [name.strip() for name in listed.split(",") if name.strip()]
    if colon and not modules:
        raise StiltsError(f"adapter is {adapter!r}; expected modules after the colon: lora=16:query,value.")
    name, equals, rank = chosen.partition("=")
    if name != "lora" or (equals and not (rank.isdecimal() and int(rank))):
        hint = f" Did you mean lora{equals}{rank}?" if name != "lora" and nearest(name, ["lora"]) else ""
        raise StiltsError(
            f"adapter is {adapter!r}; expected lora, or lora=32 for its rank, or a peft.LoraConfig.{hint}"
        )
    return int(rank or RANK), modules
