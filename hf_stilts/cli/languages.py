"""Commands that make other rows of a task's rows, and that look for evaluation sentences among them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hf_stilts.augmentation.options import RowOptions
from hf_stilts.cli.noise import NoiseDictionaries, NoiseOption
from hf_stilts.cli.options import (
    App,
    DataDir,
    Json,
    TaskName,
    ask_hub,
    shared_options,
    split_list,
    typed,
)

app = App()
Out = Annotated[Path, typer.Option(help="Folder of the mirror to write to; the training reads it with --data-dir.")]

_SEVERAL = ("language", "exclude")  # in their place these commands have `--languages`, and they leave no row out


@app.command("translate")
@shared_options(RowOptions)
def data_translate(
    task: TaskName,
    to: Annotated[str, typer.Option(help="Languages to make, comma-separated.")],
    model: Annotated[str, typer.Option(help="Translation model by name or folder: MarianMT, NLLB, M2M100, T5 ...")],
    out: Out,
    revision: Annotated[str | None, typer.Option(help="Commit of the translation model.")] = None,
    beams: Annotated[int, typer.Option(min=1, help="Number of beams; 1: greedy search.")] = 4,
    prefix: Annotated[str, typer.Option(help="Text to put before every input, for T5.")] = "",
    batch_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens in a batch, times beams.")] = 8192,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Translate a task's rows; after an interruption the same command continues."""
    from hf_stilts.augmentation.translate import check_translation, translate

    rows = typed(RowOptions, options)
    check_translation(task, split_list(to) or [], rows.language)  # before torch and a model are loaded
    ask_hub(model, data_dir=rows.data_dir)
    from hf_stilts.augmentation.translators import ModelTranslator
    from hf_stilts.console import show

    translator = ModelTranslator(model, revision=revision, beams=beams, prefix=prefix, batch_tokens=batch_tokens)
    report = translate(
        task,
        split_list(to) or [],
        translator,
        out,
        **rows.keywords(),
    )
    show(report.rows(), as_json=as_json)


@app.command("code-switch")
@shared_options(RowOptions)
def data_code_switch(
    task: TaskName,
    to: Annotated[str, typer.Option(help="Languages to make, comma-separated.")],
    lexicons: Annotated[Path, typer.Option(help="Folder of MUSE's dictionaries: en-de.txt, en-sw.txt, ...")],
    out: Out,
    probability: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that a word of a lexicon is replaced.")
    ] = 0.5,
    mode: Annotated[
        Literal["multilingual", "bilingual"],
        typer.Option(help="multilingual: a language for each word; bilingual: separate rows for each language."),
    ] = "multilingual",
    seed: Annotated[int, typer.Option(help="Random seed of the replaced words.")] = 0,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Replace words of a task's rows by their translations in lexicons."""
    rows = typed(RowOptions, options)
    ask_hub(data_dir=rows.data_dir)
    from hf_stilts.augmentation.code_switch import code_switch
    from hf_stilts.console import show

    report = code_switch(
        task,
        split_list(to) or [],
        lexicons,
        out,
        probability=probability,
        mode=mode,
        seed=seed,
        **rows.keywords(),
    )
    show(report.rows(), as_json=as_json)


@app.command("transliterate")
@shared_options(RowOptions, *_SEVERAL)
def data_transliterate(
    task: TaskName,
    languages: Annotated[
        str, typer.Option(help="Languages of the rows, comma-separated: hi,ta, or translated rows: hi-t-en.")
    ],
    out: Out,
    script: Annotated[str, typer.Option(help="ISO 15924 code: Latn, or for Indic languages Deva, Taml, ...")] = "Latn",
    as_json: Json = False,
    **options: Any,
) -> None:
    """Transliterate a task's rows to another script."""
    rows = typed(RowOptions, options, *_SEVERAL)
    ask_hub(data_dir=rows.data_dir)
    from hf_stilts.augmentation.transliterate import transliterate
    from hf_stilts.console import show

    report = transliterate(
        task,
        script,
        out,
        languages=split_list(languages) or [],
        splits=rows.splits,
        limit=rows.limit,
        data_dir=rows.data_dir,
    )
    show(report.rows(), as_json=as_json)


@app.command("noise")
@shared_options(RowOptions, *_SEVERAL)
def data_noise(
    task: TaskName,
    noise: NoiseOption,
    out: Out,
    languages: Annotated[
        str, typer.Option(help="Languages of the rows, comma-separated: en,de, or translated rows: de-t-en.")
    ] = "en",
    seed: Annotated[int, typer.Option(help="Random seed of words and errors.")] = 0,
    noise_dictionaries: NoiseDictionaries = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Misspell a task's rows for training; for evaluation use evaluate --noise."""
    from hf_stilts.augmentation.noise import Noise

    chosen = Noise.parse(noise, seed, noise_dictionaries)
    rows = typed(RowOptions, options, *_SEVERAL)
    ask_hub(data_dir=rows.data_dir)
    from hf_stilts.augmentation.noisy_rows import misspell
    from hf_stilts.console import show

    report = misspell(
        task,
        chosen,
        out,
        languages=split_list(languages) or [],
        splits=rows.splits,
        limit=rows.limit,
        data_dir=rows.data_dir,
    )
    show(report.rows(), as_json=as_json)


@app.command("overlap")
def data_overlap(
    task: TaskName,
    against: Annotated[str, typer.Option(help="Evaluation tasks, comma-separated.")],
    languages: Annotated[str, typer.Option(help="Languages of the training rows, comma-separated.")] = "en",
    against_languages: Annotated[
        str | None, typer.Option(help="Languages of the evaluation tasks; default: all.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the training rows.")] = "train",
    minimum: Annotated[int, typer.Option(min=1, help="Minimum number of words of a sentence that counts.")] = 3,
    exclude: Annotated[
        Path | None, typer.Option(help="Write the list of these rows to this file; trainings read it with --exclude.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Count the training rows that share a sentence with evaluation sets, and list them."""
    ask_hub(data_dir=data_dir)
    from hf_stilts.console import say, show
    from hf_stilts.data.overlap import overlap

    report = overlap(
        task,
        split_list(against) or [],
        languages=split_list(languages) or [],
        split=split,
        minimum=minimum,
        against_languages=split_list(against_languages),
        data_dir=data_dir,
    )
    show(report.rows(), as_json=as_json)
    if exclude:
        say(f"Train without them: --exclude {report.exclusion().save(exclude)}", as_json=as_json)
