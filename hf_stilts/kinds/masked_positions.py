"""Trains a masked language model on the logits of its masked tokens alone: the loss is the same, the work is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_stilts.kinds.features import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def score_masked_positions_only(model: PreTrainedModel) -> bool:
    """Let a stock `...ForMaskedLM` run its head on labelled tokens only, as long as it is in training mode.

    The head's product with the vocabulary is most of the work and nearly all of the memory of MLM training, and 85 % of
    it is thrown away by the loss: 2,048 tokens of XLM-R are 2 GB of logits. The loss is a mean over labelled tokens, so
    neither it nor a gradient changes. In training mode the output's `logits` are (labelled tokens, vocabulary).

    Args:
        model: changed in place, by forward hooks; its class, weights and configuration stay stock.

    Returns:
        Whether it was done: an architecture whose head is not one module behind the body is left as it is.
    """
    body = model.base_model
    heads = [
        module for module in model.children() if module is not body and next(module.parameters(), None) is not None
    ]
    if len(heads) != 1 or model.config.is_encoder_decoder:
        return False
    chosen: list[torch.Tensor] = []

    def before_model(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        chosen.clear()
        labels = kwargs.get("labels")
        if labels is None or not module.training:
            return None
        chosen.append(labels != IGNORED)
        return args, kwargs | {"labels": labels[chosen[0]]}

    def before_head(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        return (args[0][chosen[0]], *args[1:]) if chosen else None

    model.register_forward_pre_hook(before_model, with_kwargs=True)
    heads[0].register_forward_pre_hook(before_head)
    return True
