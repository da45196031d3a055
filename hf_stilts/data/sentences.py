r"""Cuts text into sentences by one simple rule, so that the same text is cut alike wherever it stands.

The rule is `RULE`: a sentence ends after `. ! ?` (and the stops of other scripts) with any closing quotes or brackets,
where white space follows; after the full-width stops of Chinese and Japanese always; and at a line break. It takes
`U.S. Army` for two sentences, but does so everywhere.
"""

from __future__ import annotations

import re
import unicodedata

RULE = "stops"
"""Name of the rule: written into reports, so that a change of it is noticed."""

_CLOSING = "[\"'”’»)\\]]*"
# Danda and double danda, Urdu full stop, Arabic and Greek question marks, Burmese section, Armenian and Ethiopic stops.
_STOPS = "[.!?…।॥۔؟။\u037e։።]"
_END = re.compile(f"(?:{_STOPS}+{_CLOSING}(?=\\s))|(?:[。！？｡]+[」』”’）]*)|(?:\n+)")
_BLANKS = re.compile(r"\s+")


def boundaries(text: str) -> list[int]:
    """Offsets at which a sentence ends and the next begins, the two ends of the text not among them.

    >>> boundaries("One. Two?")
    [4]
    """
    return [match.end() for match in _END.finditer(text) if match.end() < len(text)]


def sentences(text: str) -> list[str]:
    """Sentences of a text, without white space around them; none is empty.

    >>> sentences('He asked: "Why?" Nobody knew. 山です。川です。')
    ['He asked: "Why?"', 'Nobody knew.', '山です。', '川です。']
    """
    edges = [0, *boundaries(text), len(text)]
    found = (text[start:end].strip() for start, end in zip(edges, edges[1:], strict=False))
    return [sentence for sentence in found if sentence]


def normalised(sentence: str) -> str:
    r"""Sentence as it is compared: NFKC, single blanks, case folded.

    >>> normalised(" Ｔｈｅ\n end. ")
    'the end.'
    """
    return _BLANKS.sub(" ", unicodedata.normalize("NFKC", sentence)).strip().casefold()
