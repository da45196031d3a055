"""Typographical noise: misspells a share of the words of a text, in 50 languages, the same way every time."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import re
import struct
import unicodedata
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import regex

from hf_stilts.augmentation.clusters import LINKERS, clusters, parted
from hf_stilts.augmentation.keyboards import LAYOUTS
from hf_stilts.augmentation.letters import Draw, alphabet, keys, lower, script_of, upper
from hf_stilts.data.words import Edit, cut_at_words, rewrite, runs
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.files import sha256
from hf_stilts.languages import find_language

KINDS = ("keyboard", "character", "natural", "diacritics", "case")
Dictionary = Mapping[str, tuple[str, ...]]
"""Case-folded word -> its misspellings, in the order of the file."""

_DIGIT = regex.compile(r"\p{N}")
_OPERATIONS = ("delete", "replace", "transpose", "insert")
_BOUNDS = (0.28, 0.56, 0.84, 0.99)  # MulTypo's: 0.28 each for the first three, 0.15 for the last
_JOINERS = "\u200c\u200d" + LINKERS
_LINKING = frozenset(LINKERS)
_SIXTEEN = struct.Struct("<16I")
MISSPELT = re.compile(r"(-x)?-nz\d{1,3}-[a-z]+-\d+$")
"""The end of a tag of misspelt rows: `en-x-nz10-keyboard-0`."""
_TRIES = 24  # after so many, a word is one of the few that a kind cannot change, such as "aa"
_PLAIN = str.maketrans(
    dict(zip("ıłŁøØđĐðÐŧŦħĦŋŊɓƁɗƊƙƘ", "ilLoOdDdDtThHnNbBdDkK", strict=True))
    | {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th"}
)
# Vowel signs that Arabic and Hebrew may leave out; those of other scripts are letters.
_OPTIONAL_MARKS = regex.compile(r"[\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")
_CYRILLIC_ACCENTS = "ёЁѐЀѝЍ"  # the others, as of й and ї, make letters of their own


@dataclass(frozen=True)
class Noise:
    """How rows are misspelt; the text form (`keyboard=0.1`, `keyboard=0.1:text_pair`) is what commands take.

    Args:
        kind: `keyboard`: slips on the language's own keyboard, by the figures of MulTypo (arXiv 2510.09536);
            `character`: a letter deleted, inserted, replaced or swapped with the next, all alike; `natural`: what
            writers did write, from a dictionary of errors; `diacritics`: words without them, in ASCII where possible;
            `case`: small letters, capitals, or the other one at the head.
        level: share of the words of a text, from 0 to 1; of characters where the script puts no blanks.
        columns: columns of the row to misspell. Default: by the task's kind, see `noisy_rows.columns_of`.
        seed: chooses words and errors.
        dictionaries: of `natural`, a file or a folder of `<language>.tsv`, an error and its correction a line.
    """

    kind: str
    level: float
    columns: tuple[str, ...] = ()
    seed: int = 0
    dictionaries: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise StiltsError(
                f"No noise {self.kind!r}. {did_you_mean(self.kind, KINDS)} Type for example: --noise keyboard=0.1"
            )
        if not 0 <= self.level <= 1:
            raise StiltsError(
                f"noise {self.kind}={self.level:g}: expected a share of the words, from 0 to 1. Type for example: "
                f"--noise {self.kind}=0.1"
            )
        if (self.kind == "natural") != (self.dictionaries is not None):
            raise StiltsError(
                f"noise {self.kind} with dictionaries={self.dictionaries!r}: the kind natural needs dictionaries of "
                "errors, and no other kind reads them. Type for example: --noise natural=0.1 --noise-dictionaries DIR"
            )

    @classmethod
    def parse(cls, text: str, seed: int = 0, dictionaries: str | os.PathLike[str] | None = None) -> Noise:
        """Read `keyboard=0.1`, or with columns `keyboard=0.1:question,context`.

        >>> Noise.parse("keyboard=0.1:question")
        Noise(kind='keyboard', level=0.1, columns=('question',), seed=0, dictionaries=None)

        Raises:
            StiltsError: it is not of this form, or names no kind, or no share.
        """
        before, _, columns = text.partition(":")
        kind, equals, level = before.partition("=")
        try:
            share = float(level)
        except ValueError:
            raise StiltsError(
                f"noise {text!r}: expected KIND=LEVEL, with KIND one of {', '.join(KINDS)} and LEVEL a share of the "
                "words. Type for example: --noise keyboard=0.1"
            ) from None
        chosen = tuple(column.strip() for column in columns.split(",")) if columns else ()
        return cls(kind.strip(), share, chosen, seed, None if dictionaries is None else os.fspath(dictionaries))

    def __str__(self) -> str:
        columns = f":{','.join(self.columns)}" if self.columns else ""
        return f"{self.kind}={self.level:g}{columns}"

    def dictionary_file(self, language: str) -> Path | None:
        """The file of errors of a language; None of other kinds than `natural`.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.dictionaries is None:
            return None
        path = Path(self.dictionaries)
        path = path / f"{language}.tsv" if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(
                f"No dictionary of errors {path}. Expected a file of lines ERROR<tab>CORRECTION. Make it, or correct "
                "--noise-dictionaries."
            )
        return path

    def described(self, language: str) -> str:
        """What a table says of it: the text form, and of `natural` which file it was, by the head of its sha256."""
        path = self.dictionary_file(language)
        return str(self) if path is None else f"{self} ({sha256(path)[:8]})"


def _require_letters(noise: Noise, language: str) -> None:
    """Refuse letters of a script of which no table here has a layout; a language in Latin letters has the US one."""
    known = find_language(language)
    if noise.kind not in ("keyboard", "character") or known is None:
        return
    if language not in {*LAYOUTS, "zh"} and known.script_code != "Latn":
        raise StiltsError(
            f"hf_stilts/augmentation/keyboards.py has no layout for {known.name} ({language}), which is written in "
            f"{known.script or 'a script that no table knows'}; expected one of the 50 languages, or one in Latin "
            "letters. Leave it out (--languages), or take --noise natural with a dictionary of its errors."
        )


class TextNoise:
    """Misspells texts in one language: `TextNoise(Noise("keyboard", 0.1), "de")("Ein Satz.", key="17")`.

    What is changed depends on the noise, the language and the key alone. What is changed at one level is changed in the
    same way at every larger one. Words with digits stay; no grapheme cluster is split, no word becomes empty or gains a
    blank, no letter of another script comes in.

    Args:
        noise: kind, level and seed.
        language: two-letter code of the texts.
    """

    def __init__(self, noise: Noise, language: str) -> None:
        _require_letters(noise, language)
        self.noise, self.language = noise, language
        path = noise.dictionary_file(language)
        self._dictionary: Dictionary = {} if path is None else read_errors(path)
        self._longest = max(map(len, self._dictionary), default=0)
        self._slips, self._as_typist = noise.kind in ("keyboard", "character"), noise.kind == "keyboard"
        own_keys, letter = keys(language), alphabet(language).letter
        self._replacement = own_keys.slip if self._as_typist else letter
        self._insertion = own_keys.stray if self._as_typist else letter
        self._swaps = partial(_swap, language if self._as_typist else None)

    def __call__(self, text: str, key: str = "") -> str:
        """The text, misspelt.

        >>> TextNoise(Noise("keyboard", 0.5), "en")("The quick brown fox jumps over the lazy dog.")
        'The quick brown fox juimps over th lazt dgo.'
        """
        return rewrite(text, self.edits(text, key))[0]

    def tokens(self, tokens: Sequence[str], key: str = "") -> list[str]:
        """Tokens, misspelt as the one text that they make up; as many as before."""
        starts = list(itertools.accumulate((len(token) + 1 for token in tokens), initial=0))
        new = list(tokens)
        for edit in reversed(self.edits("\0".join(tokens), key)):  # from the last one, so that places before it stay
            number = bisect(starts, edit.start) - 1
            start, end = edit.start - starts[number], edit.end - starts[number]
            new[number] = new[number][:start] + edit.text + new[number][end:]
        return new

    def edits(self, text: str, key: str = "", kept: Sequence[tuple[int, int]] = ()) -> list[Edit]:
        """What is changed in a text, from left to right.

        Args:
            text: any text.
            key: what tells this text from others: the example's id.
            kept: spans, from the first character to behind the last, in which nothing is changed.
        """
        if self.noise.level == 0:
            return []
        units = self._units(text)
        weights = units.weights
        free: Sequence[int] = range(len(weights))
        taken: set[int] = set()
        if kept:
            taken.update(place for place in free if _within(units.starts[place], units.ends[place], kept))
            free = [place for place in free if place not in taken]
            weights = [weights[place] for place in free]
        draw = _stream(f"{self.noise.kind} {self.noise.seed} {self.language} {key}").__next__
        # Rounded by chance, so that short texts have their share too.
        wanted = int(self.noise.level * len(weights) + draw())
        if not wanted:
            return []
        found: list[Edit] = []
        for drawn in _order(weights, draw):  # a larger level goes further in the same order
            place = free[drawn]
            edit = self._edit(text, units, place, taken, draw) if place not in taken else None
            if edit is not None:
                found.append(edit)
                if len(found) == wanted:
                    break
        return sorted(found)

    def _units(self, text: str) -> _Units:
        """Words, and where a script puts no blanks characters, or the longest words that a dictionary knows."""
        pieces = cut_at_words(text)
        if pieces is not None:
            edges = list(itertools.accumulate(map(len, pieces)))
            return _Units(edges[:-1:2], edges[1::2], list(map(math.sqrt, map(len, pieces[1::2]))), None)
        starts: list[int] = []
        ends: list[int] = []
        weights: list[float] = []
        own_runs: list[int] = []
        for start, end, unspaced in runs(text):
            if not unspaced:
                starts.append(start)
                ends.append(end)
                weights.append(math.sqrt(end - start))
                own_runs.append(-1)
                continue
            if self._dictionary:
                inside = list(self._known_words(text, start, end))
            else:
                inside = list(itertools.accumulate(map(len, clusters(text[start:end])), initial=start))
            starts += inside[:-1]
            ends += inside[1:]
            weights += [1.0] * (len(inside) - 1)
            own_runs += [start] * (len(inside) - 1)
        return _Units(starts, ends, weights, own_runs)

    def _known_words(self, text: str, start: int, end: int) -> Iterator[int]:
        """Edges of the longest entries of the dictionary in a run, from left to right, and of characters between."""
        yield start
        while start < end:
            start = self._entry(text, start, end) or start + len(clusters(text[start:end])[0])
            yield start

    def _entry(self, text: str, start: int, end: int) -> int | None:
        """Where the longest entry of the dictionary ends that starts here."""
        for behind in range(min(end, start + self._longest), start, -1):
            if text[start:behind].casefold() in self._dictionary:
                return behind
        return None

    def _edit(self, text: str, units: _Units, place: int, taken: set[int], draw: Draw) -> Edit | None:
        """Change one unit, or swap it with the next; None where it cannot be. Marks in `taken` what was changed."""
        if self._slips and units.runs and units.runs[place] >= 0:
            return self._edit_character(text, units, units.runs, place, taken, draw)
        start, end = units.starts[place], units.ends[place]
        word = text[start:end]
        if _has_digit(word) or not (word.isascii() or _whole(text, start, end)):
            return None
        taken.add(place)
        other = self._misspelt(word, draw) if self._slips else self._word(word, draw)
        return None if other is None or other == word else Edit(start, end, other)

    def _edit_character(
        self, text: str, units: _Units, own_runs: list[int], place: int, taken: set[int], draw: Draw
    ) -> Edit | None:
        """As `_edit`, a character of a script without blanks."""
        start, end, run = units.starts[place], units.ends[place], own_runs[place]
        here, next_one = text[start:end], ""
        if _stays(here):
            return None
        last = place + 1 == len(own_runs) or own_runs[place + 1] != run
        # Between two characters of a run a cluster ends, unless a mark ties the two.
        if not (_whole(text, start, end) if last or start == run else text[start - 1] not in _LINKING):
            return None
        taken.add(place)
        if not last and place + 1 not in taken:
            next_one = text[end : units.ends[place + 1]]
        other = self._mistyped_character(here, next_one, start == run, draw)
        if other is None:
            return None
        if next_one and other == next_one + here:
            taken.add(place + 1)
            return Edit(start, end + len(next_one), other)
        return Edit(start, end, other)

    def _word(self, word: str, draw: Draw) -> str | None:
        """A word misspelt by a kind that changes words as wholes."""
        if self.noise.kind == "diacritics":
            return without_diacritics(word)
        if self.noise.kind == "natural":
            errors = self._dictionary.get(word.casefold(), ())
            if not errors:
                return None
            error = errors[int(draw() * len(errors))]
            if len(word) > 1 and word.isupper():
                return upper(error, self.language)
            return upper(error[0], self.language) + error[1:] if word[0].isupper() else error
        if script_of(word[0]) == "Georgian":  # whose capitals are for headlines alone
            return None
        head = lower(word[0], self.language) if word[0].isupper() else upper(word[0], self.language)
        forms = dict.fromkeys([lower(word, self.language), upper(word, self.language), head + word[1:]])
        others = [form for form in forms if form != word]
        return others[int(draw() * len(others))] if others else None

    def _misspelt(self, word: str, draw: Draw) -> str | None:
        """A word after one slip; None where none was found."""
        letters = clusters(word)
        if self._as_typist and len(letters) < 2:  # a typist begins with the right letter
            return None
        for _ in range(_TRIES):
            operation = _operation(draw, self._as_typist)
            if operation == "transpose":
                changed = self._swapped(letters, draw)
            else:
                place = _place(len(letters), draw) if self._as_typist else int(draw() * len(letters))
                changed = self._changed(letters, place, operation, draw)
            other = None if changed is None else "".join(changed)
            if changed is not None and other and other != word and (other.isascii() or clusters(other) == changed):
                return other
        return None

    def _swapped(self, letters: list[str], draw: Draw) -> list[str] | None:
        """Letters of a word, two neighbours in each other's place; None where it has no two that may be."""
        first = 1 if self._as_typist else 0
        pairs = zip(letters[first:], letters[first + 1 :], strict=False)
        places = [place for place, pair in enumerate(pairs, start=first) if self._swaps(*pair)]
        if not places:
            return None
        place = places[_place(len(places) + 1, draw) - 1]
        return [*letters[:place], letters[place + 1], letters[place], *letters[place + 2 :]]

    def _changed(self, letters: list[str], place: int, operation: str, draw: Draw) -> list[str] | None:
        """Letters of a word, one deleted, inserted or replaced; None where that cannot be done there."""
        here, rest = letters[place], letters[place + 1 :]
        if not _editable(here):
            return None
        if operation == "delete":
            return letters[:place] + rest if len(letters) > 1 else None
        other = (self._insertion if operation == "insert" else self._replacement)(here, draw)
        if other is None:
            return None
        if operation == "insert":
            return [*letters[: place + 1], other, *rest]
        changed = [*letters[:place], other, *rest]
        if self._as_typist:  # a finger that lies wrong types both letters of a pair wrong
            for pair in (place - 1, place + 1):
                if 0 < pair < len(letters) and letters[pair] == here:
                    changed[pair] = other
        return changed

    def _mistyped_character(self, here: str, next_one: str, first: bool, draw: Draw) -> str | None:
        """What stands for a character of a script without blanks after one slip; None where none was found."""
        for _ in range(_TRIES):
            operation = _operation(draw, self._as_typist)
            if operation == "delete":
                if not first:  # the first one stays, so that something stays
                    return ""
            elif operation == "transpose":
                if next_one and self._swaps(here, next_one):
                    return next_one + here
            else:
                other = (self._insertion if operation == "insert" else self._replacement)(here, draw)
                if other is None or other == here:
                    continue
                before = "" if operation == "replace" else here
                if _stay_apart(before, other):
                    return before + other
        return None


def noise_tag(language: str, noise: Noise) -> str:
    """Tag of misspelt rows of a language.

    >>> noise_tag("de-t-en", Noise("keyboard", 0.1))
    'de-t-en-x-nz10-keyboard-0'

    Raises:
        StiltsError: the rows are misspelt already, or the level is no whole per cent.
    """
    percent = round(100 * noise.level)
    if MISSPELT.search(language):
        raise StiltsError(f"{language} is misspelt already. Misspell the rows that it was made from: --languages")
    if abs(percent - 100 * noise.level) > 1e-9:
        raise StiltsError(f"noise {noise} is no whole per cent, as the name of the rows says it. Round it.")
    private = "" if "-x-" in language else "-x"  # BCP 47 begins private subtags once
    return f"{language}{private}-nz{percent}-{noise.kind}-{noise.seed}"


def trained_noise(text: str, seed: int = 0) -> Noise:
    """Noise of training rows, which are known by their tag alone.

    Raises:
        StiltsError: what no tag says, a column, a dictionary or a part of a per cent; or as `Noise.parse`.
    """
    noise = Noise.parse(text, seed, "" if text.lstrip().startswith("natural") else None)
    if noise.columns or noise.dictionaries is not None:
        raise StiltsError(
            f"noise {text} of a training names columns, or is of a dictionary, which the name of its rows does not "
            f"say. Make the rows: hf-stilts data noise TASK --noise {text} --out DIR, and train with --data-dir DIR, "
            "and in languages the tag that it prints."
        )
    noise_tag("en", noise)
    return noise


def read_errors(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Read a dictionary of errors, `ERROR<tab>CORRECTION` a line, to be used the other way round.

    An error that is empty, has a blank, or is the correction itself is left out; and so is a correction of several
    words. An error that is there twice is as likely again.

    Raises:
        StiltsError: a line has no tab, or no line is left.
    """
    found: dict[str, list[str]] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        error, tab, correction = (part.strip() for part in line.partition("\t"))
        correction = correction.partition("\t")[0].strip()
        if not line.partition("\t")[1]:
            raise StiltsError(f"{path}, line {number}: found {line!r}; expected ERROR<tab>CORRECTION. Correct it.")
        if len(error.split()) == len(correction.split()) == 1 and error != correction:
            found.setdefault(correction.casefold(), []).append(error)
    if not found:
        raise StiltsError(f"{path} has no error of a single word; expected lines ERROR<tab>CORRECTION. Make it anew.")
    return {word: tuple(errors) for word, errors in found.items()}


@lru_cache(maxsize=1 << 16)
def without_diacritics(word: str) -> str:
    """A word without accents and optional vowel signs, its Latin letters in ASCII; as it is where it has none.

    >>> [without_diacritics(word) for word in ("Größe", "được", "Ёжик", "мой", "ışık", "क़िला")]
    ['Grosse', 'duoc', 'Ежик', 'мой', 'isik', 'क़िला']
    """
    composed = unicodedata.normalize("NFC", word)
    letters = []
    for letter in composed:
        if script_of(letter) in ("Latin", "Greek") or letter in _CYRILLIC_ACCENTS:
            letters.append(unicodedata.normalize("NFD", letter)[0])
        elif not (_OPTIONAL_MARKS.match(letter) or "\u0300" <= letter <= "\u036f"):
            letters.append(letter)
    plain = "".join(letters).translate(_PLAIN)
    return word if plain == composed or not plain else plain


def _stream(key: str) -> Iterator[float]:
    """Numbers from 0 to below 1 that follow from a key, on every machine and in every Python."""
    for number in itertools.count():
        digest = hashlib.blake2b(f"{number} {key}".encode(), digest_size=64).digest()
        for value in _SIXTEEN.unpack(digest):
            yield value / 2**32


def _order(weights: Sequence[float], draw: Draw) -> Iterator[int]:
    """Places drawn by their weights without replacement, one after another, all of them in the end."""
    bounds = list(itertools.accumulate(weights))
    seen: set[int] = set()
    while 2 * len(seen) < len(weights):
        place = bisect(bounds, draw() * bounds[-1])
        if place not in seen:
            seen.add(place)
            yield place
    # Most draws would hit what was drawn before: the others by their exponential clocks, which is the same chance.
    left = [(-math.log(1.0 - draw()) / weights[place], place) for place in range(len(weights)) if place not in seen]
    yield from (place for _, place in sorted(left))


class _Units(NamedTuple):
    """Where the words of a text start and end, and the weights by which they are drawn: the roots of their lengths.

    Where a script puts no blanks, each character counts, with a weight of 1, and `runs` says where the run of letters
    starts that it stands in; of a word it is -1. `runs` is None where the text has no such script.
    """

    starts: list[int]
    ends: list[int]
    weights: list[float]
    runs: list[int] | None


@lru_cache(maxsize=1 << 16)
def _swap(language: str | None, here: str, next_one: str) -> bool:
    """Whether two neighbouring characters may change places: a typist's (in a language) come from different hands."""
    if here == next_one or not (_editable(here) and _editable(next_one)):
        return False
    if language is None:
        return True
    hands = keys(language).hand(here), keys(language).hand(next_one)
    return None in hands or hands[0] != hands[1]


def _operation(draw: Draw, as_typist: bool) -> str:
    if not as_typist:
        return _OPERATIONS[int(draw() * 4)]
    at = draw() * _BOUNDS[-1]
    return _OPERATIONS[bisect(_BOUNDS, at)]


def _place(length: int, draw: Draw) -> int:
    """A place in a word of two or more: never the first, the last twice as likely as the second, as in MulTypo."""
    while True:
        place = 1 + int(draw() * (length - 1))
        if length == 2 or draw() < 0.5 + 0.5 * (place - 1) / (length - 2):
            return place


def _editable(cluster: str) -> bool:
    """Whether it is a letter with its marks, and not an apostrophe or what a joiner holds to the next."""
    return cluster[0].isalpha() and cluster[-1] not in _JOINERS


def _has_digit(word: str) -> bool:
    return not word.isalpha() and _DIGIT.search(word) is not None


@lru_cache(maxsize=1 << 16)
def _stays(cluster: str) -> bool:
    """Whether no error is made in a character of a script without blanks: a digit, a sign, joined consonants."""
    return _has_digit(cluster) or not _editable(cluster) or not _LINKING.isdisjoint(cluster)


@lru_cache(maxsize=1 << 16)
def _stay_apart(before: str, letter: str) -> bool:
    """Whether a letter is one grapheme cluster, and what it is typed behind, if anything, another."""
    return clusters(before + letter) == ([before, letter] if before else [letter])


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no grapheme cluster of a text reaches over an end of a word: a stray mark may belong to the next."""
    if text[start - 1 : start] in _LINKING:
        return False
    return parted(text[max(start - 1, 0) : start + 1]) and parted(text[end - 1 : end + 1])


def _within(start: int, end: int, kept: Sequence[tuple[int, int]]) -> bool:
    return any(start < last and first < end for first, last in kept)
