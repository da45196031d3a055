"""Commands around the files of the official benchmarks: write a submission, check it, score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hf_stilts.cli.options import App, DataDir, Json

BenchmarkName = Annotated[str, typer.Option(help="Benchmark: xtreme or xtreme-r.")]


class WriteByDefault(TyperGroup):
    """`submission DIR` is short for `submission write DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in front where there is none."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["write", *args]
        return super().parse_args(ctx, args)


app = App(
    cls=WriteByDefault,
    help="Write, check and score submissions to XTREME and XTREME-R; submission DIR is short for submission write DIR.",
    no_args_is_help=True,
)


@app.command()
def write(
    folder: Annotated[Path, typer.Argument(help="Folder of the submission to write.")],
    predictions: Annotated[Path, typer.Option(help="Folder of a run of hf-stilts evaluate xtreme.")],
    benchmark: BenchmarkName = "xtreme",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write predictions in the format of the official scorer."""
    from hf_stilts.console import say_next, show
    from hf_stilts.evaluation.submission import write_submission

    written = write_submission(folder, predictions, benchmark, data_dir=data_dir)
    rows = [{"task": task, "files": len(languages), "languages": languages} for task, languages in written.items()]
    show(rows, as_json=as_json)
    say_next(["submission", "check", str(folder), "--benchmark", benchmark], as_json=as_json)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    benchmark: BenchmarkName = "xtreme",
    labels: Annotated[
        Path | None, typer.Option(help="Folder of gold labels, to compare numbers of lines and ids.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report missing and malformed files and lines. Exit code 1 on errors, 0 on warnings alone."""
    from hf_stilts.console import say, show
    from hf_stilts.evaluation.submission import check_submission

    problems = check_submission(folder, benchmark, labels)
    if problems or as_json:
        show([problem._asdict() for problem in problems], as_json=as_json)
    if any(problem.level == "error" for problem in problems):
        raise typer.Exit(1)
    say(f"{folder}: complete and well-formed.", as_json=as_json)


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    labels: Annotated[Path, typer.Option(help="Folder of gold labels, in the layout of a submission.")],
    benchmark: BenchmarkName = "xtreme",
    lareqa: Annotated[
        float | None, typer.Option(help="mAP@20 of LAReQA in percent, for the total of XTREME-R.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute the official scores of tasks, groups and the total. Missing files are named."""
    from hf_stilts.console import show_report
    from hf_stilts.evaluation.xtreme import evaluate

    show_report(evaluate(folder, labels, benchmark, lareqa=lareqa), as_json=as_json)
