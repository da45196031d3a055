"""The process that trains and scores the cells of a study, one after another, as it is told on standard input.

    python -m hf_stilts.studies.worker DIR --lease SECONDS

Each line in is a cell, each line out what became of it. What the cell prints goes into its own `log.txt`. When standard
input ends, the process that gave the orders has ended: the cell is let go and this process ends at once.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError
from hf_stilts.studies.cells import Cell
from hf_stilts.studies.store import LOG, MODEL, CellStore, LostCell

if TYPE_CHECKING:
    from hf_stilts.hub.record import Record

TRAINING = "training"  # where a cell trains whose model is the mean of its checkpoints
FASTER: Mapping[str, Any] = {"compact_vocabulary": None}  # wherever the trained model comes out the same


def serve(store: CellStore, orders: TextIO, answers: TextIO) -> None:
    """Do one cell after another until the orders end.

    Args:
        store: where the cells lie.
        orders: lines of JSON: `run`, and the `cell` with its fields.
        answers: lines of JSON: first the `outcome` "ready", then for each cell `outcome` ("done", "failed", "taken")
            and `error`.
    """
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()
    held: list[tuple[str, int]] = []

    def listen() -> None:
        for line in orders:
            waiting.put(json.loads(line))
        for name, number in held:
            store.let_go(name, number)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    _answer(answers, {"outcome": "ready"})
    while True:
        order = waiting.get()
        cell = Cell(**order["cell"])
        number = store.claim(cell.identity)
        outcome: dict[str, Any] = {"outcome": "taken"}
        if number is not None:
            held.append((cell.identity, number))
            outcome = attempt(store, cell, number, order["run"])
            held.clear()
        _answer(answers, outcome)


def _answer(answers: TextIO, said: Mapping[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def do(store: CellStore, cell: Cell, number: int) -> None:
    """Train or score a cell, and write its record.

    Raises:
        LostCell: another process took it over meanwhile.
    """
    began = time.monotonic()
    folder = store.folder(cell.identity)
    result = STAGES[cell.stage](store, folder, cell.call)
    store.write_record(cell, number, result, seconds=time.monotonic() - began, versions=_versions())


def attempt(store: CellStore, cell: Cell, number: int, run: str) -> dict[str, Any]:
    """Do a cell that was claimed, and let it go.

    Args:
        store: where the cells lie.
        cell: the cell.
        number: of the attempt, from `CellStore.claim`.
        run: name of the run, which is noted where it fails.

    Returns:
        `outcome`: "done", "failed" with its `error`, or "taken" where another process took the cell over meanwhile.
    """
    log = (store.folder(cell.identity) / LOG).open("a", encoding="utf-8")
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    try:
        with store.holding(cell.identity, number):
            do(store, cell, number)
        return {"outcome": "done"}
    except LostCell:
        return {"outcome": "taken"}
    except Exception as error:  # a failed cell does not stop the others, whatever failed it
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        store.write_failure(cell.identity, number, run, said)
        return {"outcome": "failed", "error": said}
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, before in zip((1, 2), kept, strict=True):
            os.dup2(before, descriptor)
            os.close(before)
        log.close()
        _free_memory()


def _intermediate(store: CellStore, folder: Path, call: Mapping[str, Any]) -> dict[str, Any]:
    from hf_stilts.training.run import run_mixture, run_phase

    if call.get("published"):
        return _loaded(folder, call["published"])
    if call.get("merge"):
        return _merged(store, folder, call)
    options = dict(call["options"])
    mixture = options.pop("mixture", False)
    name, revision = call["base"]
    options["base"] = name
    if _at(name, revision):
        options["revision"] = revision
    model = folder / (TRAINING if call.get("soup") else MODEL)
    flags = _flags(call, model)
    given = {"recipe": call["recipe"], "resume": True, "data_dir": call["data_dir"], **FASTER, **options}
    if mixture:
        result = run_mixture(call["tasks"], flags, **given)
    else:
        result = run_phase("intermediate", call["tasks"][0], flags, **given)
    if call.get("soup"):
        return _soup(folder, call, result)
    return _trained(model, result)


def _soup(folder: Path, call: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Make one encoder of the last checkpoints of a training; nothing else of the training is kept."""
    from hf_stilts.hub.record import RECORD_FILE, Record
    from hf_stilts.models.merge import merge_checkpoints
    from hf_stilts.publishing.saved import saved_steps

    training, model = folder / TRAINING, folder / MODEL
    saved = saved_steps(training)
    last = sorted(saved)[-call["soup"] :]
    if len(last) < call["soup"]:
        raise StiltsError(
            f"The training saved {len(last)} checkpoints, and the last {call['soup']} are averaged. Train longer, or "
            "lower every= or last= of its Soup."
        )
    name, revision = call["base"]
    for step in last:  # what they were trained on, which the training says beside its last model alone
        shutil.copy(training / RECORD_FILE, saved[step])
    shutil.rmtree(model, ignore_errors=True)  # what an attempt left that was killed
    record = merge_checkpoints(
        [str(saved[step]) for step in last], name, model, revision=revision if _at(name, revision) else None
    )
    _complete(model, record, Record.from_json((training / RECORD_FILE).read_bytes()))
    gone = folder / ".trained"
    shutil.rmtree(gone, ignore_errors=True)
    training.rename(gone)  # first: no later attempt goes on from what is half deleted
    about = _trained(gone, result)
    shutil.rmtree(gone)
    return about | {"soup": last}


def _complete(model: Path, merge: Record, training: Record) -> None:
    """Write record and card of a merge again, with the steps and the settings of the training that it is of."""
    from hf_stilts.files import write
    from hf_stilts.hub.card import CARD_FILE, render
    from hf_stilts.hub.naming import step_tag
    from hf_stilts.hub.record import RECORD_FILE
    from hf_stilts.models.merge import merged_repository

    recipe = {**training.recipe, **merge.recipe}
    record = replace(merge, step=training.step, seed=training.seed, hardware=training.hardware, recipe=recipe)
    write(model / RECORD_FILE, record.to_json())
    write(model / CARD_FILE, render(record, merged_repository(record), step_tag(record.step)))


def _merged(store: CellStore, folder: Path, call: Mapping[str, Any]) -> dict[str, Any]:
    """Make one encoder of those of the cells that a merge needs; nothing is trained."""
    from hf_stilts.models.merge import merge_checkpoints
    from hf_stilts.models.merge_options import MergeOptions

    name, revision = call["base"]
    merge = {**call["merge"], "weights": tuple(call["merge"]["weights"])}
    shutil.rmtree(folder / MODEL, ignore_errors=True)  # what an attempt left that was killed
    merge_checkpoints(
        [str(store.folder(part) / MODEL) for part in call["parts"]],
        name,
        folder / MODEL,
        MergeOptions(**merge),
        revision=revision if _at(name, revision) else None,
    )
    return {"steps": 0, "batch": None, "body": None, "curve": [], "train_seconds": None}


def _target(store: CellStore, folder: Path, call: Mapping[str, Any]) -> dict[str, Any]:
    from hf_stilts.task import load_task
    from hf_stilts.training.run import run_phase

    options = dict(call["options"])
    name, revision = call["base"]
    if call["start"]:
        options["init"] = str(store.folder(call["start"]) / MODEL)
    elif commit := _at(name, revision):
        options["init"] = name + commit  # a target training takes a commit in the name alone
    else:
        options["base"] = name
    result = run_phase(
        "target",
        call["task"],
        _flags(call, folder / MODEL),
        recipe=call["recipe"],
        resume=True,
        data_dir=call["data_dir"],
        **FASTER,
        **options,
    )
    task = load_task(call["task"])
    metric = load_task(task.train[-1]).metric if task.train else task.metric
    return _trained(folder / MODEL, result) | {"dev_score": result.get(metric), "dev_metric": metric}


def _scores(store: CellStore, folder: Path, call: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of every language; those that an earlier attempt had finished are kept."""
    from hf_stilts.evaluation.options import ScoringOptions
    from hf_stilts.evaluation.results import RESULTS, predictions_file
    from hf_stilts.evaluation.zero_shot import score_languages
    from hf_stilts.files import read_lines, write_lines
    from hf_stilts.task import load_task

    task, done = load_task(call["task"]), folder / RESULTS
    rows = read_lines(done) if done.is_file() else []
    if task.declaration.joint:  # languages share a pool of candidates: they belong together
        rows = []
    there = {row["language"] for row in rows}
    left = tuple(code for code in call["languages"] if code not in there)
    name, revision = call["base"]
    model = str(store.folder(call["model"]) / MODEL) if call["model"] else name + _at(name, revision)
    asked = {name: call[name] for name in ("split", "limit", "data_dir", "noise")}
    asked["noise_seed"] = call.get("noise_seed", 0)
    retrieval = {"every_layer": True} if call.get("layers") else None
    options = ScoringOptions(languages=left, **asked)
    for result in score_languages(model, task, options, retrieval=retrieval) if left else ():
        rows += result.rows
        write_lines(predictions_file(folder, task.name, result.language), result.predictions)
        write_lines(done, rows)
    main = [row["score"] for row in rows if row["main"]]
    return {
        "languages": len(main),
        "rows": sum(row["rows"] for row in rows if row["main"]),
        "mean": sum(main) / len(main),
    }


def _loaded(folder: Path, published: Mapping[str, str]) -> dict[str, Any]:
    """What an intermediate training came to that somebody published: it is loaded, not repeated."""
    from hf_stilts.studies.published import TRAINED, load_published

    record = load_published(folder, published)
    steps = record.recipe.get(TRAINED, record.step)
    about: dict[str, Any] = {"steps": steps, "batch": _batch(folder / MODEL), "body": None, "curve": []}
    return {**record.metrics, **about, "train_seconds": None, "published": dict(published)}


def _batch(model: Path) -> int | None:
    """Examples of an optimizer step; None of a mixture, whose tasks have batches of their own."""
    from hf_stilts.errors import StiltsError
    from hf_stilts.training.budget import budget_of

    try:
        return budget_of(model).batch
    except StiltsError:
        return None


def _trained(model: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """What a training came to. Its checkpoints are deleted: a finished cell needs its final model alone."""
    curve = _curve(model, result)
    for checkpoint in sorted(model.rglob("checkpoint-*")):
        if checkpoint.is_dir():
            shutil.rmtree(checkpoint)
    kept = {name: value for name, value in result.items() if isinstance(value, int | float) or value is None}
    if "collapsed" in result:
        kept["collapsed"] = result["collapsed"]
    about = {"batch": _batch(model), "body": result.get("body"), "train_seconds": result["seconds"], "curve": curve}
    return kept | about


def _curve(model: Path, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Dev scores of a training step by step: `step`, and of each metric of its result the score there."""
    from hf_stilts.hub.record import scores_at
    from hf_stilts.publishing.pending import STATE_FILE
    from hf_stilts.publishing.saved import newest_saved

    newest = newest_saved(model)
    if newest is None:
        return []
    history = json.loads((newest / STATE_FILE).read_text(encoding="utf-8")).get("log_history", [])
    curve = []
    for step in sorted({int(entry["step"]) for entry in history if "step" in entry}):
        scores = {name: score for name, score in scores_at(step, history).items() if name in result}
        if scores:
            curve.append({"step": step, **scores})
    return curve


def _at(name: str, revision: str) -> str:
    """`@commit` of a base on the Hub; nothing for a folder, and for one whose newest commit is taken."""
    from hf_stilts.studies.cells import NEWEST

    return "" if Path(name).is_dir() or revision == NEWEST else f"@{revision}"


def _flags(call: Mapping[str, Any], model: Path) -> list[str]:
    quiet = ["--disable_tqdm", "true", "--report_to", "none", "--save_total_limit", "2"]
    return [*quiet, *call["flags"], "--seed", str(call["seed"]), "--output_dir", str(model)]


def _versions() -> dict[str, str]:
    from hf_stilts.publishing.callback import versions

    return dict(versions())


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and default_device().type == "cuda":
        torch.cuda.empty_cache()


STAGES = {"intermediate": _intermediate, "target": _target, "scores": _scores}


def load_libraries() -> None:
    """Import what cells need, which takes seconds that are no cell's own."""
    import hf_stilts.evaluation.zero_shot
    import hf_stilts.training.run  # noqa: F401


def main() -> None:
    """Listen on standard input and answer on standard output, which the cells cannot write to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lease", type=float, required=True)
    given = parser.parse_args()
    load_libraries()
    gc.collect()
    gc.freeze()  # a million objects of libraries are not looked through again behind every cell
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(CellStore(given.folder, given.lease), sys.stdin, answers)


if __name__ == "__main__":
    main()
