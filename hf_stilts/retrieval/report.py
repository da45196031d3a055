"""What to look at after mining: the spread of the scores, hubs, and pairs to read, as Markdown."""

from collections.abc import Sequence

import numpy as np

from hf_stilts.retrieval.mining import BitextPairs, Threshold

BINS = 20
BAR = 40


def mining_report(
    pairs: BitextPairs,
    source: Sequence[str],
    target: Sequence[str],
    threshold: Threshold | float | None = None,
    read: int = 10,
) -> str:
    """A Markdown page on mined pairs: setting, histogram, hubs, best and borderline pairs.

    Args:
        pairs: mined pairs; with `retrieval="all"` or "forward" the page also shows hubs, rows that many others chose.
        source: the sentences of the source side, by row.
        target: those of the target side.
        threshold: marked in the histogram; the borderline pairs are those around it, or around the median without one.
        read: how many pairs to show of each kind.
    """
    value = threshold.value if isinstance(threshold, Threshold) else threshold
    parts = ["# Mining report", "", ", ".join(f"{name} {mine}" for name, mine in pairs.setting.items()), ""]
    if not len(pairs):
        return "\n".join([*parts, "No pairs were mined.", ""])
    parts += [f"{len(pairs)} pairs among {len(source)} source and {len(target)} target sentences."]
    if isinstance(threshold, Threshold):
        parts[-1] += f" The threshold {threshold.value:.4f} was set on {threshold.on} (F1 {threshold.f1:.4f} there)."
    if value is not None:
        parts[-1] += f" {len(pairs.above(value))} pairs reach it."
    parts += ["", "## Scores", "", "```", *histogram(pairs, value), "```", "", "## Hubs", ""]
    parts += hubs("source", pairs.source, source) + hubs("target", pairs.target, target)
    middle = int(np.searchsorted(-pairs.score, -(value if value is not None else np.median(pairs.score))))
    around = range(max(0, middle - read // 2), min(len(pairs), middle + read - read // 2))
    for title, rows in (("Best pairs", range(min(read, len(pairs)))), ("Borderline pairs", around)):
        parts += ["", f"## {title}", "", "| score | source | target |", "|---|---|---|"]
        parts += [
            f"| {pairs.score[row]:.4f} | {cell(source[pairs.source[row]])} | {cell(target[pairs.target[row]])} |"
            for row in rows
        ]
    return "\n".join([*parts, ""])


def histogram(pairs: BitextPairs, threshold: float | None) -> list[str]:
    """Lines of a histogram, the bin of the threshold marked."""
    counts, edges = np.histogram(pairs.score, bins=BINS)
    lines = []
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        mark = " <- threshold" if threshold is not None and low <= threshold < high else ""
        lines.append(f"{low:8.4f} {'#' * round(BAR * count / counts.max()):{BAR}s} {count}{mark}".rstrip())
    return lines


def hubs(side: str, rows: np.ndarray, sentences: Sequence[str], most: int = 5) -> list[str]:
    """The rows of a side that stand in the most pairs, if any stands in more than one."""
    counts = np.bincount(rows)
    top = np.argsort(-counts, kind="stable")[:most]
    found = [f"- {side} {row}, in {counts[row]} pairs: {cell(sentences[row])}" for row in top if counts[row] > 1]
    return found or [f"- {side}: no row stands in more than one pair"]


def cell(text: str, width: int = 100) -> str:
    """A sentence that fits a table cell."""
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= width else text[: width - 1] + "…"
