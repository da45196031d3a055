"""An auxiliary loss that holds the features of an example and its translation together (MuCoT, Kumar et al. 2022)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from hf_stilts.data.derived import row_keys
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError
from hf_stilts.kinds import Kind
from hf_stilts.retrieval.hidden_states import HiddenStates, encoder_of
from hf_stilts.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Collator = Callable[[list[dict[str, Any]]], dict[str, Tensor]]
IDS, MASK = "translation_input_ids", "translation_attention_mask"
DEFAULT_LAYER = 3  # the command line has no other


@dataclass
class ContrastiveLoss:
    """Symmetric cross entropy between the features of originals and of their translations, as CLIP has it.

    In a batch every original shall be nearest to its own translation among all translations, and the other way round.
    It is added to the task's loss, `StiltsTrainer(contrastive=...)`, in training alone. Its negatives are the other
    examples of the device's batch; the temperature is fixed, where MuCoT's code learns it from this value on.

    Args:
        translations: the training rows in another language, with the kind's columns, and `id` or in the same order; or
            the code of a language in which the task has them, its own or made by `hf-stilts data translate`. Rows
            without a translation are left out of this loss.
        weight: what it is multiplied by.
        temperature: what cosines are divided by.
        layer: the features are the mean of `hidden_states[layer]` over a text's tokens; 0 is the embedding output.
    """

    translations: str | Dataset
    weight: float = 1.0
    temperature: float = 0.07
    layer: int = DEFAULT_LAYER
    _states: HiddenStates | None = field(default=None, repr=False, compare=False)

    def recipe(self) -> dict[str, float | int]:
        """What `stilts.json` says of it."""
        return {
            "contrastive_weight": self.weight,
            "contrastive_temperature": self.temperature,
            "contrastive_layer": self.layer,
        }

    def features(
        self,
        kind: Kind,
        task: Task,
        features: Dataset,
        rows: Dataset | None,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> Dataset:
        """Training features with a column more: the tokens of the translation, none where there is none.

        A long example has several features; each is compared with the first of its translation.

        Raises:
            StiltsError: no example has a translation, features came without rows, or the kind's features have several
                texts each.
        """
        if rows is None or "row" not in features.column_names or kind.several_texts:
            raise StiltsError(
                f"A contrastive loss compares one text with its translation; {kind.name} features "
                f"{'came without their rows' if rows is None else 'hold several texts or none'}. Take a task "
                "of text classification, tagging, questions or masked language modelling, or leave out --contrastive "
                "(contrastive=)."
            )
        other = self.translations
        if isinstance(other, str):
            other = load(task, "train", other, data_dir=data_dir)
        made = kind.features(task, other, tokenizer, max_length=max_length, train=False)
        first: dict[int, list[int]] = {}
        for row, ids in zip(made["row"][:], made["input_ids"][:], strict=True):
            first.setdefault(row, ids)
        by_key = {key: first.get(row, []) for row, key in enumerate(row_keys(other))}
        keys = row_keys(rows)
        found = [by_key.get(keys[row], []) for row in features["row"][:]]
        if not any(found):
            raise StiltsError(
                f"None of {len(rows)} training rows has a translation among {len(other)}: no key in common, as "
                f"{keys[0]!r} and {row_keys(other)[0]!r}. Expected the same id, or the same order without ids."
            )
        return features.add_column(IDS, found)

    def collator(self, collate: Collator, tokenizer: PreTrainedTokenizerBase) -> Collator:
        """As `collate`, with the translations' tokens, padded on the right, where the features have them."""

        def both(features: list[dict[str, Any]]) -> dict[str, Tensor]:
            own = []
            for each in features:
                own.append({name: value for name, value in each.items() if name != IDS})
            batch = collate(own)
            if IDS in features[0]:
                ids = [torch.as_tensor(each[IDS], dtype=torch.long) for each in features]
                batch[IDS] = pad_sequence(ids, True, tokenizer.pad_token_id)
                batch[MASK] = pad_sequence([torch.ones_like(each) for each in ids], True, 0)
            return batch

        return both

    def __call__(
        self, model: PreTrainedModel, outputs: Any, inputs: Mapping[str, Tensor], pairs: Mapping[str, Tensor]
    ) -> Tensor:
        """The weighted loss of a batch; 0 where fewer than two examples have a translation.

        Args:
            model: the model itself, not wrapped.
            outputs: what it gave for the originals, with `hidden_states`.
            inputs: the originals' batch.
            pairs: what `take` took out of it.
        """
        there = pairs[MASK].any(dim=1)
        if int(there.sum()) < 2:
            return torch.zeros((), device=there.device)
        states = getattr(outputs, "hidden_states", None) or outputs.encoder_hidden_states
        if not 0 <= self.layer < len(states):
            raise StiltsError(
                f"The contrastive loss is asked of layer {self.layer}; this model has 0 (embeddings) to "
                f"{len(states) - 1}. In Python, name one of them: ContrastiveLoss(layer=...). --contrastive always "
                f"asks layer {DEFAULT_LAYER}: take a model of as many layers, or leave it out."
            )
        mine = mean(states[self.layer][there], inputs["attention_mask"][there])
        batch = {"input_ids": pairs[IDS][there], "attention_mask": pairs[MASK][there]}
        theirs = mean(self._hidden(encoder_of(model), batch), batch["attention_mask"])
        cosines = mine @ theirs.T / self.temperature
        labels = torch.arange(len(cosines), device=cosines.device)
        both = functional.cross_entropy(cosines, labels) + functional.cross_entropy(cosines.T, labels)
        return self.weight * both / 2

    def _hidden(self, encoder: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
        """Hidden state of the translations, with its gradient; layers above it do not run."""
        if self._states is None or self._states.encoder is not encoder:
            training = encoder.training
            with torch.no_grad():
                self._states = HiddenStates(encoder.eval(), {"input_ids": batch["input_ids"][:1, :1]})
            encoder.train(training)
        found: list[Tensor] = []
        self._states.read(batch, [self.layer], lambda _, hidden: found.append(hidden))
        return found[0]


def contrastive_loss(given: ContrastiveLoss | str | None) -> ContrastiveLoss | None:
    """The loss as it was given, or with its defaults for a language's code."""
    return ContrastiveLoss(given) if isinstance(given, str) else given


def take(inputs: dict[str, Any]) -> dict[str, Tensor]:
    """Take the translations out of a batch; the model that gets the rest is asked for its hidden states."""
    pairs = {name: inputs.pop(name) for name in (IDS, MASK) if name in inputs}
    if pairs:
        inputs["output_hidden_states"] = True
    return pairs


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors (n, d): the mean over the tokens of each text, special ones included."""
    kept = mask.unsqueeze(-1).to(hidden.dtype)
    return functional.normalize(((hidden * kept).sum(dim=1) / kept.sum(dim=1)).float(), dim=-1)
