"""Commands about checkpoints: what is published, where it comes from, what still waits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_stilts.cli.options import App, Json, training_options
from hf_stilts.errors import StiltsError
from hf_stilts.training.options import OPTIONS

app = App()
published = App(help="What is published, and where it comes from.", invoke_without_command=True)
app.add_typer(published, name="checkpoints")


Base = Annotated[str | None, typer.Option(help="Public model they descend from.")]
OfTask = Annotated[str | None, typer.Option("--task", help="Task they were trained on.")]
Language = Annotated[str | None, typer.Option(help="Language they were trained in.")]
Whose = Annotated[str | None, typer.Option("--namespace", help="Whose; default: anybody's.")]


@published.callback()
def published_ones(
    context: typer.Context,
    base: Base = None,
    task: OfTask = None,
    language: Language = None,
    namespace: Whose = None,
    as_json: Json = False,
) -> None:
    """List what is published, by the Hub's own tags."""
    if not context.invoked_subcommand:
        list_published(base, task, language, namespace, as_json)


@published.command("list")
def list_published(
    base: Base = None, task: OfTask = None, language: Language = None, namespace: Whose = None, as_json: Json = False
) -> None:
    """List what is published, as without this word."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import list_checkpoints

    found = list_checkpoints(base=base, task=task, language=language, namespace=namespace)
    title = "" if found else "Published checkpoints that match"
    show(found.rows(), as_json=as_json, title=title, optional=("phase", "languages", "base"))


@published.command("lineage")
def checkpoints_lineage(name: str, as_json: Json = False) -> None:
    """Walk from a checkpoint back to the public model."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import Checkpoint, lineage

    steps = [
        step.row() if isinstance(step, Checkpoint) else Checkpoint(step.id, None, step.commit).row()
        for step in lineage(name)
    ]
    show(steps, as_json=as_json, optional=("phase", "languages", "base"))


@published.command("verify")
def checkpoints_verify(name: str, as_json: Json = False) -> None:
    """Compare a published checkpoint with the checksums recorded when it was sent."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import verify

    report = verify(name)
    show(report.rows(), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@published.command("collect")
def checkpoints_collect(
    title: Annotated[str, typer.Argument(help="Title of the collection, made where it is missing.")],
    names: Annotated[list[str], typer.Argument(help="Checkpoints: mnli, org/model.")],
    namespace: Annotated[str | None, typer.Option(help="Whose; default: yours.")] = None,
    as_json: Json = False,
) -> None:
    """Group the checkpoints of one study in a private collection on the Hub."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import collect

    show([{"collection": collect(title, names, namespace), "checkpoints": names}], as_json=as_json)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.")],
    retry: Annotated[bool, typer.Option("--retry", help="Send what waits or failed.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show only; the default.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and send what a running training adds.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove files of another model from the repository.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what waits in a run's outbox, or send it."""
    from hf_stilts.console import say, show
    from hf_stilts.publishing import outbox

    if status and (retry or watch):
        raise StiltsError("--status shows and --retry and --watch send: both were given. Type one of them.")
    if overwrite and not (retry or watch):
        raise StiltsError("--overwrite says how to send, and nothing is sent. Add --retry, or leave it out.")
    report = outbox.retry(folder, watch=watch, overwrite=overwrite) if retry or watch else outbox.outbox_status(folder)
    show(report.rows(), as_json=as_json, optional=("repository", "bytes", "tries"))
    say(str(report), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
@training_options(*(option for option in OPTIONS if option not in ("data_dir", "micro_tokens")))
def reproduce(
    name: Annotated[str, typer.Argument(help="A published checkpoint: mnli, mnli@step-2000, org/model@step-2000.")],
    output_dir: Annotated[Path | None, typer.Option(help="Where to train.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Points by which a score may be off.")] = 0.5,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run a published checkpoint's training again, at the same revisions, and compare scores and weights."""
    from contextlib import redirect_stdout

    from hf_stilts.console import say, show
    from hf_stilts.studies.reproduce import reproduce as again

    with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
        found = again(name, output_dir, **options)
    from hf_stilts.evaluation.processes import processes

    if processes().is_main_process:  # under torchrun every process has the result; one speaks
        show(found.rows(), as_json=as_json)
        say(str(found), as_json=as_json)
    if not found.within(tolerance):
        raise typer.Exit(1)
