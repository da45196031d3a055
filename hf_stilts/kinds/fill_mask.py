"""Guess masked sub-tokens from their surroundings: multilingual masked language modelling (MLM)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import MODEL_FOR_MASKED_LM_MAPPING, DataCollatorForLanguageModeling

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import Kind
from hf_stilts.kinds.features import IGNORED, Batch, first_output, head_class, map_rows, pad, special_tokens
from hf_stilts.kinds.masked_positions import score_masked_positions_only
from hf_stilts.kinds.rows import check_texts

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class FillMask(Kind):
    """The architecture's own MLM head. A prediction is what became of a row's masked tokens.

    Args:
        max_length: tokens per window, special ones included; 512 is what XLM-R was pre-trained with.
        probability: share of the tokens to guess: 80 % of them are shown as the mask, 10 % as a random token, 10 % as
            they are (BERT; jiant's `mlm_simple`).
        blocks: in training, run texts together, with the token that ends a text between them, and cut blocks of
            `max_length`. Otherwise, as in jiant, each text stands for itself; a long one is read in several windows,
            where jiant cuts it off.
        seed: of the masks in evaluation, which depend on nothing else but the row's number: the same rows are always
            asked for the same tokens. In training the masks are drawn anew in every batch.
    """

    name: ClassVar[str] = "fill-mask"
    columns: ClassVar[Mapping[str, ColumnType]] = {"text": "text"}
    pretraining = True
    pipeline_tag = "fill-mask"
    head_class = "ForMaskedLM"
    recipe = "masked-text"

    max_length: int = 512
    probability: float = 0.15
    blocks: bool = False
    seed: int = 0

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`AutoModelForMaskedLM`'s class."""
        return head_class(MODEL_FOR_MASKED_LM_MAPPING, config, self.name)

    def head_config(self, task: Task) -> dict[str, Any]:
        """Nothing: the vocabulary is the model's."""
        return {}

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature per window, with `special_tokens_mask`; in evaluation the masks are set already.

        With `blocks`, `row` is the first row of a batch of 1,000 whose texts were run together.

        Raises:
            StiltsError: a row without text, the tokenizer has no mask token, or the window has no room.
        """
        check_texts(task, rows, "text")
        before, after, room = special_tokens(tokenizer, max_length)
        masker = _masker(tokenizer, self.probability)

        def make(batch: Batch, numbers: list[int]) -> Batch:
            texts = tokenizer(batch["text"], add_special_tokens=False, verbose=False)["input_ids"]
            if train and self.blocks:
                # One long text, so that every window is full; the separator keeps the texts apart.
                joined: list[int] = []
                for ids in texts:
                    joined += [*ids, *after[-1:]]
                texts = [joined]
            names = ("input_ids", "attention_mask", "special_tokens_mask", "row", *(() if train else ("labels",)))
            made: Batch = {name: [] for name in names}
            for row, text in zip(numbers, texts, strict=False):
                for window, start in enumerate(range(0, len(text), room)):
                    ids = [*before, *text[start : start + room], *after]
                    special = [1] * len(before) + [0] * (len(ids) - len(before) - len(after)) + [1] * len(after)
                    if not train:
                        # Not in the collator: a score must not depend on the batch, or on what was drawn before.
                        seed = random.Random(f"{self.seed} {row} {window}").getrandbits(63)
                        masker.generator = torch.Generator().manual_seed(seed)
                        masked, labels = _mask(masker, torch.tensor([ids]), torch.tensor([special]))
                        ids = masked[0].tolist()
                        made["labels"].append(labels[0].tolist())
                    made["input_ids"].append(ids)
                    made["attention_mask"].append([1] * len(ids))
                    made["special_tokens_mask"].append(special)
                    made["row"].append(row)
            return made

        keep = list(range(len(rows)))
        return map_rows(make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Pads, and masks what is not masked yet, with torch's random numbers."""
        return partial(_pad_and_mask, tokenizer=tokenizer, masker=_masker(tokenizer, self.probability))

    def set_up(self, model: PreTrainedModel, max_length: int) -> None:
        """In training, only the logits of masked tokens are computed."""
        score_masked_positions_only(model)

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """Float32 (batch, 3) from logits (batch, length, vocabulary) and labels (batch, length).

        Of each feature: the summed negative log-likelihood of its masked tokens, how many were guessed, how many
        there are.

        Raises:
            StiltsError: no labels, which say where the masks are.
        """
        if labels is None:
            raise StiltsError(
                "Masked tokens cannot be scored without labels; they say which tokens were masked. "
                "Call reduce(logits, labels) with the labels of the same batch."
            )
        masked = labels != IGNORED
        scores, gold = first_output(logits)[masked].float(), labels[masked]
        loss = torch.nn.functional.cross_entropy(scores, gold, reduction="none")
        per_token = torch.stack((loss, (scores.argmax(dim=-1) == gold).float(), torch.ones_like(loss)), dim=-1)
        sums = torch.zeros(len(labels), 3, device=loss.device)
        return sums.index_add(0, masked.nonzero()[:, 0], per_token)

    def decode(
        self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]
    ) -> list[tuple[float, float, float]]:
        """Per row the sums that `reduce` gives, over all its windows; zeros for an empty text."""
        sums = np.zeros((len(rows), 3))
        np.add.at(sums, features["row"][:], np.asarray(outputs, dtype=np.float64).reshape(-1, 3))
        return [(loss, right, tokens) for loss, right, tokens in sums.tolist()]

    def score(self, task: Task, predictions: Sequence[tuple[float, float, float]], rows: Dataset) -> dict[str, float]:
        """`accuracy` in percent; `loss` (nats per masked token) and `perplexity` as such; each over all masked tokens.

        Raises:
            StiltsError: no token was masked.
        """
        loss, right, tokens = np.asarray(predictions, dtype=np.float64).reshape(-1, 3).sum(axis=0).tolist()
        if not tokens:
            raise StiltsError(
                f"Task {task.name}: no token was masked in {len(rows)} rows; expected text in column `text`. "
                "Look at the rows, or check columns= of the task."
            )
        mean = loss / tokens
        return {"accuracy": 100.0 * right / tokens, "loss": mean, "perplexity": math.exp(min(mean, 700.0))}

    def shares(
        self, task: Task, predictions: Sequence[tuple[float, float, float]], rows: Dataset
    ) -> NDArray[np.float64] | None:
        """Tokens of each row that were found, and that were masked; float64 (rows, 2)."""
        return np.asarray(predictions, dtype=np.float64).reshape(-1, 3)[:, 1:]


def _masker(tokenizer: PreTrainedTokenizerBase, probability: float) -> DataCollatorForLanguageModeling:
    if tokenizer.mask_token_id is None:
        raise StiltsError(
            f"{type(tokenizer).__name__} has no mask token, which masked language modelling needs. "
            "Choose a base model that was pre-trained with one (XLM-R, BERT, DeBERTa)."
        )
    if not 0 < probability <= 1:
        raise StiltsError(
            f"A share of {probability} of the tokens cannot be masked; expected more than 0 and at most 1. "
            "Use the usual FillMask(probability=0.15)."
        )
    return DataCollatorForLanguageModeling(tokenizer, mlm_probability=probability)


def _mask(
    masker: DataCollatorForLanguageModeling, ids: torch.Tensor, special: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Masked ids and labels; at least one token is masked if any can be, since the mean over none is not a number."""
    while True:
        masked, labels = masker.torch_mask_tokens(ids.clone(), special)
        if (labels != IGNORED).any() or special.all():
            return masked, labels


def _pad_and_mask(
    features: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, masker: DataCollatorForLanguageModeling
) -> dict[str, torch.Tensor]:
    batch = pad(features, tokenizer)
    if "labels" not in batch:
        special = [torch.tensor(feature["special_tokens_mask"]) for feature in features]
        batch["input_ids"], batch["labels"] = _mask(masker, batch["input_ids"], pad_sequence(special, True, 1))
    return batch


KIND = FillMask()
