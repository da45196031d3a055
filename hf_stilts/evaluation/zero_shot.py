"""One model, every language of a task, one tidy table: trained in English, scored everywhere else as it is."""

from __future__ import annotations

import itertools
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pandas as pd
import torch
import transformers
from datasets import Dataset
from transformers import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, PreTrainedModel, PreTrainedTokenizerBase

from hf_stilts import __version__
from hf_stilts.augmentation.noise import Noise
from hf_stilts.augmentation.noisy_rows import columns_of, noisy
from hf_stilts.data.load import data_revision, labelled, load, load_candidates, present, splits
from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.predict import predict
from hf_stilts.evaluation.processes import processes
from hf_stilts.evaluation.setting import setting
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.record import Record
from hf_stilts.kinds import RetrievalKind, Retrieved, kind_for, load_retrieval_kind
from hf_stilts.kinds.features import check_length, readable_length
from hf_stilts.kinds.rows import naming_language
from hf_stilts.models.body import load_body, load_tokenizer
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint
from hf_stilts.models.transfer import load_trained
from hf_stilts.publishing.callback import describe_run, parent_of
from hf_stilts.task import Task, check_languages, load_task

logger = logging.getLogger(__name__)


@runtime_checkable
class RecordedTrainer(Protocol):
    """What is read off a Trainer that is scored before it is saved; the Trainers of `hf_stilts` have it."""

    model: Any
    args: Any
    accelerator: Any
    task: Task
    tokenizer_for_rows: Any

    def record(self) -> Record:
        """What the training was."""


@dataclass(frozen=True)
class LanguageResult:
    """One model in one language of a task.

    Attributes:
        task: the task's name; language: its code.
        rows: one dictionary per metric, as in the table of `zero_shot`.
        predictions: one dictionary per example: `id`, `prediction` and, where the main metric is a ratio of sums over
            examples, what this one `gained` and what was `possible`: the score is 100 * sum(gained) / sum(possible).
    """

    task: str
    language: str
    rows: list[dict[str, Any]]
    predictions: list[dict[str, Any]]


def zero_shot(
    model: str | PreTrainedModel | RecordedTrainer,
    task: str | Task,
    languages: Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Score one model in all languages of a task.

    Args:
        model: name or folder of a checkpoint, a model object, or the Trainer that trained it. A task with a head wants
            a model whose head was trained for it; retrieval takes any encoder.
        task: name, path of a task file, or `Task`.
        languages: two-letter codes; default: all that the task has, from the Hub all that are there (`Task.built`).
        options: as `each_language`: `tokenizer`, `split`, `limit`, `max_length`, `trained_in`, `available`, `data_dir`,
            `noise`, `noise_seed`, `noise_dictionaries`, and what retrieval kinds take.

    Returns:
        One row per language and metric: task, language, metric, score (percent), rows, setting, split, model,
        model_revision, data_revision, seed and versions. `main` marks the metric that averages use. Of a model object
        or a Trainer, `model` and `model_revision` are what it was loaded from.

    Raises:
        StiltsError: a language that the task does not have, or whose rows are not there; a head that was not trained,
            or for other labels.
    """
    results = each_language(model, task, languages, **options)
    return pd.DataFrame([row for result in results for row in result.rows])


def each_language(
    model: str | PreTrainedModel | RecordedTrainer,
    task: str | Task,
    languages: Sequence[str] | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    split: str = "test",
    limit: int | None = None,
    max_length: int | None = None,
    trained_in: Sequence[str] | None = None,
    available: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    noise: str | None = None,
    noise_seed: int = 0,
    noise_dictionaries: str | os.PathLike[str] | None = None,
    **retrieval: Any,
) -> Iterator[LanguageResult]:
    """As `zero_shot`, one language after another, with the predictions.

    Args:
        model: as in `zero_shot`.
        task: as in `zero_shot`.
        languages: as in `zero_shot`.
        tokenizer: the model's; default: the one beside the checkpoint.
        split: canonical split to score.
        limit: at most so many rows of each language; of BUCC so many sentences a side, of LAReQA and Mewsli-X so many
            queries, which are searched among all candidates.
        max_length: tokens per window. Default: what the published scripts use for the kind.
        trained_in: languages of the training rows (`de-t-en`: translated). Default: what the checkpoint's
            `stilts.json` or the Trainer says.
        available: leave out the languages whose rows are not there. By default a missing one is refused before
            anything is loaded.
        data_dir: local mirror of the data sets.
        noise: how the rows are misspelt before they are scored, as `keyboard=0.1` (a tenth of the words; see
            `hf_stilts.augmentation.noise`), or with columns `keyboard=0.1:question`. The rows of the table then have
            `noise` and `noise_seed`. What a threshold is tuned on stays as it is. Level 0 is no noise.
        noise_seed: chooses words and errors.
        noise_dictionaries: for `natural` noise, file or folder of errors.
        retrieval: for retrieval tasks, e.g. `layer=8`, `pooling="cls"`, `precision="bf16"`.
    """
    misspelling = Noise.parse(noise, noise_seed, noise_dictionaries) if noise is not None else None
    if misspelling is not None:
        columns_of(load_task(task).kind, misspelling)  # a wrong column is said before anything is loaded
    misspelling = misspelling if misspelling is not None and misspelling.level else None
    task = labelled(task, data_dir)
    check_languages(task, languages)
    if task.has_head and retrieval:
        raise StiltsError(
            f"{next(iter(retrieval))}= is no option of {task.name}, a {task.kind} task. Leave it out; there are "
            "tokenizer, split, limit, max_length, trained_in, available, data_dir and noise."
        )
    asked = present(task, split, languages, available=available, data_dir=data_dir)
    noted = {language: _noted(misspelling, language) for language in asked}
    if not task.has_head and max_length is not None:
        retrieval["max_length"] = max_length
    opened = open_checkpoint(resolve(model)) if isinstance(model, str) else None
    if task.declaration.text_answers and answers_in_words(opened.record if opened else model):
        task = replace(task, text_to_text=True)
    scored = _loaded(opened, task) if opened else _given(model, task)
    tokenizer = tokenizer or scored.tokenizer or load_tokenizer(opened or scored.name, scored.revision)
    if default_device().type != "cpu":
        scored.model.to(processes().device)
    if processes().num_processes > 1:
        retrieval = {"share": True, **retrieval}
    check_length(scored.model, max_length)
    readable = readable_length(scored.model, tokenizer)
    together: dict[str, Retrieved] = {}
    if task.declaration.joint:
        searching, shared = load_retrieval_kind(task.kind), load_candidates(task, data_dir=data_dir)
        every = {language: _rows(task, split, language, limit, data_dir, misspelling) for language in asked}
        together = searching.evaluate_jointly(task, every, scored.model, tokenizer, candidates=shared, **retrieval)
    for language in asked:
        rows = _rows(task, split, language, limit, data_dir, misspelling)
        if language in together:
            found = together[language]
        elif task.has_head:
            kind = kind_for(task, language)
            window = max_length or min(kind.max_length, readable)
            with naming_language(language):
                predictions = predict(
                    scored.model, task, rows, tokenizer,
                    max_length=window, label_order=scored.order, progress=f"{task.name} {language}",
                )  # fmt: skip
                scores = kind.score(task, predictions, rows)
            names = rows["id"] if "id" in rows.column_names else range(len(rows))
            found = Retrieved(scores, {}, names, predictions, kind.shares(task, predictions, rows))
        else:
            searching = load_retrieval_kind(task.kind)
            tuned = _tuned(task, searching, split, language, limit, data_dir)
            with naming_language(language):
                found = searching.evaluate(task, rows, scored.model, tokenizer, **tuned, **retrieval)
        common = {
            "task": task.name,
            "language": language,
            "rows": len(found.ids) if together else len(rows),
            "split": split,
            "setting": setting(task, language, scored.record, trained_in),
            "model": scored.name,
            "model_revision": scored.revision,
            "data_revision": data_revision(task, language, data_dir=data_dir),
            "seed": scored.record.seed if scored.record else None,
            **found.settings,
            **noted[language],
            "versions": f"hf_stilts {__version__}, transformers {transformers.__version__}, "
            f"torch {torch.__version__}, python {platform.python_version()}",
        }
        yield LanguageResult(
            task.name,
            language,
            [
                {**common, "metric": metric, "score": float(score), "main": metric == task.metric}
                for metric, score in found.scores.items()
            ],
            list(_examples(found)),
        )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Main scores with one row per task and one column per language, and the unweighted mean over languages first.

    XTREME averages a task the same way (`evaluate.py`: `avg_metric`).
    """
    main = table[table["main"]].pivot_table(index="task", columns="language", values="score", sort=False)
    main.insert(0, "mean", main.mean(axis=1))
    return main


def main_scores(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Main scores by language, named by task and metric, as `stilts.json` has them: `{"de": {"udpos_f1": 71.2}}`."""
    found: dict[str, dict[str, float]] = {}
    for row in table[table["main"]].to_dict("records"):
        found.setdefault(row["language"], {})[f"{row['task']}_{row['metric']}"] = float(row["score"])
    return found


def append_jsonl(table: pd.DataFrame, path: Path) -> None:
    """Add the rows of a table to a file of JSON lines; what the file held stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(table.to_json(orient="records", lines=True, force_ascii=False).rstrip("\n") + "\n")


def _noted(misspelling: Noise | None, language: str) -> dict[str, Any]:
    """What the rows of a table say of the noise; nothing where there is none."""
    if misspelling is None:
        return {}
    return {"noise": misspelling.described(language), "noise_seed": misspelling.seed}


def _rows(
    task: Task,
    split: str,
    language: str,
    limit: int | None,
    data_dir: str | os.PathLike[str] | None,
    misspelling: Noise | None = None,
) -> Dataset:
    """Rows of a language, misspelt where that is asked for; of a kind whose one row is a whole corpus, a part of it."""
    rows = load(task, split, language, limit=limit, data_dir=data_dir)
    if limit is not None and not task.has_head:
        rows = load_retrieval_kind(task.kind).first(rows, limit)
    if misspelling is None:
        return rows
    rows, edits = noisy(rows, task, language, misspelling)
    if not edits:
        logger.warning("%s %s: noise %s changes nothing in these rows.", task.name, language, misspelling)
    return rows


def _tuned(
    task: Task,
    kind: RetrievalKind,
    split: str,
    language: str,
    limit: int | None,
    data_dir: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Rows that a threshold is set on, where the kind has one and the data set has another split for it."""
    if kind.tuned_on is None or kind.tuned_on == split or kind.tuned_on not in splits(task, language, data_dir):
        return {}
    return {"tune_on": _rows(task, kind.tuned_on, language, limit, data_dir), "tune_split": kind.tuned_on}


def answers_in_words(model: Any) -> bool:
    """Whether a model was trained to answer in words: a Trainer says so, a checkpoint's record, a model's class."""
    if isinstance(model, Record):
        return bool(model.recipe.get("text_to_text"))
    if isinstance(model, RecordedTrainer):
        return model.task.text_to_text
    return type(model) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING.values()


class _Scored(NamedTuple):
    """What is scored: the model with its head, where it came from, and what its training was."""

    model: PreTrainedModel
    order: list[int] | None
    tokenizer: PreTrainedTokenizerBase | None
    name: str
    revision: str | None
    record: Record | None


def _loaded(opened: OpenedCheckpoint, task: Task) -> _Scored:
    model, order = load_trained(opened, task) if task.has_head else (load_body(opened)[0], None)
    return _Scored(model, order, None, opened.name, opened.commit, opened.record)


def _given(model: Any, task: Task) -> _Scored:
    if isinstance(model, RecordedTrainer):
        trained = model.accelerator.unwrap_model(model.model)
        return _given(trained, task)._replace(
            record=describe_run(model.record(), model.args, trained), tokenizer=model.tokenizer_for_rows
        )
    order = load_trained(model, task)[1] if task.has_head else None
    start = parent_of(model.config)
    return _Scored(model, order, None, model.config._name_or_path, start.commit if start else None, None)


def _examples(found: Retrieved) -> Iterator[dict[str, Any]]:
    shared = itertools.repeat(None) if found.shares is None else found.shares.tolist()
    for name, prediction, share in zip(found.ids, found.predictions, shared, strict=False):
        counted = {} if share is None else {"gained": share[0], "possible": share[1]}
        yield {"id": name, "prediction": prediction, **counted}
