"""Find what answers a query among the candidates of all languages, with an encoder as it is (LAReQA, Mewsli-X)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from datasets import Dataset

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import RetrievalKind, Retrieved
from hf_stilts.kinds.dual_encoder import DualEncoding
from hf_stilts.kinds.rows import check_lists_of_texts, check_texts, naming_language
from hf_stilts.kinds.vectors import Prefix, VectorSetting
from hf_stilts.metrics.retrieval_map.ranking import average_precision, find_hits, recall, reciprocal_rank
from hf_stilts.retrieval import encode
from hf_stilts.retrieval.corpus import encode_shards, search_shards
from hf_stilts.retrieval.precision import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class Question:
    """A query: its id, text and language, and the ids of its right answers in every language."""

    name: str
    text: str
    language: str
    gold: frozenset[str]


@dataclass(frozen=True)
class AnswerRetrieval(RetrievalKind):
    """Exact search by cosine over one pool of candidates, for the questions of all languages together (XTREME-R).

    Args:
        depth: how many candidates are ranked, the 20 of mAP@20.
    """

    name: ClassVar[str] = "answer-retrieval"
    columns: ClassVar[Mapping[str, ColumnType]] = {
        "query_ids": "id",
        "queries": "text",
        "candidate_ids": "id",
        "candidates": "text",
        "gold": "ids",
    }
    optional = ("candidate_ids", "candidates")  # of a task whose languages share them
    corpus = True
    joint = True
    candidates_kind = "fill-mask"  # an id and a text each
    submission = "rankings"
    official_scorer = "rankings"

    depth: int = 20

    def first(self, rows: Dataset, limit: int) -> Dataset:
        """The one row with its first queries, at most so many; the candidates that they are searched among stay."""
        row = rows[0]
        kept = {name: row[name][:limit] for name in ("query_ids", "queries", "gold")}
        return Dataset.from_list([{**row, **kept}], features=rows.features)

    def evaluate_jointly(  # noqa: PLR0913 - an option each, passed by name
        self,
        task: Task,
        rows: Mapping[str, Dataset],
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        candidates: Dataset | None = None,
        layer: int | None = None,
        pooling: Any = None,
        precision: Precision | None = None,
        prefix: Prefix = None,
        max_length: int | None = None,
        query_length: int | None = None,
        candidate_length: int | None = None,
        cache: str | None = None,
        **encoding: Any,
    ) -> dict[str, Retrieved]:
        """Scores of every language's questions, in percent, among the candidates of all languages in `rows`.

        Args:
            task: only its name is read, for messages.
            rows: language -> one row with `query_ids`, `queries` and `gold`, the ids of each query's right answers in
                all languages, and with `candidate_ids` and `candidates`, the pool's part in this language.
            model: any encoder; one that `DualEncoderTrainer` trained says itself how it is to be used.
            tokenizer: the model's.
            candidates: instead of the rows' candidates, one row each with `id` and `text`.
            layer: k means `hidden_states[k]`. None: the last of a dual encoder or of a sentence-transformers model,
                else the papers', see `hf_stilts.kinds.vectors.default_layer`.
            pooling: as in `hf_stilts.encode`. None: as the dual encoder was trained, else as the model's folder says,
                else "mean".
            precision: as in `hf_stilts.encode`.
            prefix: put before every text, one for both sides or two, for queries and candidates. None: as the dual
                encoder was trained, else the prompts `query` and `document` of a sentence-transformers model, else
                nothing.
            max_length: tokens of a query or a candidate, where its own length is not given.
            query_length: tokens of a query, special ones included. None: as it was trained, else as the model's folder
                says, else LAReQA's 96.
            candidate_length: tokens of a candidate. None: as it was trained or its folder says, else LAReQA's 256.
            cache: folder for the candidates' vectors, so that a stopped run goes on where it was.
            encoding: further arguments of `hf_stilts.encode`.

        Returns:
            For each language that has queries `map@20`, `mrr@20` and `recall@20`. Where the candidates' languages are
            known also `map@20_cross`, with right answers in the query's own language out of the pool;
            `same_language@20`, the share of results in the query's own language, which shows language bias; and the
            language's line of the recall matrix, `recall@20_de`: the share of German answers that are found. Ids are
            those of the queries, predictions the ranked ids. A right answer outside the pool is not counted; a query
            without any scores 0.

        Raises:
            StiltsError: not one row per language, a candidate's id twice, or no right answer in the whole pool.
        """
        questions: list[Question] = []
        for language, data in rows.items():
            questions += _questions(task, language, data)
        ids, texts, spoken = _pool(task, rows, candidates)
        gold, own = _right_answers(task, questions, ids, spoken)
        query_length, candidate_length = query_length or max_length, candidate_length or max_length
        setting, lengths = _vectors(model, layer, pooling, precision, prefix, query_length, candidate_length)
        sides = []
        for side, length in enumerate(lengths):
            options = {**encoding, **setting.arguments(side)}
            if length:
                options["max_length"] = length
            sides.append(options)
        vectors = encode(model, tokenizer, [each.text for each in questions], **sides[0])
        shards = encode_shards(model, tokenizer, texts, folder=cache, **sides[1])
        # Answers in the query's own language are taken out of the ranking later on: look that much deeper.
        ranked = search_shards(vectors, shards, self.depth + max(map(len, own), default=0)).indices
        settings = setting.columns()
        if query_length:
            settings["query_length"] = query_length
        if candidate_length:
            settings["candidate_length"] = candidate_length
        settings |= {"candidates": len(ids), "pool": " ".join(rows) if candidates is None else "shared"}
        found = {}
        for language, at, scores, shares in Ranking(questions, ranked, gold, own, spoken, self.depth).by_language():
            predictions = []
            for row in at:
                predictions.append([ids[place] for place in ranked[row, : self.depth]])
            names = [questions[row].name for row in at]
            found[language] = Retrieved(scores, settings, ids=names, predictions=predictions, shares=shares)
        return found


@dataclass(frozen=True)
class Ranking:
    """What was found for the questions of all languages, by rows of the pool.

    Attributes:
        questions: n of them.
        ranked: int64 (n, depth or more), best first.
        gold: for each question the rows of its right answers; `own` those of them in its own language.
        spoken: language of every candidate; empty texts where it is not known.
        depth: how much of a ranking is scored.
    """

    questions: Sequence[Question]
    ranked: NDArray[np.int64]
    gold: Sequence[set[int]]
    own: Sequence[set[int]]
    spoken: NDArray[np.str_]
    depth: int

    def by_language(self) -> Iterator[tuple[str, NDArray[np.int64], dict[str, float], NDArray[np.float64]]]:
        """Language, its questions' places, its scores, and (average precision, 1) for each of them."""
        k = self.depth
        asked = np.array([each.language for each in self.questions])
        top = self.ranked[:, :k]
        hits = find_hits(top.tolist(), self.gold, k)
        precision = average_precision(hits)
        values = {f"map@{k}": precision, f"mrr@{k}": reciprocal_rank(hits), f"recall@{k}": recall(hits)}
        known = [language for language in dict.fromkeys(asked.tolist()) if (self.spoken == language).any()]
        if known:
            values |= {
                f"map@{k}_cross": self._cross(),
                f"same_language@{k}": (self.spoken[top] == asked[:, None]).mean(1),
            }
        answers = np.array([(place, row) for place, rows in enumerate(self.gold) for row in rows], dtype=np.int64).T
        found, wanted = np.where(hits.hit[:, : top.shape[1]], self.spoken[top], ""), self.spoken[answers[1]]
        for language in dict.fromkeys(asked.tolist()):
            at = np.flatnonzero(asked == language)
            scores = {name: 100.0 * float(each[at].mean()) for name, each in values.items()}
            for other in known:
                there = np.count_nonzero(wanted[asked[answers[0]] == language] == other)
                if there:
                    scores[f"recall@{k}_{other}"] = 100.0 * np.count_nonzero(found[at] == other) / there
            yield language, at, scores, np.stack((precision[at], np.ones(len(at))), axis=1)

    def _cross(self) -> NDArray[np.float64]:
        """Average precision, right answers in the question's own language being out of the pool."""
        left = []
        for ranking, own in zip(self.ranked.tolist(), self.own, strict=True):
            left.append([row for row in ranking if row not in own])
        gold = [rows - own for rows, own in zip(self.gold, self.own, strict=True)]
        return average_precision(find_hits(left, gold, self.depth))


def _vectors(
    model: PreTrainedModel,
    layer: int | None,
    pooling: str | None,
    precision: Precision | None,
    prefix: Prefix,
    query_length: int | None,
    candidate_length: int | None,
) -> tuple[VectorSetting, tuple[int | None, int | None]]:
    """How queries and candidates become vectors, and the tokens of either; None leaves a length to the model's folder.

    A dual encoder is used as it was trained; lengths that nobody else says are LAReQA's.
    """
    trained = DualEncoding.of(model.config)
    if trained is not None:
        layer = model.config.num_hidden_layers if layer is None else layer
        pooling = pooling or trained.pooling
        if prefix is None:
            prefix = (trained.query_prefix, trained.candidate_prefix)
    setting = VectorSetting.of(model, layer=layer, pooling=pooling, prefix=prefix, queries=True, precision=precision)
    if setting.known is None:
        usual = trained or DualEncoding()
        query_length = query_length or usual.query_length
        candidate_length = candidate_length or usual.candidate_length
    return setting, (query_length, candidate_length)


def _questions(task: Task, language: str, rows: Dataset) -> list[Question]:
    if len(rows) != 1:
        raise StiltsError(
            f"Task {task.name} has {len(rows)} rows in {language}; expected one that holds all queries and candidates. "
            "Gather them into lists in the task's prepare=."
        )
    with naming_language(language):
        check_lists_of_texts(task, rows, "queries", "candidates")
    columns = (rows[0][name] for name in ("query_ids", "queries", "gold"))
    return [Question(name, text, language, frozenset(gold)) for name, text, gold in zip(*columns, strict=True)]


def _right_answers(
    task: Task, questions: Sequence[Question], ids: Sequence[str], spoken: NDArray[np.str_]
) -> tuple[list[set[int]], list[set[int]]]:
    """For each question the rows of its right answers in the pool, and those of them in its own language."""
    place = {name: row for row, name in enumerate(ids)}
    gold, own = [], []
    for question in questions:
        right = {place[name] for name in question.gold if name in place}
        gold.append(right)
        own.append({row for row in right if spoken[row] == question.language})
    if not any(gold) or len(place) < len(ids):
        raise StiltsError(
            f"Task {task.name}: {sum(map(len, gold))} right answers are among {len(ids)} candidates with "
            f"{len(place)} ids. Expected some, and every id once. Correct the rows, or name more --languages."
        )
    return gold, own


def _pool(
    task: Task, rows: Mapping[str, Dataset], candidates: Dataset | None
) -> tuple[list[str], Sequence[str], NDArray[np.str_]]:
    """Ids, texts and languages of all candidates."""
    if candidates is not None:
        check_texts(task, candidates, "text")
        return candidates["id"][:], candidates["text"], np.full(len(candidates), "")
    parts = {language: data[0] for language, data in rows.items()}
    if not all("candidates" in part for part in parts.values()):
        raise StiltsError(f"The rows of task {task.name} hold no candidates. Set candidates= in its file, or add them.")
    ids, texts, spoken = [], [], []
    for language, part in parts.items():
        ids += part["candidate_ids"]
        texts += part["candidates"]
        spoken += [language] * len(part["candidates"])
    return ids, texts, np.array(spoken, dtype=np.str_)


KIND = AnswerRetrieval()
