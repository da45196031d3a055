"""Commands that ask what is published: what helped which target, and what may help yours."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hf_stilts.cli.options import App, DataDir, Figures, Json, known_task, split_list
from hf_stilts.errors import StiltsError
from hf_stilts.studies.drawing import check_drawing
from hf_stilts.task import load_task

app = App()
Whose = Annotated[str | None, typer.Option("--namespace", help="Whose models; default: anybody's.")]
FromBase = Annotated[str | None, typer.Option("--base", help="Only models that began with this public model.")]
Results = Annotated[
    list[Path] | None,
    typer.Option(
        "--results", help="Also your own: folder of evaluate xtreme, or repository of study push; may be repeated."
    ),
]
Derived = Annotated[
    bool, typer.Option("--derived", help="Also what others trained from these models, by the scores on their cards.")
]


@app.command()
def matrix(
    namespace: Whose = None,
    base: FromBase = None,
    targets: Annotated[str | None, typer.Option(help="Only these targets, comma-separated.")] = None,
    results: Results = None,
    derived: Derived = False,
    languages: Annotated[bool, typer.Option("--languages", help="Also a line for every language.")] = False,
    spelt: Annotated[
        Literal["md", "csv", "latex"] | None, typer.Option("--format", help="Print the matrix alone, in this format.")
    ] = None,
    space: Annotated[
        Path | None, typer.Option("--space", help="Also write a static Space of the Hub with the matrix: its folder.")
    ] = None,
    figures: Figures = None,
    as_json: Json = False,
) -> None:
    """Gather published scores into intermediate task x target x language, and say which of them compare."""
    if spelt and as_json:
        raise StiltsError(f"--format {spelt} and --json were given; one of them is expected. Leave out the other.")
    if figures is not None:
        check_drawing()
    wanted = split_list(targets)
    for target in wanted or ():
        known_task(target)
    from hf_stilts.hub.reachable import require_hub

    require_hub()
    from hf_stilts.console import say, show_matrix, warn
    from hf_stilts.studies.matrix import transfer_matrix

    found = transfer_matrix(namespace, base, wanted, results=results or (), derived=derived)
    if space is not None:
        from hf_stilts.studies.space import write_space

        write_space(found, space)
        say(f"Written: {space}. Open index.html there, or bring it to the Hub:", as_json=as_json or spelt is not None)
        words = ["upload", f"{namespace or 'YOU'}/stilts-matrix", str(space), "--repo-type", "space"]
        say(f"hf {shlex.join(words)}", as_json=as_json or spelt is not None)
    if figures is not None:
        from hf_stilts.studies.pictures import matrix_pictures, write_pictures

        drawn = write_pictures(matrix_pictures(found), figures)
        say(f"Drawn: {figures}: {len(drawn)} files.", as_json=as_json or spelt is not None)
    if spelt is None:
        show_matrix(found, languages=languages, as_json=as_json)
        return
    if not found.cells:
        raise StiltsError(
            f"No published score has a baseline to compare with ({' '.join(found.notes)}). To see why, leave out "
            "--format."
        )
    typer.echo(found.text(spelt))
    if found.left_out:
        warn(f"{len(found.left_out)} models or scores compare with nothing; without --format the reasons are printed.")


@app.command()
def rank(
    target: Annotated[str, typer.Argument(help="Your target task.")],
    namespace: Whose = None,
    base: FromBase = None,
    results: Results = None,
    derived: Derived = False,
    examples: Annotated[
        int | None,
        typer.Option(
            min=10, help="Also estimate (LogME) how far published encoders fit so many of the target's own examples."
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="With --examples: their language; default: en.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Rank intermediate tasks for a target by published gains: its own, and those of targets of the same kind."""
    task = load_task(known_task(target))
    from hf_stilts.hub.reachable import require_hub

    require_hub()
    from hf_stilts.console import show_ranking
    from hf_stilts.studies.matrix import transfer_matrix
    from hf_stilts.studies.rank import add_estimates, rank_tasks

    gains = transfer_matrix(namespace, base, results=results or (), derived=derived)
    ranking = rank_tasks(task, gains)
    if examples is not None:
        from hf_stilts.hub.published_scores import published_models

        models = published_models(namespace)
        how: dict[str, Any] = {"base": base, "examples": examples, "language": language, "data_dir": data_dir}
        add_estimates(ranking, task, gains, models, **how)
    show_ranking(ranking, as_json=as_json)
