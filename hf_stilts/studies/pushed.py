"""Reads the gains of a study back from where `hf-stilts study push` put them: a dataset repository, or its files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    RepositoryNotFoundError,
)

from hf_stilts.errors import StiltsError
from hf_stilts.studies.cells import short
from hf_stilts.studies.comparable import NOT_STATED, plain
from hf_stilts.task import list_tasks, load_task

GAINS = "data/languages.parquet"
ARMS = "data/arms.parquet"  # says the base, which the other tables leave out where all rows have the same
_FACTORS = ("train_on", "adapter", "noise")
_NUMBERS = ("score", "baseline", "gain")


def is_study(results: str | os.PathLike[str]) -> bool:
    """Whether results are a study's: a folder with its tables, or no path here but perhaps a repository."""
    path = Path(results)
    return (path / GAINS).is_file() if path.exists() else path.suffix != ".jsonl" and len(path.parts) == 2


def gains_of_study(
    study: str | os.PathLike[str], bases: Collection[str] = (), api: HfApi | None = None
) -> list[dict[str, Any]]:
    """Gains of a study by arm, target and language, as rows of the transfer matrix.

    Args:
        study: dataset repository (`"you/phang2020-results"`), or a folder with its files.
        bases: full names of public models; a study's short name of a base is taken for the one that ends so.
        api: client of the Hub.

    Returns:
        Rows with `base`, `intermediate` (the arm), `target`, `language`, `metric`, `score`, `baseline`, `gain`, `runs`,
        `baseline_runs`, `setting`, and as `conditions` the study and the values of its factors.

    Raises:
        StiltsError: there is no such study, or it has no table of gains by language.
    """
    import pandas as pd  # takes half a second, and most matrices are of no study

    file = _file(study, GAINS, api)
    if file is None:
        raise StiltsError(
            f"{study} holds no {GAINS}; the results of a study with gains by language are expected. Push them: "
            "hf-stilts study push STUDY (whose report= has 'languages')."
        )
    table = pd.read_parquet(file)
    lacking = [name for name in ("arm", "task", "language", "seeds", *_NUMBERS) if name not in table]
    if lacking:
        raise StiltsError(
            f"{GAINS} of {study} has no column {', '.join(lacking)}; the table that hf-stilts study push writes is "
            "expected. Push the study again."
        )
    arms = _file(study, ARMS, api)
    known = list(pd.read_parquet(arms)["base"].unique()) if arms is not None and "base" not in table else []
    only = known[0] if len(known) == 1 else NOT_STATED
    rows = []
    for row in table.to_dict("records"):
        conditions = {"study": plain(study)} | {name: plain(row[name]) for name in _FACTORS if row.get(name)}
        target = plain(row["task"])
        said: dict[str, Any] = {"base": _base(row.get("base", only), bases), "intermediate": plain(row["arm"])}
        said |= {"target": target, "language": plain(row["language"]), "metric": _metric(target)}
        said |= {name: float(row[name]) for name in _NUMBERS}
        said |= {"runs": int(row["seeds"]), "baseline_runs": int(row["seeds"]), "setting": NOT_STATED}
        rows.append(said | {"conditions": conditions})
    return rows


def _file(study: str | os.PathLike[str], path: str, api: HfApi | None) -> Path | None:
    """A file of a study's results here; None where they have no such file."""
    folder = Path(study)
    if folder.is_dir():
        return folder / path if (folder / path).is_file() else None
    try:
        return Path((api or HfApi()).hf_hub_download(Path(study).as_posix(), path, repo_type="dataset"))
    except EntryNotFoundError:
        return None
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise StiltsError(
            f"There is no {study} here, and no dataset repository of that name that this token may read; results of "
            "`evaluate xtreme` or of a study are expected. Pass for example: --results runs/mnli, or what "
            "hf-stilts study push has named: --results you/phang2020-results"
        ) from error


def _base(name: str, bases: Iterable[str]) -> str:
    """The full name of a base, where exactly one of those that are known ends so."""
    full = [each for each in bases if short(each) == name]
    return full[0] if len(full) == 1 else plain(name)


def _metric(target: str) -> str:
    return load_task(target).metric if target in list_tasks() else NOT_STATED
