"""Exact match and F1 of answers to questions, as the official SQuAD scripts count them, in every language alike."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and surplus blanks.

    >>> normalise("The  Quick-Fox, a fox.")
    'quickfox fox'
    """
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION)).split())


def overlap(found: str, gold: str) -> float:
    """F1 of the words, cut at blanks, that two normalised texts share; between 0 and 1.

    >>> round(overlap("green quickfox", "quickfox"), 3)
    0.667
    """
    ours, theirs = Counter(found.split()), Counter(gold.split())
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def answer_scores(predictions: Sequence[str], golds: Sequence[Sequence[str]], unanswerable: bool) -> dict[str, float]:
    """`exact_match`, `f1` and their mean `em_and_f1` in percent, the best over each question's gold answers.

    XTREME's averages over tasks use the mean.

    Args:
        predictions: an answer for each question; "" says that there is none.
        golds: the gold answers of each question; none where the context does not answer it.
        unanswerable: score as SQuAD 2.0 does, where an empty prediction is right for a question without answer, and
            add the scores of the two kinds of questions (`HasAns_exact`, `HasAns_f1`, `NoAns_exact`, `NoAns_f1`).
            Otherwise as SQuAD 1.1, XQuAD, TyDiQA-GoldP in XTREME: there an answer that normalises to nothing has F1 0.
    """
    exact, f1 = [], []
    for prediction, gold in zip(predictions, golds, strict=True):
        found, expected = normalise(prediction), [normalise(text) for text in gold]
        if unanswerable:
            expected = [text for text in expected if text] or [""]
        exact.append(100.0 * max((found == text for text in expected), default=False))
        if unanswerable and (not found or expected == [""]):
            f1.append(exact[-1])
        else:
            f1.append(100.0 * max((overlap(found, text) for text in expected), default=0.0))
    scores = {"exact_match": fmean(exact), "f1": fmean(f1), "em_and_f1": fmean([*exact, *f1])}
    if unanswerable:
        for name, wanted in (("HasAns", True), ("NoAns", False)):
            of_name = [place for place, gold in enumerate(golds) if bool(gold) is wanted]
            if of_name:
                scores[f"{name}_exact"] = fmean(exact[place] for place in of_name)
                scores[f"{name}_f1"] = fmean(f1[place] for place in of_name)
    return scores
