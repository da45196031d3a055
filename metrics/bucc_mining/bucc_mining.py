"""`evaluate` module: F1 of mined sentence pairs as in BUCC 2018, with the threshold tuned or given."""

from collections.abc import Iterable, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from .mining import Margin, Pairs, Retrieval, best_cut, cut_at, distinct, is_gold, mine, nearest, number_ids, unit_rows

_DESCRIPTION = """
Precision, recall and F1 of mined sentence pairs (BUCC 2018). Candidates are scored pairs of ids; those that score at
least a threshold are kept. The threshold is either given, as set on another split, or tuned for the best F1 on these
candidates with XTREME's rule.
"""

_KWARGS_DESCRIPTION = """
Args:
    pairs: candidates as (source id, target id, score), such as `hf_stilts.mine_bitext` returns; or instead of them
    sources: id of the source sentence of each candidate, all strings or all integers.
    targets: id of the target sentence of each candidate, as many as sources.
    scores: score of each candidate, floats; higher is better.
    gold: the correct pairs, [(source id, target id), ...]; at least one.
    threshold: keep candidates with score >= threshold. None tunes it for the best F1 on these very candidates.
    source_embeddings, target_embeddings: instead of the three columns above, vectors (n, d) and (m, d) that are mined
        here (k nearest neighbours in both directions, margin, one-to-one); gold then holds row numbers.
    k, margin, retrieval: of that mining; 4, "ratio", "max" as in XTREME.
    setting: a dict of plain values (layer, pooling, direction, precision ...) that travels in the result.
Returns:
    f1, precision, recall: floats between 0 and 1.
    threshold: the float that was used; threshold_from: "given" or "tuned on these candidates".
    candidates, kept, correct, gold: counts of distinct pairs.
Examples:
    >>> import evaluate
    >>> bucc = evaluate.load("./metrics/bucc_mining")
    >>> candidates = {"sources": ["de-1", "de-2"], "targets": ["en-1", "en-9"], "scores": [1.4, 1.0]}
    >>> dev = bucc.compute(**candidates, gold=[("de-1", "en-1")])
    >>> round(dev["threshold"], 3), dev["f1"]
    (1.2, 1.0)
"""

_CITATION = """
@inproceedings{zweigenbaum-etal-2018-bucc,
  title = {Overview of the Third {BUCC} Shared Task: Spotting Parallel Sentences in Comparable Corpora},
  author = {Zweigenbaum, Pierre and Sharoff, Serge and Rapp, Reinhard},
  booktitle = {Proceedings of the 11th Workshop on Building and Using Comparable Corpora},
  year = {2018}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class BuccMining(evaluate.Metric):
    """F1 of mined sentence pairs."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[candidates(datasets.Value("string")), candidates(datasets.Value("int64"))],
            reference_urls=["https://comparable.limsi.fr/bucc2018/", "https://github.com/google-research/xtreme"],
        )

    def compute(self, pairs: Iterable[Sequence[Any]] | None = None, **inputs: Any) -> dict[str, Any] | None:
        """Score candidates given as pairs or as three columns, or mine them first from two matrices of embeddings."""
        if pairs is not None:
            inputs = {**_columns_of(pairs, inputs), **inputs}
        columns = {"sources", "targets", "scores"} & set(inputs)
        if {"source_embeddings", "target_embeddings"} <= set(inputs) and not columns:
            # Not through Arrow: it would turn the matrices into lists, and the two sides may differ in length.
            return self._compute(**inputs)
        if columns and len(columns) < 3:
            raise ValueError(
                f"Only {', '.join(sorted(columns))} given. Expected sources=, targets= and scores= together, "
                "or source_embeddings= and target_embeddings= alone."
            )
        if columns and not any(len(inputs[name]) for name in columns):
            return self._compute(**inputs)  # Arrow has no type for the ids of an empty list
        return super().compute(**inputs)

    def _compute(  # noqa: PLR0913 - an option each, passed by name
        self,
        sources: Any = (),
        targets: Any = (),
        scores: Any = (),
        gold: Iterable[Sequence[Any]] = (),
        threshold: float | None = None,
        source_embeddings: Any = None,
        target_embeddings: Any = None,
        k: int = 4,
        margin: Margin = "ratio",
        retrieval: Retrieval = "max",
        setting: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if source_embeddings is not None:
            x, y = unit_rows(source_embeddings, "source_embeddings"), unit_rows(target_embeddings, "target_embeddings")
            sources, targets, scores = mine(nearest(x, y, k), nearest(y, x, k), margin, retrieval)
            made = {"k": k, "margin": margin, "retrieval": retrieval}
        source, target, gold_pairs = number_ids(sources, targets, gold)
        pairs = distinct(Pairs(source, target, np.asarray(scores, dtype=np.float64)))
        correct = is_gold(pairs.source, pairs.target, gold_pairs)
        if threshold is None:
            cut = best_cut(pairs.score, correct, len(gold_pairs))
        else:
            cut = cut_at(threshold, pairs.score, correct, len(gold_pairs))
        return {
            "f1": cut.f1,
            "precision": cut.precision,
            "recall": cut.recall,
            "threshold": cut.value,
            "threshold_from": "tuned on these candidates" if threshold is None else "given",
            "candidates": len(pairs.score),
            "kept": cut.kept,
            "correct": cut.correct,
            "gold": len(gold_pairs),
            **made,
            **(setting or {}),
        }


def _columns_of(pairs: Iterable[Sequence[Any]], beside: dict[str, Any]) -> dict[str, Any]:
    """Pairs as the three columns, and what they note of how they were made."""
    twice = {"sources", "targets", "scores", "source_embeddings", "target_embeddings"} & set(beside)
    if twice:
        raise ValueError(f"Both pairs= and {', '.join(sorted(twice))}= were given. Expected one of them.")
    columns: dict[str, list[Any]] = {"sources": [], "targets": [], "scores": []}
    for pair in pairs:
        columns["sources"].append(pair[0])
        columns["targets"].append(pair[1])
        columns["scores"].append(pair[2])
    setting = {**getattr(pairs, "setting", {}), **(beside.pop("setting", None) or {})}
    return {**columns, "setting": setting}


def candidates(ids: Any) -> Any:
    """The columns of a candidate list whose ids have the given type."""
    return datasets.Features({"sources": ids, "targets": ids, "scores": datasets.Value("float64")})
