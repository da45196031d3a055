"""Run under torchrun by test_microbatches.py: two clipped steps of every kind, the weights of rank 0 written to a file.

Rows are dealt out so that one process gets the long ones: it cuts into more micro-batches than the other.
"""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from kind_cases import TASKS, built
from transformers import TrainingArguments

from hf_stilts.training.trainer import IntermediateTrainer

folder = Path(sys.argv[1])
found = {}
for kind in TASKS:
    if kind == "fill-mask":  # its masks are drawn in the batch
        continue
    _, task, rows = built(kind)
    rows = rows.select([1, 1, 1, 1, 0, 0, 0, 0] * 2)  # row 1 is a long one
    args = TrainingArguments(
        str(folder / "run"), use_cpu=True, max_steps=2, logging_steps=1, save_strategy="no", max_grad_norm=5e-4,
        train_sampling_strategy="sequential", learning_rate=1e-2, optim="sgd", disable_tqdm=True,
    )  # fmt: skip
    args.per_device_train_batch_size = 8 // args.world_size
    trainer = IntermediateTrainer(
        str(folder / "public"), args, task=task, train_dataset=rows, eval_dataset=rows, max_length=32, micro_tokens=40
    )  # fmt: skip
    counts = []
    cut = trainer.micro.batches
    trainer.micro.batches = lambda batches, cut=cut, counts=counts: counts.append(len(cut(batches))) or cut(batches)
    trainer.train()
    logs = [(log["loss"], log["grad_norm"]) for log in trainer.state.log_history if "grad_norm" in log]
    everybody = trainer.accelerator.gather(torch.tensor([counts]))
    found[kind] = {"logs": logs, "weights": trainer.model.state_dict(), "counts": everybody.tolist()}
if trainer.is_world_process_zero():
    torch.save(found, folder / f"{args.world_size}.pt")
PartialState().destroy_process_group()  # its threads, left alone, may abort the process at the very end
