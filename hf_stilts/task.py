"""A task is data: where its rows are, what its columns mean, in which languages it exists, and how it is scored."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Any, Literal

from hf_stilts.declarations import Declaration, declared, list_kinds
from hf_stilts.definitions import FILES, Definitions
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.languages import LOCAL_USE, code_of, did_you_mean_language, is_language, language_of, nllb_code

ENTRY_POINTS = "hf_stilts.tasks"
SPLITS = ("train", "validation", "test")
LOWER_IS_BETTER = ("loss", "perplexity", "failure_rate")
# Where `hf_stilts.hub.tasks.task_file` keeps the file of a data set repository; no name on the Hub has two hyphens.
_OF_THE_HUB = re.compile(
    r"datasets--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)[/\\]stilts[/\\](?P<commit>[0-9a-f]{40})[/\\][a-z0-9_]+\.yaml$"
)
_NAMES = ("language", "iso3", "flores", "name")  # of a language, in the name of a configuration


@dataclass(frozen=True)
class Task:
    """What to train and evaluate on.

    Args:
        kind: one of `hf_stilts.declarations.list_kinds()`; decides columns, features, head, decoding and score.
        dataset: id of the data set's repository on the Hub. One without an owner (`ccg`) is on no Hub, but built by a
            converter.
        parts: instead of `dataset`, names of the tasks whose rows it has, one task's after the other's, labels by name.
        config: configuration name; may hold `{language}` (`de`), `{iso3}` (`deu`), `{flores}` (`deu_Latn`) or `{name}`
            (`German`).
        configs: language -> name of its configuration, for those that `config` does not fit (`{"zh": "zh-CN"}`).
        revision: a commit of that repository, never a branch. `None` says that no commit is pinned yet:
            the newest is taken and its sha recorded with every result.
        columns: canonical column -> column of the data set, or a list of columns gathered into one list.
            Columns that already have their canonical name need not be named.
        labels: class names in the order of their integer ids (classification and tagging). Empty: those that the data
            set itself names (`hf_stilts.data.load.labelled`).
        aliases: other spellings of a label -> the name in `labels` (`{"contradictory": "contradiction"}`).
        languages: codes in which there are rows to evaluate on (`hf_stilts.languages`): `de`, `hau`, `zh_Hant`; or
            `qaa` to `qtz` for a made-up language.
        built: those of `languages` that `dataset` on the Hub lacks: a converter makes their rows from the publisher's
            files (`hf-stilts data build`).
        splits: canonical split (train, validation, test) -> split of the data set, or several: `train_r1+train_r2`.
        held_out: where it has no validation split, the share of the train rows, chosen by their ids, that training
            evaluates on and does not train on; 0: then it asks for rows to evaluate on.
        candidates: configuration with the candidates of all languages, a row each (`id`, `text`), where the languages
            share them (answer retrieval).
        train: names of the tasks whose English rows train the target phase, in order; empty: its own train split.
        translated: whether its training rows in languages other than English are machine translations.
        prepare: rows in, rows out: a pure function on one canonical row, defined in the task's own file;
            returns `None` to drop the row.
        language_of: code of the language of a row as it is stored, where one configuration holds several.
        text_to_text: whether an encoder-decoder answers it with text, without a head (`hf_stilts.kinds.text_to_text`).
        metric: the main score that selection and averages use.
        normalisation: how answers to questions are compared: as SQuAD does, or as MLQA does for its languages.
        license: SPDX-like id as on the Hub's card; `paper`: arXiv id.
        description: one line for `hf-stilts tasks`. Default: the first line of the file's docstring.
        name: the file's name; filled in by `load_task`.
        file: path of its file, where it was loaded by that; filled in by `load_task`.
    """

    kind: str
    dataset: str = ""
    config: str | None = None
    configs: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None
    columns: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en",)
    built: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    held_out: float = 0.05
    candidates: str | None = None
    train: tuple[str, ...] = ()
    translated: bool = False
    prepare: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
    language_of: Callable[[dict[str, Any]], str] | None = None
    text_to_text: bool = False
    metric: str = "accuracy"
    normalisation: Literal["squad", "mlqa"] = "squad"
    license: str = "unknown"
    paper: str = ""
    description: str = ""
    name: str = ""
    file: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse a task that no kind could ever read."""
        columns = self.declaration.columns
        if self.text_to_text and self.declaration.text_answers is None:
            others = [kind for kind in list_kinds() if declared(kind).text_answers is not None]
            raise StiltsError(
                f"{self.name} is a {self.kind} task, which has no text for an answer; {', '.join(others)} have. "
                "Leave out --text-to-text: the encoder of mT5 takes the same heads as any other encoder."
            )
        if bool(self.dataset) == bool(self.parts):
            raise StiltsError(
                f"Task {self.name} has dataset={self.dataset!r} and parts={self.parts}; expected one of the two. "
                "Give dataset= for rows of its own, parts= for those of other tasks."
            )
        if not 0 <= self.held_out < 1:
            raise StiltsError(
                f"Task {self.name or self.dataset} has held_out={self.held_out}; expected a share of the train rows, "
                "from 0 to below 1. Give 0.05 for one row in twenty."
            )
        numbers = [name for name in (*self.labels, *self.aliases, *self.aliases.values()) if not isinstance(name, str)]
        if numbers:
            raise StiltsError(
                f"Task {self.name or self.dataset} has the label or alias {numbers[0]!r}; expected text, since a "
                f'number in a row is the place of a label, from 0. Write "{numbers[0]}" in labels= and aliases=; where '
                "rows hold numbers that are names, turn them into text in prepare=."
            )
        unknown = [column for column in self.columns if column not in columns]
        if unknown:
            raise StiltsError(
                f"Task {self.name or self.dataset} maps column {unknown[0]!r}; a {self.kind} task reads "
                f"{', '.join(columns)}. Put the canonical name on the left of columns=."
            )
        self._check_splits()
        self._check_languages()
        self._check_config()
        stray = [f"{alias} -> {label}" for alias, label in self.aliases.items() if label not in self.labels]
        if stray:
            raise StiltsError(
                f"Task {self.name or self.dataset} has alias {stray[0]}, but its labels are {self.labels}."
            )

    def _check_splits(self) -> None:
        for split, name in self.splits.items():
            if split not in SPLITS:
                raise StiltsError(
                    f"Task {self.name or self.dataset} has splits= of {split!r}; expected {', '.join(SPLITS)}."
                )
            if not isinstance(name, str) or not name:
                raise StiltsError(
                    f"Task {self.name or self.dataset} has {name!r} for its split {split}; expected the name of a "
                    "split of the data set. Leave out a split that it does not have, or give the name of none."
                )

    def _check_languages(self) -> None:
        unknown = [code for code in self.languages if not is_language(code)]
        if unknown:
            raise StiltsError(
                f"Task {self.name or self.dataset} names language {unknown[0]!r}; expected a code such as ca, hau or "
                f"zh_Hant. {did_you_mean_language(unknown[0])}"
            )
        stray = [code for code in self.configs if code not in self.languages]
        if stray:
            raise StiltsError(
                f"Task {self.name or self.dataset} has a configuration for {stray[0]!r} in configs=, and no such "
                f"language; it has {', '.join(self.languages)}. Add the code to languages=, or correct it."
            )

    def _check_config(self) -> None:
        for _, name, form, conversion in Formatter().parse(self.config or ""):
            if name is not None and (name not in _NAMES or form or conversion):
                raise StiltsError(
                    f"Task {self.name or self.dataset} has config={self.config!r} with {{{name}}}; expected "
                    f"{', '.join(f'{{{each}}}' for each in _NAMES)}. {did_you_mean(name, _NAMES)} Name the others one "
                    "by one in configs=."
                )

    @property
    def declaration(self) -> type[Declaration]:
        """What its kind says of itself: columns, head, files, names."""
        return declared(self.kind)

    @property
    def reference(self) -> str:
        """What finds it again: its name, the path of its file, or its repository and commit on the Hub.

        >>> cached = "/home/you/.cache/datasets--you--catalan-nli/stilts/" + "0" * 40 + "/catalan_nli.yaml"
        >>> Task(kind="text-classification", dataset="x/y", file=cached).reference
        'you/catalan-nli@0000000000000000000000000000000000000000'
        """
        cached = _OF_THE_HUB.search(self.file)
        if cached:
            return f"{cached['owner']}/{cached['name']}@{cached['commit']}"
        return self.file or self.name

    @property
    def typed(self) -> str:
        """Its `reference`, as a command names it."""
        return shlex.quote(self.reference)

    @property
    def has_head(self) -> bool:
        """Whether a head is trained for it; retrieval uses the encoder as it is."""
        return self.declaration.has_head

    def config_for(self, language: str) -> str | None:
        """Name of the configuration that holds `language`.

        >>> Task(kind="bitext-retrieval", dataset="x/y", config="tatoeba.{iso3}", languages=("de",)).config_for("de")
        'tatoeba.deu'

        Raises:
            StiltsError: `config` has `{flores}`, and no table knows the language's script.
        """
        if language in self.configs or self.config is None:
            return self.configs.get(language)
        if LOCAL_USE.fullmatch(language):
            return self.config.format(language=language, iso3=language, name=language, flores=language)
        known = language_of(language)
        flores = nllb_code(language) if "{flores" in self.config else ""
        return self.config.format(language=language, iso3=known.iso3, name=known.name, flores=flores)

    def split_for(self, split: str) -> str:
        """Name of a canonical split in the data set itself; several are joined by `+`, as `datasets` writes them."""
        return self.splits.get(split, split)

    @property
    def sources(self) -> tuple[Task, ...]:
        """Tasks whose data sets it reads: itself, or its parts.

        Examples:
            >>> [task.name for task in load_task("anli_plus").sources]
            ['anli', 'mnli', 'snli']
        """
        return tuple(source for name in self.parts for source in load_task(name).sources) or (self,)

    def label_id(self, label: str | int) -> int:
        """Integer id of a label given by name, alias or id; -1 (no gold label) stays -1.

        >>> nli = Task(kind="text-classification", dataset="x/y", labels=("entailment", "contradiction"),
        ...            aliases={"contradictory": "contradiction"})
        >>> nli.label_id("contradictory"), nli.label_id(0), nli.label_id(-1)
        (1, 0, -1)

        Raises:
            StiltsError: it is none of them.
        """
        if isinstance(label, str) and label in self.aliases:
            label = self.aliases[label]
        if isinstance(label, str) and label in self.labels:
            return self.labels.index(label)
        if isinstance(label, str) and label.lstrip("-").isdigit():
            label = int(label)
        if isinstance(label, int) and -1 <= label < len(self.labels):
            return label
        raise StiltsError(
            f"Task {self.name} met label {label!r}; it knows {', '.join(self.labels) or 'none'}. "
            f"Add it to aliases= in {self.file or f'{self.name}.py'}, or correct the row."
        )


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better, by the end of its name; a task's name may stand before it.

    >>> [lower_is_better(name) for name in ("f1", "multichecklist_failure_rate", "failure_rate_comp", "eval_loss")]
    [False, True, True, True]
    """
    return metric.endswith(LOWER_IS_BETTER) or "failure_rate_" in metric


def list_tasks() -> list[str]:
    """Names of all tasks, sorted: one per file in `hf_stilts/tasks`, one per entry point of group `hf_stilts.tasks`.

    >>> "mnli" in list_tasks()
    True
    """
    return TASKS.names()


def check_languages(task: Task, languages: Sequence[str] | None) -> None:
    """Refuse a language that a task does not have.

    Raises:
        StiltsError: the message names those that it has.
    """
    unknown = [language for language in languages or () if language not in task.languages]
    if unknown:
        same = [code for code in task.languages if code_of(code) == (code_of(unknown[0]) or unknown[0])]
        there = f"it calls that language {same[0]}" if same else f"it has {', '.join(task.languages)}"
        raise StiltsError(f"{task.name} has no {unknown[0]}; {there}. Correct --languages.")


def load_task(name: str | Task) -> Task:
    """Task by file name, entry point, or path of a Python file that defines `TASK`, or of a YAML file with its fields.

    Args:
        name: `"mnli"`, `"my_task"` from an installed package, `"path/to/my_task.py"` or `"path/to/my_task.yaml"`. A
            `Task` is handed back. Of one in a data set repository on the Hub: `hf_stilts.hub.tasks.hub_task`.

    Raises:
        StiltsError: no such task, or one that is trained on tasks that there are not; the nearest names and the command
            that lists all are in the message.
    """
    task = TASKS.load(name)
    if isinstance(name, str) and not TASKS.included(name):
        _check_others(task, name)
    return replace(task, file=name) if isinstance(name, str) and name.endswith(FILES) else task


def _check_others(task: Task, where: str) -> None:
    """Refuse names of other tasks, in a task of the user's, that there are not."""
    known: list[str] = []
    for field_name, others in {"train": task.train, "parts": task.parts}.items():
        for other in others:
            if other.endswith(FILES):  # found and checked when it is loaded
                continue
            known = known or list_tasks()
            if other not in known:
                raise StiltsError(
                    f"{where} names the task {other!r} in {field_name}=, and there is none. "
                    f"{did_you_mean(other, known, 3)} Run: hf-stilts tasks"
                )


TASKS = Definitions(Task, "hf_stilts.tasks", ENTRY_POINTS, "hf-stilts tasks", yaml=True)


def describe(task: Task) -> dict[str, Any]:
    """What people and tables are told of a task, field by field."""
    return {
        "name": task.name,
        "kind": task.kind,
        "description": task.description,
        "dataset": task.dataset or None,
        "parts": task.parts,
        "config": task.config,
        "configs": dict(task.configs) or None,
        "revision": task.revision,
        "languages": task.languages,
        "trained on": task.train or ((task.name,) if task.has_head else ()),
        "labels": task.labels,
        "metric": task.metric,
        "license": task.license,
        "paper": task.paper and f"https://arxiv.org/abs/{task.paper}",
    }
