"""Commands of studies: which there are, what one would take, running it, where it stands, and its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hf_stilts.cli.options import App, DataDir, Json, Namespace, split_list
from hf_stilts.errors import StiltsError

app = App(help="Comparisons of intermediate tasks as one command each.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A study by name, or the path of a Python file that defines STUDY.")]
Scale = Annotated[Literal["full", "small"], typer.Option(help="small: what one laptop can do.")]
OutputDir = Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/study-NAME.")]
Available = Annotated[bool, typer.Option("--available", help="Leave out the languages and cells without rows here.")]
Base = Annotated[list[str] | None, typer.Option(help="Public model or folder instead of the study's; may be repeated.")]
Arm = Annotated[list[str] | None, typer.Option("--arm", help="Only this arm of the study; may be repeated.")]
Targets = Annotated[str | None, typer.Option(help="Comma-separated, instead of the study's.")]
Languages = Annotated[str | None, typer.Option(help="Score only these, comma-separated.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="So many, from 0.")]
MaxSteps = Annotated[int | None, typer.Option(min=1, help="Of every training.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Score at most so many rows of each language.")]
TrainLimit = Annotated[int | None, typer.Option(min=1, help="Train on at most so many rows.")]
_OVERRIDES = ("scale", "base", "arms", "targets", "languages", "seeds", "max_steps", "limit", "train_limit")


@app.command("list")
def study_list(as_json: Json = False) -> None:
    """List the studies."""
    from hf_stilts.console import show
    from hf_stilts.studies.study import list_studies, load_study

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
    from hf_stilts.studies.study import describe_study, load_study, scaled

    fields = describe_study(scaled(load_study(study), scale))
    if not as_json:
        fields["arms"] = [f"{name}:{_arm(arm)};" for name, arm in fields["arms"].items()]
        del fields["small"]
    show_object(fields, as_json=as_json)


@app.command("plan")
def study_plan(
    study: Name,
    scale: Scale = "full",
    base: Base = None,
    arms: Arm = None,
    targets: Targets = None,
    languages: Languages = None,
    seeds: Seeds = None,
    max_steps: MaxSteps = None,
    limit: Limit = None,
    train_limit: TrainLimit = None,
    output_dir: OutputDir = None,
    data_dir: DataDir = None,
    available: Available = False,
    namespace: Namespace = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Examples a second in training, for the hours.")] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure the hours: a few steps of each training on this machine.")
    ] = False,
    cells: Annotated[bool, typer.Option("--cells", help="Also a line for every cell.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a study takes: cells by state, what each arm reads, hours, storage. Nothing is downloaded or trained.

    But with --probe: then a few steps of each kind of training are, which needs the data and the base.
    """
    from hf_stilts.console import show_plan
    from hf_stilts.studies.plan import plan

    chosen = _chosen(locals())
    if probe and rate:
        raise StiltsError("--rate states a speed and --probe measures it; both were given. Leave out one.")
    found = plan(
        chosen,
        output_dir=output_dir or _default_folder(chosen.name),
        data_dir=data_dir,
        namespace=namespace,
        rate=rate,
        measure=_probed if probe else None,
        available=available,
    )
    show_plan(found, cells=cells, as_json=as_json)


@app.command("run")
def study_run(
    study: Name,
    scale: Scale = "full",
    base: Base = None,
    arms: Arm = None,
    targets: Targets = None,
    languages: Languages = None,
    seeds: Seeds = None,
    max_steps: MaxSteps = None,
    limit: Limit = None,
    train_limit: TrainLimit = None,
    output_dir: OutputDir = None,
    data_dir: DataDir = None,
    available: Available = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that work at a time; with GPUs one for each.")] = 1,
    redo_broken: Annotated[
        bool, typer.Option("--redo-broken", help="Do the cells again whose record or weights are broken.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Do the cells of a study that are missing; stopped at any moment, the same command goes on where it was."""
    from hf_stilts.console import say, say_next, show, tell_cell
    from hf_stilts.studies.run import run_study

    chosen = _chosen(locals())
    folder = output_dir or _default_folder(chosen.name)
    result = run_study(
        chosen,
        folder,
        workers=workers,
        data_dir=data_dir,
        available=available,
        redo_broken=redo_broken,
        tell=tell_cell,
    )
    if as_json:
        show([vars(result)], as_json=True)
    else:
        numbers = f"{len(result.done)} cells done, {result.before} were before"
        numbers += f", {len(result.failed)} failed" if result.failed else ""
        numbers += f", {len(result.waiting)} wait for these" if result.waiting else ""
        say(numbers + (f", {len(result.left_out)} left out" if result.left_out else "") + ".")
    say_next(["study", "status" if result.failed else "report", study, "--output-dir", str(folder)], as_json=as_json)
    if result.failed:
        raise typer.Exit(1)


@app.command("status")
def study_status(
    study: Name,
    output_dir: OutputDir = None,
    cells: Annotated[bool, typer.Option("--cells", help="Also a line for every cell.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a run stands: cells by state, what failed and the last line of its log, what to type."""
    from hf_stilts.console import show_status
    from hf_stilts.studies.status import status

    name = _name(study)
    folder = output_dir or _default_folder(name)
    show_status(status(name, folder), study, folder, cells=cells, as_json=as_json)


@app.command("report")
def study_report(
    study: Name,
    output_dir: OutputDir = None,
    formats: Annotated[str, typer.Option("--format", help="Of the files: md, csv, latex, comma-separated.")] = "md,csv",
    out: Annotated[Path | None, typer.Option(help="Folder of the files; default: report/ in --output-dir.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Draws over the examples of a language; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    as_json: Json = False,
) -> None:
    """Make the tables of a study from whatever is finished: scores, gains, gaps; what is missing is named."""
    from hf_stilts.console import show_study_report
    from hf_stilts.studies.tables import study_report as make

    name = _name(study)
    folder = output_dir or _default_folder(name)
    report = make(name, folder, bootstrap=bootstrap, seed=seed)
    files = report.write(out or folder / "report", split_list(formats) or [])
    show_study_report(report, files, as_json=as_json)


def _probed(cells: Any) -> Any:
    """Speeds of some cells on this machine; what the trainings print goes to standard error."""
    import sys
    from contextlib import redirect_stdout

    from hf_stilts.studies.probe import probe

    with redirect_stdout(sys.stderr):
        return probe(cells)


def _chosen(given: dict[str, Any]) -> Any:
    """The study that was named, with what the command says in place of its own fields."""
    from hf_stilts.studies.study import load_study, overridden

    changes = {name: given[name] for name in _OVERRIDES}
    changes |= {
        name: tuple(listed) if (listed := split_list(given[name])) else None for name in ("targets", "languages")
    }
    changes["base"] = tuple(given["base"]) if given["base"] else None
    return overridden(load_study(given["study"]), **changes)


def _name(study: str) -> str:
    """Name of a study that was run, also where its file is not here any more."""
    return Path(study).stem if study.endswith(".py") else study


def _default_folder(name: str) -> Path:
    return Path(f"runs/study-{name}")


def _arm(arm: dict[str, Any] | None) -> str:
    """An arm on one line: its tasks, then what else is set."""
    if arm is None:
        return " no intermediate training"
    said = " ".join(f"{name}={value}" for name, value in arm.items() if name != "tasks")
    return f" {' '.join(arm['tasks'])} {said}".rstrip()
