"""Trains one encoder to bring queries and their answers together, as the target phase of LAReQA and Mewsli-X."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, TrainingArguments

from hf_stilts.data.load import load
from hf_stilts.hub.lineage import Record
from hf_stilts.kinds.dual_encoder import DualEncoder, VectorPooling
from hf_stilts.kinds.sentence_similarity import KIND
from hf_stilts.task import StiltsError, Task, load_task
from hf_stilts.training.batches import SHARES, LanguageBatches, Mode
from hf_stilts.training.trainer import TargetTrainer


class DualEncoderTrainer(TargetTrainer):
    """Trains the dual encoder of XTREME-R: shared encoder, unit vectors, cosine x learned scale, in-batch negatives.

    Its checkpoints are stock encoders, which `AutoModel` loads; pooling, lengths and scale stand in `config.json` under
    `dual_encoder`, where `hf-stilts evaluate` finds them. The negatives of a query are the candidates of the pairs that
    run at the same time: `per_device_train_batch_size` on every process, with their gradients. Accumulation adds none
    (XTREME-R's script: 4 x 4, so 3 negatives a query).

    Args:
        model: as `TargetTrainer`.
        args: as `TargetTrainer`.
        task: a task of kind `sentence-similarity`, or one that trains on such: `"lareqa"`, `"mewslix"`.
        phase: "target", or "intermediate" to publish what it trains as an intermediate checkpoint.
        pooling: "pooler", "mean" or "cls". None takes the pooler where the architecture has one, else the mean.
        logit_scale: where the learned scale starts. None: 100 as in XTREME-R, or where a model object has it.
        both_directions: also ask which query belongs to a candidate.
        languages: train on the rows of these languages; `train_dataset` may also map languages to rows. Examples with
            the same `id` translate each other.
        batches: with several languages, whether a batch is in one language, across two, or a mixture of such batches
            (Elmahdy et al. 2024).
        share: share of cross-lingual batches instead of the mode's own: 0, 0.5 or 1.
        rest: as `TargetTrainer`.

    Raises:
        StiltsError: a task of another kind, or a model with a head of another kind.
    """

    def __init__(
        self,
        model: str | PreTrainedModel | None = None,
        args: TrainingArguments | None = None,
        *,
        task: str | Task,
        phase: str = "target",
        pooling: VectorPooling | None = None,
        logit_scale: float | None = None,
        both_directions: bool = False,
        languages: Sequence[str] | None = None,
        batches: Mode = "hybrid",
        share: float | None = None,
        **rest: Any,
    ) -> None:
        self.phase = phase
        if batches not in SHARES or not 0 <= (share or 0) <= 1:
            raise StiltsError(
                f"batches={batches!r} with share={share}; expected {', '.join(SHARES)}, and a share from 0 to 1. "
                "Correct the two."
            )
        self._share = SHARES[batches] if share is None else share
        trained = self.training_task(load_task(task))
        if trained.kind != KIND.name:
            raise StiltsError(
                f"{trained.name} is a {trained.kind} task; a dual encoder trains on {KIND.name}, columns query and "
                "candidate. Use TargetTrainer or IntermediateTrainer."
            )
        if isinstance(model, PreTrainedModel) and not isinstance(model, DualEncoder):
            raise StiltsError(
                f"model= is a {type(model).__name__}. Pass a checkpoint's name, or DualEncoder(model.config, model)."
            )
        if languages:
            own = {key: rest[key] for key in ("limit", "data_dir") if key in rest}
            rest["train_dataset"] = {each: load(trained, "train", each, **own) for each in languages}
        # Micro-batches of other examples would have other negatives.
        super().__init__(model, args, task=task, **{**rest, "micro_tokens": 0})
        self.own_data = self.own_data and not languages
        if isinstance(self.train_dataset, LanguageBatches):
            self.train_dataset.batch_size = self.args.train_batch_size * self.args.world_size
            self.train_dataset.seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        query_length, candidate_length = KIND.lengths(self.max_length)
        given = {"pooling": pooling, "logit_scale": logit_scale}
        self.model.configure(
            both_directions=both_directions,
            query_length=query_length,
            candidate_length=candidate_length,
            **{name: value for name, value in given.items() if value is not None},
        )

    def record(self) -> Record:
        """As the phases' own, and how the vectors and the batches were made."""
        record = super().record()
        encoding = self.model.encoding
        made = {"pooling": encoding.pooling, "both_directions": encoding.both_directions}
        if isinstance(self.train_dataset, LanguageBatches):
            made["cross_lingual_share"] = self._share
            record = replace(record, languages=self.train_dataset.languages)
        return replace(record, recipe={**record.recipe, **made, "logit_scale": self.model.logit_scale.item()})

    def _featurise(self, given: Any, *, train: bool) -> tuple[Any, Dataset | None]:
        if not isinstance(given, Mapping):
            return super()._featurise(given, train=train)
        nameless = [language for language, rows in given.items() if "id" not in rows.column_names]
        if nameless:
            raise StiltsError(
                f"The {nameless[0]} rows have no column id, so nobody knows which examples translate each other. "
                f"Expected id, query and candidate; there are {', '.join(given[nameless[0]].column_names)}. Add it."
            )
        features = {
            language: super(DualEncoderTrainer, self)._featurise(rows, train=train)[0]
            for language, rows in given.items()
        }
        return LanguageBatches(features, {each: rows["id"][:] for each, rows in given.items()}, share=self._share), None

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[Any] | None:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if isinstance(dataset, LanguageBatches):  # it is in the order of training
            return torch.utils.data.SequentialSampler(dataset)
        return super()._get_train_sampler(train_dataset)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """A checkpoint holds the encoder alone, so its weights bear other names than the model's."""
        self.model.restore(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        self.model.restore(self.state.best_model_checkpoint)
