"""Training beside its peers, interleaved in one process: ratios of wall and of processor time, at equal loss per step.

    python benchmarks/training.py nli qa memory mixture          # all of it; or some
    python benchmarks/training.py nli --layers 2 --vocabulary 50000 --steps 2 --rounds 1

Peers: the stock `Trainer` with dynamic padding, and with what `run_glue.py` and `run_qa.py` do by default: all examples
padded to the maximum. All have random weights of XLM-R-base's shape, no dropout, AdamW with clipping, the same examples
in the same steps, and the same loss in every step (checked before a ratio is printed). Lengths are log-normal, with the
mean and the maximum of MNLI (40, 128) and SQuAD (178, 384); 20,000 of the vocabulary's tokens occur in the data, as in
an English training set. The stock question-answering loss depends on the padding, so its peers are given ours, which
masks it. A mixture of nine tasks runs against the same batches of each task by itself: tokens per second.

A run's first step is not counted, nor a task's first step in a mixture: it makes the optimizer's state.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaModel,
    default_data_collator,
)

from hf_stilts import IntermediateTrainer, MixtureTrainer, Task
from hf_stilts.kinds.features import flat_column
from hf_stilts.kinds.question_answering import KIND as ANSWERS

USED = 20_000  # tokens of the vocabulary that occur
# Mean, maximum, and the spread of the logarithm with which a random batch of 32 is padded 2.3 (NLI) and 1.9 (QA) times.
LENGTHS = {"nli": (40, 128, 0.45), "qa": (178, 384, 0.36)}
NLI = ("no", "maybe", "yes")
TASKS = {
    "nli": Task(kind="text-classification", dataset="made/up", labels=NLI, name="nli"),
    "qa": Task(kind="question-answering", dataset="made/up", metric="f1", name="qa"),
}
# Name, kind, labels, mean and longest length, examples a step: the shapes of the nine intermediate tasks.
NINE = (
    ("anli_plus", "text-classification", NLI, 50, 128, 8),
    ("mnli", "text-classification", NLI, 40, 128, 8),
    ("qqp", "text-classification", NLI[1:], 30, 128, 8),
    ("squad_v2", "question-answering", (), 178, 384, 4),
    ("squad_v1", "question-answering", (), 178, 384, 4),
    ("hellaswag", "multiple-choice", (), 85, 128, 2),
    ("ccg", "token-classification", NLI, 30, 128, 8),
    ("cosmosqa", "multiple-choice", (), 100, 128, 2),
    ("commonsenseqa", "multiple-choice", (), 25, 128, 4),
)
HEADS = {"nli": AutoModelForSequenceClassification, "qa": AutoModelForQuestionAnswering}


def tokenizer() -> PreTrainedTokenizerFast:
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = Tokenizer(models.WordLevel({token: place for place, token in enumerate(special.values())}, "<unk>"))
    names = {"model_input_names": ["input_ids", "attention_mask"]}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=512, **special, **names)


def lengths(mean: int, longest: int, count: int, rng: np.random.Generator, spread: float = 0.45) -> np.ndarray:
    """Log-normal, cut at the longest, rescaled to the mean."""
    drawn = rng.lognormal(0, spread, count)
    for _ in range(20):
        drawn = np.clip(drawn * mean / np.clip(drawn, 4, longest).mean(), 0, 10 * longest)
    return np.clip(drawn, 4, longest).astype(int)


def features(kind: str, sizes: np.ndarray, ids: np.ndarray, rng: np.random.Generator, *, every: bool = True) -> Dataset:
    """Rows as the kinds make them; with `every`, further ones bring every id of `ids` into the data."""
    made = []
    for size in sizes.tolist():
        row = {"input_ids": [0, *rng.choice(ids, size - 2).tolist(), 2], "attention_mask": [1] * size}
        if kind == "text-classification":
            row["labels"] = int(rng.integers(2))
        elif kind == "question-answering":
            row["start_positions"], row["end_positions"] = sorted(rng.integers(1, size, 2).tolist())
        elif kind == "token-classification":
            row["labels"] = [-100, *rng.integers(0, 3, size - 2).tolist(), -100]
        else:
            row = {name: [value] * 4 for name, value in row.items()} | {"labels": int(rng.integers(4))}
        made.append(row)
    if every:
        like = made[-1]
        for start in range(0, len(ids), 100):
            part = ids[start : start + 100].tolist()
            rest = {name: value for name, value in like.items() if not isinstance(value, list)}
            rest |= {"start_positions": 1, "end_positions": 1} if "start_positions" in like else {}
            rest |= {"labels": [0] * len(part)} if isinstance(like.get("labels"), list) else {}
            made.append({"input_ids": part, "attention_mask": [1] * len(part), **rest})
    return Dataset.from_list(made)


class Clock(TrainerCallback):
    """Wall and processor seconds of every step but the first, data loading included."""

    def __init__(self):
        self.marks = []

    def on_step_end(self, *_, **__):
        self.marks.append((time.perf_counter(), time.process_time()))

    def each(self) -> np.ndarray:
        return np.diff(np.array(self.marks), axis=0)


class MaskedAnswers(Trainer):
    """The stock Trainer with a question-answering loss that leaves the padding out."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        outputs = model(**inputs)
        loss = ANSWERS.loss(outputs, inputs)
        return (loss, outputs) if return_outputs else loss


def arguments(folder: str, options, steps: int, batch: int) -> TrainingArguments:
    return TrainingArguments(
        folder, use_cpu=True, max_steps=steps, per_device_train_batch_size=batch, logging_steps=1, save_strategy="no",
        train_sampling_strategy="sequential", disable_tqdm=True, report_to=[], learning_rate=2e-5, max_grad_norm=1.0,
        dataloader_pin_memory=False,
    )  # fmt: skip


def config(options, **more) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=options.vocabulary, num_hidden_layers=options.layers, max_position_embeddings=514,
        type_vocab_size=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, **more,
    )  # fmt: skip


def model(part: str, options):
    torch.manual_seed(0)
    return HEADS[part].from_config(config(options, num_labels=2 if part == "qa" else 3))


def padded(data: Dataset, longest: int) -> Dataset:
    fill = {"input_ids": 1, "attention_mask": 0}
    return data.map(
        lambda row: {name: row[name] + [value] * (longest - len(row[name])) for name, value in fill.items()},
        desc="padding to the maximum",
    )


def runs(part: str, options, folder: str) -> dict[str, Callable[[], tuple[Clock, list[float]]]]:
    """Each builds its model from the same weights, trains, and gives its clock and losses."""
    rng = np.random.default_rng(0)
    batch = options.batch if part == "nli" else options.qa_batch
    mean, longest, spread = LENGTHS[part]
    ids = np.sort(rng.choice(np.arange(4, options.vocabulary), min(USED, options.vocabulary // 2), replace=False))
    task, reads, steps = TASKS[part], tokenizer(), options.steps + 1
    sizes = lengths(mean, longest, steps * batch, rng, spread)
    data = features(task.kind, sizes, ids, rng)
    full = padded(data, longest)
    waste = [sizes[start : start + batch].max() * batch for start in range(0, len(sizes), batch)]
    print(f"  {mean} tokens on average, padding by batch {sum(waste) / sizes.sum():.2f}, to the maximum "
          f"{longest * len(sizes) / sizes.sum():.2f} times as many", flush=True)  # fmt: skip

    def stock(rows: Dataset, collator: Callable):
        def go():
            clock = Clock()
            trainer = (MaskedAnswers if part == "qa" else Trainer)(
                model(part, options), arguments(folder, options, steps, batch), collator, rows, callbacks=[clock]
            )
            return finish(trainer, clock)

        return go

    def ours(**more):
        def go():
            clock = Clock()
            trainer = IntermediateTrainer(
                model(part, options), arguments(folder, options, steps, batch), train_dataset=data,
                eval_dataset=data.select(range(2)), processing_class=reads, task=task, callbacks=[clock], **more,
            )  # fmt: skip
            return finish(trainer, clock)

        return go

    return {
        "stock, pad to maximum": stock(full, default_data_collator),
        "stock, dynamic padding": stock(data, DataCollatorWithPadding(reads)),
        "ours": ours(),
        "ours, compact vocabulary": ours(compact_vocabulary=True),
    }


def finish(trainer: Trainer, clock: Clock) -> tuple[Clock, list[float]]:
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    del trainer
    gc.collect()
    return clock, losses


def race(part: str, options, table: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        contest = runs(part, options, folder)
        took: dict[str, list[np.ndarray]] = {name: [] for name in contest}
        losses: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for name, run in contest.items():
                clock, losses[name] = run()
                took[name].append(clock.each().sum(axis=0))
            check_losses(losses)
    print("  equal losses: " + ", ".join(f"{loss:.4f}" for loss in losses["ours"]), flush=True)
    for name in list(took)[2:]:
        for peer in list(took)[:2]:
            ratio = np.divide(took[peer], took[name])
            report(
                table, f"{part}: {name}", peer, f"{np.median(ratio[:, 0]):.2f}x", f"{np.median(ratio[:, 1]):.2f}x",
                f"{ratio[:, 0].min():.2f}-{ratio[:, 0].max():.2f}",
                f"{np.median(took[name], axis=0)[0] / options.steps:.2f}",
            )  # fmt: skip


def check_losses(losses: dict[str, list[float]]) -> None:
    first, *rest = losses.items()
    for name, values in rest:
        if not np.allclose(values, first[1], rtol=1e-4):
            raise SystemExit(f"The losses differ, nothing is compared: {first[0]} {first[1]}, {name} {values}")


def bench_memory(options, table: list[str]) -> None:
    """Bytes of weights, gradients and Adam's two moments, counted, and what the process held beside files."""
    found = {}
    for name in ("full", "compact"):
        command = [sys.executable, __file__, "one-step", "--layers", str(options.layers)]
        command += ["--vocabulary", str(options.vocabulary), "--vocabulary-in-use", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = tuple(map(float, done.stdout.split()[-2:]))
        print(f"  {name}: {found[name][0]:.2f} GB of tensors, process {found[name][1]:.2f} GB", flush=True)
    ratio, process = (found["full"][which] / found["compact"][which] for which in (0, 1))
    report(
        table, "memory: compact vocabulary", "full vocabulary", f"{ratio:.2f}x", f"process {process:.2f}x", "",
        f"{found['compact'][0]:.2f} GB",
    )  # fmt: skip


def one_step(options) -> None:
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(np.arange(4, options.vocabulary), min(USED, options.vocabulary // 2), replace=False))
    data = features("text-classification", np.full(4, 16), ids, rng)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # a disk, where /tmp may be memory
        trainer = IntermediateTrainer(
            model("nli", options), arguments(folder, options, 2, 2), train_dataset=data, task=TASKS["nli"],
            eval_dataset=data.select(range(2)), processing_class=tokenizer(),
            compact_vocabulary=options.vocabulary_in_use == "compact",
        )  # fmt: skip
        trainer.model.zero_grad = lambda *_, **__: None  # gradients are there at the peak, and are to be counted
        trainer.train()
        tensors = [each for weight in trainer.model.parameters() for each in (weight, weight.grad)]
        tensors += [each for state in trainer.optimizer.state.values() for each in state.values()]
        held = sum(each.numel() * each.element_size() for each in tensors if each is not None)
    status = Path("/proc/self/status")
    anonymous = status.read_text().split("RssAnon:")[1].split()[0] if status.exists() else "nan"
    print(held / 1e9, float(anonymous) * 1024 / 1e9)


def bench_mixture(options, table: list[str]) -> None:
    """Nine tasks in turn on one encoder, and each by itself: the same examples in the same batches."""
    rng, reads, turns = np.random.default_rng(0), tokenizer(), options.steps + 1
    ids = np.sort(rng.choice(np.arange(4, options.vocabulary), min(USED, options.vocabulary // 2), replace=False))
    tasks = [Task(kind=kind, dataset="made/up", labels=labels, name=name) for name, kind, labels, *_ in NINE]
    sizes = {name: batch for name, *_, batch in NINE}
    data = {
        name: features(kind, lengths(mean, longest, turns * batch, rng), ids, rng, every=False)
        for name, kind, _, mean, longest, batch in NINE
    }
    evaluated = {name: rows.select(range(2)) for name, rows in data.items()}
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        XLMRobertaModel(config(options)).save_pretrained(folder)
        reads.save_pretrained(folder)

        def mixture() -> tuple[np.ndarray, dict[str, Dataset]]:
            clock = Clock()
            trainer = MixtureTrainer(
                base=folder, args=arguments(folder, options, turns * len(NINE), 8), tasks=tasks, batch_sizes=sizes,
                sampler=in_turn, train_dataset=data, eval_dataset=evaluated,
                callbacks=[clock],
            )  # fmt: skip
            order: dict[str, list[int]] = {name: [] for name in sizes}
            for draws in trainer.plan.steps(turns * len(NINE)):
                order[draws.task] += np.asarray(draws.examples).tolist()
            trainer.train()
            # Each task's first step makes its head's part of the optimizer's state, as in the runs by themselves.
            return clock.each()[len(NINE) - 1 :].sum(axis=0), {
                name: data[name].select(order[name]) for name in sizes
            }  # fmt: skip

        def alone(rows: dict[str, Dataset]) -> np.ndarray:
            took = []
            for task in tasks:
                clock = Clock()
                trainer = IntermediateTrainer(
                    base=folder, args=arguments(folder, options, turns, sizes[task.name]), task=task,
                    train_dataset=rows[task.name], eval_dataset=evaluated[task.name], callbacks=[clock],
                )  # fmt: skip
                finish(trainer, clock)
                took.append(clock.each().sum(axis=0))
            return np.sum(took, axis=0)

        for _ in range(options.rounds):
            together, rows = mixture()
            gc.collect()
            ratios.append(alone(rows) / together)
    tokens = sum(tokens_of(rows[name].select(range(batch, turns * batch))) for name, batch in sizes.items())
    report(
        table, f"mixture of nine, {tokens:,} tokens", "one by one", f"{np.median(ratios, axis=0)[0]:.2f}x",
        f"{np.median(ratios, axis=0)[1]:.2f}x", f"{np.min(ratios, axis=0)[0]:.2f}-{np.max(ratios, axis=0)[0]:.2f}",
        f"{tokens / together[0]:.0f} tokens/s",
    )  # fmt: skip


def in_turn(sizes, step: int) -> dict[str, float]:
    return {task: float(place == step % len(sizes)) for place, task in enumerate(sizes)}


def tokens_of(data: Dataset) -> int:
    return sum(map(len, flat_column(data, "input_ids")))


def report(table: list[str], *cells: str) -> None:
    print("  " + "   ".join(f"{cell:26s}" if place < 2 else cell for place, cell in enumerate(cells)), flush=True)
    table.append("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["nli", "qa", "memory", "mixture"])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--batch", type=int, default=32, help="examples per optimizer step, NLI")
    parser.add_argument("--qa-batch", type=int, default=16, help="the same for question answering")
    parser.add_argument("--steps", type=int, default=3, help="counted steps of a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--vocabulary-in-use", choices=("full", "compact"), default="full", help=argparse.SUPPRESS)
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.parts == ["one-step"]:
        one_step(options)
        return
    table = ["| what | against | wall | cpu | wall, range | seconds a step, or size |", "|---|---|---|---|---|---|"]
    for part in options.parts:
        print(f"{part}: {options.layers} layers, vocabulary of {options.vocabulary:,}, {options.threads} threads")
        if part == "memory":
            bench_memory(options, table)
        elif part == "mixture":
            bench_mixture(options, table)
        else:
            race(part, options, table)
    if options.markdown:
        command = f"python benchmarks/training.py {' '.join(sys.argv[1:])}"
        options.markdown.write_text("\n".join([f"`{command}`", "", *table, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
