"""Find the translations hidden in two piles of sentences, with an encoder as it is (BUCC 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from datasets import Dataset

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import RetrievalKind, Retrieved
from hf_stilts.kinds.rows import check_lists_of_texts
from hf_stilts.kinds.vectors import Prefix, VectorSetting
from hf_stilts.metrics.bucc_mining.mining import cut_at, is_gold
from hf_stilts.retrieval import BitextPairs, encode, fit_threshold, mine_bitext
from hf_stilts.retrieval.precision import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class BitextMining(RetrievalKind):
    """Ratio margin over the k nearest neighbours, one-to-one, cut at a threshold (XTREME, jiant, Phang et al. 2020).

    Args:
        k: neighbours of either side.
        margin: "ratio", "distance" or "absolute".
        tuned_on: canonical split whose gold sets the threshold for the others.
    """

    name: ClassVar[str] = "bitext-mining"
    columns: ClassVar[Mapping[str, ColumnType]] = {
        "source_ids": "id",
        "source": "text",
        "target_ids": "id",
        "target": "text",
        "gold": "ids",
    }
    corpus = True
    submission = "pairs"
    official_scorer = "pairs"

    tuned_on: str | None = "validation"
    k: int = 4
    margin: Any = "ratio"

    def first(self, rows: Dataset, limit: int) -> Dataset:
        """The one row with at most so many sentences a side: those of the first gold pairs for half, then as they come.

        For a quick look: among fewer sentences translations are easier to find.
        """
        row = rows[0]
        pairs = row["gold"][: max(1, limit // 2)]
        kept: dict[str, Any] = {}
        there: list[set[Any]] = []
        for side, of_side in (("source", 0), ("target", 1)):
            ids = row[f"{side}_ids"]
            # Sentences of gold pairs before the others, so that there is something to find.
            in_order = dict.fromkeys([pair[of_side] for pair in pairs] + list(ids))
            chosen = set(list(in_order)[:limit])
            places = [place for place, each in enumerate(ids) if each in chosen]
            kept[f"{side}_ids"] = [ids[place] for place in places]
            kept[side] = [row[side][place] for place in places]
            there.append(set(kept[f"{side}_ids"]))
        kept["gold"] = [pair for pair in row["gold"] if pair[0] in there[0] and pair[1] in there[1]]
        return Dataset.from_list([kept], features=rows.features)

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
        threshold: float | None = None,
        tune_on: Dataset | None = None,
        tune_split: str | None = None,
        **encoding: Any,
    ) -> Retrieved:
        """F1 of the mined pairs against gold, in percent.

        Args:
            task: only its name is read, for messages.
            rows: one row, with both sides' sentences and their ids, and the gold as pairs of ids.
            model: any encoder, with or without a head.
            tokenizer: the model's.
            layer: k means `hidden_states[k]`. None: the last of a sentence-transformers model, else the papers', see
                `hf_stilts.kinds.vectors.default_layer`.
            pooling: as in `hf_stilts.encode`.
            precision: as in `hf_stilts.encode`.
            prefix: put before every sentence, one text for both sides or two, for `source` and `target`. None: the
                default prompt of a sentence-transformers model, else nothing.
            max_length: as in `hf_stilts.encode`.
            threshold: keep pairs that score at least this.
            tune_on: rows of another split, where the threshold with the best F1 is taken from; the protocol of BUCC.
            tune_split: name of that split, for `threshold_from`.
            encoding: further arguments of `hf_stilts.encode`.

        Returns:
            `f1`, `precision`, `recall`; among the settings the threshold and `threshold_from`, where it is from:
            "given", "tuned on validation" ("tuned elsewhere" without `tune_split`), or "tuned here", on the very rows
            that are scored, which flatters the score. Ids are those of the source sentences that were mined or are in
            the gold; the prediction for each is its target's id, or `None`.

        Raises:
            StiltsError: not one row, no gold, or a gold id that no sentence has.
        """
        setting = VectorSetting.of(
            model, layer=layer, pooling=pooling, prefix=prefix, max_length=max_length, precision=precision
        )
        sides = [{**setting.arguments(side), **encoding} for side in (0, 1)]
        pairs, gold = self._mine(task, rows, model, tokenizer, sides)
        origin = "given"
        if threshold is None and tune_on is not None:
            origin = f"tuned on {tune_split}" if tune_split else "tuned elsewhere"
            threshold = fit_threshold(*self._mine(task, tune_on, model, tokenizer, sides)).value
        elif threshold is None:
            origin = "tuned here"
            threshold = fit_threshold(pairs, gold).value
        right = is_gold(pairs.source, pairs.target, gold)
        cut = cut_at(threshold, pairs.score, right, len(gold))
        return Retrieved(
            {"f1": 100.0 * cut.f1, "precision": 100.0 * cut.precision, "recall": 100.0 * cut.recall},
            {**setting.columns(), "threshold": float(threshold), "threshold_from": origin},
            **_by_source(rows[0], pairs.source[: cut.kept], pairs.target[: cut.kept], right[: cut.kept], gold),
        )

    def _mine(
        self,
        task: Task,
        rows: Dataset,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sides: Sequence[dict[str, Any]],
    ) -> tuple[BitextPairs, NDArray[np.int64]]:
        """Scored pairs of rows, best first, and the distinct gold pairs as rows, int64 (g, 2).

        `sides` are the arguments of `encode` for the sources and for the targets.
        """
        if len(rows) != 1:
            raise StiltsError(
                f"Task {task.name} has {len(rows)} rows here; expected one that holds all sentences of both sides. "
                "Gather them into lists in the task's prepare=."
            )
        check_lists_of_texts(task, rows, "source", "target")
        row = rows[0]
        gold = _gold_rows(task, row)
        texts = row["source"], row["target"]
        source, target = (
            encode(model, tokenizer, sentences, **how) for sentences, how in zip(texts, sides, strict=True)
        )
        return mine_bitext(source, target, k=self.k, margin=self.margin, sentences=texts), gold


def _by_source(
    row: dict[str, Any],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    right: NDArray[np.bool_],
    gold: NDArray[np.int64],
) -> dict[str, Any]:
    """Mined pairs by their source sentence, each mined at most once, with its share of F1: 2 hits / (mined + gold)."""
    count = len(row["source_ids"])
    hits, found, wanted = (np.bincount(places, minlength=count) for places in (source[right], source, gold[:, 0]))
    partner = np.full(count, -1)
    partner[source] = target
    kept = np.flatnonzero(found + wanted)
    return {
        "ids": [row["source_ids"][place] for place in kept],
        "predictions": [row["target_ids"][place] if place >= 0 else None for place in partner[kept]],
        "shares": np.stack((2.0 * hits, found + wanted), axis=1)[kept],
    }


def _gold_rows(task: Task, row: dict[str, Any]) -> NDArray[np.int64]:
    sources = {name: place for place, name in enumerate(row["source_ids"])}
    targets = {name: place for place, name in enumerate(row["target_ids"])}
    pairs = sorted({tuple(pair) for pair in row["gold"]})
    missing = []
    for source, target in pairs:
        missing += [name for name, known in ((source, sources), (target, targets)) if name not in known]
    if missing or not pairs:
        raise StiltsError(
            f"Task {task.name}: {len(pairs)} gold pairs, {len(missing)} of their ids unknown ({missing[:1]}); expected "
            "at least one pair, of ids in source_ids and target_ids. Correct the gold in the task's prepare=."
        )
    return np.array([[sources[source], targets[target]] for source, target in pairs], dtype=np.int64)


KIND = BitextMining()
