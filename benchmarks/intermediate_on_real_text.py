"""Every intermediate task on real text from one small encoder: dev score against chance, Tatoeba before and after.

    python benchmarks/intermediate_on_real_text.py --raw DATA --encoder runs/real_data/base --out runs/intermediate
    python benchmarks/intermediate_on_real_text.py ... --steps 4 --seeds 1 --dev 32 --sentences 20    # a minute or two

The encoder is a folder with a masked LM, as `examples/real_data.py` makes one (`<out>/base`). Each (task, seed) is kept
as it is done, so the run may be cut into pieces and gone on with: `--tasks snli,ccg`, `--seeds 1`. Where the raw files
lack the publisher's training file, the dev rows train and the test rows evaluate if both are labelled; otherwise the
first four fifths of the dev rows train and the rest evaluates. The table says which.

"Chance" is the best score of one answer given to every dev row (the most frequent class, no answer); "untrained" that
of the fresh head. Tatoeba is the mean accuracy over XTREME's 36 languages. Several seeds: medians, as in Phang et al.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

# Task -> folder of its raw files. SNLI: only dev and test, tokenised; PAN-X: Universal NER stands in for it; CCG: the
# Parallel Meaning Bank for CCGbank; COPA: Balanced COPA; SQuAD 2: half of the dev set.
FOLDERS = {
    "snli": "snli_tokenised", "squad_v2": "squad_v2", "hellaswag": "hellaswag", "ccg": "ccg_pmb",
    "cosmosqa": "cosmosqa", "commonsenseqa": "commonsenseqa", "copa": "copa_balanced", "pawsx": "pawsx",
    "tydiqa": "tydiqa_goldp", "panx": "uner", "udpos": "ud",
}  # fmt: skip
MIXTURE = "mixture"
NINE = ("snli", "squad_v2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa")  # those of the paper's nine that are there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, help=f"folder with tatoeba/, {', '.join(FOLDERS.values())}")
    parser.add_argument("--encoder", required=True, help="folder of a masked LM")
    parser.add_argument("--out", type=Path, default=Path("runs/intermediate"))
    parser.add_argument("--tasks", default=",".join([*FOLDERS, MIXTURE]))
    parser.add_argument(
        "--steps", type=int, default=600, help="of each task; the mixture takes as many for each member"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--bf16", action="store_true", help="autocast in training")
    parser.add_argument("--length", type=int, default=128, help="tokens per window")
    parser.add_argument("--dev", type=int, default=1000, help="at most so many dev rows")
    parser.add_argument("--sentences", type=int, help="of each language of Tatoeba; all when not given")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # everything is on this machine
    wanted = options.tasks.split(",")
    mirror(options, {*wanted, *(NINE if MIXTURE in wanted else ())} - {MIXTURE})
    results = options.out / "results"
    results.mkdir(parents=True, exist_ok=True)
    for seed in range(1, options.seeds + 1):
        for name in ["before", *wanted]:
            kept = results / f"{name}-{seed}.json"
            if kept.is_file() or (name == "before" and seed > 1):
                continue
            row = {"task": name, "seed": seed, **run(options, name, seed)}
            unfinished = kept.with_suffix(".part")
            unfinished.write_text(json.dumps(row, indent=1))
            unfinished.replace(kept)
            print(json.dumps(row), flush=True)
    rows = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    (options.out / "results.json").write_text(json.dumps(rows, indent=1))
    (options.out / "table.md").write_text(table(rows))
    print(table(rows))


def mirror(options: argparse.Namespace, tasks: set[str]) -> None:
    """Build what is not built yet of the mirror, from the raw files."""
    from hf_stilts.dataset_scripts import build
    from hf_stilts.task import load_task

    for name in sorted(tasks | {"tatoeba"}):
        if (options.out / "mirror" / load_task(name).dataset / "README.md").is_file():
            continue
        raw = options.raw / FOLDERS.get(name, name)
        with tempfile.TemporaryDirectory() as unpacked:
            for packed in raw.glob("*.jsonl.gz"):  # HellaSwag's rows lie packed, under a name of their own
                raw = Path(unpacked)
                with gzip.open(packed) as source, (raw / packed.stem.removeprefix("derived_")).open("wb") as target:
                    shutil.copyfileobj(source, target)
            report = build(name, raw, options.out / "mirror")
        print(f"built {name}: {sum(part.rows for part in report.parts)} rows", flush=True)


def rows_of(options: argparse.Namespace, name: str) -> tuple[Any, Any, Any, str]:
    """Task, English training rows, dev rows, and where they come from."""
    from hf_stilts.data.load import labelled, load, splits

    data = options.out / "mirror"
    task = labelled(name, data)
    there = splits(task, "en", data)
    if "train" in there:
        train, dev, origin = load(task, "train", data_dir=data), load(task, "validation", data_dir=data), "train, dev"
    else:
        dev = load(task, "validation", data_dir=data)
        if "test" in there and task.split_for("test") != task.split_for("validation"):
            train, dev, origin = dev, load(task, "test", data_dir=data), "dev, test"
        else:
            cut = len(dev) * 4 // 5
            train, dev, origin = dev.select(range(cut)), dev.select(range(cut, len(dev))), "dev, cut 4:1"
    return task, train, dev.select(range(min(options.dev, len(dev)))), origin


def run(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Train on one task, or on the mixture, or not at all; what came of it."""
    from transformers import set_seed

    from hf_stilts.models.body import load_body, load_tokenizer

    if name == "before":
        return {"tatoeba": tatoeba(options, load_body(options.encoder)[0], load_tokenizer(options.encoder))}
    set_seed(seed)
    return mixture(options, seed) if name == MIXTURE else single(options, name, seed)


def single(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    from hf_stilts import IntermediateTrainer

    task, train, dev, origin = rows_of(options, name)
    trainer = IntermediateTrainer(
        base=options.encoder, args=arguments(options, f"{name}-{seed}", seed), task=task, train_dataset=train,
        eval_dataset=dev, max_length=options.length,
    )  # fmt: skip
    untrained = trainer.evaluate()[f"eval_{task.metric}"]
    started = time.perf_counter()
    loss = trainer.train().training_loss
    seconds = time.perf_counter() - started
    return {
        "metric": task.metric, "rows": len(train), "from": origin, "steps": options.steps, "seconds": seconds,
        "batch": options.batch, "loss": loss, "dev rows": len(dev), "dev": trainer.evaluate()[f"eval_{task.metric}"],
        "chance": chance(task, dev), "untrained": untrained,
        "tatoeba": tatoeba(options, trainer.model, trainer.processing_class),
    }  # fmt: skip


def mixture(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The tasks of the paper's nine that are there, one task a step, in proportion to their rows."""
    from hf_stilts.training.mixture import MixtureTrainer

    parts = [rows_of(options, name) for name in NINE]
    steps = options.steps * len(NINE)
    trainer = MixtureTrainer(
        base=options.encoder, args=arguments(options, f"{MIXTURE}-{seed}", seed, steps),
        tasks=[part[0] for part in parts],
        train_dataset={task.name: train for task, train, _, _ in parts},
        eval_dataset={task.name: dev for task, _, dev, _ in parts}, max_length=options.length,
    )  # fmt: skip
    untrained = trainer.evaluate()["eval_aggregate"]
    started = time.perf_counter()
    loss = trainer.train().training_loss
    seconds = time.perf_counter() - started
    scores = trainer.evaluate()
    return {
        "metric": "mean of " + ", ".join(NINE), "rows": sum(len(train) for _, train, _, _ in parts),
        "from": "as above", "steps": steps, "seconds": seconds, "batch": options.batch, "loss": loss,
        "dev rows": sum(len(dev) for _, _, dev, _ in parts), "dev": scores["eval_aggregate"],
        "chance": sum(chance(task, dev) for task, _, dev, _ in parts) / len(parts), "untrained": untrained,
        "scores": {key: value for key, value in scores.items() if isinstance(value, float)},
        "tatoeba": tatoeba(options, trainer.model.body, trainer.processing_class),
    }  # fmt: skip


def arguments(options: argparse.Namespace, name: str, seed: int, steps: int | None = None) -> Any:
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        str(options.out / "runs" / name), max_steps=steps or options.steps, learning_rate=options.rate,
        warmup_steps=0.1, per_device_train_batch_size=options.batch, seed=seed, save_strategy="no", eval_strategy="no",
        use_cpu=not torch.cuda.is_available(), bf16=options.bf16, report_to=[], disable_tqdm=True,
        dataloader_pin_memory=False,
        logging_steps=max(1, (steps or options.steps) // 5),
    )  # fmt: skip


def chance(task: Any, dev: Any) -> float:
    """The best score of one answer that is given to every row."""
    from hf_stilts.kinds import load_kind

    if task.kind == "question-answering":
        constants = [[""] * len(dev)]
    elif task.kind == "multiple-choice":
        constants = [[choice] * len(dev) for choice in range(len(dev[0]["choices"]))]
    elif task.kind == "token-classification":
        common = Counter(tag for tags in dev["tags"] for tag in tags).most_common(3)
        constants = []
        for tag, _ in common:
            constants.append([[task.labels[tag]] * len(words) for words in dev["tokens"]])
    else:
        constants = [[label] * len(dev) for label in task.labels]
    return max(load_kind(task.kind).score(task, answers, dev)[task.metric] for answers in constants)


def tatoeba(options: argparse.Namespace, model: Any, tokenizer: Any) -> float:
    """Mean accuracy over XTREME's 36 languages, as the kind takes the hidden state by default."""
    from hf_stilts import zero_shot
    from hf_stilts.benchmark import load_benchmark

    found = zero_shot(
        model, "tatoeba", load_benchmark("xtreme").languages_of("tatoeba"), tokenizer=tokenizer,
        limit=options.sentences, data_dir=options.out / "mirror",
    )  # fmt: skip
    return float(found[found["main"]]["score"].mean())


def table(rows: list[dict[str, Any]]) -> str:
    """Medians over seeds, in Markdown."""
    before = next((row["tatoeba"] for row in rows if row["task"] == "before"), float("nan"))
    heads = "task, rows from, train rows, steps, seconds, metric, dev, chance, untrained, Tatoeba before, after, seeds"
    lines = [f"| {' | '.join(heads.split(', '))} |", "|---" * len(heads.split(", ")) + "|"]
    for name in [*FOLDERS, MIXTURE]:
        seeds = [row for row in rows if row["task"] == name]
        if seeds:
            middle = {key: median(row[key] for row in seeds) for key in ("seconds", "dev", "untrained", "tatoeba")}
            one = seeds[0]
            lines.append(
                f"| {name} | {one['from']} | {one['rows']} | {one['steps']} | {middle['seconds']:.0f} "
                f"| {one['metric']} | {middle['dev']:.1f} | {one['chance']:.1f} | {middle['untrained']:.1f} "
                f"| {before:.2f} | {middle['tatoeba']:.2f} | {len(seeds)} |"
            )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
