"""Commands that score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_stilts.cli.options import DataDir, Json, Limit, split_list

app = typer.Typer()


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
    chosen = split_list(languages)
    table = pd.concat(
        zero_shot(model, each, chosen, split=split, limit=limit, data_dir=data_dir, **options) for each in task
    )
    if output:
        append_jsonl(table, output)
    if as_json:
        show(table.to_dict("records"), as_json=True)
    else:
        show_scores(table)
