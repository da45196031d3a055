"""How a model came to a language (zero-shot, in-language, translated): scores of different settings do not compare."""

from __future__ import annotations

from collections.abc import Sequence

from hf_stilts.data.derived import parse_tag
from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record, TaskSource
from hf_stilts.task import Task, load_task

NO_TRAINING, UNKNOWN = "no target training", "unknown"
# What says more about a language than what comes after it.
ORDER = ("in-language", "translate-train", "code-switched", "zero-shot")


def setting(task: Task, language: str, record: Record | None, trained_in: Sequence[str] | None = None) -> str:
    """Setting of a score, in the words of Hu et al. 2020.

    Args:
        task: what is scored.
        language: in which language.
        record: what the training of the model was; `None` where nothing says so.
        trained_in: languages of the training rows, in place of the record's; `de-t-en` is German translated from
            English.

    Returns:
        "in-language", where training rows were written in it; "translate-train", where they were translated into it;
        "code-switched", where words of theirs were; else "zero-shot". "no target training" for an encoder as it is,
        "unknown" where nothing says what the training rows were.

    >>> setting(load_task("xnli"), "de", None, ["en", "de-t-en"])
    'translate-train'
    """
    if not task.has_head and (not task.train or record is None or record.phase != "target"):
        return NO_TRAINING
    if trained_in is not None:
        sources = [TaskSource("", language=tag) for tag in trained_in]
    elif record is None or not (record.tasks or record.languages):
        return UNKNOWN
    else:
        sources = [source for source in record.tasks if source.language is not None]
        sources = sources or [TaskSource("", language=code) for code in record.languages]
    return min((_towards(language, source) for source in sources), key=ORDER.index)


def _towards(language: str, source: TaskSource) -> str:
    rows = parse_tag(source.language or "en")
    if language not in rows.languages:
        return "zero-shot"
    if language != rows.language:
        return "code-switched"
    return "translate-train" if rows.source or _published_translation(source, language) else "in-language"


def _published_translation(source: TaskSource, language: str) -> bool:
    """Whether the data set's own rows in this language are machine translations (XNLI, PAWS-X)."""
    try:
        return language != "en" and load_task(source.name).translated
    except StiltsError:  # a task of somebody else, which is not installed here
        return False
