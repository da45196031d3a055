"""Runs a trained model over the rows of a task: batches of similar length, results in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_stilts.evaluation.processes import processes
from hf_stilts.kinds import kind_for
from hf_stilts.kinds.features import TARGETS, check_tokens
from hf_stilts.retrieval.encode import embedded_tokens
from hf_stilts.task import Task

# Tokens per batch, padding included. A CPU is fastest while a batch fits its cache; a GPU wants to be filled.
CPU_TOKENS, GPU_TOKENS = 2048, 65536


def predict(
    model: PreTrainedModel,
    task: Task,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    label_order: Sequence[int] | None = None,
    progress: str | None = None,
) -> list[Any]:
    """One prediction per row, in the order of the rows; where several processes run, they share the batches.

    Under `torchrun` each process runs every n-th of the very batches that one alone would run, and all of them return
    all predictions. The time is linear in the number of rows: each batch is reduced on the device and stored by
    position, where the stock `Trainer.predict` concatenates all logits anew at every step.

    Args:
        model: with the kind's head, on any device.
        task: decides features and decoding.
        rows: canonical columns.
        tokenizer: the model's own.
        max_length: tokens per window, special tokens included.
        label_order: index in the model's outputs of each of the task's labels, where they differ.
        progress: text of a progress bar; none when the output is not a terminal.
    """
    kind = kind_for(task)
    features = kind.features(task, rows, tokenizer, max_length=max_length, train=False)
    check_tokens(features, embedded_tokens(model), tokenizer)
    collate = kind.collator(tokenizer)
    outputs: list[Any] = [None] * len(features)
    lengths = [_length(ids) for ids in features["input_ids"][:]]
    budget = GPU_TOKENS if model.device.type == "cuda" else CPU_TOKENS
    group = processes()
    quiet = None if progress and group.is_main_process else True
    own = list(batches(lengths, budget))[group.process_index :: group.num_processes]
    bar = tqdm(total=sum(map(len, own)), desc=progress, disable=quiet, leave=False)
    model.eval()
    with torch.inference_mode(), bar:
        for batch in own:
            # One call for a batch: `datasets` takes longer to find a row than a small model to read it.
            columns = features[batch]
            inputs = collate([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
            labels = {name: inputs.pop(name) for name in TARGETS if name in inputs}.get("labels")
            found = kind.run(model, {name: value.to(model.device) for name, value in inputs.items()})
            if label_order is not None:
                found = found.logits[..., list(label_order)]
            reduced = kind.reduce(found, None if labels is None else labels.to(model.device))
            for position, output in zip(batch, reduced.cpu().numpy(), strict=True):
                outputs[position] = output
            bar.update(len(batch))
    if group.num_processes > 1:
        mine = [(position, outputs[position]) for batch in own for position in batch]
        for position, output in gather_object(mine):
            outputs[position] = output
    return list(kind.decode(task, rows, features, outputs))


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions in batches of similar length whose padded size stays within a budget of tokens, longest first.

    >>> list(batches([3, 9, 4, 10], 20))
    [[3, 1], [2, 0]]
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _length(ids: Sequence[Any]) -> int:
    """Tokens of one feature; a multiple-choice feature counts all its choices, padded to the longest."""
    if len(ids) and isinstance(ids[0], list):
        return len(ids) * max(len(choice) for choice in ids)
    return len(ids)
