"""Commands that score."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_stilts.benchmark import Benchmark, chosen_parts, list_benchmarks, load_benchmark
from hf_stilts.cli.noise import NoiseDictionaries, NoiseLevels, NoiseSeeds, noises_of
from hf_stilts.cli.options import (
    STOCK_FLAGS,
    App,
    DataDir,
    Json,
    Limit,
    Namespace,
    chosen,
    say_renamed,
    split_list,
    training_options,
)
from hf_stilts.errors import StiltsError, nearest
from hf_stilts.task import check_languages, list_tasks, load_task
from hf_stilts.training.checks import check_typed_paths
from hf_stilts.training.flags import as_flags, check_stock_flags
from hf_stilts.training.options import MIXTURE_OPTIONS, StiltsOptions, flag_of
from hf_stilts.training.recipes import recipe
from hf_stilts.training.start import DEFAULT_BASE

app = App()
BENCHMARK = "Benchmark"
RETRIEVAL = ("layer", "pooling", "prefix")  # options of retrieval tasks alone


@app.command(context_settings=STOCK_FLAGS)
@training_options("limit", "languages", "data_dir", "pooling", "prefix", *MIXTURE_OPTIONS)
def evaluate(
    name: Annotated[list[str], typer.Argument(help="Tasks, or a benchmark: xtreme, xtreme-r.")],
    model: Annotated[
        str | None, typer.Option(help="Tasks: the trained checkpoint to score, by name or folder.")
    ] = None,
    languages: Annotated[str | None, typer.Option(help="Comma-separated; default: all of the task.")] = None,
    available: Annotated[bool, typer.Option("--available", help="Only the languages whose rows are there.")] = False,
    split: Annotated[str, typer.Option(help="Canonical split.")] = "test",
    limit: Limit = None,
    layer: Annotated[
        int | None,
        typer.Option(
            help="Retrieval: hidden state, 0 = embeddings; default: a sentence encoder's last, else the papers'."
        ),
    ] = None,
    pooling: Annotated[
        str | None, typer.Option(help="Retrieval: mean, cls, ...; default: as the model's folder says.")
    ] = None,
    prefix: Annotated[
        list[str] | None,
        typer.Option(
            help="Retrieval: put before every text, as 'query: '; twice: before queries, and what answers them."
        ),
    ] = None,
    data_dir: DataDir = None,
    noise: NoiseLevels = None,
    noise_seed: NoiseSeeds = None,
    noise_dictionaries: NoiseDictionaries = None,
    output: Annotated[Path | None, typer.Option(help="Tasks: also append the rows to this .jsonl file.")] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Tasks: also write the main scores onto the published model's card.")
    ] = False,
    as_json: Json = False,
    base: Annotated[
        str | None,
        typer.Option(help=f"Public model to start from; default: {DEFAULT_BASE}.", rich_help_panel=BENCHMARK),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Intermediate checkpoint by name; without it, the baseline.", rich_help_panel=BENCHMARK),
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; default: all.", rich_help_panel=BENCHMARK)] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Leave out a task, or languages of one: --skip udpos:kk,yo.", rich_help_panel=BENCHMARK),
    ] = None,
    train_limit: Annotated[
        int | None, typer.Option(min=1, help="Train on at most so many rows.", rich_help_panel=BENCHMARK)
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="What tables call the start; seeds share one.", rich_help_panel=BENCHMARK)
    ] = None,
    namespace: Namespace = None,
    output_dir: Annotated[Path | None, typer.Option(help="Folder of the run.", rich_help_panel=BENCHMARK)] = None,
    **options: Any,
) -> None:
    """Score one model in every language of some tasks, or train and score every task of a benchmark.

    hf-stilts evaluate xtreme --base FacebookAI/xlm-roberta-base --init mnli trains each target in English once, scores
    every language, and goes on where it was if it is run again. Options of these trainings: those below, and any field
    of transformers.TrainingArguments: --max_steps 500 --seed 7.
    """
    flags = next((name[place:] for place, word in enumerate(name) if word.startswith("-")), [])
    names = name[: len(name) - len(flags)]
    common: dict[str, Any] = {"languages": split_list(languages), "split": split, "limit": limit, "data_dir": data_dir}
    common |= {"available": available, **_retrieval_options(layer, pooling, prefix)}
    noises = noises_of(noise, noise_seed, noise_dictionaries)
    if len(names) == 1 and names[0] in list_benchmarks():
        of_tasks = [option for option, given in {"--publish": publish, "--output": output}.items() if given]
        if of_tasks:
            raise StiltsError(
                f"{of_tasks[0]} is for tasks: {names[0]} trains a model for each of its own and keeps all rows in "
                "results.jsonl of --output-dir. Leave it out; to publish scores, evaluate one task with --publish."
            )
        base = _base_of_benchmark(names[0], base, model)
        training = chosen(options)
        _check_trainings(load_benchmark(names[0]), flags, StiltsOptions(**training, data_dir=data_dir))
        chosen_parts(load_benchmark(names[0]), split_list(tasks), split_list(languages), skip or [])
        if as_json and len(noises) > 1:
            raise StiltsError(
                f"--json prints one object a benchmark, and {len(noises)} noises were given. Leave out --json: all "
                "rows are kept in --output-dir, and hf-stilts robustness DIR --json reads them."
            )
        from hf_stilts.hub.reachable import check_reachable

        check_reachable(init or base)
        # Those that the settings of a run have always named, by name; the others as flags.
        named = {each: training.pop(each) for each in ("recipe", "text_to_text") if each in training}
        adapter = StiltsOptions(**training).whole_adapter
        training = {each: value for each, value in training.items() if each not in ("adapter", "lora_target_modules")}
        for each_noise in noises:
            _evaluate_benchmark(
                names[0],
                base,
                as_json,
                **common,
                **named,
                **each_noise,
                init=init,
                label=label,
                namespace=namespace,
                flags=[*as_flags(training), *flags],
                tasks=split_list(tasks),
                skip=skip or [],
                out=output_dir,
                train_limit=train_limit,
                adapter=adapter,
            )
        return
    of_benchmarks: dict[str, Any] = {
        "--base": base,
        "--init": init,
        "--tasks": tasks,
        "--train-limit": train_limit,
        "--label": label,
    }
    of_benchmarks |= {"--skip": skip, "--output-dir": output_dir}
    of_benchmarks |= {flag_of(each): value for each, value in chosen(options).items()}
    stray = [*flags, *(option for option, given in of_benchmarks.items() if given)]
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
    _evaluate_tasks(names, model, as_json, output, publish, noises, **common)


@app.command()
def gains(
    results: Annotated[list[Path], typer.Argument(help="Files results.jsonl of evaluate, or their folders.")],
    baseline: Annotated[str, typer.Option(help="The start that the others are compared with.")] = "none",
    bootstrap: Annotated[int, typer.Option(min=0, help="Draws over the examples of a language; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    languages: Annotated[bool, typer.Option("--languages", help="Also a line for every language.")] = False,
    as_json: Json = False,
) -> None:
    """Compare runs from intermediate checkpoints with the baseline: gains, their chance, gaps, the best per target."""
    from hf_stilts.console import show_gains
    from hf_stilts.studies.gains import gains as compare

    show_gains(
        compare(results, baseline=baseline, bootstrap=bootstrap, seed=seed), languages=languages, as_json=as_json
    )


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


def _retrieval_options(layer: int | None, pooling: str | None, prefix: list[str] | None) -> dict[str, Any]:
    """Those of the options of retrieval tasks that were given.

    Raises:
        StiltsError: more than two prefixes.
    """
    if prefix and len(prefix) > 2:
        raise StiltsError(
            f"--prefix was given {len(prefix)} times; expected once for all texts, or twice: for queries (or source "
            "sentences), then for what answers them (or target sentences). "
            "Type: --prefix 'query: ' --prefix 'passage: '"
        )
    given = {"layer": layer, "pooling": pooling, "prefix": prefix[0] if prefix and len(prefix) == 1 else prefix}
    return {name: value for name, value in given.items() if value not in (None, [])}


def _check_trainings(benchmark: Benchmark, flags: list[str], options: StiltsOptions) -> None:
    """Find what is wrong with the options of a benchmark's trainings, before torch is imported.

    Raises:
        StiltsError: an unknown flag or recipe, or a wrong value.
        FileNotFoundError: a file or folder that is not there.
    """
    recipe(options.recipe, load_task(benchmark.tasks[0]), "target")
    check_typed_paths(options)
    check_stock_flags(flags)


@app.command()
def robustness(
    results: Annotated[
        list[Path], typer.Argument(help="Folders of evaluate xtreme, or files of evaluate TASK --output.")
    ],
    languages: Annotated[bool, typer.Option("--languages", help="Also a line for every language.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw the curves into this PNG; needs matplotlib.")] = None,
    as_json: Json = False,
) -> None:
    """Compare noisy scores with clean ones: drops, their rate, flipped predictions, area under the curve."""
    from hf_stilts.console import say, show_robustness
    from hf_stilts.studies.robustness import robustness as measure

    report = measure(results)
    if picture is not None:
        from hf_stilts.studies.figures import noise_curves

        say(f"The curves are in {noise_curves(report.curves, picture)}.", as_json=as_json)
    show_robustness(report, languages=languages, as_json=as_json)


def _evaluate_benchmark(name: str, model: str, as_json: bool, **options: Any) -> None:
    from contextlib import redirect_stdout

    from hf_stilts.console import show_benchmark
    from hf_stilts.evaluation.processes import processes
    from hf_stilts.studies.benchmark import IncompleteRun, benchmark_scores, run_benchmark

    incomplete = None
    with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
        try:
            table = run_benchmark(name, model, **options)
        except IncompleteRun as error:
            incomplete, table = error, error.table
    if len(table) and processes().is_main_process:  # under torchrun every process has the table; one speaks
        show_benchmark(table, benchmark_scores(table, name), as_json=as_json)
    if incomplete:
        raise incomplete


def _evaluate_tasks(
    names: list[str],
    model: str,
    as_json: bool,
    output: Path | None,
    publish: bool,
    noises: list[dict[str, Any]],
    **options: Any,
) -> None:
    from hf_stilts.hub.reachable import check_reachable

    for name in names:  # a mistyped name, or a language too many, is answered before torch is loaded
        if near := nearest(name, list_benchmarks()) if name not in list_tasks() else []:
            raise StiltsError(f"No task or benchmark {name!r}. Did you mean {near[0]}? Run: hf-stilts tasks")
        check_languages(load_task(name), options["languages"])
    check_reachable(model)
    import pandas as pd

    from hf_stilts.console import say, show, show_scores
    from hf_stilts.evaluation.processes import processes
    from hf_stilts.evaluation.zero_shot import append_jsonl, main_scores, zero_shot
    from hf_stilts.hub.scores import add_scores, refuse_unless_scorable

    if publish:
        if options["limit"] is not None:
            raise StiltsError("--publish is for whole test sets, and --limit scores a part. Leave out one of them.")
        if noises != [{}]:
            raise StiltsError("--publish is for test sets as they are, and --noise misspells them. Leave out one.")
        refuse_unless_scorable(model)  # before an hour of scoring, and not after it
    tables, searched = [], [name for name in names if not load_task(name).has_head]
    for name, misspelt in itertools.product(names, noises):
        # Where tasks are mixed, the layer and the like are of those that search.
        own = {key: value for key, value in options.items() if key not in RETRIEVAL or name in searched or not searched}
        tables.append(zero_shot(model, name, **own, **misspelt))
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
