"""Replaces words by those of other languages with bilingual lexicons (Litschko et al. 2023): labels stay right."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

from hf_stilts.augmentation.reports import WrittenReport
from hf_stilts.data.derived import LanguageTag, parse_tag, row_keys, write_made
from hf_stilts.data.load import data_revision, labelled, load
from hf_stilts.data.words import Edit, edited, refuse_unless_trained_on, runs
from hf_stilts.declarations import declared
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task, load_task

Lexicon = Mapping[str, tuple[str, ...]]
"""Case-folded word -> its translations, in the order of the file."""


@dataclass(frozen=True)
class Switched:
    """What `code_switch` wrote: rows, words in them, words that a lexicon knows, words that were switched."""

    task: str
    language: str
    split: str
    rows: int
    words: int
    known: int
    switched: int


class SwitchReport(WrittenReport[Switched]):
    """What `code_switch` wrote, split by split."""


@dataclass(frozen=True)
class CodeSwitcher:
    """A row in, the row with some words in other languages out: `rows.map(CodeSwitcher(task.kind, lexicons, 0.5))`.

    Each word that a lexicon knows is switched with the same probability; its language is drawn among those whose
    lexicon knows it, its translation among those that the lexicon gives. The draws depend on the seed, the row's id
    (or, where it has none, its texts) and the place in the row, so neither on the order of the rows nor on processes;
    the words that are switched at a smaller probability are among those at a larger one.

    Only whole words are switched: `cat` is not switched in `cats`, nor `don` in `don't`. Where a script puts no blanks,
    the longest entry that fits is taken for a word. A capital at the head, and all capitals, are passed on. What is
    several words is not put into a token, which has one tag; a word across the edge of an answer stays.

    Args:
        kind: of the rows' task.
        lexicons: target language -> lexicon (`read_lexicon`); one is the bilingual mode of the paper, several the
            multilingual one.
        probability: of a known word to be switched; the paper has 0.25, 0.5, 0.75 and 1.
        seed: chooses the draws.
    """

    kind: str
    lexicons: Mapping[str, Lexicon]
    probability: float = 0.5
    seed: int = 0
    # Word -> for each language that knows it, its translations; and the length of the longest word.
    _entries: dict[str, tuple[tuple[str, ...], ...]] = field(init=False, repr=False, compare=False)
    _longest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise StiltsError(f"probability={self.probability}; expected 0 to 1. Type for example: --probability 0.5")
        if not self.lexicons:
            raise StiltsError("No lexicon was given; expected one at least. Type for example: --to de,sw")
        entries: dict[str, tuple[tuple[str, ...], ...]] = {}
        one_word = declared(self.kind).per_word
        for lexicon in self.lexicons.values():
            for word, translations in lexicon.items():
                if one_word:
                    translations = tuple(each for each in translations if len(each.split()) == 1)
                if translations:
                    entries[word] = (*entries.get(word, ()), translations)
        object.__setattr__(self, "_entries", entries)
        object.__setattr__(self, "_longest", max(map(len, entries), default=0))

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row, code-switched."""
        return self.counted(row)[0]

    def counted(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
        """The row, code-switched, and how many words it has, how many of them are known, how many were switched."""
        texts = [row.get(column) for column in declared(self.kind).text_columns()]
        key = row.get("id") or json.dumps(texts, ensure_ascii=False)
        words = known = switched = 0

        def editor(text: str, cuts: Sequence[int], where: str) -> Iterator[Edit]:
            nonlocal words, known, switched
            draws = Random(hashlib.blake2b(f"{self.seed} {where} {key}".encode(), digest_size=16).digest())
            for start, end, entries in self._words(text):
                words += 1
                if not entries:
                    continue
                known += 1
                # As many draws for a word that stays: another probability must not move those of the words behind it.
                switch, which, translation = draws.random(), draws.random(), draws.random()
                if switch >= self.probability or any(start < cut < end for cut in cuts):
                    continue
                switched += 1
                found = entries[int(which * len(entries))]
                yield Edit(start, end, _cased(found[int(translation * len(found))], text[start:end]))

        new = edited(self.kind, row, editor)
        return new, {"words": words, "known": known, "switched": switched}

    def _words(self, text: str) -> Iterator[tuple[int, int, tuple[tuple[str, ...], ...]]]:
        """Words with their translations; of a run without blanks, the longest entries from left to right."""
        for start, run_end, unspaced in runs(text):
            if not unspaced:
                yield start, run_end, self._entries.get(text[start:run_end].casefold(), ())
                continue
            while start < run_end:
                for end in range(min(run_end, start + self._longest), start, -1):
                    entries = self._entries.get(text[start:end].casefold(), ())
                    if entries:
                        yield start, end, entries
                        break
                else:
                    end = start + 1
                start = end


def code_switch(  # noqa: PLR0913 - an option each, passed by name
    task: Task | str,
    to: Sequence[str],
    lexicons: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    probability: float = 0.5,
    mode: Literal["multilingual", "bilingual"] = "multilingual",
    language: str = "en",
    splits: Sequence[str] = ("train",),
    seed: int = 0,
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
) -> SwitchReport:
    """Write the code-switched rows of a task into a mirror, where `load(task, language="en-x-cs50-de-sw")` finds them.

    Args:
        task: a task or its name.
        to: languages to switch into.
        lexicons: folder with a file `<language>-<target>.txt` for each, as MUSE publishes them.
        out: the mirror; what it holds stays.
        probability: as for `CodeSwitcher`.
        mode: `multilingual` draws a language for each word; `bilingual` writes one set of rows for each language.
        language: of the rows that are switched.
        splits: canonical splits to write.
        seed: as for `CodeSwitcher`.
        limit: as for `load`.
        data_dir: as for `load`.
        exclude: as for `load`; of the split `train` alone.

    Raises:
        StiltsError: no training task, a lexicon that cannot be read, or as `load`.
        FileNotFoundError: a lexicon is missing.
    """
    task = labelled(load_task(task), data_dir)
    refuse_unless_trained_on(task, "switching words of")
    source, percent = parse_tag(language), round(100 * probability)
    if source.switched:
        raise StiltsError(f"{language} is code-switched already. Switch the rows that it was made from: --language en")
    if abs(percent - 100 * probability) > 1e-9:
        raise StiltsError(f"probability={probability} is no whole per cent, as the name of the rows says it. Round it.")
    read = {code: read_lexicon(Path(lexicons) / f"{source.language}-{code}.txt") for code in to}

    def rows(split: str, switcher: CodeSwitcher, counts: dict[str, int]) -> Iterator[dict[str, Any]]:
        left_out = exclude if split == "train" else None
        stored = load(task, split, language, limit=limit, data_dir=data_dir, exclude=left_out)
        for key, row in zip(row_keys(stored), stored, strict=True):
            new, found = switcher.counted(row)
            for name in found:
                counts[name] += found[name]
            yield {**new, "id": key}

    written: list[Switched] = []
    for codes in [tuple(to)] if mode == "multilingual" else [(code,) for code in to]:
        switcher = CodeSwitcher(task.kind, {code: read[code] for code in codes}, probability, seed)
        tag = str(LanguageTag(source.language, source.script, source.source, codes, percent))
        counts = {split: {"words": 0, "known": 0, "switched": 0} for split in splits}
        made = {
            "from": f"{task.name} {language} {data_revision(task, language, data_dir)}",
            "by": f"code-switching, probability {probability}, seed {seed}",
            "lexicons": ", ".join(f"{source.language}-{code}.txt" for code in codes),
        }
        derived = {split: rows(split, switcher, counts[split]) for split in splits}
        sizes = write_made(task, tag, derived, out, made)
        written += [Switched(task.name, tag, split, sizes[split], **counts[split]) for split in splits]
    return SwitchReport(Path(out), tuple(written))


def read_lexicon(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Read a lexicon in MUSE's format: a word and a translation a line, between them a tab, or else the first blank.

    Raises:
        FileNotFoundError: no such file.
        StiltsError: a line has no translation, or the file no line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"No lexicon {path}. Expected a word and its translation a line, such as MUSE's dictionaries "
            "(<source>-<target>.txt). Fetch it, or correct --lexicons."
        )
    found: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            word, _, translation = line.strip().partition("\t") if "\t" in line.strip() else line.strip().partition(" ")
            if not word.strip() or not translation.strip():
                raise StiltsError(
                    f"{path}, line {number}: found {line!r}; expected a word and a translation. Correct it."
                )
            each = found.setdefault(word.strip().casefold(), [])
            if translation.strip() not in each:
                each.append(translation.strip())
    if not found:
        raise StiltsError(f"{path} is empty; expected a word and a translation a line. Fetch it again.")
    return {word: tuple(translations) for word, translations in found.items()}


def _cased(translation: str, word: str) -> str:
    if len(word) > 1 and word.isupper():
        return translation.upper()
    return translation[:1].upper() + translation[1:] if word[:1].isupper() else translation
