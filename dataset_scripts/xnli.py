"""XNLI: pairs in 15 languages to evaluate on (XNLI-1.0), and MNLI by machine in each to train on (XNLI-MT-1.0)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from hf_stilts.dataset_scripts.raw import TRANSLATED, Raw
from hf_stilts.task import load_task

TASK = load_task("xnli")
SPLITS = {"validation": "xnli.dev.tsv", "test": "xnli.test.tsv"}
FILES = ("multinli.train.{language}.tsv", *SPLITS.values(), TRANSLATED)
SOURCE = "https://github.com/facebookresearch/XNLI (XNLI-1.0.zip, XNLI-MT-1.0.zip)"
CITATION = "Conneau et al. (2018), XNLI: Evaluating Cross-lingual Sentence Representations, EMNLP."
FEATURES = Features(
    {
        "id": Value("int32"),
        "premise": Value("string"),
        "hypothesis": Value("string"),
        "label": ClassLabel(names=list(TASK.labels)),
    }
)


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a pair: those of `multinli.train.de.tsv`, and of German in `xnli.dev.tsv` and `xnli.test.tsv`.

    Without the first, training rows are those of XTREME's own translations, `en-de-translated.tsv`. `id` is the place
    among the pairs of the file, from 0, and so the same in every language, broken lines or not.
    """
    train = f"multinli.train.{language}.tsv"
    published = raw.find(train)
    raw.first_of(published, raw.find(TRANSLATED.format(language=language)))
    parts = {"train": _train(raw, train) if published else _translated(raw, language)}
    parts |= {split: _evaluated(raw, file, language) for split, file in SPLITS.items() if raw.find(file)}
    rows = {split: list(each) for split, each in parts.items()}
    return {split: Dataset.from_list(each, features=FEATURES) for split, each in rows.items() if each}


def _train(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for number, row in raw.records(name, dict.fromkeys(("premise", "hypo", "label"), Value("string"))):
        place = number - 2  # after the header
        yield {"id": place, **_row(raw, name, number, row["premise"], row["hypo"], row["label"])}


def _translated(raw: Raw, language: str) -> Iterator[dict[str, Any]]:
    name = TRANSLATED.format(language=language)
    for number, cells in raw.translated_pairs(language, (*TASK.labels, *TASK.aliases)):
        yield {"id": number - 1, **_row(raw, name, number, *cells)}


def _evaluated(raw: Raw, name: str, language: str) -> Iterator[dict[str, Any]]:
    texts = dict.fromkeys(("language", "gold_label", "sentence1", "sentence2"), Value("string"))
    rows = raw.records(name, texts)
    for place, (number, row) in enumerate(each for each in rows if each[1]["language"] == language):
        yield {"id": place, **_row(raw, name, number, row["sentence1"], row["sentence2"], row["gold_label"])}


def _row(raw: Raw, name: str, number: int, premise: str, hypothesis: str, label: str) -> dict[str, Any]:
    label = TASK.aliases.get(label, label)
    if label not in TASK.labels:
        raise raw.error(name, number, f"label {label!r}", f"one of {', '.join((*TASK.labels, *TASK.aliases))}")
    return {"premise": premise, "hypothesis": hypothesis, "label": label}
