"""One phase as one call: arguments from a recipe and the stock flags, training, publishing, and what came of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import EarlyStoppingCallback, ProgressCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.naming import step_tag
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.models.transfer import Transfer
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.publishing.resume import newest_checkpoint
from hf_stilts.publishing.saved import newest_saved, saved_steps
from hf_stilts.task import Task, load_task, lower_is_better
from hf_stilts.training.arguments import StiltsArguments, arguments, typed_options
from hf_stilts.training.budget_guard import BudgetGuard
from hf_stilts.training.checks import check_mixture, check_options, mixture_tasks
from hf_stilts.training.dual_encoder import DualEncoderTrainer
from hf_stilts.training.flags import deciding, names
from hf_stilts.training.folder import claim, finished_run, mixture_folder, run_folder
from hf_stilts.training.given_data import size
from hf_stilts.training.log_lines import write_log_lines
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.mixture_tasks import mixture_recipe
from hf_stilts.training.options import OPTIONS, StiltsOptions
from hf_stilts.training.recipes import Recipe
from hf_stilts.training.recipes import recipe as load_recipe
from hf_stilts.training.same_run import STEPS, differences, said, settings_of
from hf_stilts.training.start import DEFAULT_BASE, model_and_base
from hf_stilts.training.trainer import IntermediateTrainer, StiltsTrainer, TargetTrainer

logger = logging.getLogger(__name__)

_START = ("model", "base", "revision", "init", "namespace", "keep_head", "after")  # what says where a training starts
TRAINERS: dict[str, type[StiltsTrainer]] = {trainer.phase: trainer for trainer in (IntermediateTrainer, TargetTrainer)}


def run_phase(
    phase: str,
    task: str | Task,
    flags: Sequence[str] = (),
    *,
    publish: PublishCheckpoints | None = None,
    resume: bool = False,
    overwrite: bool = False,
    **given: Any,
) -> dict[str, Any]:
    """Train one phase from the command line's words.

    Args:
        phase: `"intermediate"` or `"target"`.
        task: what to train on.
        flags: any flags of `StiltsArguments`, e.g. `["--learning_rate", "3e-5"]`; they win over the recipe.
        publish: sends the checkpoints that are saved.
        resume: go on from the newest whole checkpoint, in the output folder or (with `publish`) on the Hub; from the
            start where there is none. A run that is finished is not trained again, nor are its stages.
        overwrite: train anew where the output folder holds a run, which is deleted. Without it and without `resume`
            such a folder is refused.
        given: options of `StiltsOptions` (recipe, limit, adapter, ...), which win over flags; the rest is passed to the
            phase's Trainer.

    A target that trains on several tasks one after another (XCOPA: SIQA, then COPA) does so here, body and head going
    on; each stage but the last has a folder of its name in the output folder, and only the last is published.

    Returns:
        Task, folder, steps, seconds, the score on English dev and where the body came from. The final model and its
        tokenizer lie in the folder.
    """
    task = load_task(task)
    own = {name: given.pop(name) for name in OPTIONS if name in given}
    options = typed_options(flags, own)
    if phase == TargetTrainer.phase and len(task.train) > 1:
        figures = load_recipe(options.recipe, task, phase)
        folder = arguments(figures, ["--output_dir", f"runs/{phase}-{task.name}", *flags]).output_dir
        how: dict[str, Any] = {**own, "resume": resume, "overwrite": overwrite}
        claim(folder, resume=resume, overwrite=overwrite)
        before, start = _before(task, flags, folder, how, given)
        result = run_phase(phase, task.train[-1], [*flags, "--output_dir", folder], publish=publish, **how, **start)
        return result | {"task": task.name, "body": f"Body and head come from {before}."}
    figures, args = phase_arguments(phase, task, flags, own)
    claim(args.output_dir, resume=resume, overwrite=overwrite)
    trainer = phase_trainer(phase, task, args, **given)
    return _carry_out(trainer, task.name, figures, flags, publish, resume)


def run_mixture(
    tasks: Sequence[str | Task],
    flags: Sequence[str] = (),
    *,
    publish: PublishCheckpoints | None = None,
    resume: bool = False,
    overwrite: bool = False,
    **given: Any,
) -> dict[str, Any]:
    """Train phase two on several tasks at once, from the command line's words.

    Args:
        tasks: what to train on, in any order.
        flags: as for `run_phase`. With `--per_device_train_batch_size` all tasks have that batch, else each its
            recipe's.
        publish: as for `run_phase`.
        resume: as for `run_phase`.
        overwrite: as for `run_phase`.
        given: options of `StiltsOptions` (name, sampler, languages, ...); the rest is passed to `MixtureTrainer`.

    Returns:
        As `run_phase`, with the main score of each task.
    """
    own = {option: given.pop(option) for option in OPTIONS if option in given}
    whole, args = mixture_arguments(tasks, flags, own)
    claim(args.output_dir, resume=resume, overwrite=overwrite)
    trainer = mixture_trainer(tasks, flags, args, **given)
    return _carry_out(trainer, trainer.name, whole, flags, publish, resume)


def phase_arguments(
    phase: str, task: Task, flags: Sequence[str], own: Mapping[str, Any]
) -> tuple[Recipe, StiltsArguments]:
    """Recipe and arguments of the training of one task, from the command line's words.

    Args:
        phase: as for `run_phase`.
        task: what is trained on, at once and not in stages.
        flags: as for `run_phase`.
        own: options of `StiltsOptions` by name, which win over flags.

    Raises:
        StiltsError: options that do not go together, or a flag that there is not.
    """
    options = typed_options(flags, own)
    trained = TRAINERS[phase].training_task(task, options.text_to_text)
    check_options(options, trained)
    figures = load_recipe(options.recipe, trained, phase)
    return figures, arguments(figures, ["--output_dir", run_folder(phase, task, options), *flags], own)


def phase_trainer(phase: str, task: Task, args: StiltsArguments, **given: Any) -> StiltsTrainer:
    """The Trainer of one task, with its model and data loaded.

    Args:
        phase: as for `run_phase`.
        task: what is trained on.
        args: of `phase_arguments`.
        given: further keywords of the Trainer.
    """
    trained = TRAINERS[phase].training_task(task, bool(args.text_to_text))
    if trained.declaration.in_batch_negatives:
        return DualEncoderTrainer(args=args, task=task, phase=phase, **given)
    return TRAINERS[phase](args=args, task=task, **given)


def mixture_arguments(
    tasks: Sequence[str | Task], flags: Sequence[str], own: Mapping[str, Any]
) -> tuple[Recipe, StiltsArguments]:
    """As `phase_arguments`, of a mixture."""
    loaded = mixture_tasks(tasks)
    options = typed_options(flags, own)
    check_mixture(options, loaded)
    whole = mixture_recipe(_recipes(loaded, options))
    return whole, arguments(whole, ["--output_dir", mixture_folder(loaded, options), *flags], own)


def mixture_trainer(
    tasks: Sequence[str | Task], flags: Sequence[str], args: StiltsArguments, **given: Any
) -> MixtureTrainer:
    """As `phase_trainer`, of a mixture; tasks have batches of their own unless a flag says one for all."""
    loaded = mixture_tasks(tasks)
    if "per_device_train_batch_size" not in names(flags):
        sizes = {name: each.batch_size for name, each in _recipes(loaded, args).items()}
        given.setdefault("batch_sizes", sizes)
    return MixtureTrainer(args=args, tasks=[*loaded.values()], **given)


def _recipes(tasks: Mapping[str, Task], options: StiltsOptions) -> dict[str, Recipe]:
    return {name: load_recipe(options.recipe, task, MixtureTrainer.phase) for name, task in tasks.items()}


def _carry_out(
    trainer: StiltsTrainer,
    task: str,
    figures: Recipe,
    flags: Sequence[str],
    publish: PublishCheckpoints | None,
    resume: bool,
) -> dict[str, Any]:
    """Train, keep the final model, and say what came of it."""
    args = trainer.args
    write_log_lines(trainer)
    patience = evaluate_within(trainer, figures, names(flags))
    if publish is not None:
        trainer.add_callback(publish)
    done = _finished(trainer) if resume else None
    if done is None:
        start = newest(trainer, publish) if resume else None
        if start is not None and patience is not None:
            _go_on_waiting(patience, Path(start), trainer)
        try:
            result = trainer.train(resume_from_checkpoint=start)
        except KeyboardInterrupt:
            logger.warning("%s", _interrupted(trainer, publish, resume))
            raise
        trainer.save_model(args.output_dir)
        steps, seconds = trainer.state.global_step, round(result.metrics["train_runtime"], 1)
    else:
        _take_up(trainer, done, publish)
        steps, seconds = done.step, 0.0
    metrics = trainer.evaluate() if trainer.eval_dataset is not None else {}
    collapsed = ", ".join(name for name, data in trainer.task_data.items() if data.one_answer)
    return {
        "phase": trainer.phase,
        "task": task,
        "folder": args.output_dir,
        "steps": steps,
        "seconds": seconds,
        **{metric: metrics.get(f"eval_{metric}") for metric in trainer.main_metrics},
        **({"collapsed": collapsed} if collapsed else {}),
        "body": str(trainer.transfer) if trainer.transfer else None,
        **_published(trainer, publish),
    }


def _published(trainer: StiltsTrainer, publish: PublishCheckpoints | None) -> dict[str, str]:
    """Where the checkpoints went and what became of them; by the full name, once the Hub has said whose it is."""
    if publish is None or publish.report is None:
        return {}
    full = [pending.repo_id for pending in publish.report.checkpoints]
    where = full[-1] if full else publish.destination(trainer.args, trainer.model)
    return {"published": f"{where}: {publish.report}"}


def _finished(trainer: StiltsTrainer) -> Record | None:
    """Record of the finished run that the output folder holds, where it is this very run; None: there is to train.

    A run that is asked for more steps than were trained goes on.

    Raises:
        StiltsError: it was trained with other settings, or for more steps than are asked for.
    """
    args = trainer.args
    record = finished_run(args.output_dir)
    if record is None:
        return None
    found = differences(settings_of(record), trainer.settings())
    total = planned_steps(trainer)
    if any(name in STEPS for name in found) and total is not None and total > record.step:
        return None
    if found:
        raise StiltsError(
            f"{args.output_dir} holds a finished run of {record.step} steps: {said(found)}. Nothing was trained. Pass "
            "the same settings or leave them out, more steps to go on, another --output_dir, or --overwrite in place "
            "of --resume to train anew and lose it."
        )
    logger.warning("%s holds this run, finished at step %d; it is not trained again.", args.output_dir, record.step)
    return record


def _take_up(trainer: StiltsTrainer, done: Record, publish: PublishCheckpoints | None) -> None:
    """Give a Trainer the final model of a finished run, and send what was not sent of its checkpoints."""
    folder = trainer.args.output_dir
    start = newest_saved(folder) if publish is not None else None
    if start is not None:
        trainer.resuming.nothing_left = True
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, BudgetGuard):
                callback.recipe = None  # there is no training to compare with it
        bars = trainer.pop_callback(ProgressCallback)
        trainer.train(resume_from_checkpoint=str(start))
        if bars is not None:
            trainer.add_callback(bars)
    trainer._load_from_checkpoint(folder)
    best = done.recipe.get("best_step")
    trainer.state.global_step = int(best) if isinstance(best, int) else done.step  # whose weights these are
    trainer.state.best_global_step = None


def planned_steps(trainer: StiltsTrainer) -> int | None:
    """Optimizer steps that a training takes unless it stops early; None where its data are a stream."""
    args = trainer.args
    if args.max_steps > 0:
        return int(args.max_steps)
    rows = size(trainer.train_dataset)
    if rows is None:
        return None
    batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    return math.ceil(math.ceil(rows / batch) * args.num_train_epochs)


def _interrupted(trainer: StiltsTrainer, publish: PublishCheckpoints | None, resume: bool) -> str:
    """Say what an interrupted training leaves: the checkpoint that is saved, what was sent, and how to go on."""
    folder, state = trainer.args.output_dir, trainer.state
    saved = saved_steps(folder)
    kept = f"The last checkpoint is {step_tag(max(saved))}, in {folder}." if saved else "No checkpoint was saved yet."
    lines = [f"Interrupted at step {state.global_step} of {state.max_steps}. {kept}"]
    report = publish.interrupt() if publish is not None else None
    if report is not None:
        lines.append(str(report))
        if not report.ok:
            lines.append("The upload worker goes on in the background with what waits.")
    lines.append(f"To go on, type the same command{'' if resume else ' with --resume auto'}.")
    return "\n".join(lines)


def _go_on_waiting(patience: EarlyStoppingCallback, checkpoint: Path, trainer: StiltsTrainer) -> None:
    """Count the evaluations without improvement on from a checkpoint; a run that had stopped early is not taken up.

    The stock Trainer begins to count anew, and would train a finished run for a whole patience more at every resume.
    """
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    kept = state.stateful_callbacks.get(type(patience).__name__, {})
    waited = (kept[-1] if isinstance(kept, list) else kept).get("attributes", {})
    patience.early_stopping_patience_counter = waited.get("early_stopping_patience_counter", 0)
    trainer.resuming.nothing_left = patience.early_stopping_patience_counter >= patience.early_stopping_patience


def _before(
    task: Task, flags: Sequence[str], folder: str, how: dict[str, Any], given: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Train all stages of a target but the last; the folder of the last of them, and how the next one starts.

    A stage is finished when its record lies in its folder, which `save_model` writes last.
    """
    start = dict(given)
    for name in task.train[:-1]:
        stage = Path(folder) / name
        if how["resume"] and finished_run(stage) is not None:
            _check_flags(stage, flags)
            _check_start(stage, **start)
        else:
            run_phase("target", name, [*flags, "--output_dir", str(stage)], **how, **start)
        PartialState().wait_for_everyone()  # the first process writes what all of them read next
        start = {key: value for key, value in start.items() if key not in _START}
        start |= {"init": str(stage), "keep_head": True}
    return stage, start


def _check_flags(stage: Path, flags: Sequence[str]) -> None:
    """Refuse a finished stage that was trained with other flags, as far as its record says.

    Raises:
        StiltsError: it was.
    """
    record = Record.from_json((stage / RECORD_FILE).read_bytes())
    trained = {**record.recipe, "seed": record.seed}
    before = deciding([word for name, value in trained.items() for word in (f"--{name}", str(value))])
    found = {name: (trained[name], *values) for name, values in deciding(flags).items() if before.get(name) != values}
    differing = {name: values for name, values in found.items() if name in trained and len(values) == 2}
    if differing:
        raise StiltsError(
            f"{stage} was trained with other settings: {said(differing)}. Nothing was done. Pass the same settings, "
            "another --output_dir, or --overwrite in place of --resume to train it anew."
        )


def _check_start(
    stage: Path,
    *,
    model: Any = None,
    base: str | None = None,
    init: str | None = None,
    namespace: str | None = None,
    keep_head: bool = False,
    **_: Any,
) -> None:
    """Refuse a finished stage that did not start where this run does."""
    model, base = model_and_base(model, base)
    if keep_head or model is not None:
        return  # the stage before was checked; a model object does not say where it is from
    found = resolve(init, base=base, namespace=namespace) if init else None
    name, commit = (found.repo_id, found.commit) if found else (base or DEFAULT_BASE, None)
    wanted = Transfer(name, commit, 0, ()).parent
    parent = Record.from_json((stage / RECORD_FILE).read_text(encoding="utf-8")).parent
    if parent is None or parent.id != wanted.id or (wanted.commit or parent.commit) != parent.commit:
        raise StiltsError(
            f"{stage} was trained from {parent.id if parent else 'nothing'}; this run starts from {wanted.id}. Nothing "
            "was done. Pass another --output_dir, or --overwrite in place of --resume to train it anew."
        )


def newest(trainer: StiltsTrainer, publish: PublishCheckpoints | None) -> str | None:
    """Folder of the newest checkpoint of this very run, fetched from the branch `resume` if the Hub's is newer."""
    if publish is None:
        found = newest_saved(trainer.args.output_dir)
    else:
        destination = publish.destination(trainer.args, trainer.model, trainer.record)
        publishes = trainer.is_world_process_zero()
        with trainer.args.main_process_first(local=False):  # which fetches it; the others find it in the folder
            found = newest_checkpoint(trainer.args.output_dir, destination, claim=publishes)
    return str(found) if found else None


def evaluate_within(trainer: StiltsTrainer, figures: Recipe, given: Sequence[str]) -> EarlyStoppingCallback | None:
    """Evaluate and save at the recipe's pace, at least once in a short run, and stop early where the recipe does.

    What was given as a flag stays as it is; where checkpoints are then not evaluated as they are saved, the last one is
    kept instead of the best, with a warning unless evaluating or saving was turned off.
    """
    args = trainer.args
    total = planned_steps(trainer)
    pace = figures.eval_steps if total is None else min(figures.eval_steps, max(1, total))
    for name, value in {"eval_strategy": "steps", "eval_steps": pace, "save_steps": pace}.items():
        if name not in given:
            setattr(args, name, value)
    args.__post_init__()
    strategies = (args.eval_strategy, args.save_strategy)
    if figures.selects and "load_best_model_at_end" not in given and "no" not in strategies:
        if strategies[0] == strategies[1] and (strategies[0] != "steps" or args.save_steps % args.eval_steps == 0):
            args.load_best_model_at_end = True
            if "metric_for_best_model" not in given:
                sets = trainer.eval_dataset if isinstance(trainer.eval_dataset, dict) else {}
                of_set = "".join(f"{name}_" for name in [*sets][:1] if len(trainer.main_metrics) == 1)
                args.metric_for_best_model = of_set + trainer.main_metrics[0]
            if "greater_is_better" not in given:
                args.greater_is_better = not lower_is_better(str(args.metric_for_best_model))
        else:
            logger.warning(
                "The last checkpoint will be kept, not the best on dev: it evaluates by %s (%g) and saves by %s (%g). "
                "Pass equal strategies, and --save_steps that is a multiple of --eval_steps.",
                *(strategies[0].value, args.eval_steps, strategies[1].value, args.save_steps),
            )
    if trainer.phase == TargetTrainer.phase and "save_total_limit" not in given:
        args.save_total_limit = 2  # nobody asks for the steps of a target, and XNLI has hundreds of them
    if not (figures.patience and args.load_best_model_at_end):
        return None
    patience = EarlyStoppingCallback(early_stopping_patience=figures.patience)
    trainer.add_callback(patience)
    return patience
