"""A file of arguments in the place of a task: `hf-stilts intermediate run.yaml`, with the fields that flags have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.training.flags import stock_fields

COMMANDS = ("intermediate", "target")
_YAML, _JSON = (".yaml", ".yml"), ".json"
_TASKS = "task"  # the only field that is no flag
_OF_TASK_FILES = "kind"  # a task that is written as YAML has it, and no flag is called so


def with_file(arguments: Sequence[str], params: Sequence[Any]) -> list[str]:
    """Words of a command, with the file of arguments that begins them spelt out; as they are where none does.

    What is typed behind the file wins: tasks replace those of the file, and of a flag the last one counts.

    Args:
        arguments: what stands behind the command.
        params: its parameters, as click has them.

    Raises:
        FileNotFoundError: no such file.
        StiltsError: it cannot be read, has a field that there is not, or names no task where none is typed.
    """
    if not arguments or not arguments[0].endswith((*_YAML, _JSON)):
        return [*arguments]
    path, typed = Path(arguments[0]), [*arguments[1:]]
    if not path.is_file():
        if path.suffix == ".yaml":  # it may be meant for a task
            return [*arguments]
        raise FileNotFoundError(f"No file {path}. Give the path of a YAML or JSON file of arguments.")
    fields, lines = _read_json(path) if path.suffix == _JSON else _read_yaml(path)
    if _OF_TASK_FILES in fields and path.suffix == ".yaml":
        return [*arguments]
    switches = {_field(each): each for each in params if getattr(each, "is_flag", False)}
    known = {_TASKS, *stock_fields(), *(_field(each) for each in params if each.opts[0].startswith("--"))}
    words: list[str] = []
    for name, value in fields.items():
        if name not in known:
            raise StiltsError(
                f"{path}, line {lines[name]}: {name} is neither an option of this command nor a field of "
                f"transformers.TrainingArguments. {did_you_mean(name, known, 1)} Correct it."
            )
        if name != _TASKS and value is not None:
            words += _words(name, value, switches.get(name))
    tasks = [*takewhile(lambda word: not word.startswith("-"), typed)]
    given = fields.get(_TASKS) or []
    rest, tasks = typed[len(tasks) :], tasks or [str(each) for each in ([given] if isinstance(given, str) else given)]
    if not tasks:
        raise StiltsError(f"{path} names no task; one or more are expected. Write for example: task: mnli")
    return [*tasks, *words, *rest]


def _field(param: Any) -> str:
    """An option as a field of the file is called."""
    return str(param.opts[0]).removeprefix("--").replace("-", "_")


def _words(name: str, value: Any, switch: Any) -> list[str]:
    """A field as words of a command line."""
    if switch is not None:
        on = str(value).lower() in ("true", "yes", "on", "1")
        if on:
            return [switch.opts[0]]
        return [*switch.secondary_opts[:1]]
    if isinstance(value, Mapping):
        return [f"--{name}", json.dumps(value)]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(str(each).lower() if isinstance(each, bool) else str(each) for each in values)]


def _read_json(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Fields of a JSON file, and the line of each."""
    text = _text(path)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise StiltsError(f"{path} is no JSON: {error}. Expected {{field: value, ...}}. Correct it.") from error
    if not isinstance(found, dict):
        raise StiltsError(f"{path} holds no object; expected {{field: value, ...}}. Correct it.")
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for name in found:
            if json.dumps(name) in line:
                lines.setdefault(name, number)
    return found, dict.fromkeys(found, 1) | lines


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Fields of a YAML file, and the line of each. Scalars stay as they are written: `save_strategy: no` is a word."""
    import yaml  # takes a hundredth of a second, and most commands read none

    try:
        top = yaml.compose(_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise StiltsError(f"{path} is no YAML: {error}. Expected `field: value` lines. Correct it.") from error
    if not isinstance(top, yaml.MappingNode):
        raise StiltsError(f"{path} holds no mapping; expected `field: value` lines. Write for example: task: mnli")
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in top.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in fields:
            raise StiltsError(
                f"{path}, line {line}: {name} is there already, in line {lines[name]}; expected once. Delete one."
            )
        fields[name], lines[name] = _plain(value, path), line
    return fields, lines


def _plain(node: Any, path: Path) -> Any:
    """The value of a node: scalars as they are written, lists of them, and of a mapping what YAML makes of it."""
    if node.id == "scalar":
        return None if node.tag.endswith(":null") else node.value
    if node.id == "sequence":
        return [_plain(each, path) for each in node.value]
    import yaml

    return yaml.safe_load(yaml.serialize(node))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StiltsError(f"{path} is no UTF-8 text: {error}. Write it as UTF-8.") from error
