"""A small study as a user runs it, on a tiny model: what its cells come to is what the single commands come to."""

import json
import time
from types import SimpleNamespace

import mirrors
import pytest
import tiny
from command import run
from mirrors import FLAGS

from hf_stilts.files import read_lines
from hf_stilts.studies import probe as module
from hf_stilts.studies import worker
from hf_stilts.studies.benchmark import run_benchmark
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.plan import plan
from hf_stilts.studies.probe import probe
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import load_study, overridden
from hf_stilts.training.run import run_phase

SOURCE = """
from hf_stilts import Intermediate, Study

STUDY = Study(
    base=({base!r},),
    arms={{"none": None, "squad": Intermediate("squad_v1")}},
    targets=("udpos", "tatoeba"),
    layers="all",
    languages=("en", "de", "fi"),
    seeds=(7,),
    flags={{"max_steps": 2, "use_cpu": True, "per_device_train_batch_size": 4}},
)
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    base, mirror = tiny.save(folder / "base"), mirrors.build(folder / "mirror", mirrors.SMALL)
    (folder / "mine.py").write_text(SOURCE.format(base=base))
    code, text = run("study", "run", folder / "mine.py", "--output-dir", folder / "run", "--data-dir", mirror, "--json")
    assert code == 0, text
    return {"folder": folder, "base": base, "mirror": mirror, "said": json.loads(text)[0]}


def scores(table):
    return {
        (row["task"], row["language"], row["metric"]): row["score"]
        for row in (table if isinstance(table, list) else table.to_dict("records"))
    }


def scored(world, arm):
    found = unfold(load_study(str(world["folder"] / "mine.py")), data_dir=world["mirror"])
    store = CellStore(world["folder"] / "run")
    cells = [entry.scores for entry in found.entries if entry.arm == arm]
    rows = [row for cell in cells for row in read_lines(store.folder(cell) / "results.jsonl")]
    by_layer = {(row["language"], row["layer"]): row["score"] for row in rows if row["metric"] == "by_layer"}
    found = [row for row in rows if row["metric"] == "accuracy" and row["task"] == "tatoeba"]
    assert found and all(by_layer[row["language"], row["layer"]] == row["score"] for row in found)
    return scores([row for row in rows if row["metric"] != "by_layer"])


def test_the_scores_are_those_of_the_single_commands(world, tmp_path):
    flags = [*FLAGS, "--seed", "7"]
    common = {"tasks": ["udpos", "tatoeba"], "languages": ["en", "de", "fi"], "flags": flags}
    common |= {"data_dir": world["mirror"]}
    plain = run_benchmark("xtreme", model=world["base"], out=tmp_path / "none", **common)
    assert scored(world, "none") == scores(plain)
    folder = str(tmp_path / "squad")
    run_phase(
        "intermediate", "squad_v1", [*flags, "--output_dir", folder], model=world["base"], data_dir=world["mirror"]
    )
    after = run_benchmark("xtreme", model=world["base"], init=folder, out=tmp_path / "after", **common)
    assert scored(world, "squad") == scores(after)


def test_finished_cells_keep_a_model_a_record_and_no_checkpoints(world):
    store = CellStore(world["folder"] / "run")
    found = unfold(load_study(str(world["folder"] / "mine.py")), data_dir=world["mirror"])
    assert len(world["said"]["done"]) == len(found.cells) == 7
    for name, cell in found.cells.items():
        record = store.record(name)
        assert record["title"] == cell.title and record["seconds"] > 0 and "torch" in record["versions"]
        model = store.folder(name) / "model"
        assert (model / "model.safetensors").is_file() == (cell.stage != "scores")
        assert not list(model.glob("checkpoint-*"))
        if cell.stage == "intermediate":
            assert (record["result"]["steps"], record["result"]["batch"]) == (2, 4)
        if cell.stage == "scores":
            assert record["result"]["languages"] == len(cell.spec["data"])


def test_the_report_and_the_plan_know_what_was_done(world):
    words = (world["folder"] / "mine.py", "--output-dir", world["folder"] / "run")
    found = json.loads(run("study", "report", *words, "--bootstrap", "50", "--json")[1])
    assert [row["task"] for row in found["tables"]["gains"]] == ["udpos", "tatoeba"] and found["missing"] == []
    own = [row for row in found["tables"]["layers"] if row["arm"] == "none"]
    assert [row["layer"] for row in own] == list(range(len(own))) and len(own) > 2
    assert all("low" in row for row in found["tables"]["languages"])
    planned = json.loads(run("study", "plan", *words, "--data-dir", world["mirror"], "--seeds", "9", "--json")[1])
    assert planned["stages"][-1]["done"] == 7, "seed 7 is among them"
    assert planned["stages"][-1]["hours"] > 0 and "measured" in planned["rate"]


def test_a_probe_measures_every_kind_of_training_once_and_leaves_nothing(world, tmp_path):
    study = overridden(load_study(str(world["folder"] / "mine.py")), seeds=2)
    measured = {}

    def measure(cells):
        measured.update(probe(cells))
        return measured

    planned = plan(study, output_dir=tmp_path / "none", data_dir=world["mirror"], measure=measure)
    trainings = {("target", "udpos"), ("intermediate", "squad_v1")}
    assert {key[1:] for key in measured} == trainings | {("scores", "udpos"), ("scores", "tatoeba")}
    assert all(speed.before >= 0 and speed.each > 0 for speed in measured.values())
    of_target = next(speed for key, speed in measured.items() if key[1] == "target")
    for cell in planned.cells:
        if cell.stage == "target":  # two steps of four
            assert cell.hours == pytest.approx((of_target.before + 8 * of_target.each) / 3600)
        assert cell.hours > 0
    assert "measured on this machine" in planned.rate and not (tmp_path / "none").exists()


def test_the_estimate_of_a_probe_is_the_time_that_the_study_takes(world, tmp_path, monkeypatch):
    """Time is that of the processor: what else the machine does is no part of it."""
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.process_time))
    source = SOURCE.format(base=world["base"]).replace('"max_steps": 2', '"max_steps": 60')
    # As many rows as the mirror has: without a limit an estimate is of the rows of the whole task.
    (tmp_path / "longer.py").write_text(source.replace("seeds=(7,)", "seeds=(7,), limit=10"))
    study = load_study(str(tmp_path / "longer.py"))
    planned = plan(study, output_dir=tmp_path / "run", data_dir=world["mirror"], measure=probe)
    estimates = {cell.title: 3600 * cell.hours for cell in planned.cells}
    store, took = CellStore(tmp_path / "run"), {}
    for name, cell in unfold(study, data_dir=world["mirror"]).cells.items():
        began = time.process_time()
        worker.do(store, cell, store.claim(name))
        took[cell.title] = time.process_time() - began
    assert took.keys() == estimates.keys() and len(took) == 7
    assert sum(estimates.values()) == pytest.approx(sum(took.values()), rel=0.25)
    trainings = [title for title in took if "scores" not in title]
    assert sum(estimates[title] for title in trainings) == pytest.approx(
        sum(took[title] for title in trainings), rel=0.25
    )
