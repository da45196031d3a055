"""TyDiQA, gold passages: questions asked in nine languages by people who did not know the answer (Clark et al. 2020)."""

from typing import Any

from hf_stilts.languages import LANGUAGES
from hf_stilts.task import Task

SPOKEN = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
CODES = {LANGUAGES[code].name.lower(): code for code in SPOKEN}


def one_language(row: dict[str, Any]) -> dict[str, Any] | None:
    """Read the language off the id (`swahili-...`), and put offsets right that the Hub's copy shifted by stripping."""
    text, starts = row["answers"]["text"], []
    for answer, start in zip(text, row["answers"]["answer_start"], strict=True):
        places = [at for at in range(len(row["context"])) if row["context"].startswith(answer, at)]
        if not places:
            return None
        starts.append(min(places, key=lambda at: abs(at - start)))
    return {**row, "answers": {"text": text, "answer_start": starts}, "language": CODES[row["id"].partition("-")[0]]}


TASK = Task(
    kind="question-answering",
    dataset="google-research-datasets/tydiqa",
    config="secondary_task",  # all languages
    revision="da78f23f9119363459acbaf46bf89426ff26c259",
    languages=SPOKEN,
    splits={"test": "validation"},  # the dev files are XTREME's test files
    prepare=one_language,
    metric="em_and_f1",
    license="apache-2.0",
    paper="2003.05002",
)
