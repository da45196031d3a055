"""Words are found by `re` where every character of a text is usual: the same ones as by the properties of `regex`."""

import re

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.data import words
from hf_stilts.data.characters import USUAL, character_set
from hf_stilts.data.words import LETTER, cut_at_words, runs

EVERY = "".join(map(chr, range(0x20000)))
MIXED = st.text(
    st.one_of(st.characters(), st.sampled_from("aéß'’\u200c\u200d -_3٣一中ーあアกำກខ្က္ကहिन्दी한👩\u0301\r\n\0\u00a0")),
    max_size=12,
)


@pytest.mark.parametrize("properties", [LETTER, f"[{words._UNSPACED}]"])
def test_sets_hold_the_usual_characters_that_have_the_properties(properties):
    usual = "".join(found[0] for found in re.finditer(USUAL.pattern.rstrip("*"), EVERY))
    assert len(usual) > 44_000
    of_regex = regex.findall(f"(?V1){properties}", usual)
    assert re.findall(f"[{character_set(properties)}]", EVERY) == of_regex != []


@settings(max_examples=400, deadline=None)
@given(MIXED)
def test_runs_of_any_text(text):
    found = [(match.start(), match.end(), match.lastgroup is not None) for match in words._RUN.finditer(text)]
    assert list(runs(text)) == found


@settings(max_examples=400, deadline=None)
@given(MIXED)
def test_pieces_of_any_text(text):
    pieces, found = cut_at_words(text), list(runs(text))
    if pieces is None:
        assert not USUAL.fullmatch(text) or any(run.unspaced for run in found)
    else:
        assert "".join(pieces) == text and not any(run.unspaced for run in found)
        assert pieces[1::2] == [text[run.start : run.end] for run in found]


@pytest.mark.parametrize("text", ["ພາສາລາວ", "ភាសាខ្មែរ", "ကျွန်တော်", "ภาษาไทย", "日本ー", "𠀀"])
def test_scripts_without_blanks(text):
    assert [run.unspaced for run in runs(text)] == [True] and cut_at_words(text) is None
