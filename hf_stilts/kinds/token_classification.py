"""One tag for each word: parts of speech, named entities, supertags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import Kind
from hf_stilts.kinds.features import (
    IGNORED,
    Batch,
    all_labelled,
    column,
    first_output,
    head_class,
    map_rows,
    named_labels,
    pad,
    special_tokens,
)
from hf_stilts.kinds.rows import check_lists_of_texts, label_id, which
from hf_stilts.metrics.chunk_f1.chunks import Tags, count_by_sentence, count_chunks, overall, token_accuracy

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class TokenClassification(Kind):
    """Linear head on a word's first sub-token (XTREME, jiant). A prediction is a row's list of tag names, one per word.

    `max_length` 128 is that of XTREME's tagging scripts. A sentence that is longer is cut between words into windows,
    as there, and its predictions are joined again. A word that is longer than a window by itself keeps all its
    sub-tokens, where XTREME replaces it by the unknown token: it is tagged in the window that it opens, and what does
    not fit stands before the next words. A word without any sub-token (a zero-width space) becomes the unknown token,
    as there.
    """

    name: ClassVar[str] = "token-classification"
    columns: ClassVar[Mapping[str, ColumnType]] = {"tokens": "texts", "tags": "labels"}
    labelled = True
    per_word = True
    pipeline_tag = "token-classification"
    head_class = "ForTokenClassification"
    recipe = "word-tagging"
    submission = "tags"
    official_scorer = "chunks"

    max_length: int = 128

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`AutoModelForTokenClassification`'s class."""
        return head_class(MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, config, self.name)

    def head_config(self, task: Task) -> dict[str, Any]:
        """Tags by name."""
        return named_labels(task.labels)

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature per window; column `starts` holds the positions of its words' first sub-tokens.

        Sub-tokens that are not the first are labelled -100. In training, rows without tags are dropped, and so are the
        windows of a partly tagged row that hold no tag: their loss is a mean over nothing.

        Raises:
            StiltsError: a row without words, unequal numbers of words and tags, an unknown tag, a window without room.
        """
        gold = _gold(task, rows)
        keep = list(range(len(gold)))
        if train:
            keep = [row for row, tags in enumerate(gold) if any(tag >= 0 for tag in tags)]
        before, after, room = special_tokens(tokenizer, max_length)

        def make(batch: Batch, numbers: list[int]) -> Batch:
            made: Batch = {name: [] for name in ("input_ids", "attention_mask", "labels", "starts", "row")}
            # A word stands in many sentences, and is tokenised once.
            pieces = _pieces({word for words in batch["tokens"] for word in words}, tokenizer)
            for words, row in zip(batch["tokens"], numbers, strict=True):
                tags = iter(gold[row])
                for ids, starts in _windows([pieces[word] for word in words], room):
                    framed = [*before, *ids, *after]
                    labels = [IGNORED] * len(framed)
                    starts = [len(before) + start for start in starts]
                    # `starts` first: at its end zip must not have taken the next window's first tag.
                    for start, tag in zip(starts, tags, strict=False):
                        labels[start] = tag if tag >= 0 else IGNORED
                    if train and all(label == IGNORED for label in labels):
                        continue
                    feature = (framed, [1] * len(framed), labels, starts, row)
                    for name, value in zip(made, feature, strict=True):
                        made[name].append(value)
            return made

        return map_rows(make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Pads to the longest of a batch, labels with -100."""
        return partial(pad, tokenizer=tokenizer)

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Tag ids int64 (batch, length) from logits (batch, length, tags)."""
        return first_output(logits).argmax(dim=-1)

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[list[str]]:
        """Names of the tags: exactly one for each word, windows joined."""
        tags: list[list[str]] = [[] for _ in range(len(rows))]
        for row, starts, output in zip(features["row"][:], features["starts"][:], outputs, strict=True):
            tags[row] += [task.labels[tag] for tag in np.asarray(output)[starts].tolist()]
        return tags

    def score(self, task: Task, predictions: Sequence[Sequence[str]], rows: Dataset) -> dict[str, float]:
        """`f1`, `precision` and `recall` of chunks by XTREME's rule (`metrics/chunk_f1`), and `accuracy` over words.

        With BIO tags the chunks are entities; parts of speech are scored by the same rule, which is why the published
        POS "F1" is not accuracy. Words without a gold tag do not count. Nothing where no row has tags.

        Raises:
            StiltsError: only some rows have tags, or a prediction has not one tag for each word.
        """
        compared = _compared(task, predictions, rows)
        if compared is None:
            return {}
        chunks = overall(count_chunks(*compared))
        return {name: 100.0 * share for name, share in {**chunks, "accuracy": token_accuracy(*compared[:2])}.items()}

    def shares(self, task: Task, predictions: Sequence[Sequence[str]], rows: Dataset) -> NDArray[np.float64] | None:
        """What each sentence gained of the main metric and could have gained, float64 (rows, 2).

        Of F1: twice the right chunks, and the gold and the found ones together. Of accuracy: right words, and words.
        """
        compared = _compared(task, predictions, rows)
        if compared is None or task.metric not in ("f1", "accuracy"):
            return None
        gold, found, names = compared
        if task.metric == "accuracy":
            sentence = np.repeat(np.arange(len(gold.lengths)), gold.lengths)
            right = np.bincount(sentence[gold.ids == found.ids], minlength=len(gold.lengths))
            return np.stack((right, gold.lengths), axis=1).astype(np.float64)
        correct, predicted, expected = count_by_sentence(gold, found, names).T
        return np.stack((2 * correct, predicted + expected), axis=1).astype(np.float64)


def _compared(task: Task, predictions: Sequence[Sequence[str]], rows: Dataset) -> tuple[Tags, Tags, list[str]] | None:
    """Gold and predicted tags, less the words without a gold tag, and the tags' names; `None` where no row has tags."""
    gold = _gold(task, rows)
    unlabelled = [row for row, tags in enumerate(gold) if tags and max(tags) < 0]
    if not all_labelled(task, unlabelled, sum(map(bool, gold))):
        return None
    for row, (tags, prediction) in enumerate(zip(gold, predictions, strict=True)):
        if len(tags) != len(prediction):
            raise StiltsError(
                f"Task {task.name}: row {row} has {len(tags)} words and {len(prediction)} predicted tags; expected "
                "one for each word. Pass the list that decode() gave for these very rows."
            )
    lengths = np.array([len(tags) for tags in gold], dtype=np.int64)
    expected = np.fromiter(chain.from_iterable(gold), dtype=np.int64)
    index = {name: number for number, name in enumerate(task.labels)}
    predicted = chain.from_iterable(predictions)
    found = np.fromiter((index.setdefault(tag, len(index)) for tag in predicted), dtype=np.int64)
    counted = expected >= 0
    sentence = np.repeat(np.arange(len(gold)), lengths)
    kept = np.bincount(sentence[counted], minlength=len(gold))
    return Tags(expected[counted], kept), Tags(found[counted], kept), list(index)


def _gold(task: Task, rows: Dataset) -> list[list[int]]:
    """Tag ids of every row, -1 for a word without one."""
    check_lists_of_texts(task, rows, "tokens")
    known: dict[Any, int] = {None: -1}
    gold = []
    for row, (words, tags) in enumerate(zip(rows["tokens"][:], column(rows, "tags", None), strict=True)):
        tags = [-1] * len(words) if tags is None or (words and not tags) else tags
        if len(tags) != len(words):
            raise StiltsError(
                f"Task {task.name}: {which(rows, row)} has {len(words)} words and {len(tags)} tags; expected one tag "
                "for each word. Correct the row, or drop it in the task's prepare=."
            )
        for place, tag in enumerate(tags):
            if tag not in known:
                known[tag] = label_id(task, rows, row, f"tags[{place}]", tag)
        gold.append([known[tag] for tag in tags])
    return gold


def _pieces(words: set[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Sub-token ids of each distinct word; the unknown token where there are none."""
    ordered = sorted(words)
    if not ordered:
        return {}
    blank = _blank(tokenizer)
    ids = tokenizer([blank + word for word in ordered], add_special_tokens=False, verbose=False)["input_ids"]
    marks = (tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.eos_token_id)
    unknown = next(mark for mark in (*marks, 0) if mark is not None)
    return {word: list(found) or [unknown] for word, found in zip(ordered, ids, strict=True)}


def _blank(tokenizer: PreTrainedTokenizerBase) -> str:
    """A blank where it makes another sub-token of the word behind it, as in byte-level vocabularies ("Ġa" for "a")."""
    bare, after_blank = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", " a"))
    return " " if bare != after_blank and len(bare) == len(after_blank) else ""


def _windows(pieces: list[list[int]], room: int) -> Iterator[tuple[list[int], list[int]]]:
    """Sub-tokens cut greedily between words, with the places of the words' first sub-tokens.

    >>> list(_windows([[1, 1], [2, 2], [3, 3, 3, 3, 3, 3], [4]], 4))
    [([1, 1, 2, 2], [0, 2]), ([3, 3, 3, 3], [0]), ([3, 3, 4], [2])]
    """
    ids: list[int] = []
    starts: list[int] = []
    for piece in pieces:
        if len(ids) + len(piece) > room:
            if starts:
                yield ids, starts
                ids = []
            # What is left of a long word gives way to a word that only fits alone.
            ids = ids if len(ids) + min(len(piece), room) <= room else []
            starts = []
        starts.append(len(ids))
        ids = ids + piece
        if len(ids) > room:
            yield ids[:room], starts
            over = (len(ids) - 1) // room * room
            ids, starts = ids[over:], []
    if starts:
        yield ids, starts


KIND = TokenClassification()
