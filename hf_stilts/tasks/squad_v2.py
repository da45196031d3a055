"""SQuAD 2.0: find the answer to a question in a paragraph, or say that it is not there (Rajpurkar et al. 2018)."""

from hf_stilts.task import Task

TASK = Task(
    kind="question-answering",
    dataset="rajpurkar/squad_v2",
    config="squad_v2",
    revision="3ffb306f725f7d2ce8394bc1873b24868140c412",
    splits={"test": "validation"},
    metric="best_em_and_f1",
    license="cc-by-sa-4.0",
    paper="1806.03822",
)
