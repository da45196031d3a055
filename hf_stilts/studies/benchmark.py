"""A whole benchmark as one call: trains each target once, scores every language, goes on where it was."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from hf_stilts.benchmark import Benchmark, chosen_parts, load_benchmark
from hf_stilts.data.language_shares import spelt_languages
from hf_stilts.data.load import present
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.evaluation.processes import processes
from hf_stilts.evaluation.results import NOISE, RESULTS, SETTINGS, predictions_file
from hf_stilts.evaluation.zero_shot import noise_of, score_languages
from hf_stilts.files import cut_weights, read_lines, write, write_lines
from hf_stilts.hub.checkpoints import check_name, resolve
from hf_stilts.studies.options import BenchmarkOptions
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
    benchmark: str | Benchmark, base: str | None = None, *, model: str | None = None, **options: Any
) -> pd.DataFrame:
    """Phase three on every task of a benchmark, zero-shot: the table that papers print.

    A target whose training rows are those of another (XQuAD and MLQA, both SQuAD) shares its training. Retrieval tasks
    without training rows take the encoder as it is. Whatever is finished is not done again: a training from its newest
    checkpoint, an evaluation from its first missing language. Under `torchrun` the processes share the work, and the
    first one writes.

    Args:
        benchmark: `"xtreme"`, `"xtreme-r"` or a `Benchmark`.
        base: public model, as of `BenchmarkOptions`.
        model: old word for `base`.
        options: fields of `hf_stilts.studies.options.BenchmarkOptions`. Its `out`, the folder of the run, receives

            - `results.jsonl`: a row per task, language and metric;
            - `predictions/<task>/<language>.jsonl`: a row per example, `{"id", "prediction", "gained", "possible"}`;
            - `training/<task>/`: the trained models, by the name of the task that trains them;
            - `settings.json`: what this run is;
            - `noise/<noise>-seed<n>/`: of misspelt rows, such files again. All of them share the trained models.

    Returns:
        All rows of `results.jsonl` that were asked for; those whose `main` is true make up the averages.

    Raises:
        StiltsError: no such task or language; or `out` holds a run with other settings.
        IncompleteRun: after all else is done, some tasks could not be run: rows are missing, a training failed. Its
            `table` has the others; the same call again does those that failed.
    """
    stray = [name for name in options if name not in BenchmarkOptions.names()]
    if stray:
        raise StiltsError(f"run_benchmark has no {stray[0]}=. {did_you_mean(stray[0], BenchmarkOptions.names(), 3)}")
    base = model_and_base(model, base)[1] or DEFAULT_BASE
    return _Run(load_benchmark(benchmark), BenchmarkOptions(base=base, **options)).carry_out()


class _Run:
    """A benchmark run: what was asked for, where it lies, and what is done of it."""

    def __init__(self, benchmark: Benchmark, options: BenchmarkOptions) -> None:
        """Find what was asked for, and claim the folder.

        Raises:
            StiltsError: as `run_benchmark`.
        """
        self.benchmark, self.options = benchmark, options
        self.wanted = chosen_parts(benchmark, options.tasks, options.languages, options.skip)
        self.base, self.encoder = _start(options)
        self.languages = spelt_languages(options.train_languages, ["all"])  # "all" is spelt out for each task
        self.label = options.label or self._label()
        self.group = processes()
        self.training = Path(options.out or self._default_folder())
        noise = noise_of(options)
        self.noise = noise if noise is not None and noise.level else None
        self.folder = self._claimed()
        self.rows = read_lines(self.folder / RESULTS) if (self.folder / RESULTS).is_file() else []
        self.failed: dict[str, Exception] = {}
        self.group.wait_for_everyone()  # nobody writes before everybody has read

    def carry_out(self) -> pd.DataFrame:
        """Train and score what is left, and return the rows that were asked for.

        Raises:
            IncompleteRun: some tasks could not be run.
        """
        for task, codes in self._left():
            try:
                self._score(task, codes, self._trained(task))
            except (ValueError, OSError) as error:
                self.failed[task.name] = error
                logger.warning("%s could not be run: %s", task.name, error)
        self.group.wait_for_everyone()
        asked = {(task.name, code) for task, codes in self.wanted for code in codes}
        table = pd.DataFrame([row for row in self.rows if (row["task"], row["language"]) in asked])
        if self.failed:
            raise _incomplete(self.benchmark, self.wanted, self.failed, table, self.folder)
        return table

    def _claimed(self) -> Path:
        """Folder of the results, which with noise lies in that of the run; both are this run's.

        Raises:
            StiltsError: one holds a run with other settings.
        """
        settings = self._settings()
        _claim(self.training, settings, write_it=self.group.is_main_process)
        if self.noise is None:
            return self.training
        options = self.options
        settings |= {"noise": str(self.noise), "noise_seed": options.noise_seed}
        if options.noise_dictionaries is not None:
            settings["noise_dictionaries"] = str(options.noise_dictionaries)
        folder = self.training / NOISE / f"{str(self.noise).replace(':', '-')}-seed{options.noise_seed}"
        _claim(folder, settings, write_it=self.group.is_main_process)
        return folder

    def _label(self) -> str:
        start = label_of(self.options.init) if self.options.init else "none"
        return f"{start}, trained on {self.languages}" if self.languages else start

    def _default_folder(self) -> str:
        start = f"-from-{_short(self.options.init)}" if self.options.init else ""
        languages = f"-on-{self.languages.replace(',', '-').replace(' ', '')}" if self.languages else ""
        return f"runs/{self.benchmark.name}-{_short(self.base)}{start}{languages}"

    def _settings(self) -> dict[str, Any]:
        """What decides the results of the run, for `settings.json`."""
        options = self.options
        found: dict[str, Any] = {
            "benchmark": self.benchmark.name,
            "model": self.base,
            "from": self.encoder if options.init else None,
            "label": self.label,
            "recipe": options.recipe,
            "flags": list(options.flags),
            "limit": options.limit,
            "train_limit": options.train_limit,
            "split": options.split,
            "layer": options.layer,
        }
        # Later options stand there only where they were given, so that folders of earlier versions go on.
        for name in ("pooling", "prefix", "precision", "max_length", "trained_in"):
            value = getattr(options, name)
            if value is not None:
                found[name] = value if isinstance(value, str | int) else list(value)
        for name in ("answer_similarity", "best_layer"):
            if getattr(options, name):
                found[name] = True
        if self.languages:
            found["train_languages"] = self.languages
        if options.text_to_text:
            found["text_to_text"] = True
        if options.adapter:
            found["adapter"] = options.adapter
        return found

    def _left(self) -> list[tuple[Task, list[str]]]:
        """Tasks with the languages that are still to be scored; what keeps others from it, before any training."""
        options = self.options
        done = {(row["task"], row["language"]) for row in self.rows}
        todo: list[tuple[Task, list[str]]] = []
        for task, codes in self.wanted:
            missing = [code for code in codes if (task.name, code) not in done]
            if not missing:
                continue
            try:
                found = present(task, options.split, missing, available=options.available, data_dir=options.data_dir)
            except (ValueError, OSError) as error:
                self.failed[task.name] = error
                logger.warning("%s is left out: %s", task.name, error)
                continue
            there, languages = set(found), self.benchmark.languages_of(task)
            if task.declaration.joint:  # languages share a pool: those that are there change with it
                there |= {code for code in languages if (task.name, code) in done}
            todo.append((task, [code for code in languages if code in there]))
        return todo

    def _trained(self, task: Task) -> _Trained:
        """The model that is scored on a task; trains it where it is missing."""
        if not _trains(task):
            return _Trained(self.encoder, None)
        place = self.training / "training" / "-".join(task.train or (task.name,))
        finished = place / TRAINED
        there = finished.is_file() and cut_weights(place) is None  # else its training writes it again
        self.group.wait_for_everyone()
        if there:
            return _Trained(str(place), json.loads(finished.read_text(encoding="utf-8"))["dev_score"])
        result = run_phase("target", task, ["--output_dir", str(place), *self._flags()], **self._how(task))
        metric = load_task(task.train[-1]).metric if task.train else task.metric
        dev = {"dev_score": result.get(metric), "dev_metric": metric, "steps": result["steps"]}
        if self.group.is_main_process:
            write(finished, json.dumps(dev, indent=2) + "\n")
        self.group.wait_for_everyone()
        return _Trained(str(place), dev["dev_score"])

    def _how(self, task: Task) -> dict[str, Any]:
        """How a task is trained, as `run_phase` takes it."""
        options = self.options
        start = {"init": self.encoder} if options.init else {"base": self.base}
        return {
            **start,
            "resume": True,
            "recipe": options.recipe,
            "limit": options.train_limit,
            "languages": spelt_languages(options.train_languages, load_task((task.train or (task.name,))[0]).languages),
            "data_dir": options.data_dir,
            "adapter": options.adapter,
            "text_to_text": options.text_to_text and task.declaration.text_answers is not None,
        }

    def _flags(self) -> tuple[str, ...]:
        """Stock flags of the trainings."""
        if self.group.num_processes > 1 and self.group.device.type == "cpu":
            return ("--use_cpu", "true", *self.options.flags)  # the stock arguments do not find that out themselves
        return tuple(self.options.flags)

    def _score(self, task: Task, codes: Sequence[str], trained: _Trained) -> None:
        """Score languages of a task, and write the rows of each as soon as it is scored."""
        source = {
            "benchmark": self.benchmark.name,
            "base": self.base,
            "intermediate": self.label,
            "dev_score": trained.dev_score,
        }
        if self.languages:
            source["train_languages"] = self.languages
        metric = self.benchmark.metric(task)
        asked = replace(self.options, languages=tuple(codes), available=False)
        # What is trained says itself how its vectors are made.
        options = asked.without_search() if _trains(task) else asked.among_others(task)
        stale = {(task.name, code) for code in codes}
        for result in score_languages(trained.model, task, options):
            # Rows of an earlier run go when the first new ones are there.
            self.rows = [row for row in self.rows if (row["task"], row["language"]) not in stale]
            stale = set()
            self.rows += [source | row | {"main": row["metric"] == metric} for row in result.rows]
            if self.group.is_main_process:
                write_lines(predictions_file(self.folder, task.name, result.language), result.predictions)
                write_lines(self.folder / RESULTS, self.rows)
            logger.info("%s %s is scored.", task.name, result.language)


class _Trained(NamedTuple):
    """A model that is scored on a task, by name or folder, and its score on English dev where it was trained."""

    model: str
    dev_score: float | None


def _trains(task: Task) -> bool:
    return task.has_head or bool(task.train)


def _start(options: BenchmarkOptions) -> tuple[str, str]:
    """Public model, and the encoder that the trainings start from, each by name.

    Raises:
        StiltsError: there is none of this name.
    """
    base = str(options.base)
    check_name(base.partition("@")[0])
    if options.init is None:
        return base, base
    start = resolve(options.init, base=base, namespace=options.namespace)
    return base, start.repo_id + (f"@{start.commit}" if start.commit else "")


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
