"""Dual encoders on twelve questions and answers of a few words."""

from datasets import Dataset
from transformers import TrainingArguments

from hf_stilts.task import Task
from hf_stilts.training.dual_encoder import DualEncoderTrainer

SEARCH = Task(kind="sentence-similarity", dataset="x/y", name="search", metric="mrr@20")


OPTIONS = ("pooling", "logit_scale", "both_directions", "batches")


WORDS = "house dog book city old small red cat teacher river one two".split()


def rows(count=12):
    return Dataset.from_list(
        [
            {"id": str(row), "query": f"where is the {WORDS[row]}", "candidate": f"the {WORDS[row]} is {WORDS[-row]}"}
            for row in range(count)
        ]
    )


def trainer(folder, public, data=None, evaluated=None, model=None, **settings):
    own = {key: settings.pop(key) for key in list(settings) if key in OPTIONS}
    arguments = {"per_device_train_batch_size": 4, "max_steps": 6, "logging_steps": 1, "learning_rate": 1e-3}
    args = TrainingArguments(str(folder), use_cpu=True, **{"save_strategy": "no", **arguments, **settings})
    data = rows() if data is None else data
    return DualEncoderTrainer(
        public, args, task=SEARCH, train_dataset=data, eval_dataset=evaluated or rows(), max_length=32, **own
    )
