"""MNLI: say whether a hypothesis follows from a premise (Williams et al. 2018)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="nyu-mll/glue",
    config="mnli",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    aliases={"contradictory": "contradiction"},
    splits={"validation": "validation_matched", "test": "validation_mismatched"},
    license="other",
    paper="1704.05426",
)
