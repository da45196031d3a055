"""Commands about data sets: build them from raw files, check them, fetch them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_stilts.cli.options import App, DataDir, Json, TaskName, ask_hub, split_list
from hf_stilts.errors import StiltsError

if TYPE_CHECKING:
    from hf_stilts.dataset_scripts import BuildReport

app = App(help="Build, check and fetch data sets.", no_args_is_help=True)


@app.command("build")
def data_build(
    name: Annotated[str, typer.Argument(help="Converter; it has the name of its task.")],
    raw: Annotated[Path, typer.Option(help="Folder with the publisher's files.")],
    out: Annotated[Path, typer.Option(help="Folder of the mirror to write to.")],
    push: Annotated[str | None, typer.Option(help="Also push to this user or organisation.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; default: private.")] = False,
    languages: Annotated[
        str | None, typer.Option(help="Languages, comma-separated; default: all with raw files.")
    ] = None,
    checksum: Annotated[bool, typer.Option(help="Refuse files that differ from the published ones.")] = True,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the converter, NAME=VALUE: --option fused=false (udpos).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert a publisher's raw files to the Parquet repository that a task reads."""
    if public and not push:
        raise StiltsError("--public says how to push, and nothing is pushed. Add --push NAMESPACE, or leave it out.")
    from hf_stilts.console import say, say_next, show, warn
    from hf_stilts.dataset_scripts import build
    from hf_stilts.task import load_task

    report = build(
        name,
        raw,
        out,
        languages=split_list(languages),
        push=push,
        private=not public,
        checksum=checksum,
        options=_options(option or []),
    )
    if as_json:
        show(report.rows(), as_json=True)
    else:
        show(_lines(report, out), as_json=False, optional=("folder",))
    rows = sum(part.rows for part in report.parts)
    for why in dict.fromkeys(report.left_out.values()):
        files = [file for file, reason in report.left_out.items() if reason == why]
        listed = ", ".join(files[:4]) + (", ..." if len(files) > 4 else "")
        warn(f"Left out: {len(files)} files ({why}): {listed}")
    say(f"{rows} rows, below {out}.", as_json=as_json)
    every = load_task(name).languages
    in_parts = {part.language for part in report.parts}
    built = [code for code in every if code in in_parts]
    # The others are not there, and would be faults of the check.
    some = ["--languages", ",".join(built)] if 0 < len(built) < len(every) else []
    say_next(["data", "check", name, *some, "--data-dir", str(out)], as_json=as_json)


@app.command("check")
def data_check(
    task: TaskName,
    languages: Annotated[str | None, typer.Option(help="Languages, comma-separated; default: all.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Check the first rows of every language and split of a task."""
    ask_hub(data_dir=data_dir)
    from hf_stilts.console import show_check
    from hf_stilts.data.check import check

    report = check(task, split_list(languages), data_dir=data_dir)
    show_check(report, as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@app.command("prefetch")
def data_prefetch(
    task: TaskName,
    out: Annotated[Path, typer.Option(help="Folder of the mirror to write to.")],
    languages: Annotated[str | None, typer.Option(help="Languages, comma-separated; default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Copy the data sets of a task from the Hub to a mirror, for machines without a network."""
    from hf_stilts.hub.reachable import require_hub

    require_hub()
    from hf_stilts.console import say, show
    from hf_stilts.data.prefetch import prefetch

    report = prefetch(task, out, languages=split_list(languages))
    rows = report.rows()
    if not as_json:  # the folder is the name of the repository, below --out
        rows = [{key: value for key, value in row.items() if key != "folder"} for row in rows]
    show(rows, as_json=as_json, optional=("files", "revision"))
    say(f"Copied to {out}, each below the name of its repository.", as_json=as_json)


def _lines(report: BuildReport, out: Path) -> list[dict[str, Any]]:
    """A line for each file that was built: its folder below `--out`; the name of the file follows from the split."""
    return [
        {
            "folder": str(part.file.parent.relative_to(out.expanduser())),
            "language": part.language.replace("-", " "),  # several in one configuration
            "split": part.split,
            "rows": part.rows,
        }
        for part in report.parts
    ]


def _options(pairs: list[str]) -> dict[str, Any]:
    """`["fused=false"]` as `{"fused": False}`."""
    options = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(options) != len(pairs):
        raise StiltsError(f"--option {' '.join(pairs)} is not NAME=VALUE. Type for example: --option fused=false")
    known = {**dict.fromkeys(("true", "yes", "1"), True), **dict.fromkeys(("false", "no", "0"), False)}
    return {name: known.get(value.lower(), value) for name, value in options.items()}
