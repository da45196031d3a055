"""Tatoeba: find each sentence's English translation among up to 1,000, in 41 languages (Artetxe and Schwenk 2019)."""

from hf_stilts.task import Task

TASK = Task(
    kind="bitext-retrieval",
    dataset="mteb/tatoeba-bitext-mining",
    config="{iso3}-eng",
    revision="69e8f12da6e31d59addadda9a9c8a2e601a0e282",
    columns={"source": "sentence1", "target": "sentence2"},
    languages=(
        "af", "ar", "az", "bg", "bn", "de", "el", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it",
        "ja", "jv", "ka", "kk", "ko", "lt", "ml", "mr", "nl", "pl", "pt", "ro", "ru", "sw", "ta", "te", "th", "tl",
        "tr", "uk", "ur", "vi", "zh",
    ),
    license="cc-by-2.0",
    paper="1812.10464",
)  # fmt: skip
