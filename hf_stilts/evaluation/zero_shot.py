"""One model, every language of a task, one tidy table: trained in English, scored everywhere else as it is."""

from __future__ import annotations

import inspect
import itertools
import logging
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset
from transformers import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, PreTrainedModel, PreTrainedTokenizerBase

from hf_stilts import __version__
from hf_stilts.augmentation.noise import Noise
from hf_stilts.augmentation.noisy_rows import columns_of, noisy
from hf_stilts.data.load import data_revision, labelled, load, load_candidates, present, splits
from hf_stilts.declarations import declared, list_kinds
from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError, did_you_mean, needs_extra
from hf_stilts.evaluation.options import ScoringOptions
from hf_stilts.evaluation.predict import predict
from hf_stilts.evaluation.processes import processes
from hf_stilts.evaluation.results import BY_LAYER
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
from hf_stilts.retrieval.encode import encode
from hf_stilts.task import Task, check_languages, load_task

logger = logging.getLogger(__name__)

_CHOSEN = "best in other languages"
_OF_ROWS = {"candidates", "tune_on", "tune_split"}  # read here for a retrieval kind


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
        options: as `each_language`: `tokenizer`, the fields of `ScoringOptions` (`split`, `limit`, `max_length`,
            `trained_in`, `available`, `data_dir`, `noise`, `noise_seed`, `noise_dictionaries`,
            `answer_similarity`), and what retrieval kinds take.

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
    **options: Any,
) -> Iterator[LanguageResult]:
    """As `zero_shot`, one language after another, with the predictions.

    Args:
        model: as in `zero_shot`.
        task: as in `zero_shot`.
        languages: as in `zero_shot`.
        tokenizer: the model's; default: the one beside the checkpoint.
        options: fields of `hf_stilts.evaluation.options.ScoringOptions`; the others are for retrieval tasks, e.g.
            `precision="bf16"`.
    """
    chosen = {name: options.pop(name) for name in ScoringOptions.names() if name in options}
    if languages is not None:
        chosen["languages"] = tuple(languages)
    return score_languages(model, task, ScoringOptions(**chosen), tokenizer=tokenizer, retrieval=options)


def score_languages(
    model: str | PreTrainedModel | RecordedTrainer,
    task: str | Task,
    options: ScoringOptions,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    retrieval: Mapping[str, Any] | None = None,
) -> Iterator[LanguageResult]:
    """As `each_language`, of options in one object.

    Args:
        model: as in `zero_shot`.
        task: as in `zero_shot`.
        options: how the languages are scored.
        tokenizer: as in `each_language`.
        retrieval: further options of a retrieval kind, by name.
    """
    if options.answer_similarity:
        with needs_extra("similarity", "Similarity of answers"):
            import rapidfuzz  # noqa: F401
            import sacrebleu  # noqa: F401
    noise = noise_of(options)
    if noise is not None:
        columns_of(load_task(task).kind, noise)  # a wrong column is said before anything is loaded
    task = labelled(task, options.data_dir)
    check_languages(task, options.languages)
    searching = _search_options(task, options, retrieval or {})
    asked = present(task, options.split, options.languages, available=options.available, data_dir=options.data_dir)
    noise = noise if noise is not None and noise.level else None
    noted = {language: _noted(noise, language) for language in asked}
    scored = _opened(model, task, tokenizer)
    check_length(scored.model, options.max_length)
    rows = _Rows(scored.task, options, noise)
    chosen = _best_elsewhere(scored, rows, asked, searching) if options.best_layer else {}
    together: dict[str, Retrieved] = {}
    if task.declaration.joint:
        together = _search_jointly(scored, rows, asked, searching)
    for language in asked:
        if task.declaration.joint:
            found = together[language]
            count = len(found.ids)
        else:
            of_language = rows.of(language)
            count = len(of_language)
            if task.has_head:
                found = _predict(scored, of_language, language, options)
            else:
                found = _search(scored, rows, of_language, language, searching | chosen.get(language, {}))
                if chosen:
                    own = {"layer": _CHOSEN, "hidden_state": found.settings["layer"]}
                    found = replace(found, settings={**found.settings, **own})
        common = _common(scored, options, language, count, found.settings, noted[language])
        metrics = [
            {**common, "metric": metric, "score": float(score), "main": metric == task.metric}
            for metric, score in found.scores.items()
        ]
        # With `every_layer=True` a row for each hidden state, beside the one of the layer that the score is of.
        for layer, score in enumerate(found.by_layer):
            row = {**common, "layer": layer, "metric": BY_LAYER, "score": float(score), "main": False}
            row.pop("layer_from", None)
            metrics.append(row)
        yield LanguageResult(task.name, language, metrics, list(_examples(found)))


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


def noise_of(options: ScoringOptions) -> Noise | None:
    """The noise of level 0 or more that was asked for.

    Raises:
        StiltsError: as `Noise.parse`.
    """
    if options.noise is None:
        return None
    return Noise.parse(options.noise, options.noise_seed, options.noise_dictionaries)


@dataclass(frozen=True)
class _Rows:
    """Rows of a task that are scored, misspelt where that is asked for."""

    task: Task
    options: ScoringOptions
    noise: Noise | None

    def of(self, language: str) -> Dataset:
        """Rows of a language."""
        rows = self.stored(self.options.split, language)
        if self.noise is None:
            return rows
        rows, edits = noisy(rows, self.task, language, self.noise)
        if not edits:
            logger.warning("%s %s: noise %s changes nothing in these rows.", self.task.name, language, self.noise)
        return rows

    def stored(self, split: str, language: str) -> Dataset:
        """Rows as they are; of a kind whose one row is a whole corpus, a part of it where there is a limit."""
        limit = self.options.limit
        rows = load(self.task, split, language, limit=limit, data_dir=self.options.data_dir)
        if limit is not None and not self.task.has_head:
            rows = load_retrieval_kind(self.task.kind).first(rows, limit)
        return rows


def _noted(noise: Noise | None, language: str) -> dict[str, Any]:
    """What the rows of a table say of the noise; nothing where there is none."""
    if noise is None:
        return {}
    return {"noise": noise.described(language), "noise_seed": noise.seed}


def _search_options(task: Task, options: ScoringOptions, further: Mapping[str, Any]) -> dict[str, Any]:
    """What a retrieval kind is told; nothing for a task with a head.

    Raises:
        StiltsError: a task with a head was given some, or a retrieval kind one that it does not have.
    """
    given = {**options.retrieval, **further}
    asked_for = "best_layer=" if given.pop("best_layer", False) else "every_layer="
    if (options.best_layer or further.get("every_layer")) and not task.declaration.layered:
        layered = [kind for kind in list_kinds() if declared(kind).layered]
        raise StiltsError(
            f"{asked_for} scores every hidden state, and {task.name}, a {task.kind} task, has one score for all. "
            f"Leave it out; kinds that have it: {', '.join(layered)}."
        )
    if task.has_head and given:
        raise StiltsError(
            f"{next(iter(given))}= is no option of {task.name}, a {task.kind} task. Leave it out; there are "
            "tokenizer, split, limit, max_length, trained_in, available, data_dir and noise."
        )
    known = () if task.has_head else _search_option_names(task)
    if unknown := [name for name in further if name not in known]:
        raise StiltsError(
            f"{unknown[0]}= is no option of {task.name}, a {task.kind} task. {did_you_mean(unknown[0], known)} Correct "
            "it, or leave it out."
        )
    if not task.has_head and options.max_length is not None:
        given["max_length"] = options.max_length
    if not task.has_head and processes().num_processes > 1:
        given = {"share": True, **given}
    return given


def _search_option_names(task: Task) -> list[str]:
    """What a retrieval kind takes by name from whoever scores: its own options, and those of `hf_stilts.encode`."""
    kind = load_retrieval_kind(task.kind)
    taken = inspect.signature(kind.evaluate_jointly if task.declaration.joint else kind.evaluate).parameters.values()
    names = {each.name for each in taken if each.kind is inspect.Parameter.KEYWORD_ONLY}
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken):
        names |= {*inspect.signature(encode).parameters} - {"model", "tokenizer", "sentences", "layers"}
    return sorted(names - _OF_ROWS)


def _predict(scored: _Scored, rows: Dataset, language: str, options: ScoringOptions) -> Retrieved:
    """What a trained head says of the rows of a language."""
    task, kind = scored.task, kind_for(scored.task, language)
    window = options.max_length or min(kind.max_length, readable_length(scored.model, scored.tokenizer))
    with naming_language(language):
        predictions = predict(
            scored.model,
            task,
            rows,
            scored.tokenizer,
            max_length=window,
            label_order=scored.order,
            progress=f"{task.name} {language}",
        )
        scores = kind.score(task, predictions, rows)
        if options.answer_similarity:
            scores = {**scores, **kind.answer_similarity(predictions, rows)}
    names = rows["id"][:] if "id" in rows.column_names else range(len(rows))
    return Retrieved(scores, {}, names, predictions, kind.shares(task, predictions, rows))


def _search(scored: _Scored, rows: _Rows, found: Dataset, language: str, options: Mapping[str, Any]) -> Retrieved:
    """What the encoder finds in one language."""
    kind = load_retrieval_kind(scored.task.kind)
    tuned = _tuned(kind, rows, language)
    with naming_language(language):
        return kind.evaluate(scored.task, found, scored.model, scored.tokenizer, **tuned, **options)


def _best_elsewhere(
    scored: _Scored, rows: _Rows, languages: Sequence[str], options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """For each language the hidden state with the highest mean score in the others, the first of equals, as `layer`.

    Raises:
        StiltsError: one language was asked for, which has no others.
    """
    if len(languages) < 2:
        raise StiltsError(
            f"best_layer= chooses the hidden state of a language in the others, and {languages[0]} alone was asked "
            "for; two languages or more are expected. Add some to --languages, or name the hidden state: --layer"
        )
    found = []
    for language in languages:
        clean = rows.stored(rows.options.split, language)
        found.append(_search(scored, rows, clean, language, {**options, "every_layer": True}).by_layer)
    by_layer = np.array(found)
    others = by_layer.sum(axis=0) - by_layer
    return {language: {"layer": int(best)} for language, best in zip(languages, others.argmax(axis=1), strict=True)}


def _search_jointly(
    scored: _Scored, rows: _Rows, languages: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Retrieved]:
    """What the encoder finds where all languages are searched at once, among the same candidates."""
    kind = load_retrieval_kind(scored.task.kind)
    candidates = load_candidates(scored.task, data_dir=rows.options.data_dir)
    every = {language: rows.of(language) for language in languages}
    return kind.evaluate_jointly(scored.task, every, scored.model, scored.tokenizer, candidates=candidates, **options)


def _tuned(kind: RetrievalKind, rows: _Rows, language: str) -> dict[str, Any]:
    """Rows that a threshold is set on, where the kind has one and the data set has another split for it."""
    split = kind.tuned_on
    if split is None or split == rows.options.split:
        return {}
    if split not in splits(rows.task, language, rows.options.data_dir):
        return {}
    return {"tune_on": rows.stored(split, language), "tune_split": split}


def _common(
    scored: _Scored,
    options: ScoringOptions,
    language: str,
    rows: int,
    settings: Mapping[str, Any],
    noted: Mapping[str, Any],
) -> dict[str, Any]:
    """What the table says of a language beside its scores: what was scored, on what, with what."""
    versions = f"hf_stilts {__version__}, transformers {transformers.__version__}"
    versions += f", torch {torch.__version__}, python {platform.python_version()}"
    return {
        "task": scored.task.name,
        "language": language,
        "rows": rows,
        "split": options.split,
        "setting": setting(scored.task, language, scored.record, options.trained_in),
        "model": scored.name,
        "model_revision": scored.revision,
        "data_revision": data_revision(scored.task, language, data_dir=options.data_dir),
        "seed": scored.record.seed if scored.record else None,
        **settings,
        **noted,
        "versions": versions,
    }


def answers_with_text(model: Any) -> bool:
    """Whether a model was trained to answer with text: a Trainer says so, a checkpoint's record, a model's class."""
    if isinstance(model, Record):
        return bool(model.recipe.get("text_to_text"))
    if isinstance(model, RecordedTrainer):
        return model.task.text_to_text
    return type(model) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING.values()


@dataclass(frozen=True)
class _Scored:
    """What is scored: the model with its head, where it came from, what its training was, and the task as it has it."""

    task: Task
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    order: list[int] | None
    name: str
    revision: str | None
    record: Record | None


def _opened(model: str | PreTrainedModel | RecordedTrainer, task: Task, tokenizer: Any) -> _Scored:
    """The model, its head checked against the task, on the device that scores."""
    opened = open_checkpoint(resolve(model)) if isinstance(model, str) else None
    if task.declaration.text_answers and answers_with_text(opened.record if opened else model):
        task = replace(task, text_to_text=True)
    scored = _loaded(opened, task, tokenizer) if opened else _given(model, task, tokenizer)
    if default_device().type != "cpu":
        scored.model.to(processes().device)
    return scored


def _loaded(opened: OpenedCheckpoint, task: Task, tokenizer: Any) -> _Scored:
    """The model of a checkpoint."""
    model, order = load_trained(opened, task) if task.has_head else (load_body(opened)[0], None)
    tokenizer = tokenizer or load_tokenizer(opened, opened.commit)
    return _Scored(task, model, tokenizer, order, opened.name, opened.commit, opened.record)


def _given(model: Any, task: Task, tokenizer: Any) -> _Scored:
    """A model object, or the one that a Trainer trained."""
    record = None
    if isinstance(model, RecordedTrainer):
        trained = model.accelerator.unwrap_model(model.model)
        record = describe_run(model.record(), model.args, trained)
        tokenizer = tokenizer or model.tokenizer_for_rows
        model = trained
    order = load_trained(model, task)[1] if task.has_head else None
    start = parent_of(model.config)
    name, revision = model.config._name_or_path, start.commit if start else None
    return _Scored(task, model, tokenizer or load_tokenizer(name, revision), order, name, revision, record)


def _examples(found: Retrieved) -> Iterator[dict[str, Any]]:
    shared = itertools.repeat(None) if found.shares is None else found.shares.tolist()
    for name, prediction, share in zip(found.ids, found.predictions, shared, strict=False):
        counted = {} if share is None else {"gained": share[0], "possible": share[1]}
        yield {"id": name, "prediction": prediction, **counted}
