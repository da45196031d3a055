"""The official scores of XTREME and XTREME-R from folders of predictions and gold labels.

    python -m hf_stilts.evaluation.xtreme --predictions P --labels L --benchmark xtreme

Every rule is that of `evaluate.py` in google-research/xtreme (Hu et al. 2020, Ruder et al. 2021), down to seqeval
0.0.12 over raw parts of speech and MLQA's own normalisation. Beyond that code: LAReQA, without which it never forms
XTREME-R's total; token accuracy; and what is missing is named, where it skips or stops. Files: see `layout.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import pandas as pd

from hf_stilts.benchmark import TOTAL, Benchmark, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation import layout
from hf_stilts.metrics.chunk_f1.chunks import count_chunks, number_tags, overall, token_accuracy
from hf_stilts.metrics.multilingual_qa.answers import answer_scores
from hf_stilts.metrics.retrieval_map.ranking import average_precision, find_hits
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, load_task

Scores = dict[str, float]


@dataclass(repr=False)
class Report(Tabular):
    """Scores in percent, and what they lack.

    Attributes:
        benchmark: whose tasks, languages and groups these are.
        languages: task -> metric -> language -> score.
        missing: task -> languages that have no score; a task without a folder misses all.
        given: scores of whole tasks that were not computed here (LAReQA).
        notes: what a reader of the table should know.
    """

    benchmark: Benchmark
    languages: dict[str, dict[str, Scores]] = field(default_factory=dict)
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    given: Scores = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a task, metric and language."""
        found = []
        for task, metrics in self.languages.items():
            for metric, scores in metrics.items():
                for language, score in scores.items():
                    found.append({"task": task, "metric": metric, "language": language, "score": score})
        return found

    def summary(self) -> list[dict[str, Any]]:
        """One dictionary a task, in the order of the groups, each group, and the total."""
        rows: list[dict[str, Any]] = []
        for name in (*self.benchmark.groups, TOTAL):
            for task in self.benchmark.groups.get(name, ()):
                means = self.averages(task) if task in self.languages else {}
                lacking = len(self.missing.get(task, ()))
                count = len(self.benchmark.languages_of(task)) - lacking
                rows.append(
                    {
                        "": task,
                        "score": self.tasks.get(task),
                        "languages": f"{count}, {lacking} missing" if lacking else str(count),
                        "means over these languages": " ".join(
                            f"{metric} {mean:.1f}" for metric, mean in means.items() if metric != "metric"
                        ),
                    }
                )
            total = {"": name.upper(), "score": self.totals.get(name)}
            rows.append({**total, "languages": "", "means over these languages": ""})
        return rows

    def averages(self, task: str) -> Scores:
        """Mean of each metric over the languages that are there, and `metric`, the task's score."""
        means = {metric: fmean(scores.values()) for metric, scores in self.languages[task].items()}
        main = self.benchmark.metric(task)
        if main == "em_and_f1":
            return {**means, "metric": (means["exact_match"] + means["f1"]) / 2}
        return {**means, "metric": means[main]}

    @property
    def tasks(self) -> Scores:
        """Score of each task that has all of its languages."""
        complete = [task for task in self.languages if not self.missing.get(task)]
        return {**{task: self.averages(task)["metric"] for task in complete}, **self.given}

    @property
    def totals(self) -> Scores:
        """Means of the groups, and of `all` tasks, each only where nothing is missing."""
        return self.benchmark.totals(self.tasks)

    def as_json(self) -> dict[str, Any]:
        """What `evaluate.py` writes: groups and total first, then the tasks; and `notes`, and what is `missing`.

        A task that misses languages has no averages.
        """
        totals = self.totals
        groups = {"all_task" if name == TOTAL else name: score for name, score in totals.items()}
        tasks = {}
        for task, metrics in self.languages.items():
            averages = {} if self.missing.get(task) else _prefixed(self.averages(task))
            tasks[task] = {**metrics, **averages}
        given = {task: {"avg_metric": score} for task, score in self.given.items()}
        missing = {task: list(codes) for task, codes in self.missing.items() if codes}
        return {**groups, **tasks, **given, "missing": missing, "notes": self.notes}


def evaluate(
    predictions: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    benchmark: str | Benchmark = "xtreme",
    *,
    lareqa: float | None = None,
) -> Report:
    """Score all tasks that have a folder among the predictions and among the labels.

    Args:
        predictions: folder with `<task>/test-<language>.<extension>`.
        labels: folder of the same layout with the gold labels.
        benchmark: whose tasks and languages count.
        lareqa: LAReQA's mAP@20 in percent, where the folders do not hold it.

    Raises:
        FileNotFoundError: one of the folders does not exist.
        StiltsError: no task has both, or a file does not fit its labels.
    """
    benchmark = load_benchmark(benchmark)
    folders = [Path(predictions), Path(labels)]
    for folder, what in zip(folders, ("predictions", "labels"), strict=True):
        if not folder.is_dir():
            raise FileNotFoundError(f"No folder {folder} of {what}. Give one that holds a folder per task, e.g. xnli/.")
    report = Report(benchmark)
    for name in benchmark.tasks:
        _score_task(report, load_task(name), *folders)
    if lareqa is not None:
        if "lareqa" not in benchmark.tasks or not 0 <= lareqa <= 100:
            raise StiltsError(f"lareqa={lareqa} with {benchmark.title}. Expected percent, 0 to 100, and xtreme-r.")
        report.given["lareqa"] = lareqa
        report.missing.pop("lareqa", None)
        report.languages.pop("lareqa", None)
    if not (report.languages or report.given):
        raise StiltsError(
            f"No task of {benchmark.title} has a folder in both {folders[0]} and {folders[1]}. "
            f"Expected some of: {', '.join(benchmark.tasks)}; and files such as xnli/test-de.tsv in them."
        )
    _say_what_is_missing(report)
    return report


def score_files(task: Task, language: str, predictions: Path, labels: Path) -> tuple[Scores, list[str]]:
    """Scores of one task in one language, and notes.

    Raises:
        FileNotFoundError: one of the two files is missing.
        StiltsError: a file that cannot be read, or numbers of examples that differ where they must not.
    """
    found, gold = (layout.read(folder, task, language) for folder in (predictions, labels))
    file = layout.file_of(predictions, task, language)
    if not isinstance(found, list) and not isinstance(found, Mapping):
        raise StiltsError(f"{file} holds {type(found).__name__}. Expected one JSON object of predictions by id.")
    unit, scorer = layout.form_of(task).unit, _scorer(task)
    if unit and (len(found) != len(gold) or not gold):
        raise StiltsError(
            f"{file} has {len(found)} {unit}; its labels have {len(gold)}. Expected as many, at least one; are both of "
            "the same test set?"
        )
    notes: list[str] = []
    try:
        return scorer(task, language, found, gold, notes.append), [f"{file}: {note}" for note in notes]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StiltsError(
            f"{file} or its labels cannot be scored: {error}. "
            f"Run: hf-stilts submission check {predictions} --labels {labels}"
        ) from error


def _score_task(report: Report, task: Task, predictions: Path, labels: Path) -> None:
    wanted = report.benchmark.languages_of(task)
    if not all((folder / task.name).is_dir() for folder in (predictions, labels)):
        report.missing[task.name] = wanted
        return
    missing: set[str] = set()
    for folder in (predictions, labels):
        files = {language: layout.file_of(folder, task, language) for language in wanted}
        lacking = [language for language, file in files.items() if not file.is_file()]
        if lacking:
            file = files[lacking[0]]
            report.notes.append(f"{task.name} has no score in {', '.join(lacking)}: there is no {file}, and so on.")
        missing.update(lacking)
    for language in wanted:
        if language in missing:
            continue
        scores, notes = score_files(task, language, predictions, labels)
        report.notes += notes
        for metric, score in scores.items():
            report.languages.setdefault(task.name, {}).setdefault(metric, {})[language] = score
    report.missing[task.name] = tuple(language for language in wanted if language in missing)


def _say_what_is_missing(report: Report) -> None:
    benchmark, scored = report.benchmark, report.tasks
    lacking = [task for task in benchmark.tasks if task not in scored]
    if lacking:
        report.notes.append(f"No total: {', '.join(lacking)} not or not wholly scored; a mean over the rest is none.")
    for task in benchmark.unread:
        note = f"{task}: evaluate.py of google-research/xtreme knows but cannot read it, and so never forms a total"
        group = next((tasks for tasks in benchmark.groups.values() if task in tasks), ())
        rest = [each for each in group if each != task]
        if all(each in scored for each in rest):
            note += f"; there its group is the mean of {' and '.join(rest)}: {fmean(scored[each] for each in rest):.2f}"
        report.notes.append(note + ".")


def _accuracy(
    task: Task, language: str, found: Sequence[Any], gold: Sequence[Any], note: Callable[[str], None]
) -> Scores:
    return {"accuracy": 100.0 * sum(map(_equal, found, gold)) / len(found)}


def _equal(found: Any, gold: Any) -> bool:
    return bool(found == gold)


def _chunks(task: Task, language: str, found: Any, gold: Any, note: Callable[[str], None]) -> Scores:
    (expected, predicted), names = number_tags(gold, found)
    scores = overall(count_chunks(expected, predicted, names))
    try:
        scores["accuracy"] = token_accuracy(expected, predicted)
    except ValueError as error:
        note(f"{error} It is scored as the official code does, which shifts all that follows; no accuracy")
    return {metric: 100.0 * score for metric, score in scores.items()}


def _pairs(task: Task, language: str, found: Sequence[str], gold: Sequence[str], note: Callable[[str], None]) -> Scores:
    mined = {tuple(line.split("\t")) for line in found}
    right = {tuple(line.split("\t")) for line in gold}
    correct = len(mined & right)
    precision, recall = correct / max(len(mined), 1), correct / max(len(right), 1)
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": 100.0 * f1, "precision": 100.0 * precision, "recall": 100.0 * recall}


def _answers(task: Task, language: str, found: Any, gold: Any, note: Callable[[str], None]) -> Scores:
    questions: list[Any] = []
    for article in gold["data"] if isinstance(gold, Mapping) else gold:
        for paragraph in article["paragraphs"]:
            questions += paragraph["qas"]
    silent = sum(qa["id"] not in found for qa in questions)
    if silent:
        note(f"{silent} of {len(questions)} questions are not answered and count 0")
    given = [found.get(qa["id"]) for qa in questions]
    right = []
    for qa in questions:
        right.append([answer["text"] for answer in qa["answers"]])
    scores = answer_scores(given, right, normalisation=task.normalisation, language=language)
    return {metric: scores[metric] for metric in ("exact_match", "f1")}


def _rankings(task: Task, language: str, found: Any, gold: Any, note: Callable[[str], None]) -> Scores:
    silent = sum(query not in found for query in gold)
    if silent:
        note(f"{silent} of {len(gold)} queries have no ranking and count 0")
    hits = find_hits([found.get(query, []) for query in gold], list(gold.values()), k=20)
    return {task.metric: 100.0 * float(average_precision(hits).mean())}


# Task, language, predictions, gold labels, and what takes a note -> scores.
_Scorer: TypeAlias = Callable[[Task, str, Any, Any, Callable[[str], None]], Scores]
# Rules by the name that a kind declares as its `official_scorer`.
_SCORERS: dict[str, _Scorer] = {
    "accuracy": _accuracy,
    "chunks": _chunks,
    "pairs": _pairs,
    "answers": _answers,
    "rankings": _rankings,
}


def _scorer(task: Task) -> _Scorer:
    scorer = _SCORERS.get(task.declaration.official_scorer or "")
    if scorer is None:
        raise StiltsError(
            f"{task.name} is a {task.kind} task, which the official scorer has no rule for; expected one of "
            f"{', '.join(_SCORERS)} as official_scorer = in its kind. Leave it out of the benchmark."
        )
    return scorer


def _prefixed(averages: Scores) -> Scores:
    return {f"avg_{metric}": score for metric, score in averages.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of this module; 1 after a mistake, which is told in one line."""
    parser = argparse.ArgumentParser(prog="python -m hf_stilts.evaluation.xtreme", description=__doc__.split("\n")[0])
    parser.add_argument("--predictions", required=True, help="folder with <task>/test-<language>.<extension>")
    parser.add_argument("--labels", required=True, help="folder of the same layout with the gold labels")
    parser.add_argument("--benchmark", default="xtreme", help="xtreme or xtreme-r")
    parser.add_argument("--lareqa", type=float, help="LAReQA's mAP@20 in percent, where the folders do not hold it")
    parser.add_argument("--json", action="store_true", help="print what evaluate.py writes, and what is missing")
    given = parser.parse_args(arguments)
    try:
        report = evaluate(given.predictions, given.labels, given.benchmark, lareqa=given.lareqa)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    if given.json:
        sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False) + "\n")
    else:
        table = pd.DataFrame(report.summary()).to_string(index=False, na_rep="-", float_format="{:.1f}".format)
        sys.stdout.write("\n".join([report.benchmark.title, table, *report.notes]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
