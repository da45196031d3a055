"""XNLIeu: XNLI in Basque, translated by machine and corrected by translators (Heredia et al. 2024)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="HiTZ/xnli-eu",
    config="{language}",  # beside it eu_mt, as the machine left it, and eu_native, written in Basque
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    languages=("eu",),
    train=("mnli",),
    license="cc-by-nc-4.0",
    paper="2404.06996",
)
