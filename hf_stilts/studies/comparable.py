"""A published score with all that decided it, from whatever says so: a record, a card, a result file."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import SETTINGS
from hf_stilts.evaluation.setting import NO_TRAINING, UNKNOWN, setting
from hf_stilts.files import read_lines
from hf_stilts.hub.naming import ADAPTER_SUFFIX, language_suffix
from hf_stilts.hub.published_scores import Ancestors, PublishedModel, from_scratch
from hf_stilts.hub.record import Record
from hf_stilts.studies.published import CELL, TRAINED
from hf_stilts.task import Task, list_tasks, load_task
from hf_stilts.training.flags import deciding

NONE = "none"
NOT_STATED = "not stated"
AS_IT_IS = "nothing: the encoder as it is"
# What may differ between the languages of one target; all else that decides a score is the same for all of them.
OF_A_LANGUAGE = ("setting", "data revision", "rows scored")
# What a row of `evaluate` says of the search and the noise behind a score.
_OF_A_ROW = (
    "layer", "pooling", "dense", "pool", "candidates", "max_length", "source_prefix", "target_prefix", "noise",
    "noise_seed", "precision",
)  # fmt: skip
# Fields of a recipe that decide nothing by themselves: a batch is compared by its size over all devices.
_BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
_IDLE = (*_BATCH, "processes", "per_device_eval_batch_size", "eval_strategy", "eval_steps", CELL, TRAINED)
# A text that others wrote is shown where neither a table nor a spreadsheet takes it for more than a text.
_PLAIN = re.compile(r"\w[\w .,:;+/@%()>=-]{0,199}")
_NUMBER = re.compile(r"-[0-9.]{1,20}(e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Score:
    """One score of one model, and what decided it.

    Attributes:
        intermediate: what the intermediate training was on, as names on the Hub spell it (`mnli`, `xnli-de`); of
            several, one after the other, `fill_mask > mnli`; "none".
        base: id of the public model that the first training began with.
        target, language, metric, score: what was scored, and how well, in percent.
        model: repository or file that says so.
        source: where in it: `stilts.json`, `scores.jsonl`, `card`, `.eval_results` or `results.jsonl`.
        conditions: all else that decided it, but for the seed, by name; "not stated" where nobody says so.
    """

    intermediate: str
    base: str
    target: str
    language: str
    metric: str
    score: float
    model: str
    source: str
    conditions: Mapping[str, str]

    @property
    def group(self) -> tuple[Any, ...]:
        """What scores that compare have in common over all languages of a target."""
        common = [(name, value) for name, value in self.conditions.items() if name not in OF_A_LANGUAGE]
        return (self.base, self.target, self.metric, tuple(sorted(common)))

    @property
    def cell(self) -> tuple[Any, ...]:
        """What scores of one group that compare have in common besides."""
        return (self.language, *(self.conditions.get(name, NOT_STATED) for name in OF_A_LANGUAGE))


def scores_of_models(
    models: Iterable[PublishedModel], ancestors: Ancestors
) -> tuple[list[Score], list[dict[str, Any]]]:
    """Scores of published models, each once; and those models that say too little, with the reason.

    Args:
        models: as `published_models` returns them.
        ancestors: where their trainings are looked up.
    """
    found: list[Score] = []
    left_out: list[dict[str, Any]] = []
    labels = {model.repo_id: model.record for model in models if model.record}
    for model in models:
        reasons = list(model.problems)
        try:
            found += _of_model(model, ancestors, labels)
        except StiltsError as error:
            reasons.append(str(error))
        left_out += [_left_out(model.repo_id, reason) for reason in reasons]
    return found, left_out


def _left_out(model: str, why: str) -> dict[str, Any]:
    return {"model": model, "intermediate": None, "target": None, "languages": [], "why": why}


def _of_model(model: PublishedModel, ancestors: Ancestors, published: Mapping[str, Record]) -> list[Score]:
    if not (
        model.card or model.entries or (model.record and (model.record.metrics_by_language or model.record.metrics))
    ):
        return []
    if model.record is not None:
        intermediate, base = _start(model.record, ancestors)
    else:
        trainings, base = _of_the_card(model, ancestors, published)
        intermediate = _label(trainings)
    _expect_plain(intermediate, base)
    scores: dict[tuple[Any, ...], Score] = {}
    told = [*_recorded(model), *_on_cards(model)]
    numbers = {_number(stated) for stated in told}
    # A file of results may repeat what a row of `evaluate` has said, and says less of it.
    told += [stated for stated in _in_files(model) if _number(stated) not in numbers]
    for stated in told:
        score = Score(intermediate, base, model=model.repo_id, **stated)
        if _PLAIN.fullmatch(score.target) and _PLAIN.fullmatch(score.language) and math.isfinite(score.score):
            scores.setdefault((score.group, score.cell), score)
    return list(scores.values())


def _start(record: Record, ancestors: Ancestors) -> tuple[str, str]:
    """Intermediate training behind a model, itself counted where it is no target model; and the public model."""
    before, base = ancestors.of(record)
    return _label([*reversed(before), *([record] if record.phase != "target" else [])]), base


def _label(trainings: Sequence[Record]) -> str:
    return " > ".join(label_of(record) for record in trainings) or NONE


def intermediate_checkpoints(models: Iterable[PublishedModel], ancestors: Ancestors) -> list[dict[str, Any]]:
    """Published checkpoints to train targets from, in the order of their starts; those that say too little are not.

    Returns:
        Of each its `base`, `intermediate` as `Score` has it, `repository`, and whether it is an `adapter`.
    """
    found: list[dict[str, Any]] = []
    for model in models:
        if model.record is None or model.record.phase == "target":
            continue
        try:
            intermediate, base = _start(model.record, ancestors)
            _expect_plain(intermediate, base)
        except StiltsError:
            continue  # the matrix names it among what was left out, if it has scores
        row = {"base": base, "intermediate": intermediate, "repository": model.repo_id}
        found.append(row | {"adapter": model.record.library == "peft"})
    return sorted(found, key=lambda row: (row["base"], row["intermediate"], row["repository"]))


def _number(stated: Mapping[str, Any]) -> tuple[Any, ...]:
    return (stated["target"], stated["language"], stated["metric"], round(stated["score"], 4))


def _of_the_card(
    model: PublishedModel, ancestors: Ancestors, published: Mapping[str, Record]
) -> tuple[list[Record], str]:
    """Trainings behind a model that has no record, by the base model that its card names."""
    if len(model.bases) != 1:
        raise StiltsError(f"its card names {len(model.bases)} base models; one is expected")
    start = published.get(model.bases[0])
    if start is None or from_scratch(start):
        return [], model.bases[0]
    before, base = ancestors.of(start)
    return [*reversed(before), start], base


def label_of(record: Record) -> str:
    """An intermediate training in the spelling of names on the Hub."""
    rows = record.rows_by_language or dict.fromkeys(record.languages, 1)
    adapter = ADAPTER_SUFFIX if record.library == "peft" else ""
    # A merge of two tasks' checkpoints is no training on both.
    how = f"-{record.recipe.get('merge', 'merged')}" if record.merged_from else ""
    return (record.mixture or ".".join(record.task_names) or "unnamed") + how + language_suffix(rows) + adapter


def _expect_plain(*texts: str) -> None:
    for text in texts:
        if not _PLAIN.fullmatch(text):
            raise StiltsError(f"its record calls something {text[:60]!r}; a plain name is expected")


def _recorded(model: PublishedModel) -> Iterator[dict[str, Any]]:
    """Scores of `stilts.json`, with what `scores.jsonl` says of them."""
    if model.record is None:
        return
    record = model.record
    rows = {(row["language"], f"{row['task']}_{row['metric']}"): row for row in model.rows}
    for language, scores in record.metrics_by_language.items():
        for name, value in scores.items():
            named = _task_and_metric(name, record)
            if named is None:
                continue
            target, metric, later = named
            row = rows.get((language, name))
            if row is not None:
                said = _conditions_of_row(row, target, record)
                yield _stated(target, language, metric, float(value), "scores.jsonl", said)
            else:
                said = _conditions(target, language, record, split=NOT_STATED if later else "validation, in training")
                yield _stated(target, language, metric, _percent(value), "stilts.json", said)
    if record.phase != "target" or len(record.languages) > 1:
        return
    for name, value in record.metrics.items():
        named = _task_and_metric(name, record)
        if named is not None:
            language = next(iter(record.languages), "en")
            scored_on = f"in training, {record.scored_on}" if record.scored_on else "in training"
            said = _conditions(named[0], language, record, split=scored_on)
            yield _stated(named[0], language, named[1], _percent(value), "stilts.json", said)


def _stated(
    target: str, language: str, metric: str, score: float, source: str, said: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "target": target,
        "language": language,
        "metric": metric,
        "score": score,
        "source": source,
        "conditions": said,
    }


def _task_and_metric(name: str, record: Record) -> tuple[str, str, bool] | None:
    """Task and metric of a score by its name, and whether it was added after training; None for no main metric."""
    known = sorted({*record.task_names, *_task_names()}, key=len, reverse=True)
    task = next((each for each in known if name.startswith(f"{each}_")), None)
    if task is None and len(record.task_names) != 1:
        return None
    target = task or record.task_names[0]
    metric = name.removeprefix(f"{task}_") if task else name
    declared = _task(target)
    mains = {declared.metric, declared.declaration.benchmark_metric} if declared else {metric} - {"loss"}
    return (target, metric, task is not None) if metric in mains else None


@cache
def _task_names() -> tuple[str, ...]:
    return tuple(list_tasks())


@cache
def _task(name: str) -> Task | None:
    return load_task(name) if name in _task_names() else None


def _percent(value: float) -> float:
    """A score in percent; other programs write fractions, and nobody publishes a score below one percent."""
    return 100 * float(value) if 0 < value <= 1 else float(value)


def _conditions_of_row(row: Mapping[str, Any], target: str, record: Record | None) -> dict[str, str]:
    """What decided a score, of which a row of `evaluate` is there."""
    said = _conditions(target, str(row["language"]), record, split=plain(row.get("split")))
    said |= {"setting": plain(row.get("setting")), "data revision": plain(row.get("data_revision"))}
    said["rows scored"] = plain(row.get("rows"))
    return said | {name: plain(row[name]) for name in _OF_A_ROW if row.get(name) is not None}


def _conditions(target: str, language: str, record: Record | None, *, split: str) -> dict[str, str]:
    """What decided a score, as far as the record of the training says so."""
    said = {"setting": NOT_STATED, "data revision": NOT_STATED, "rows scored": NOT_STATED, "split": plain(split)}
    task = _task(target)
    if record is None:
        return said | {"trained on": NOT_STATED, "recipe": NOT_STATED}
    said["setting"] = setting(task, language, record) if task else UNKNOWN
    if record.phase != "target":
        return said | {"trained on": AS_IT_IS}
    sources = []
    for source in record.tasks:
        tag = source.language or ".".join(record.languages) or "en"
        where = f"{source.dataset}@{source.revision[:12]}" if source.revision else f"{source.dataset}"
        sources.append(f"{source.name} {tag}: {source.rows} rows of {where}")
    said["trained on"] = plain("; ".join(sources))
    said |= {plain(name): plain(value) for name, value in record.recipe.items() if name not in _IDLE}
    said["batch"] = _batch(record)
    return said | ({"adapter": "yes"} if record.library == "peft" else {})


def _batch(record: Record) -> str:
    """Examples of an optimizer step over all devices."""
    factors = [record.recipe.get(name) for name in _BATCH]
    factors.append(record.hardware.get("devices") or record.recipe.get("processes") or 1)
    whole = [factor for factor in factors if isinstance(factor, int)]
    return str(math.prod(whole)) if len(whole) == len(factors) else NOT_STATED


def plain(value: Any) -> str:
    """A value that others wrote as a text that may be shown; one that may not, or is long, by its digest."""
    if value is None or value == "":
        return NOT_STATED
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text) or _NUMBER.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    begin = f"{text[:60]}... " if _PLAIN.fullmatch(text[:60]) else ""
    return f"{begin}(sha256 {digest})"


def _on_cards(model: PublishedModel) -> Iterator[dict[str, Any]]:
    """Scores that somebody wrote into the card's `model-index`."""
    for result in model.card:
        found = _target_of(str(result.dataset_type), result.dataset_config)
        task = _task(found[0]) if found else None
        if found is None or task is None or not isinstance(result.metric_value, int | float):
            continue
        if result.metric_type not in (task.metric, task.declaration.benchmark_metric):
            continue
        said = _conditions(found[0], found[1], model.record, split=plain(result.dataset_split))
        said["data revision"] = plain(result.dataset_revision)
        yield _stated(*found, str(result.metric_type), _percent(result.metric_value), "card", said)


def _in_files(model: PublishedModel) -> Iterator[dict[str, Any]]:
    """Scores of `.eval_results/*.yaml`: the format names no metric, so the main one of the task is meant."""
    for entry in model.entries:
        found = _target_of(str(entry.dataset_id), str(entry.task_id))
        task = _task(found[0]) if found else None
        if found is None or task is None or isinstance(entry.value, bool) or not isinstance(entry.value, int | float):
            continue
        said = _conditions(found[0], found[1], model.record, split=NOT_STATED)
        said |= {"data revision": plain(entry.dataset_revision), "notes": plain(entry.notes)}
        yield _stated(*found, task.metric, _percent(entry.value), ".eval_results", said)


def _target_of(dataset: str, config: str | None) -> tuple[str, str] | None:
    """Task and language of a data set's configuration, as cards and result files name it."""
    return _targets().get((dataset, config))


@cache
def _targets() -> dict[tuple[str, str | None], tuple[str, str]]:
    """(data set, configuration) -> task and language; of several, the task with the shortest name."""
    found: dict[tuple[str, str | None], tuple[str, str]] = {}
    for name in sorted(_task_names(), key=lambda name: (len(name), name)):
        task = load_task(name)
        for language in task.languages if task.dataset else ():
            config = task.config_for(language)
            found.setdefault((task.dataset, config), (name, language))
            if config is None or len(task.languages) > 1:
                found.setdefault((task.dataset, language), (name, language))  # a task id may be the language alone
    return found


def scores_of_file(file: Path) -> list[Score]:
    """Main scores of a `results.jsonl`, with what `settings.json` beside it says of the trainings.

    Raises:
        StiltsError: a line is no JSON object, or a row does not say where its model started.
        FileNotFoundError: there is no such file.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no file {file}; the results.jsonl of a run, or its folder, is expected. Make one: "
            "hf-stilts evaluate xtreme --base NAME --output-dir DIR"
        )
    beside = file.with_name(SETTINGS)
    settings = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    found = []
    for row in read_lines(file):
        if not row.get("main", True):
            continue
        as_it_is = row.get("setting") == NO_TRAINING
        if "intermediate" not in row and as_it_is:  # of `evaluate TASK --output`: the public model itself
            row |= {"intermediate": NONE, "base": row["model"]}
        if "intermediate" not in row:
            raise StiltsError(
                f"{file} does not say where its models started: it is of a task. Expected results.jsonl of a "
                "benchmark's run: hf-stilts evaluate xtreme --base NAME --output-dir DIR"
            )
        said = _conditions_of_row(row, row["task"], None)
        del said["recipe"]
        said["trained on"] = AS_IT_IS if as_it_is else "as settings.json says"
        if not as_it_is:
            said |= _trained_as(settings)
        found.append(
            Score(
                row["intermediate"],
                row["base"],
                row["task"],
                row["language"],
                row["metric"],
                float(row["score"]),
                str(file),
                "results.jsonl",
                said,
            )
        )
    return found


def _trained_as(settings: Mapping[str, Any]) -> dict[str, str]:
    """What decided the trainings of a benchmark's run, but for the start and the seed."""
    names = ("recipe", "train_limit", "adapter", "text_to_text", "train_languages")
    said = {name: plain(settings.get(name)) for name in names if settings.get(name) is not None}
    flags = {name: values for name, values in deciding(settings.get("flags") or ()).items() if name != "seed"}
    for name, values in flags.items():
        said[name] = " ".join(plain(value) for value in values) or "true"
    return said
