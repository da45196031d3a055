"""Commands of studies: which there are, what one would cost, running it, where it stands, and its tables."""

from __future__ import annotations

from typing import Annotated

import typer

from hf_stilts.cli.options import Json

app = typer.Typer(help="Comparisons of intermediate tasks as one command each.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A study by name, or the path of a Python file that defines STUDY.")]
Scale = Annotated[str, typer.Option(help="full, or small: what one laptop can do.")]


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


def _arm(arm: dict[str, object] | None) -> str:
    """An arm on one line: its tasks, then what else is set."""
    if arm is None:
        return " no intermediate training"
    said = " ".join(f"{name}={value}" for name, value in arm.items() if name != "tasks")
    return f" {' '.join(arm['tasks'])} {said}".rstrip()  # type: ignore[arg-type]
