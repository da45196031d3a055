"""Run under torchrun by test_dual_encoder.py: one step on 8 pairs; writes the loss, the gradients and the new scale."""

import json
import sys
from pathlib import Path

from accelerate import PartialState
from dual_encoders import rows, trainer
from transformers import TrainerCallback

folder, per_device = Path(sys.argv[1]), int(sys.argv[2])


class Watch(TrainerCallback):
    """Keeps a summary of every gradient just before the optimizer uses it."""

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.seen = {
            name: float(each.grad.double().pow(2).sum().sqrt())
            for name, each in model.named_parameters()
            if each.grad is not None
        }


run = trainer(
    folder / f"run{per_device}", str(folder / "public"), rows(8), rows(8), max_steps=1, both_directions=True,
    per_device_train_batch_size=per_device, max_grad_norm=0, train_sampling_strategy="sequential",
)  # fmt: skip
watch = Watch()
run.add_callback(watch)
run.train()
if run.is_world_process_zero():
    gradients = {name.removeprefix("module."): norm for name, norm in watch.seen.items()}
    result = {
        "loss": run.state.log_history[0]["loss"], "gradients": gradients, "scale": run.model.logit_scale.item(),
    }  # fmt: skip
    (folder / f"{run.args.world_size}.json").write_text(json.dumps(result))
PartialState().destroy_process_group()  # its threads, left alone, may abort the process at the very end
