"""Find the answer to a question in a text: extractive question answering, with or without unanswerable questions."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import regex
import torch
from numpy.typing import NDArray
from transformers import MODEL_FOR_QUESTION_ANSWERING_MAPPING, MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import Kind
from hf_stilts.kinds.features import Batch, column, head_class, map_rows, named_labels, pad
from hf_stilts.kinds.offsets import Covered, cluster_edges, cover
from hf_stilts.kinds.rows import check_texts, which, wrong_value
from hf_stilts.kinds.spans import Search, search
from hf_stilts.metrics.multilingual_qa.answers import (
    Normalisation,
    answer_scores,
    answer_shares,
    answer_similarity,
    best_threshold_scores,
)
from hf_stilts.metrics.multilingual_qa.checklist import failed_cases, failure_rates, of_which_test

# Columns of the windows, and of each window: which question it is from, the characters that its tokens cover, and
# whether a token is of the question (0), of the context (1) or of neither.
Cut: TypeAlias = tuple[Batch, list[int], list[list[tuple[int, int]]], list[list[int | None]]]
# A run of letters with their signs and digits, a mark by itself, or one letter of a script without blanks.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
_WORD = regex.compile(rf"(?V1)[{_UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+|\S")

_ENDS = ("start", "end")  # of an answer: the labels of a head
_NOWHERE = -1  # where an answer begins that its context has in another form: it is compared, and not trained on

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


class Answer(str):
    """A prediction that says what else it could have been where questions may have no answer.

    Attributes:
        span: the best span, also where the prediction is "".
        doubt: by how much the null answer's score is above the span's.
    """

    span: str
    doubt: float

    def __new__(cls, text: str, span: str, doubt: float) -> Answer:
        """A string with two attributes."""
        answer = super().__new__(cls, text)
        answer.span, answer.doubt = span, doubt
        return answer

    def __getnewargs__(self) -> Any:
        return str(self), self.span, self.doubt


@dataclass(frozen=True)
class QuestionAnswering(Kind):
    """Start and end logits over the tokens of question and context. A prediction is a substring of the context, or "".

    The defaults are those of jiant and of the SQuAD scripts that XTREME uses. The null answer is the score of the token
    that stands for "not here": `[CLS]` or `<s>`; in a tokenizer without one (T5), the first special token, which
    closes the question; without any special token, the first token.

    Args:
        max_length: tokens per window, question and special tokens included.
        doc_stride: tokens that consecutive windows of a long context share, as in `run_qa.py`, but never more than
            three quarters of a window's context, so that each goes on: a warning says how many it is then. (The scripts
            of 2020 moved each window on by this number instead.)
        max_query: longer questions are cut to so many tokens.
        n_best: how many starts and how many ends are combined.
        max_answer: longest answer in tokens.
        null_threshold: the null answer is given if it beats the best span by more than this.
        nulls: whether questions may have no answer; None finds out from the rows: some have no gold answer, not all.
        normalisation: how answers are compared, by "squad" or by "mlqa"; `language` of the answers: MLQA's reads it.
    """

    name: ClassVar[str] = "question-answering"
    columns: ClassVar[Mapping[str, ColumnType]] = {
        "id": "id",
        "question": "text",
        "context": "text",
        "answers": "answers",
        "test_case": "id",  # of a behavioural test: questions of one case pass or fail together
    }
    optional = ("test_case",)
    smoothed = False
    text_answers = "span"
    pipeline_tag = "question-answering"
    head_class = "ForQuestionAnswering"
    recipe = "answer-spans"
    benchmark_metric = "em_and_f1"
    submission = "answers"
    official_scorer = "answers"

    max_length: int = 384
    doc_stride: int = 128
    max_query: int = 64
    n_best: int = 20
    max_answer: int = 30
    null_threshold: float = 0.0
    nulls: bool | None = None
    normalisation: Normalisation = "squad"
    language: str = "en"

    def in_language(self, task: Task, language: str) -> QuestionAnswering:
        """Compares answers in this language as the task does."""
        return replace(self, normalisation=task.normalisation, language=language)

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`AutoModelForQuestionAnswering`'s class; for an architecture without one, its token classifier.

        That classifier (EuroBERT's, say) then has two labels, start and end, whose logits are those of a token. It is
        saved under its stock name and loads with `AutoModelForTokenClassification`.
        """
        if type(config) in MODEL_FOR_QUESTION_ANSWERING_MAPPING:
            return head_class(MODEL_FOR_QUESTION_ANSWERING_MAPPING, config, self.name)
        classifier: Any = head_class(MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, config, self.name)
        return _over_tokens(classifier)

    def head_config(self, task: Task) -> dict[str, Any]:
        """A start and an end logit for each token."""
        return named_labels(_ENDS)

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature per window of a context, at least one per row.

        `start_positions` and `end_positions` are the tokens of the first gold answer, or twice the null position where
        the window does not hold all of it. In evaluation there are also `starts` and `ends`, the whole letters
        (grapheme clusters) of the context that each token stands for, those too that the tokenizer's offsets skip (-1
        for all other tokens), and `null`, the null position.

        Raises:
            StiltsError: a row without question or context, a window without room, or a gold answer that does not stand
                in its context where it says.
        """
        self.check(task, rows)
        max_query, overlap = self._window(tokenizer, max_length)

        def make(batch: Batch, numbers: list[int]) -> Batch:
            answers = batch.get("answers", [None] * len(numbers))
            golds = [
                _gold_span(task, rows, *given, train=train)
                for given in zip(numbers, batch["context"], answers, strict=True)
            ]
            cut = _windows if tokenizer.is_fast else _windows_by_words
            encoded, samples, offsets, sequences = cut(
                tokenizer, batch["question"], batch["context"], max_query, max_length, overlap
            )
            made: Batch = {**encoded, "row": [numbers[sample] for sample in samples]}
            made |= {name: [] for name in ("start_positions", "end_positions", "starts", "ends", "null")}
            for place, covered, gold in _covered(batch["context"], golds, (samples, offsets, sequences)):
                null = _null_position(encoded["input_ids"][place], sequences[place], tokenizer)
                first, last = _gold_tokens(gold, covered) or (null, null)
                values = (first, last, covered.whole_starts, covered.whole_ends, null)
                for name, value in zip(list(made)[-5:], values, strict=True):
                    made[name].append(value)
            return {name: values for name, values in made.items() if not (train and name in ("starts", "ends", "null"))}

        keep = list(range(len(rows)))
        return map_rows(make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train)

    def check(self, task: Task, rows: Dataset) -> None:
        """Refuse rows without question or context, and answers without text or without their place."""
        check_texts(task, rows, "question", "context")
        _check_answers(task, rows)

    def _window(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[int, int]:
        """Tokens left to a question, at most half of what there is, and shared by windows, at most 3/4 of the rest."""
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
        if room < 8:
            raise StiltsError(
                f"A window of {max_length} tokens leaves {max(room, 0)} to question and context; expected at least 8. "
                "Pass a larger max_length, e.g. 384."
            )
        max_query = min(self.max_query, room // 2)
        shared = min(self.doc_stride, (room - max_query) * 3 // 4)
        if shared < self.doc_stride:
            _say_shared(max_length, shared, self.doc_stride, room - max_query)
        return max_query, shared

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Pads to the longest of a batch."""
        return partial(pad, tokenizer=tokenizer)

    def loss(self, outputs: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross entropy of start and end over the real tokens of each window.

        The stock heads let padding compete with the tokens, so that their loss depends on what a window happens to be
        batched with: 5.3 for a batch whose loss is 6.0 once it is padded to 384.
        """
        padding = batch["attention_mask"] == 0
        starts = torch.nn.functional.cross_entropy(
            outputs["start_logits"].float().masked_fill(padding, -torch.inf), batch["start_positions"]
        )
        ends = torch.nn.functional.cross_entropy(
            outputs["end_logits"].float().masked_fill(padding, -torch.inf), batch["end_positions"]
        )
        return (starts + ends) / 2

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Float32 (batch, length, 2) from start and end logits, each (batch, length)."""
        return torch.stack((logits[0], logits[1]), dim=-1).float()

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[str]:
        """The best span over all windows of a row, as it stands in the context, without outer blanks.

        With unanswerable questions it is an `Answer`, "" where the lowest null score of the windows wins (SQuAD 2.0).
        """
        found = search(features, outputs, self.n_best, self.max_answer)
        best = np.full(len(rows), -np.inf, dtype=np.float32)
        spans = np.zeros((len(rows), 2), dtype=np.int64)
        # Best window of each row first, the earlier one of equals.
        ranked = np.lexsort((-found.spans.score[:, 0], found.row))
        answered, firsts = np.unique(found.row[ranked], return_index=True)
        winner = ranked[firsts]
        best[answered] = found.spans.score[winner, 0]
        spans[answered] = np.where(
            np.isfinite(best[answered, None]), np.stack((found.spans.first, found.spans.last), axis=1)[winner, :, 0], 0
        )
        answers = [
            context[first:last].strip()
            for context, (first, last) in zip(rows["context"][:], spans.tolist(), strict=True)
        ]
        if not self.may_be_silent(rows):
            return answers
        doubts = (_null_scores(found, len(rows)) - best).tolist()
        return [
            Answer("" if doubt > self.null_threshold else span, span, doubt)
            for span, doubt in zip(answers, doubts, strict=True)
        ]

    def n_best_answers(self, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> list[list[dict[str, Any]]]:
        """The `n_best` best answers of each row over all its windows, best first: run_qa's n-best list.

        Each is a dictionary of `text`, without outer blanks, `score`, the sum of its two logits, and `probability`, the
        softmax over the list. With unanswerable questions the null answer "" is always among them. The list is empty
        where no span is possible (run_qa's holds "empty"). `decode` does not need this.
        """
        found = search(features, outputs, self.n_best, self.max_answer, keep=self.n_best)
        contexts, scored = rows["context"][:], [list[tuple[float, str]]() for _ in range(len(rows))]
        for row, *spans in zip(found.row.tolist(), *(part.tolist() for part in found.spans), strict=True):
            for score, first, last in zip(*spans, strict=True):
                if score > -np.inf:
                    scored[row].append((score, contexts[row][first:last].strip()))
        nulls = [[(score, "")] for score in _null_scores(found, len(rows)).tolist()]
        if not self.may_be_silent(rows):
            nulls = [[] for _ in nulls]
        return [_best_answers(*answers, self.n_best) for answers in zip(scored, nulls, strict=True)]

    def score(self, task: Task, predictions: Sequence[str], rows: Dataset) -> dict[str, float]:
        """`exact_match` and `f1`, SQuAD 1.1's; with unanswerable questions SQuAD 2.0's and both halves apart.

        `best_exact`, `best_f1` and their mean are those of the best null threshold, where the task's metric is one of
        them; of predictions that are no `Answer`, the better of what they give and of silence. Where rows name the
        `test_case` of a behavioural test, also MultiCheckList's `failure_rate`, and that of each test. Nothing where no
        row has an answer, unless `nulls` says that this is meant.
        """
        _check_answers(task, rows)
        golds = _gold_texts(rows)
        unanswerable = self.may_be_silent(rows)
        if not (unanswerable or any(golds)):
            return {}
        scores = answer_scores(predictions, golds, unanswerable, self.normalisation, self.language)
        if task.metric.startswith("best_"):
            spans = [getattr(given, "span", given) for given in predictions]
            doubts = [getattr(given, "doubt", -math.inf if given else math.inf) for given in predictions]
            scores |= best_threshold_scores(spans, doubts, golds, self.normalisation, self.language)
        cases = column(rows, "test_case", None)
        if all(cases):
            scores |= failure_rates(predictions, golds, cases, self.language)
        return scores

    def shares(self, task: Task, predictions: Sequence[str], rows: Dataset) -> NDArray[np.float64] | None:
        """What each question gained, the mean of exact match and F1, and could have gained, 1; float64 (rows, 2).

        Where the metric is a failure rate, the first question of each case stands for the whole case.
        """
        golds, unanswerable = _gold_texts(rows), self.may_be_silent(rows)
        if not (unanswerable or any(golds)):
            return None
        if task.metric == "failure_rate":
            return _failure_shares(predictions, golds, column(rows, "test_case", ""), self.language)
        exact, f1 = answer_shares(predictions, golds, unanswerable, self.normalisation, self.language)
        return np.stack((np.add(exact, f1) / 2, np.ones(len(golds))), axis=1)

    def answer_similarity(self, predictions: Sequence[str], rows: Dataset) -> dict[str, float]:
        """`character_f1`, `edit_similarity` and `chrf`; nothing where no row has an answer, as in `score`."""
        golds = _gold_texts(rows)
        if not (self.may_be_silent(rows) or any(golds)):
            return {}
        return answer_similarity(predictions, golds, self.normalisation, self.language)

    def may_be_silent(self, rows: Dataset) -> bool:
        """Whether questions may have no answer, as `nulls` says or the rows show."""
        if self.nulls is not None:
            return self.nulls
        golds = _gold_texts(rows)
        return any(golds) and not all(golds)


def _failure_shares(
    predictions: Sequence[str], golds: list[list[str]], cases: list[str], language: str
) -> NDArray[np.float64]:
    """Of the first question of each case what it adds to the rate, and could add: its share of its test's cases."""
    failed = failed_cases(predictions, golds, cases, language)
    sizes = Counter(of_which_test(case) for case in failed)
    shares = np.zeros((len(cases), 2))
    for row, case in enumerate(cases):
        if case in failed:
            share = 1 / sizes[of_which_test(case)]
            shares[row] = (share if failed.pop(case) else 0.0), share
    return shares


def _best_answers(answers: list[tuple[float, str]], null: list[tuple[float, str]], count: int) -> list[dict[str, Any]]:
    best = sorted([*answers, *null], key=itemgetter(0), reverse=True)[:count]
    best += [answer for answer in null if answer not in best]
    height = np.exp([score - best[0][0] for score, _ in best])
    share = (height / height.sum()).tolist()
    return [
        {"text": text, "score": score, "probability": part} for (score, text), part in zip(best, share, strict=True)
    ]


def _null_scores(found: Search, rows: int) -> NDArray[np.float32]:
    """Lowest null score of the windows of each row, float32 (rows,)."""
    null = np.full(rows, np.inf, dtype=np.float32)
    np.minimum.at(null, found.row, found.null)
    return null


def _windows(
    tokenizer: PreTrainedTokenizerBase,
    questions: list[str],
    contexts: list[str],
    max_query: int,
    max_length: int,
    overlap: int,
) -> Cut:
    """Windows of question and context, and which characters of the context their tokens cover."""
    encoded = tokenizer(
        _shortened(questions, tokenizer, max_query),
        contexts,
        truncation="only_second",
        max_length=max_length,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    samples, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
    return dict(encoded), samples, offsets, [encoded.sequence_ids(place) for place in range(len(samples))]


def _windows_by_words(
    tokenizer: PreTrainedTokenizerBase,
    questions: list[str],
    contexts: list[str],
    max_query: int,
    max_length: int,
    overlap: int,
) -> Cut:
    """The same by a tokenizer in Python (XLM's), which keeps no offsets: each token covers the whole word it is from.

    The context is read word by word, as the SQuAD scripts of the time read it, and answers are whole words.
    """
    made: Batch = {}
    samples, offsets, sequences = [], [], []
    for sample, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        asked = tokenizer(question, add_special_tokens=False)["input_ids"][:max_query]
        words = [(match.span(), match.group()) for match in _WORD.finditer(context)]
        pieces = tokenizer([word for _, word in words], add_special_tokens=False)["input_ids"] if words else []
        tokens = []
        for (span, _), of_word in zip(words, pieces, strict=True):
            tokens += [(piece, span) for piece in of_word]
        room = max_length - len(asked) - tokenizer.num_special_tokens_to_add(pair=True)
        for start in range(0, max(len(tokens) - overlap, 1), room - overlap):
            part = tokens[start : start + room]
            ids = [piece for piece, _ in part]
            window = tokenizer.prepare_for_model(asked, ids, return_special_tokens_mask=True, verbose=False)
            special = window.pop("special_tokens_mask")
            sides = iter([0] * len(asked) + [1] * len(ids))
            sequence = [None if mark else next(sides) for mark in special]
            spans = iter([(0, 0)] * len(asked) + [span for _, span in part])
            offsets.append([(0, 0) if side is None else next(spans) for side in sequence])
            sequences.append(sequence)
            samples.append(sample)
            for name, values in window.items():
                made.setdefault(name, []).append(values)
    return made, samples, offsets, sequences


def _shortened(questions: list[str], tokenizer: PreTrainedTokenizerBase, max_query: int) -> list[str]:
    """Questions cut after so many tokens; leading blanks go: some questions of SQuAD are mostly blanks."""
    questions = [question.lstrip() for question in questions]
    cut = tokenizer(
        questions, add_special_tokens=False, truncation=True, max_length=max_query, return_offsets_mapping=True
    )
    lasts = [offsets[-1][1] if len(offsets) == max_query else None for offsets in cut["offset_mapping"]]
    return [question[:last] for question, last in zip(questions, lasts, strict=True)]


def _covered(
    contexts: list[str],
    golds: list[tuple[int, int] | None],
    cut: tuple[list[int], list[list[tuple[int, int]]], list[list[int | None]]],
) -> Iterator[tuple[int, Covered, tuple[int, int] | None]]:
    """Of each window its number, the characters that its tokens cover, and those of the gold answer that any covers."""
    samples, offsets, sequences = cut
    edges: dict[str, NDArray[np.int32]] = {}  # many questions are asked of one context
    for sample, group in groupby(range(len(samples)), key=samples.__getitem__):
        places = list(group)
        context = contexts[sample]
        if context not in edges:
            edges[context] = cluster_edges(context)
        windows = []
        for place in places:
            spans = np.array(offsets[place], dtype=np.int32).reshape(-1, 2)
            in_context = np.array([side == 1 for side in sequences[place]])
            windows.append((spans, in_context))
        covered = cover(context, edges[context], windows)
        gold = _covered_part(golds[sample], covered)
        for place, window in zip(places, covered, strict=True):
            yield place, window, gold


def _null_position(ids: list[int], sequence: list[int | None], tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.cls_token_id in ids:
        return ids.index(tokenizer.cls_token_id)
    return sequence.index(None) if None in sequence else 0


@lru_cache
def _say_shared(max_length: int, shared: int, doc_stride: int, room: int) -> None:
    """Say once, and not of every split and language again, that windows share less of a context than was asked for."""
    logger.warning(
        "Windows of %s tokens share %s tokens of a context, not doc_stride=%s: the longest question leaves %s.",
        *(max_length, shared, doc_stride, room),
    )


def _check_answers(task: Task, rows: Dataset) -> None:
    """Refuse gold answers that are no texts, or have no number for the character where they begin."""
    for row, answers in enumerate(column(rows, "answers", None)):
        if answers is None:
            continue
        texts = answers.get("text") if isinstance(answers, dict) else None
        starts = answers.get("answer_start") if isinstance(answers, dict) else None
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            if not any(text.strip() for text in texts):
                continue  # a test file's answers are blank, and stand nowhere
            if isinstance(starts, list) and len(starts) == len(texts) and all(isinstance(at, int) for at in starts):
                continue
        expected = "a list of texts and one of as many numbers in answer_start, both empty where there is no answer"
        raise wrong_value(task, rows, row, "answers", answers, expected)


def _gold_texts(rows: Dataset) -> list[list[str]]:
    """Gold answers of each row; XTREME's test files carry none, and say so with an empty text."""
    found = []
    for answers in column(rows, "answers", None):
        texts = answers["text"] if answers else []
        found.append([text for text in texts if text.strip()])
    return found


def _gold_span(
    task: Task, rows: Dataset, row: int, context: str, answers: dict[str, list[Any]] | None, *, train: bool
) -> tuple[int, int] | None:
    """Characters of the first gold answer without its outer blanks, which no token stands for."""
    if not answers or not answers["text"] or not answers["text"][0].strip():
        return None
    text, start = answers["text"][0], answers["answer_start"][0]
    if start == _NOWHERE and not train:
        return None
    if context[start : start + len(text)] != text:
        raise StiltsError(
            f"Task {task.name}: row {row} has the answer {text!r} at character {start}, where its context reads "
            f"{context[start : start + len(text)]!r}; expected the same text. Correct answer_start (counted in "
            f"characters, not bytes) of {which(rows, row)}, or drop the row in the task's prepare=."
        )
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())


def _covered_part(gold: tuple[int, int] | None, windows: list[Covered]) -> tuple[int, int] | None:
    """The answer without what no token of any window stands for at its ends."""
    if gold is None:
        return None
    starts = np.concatenate([window.starts for window in windows])
    ends = np.concatenate([window.ends for window in windows])
    touched = (starts >= 0) & (ends > gold[0]) & (starts < gold[1])
    if not touched.any():
        return None
    return max(gold[0], int(starts[touched].min())), min(gold[1], int(ends[touched].max()))


def _gold_tokens(gold: tuple[int, int] | None, covered: Covered) -> tuple[int, int] | None:
    """First and last token of the answer, if this window holds all of it."""
    inside = np.flatnonzero(covered.starts >= 0)
    if gold is None or not len(inside):
        return None
    starts, ends = covered.starts[inside], covered.ends[inside]
    if gold[0] < starts[0] or gold[1] > ends[-1]:
        return None
    touched = inside[(ends > gold[0]) & (starts < gold[1])]
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


@cache
def _over_tokens(stock: Any) -> type[PreTrainedModel]:
    """A token classifier whose two labels are where an answer starts and ends."""

    class OverTokens(stock):
        def forward(
            self,
            input_ids: torch.Tensor,
            start_positions: torch.Tensor | None = None,
            end_positions: torch.Tensor | None = None,
            **inputs: Any,
        ) -> QuestionAnsweringModelOutput:
            logits = super().forward(input_ids, **inputs)[0]
            if logits.shape[-1] != len(_ENDS):
                raise StiltsError(
                    f"This {stock.__name__} has {logits.shape[-1]} labels; the two of a question answering model are "
                    "expected, start and end. Train one first: hf-stilts target TASK --init CHECKPOINT"
                )
            starts, ends = logits.unbind(-1)
            loss = None
            if start_positions is not None and end_positions is not None:
                compare = torch.nn.functional.cross_entropy
                loss = (compare(starts, start_positions) + compare(ends, end_positions)) / 2
            return QuestionAnsweringModelOutput(loss=loss, start_logits=starts, end_logits=ends)

    # config.json names the class that a checkpoint loads with, and that is the stock one.
    OverTokens.__name__ = OverTokens.__qualname__ = stock.__name__
    return OverTokens


KIND = QuestionAnswering()
