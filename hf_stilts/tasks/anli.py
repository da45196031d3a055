"""ANLI: inference questions that people wrote to fool the models of three rounds (Nie et al. 2020)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="facebook/anli",
    config="plain_text",
    revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    splits={
        "train": "train_r1+train_r2+train_r3",
        "validation": "dev_r1+dev_r2+dev_r3",
        "test": "test_r1+test_r2+test_r3",
    },
    license="cc-by-nc-4.0",
    paper="1910.14599",
)
