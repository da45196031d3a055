"""Command of similarity between languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    explain: Annotated[
        list[Path] | None,
        typer.Option(help="Folder or file of results: how the measures go with gains; again for more runs."),
    ] = None,
    measures: Annotated[
        str | None, typer.Option(help="With --explain: measures, comma-separated; default: all.")
    ] = None,
    outcome: Annotated[
        Literal["gain", "score"], typer.Option(help="With --explain: gains over --baseline, or scores.")
    ] = "gain",
    baseline: Annotated[str, typer.Option(help="With --explain: the start that gains are over.")] = "none",
    bootstrap: Annotated[int, typer.Option(min=0, help="Draws of languages for intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed of the draws.")] = 0,
    picture: Annotated[
        Path | None, typer.Option(help="Draw gains over measures into this file (.png, .svg, .pdf); needs matplotlib.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the measures to this .jsonl file, for --table.")] = None,
    split: Annotated[str, typer.Option(help="Split of a task: train, validation or test.")] = "test",
    limit: Limit = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Measure how alike languages are, from text that you have, and whether that explains what they gain."""
    if text is None and (stray := "--base" if base else "--encoder" if encoder else None):
        raise StiltsError(f"{stray} compares texts, and none were given. Type: hf-stilts similarity TASK_OR_FOLDER")
    others = split_list(to) or []
    _check_explaining(explain, others, measures, picture)
    from hf_stilts.console import say, show_similarity
    from hf_stilts.studies.language_texts import text_pairs
    from hf_stilts.studies.similarity import similarity as measure

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
    if explain is None:
        show_similarity(report, as_json=as_json)
        return
    from hf_stilts.console import show_explanation
    from hf_stilts.studies.explain import explain as find

    chosen = split_list(measures) or report.measures
    found = find(
        explain,
        report.pairs,
        chosen,
        to=others[0],
        outcome=outcome,
        baseline=baseline,
        bootstrap=bootstrap,
        seed=seed,
    )
    if picture is not None:
        from hf_stilts.studies.drawing import ending_of, save
        from hf_stilts.studies.figures import similarity_points

        figure = similarity_points(found.points, chosen, title="Similarity and gain", outcome=outcome)
        (file,) = save(figure, picture.with_suffix(""), [ending_of(picture)])
        say(f"The picture is in {file}.", as_json=as_json)
    show_explanation(found, as_json=as_json)


def _check_explaining(explain: list[Path] | None, to: list[str], measures: str | None, picture: Path | None) -> None:
    """Refuse options that do not go together, and a picture that cannot be drawn.

    Raises:
        StiltsError: an option of `--explain` without it, or two languages of training.
    """
    if explain is None:
        if stray := "--measures" if measures else "--picture" if picture else None:
            raise StiltsError(f"{stray} is of --explain, which was not given. Type for example: --explain runs/mnli")
        return
    if len(to) > 1:
        raise StiltsError(
            f"--explain compares with one language, that of training, and --to {','.join(to)} names {len(to)}. "
            f"Type: --to {to[0]}"
        )
    if picture is not None:
        from hf_stilts.studies.drawing import check_drawing, ending_of

        check_drawing()
        ending_of(picture)
