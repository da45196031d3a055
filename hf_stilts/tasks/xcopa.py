"""XCOPA: choose the more plausible cause or effect, in 11 languages (Ponti et al. 2020)."""

from typing import Any

from hf_stilts.task import Task


def ask(row: dict[str, Any]) -> dict[str, Any]:
    """Ask for the cause or the effect in English, whatever the row's language, as XTREME-R does."""
    return {**row, "question": f"What was the {row['question']}?"}


TASK = Task(
    kind="multiple-choice",
    dataset="cambridgeltl/xcopa",
    config="{language}",
    revision="042f78955ba48e6404616762fa6e05e839c3907a",
    columns={"context": "premise", "question": "question", "choices": ("choice1", "choice2"), "label": "label"},
    languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
    train=("siqa", "copa"),
    prepare=ask,
    license="cc-by-4.0",
    paper="2005.00333",
)
