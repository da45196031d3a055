"""Tiny mixtures, and which task and examples each of their optimizer steps was given.

`torchrun mixtures.py FOLDER PER_STEP ACCUMULATION` trains one and writes what each rank saw.
"""

import json
import os
import sys
from pathlib import Path

import tiny
from accelerate import PartialState
from datasets import Dataset
from toy_tasks import CHOICES, PAIRS, SPANS, TAGS, rows
from transformers import AutoModelForMaskedLM, TrainerCallback, TrainingArguments

from hf_stilts.task import Task
from hf_stilts.training.mixture import MixtureTrainer

TEXT = Task(kind="fill-mask", dataset="x/y", name="text", languages=("en", "de"))
FIVE = (PAIRS, TAGS, CHOICES, SPANS, TEXT)
LINES = {
    "en": ["the cat reads", "a dog sings", "the old city", "the red book of the teacher", "one house"] * 5,
    "de": ["das Haus und die Stadt", "die Stadt ist nicht ein Haus"] * 3,
}


class Witness:
    """Stands before a collator and notes the task and the example numbers of each micro-batch."""

    def __init__(self, collator):
        self.collator = collator
        self.seen = []

    def __call__(self, examples):
        if hasattr(examples[0], "draw"):
            self.seen.append((examples[0].draw.task, [each.draw.example for each in examples]))
        return self.collator(examples)

    def __setattr__(self, name, value):
        if name == "current":
            self.collator.current = value
        else:
            object.__setattr__(self, name, value)


def text():
    return {language: Dataset.from_dict({"text": lines}) for language, lines in LINES.items()}


def public(folder, **config):
    return tiny.save(Path(folder) / "public", model_class=AutoModelForMaskedLM, **config)


def mixture(folder, tasks=FIVE, model=None, args=None, count=16, **settings):
    arguments = {"per_device_train_batch_size": 8, "max_steps": 8, "save_strategy": "no", "logging_steps": 1}
    arguments |= {"report_to": [], "disable_tqdm": True, **(args or {})}
    data = {task.name: rows(task, count) for task in tasks if task in FIVE[:-1]}
    defaults = {"sampler": "uniform", "train_dataset": data, "eval_dataset": data}
    if any(isinstance(task, Task) and task.kind == "fill-mask" for task in tasks):
        defaults["text"] = text()
    run = MixtureTrainer(
        model or public(folder), TrainingArguments(str(Path(folder) / "run"), use_cpu=True, **arguments), tasks=tasks,
        **{**defaults, **settings},
    )  # fmt: skip
    run.data_collator = Witness(run.data_collator)
    return run


def logged(run, *names):
    return [tuple(entry[name] for name in names) for entry in run.state.log_history if "grad_norm" in entry]


if __name__ == "__main__":
    folder, per_step, accumulation = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    run = mixture(
        folder, model=str(folder / "public"), batch_sizes=per_step,
        args={"gradient_accumulation_steps": accumulation, "max_grad_norm": 1e9, "gradient_checkpointing": True},
    )  # fmt: skip
    run.train()
    scores = run.evaluate()
    found = {
        "seen": run.data_collator.seen,
        "log": logged(run, "loss", "grad_norm"),
        "aggregate": scores["eval_aggregate"],
        "rows": {task: len(member.dev[0]) for task, member in run.task_data.items()},
    }
    rank = os.environ.get("RANK", "0")
    (folder / f"{run.args.world_size}-{accumulation}-{rank}.json").write_text(json.dumps(found))
    PartialState().destroy_process_group()  # its threads, left alone, may abort the process at the very end


class StopAt(TrainerCallback):
    """End the training after a step, as a kill would: what follows comes from the checkpoint alone."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step
