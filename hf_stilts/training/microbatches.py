"""Runs the examples of one optimizer step in micro-batches of similar length: same loss and gradient, less padding."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import Trainer

from hf_stilts.kinds.features import IGNORED

logger = logging.getLogger(__name__)

Inputs = Mapping[str, Any]
Step = Callable[..., torch.Tensor]
# Tokens of a micro-batch on a CPU, padding included: from 1,000 to 6,000 take equally long each, and fewer need less
# memory. A GPU wants to be filled and is given no limit but the batch itself.
CPU_TOKENS = 2048
# What each further micro-batch costs, in tokens. On a CPU it adds one more gradient to every weight: 60 tokens' worth,
# measured, where all weights take part in every token's products, and more by the share of those only looked up. A GPU
# waits for the launch of a forward and a backward pass, in which it could have had thousands of tokens done.
CPU_OVERHEAD, GPU_OVERHEAD = 60, 8192


class MicroBatches:
    """Sorts the examples of an optimizer step by length and runs them in micro-batches that fit.

    The examples of a step are the stock Trainer's: `per_device_train_batch_size` times the accumulation steps, on
    every process. Each micro-batch's mean loss is weighted by its share of the items in the whole effective batch over
    all processes: sequences for classification, choices and answers, labelled tokens for tagging and masked words. So
    the gradient is that of the batch run in one piece, where the stock Trainer with accumulation averages means of
    unequal numbers of tokens. Dropout draws other random numbers than in one piece.

    A batch is run as it comes where its loss is no mean over items (no `labels` or `start_positions`), with a
    `compute_loss_func`, and under DataParallel or DeepSpeed, which have their own ideas of a micro-batch.

    Args:
        trainer: whose steps.
        most: most tokens of a micro-batch, padding included. None: 2048 on a CPU; on a GPU as many as the
            Trainer's loop would run at a time. 0: batches are run as they come.
    """

    def __init__(self, trainer: Trainer, most: int | None) -> None:
        self.trainer, self.most = trainer, most
        self.begin()

    def begin(self) -> None:
        """Forget what an earlier training left."""
        self._waiting: list[Inputs] = []
        self._overhead: int | None = None
        self._said_unlabelled = False

    def step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any, stock: Step
    ) -> torch.Tensor:
        """Gradient of a whole optimizer step, when the last of its accumulated batches has come; 0 until then.

        Args:
            model: as the stock method gets it.
            inputs: a batch.
            num_items_in_batch: as the stock method gets it.
            stock: the stock `training_step`.
        """
        trainer = self.trainer
        device = trainer.args.device
        if not self.cuts(inputs):
            return self._whole_step(model, inputs, num_items_in_batch, stock)
        self._waiting.append(inputs)
        if not trainer.accelerator.sync_gradients:
            return torch.zeros((), device=device)
        waiting, self._waiting = self._waiting, []
        counted = [(part, items(part)) for part in self.batches(waiting)]
        # A mean over nothing is no number, and nothing is learnt of it.
        labelled = [(part, count) for part, count in counted if count]
        if not labelled:
            self._say_unlabelled()
        counted = labelled or [(with_some_label(counted[0][0]), 0)]  # every process has to run something
        here = torch.tensor([float(sum(count for _, count in counted))], device=device)
        total = trainer.accelerator.gather(here).sum()
        loss = torch.zeros((), device=device)
        for number, (part, count) in enumerate(counted, 1):
            # The stock method divides the mean loss by this; processes are averaged after it.
            divisor = total / (count * trainer.accelerator.num_processes) if count else math.inf
            trainer.current_gradient_accumulation_steps = divisor
            last = number == len(counted)
            with contextlib.nullcontext() if last else trainer.accelerator.no_sync(model):
                loss += stock(model, dict(part))
        return loss

    def _whole_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any, stock: Step
    ) -> torch.Tensor:
        """A batch as it came; one without any label counts nothing, where the stock loss would be NaN."""
        trainer = self.trainer
        if trainer.compute_loss_func is not None or not averaged(inputs) or items(inputs):
            return stock(model, inputs, num_items_in_batch)
        self._say_unlabelled()
        divisor, trainer.current_gradient_accumulation_steps = trainer.current_gradient_accumulation_steps, math.inf
        try:
            return stock(model, dict(with_some_label(inputs)), num_items_in_batch)
        finally:
            trainer.current_gradient_accumulation_steps = divisor

    def _say_unlabelled(self) -> None:
        """Say it once: of masked words, a batch may by chance have none."""
        if not self._said_unlabelled:
            self._said_unlabelled = True
            logger.warning(
                "Step %d: no example of a batch has a label, so nothing is learnt of it, and it counts as a loss of 0. "
                "Further ones are not named. Look at the labels: trainer.train_dataset[0]",
                self.trainer.state.global_step + 1,
            )

    def cuts(self, inputs: Inputs) -> bool:
        """Whether these inputs may be run in pieces."""
        trainer = self.trainer
        whole = self.most == 0 or trainer.compute_loss_func is not None
        return not (whole or trainer.args.n_gpu > 1 or trainer.is_deepspeed_enabled or not averaged(inputs))

    def batches(self, accumulated: Sequence[Inputs]) -> list[Inputs]:
        """The batches of one optimizer step as micro-batches, longest first."""
        on_cpu = self.trainer.args.device.type == "cpu"
        if self._overhead is None:
            weights = lookup_share(self.trainer.model) if on_cpu else 1.0
            self._overhead = math.ceil(CPU_OVERHEAD * weights) if on_cpu else GPU_OVERHEAD
        stock = max(batch["attention_mask"].numel() for batch in accumulated)  # who accumulates has no memory for more
        most = self.most or (min(stock, CPU_TOKENS) if on_cpu else stock)
        whole = joined(accumulated, getattr(self.trainer.processing_class, "pad_token_id", None) or 0)
        ends = lengths(whole["attention_mask"])
        return [piece(whole, rows, ends) for rows in cut(ends, most=most, overhead=self._overhead)]


class MicroBatchTrainer(Trainer):
    """A stock Trainer in `MicroBatches`, for any training: in the place of `transformers.Trainer`.

    Attributes:
        micro_tokens: as `MicroBatches` takes it.
    """

    micro_tokens: int | None = None

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As the stock method."""
        self.micro = MicroBatches(self, self.micro_tokens)
        return super().train(*args, **kwargs)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """As the stock method, in micro-batches."""
        return self.micro.step(model, inputs, num_items_in_batch, super().training_step)


def cut(lengths: Sequence[int], *, most: int, overhead: int) -> list[list[int]]:
    """Positions of examples in micro-batches, longest first, such that padded tokens and overheads sum to the least.

    Args:
        lengths: tokens of each example.
        most: tokens of a micro-batch, padding included; a longer example is one of its own.
        overhead: what a micro-batch costs beside its tokens, in tokens.

    >>> cut([3, 9, 4, 10], most=100, overhead=1)
    [[3, 1], [2, 0]]
    >>> cut([3, 9, 4, 10], most=100, overhead=20)
    [[3, 1, 2, 0]]
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    longest = np.asarray(lengths)[order]
    least = np.zeros(len(order) + 1)  # of the first j examples in this order
    begins = np.zeros(len(order) + 1, dtype=int)  # where the last micro-batch of those begins
    for end in range(1, len(order) + 1):
        padded = longest[:end] * np.arange(end, 0, -1)
        costs = least[:end] + padded + overhead
        costs[:-1][padded[:-1] > most] = np.inf
        begins[end] = int(np.argmin(costs))
        least[end] = costs[begins[end]]
    found: list[list[int]] = []
    end = len(order)
    while end:
        found.insert(0, order[begins[end] : end].tolist())
        end = int(begins[end])
    return found


def averaged(inputs: Inputs) -> bool:
    """Whether the loss of these inputs is a mean over items that `items` can count."""
    return "attention_mask" in inputs and not {"labels", "start_positions"}.isdisjoint(inputs)


def items(inputs: Inputs) -> int:
    """How many items the loss of these inputs is the mean of: labels that are not -100, else sequences.

    >>> items({"labels": torch.tensor([[5, -100, 7]])}), items({"start_positions": torch.tensor([3, 4, 9])})
    (2, 3)
    """
    labels = inputs.get("labels")
    if labels is None:
        return len(inputs["start_positions"])
    return len(labels) if labels.is_floating_point() else int((labels != IGNORED).sum())


def with_some_label(inputs: Inputs) -> Inputs:
    """The same inputs, labelled with class 0 throughout: their loss is a number, to be multiplied by 0."""
    return {**inputs, "labels": torch.zeros_like(inputs["labels"])}


def lengths(mask: torch.Tensor) -> list[int]:
    """Tokens of each example up to its last real one; all choices of an example count as long as the longest."""
    places = torch.arange(1, mask.shape[-1] + 1, device=mask.device)
    ends = (mask.ne(0) * places).amax(dim=-1).view(len(mask), -1)
    found: list[int] = (ends.amax(dim=-1) * ends.shape[-1]).tolist()
    return found


def joined(batches: Sequence[Inputs], pad_token: int) -> Inputs:
    """Batches one below the other, padded to the longest."""
    if len(batches) == 1:
        return batches[0]
    shape = batches[0]["attention_mask"].shape
    width = max(batch["attention_mask"].shape[-1] for batch in batches)
    fill = {"input_ids": pad_token, "labels": IGNORED}
    columns = dict(batches[0])
    for name, first in columns.items():
        if isinstance(first, torch.Tensor):
            values = [batch[name] for batch in batches]
            if first.shape == shape:
                values = [pad(value, (0, width - value.shape[-1]), value=fill.get(name, 0)) for value in values]
            columns[name] = torch.cat(values)
    return columns


def piece(batch: Inputs, rows: list[int], lengths: Sequence[int]) -> Inputs:
    """These rows of a batch, without the columns that are padding in all of them."""
    shape = batch["attention_mask"].shape
    width = max(lengths[row] for row in rows) // math.prod(shape[1:-1])
    columns = dict(batch)
    for name, value in columns.items():
        if isinstance(value, torch.Tensor) and value.ndim and len(value) == len(lengths):
            columns[name] = value[rows][..., :width].contiguous() if value.shape == shape else value[rows]
    return columns


def lookup_share(model: torch.nn.Module) -> float:
    """All weights over those that take part in every token's products: 3.2 for XLM-R-base, half of it for large."""
    looked_up: set[torch.nn.Parameter] = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            looked_up.update(module.parameters())
    every = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    rows = sum(parameter.numel() for parameter in looked_up if parameter.requires_grad)
    return every / max(every - rows, 1)
