"""In which number format an encoder computes: what is asked for, and what that means for this model on this machine."""

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from hf_stilts.devices import bf16_is_faster, warn_of_slow_bf16, warn_of_slow_int8
from hf_stilts.errors import StiltsError
from hf_stilts.retrieval.hidden_states import encoder_of, inference, probe_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "int8"]
Settled: TypeAlias = Literal["fp32", "bf16", "int8"]

CLOSE = 0.9999  # cosine to the float32 vector, below which "auto" does not go
_LOADED = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def settle(model: "PreTrainedModel", precision: Precision | None) -> Settled | None:
    """What `encode` computes in for this model on this machine; None: as the model was loaded.

    Args:
        model: on its device.
        precision: as of `encode`. "auto" becomes bfloat16 if the weights are float32, this machine computes bfloat16
            faster, and the model's vectors keep a cosine of 0.9999 in it; else None.

    Raises:
        ValueError: "fp32" or "int8" for weights of another type.
        StiltsError: "int8" for a model on an accelerator, or whose word embeddings are no plain table.
    """
    if precision in ("fp32", "int8") and model.dtype != torch.float32:
        raise ValueError(
            f"The model's weights are {model.dtype}, which {precision} cannot bring back. "
            "Expected float32 weights; load it with from_pretrained(..., dtype=torch.float32)."
        )
    if precision == "int8":
        check_int8(model)
    if precision != "auto":
        return precision
    exact = model.dtype == torch.float32
    return "bf16" if exact and bf16_is_faster(model.device) and bf16_is_close(model) else None


def name_of(model: "PreTrainedModel", settled: Settled | None) -> str:
    """Name of the precision that is really used, for results: "fp32", "bf16", "fp16" or "int8"."""
    loaded = getattr(model, "dtype", torch.float32)  # a plain module has none
    return settled or _LOADED.get(loaded, str(loaded))


def warn_of_slow(settled: Settled | None, device_type: str) -> None:
    """Say with the measured factor that what was asked for is slower here than float32."""
    if settled == "bf16":
        warn_of_slow_bf16(device_type, 'Leave precision="bf16" out.')
    elif settled == "int8":
        warn_of_slow_int8('Leave precision="int8" out.')


def check_int8(model: "PreTrainedModel") -> None:
    """Refuse a model that `int8_layers` is not for.

    Raises:
        StiltsError: it is on an accelerator, or its word embeddings are no plain table.
    """
    if model.device.type != "cpu":
        raise StiltsError(f'precision="int8" is for processors, and the model is on {model.device}. Type "bf16".')
    if not has_plain_words(model):
        name = type(model.get_input_embeddings()).__name__
        raise StiltsError(
            f'precision="int8" expects a plain table of word embeddings; the model has {name}. Save the model, load '
            'it again and encode with that, or type precision="bf16".'
        )


def has_plain_words(model: "PreTrainedModel") -> bool:
    """Whether the word embeddings are a table which takes every row number. A compact vocabulary is none."""
    return type(model.get_input_embeddings()) is torch.nn.Embedding


def bf16_is_close(model: "PreTrainedModel") -> bool:
    """Whether last hidden states, averaged over 16 tokens, keep their direction in bfloat16; seen on 16 such inputs."""
    encoder = encoder_of(model)
    if not has_plain_words(encoder):
        return False
    exact, fast = (_means(encoder, precision) for precision in ("fp32", "bf16"))
    return float(torch.cosine_similarity(exact, fast).min()) >= CLOSE


def _means(encoder: "PreTrainedModel", precision: Literal["fp32", "bf16"]) -> Tensor:
    """float32 (16, d)."""
    tokens = probe_tokens(encoder)
    with inference(encoder, tokens.device, bf16=precision == "bf16"):
        states = encoder(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
    return states.mean(dim=1, dtype=torch.float32)
