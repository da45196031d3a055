"""ANLI+: ANLI's three rounds, MNLI and SNLI as one task with one head (Phang et al. 2020, table 1)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    parts=("anli", "mnli", "snli"),
    labels=("entailment", "neutral", "contradiction"),
    license="cc-by-nc-4.0",  # ANLI's, the strictest of the three
    paper="2005.13013",
)
