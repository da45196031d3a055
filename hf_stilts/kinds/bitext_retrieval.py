"""Find each sentence's translation among all sentences of the other language, with an encoder as it is (Tatoeba)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import RetrievalKind, Retrieved
from hf_stilts.kinds.rows import check_texts
from hf_stilts.retrieval import encode, match_translations

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task

# Layers that published scores use, by depth: mBERT, XLM, XLM-R-base (12) and XLM-R-large (24) in XTREME and jiant.
PUBLISHED_LAYERS = {12: 8, 24: 14}


@dataclass(frozen=True)
class BitextRetrieval(RetrievalKind):
    """Nearest neighbour by cosine, without margin or CSLS (XTREME, jiant, Phang et al. 2020)."""

    name: ClassVar[str] = "bitext-retrieval"
    columns: ClassVar[Mapping[str, ColumnType]] = {"source": "text", "target": "text"}
    submission = "rows"
    official_scorer = "accuracy"

    def evaluate(
        self,
        task: Task,
        rows: Dataset,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        layer: int | None = None,
        pooling: Any = "mean",
        precision: Any = "auto",
        **encoding: Any,
    ) -> Retrieved:
        """How often the nearest sentence is the translation, in percent.

        Args:
            task: only its name is read, for messages.
            rows: columns `source` and `target`; in row i they translate each other.
            model: any encoder, with or without a head.
            tokenizer: the model's.
            layer: k means `hidden_states[k]`. None takes the published one, see `default_layer`.
            pooling: as in `hf_stilts.encode`.
            precision: as in `hf_stilts.encode`.
            encoding: further arguments of `hf_stilts.encode`.

        Returns:
            `accuracy`, with the `target` sentences (English) as queries, as XTREME scores it; `reverse_accuracy`, with
            the `source` sentences as queries. The prediction for the English sentence of row i is the number of the
            row whose `source` is nearest.
        """
        check_texts(task, rows, "source", "target")
        layer = default_layer(model) if layer is None else layer
        settings = {"layers": layer, "pooling": pooling, "precision": precision, **encoding}
        source, target = (encode(model, tokenizer, rows[side][:], **settings) for side in ("source", "target"))
        if not len(source):
            raise StiltsError(
                f"Task {task.name} has no sentence pair here; expected at least one. Check the language and the split: "
                f"hf-stilts tasks {task.name}"
            )
        gold = np.arange(len(source))
        found, reverse = (match_translations(*way).indices for way in ((target, source), (source, target)))
        return Retrieved(
            {
                name: 100.0 * float(np.mean(way == gold))
                for name, way in (("accuracy", found), ("reverse_accuracy", reverse))
            },
            {"layer": layer, "pooling": pooling},
            ids=gold.tolist(),
            predictions=found.tolist(),
            shares=np.stack((found == gold, np.ones(len(gold))), axis=1),
        )


def default_layer(model: PreTrainedModel) -> int:
    """Hidden state to take sentence vectors from: the published one for 12 and 24 layers, else two thirds of the depth.

    0 is the embedding output, so the result is also the number of layers that run.
    """
    depth = int(model.config.num_hidden_layers)
    return PUBLISHED_LAYERS.get(depth, round(depth * 2 / 3))


KIND = BitextRetrieval()
