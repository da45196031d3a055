"""Grapheme clusters are those of `regex`, whatever the text; its `\\X` is the reference."""

import re

import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.augmentation.clusters import _LETTERS, _MARKS, clusters, parted
from hf_stilts.data.characters import USUAL, character_set

EVERY = "".join(map(chr, range(0x20000)))


def reference(text):
    return regex.findall(r"\X", text)


def test_letters_stand_alone():
    letters = "".join(re.findall(f"[{character_set(_LETTERS)}]", EVERY))
    assert len(letters) > 40_000 and reference(letters) == list(letters) == clusters(letters)


def test_marks_between_letters_of_their_own_block():
    marks, letter = re.findall(f"[{character_set(_MARKS)}]", EVERY), re.compile(f"[{character_set(_LETTERS)}]")
    assert len(marks) > 700
    for mark in marks:
        block = ord(mark) // 128 * 128
        letters = [*letter.findall(EVERY[block : block + 128]), "a", "क", "中", "가"]
        text = mark + "".join(f"{letter}{mark}{letter}{mark}{mark}" for letter in letters)
        assert clusters(text) == reference(text), ascii(mark)


@settings(max_examples=400, deadline=None)
@given(
    st.text(
        st.one_of(
            st.characters(),
            st.sampled_from("a\r\n\u200d\u0301\u094d\u1039\u17d2คำกิက္ချ한각각👩👧🇩🇪❤\ufe0fकिक्षা\u0d4e\u0600"),
        ),
        max_size=9,
    )
)
def test_any_text(text):
    assert clusters(text) == reference(text)
    for two in (text[start : start + 2] for start in range(len(text))):
        assert parted(two) == (len(two) < 2 or len(reference(two)) == 2)


def test_most_texts_are_usual():
    for text in ("Größe", "мой", "किताब", "ภาษาไทย", "漢字カナ", "한국어", "ခွဲ", "العربية", "“¿Qué…?”", "\0"):
        assert USUAL.fullmatch(text)
    assert not USUAL.fullmatch("👩") and not USUAL.fullmatch("\ufefc")
