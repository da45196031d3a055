"""From predictions to the folder that XTREME's official scorer reads; and what is wrong with such a folder.

Predictions are what `hf-stilts evaluate xtreme` leaves behind: a JSON object a line in `predictions/<task>/
<language>.jsonl`, one for each row of the test set in its order, with at least `id` and `prediction`:

| kind | `id` | `prediction` |
|---|---|---|
| text classification | any | the label's name |
| multiple choice | any | the number of a choice |
| token classification | any | the list of tags, one for each word |
| question answering | the question's id | the answer, "" for none |
| bitext mining | id of the source sentence | id of the English sentence, or null |
| bitext retrieval | number of the row | number of the row whose source sentence translates this one's English |
| answer retrieval | the query's id | up to 20 ids, best first |
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hf_stilts.benchmark import Benchmark, load_benchmark
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation import layout
from hf_stilts.evaluation.results import PREDICTIONS, SETTINGS
from hf_stilts.files import read_lines, write
from hf_stilts.task import Task, load_task

# Problems that are told of one file; more of them say nothing new.
TOLD = 5
BUCC_IDS = re.compile(r"[a-z]{2}-\d{9}\ten-\d{9}")


class Problem(NamedTuple):
    """What is wrong with a submission: in which file, at which line (from 1; `None`: the whole file), and what.

    Its `level` is "error" where the scorer stops, leaves out a task or counts as wrong, and "warning" where it reads
    nothing of it or the file may be right all the same.
    """

    file: str
    line: int | None
    problem: str
    level: Literal["error", "warning"] = "error"


class _Finding(NamedTuple):
    """A problem of one file, which who asks knows: line, what is wrong, and how bad it is."""

    line: int | None
    problem: str
    level: Literal["error", "warning"] = "error"


def write_submission(
    folder: str | os.PathLike[str],
    predictions: str | os.PathLike[str],
    benchmark: str | Benchmark = "xtreme",
    *,
    data_dir: str | os.PathLike[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Write `<folder>/<task>/test-<language>.<extension>` for everything that has predictions; all of it or nothing.

    Args:
        folder: where the submission goes.
        predictions: folder of a run, or its `predictions`.
        benchmark: whose tasks and languages are submitted. LAReQA is left out: the official scorer cannot read it.
        data_dir: local mirror of the data sets; Tatoeba's English sentences are read to sort them.

    Returns:
        task -> languages that were written.

    Raises:
        FileNotFoundError: there are no predictions.
        StiltsError: predictions that are not those of a whole test set, or not of their kind; file and line are named.
    """
    benchmark, source = load_benchmark(benchmark), Path(predictions)
    source = source / PREDICTIONS if (source / PREDICTIONS).is_dir() else source
    _refuse_parts(source.parent)
    texts: dict[Path, str] = {}
    written: dict[str, tuple[str, ...]] = {}
    for task in _readable(benchmark):
        there = {code: source / task.name / f"{code}.jsonl" for code in benchmark.languages_of(task)}
        there = {code: path for code, path in there.items() if path.is_file()}
        for code, path in there.items():
            pairs = _pairs(task, code, path, data_dir)
            texts[layout.file_of(Path(folder), task, code)] = layout.form_of(task).write(pairs)
        if there:
            written[task.name] = tuple(there)
    if not texts:
        raise FileNotFoundError(
            f"No predictions of {benchmark.title} in {source}. Expected files such as xnli/de.jsonl; make them: "
            f"hf-stilts evaluate {benchmark.name} --base NAME"
        )
    for path, text in texts.items():
        write(path, text)
    return written


def check_submission(
    folder: str | os.PathLike[str],
    benchmark: str | Benchmark = "xtreme",
    labels: str | os.PathLike[str] | None = None,
) -> list[Problem]:
    """All that the official scorer would stumble over or silently count as wrong; warnings of what it does not read.

    Args:
        folder: the submission.
        benchmark: whose tasks and languages it must have.
        labels: folder of the same layout with gold labels, or with another submission: numbers of lines and of tags,
            and ids, are compared with its.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    benchmark, folder = load_benchmark(benchmark), Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"No folder {folder}. Write one: hf-stilts submission {shlex.quote(str(folder))} --predictions RUN"
        )
    if labels is not None and not Path(labels).is_dir():
        raise FileNotFoundError(f"No folder {labels} with gold labels. Correct --labels, or leave it out.")
    problems: list[Problem] = []
    tasks = _readable(benchmark)
    for stray in sorted({path.name for path in folder.iterdir() if path.is_dir()} - {task.name for task in tasks}):
        what = f"no task that {benchmark.title}'s scorer reads has this name; it skips the folder"
        problems.append(Problem(stray, None, what, "warning"))
    for task in tasks:
        if not (folder / task.name).is_dir():
            problems.append(
                Problem(task.name, None, "the folder is missing; the scorer leaves out the task, and the total")
            )
            continue
        wanted = {code: layout.file_of(folder, task, code) for code in benchmark.languages_of(task)}
        for path in sorted({*(folder / task.name).iterdir()} - {*wanted.values()}):
            expected = next(iter(wanted.values())).name
            what = f"the scorer does not look for this name, but e.g. for {expected}"
            problems.append(Problem(_name(path), None, what, "warning"))
        for code, path in wanted.items():
            found = _problems(task, code, folder, Path(labels) if labels else None)
            for level in ("error", "warning"):
                told = [Problem(_name(path), *each) for each in found if each.level == level]
                problems += told[:TOLD]
                if len(told) > TOLD:
                    more = f"{len(told) - TOLD} more of this kind"
                    problems.append(Problem(_name(path), None, more, told[0].level))
    return problems


def _refuse_parts(run: Path) -> None:
    """Refuse a run that scored other rows than the whole test set."""
    path = run / SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name, whole in (("limit", None), ("split", "test")):
        if settings.get(name, whole) != whole:
            raise StiltsError(
                f"{run} was run with {name} {settings[name]!r}; a submission is of the whole test set. Evaluate again "
                f"without --{name}."
            )


def _readable(benchmark: Benchmark) -> list[Task]:
    """Tasks that the official scorer reads.

    Raises:
        StiltsError: one is of a kind that has no form in a submission.
    """
    tasks = [load_task(name) for name in benchmark.tasks if name not in benchmark.unread]
    for task in tasks:
        layout.form_of(task)
    return tasks


def _pairs(task: Task, language: str, path: Path, data_dir: str | os.PathLike[str] | None) -> list[tuple[Any, Any]]:
    """Ids and predictions of a file, in the order in which the submission has them."""
    pairs = []
    for number, row in enumerate(read_lines(path), start=1):
        if not {"id", "prediction"} <= set(row):
            raise StiltsError(f"{path}, line {number} has {', '.join(row)}. Expected id and prediction.")
        pairs.append((row["id"], row["prediction"]))
        wrong = _wrong(task, row["prediction"])
        if wrong:
            raise StiltsError(f"{path}, line {number}: {wrong}. Evaluate the language again.")
    return _by_sorted_english(task, language, path, pairs, data_dir) if _form(task) == "rows" else pairs


def _by_sorted_english(
    task: Task, language: str, path: Path, pairs: list[tuple[Any, Any]], data_dir: str | os.PathLike[str] | None
) -> list[tuple[Any, Any]]:
    """Tatoeba's English test file is sorted by text, so that its order betrays nothing; line i is its i-th sentence."""
    english = load(task, "test", language, data_dir=data_dir)["target"][:]
    if sorted(row for row, _ in pairs) != list(range(len(english))):
        raise StiltsError(
            f"{path} has {len(pairs)} predictions; {task.name} has {len(english)} sentences in {language}. Expected "
            "one for each row, numbered from 0; evaluate the language without --limit."
        )
    found = dict(pairs)
    return [(row, found[row]) for row in sorted(range(len(english)), key=lambda row: english[row].strip())]


def _wrong(task: Task, prediction: Any) -> str:
    """What is wrong with one prediction, "" if nothing."""
    expected, right = {
        "lines": (f"one of {', '.join(task.labels)}", prediction in task.labels),
        "tags": (
            f"tags such as {', '.join(task.labels[:3])}",
            isinstance(prediction, list) and set(map(str, prediction)) <= {*task.labels},
        ),
        "choices": (
            "the number of a choice, 0 or 1",
            prediction in (0, 1) and not isinstance(prediction, bool),
        ),
        "rows": ("a number of a row, from 0", isinstance(prediction, int) and prediction >= 0),
        "pairs": ("an id, or null", prediction is None or isinstance(prediction, str)),
        "answers": ("the text of an answer", isinstance(prediction, str)),
        "rankings": (
            "a list of up to 20 different ids",
            isinstance(prediction, list) and len({*map(str, prediction)}) == len(prediction) <= 20,
        ),
    }[_form(task)]
    return "" if right else f"found {prediction!r}, expected {expected}"


def _form(task: Task) -> str:
    """Which of `layout.FORMATS` the task's files have."""
    return task.declaration.submission or ""


def _problems(task: Task, language: str, folder: Path, labels: Path | None) -> list[_Finding]:
    """Line and problem of everything that is wrong with one file."""
    path = layout.file_of(folder, task, language)
    if not path.is_file():
        return [_Finding(None, "the file is missing; the scorer stops here")]
    try:
        found = layout.read(folder, task, language)
    except StiltsError as error:
        told = re.search(r", line (\d+)", str(error))
        return [_Finding(int(told[1]) if told else None, str(error).removeprefix(str(path)).lstrip(", "))]
    if not found:
        return [_Finding(None, "the file is empty")]
    gold = None
    if labels is not None and layout.file_of(labels, task, language).is_file():
        gold = layout.read(labels, task, language)
    findings = [*_CHECKS[_form(task)](task, language, path, found), *_against(task, found, gold)]
    return [*findings, *_rows_beyond(found, gold)] if _form(task) == "rows" else findings


def _check_lines(task: Task, language: str, path: Path, found: list[Any]) -> Iterator[_Finding]:
    for number, value in enumerate(found, start=1):
        wrong = _wrong(task, value)
        if wrong:
            yield _Finding(number, wrong)


def _check_rows(task: Task, language: str, path: Path, found: list[Any]) -> Iterator[_Finding]:
    for number, value in enumerate(found, start=1):
        if not str(value).isdecimal():
            yield _Finding(number, f"found {value!r}, expected a number of a row, from 0")


def _rows_beyond(found: list[Any], gold: list[Any] | None) -> Iterator[_Finding]:
    """Row numbers that a whole test set does not have; one that was cut, as the official mock data is, keeps them."""
    if gold is not None and any(str(row).isdecimal() and int(row) >= len(gold) for row in gold):
        return
    for number, value in enumerate(found, start=1):
        if str(value).isdecimal() and int(value) >= len(found):
            what = f"found row {value}; the file has {len(found)} lines, so rows end at {len(found) - 1}"
            yield _Finding(number, what, "warning" if gold is None else "error")


def _check_tags(task: Task, language: str, path: Path, found: list[Any]) -> Iterator[_Finding]:
    previous = "start"
    for number, line in enumerate(layout.lines_of(path), start=1):
        if line and line not in task.labels:
            yield _Finding(number, f"found {line!r}, expected one tag, e.g. {', '.join(task.labels[:3])}")
        if not line and not previous:
            yield _Finding(number, "an empty line behind an empty line is an empty sentence")
        previous = line


def _check_pairs(task: Task, language: str, path: Path, found: list[str]) -> Iterator[_Finding]:
    seen: dict[str, int] = {}
    for number, line in enumerate(found, start=1):
        if not (BUCC_IDS.fullmatch(line) and line.startswith(f"{language}-")):
            example = f"{language}-000000001\\ten-000000001"
            yield _Finding(number, f"found {line!r}, expected two ids and a tab between, e.g. {example}")
        elif line in seen:
            yield _Finding(number, f"the same pair as in line {seen[line]}; the scorer counts it once", "warning")
        seen.setdefault(line, number)


def _check_object(task: Task, language: str, path: Path, found: Any) -> Iterator[_Finding]:
    if not isinstance(found, Mapping):
        yield _Finding(1, f"found {type(found).__name__}, expected an object: id -> prediction")
        return
    text = path.read_text(encoding="utf-8")
    for name, prediction in found.items():
        wrong = _wrong(task, prediction)
        if wrong:
            place = max(text.find(json.dumps(name)), text.find(json.dumps(name, ensure_ascii=False)), 0)
            yield _Finding(text.count("\n", 0, place) + 1, f"{name}: {wrong}")


def _against(task: Task, found: Any, gold: Any) -> Iterator[_Finding]:
    """Differences to the labels in numbers and ids."""
    if gold is None:
        return
    unit = layout.form_of(task).unit
    if unit and len(found) != len(gold):
        yield _Finding(None, f"{len(found)} {unit}; the labels have {len(gold)}")
    elif _form(task) == "tags":
        line = 1
        for place, (tags, wanted) in enumerate(zip(found, gold, strict=True)):
            if len(tags) != len(wanted):
                yield _Finding(
                    line, f"sentence {place} has {len(tags)} tags from here on; the labels have {len(wanted)}"
                )
            line += len(tags) + 1
    elif _form(task) in ("answers", "rankings") and isinstance(found, Mapping):
        ids = _ids(gold)
        missing, strange = sorted(ids - set(found)), sorted(set(found) - ids)
        if missing:
            yield _Finding(None, f"{len(missing)} of {len(ids)} ids are missing, e.g. {missing[0]}; they count 0")
        if strange:
            yield _Finding(None, f"{len(strange)} ids are in no label file, e.g. {strange[0]}", "warning")


def _ids(gold: Any) -> set[str]:
    if isinstance(gold, Mapping) and "data" not in gold:
        return set(gold)
    articles = gold["data"] if isinstance(gold, Mapping) else gold
    found: set[str] = set()
    for article in articles:
        for paragraph in article["paragraphs"]:
            found.update(qa["id"] for qa in paragraph["qas"])
    return found


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


_CHECKS: dict[str, Callable[[Task, str, Path, Any], Iterator[_Finding]]] = {
    "lines": _check_lines,
    "choices": _check_lines,
    "rows": _check_rows,
    "tags": _check_tags,
    "pairs": _check_pairs,
    "answers": _check_object,
    "rankings": _check_object,
}
