"""Bring a query and what answers it close together: pairs train one encoder for both, other pairs are its negatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from hf_stilts.declarations import ColumnType
from hf_stilts.kinds.base import Kind
from hf_stilts.kinds.dual_encoder import DualEncoder, DualEncoding
from hf_stilts.kinds.features import Batch, map_rows
from hf_stilts.kinds.rows import check_texts
from hf_stilts.metrics.bucc_mining.mining import unit_rows
from hf_stilts.metrics.retrieval_map.ranking import find_hits, recall, reciprocal_rank
from hf_stilts.retrieval.neighbours import nearest_rows

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task

SIDES = ("query", "candidate")


@dataclass(frozen=True)
class SentenceSimilarity(Kind):
    """Pairs for a dual encoder, scored by how well each query finds its candidate among all that are there.

    Args:
        max_length: tokens of a candidate, special ones included (LAReQA 256, Mewsli-X 64).
        query_length: tokens of a query, never more than of a candidate (LAReQA 96).
        depth: how many candidates are ranked for a query when it is scored.
        query_prefix: put before every query; candidate_prefix: before every candidate.
    """

    name: ClassVar[str] = "sentence-similarity"
    columns: ClassVar[Mapping[str, ColumnType]] = {"query": "text", "candidate": "text"}
    in_batch_negatives = True
    smoothed = False
    several_texts = True
    pipeline_tag = "sentence-similarity"
    recipe = "text-pairs"

    max_length: int = DualEncoding.candidate_length
    query_length: int = DualEncoding.query_length
    depth: int = 20
    query_prefix: str = ""
    candidate_prefix: str = ""

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`DualEncoder`, which any encoder fits."""
        return DualEncoder

    def head_config(self, task: Task) -> dict[str, Any]:
        """A fresh scale, whatever the checkpoint was trained as before."""
        return {"dual_encoder": asdict(DualEncoding())}

    def lengths(self, max_length: int) -> tuple[int, int]:
        """Tokens of a query and of a candidate in a window of `max_length`."""
        return min(self.query_length, max_length), max_length

    def set_up(self, model: PreTrainedModel, max_length: int) -> None:
        """The configuration says how long queries and candidates were."""
        query_length, candidate_length = self.lengths(max_length)
        model.configure(query_length=query_length, candidate_length=candidate_length)

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature a row: `input_ids` holds two lists, the query's and the candidate's, both cut at the end.

        Raises:
            StiltsError: a row without query or candidate.
        """
        check_texts(task, rows, *SIDES)
        lengths, prefixes = self.lengths(max_length), (self.query_prefix, self.candidate_prefix)

        def make(batch: Batch, numbers: list[int]) -> Batch:
            sides = []
            for side, length, prefix in zip(SIDES, lengths, prefixes, strict=True):
                texts = [prefix + text for text in batch[side]]
                sides.append(tokenizer(texts, truncation=True, max_length=length)["input_ids"])
            return {"input_ids": [list(pair) for pair in zip(*sides, strict=True)]}

        return map_rows(make, task, rows, tokenizer, list(range(len(rows))), lengths=lengths, prefixes=prefixes)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Each side padded to its own longest; `labels` says that the i-th candidate answers the i-th query."""

        def collate(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            batch = {"labels": torch.arange(len(features))}
            for place, side in enumerate(SIDES):
                ids = [torch.as_tensor(feature["input_ids"][place], dtype=torch.long) for feature in features]
                batch[f"{side}_input_ids"] = pad_sequence(ids, True, tokenizer.pad_token_id)
                batch[f"{side}_attention_mask"] = pad_sequence([torch.ones_like(each) for each in ids], True, 0)
            return batch

        return collate

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Both vectors of every pair, float32 (n, 2, d)."""
        sides = (logits.query, logits.candidate) if hasattr(logits, "query") else logits[-2:]
        return torch.stack(tuple(sides), dim=1)

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[list[int]]:
        """For every query the nearest candidates, best first, among all distinct ones; each by its first row."""
        vectors = np.stack([np.asarray(output, dtype=np.float32) for output in outputs])
        first = np.unique(first_rows(rows["candidate"][:]))
        found = nearest_rows(
            unit_rows(vectors[:, 0], "queries"), unit_rows(vectors[first, 1], "candidates"), self.depth
        )
        ranked: list[list[int]] = first[found.indices].tolist()
        return ranked

    def score(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> dict[str, float]:
        """`mrr@20` (equal to mAP@20, as each query has one candidate), `recall@20`, and `accuracy` of the first."""
        gold = [[int(row)] for row in first_rows(rows["candidate"][:])]
        hits = find_hits(predictions, gold, self.depth)
        return {
            f"mrr@{self.depth}": 100.0 * float(reciprocal_rank(hits).mean()),
            f"recall@{self.depth}": 100.0 * float(recall(hits).mean()),
            "accuracy": 100.0 * float(hits.hit[:, 0].mean()),
        }

    def shares(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> NDArray[np.float64] | None:
        """Reciprocal rank of each query's candidate, and 1; float64 (rows, 2)."""
        gold = [[int(row)] for row in first_rows(rows["candidate"][:])]
        return np.stack((reciprocal_rank(find_hits(predictions, gold, self.depth)), np.ones(len(gold))), axis=1)


def first_rows(texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For every text the first place where it stands.

    >>> first_rows(["a", "b", "a"]).tolist()
    [0, 1, 0]
    """
    places: dict[str, int] = {}
    return np.array([places.setdefault(text, place) for place, text in enumerate(texts)], dtype=np.int64)


KIND = SentenceSimilarity()
