"""Run under torchrun by test_two_processes.py: trains one step on 8 rows and writes the gradient norm and the loss."""

import json
import sys
from pathlib import Path

from accelerate import PartialState
from toy_tasks import PAIRS, rows
from transformers import TrainingArguments

from hf_stilts.training.trainer import IntermediateTrainer

folder, per_device = Path(sys.argv[1]), int(sys.argv[2])
args = TrainingArguments(
    str(folder / "run"), use_cpu=True, max_steps=1, logging_steps=1, save_strategy="no", max_grad_norm=1e9,
    per_device_train_batch_size=per_device,
)  # fmt: skip
data = rows(PAIRS)
trainer = IntermediateTrainer(str(folder / "public"), args, task=PAIRS, train_dataset=data, eval_dataset=data)
trainer.train()
predictions = trainer.predict(trainer.eval_dataset).predictions
if trainer.is_world_process_zero():
    log = trainer.state.log_history[0]
    result = {"grad_norm": log["grad_norm"], "loss": log["loss"], "predictions": len(predictions)}
    (folder / f"{args.world_size}.json").write_text(json.dumps(result))
PartialState().destroy_process_group()  # its threads, left alone, may abort the process at the very end
