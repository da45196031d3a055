"""XNLI, translated training data: MNLI by machine in 14 further languages (Conneau et al. 2018)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="facebook/xnli",
    config="{language}",
    revision="b8dd5d7af51114dbda02c0e3f6133f332186418e",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
    license="cc-by-nc-4.0",
    paper="1809.05053",
)
