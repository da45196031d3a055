"""Commands about checkpoints: what is published, where it comes from, what still waits."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_stilts.cli.options import App, Json, ask_hub, shared_options, split_list, training_options, typed
from hf_stilts.errors import StiltsError
from hf_stilts.models.merge_options import HOW, MergeOptions, check_checkpoints
from hf_stilts.options import NAMESPACE_HELP, Options, option
from hf_stilts.training.options import OPTIONS

app = App()
published = App(help="List, trace, verify and collect published checkpoints.", invoke_without_command=True)
app.add_typer(published, name="checkpoints")


Published = Annotated[str, typer.Argument(help="Published checkpoint: mnli, mnli@step-2000, org/model@step-2000.")]
Base = Annotated[str | None, typer.Option(help="Only checkpoints trained from this public model.")]
OfTask = Annotated[str | None, typer.Option("--task", help="Only checkpoints trained on this task.")]
Language = Annotated[str | None, typer.Option(help="Only checkpoints trained in this language.")]
Whose = Annotated[str | None, typer.Option("--namespace", help="Only of this user or organisation; default: of all.")]


@published.callback()
def published_ones(
    context: typer.Context,
    base: Base = None,
    task: OfTask = None,
    language: Language = None,
    namespace: Whose = None,
    as_json: Json = False,
) -> None:
    """List published checkpoints, found by their tags on the Hub."""
    if not context.invoked_subcommand:
        list_published(base, task, language, namespace, as_json)


@published.command("list")
def list_published(
    base: Base = None, task: OfTask = None, language: Language = None, namespace: Whose = None, as_json: Json = False
) -> None:
    """List published checkpoints (the same as without `list`)."""
    from hf_stilts.hub.reachable import require_hub

    require_hub()
    from hf_stilts.console import say, show
    from hf_stilts.hub.checkpoints import list_checkpoints, why_nothing

    found = list_checkpoints(base=base, task=task, language=language, namespace=namespace)
    if not found:
        said = why_nothing(base, task, language, namespace)
        say(said, as_json=as_json)
    if found or as_json:
        show(found.rows(), as_json=as_json, optional=("phase", "languages", "base"))


@published.command("lineage")
def checkpoints_lineage(name: Published, as_json: Json = False) -> None:
    """Show every model from a checkpoint back to the public model."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import Checkpoint, lineage

    steps = []
    for step in lineage(name):
        known = step if isinstance(step, Checkpoint) else Checkpoint(step.id, None, step.commit)
        steps.append(known.row())
    show(steps, as_json=as_json, optional=("phase", "languages", "base"))


@published.command("verify")
def checkpoints_verify(name: Published, as_json: Json = False) -> None:
    """Compare the files of a published checkpoint with the checksums in its stilts.json."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import verify

    report = verify(name)
    show(report.rows(), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@published.command("collect")
def checkpoints_collect(
    title: Annotated[str, typer.Argument(help="Title of the collection; it is created if it does not exist.")],
    names: Annotated[list[str], typer.Argument(help="Published checkpoints: mnli, org/model.")],
    namespace: Annotated[str | None, typer.Option(help="User or organisation; default: you.")] = None,
    as_json: Json = False,
) -> None:
    """Group the checkpoints of one study in a private collection on the Hub."""
    from hf_stilts.hub.reachable import require_hub

    require_hub()
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import collect

    show([{"collection": collect(title, names, namespace), "checkpoints": names}], as_json=as_json)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.")],
    retry: Annotated[bool, typer.Option("--retry", help="Upload pending and failed checkpoints.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only show the outbox; the default.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep running, and upload what a training adds.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove files of another model from the repository.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the pending checkpoints in a run's outbox, or upload them."""
    from hf_stilts.console import say, show
    from hf_stilts.publishing import outbox

    if status and (retry or watch):
        raise StiltsError("--status shows and --retry and --watch send: both were given. Type one of them.")
    if overwrite and not (retry or watch):
        raise StiltsError("--overwrite says how to send, and nothing is sent. Add --retry, or leave it out.")
    report = outbox.retry(folder, watch=watch, overwrite=overwrite) if retry or watch else outbox.outbox_status(folder)
    rows = report.rows()
    if not as_json:  # the lines below the table give each reason once
        for row in rows:
            del row["reason"]
    show(rows, as_json=as_json, optional=("repository", "bytes", "tries"))
    say(str(report), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@dataclass(frozen=True)
class MergePublishing(Options):
    """How `merge` publishes what it made, spelled as for a training."""

    publish: bool = option(False, "Also publish it.")
    namespace: str | None = option(None, NAMESPACE_HELP)
    public: bool = option(False, "Make a new repository public; default: private.")

    def check(self) -> None:
        """Refuse to say how to publish where nothing is published."""
        if self.public and not self.publish:
            raise StiltsError("--public says how to publish, and nothing is published. Add --publish, or leave it out.")


@app.command()
@shared_options(MergePublishing)
def merge(
    names: Annotated[list[str], typer.Argument(help="Checkpoints: mnli, mnli@step-2000, org/model, a folder.")],
    base: Annotated[str, typer.Option(help="Public model that all of them were trained from.")],
    output_dir: Annotated[Path, typer.Option(help="New folder for the merged checkpoint.")],
    how: Annotated[str, typer.Option(help=f"{', '.join(HOW)}.")] = "mean",
    weights: Annotated[str | None, typer.Option(help="A number for each checkpoint, comma-separated.")] = None,
    density: Annotated[float | None, typer.Option(help="Share of each difference that ties and dare keep.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the parts that dare keeps.")] = 0,
    as_json: Json = False,
    **publishing: Any,
) -> None:
    """Merge intermediate checkpoints of one public model into one, instead of training on a mixture."""
    asked = typed(MergePublishing, publishing)
    numbers = tuple(_number(each) for each in split_list(weights) or ())
    options = MergeOptions(how, numbers, density, seed)
    check_checkpoints(names, options)
    if asked.publish:
        from hf_stilts.hub.reachable import require_hub

        require_hub()
    from hf_stilts.console import say, say_next, show
    from hf_stilts.models.merge import merge_checkpoints, merged_repository

    record = merge_checkpoints(names, base, output_dir, options, namespace=asked.namespace)
    row = {"folder": str(output_dir), "merged": [each.id for each in record.merged_from], "how": how}
    show([row | {"tasks": list(record.task_names)}], as_json=as_json)
    start = str(output_dir)
    if asked.publish:
        from hf_stilts.publishing.callback import PublishCheckpoints
        from hf_stilts.publishing.push import push

        start = merged_repository(record, asked.namespace)
        push(output_dir, start, record, publisher=PublishCheckpoints(private=not asked.public))
        say(f"Published as {start}.", as_json=as_json)
    say_next(["target", "xnli", "--init", start], as_json=as_json)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise StiltsError(f"--weights has {text!r}; numbers are expected. Type for example: --weights 1,0.5") from None


@app.command()
@training_options(*(option for option in OPTIONS if option not in ("data_dir", "micro_tokens")))
def reproduce(
    name: Published,
    output_dir: Annotated[Path | None, typer.Option(help="Folder for the new training.")] = None,
    task: Annotated[str | None, typer.Option(help="Path of the file of its task, where that is not installed.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Points by which a score may differ.")] = 0.5,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run a published checkpoint's training again, at the same revisions, and compare scores and weights."""
    ask_hub(name, data_dir=options.get("data_dir"))
    from contextlib import redirect_stdout

    from hf_stilts.console import say, show
    from hf_stilts.studies.reproducible import reproducible

    reproducible(name, task)  # before torch is loaded
    from hf_stilts.studies.reproduce import reproduce as again

    with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
        found = again(name, output_dir, task=task, **options)
    from hf_stilts.evaluation.processes import processes

    if processes().is_main_process:  # under torchrun every process has the result; one speaks
        show(found.rows(), as_json=as_json)
        say(str(found), as_json=as_json)
    if not found.within(tolerance):
        raise typer.Exit(1)
