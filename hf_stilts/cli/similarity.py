"""Command of similarity between languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_stilts.cli.options import App, DataDir, Json, Limit, split_list
from hf_stilts.errors import StiltsError

app = App()


@app.command()
def similarity(
    text: Annotated[
        str | None,
        typer.Argument(help="A task, or a folder with a text file a language, a sentence a line: de.txt, en.txt."),
    ] = None,
    to: Annotated[str, typer.Option(help="Languages that the others are compared with, comma-separated.")] = "en",
    languages: Annotated[str | None, typer.Option(help="The others, comma-separated; default: all there are.")] = None,
    parallel: Annotated[
        bool, typer.Option("--parallel", help="Text i of each language translates text i of the others; for chrF.")
    ] = False,
    transliterate: Annotated[
        bool, typer.Option("--transliterate", help="Compare words and characters in Latin letters.")
    ] = False,
    base: Annotated[str | None, typer.Option(help="Also compare the sub-words of this model's tokenizer.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Also compare this model's vectors of parallel texts, as mPLM-Sim does.")
    ] = None,
    layer: Annotated[
        int | None, typer.Option(min=0, help="Hidden state of --encoder; default: as in retrieval.")
    ] = None,
    words: Annotated[
        Path | None, typer.Option(help="Also compare a word list: TSV, a language a column, a concept a line.")
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(help="Measures from elsewhere: .jsonl, .tsv or .csv with columns first, second; again for more."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the measures to this .jsonl file, for --table.")] = None,
    split: Annotated[str, typer.Option(help="Canonical split of a task.")] = "test",
    limit: Limit = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Measure how alike languages are, from text that you have."""
    if text is None and (stray := "--base" if base else "--encoder" if encoder else None):
        raise StiltsError(f"{stray} compares texts, and none were given. Type: hf-stilts similarity TASK_OR_FOLDER")
    from hf_stilts.console import say, show_similarity
    from hf_stilts.studies.language_texts import text_pairs
    from hf_stilts.studies.similarity import similarity as measure

    others = split_list(to) or []
    pairs = []
    if text is not None:
        pairs = text_pairs(
            text,
            to=others,
            languages=split_list(languages),
            parallel=parallel,
            split=split,
            limit=limit,
            data_dir=data_dir,
        )
    report = measure(
        pairs,
        base=base,
        encoder=encoder,
        layer=layer,
        transliterate=transliterate,
        words=words,
        to=others,
        tables=table or (),
    )
    if output is not None:
        say(f"The measures are in {report.save(output)}.", as_json=as_json)
    show_similarity(report, as_json=as_json)
