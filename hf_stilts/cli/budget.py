"""Command that compares how much the arms of a comparison trained."""

from __future__ import annotations

from typing import Annotated

import typer

from hf_stilts.cli.options import App, Json

app = App()


@app.command("equal-budget")
def equal_budget(
    arms: Annotated[
        list[str], typer.Argument(help="Output folders, their checkpoints, or published checkpoints; two or more.")
    ],
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share by which steps and examples may differ; 0.01: one per cent.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Check that the arms of a comparison trained on as many examples in as many steps; exit code 1 where not."""
    from hf_stilts.console import show
    from hf_stilts.training.budget import equal_budget as compare

    found = compare(arms, tolerance=tolerance)
    rows = [
        {"arm": arm, "steps": each.steps, "batch": each.batch, "examples": each.examples} for arm, each in found.items()
    ]
    show(rows, as_json=as_json)
