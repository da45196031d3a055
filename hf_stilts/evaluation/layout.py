"""Files of an XTREME submission, one per task and language: read and written as google-research/xtreme lays them out.

A folder holds `<task>/test-<language>.<extension>`; predictions and gold labels look alike. What a file holds follows
from the form that the task's kind declares as its `submission`:

| form | kind | extension | content |
|---|---|---|---|
| lines | text classification | tsv | a label per line, in the order of the test set |
| tags | token classification | tsv | a tag per line, an empty line between sentences |
| pairs | bitext mining | tsv | source id, tab, English id; any number of pairs |
| rows | bitext retrieval | tsv | line i: row of the source sentence that translates the i-th English, sorted |
| answers | question answering | json | question id -> answer; gold: SQuAD's JSON |
| rankings | answer retrieval | json | query id -> up to 20 ids, best first; gold: query id -> right ids |
| choices | multiple choice | jsonl | a JSON object with `label` per line |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hf_stilts.declarations import declared, list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task


class Format(NamedTuple):
    """How files of one form are read and written.

    Attributes:
        extension: of the file's name.
        read: a file to what it holds.
        write: (id, prediction) pairs in the order of the test set to a file's text.
        unit: what a file has one of for each example, in the order of the test set ("lines"); None where examples go by
            ids.
    """

    extension: str
    read: Callable[[Path], Any]
    write: Callable[[Sequence[tuple[Any, Any]]], str]
    unit: str | None = None


def file_of(folder: Path, task: Task, language: str) -> Path:
    """Where the predictions or the labels for one task in one language lie."""
    return folder / task.name / f"test-{language}.{form_of(task).extension}"


def form_of(task: Task) -> Format:
    """How the task's files are read and written.

    Raises:
        StiltsError: no submission has files of such tasks.
    """
    form = FORMATS.get(task.declaration.submission or "")
    if form is None:
        others = [kind for kind in list_kinds() if declared(kind).submission in FORMATS]
        raise StiltsError(
            f"{task.name} is a {task.kind} task, whose predictions have no form in a submission; {', '.join(others)} "
            "have. Leave it out of the benchmark, or evaluate it by itself: hf-stilts evaluate "
            f"{task.name} --model NAME"
        )
    return form


def read(folder: Path, task: Task, language: str) -> Any:
    """What a file holds: a list of lines, of sentences or of labels, or what its JSON says.

    Raises:
        FileNotFoundError: there is no such file.
        StiltsError: it is not UTF-8, or not JSON where it should be; file and line are named.
    """
    return form_of(task).read(file_of(folder, task, language))


def lines_of(path: Path) -> list[str]:
    """Lines without outer blanks, as the official reader cuts them."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise StiltsError(f"{path} is not UTF-8 (byte {error.start}). Write it anew in UTF-8.") from error
    return [line.strip() for line in (lines[:-1] if not lines[-1] else lines)]


def _tags(path: Path) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    for line in lines_of(path):
        if line:
            sentences[-1].append(line)
        else:
            sentences.append([])
    return sentences if sentences[-1] else sentences[:-1]


def _json(path: Path) -> Any:
    text = "\n".join(lines_of(path))
    try:
        return json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise StiltsError(f"{path}, line {line} is no JSON ({error}). Expected one object; write it anew.") from error


def _choices(path: Path) -> list[Any]:
    labels = []
    for number, line in enumerate(lines_of(path), start=1):
        try:
            labels.append(json.loads(line)["label"])
        except (ValueError, TypeError, KeyError) as error:
            raise StiltsError(
                f'{path}, line {number} is {line!r}. Expected a JSON object with a label, e.g. {{"label": 0}}.'
            ) from error
    return labels


def _write_lines(pairs: Sequence[tuple[Any, Any]]) -> str:
    return "".join(f"{prediction}\n" for _, prediction in pairs)


def _write_tags(pairs: Sequence[tuple[Any, Any]]) -> str:
    sentences = []
    for _, tags in pairs:
        sentences.append("".join(f"{tag}\n" for tag in tags))
    text = "\n".join(sentences)
    # Only an empty line behind it shows that there is an empty sentence at the end.
    return text + "\n" if pairs and not pairs[-1][1] else text


def _write_pairs(pairs: Sequence[tuple[Any, Any]]) -> str:
    return "".join(f"{source}\t{target}\n" for source, target in pairs if target is not None)


def _write_json(pairs: Sequence[tuple[Any, Any]]) -> str:
    return json.dumps({str(name): prediction for name, prediction in pairs}, indent=2) + "\n"


def _write_choices(pairs: Sequence[tuple[Any, Any]]) -> str:
    return "".join(json.dumps({"label": prediction}) + "\n" for _, prediction in pairs)


FORMATS: dict[str, Format] = {
    "lines": Format("tsv", lines_of, _write_lines, unit="lines"),
    "tags": Format("tsv", _tags, _write_tags, unit="sentences"),
    "pairs": Format("tsv", lines_of, _write_pairs),
    "rows": Format("tsv", lines_of, _write_lines, unit="lines"),
    "answers": Format("json", _json, _write_json),
    "rankings": Format("json", _json, _write_json),
    "choices": Format("jsonl", _choices, _write_choices, unit="lines"),
}
