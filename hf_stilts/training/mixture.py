"""Intermediate training on several tasks at once: one encoder, a head for each task, one task per optimizer step.

How it is built, for whoever trains or measures with it:

- `MixtureTrainer(model, args, tasks=["mnli", "squad_v2"], sampler="proportional")` is a `StiltsTrainer` of the
  phase "intermediate"; it comes through `StiltsTrainer._begin` as every phase does.
- `trainer.model` is a `hf_stilts.training.heads.SharedBody`: `model.body` is the stock `AutoModel`, `model.heads[task]`
  the stock model of that task's kind whose body modules are the same objects. `model(task="mnli", **batch)` gives what
  `model.heads["mnli"](**batch)` gives.
- `trainer.train_dataset` is a `Pool`; `trainer.plan` a `hf_stilts.training.samplers.Plan`, a pure function of seed and
  step. A batch is what the task's kind makes of it, and `"task"`.
- `trainer.members[task]` holds the task, its kind, features, rows and batch size.
"""
