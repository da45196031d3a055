"""Replaces words of a row's texts and keeps its labels right: answers are found again, tokens keep their tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import regex

from hf_stilts.data.characters import USUAL, character_set
from hf_stilts.declarations import declared
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task

# Scripts that put no blanks between words, and the lengthener that kana share.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
# Letters with their marks and digits; an apostrophe or a (non-)joiner inside is part of the word, a hyphen ends it.
LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]"
"""Pattern (of `regex`, version 1) of a letter, mark or digit of a script with blanks between its words."""
_INSIDE = "['’\u200c\u200d]"
_RUN = regex.compile(rf"(?V1)(?P<unspaced>[{_UNSPACED}]+)|{LETTER}+(?:{_INSIDE}{LETTER}+)*")


class Run(NamedTuple):
    """Letters without a blank between them: one word, or several where the script puts no blanks (`unspaced`)."""

    start: int
    end: int
    unspaced: bool


class _Usual(NamedTuple):
    """Patterns of `re` for texts of usual characters: runs as of `_RUN`, letters without blanks, words with blanks."""

    run: re.Pattern[str]
    unspaced: re.Pattern[str]
    word: re.Pattern[str]


class Edit(NamedTuple):
    """Put `text` in place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str


Editor = Callable[[str, Sequence[int], str], Iterable[Edit]]
"""Text, offsets that no edit may cross, where the text stands (`context`, `choices[1]`) -> edits, in their order."""


def runs(text: str) -> Iterator[Run]:
    """Runs of letters, from left to right.

    >>> [text[run.start:run.end] for text in ["Don't go, well-known 東京タワー!"] for run in runs(text)]
    ["Don't", 'go', 'well', 'known', '東京タワー']
    """
    pattern: Any = _usual().run if USUAL.fullmatch(text) else _RUN
    for match in pattern.finditer(text):
        start, end = match.span()
        yield Run(start, end, match.lastgroup is not None)


def cut_at_words(text: str) -> list[str] | None:
    """A text in pieces: what is before the first word, that word, what is before the next one, ..., what is left.

    None where it has letters of a script without blanks, or rare ones: see `runs`, which takes three times as long.

    >>> cut_at_words("Don't go!"), cut_at_words("東京")
    (['', "Don't", ' ', 'go', '!'], None)
    """
    usual = _usual()
    if not USUAL.fullmatch(text) or usual.unspaced.search(text):
        return None
    return usual.word.split(text)


def rewrite(text: str, edits: Sequence[Edit], offsets: Sequence[int] = ()) -> tuple[str, list[int]]:
    """Text after edits that do not overlap, in their order, and where each of `offsets` is in it.

    >>> rewrite("a cat sat", [Edit(2, 5, "Katze")], [2, 5, 9])
    ('a Katze sat', [2, 7, 11])
    """
    parts, done = [], 0
    for edit in edits:
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    moved = []
    for offset in offsets:
        longer = sum(len(edit.text) - (edit.end - edit.start) for edit in edits if edit.end <= offset)
        moved.append(offset + longer)
    return "".join([*parts, text[done:]]), moved


def edited(kind: str, row: Mapping[str, Any], editor: Editor) -> dict[str, Any]:
    """A canonical row with its texts edited; number of tokens and choices, labels and tags stay.

    An answer is what stands in the edited context where the answer stood, so it is there to the letter; a choice or a
    token is edited by itself.

    Args:
        kind: of the row's task.
        row: what to edit; not changed.
        editor: gives the edits of one text.
    """
    new = dict(row)
    for column in declared(kind).text_columns():
        value = row.get(column)
        if isinstance(value, str):
            if column != "context" or "answers" not in row:
                new[column] = rewrite(value, list(editor(value, (), column)))[0]
        elif value is not None:
            new[column] = [
                rewrite(each, list(editor(each, (), f"{column}[{place}]")))[0] for place, each in enumerate(value)
            ]
    if "answers" in row:
        new |= _answered(row["context"], row["answers"], editor)
    return new


def refuse_unless_trained_on(task: Task, what: str) -> None:
    """Refuse a task without training rows: its texts are what is tested.

    Raises:
        StiltsError: the task's kind has no head.
    """
    if not task.has_head:
        raise StiltsError(
            f"{task.name} is a {task.kind} task: it has no training rows, and {what} what it is evaluated on would "
            "change the question. Name a task that is trained on: hf-stilts tasks"
        )


@cache
def _usual() -> _Usual:
    """Made when a text is read: it takes longer than all else that is done while this is imported."""
    unspaced, letter = f"[{character_set(f'[{_UNSPACED}]')}]", f"[{character_set(LETTER)}]"
    word = f"{letter}+(?:{_INSIDE}{letter}+)*"
    return _Usual(
        re.compile(f"(?P<unspaced>{unspaced}+)|{word}"),
        re.compile(unspaced),
        re.compile(f"({word})"),
    )


def _answered(context: str, answers: Mapping[str, Any], editor: Editor) -> dict[str, Any]:
    starts = list(answers["answer_start"])
    ends = [start + len(text) for start, text in zip(starts, answers["text"], strict=True)]
    cuts = sorted({*starts, *ends})
    text, moved = rewrite(context, list(editor(context, cuts, "context")), [*starts, *ends])
    spans = list(zip(moved[: len(starts)], moved[len(starts) :], strict=True))
    return {
        "context": text,
        "answers": {"text": [text[start:end] for start, end in spans], "answer_start": [start for start, _ in spans]},
    }
