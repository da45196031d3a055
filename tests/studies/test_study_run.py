"""A run of a study: nothing is done twice or lost, whatever ends it, and one failure does not stop the others."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import quick_worker
from command import run as command
from places import SUPPORT
from tried_study import BASE, study

from hf_stilts.errors import StiltsError
from hf_stilts.studies import run as module
from hf_stilts.studies import worker
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.run import run_study
from hf_stilts.studies.status import status
from hf_stilts.studies.store import CellStore, LostCell
from hf_stilts.studies.study import Intermediate

CALL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without
from hf_stilts.studies import run
run.WORKER = ({worker!r},)
run._flaw = lambda model: None  # what the other process has done has no weights
sys.path.insert(0, {support!r})
from tried_study import study
run.run_study(study(), {folder!r}, workers={workers})
"""


def named(title, **other):
    """Identity of the cell of a title."""
    (found,) = [name for name, cell in unfold(study(**other)).cells.items() if cell.title == title]
    return found


def did(folder):
    return (folder / "did.txt").read_text().split()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORKER", (quick_worker.__file__,))
    monkeypatch.setattr(module, "POLL", 0.1)
    monkeypatch.setattr(module, "_flaw", lambda model: None)
    (tmp_path / "does.json").write_text("{}")
    return tmp_path


def begin(folder, workers=1):
    """A run in a process of its own, which can be killed."""
    code = CALL.format(worker=quick_worker.__file__, support=str(SUPPORT), folder=str(folder), workers=workers)
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_every_cell_is_done_once_in_order_and_never_again(folder):
    told = []
    result = run_study(study(), folder, tell=lambda *what: told.append(what))
    cells = unfold(study()).cells
    assert did(folder) == list(cells) and result.done == [cell.title for cell in cells.values()]
    assert (result.before, result.failed, result.waiting) == (0, {}, [])
    assert told[:2] == [("begun", result.done[0], ""), ("done", result.done[0], "1 of 9 cells")]
    assert told[-1] == ("done", result.done[-1], "9 of 9 cells")
    again = run_study(study(), folder)
    assert again.before == len(cells) and again.done == [] and did(folder) == list(cells)
    assert {cell["state"] for cell in status("tried", folder).cells} == {"done"}


def test_a_larger_study_does_only_what_is_new(folder):
    run_study(study(targets=("xquad",)), folder)
    before = did(folder)
    result = run_study(study(), folder)
    assert result.before == len(before) and len(did(folder)) == len(set(did(folder))) == len(unfold(study()).cells)


def test_several_workers_share_the_cells(folder):
    run_study(study(seeds=(0, 1)), folder, workers=3)
    assert sorted(did(folder)) == sorted(unfold(study(seeds=(0, 1))).cells)


def test_a_cell_that_fails_is_tried_once_more_and_stops_only_what_needs_it(folder):
    bad = named("mnli, base, seed 0")
    (folder / "does.json").write_text(json.dumps({bad: "fail"}))
    result = run_study(study(), folder)
    assert result.failed == {"mnli, base, seed 0": "ValueError: it went wrong"}
    assert len(result.done) == 4 and all("after none" in title for title in result.done)
    assert len(result.waiting) == 4 and all("after mnli" in title for title in result.waiting)
    assert did(folder).count(bad) == 2 and did(folder)[-1] == bad, "again, after all others"
    shown = {cell["title"]: cell for cell in status("tried", folder).cells}
    assert shown["mnli, base, seed 0"]["why"] == "ValueError: it went wrong"
    assert shown["mnli, base, seed 0"]["log"] == "ValueError: it went wrong", "the last line of its traceback"
    assert "What the cell prints." in (CellStore(folder).folder(bad) / "log.txt").read_text()
    (folder / "does.json").write_text("{}")  # mended
    assert len(run_study(study(), folder).done) == 5


def test_a_cell_that_fails_once_is_done(folder):
    (folder / "does.json").write_text(json.dumps({named("mnli, base, seed 0"): "fail once"}))
    result = run_study(study(), folder)
    assert not result.failed and len(result.done) == 9


def test_a_worker_that_is_killed_is_a_failure_of_its_cell_alone(folder):
    bad = named("udpos after none, base, seed 0")
    (folder / "does.json").write_text(json.dumps({bad: "die"}))
    result = run_study(study(), folder)
    assert not result.failed and len(result.done) == 9 and did(folder).count(bad) == 2
    assert CellStore(folder).failures(bad) == [
        "The worker was ended by signal 9; signal 9 often means that the memory was used up."
    ]


def test_a_worker_that_cannot_start_is_said(folder, monkeypatch):
    monkeypatch.setattr(module, "WORKER", ("-c", "raise SystemExit('no torch here')"))
    with pytest.raises(StiltsError, match="ended 2 times before it could begin.*What it said is in .*worker-0.log"):
        run_study(study(), folder)
    assert "no torch here" in (folder / "worker-0.log").read_text()


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_that_is_ended_goes_on_where_it_was(folder, end):
    held = named("udpos after none, base, seed 0")
    (folder / "does.json").write_text(json.dumps({held: "hang"}))
    running = begin(folder)
    until(lambda: running.poll() is not None or ((folder / "did.txt").is_file() and held in did(folder)))
    assert running.poll() is None, running.communicate()
    store = CellStore(folder)
    assert store.held(held) is not None and store.claim(held) is None
    assert [cell["state"] for cell in status("tried", folder).cells].count("running") == 1
    running.send_signal(end)
    running.communicate(timeout=60)
    until(lambda: store.held(held) is None)  # its worker sees that nobody gives orders any more
    assert not store.finished(held)
    before = did(folder)
    (folder / "does.json").write_text("{}")
    result = run_study(study(), folder)
    assert result.before == len(before) - 1 and len(result.done) == 9 - result.before
    assert {name: did(folder).count(name) for name in did(folder)} == {
        name: 2 if name == held else 1 for name in unfold(study()).cells
    }


@pytest.mark.slow
def test_two_runs_of_one_folder_do_no_cell_twice(folder):
    running = [begin(folder, workers=2) for _ in range(2)]
    said = [each.communicate(timeout=120)[1].decode() for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    assert sorted(did(folder)) == sorted(unfold(study()).cells)


def test_of_many_who_want_a_cell_one_has_it(tmp_path):
    got: queue.Queue = queue.Queue()
    store = CellStore(tmp_path)
    threads = [threading.Thread(target=lambda: got.put(store.claim("cell"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(str(got.get()) for _ in threads)
    assert numbers == ["1", *["None"] * 7]


def test_an_attempt_is_held_while_it_is_touched_and_lost_when_it_is_not(tmp_path, monkeypatch):
    mine, theirs = CellStore(tmp_path, lease=1.0), CellStore(tmp_path, lease=1.0)
    number = mine.claim("cell")
    path = tmp_path / "cells" / "cell" / "attempt-0001.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "machine": "another"}))  # whose processes nobody can see here
    with mine.holding("cell", number):
        time.sleep(1.5)
        assert theirs.claim("cell") is None and theirs.held("cell")["number"] == 1
    assert theirs.held("cell") is None and theirs.claim("cell") == 2, "let go at once"
    path = path.with_name("attempt-0002.json")
    path.write_text(json.dumps({**about, "machine": "another"}))
    assert mine.claim("cell") is None
    os.utime(path, (time.time() - 60, time.time() - 60))  # asleep for a minute
    assert mine.claim("cell") == 3


def test_a_cell_of_a_process_that_is_gone_is_free_at_once(tmp_path):
    code = f"from hf_stilts.studies.store import CellStore; print(CellStore({str(tmp_path)!r}).claim('cell'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "1"
    assert CellStore(tmp_path).held("cell") is None and CellStore(tmp_path).claim("cell") == 2


def test_who_has_lost_a_cell_records_nothing(tmp_path):
    cell = next(iter(unfold(study()).cells.values()))
    asleep, awake = CellStore(tmp_path), CellStore(tmp_path)
    number = asleep.claim(cell.identity)
    asleep.let_go(cell.identity, number)
    assert awake.claim(cell.identity) == 2
    with pytest.raises(LostCell):
        asleep.write_record(cell, number, {"steps": 1}, seconds=1.0, versions={})
    assert not awake.finished(cell.identity)
    awake.write_record(cell, 2, {"steps": 1}, seconds=1.0, versions={})
    assert awake.record(cell.identity)["result"] == {"steps": 1} and awake.claim(cell.identity) is None


def test_a_study_that_was_changed_keeps_what_holds_and_names_the_rest(folder):
    run_study(study(targets=("xquad",)), folder)
    told = []
    tell = lambda outcome, title, detail: told.append((outcome, detail))  # noqa: E731
    changed = study(targets=("xquad",), arms={"none": None, "mnli": Intermediate("mnli", limit=100)})
    result = run_study(changed, folder, tell=tell)
    assert result.before == 2 and len(result.done) == 3
    assert ("note", told[0][1]) == told[0]
    assert "3 finished cells are no part of it any more and are kept: mnli, base, seed 0;" in told[0][1]


def test_a_broken_record_is_named_and_done_again_on_request(folder):
    run_study(study(targets=("xquad",)), folder)
    name = named("mnli, base, seed 0")
    record = CellStore(folder).folder(name) / "record.json"
    whole, count = record.read_text(), len(did(folder))
    record.write_text(whole[:-20])
    with pytest.raises(StiltsError, match=f"1 cells that were finished are broken. .*{name}.*--redo-broken"):
        run_study(study(targets=("xquad",)), folder)
    assert len(did(folder)) == count
    assert run_study(study(targets=("xquad",)), folder, redo_broken=True).done == ["mnli, base, seed 0"]
    assert record.read_text()[:40] == whole[:40]


def test_weights_that_are_gone_are_named_where_they_are_needed(folder, monkeypatch):
    run_study(study(targets=("xquad",)), folder)
    monkeypatch.undo()
    monkeypatch.setattr(module, "WORKER", (quick_worker.__file__,))
    with pytest.raises(StiltsError, match="model: the weights are gone.*--redo-broken"):
        run_study(study(), folder)
    assert run_study(study(targets=("xquad",)), folder).before == 5, "nothing needs them"


def test_rows_that_are_missing_are_said_before_anything_is_done(folder):
    arms = {"none": None, "ccg": Intermediate("ccg")}
    with pytest.raises(StiltsError, match="5 cells cannot be run.*data build ccg[^~]*Nothing was done.*--available"):
        run_study(study(arms=arms), folder)
    assert not (folder / "did.txt").exists()
    result = run_study(study(arms=arms), folder, available=True)
    assert len(result.done) == 4 and len(result.left_out) == 5
    assert [cell["state"] for cell in status("tried", folder).cells].count("no data") == 5


def test_a_disk_without_room_is_refused_with_numbers(folder, monkeypatch):
    usage = type("Usage", (), {"free": 1_000_000_000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    large = study(base=("FacebookAI/xlm-roberta-large@0123456789012345678901234567890123456789",))
    with pytest.raises(StiltsError, match=r"has 1.0 GB free, and the 9 cells to do leave about 11.3 GB"):
        run_study(large, folder)


def test_a_folder_without_this_study_says_which_it_has(folder):
    run_study(study(targets=("xquad",)), folder)
    with pytest.raises(
        StiltsError, match="holds the studies tried, and not other. .*hf-stilts study run other --output-dir"
    ):
        status("other", folder)
    with pytest.raises(StiltsError, match="Expected the --output-dir of a run of tried"):
        status("tried", folder / "empty")


def test_the_commands_run_and_show_where_it_stands(folder, monkeypatch):
    (folder / "mine.py").write_text(
        "from hf_stilts import Intermediate, Study\n"
        f"STUDY = Study(base=({BASE!r},), arms={{'none': None, 'mnli': Intermediate('mnli')}}, targets=('xquad',))\n"
    )
    words = (folder / "mine.py", "--output-dir", folder)
    code, text = command("study", "run", *words, "--seeds", "1", "--json")
    assert code == 0 and len(json.loads(text)[0]["done"]) == 5
    code, text = command("study", "run", *words, "--seeds", "1")
    assert code == 0 and "0 cells done, 5 were before." in text and "Next: hf-stilts study report" in text
    shown = json.loads(command("study", "status", *words, "--json")[1])
    assert shown["stages"][-1] == {"stage": "all", "cells": 5, "done": 5}
    bad = unfold(study(targets=("xquad",), seeds=(1,)))
    failing = next(name for name, cell in bad.cells.items() if cell.title == "mnli, base, seed 1")
    (folder / "does.json").write_text(json.dumps({failing: "fail"}))
    code, text = command("study", "run", *words, "--seeds", "2")
    assert code == 1 and "1 failed, 2 wait for these" in text and "Next: hf-stilts study status" in text
    text = command("study", "status", *words)[1]
    assert "mnli, base, seed 1: ValueError: it went wrong" in text and f"{failing}/log.txt" in text
    assert "Next: hf-stilts study run" in text


def test_a_cell_of_scores_hands_on_its_noise_and_the_seed_of_it(tmp_path, monkeypatch):
    asked = []

    def score_languages(model, task, options, retrieval):
        asked.append((options.noise, options.noise_seed))
        yield SimpleNamespace(language="de", rows=[{"main": True, "score": 50.0, "rows": 3}], predictions=[])

    monkeypatch.setattr("hf_stilts.evaluation.zero_shot.score_languages", score_languages)
    call = {"task": "xnli", "languages": ["de"], "split": "test", "limit": 3, "data_dir": None, "noise": "keyboard=0.1"}
    for number, seed in enumerate(({}, {"noise_seed": 3})):
        worker._scores(None, tmp_path / str(number), call | seed | {"base": ["org/base", "a" * 40], "model": None})
    assert asked == [("keyboard=0.1", 0), ("keyboard=0.1", 3)]
