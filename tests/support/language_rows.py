"""A small mirror for tests of languages: a classification and a question answering task, in English and Swahili."""

from pathlib import Path

from datasets import Dataset

from hf_stilts.task import Task

PAIRS = Task(
    kind="text-classification", dataset="x/pairs", config="{language}", languages=("en", "sw"), labels=("no", "yes"),
    license="cc-by-4.0", name="pairs",
)  # fmt: skip
QUESTIONS = Task(
    kind="question-answering", dataset="x/questions", config="{language}", languages=("en",), metric="f1",
    license="cc-by-sa-4.0", name="questions",
)  # fmt: skip
CHOICES = Task(kind="multiple-choice", dataset="x/choices", config="{language}", languages=("en",), name="choices")
TAGS = Task(
    kind="token-classification",
    dataset="x/tags",
    config="{language}",
    languages=("en",),
    labels=("N", "V"),
    name="tags",
)


def pair(number: int, language: str = "en") -> dict:
    return {"text": f"{language} one {number}", "text_pair": f"{language} two {number}", "label": number % 2}


def question(number: int, context: str, answer: str, question: str = "What is there?") -> dict:
    answers = {"text": [answer] if answer else [], "answer_start": [context.index(answer)] if answer else []}
    return {"id": f"q{number}", "context": context, "question": question, "answers": answers}


def store(root: Path, task: Task, rows: dict[str, dict[str, list[dict]]]) -> Path:
    """Write language -> split -> canonical rows as a mirror of the task's data set; its folder comes back."""
    lines = ["---", "configs:"]
    for language, splits in rows.items():
        folder = root / task.dataset / language
        folder.mkdir(parents=True, exist_ok=True)
        lines += [f"- config_name: {language}", "  data_files:"]
        for split, each in splits.items():
            Dataset.from_list(each).to_parquet(folder / f"{split}.parquet")
            lines += [f"  - split: {split}", f"    path: {language}/{split}.parquet"]
    (root / task.dataset / "README.md").write_text("\n".join([*lines, "---", ""]))
    return root
