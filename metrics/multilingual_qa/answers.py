"""Exact match and F1 of answers to questions, as the official scripts of SQuAD and of MLQA count them.

XTREME scores XQuAD and TyDiQA by SQuAD's English normalisation in every language, and MLQA by MLQA's own, which knows
each language's articles and all punctuation marks of Unicode (Lewis et al. 2020, `mlqa_evaluation_v1.py`).
"""

import math
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import chain
from typing import Literal, TypeAlias, get_args

Normalisation: TypeAlias = Literal["squad", "mlqa"]

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = {
    "en": "a|an|the",
    "es": "un|una|unos|unas|el|la|los|las",
    "de": "ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des",
    "vi": "của|là|cái|chiếc|những",
}
_MLQA_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")
_HAN = re.compile("([\u4e00-\u9fa5])")


def normalise(text: str, normalisation: Normalisation = "squad", language: str = "en") -> str:
    """What two answers must share to be equal: lower case, without punctuation, articles and surplus blanks.

    Args:
        text: an answer.
        normalisation: "squad" drops ASCII punctuation and English articles, whatever the language. "mlqa" drops all
            punctuation of Unicode and the language's articles; in Arabic every "ال", also within a word, as MLQA's
            script does; in Chinese each Han character becomes a word.
        language: of the answer; only "mlqa" reads it.

    >>> normalise("The  Quick-Fox, a fox.")
    'quickfox fox'
    >>> normalise("«Der» Hund。"), normalise("«Der» Hund。", "mlqa", "de")
    ('«der» hund。', 'hund')
    >>> normalise("HTML5标准。", "mlqa", "zh")
    'html5 标 准'

    Raises:
        ValueError: an unknown normalisation, or a language that MLQA does not have.
    """
    return " ".join(words([text], normalisation, language)[text])


def words(texts: Iterable[str], normalisation: Normalisation = "squad", language: str = "en") -> dict[str, list[str]]:
    """Words of the normal form of each distinct text; three annotators mostly mark the same ones.

    All texts are rewritten as one, which costs a fraction of rewriting them one by one.

    >>> words(["The Fox!", "a fox", "The Fox!"])
    {'The Fox!': ['fox'], 'a fox': ['fox']}

    Raises:
        ValueError: as in `normalise`.
    """
    rewritten, distinct = _rewriter(normalisation, language), list(dict.fromkeys(texts))
    # No step of a normalisation sees through this character: it is no letter, no mark and no blank.
    joined = "\0".join(distinct)
    if joined.count("\0") == len(distinct) - 1:
        return {text: part.split() for text, part in zip(distinct, rewritten(joined).split("\0"), strict=True)}
    return {text: rewritten(text).split() for text in distinct}


def overlap(found: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of the words that two answers share; between 0 and 1.

    >>> round(overlap(["green", "fox"], ["fox"]), 3)
    0.667
    """
    ours, theirs = set(found), set(gold)
    shared = len(ours & theirs)
    if not shared:
        return 0.0
    if len(ours) < len(found) or len(theirs) < len(gold):
        shared = sum((Counter(found) & Counter(gold)).values())
    # The official order of operations, to the last bit.
    precision, recall = shared / len(found), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def answer_shares(
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    unanswerable: bool = False,
    normalisation: Normalisation = "squad",
    language: str = "en",
) -> tuple[list[float], list[float]]:
    """Exact match, 0 or 1, and F1, between 0 and 1, of each question; arguments and errors as in `answer_scores`.

    >>> answer_shares(["the cat", "a dog"], [["cat"], ["old dog"]])
    ([1.0, 0.0], [1.0, 0.6666666666666666])
    """
    if len(predictions) != len(golds) or not golds:
        raise ValueError(f"{len(predictions)} predictions for {len(golds)} questions. Expected as many, at least one.")
    given = (prediction for prediction in predictions if prediction is not None)
    known = words(chain(given, chain.from_iterable(golds)), normalisation, language)
    exact: list[float] = []
    f1: list[float] = []
    for prediction, gold in zip(predictions, golds, strict=True):
        if prediction is None:
            exact.append(0.0)
            f1.append(0.0)
            continue
        found, expected = known[prediction], [known[text] for text in gold]
        if unanswerable:
            expected = [answer for answer in expected if answer] or [[]]
        exact.append(1.0 if found in expected else 0.0)
        if unanswerable and not (found and expected[0]):
            f1.append(exact[-1])
        elif found and exact[-1]:
            f1.append(1.0)
        else:
            f1.append(max([overlap(found, answer) for answer in expected], default=0.0))
    return exact, f1


def answer_scores(
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    unanswerable: bool = False,
    normalisation: Normalisation = "squad",
    language: str = "en",
) -> dict[str, float]:
    """`exact_match`, `f1` and their mean `em_and_f1` in percent, the best over each question's gold answers.

    XTREME's averages over tasks use the mean.

    Args:
        predictions: an answer for each question; "" says that there is none, None that the question was left out, which
            counts 0.
        golds: the gold answers of each question; none where the context does not answer it.
        unanswerable: score as SQuAD 2.0 does, where an empty prediction is right for a question without answer, and
            add the scores of the two kinds of questions (`HasAns_exact`, `HasAns_f1`, `NoAns_exact`, `NoAns_f1`).
            Otherwise as SQuAD 1.1, XQuAD, TyDiQA-GoldP in XTREME: there an answer that normalises to nothing has F1 0.
        normalisation: "squad" or "mlqa", see `normalise`.
        language: of the answers.

    Raises:
        ValueError: not as many predictions as questions, or none; an unknown normalisation or language.
    """
    exact, f1 = answer_shares(predictions, golds, unanswerable, normalisation, language)
    scores = {"exact_match": _percent(exact), "f1": _percent(f1)}
    scores["em_and_f1"] = (scores["exact_match"] + scores["f1"]) / 2
    if unanswerable:
        for name, wanted in (("HasAns", True), ("NoAns", False)):
            of_name = [place for place, gold in enumerate(golds) if bool(gold) is wanted]
            if of_name:
                scores[f"{name}_exact"] = _percent([exact[place] for place in of_name])
                scores[f"{name}_f1"] = _percent([f1[place] for place in of_name])
    return scores


def answer_similarity(
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    normalisation: Normalisation = "squad",
    language: str = "en",
) -> dict[str, float]:
    """How alike answers are in their characters, in percent: means over questions of the best over the gold answers.

    They say more than words where a script has no blanks, and an answer is one word or another. Compared are normal
    forms; two that are equal count 1, also where nothing is left of both, and nothing against something counts 0.

    Args:
        predictions: as in `answer_scores`.
        golds: as in `answer_scores`; none is an empty answer.
        normalisation: as in `answer_scores`.
        language: as in `answer_scores`.

    Returns:
        `character_f1`: F1 of the characters that both have, in any order, without blanks; `edit_similarity`: 1 less
        Levenshtein's distance / the longer one's length; `chrf`: sacrebleu's of a sentence.

    Raises:
        ValueError: as `answer_scores`; or rapidfuzz or sacrebleu is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise ValueError(
            f"Similarity of answers needs {error.name}, which is not installed. Run: pip install rapidfuzz sacrebleu"
        ) from error
    if len(predictions) != len(golds) or not golds:
        raise ValueError(f"{len(predictions)} predictions for {len(golds)} questions. Expected as many, at least one.")
    given = (prediction for prediction in predictions if prediction is not None)
    known = words(chain(given, chain.from_iterable(golds), [""]), normalisation, language)
    chrf = CHRF()
    totals = {"character_f1": 0.0, "edit_similarity": 0.0, "chrf": 0.0}
    for prediction, gold in zip(predictions, golds, strict=True):
        if prediction is None:
            continue
        found = " ".join(known[prediction])
        expected = [" ".join(known[text]) for text in gold] or [""]
        if found in expected:
            totals = {name: total + 1 for name, total in totals.items()}
        elif found and any(expected):
            expected = [answer for answer in expected if answer]
            letters = [overlap(found.replace(" ", ""), answer.replace(" ", "")) for answer in expected]
            totals["character_f1"] += max(letters)
            totals["edit_similarity"] += max(Levenshtein.normalized_similarity(found, answer) for answer in expected)
            totals["chrf"] += max(chrf.sentence_score(found, [answer]).score for answer in expected) / 100
    return {name: 100.0 * total / len(golds) for name, total in totals.items()}


def best_threshold_scores(
    spans: Sequence[str],
    doubts: Sequence[float],
    golds: Sequence[Sequence[str]],
    normalisation: Normalisation = "squad",
    language: str = "en",
) -> dict[str, float]:
    """`best_exact` and `best_f1` of SQuAD 2.0's script, and their mean `best_em_and_f1`, in percent.

    Each is the highest score that one threshold can reach which decides for all questions whether the span or no answer
    is given; never below that of silence. jiant selects by the mean, the main metric of SQuAD 2.0 in Phang et al. 2020.

    The script also cuts between questions of equal doubts, which no threshold can, and so has a higher score if the
    right ones happen to come first; without equal or infinite doubts both give the same.

    Args:
        spans: the best span for each question, whether it was given or not.
        doubts: by how much no answer scored better than the span; inf never gives the span, -inf always.
        golds: as in `answer_scores`, and so are the others.
        normalisation: "squad" or "mlqa".
        language: of the answers.

    >>> best_threshold_scores(["cat", "dog", "fox"], [-1.0, 3.0, 2.0], [["cat"], [], ["a fox"]])["best_exact"]
    100.0

    Raises:
        ValueError: as in `answer_scores`.
    """
    shares = answer_shares(spans, golds, True, normalisation, language)
    ranked = sorted(range(len(spans)), key=lambda place: doubts[place])
    best = {}
    for name, share in zip(("best_exact", "best_f1"), shares, strict=True):
        total = highest = float(sum(not gold for gold in golds))
        for rank, place in enumerate(ranked, 1):
            total += share[place] if golds[place] else -bool(spans[place])
            # No threshold parts equal doubts, and none gives a span at infinite ones.
            if doubts[place] < (doubts[ranked[rank]] if rank < len(ranked) else math.inf):
                highest = max(highest, total)
        best[name] = 100.0 * highest / len(golds)
    return {**best, "best_em_and_f1": (best["best_exact"] + best["best_f1"]) / 2}


def _percent(values: Sequence[float]) -> float:
    return 100.0 * sum(values) / len(values)


def _rewriter(normalisation: str, language: str) -> Callable[[str], str]:
    if normalisation not in get_args(Normalisation):
        known = ", ".join(get_args(Normalisation))
        raise ValueError(f"normalisation={normalisation!r} is not known. Expected one of: {known}.")
    if normalisation == "squad":
        return _squad
    if language not in _MLQA_LANGUAGES:
        raise ValueError(
            f"MLQA's normalisation does not know the language {language!r}. Expected one of: "
            f"{', '.join(_MLQA_LANGUAGES)}; for another language take normalisation='squad'."
        )
    return partial(_mlqa, language=language)


def _squad(text: str) -> str:
    return _article("en").sub(" ", text.lower().translate(_ASCII_PUNCTUATION))


def _mlqa(text: str, language: str) -> str:
    text = text.lower().translate(_unicode_punctuation())
    if language in _ARTICLES:
        return _article(language).sub(" ", text)
    if language == "ar":
        return text.replace("ال", " ")
    return _HAN.sub(r" \1 ", text) if language == "zh" else text


@cache
def _article(language: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_ARTICLES[language]})\b")


@cache
def _unicode_punctuation() -> dict[int, None]:
    marks = (mark for mark in range(sys.maxunicode) if unicodedata.category(chr(mark)).startswith("P"))
    return {**dict.fromkeys(marks), **dict.fromkeys(map(ord, string.punctuation))}
