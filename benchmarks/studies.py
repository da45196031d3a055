"""What studies cost beside their cells: report, plan and runner of a large one, the matrix of 1,000 published records.

    python benchmarks/studies.py                       # a study of XTREME, 12 arms, with so many seeds
    python benchmarks/studies.py --rows 20000 --rounds 1
    python benchmarks/studies.py --records 1000        # instead: the transfer matrix of so many published models
    python benchmarks/studies.py --plan                # instead: the plan of phang2020, in a process of its own
    python benchmarks/studies.py --cells               # instead: a run of cells that do nothing, each with its record

The records are published to an embedded Hub in another process, which answers the command's stock client.

Scores are made up, and there are no predictions: the bootstrap over examples, whose time is that of the examples and
not of the rows, has nothing to draw from.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from hf_stilts.benchmark import load_benchmark
from hf_stilts.files import write_json, write_lines
from hf_stilts.hub.card import render
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.studies import run
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.page import write_report
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study, describe_study
from hf_stilts.studies.tables import study_report

BASE = "org/base@0123456789012345678901234567890123456789"
ARMS = ("mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "cosmosqa", "commonsenseqa", "siqa", "anli_plus", "ccg")
BENCHMARK = load_benchmark("xtreme")
IDLE = """
from hf_stilts.studies import worker
from hf_stilts.studies.store import MODEL


def idle(store, folder, call):
    (folder / MODEL).mkdir(parents=True, exist_ok=True)
    return {"steps": 1, "rows": 1}


worker.STAGES = dict.fromkeys(worker.STAGES, idle)
worker.main()
"""
SERVE = """
import sys
from pathlib import Path
from hf_stilts.local_hub import serve
serve(Path(sys.argv[1]), announce=lambda url: print(url, flush=True))
"""


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


def processor(who: int) -> float:
    """Seconds of processor time that this process, or all that it has started and that have ended, took."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def measure_plan() -> None:
    """Plan the largest study by the command, in a process of its own."""
    command = [str(Path(sys.executable).parent / "hf-stilts"), "study", "plan", "phang2020", "--json"]
    wall, before = time.perf_counter(), processor(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took, worked = time.perf_counter() - wall, processor(resource.RUSAGE_CHILDREN) - before
    cells = len(json.loads(done.stdout)["cells"])
    print(f"{took:6.1f} s ({worked:.1f} s of processor) for the plan of phang2020, {cells} cells")


def measure_runner() -> None:
    """Run a study whose cells do nothing: what is left is the runner and its worker, with claims and records."""
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "worker.py"
        script.write_text(IDLE)
        run.WORKER = (str(script),)
        made = replace(study(1), targets=("xnli", "udpos", "panx"))
        wall, before = time.perf_counter(), processor(resource.RUSAGE_SELF) + processor(resource.RUSAGE_CHILDREN)
        cells = len(run.run_study(made, Path(scratch) / "run", available=True).done)
        took = time.perf_counter() - wall
        worked = processor(resource.RUSAGE_SELF) + processor(resource.RUSAGE_CHILDREN) - before
        print(
            f"{took / cells:6.3f} s ({worked / cells:.3f} s of processor) for a cell of {cells}, all imports included"
        )


def publish(endpoint: str, count: int) -> None:
    """Publish so many records with scores in XNLI's languages: intermediates of ten tasks, and targets after them."""
    api = HfApi(endpoint=endpoint, token="local")
    chance = random.Random(0)
    parents: list[ParentModel] = [ParentModel("org/base")]
    languages = load_benchmark("xtreme").languages_of("xnli")
    for number in range(count):
        name = f"user{number % 20}/base-stilts-{number}"
        if number < len(ARMS):
            source = TaskSource(ARMS[number], f"data/{ARMS[number]}", language="en", rows=500)
            record = Record(tasks=(source,), parent=parents[0], languages=("en",), step=2)
        else:
            source = TaskSource("xnli", "facebook/xnli", "en", "a" * 40, "train", 1000, language="en")
            scored = {code: {"xnli_accuracy": round(chance.gauss(60, 5), 1)} for code in languages}
            record = Record(
                phase="target", tasks=(source,), parent=parents[number % len(parents)], languages=("en",), step=2,
                seed=number, metrics_by_language=scored,
            )  # fmt: skip
        api.create_repo(name)
        texts = {"stilts.json": record.to_json(), "README.md": render(record, name, "step-2")}
        operations = [CommitOperationAdd(path, text.encode()) for path, text in texts.items()]
        commit = api.create_commit(name, operations, commit_message="a model").oid
        if number < len(ARMS):
            parents.append(ParentModel(name, commit))


def measure_matrix(count: int) -> None:
    """Publish records, then gather them into a matrix by the command, in a process with an empty cache."""
    with tempfile.TemporaryDirectory() as scratch:
        serving = [sys.executable, "-c", SERVE, str(Path(scratch) / "hub")]
        with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as hub:
            try:
                endpoint = (hub.stdout.readline() if hub.stdout else "").strip()
                began = time.perf_counter()
                publish(endpoint, count)
                print(f"{count} records published in {time.perf_counter() - began:.1f} s", flush=True)
                environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": "local", "HF_HOME": f"{scratch}/home"}
                command = [str(Path(sys.executable).parent / "hf-stilts"), "matrix", "--json"]
                began, before = time.perf_counter(), processor(resource.RUSAGE_CHILDREN)
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                took, worked = time.perf_counter() - began, processor(resource.RUSAGE_CHILDREN) - before
                found = json.loads(done.stdout)
                print(
                    f"{took:6.1f} s ({worked:.1f} s of processor, without the Hub's) for the matrix: "
                    f"{len(found['tasks'])} gains of targets, {len(found['cells'])} cells"
                )
            finally:
                hub.kill()


def main() -> None:
    """Build the study's folder, then make its report again and again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--cells", action="store_true")
    given = parser.parse_args()
    if given.plan:
        measure_plan()
        return
    if given.cells:
        measure_runner()
        return
    if given.records:
        measure_matrix(given.records)
        return
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
