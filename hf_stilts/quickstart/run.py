"""The whole of X-STILTs offline: three phases on a made-up world, published to a Hub on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from hf_stilts.console import out
from hf_stilts.errors import StiltsError, needs_extra

if TYPE_CHECKING:
    import pandas as pd
    from transformers import Trainer

MARK = ".hf-stilts-quickstart"  # in a folder that a quickstart may clear
NAMESPACE = "local"
BASE = f"{NAMESPACE}/world-mini"
INTERMEDIATE = ("world_nli", "world_qa")
TARGETS = ("world_pos", "world_bitext", "world_mining")
DIRECT = "no intermediate"
STEPS = 400  # of each intermediate training
CANDIDATES = 250  # sentences of each language to find a translation among
NEXT = """
Next, on real data (each command says what it lacks; --help lists the rest):
  [bold]hf-stilts intermediate mnli --base FacebookAI/xlm-roberta-base --namespace YOU[/]
  [bold]hf-stilts target udpos --init mnli --namespace YOU --output_dir runs/udpos[/]
  [bold]hf-stilts evaluate udpos --model runs/udpos[/]"""


def run(folder: Path, seed: int = 42, *, overwrite: bool = False) -> None:
    """Make the world, start the Hub, run the two processes and show what came out.

    Args:
        folder: data, Hub, runs, `results.jsonl` and two pictures are written here.
        seed: of the world and of every training.
        overwrite: replace what an earlier quickstart wrote there, its Hub and all that was published to it included.

    Raises:
        StiltsError: an earlier quickstart lies there, and it is not to be replaced.
    """
    from hf_stilts.quickstart import corpus

    with needs_extra("quickstart", "The quickstart"):
        import matplotlib  # noqa: F401  # its pictures come last: said before minutes of training

        from hf_stilts.local_hub import LocalHub
    started = time.monotonic()
    _clear(folder, overwrite)
    out.print("[bold]hf_stilts quickstart[/]: the three phases of X-STILTs, offline, on a made-up world")
    with _step("0  A world: one made-up English, and other languages with words, orders and scripts of their own"):
        corpus.build(folder / "data", seed)
    with LocalHub(folder / "hub") as hub:
        out.print(f"   The embedded Hub answers at {hub.url}")
        environment = {**os.environ, **hub.environment(), "HF_HOME": str(folder / "cache")}
        environment |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        # So small a model gains nothing from a second thread, and the sums come out alike on every machine.
        environment |= {"OMP_NUM_THREADS": "1"}
        for part in (
            "train",
            "evaluate",
        ):  # two processes: the second knows the first one's work by its Hub names alone
            command = [sys.executable, "-m", "hf_stilts.quickstart.run", part, str(folder), str(seed)]
            subprocess.run(command, env=environment, check=True)
    out.print(
        f"\nDone in {time.monotonic() - started:.0f} seconds. In {escape(str(folder))}: results.jsonl, gains.png, "
        "layers.png."
    )
    out.print(f"Look around the Hub: [bold]hf-stilts hub serve {escape(shlex.quote(str(folder / 'hub')))}[/]")
    out.print(NEXT)


def train(folder: Path, seed: int) -> None:
    """Phases one and two: a small masked LM in all languages, and two intermediate models from it, all published."""
    from hf_stilts.publishing.callback import PublishCheckpoints
    from hf_stilts.quickstart import corpus
    from hf_stilts.training.trainer import IntermediateTrainer

    tasks = corpus.tasks()
    with _step("1  Pre-training a small masked LM on text in all languages, no parallel data"):
        pretrain(folder, seed)
    for name in INTERMEDIATE:
        with _step(f"2  Intermediate training in English: {name}") as report:
            trainer = IntermediateTrainer(
                base=BASE,
                args=_arguments(
                    folder / "runs" / name, seed, steps=STEPS, save_steps=100, eval_steps=100, batch=32, rate=5e-4
                ),
                task=tasks[name],
                data_dir=str(folder / "data"),
                callbacks=[PublishCheckpoints(namespace=NAMESPACE)],
            )
            _hush(trainer)
            trainer.train()
            metric = tasks[name].metric
            score = trainer.evaluate()[f"eval_{metric}"]
            report.append(f"English dev {metric} {score:.1f}")  # the callback has said what is on the Hub


def pretrain(folder: Path, seed: int) -> None:
    """Train the world's masked LM and publish it as the public model that everything starts from."""
    from datasets import concatenate_datasets
    from huggingface_hub import HfApi
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, set_seed

    from hf_stilts.data.load import load
    from hf_stilts.kinds import fill_mask
    from hf_stilts.quickstart import corpus
    from hf_stilts.training.trainer import IntermediateTrainer

    data = folder / "data"
    text = corpus.tasks()["world_text"]
    tokenizer = corpus.tokenizer(data)
    parts = {language: load(text, "train", language, data_dir=data) for language in text.languages}
    rows = concatenate_datasets([rows.add_column("language", [code] * len(rows)) for code, rows in parts.items()])
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=130,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,  # so narrow a model hardly starts to learn from the usual 0.02
    )
    args = _arguments(folder / "runs" / "pretraining", seed, steps=1500, batch=32, rate=3e-3)
    args.remove_unused_columns = False  # the collator reads which tokens are special
    set_seed(seed)  # before the first weights are drawn
    trainer = IntermediateTrainer(
        XLMRobertaForMaskedLM(config),
        args,
        replace(fill_mask.KIND, probability=0.3).collator(tokenizer),  # more to learn from each of few sentences
        processing_class=tokenizer,
        task=text,
        train_dataset=rows,
        data_dir=str(data),
    )
    trainer.phase = "pretraining"
    _hush(trainer)
    trainer.train()
    trainer.save_model(str(folder / "runs" / "world-mini"))
    api = HfApi()
    api.create_repo(BASE, exist_ok=True)
    api.upload_folder(
        repo_id=BASE,
        folder_path=folder / "runs" / "world-mini",
        ignore_patterns=["*.bin"],
        commit_message="Masked LM of the made-up world",
    )


def evaluate(folder: Path, seed: int) -> None:
    """Phase three, in a process of its own: load by name, fine-tune, score all languages, find translations."""
    import pandas as pd
    import transformers

    from hf_stilts.evaluation.zero_shot import append_jsonl

    transformers.logging.set_verbosity_error()  # stock loading reports the dropped head, at length
    tables = []
    encoders = {DIRECT: BASE} | {name: name for name in INTERMEDIATE}
    for label, name in encoders.items():
        with _step(f"3  From {label}: fine-tune a tagger in English, score every language, search for translations"):
            tables.append(evaluate_encoder(folder, seed, label, name))
    table = pd.concat(tables)
    append_jsonl(table, folder / "results.jsonl")
    show(table)
    draw(table, folder)


def evaluate_encoder(folder: Path, seed: int, label: str, name: str) -> pd.DataFrame:
    """All targets from one encoder, loaded by name: a tagger trained in English, and retrieval with no training."""
    import pandas as pd
    from transformers import AutoModel

    from hf_stilts import TargetTrainer, load_intermediate, zero_shot
    from hf_stilts.hub.checkpoints import resolve
    from hf_stilts.quickstart import corpus

    tasks, data = corpus.tasks(), str(folder / "data")
    whose: dict[str, Any] = {"base": BASE, "namespace": NAMESPACE, "seed": seed}
    found = resolve(name, **whose)
    stock = AutoModel.from_pretrained(found.repo_id, revision=None if label == DIRECT else f"step-{STEPS}")
    encoder = stock if label == DIRECT else load_intermediate(name, **whose)
    trainer = TargetTrainer(
        base=found.repo_id if label == DIRECT else None,
        init=None if label == DIRECT else found.repo_id,
        args=_arguments(folder / "runs" / f"pos-from-{label.replace(' ', '-')}", seed, steps=100, batch=32, rate=1e-3),
        task=tasks["world_pos"],
        data_dir=data,
    )
    _hush(trainer)
    trainer.train()
    results = [zero_shot(trainer, tasks["world_pos"], data_dir=data)]
    for retrieval in TARGETS[1:]:
        results.append(zero_shot(encoder, tasks[retrieval], tokenizer=trainer.processing_class, data_dir=data))
    curve = layer_accuracies(encoder, trainer.processing_class, data)
    layers = [
        {
            "task": "world_bitext",
            "metric": f"accuracy at layer {layer}",
            "score": score,
            "main": False,
            "language": "mean",
            "rows": CANDIDATES,
        }
        for layer, score in enumerate(curve)
    ]
    table = pd.concat([*results, pd.DataFrame(layers)], ignore_index=True)
    return table.assign(encoder=label, model=found.repo_id, model_revision=found.commit, seed=seed)


def layer_accuracies(encoder: Any, tokenizer: Any, data: str) -> list[float]:
    """Mean accuracy over languages with English as queries, for each hidden state, all from one forward pass."""
    import numpy as np

    from hf_stilts import encode, match_translations
    from hf_stilts.data.load import load
    from hf_stilts.quickstart import corpus

    task = corpus.tasks()["world_bitext"]
    right = []
    for language in task.languages:
        rows = load(task, "test", language, data_dir=data)
        source, target = (encode(encoder, tokenizer, list(rows[side]), layers="all") for side in ("source", "target"))
        gold = np.arange(len(rows))
        right.append([np.mean(match_translations(y, x).indices == gold) for x, y in zip(source, target, strict=True)])
    return [100 * float(value) for value in np.mean(right, axis=0)]


def show(table: pd.DataFrame) -> None:
    """Print the comparison: a line an encoder, a column a target, means over languages, gains in colour."""
    from rich.table import Table

    scores = comparison(table)
    printed = Table(
        title="\nZero-shot, mean over six languages, percent (gain over no intermediate)",
        title_justify="left",
        box=None,
    )
    printed.add_column("intermediate task")
    for column in scores.columns:
        printed.add_column(column, justify="right")
    for label, row in scores.iterrows():
        cells = []
        for column, score in row.items():
            gain = score - scores.loc[DIRECT, column]
            colour = "default"
            if gain:
                colour = "green" if gain > 0 else "red"
            cells.append(f"{score:.1f}" + ("" if label == DIRECT else f" [{colour}]({gain:+.1f})[/]"))
        printed.add_row(str(label), *cells)
    out.print(printed)
    out.print(
        "world_pos: F1 of a tagger trained in English. world_bitext: accuracy of finding the translation among "
        f"{CANDIDATES}, by a hidden state two thirds up (layers.png has all). world_mining: F1 of mined pairs.\n"
        "This shows the path, not the paper's effect: one seed, a model of 0.2 million parameters; differences of a "
        "few points are noise."
    )


def comparison(table: pd.DataFrame) -> pd.DataFrame:
    """Main scores: rows = encoders, the baseline first; columns = targets, mean over all languages but English."""
    main = table[table["main"].astype(bool) & (table["language"] != "en")]
    scores = main.pivot_table(index="encoder", columns="task", values="score", aggfunc="mean")
    return scores.loc[[DIRECT, *INTERMEDIATE], list(TARGETS)]


def draw(table: pd.DataFrame, folder: Path) -> None:
    """Write `gains.png` (encoders x targets and languages) and `layers.png` (retrieval accuracy per hidden state)."""
    from hf_stilts.studies.drawing import save
    from hf_stilts.studies.figures import gain_matrix, layer_curves

    main = table[table["main"]]
    before = main[main["encoder"] == DIRECT].set_index(["task", "language"])["score"]
    rows = [
        {
            "arm": row["encoder"],
            "task": row["task"].removeprefix("world_"),
            "language": row["language"],
            "score": row["score"],
            "gain": row["score"] - before[row["task"], row["language"]],
            "seeds": 1,
            "rows": row["rows"],
        }
        for row in main.to_dict("records")
    ]
    title = "Scores in every language (%), coloured by the gain over no intermediate training"
    save(gain_matrix(rows, title=title, show="score"), folder / "gains", ["png"])
    layers = table[table["language"] == "mean"]
    curves = {label: layers[layers["encoder"] == label]["score"].tolist() for label in (DIRECT, *INTERMEDIATE)}
    figure = layer_curves(
        curves,
        title="Finding translations of English sentences, by layer",
        chance=100 / CANDIDATES,
        foot=f"n = 1 seed, {CANDIDATES} sentences a language.",
    )
    save(figure, folder / "layers", ["png"])


def _arguments(folder: Path, seed: int, *, steps: int, batch: int, rate: float, **more: Any) -> Any:
    from transformers import TrainingArguments

    saving: dict[str, Any] = {"save_strategy": "steps", "eval_strategy": "steps"} if more else {"save_strategy": "no"}
    return TrainingArguments(
        str(folder),
        seed=seed,
        max_steps=steps,
        per_device_train_batch_size=batch,
        learning_rate=rate,
        warmup_steps=0.1,
        logging_strategy="no",
        use_cpu=True,
        **saving,
        **more,
    )


def _hush(trainer: Trainer) -> None:
    """Keep the progress bar and drop the log lines: the quickstart prints its own."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from hf_stilts.training.budget_guard import BudgetGuard

    class Bar(ProgressCallback):
        def on_log(self, *args: Any, **kwargs: Any) -> None:
            """Print nothing."""

    trainer.remove_callback(BudgetGuard)  # a small world follows no recipe
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if sys.stderr.isatty():
        trainer.add_callback(Bar())


@contextmanager
def _step(text: str) -> Iterator[list[str]]:
    """Print a heading, and what was reported inside with the seconds it took."""
    out.print(text)
    started, report = time.monotonic(), list[str]()
    yield report
    done = [line.rstrip(".") for line in report]
    out.print(f"   [dim]{'; '.join([*done, f'{time.monotonic() - started:.0f} s'])}[/]")


def _clear(folder: Path, overwrite: bool) -> None:
    """Remove what an earlier quickstart wrote, and nothing else, if that is wanted."""
    folders, files = ("data", "hub", "runs", "cache"), ("results.jsonl", "gains.png", "layers.png")
    there = [name for name in (*folders, *files) if (folder / name).exists()]
    if there and not (folder / MARK).exists():
        raise StiltsError(
            f"{folder} holds {', '.join(there)}, which no quickstart wrote. Expected a new folder; nothing was "
            f"touched. Pass --folder {folder / 'quickstart'}."
        )
    if there and not overwrite:
        raise StiltsError(
            f"{folder} holds an earlier quickstart, with a Hub and what was published to it. Expected a new folder. "
            f"Pass --overwrite to replace it, or --folder {folder}-2."
        )
    for name in folders:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in files:
        (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


if __name__ == "__main__":
    {"train": train, "evaluate": evaluate}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
