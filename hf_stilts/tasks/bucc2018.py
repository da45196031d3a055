"""BUCC 2018: mine the translations hidden in two comparable corpora (Zweigenbaum et al. 2018)."""

from typing import Any

from hf_stilts.task import Task


def name_sentences(row: dict[str, Any]) -> dict[str, Any]:
    """Replace the gold's line numbers, which count from 1, by sentence ids: the publisher's, or those very numbers."""
    source_ids = row.get("source_ids") or [str(line + 1) for line in range(len(row["source"]))]
    target_ids = row.get("target_ids") or [str(line + 1) for line in range(len(row["target"]))]
    gold = [(source_ids[source - 1], target_ids[target - 1]) for source, target in row["gold"]]
    return {**row, "source_ids": source_ids, "target_ids": target_ids, "gold": gold}


TASK = Task(
    kind="bitext-mining",
    dataset="mteb/BUCC",  # one row a language pair: all sentences of both sides, and the gold as pairs of line numbers
    config="{language}-en",
    revision="414572247440f0ccacf7eb0bb70a31533a0e5443",
    columns={"source": "sentence1", "target": "sentence2", "gold": "gold"},
    languages=("de", "fr", "ru", "zh"),
    prepare=name_sentences,
    metric="f1",
    paper="2003.11080",
)
