"""The best spans of text windows from start and end logits, many windows at once, as the official scripts choose them.

Start and end tokens are the `n_best` highest of each, over all tokens of a window; every pair of them that lies in the
context, in order and not too far apart is a span, scored by the sum of its two logits (`postprocess_qa_predictions` of
transformers' examples, XTREME's `compute_predictions_logits`). The loops of those scripts are arrays here.
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

    `score` float32 is the sum of the two logits; `first` and `last` int64 are the span's ends: tokens in `best_spans`,
    characters of the context (the last one exclusive) in `search`.
    """

    score: NDArray[np.float32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


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
    parts = [
        _search(columns, outputs[begin : begin + len(columns["row"])], n_best, max_answer, keep)
        for begin, columns in _parts(features)
    ]
    row, null, *spans = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Search(row, null, Spans(*spans))


def best_spans(
    logits: NDArray[np.float32], allowed: NDArray[np.bool_], n_best: int, max_answer: int, keep: int = 1
) -> Spans:
    """Best spans of each window, as tokens.

    Args:
        logits: (windows, length, 2); -inf behind a window's end.
        allowed: (windows, length); the tokens that a span may begin or end with.
        n_best: how many starts and ends are combined; they are chosen among all tokens, allowed or not.
        max_answer: longest span in tokens.
        keep: spans per window.

    Returns:
        Among equal sums the one with the higher start logit first, among equal logits that of the earlier token.
    """
    windows = np.arange(len(logits))[:, None]
    starts, ends = (_highest(logits[..., side], n_best) for side in (0, 1))
    start, end = logits[windows, starts, 0], logits[windows, ends, 1]
    scores = start[:, :, None] + end[:, None, :]
    length = ends[:, None, :] - starts[:, :, None]
    refused = ~allowed[windows, starts][:, :, None] | ~allowed[windows, ends][:, None, :]
    np.copyto(scores, -np.inf, where=refused | (length < 0) | (length >= max_answer))
    flat = scores.reshape(len(scores), starts.shape[1] * ends.shape[1])
    # A stable sort, as the scripts' own: equal sums stay in the order of their logits.
    best = flat.argmax(axis=1)[:, None] if keep == 1 else np.argsort(-flat, axis=1, kind="stable")[:, :keep]
    by_start, by_end = np.divmod(best, ends.shape[1])
    return Spans(flat[windows, best], starts[windows, by_start], ends[windows, by_end])


def _highest(logits: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the highest logits of each row, highest first, among equal ones the earlier place first.

    Logit and place in one integer: so numbers are sorted instead of places, and nothing is left to the chance by which
    a partial sort treats equal logits, which an untrained head may well give.
    """
    length = logits.shape[1]
    count = min(count, length)
    bits = np.ascontiguousarray(logits, dtype=np.float32).view(np.int32)
    ascending = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # IEEE 754: so negative numbers come in order too
    backwards = np.arange(length, 0, -1, dtype=np.int64) - 1
    keys = (ascending.astype(np.int64) << PLACE_BITS) | backwards
    highest = np.sort(np.partition(keys, length - count, axis=1)[:, length - count :], axis=1)[:, ::-1]
    return length - 1 - (highest & ((1 << PLACE_BITS) - 1))


def _search(
    columns: dict[str, Any], outputs: Sequence[Any], n_best: int, max_answer: int, keep: int
) -> tuple[NDArray[Any], ...]:
    flat_starts, lengths = columns["starts"]
    inside = np.arange(lengths.max()) < lengths[:, None]
    starts, ends = (np.full(inside.shape, -1, dtype=np.int32) for _ in range(2))
    starts[inside], ends[inside] = flat_starts, columns["ends"][0]
    logits = np.full((*inside.shape, 2), -np.inf, dtype=np.float32)
    logits[inside] = np.concatenate([output[:length] for output, length in zip(outputs, lengths.tolist(), strict=True)])
    windows = np.arange(len(lengths))
    null = logits[windows, columns["null"]].sum(axis=1)
    found = best_spans(logits, starts >= 0, n_best, max_answer, keep)
    first, last = starts[windows[:, None], found.first], ends[windows[:, None], found.last]
    return (columns["row"], null, found.score, first.astype(np.int64), last.astype(np.int64))


def _parts(features: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    """Columns of some windows at a time, straight from Arrow: numbers as arrays, lists as (all values, lengths)."""
    tables = features.select_columns(["row", "null", "starts", "ends"]).with_format("arrow")
    for begin in range(0, len(features), WINDOWS_AT_A_TIME):
        table = tables[begin : begin + WINDOWS_AT_A_TIME].combine_chunks()
        lists = {name: table[name].combine_chunks() for name in ("starts", "ends")}
        yield (
            begin,
            {
                **{name: table[name].to_numpy().astype(np.int64) for name in ("row", "null")},
                **{
                    name: (column.flatten().to_numpy(), column.value_lengths().to_numpy())
                    for name, column in lists.items()
                },
            },
        )
