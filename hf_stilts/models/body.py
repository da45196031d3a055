"""The body of a checkpoint, and what stands beside it: its tokenizer, its padding, its masked-LM head."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint, quiet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedBody:
    """A body, ready for heads.

    Attributes:
        model: stock `AutoModel`.
        missing: names of its weights that the checkpoint did not hold.
        masked_lm: stock masked LM of the same checkpoint on this very body; None where no head wants its weights.
        masked_lm_missing: names of the masked LM's weights that the checkpoint did not hold.
    """

    model: PreTrainedModel
    missing: set[str]
    masked_lm: PreTrainedModel | None = None
    masked_lm_missing: frozenset[str] = frozenset()


def load_body(source: str | OpenedCheckpoint, revision: str | None = None) -> tuple[PreTrainedModel, set[str]]:
    """Body of any checkpoint, and the names of its parameters that the checkpoint did not hold.

    An adapter is merged into the body that it was trained on.

    Args:
        source: repository id or folder, or the opened checkpoint.
        revision: commit, tag or branch.
    """
    opened = open_checkpoint(source, revision)
    if opened.adapter is None or opened.base is None:
        model, missing = opened.load(AutoModel)
        return model, missing
    model, missing = load_body(opened.base)
    with quiet():
        model = opened.adapter.merged_into(model)
    opened.sign(model)
    return model.eval(), missing


def load_body_with_masked_lm(opened: OpenedCheckpoint, masked_lm_class: Any) -> LoadedBody:
    """Body of a model for masked language modelling together with that model, from one reading of its weights."""
    with torch.device("meta"):
        body_class = type(AutoModel.from_config(copy.deepcopy(opened.config)))
    state = opened.state()
    body, missing = opened.load(body_class, state)
    masked_lm, lacking = opened.load(masked_lm_class, state)
    share(masked_lm, body)
    return LoadedBody(body, missing, masked_lm, frozenset(lacking))


def share(model: PreTrainedModel, body: PreTrainedModel) -> None:
    """Put the modules of `body`, its pooler apart, in the place of those of `model`; what is tied is tied to them."""
    own = model.base_model
    for name, module in body.named_children():
        if name != "pooler" and name in own._modules:
            setattr(own, name, module)
    for name, parameter in body.named_parameters(recurse=False):
        setattr(own, name, parameter)
    model.tie_weights()


def match_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a model pad with what its tokenizer pads with, and say so; changed in place.

    Some published configurations name another token (intfloat/multilingual-e5-small: 0, which is `<s>`): torch then
    freezes that token's embedding, the one under every classification head, and the padding's is trained.
    """
    config, padding = model.config, tokenizer.pad_token_id
    if padding is None or config.pad_token_id == padding:
        return
    if config.pad_token_id is not None:
        logger.warning(
            "The configuration pads with token %s, the tokenizer with %s (%s): the tokenizer's is taken.",
            *(config.pad_token_id, padding, tokenizer.pad_token),
        )
    config.pad_token_id = padding
    words = model.get_input_embeddings()
    if isinstance(words, torch.nn.Embedding) and words.padding_idx is not None:
        words.padding_idx = padding


def load_tokenizer(source: str | OpenedCheckpoint, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Tokenizer that lies beside a checkpoint.

    Raises:
        StiltsError: the checkpoint came without its tokenizer.
    """
    return open_checkpoint(source, revision).tokenizer
