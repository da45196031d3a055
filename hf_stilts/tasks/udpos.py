"""UD-POS: give each word one of 17 universal parts of speech, in the 38 languages of XTREME-R (Nivre et al. 2018)."""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    dataset="google/xtreme",
    config="udpos.{name}",
    revision="ec5f1f46e9af79639a90684a7a70a956c4998f04",
    columns={"tokens": "tokens", "tags": "pos_tags"},
    labels=(
        "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
        "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
    ),
    languages=(
        "af", "ar", "bg", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it",
        "ja", "kk", "ko", "mr", "nl", "pt", "ru", "ta", "te", "th", "tl", "tr", "ur", "vi", "yo", "zh",
        "lt", "pl", "ro", "uk", "wo",
    ),
    built=("lt", "pl", "ro", "uk", "wo"),  # XTREME-R's, from the treebanks of UD 2.7
    metric="f1",
    license="other",
    paper="2003.11080",
)  # fmt: skip
