"""XCOPA: choose the more plausible cause or effect (Ponti et al. 2020)."""

from hf_stilts import Task

TASK = Task(
    kind="multiple-choice",
    dataset="cambridgeltl/xcopa",
    config="{language}",
    columns={"context": "premise", "question": "question", "choices": ("choice1", "choice2"), "label": "label"},
    languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
    train=("commonsenseqa",),
    license="cc-by-4.0",
    paper="2005.00333",
)
