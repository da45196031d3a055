"""What a kind of task says of itself before anything is computed: its columns, its head, its files, its names.

The class of a kind gives these values in its body (`hf_stilts/kinds/<name>.py`, or a module of an installed package
with an entry point in group `hf_stilts.kinds`). Where they are written as literals, they are read off the source, as
setuptools reads a package's version: listing tasks then imports neither the kind nor the torch that it computes with.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from hf_stilts.definitions import installed
from hf_stilts.errors import StiltsError, did_you_mean

ENTRY_POINTS = "hf_stilts.kinds"
# The bases that a kind's class may have for its body to say all; any other base may say more, so it is imported.
_BASES: dict[str, dict[str, Any]] = {"Kind": {}, "RetrievalKind": {"has_head": False}}
_FOLDER = Path(__file__).parent / "kinds"

ColumnType: TypeAlias = Literal["id", "ids", "text", "texts", "label", "labels", "answers", "number"]
"""What a column holds: text that is language (`text`, a list of them `texts`) or only names something (`id`, `ids`);
the number of a class or of a choice, -1 for none (`label`, one for each word `labels`); SQuAD's `answers`; a `number`.
"""


class Declaration:
    """The base of every kind; who only asks for these values never needs an instance.

    Attributes:
        name: what `Task(kind=...)` calls it: the Hub's name for such tasks where it has one.
        columns: canonical column -> what it holds. The kind reads these and nothing else.
        optional: columns that rows may lack.
        corpus: one row is a whole corpus, so that each column holds a list.
        candidates_kind: kind whose rows the candidates are that all languages of a task share.
        has_head: a head is trained for it; without one the encoder is used as it is, and there is no training data.
        labelled: its outputs are classes that the task names (`Task.labels`).
        per_word: gold belongs to single words, so that a translation, which has others, has none.
        pretraining: it goes on with what encoders are pre-trained on: plain text, of many languages where it is in a
            mixture, under the head that the model already has; there it is no goal and does not count in the aggregate.
        in_batch_negatives: its rows are pairs, each other's negatives, so that `DualEncoderTrainer` trains it and no
            mixture does.
        several_texts: one feature holds the tokens of several texts.
        smoothed: `label_smoothing_factor` of the stock Trainer reaches its loss.
        text_answers: how an encoder-decoder answers it with text: one of `listed` answers, or a `span` of the context.
        joint: all languages are searched at once.
        layered: retrieval can score every hidden state (`every_layer=True`).
        pipeline_tag: what the Hub calls models with such a head; None: it has no name for them.
        head_class: how the stock classes with such a head end (`ForTokenClassification`); a model whose training is
            not known otherwise is recognised by it.
        recipe: row of a profile that suits it (`hf_stilts.training.recipes`); "": the profile's own default.
        benchmark_metric: what benchmarks average instead of the task's metric.
        submission: form of its files in a submission (`hf_stilts.evaluation.layout.FORMATS`); None: there is none.
        official_scorer: rule by which `hf_stilts.evaluation.xtreme` scores such files.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, ColumnType]]
    optional: ClassVar[tuple[str, ...]] = ()
    corpus: ClassVar[bool] = False
    candidates_kind: ClassVar[str | None] = None
    has_head: ClassVar[bool] = True
    labelled: ClassVar[bool] = False
    per_word: ClassVar[bool] = False
    pretraining: ClassVar[bool] = False
    in_batch_negatives: ClassVar[bool] = False
    several_texts: ClassVar[bool] = False
    smoothed: ClassVar[bool] = True
    text_answers: ClassVar[Literal["listed", "span"] | None] = None
    joint: ClassVar[bool] = False
    layered: ClassVar[bool] = False
    pipeline_tag: ClassVar[str | None] = None
    head_class: ClassVar[str | None] = None
    recipe: ClassVar[str] = ""
    benchmark_metric: ClassVar[str | None] = None
    submission: ClassVar[str | None] = None
    official_scorer: ClassVar[str | None] = None

    @classmethod
    def required(cls) -> list[str]:
        """Columns that every row must have."""
        return [column for column in cls.columns if column not in cls.optional]

    @classmethod
    def text_columns(cls) -> tuple[str, ...]:
        """Columns that hold language, as one text or as a list of texts.

        >>> declared("multiple-choice").text_columns()
        ('context', 'question', 'choices')
        """
        return tuple(column for column, holds in cls.columns.items() if holds in ("text", "texts"))


def list_kinds() -> list[str]:
    """Names of all kinds, sorted: one per file in `hf_stilts/kinds`, one per entry point of group `hf_stilts.kinds`.

    >>> "question-answering" in list_kinds()
    True
    """
    own = [path.stem.replace("_", "-") for path in _FOLDER.glob("*.py") if _defines_a_kind(path)]
    return sorted({*own, *(point.name for point in installed(ENTRY_POINTS))})


@cache
def declared(kind: str) -> type[Declaration]:
    """What a kind says of itself.

    >>> declared("text-classification").required()
    ['text', 'label']

    Raises:
        StiltsError: there is no such kind (the message has the nearest names), or its columns hold nothing known.
    """
    path = _source(kind)
    found = (_read(path) if path else None) or type(import_kind(kind))
    columns = getattr(found, "columns", {})
    wrong = [f"{column}: {holds!r}" for column, holds in columns.items() if holds not in get_args(ColumnType)]
    if wrong or not columns:
        raise StiltsError(
            f"The class of the kind {kind!r} has {wrong[0] if wrong else 'nothing'} in its columns; expected name of a "
            f"column: one of {', '.join(get_args(ColumnType))}. Correct columns = in its body."
        )
    return found


def import_kind(kind: str) -> Declaration:
    """The kind itself, with all that it computes with.

    Raises:
        StiltsError: there is no such kind, or what bears its name is none.
    """
    own = _own_file(kind)
    point = None if own else _entry_point(kind)
    module = point.module if point else f"hf_stilts.kinds.{kind.replace('-', '_')}"
    found = getattr(importlib.import_module(module), (point and point.attr) or "KIND", None)
    if not isinstance(found, Declaration) or found.name != kind:
        what = f"the kind {found.name!r}" if isinstance(found, Declaration) else f"a {type(found).__name__}"
        raise StiltsError(
            f"{module} was to hold the kind {kind!r} and holds {what}; expected an instance of a class of this name, "
            "based on hf_stilts.kinds.Kind or RetrievalKind. Correct the entry point, or name = in the class."
        )
    return found


def _own_file(kind: str) -> Path | None:
    path = _FOLDER / f"{kind.replace('-', '_')}.py"
    return path if path.is_file() and _defines_a_kind(path) else None


def _defines_a_kind(path: Path) -> bool:
    """Whether a file of the folder is a kind, and not what several kinds share."""
    return "\nKIND = " in path.read_text(encoding="utf-8")


def _entry_point(kind: str) -> EntryPoint:
    found = next((point for point in installed(ENTRY_POINTS) if point.name == kind), None)
    if found is None:
        raise StiltsError(
            f"A task has kind {kind!r}. {did_you_mean(kind, list_kinds(), 3)} Set kind= in its file, or install the "
            "package that brings this kind."
        )
    return found


def _source(kind: str) -> Path | None:
    """File that defines a kind, so far as that is known without importing it."""
    if own := _own_file(kind):
        return own
    spec = importlib.util.find_spec(_entry_point(kind).module)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _read(path: Path) -> type[Declaration] | None:
    """The values in the body of the class of `KIND = <class>(...)`; None where only importing tells all of them."""
    found = _class_of_kind(ast.parse(path.read_text(encoding="utf-8")))
    bases = [ast.unparse(base) for base in found.bases] if found else []
    if found is None or len(bases) != 1 or bases[0] not in _BASES:
        return None
    values: dict[str, Any] = dict(_BASES[bases[0]])
    for node in found.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        if target in Declaration.__annotations__:
            try:
                values[target] = ast.literal_eval(node.value)
            except ValueError:
                return None
    return type(found.name, (Declaration,), values)


def _class_of_kind(module: ast.Module) -> ast.ClassDef | None:
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KIND" and isinstance(node.value, ast.Call):
            return classes.get(ast.unparse(node.value.func))
    return None
