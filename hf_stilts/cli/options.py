"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Train anew where --output_dir holds a run, which is deleted.")
]
Exclude = Annotated[Path | None, typer.Option(help="List of training rows to leave out, of: data overlap.")]
MicroTokens = Annotated[
    int | None,
    typer.Option(min=0, help="Most tokens that go through the model at a time; the result is the same. 0: no cutting."),
]
CompactVocabulary = Annotated[
    bool,
    typer.Option(help="Train only the word embeddings that the data uses: the same model, less than half the memory."),
]
Batches = Annotated[
    Literal["monolingual", "cross-lingual", "hybrid"] | None,
    typer.Option(help="Dual encoder, several --languages: a batch is in one language, across two, or half of each."),
]
Contrastive = Annotated[
    str | None, typer.Option(help="Also hold each row's features to those of its translation into this language.")
]
Adapter = Annotated[
    str | None, typer.Option(help="lora, or lora=32 for its rank: train that and the head, and save megabytes.")
]
LoraModules = Annotated[
    str | None,
    typer.Option(help="Linear layers that LoRA adapts, as query,value; default: peft's for the architecture, or all."),
]
TextToText = Annotated[
    bool, typer.Option("--text-to-text", help="Let an encoder-decoder (mT5) answer in words, of possible answers only.")
]
STOCK_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}


def adapter_of(adapter: str | None, modules: str | None) -> str | None:
    """`--adapter` with `--lora-target-modules`, in one word: `lora=16:query,value`."""
    return f"{adapter or 'lora'}:{modules}" if modules else adapter


def split_list(text: str | None) -> list[str] | None:
    """`"de, sw"` as `["de", "sw"]`; nothing stays nothing."""
    return [part.strip() for part in text.split(",")] if text else None
