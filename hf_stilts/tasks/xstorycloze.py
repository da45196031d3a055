"""XStoryCloze: choose the right ending of a short story, in 11 languages (Lin et al. 2022)."""

from typing import Any

from hf_stilts.task import Task


def tell(row: dict[str, Any]) -> dict[str, Any]:
    """Join the story's four sentences, and count the endings from 0."""
    story = " ".join(row[f"input_sentence_{number}"] for number in (1, 2, 3, 4))
    return {"context": story, "choices": row["choices"], "label": row["label"] - 1}


TASK = Task(
    kind="multiple-choice",
    dataset="juletxara/xstory_cloze",  # a loading script there: hf-stilts data build xstorycloze
    config="{language}",
    columns={"choices": ("sentence_quiz1", "sentence_quiz2"), "label": "answer_right_ending"},
    languages=("ar", "en", "es", "eu", "hi", "id", "my", "ru", "sw", "te", "zh"),
    splits={"test": "eval"},
    train=("hellaswag",),
    prepare=tell,
    license="cc-by-sa-4.0",
    paper="2112.10668",
)
