"""The `hf-stilts` command: one short function a command; the work is done where the function imports it from."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hf_stilts.cli import (
    budget,
    checkpoints,
    data,
    doctor,
    evaluation,
    languages,
    matrix,
    similarity,
    study,
    submission,
    training,
)
from hf_stilts.cli.options import App, DataDir, Json, known_task
from hf_stilts.errors import StiltsError, needs_extra

app = App(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
hub = App(help="A small Hub on this machine, for work without a network.", no_args_is_help=True)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"hf_stilts {version('hf_stilts')}")
        raise typer.Exit


@app.callback()
def entry(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Intermediate-task training across languages: train, publish, fine-tune, evaluate zero-shot."""


@app.command()
def tasks(
    name: Annotated[
        str | None,
        typer.Argument(help="Task to show: its name, the path of its file, or user/dataset on the Hub."),
    ] = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="List the data sets of the Hub that bring a task (tag stilts-task).")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the tasks, or show one."""
    from hf_stilts.console import show, show_object
    from hf_stilts.task import describe, list_tasks, load_task

    if name and hub:
        raise StiltsError(f"--hub lists tasks, and {name} was given to be shown. Leave out one.")
    if hub:
        _show_hub_tasks(as_json=as_json)
    elif name:
        show_object(describe(load_task(known_task(name))), as_json=as_json)
    else:
        columns = ("name", "kind", "languages", "trained on", "metric", "description")
        rows = [describe(load_task(each)) for each in list_tasks()]
        rows = [{key: row[key] for key in columns} for row in rows]
        rows = rows if as_json else [row | {"languages": len(row["languages"])} for row in rows]
        show(rows, as_json=as_json, optional=("metric", "trained on"))


def _show_hub_tasks(*, as_json: bool) -> None:
    from hf_stilts.console import say, show
    from hf_stilts.hub.reachable import require_hub
    from hf_stilts.hub.tasks import list_hub_tasks

    require_hub()
    rows = [vars(each) for each in list_hub_tasks()]
    show(rows if as_json else [row | {"languages": len(row["languages"]) or None} for row in rows], as_json=as_json)
    say(
        f"{len(rows)} data set{'s' * (len(rows) != 1)}. To train on one: hf-stilts target USER/DATASET", as_json=as_json
    )


data.app.add_typer(languages.app)
app.add_typer(data.app, name="data")
for commands in (training, budget, evaluation, matrix, similarity, checkpoints, doctor):
    app.add_typer(commands.app)
app.add_typer(study.app, name="study")
app.add_typer(submission.app, name="submission")
app.add_typer(hub, name="hub")


@hub.command("serve")
def hub_serve(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the repositories.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free port.")] = 5564,
    token: Annotated[
        str | None, typer.Option(help="Token that clients must send; default: any token.", envvar="HF_STILTS_HUB_TOKEN")
    ] = None,
    run_jobs: Annotated[
        bool,
        typer.Option("--run-jobs", help="Run jobs that clients send, as processes of this machine; needs --token."),
    ] = False,
) -> None:
    """Serve a small Hub; stock clients use it through HF_ENDPOINT."""
    from hf_stilts.console import announce_hub

    with needs_extra("local-hub", "The embedded Hub"):
        from hf_stilts.local_hub import serve

    models = len(list(folder.glob("models/*/*")))
    holds = f"with {models} models of {folder}" if models else f"new and empty: nothing lay in {folder}"
    others = socket.gethostname() if host in ("0.0.0.0", "::") else None
    announce = partial(announce_hub, holds=holds, token=token, others=others)
    serve(folder, host, port, token, run_jobs=run_jobs, announce=announce)


@app.command()
def quickstart(
    folder: Annotated[Path, typer.Option(help="Folder for all files of the run.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(help="Random seed; equal seeds give equal results.")] = 42,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier quickstart in this folder, with its Hub.")
    ] = False,
    real: Annotated[
        bool,
        typer.Option(
            "--real", help="Instead: a real encoder and real text, Tatoeba before and after SNLI; ten minutes."
        ),
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="With --real: public model or folder; default: intfloat/multilingual-e5-small.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Run all three phases offline on a small synthetic corpus: about five minutes of processor time."""
    if real:
        from hf_stilts.quickstart.real import run_real

        run_real(folder, base=base, seed=seed, data_dir=data_dir)
        return
    if base or data_dir:
        raise StiltsError("--base and --data-dir are for a real encoder; the synthetic one has its own. Add --real.")
    from hf_stilts.quickstart.run import run

    run(folder, seed=seed, overwrite=overwrite)


def main() -> None:
    """Run a command; a user's mistake ends in one line and exit code 1, not in a traceback."""
    atexit.register(gc.freeze)  # else all of torch is searched for cycles at the end: up to a second
    try:
        app()
    except Exception as error:
        said = _said_of(error)
        if os.environ.get("HF_STILTS_DEBUG") or said is None:
            raise
        from hf_stilts.console import fail

        fail(said)
        sys.exit(1)
    finally:
        # Under torchrun: the threads of a group that nobody closes may abort a process that has done its work.
        if (group := sys.modules.get("torch.distributed")) and group.is_available() and group.is_initialized():
            group.destroy_process_group()


def _said_of(error: Exception) -> str | None:
    """One line for a user; None for an error of the program, which keeps its traceback."""
    # The Hub's client lets connection errors of its HTTP library through, which are neither ValueError nor OSError.
    library = type(error).__module__.partition(".")[0]
    if type(error).__name__ == "HFValidationError":
        return f"{str(error).rstrip('.')}. The name of a repository on the Hub is expected there."
    if library in ("httpx", "httpx2", "huggingface_hub"):
        if getattr(error, "response", None) is not None:  # it has answered
            return f"The Hub answered: {' '.join(str(error).split())}"
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        hint = f"Is the Hub at {endpoint} reachable? Offline: hf-stilts hub serve DIR, --data-dir DIR."
        return f"{str(error).rstrip('.')}. {hint}"
    if any(sign in str(error) for sign in _UNFINISHED):
        why = str(error).splitlines()[0]
        return f"A file of weights could not be written to its end ({why}). {_PLACES[errno.ENOSPC]}"
    if isinstance(error, OSError) and error.errno in _PLACES and error.filename is not None:
        return f"{error.strerror}: {error.filename}. {_PLACES[error.errno]}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{error.strerror}. {_PLACES[errno.ENOSPC]}"
    return str(error) if isinstance(error, ValueError | OSError) else None


# torch and safetensors have errors of their own for a full disk, which are no OSError.
_UNFINISHED = ("PytorchStreamWriter", "inline_container", "os error 28")
_ELSEWHERE = "Name another place: --output_dir, --out, --folder or the argument of this command."
_PLACES = {
    errno.ENOSPC: "Make room on that disk and type the command again (a training continues with --resume auto). "
    + _ELSEWHERE,
    errno.EROFS: f"A folder that can be written to is expected. {_ELSEWHERE}",
    errno.EACCES: f"A folder that you may write to is expected. {_ELSEWHERE}",
    errno.EEXIST: f"A folder is expected there, or nothing. {_ELSEWHERE}",
    errno.ENOTDIR: f"A folder is expected there, or nothing. {_ELSEWHERE}",
    errno.EISDIR: f"A file is expected there, or nothing. {_ELSEWHERE}",
}
