"""Trains only the word embeddings that the data uses: most of a multilingual model's weights belong to no word of it.

Of XLM-R-base's 278 million weights 192 million are word embeddings, of XLM-R-large's 560 million 257. A row that never
occurs gets a gradient of zero, and AdamW without weight decay leaves it where it is: to train the rows in use alone
gives the same model, to the bit, with less than half of the memory for weights, gradients and optimizer. Whatever is
saved is a full stock checkpoint.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_stilts.errors import StiltsError
from hf_stilts.kinds.features import flat_column

logger = logging.getLogger(__name__)

# Optimizers that leave a weight alone whose gradient has always been zero. Others scale by whole rows or blocks
# (Adafactor, 8-bit), project (GaLore) or normalise by layer (LAMB).
EXACT = ("adamw_torch", "adamw_torch_fused", "sgd", "adagrad")


def compact_for(
    model: PreTrainedModel, args: TrainingArguments, token_sources: Iterable[Any], tokenizer: Any, optimizer: Any = None
) -> torch.Tensor:
    """Let a model train only the word embeddings that its training data uses.

    Args:
        model: changed in place.
        args: of the training.
        token_sources: data sets that hold every token of a training batch in a column `input_ids`.
        tokenizer: whose special tokens are trained, too.
        optimizer: that was passed to the Trainer, which is refused.

    Returns:
        Ids of the rows that are trained, ascending, int64 (n,).

    Raises:
        StiltsError: as `refuse_inexact`, `used_ids` and `compact`.
    """
    refuse_inexact(args, optimizer)
    ids = used_ids(token_sources)
    special = getattr(tokenizer, "all_special_ids", [])
    rows = compact(model, np.append(ids, special).astype(np.int64), args.output_dir).rows
    if args.weight_decay:
        logger.warning(
            "compact_vocabulary: word embeddings are exempt from the weight decay of %g, which would also "
            "shrink those that the data does not use.",
            args.weight_decay,
        )
    return rows


def without_compact_embeddings(names: Iterable[str], model: torch.nn.Module) -> list[str]:
    """Names of weights without those of compact embeddings: decay would also have to reach the rows left out."""
    modules = model.named_modules(remove_duplicate=False)
    exempt = {f"{name}.weight" for name, module in modules if isinstance(module, CompactEmbedding)}
    return [name for name in names if name not in exempt]


class CompactEmbedding(torch.nn.Embedding):
    """An embedding of a whole vocabulary of which only some rows are trained, in memory and on the device.

    It reads the ids of the full vocabulary. Rows that are not trained lie in a file without a name, from which they are
    read when an evaluation meets them; `state_dict` gives, and `load_state_dict` takes, the full table.

    Args:
        table: the full weight, (vocabulary, width).
        rows: ids of the rows to train, ascending, int64 (n,).
        folder: where the file is made; it goes with the process.
        padding_token: id of the full vocabulary that gets no gradient, as in the stock class.
    """

    def __init__(self, table: torch.Tensor, rows: torch.Tensor, folder: str, padding_token: int | None = None) -> None:
        place = torch.full((len(table),), -1)
        place[rows] = torch.arange(len(rows))
        padding = None if padding_token is None or place[padding_token] < 0 else int(place[padding_token])
        super().__init__(len(rows), table.shape[1], padding, _weight=table[rows])
        self.rows = rows
        self.padding_token = padding_token
        self._place = place
        self._table = on_disk(table, folder)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings (..., width) of ids of the full vocabulary.

        Raises:
            StiltsError: in training, on an id whose row is not trained.
        """
        self._place = self._place.to(ids.device)
        places = self._place[ids]
        unknown = places < 0
        if not unknown.any():
            return super().forward(places)
        if self.training:
            raise StiltsError(
                f"Token {int(ids[unknown][0])} occurs in a training batch, but in none of the {len(self.rows):,} rows "
                "of the vocabulary that the training data uses; expected the data that the Trainer was made with. "
                "Train without compact_vocabulary."
            )
        found = super().forward(places.clamp(min=0))
        found[unknown] = self._table[ids[unknown].cpu()].to(found.device, found.dtype)
        return found

    def full(self) -> torch.Tensor:
        """The table of the whole vocabulary as it is now, on the CPU and backed by the file: not to be written to."""
        self._table[self.rows] = self.weight.detach().to("cpu", self._table.dtype)
        return self._table

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.full()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        key = prefix + "weight"
        if key not in state_dict or state_dict[key].shape != self._table.shape:
            super()._load_from_state_dict(state_dict, prefix, *args)
            return
        with torch.no_grad():
            self._table.copy_(state_dict[key])
            self.weight.copy_(self._table[self.rows])


def compact(model: PreTrainedModel, ids: NDArray[np.integer[Any]], folder: str | os.PathLike[str]) -> CompactEmbedding:
    """Put a `CompactEmbedding` of these ids in the place of a model's word embeddings, wherever the model uses them.

    Args:
        model: changed in place; its configuration stays that of the full vocabulary.
        ids: ids that will occur in training, in any order, repeated or not.
        folder: a folder on a disk that holds the table; made if it is not there.

    Raises:
        StiltsError: the embeddings are tied to the output layer or frozen.
    """
    stock = model.get_input_embeddings()
    users, tied = [], []
    for module in model.modules():
        for name, child in module.named_children():
            if not any(weight is stock.weight for weight in child.parameters(recurse=False)):
                continue
            users.append((module, name, child))
            if type(child) not in (torch.nn.Embedding, CompactEmbedding):
                tied.append(f"{type(module).__name__}.{name}")
    if tied:
        raise StiltsError(
            f"The word embeddings of {type(model).__name__} are also the weights of {tied[0]}, which gives every word "
            "of the vocabulary a gradient; expected embeddings that are only looked up. Train without "
            "compact_vocabulary."
        )
    if not stock.weight.requires_grad:
        raise StiltsError("The word embeddings are frozen already: compact_vocabulary saves nothing. Leave it out.")
    table, padding = stock.weight.detach(), stock.padding_idx
    if isinstance(stock, CompactEmbedding):
        table, padding = stock.full(), stock.padding_token
    config = model.config
    special = (config.pad_token_id, getattr(config, "decoder_start_token_id", None))
    rows = np.union1d(ids, [token for token in special if token is not None]).astype(np.int64)
    if rows[-1] >= len(table):
        raise StiltsError(
            f"The data holds token {rows[-1]}; the model's vocabulary ends at {len(table) - 1}. "
            "Use the tokenizer that lies beside the model."
        )
    os.makedirs(folder, exist_ok=True)
    embedding = CompactEmbedding(table, torch.from_numpy(rows), os.fspath(folder), padding)
    embedding.to(stock.weight.device).train(stock.training)
    for module, name, _ in users:
        setattr(module, name, embedding)
    logger.info("Training %s of %s word embeddings.", f"{len(rows):,}", f"{len(table):,}")
    return embedding


def used_ids(features: Iterable[Any]) -> NDArray[np.integer[Any]]:
    """Ids that occur in the column `input_ids` of some data sets, ascending.

    >>> from datasets import Dataset
    >>> used_ids([Dataset.from_dict({"input_ids": [[0, 7, 2], [0, 2]]})]).tolist()
    [0, 2, 7]

    Raises:
        StiltsError: a data set whose tokens are not known before the training.
    """
    found = np.zeros(0, dtype=np.int64)
    for data in features:
        if "input_ids" not in (getattr(data, "column_names", None) or ()) or not hasattr(data, "data"):
            raise StiltsError(
                f"compact_vocabulary needs to read all training tokens beforehand; {type(data).__name__} does not hold "
                "them. Give the Trainer a datasets.Dataset of rows or features, or train without compact_vocabulary."
            )
        for ids in flat_column(data, "input_ids"):
            found = np.union1d(found, ids)
    return found


def refuse_inexact(args: TrainingArguments, optimizer: Any = None) -> None:
    """Stop before a training that would not give the model that the full vocabulary gives.

    Raises:
        StiltsError: an optimizer that moves weights whose gradient is zero, or that holds the full embeddings.
    """
    if optimizer is not None:
        raise StiltsError(
            f"The {type(optimizer).__name__} that was passed holds the full word embeddings, which compact_vocabulary "
            "replaces. Name it in TrainingArguments(optim=...) and pass no optimizers=."
        )
    if args.optim not in EXACT:
        raise StiltsError(
            f"compact_vocabulary with optimizer {getattr(args.optim, 'value', args.optim)} would not give the model "
            f"that the full vocabulary gives; with {', '.join(EXACT)} it does. Pass --optim adamw_torch_fused."
        )


class SameVocabulary(TrainerCallback, ExportableState):
    """Notes in `trainer_state.json` which rows a checkpoint's optimizer state is of, and refuses to go on with others.

    Args:
        rows: ids of the rows that are trained; None for the full vocabulary.
    """

    def __init__(self, rows: torch.Tensor | None = None) -> None:
        self.digest = None if rows is None else hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:16]

    def state(self) -> dict[str, Any]:
        """What `trainer_state.json` keeps."""
        return {"args": {}, "attributes": {"digest": self.digest}}

    def check(self, state: TrainerState) -> None:
        """Compare with the checkpoint that the training goes on from.

        Raises:
            StiltsError: its optimizer state is of other rows.
        """
        kept = state.stateful_callbacks.get(type(self).__name__, {"attributes": {"digest": None}})
        state.stateful_callbacks[type(self).__name__] = self.state()  # a stock checkpoint has no such entry
        digests = (kept["attributes"]["digest"], self.digest)
        if state.global_step and digests[0] != digests[1]:
            was, now = (
                "the full vocabulary" if digest is None else f"compact vocabulary {digest}" for digest in digests
            )
            raise StiltsError(
                f"The checkpoint of step {state.global_step} holds optimizer state of {was}; this run has {now}. "
                "Go on with the same data and the same --compact-vocabulary, or start anew in another --output_dir."
            )


def on_disk(table: torch.Tensor, folder: str) -> torch.Tensor:
    """The same values in a nameless file of `folder`: pages that the machine may take from memory at any time."""
    table = table.detach().cpu().contiguous()
    with tempfile.TemporaryFile(dir=folder) as file:
        size = math.prod(table.shape) * table.element_size()
        stored = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="w+", shape=(size,)))
    stored = stored.view(table.dtype).view(table.shape)
    return stored.copy_(table)
