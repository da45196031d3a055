"""The best spans of text windows from start and end logits, many windows at once, by the rule of the official scripts.

Start and end tokens are the `n_best` highest of each, over all tokens of a window; every pair of them that lies in the
context, in order and not too far apart is a span, scored by the sum of its two logits (`postprocess_qa_predictions` of
transformers' examples, XTREME's `compute_predictions_logits`). The loops of those scripts are arrays here.

Results differ from theirs in three cases. Windows are not padded: where a script pads to the maximum and the model
gives padding a high logit, padding takes places among the `n_best`. XTREME's also refuses a start of which another
window shows more context. Equal logits are in the order of their tokens, as XTREME sorts them; run_qa leaves that to
numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from datasets import Dataset

# Windows that are searched at a time; bounds the memory of decoding.
WINDOWS_AT_A_TIME = 512
# Bits of a sort key that hold a token's place: windows are far shorter.
PLACE_BITS = 20


class Spans(NamedTuple):
    """Best spans of windows, best first: all (windows, keep); where a window has no more, `score` is -inf.

    `score` float32 is the sum of the two logits; `first` and `last` are the span's ends: tokens in `best_spans`,
    characters of the context (the last one exclusive) in `search`.
    """

    score: NDArray[np.float32]
    first: NDArray[np.integer[Any]]
    last: NDArray[np.integer[Any]]


class Search(NamedTuple):
    """What was found in all windows: the row of each, int64 (windows,), its null score, float32, and its spans."""

    row: NDArray[np.int64]
    null: NDArray[np.float32]
    spans: Spans


def search(features: Dataset, outputs: Sequence[Any], n_best: int, max_answer: int, keep: int = 1) -> Search:
    """Best spans of every window, as characters of its context.

    Args:
        features: windows with columns `row`, `null`, and `starts` and `ends`, the characters that each token covers, -1
            for tokens outside the context.
        outputs: for each window the float32 logits (length or more, 2); what stands behind its length is padding.
        n_best: how many starts and how many ends are combined.
        max_answer: longest span in tokens.
        keep: spans per window.
    """
    parts = []
    for begin, columns in _parts(features):
        own = outputs[begin : begin + len(columns["row"])]
        parts.append(_search(columns, own, n_best, max_answer, keep))
    row, null, *spans = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Search(row, null, Spans(*spans))


def best_spans(
    logits: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    n_best: int,
    max_answer: int,
    keep: int = 1,
) -> Spans:
    """Best spans of each window, as tokens.

    Args:
        logits: (tokens, 2), one window's behind the other's.
        allowed: (tokens,); those that a span may begin or end with.
        lengths: (windows,); tokens of each.
        n_best: how many starts and ends are combined; they are chosen among all tokens, allowed or not.
        max_answer: longest span in tokens.
        keep: spans per window.

    Returns:
        Among equal sums the one with the higher start logit first, among equal logits that of the earlier token.
    """
    begins = np.cumsum(lengths) - lengths
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
    starts, ends = (_highest(logits[:, side], inside, n_best) for side in (0, 1))
    start, end = (_at(logits[:, side], allowed, begins, places) for side, places in enumerate((starts, ends)))
    scores = start[:, :, None] + end[:, None, :]
    # Unsigned, so that an end before its start is too long as well.
    too_long = (ends[:, None, :] - starts[:, :, None]).view(np.uint32) >= np.uint32(max_answer)
    np.copyto(scores, -np.inf, where=too_long)
    flat = scores.reshape(len(scores), starts.shape[1] * ends.shape[1])
    # A stable sort, as the scripts' last one: equal sums stay in the order of their logits.
    best = flat.argmax(axis=1)[:, None] if keep == 1 else np.argsort(-flat, axis=1, kind="stable")[:, :keep]
    by_start, by_end = np.divmod(best, ends.shape[1])
    windows = np.arange(len(lengths))[:, None]
    return Spans(flat[windows, best], starts[windows, by_start], ends[windows, by_end])


def _highest(logits: NDArray[np.float32], inside: NDArray[np.bool_], count: int) -> NDArray[np.int32]:
    """Places of the highest logits of each window, highest first, among equal ones the earlier place first; -1: none.

    Logit and place in one integer: so numbers are sorted instead of places, and nothing is left to the chance by which
    a partial sort treats equal logits, which an untrained head may well give.
    """
    windows, length = inside.shape
    count = min(count, length)
    bits = np.ascontiguousarray(logits, dtype=np.float32).view(np.int32)
    ascending = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # IEEE 754: so negative numbers come in order too
    # Behind a window's end there is nothing to find: numbers below all that a logit can become.
    keys = np.full((windows, length), np.iinfo(np.int64).min)
    keys[inside] = ascending.astype(np.int64) << PLACE_BITS
    keys |= np.arange(length - 1, -1, -1, dtype=np.int64)
    keys.partition(length - count, axis=1)
    highest = np.sort(keys[:, length - count :], axis=1)[:, ::-1]
    places = length - 1 - (highest & ((1 << PLACE_BITS) - 1))
    return np.where(highest < np.int64(-1) << 62, -1, places).astype(np.int32)


def _at(
    logits: NDArray[np.float32], allowed: NDArray[np.bool_], begins: NDArray[np.int64], places: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Logits at places of each window; -inf where no span may begin or end, or where there is no place."""
    tokens = begins[:, None] + places
    return np.where((places >= 0) & allowed[tokens], logits[tokens], np.float32(-np.inf))


def _search(
    columns: dict[str, Any], outputs: Sequence[Any], n_best: int, max_answer: int, keep: int
) -> tuple[NDArray[Any], ...]:
    (starts, lengths), (ends, _) = columns["starts"], columns["ends"]
    logits = np.concatenate([output[:length] for output, length in zip(outputs, lengths.tolist(), strict=True)])
    begins = np.cumsum(lengths) - lengths
    null = logits[begins + columns["null"]].sum(axis=1)
    found = best_spans(logits, starts >= 0, lengths, n_best, max_answer, keep)
    first, last = starts[begins[:, None] + found.first], ends[begins[:, None] + found.last]
    return columns["row"], null, found.score, first.astype(np.int64), last.astype(np.int64)


def _parts(features: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    """Columns of some windows at a time, straight from Arrow: numbers as arrays, lists as (all values, lengths)."""
    tables = features.with_format("arrow", columns=["row", "null", "starts", "ends"])
    for begin in range(0, len(features), WINDOWS_AT_A_TIME):
        table = tables[begin : begin + WINDOWS_AT_A_TIME].combine_chunks()
        columns: dict[str, Any] = {}
        for name in ("row", "null"):
            columns[name] = table[name].to_numpy().astype(np.int64)
        for name in ("starts", "ends"):
            lists = table[name].combine_chunks()
            columns[name] = lists.flatten().to_numpy(), lists.value_lengths().to_numpy().astype(np.int64)
        yield begin, columns
