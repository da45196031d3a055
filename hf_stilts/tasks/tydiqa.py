"""TyDiQA, gold passages: questions asked in nine languages by people without the answer (Clark et al. 2020)."""

import re
from typing import Any

from hf_stilts.languages import LANGUAGES
from hf_stilts.task import Task

SPOKEN = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
CODES = {LANGUAGES[code].name.lower(): code for code in SPOKEN}


def language_of(row: dict[str, Any]) -> str:
    """Code of `swahili`, with which the id begins."""
    return CODES[row["id"].partition("-")[0]]


def realign(row: dict[str, Any]) -> dict[str, Any] | None:
    """Move offsets to the nearest place of the answer: the Hub's copy strips contexts without moving them."""
    text, starts = row["answers"]["text"], []
    for answer, start in zip(text, row["answers"]["answer_start"], strict=True):
        overlapping = re.finditer(f"(?={re.escape(answer)})", row["context"])
        places = [place.start() for place in overlapping]
        if not places:
            return None
        starts.append(min(places, key=lambda place: abs(place - start)))
    return {**row, "answers": {"text": text, "answer_start": starts}}


TASK = Task(
    kind="question-answering",
    dataset="google-research-datasets/tydiqa",
    config="secondary_task",  # all languages
    revision="da78f23f9119363459acbaf46bf89426ff26c259",
    languages=SPOKEN,
    splits={"test": "validation"},  # the dev files are XTREME's test files
    prepare=realign,
    language_of=language_of,
    metric="em_and_f1",
    license="apache-2.0",
    paper="2003.05002",
)
