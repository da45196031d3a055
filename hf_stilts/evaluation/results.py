"""Results of a run on disk: a row per language and metric, a file of predictions per language, each written once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hf_stilts.files import read_lines

BY_LAYER = "by_layer"  # metric of the rows that have the main metric of one hidden state each
RESULTS, PREDICTIONS, SETTINGS = "results.jsonl", "predictions", "settings.json"
NOISE = "noise"
"""Folder of a run that holds its results on misspelt rows, a folder a noise and seed."""


def read_results(path: str | Path) -> pd.DataFrame:
    """Table of a `results.jsonl`, or of the one in a folder.

    Raises:
        FileNotFoundError: there is none.
        StiltsError: a line is no JSON object; file and line are named.
    """
    path = results_file(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}; the {RESULTS} of a run, or its folder, is expected. Make one: "
            "hf-stilts evaluate xtreme --base NAME --output-dir DIR"
        )
    return pd.DataFrame(read_lines(path))


def results_file(path: str | Path) -> Path:
    """The file itself, for a file or its folder."""
    path = Path(path)
    return path / RESULTS if path.is_dir() else path


def predictions_file(folder: Path, task: str, language: str) -> Path:
    """Where the predictions for one task in one language lie: `predictions/<task>/<language>.jsonl`."""
    return folder / PREDICTIONS / task / f"{language}.jsonl"
