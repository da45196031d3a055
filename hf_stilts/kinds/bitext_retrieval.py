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
from hf_stilts.kinds.vectors import Prefix, VectorSetting
from hf_stilts.retrieval import encode, match_translations
from hf_stilts.retrieval.precision import Precision

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class BitextRetrieval(RetrievalKind):
    """Nearest neighbour by cosine, without margin or CSLS (XTREME, jiant, Phang et al. 2020)."""

    name: ClassVar[str] = "bitext-retrieval"
    columns: ClassVar[Mapping[str, ColumnType]] = {"source": "text", "target": "text"}
    submission = "rows"
    official_scorer = "accuracy"
    layered = True

    def evaluate(  # noqa: PLR0913 - an option each, passed by name
        self,
        task: Task,
        rows: Dataset,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        layer: int | None = None,
        pooling: Any = None,
        precision: Precision | None = None,
        prefix: Prefix = None,
        max_length: int | None = None,
        every_layer: bool = False,
        **encoding: Any,
    ) -> Retrieved:
        """How often the nearest sentence is the translation, in percent.

        Args:
            task: only its name is read, for messages.
            rows: columns `source` and `target`; in row i they translate each other.
            model: any encoder, with or without a head.
            tokenizer: the model's.
            layer: k means `hidden_states[k]`. None: the last of a sentence-transformers model, else the papers', see
                `hf_stilts.kinds.vectors.default_layer`.
            pooling: as in `hf_stilts.encode`.
            precision: as in `hf_stilts.encode`.
            prefix: put before every sentence, one text for both sides or two, for `source` and `target`. None: the
                default prompt of a sentence-transformers model, else nothing.
            max_length: as in `hf_stilts.encode`.
            every_layer: also score every hidden state, in a further pass over the text, without Dense layers.
            encoding: further arguments of `hf_stilts.encode`.

        Returns:
            `accuracy`, with the `target` sentences (English) as queries, as XTREME scores it; `reverse_accuracy`, with
            the `source` sentences as queries. The prediction for the English sentence of row i is the number of the
            row whose `source` is nearest. With `every_layer` also `by_layer`, the accuracy of each hidden state.
        """
        check_texts(task, rows, "source", "target")
        setting = VectorSetting.of(
            model, layer=layer, pooling=pooling, prefix=prefix, max_length=max_length, precision=precision
        )
        source = encode(model, tokenizer, rows["source"][:], **setting.arguments(0), **encoding)
        target = encode(model, tokenizer, rows["target"][:], **setting.arguments(1), **encoding)
        if not len(source):
            raise StiltsError(
                f"Task {task.name} has no sentence pair here; expected at least one. Check the language and the split: "
                f"hf-stilts tasks {task.typed}"
            )
        gold = np.arange(len(source))
        found, reverse = match_translations(target, source).indices, match_translations(source, target).indices
        by_layer = _accuracy_by_layer(rows, model, tokenizer, setting, encoding) if every_layer else []
        return Retrieved(
            {
                "accuracy": 100.0 * float(np.mean(found == gold)),
                "reverse_accuracy": 100.0 * float(np.mean(reverse == gold)),
            },
            setting.columns(),
            ids=gold.tolist(),
            predictions=found.tolist(),
            shares=np.stack((found == gold, np.ones(len(gold))), axis=1),
            by_layer=by_layer,
        )


def _accuracy_by_layer(
    rows: Dataset,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    setting: VectorSetting,
    encoding: dict[str, Any],
) -> list[float]:
    """Accuracy of every hidden state in percent, with the `target` sentences as queries."""
    sides = []
    for side, name in enumerate(("source", "target")):
        asked = setting.arguments(side) | {"layers": "all"}
        sides.append(encode(model, tokenizer, rows[name][:], **asked, **encoding))
    gold = np.arange(len(rows))
    found = []
    for sources, targets in zip(*sides, strict=True):
        found.append(100.0 * float(np.mean(match_translations(targets, sources).indices == gold)))
    return found


KIND = BitextRetrieval()
