"""A stock Trainer on a tiny random classifier, to be run in a process of its own by the publishing tests.

`python stock_run.py OUTPUT_DIR '{"steps": 6, "publish": {"repo_id": "me/tiny"}, "args": {}}'` prints the
report. HF_ENDPOINT is read when Hugging Face is first imported, hence the process.
"""

import json
import os
import signal
import sys
from pathlib import Path

import tiny
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.publishing.outbox import Pace

# A busy machine takes seconds to start the worker.
IMPATIENT = Pace(first_wait=0.1, longest_wait=0.5, timeout=20.0, patience=30.0)


class Broken(Exception):
    """A training that breaks off: its process is gone, and the upload worker knows that no more will come."""


class KillAt(TrainerCallback):
    """SIGKILL this process at the end of a step."""

    def __init__(self, step, publish):
        self.step, self.publish = step, publish

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.end()

    def end(self):
        os.kill(os.getpid(), signal.SIGKILL)


class BreakAt(KillAt):
    """In place of `KillAt`: end the training alone, as if its process had been killed."""

    def end(self):
        self.publish._outbox.close()  # the upload worker sends what is there, and ends
        raise Broken


def classifier(seed=0):
    dropout = {"hidden_dropout_prob": 0.1, "classifier_dropout": 0.1}  # so that random states matter
    return tiny.with_head(AutoModelForSequenceClassification, seed=seed, num_labels=2, **dropout)


def data(tokenizer, rows=8):
    texts = ["the cat reads", "a dog sings"] * (rows // 2)
    return Dataset.from_dict({**tokenizer(texts, padding="max_length", max_length=8), "labels": [0, 1] * (rows // 2)})


def record():
    return Record(
        tasks=(TaskSource("mnli", "nyu-mll/multi_nli", revision="a" * 40, rows=8, license="cc-by-3.0"),),
        parent=ParentModel("FacebookAI/xlm-roberta-base", "b" * 40, "mit"),
        languages=("en",),
    )


def run(
    output_dir,
    steps=6,
    save_steps=2,
    publish=None,
    args=None,
    seed=0,
    tokenizer=True,
    kill_at=None,
    model=None,
    resume_from=None,
):
    torch.set_num_threads(1)
    words = tiny.tokenizer()
    publish = dict(publish or {"repo_id": "me/tiny"})
    if publish.pop("with_record", False):
        publish["record"] = record()
    publish["pace"] = Pace(**{**vars(IMPATIENT), **publish.get("pace", {})})
    callback = PublishCheckpoints(**publish)
    if isinstance(model, str):
        model = AutoModelForSequenceClassification.from_pretrained(model)
    trainer = Trainer(
        model or classifier(seed),
        TrainingArguments(
            str(output_dir),
            max_steps=steps,
            save_steps=save_steps,
            per_device_train_batch_size=2,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            **(args or {}),
        ),
        train_dataset=data(words),
        eval_dataset=data(words),
        processing_class=words if tokenizer else None,
        compute_metrics=lambda output: {"accuracy": float((output.predictions.argmax(-1) == output.label_ids).mean())},
        callbacks=[callback, *([KillAt(kill_at, callback)] if kill_at else [])],
    )
    trainer.train(resume_from_checkpoint=resume_from)
    return trainer, callback.report


if __name__ == "__main__":
    report = run(Path(sys.argv[1]), **json.loads(sys.argv[2]))[1]
    print(report)  # None on any rank but 0
