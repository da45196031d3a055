"""Options of planning and running a study, declared once: what is changed of it, and where it lies.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hf_stilts.options import DATA_DIR_HELP, Options, option
from hf_stilts.studies.study import Study, overridden


@dataclass(frozen=True)
class StudyOptions(Options):
    """What `study plan` and `study run` take alike."""

    LEAST = {"seeds": 1, "max_steps": 1, "limit": 1, "train_limit": 1}

    scale: Literal["full", "small"] = option("full", "small: what one laptop can do.")
    base: tuple[str, ...] | None = option(
        None, "Public model or folder instead of the study's; may be repeated.", several="again"
    )
    arms: tuple[str, ...] | None = option(
        None, "Only this arm of the study; may be repeated.", flag="--arm", several="again"
    )
    targets: tuple[str, ...] | None = option(None, "Comma-separated, instead of the study's.", several="commas")
    languages: tuple[str, ...] | None = option(None, "Score only these, comma-separated.", several="commas")
    seeds: int | None = option(None, "So many, from 0.")
    max_steps: int | None = option(None, "Of every training.")
    limit: int | None = option(None, "Score at most so many rows of each language.")
    train_limit: int | None = option(None, "Train on at most so many rows.")
    output_dir: Path | None = option(None, "Folder of the run; default: runs/study-NAME.")
    data_dir: Path | None = option(None, DATA_DIR_HELP)
    available: bool = option(False, "Leave out the languages and cells without rows here.")

    def changed(self, study: Study) -> Study:
        """The study with what was given in place of its own fields.

        Raises:
            StiltsError: as `overridden`.
        """
        return overridden(
            study,
            scale=self.scale,
            base=self.base,
            arms=self.arms,
            targets=self.targets,
            languages=self.languages,
            seeds=self.seeds,
            max_steps=self.max_steps,
            limit=self.limit,
            train_limit=self.train_limit,
        )

    def folder(self, study: str) -> Path:
        """Folder of the run of a study of this name."""
        return self.output_dir or Path(f"runs/study-{study}")
