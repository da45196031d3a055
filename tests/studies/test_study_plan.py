"""A plan: cells by state, what each arm reads, hours, storage and names, before anything is loaded."""

import json
import subprocess
import sys

import pytest
from command import run

from hf_stilts.errors import StiltsError
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.plan import Reads, arm_reads, check_controls, plan
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study, load_study

BASE = "FacebookAI/xlm-roberta-base@0123456789012345678901234567890123456789"


def study(**other):
    fields = {"base": (BASE,), "arms": {"none": None, "mnli": Intermediate("mnli")}, "targets": ("xquad",)}
    return Study(**{**fields, "seeds": (0,), "name": "tried", **other})


def by_state(found, stage="all"):
    return next(row for row in found.stages() if row["stage"] == stage)


def test_what_an_arm_reads_follows_from_recipe_flags_and_data():
    arms = {
        "recipe": Intermediate("mnli"),  # jiant: 392,702 rows in batches of 32, three times
        "steps": Intermediate("mnli", flags={"max_steps": 100}),
        "rows": Intermediate("mnli", limit=1000, flags={"num_train_epochs": 2, "per_device_train_batch_size": 8}),
        "two tasks": Intermediate("hellaswag", "cosmosqa", sampler="uniform", cap=320, flags={"max_steps": 10}),
        "capped": Intermediate("hellaswag", "cosmosqa", cap=320),
    }
    assert arm_reads(study(arms=arms)) == {
        "recipe": Reads(12272 * 3, 392_702 * 3),
        "steps": Reads(100, 3200),
        "rows": Reads(250, 2000),
        "two tasks": Reads(10, 320),
        "capped": Reads(60, 1920),  # 3 passes over 320 / 32 steps of each
    }


def test_arms_that_do_not_read_equally_are_refused_with_their_numbers():
    arms = {"none": None, "a": Intermediate("mnli", limit=320), "b": Intermediate("qqp", limit=640)}
    unequal = study(arms=arms, controls=("examples", "steps"))
    said = r"examples and steps: a: 30 steps, 960 examples; b: 60 steps, 1,920 examples.*max_steps"
    with pytest.raises(StiltsError, match=said):
        plan(unequal, output_dir="none")
    assert check_controls(study(arms=arms), arm_reads(study(arms=arms))) == [], "nobody asked for it"
    steps = {"max_steps": 30, "per_device_train_batch_size": 8}
    arms["b"] = Intermediate("qqp", limit=640, flags={"max_steps": 30, "per_device_train_batch_size": 64})
    with pytest.raises(StiltsError, match="equally many examples: a: 30 steps, 960 examples; b: 30 steps, 1,920"):
        plan(study(arms=arms, controls=("examples", "steps")), output_dir="none")
    plan(study(arms=arms, controls=("steps",)), output_dir="none")
    arms = {name: Intermediate(task, flags=steps) for name, task in (("a", "mnli"), ("b", "qqp"))}
    plan(study(arms=arms, controls=("examples", "steps")), output_dir="none")


def test_studies_that_ship_read_equally_where_they_say_so():
    for name in ("low_resource", "mixed_languages"):
        shipped = load_study(name)
        reads = arm_reads(shipped)
        assert shipped.controls == ("examples", "steps") and None not in reads.values()
        assert len(set(reads.values())) == 1


def test_cells_are_done_failed_broken_or_to_do(tmp_path):
    found = unfold(study())
    store = CellStore(tmp_path)
    done, failed, broken = list(found.cells.values())[:3]
    store.write_record(done, 0, {"steps": 2}, seconds=1.0, versions={})
    store.folder(failed.identity).mkdir(parents=True)
    store.write_failure(failed.identity, 1, "r", "ValueError: no")
    store.folder(broken.identity).mkdir(parents=True)
    (store.folder(broken.identity) / "record.json").write_text("{")
    planned = plan(study(), output_dir=tmp_path)
    states = {cell.title: (cell.state, cell.why) for cell in planned.cells}
    assert states[done.title] == ("done", None)
    assert states[failed.title] == ("failed", "ValueError: no")
    assert states[broken.title][0] == "broken" and "--redo-broken" in states[broken.title][1]
    assert [state for state, _ in states.values()].count("to do") == 2
    assert by_state(planned) == {
        "stage": "all", "cells": 5, "done": 1, "failed": 1, "broken": 1, "to do": 2, "hours": None,
        "GB": by_state(planned)["GB"],
    }  # fmt: skip


def test_a_record_of_another_cell_is_no_record(tmp_path):
    first, second = list(unfold(study()).cells.values())[:2]
    store = CellStore(tmp_path)
    store.write_record(first, 0, {"steps": 2}, seconds=1.0, versions={})
    store.folder(second.identity).mkdir(parents=True)
    (store.folder(first.identity) / "record.json").rename(store.folder(second.identity) / "record.json")
    with pytest.raises(StiltsError, match="broken: it is not the record of this cell"):
        store.record(second.identity)


def test_hours_come_from_a_stated_rate_or_from_finished_cells(tmp_path):
    steps = study(flags={"max_steps": 900, "per_device_train_batch_size": 40}, limit=300)
    unknown = plan(steps, output_dir=tmp_path)
    assert by_state(unknown)["hours"] is None and "unknown" in unknown.rate
    stated = plan(steps, output_dir=tmp_path, rate=10)
    # Three trainings of 36,000 examples; twice 300 rows of XQuAD in twelve languages, three times as fast.
    assert by_state(stated, "target")["hours"] == 2.0 and by_state(stated, "intermediate")["hours"] == 1.0
    assert by_state(stated, "scores")["hours"] == round(2 * 3600 / 30 / 3600, 2)
    trained = next(cell for cell in unfold(steps).cells.values() if cell.stage == "target")
    result = {"steps": 100, "batch": 40, "train_seconds": 800.0}
    CellStore(tmp_path).write_record(trained, 0, result, seconds=1000.0, versions={})
    measured = plan(steps, output_dir=tmp_path)
    assert by_state(measured, "target")["hours"] == round((200 + 36_000 / 5) / 3600, 2)  # 5 examples a second
    assert by_state(measured, "intermediate")["hours"] is None, "nothing like it was measured"
    assert "measured" in measured.rate and any("leave out 3 cells" in note for note in measured.notes)


def test_hours_come_from_finished_cells_of_other_studies_in_the_folder_too(tmp_path):
    flags = {"max_steps": 900, "per_device_train_batch_size": 40}
    other = unfold(study(flags=flags, limit=100)).cells
    for cell in other.values():
        scores = {"rows": 1200}
        trained = {"steps": 100, "batch": 40, "train_seconds": 800.0}
        result = scores if cell.stage == "scores" else trained
        CellStore(tmp_path).write_record(cell, 0, result, seconds=1200.0, versions={})
    fewer_steps = study(flags=flags | {"max_steps": 450}, limit=300)
    planned = plan(fewer_steps, output_dir=tmp_path)
    assert not set(other) & set(unfold(fewer_steps).cells), "a study without a cell of the other one"
    assert by_state(planned, "target")["hours"] == round(2 * (400 + 18_000 / 5) / 3600, 2)
    assert by_state(planned, "scores")["hours"] == round(2 * 3600 / 3600, 2)  # 300 rows in 12 languages, one a second
    another_base = plan(study(base=("FacebookAI/xlm-roberta-large",), limit=300), output_dir=tmp_path)
    assert by_state(another_base)["hours"] is None, "what is known is of another base"


def test_storage_is_that_of_the_trained_weights():
    planned = plan(study(), output_dir="none")
    assert by_state(planned, "target")["GB"] == pytest.approx(2 * 1.1156, abs=0.01)
    small = plan(study(adapter=("lora=8",)), output_dir="none")
    assert by_state(small, "target")["GB"] < 0.1


def test_names_are_those_under_which_checkpoints_are_published():
    arms = {
        "mnli": Intermediate("mnli"),
        "German": Intermediate("mnli", languages="de-t-en"),
        "both": Intermediate("mnli", "qqp"),
        "LoRA": Intermediate("mnli", adapter="lora"),
    }
    planned = plan(study(arms=arms, seeds=(7,)), output_dir="none", namespace="me")
    names = [cell.name for cell in planned.cells if cell.stage == "intermediate"]
    start = "me/xlm-roberta-base-stilts-mnli"
    assert names == [f"{start}-seed7", f"{start}-de-t-en-seed7", f"{start}.qqp-seed7", f"{start}-adapter-seed7"]
    assert all(cell.name is None for cell in planned.cells if cell.stage != "intermediate")


def test_what_is_missing_is_said_once_with_the_number_of_cells():
    planned = plan(study(arms={"none": None, "ccg": Intermediate("ccg")}), output_dir="none")
    assert by_state(planned)["no data"] == 3
    assert [note for note in planned.notes if "hf-stilts data build ccg" in note][0].startswith("3 cells cannot be run")


def test_the_command_prints_tables_and_json(mistake, tmp_path):
    words = ("study", "plan", "phang2020", "--scale", "small", "--output-dir", tmp_path / "none", "--rate", "100")
    found = json.loads(run(*words, "--json")[1])
    assert found["stages"][-1]["cells"] == len(found["cells"]) and found["arms"]["squad_v2"]["steps"] == 500
    code, table = run(*words)
    assert code == 0 and "500 steps" in table and "as stated" in table
    one = json.loads(
        run(*words, "--arm", "none", "--arm", "hellaswag", "--seeds", "1", "--targets", "udpos", "--json")[1]
    )
    of_baseline, of_arm = ["udpos after none", "udpos scores after none"], ["udpos after hellaswag"]
    titles = [cell["title"].partition(",")[0] for cell in one["cells"]]
    assert titles == [*of_baseline, "hellaswag", *of_arm, "udpos scores after hellaswag"]
    assert "has no arm 'helaswag'. Did you mean hellaswag" in mistake("study", "plan", "phang2020", "--arm", "helaswag")
    assert not (tmp_path / "none").exists(), "a plan writes nothing"
    assert "--rate states a speed and --probe measures it" in mistake(*words, "--probe")


def test_the_largest_study_is_planned_without_a_framework():
    code = "import sys\nfrom hf_stilts.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "study", "plan", "phang2020", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert len(json.loads(done.stdout)["cells"]) > 700
    assert not {"torch", "transformers", "datasets", "pandas", "huggingface_hub"} & {*done.stderr.split()}
