"""Writes a task's rows in another script (Kumar et al. 2022): any in Latin, the Indic ones in each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hf_stilts.augmentation.reports import WrittenReport
from hf_stilts.data.derived import parse_tag, row_keys, write_made
from hf_stilts.data.load import data_revision, labelled, load
from hf_stilts.data.words import Edit, edited, refuse_unless_trained_on, runs
from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.languages import find_language
from hf_stilts.task import Task, load_task

# Scripts of one family, sign for sign, by the names of `indic_transliteration.sanscript`.
INDIC = {
    "Beng": "bengali", "Deva": "devanagari", "Gujr": "gujarati", "Guru": "gurmukhi", "Knda": "kannada",
    "Mlym": "malayalam", "Orya": "oriya", "Taml": "tamil", "Telu": "telugu",
}  # fmt: skip


@dataclass(frozen=True)
class Transliterated:
    """What `transliterate` wrote of one language and split."""

    task: str
    language: str
    split: str
    rows: int


class TransliterationReport(WrittenReport[Transliterated]):
    """What `transliterate` wrote, language by language and split by split."""


@dataclass(frozen=True)
class Transliterator:
    """A row in, the row in another script out: `rows.map(Transliterator(task.kind, "hi", "Latn"))`.

    Runs of letters are transliterated one by one, whatever else stands between them stays. A run is cut at the edges of
    an answer, so that the answer is found again to the letter; a token stays one token.

    Args:
        kind: of the rows' task.
        language: code of what the rows are in.
        script: ISO 15924 code of the script to write: `Latn`, or, for a language in an Indic script, another of them.
    """

    kind: str
    language: str
    script: str

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row, transliterated."""
        writer = word_writer(self.language, self.script)

        def editor(text: str, cuts: Sequence[int], where: str) -> Iterator[Edit]:
            for run in runs(text):
                edges = [run.start, *(cut for cut in cuts if run.start < cut < run.end), run.end]
                for start, end in zip(edges, edges[1:], strict=False):
                    yield Edit(start, end, writer(text[start:end]))

        return edited(self.kind, row, editor)


def transliterate(
    task: Task | str,
    script: str,
    out: str | os.PathLike[str],
    *,
    languages: Sequence[str],
    splits: Sequence[str] = ("train",),
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> TransliterationReport:
    """Write a task's rows in another script into a mirror, where `load(task, language="hi-Latn")` finds them.

    Args:
        task: a task or its name.
        script: as for `Transliterator`.
        out: the mirror; what it holds stays.
        languages: of the rows, the task's own or made ones: `hi-t-en` gives `hi-Latn-t-en`.
        splits: canonical splits to write.
        limit: as for `load`.
        data_dir: as for `load`.

    Raises:
        StiltsError: no training task, a language that cannot be written in that script, the libraries are not
            installed, or as `load`.
    """
    task = labelled(load_task(task), data_dir)
    refuse_unless_trained_on(task, "transliterating")

    def rows(split: str, language: str, writer: Transliterator) -> Iterator[dict[str, Any]]:
        stored = load(task, split, language, limit=limit, data_dir=data_dir)
        for key, row in zip(row_keys(stored), stored, strict=True):
            yield {**writer(row), "id": key}

    written = []
    for language in languages:
        source = parse_tag(language)
        writer = Transliterator(task.kind, source.language, script)
        word_writer(source.language, script)  # refuses before anything is written
        tag = str(replace(source, script=script))
        made = {
            "from": f"{task.name} {language} {data_revision(task, language, data_dir)}",
            "by": f"transliteration into {script} with {'uroman' if script == 'Latn' else 'indic-transliteration'}",
        }
        sizes = write_made(task, tag, {split: rows(split, language, writer) for split in splits}, out, made)
        written += [Transliterated(task.name, tag, split, size) for split, size in sizes.items()]
    return TransliterationReport(Path(out), tuple(written))


@lru_cache(maxsize=64)
def word_writer(language: str, script: str) -> Callable[[str], str]:
    """Function that writes a word of a language in a script; remembers the words that it has written.

    Raises:
        StiltsError: the language has that script already, or no table knows its script, or no library knows the two; or
            the library is not installed.
    """
    known = find_language(language)
    own = known.script_code if known else ""
    possible = []
    if own:
        others = INDIC if own in INDIC else ()
        possible = sorted({"Latn", *others} - {own})
    if known is None or script not in possible:
        hint = f"expected {' or '.join(possible)} (--script {possible[-1]})" if possible else "no library here can"
        raise StiltsError(
            f"{language!r} (script {own or 'unknown'}) cannot be written in {script!r}: {hint}. Scripts that can be "
            "transliterated: all into Latn, Indic ones into each other."
        )
    with needs_extra("transliterate", "Transliteration"):
        into = _into_latin(known.iso3) if script == "Latn" else _into_indic(own, script)
    return lru_cache(maxsize=1 << 18)(into)


@lru_cache(maxsize=1)
def _uroman() -> Any:
    from uroman import Uroman

    return Uroman()  # reads its tables for some seconds


def _into_latin(iso3: str) -> Callable[[str], str]:
    uroman = _uroman()
    return lambda word: word if word.isascii() else str(uroman.romanize_string(word, lcode=iso3))


def _into_indic(own: str, script: str) -> Callable[[str], str]:
    from indic_transliteration import sanscript

    return lambda word: word if word.isascii() else str(sanscript.transliterate(word, INDIC[own], INDIC[script]))
