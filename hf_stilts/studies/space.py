"""The transfer matrix as a static Space of the Hub: one page with its numbers inside, and no server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import metadata_save

from hf_stilts.files import write
from hf_stilts.studies.matrix import TransferMatrix
from hf_stilts.studies.page import languages_of, render
from hf_stilts.task import list_tasks, load_task

TITLE = "What helps which target"
_CARD = "README.md"
_COLUMNS = (
    "base", "intermediate", "target", "language", "score", "baseline", "gain", "runs", "baseline_runs", "comparison",
)  # fmt: skip


def write_space(found: TransferMatrix, folder: str | os.PathLike[str]) -> list[Path]:
    """Write a Space that shows a transfer matrix: filters, languages, and a picker of checkpoints with their code.

    Args:
        found: the matrix.
        folder: receives `index.html`, which may also be opened from the disk, `matrix.csv` with its numbers, and
            `README.md` with what the Hub needs to know; a card that is there stays as it is.

    Returns:
        The files that were written.
    """
    folder = Path(folder)
    data: dict[str, Any] = {"cells": {"columns": _COLUMNS, "rows": _rows(found)}, "checkpoints": found.checkpoints}
    data["comparisons"] = found.comparisons
    data["languages"] = languages_of(sorted({cell["language"] for cell in found.cells}))
    targets = sorted({cell["target"] for cell in found.cells})
    data["untrained"] = [target for target in targets if _is_untrained(target)]
    written = {"index.html": render("matrix.html", title=TITLE, notes=found.notes, data=data)}
    written["matrix.csv"] = found.text("csv") + "\n"
    for name, text in written.items():
        write(folder / name, text)
    paths = [folder / name for name in written]
    card = folder / _CARD
    if not card.exists():
        write(card, f"\n# {TITLE}\n\n{_ABOUT}")
        metadata_save(card, _METADATA)
        paths.append(card)
    return paths


_METADATA = {
    "title": TITLE,
    "emoji": "🧭",
    "colorFrom": "blue",
    "colorTo": "yellow",
    "sdk": "static",
    "app_file": "index.html",
    "short_description": "Intermediate task x target x language",
    "tags": ["hf_stilts", "stilts"],
}

_ABOUT = """The gains of intermediate training over the same target training without it, by intermediate task, target \
and language, of all published scores that compare. Made again, and brought here, with:

```bash
hf-stilts matrix --space DIR
hf upload YOU/SPACE DIR --repo-type space
```
"""


def _is_untrained(target: str) -> bool:
    """Whether a target is scored with the encoder as it is, without training for it."""
    if target not in list_tasks():
        return False
    task = load_task(target)
    return not (task.has_head or task.train)


def _rows(found: TransferMatrix) -> list[list[Any]]:
    """A row for each base, intermediate task, target and language: of the comparison that the matrix shows."""
    fields = ("base", "intermediate", "target", "comparison")
    shown = {tuple(row[name] for name in fields) for row in found.one_comparison_each()}
    chosen: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for cell in found.cells:
        if tuple(cell[name] for name in fields) not in shown:
            continue
        key = (cell["base"], cell["intermediate"], cell["target"], cell["language"])
        before = chosen.setdefault(key, cell)
        if cell["runs"] + cell["baseline_runs"] > before["runs"] + before["baseline_runs"]:
            chosen[key] = cell
    return [[cell[name] for name in _COLUMNS] for cell in chosen.values()]
