"""Failure rates of behavioural tests of question answering, compared as MultiCheckList compares (Ruder et al. 2021)."""

import re
from collections.abc import Sequence

# What its `generate_test_utils.py` takes off an answer: languages that are not here have neither articles nor other
# marks. Some of the words are no articles (Wolof's is a pronoun); they are those that the published rates rest on.
_ARTICLES = {
    "af": r"(?:’n)\b",
    "ar": "ال",
    "bn": r"\b(?:একটি|একজন)",
    "de": r"\b(?:ein|eine|einen)\b",
    "el": r"\b(?:Ο|ένα|μια)\b",
    "en": r"\b(?:a|an|the|in|at)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "eu": r"\bbat\b",
    "fa": r"\bیک\b",
    "fr": r"\b(?:un|une|le|la|en)\b",
    "hi": r"\bएक",
    "hu": r"\begy\b",
    "it": r"\b(?:un|una)\b",
    "ml": r"\bഒരു",
    "mr": r"\bएक",
    "my": r"\bတစ်ဦး",
    "nl": r"\been\b",
    "pa": r"\b(?:ਇੱਕ|ਇਕ)",
    "pt": r"\b(?:um|uma)\b",
    "ta": r"\bஒரு",
    "tl": r"\bSi\b",
    "tr": r"\bbir\b",
    "vi": r"\bmột\b",
    "wo": r"\bdafa\b",
    "yo": r"\bkan\b",
}
_MARKS = {"bn": ",. ৷", "hi": ",. ৷", "pa": ",. ।", "pl": "„”,. ", "ur": ",. \u200f"}


def bare(text: str, language: str = "en") -> str:
    """An answer without the language's articles, and without marks and blanks at its ends; capitals count.

    >>> bare("a journalist.", "en"), bare("eine Lehrerin", "de"), bare("Anna", "sw")
    ('journalist', 'Lehrerin', 'Anna')
    """
    articles = _ARTICLES.get(language)
    return (re.sub(articles, " ", text) if articles else text).strip(_MARKS.get(language, ",. "))


def failed_cases(
    predictions: Sequence[str | None], golds: Sequence[Sequence[str]], cases: Sequence[str], language: str = "en"
) -> dict[str, bool]:
    """Whether each test case failed: some question of it has an answer that is none of its gold ones.

    Args:
        predictions: an answer for each question; None: it was left out, which fails.
        golds: the gold answers of each question.
        cases: for each question `<test>-<number>`, the case that it belongs to.
        language: of the answers.

    Raises:
        ValueError: not as many of each, or none.
    """
    if not len(predictions) == len(golds) == len(cases) or not cases:
        raise ValueError(
            f"{len(predictions)} predictions and {len(cases)} cases for {len(golds)} questions. Expected as many of "
            "each, at least one."
        )
    failed = dict.fromkeys(cases, False)
    for prediction, gold, case in zip(predictions, golds, cases, strict=True):
        right = prediction is not None and bare(prediction, language) in {bare(text, language) for text in gold}
        failed[case] = failed[case] or not right
    return failed


def failure_rates(
    predictions: Sequence[str | None], golds: Sequence[Sequence[str]], cases: Sequence[str], language: str = "en"
) -> dict[str, float]:
    """Share of each test's cases that failed, in percent, and the mean over tests; less is better.

    A case is several questions on several texts, and passes if all are answered rightly.

    Args:
        predictions: as in `failed_cases`.
        golds: as in `failed_cases`.
        cases: as in `failed_cases`.
        language: as in `failed_cases`.

    Returns:
        `failure_rate`, the unweighted mean over tests, and `failure_rate_<test>`.

    >>> failure_rates(["Anna", "Ben", "red"], [["Anna"], ["Anna"], ["red"]], ["comp-0", "comp-1", "props-0"])
    {'failure_rate': 25.0, 'failure_rate_comp': 50.0, 'failure_rate_props': 0.0}
    """
    of_test: dict[str, list[bool]] = {}
    for case, failed in failed_cases(predictions, golds, cases, language).items():
        of_test.setdefault(of_which_test(case), []).append(failed)
    rates = {f"failure_rate_{test}": 100.0 * sum(failed) / len(failed) for test, failed in of_test.items()}
    return {"failure_rate": sum(rates.values()) / len(rates), **rates}


def of_which_test(case: str) -> str:
    """Test that a case is of: `animal_vehicle-17` is of `animal_vehicle`."""
    return case.rpartition("-")[0]
