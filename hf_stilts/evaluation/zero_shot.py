"""One model, every language of a task, one tidy table: trained in English, scored everywhere else as it is."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_stilts import __version__
from hf_stilts.data.load import data_revision, load, splits
from hf_stilts.evaluation.predict import predict
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.kinds import load_kind
from hf_stilts.task import StiltsError, Task, load_task
from hf_stilts.training.encoder import load_body, load_tokenizer, load_trained
from hf_stilts.training.recipes import recipe as load_recipe
from hf_stilts.training.trainer import readable_length


def zero_shot(
    model: str | PreTrainedModel,
    task: str | Task,
    languages: Sequence[str] | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    split: str = "test",
    limit: int | None = None,
    max_length: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    **retrieval: Any,
) -> pd.DataFrame:
    """Score one model in all languages of a task.

    Args:
        model: name or folder of a checkpoint, or a model object. A task with a head wants a model whose head was
            trained for it; retrieval takes any encoder.
        task: name, path of a task file, or `Task`.
        languages: two-letter codes; default: all that the task has.
        tokenizer: the model's; default: the one beside the checkpoint.
        split: canonical split to score.
        limit: at most so many rows of each language.
        max_length: tokens per window. Default: what the published scripts use for the kind.
        data_dir: local mirror of the data sets.
        retrieval: for retrieval tasks, e.g. `layer=8`, `pooling="cls"`, `precision="bf16"`.

    Returns:
        One row per language and metric: task, language, metric, score (percent), rows, setting, split, model,
        model_revision, data_revision, seed and versions. `main` marks the metric that averages use.

    Raises:
        StiltsError: a language that the task does not have; a head that was not trained, or for other labels.
    """
    task = load_task(task)
    unknown = [language for language in languages or () if language not in task.languages]
    if unknown:
        raise StiltsError(f"{task.name} has no {unknown[0]}; it has {', '.join(task.languages)}. Correct --languages.")
    kind = load_kind(task.kind)
    name, revision, seed = _identity(model)
    order = None
    if task.has_head:
        source = model if isinstance(model, PreTrainedModel) else name
        model, order = load_trained(source, task, revision=revision)
    elif not isinstance(model, PreTrainedModel):
        model = load_body(name, revision)[0]
    tokenizer = tokenizer or load_tokenizer(name, revision)
    if torch.cuda.is_available():
        model.to("cuda")
    window = max_length or min(load_recipe("xtreme-2020", task).max_length, readable_length(model, tokenizer))
    table = []
    for language in languages or task.languages:
        rows = load(task, split, language, limit=limit, data_dir=data_dir)
        progress = f"{task.name} {language}"
        settings: Mapping[str, Any] = {}
        if task.has_head:
            predictions = predict(model, task, rows, tokenizer, max_length=window, label_order=order, progress=progress)
            scores = kind.score(task, predictions, rows)
        else:
            tuned = _tuned(task, kind.tuned_on, split, language, data_dir)
            found = kind.evaluate(task, rows, model, tokenizer, **tuned, **retrieval)
            scores, settings = found.scores, found.settings
        common = {
            "task": task.name,
            "language": language,
            "rows": len(rows),
            "split": split,
            "setting": _setting(task, language),
            "model": name,
            "model_revision": revision,
            "data_revision": data_revision(task, language, data_dir=data_dir),
            "seed": seed,
            **settings,
            "versions": f"hf_stilts {__version__}, transformers {transformers.__version__}, "
            f"torch {torch.__version__}, python {platform.python_version()}",
        }
        table += [
            {**common, "metric": metric, "score": float(score), "main": metric == task.metric}
            for metric, score in scores.items()
        ]
    return pd.DataFrame(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Main scores with one row per task and one column per language, and the unweighted mean over languages first.

    XTREME averages a task the same way (`evaluate.py`: `avg_metric`).
    """
    main = table[table["main"]].pivot_table(index="task", columns="language", values="score", sort=False)
    main.insert(0, "mean", main.mean(axis=1))
    return main


def append_jsonl(table: pd.DataFrame, path: Path) -> None:
    """Add the rows of a table to a file of JSON lines; what the file held stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(table.to_json(orient="records", lines=True, force_ascii=False).rstrip("\n") + "\n")


def _tuned(
    task: Task, tuned_on: str | None, split: str, language: str, data_dir: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Rows that a threshold is set on, where the kind has one and the data set has another split for it."""
    if tuned_on in (None, split) or tuned_on not in splits(task, language, data_dir):
        return {}
    return {"tune_on": load(task, str(tuned_on), language, data_dir=data_dir)}


def _identity(model: str | PreTrainedModel) -> tuple[str, str | None, int | None]:
    """Name, commit and seed of what is scored."""
    if isinstance(model, PreTrainedModel):
        return model.config._name_or_path, getattr(model.config, "_commit_hash", None), None
    found = resolve(model)
    return found.repo_id, found.commit, found.record.seed if found.record else None


def _setting(task: Task, language: str) -> str:
    """How the model came to this language; part of every row, because scores of different settings do not compare."""
    if not task.has_head:
        return "no target training"
    return "trained language" if language == "en" else "zero-shot"
