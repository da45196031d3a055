"""AfriXNLI: XNLI in 16 African languages, English and French (Adelani et al. 2025)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="masakhane/afrixnli",
    config="{iso3}",
    configs={"sw": "swa"},
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    aliases={"contradictory": "contradiction"},
    languages=(
        "am", "ee", "en", "fr", "ha", "ig", "lg", "ln", "om", "rw", "sn", "st", "sw", "tw", "wo", "xh", "yo",
        "zu",
    ),
    train=("mnli",),
    license="apache-2.0",
    paper="2406.03368",
)  # fmt: skip
