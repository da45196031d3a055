"""The quickstart with a real encoder and real text: translations found before and after one intermediate task."""

from __future__ import annotations

import time
from pathlib import Path

from hf_stilts.console import out, show_study_report, tell_cell
from hf_stilts.studies.run import run_study
from hf_stilts.studies.study import Intermediate, Study
from hf_stilts.studies.tables import study_report

BASE = "intfloat/multilingual-e5-small"
LANGUAGES = ("de", "et", "sw", "tr")
STEPS = 150


def run_real(folder: Path, base: str | None = None, seed: int = 42, data_dir: Path | None = None) -> None:
    """Train one intermediate task from a real encoder, and score retrieval in four languages with and without it.

    It is a study with two arms; after an interruption the same call continues. About ten minutes of processor time.

    Args:
        folder: the cells of the study are written here.
        base: public encoder by id or folder; default: multilingual-e5-small, 118 million parameters.
        seed: of the training.
        data_dir: local mirror of the data sets; else HF_STILTS_DATA, else the Hub.

    Raises:
        StiltsError: the rows or the base are not there.
    """
    started = time.monotonic()
    study = Study(
        name="quickstart",
        description="Whether natural language inference in English helps to find translations.",
        base=(base or BASE,),
        arms={"none": None, "SNLI": Intermediate("snli")},
        targets=("tatoeba",),
        languages=LANGUAGES,
        seeds=(seed,),
        flags={"max_steps": STEPS, "per_device_train_batch_size": 16, "learning_rate": 1e-4},
        report=("gains", "languages"),
    )
    out.print("[bold]hf_stilts quickstart[/]: Tatoeba before and after an intermediate task, with a real encoder")
    run_study(study, folder, data_dir=data_dir, tell=tell_cell)
    show_study_report(study_report(study.name, folder, bootstrap=1000), [], as_json=False)
    out.print(f"\nDone in {time.monotonic() - started:.0f} seconds.")
