"""PAN-X (WikiANN): find persons, organisations and places, in the 48 languages of XTREME-R (Rahimi et al. 2019)."""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    dataset="unimelb-nlp/wikiann",
    config="{language}",
    revision="f0a3be6dc5564c0cc4150bb660144800a1f539d4",
    columns={"tokens": "tokens", "tags": "ner_tags"},
    labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
    languages=(
        "af", "ar", "az", "bg", "bn", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "gu", "he", "hi", "hu",
        "id", "it", "ja", "jv", "ka", "kk", "ko", "lt", "ml", "mr", "ms", "my", "nl", "pa", "pl", "pt", "qu", "ro",
        "ru", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "yo", "zh",
    ),
    metric="f1",
    paper="1902.00193",
)  # fmt: skip
