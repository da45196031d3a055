"""AmericasNLI: say whether a hypothesis follows, in ten indigenous languages of the Americas (Ebrahimi et al. 2022)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="nala-cub/americas_nli",
    config="{language}",
    configs={"ay": "aym", "qu": "quy"},
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    aliases={"contradictory": "contradiction"},
    languages=("ay", "bzd", "cni", "gn", "hch", "nah", "oto", "qu", "shp", "tar"),
    train=("mnli",),
    paper="2104.08726",
)
