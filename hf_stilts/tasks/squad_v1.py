"""SQuAD 1.1: find the answer to a question in a paragraph (Rajpurkar et al. 2016)."""

from hf_stilts.task import Task

TASK = Task(
    kind="question-answering",
    dataset="rajpurkar/squad",
    config="plain_text",
    revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    splits={"test": "validation"},
    metric="em_and_f1",
    license="cc-by-sa-4.0",
    paper="1606.05250",
)
