"""Pictures of a comparison: who gains where, which layer finds translations best, and what noise costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hf_stilts.errors import needs_extra


def heat_map(scores: pd.DataFrame, path: Path, *, title: str) -> Path:
    """Draw a table of scores, coloured by the difference from its first row.

    Args:
        scores: rows = encoders, the baseline first; columns = what was scored; percent.
        path: PNG to write.
        title: above the picture.
    """
    with needs_extra("quickstart", "A picture"):
        from matplotlib.figure import Figure

    gains = scores - scores.iloc[0]
    reach = max(1.0, float(gains.abs().max().max()))
    figure = Figure(figsize=(2.4 + 0.62 * scores.shape[1], 1.5 + 0.5 * scores.shape[0]), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(gains, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
    axes.set_xticks(range(scores.shape[1]), list(scores.columns), rotation=45, ha="right")
    axes.set_yticks(range(scores.shape[0]), list(scores.index))
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            dark = abs(gains.iat[row, column]) > 0.6 * reach
            axes.text(
                column, row, f"{scores.iat[row, column]:.0f}", ha="center", va="center", fontsize=8,
                color="white" if dark else "black",
            )  # fmt: skip
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, label="gain in points")
    figure.savefig(path, dpi=130)
    return path


def layer_curve(curves: Mapping[str, Sequence[float]], path: Path, *, title: str, chance: float | None = None) -> Path:
    """Draw retrieval accuracy over the hidden states, one line per encoder.

    Args:
        curves: encoder -> accuracy in percent of `hidden_states[0]`, `[1]`, ...
        path: PNG to write.
        title: above the picture.
        chance: accuracy of guessing, as a dotted line.
    """
    with needs_extra("quickstart", "A picture"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, accuracies in curves.items():
        axes.plot(range(len(accuracies)), accuracies, marker="o", markersize=4, label=name)
    if chance is not None:
        axes.axhline(chance, color="grey", linestyle=":", label="chance")
    axes.set_xlabel("hidden state (0 = embeddings)")
    axes.set_ylabel("accuracy, mean over languages (%)")
    axes.set_xticks(range(max(len(values) for values in curves.values())))
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    return path


def noise_curves(curves: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the scores on misspelt rows over the level of noise: a panel a task and noise, a line a start.

    Args:
        curves: rows of `RobustnessReport.curves`.
        path: PNG to write.
    """
    with needs_extra("quickstart", "A picture"):
        from matplotlib.figure import Figure

    panels = list(dict.fromkeys((each["task"], each["noise"]) for each in curves))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    for axes, (task, noise) in zip(every, panels, strict=False):
        for each in curves:
            if (each["task"], each["noise"]) == (task, noise):
                levels = [100 * level for level in each["levels"]]
                axes.plot(levels, each["scores"], marker="o", markersize=4, label=str(each["start"]))
        axes.set_title(f"{task}, {noise}", fontsize=10)
        axes.set_xlabel("words misspelt (%)")
        axes.set_ylabel("score, mean over languages (%)")
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    return path
