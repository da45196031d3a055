"""`stilts.json`: what a published checkpoint went through, written beside its weights and checked whenever it is read.

Its schema is the dataclass `Record` below: every field of the JSON object is a field of the class, `tasks` is a list of
`TaskSource` objects and `parent` one `ParentModel`. docs/how-to/publishing.md shows a complete file.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import PHASES
from hf_stilts.languages import LANGUAGES

RECORD_FILE = "stilts.json"
SCHEMA = 1
MOST_BYTES = 1 << 22
"""A thousand tasks in fifty languages need less; whoever publishes more means harm."""
MOST_EVALUATIONS = 200
"""More of them on a card nobody reads (ours), and every checkpoint would carry them."""
Scalar = str | int | float | bool | None

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 100
_COMMIT = re.compile("[0-9a-f]{40}|mirror:[0-9a-f]{12}")  # a mirror is named by its content
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]\w|\\\\\w")
_STEP = re.compile("[0-9]{1,12}")
_TOKEN = re.compile(r"hf_[A-Za-z0-9]{20,}")


@dataclass(frozen=True)
class TaskSource:
    """One task's data, as it was trained on.

    Args:
        name: the task's name (`mnli`).
        dataset: id of the data set on the Hub; None for data that is not there.
        revision: commit of the data set, or `mirror:` and a hash of the content where it came from a local mirror.
        rows: how many training rows were used, after any cap.
        license: licence of the data, in the Hub's spelling (`cc-by-4.0`).
        language: language of these rows, as the run asked for it: `de`, or a tag such as `en-x-cs50-de`.
    """

    name: str
    dataset: str | None = None
    config: str | None = None
    revision: str | None = None
    split: str | None = None
    rows: int | None = None
    license: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class ParentModel:
    """The model that training started from.

    Args:
        id: repository id on the Hub; for a local folder its last part only, so that no path leaves the machine.
        commit: the commit that was loaded (40 hex digits).
        license: licence of its weights.
        published: False for a local folder, where `id` cannot be looked up on the Hub.
    """

    id: str
    commit: str | None = None
    license: str | None = None
    published: bool = True


@dataclass(frozen=True)
class Record:
    """What one published checkpoint went through; the content of `stilts.json`.

    Args:
        phase: `pretraining`, `intermediate` or `target`.
        tasks: what it was trained on, in order.
        mixture: what a training on several tasks at once is called in its repository's name.
        parent: the model it started from; of a merge the one that all its checkpoints started from.
        merged_from: of a merge the checkpoints that were merged, in their order; not written where there are none.
        languages: codes of the training data's languages.
        recipe: hyper-parameters, by the names of `transformers.TrainingArguments`.
        seed: seed of the run.
        step: optimizer steps done when this checkpoint was saved; epoch: the same in passes over the data.
        metrics: scores of this step and of no other; empty where none was computed at this step.
        scored_on: what `metrics` were computed on (`500 rows of the English validation split`).
        metrics_by_language: language code -> scores of this step.
        evaluations: step, as text -> scores, of the evaluations of this training up to this step, of all languages
            together; of many every second, third ... is kept. Not written where there are fewer than two.
        pipeline_tag: the Hub's name for the kind of problem (`text-classification`).
        architecture: class of the model that was trained (`XLMRobertaForSequenceClassification`).
        labels: names of its classes, by their ids; empty where it has none or nobody named them.
        layer: hidden state recommended for retrieval (0 = embeddings), if one was chosen.
        library: Python library that loads it: `transformers` or `peft`.
        versions: package -> version; hardware: plain words, never a host name.
        wall_seconds: training time up to this step.
        files: path in the repository -> sha256 of its content, for every published file but this one and the card.
        schema: version of this format.
    """

    phase: str = "intermediate"
    tasks: tuple[TaskSource, ...] = ()
    mixture: str | None = None
    parent: ParentModel | None = None
    merged_from: tuple[ParentModel, ...] = ()
    languages: tuple[str, ...] = ()
    recipe: Mapping[str, Scalar] = field(default_factory=dict)
    seed: int | None = None
    step: int = 0
    epoch: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    scored_on: str | None = None
    metrics_by_language: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    evaluations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pipeline_tag: str | None = None
    architecture: str | None = None
    labels: tuple[str, ...] = ()
    layer: int | None = None
    library: str = "transformers"
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Scalar] = field(default_factory=dict)
    wall_seconds: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise StiltsError(
                f"stilts.json has schema {self.schema}; this hf_stilts reads schema {SCHEMA}. "
                "Install the version that wrote it: pip install --upgrade hf_stilts"
            )
        if self.phase not in PHASES:
            raise StiltsError(f"Phase {self.phase!r} is none of {', '.join(PHASES)}. Pass phase='intermediate'.")
        if self.step < 0:
            raise StiltsError(f"Step {self.step} is below 0. Pass the number of optimizer steps done.")
        models = [self.parent] if self.parent else []
        models += self.merged_from
        for commit in (*(model.commit for model in models), *(task.revision for task in self.tasks)):
            if commit is not None and not _COMMIT.fullmatch(commit):
                raise StiltsError(
                    f"Revision {commit!r} is no commit: 40 hex digits are expected, since a branch moves."
                )
        self._check_keys()
        for where, text in _strings(dataclasses.asdict(self), "stilts.json"):
            if _TOKEN.search(text):
                raise StiltsError(
                    f"{where} holds an access token. Remove it; then revoke it on the Hub's settings page."
                )
            if is_local_path(text):
                raise StiltsError(f"{where} is a path on this machine ({text}). A Hub id or a plain name is expected.")

    def _check_keys(self) -> None:
        for step in self.evaluations:
            if not _STEP.fullmatch(step):
                raise StiltsError(f"stilts.json: evaluations names step {_short(step)}; a number is expected.")
        for name in self.files:
            if not _is_in_repository(name):
                raise StiltsError(
                    f"stilts.json: files names {_short(name)}, which lies outside of the repository. Use another "
                    "checkpoint."
                )

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, each once: a task whose rows are of several data sets has a source for each."""
        return tuple(dict.fromkeys(task.name for task in self.tasks))

    @property
    def rows_by_language(self) -> dict[str, int]:
        """Training rows of each language, as far as the sources tell."""
        found: dict[str, int] = {}
        for task in self.tasks:
            if task.language:
                found[task.language] = found.get(task.language, 0) + (task.rows or 0)
        return found

    @property
    def title(self) -> str:
        """Say in a few words what this is: `intermediate training on mnli`."""
        if self.merged_from:
            return f"{len(self.merged_from)} checkpoints merged" + (
                f", trained on {', '.join(self.task_names)}" if self.tasks else ""
            )
        return f"{self.phase} training" + (f" on {', '.join(self.task_names)}" if self.tasks else "")

    def to_json(self) -> str:
        """Write the record as the text of `stilts.json`, the same text for the same record."""
        fields = _plain(dataclasses.asdict(self))
        for name in ("merged_from", "evaluations"):  # earlier versions do not know them, and read all other records
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """Read and check `stilts.json`; raise StiltsError naming the field that is wrong."""
        if len(text) > MOST_BYTES:
            raise StiltsError(
                f"stilts.json has {len(text):,} bytes; at most {MOST_BYTES:,} are expected. Publish the checkpoint "
                "again, or use another one."
            )
        try:
            data = json.loads(text)
            record: Record = _read(cls, data, "stilts.json")
        except StiltsError as error:
            if len(str(error)) <= 1000:
                raise
            raise StiltsError(f"{str(error)[:1000]}...") from error
        except (ValueError, RecursionError, OverflowError) as error:
            raise StiltsError(f"stilts.json is no JSON ({error}). Publish the checkpoint again.") from error
        return record


def _is_in_repository(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return bool(name) and not is_local_path(name) and parts[0] != "" and ".." not in parts


def _short(value: Any) -> str:
    """A value for an error message: one line, whatever is in the file."""
    return _REPR.repr(value)


def _plain(value: Any) -> Any:
    """What JSON has: no inf and nan, which are written as words, and no numbers of numpy."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def is_local_path(text: str) -> bool:
    r"""Say whether `text` is an absolute path, POSIX or Windows, of at least two parts (`/s` alone may be a token).

    >>> [is_local_path(text) for text in ("/home/ann/runs", r"C:\runs\a", "org/model", "/s")]
    [True, True, False, False]
    """
    if "\n" in text or len(text) > 4096:
        return False
    posix = PurePosixPath(text)
    return (posix.is_absolute() and len(posix.parts) > 2) or _WINDOWS_PATH.match(text) is not None


def scores_at(step: int, log_history: list[dict[str, Any]], prefix: str = "eval_") -> dict[str, float]:
    """Collect the scores that a Trainer's log holds for `step` and for no other step.

    Timings (`eval_runtime`, `eval_samples_per_second` ...) are left out, and so is what is no finite number.

    >>> scores_at(4, [{"eval_acc": 0.5, "step": 2}, {"eval_acc": 0.7, "eval_runtime": 3.0, "step": 4}])
    {'acc': 0.7}
    """
    timings = ("_runtime", "_per_second", "_preparation_time")
    found = {}
    for entry in log_history:
        if entry.get("step") != step:
            continue
        for name, value in entry.items():
            is_score = name.startswith(prefix) and not name.endswith(timings)
            if is_score and isinstance(value, int | float) and math.isfinite(value):
                found[name.removeprefix(prefix)] = float(value)
    return found


def at_step(
    record: Record,
    step: int,
    epoch: float | None,
    log_history: list[dict[str, Any]],
    wall_seconds: float | None = None,
) -> Record:
    """Say of one checkpoint what `record` says of its run, with the scores that were computed at that very step.

    A score whose name begins with a language's code (`eval_dataset` is a dict of languages) goes to that language.
    """
    codes = sorted({*LANGUAGES, *record.languages}, key=len, reverse=True)  # `zh_Hant_f1` is none of `zh`
    metrics, by_language = _by_language(scores_at(step, log_history), codes)
    return dataclasses.replace(
        record,
        step=step,
        epoch=epoch,
        metrics=metrics,
        metrics_by_language=by_language,
        evaluations=_evaluations(step, log_history, codes),
        wall_seconds=wall_seconds,
    )


def _by_language(
    scores: Mapping[str, float], codes: Iterable[str]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Scores of all languages together, and of each language whose code their names begin with."""
    metrics: dict[str, float] = {}
    by_language: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        code = next((code for code in codes if name.startswith(f"{code}_")), None)
        if code is None:
            metrics[name] = value
        else:
            by_language.setdefault(code, {})[name.removeprefix(f"{code}_")] = value
    return metrics, by_language


def _evaluations(step: int, log_history: Iterable[Mapping[str, Any]], codes: list[str]) -> dict[str, dict[str, float]]:
    """Step -> scores of the evaluations up to a step, as its checkpoint's own log has them; empty for fewer than two.

    What others have published, and in which order it arrived, does not come into it.
    """
    entries: dict[int, list[dict[str, Any]]] = {}
    for entry in log_history:
        at = entry.get("step")
        if type(at) is int and 0 <= at <= step and any(name.startswith("eval_") for name in entry):
            entries.setdefault(at, []).append(dict(entry))
    found = {}
    for at in sorted(entries):
        metrics, _ = _by_language(scores_at(at, entries[at]), codes)
        if metrics:
            found[str(at)] = metrics
    apart = math.ceil(len(found) / MOST_EVALUATIONS) or 1
    kept = [*found][::-1][::apart][::-1]  # this step's own is among them
    return {at: found[at] for at in kept} if len(kept) > 1 else {}


def _strings(value: object, where: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(where, value)]
    if isinstance(value, Mapping):
        pairs = [(f"{where}: {key}", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(where, item) for item in value]
    else:
        return []
    return [found for name, item in pairs for found in _strings(item, name)]


def _read(kind: Any, value: Any, where: str) -> Any:
    """Build an object of type `kind` from JSON, checking every value against the annotations."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return value if type(value) in inner else _read(next(t for t in inner if t is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, _expect(dict, value, where), where)
    if origin is tuple:
        items = enumerate(_expect(list, value, where))
        return tuple(_read(inner[0], item, f"{where}[{index}]") for index, item in items)
    if origin is Mapping:
        items = _expect(dict, value, where).items()
        return {key: _read(inner[1], item, f"{where}.{key}") for key, item in items}
    return float(value) if kind is float and type(value) is int else _expect(kind, value, where)


def _expect(kind: type, value: Any, where: str) -> Any:
    if type(value) is not kind:
        raise StiltsError(f"{where} is {_short(value)}; {kind.__name__} is expected. Publish the checkpoint again.")
    return value


def _read_object(kind: Any, value: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    # Fields that only a later schema knows are not an error here: the schema itself is, and says what to do.
    if value.get("schema", SCHEMA) == SCHEMA and (unknown := sorted(set(value) - set(hints))):
        raise StiltsError(f"{where} has unknown fields {_short(unknown)}; known are {sorted(hints)}. Remove them.")
    required = {f.name for f in dataclasses.fields(kind) if {f.default, f.default_factory} == {dataclasses.MISSING}}
    if missing := sorted(required - set(value)):
        raise StiltsError(f"{where} lacks {missing}. Publish the checkpoint again.")
    return kind(**{name: _read(hints[name], item, f"{where}: {name}") for name, item in value.items() if name in hints})
