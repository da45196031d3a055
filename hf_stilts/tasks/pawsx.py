"""PAWS-X: say whether two sentences of much the same words mean the same, in seven languages (Yang et al. 2019)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="google-research-datasets/paws-x",
    config="{language}",  # training rows in every language: English is PAWS-Wiki, the others are its translations
    revision="4cd8187c404bda33cb1f62b49b001115862acf37",
    columns={"text": "sentence1", "text_pair": "sentence2", "label": "label"},
    labels=("0", "1"),  # as XTREME's files have them; 1 is a paraphrase
    languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
    translated=True,
    license="other",
    paper="1908.11828",
)
