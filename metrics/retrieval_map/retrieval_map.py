"""`evaluate` module: mAP@k, MRR@k and recall@k of ranked candidates (LAReQA, Mewsli-X)."""

from typing import Any

import datasets
import evaluate

from .ranking import average_precision, find_hits, recall, reciprocal_rank

_DESCRIPTION = """
Mean average precision, mean reciprocal rank and recall within the first k candidates, for retrieval with one right
answer or several. mAP@20 is the score of LAReQA and of Mewsli-X in XTREME-R.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: for each query the ids of the retrieved candidates, best first; strings or integers.
    references: for each query the ids of its right answers.
    k: how deep to look; XTREME-R looks at the first 20.
Returns:
    map@k, mrr@k, recall@k: floats between 0 and 1, means over the queries; a query without a hit counts 0.
    queries: number of queries.
Examples:
    >>> import evaluate
    >>> retrieval_map = evaluate.load("./metrics/retrieval_map")
    >>> retrieval_map.compute(predictions=[["a", "x", "b"]], references=[["a", "b"]])["map@20"]
    0.8333333333333333
"""

_CITATION = """
@inproceedings{ruder-etal-2021-xtreme,
  title = {{XTREME-R}: Towards More Challenging and Nuanced Multilingual Evaluation},
  author = {Ruder, Sebastian and others},
  booktitle = {Proceedings of EMNLP},
  year = {2021}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class RetrievalMap(evaluate.Metric):
    """Mean average precision and reciprocal rank of ranked candidates."""

    def _info(self) -> Any:
        ids = [datasets.List(datasets.Value(kind)) for kind in ("string", "int64")]
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[datasets.Features({"predictions": kind, "references": kind}) for kind in ids],
            reference_urls=["https://github.com/google-research/xtreme"],
        )

    def _compute(self, predictions: Any, references: Any, k: int = 20) -> dict[str, Any]:
        hits = find_hits(predictions, references, k)
        shares = {"map": average_precision(hits), "mrr": reciprocal_rank(hits), "recall": recall(hits)}
        means = {f"{name}@{k}": float(values.mean()) for name, values in shares.items()}
        return {**means, "queries": len(predictions)}
