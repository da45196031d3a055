"""Command of similarity between languages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_stilts.cli.options import App, Json, shared_options, typed
from hf_stilts.errors import StiltsError
from hf_stilts.studies.options import ExplanationOptions, SimilarityOptions

if TYPE_CHECKING:
    from hf_stilts.studies.explain import Explanation
    from hf_stilts.studies.similarity import SimilarityReport

app = App()


@app.command()
@shared_options(ExplanationOptions)
@shared_options(SimilarityOptions)
def similarity(
    text: Annotated[
        str | None,
        typer.Argument(help="A task, or a folder with a text file a language, a sentence a line: de.txt, en.txt."),
    ] = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Measure how alike languages are, from text that you have, and whether that explains what they gain."""
    asked, explaining = typed(SimilarityOptions, options), typed(ExplanationOptions, options)
    _check(text, asked, explaining)
    from hf_stilts.console import say, show_explanation, show_similarity

    report = _measured(text, asked)
    if asked.output is not None:
        say(f"The measures are in {report.save(asked.output)}.", as_json=as_json)
    if explaining.explain is None:
        show_similarity(report, as_json=as_json)
        return
    found = _explained(report, asked.to[0], explaining)
    if explaining.picture is not None:
        say(f"The picture is in {_drawn(found, report, explaining, explaining.picture)}.", as_json=as_json)
    show_explanation(found, as_json=as_json)


def _check(text: str | None, asked: SimilarityOptions, explaining: ExplanationOptions) -> None:
    """Refuse options that do not go together, and a picture that cannot be drawn.

    Raises:
        StiltsError: a model without texts to compare, two languages of training, or a picture of an unknown form.
    """
    if text is None and not (asked.base or asked.encoder or asked.words or asked.table):
        raise StiltsError(
            "Nothing to compare was given; expected a task, a folder of texts, a word list (--words) or a table of "
            "measures (--table). Type for example: hf-stilts similarity tatoeba"
        )
    if text is None and (asked.base or asked.encoder):
        stray = "--base" if asked.base else "--encoder"
        raise StiltsError(f"{stray} compares texts, and none were given. Type: hf-stilts similarity TASK_OR_FOLDER")
    if explaining.explain and len(asked.to) > 1:
        raise StiltsError(
            f"--explain compares with one language, that of training, and --to {','.join(asked.to)} names "
            f"{len(asked.to)}. Type: --to {asked.to[0]}"
        )
    if explaining.picture is not None:
        from hf_stilts.studies.drawing import check_drawing, ending_of

        check_drawing()
        ending_of(explaining.picture)


def _measured(text: str | None, asked: SimilarityOptions) -> SimilarityReport:
    """The measures of every pair of languages."""
    from hf_stilts.studies.language_texts import text_pairs
    from hf_stilts.studies.similarity import similarity as measure

    pairs = []
    if text is not None:
        pairs = text_pairs(
            text,
            to=asked.to,
            languages=asked.languages,
            parallel=asked.parallel,
            split=asked.split,
            limit=asked.limit,
            data_dir=asked.data_dir,
        )
    return measure(
        pairs,
        base=asked.base,
        encoder=asked.encoder,
        layer=asked.layer,
        transliterate=asked.transliterate,
        words=asked.words,
        to=asked.to,
        tables=asked.table or (),
    )


def _explained(report: SimilarityReport, to: str, explaining: ExplanationOptions) -> Explanation:
    """How the measures go with the gains, or scores, of some results."""
    from hf_stilts.studies.explain import explain

    return explain(
        explaining.explain or (),
        report.pairs,
        explaining.measures or report.measures,
        to=to,
        outcome=explaining.outcome,
        baseline=explaining.baseline,
        bootstrap=explaining.bootstrap,
        seed=explaining.seed,
    )


def _drawn(found: Explanation, report: SimilarityReport, explaining: ExplanationOptions, picture: Path) -> Path:
    """Draw gains over each measure into a file."""
    from hf_stilts.studies.drawing import ending_of, save
    from hf_stilts.studies.figures import similarity_points

    measures = list(explaining.measures or report.measures)
    figure = similarity_points(found.points, measures, title="Similarity and gain", outcome=explaining.outcome)
    (file,) = save(figure, picture.with_suffix(""), [ending_of(picture)])
    return file
