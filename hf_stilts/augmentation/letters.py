"""What a typist may hit instead of a letter, and which letters a language has, by keyboards and national standards."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import regex

from hf_stilts.augmentation.clusters import LINKERS
from hf_stilts.augmentation.keyboards import LAYOUTS, ROWS

Draw = Callable[[], float]
"""Gives the next number of a stream, from 0 to below 1."""

# Where the first key of each row lies, in widths of a key, and how many keys from there the left hand has.
_STARTS, _LEFT = (0.0, 1.5, 1.75, 1.25), (6, 5, 5, 6)
# A slip to the side is nine times as likely as one to another row: MulTypo's figure.
_SIDEWAYS, _UP_OR_DOWN = 9, 1
# Letters that are typed with a dead key, AltGr or an input method, beside those of the layout.
_MORE = {
    "af": "êëïôû", "es": "áéíóúü", "fr": "âêîôûëïœ", "ht": "ò", "it": "é", "jv": "éè", "nl": "éëï", "pl": "ąćęłńóśźż",
    "pt": "áâãàéêíóôõú", "ro": "ăâîșț", "tl": "ñ", "vi": "ăâđêôơư", "wo": "ëó",
}  # fmt: skip
_SCRIPTS = {
    name: regex.compile(rf"\p{{Script={name}}}")
    for name in (
        "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Han", "Hangul", "Hiragana", "Katakana", "Georgian",
        "Bengali", "Devanagari", "Gujarati", "Gurmukhi", "Malayalam", "Myanmar", "Tamil", "Telugu", "Thai",
    )
}  # fmt: skip
_CASED = ("Latin", "Cyrillic", "Greek")
# The letters that a Hangul syllable is made of, in the order in which Unicode numbers the syllables.
_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_FIRST_SYLLABLE, _LAST_SYLLABLE, _TO_KATAKANA = "가", "힣", 0x60


@lru_cache(maxsize=1 << 16)
def script_of(letter: str) -> str:
    """Script of a letter by its Unicode name, empty where no language of the 50 is written in it.

    >>> script_of("ж"), script_of("漢"), script_of("!")
    ('Cyrillic', 'Han', '')
    """
    return next((name for name, pattern in _SCRIPTS.items() if pattern.match(letter)), "")


class Keys:
    """A typist's keys in one language: what lies beside each letter, and which hand types it.

    Keys of the US layout stand in for letters that the language's own layout has not (Latin words in Russian text).
    Han characters, which are typed by their sound, have for neighbours those that sound alike: the standards GB 2312
    (Chinese) and JIS X 0208 (Japanese) list their common characters by sound.

    Args:
        language: two-letter code; another one than the 50 has the US layout.
    """

    def __init__(self, language: str) -> None:
        self._neighbours: dict[str, tuple[str, ...]] = {}
        self._hands: dict[str, str] = {}
        for layout in ("us", LAYOUTS.get(language, "us")):
            found = dict(_keys(layout))
            for letter, (left, beside) in found.items():
                self._neighbours[letter], self._hands[letter] = beside, "left" if left else "right"
        self._neighbours |= _katakana(self._neighbours)
        common = common_characters(language)
        for place, character in enumerate(common):
            beside = (*common[max(0, place - 2) : place], *common[place + 1 : place + 3])
            self._neighbours[character] = beside

    def hand(self, cluster: str) -> str | None:
        """`left` or `right`, or None where that is not known."""
        return self._hands.get(cluster[0]) or self._hands.get(unicodedata.normalize("NFD", cluster[0])[0])

    def beside(self, letter: str, draw: Draw) -> str | None:
        """A letter of the same script whose key lies beside that of another, in the same state of Shift."""
        found = self._neighbours.get(letter)
        if found is None:  # an accent is lost with the letter that it stands on
            found = self._neighbours.get(unicodedata.normalize("NFD", letter)[0], ())
        return found[int(draw() * len(found))] if found else None

    def slip(self, cluster: str, draw: Draw) -> str | None:
        """A grapheme cluster in which one letter or mark is its neighbour, a letter for a letter, a mark for a mark."""
        if _FIRST_SYLLABLE <= cluster[0] <= _LAST_SYLLABLE:
            return self._syllable(cluster, draw)
        if len(cluster) == 1 or ("\u0300" <= min(cluster[1:]) and max(cluster[1:]) <= "\u036f"):
            return self.beside(cluster[0], draw)
        place = int(draw() * len(cluster))
        other = self.beside(cluster[place], draw)
        return None if other is None else cluster[:place] + other + cluster[place + 1 :]

    def stray(self, cluster: str, draw: Draw) -> str | None:
        """A letter that may be hit along with those of a cluster."""
        letter = cluster[0]
        if _FIRST_SYLLABLE <= letter <= _LAST_SYLLABLE:
            letter = _VOWELS[(ord(letter) - ord(_FIRST_SYLLABLE)) // len(_FINALS) % len(_VOWELS)]
        return self.beside(letter, draw)

    def _syllable(self, syllable: str, draw: Draw) -> str | None:
        """Another Hangul syllable: one of its two or three letters is a neighbour that may stand there."""
        rest, final = divmod(ord(syllable[0]) - ord(_FIRST_SYLLABLE), len(_FINALS))
        parts = [*divmod(rest, len(_VOWELS)), final]
        place = int(draw() * (3 if final else 2))
        letters = (_INITIALS, _VOWELS, _FINALS)[place]
        other = self.beside(letters[parts[place]], draw)
        if other is None or other not in letters:
            return None
        parts[place] = letters.index(other)
        number = (parts[0] * len(_VOWELS) + parts[1]) * len(_FINALS) + parts[2]
        return chr(ord(_FIRST_SYLLABLE) + number) + syllable[1:]


class Alphabet:
    """Letters that may stand in a language's text, script by script; of another script none but Latin.

    Args:
        language: two-letter code; another one than the 50 has a to z.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._letters = {"Latin": "abcdefghijklmnopqrstuvwxyz"}
        rows = ROWS[LAYOUTS.get(language, "us")]
        levels = [plain for plain, _ in rows] + [shifted for _, shifted in rows]
        own = [letter for row in levels for letter in row if letter.isalpha()]
        script = script_of(own[0])
        if script in _CASED:
            own = [letter for letter in own if letter.islower()]
        self._letters[script] = "".join(dict.fromkeys([*own, *_MORE.get(language, "")]))
        if language == "ja":
            self._letters["Katakana"] = "".join(chr(ord(letter) + _TO_KATAKANA) for letter in own)
        if language in ("zh", "ja"):
            self._letters["Han"] = common_characters(language)
        if language == "ko":
            self._letters["Hangul"] = common_characters(language)

    def letter(self, cluster: str, draw: Draw) -> str | None:
        """Any letter of the script of a cluster, as large as it is; None where the language has no such script."""
        letters = self._letters.get(script_of(cluster[0]))
        if letters is None:
            return None
        found = letters[int(draw() * len(letters))]
        return upper(found, self._language) if cluster[0].isupper() else found


@lru_cache(maxsize=64)
def keys(language: str) -> Keys:
    """The keys of a language, made once."""
    return Keys(language)


@lru_cache(maxsize=64)
def alphabet(language: str) -> Alphabet:
    """The alphabet of a language, made once."""
    return Alphabet(language)


@lru_cache(maxsize=4)
def common_characters(language: str) -> str:
    """The common characters of a script with thousands, by the national standard; none of other languages.

    >>> [common_characters(language)[:5] for language in ("zh", "ja", "ko", "de")]
    ['啊阿埃挨哎', '亜唖娃阿哀', '가각간갇갈', '']
    """
    codecs = {"zh": ("gb2312", 16, 55), "ja": ("euc_jp", 16, 47), "ko": ("euc_kr", 16, 40)}
    if language not in codecs:
        return ""
    codec, first, last = codecs[language]
    codes = (bytes((row + 0xA0, cell + 0xA0)) for row in range(first, last + 1) for cell in range(1, 95))
    return "".join(code.decode(codec, errors="ignore") for code in codes)


def upper(text: str, language: str) -> str:
    """Text in capitals; Turkish and Azerbaijani have a dotted and a dotless one.

    >>> upper("iı", "tr"), upper("ij", "nl")
    ('İI', 'IJ')
    """
    return (text.replace("i", "İ") if language in ("tr", "az") else text).upper()


def lower(text: str, language: str) -> str:
    """Text in small letters.

    >>> lower("İI", "tr")
    'iı'
    """
    return (text.replace("I", "ı").replace("İ", "i") if language in ("tr", "az") else text).lower()


def _keys(layout: str) -> Iterator[tuple[str, tuple[bool, tuple[str, ...]]]]:
    """Letter -> whether the left hand types it, and its neighbours, each as often as it is likely."""
    seen: set[str] = set()
    for shift in (0, 1):
        rows = [row[shift] for row in ROWS[layout]]
        for number, row in enumerate(rows):
            for place, letter in enumerate(row):
                if letter != " " and letter not in seen:
                    seen.add(letter)
                    yield letter, (place < _LEFT[number], tuple(_beside(rows, number, place)))


def _beside(rows: list[str], number: int, place: int) -> Iterator[str]:
    letter, at = rows[number][place], _STARTS[number] + place
    for other_number in range(max(0, number - 1), min(len(rows), number + 2)):
        for other_place, other in enumerate(rows[other_number]):
            distance = abs(_STARTS[other_number] + other_place - at)
            alike = other not in " " + LINKERS and unicodedata.category(other)[0] == unicodedata.category(letter)[0]
            if alike and other_number == number and distance == 1:
                yield from [other] * _SIDEWAYS
            elif alike and other_number != number and distance < 1:
                yield from [other] * _UP_OR_DOWN


def _katakana(neighbours: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Neighbours of katakana, which are typed as hiragana and turned into katakana afterwards."""
    found = {}
    for letter, beside in neighbours.items():
        if script_of(letter) == "Hiragana":
            others = tuple(chr(ord(each) + _TO_KATAKANA) for each in beside if script_of(each) == "Hiragana")
            found[chr(ord(letter) + _TO_KATAKANA)] = others
    return found
