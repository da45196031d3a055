"""Commands of studies: which there are, what one would take, running it, where it stands, and its tables."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hf_stilts.cli.options import App, Figures, GroupBy, Json, Namespace, shared_options, split_list, typed
from hf_stilts.errors import StiltsError
from hf_stilts.studies.drawing import check_drawing
from hf_stilts.studies.options import HubOptions, StudyOptions
from hf_stilts.studies.study import describe_study, list_studies, load_study, scaled

app = App(help="Plan, run and report a study: a comparison of intermediate tasks.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a study, or path of a Python file that defines STUDY.")]
Scale = Annotated[Literal["full", "small"], typer.Option(help=StudyOptions.help_for("scale"))]
OutputDir = Annotated[Path | None, typer.Option(help=StudyOptions.help_for("output_dir"))]


@app.command("list")
def study_list(as_json: Json = False) -> None:
    """List the studies."""
    from hf_stilts.console import show

    studies = [load_study(name) for name in list_studies()]
    rows = [
        {
            "name": study.name,
            "question": study.description,
            "arms": list(study.arms) if as_json else len(study.arms),
            "bases": list(study.base) if as_json else len(study.base),
            "targets": list(study.targets),
            "seeds": list(study.seeds) if as_json else len(study.seeds),
        }
        for study in studies
    ]
    show(rows, as_json=as_json, optional=("bases", "seeds", "targets"))


@app.command("show")
def study_show(study: Name, scale: Scale = "full", as_json: Json = False) -> None:
    """Show a study, field by field."""
    from hf_stilts.console import show_object

    fields = describe_study(scaled(load_study(study), scale))
    if not as_json:
        fields["arms"] = [f"{name}:{_arm(arm)};" for name, arm in fields["arms"].items()]
        del fields["small"]
    show_object(fields, as_json=as_json)


@app.command("plan")
@shared_options(StudyOptions)
def study_plan(
    study: Name,
    namespace: Namespace = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Training speed in examples a second, to compute the hours.")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure the speed of this machine with a few steps and rows.")
    ] = False,
    jobs: Annotated[
        str | None, typer.Option(metavar="flavor=NAME", help="Price on Hugging Face Jobs, by the Hub's own list.")
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="Also print a line for every cell.")] = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Show what a study needs: cells, training budget of each arm, hours, storage. Downloads and trains nothing,
    unless --probe measures a few steps of each training and a few rows of each task, which needs data and base.
    """
    from hf_stilts.console import show_plan
    from hf_stilts.studies.plan import plan

    given = typed(StudyOptions, options)
    chosen = given.changed(load_study(study))
    if probe and rate:
        raise StiltsError("--rate states a speed and --probe measures it; both were given. Leave out one.")
    found = plan(
        chosen,
        output_dir=given.folder(chosen.name),
        data_dir=given.data_dir,
        namespace=namespace,
        rate=rate,
        measure=_probed if probe else None,
        available=given.available,
        there=partial(_there, namespace) if namespace else None,
    )
    if jobs is not None:
        _add_price(found, jobs)
    show_plan(found, cells=cells, as_json=as_json)


@app.command("run")
@shared_options(HubOptions)
@shared_options(StudyOptions)
def study_run(
    study: Name,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of worker processes, each with a GPU of its own if there is one.")
    ] = 1,
    redo_broken: Annotated[
        bool, typer.Option("--redo-broken", help="Run cells with a broken record or broken weights again.")
    ] = False,
    slurm: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE,...",
            help="Submit a Slurm job for each cell and exit; options of sbatch: partition=gpu,time=4:00:00,gpus=1.",
        ),
    ] = None,
    array: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --slurm: job arrays, each of N jobs at a time.")
    ] = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run the missing cells of a study; after an interruption the same command continues."""
    if slurm is not None and workers > 1:
        raise StiltsError("--workers is of this machine, and --slurm works on others. Leave out one; see --array.")
    if slurm is None and array is not None:
        raise StiltsError("--array is of Slurm's jobs, and --slurm was not given. Add it: --slurm time=4:00:00")
    from hf_stilts.console import say, say_next, show, tell_cell
    from hf_stilts.studies.run import StudyRun, run_study
    from hf_stilts.studies.slurm import Submission, parse_options, submit_study

    on_hub = typed(HubOptions, options)
    others = [flag for flag, given in {"--slurm": slurm, "--workers": workers > 1}.items() if given]
    if on_hub.jobs and others:
        raise StiltsError(
            f"--jobs works on machines of the Hub, and {others[0]} on others. Leave out one; see at_once=."
        )
    given = typed(StudyOptions, options)
    chosen = given.changed(load_study(study))
    folder = given.folder(chosen.name)
    how: dict[str, Any] = {
        "data_dir": given.data_dir,
        "available": given.available,
        "redo_broken": redo_broken,
        "publish": _publishing(on_hub),
        "tell": tell_cell,
    }
    result: StudyRun | Submission
    if on_hub.jobs is not None:
        result = _on_jobs(on_hub, chosen, folder, how)
    elif slurm is None:
        result = run_study(chosen, folder, workers=workers, **how)
    else:
        result = submit_study(chosen, folder, parse_options(slurm), array=array, **how)
    if as_json:
        show([vars(result)], as_json=True)
    else:
        say(str(result))
    failed = isinstance(result, StudyRun) and bool(result.failed)
    further = "report" if slurm is None and not failed else "status"
    say_next(["study", further, study, "--output-dir", str(folder)], as_json=as_json)
    if failed:
        raise typer.Exit(1)


@app.command("status")
def study_status(
    study: Name,
    output_dir: OutputDir = None,
    cells: Annotated[bool, typer.Option("--cells", help="Also print a line for every cell.")] = False,
    as_json: Json = False,
) -> None:
    """Show the state of a run: cells by state, failed cells with the last line of their log, the next command."""
    from hf_stilts.console import show_status
    from hf_stilts.studies.status import status

    name = _name(study)
    folder = StudyOptions(output_dir=output_dir).folder(name)
    show_status(status(name, folder), study, folder, cells=cells, as_json=as_json)


@app.command("report")
def study_report(
    study: Name,
    output_dir: OutputDir = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats of the files, comma-separated: html, md, csv, latex.")
    ] = "html,md,csv",
    out: Annotated[Path | None, typer.Option(help="Folder for the files; default: report/ in --output-dir.")] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Bootstrap samples of the examples of a language; 0: none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.")] = 0,
    figures: Figures = None,
    group_by: GroupBy = "class",
    as_json: Json = False,
) -> None:
    """Write the report of a study from its finished cells: scores, gains, gaps, plots. Missing cells are named.

    report.html is one file with sortable tables and plots, which loads nothing from elsewhere.
    """
    from hf_stilts.console import say, show_study_report
    from hf_stilts.studies.page import FORMATS, write_report
    from hf_stilts.studies.pictures import study_pictures, write_pictures
    from hf_stilts.studies.tables import check_formats
    from hf_stilts.studies.tables import study_report as make

    name = _name(study)
    wanted = split_list(formats) or []
    check_formats(wanted, FORMATS)
    if figures is not None:
        check_drawing()
    folder = StudyOptions(output_dir=output_dir).folder(name)
    report = make(name, folder, bootstrap=bootstrap, seed=seed)
    files = write_report(report, out or folder / "report", wanted, by=group_by)
    show_study_report(report, files, as_json=as_json)
    if figures is not None:
        drawn = write_pictures(study_pictures(report, by=group_by), figures)
        say(f"Drawn: {figures}: {len(drawn)} files.", as_json=as_json)


@app.command("push")
def study_push(
    study: Name,
    namespace: Namespace = None,
    output_dir: OutputDir = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new dataset repository public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be pushed, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Push the results of a study to the Hub as a dataset repository: its tables, its report and its pictures.

    Its published checkpoints are linked, and put into a collection. Pushing again changes only what changed, and keeps
    what people wrote on the card.
    """
    from hf_stilts.console import say, show_object
    from hf_stilts.hub.reachable import require_hub
    from hf_stilts.studies.push import push_study

    name = _name(study)
    require_hub()
    pushed = push_study(
        name, StudyOptions(output_dir=output_dir).folder(name), namespace, private=not public, dry_run=dry_run
    )
    if as_json:
        show_object(vars(pushed), as_json=True)
        return
    changed = f"{len(pushed.changed)} files changed" if pushed.changed else "nothing changed"
    missing = f", {pushed.missing} cells missing" if pushed.missing else ""
    say(f"{'Would push' if dry_run else 'Pushed'}: datasets/{pushed.repo_id}: {changed}{missing}.")
    for file in pushed.changed if dry_run else ():
        say(f"  {file}")
    if pushed.checkpoints:
        where = f", in the collection {pushed.collection}" if pushed.collection else ""
        say(f"Checkpoints of the study on the Hub: {len(pushed.checkpoints)}{where}.")


def _add_price(plan: Any, jobs: str) -> None:
    """Add the price of a plan on Hugging Face Jobs; why it is not known is said."""
    from hf_stilts.console import warn
    from hf_stilts.hub.reachable import why_unreachable
    from hf_stilts.studies.hub_jobs import parse_jobs, price_of

    flavor = parse_jobs(jobs).flavor
    problem = why_unreachable()
    if problem is not None:
        warn(f"The price of {flavor} is not known: {problem}")
        return
    plan.price_at(flavor, price_of(flavor))


def _on_jobs(given: HubOptions, study: Any, folder: Path, how: dict[str, Any]) -> Any:
    """A run by Hugging Face Jobs; interrupted, it says that they go on."""
    from hf_stilts.console import warn
    from hf_stilts.hub.reachable import require_hub
    from hf_stilts.studies.hub_jobs import parse_jobs, run_on_jobs

    jobs = parse_jobs(str(given.jobs))
    require_hub()
    try:
        return run_on_jobs(study, folder, jobs, max_price=given.max_price, **how)
    except KeyboardInterrupt:
        warn("The jobs that were submitted go on. The same command fetches their results and submits the rest.")
        raise


def _publishing(given: HubOptions) -> Any:
    """What is published of a run; None: nothing."""
    if given.namespace is None:
        return None
    from hf_stilts.studies.published import Publishing

    return Publishing(given.namespace, private=not given.public, targets=given.publish_targets)


def _there(namespace: str, store: Any, found: Any) -> dict[str, str]:
    """Identity -> repository and author of the cells that somebody has published; why none are known is said."""
    from hf_stilts.console import warn
    from hf_stilts.hub.reachable import why_unreachable
    from hf_stilts.studies.published import use_published

    problem = why_unreachable()
    if problem is None:
        there, problem = use_published(store, found, namespace)
        if problem is None:
            return {name: f"{each.repo_id}, by {each.by}" for name, each in there.items()}
    warn(f"Which checkpoints are on the Hub is not known: {problem}")
    return {}


def _probed(cells: Any) -> Any:
    """Speeds of some cells on this machine; what the trainings print goes to standard error."""
    import sys
    from contextlib import redirect_stdout

    from hf_stilts.studies.probe import probe

    with redirect_stdout(sys.stderr):
        return probe(cells)


def _name(study: str) -> str:
    """Name of a study that was run, also where its file is not here any more."""
    return Path(study).stem if study.endswith(".py") else study


def _arm(arm: dict[str, Any] | None) -> str:
    """An arm on one line: its tasks, then what else is set."""
    if arm is None:
        return " no intermediate training"
    said = " ".join(f"{name}={value}" for name, value in arm.items() if name not in ("tasks", "merged", "soup"))
    if "merged" in arm:
        parts = " and".join(_arm(part) for part in arm["merged"])
        return f" merge of{parts}; {said}"
    if "soup" in arm:
        return f" soup of the steps of{_arm(arm['soup'])}; {said}"
    return f" {' '.join(arm['tasks'])} {said}".rstrip()
