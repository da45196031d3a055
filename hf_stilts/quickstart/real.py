"""The quickstart with a real encoder and real text: translations found before and after one intermediate task."""

from __future__ import annotations

import time
from pathlib import Path

from hf_stilts.console import out, show, tell_cell
from hf_stilts.studies.run import run_study
from hf_stilts.studies.study import Intermediate, Study
from hf_stilts.studies.tables import study_report

BASE = "intfloat/multilingual-e5-small"
LANGUAGES = ("de", "et", "sw", "tr")
STEPS = 150
SENTENCE_TUNED = (
    "\nThis encoder was tuned to find translations, and an intermediate task takes some of that away. The papers "
    "begin with masked language models, which gain: --base FacebookAI/xlm-roberta-base (about four times the time)."
)


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
    report = study_report(study.name, folder, bootstrap=1000)
    (gains,) = (table.rows for table in report.tables if table.name == "languages")
    rows = [
        {
            "language": row["language"],
            "before": row["baseline"],
            "after": row["score"],
            "gain": row["gain"],
            "95 % interval": f"{row['low']:+.1f} to {row['high']:+.1f}",
        }
        for row in gains
    ]
    show(rows, as_json=False, title="Translations found on Tatoeba in percent, before and after SNLI")
    if base is None:
        out.print(SENTENCE_TUNED)
    out.print(f"\nDone in {time.monotonic() - started:.0f} seconds.")
