"""A whole benchmark as one call: trains each target in English once, scores every language, goes on where it was."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from accelerate import PartialState

from hf_stilts.augmentation.noise import Noise
from hf_stilts.benchmark import Benchmark, chosen_parts, load_benchmark
from hf_stilts.data.load import present
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.processes import processes
from hf_stilts.evaluation.results import NOISE, RESULTS, SETTINGS, predictions_file
from hf_stilts.evaluation.zero_shot import each_language
from hf_stilts.files import cut_weights, read_lines, write, write_lines
from hf_stilts.hub.checkpoints import check_name, resolve
from hf_stilts.task import Task, load_task
from hf_stilts.training.flags import deciding
from hf_stilts.training.run import run_phase
from hf_stilts.training.start import DEFAULT_BASE, model_and_base

logger = logging.getLogger(__name__)

TRAINED = "trained.json"


class IncompleteRun(StiltsError):
    """Some tasks of a benchmark could not be run; all others are done.

    Attributes:
        table: rows of what is done, as `run_benchmark` returns them; perhaps none.
        failed: task -> what stopped it.
    """

    def __init__(self, message: str, table: pd.DataFrame, failed: Mapping[str, Exception]) -> None:
        super().__init__(message)
        self.table, self.failed = table, failed


def run_benchmark(
    benchmark: str | Benchmark,
    base: str | None = None,
    *,
    model: str | None = None,
    init: str | None = None,
    label: str | None = None,
    namespace: str | None = None,
    out: str | os.PathLike[str] | None = None,
    tasks: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    recipe: str = "jiant",
    flags: Sequence[str] = (),
    split: str = "test",
    limit: int | None = None,
    train_limit: int | None = None,
    layer: int | None = None,
    pooling: str | None = None,
    prefix: str | Sequence[str] | None = None,
    text_to_text: bool = False,
    adapter: str | None = None,
    available: bool = False,
    skip: Sequence[str] = (),
    data_dir: str | os.PathLike[str] | None = None,
    noise: str | None = None,
    noise_seed: int = 0,
    noise_dictionaries: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Phase three on every task of a benchmark, zero-shot: the table that papers print.

    A target whose training rows are those of another (XQuAD and MLQA, both SQuAD) shares its training. Retrieval tasks
    without training rows take the encoder as it is. Whatever is finished is not done again: a training from its newest
    checkpoint, an evaluation from its first missing language. Under `torchrun` the processes share the work, and the
    first one writes.

    Args:
        benchmark: `"xtreme"`, `"xtreme-r"` or a `Benchmark`.
        base: public model: the start without `init`, else the one that `init` descends from. Default:
            `FacebookAI/xlm-roberta-base`.
        model: old word for `base`.
        init: intermediate checkpoint by name (`"mnli"`); `None` is the baseline.
        label: what tables call the start; runs of one label are seeds of each other. Default: "none" without `init`,
            else its name without base model and seed (`org/xlmr-stilts-mnli-seed7` is `mnli`).
        namespace: whose intermediate checkpoint.
        out: folder of the run. Default: `runs/<benchmark>-<base>[-from-<init>]`. It receives

            - `results.jsonl`: a row per task, language and metric;
            - `predictions/<task>/<language>.jsonl`: a row per example, `{"id", "prediction", "gained", "possible"}`;
            - `training/<task>/`: the trained models, by the name of the task that trains them;
            - `settings.json`: what this run is;
            - `noise/<noise>-seed<n>/`: of misspelt rows, such files again. All of them share the trained models.
        tasks: some of the benchmark's; default: all.
        languages: some of the benchmark's; a task without any of them is left out.
        recipe: profile of hyper-parameters.
        flags: stock `TrainingArguments` flags for every training, e.g. `["--max_steps", "500"]`.
        split: canonical split to score.
        limit: at most so many rows of each language are scored.
        train_limit: at most so many rows are trained on.
        layer: hidden state for retrieval tasks. Default: the last of a sentence-transformers model, else the papers'.
        pooling: for retrieval tasks, as in `hf_stilts.encode`.
        prefix: for retrieval tasks, put before every text; or two, for sources or queries and for what answers them.
        text_to_text: train an encoder-decoder (mT5) to answer in words, where a task has answers in words.
        adapter: `"lora"` or `"lora=32"`: of each target train that and the head, as `StiltsTrainer` does.
        available: score only the languages whose rows are there. By default a task that lacks some is not run.
        skip: what to leave out: a task (`"bucc2018"`), or languages of one (`"udpos:kk,yo"`).
        data_dir: local mirror of the data sets.
        noise: misspell the rows that are scored, as `each_language` does: `keyboard=0.1`. Level 0 is no noise.
        noise_seed: as for `each_language`.
        noise_dictionaries: as for `each_language`.

    Returns:
        All rows of `results.jsonl` that were asked for; those whose `main` is true make up the averages.

    Raises:
        StiltsError: no such task or language; or `out` holds a run with other settings.
        IncompleteRun: after all else is done, some tasks could not be run: rows are missing, a training failed. Its
            `table` has the others; the same call again does those that failed.
    """
    benchmark = load_benchmark(benchmark)
    wanted = chosen_parts(benchmark, tasks, languages, skip)
    base = model_and_base(model, base)[1] or DEFAULT_BASE
    check_name(base.partition("@")[0])
    start = resolve(init, base=base, namespace=namespace) if init else None
    encoder = base if start is None else start.repo_id + (f"@{start.commit}" if start.commit else "")
    folder = Path(out or f"runs/{benchmark.name}-{_short(base)}{f'-from-{_short(init)}' if init else ''}")
    settings: dict[str, Any] = {"benchmark": benchmark.name, "model": base, "from": encoder if init else None}
    settings |= {
        "label": label or (label_of(init) if init else "none"),
        "recipe": recipe,
        "flags": list(flags),
        "limit": limit,
        "train_limit": train_limit,
        "split": split,
        "layer": layer,
        **{name: value for name, value in {"pooling": pooling, "prefix": prefix}.items() if value is not None},
        **({"text_to_text": True} if text_to_text else {}),
        **({"adapter": adapter} if adapter else {}),
    }
    group = processes()
    if group.num_processes > 1 and group.device.type == "cpu":  # the stock arguments do not find that out themselves
        flags = ("--use_cpu", "true", *flags)
    _claim(folder, settings, write_it=group.is_main_process)
    whole, misspelt = folder, _misspelt(noise, noise_seed, noise_dictionaries)
    if misspelt:
        folder = whole / NOISE / f"{misspelt['noise'].replace(':', '-')}-seed{noise_seed}"
        noted = {name: str(value) if name == "noise_dictionaries" else value for name, value in misspelt.items()}
        _claim(folder, settings | noted, write_it=group.is_main_process)
    rows = read_lines(folder / RESULTS) if (folder / RESULTS).is_file() else []
    done = {(row["task"], row["language"]) for row in rows}
    group.wait_for_everyone()  # nobody writes before everybody has read
    todo, failed = _plan(benchmark, wanted, done, split=split, available=available, data_dir=data_dir)
    for task, codes in todo:
        stale = {(task.name, code) for code in codes}
        try:
            trained: dict[str, Any] = {"folder": encoder, "dev_score": None}
            trains = task.has_head or bool(task.train)
            if trains:
                trained = _trained(task, whole, group, flags=flags, recipe=recipe, init=encoder if init else None,
                                   base=None if init else base, limit=train_limit, data_dir=data_dir,
                                   adapter=adapter,
                                   text_to_text=text_to_text and task.declaration.text_answers is not None)  # fmt: skip
            source = {"benchmark": benchmark.name, "base": base, "intermediate": settings["label"]}
            source |= {"dev_score": trained["dev_score"]}
            metric = benchmark.metric(task)
            chosen = {"layer": layer, "pooling": pooling, "prefix": prefix}  # what is trained says it itself
            options: dict[str, Any] = {}
            if not trains:
                options = {name: value for name, value in chosen.items() if value is not None}
            for result in each_language(
                trained["folder"], task, codes, split=split, limit=limit, data_dir=data_dir, **options, **misspelt
            ):
                rows = [row for row in rows if (row["task"], row["language"]) not in stale]
                stale = set()
                rows += [source | row | {"main": row["metric"] == metric} for row in result.rows]
                if group.is_main_process:
                    write_lines(predictions_file(folder, task.name, result.language), result.predictions)
                    write_lines(folder / RESULTS, rows)
                logger.info("%s %s is scored.", task.name, result.language)
        except (ValueError, OSError) as error:
            failed[task.name] = error
            logger.warning("%s could not be run: %s", task.name, error)
    group.wait_for_everyone()
    asked = {(task.name, code) for task, codes in wanted for code in codes}
    table = pd.DataFrame([row for row in rows if (row["task"], row["language"]) in asked])
    if failed:
        raise _incomplete(benchmark, wanted, failed, table, folder)
    return table


def _misspelt(noise: str | None, noise_seed: int, noise_dictionaries: str | os.PathLike[str] | None) -> dict[str, Any]:
    """What `each_language` is told of noise; nothing where rows are scored as they are."""
    misspelling = Noise.parse(noise, noise_seed, noise_dictionaries) if noise is not None else None
    if misspelling is None or not misspelling.level:
        return {}
    given = {} if noise_dictionaries is None else {"noise_dictionaries": noise_dictionaries}
    return {"noise": str(misspelling), "noise_seed": noise_seed, **given}


def _plan(
    benchmark: Benchmark,
    wanted: Sequence[tuple[Task, tuple[str, ...]]],
    done: set[tuple[str, str]],
    *,
    split: str,
    available: bool,
    data_dir: str | os.PathLike[str] | None,
) -> tuple[list[tuple[Task, list[str]]], dict[str, Exception]]:
    """Tasks with the languages that are still to be scored, and what keeps others from it, said before any training."""
    todo: list[tuple[Task, list[str]]] = []
    failed: dict[str, Exception] = {}
    for task, codes in wanted:
        missing = [code for code in codes if (task.name, code) not in done]
        if not missing:
            continue
        try:
            there = {*present(task, split, missing, available=available, data_dir=data_dir)}
        except (ValueError, OSError) as error:
            failed[task.name] = error
            logger.warning("%s is left out: %s", task.name, error)
            continue
        if task.declaration.joint:  # languages share a pool: those that are there change with it
            there |= {code for code in benchmark.languages_of(task) if (task.name, code) in done}
        todo.append((task, [code for code in benchmark.languages_of(task) if code in there]))
    return todo, failed


def _incomplete(
    benchmark: Benchmark,
    wanted: Sequence[tuple[Task, tuple[str, ...]]],
    failed: Mapping[str, Exception],
    table: pd.DataFrame,
    folder: Path,
) -> Exception:
    """What to raise where some tasks could not be run; the one cause itself where it kept all from running."""
    if len(failed) == len(wanted) and len({str(error) for error in failed.values()}) == 1:
        return next(iter(failed.values()))
    lines = [f"  {task}: {error}" for task, error in failed.items()]
    return IncompleteRun(
        f"{len(failed)} of {len(wanted)} tasks of {benchmark.title} could not be run; the others are done and stand in "
        f"{folder / RESULTS}.\n" + "\n".join(lines) + "\nThe same command again does what is missing. "
        "To score the languages that are there: --available; to leave some out: --skip TASK or --skip TASK:CODE,CODE",
        table,
        failed,
    )


def benchmark_scores(table: pd.DataFrame, benchmark: str | Benchmark) -> dict[str, Any]:
    """Averages of a benchmark's table, by the rule of the official scorer.

    Args:
        table: rows as of `run_benchmark`.
        benchmark: name, or `Benchmark`.

    Returns:
        `tasks`: task -> its `group`, `metric`, mean `score`, `languages` that are scored and that there `should be`;
        `groups`: group, and `all`, -> mean over its tasks, only where all of them are there;
        `complete`: whether every language of every task is; other totals do not compare with published ones;
        `notes`: what a reader should know.
    """
    benchmark = load_benchmark(benchmark)
    main = table[table["main"].astype(bool)]
    tasks: dict[str, Any] = {}
    for group, names in benchmark.groups.items():
        for name in names:
            scores = main[main["task"] == name]
            if len(scores):
                tasks[name] = {
                    "group": group,
                    "metric": scores.iloc[0]["metric"],
                    "score": fmean(scores["score"]),
                    "languages": len(scores),
                    "should be": len(benchmark.languages_of(name)),
                }
    complete = len(tasks) == len(benchmark.tasks) and all(
        task["languages"] == task["should be"] for task in tasks.values()
    )
    notes = [] if complete else ["Some tasks or languages are missing: these means do not compare with published ones."]
    if any(name in tasks for name in benchmark.unread):
        notes.append(
            f"The official scorer cannot read {', '.join(benchmark.unread)}, so it forms no total of "
            f"{benchmark.title}; a total here is the mean over all of its tasks."
        )
    groups = benchmark.totals({name: task["score"] for name, task in tasks.items()})
    return {"tasks": tasks, "groups": groups, "complete": complete, "notes": notes}


def _trained(task: Task, folder: Path, group: PartialState, *, flags: Sequence[str], **training: Any) -> dict[str, Any]:
    """Folder of the model that is trained for a task, and its score on English dev; trains it where it is missing."""
    place = folder / "training" / "-".join(task.train or (task.name,))
    finished = place / TRAINED
    there = finished.is_file() and cut_weights(place) is None  # else its training writes it again
    group.wait_for_everyone()
    if there:
        return {"folder": str(place), **json.loads(finished.read_text(encoding="utf-8"))}
    result = run_phase("target", task, ["--output_dir", str(place), *flags], resume=True, **training)
    metric = load_task(task.train[-1]).metric if task.train else task.metric
    dev = {"dev_score": result.get(metric), "dev_metric": metric, "steps": result["steps"]}
    if group.is_main_process:
        write(finished, json.dumps(dev, indent=2) + "\n")
    group.wait_for_everyone()
    return {"folder": str(place), **dev}


def _claim(folder: Path, settings: dict[str, Any], *, write_it: bool) -> None:
    """Note what this run is, and refuse the folder of another; flags that decide no result may differ."""
    path = folder / SETTINGS
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
        if "flags" in other and deciding(before.get("flags") or ()) == deciding(settings["flags"]):
            other.remove("flags")
        if other:
            raise StiltsError(
                f"{folder} holds a run with {other[0]} {before.get(other[0])!r}; this one has "
                f"{settings.get(other[0])!r}. Nothing was done. Pass another --output-dir, or the same settings to go "
                "on."
            )
    elif write_it:
        write(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def label_of(name: str) -> str:
    """What tables call an intermediate checkpoint: its task, as the name says it.

    >>> [label_of(name) for name in ("mnli", "org/xlm-roberta-base-stilts-mnli-seed7", "runs/intermediate-mnli/")]
    ['mnli', 'mnli', 'intermediate-mnli']
    """
    return re.sub(r"-seed\d+(?=$|-)", "", _short(name)).rpartition("-stilts-")[2]


def _short(name: str) -> str:
    """Name of a checkpoint as a part of a folder's name."""
    return name.rstrip("/").rsplit("/", 1)[-1].replace("@", "-")
