"""From rows to features and from features to batches: the work that is the same in every kind with a head."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from hf_stilts.errors import StiltsError
from hf_stilts.progress import TOKENISED, progress_bars
from hf_stilts.retrieval.encode import UNLIMITED, check_embedded, position_limit

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task

Batch = dict[str, list[Any]]
# What models read beside the tokenizer's own columns; -100 is the class that torch's cross entropy leaves out.
TARGETS = ("labels", "start_positions", "end_positions")
IGNORED = -100


def map_rows(
    make: Callable[[Batch, list[int]], Batch],
    task: Task,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    keep: list[int],
    **settings: Any,
) -> Dataset:
    """Features of the rows to `keep`; `make` turns a batch (columns, row numbers) into as many features as it takes.

    They are cached where `datasets` caches the rows themselves, in memory if the rows have no file. The name of the
    cache depends on the rows, on the kind's source and `settings`, on the labels and on the tokenizer: nothing that
    differs between two processes, and nothing too little.

    Raises:
        StiltsError: no row is left to make a feature of.
    """
    kept = rows if len(keep) == len(rows) else rows.select(keep)
    recipe = (task.kind, task.labels, sorted(task.aliases.items()), sorted(settings.items()), kept._fingerprint)
    hashed = hashlib.sha256("\0".join((repr(recipe), _source(make), "")).encode())
    hashed.update(_tokenizer_state(tokenizer))
    fingerprint = hashed.hexdigest()[:32]

    def compact(batch: Batch, numbers: list[int]) -> Batch:
        made = make(batch, [keep[number] for number in numbers])
        return {name: [_integers(value) for value in values] for name, values in made.items()}

    with progress_bars(kept.data.nbytes, TOKENISED):
        features = kept.map(
            compact,
            batched=True,
            with_indices=True,
            remove_columns=rows.column_names,
            new_fingerprint=fingerprint,
            desc=f"{task.name or task.kind}: rows to features",
        )
    if not len(features):
        raise StiltsError(
            f"Task {task.name}: none of {len(rows)} rows gives a feature; expected text, and in training a label. "
            "Look at the rows: hf_stilts.data.load.load(task, split, language)"
        )
    return features


def pad(features: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    """A batch as int64 tensors (batch, longest): padded on the right, so that positions in a feature stay true.

    Labels are padded with -100; those that are numbers with a fraction stay float32. Columns that no model reads (row
    numbers, offsets) are left out.

    Raises:
        StiltsError: the tokenizer has no padding token.
    """
    if tokenizer.pad_token_id is None:
        raise StiltsError(
            f"{type(tokenizer).__name__} has no padding token, which batches of unequal length need. "
            "Set one, e.g. tokenizer.pad_token = tokenizer.eos_token"
        )
    fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "labels": IGNORED}
    batch = {}
    for name in (*tokenizer.model_input_names, *TARGETS):
        if name in features[0]:
            dtype = torch.float32 if isinstance(features[0][name], float) else torch.long
            values = [torch.as_tensor(feature[name], dtype=dtype) for feature in features]
            one_each = values[0].ndim == 0
            batch[name] = torch.stack(values) if one_each else pad_sequence(values, True, fill.get(name, 0))
    return batch


def head_class(mapping: Any, config: PretrainedConfig, kind: str) -> type[PreTrainedModel]:
    """Stock class with a kind's head, from one of transformers' `MODEL_FOR_..._MAPPING`.

    Raises:
        StiltsError: transformers has none for this architecture.
    """
    if type(config) not in mapping:
        raise StiltsError(
            f"transformers has no {kind} class for {config.model_type}; XLM-R, BERT, DeBERTa and others have one. "
            "Choose such a base model with --base, or another kind of task."
        )
    found = mapping[type(config)]
    stock: type[PreTrainedModel] = found[0] if isinstance(found, (list, tuple)) else found
    return stock


def named_labels(names: Sequence[str]) -> dict[str, Any]:
    """What a configuration says of a head's outputs, so that no earlier task's names stay behind.

    >>> named_labels(["start", "end"])
    {'num_labels': 2, 'id2label': {0: 'start', 1: 'end'}, 'label2id': {'start': 0, 'end': 1}}
    """
    by_id = dict(enumerate(names))
    return {"num_labels": len(by_id), "id2label": by_id, "label2id": {name: index for index, name in by_id.items()}}


def special_tokens(tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[list[int], list[int], int]:
    """Ids that a tokenizer puts before and after a single text, and how many tokens of the text fit between them.

    Raises:
        StiltsError: none fits.
    """
    probe = tokenizer("a", return_special_tokens_mask=True)
    text = [place for place, special in enumerate(probe["special_tokens_mask"]) if not special]
    before, after = probe["input_ids"][: text[0]], probe["input_ids"][text[-1] + 1 :]
    room = max_length - len(before) - len(after)
    if room < 1:
        raise StiltsError(
            f"A window of {max_length} tokens has no room beside the {len(before) + len(after)} special tokens of "
            f"{type(tokenizer).__name__}; expected at least {max_length - room + 1}. Pass a larger max_length."
        )
    return before, after, room


def readable_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Longest window, in tokens, that both the position embeddings and the tokenizer allow."""
    positions = position_limit(model)
    if positions == UNLIMITED:  # rotary and relative positions end in no error, but were trained for so many
        positions = getattr(model.config, "max_position_embeddings", None) or positions
    return int(min(positions, tokenizer.model_max_length))


def check_length(model: PreTrainedModel, max_length: int | None) -> None:
    """Refuse windows that are longer than the model's table of positions, which end in an IndexError in mid-training.

    Raises:
        StiltsError: they are; the message says how long they may be.
    """
    positions = position_limit(model)
    if max_length is not None and max_length > positions:
        raise StiltsError(
            f"max_length={max_length} is more than the {positions} tokens that {type(model).__name__} has "
            f"positions for. Pass {positions} or less."
        )


def check_tokens(features: Dataset, embedded: int, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse features with a token that the model has no embedding of.

    Args:
        features: those of a kind; of pairs, each side has a column of its own.
        embedded: `embedded_tokens` of the model.
        tokenizer: that made them.

    Raises:
        StiltsError: there is one; the message names it.
    """
    for name in features.column_names:
        if name.endswith("input_ids"):
            largest = max((int(part.max()) for part in flat_column(features, name) if part.size), default=0)
            check_embedded(largest, embedded, tokenizer)


def first_output(outputs: Any) -> torch.Tensor:
    """The head's logits: encoder-decoders return further tensors behind them."""
    logits: torch.Tensor = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return logits


def column(rows: Dataset, name: str, missing: Any) -> list[Any]:
    """A column's values, or `missing` for each row where the data set does not have it (an unlabelled test split)."""
    return rows[name][:] if name in rows.column_names else [missing] * len(rows)


def flat_column(data: Dataset, name: str) -> Iterator[NDArray[Any]]:
    """All numbers of a column of a `datasets.Dataset`, nested or not, in large pieces and without Python objects."""
    for batch in data.select_columns(name).with_format("arrow").iter(10_000):
        column = batch[name].combine_chunks()
        while hasattr(column, "flatten") and hasattr(column, "offsets"):
            column = column.flatten()
        yield column.to_numpy(zero_copy_only=False)


def all_labelled(task: Task, unlabelled: list[int], rows: int) -> bool:
    """Whether rows can be scored; none of them labelled is a test split whose gold labels are not published.

    Raises:
        StiltsError: some rows have a gold label and some have none.
    """
    if len(unlabelled) == rows:
        return False
    if not unlabelled:
        return True
    raise StiltsError(
        f"Task {task.name}: {len(unlabelled)} of {rows} rows have no gold label, first row {unlabelled[0]}; "
        "a score needs all or none. Drop them in the task's prepare=, or score another split."
    )


def _integers(value: Any) -> Any:
    """A flat list of integers as an array, which Arrow takes over several times faster than it inspects a list."""
    flat = isinstance(value, list) and not (value and isinstance(value[0], list))
    return np.array(value, dtype=np.int32) if flat else value


def _source(make: Callable[..., Any]) -> str:
    """Source of all that makes the features, so that an edited kind never meets features of its old self."""
    own = sorted(Path(__file__).parent.glob("*.py"))
    files = dict.fromkeys([Path(str(sys.modules[make.__module__].__file__)), *own])  # a kind may be from elsewhere
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> bytes:
    """All that decides how a tokenizer cuts text; truncation and padding do not, being set anew in every call.

    It is made for every language, and of a vocabulary of 250,000 pieces it has nine megabytes: the library's bytes are
    taken as they are, since as a string, joined and encoded, they cost several times as much.
    """
    if not tokenizer.is_fast:
        state = (type(tokenizer).__name__, tokenizer.init_kwargs, sorted(tokenizer.get_vocab().items()))
        return repr(state).encode()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    state_of_library: bytes = tokenizer.backend_tokenizer.__getstate__()
    return tokenizer.truncation_side.encode() + b" " + state_of_library
