"""MasakhaNER 2.0: find persons, organisations and places in the news of 20 African languages (Adelani et al. 2022)."""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    dataset="masakhane/masakhaner2",  # a loading script there: hf-stilts data build masakhaner2
    config="{iso3}",
    configs={"sw": "swa"},
    columns={"tokens": "tokens", "tags": "ner_tags"},
    labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
    aliases={"B-DATE": "O", "I-DATE": "O"},  # no English training data has dates
    languages=(
        "bbj", "bm", "ee", "fon", "ha", "ig", "lg", "luo", "mos", "ny", "pcm", "rw", "sn", "sw", "tn", "tw",
        "wo", "xh", "yo", "zu",
    ),
    train=("panx",),
    metric="f1",
    license="afl-3.0",
    paper="2210.12391",
)  # fmt: skip
