"""A kind is behaviour: how rows of one shape become features, which head reads them, how outputs are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hf_stilts.declarations import Declaration, import_kind
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import Kind, RetrievalKind, Retrieved

if TYPE_CHECKING:
    from hf_stilts.task import Task

Found = TypeVar("Found", Kind, RetrievalKind)

__all__ = ["Declaration", "Kind", "RetrievalKind", "Retrieved", "kind_for", "load_kind", "load_retrieval_kind"]


def kind_for(task: Task, language: str = "en") -> Kind:
    """The task's kind, as text to text if it is that, and set up for one language: MLQA compares answers by it.

    Raises:
        StiltsError: the task's kind has no head.
    """
    kind = load_kind(task.kind)
    if task.text_to_text:
        from hf_stilts.kinds.text_to_text import TextToText

        kind = TextToText(kind)
    return kind.in_language(task, language)


def load_kind(name: str) -> Kind:
    """Kind with a head by its name: `"text-classification"` is `hf_stilts.kinds.text_classification.KIND`.

    Raises:
        StiltsError: there is none of this name, or it has no head.
    """
    wrong = (
        "without a head, which uses an encoder as it is; expected one that is trained. Use "
        "hf_stilts.kinds.load_retrieval_kind."
    )
    return _of_base(name, Kind, wrong)  # type: ignore[type-abstract]  # it is compared with, and not called


def load_retrieval_kind(name: str) -> RetrievalKind:
    """Kind without a head by its name: `"bitext-mining"` is `hf_stilts.kinds.bitext_mining.KIND`.

    Raises:
        StiltsError: there is none of this name, or it has a head.
    """
    wrong = "with a head; expected one that uses an encoder as it is. Use hf_stilts.kinds.load_kind."
    return _of_base(name, RetrievalKind, wrong)


def _of_base(name: str, base: type[Found], wrong: str) -> Found:
    """Kind by its name.

    Raises:
        StiltsError: there is none, or it is not of this base: `wrong` says what it is, what was expected, what to use.
    """
    found = import_kind(name)
    if not isinstance(found, base):
        raise StiltsError(f"{name} is a kind {wrong}")
    return found
