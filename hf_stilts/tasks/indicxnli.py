"""IndicXNLI: XNLI in 11 languages of India, translated by machine, test rows as well (Aggarwal et al. 2022)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="Divyanshu/indicxnli",  # a loading script there: hf-stilts data build indicxnli
    config="{language}",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    languages=("as", "bn", "gu", "hi", "kn", "ml", "mr", "or", "pa", "ta", "te"),
    train=("mnli",),
    translated=True,
    license="cc-by-4.0",
    paper="2204.08776",
)
