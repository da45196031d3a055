"""Multilingual text for masked language modelling beside the tasks: read, held out, mixed over the languages."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets

from hf_stilts.data.derived import parse_tag
from hf_stilts.data.load import load, splits
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task
from hf_stilts.training.samplers import language_draws, language_shares

EXAMPLES = 2_000_000  # of continued masked language modelling in Phang et al. 2020 (unverified)
Text = Mapping[str, Dataset | str | os.PathLike[str]] | str | os.PathLike[str]


def texts_of(
    task: Task, text: Text | None, *, limit: int | None, held_out: int, data_dir: str | os.PathLike[str] | None
) -> tuple[dict[str, Dataset], Dataset]:
    """Training rows of each language, and rows to evaluate on: English, or the first language where there is none.

    Args:
        task: of kind fill-mask; where `text` is None its data set is read, in all its languages.
        text: language -> rows with a column `text`, or a file with one text a line; or a folder of such files,
            `<language>.txt`.
        limit: at most so many rows of each language.
        held_out: the first so many rows, but at most a tenth of them, are evaluated on and not trained; none are taken
            away where the task's data set has a validation split.
        data_dir: local mirror of the data sets.

    Raises:
        StiltsError: no text, or text of a language that is none.
        FileNotFoundError: no such file or folder.
    """
    if text is None:
        rows = {language: load(task, "train", language, limit=limit, data_dir=data_dir) for language in task.languages}
    else:
        found = {parse_tag(code).language: _rows(source) for code, source in _by_language(text).items()}
        rows = {code: part.select(range(min(limit or len(part), len(part)))) for code, part in found.items()}
    rows = {language: part for language, part in rows.items() if len(part)}
    if not rows:
        raise StiltsError(f"There is no text for {task.name}. Pass a folder with en.txt, sw.txt, ...: text= or --text.")
    judged = "en" if "en" in rows else next(iter(rows))
    if text is None and "validation" in splits(task, judged, data_dir):
        return rows, load(task, "validation", judged, limit=held_out, data_dir=data_dir)
    count = max(1, min(held_out, len(rows[judged]) // 10))
    dev = rows[judged].select(range(count))
    rows[judged] = rows[judged].select(range(min(count, len(rows[judged]) - 1), len(rows[judged])))
    return rows, dev


def mix(
    rows: Mapping[str, Dataset],
    featurise: Callable[[Dataset], Dataset],
    *,
    total: int | None,
    alpha: float,
    seed: int,
) -> Dataset:
    """Features of all languages, those of each as often as its smoothed share says (`samplers.language_shares`).

    Args:
        rows: texts of each language; no more of them are featurised than can be drawn.
        featurise: texts to windows.
        total: number of windows. Default: the number of texts, at most `EXAMPLES`.
        alpha: exponent of the languages' shares of the texts.
        seed: chooses texts and windows.
    """
    texts = {language: len(part) for language, part in rows.items()}
    total, shares = total or min(EXAMPLES, sum(texts.values())), language_shares(texts, alpha)
    features = {
        language: featurise(rows[language].select(np.unique(chosen)))
        for language, chosen in language_draws(texts, shares, total, seed).items()
    }
    sizes = {language: len(part) for language, part in features.items()}
    drawn = language_draws(sizes, {language: shares[language] for language in sizes}, total, seed)
    offsets = dict(zip(features, np.cumsum([0, *map(len, features.values())]).tolist(), strict=False))
    chosen = np.concatenate([offsets[language] + numbers for language, numbers in drawn.items()])
    return concatenate_datasets(list(features.values())).select(chosen)


def _by_language(text: Text) -> Mapping[str, Dataset | str | os.PathLike[str]]:
    if isinstance(text, Mapping):
        return text
    folder = Path(text).expanduser()
    files = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    if not files:
        raise FileNotFoundError(
            f"No <language>.txt in {folder}; a folder with en.txt, sw.txt, ... is expected, one text a line."
        )
    return files


def _rows(source: Dataset | str | os.PathLike[str]) -> Dataset:
    if isinstance(source, Dataset):
        return source
    # Split on "\n" alone: text of other languages holds characters that splitlines() takes for ends of lines.
    lines = Path(source).expanduser().read_text(encoding="utf-8-sig").split("\n")
    return Dataset.from_dict({"text": [line.strip("\r") for line in lines if line.strip()]})
