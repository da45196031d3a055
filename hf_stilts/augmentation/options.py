"""Options of the commands that derive rows, declared once.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hf_stilts.options import DATA_DIR_HELP, Options, option


@dataclass(frozen=True)
class RowOptions(Options):
    """Which rows of a task are read."""

    LEAST = {"limit": 1}

    language: str = option("en", "Language of the rows.", flag="--from")
    splits: tuple[str, ...] = option(("train",), "Splits, comma-separated: train, validation, test.", several="commas")
    limit: int | None = option(None, "Maximum number of rows.")
    exclude: Path | None = option(None, "List of training rows to leave out, as data overlap writes it.")
    data_dir: Path | None = option(None, DATA_DIR_HELP)
