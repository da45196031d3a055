"""`evaluate` module: how often the nearest sentence in another language is the translation (Tatoeba)."""

from typing import Any

import datasets
import evaluate
import numpy as np

from .ranking import accuracy, best_matches

_DESCRIPTION = """
Accuracy of cross-lingual sentence retrieval: for each query sentence the nearest candidate by cosine is predicted, and
it is right if it is the translation. This is the Tatoeba task of LASER, XTREME and XTREME-R.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: for each query, the row of the candidate that was retrieved; -1 for none.
    references: for each query, the row of its translation.
    query_embeddings, candidate_embeddings: instead of predictions, vectors (n, d) and (m, d), compared here by cosine.
        XTREME's queries are the English sentences, its candidates those of the other language.
    gold: with embeddings, for each query the row of its translation; None says that row i translates row i.
    setting: a dict of plain values (layer, pooling, direction, precision ...) that travels in the result.
Returns:
    accuracy: float between 0 and 1.
    queries: number of queries.
    reverse_accuracy: with embeddings only, the same with the roles exchanged, for the rows that gold names.
Examples:
    >>> import evaluate
    >>> tatoeba = evaluate.load("./metrics/tatoeba_retrieval")
    >>> tatoeba.compute(predictions=[0, 2, 2], references=[0, 1, 2])["accuracy"]
    0.6666666666666666
"""

_CITATION = """
@article{artetxe-schwenk-2019-massively,
  title = {Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual Transfer and Beyond},
  author = {Artetxe, Mikel and Schwenk, Holger},
  journal = {Transactions of the Association for Computational Linguistics},
  volume = {7},
  year = {2019}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class TatoebaRetrieval(evaluate.Metric):
    """Accuracy of the nearest neighbour in another language."""

    def _info(self) -> Any:
        row = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": row, "references": row}),
            format="numpy",
            reference_urls=["https://github.com/facebookresearch/LASER", "https://github.com/google-research/xtreme"],
        )

    def compute(self, **inputs: Any) -> dict[str, Any] | None:
        """Score retrieved rows, or retrieve them first from two matrices of embeddings."""
        if {"query_embeddings", "candidate_embeddings"} <= set(inputs) and not {"predictions", "references"} & set(
            inputs
        ):
            # Not through Arrow: it would turn the matrices into lists, and the two sides may differ in length.
            return self._compute(**inputs)
        return super().compute(**inputs)

    def _compute(
        self,
        predictions: Any = (),
        references: Any = (),
        query_embeddings: Any = None,
        candidate_embeddings: Any = None,
        gold: Any = None,
        setting: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        reverse: dict[str, float] = {}
        if query_embeddings is not None:
            best = best_matches(query_embeddings, candidate_embeddings)
            predictions = best.forward
            references = np.arange(len(predictions)) if gold is None else np.asarray(gold)
            if len(references) and not 0 <= references.min() <= references.max() < len(best.backward):
                raise ValueError(
                    f"The gold rows run from {references.min()} to {references.max()} for {len(best.backward)} "
                    "candidates. Expected rows of candidate_embeddings, counted from 0."
                )
            reverse["reverse_accuracy"] = accuracy(best.backward[references], np.arange(len(references)))
        return {
            "accuracy": accuracy(predictions, references),
            "queries": len(predictions),
            **reverse,
            **(setting or {}),
        }
