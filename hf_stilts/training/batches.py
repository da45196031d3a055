"""Batches of query-candidate pairs in one language or across two, mixed at a given share, the same after a resume."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_stilts.errors import StiltsError

Mode: TypeAlias = Literal["monolingual", "cross-lingual", "hybrid"]
SHARES: dict[Mode, float] = {"monolingual": 0.0, "hybrid": 0.5, "cross-lingual": 1.0}


class LanguageBatches(torch.utils.data.Dataset[dict[str, Any]]):
    """Pairs in the order in which they are trained on; read it front to back, `batch_size` pairs at a time.

    Every batch is either monolingual, queries and candidates in one language, or cross-lingual, queries in one language
    and candidates in another (Elmahdy, Lin and Ahmad 2024). Which it is, is drawn with probability `share`; then its
    languages, by the number of pairs they have; the examples come from a shuffled list of those languages, each once
    before any comes again. A batch holds an example once. All of it is a function of seed, epoch and batch size alone.

    An epoch has as many pairs as there are distinct examples, however many languages they are in.

    Args:
        features: of `sentence-similarity`: `input_ids` with the query's and the candidate's ids.
        languages: language of each feature.
        examples: name of each feature's example; it has the same name in all its languages.
        share: probability of a cross-lingual batch: 0 monolingual, 1 cross-lingual, between them hybrid.
        batch_size: pairs that are each other's negatives, over all processes.
        seed: as the Trainer's `data_seed`, or `seed`.

    Raises:
        StiltsError: an example twice in a language, or no languages with a batch of examples in common.
    """

    column_names = ("input_ids",)

    def __init__(
        self,
        features: Dataset,
        languages: Sequence[str],
        examples: Sequence[str],
        *,
        share: float,
        batch_size: int = 1,
        seed: int = 0,
    ) -> None:
        self.share, self.batch_size, self.seed = share, batch_size, seed
        self._features = features
        codes = {language: number for number, language in enumerate(dict.fromkeys(languages))}
        names = {example: number for number, example in enumerate(dict.fromkeys(examples))}
        self.languages = tuple(codes)
        # Row of every example in every language, -1 where it is not there.
        self._rows = np.full((len(codes), len(names)), -1, dtype=np.int64)
        for row, (language, example) in enumerate(zip(languages, examples, strict=True)):
            if self._rows[codes[language], names[example]] >= 0:
                raise StiltsError(
                    f"Example {example!r} is there twice in {language}, last in row {row}. Expected each once in a "
                    "language. Make the column id unique."
                )
            self._rows[codes[language], names[example]] = row
        self._asked = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that live on hear of it, too
        self._epoch = -1
        self._plan: NDArray[np.int64] = np.empty((0, 3), dtype=np.int64)

    def __len__(self) -> int:
        """Pairs in an epoch."""
        return self._rows.shape[1]

    def __getitem__(self, place: int) -> dict[str, Any]:
        """Pair at a place of the current epoch."""
        if self._epoch != (asked := int(self._asked)):
            self._epoch, self._plan = asked, self.plan(asked)
        example, query, candidate = self._plan[place]
        return {"input_ids": [self._side(int(query), example, 0), self._side(int(candidate), example, 1)]}

    def set_epoch(self, epoch: int) -> None:
        """Ask for the batches of an epoch; accelerate calls it."""
        self._asked.fill_(epoch)

    def plan(self, epoch: int) -> NDArray[np.int64]:
        """Example, query's language and candidate's language of every pair of an epoch in order, int64 (n, 3)."""
        random = np.random.default_rng((self.seed, epoch))
        pairs = self._pairs()
        streams = {pair: _Stream(examples, random) for kind in pairs for pair, examples in kind.items()}
        parts = []
        for batch in range(math.ceil(len(self) / self.batch_size)):
            size = min(self.batch_size, len(self) - batch * self.batch_size)
            crossed = random.random() < self.share
            drawn = list(pairs[crossed])
            weights = np.array([len(pairs[crossed][pair]) for pair in drawn], dtype=np.float64)
            query, candidate = drawn[random.choice(len(drawn), p=weights / weights.sum())]
            examples = streams[query, candidate].take(size)
            parts.append(np.stack((examples, np.full(size, query), np.full(size, candidate)), axis=1))
        return np.concatenate(parts)

    def _pairs(self) -> list[dict[tuple[int, int], NDArray[np.int64]]]:
        """Examples of each pair of languages that fills a batch: of equal languages, then of different ones."""
        least = min(self.batch_size, len(self))
        found: list[dict[tuple[int, int], NDArray[np.int64]]] = [{}, {}]
        for query, candidate in itertools.product(range(len(self.languages)), repeat=2):
            examples = np.flatnonzero((self._rows[query] >= 0) & (self._rows[candidate] >= 0))
            if len(examples) >= least:
                found[query != candidate][query, candidate] = examples
        for kind, wanted, pairs in zip(("mono", "cross-"), (self.share < 1, self.share > 0), found, strict=True):
            if wanted and not pairs:
                raise StiltsError(
                    f"No {kind}lingual batch of {least} pairs can be made of {', '.join(self.languages)}: "
                    "too few examples have the same id in both. Lower the batch size, or give parallel rows."
                )
        return found

    def _side(self, language: int, example: int, side: int) -> list[int]:
        row = int(self._rows[language, example])
        ids: list[int] = self._features[row]["input_ids"][side]
        return ids


class _Stream:
    """Examples in random order, each once before any comes again."""

    def __init__(self, examples: NDArray[np.int64], random: np.random.Generator) -> None:
        self._examples, self._random, self._next = examples, random, len(examples)

    def take(self, size: int) -> NDArray[np.int64]:
        """Return the next ones, all different: what is left of a round that cannot fill them is not used."""
        if self._next + size > len(self._examples):
            self._examples, self._next = self._random.permutation(self._examples), 0
        self._next += size
        return self._examples[self._next - size : self._next]
