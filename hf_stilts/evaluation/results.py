"""Results of a run on disk: a row per language and metric, a file of predictions per language, each written once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hf_stilts.data.mirror import write
from hf_stilts.errors import StiltsError

RESULTS, PREDICTIONS, SETTINGS = "results.jsonl", "predictions", "settings.json"


def read_results(path: str | Path) -> pd.DataFrame:
    """Table of a `results.jsonl`, or of the one in a folder.

    Raises:
        FileNotFoundError: there is none.
        StiltsError: a line is no JSON object; file and line are named.
    """
    path = results_file(path)
    if not path.is_file():
        raise FileNotFoundError(f"No {path}. Make one: hf-stilts evaluate xtreme --model NAME --output-dir DIR")
    return pd.DataFrame(read_lines(path))


def results_file(path: str | Path) -> Path:
    """The file itself, for a file or its folder."""
    path = Path(path)
    return path / RESULTS if path.is_dir() else path


def predictions_file(folder: Path, task: str, language: str) -> Path:
    """Where the predictions for one task in one language lie: `predictions/<task>/<language>.jsonl`."""
    return folder / PREDICTIONS / task / f"{language}.jsonl"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a file of JSON lines."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise StiltsError(
                f"{path}, line {number} is no JSON object ({error}); expected one object a line. Remove the line, or "
                "the file, and run the command again."
            ) from error
    return rows


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, the whole file or nothing."""
    write(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain) + "\n" for row in rows))


def _plain(value: Any) -> Any:
    """What numpy calls a number."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is neither a number, a text nor a list of them")
