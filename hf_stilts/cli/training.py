"""Commands that train: phase two and phase three."""

from __future__ import annotations

import sys
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_stilts.cli.options import (
    STOCK_FLAGS,
    Adapter,
    Batches,
    CompactVocabulary,
    Contrastive,
    DataDir,
    Exclude,
    Json,
    Limit,
    LoraModules,
    MicroTokens,
    Namespace,
    Overwrite,
    Public,
    Recipe,
    Resume,
    TextToText,
    adapter_of,
)
from hf_stilts.errors import StiltsError

app = typer.Typer()
DEFAULT_BASE = "FacebookAI/xlm-roberta-base"
Languages = Annotated[
    str | None, typer.Option(help="Of the training rows: de, or en,sw, or with shares en=0.75,sw=0.25; default: en.")
]
SINGLE = ("exclude", "batches", "contrastive", "adapter", "text_to_text")  # options of one task alone
MIXTURE = ("sampler", "cap", "name", "text")  # one of them makes a mixture even of a single task


@app.command(context_settings=STOCK_FLAGS)
def intermediate(
    context: typer.Context,
    task: Annotated[list[str], typer.Argument(help="A task, or several: a mixture, each step of one of them.")],
    model: Annotated[str, typer.Option(help="Public model to start from.")] = DEFAULT_BASE,
    recipe: Recipe = "jiant",
    limit: Limit = None,
    languages: Languages = None,
    exclude: Exclude = None,
    data_dir: DataDir = None,
    micro_tokens: MicroTokens = None,
    compact_vocabulary: CompactVocabulary = False,
    batches: Batches = None,
    contrastive: Contrastive = None,
    adapter: Adapter = None,
    lora_target_modules: LoraModules = None,
    text_to_text: TextToText = False,
    publish: Annotated[bool, typer.Option(help="Send every checkpoint to the Hub.")] = True,
    namespace: Namespace = None,
    public: Public = False,
    resume: Resume = None,
    overwrite: Overwrite = False,
    sampler: Annotated[
        str | None,
        typer.Option(help="Mixture: proportional, uniform, temperature=2, mnli=2,qqp=1 or 0:mnli=1,qqp=1;9000:..."),
    ] = None,
    cap: Annotated[int | None, typer.Option(min=1, help="Mixture: so many examples of a task count; 131072.")] = None,
    name: Annotated[str | None, typer.Option(help="Mixture: its name on the Hub, after the model's.")] = None,
    text: Annotated[Path | None, typer.Option(help="Mixture: folder of en.txt, sw.txt, ... for fill_mask.")] = None,
    as_json: Json = False,
) -> None:
    """Phase two: train English intermediate tasks and publish every checkpoint.

    Any field of transformers.TrainingArguments is an option too: --learning_rate 3e-5 --max_steps 500 --output_dir DIR.
    """
    # Options that this command does not know are caught by an argument that takes several words.
    words = [*task, *context.args]
    tasks = list(takewhile(lambda word: not word.startswith("--"), words))
    _train("intermediate", tasks, words[len(tasks) :], **context.params)


@app.command(context_settings=STOCK_FLAGS)
def target(
    context: typer.Context,
    task: str,
    init: Annotated[
        str | None, typer.Option("--from", help="Intermediate checkpoint by name; without it, the baseline.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Public model: the start without --from.")] = None,
    recipe: Recipe = "jiant",
    limit: Limit = None,
    languages: Languages = None,
    exclude: Exclude = None,
    data_dir: DataDir = None,
    micro_tokens: MicroTokens = None,
    compact_vocabulary: CompactVocabulary = False,
    batches: Batches = None,
    contrastive: Contrastive = None,
    adapter: Adapter = None,
    lora_target_modules: LoraModules = None,
    text_to_text: TextToText = False,
    publish: Annotated[bool, typer.Option(help="Send every checkpoint to the Hub.")] = False,
    namespace: Namespace = None,
    public: Public = False,
    resume: Resume = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Phase three: fine-tune on a target task's English rows.

    Any field of transformers.TrainingArguments is an option too: --learning_rate 3e-5 --max_steps 500 --output_dir DIR.
    """
    _train("target", [task], context.args, **context.params)


def _train(phase: str, tasks: list[str], flags: list[str], *, as_json: bool, task: Any, **options: Any) -> None:
    from contextlib import redirect_stdout

    from hf_stilts.console import report_run
    from hf_stilts.task import load_task

    if not tasks:
        raise StiltsError(f"No task stands before {flags[0]}. Type for example: hf-stilts {phase} mnli {flags[0]} ...")
    for name in tasks:
        load_task(name)  # a mistyped name is answered before torch is loaded
    options["adapter"] = adapter_of(options["adapter"], options.pop("lora_target_modules"))
    namespace, public, wanted = options.pop("namespace"), options.pop("public"), options.pop("publish")
    chosen = {name: value for name in SINGLE if (value := options.pop(name)) not in (None, False)}
    of_mixtures = {name: value for name in MIXTURE if (value := options.pop(name, None)) is not None}
    if public and not wanted:
        raise StiltsError("--public says how to publish, and nothing is published. Add --publish, or leave it out.")
    mixture = len(tasks) > 1 or bool(of_mixtures)
    if mixture and chosen:
        option = next(iter(chosen)).replace("_", "-")
        raise StiltsError(
            f"--{option} was given, which is for one task and not for a mixture. Give it to a single task."
        )
    from hf_stilts.hub.reachable import check_reachable

    check_reachable(options.get("init") or options.get("model") or DEFAULT_BASE)
    from hf_stilts.publishing.callback import PublishCheckpoints
    from hf_stilts.training.run import run_mixture, run_phase

    resume = bool(options["resume"])
    if resume and options["overwrite"]:
        raise StiltsError("--resume goes on with a run and --overwrite deletes it; both were given. Leave out one.")
    publisher = PublishCheckpoints(namespace=namespace, private=not public, resume=resume) if wanted else None
    if phase == "target":  # where the intermediate checkpoint is looked up, too
        options["namespace"] = namespace
    options["resume"] = resume
    with redirect_stdout(sys.stderr):  # the stock Trainer prints its log; standard output is for the result
        if mixture:
            result = run_mixture(tasks, flags, publish=publisher, **of_mixtures, **options)
        else:
            result = run_phase(phase, tasks[0], flags, publish=publisher, **chosen, **options)
    from hf_stilts.evaluation import processes

    if processes.processes().is_main_process:  # under torchrun every process has the result; one speaks
        report_run(result, tasks[0], as_json=as_json, data_dir=options.get("data_dir"))
