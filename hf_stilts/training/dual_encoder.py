"""Trains one encoder to bring queries and their answers together, as the target phase of LAReQA and Mewsli-X."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, TrainingArguments

from hf_stilts.augmentation.noisy_rows import load_noisy
from hf_stilts.data.derived import row_keys
from hf_stilts.data.language_shares import Languages, shares
from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record
from hf_stilts.kinds.dual_encoder import DualEncoder
from hf_stilts.kinds.vectors import both_prefixes
from hf_stilts.retrieval.sentence_encoder import read_sentence_encoder
from hf_stilts.task import Task, load_task
from hf_stilts.training.batches import SHARES, LanguageBatches
from hf_stilts.training.options import OPTIONS, taken
from hf_stilts.training.task_data import TaskData
from hf_stilts.training.trainer import TargetTrainer

logger = logging.getLogger(__name__)


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
        pooling: "pooler", "mean" or "cls". None: as the folder of a sentence-transformers model says; else the pooler
            where the architecture has one, else the mean.
        prefix: put before every text, one for both sides or two, for queries and candidates. None: the prompts `query`
            and `document` of a sentence-transformers model, else nothing.
        logit_scale: where the learned scale starts. None: 100 as in XTREME-R, or where a model object has it.
        both_directions: also ask which query belongs to a candidate.
        languages: of the training rows. With `batches`, all rows of each language; without, as `TargetTrainer`, which
            takes each example in one language.
        batches: with rows in several languages (column `language`), whether a batch is in one language, across two, or
            half of each kind (Elmahdy et al. 2024); a number is the share of cross-lingual ones. Rows with the same
            `id` translate each other. None: pairs of all languages are shuffled into the same batches.
        rest: as `TargetTrainer`.

    Raises:
        StiltsError: a task of another kind, or a model with a head of another kind.
    """

    trains_pairs = True

    def __init__(
        self,
        model: PreTrainedModel | str | None = None,
        args: TrainingArguments | None = None,
        *,
        task: str | Task,
        phase: str = "target",
        **rest: Any,
    ) -> None:
        self.phase = phase
        options = taken(args, {name: rest[name] for name in OPTIONS if name in rest})
        batches: Any = options.batches
        share = SHARES[batches] if batches in SHARES else batches
        if not (share is None or (isinstance(share, int | float) and 0 <= share <= 1)):
            raise StiltsError(
                f"batches={batches!r}; expected {', '.join(SHARES)}, a share of cross-lingual batches from 0 to 1, or "
                "None. Correct batches=."
            )
        self._share: float | None = share
        trained = self.training_task(load_task(task))
        if not trained.declaration.in_batch_negatives:
            raise StiltsError(
                f"{trained.name} is a {trained.kind} task; a dual encoder trains on pairs that are each other's "
                "negatives. Use TargetTrainer or IntermediateTrainer."
            )
        if isinstance(model, PreTrainedModel) and not isinstance(model, DualEncoder):
            raise StiltsError(
                f"model= is a {type(model).__name__}. Pass a name as base=, or DualEncoder(model.config, model)."
            )
        self._given_model = model if isinstance(model, PreTrainedModel) else None
        self._encoding: dict[str, Any] = {"both_directions": options.both_directions}
        given: dict[str, Any] = {"pooling": options.pooling, "logit_scale": options.logit_scale}
        if (prefixes := both_prefixes(options.prefix)) is not None:
            given |= {"query_prefix": prefixes[0], "candidate_prefix": prefixes[1]}
        self._encoding |= {name: value for name, value in given.items() if value is not None}
        super().__init__(model, args, task=task, **rest)

    def _task_data(self, model: Any) -> dict[str, TaskData]:
        """As for every training, with the prefixes and the length of the start."""
        found = super()._task_data(model)
        for data in found.values():
            self._read_start(data)
        return found

    def _rows_of(self, task: Task, languages: Any) -> Callable[[], Dataset]:
        """As for every training; batches by language are made of all rows of each."""
        if self._share is None or languages is None:
            return super()._rows_of(task, languages)
        options = self.options
        own = {"limit": options.limit, "data_dir": options.data_dir, "exclude": options.exclude}
        return lambda: _all_rows(task, languages, **own)

    def _read_start(self, data: TaskData) -> None:
        """Take what the start's folder says of sentence vectors where nothing was given, and say it in one line."""
        known = None
        try:
            if self._given_model is None and self.start is not None:
                known = read_sentence_encoder(self.start.name, self.start.commit)
        except StiltsError as error:
            logger.warning("How the start makes sentence vectors is lost: %s", error)
        if known is not None:
            own: dict[str, Any] = {"query_prefix": known.query_prefix, "candidate_prefix": known.candidate_prefix}
            if known.pooling in ("mean", "cls"):
                own["pooling"] = known.pooling
            self._encoding = {**own, **self._encoding}
            if known.max_length is not None and self.options.max_length is None:
                data.max_length = min(data.max_length, known.max_length)
            lost = known.unsupported or (f"{len(known.dense)} Dense" if known.dense else "")
            logger.warning(
                "%s is a sentence-transformers model (%s): the dual encoder starts with %s pooling, queries %r, "
                "candidates %r%s. Other settings: pooling=, prefix= (--pooling, --prefix).",
                *(known.source, known, self._encoding.get("pooling", "its architecture's"), *self._prefixes()),
                f"; lost is {lost}" if lost else "",
            )
        if isinstance(self._given_model, DualEncoder):
            own = {name: getattr(self._given_model.encoding, name) for name in ("query_prefix", "candidate_prefix")}
            self._encoding = {**own, **self._encoding}
        query, candidate = self._prefixes()
        data.kind = replace(data.kind, query_prefix=query, candidate_prefix=candidate)  # type: ignore[type-var]

    def _prefixes(self) -> tuple[str, str]:
        return self._encoding.get("query_prefix", ""), self._encoding.get("candidate_prefix", "")

    def _set_up(self, model: Any) -> None:
        super()._set_up(model)
        model.configure(**self._encoding)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """As the stock method; a batch by language has as many pairs as now run at the same time."""
        if isinstance(self.train_dataset, LanguageBatches):
            self.train_dataset.batch_size = self._train_batch_size * self.args.world_size
            self.train_dataset.seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return super().get_train_dataloader()

    def record(self) -> Record:
        """As the phases' own, and how the vectors and the batches were made."""
        record = super().record()
        encoding = self.model.encoding
        made = {"pooling": encoding.pooling, "both_directions": encoding.both_directions}
        prefixes = {name: getattr(encoding, name) for name in ("query_prefix", "candidate_prefix")}
        made |= {name: text for name, text in prefixes.items() if text}
        if self._share is not None:
            made["cross_lingual_share"] = self._share
        return replace(record, recipe={**record.recipe, **made, "logit_scale": self.model.logit_scale.item()})

    def training_features(self, data: TaskData) -> Any:
        """Pairs as they came, or in batches by language.

        Raises:
            StiltsError: batches by language were asked for, and the rows have no column `language`.
        """
        if self._share is None:
            return data.features
        rows = data.rows
        if rows is None or "language" not in rows.column_names:
            columns = (data.features if rows is None else rows).column_names
            raise StiltsError(
                f"The training data has columns {', '.join(columns)}; batches by language need rows with a "
                "column language, and id to say which translate each other. Add them, or pass languages= (--languages)."
            )
        return LanguageBatches(data.features, rows["language"][:], row_keys(rows), share=self._share)

    def training_order(self, train_dataset: Any) -> torch.utils.data.Sampler[Any] | None:
        """Batches by language are in the order of training."""
        if isinstance(train_dataset, LanguageBatches):
            return torch.utils.data.SequentialSampler(train_dataset)
        return super().training_order(train_dataset)

    def read_weights(self, folder: str) -> bool:
        """A checkpoint holds the encoder alone, so its weights bear other names than the model's."""
        self.model.restore(folder)
        return True


def _all_rows(task: Task, languages: Languages, **own: Any) -> Dataset:
    """All training rows of each language, one language after another, with a column `language`."""
    parts = ((language, load_noisy(task, "train", language, **own)) for language in shares(languages))
    return concatenate_datasets([rows.add_column("language", [language] * len(rows)) for language, rows in parts])
