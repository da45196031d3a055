"""Converters from the publishers' raw files to Parquet that tasks read like the Hub's: `build("udpos", raw, out)`.

One module a source, named as the task that reads it. A converter offers `FILES`, `SOURCE`, `CITATION`,
`convert(raw, language)` and, for what belongs to no one language, `beside(raw, languages)`; `TASK`, where another task
reads the same repository in more languages; everything else (checksums,
Parquet, cards, the Hub) is done here, the same for all.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from hf_stilts.data.mirror import CARD, read_card
from hf_stilts.data.source import UNREACHABLE
from hf_stilts.dataset_scripts.repository import (
    Config,
    replace_folders,
    send,
    update_card,
    write_card,
    write_parquet,
)
from hf_stilts.errors import StiltsError
from hf_stilts.languages import language_of
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, list_tasks, load_task

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_stilts.dataset_scripts.raw import Raw


class Converter(Protocol):
    """What a converter's module offers.

    Attributes:
        FILES: shell pattern of the names of a language's raw files, with `{language}`, `{iso3}` as in `Task.config` and
            `{config}`, the name of the configuration; or several, where the files go by several names.
        SOURCE: where the publisher has them.
        CITATION: whom to cite.
    """

    FILES: str | tuple[str, ...]
    SOURCE: str
    CITATION: str
    __doc__: str

    def convert(self, raw: Raw, language: str, **options: Any) -> dict[str, Dataset]:
        """Splits of one language, with the names, columns and types of the Hub's data set; none if it is not there."""


class Beside(NamedTuple):
    """A configuration that belongs to no one language: `beside(raw, languages)` of a converter yields them.

    Where an entity's name or a question is in one language and its text in another, where candidates are shared.
    """

    config: str
    languages: tuple[str, ...]
    splits: dict[str, Dataset]


@dataclass(frozen=True)
class Built:
    """Rows written of one configuration and split; of several languages, `language` is `de-en`, of all it is empty."""

    config: str
    language: str
    split: str
    rows: int
    file: Path


@dataclass(frozen=True, repr=False)
class BuildReport(Tabular):
    """What `build` wrote: the repository's folder, its parts, the raw files read, and what it pushed, if anything.

    Attributes:
        raw: raw file -> its sha256.
        absent: languages of the task without any raw file.
        left_out: raw file that is named as the publisher's files are, and was not read -> why.
        pushed: repository id and commit on the Hub.
    """

    folder: Path
    parts: tuple[Built, ...]
    raw: Mapping[str, str]
    absent: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    pushed: tuple[str, str] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a configuration and split, for tables."""
        return [vars(part) | {"file": str(part.file)} for part in self.parts]


def list_converters() -> list[str]:
    """Names of all converters, sorted: the modules here that are named as a task.

    >>> "udpos" in list_converters()
    True
    """
    return sorted({module.name for module in pkgutil.iter_modules(__path__)} & set(list_tasks()))


def build(
    name: str,
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    languages: Iterable[str] | None = None,
    push: str | None = None,
    private: bool = True,
    checksum: bool = True,
    options: Mapping[str, Any] | None = None,
) -> BuildReport:
    """Convert raw files into the repository that the task `name` reads, all of them or nothing.

    Args:
        name: one of `list_converters()`.
        raw: folder with the publisher's files, at any depth.
        out: a mirror; the repository becomes `<out>/<owner>/<name>/`, beside what is there already.
        languages: two-letter codes; those with raw files when None.
        push: also send what was built to `<push>/<name>` on the Hub. Load it from there with
            `dataclasses.replace(load_task(name), dataset=f"{push}/{name}", revision=None)`.
        private: whether a repository that `push` makes is private.
        checksum: refuse files that differ from the published ones, as far as their sha256 is known.
        options: keyword arguments of the converter (`{"fused": False}` for `udpos`).

    Returns:
        What was written, one row a configuration and split; `raw` has the sha256 of every file that was read.

    Raises:
        StiltsError: a file is not as published, or not of its format: file, line and what was expected.
        FileNotFoundError: a raw file is missing.
        ConnectionError: the Hub cannot be reached. What was built stays in `out`.
    """
    check_raw(name, raw)
    from hf_stilts.dataset_scripts.raw import Raw  # which imports data sets

    converter = load_converter(name)
    task = load_task(getattr(converter, "TASK", name))
    options = _checked_options(name, converter, options or {})
    files = Raw(Path(raw).expanduser(), name, checksum=checksum)
    wanted = _languages(task, converter, files, languages)
    folder = Path(out).expanduser() / task.dataset
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        configs = list(_convert(converter, task, files, wanted, options))
        converted = {language for config in configs for language in config.languages}
        _require_rows(converter, files, converted, wanted if languages is not None else ())
        for config in configs:
            write_parquet(config, unfinished)
        card, body = read_card(folder / CARD), _body(name, converter, task)
        update_card(card, configs, unfinished, task.license, body)
        replace_folders(unfinished, folder, configs)
        write_card(card, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    pushed = None
    if push:
        pushed = f"{push}/{name}", _send(folder, configs, f"{push}/{name}", task, body, private)
    parts: list[Built] = []
    read: dict[str, str] = {}
    for config in configs:
        read |= config.record["raw"]
        for split, file in config.files().items():
            rows = len(config.splits[split])
            parts.append(Built(config.title, "-".join(config.languages), split, rows, folder / file))
    expected = load_task(name).languages if languages is None else ()
    absent = tuple(each for each in expected if each not in converted)
    left_out = _left_out(converter, task, files, read, wanted, all_of_them=languages is None)
    return BuildReport(folder, tuple(parts), read, absent, left_out, pushed)


def _send(folder: Path, configs: list[Config], repo_id: str, task: Task, body: str, private: bool) -> str:
    try:
        return send(folder, configs, repo_id, task.license, body, private=private)
    except UNREACHABLE as error:
        raise ConnectionError(
            f"{folder} is built, but the Hub did not take {repo_id}: {error}. Expected a network and a token that may "
            "write there. Run: hf auth login; then the same command again."
        ) from error


def _convert(
    converter: Converter, task: Task, raw: Raw, languages: list[str], options: Mapping[str, Any]
) -> Iterator[Config]:
    def record() -> dict[str, Any]:
        made = {"converter": task.name, "source": converter.SOURCE, "raw": dict(raw.read)}
        raw.read.clear()
        return made | ({"options": dict(options)} if options else {})

    from datasets import concatenate_datasets

    raw.read.clear()
    by_config: dict[str | None, list[str]] = {}  # of some data sets one configuration holds all languages
    for language in languages:
        by_config.setdefault(task.config_for(language), []).append(language)
    for config, spoken in by_config.items():
        with _named(raw):
            converted = {language: converter.convert(raw, language, **options) for language in spoken}
        there = tuple(language for language, splits in converted.items() if splits)
        joined: dict[str, list[Dataset]] = {}
        for splits in converted.values():
            for split, rows in splits.items():
                joined.setdefault(split, []).append(rows)
        if there:
            yield Config(config, {split: concatenate_datasets(rows) for split, rows in joined.items()}, there, record())
    beside = getattr(converter, "beside", lambda raw, languages: ())
    with _named(raw):
        for config, spoken, splits in beside(raw, languages):
            yield Config(config, splits, spoken, record())


@contextmanager
def _named(raw: Raw) -> Iterator[None]:
    """Say which file was read where its values are not of the types that the rows have."""
    import pyarrow as pa

    try:
        yield
    except (StiltsError, FileNotFoundError):
        raise
    except (pa.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if raw.place is None:
            raise
        name, line = raw.place
        raise raw.error(name, f"line {line} or before it", f"{type(error).__name__}: {error}", "its format") from error


def _require_rows(converter: Converter, raw: Raw, converted: set[str], asked: Iterable[str]) -> None:
    absent = [language for language in asked if language not in converted]
    if absent or not converted:
        raise FileNotFoundError(
            f"The files below {raw.folder} hold no rows of {repr(absent[0]) if absent else 'any language'}. "
            f"Expected those of {converter.SOURCE}. Fetch them, or correct --languages and --raw."
        )


def check_raw(name: str, raw: str | os.PathLike[str]) -> None:
    """Refuse a converter or a folder that is not there, before anything large is imported.

    Raises:
        StiltsError: there is no such converter.
        FileNotFoundError: there is no such folder.
    """
    _check_name(name)
    if not Path(raw).expanduser().is_dir():
        raise FileNotFoundError(f"No folder {raw}. Expected one with the publisher's files. Correct --raw.")


def load_converter(name: str) -> Converter:
    """A converter's module by name."""
    _check_name(name)
    return cast(Converter, importlib.import_module(f"{__name__}.{name}"))


def _check_name(name: str) -> None:
    if name not in list_converters():
        write = f", or write dataset_scripts/{name}.py as the README.md there says" if name in list_tasks() else ""
        raise StiltsError(
            f"No converter {name!r}. There are: {', '.join(list_converters())}. Choose one of them{write}."
        )


def _checked_options(name: str, converter: Converter, options: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        each.name: each.default
        for each in inspect.signature(converter.convert).parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    stray = [option for option in options if option not in known]
    if stray:
        raise StiltsError(
            f"Converter {name} has no option {stray[0]!r}. It has: {', '.join(known) or 'none'}. Drop it."
        )
    for option, value in options.items():
        if isinstance(known[option], bool) and not isinstance(value, bool):
            raise StiltsError(f"Converter {name}: {option} is {value!r}; expected true or false (yes, no, 1, 0).")
    return dict(options)


def _languages(task: Task, converter: Converter, raw: Raw, languages: Iterable[str] | None) -> list[str]:
    files = (converter.FILES,) if isinstance(converter.FILES, str) else converter.FILES
    patterns: dict[str, str] = {}
    wanted: list[str] = []
    for code in task.languages:
        names = [_named_for(file, task, code) for file in files]
        patterns[code] = " or ".join(names)
        if any(raw.find(name) for name in names):
            wanted.append(code)
    if languages is not None:
        there, wanted = wanted, list(dict.fromkeys(languages))
        stray = [language for language in wanted if language not in patterns]
        if stray:
            raise StiltsError(f"Task {task.name} has no language {stray[0]!r}. Give some of: {', '.join(patterns)}.")
        absent = [language for language in wanted if language not in there]
        if absent:
            raise FileNotFoundError(
                f"No {patterns[absent[0]]} below {raw.folder}. Expected the raw files of {absent[0]!r}. Fetch them "
                f"from {converter.SOURCE}, or give only languages that are there: {', '.join(there) or 'none'}."
            )
    if not wanted:
        raise FileNotFoundError(
            f"No {next(iter(patterns.values()))} or the like below {raw.folder}. Expected the publisher's files. Fetch "
            f"them from {converter.SOURCE}, or correct --raw."
        )
    return wanted


def _named_for(pattern: str, task: Task, language: str) -> str:
    """Shell pattern of a language's raw files."""
    return pattern.format(language=language, iso3=language_of(language).iso3, config=task.config_for(language))


def _left_out(
    converter: Converter, task: Task, raw: Raw, read: Mapping[str, str], wanted: list[str], *, all_of_them: bool
) -> dict[str, str]:
    """Raw file of the converter that was not read -> why; of languages that were not asked for, nothing is said."""
    patterns = (converter.FILES,) if isinstance(converter.FILES, str) else converter.FILES
    found: dict[str, str] = {}
    if all_of_them:
        for each in patterns:
            files = raw.find(each.format(language="*", iso3="*", config="*"))
            found |= dict.fromkeys(files, f"{task.name} has no such language")
    for code in wanted:
        for each in patterns:
            files = raw.find(_named_for(each, task, code))
            found |= dict.fromkeys(files, f"{task.name} reads no split of it")
    found |= raw.left_out
    return {file: why for file, why in sorted(found.items()) if file not in read}


def _body(name: str, converter: Converter, task: Task) -> str:
    summary = converter.__doc__.strip().split("\n")[0]
    return (
        f"# {task.dataset.split('/')[-1]}: {name}\n\n{summary}\n\nConverted by `hf-stilts data build {name}` from the "
        f"publisher's files ({converter.SOURCE}).\n\nCite: {converter.CITATION}\n"
    )
