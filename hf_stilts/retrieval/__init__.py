"""Sentence retrieval from an encoder that was never trained for it: vectors, neighbours, translations, mined pairs."""

from hf_stilts.retrieval.encode import encode
from hf_stilts.retrieval.mining import (
    BitextPairs,
    Matches,
    Threshold,
    fit_threshold,
    match_translations,
    mine_bitext,
    score_bitext,
)
from hf_stilts.retrieval.neighbours import Neighbours, neighbours

__all__ = [
    "BitextPairs",
    "Matches",
    "Neighbours",
    "Threshold",
    "encode",
    "fit_threshold",
    "match_translations",
    "mine_bitext",
    "neighbours",
    "score_bitext",
]
