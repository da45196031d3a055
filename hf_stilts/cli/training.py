"""Commands that train: phase two and phase three."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any, Literal

import typer

from hf_stilts.cli.noise import misspelt
from hf_stilts.cli.options import (
    STOCK_FLAGS,
    App,
    Json,
    TaskName,
    ask_hub,
    chosen,
    hush_stock_bars,
    known_task,
    shared_options,
    training_options,
    typed,
)
from hf_stilts.errors import StiltsError
from hf_stilts.options import NAMESPACE_HELP, Options, option
from hf_stilts.task import Task, load_task
from hf_stilts.training import checks
from hf_stilts.training.flags import check_stock_flags
from hf_stilts.training.options import MIXTURE_OPTIONS, StiltsOptions
from hf_stilts.training.recipes import recipe
from hf_stilts.training.start import DEFAULT_BASE

app = App()


@dataclass(frozen=True)
class RunOptions(Options):
    """What `intermediate` and `target` take alike, beside what trainings are told (`StiltsOptions`)."""

    PANELS = {"Run": ("namespace", "public", "resume", "overwrite", "dry_run")}

    noise: str | None = option(None, "Misspell the training rows: keyboard=0.1 (whole per cents); see data noise.")
    noise_seed: int = option(0, "Random seed of words and errors.")
    namespace: str | None = option(None, NAMESPACE_HELP)
    public: bool = option(False, "Make new repositories public; default: private.")
    resume: Literal["auto"] | None = option(
        None, "Continue from the newest checkpoint, local or on the Hub; also upload the training state."
    )
    overwrite: bool = option(False, "Delete the run in --output_dir and train again.")
    dry_run: bool = option(False, "Train and write nothing; print rows, steps, memory, hours, disk, names.")


@app.command(context_settings=STOCK_FLAGS)
@shared_options(RunOptions)
@training_options()
def intermediate(
    context: typer.Context,
    task: Annotated[list[str], typer.Argument(help="Task, by name or path; several tasks are trained as a mixture.")],
    base: Annotated[str, typer.Option(help="Public model to start from.")] = DEFAULT_BASE,
    publish: Annotated[bool, typer.Option(help="Publish every checkpoint on the Hub.", rich_help_panel="Run")] = True,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Phase two: train English intermediate tasks and publish every checkpoint.

    Any field of transformers.TrainingArguments is an option too: --learning_rate 3e-5 --max_steps 500 --output_dir DIR.
    A YAML or JSON file of such fields may stand in the place of TASK (run.yaml); what is typed behind it wins.
    """
    # Options that this command does not know are caught by an argument that takes several words.
    words = [*task, *context.args]
    tasks = list(takewhile(lambda word: not word.startswith("--"), words))
    flags, tasks = words[len(tasks) :], [known_task(name) for name in tasks]
    run = typed(RunOptions, options)
    options["languages"] = misspelt(options["languages"], run.noise, run.noise_seed)
    _train(
        "intermediate",
        tasks,
        flags,
        chosen(options),
        {"base": base},
        run,
        publish=publish,
        as_json=as_json,
    )


@app.command(context_settings=STOCK_FLAGS)
@shared_options(RunOptions)
@training_options(*MIXTURE_OPTIONS)
def target(
    context: typer.Context,
    task: TaskName,
    init: Annotated[
        str | None, typer.Option(help="Intermediate checkpoint to start from; without it: the baseline.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Public model to start from; with --init: the model that the checkpoint was trained from."),
    ] = None,
    publish: Annotated[bool, typer.Option(help="Publish every checkpoint on the Hub.", rich_help_panel="Run")] = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Phase three: fine-tune on a target task's English rows.

    Any field of transformers.TrainingArguments is an option too: --learning_rate 3e-5 --max_steps 500 --output_dir DIR.
    A YAML or JSON file of such fields may stand in the place of TASK (run.yaml); what is typed behind it wins.
    """
    run = typed(RunOptions, options)
    options["languages"] = misspelt(options["languages"], run.noise, run.noise_seed)
    _train(
        "target",
        [task],
        context.args,
        chosen(options),
        {"init": init, "base": base},
        run,
        publish=publish,
        as_json=as_json,
    )


def _train(
    phase: str,
    tasks: list[str],
    flags: list[str],
    options: dict[str, Any],
    start: dict[str, Any],
    run: RunOptions,
    *,
    publish: bool,
    as_json: bool,
) -> None:
    """Train from what was typed: mistakes in it first, then the Hub, then torch."""
    if not tasks:
        raise StiltsError(f"No task stands before {flags[0]}. Type for example: hf-stilts {phase} mnli {flags[0]} ...")
    mixture = len(tasks) > 1 or any(name in options for name in MIXTURE_OPTIONS)
    if run.public and not publish:
        raise StiltsError("--public says how to publish, and nothing is published. Add --publish, or leave it out.")
    asked = StiltsOptions(**options)
    _check(phase, tasks, flags, asked, run, start, mixture=mixture)
    trained = [each for task in tasks for each in checks.rows_of(task, phase)]
    if checks.mirror_of(asked.data_dir):
        _check_rows(asked, trained)
    ask_hub(start.get("init") or start["base"] or DEFAULT_BASE, data_dir=options.get("data_dir"))
    if not checks.mirror_of(asked.data_dir):
        _check_rows(asked, [task for task in trained if task.train])  # which may have no training rows of its own
    from contextlib import redirect_stdout

    from hf_stilts.console import report_run
    from hf_stilts.evaluation import processes
    from hf_stilts.publishing.callback import PublishCheckpoints
    from hf_stilts.training.run import run_mixture, run_phase

    hush_stock_bars()
    resume = bool(run.resume)
    publisher = None
    if publish:
        publisher = PublishCheckpoints(namespace=run.namespace, private=not run.public, resume=resume)
    if phase == "target":  # where the intermediate checkpoint is looked up, too
        start["namespace"] = run.namespace
    if run.dry_run:
        _dry_run(phase, tasks, flags, publisher, {**start, **options}, mixture=mixture, as_json=as_json)
        return
    how: dict[str, Any] = {"publish": publisher, "resume": resume, "overwrite": run.overwrite}
    with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
        if mixture:
            result = run_mixture(tasks, flags, **how, **start, **options)
        else:
            result = run_phase(phase, tasks[0], flags, **how, **start, **options)
    if processes.processes().is_main_process:  # under torchrun every process has the result; one speaks
        report_run(result, load_task(tasks[0]).reference, as_json=as_json, data_dir=options.get("data_dir"))


def _dry_run(
    phase: str,
    tasks: list[str],
    flags: list[str],
    publisher: Any,
    given: dict[str, Any],
    *,
    mixture: bool,
    as_json: bool,
) -> None:
    """Say what the training would do."""
    from contextlib import redirect_stdout

    from hf_stilts.console import show_dry_run
    from hf_stilts.studies.dry_run import dry_run_mixture, dry_run_phase

    with redirect_stdout(sys.stderr):
        if mixture:
            found = dry_run_mixture(tasks, flags, publish=publisher, **given)
        else:
            found = dry_run_phase(phase, tasks[0], flags, publish=publisher, **given)
    show_dry_run(found, as_json=as_json)


def _check(
    phase: str,
    tasks: list[str],
    flags: list[str],
    options: StiltsOptions,
    run: RunOptions,
    start: dict[str, Any],
    *,
    mixture: bool,
) -> None:
    """Find what is wrong with the words of a command, before torch is imported.

    Raises:
        StiltsError: an unknown task, flag, recipe or language; options that do not go together; a folder in use.
        FileNotFoundError: a file or folder that is not there.
    """
    trained = [checks.trained_by(task, phase) for task in tasks]
    by_name = checks.mixture_tasks(tasks) if mixture else {}
    if mixture:
        checks.check_mixture(options, by_name)
    else:
        checks.check_trained(trained[0])
        checks.check_options(options, trained[0])
    for task in trained:
        recipe(options.recipe, task, phase)
    checks.check_typed_languages(options, trained)
    checks.check_typed_paths(options)
    typed = check_stock_flags(flags)
    from hf_stilts.hub.checkpoints import check_name  # the Hub's client, which the mistakes above need not wait for
    from hf_stilts.training import folder

    for name in filter(None, (start.get("init"), start["base"])):
        check_name(name.partition("@")[0])
    if mixture:
        place = folder.mixture_folder(by_name, options)
    else:
        place = folder.run_folder(phase, load_task(tasks[0]), options)
    folder.check_free(typed or place, resume=bool(run.resume), overwrite=run.overwrite)
    if run.resume:
        folder.check_steps(typed or place, flags)


def _check_rows(options: StiltsOptions, tasks: list[Task]) -> None:
    """Look whether the rows of tasks are there, before a model is loaded.

    Raises:
        StiltsError: a task has no training rows in a language, or the mirror not those that were asked for.
        FileNotFoundError: the mirror lacks a data set.
    """
    if tasks:
        from hf_stilts.training.stored import check_rows  # which imports data sets

        check_rows(options, tasks)
