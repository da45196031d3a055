"""A Trainer with guards, and what spoils its weights."""

import math

import tiny
import torch
from toy_tasks import PAIRS, rows
from transformers import TrainerCallback, TrainingArguments

from hf_stilts.training.trainer import IntermediateTrainer


class Spoil(TrainerCallback):
    """Makes one weight NaN before a step, as an overflow would."""

    def __init__(self, step, value=math.nan):
        self.step, self.value, self.ended = step, value, 0

    def on_step_begin(self, args, state, control, model=None, **_):
        if state.global_step == self.step:
            with torch.no_grad():
                model.classifier.out_proj.weight[0, 0] = self.value

    def on_train_end(self, *_, **__):
        self.ended += 1


def trainer(tmp_path, task=PAIRS, callbacks=(), **settings):
    settings = {"per_device_train_batch_size": 4, "max_steps": 6, "save_steps": 2, "logging_steps": 1, **settings}
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, **settings)
    data = rows(task)
    return IntermediateTrainer(tiny.save(tmp_path / "public"), args, task=task, train_dataset=data, eval_dataset=data,
                               callbacks=callbacks)  # fmt: skip
