"""QQP: say whether two questions asked on Quora are the same (Wang et al. 2019, GLUE)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="nyu-mll/glue",
    config="qqp",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    columns={"text": "question1", "text_pair": "question2", "label": "label"},
    labels=("not_duplicate", "duplicate"),
    splits={"test": "validation"},  # the published test split has no labels
    metric="acc_and_f1",
    license="other",
    paper="1804.07461",
)
