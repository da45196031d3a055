"""`evaluate` module: F1 of chunks of tags, for entities and for raw parts of speech as XTREME scores them."""

from typing import Any

import datasets
import evaluate

from .chunks import count_chunks, each_type, number_tags, overall, token_accuracy

_DESCRIPTION = """
F1, precision and recall of chunks of tags over all sentences together, and token accuracy. Configuration "upos" is the
rule of seqeval 0.0.x over raw tags, by which XTREME and XTREME-R score parts of speech and entities; "iob2" is that of
seqeval 1.x for entities in IOB2 and its relatives. Equal to theirs to the last digit, and far faster.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: for each sentence the list of its predicted tags.
    references: for each sentence the list of its gold tags, as many.
    by_type: also give the scores of each type of chunk.
Returns:
    f1, precision, recall: floats between 0 and 1, of all chunks together (micro).
    accuracy: share of equal tags.
    correct, found, gold: numbers of chunks.
    by_type: if asked for, {type: {"f1", "precision", "recall", "number"}}.
Examples:
    >>> import evaluate
    >>> chunk_f1 = evaluate.load("./metrics/chunk_f1", "iob2")
    >>> scores = chunk_f1.compute(
    ...     predictions=[["B-PER", "O", "O", "B-LOC"]], references=[["B-PER", "I-PER", "O", "B-LOC"]]
    ... )
    >>> scores["f1"], scores["accuracy"]
    (0.5, 0.75)
"""

_CITATION = """
@misc{seqeval,
  title = {{seqeval}: A Python framework for sequence labeling evaluation},
  author = {Hiroki Nakayama},
  year = {2018},
  url = {https://github.com/chakki-works/seqeval}
}
"""

CONFIGURATIONS = ("upos", "iob2")


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class ChunkF1(evaluate.Metric):
    """F1 of chunks of tags."""

    def _info(self) -> Any:
        if self.config_name not in (*CONFIGURATIONS, "default"):
            raise ValueError(
                f"chunk_f1 has no configuration {self.config_name!r}. Expected one of: {', '.join(CONFIGURATIONS)}."
            )
        tags = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": tags, "references": tags}),
            reference_urls=[
                "https://github.com/chakki-works/seqeval",
                "https://github.com/google-research/xtreme",
            ],
        )

    def _compute(self, predictions: Any, references: Any, by_type: bool = False) -> dict[str, Any]:
        if not len(predictions):  # evaluate gives no references either then
            raise ValueError("No prediction. Expected one for each sentence of the references, at least one.")
        (gold, found), names = number_tags(references, predictions)
        accuracy = token_accuracy(gold, found)
        counts = count_chunks(gold, found, names, "iob2" if self.config_name == "iob2" else "upos")
        return {
            **overall(counts),
            "accuracy": accuracy,
            "correct": int(counts.correct.sum()),
            "found": int(counts.found.sum()),
            "gold": int(counts.gold.sum()),
            **({"by_type": each_type(counts)} if by_type else {}),
        }
