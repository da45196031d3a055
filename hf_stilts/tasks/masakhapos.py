"""MasakhaPOS: give each word one of 17 universal parts of speech, in 20 African languages (Dione et al. 2023)."""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    dataset="masakhane/masakhapos",  # a loading script there: hf-stilts data build masakhapos
    config="{iso3}",
    configs={"sw": "swa"},
    columns={"tokens": "tokens", "tags": "upos"},
    labels=(
        "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
        "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
    ),
    languages=(
        "bbj", "bm", "ee", "fon", "ha", "ig", "lg", "luo", "mos", "ny", "pcm", "rw", "sn", "sw", "tn", "tw",
        "wo", "xh", "yo", "zu",
    ),
    train=("udpos",),
    metric="f1",
    license="cc-by-nc-4.0",
    paper="2305.13989",
)  # fmt: skip
