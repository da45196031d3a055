"""`evaluate` module: exact match and F1 of answers, by SQuAD's normalisation or by MLQA's for seven languages."""

from typing import Any

import datasets
import evaluate

from .answers import answer_scores, answer_similarity

_DESCRIPTION = """
Exact match and F1 of answers to questions, the best over each question's gold answers, in percent. Configuration
"squad" is the official normalisation of SQuAD 1.1 (SQuAD 2.0 with unanswerable=True), by which XTREME scores XQuAD and
TyDiQA-GoldP in every language; "mlqa" is that of MLQA, for the language given.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: an answer for each question; "" says that there is none.
    references: for each question the list of its gold answers.
    language: of the answers; only "mlqa" reads it: ar, de, en, es, hi, vi or zh.
    unanswerable: score questions without answer as SQuAD 2.0 does.
    similarity: also say how alike the characters of answers are; needs rapidfuzz and sacrebleu.
Returns:
    exact_match, f1: floats between 0 and 100; em_and_f1: their mean, which XTREME's averages use.
    HasAns_exact, HasAns_f1, NoAns_exact, NoAns_f1: with unanswerable=True, of the two kinds of questions apart.
    character_f1, edit_similarity, chrf: with similarity=True, floats between 0 and 100.
Examples:
    >>> import evaluate
    >>> qa = evaluate.load("./metrics/multilingual_qa", "mlqa")
    >>> qa.compute(predictions=["das alte Haus"], references=[["Haus", "ein Haus"]], language="de")["f1"].__round__(2)
    66.67
"""

_CITATION = """
@inproceedings{lewis-etal-2020-mlqa,
  title = {{MLQA}: Evaluating Cross-lingual Extractive Question Answering},
  author = {Lewis, Patrick and Oguz, Barlas and Rinott, Ruty and Riedel, Sebastian and Schwenk, Holger},
  booktitle = {Proceedings of ACL},
  year = {2020}
}
"""

CONFIGURATIONS = ("squad", "mlqa")


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class MultilingualQa(evaluate.Metric):
    """Exact match and F1 of answers in several languages."""

    def _info(self) -> Any:
        if self.config_name not in (*CONFIGURATIONS, "default"):
            known = ", ".join(CONFIGURATIONS)
            raise ValueError(f"multilingual_qa has no configuration {self.config_name!r}. Expected one of: {known}.")
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": text, "references": datasets.Sequence(text)}),
            reference_urls=[
                "https://github.com/facebookresearch/MLQA",
                "https://rajpurkar.github.io/SQuAD-explorer/",
            ],
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        language: str | None = None,
        unanswerable: bool = False,
        similarity: bool = False,
    ) -> dict[str, Any]:
        if self.config_name == "mlqa" and language is None:
            raise ValueError(
                "MLQA's normalisation needs the language of the answers. Pass language='de', for instance."
            )
        compared: dict[str, Any] = {}
        if self.config_name == "mlqa":
            compared = {"normalisation": "mlqa", "language": language}
        scores = answer_scores(predictions, references, unanswerable, **compared)
        if similarity:
            scores |= answer_similarity(predictions, references, **compared)
        return scores
