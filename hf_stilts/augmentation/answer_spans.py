"""Finds an answer again in its translated context: by its own translation, or by brackets translated along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import regex

from hf_stilts.data.sentences import boundaries
from hf_stilts.data.words import LETTER

_LETTER = regex.compile(rf"(?V1){LETTER}")
_EDGES = " \t\n.,;:!?\"'“”‘’«»()。，、．！？：；「」『』"
_BRACKETS = str.maketrans("［］【】", "[][]")  # what a model may make of them in Chinese and Japanese
_NO_BLANK_AFTER_STOP = ("zh", "ja")


class Span(NamedTuple):
    """From the first character to behind the last."""

    start: int
    end: int


@dataclass(frozen=True)
class Segments:
    """A text cut into sentences, none of which ends within an answer; what stands between them is white space.

    Args:
        text: the whole text.
        spans: of the sentences, without white space around them.
    """

    text: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, text: str, answers: Sequence[Span] = ()) -> Segments:
        """Cut a text.

        >>> Segments.of("One two.  Three.").texts
        ('One two.', 'Three.')
        >>> Segments.of("One two. Three.", [Span(4, 14)]).texts
        ('One two. Three.',)
        """
        ends = []
        for end in boundaries(text):
            within_an_answer = any(span.start < end < span.end for span in answers)
            if not within_an_answer:
                ends.append(end)
        spans = []
        for start, end in zip([0, *ends], [*ends, len(text)], strict=True):
            part = text[start:end]
            if part.strip():
                spans.append(Span(start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())))
        return cls(text, tuple(spans))

    @property
    def texts(self) -> tuple[str, ...]:
        """The sentences."""
        return tuple(self.text[span.start : span.end] for span in self.spans)

    def joined(self, translations: Sequence[str], target: str) -> tuple[str, list[int]]:
        """The text from its sentences' translations, and where each of them begins in it.

        Line breaks between sentences stay; a blank is put where the target language has one, and only there.
        """
        done, starts, end = "", [], 0
        for number, (span, translation) in enumerate(zip(self.spans, translations, strict=True)):
            between = self.text[end : span.start]
            if number and "\n" not in between:
                between = "" if target in _NO_BLANK_AFTER_STOP else " "
            starts.append(len(done) + len(between))
            done, end = done + between + translation, span.end
        return done + self.text[end:], starts


def search(answer: str, sentence: str, source: str, at: Span) -> Span | None:
    """Find a translated answer in its translated sentence, as a whole word, whatever its case.

    Args:
        answer: its translation by itself, from which quotes and stops at the edges are taken.
        sentence: the translation of its sentence.
        source: the sentence before translation, in which the answer stands `at`.
        at: its place, by which one of several is chosen: there must be as many as in the source; it is the same one.

    Returns:
        Its span in `sentence`; None where it is not there, or it cannot be said which one it is.
    """
    wanted = answer.strip(_EDGES)
    found = _occurrences(wanted, sentence) if wanted else []
    if len(found) > 1:
        before = _occurrences(source[at.start : at.end], source)
        if len(before) != len(found) or at not in before:
            return None
        return found[before.index(at)]
    return found[0] if found else None


def marked(sentence: str, answer: Span) -> str | None:
    """Sentence with brackets around the answer; None where it has brackets of its own.

    >>> marked("A cat sat.", Span(2, 5))
    'A [cat] sat.'
    """
    if set("[]") & set(sentence.translate(_BRACKETS)):
        return None
    return f"{sentence[: answer.start]}[{sentence[answer.start : answer.end]}]{sentence[answer.end :]}"


def unmarked(translation: str) -> tuple[str, Span] | None:
    """Translation of a marked sentence without the brackets, and what stood between; None if they are not one pair.

    >>> unmarked("Eine [ Katze ] saß.")
    ('Eine Katze saß.', Span(start=5, end=10))
    """
    text = translation.translate(_BRACKETS)
    before, opening, rest = text.partition("[")
    inside, closing, after = rest.partition("]")
    if not opening or not closing or set("[]") & set(before + inside + after) or not inside.strip(_EDGES):
        return None
    inside = inside.strip()
    return before + inside + after, Span(len(before), len(before) + len(inside))


def _occurrences(part: str, text: str) -> list[Span]:
    """Places of a part as a whole word, whatever its case; a letter of a script without blanks borders on no other."""
    if len(text.lower()) == len(text):  # not so where a letter in small is two, as of İ
        part, text = part.lower(), text.lower()
    found, start = [], text.find(part)
    while start >= 0:
        end = start + len(part)
        if not _joined(text[start - 1 : start], part[:1]) and not _joined(part[-1:], text[end : end + 1]):
            found.append(Span(start, end))
        start = text.find(part, start + 1)
    return found


def _joined(before: str, after: str) -> bool:
    return _LETTER.fullmatch(before) is not None and _LETTER.fullmatch(after) is not None
