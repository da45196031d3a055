"""The study phang2020 at full size on paper: tokens, arithmetic, GPU hours and price of each stage.

    python benchmarks/full_scale.py
    python benchmarks/full_scale.py --tokenizer encoder/multilingual-e5-small --data-dir MIRROR   # without the Hub

Nothing is trained: the plan of the study says how many examples each cell goes through, the rows at hand say how many
tokens an example of a kind has (XLM-R's tokenizer, or one that has its vocabulary), and a token costs two operations
forward and four backward for each weight of the layers, and the attention's share (Kaplan et al. 2020, section 2.1).
Efficiency and price are assumptions, to be given.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable

from hf_stilts.data.load import labelled, load, splits
from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.studies.cells import Cell, unfold
from hf_stilts.studies.plan import examples_of
from hf_stilts.studies.study import load_study
from hf_stilts.task import load_task

LAYERS, WIDTH = 24, 1024  # XLM-R large
PEAK = {"A100": 312e12, "H100": 989e12}  # bfloat16, dense, by the data sheets
ROWS = 500
WINDOW = 128  # tokens that look at each other, at most: longer rows are several windows or choices
TEXTS = ("source", "target")  # of a pair of sentences


def tokens_of(names: Iterable[str], tokenizer_name: str, data_dir: str | None) -> dict[str, float]:
    """Mean number of tokens of a row, all its windows or choices together, of those tasks whose rows are here."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_name)
    found = {}
    for name in names:
        task = load_task(name)
        language = "en" if "en" in task.languages else "de"
        try:
            task = labelled(task, data_dir)
            rows = load(task, splits(task, language, data_dir)[0], language, limit=ROWS, data_dir=data_dir)
        except (StiltsError, OSError) as error:
            print(f"{name}: taken from tasks of its kind ({str(error).splitlines()[0][:80]})")
            continue
        if set(TEXTS) <= set(rows.column_names):
            texts = [text for column in TEXTS for text in rows[column]]
            ids = tokenizer(texts)["input_ids"]
        else:
            kind = load_kind(task.kind)
            ids = kind.features(task, rows, tokenizer, max_length=kind.max_length, train=False)["input_ids"]
        found[name] = sum(count(each) for each in ids) / len(rows)
    return found


def count(ids: list) -> int:
    """Ids of a feature, of all its choices where there are several."""
    return sum(len(choice) for choice in ids) if ids and isinstance(ids[0], list) else len(ids)


def usual(name: str, tokens: dict[str, float]) -> float:
    """Tokens of a row of a task that is not here: as in tasks of its kind, else a whole window."""
    family = load_task(name).kind.split("-")[0]
    same = [value for other, value in tokens.items() if load_task(other).kind.split("-")[0] == family]
    return mean(same) if same else load_kind(load_task(name).kind).max_length


def tasks_of(cell: Cell) -> list[str]:
    """Names of the tasks that a cell trains on or scores."""
    return list(cell.spec["task"] if cell.stage == "scores" else cell.spec["tasks"])


def operations(tokens: float, length: float, trains: bool) -> float:
    """Floating-point operations of a model that reads so many tokens in sequences of this length."""
    forward = LAYERS * (2 * 12 * WIDTH**2 + 4 * length * WIDTH)
    return tokens * forward * (3 if trains else 1)


def main() -> None:
    """Print one table: a line a stage and task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="phang2020")
    parser.add_argument("--tokenizer", default="FacebookAI/xlm-roberta-large")
    parser.add_argument("--data-dir")
    parser.add_argument("--efficiency", type=float, default=0.4, help="share of the peak that training reaches")
    parser.add_argument("--price", type=float, default=2.5, help="dollars an hour of an A100")
    args = parser.parse_args()

    found = unfold(load_study(args.study), available=True)
    names = sorted({name for cell in found.cells.values() for name in tasks_of(cell)})
    tokens = tokens_of(names, args.tokenizer, args.data_dir)
    tokens |= {name: usual(name, tokens) for name in names if name not in tokens}

    cells, examples, work, unknown = defaultdict(int), defaultdict(float), defaultdict(float), defaultdict(int)
    read = defaultdict(float)
    for cell in found.cells.values():
        tasks = tasks_of(cell)
        key = (cell.stage, tasks[0] if len(tasks) == 1 else "mixtures")
        rows = examples_of(cell)
        length = mean([tokens[name] for name in tasks])
        cells[key] += 1
        if rows is None:
            unknown[key] += 1
            continue
        examples[key] += rows
        read[key] += rows * length
        work[key] += operations(rows * length, min(length, WINDOW), cell.stage != "scores")

    columns = ["stage", "tasks", "cells", "examples (million)", "tokens (billion)", "10^18 operations"]
    columns += [f"{card} hours" for card in PEAK]
    print("\n| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    total = defaultdict(float)
    for key in sorted(cells, key=lambda key: (("intermediate", "target", "scores").index(key[0]), key[1])):
        hours = {card: work[key] / (peak * args.efficiency) / 3600 for card, peak in PEAK.items()}
        for card, value in hours.items():
            total[card] += value
        said = f"{cells[key]}" + (f" ({unknown[key]} of unknown size)" if unknown[key] else "")
        figures = f"{examples[key] / 1e6:.2f} | {read[key] / 1e9:.2f} | {work[key] / 1e18:.1f}"
        print(f"| {key[0]} | {key[1]} | {said} | {figures} | {hours['A100']:.1f} | {hours['H100']:.1f} |")
    print(f"| all | | {sum(cells.values())} | | | | {total['A100']:.0f} | {total['H100']:.0f} |")
    print(f"\nAt {args.efficiency:.0%} of the peak; ${total['A100'] * args.price:,.0f} at ${args.price} an A100 hour.")
    print("Tokens of an example: " + ", ".join(f"{name} {value:.0f}" for name, value in sorted(tokens.items())))


def mean(values: list[float]) -> float:
    """Average."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
