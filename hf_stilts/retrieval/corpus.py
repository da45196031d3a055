"""Exact search in more texts than fit into memory as vectors: encoded and searched shard by shard, kept on disk."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_stilts.metrics.bucc_mining.mining import Nearest, unit_rows
from hf_stilts.retrieval.cache import cached_encode
from hf_stilts.retrieval.encode import encode
from hf_stilts.retrieval.neighbours import nearest_rows, top_k

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHARD = 65536  # texts at a time: 200 MB of vectors for a base-sized encoder


def encode_shards(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    *,
    folder: str | Path | None = None,
    shard: int = SHARD,
    **arguments: Any,
) -> Iterator[NDArray[np.float32]]:
    """Vectors of texts, a shard at a time, float32 (shard, d); the last one has the rest.

    Args:
        model: as for `encode`.
        tokenizer: as for `encode`.
        texts: anything that gives a list of strings for a slice: a list, a column of a data set on disk.
        folder: keep each shard here as it is done, so that a run that was stopped goes on with the next one.
        shard: texts in one shard.
        arguments: the others of `encode`.
    """
    for start in range(0, len(texts), shard):
        part = list(texts[start : start + shard])
        if folder is None:
            yield encode(model, tokenizer, part, **arguments)
        else:
            yield cached_encode(folder, model, tokenizer, part, **arguments)


def search_shards(queries: Any, shards: Iterable[Any], k: int) -> Nearest:
    """The k rows of all shards with the highest cosine to every query; memory holds the queries and one shard.

    Args:
        queries: vectors (n, d).
        shards: vectors (m, d) each; rows count on from shard to shard.
        k: how many; all, if there are fewer.

    Returns:
        `indices` int64 and `scores` float32, both (n, min(k, rows)), best first; of equal scores the lower row first.

    >>> search_shards([[1.0, 0.0]], [[[0.0, 1.0]], [[1.0, 0.5], [1.0, 0.1]]], k=2).indices
    array([[2, 1]])
    """
    x = unit_rows(queries, "queries")
    scores, places, offset = torch.empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.int64), 0
    for number, shard in enumerate(shards):
        found = nearest_rows(x, unit_rows(shard, f"shard {number}"), k)
        # Earlier shards hold lower rows and stand first, so the lower row wins a tie.
        scores, order = top_k(torch.cat((scores, torch.from_numpy(found.scores)), dim=1), k)
        places = torch.cat((places, torch.from_numpy(found.indices) + offset), dim=1).gather(1, order)
        offset += len(shard)
    return Nearest(places.numpy(), scores.numpy())
