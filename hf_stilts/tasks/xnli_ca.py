"""XNLI-ca: XNLI in Catalan, the work of translators (Conneau et al. 2018)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="projecte-aina/xnli-ca",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    languages=("ca",),
    train=("mnli",),
    license="cc-by-nc-4.0",
    paper="1809.05053",
)
