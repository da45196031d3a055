"""XNLI: say whether a hypothesis follows from a premise, in 15 languages (Conneau et al. 2018)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="facebook/xnli",  # its English training rows are MNLI's 392,702, in the text that XTREME trains on
    config="{language}",
    revision="b8dd5d7af51114dbda02c0e3f6133f332186418e",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    aliases={"contradictory": "contradiction"},
    languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
    translated=True,
    license="cc-by-nc-4.0",
    paper="1809.05053",
)
