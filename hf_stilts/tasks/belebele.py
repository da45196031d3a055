"""Belebele: which of four answers a passage gives to a question, in 122 languages (Bandarkar et al. 2024)."""

from typing import Any

from hf_stilts.task import Task


def number(row: dict[str, Any]) -> dict[str, Any]:
    """Count the right answer from 0; its publisher counts from 1."""
    return {**row, "label": int(row["label"]) - 1}


TASK = Task(
    kind="multiple-choice",
    dataset="mteb/belebele",  # as facebook/belebele, the publisher's
    config="{flores}",
    revision="979a211276faa22f671e69d096634193567cfd05",
    columns={
        "context": "flores_passage",
        "question": "question",
        "choices": ("mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4"),
        "label": "correct_answer_num",
    },
    languages=(
        "acm", "af", "am", "apc", "ar", "ar_Latn", "ars", "ary", "arz", "as", "az", "bg", "bm", "bn", "bn_Latn",
        "bo", "ca", "ceb", "ckb", "cs", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "fuv", "gn",
        "gu", "ha", "he", "hi", "hi_Latn", "hr", "ht", "hu", "hy", "id", "ig", "ilo", "is", "it", "ja", "jv",
        "ka", "kac", "kea", "kk", "km", "kn", "ko", "ky", "lg", "ln", "lo", "lt", "luo", "lv", "mg", "mi", "mk",
        "ml", "mn", "mr", "ms", "mt", "my", "nb", "ne", "ne_Latn", "nl", "nso", "ny", "om", "or", "pa", "pl",
        "ps", "pt", "ro", "ru", "rw", "sd", "shn", "si", "si_Latn", "sk", "sl", "sn", "so", "sq", "sr", "ss",
        "st", "su", "sv", "sw", "ta", "te", "tg", "th", "ti", "tl", "tn", "tr", "ts", "uk", "ur", "ur_Latn",
        "uz", "vi", "war", "wo", "xh", "yo", "zh", "zh_Hant", "zu",
    ),
    train=("cosmosqa",),  # English; the paper trains on RACE and five others
    prepare=number,
    license="cc-by-sa-4.0",
    paper="2308.16884",
)  # fmt: skip
