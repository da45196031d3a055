"""The report of a large study: 100,000 rows of results, from its folder to the page with all tables and pictures.

    python benchmarks/studies.py                       # a study of XTREME, 12 arms, with so many seeds
    python benchmarks/studies.py --rows 20000 --rounds 1

Scores are made up, and there are no predictions: the bootstrap over examples, whose time is that of the examples and
not of the rows, has nothing to draw from.
"""

import argparse
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from hf_stilts.benchmark import load_benchmark
from hf_stilts.files import write_json, write_lines
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.page import write_report
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study, describe_study
from hf_stilts.studies.tables import study_report

BASE = "org/base@0123456789012345678901234567890123456789"
ARMS = ("mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "cosmosqa", "commonsenseqa", "siqa", "anli_plus", "ccg")
BENCHMARK = load_benchmark("xtreme")


def study(seeds: int) -> Study:
    """The baseline, ten tasks and two mixtures on all of XTREME."""
    arms = {"none": None, **{name: Intermediate(name) for name in ARMS}}
    arms |= {"two": Intermediate("mnli", "qqp"), "three": Intermediate("mnli", "qqp", "squad_v1")}
    return Study(
        base=(BASE,),
        arms=arms,
        targets=("xtreme",),
        seeds=tuple(range(seeds)),
        name="large",
        description="Whether a report of so many rows is quick.",
    )


def finish(folder: Path, made: Study, rows: int) -> int:
    """Write what a run of the study leaves, at least so many rows of results; how many there are."""
    found, store = unfold(made, available=True), CellStore(folder)
    chance = random.Random(0)
    trained = {"steps": 2000, "batch": 32, "dev_score": 70.0}
    trained["curve"] = [{"step": step, "accuracy": 60 + step / 100} for step in range(200, 2001, 200)]
    written, done = 0, set()
    each = max(1, round(rows / sum(len(BENCHMARK.languages_of(entry.task)) for entry in found.entries)))
    for entry in found.entries:
        if entry.scores not in done:
            written += scores(store.folder(entry.scores), entry.task, chance, each)
        for name in (entry.scores, *needs(found, entry.scores)):
            if name not in done:
                store.write_record(found.cells[name], 0, trained, seconds=60.0, versions={})
                done.add(name)
    cells = {
        name: {"title": cell.title, "stage": cell.stage, "needs": cell.needs, "problem": cell.problem}
        for name, cell in found.cells.items()
    }
    entries = [asdict(entry) for entry in found.entries]
    write_json(
        store.study_file(made.name),
        {"study": describe_study(made), "cells": cells, "entries": entries},
    )
    return written


def needs(found, name: str) -> list[str]:
    """Cells that a cell stands on, all the way down."""
    direct = found.cells[name].needs
    return [*direct, *(deeper for need in direct for deeper in needs(found, need))]


def scores(folder: Path, task: str, chance: random.Random, metrics: int) -> int:
    """Results of one task in all its languages, a row a metric; how many."""
    rows = []
    for code in BENCHMARK.languages_of(task):
        about = {"task": task, "language": code, "rows": 1000, "split": "test", "setting": "zero-shot"}
        for number in range(metrics):
            row = {**about, "metric": f"metric {number}", "score": chance.gauss(60, 5), "main": number == 0}
            rows.append({**row, "data_revision": "r"})
    write_lines(folder / "results.jsonl", rows)
    (folder / "predictions" / task).mkdir(parents=True, exist_ok=True)
    return len(rows)


def main() -> None:
    """Build the study's folder, then make its report again and again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = study(given.seeds)
        rows = finish(Path(scratch), made, given.rows)
        print(f"{rows:,} rows, {len(made.arms)} arms, {given.seeds} seeds", flush=True)
        for _ in range(given.rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            report = study_report(made.name, scratch)
            tables = time.perf_counter() - wall
            (page,) = write_report(report, Path(scratch) / "report", ["html"])
            took, worked = time.perf_counter() - wall, time.process_time() - cpu
            size = page.stat().st_size / 1e6
            print(f"{took:6.1f} s ({worked:.1f} s of processor; tables {tables:.1f} s), {size:.1f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
