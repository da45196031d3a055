"""Tasks of two labels and rows of a few words, one kind each: the least that a Trainer can learn from."""

from datasets import Dataset

from hf_stilts.task import Task

PAIRS = Task(kind="text-classification", dataset="x/y", labels=("no", "yes"), name="pairs")


TAGS = Task(kind="token-classification", dataset="x/y", labels=("N", "V"), name="tags")


CHOICES = Task(kind="multiple-choice", dataset="x/y", name="choices")


SPANS = Task(kind="question-answering", dataset="x/y", metric="f1", name="spans")


WORDS = "house dog book city old small red cat teacher river one two".split()


def rows(task: Task, count: int = 8) -> Dataset:
    """Rows of equal length, so that a mean of micro-batch means is the mean of the whole batch."""
    made = []
    for index in range(count):
        word = WORDS[index % len(WORDS)]
        made.append(
            {
                "text-classification": {"text": f"the {word}", "text_pair": "a cat", "label": index % 2},
                "token-classification": {"tokens": ["the", word, "reads"], "tags": [0, index % 2, 1]},
                "multiple-choice": {"context": f"the {word}", "choices": ["a cat", "a dog"], "label": index % 2},
                "question-answering": {
                    "id": str(index), "question": "who reads", "context": f"the {word} reads a book",
                    "answers": {"text": [word], "answer_start": [4]},
                },
            }[task.kind]
        )  # fmt: skip
    return Dataset.from_list(made)
