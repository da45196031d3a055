"""Commands that score."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hf_stilts.benchmark import chosen_parts, list_benchmarks, load_benchmark
from hf_stilts.cli.noise import NoiseLevels, NoiseSeeds, noises_of
from hf_stilts.cli.options import (
    STOCK_FLAGS,
    App,
    Figures,
    Format,
    GroupBy,
    Json,
    ask_hub,
    chosen,
    hush_stock_bars,
    known_task,
    refuse_two_formats,
    say_renamed,
    shared_options,
    training_options,
    typed,
)
from hf_stilts.data.language_shares import shares
from hf_stilts.errors import StiltsError, nearest
from hf_stilts.evaluation.options import ScoringOptions
from hf_stilts.options import flag_of
from hf_stilts.studies.drawing import check_drawing, ending_of, save
from hf_stilts.studies.options import BenchmarkOptions
from hf_stilts.studies.study import check_languages as check_languages_of_rows
from hf_stilts.task import check_languages, list_tasks, load_task
from hf_stilts.training.checks import check_adapter, check_typed_paths, mirror_of
from hf_stilts.training.flags import as_flags, check_stock_flags
from hf_stilts.training.options import MIXTURE_OPTIONS, StiltsOptions
from hf_stilts.training.recipes import recipe
from hf_stilts.training.start import DEFAULT_BASE

if TYPE_CHECKING:
    import pandas as pd

app = App()
# Options of benchmarks that the command has in another form: those of trainings, and noise of several levels.
_ELSEWHERE = ("recipe", "flags", "text_to_text", "adapter", "max_length", "trained_in", "noise", "noise_seed")


@dataclass(frozen=True)
class _Shown:
    """How the scores of a benchmark are shown: as JSON, as tables of a format, with pictures in a folder."""

    as_json: bool
    table_format: str | None
    figures: Path | None


@app.command(context_settings=STOCK_FLAGS)
@training_options("limit", "languages", "data_dir", "pooling", "prefix", *MIXTURE_OPTIONS)
@shared_options(BenchmarkOptions, *_ELSEWHERE)
def evaluate(
    name: Annotated[
        list[str], typer.Argument(help="Tasks, or a benchmark: xtreme, xtreme-r, african, americas, flores200.")
    ],
    model: Annotated[str | None, typer.Option(help="Tasks: trained checkpoint to score, a name or a folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Tasks: also append the table to this .jsonl file.")] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Tasks: also add the main scores to the card of the published model.")
    ] = False,
    noise: NoiseLevels = None,
    noise_seed: NoiseSeeds = None,
    table_format: Annotated[
        Literal["md", "csv", "latex"] | None,
        typer.Option(
            "--format", rich_help_panel="Benchmark", help="Print tables in this format instead; csv: of languages."
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(rich_help_panel="Benchmark", help="Draw the scores into this folder, as SVG, PDF and PNG."),
    ] = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Score a model in every language of some tasks, or train and score every task of a benchmark.

    A benchmark trains each target once, in English or in --train-languages, and
    scores every language.
    After an interruption the same command continues. Its trainings take the
    options below and any field of transformers.TrainingArguments: --max_steps 500.
    """
    flags = next((name[place:] for place, word in enumerate(name) if word.startswith("-")), [])
    names = name[: len(name) - len(flags)]
    asked = typed(BenchmarkOptions, options, *_ELSEWHERE)
    asked = replace(asked, prefix=_one_or_two(asked.prefix))
    noises = noises_of(noise, noise_seed, asked.noise_dictionaries)
    training = chosen(options)
    if len(names) == 1 and names[0] in list_benchmarks():
        of_tasks = [option for option, given in {"--publish": publish, "--output": output}.items() if given]
        shown = _Shown(as_json, table_format, figures)
        _check_for_benchmark(names[0], of_tasks, noises, shown)
        asked = replace(asked, base=_base_of_benchmark(names[0], asked.base, model))
        _evaluate_benchmark(names[0], _with_trainings(names[0], asked, training, flags), noises, shown)
    else:
        of_benchmarks = [
            BenchmarkOptions.flag_for(each) for each in BenchmarkOptions.PANELS["Benchmark"] if getattr(asked, each)
        ]
        of_benchmarks += [each for each, given in {"--format": table_format, "--figures": figures}.items() if given]
        names = _on_the_hub(names)
        _check_names(names, asked.languages)
        _check_for_tasks(names, model, [*flags, *of_benchmarks, *map(flag_of, training)])
        _evaluate_tasks(names, str(model), asked, noises, output, publish=publish, as_json=as_json)


def _check_for_benchmark(benchmark: str, of_tasks: list[str], noises: list[dict[str, Any]], shown: _Shown) -> None:
    """Refuse what a benchmark does not take, and pictures where none can be drawn.

    Raises:
        StiltsError: an option of tasks, one object of JSON for several noises, two formats, or no matplotlib.
    """
    refuse_two_formats(shown.table_format, shown.as_json)
    if shown.figures is not None:
        check_drawing()
    if of_tasks:
        raise StiltsError(
            f"{of_tasks[0]} is for tasks: {benchmark} trains a model for each of its own and keeps all rows in "
            "results.jsonl of --output-dir. Leave it out; to publish scores, evaluate one task with --publish."
        )
    if shown.as_json and len(noises) > 1:
        raise StiltsError(
            f"--json prints one object a benchmark, and {len(noises)} noises were given. Leave out --json: all "
            "rows are kept in --output-dir, and hf-stilts robustness DIR --json reads them."
        )


def _check_for_tasks(names: list[str], model: str | None, stray: list[str]) -> None:
    """Refuse what only a benchmark takes.

    Raises:
        StiltsError: such an option; or no model was given.
    """
    if stray:
        raise StiltsError(
            f"{stray[0]} is no option for {', '.join(names)}: a task is scored with a checkpoint that is trained for "
            f"it, only a benchmark trains. To train one: hf-stilts target {names[0]} --init NAME"
        )
    if model is None:
        raise StiltsError(
            f"No model was given to score on {', '.join(names)}; a trained checkpoint is expected. Type its name or "
            f"folder: hf-stilts evaluate {' '.join(names)} --model NAME"
        )


@app.command()
def gains(
    results: Annotated[list[Path], typer.Argument(help="results.jsonl files of evaluate, or their folders.")],
    baseline: Annotated[str, typer.Option(help="Label of the baseline.")] = "none",
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Bootstrap samples of the examples of a language; 0: none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.")] = 0,
    languages: Annotated[bool, typer.Option("--languages", help="Also print a line for every language.")] = False,
    table_format: Format = None,
    figures: Figures = None,
    group_by: GroupBy = "class",
    as_json: Json = False,
) -> None:
    """Compare runs from intermediate checkpoints with the baseline: gains, p-values, gaps, best task per target."""
    refuse_two_formats(table_format, as_json)
    from hf_stilts.console import say, show_gains, show_text
    from hf_stilts.evaluation.results import read_results
    from hf_stilts.studies.gains import gains as compare
    from hf_stilts.studies.pictures import gain_pictures, write_pictures
    from hf_stilts.studies.tables import as_text, gain_tables

    if figures is not None:
        check_drawing()
    report = compare(results, baseline=baseline, bootstrap=bootstrap, seed=seed)
    if table_format:
        show_text(as_text(gain_tables(report, languages=languages), table_format), notes=report.notes)
    else:
        show_gains(report, languages=languages, as_json=as_json)
    if figures is not None:
        benchmark = load_benchmark(read_results(results[0])["benchmark"].iloc[0])
        drawn = write_pictures(gain_pictures(report, benchmark, by=group_by), figures)
        say(f"Drawn: {figures}: {len(drawn)} files.", as_json=as_json or table_format is not None)


def _base_of_benchmark(benchmark: str, base: str | None, model: str | None) -> str:
    """Public model that the trainings of a benchmark start from; it has been called --model.

    Raises:
        StiltsError: both were given.
    """
    if model is None:
        return base or DEFAULT_BASE
    if base is not None:
        raise StiltsError(
            f"--model was given beside --base; of {benchmark}, which trains a model for each task, --base alone is "
            "expected. Leave out --model."
        )
    say_renamed("--model", f"--base of {benchmark}")
    return model


def _one_or_two(prefix: Any) -> Any:
    """Prefixes as they were typed: one text for all, or two.

    Raises:
        StiltsError: there are more.
    """
    if prefix is None or len(prefix) == 2:
        return prefix
    if len(prefix) > 2:
        raise StiltsError(
            f"--prefix was given {len(prefix)} times; expected once for all texts, or twice: for queries (or source "
            "sentences), then for what answers them (or target sentences). "
            "Type: --prefix 'query: ' --prefix 'passage: '"
        )
    return prefix[0]


def _with_trainings(name: str, asked: BenchmarkOptions, training: dict[str, Any], flags: list[str]) -> BenchmarkOptions:
    """The options of a benchmark with those of its trainings, all checked before torch is imported.

    Args:
        name: of the benchmark.
        asked: its options.
        training: options of its trainings, by name.
        flags: stock flags of its trainings.

    Raises:
        StiltsError: an unknown flag, recipe, task or language, or a wrong value.
        FileNotFoundError: a file or folder that is not there.
    """
    options, benchmark = StiltsOptions(**training, data_dir=asked.data_dir), load_benchmark(name)
    recipe(options.recipe, load_task(benchmark.tasks[0]), "target")
    check_typed_paths(options)
    check_adapter(options)
    check_stock_flags(flags)
    chosen_parts(benchmark, asked.tasks, asked.languages, asked.skip)
    _check_train_languages(asked.train_languages)
    # Those that the settings of a run have always named, by name; the others as flags.
    by_name = ("recipe", "text_to_text", "adapter", "lora_target_modules")
    others = {each: value for each, value in training.items() if each not in by_name}
    return replace(
        asked,
        recipe=options.recipe,
        text_to_text=options.text_to_text,
        adapter=options.whole_adapter,
        flags=(*as_flags(others), *flags),
    )


def _check_train_languages(languages: str | None) -> None:
    """Refuse training languages that nobody has; which of them a task has is seen when it is trained.

    Raises:
        StiltsError: an unknown code, one twice, or shares that do not sum to 1.
    """
    if languages is None or languages == "all":
        return
    check_languages_of_rows({code: float(share) for code, share in shares(languages).items()}, "--train-languages")


@app.command()
def robustness(
    results: Annotated[
        list[Path], typer.Argument(help="Folders of evaluate xtreme, or files of evaluate TASK --output.")
    ],
    languages: Annotated[bool, typer.Option("--languages", help="Also print a line for every language.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Plot the curves to this .png, .svg or .pdf file; needs matplotlib.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare scores on noisy and clean rows: drops, flip rate, area under the curve."""
    from hf_stilts.console import say, show_robustness
    from hf_stilts.studies.pictures import robustness_picture
    from hf_stilts.studies.robustness import robustness as measure

    ending = "png"
    if picture is not None:
        check_drawing()
        ending = ending_of(picture)
    report = measure(results)
    if picture is not None:
        figure = robustness_picture(report).figure
        (file,) = save(figure, picture.with_suffix(""), [ending])
        say(f"The curves are in {file}.", as_json=as_json)
    show_robustness(report, languages=languages, as_json=as_json)


def _evaluate_benchmark(name: str, asked: BenchmarkOptions, noises: list[dict[str, Any]], shown: _Shown) -> None:
    """Run a benchmark, once for each noise, and show its scores."""
    _check_rows_of_benchmark(name, asked)
    ask_hub(asked.init or asked.base, data_dir=asked.data_dir)
    from contextlib import redirect_stdout

    from hf_stilts.evaluation.processes import processes
    from hf_stilts.studies.benchmark import IncompleteRun, run_benchmark

    hush_stock_bars()
    for noise in noises:
        options = replace(asked, **noise)
        incomplete = None
        with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
            try:
                table = run_benchmark(name, **options.keywords())
            except IncompleteRun as error:
                incomplete, table = error, error.table
        if len(table) and processes().is_main_process:  # under torchrun every process has the table; one speaks
            figures = _figures_of(shown.figures, noise, len(noises))
            _show_benchmark(table, name, replace(shown, figures=figures))
        if incomplete:
            raise incomplete


def _check_rows_of_benchmark(name: str, asked: BenchmarkOptions) -> None:
    """Refuse a mirror that has rows of no task, before a model is loaded; those of single tasks are left out later.

    Raises:
        StiltsError: there is not a row to score; what to type for those of the first task.
    """
    if not mirror_of(asked.data_dir):
        return
    from hf_stilts.data.load import present  # which imports data sets
    from hf_stilts.evaluation.results import RESULTS

    folders = [Path(asked.out)] if asked.out else Path("runs").glob(f"{name}-*")
    if any((folder / RESULTS).is_file() for folder in folders):
        return  # what is scored already needs no rows

    first: Exception | None = None
    for task, languages in chosen_parts(load_benchmark(name), asked.tasks, asked.languages, asked.skip):
        try:
            present(task, asked.split, languages, available=True, data_dir=asked.data_dir)
            return
        except (ValueError, OSError) as error:
            first = first or error
    raise StiltsError(f"{mirror_of(asked.data_dir)} has no {asked.split} rows of any task of {name}. {first}")


def _figures_of(figures: Path | None, noise: dict[str, Any], count: int) -> Path | None:
    """Folder of the pictures of one of several noises: `keyboard-0.1-0`."""
    if figures is None or count == 1:
        return figures
    return figures / f"{noise['noise'].partition(':')[0]}-{noise['noise_seed']}".replace("=", "-")


def _show_benchmark(table: pd.DataFrame, name: str, shown: _Shown) -> None:
    """Print the scores of a benchmark, and draw them where that was asked for."""
    from hf_stilts.console import say, show_benchmark, show_text
    from hf_stilts.studies.benchmark import benchmark_scores
    from hf_stilts.studies.pictures import score_pictures, write_pictures
    from hf_stilts.studies.tables import as_text, score_tables

    found, rows = benchmark_scores(table, name), table[table["main"].astype(bool)].to_dict("records")
    if shown.table_format:
        show_text(as_text(score_tables(rows, found), shown.table_format), notes=found["notes"])
    else:
        show_benchmark(table, found, as_json=shown.as_json)
    if shown.figures is not None:
        benchmark = load_benchmark(name)
        title = f"{benchmark.title}: {rows[0]['base']}, intermediate training: {rows[0]['intermediate']}"
        drawn = write_pictures(score_pictures(rows, benchmark, title), shown.figures)
        say(f"Drawn: {shown.figures}: {len(drawn)} files.", as_json=shown.as_json or shown.table_format is not None)


def _on_the_hub(names: list[str]) -> list[str]:
    """Tasks of data set repositories on the Hub as paths of their files; the other names as they are."""
    return [known_task(name) if "/" in name else name for name in names]


def _check_names(names: list[str], languages: Sequence[str] | None) -> None:
    """Refuse a mistyped name, or a language too many, before torch is loaded.

    Raises:
        StiltsError: there is one; the nearest name, or the languages that there are, are in the message.
    """
    for name in names:
        near = [] if "/" in name or name in list_tasks() else nearest(name, list_benchmarks())
        if near:
            raise StiltsError(f"No task or benchmark {name!r}. Did you mean {near[0]}? Run: hf-stilts tasks")
        check_languages(load_task(name), languages)


def _check_rows(names: list[str], asked: ScoringOptions) -> None:
    """Refuse languages whose rows a mirror lacks, before a model is loaded.

    Raises:
        StiltsError: there are some; which, and what to type for the others.
        FileNotFoundError: the mirror lacks a data set.
    """
    if mirror_of(asked.data_dir):
        from hf_stilts.data.load import present  # which imports data sets

        for name in names:
            present(name, asked.split, asked.languages, available=asked.available, data_dir=asked.data_dir)


def _evaluate_tasks(
    names: list[str],
    model: str,
    asked: ScoringOptions,
    noises: list[dict[str, Any]],
    output: Path | None,
    *,
    publish: bool,
    as_json: bool,
) -> None:
    """Score a model on tasks, each with each noise, show its scores, and publish them where that was asked for."""
    _check_rows(names, asked)
    ask_hub(model, data_dir=asked.data_dir)
    import pandas as pd

    from hf_stilts.console import say, show, show_scores
    from hf_stilts.evaluation.processes import processes
    from hf_stilts.evaluation.zero_shot import append_jsonl, main_scores, zero_shot
    from hf_stilts.hub.scores import add_scores, refuse_unless_scorable

    if publish:
        if asked.limit is not None:
            raise StiltsError("--publish is for whole test sets, and --limit scores a part. Leave out one of them.")
        if noises != [{}]:
            raise StiltsError("--publish is for test sets as they are, and --noise misspells them. Leave out one.")
        refuse_unless_scorable(model)  # before an hour of scoring, and not after it
    hush_stock_bars()
    tasks = [load_task(name) for name in names]
    # Where tasks are mixed, the layer and the like are of those that search.
    mixed = any(task.declaration.layered if asked.best_layer else not task.has_head for task in tasks)
    tables = []
    for name, noise in itertools.product(names, noises):
        own = asked.among_others(load_task(name)) if mixed else asked
        options = {**own.keywords(ScoringOptions), **noise}
        tables.append(zero_shot(model, name, **options))
        if output and processes().is_main_process:  # at once: the next task may fail
            append_jsonl(tables[-1], output)
    if not processes().is_main_process:  # under torchrun every process has the table; one writes and speaks
        return
    table = pd.concat(tables)
    if as_json:
        show(table.to_dict("records"), as_json=True)
    else:
        for each in tables:
            show_scores(each)
    if publish:
        commit = add_scores(model, main_scores(table), rows=table[table["main"]].to_dict("records"))
        say(f"The card of {model} has these scores since commit {commit[:8]}.", as_json=as_json)
