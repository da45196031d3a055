"""The `hf-stilts` command: one short function a command; the work is done where the function imports it from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hf_stilts.task import StiltsError

app = typer.Typer(
    help="Intermediate-task training across languages: train, publish, fine-tune, evaluate zero-shot.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data = typer.Typer(help="Build, check and fetch data sets.", no_args_is_help=True)
hub = typer.Typer(help="A small Hub on this machine, for work without the network.", no_args_is_help=True)
checkpoints = typer.Typer(help="What is published, and where it comes from.", invoke_without_command=True)
app.add_typer(data, name="data")
app.add_typer(hub, name="hub")
app.add_typer(checkpoints, name="checkpoints")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
DataDir = Annotated[Path | None, typer.Option(help="Local mirror of the data sets; else HF_STILTS_DATA, else the Hub.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use at most so many rows.")]
Namespace = Annotated[
    str | None, typer.Option(help="User or organisation on the Hub; else HF_STILTS_NAMESPACE, else you.")
]
Recipe = Annotated[str, typer.Option(help="Hyper-parameter profile: jiant, xtreme-2020, xtreme-r-2021, paper.")]
Public = Annotated[bool, typer.Option(help="Publish for everybody to see.")]
Resume = Annotated[
    Literal["auto"] | None,
    typer.Option(
        help="Go on from the newest checkpoint, here or on the Hub, and keep there what another machine needs."
    ),
]
STOCK_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command()
def tasks(name: Annotated[str | None, typer.Argument(help="Show this one.")] = None, as_json: Json = False) -> None:
    """List the tasks, or show one."""
    from hf_stilts.console import show
    from hf_stilts.task import describe, list_tasks, load_task

    if name:
        show([{"field": key, "value": value} for key, value in describe(load_task(name)).items()], as_json=as_json)
    else:
        columns = ("name", "kind", "languages", "trained on", "metric", "description")
        rows = [describe(load_task(each)) for each in list_tasks()]
        rows = [{key: row[key] for key in columns} for row in rows]
        show(rows if as_json else [row | {"languages": len(row["languages"])} for row in rows], as_json=as_json)


@data.command("build")
def data_build(
    name: str,
    raw: Annotated[Path, typer.Option(help="Folder with the publisher's files.")],
    out: Annotated[Path, typer.Option(help="The mirror to write into.")],
    push: Annotated[str | None, typer.Option(help="Also push to this user or organisation.")] = None,
    languages: Annotated[str | None, typer.Option(help="Comma-separated; default: all that are there.")] = None,
    checksum: Annotated[bool, typer.Option(help="Refuse files that differ from the published ones.")] = True,
    option: Annotated[
        list[str] | None, typer.Option(help="Of the converter, NAME=VALUE: --option fused=false (udpos).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert a publisher's raw files into Parquet that tasks load like the Hub's."""
    from hf_stilts.console import show
    from hf_stilts.dataset_scripts import build

    report = build(
        name, raw, out, languages=_split(languages), push=push, checksum=checksum, options=_options(option or [])
    )
    show(report.rows(), as_json=as_json)


@data.command("check")
def data_check(
    task: str,
    languages: Annotated[str | None, typer.Option(help="Comma-separated; default: all.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Load some rows of every language and split of a task and look at them."""
    from hf_stilts.console import show
    from hf_stilts.data.check import check

    report = check(task, _split(languages), data_dir=data_dir)
    show(report.rows(), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@data.command("prefetch")
def data_prefetch(
    task: str,
    out: Annotated[Path, typer.Option(help="The mirror to write into.")],
    languages: Annotated[str | None, typer.Option(help="Comma-separated; default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Copy what a task needs from the Hub into a mirror, for machines without network."""
    from hf_stilts.console import show
    from hf_stilts.data.load import prefetch

    show(prefetch(task, out, languages=_split(languages)).rows(), as_json=as_json)


@app.command(context_settings=STOCK_FLAGS)
def intermediate(
    context: typer.Context,
    task: str,
    model: Annotated[str, typer.Option(help="Public model to start from.")] = "FacebookAI/xlm-roberta-base",
    recipe: Recipe = "jiant",
    limit: Limit = None,
    data_dir: DataDir = None,
    publish: Annotated[bool, typer.Option(help="Send every checkpoint to the Hub.")] = True,
    namespace: Namespace = None,
    public: Public = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Phase two: train an English intermediate task and publish every checkpoint.

    Any field of transformers.TrainingArguments is an option too: --learning_rate 3e-5 --max_steps 500 --output_dir DIR.
    """
    _train(
        "intermediate", task, context.args, as_json, publish=publish, namespace=namespace, public=public,
        model=model, recipe=recipe, limit=limit, data_dir=data_dir, resume=resume,
    )  # fmt: skip


@app.command(context_settings=STOCK_FLAGS)
def target(
    context: typer.Context,
    task: str,
    init: Annotated[
        str | None, typer.Option("--from", help="Intermediate checkpoint by name; without it, the baseline.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Public model: the start without --from.")] = None,
    recipe: Recipe = "jiant",
    limit: Limit = None,
    data_dir: DataDir = None,
    publish: Annotated[bool, typer.Option(help="Send every checkpoint to the Hub.")] = False,
    namespace: Namespace = None,
    public: Public = False,
    resume: Resume = None,
    as_json: Json = False,
) -> None:
    """Phase three: fine-tune on a target task's English rows.

    Any field of transformers.TrainingArguments is an option too: --learning_rate 3e-5 --max_steps 500 --output_dir DIR.
    """
    _train(
        "target", task, context.args, as_json, publish=publish, namespace=namespace, public=public, init=init,
        model=model, recipe=recipe, limit=limit, data_dir=data_dir, resume=resume,
    )  # fmt: skip


@app.command()
def evaluate(
    task: list[str],
    model: Annotated[str, typer.Option(help="Checkpoint by name or folder.")],
    languages: Annotated[str | None, typer.Option(help="Comma-separated; default: all of the task.")] = None,
    split: Annotated[str, typer.Option(help="Canonical split.")] = "test",
    limit: Limit = None,
    layer: Annotated[int | None, typer.Option(help="Hidden state for retrieval tasks, 0 = embeddings.")] = None,
    data_dir: DataDir = None,
    output: Annotated[Path | None, typer.Option(help="Also append the rows to this .jsonl file.")] = None,
    as_json: Json = False,
) -> None:
    """Score one model in every language of one or more tasks."""
    import pandas as pd

    from hf_stilts.console import show, show_scores
    from hf_stilts.evaluation.zero_shot import append_jsonl, zero_shot

    options: dict[str, Any] = {} if layer is None else {"layer": layer}
    chosen = _split(languages)
    table = pd.concat(
        zero_shot(model, each, chosen, split=split, limit=limit, data_dir=data_dir, **options) for each in task
    )
    if output:
        append_jsonl(table, output)
    if as_json:
        show(table.to_dict("records"), as_json=True)
    else:
        show_scores(table)


@checkpoints.callback()
def list_published(
    context: typer.Context,
    base: Annotated[str | None, typer.Option(help="Public model they descend from.")] = None,
    task: Annotated[str | None, typer.Option(help="Task they were trained on.")] = None,
    language: Annotated[str | None, typer.Option(help="Language they were trained in.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Whose; default: anybody's.")] = None,
    as_json: Json = False,
) -> None:
    """List what is published, by the Hub's own tags."""
    if context.invoked_subcommand:
        return
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import list_checkpoints

    found = list_checkpoints(base=base, task=task, language=language, namespace=namespace)
    show([each.row() for each in found], as_json=as_json, title="" if found else "No published checkpoint matches")


@checkpoints.command("lineage")
def checkpoints_lineage(name: str, as_json: Json = False) -> None:
    """Walk from a checkpoint back to the public model."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import Checkpoint, lineage

    steps = [
        step.row() if isinstance(step, Checkpoint) else Checkpoint(step.id, None, step.commit).row()
        for step in lineage(name)
    ]
    show(steps, as_json=as_json)


@checkpoints.command("verify")
def checkpoints_verify(name: str, as_json: Json = False) -> None:
    """Compare a published checkpoint with the checksums recorded when it was sent."""
    from hf_stilts.console import show
    from hf_stilts.hub.checkpoints import verify

    report = verify(name)
    found = {"unchanged": report.alike, "differs": report.different, "missing": report.missing}
    show([{"file": file, "state": state} for state, files in found.items() for file in files], as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.")],
    retry: Annotated[bool, typer.Option("--retry", help="Send what waits or failed.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and send what a running training adds.")] = False,
    as_json: Json = False,
) -> None:
    """Show what waits in a run's outbox, or send it."""
    from hf_stilts.console import say, show
    from hf_stilts.hub import outbox

    report = outbox.retry(folder, watch=watch) if retry or watch else outbox.outbox_status(folder)
    show(report.rows(), as_json=as_json)
    say(str(report), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@hub.command("serve")
def hub_serve(
    folder: Annotated[Path, typer.Argument(help="Where the repositories are kept.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 5564,
    token: Annotated[
        str | None, typer.Option(help="What callers must present; default: any.", envvar="HF_STILTS_HUB_TOKEN")
    ] = None,
) -> None:
    """Run a small Hub that stock clients use through HF_ENDPOINT."""
    from hf_stilts.console import announce_hub
    from hf_stilts.hub.local import serve

    serve(folder, host, port, token, announce=announce_hub)


@app.command()
def quickstart(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(help="Two runs with the same seed give the same numbers.")] = 42,
) -> None:
    """All three phases offline on a small made-up world, in two to three minutes."""
    from hf_stilts.quickstart import run

    run(folder, seed=seed)


def main() -> None:
    """Run a command; a user's mistake ends in one line and exit code 1, not in a traceback."""
    try:
        app()
    except Exception as error:
        # The Hub's client lets connection errors of its HTTP library through, which are neither of the two.
        network = type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "huggingface_hub")
        if os.environ.get("HF_STILTS_DEBUG") or not (network or isinstance(error, ValueError | OSError)):
            raise
        from hf_stilts.console import fail

        hint = (
            " Is the Hub at HF_ENDPOINT reachable? Offline: hf-stilts hub serve DIR, --data-dir DIR." if network else ""
        )
        fail(f"{error}{hint}")
        sys.exit(1)


def _train(phase: str, task: str, flags: list[str], as_json: bool, **options: Any) -> None:
    from contextlib import redirect_stdout

    from hf_stilts.console import report_run
    from hf_stilts.task import load_task

    load_task(task)  # a mistyped name is answered before torch is loaded
    from hf_stilts.training.publish import PublishCheckpoints
    from hf_stilts.training.run import run_phase

    namespace, public, wanted = options.pop("namespace"), options.pop("public"), options.pop("publish")
    resume = bool(options["resume"])
    publisher = PublishCheckpoints(namespace=namespace, private=not public, resume=resume) if wanted else None
    if phase == "target":  # where the intermediate checkpoint is looked up, too
        options["namespace"] = namespace
    with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
        result = run_phase(phase, task, flags, publish=publisher, **options | {"resume": resume})
    report_run(result, as_json=as_json)


def _options(pairs: list[str]) -> dict[str, Any]:
    """`["fused=false"]` as `{"fused": False}`."""
    options = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(options) != len(pairs):
        raise StiltsError(f"--option {' '.join(pairs)} is not NAME=VALUE. Type for example: --option fused=false")
    return {name: {"true": True, "false": False}.get(value.lower(), value) for name, value in options.items()}


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",")] if text else None
