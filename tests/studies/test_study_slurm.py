"""A study given to Slurm, which submitit's local executor plays here; `test_study_slurm_real.py` has a real one."""

import json
import os
import re
import signal
import time

import pytest
import tiny

pytest.importorskip("submitit")
local_slurm = pytest.importorskip("local_slurm")

from hf_stilts.errors import StiltsError  # noqa: E402
from hf_stilts.hub.record import ParentModel, Record, TaskSource  # noqa: E402
from hf_stilts.studies import published, run  # noqa: E402
from hf_stilts.studies import slurm as module  # noqa: E402
from hf_stilts.studies.cells import unfold  # noqa: E402
from hf_stilts.studies.published import CELL, Publishing, find_published  # noqa: E402
from hf_stilts.studies.slurm import parse_options, submit_study  # noqa: E402
from hf_stilts.studies.status import status  # noqa: E402
from hf_stilts.studies.store import CellStore  # noqa: E402
from hf_stilts.studies.study import Intermediate, Merged, Study  # noqa: E402

BASE = "org/base@0123456789012345678901234567890123456789"
OPTIONS = {"time": "10"}
ARM = "mnli, base, seed 0"  # title of the intermediate training
AFTER_ARM = ("squad_v1 after mnli, base, seed 0", "xquad scores after mnli, base, seed 0")


BASELINE = {"none": None, "mnli": Intermediate("mnli")}


def study(**other):
    fields = {"base": (BASE,), "arms": {"mnli": Intermediate("mnli")}, "targets": ("xquad",)}
    return Study(**{**fields, "seeds": (0,), "name": "tried", **other})


def named(title, **other):
    (found,) = [name for name, cell in unfold(study(**other)).cells.items() if cell.title == title]
    return found


def did(folder):
    return (folder / "did.txt").read_text().split()


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def states(folder):
    return {cell["title"]: cell["state"] for cell in status("tried", folder).cells}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Of a study, on a machine with a Slurm that takes everything."""
    monkeypatch.setattr(run, "_flaw", lambda model: None)
    monkeypatch.setattr(module, "_executor", lambda folder, *given: executor(folder))
    monkeypatch.setenv("PATH", local_slurm.write_commands(tmp_path / "bin", tmp_path / "slurm"))
    (tmp_path / "does.json").write_text("{}")
    return tmp_path


def executor(folder):
    made = local_slurm.LocalSlurm(folder)
    made.update_parameters(slurm_setup=module._TRY, slurm_teardown=module._AGAIN)
    return made


@pytest.fixture
def waiting(folder, monkeypatch):
    """As `folder`, but no job ever begins; the executor, when a study was submitted."""
    made = local_slurm.Waiting(folder / "slurm")
    monkeypatch.setattr(module, "_executor", lambda *given: made)
    return made


def ended(folder):
    return not list((folder / "slurm").glob("*.state"))


def test_every_cell_is_a_job_behind_those_that_it_needs_and_none_is_submitted_twice(folder):
    cells = unfold(study()).cells
    first = submit_study(study(), folder, OPTIONS)
    second = submit_study(study(), folder, OPTIONS)
    assert list(first.submitted) == [cell.title for cell in cells.values()] and first.before == 0
    assert len(set(first.submitted.values())) == 3
    assert second.submitted == {} and second.queued.items() <= first.submitted.items()
    assert second.before + len(second.queued) == 3, "some may be done already"
    assert set(states(folder).values()) <= {"queued", "running", "done"}
    until(lambda: ended(folder))
    assert sorted(did(folder)) == sorted(cells)
    for name, cell in cells.items():
        assert all(did(folder).index(need) < did(folder).index(name) for need in cell.needs)
    assert set(states(folder).values()) == {"done"}
    third = submit_study(study(), folder, OPTIONS)
    assert (third.before, third.submitted, third.queued) == (3, {}, {})


def test_a_cell_that_fails_is_tried_once_more_and_what_needs_it_is_not_begun(folder):
    bad, once = named(ARM), named("xquad scores after none, base, seed 0", arms=BASELINE)
    (folder / "does.json").write_text(json.dumps({bad: "fail", once: "die"}))
    submit_study(study(arms=BASELINE), folder, OPTIONS)
    until(lambda: ended(folder))
    assert did(folder).count(bad) == did(folder).count(once) == 2 and len(did(folder)) == 5
    (cell,) = status("tried", folder).wrong()
    assert (cell["title"], cell["why"], cell["log"]) == (ARM, *["ValueError: it went wrong"] * 2)
    assert {title for title, state in states(folder).items() if state == "to do"} == set(AFTER_ARM)
    assert status("tried", folder).slurm == "time=10" and status("tried", folder).next_command() == "run"
    (folder / "does.json").write_text(json.dumps({bad: "fail once"}))  # which it did
    again = submit_study(study(arms=BASELINE), folder, OPTIONS)
    assert set(again.submitted) == {ARM, *AFTER_ARM} and again.before == 2
    until(lambda: ended(folder))
    assert set(states(folder).values()) == {"done"} and len(did(folder)) == 8


def test_a_job_that_is_preempted_lets_its_cell_go_and_goes_on_with_it(folder):
    cell, store = named(ARM), CellStore(folder)
    (folder / "does.json").write_text(json.dumps({cell: "hang"}))
    submit_study(study(), folder, OPTIONS)
    until(lambda: (folder / "did.txt").is_file() and cell in did(folder))
    (running,) = [each for each in status("tried", folder).cells if each["title"] == ARM]
    assert running["state"] == "running" and running["why"] == f"job {running['job']}: RUNNING"
    assert running["log"] == "What the cell prints."
    (folder / "does.json").write_text("{}")
    os.kill(store.held(cell)["process"], signal.SIGUSR2)
    until(lambda: ended(folder))
    assert set(states(folder).values()) == {"done"}
    assert did(folder).count(cell) == 2 and len(did(folder)) == 4 and store.failures(cell) == []


def test_a_job_leaves_a_finished_cell_alone_and_one_of_another_process_to_it(folder, monkeypatch):
    monkeypatch.setattr(module.worker, "load_libraries", lambda: None)
    monkeypatch.setattr(module, "environment", lambda number, count: {})
    cell = next(iter(unfold(study()).cells.values()))
    theirs = CellStore(folder)
    number = theirs.claim(cell.identity)

    def finish(seconds):
        theirs.write_record(cell, number, {"steps": 1}, seconds=1.0, versions={})

    monkeypatch.setattr(module.time, "sleep", finish)
    job = module.CellJob(str(folder), 120.0, run.order(cell), "run")
    assert job() == job() == cell.title, "after it has waited, and at once"
    assert theirs.newest_attempt(cell.identity) == number


def test_a_job_that_ended_without_a_word_is_a_failure_with_its_last_line(folder, waiting):
    submit_study(study(), folder, OPTIONS)
    assert set(states(folder).values()) == {"queued"} and status("tried", folder).next_command() == "status"
    job = module.job_of(CellStore(folder), named(ARM))
    for state in (folder / "slurm").glob("*.state"):  # its own job failed, and Slurm has removed the others
        state.unlink()
    (folder / job.output).write_text("begun\nslurmstepd: error: Detected 1 oom_kill event\n\n")
    (shown,) = status("tried", folder).wrong()
    assert f"job {job.job} ended without a result. slurmstepd: error: Detected 1 oom_kill event" in shown["why"]
    assert {title for title, state in states(folder).items() if state == "to do"} == set(AFTER_ARM)


def test_jobs_wait_for_those_of_an_earlier_call(folder, waiting):
    first = submit_study(study(), folder, OPTIONS)
    more = submit_study(study(arms=BASELINE, targets=("xquad", "udpos")), folder, OPTIONS)
    assert set(first.submitted) == set(more.queued) and not set(first.submitted) & set(more.submitted)
    dependency = dict(zip([*first.submitted, *more.submitted], waiting.parameters, strict=True))
    after = dependency["udpos after mnli, base, seed 0"]
    assert after["dependency"] == f"afterok:{first.submitted[ARM]}" and after["kill-on-invalid-dep"] == "yes"
    assert "dependency" not in dependency[ARM] and dependency[ARM] == {"time": "10", "requeue": True}


def test_a_merge_waits_for_all_of_its_parts(folder, waiting):
    arms = {"mnli": Intermediate("mnli"), "mean": Merged("mnli", "squad_v2")}
    submitted = submit_study(study(arms=arms), folder, OPTIONS).submitted
    dependency = dict(zip(submitted, waiting.parameters, strict=True))
    parts = sorted(submitted[title] for title in (ARM, "squad_v2 for mean, base, seed 0"))
    assert dependency["mean, base, seed 0"]["dependency"] == f"afterok:{':'.join(parts)}"
    after = dependency["squad_v1 after mean, base, seed 0"]["dependency"]
    assert after == f"afterok:{submitted['mean, base, seed 0']}"


def test_a_queue_that_cannot_be_asked_is_not_taken_for_an_empty_one(folder, waiting):
    submit_study(study(), folder, OPTIONS)
    local_slurm.write_commands(folder / "bin", folder / "slurm", squeue="echo down >&2; exit 1")
    with pytest.raises(StiltsError, match="squeue does not say which of the 3 jobs.*Nothing was submitted"):
        submit_study(study(), folder, OPTIONS)
    assert set(states(folder).values()) == {"queued"}
    local_slurm.write_commands(folder / "bin", folder / "slurm", squeue="echo Invalid job id specified >&2; exit 1")
    assert module.queue(["7", "8_3"]) == {}, "the only one that it was asked for has ended long ago"
    waits = "echo '7|PENDING|DependencyNeverSatisfied'; echo '8_3|PENDING|Resources'"
    local_slurm.write_commands(folder / "bin", folder / "slurm", squeue=waits)
    assert module.queue(["7", "8_3"]) == {"8_3": ("PENDING", "Resources")}


def test_slurm_may_refuse_after_it_has_taken_some(folder, waiting):
    waiting.limit = 2
    with pytest.raises(StiltsError, match="QOSMaxSubmitJobPerUserLimit. 2 cells were submitted before it"):
        submit_study(study(), folder, OPTIONS)
    waiting.limit = 3
    again = submit_study(study(), folder, OPTIONS)
    assert list(again.submitted) == [AFTER_ARM[1]] and set(again.queued) == {ARM, AFTER_ARM[0]}


REFUSED = "echo 'sbatch: error: invalid partition specified: gpus' >&2; echo 'allocation failure: no' >&2; exit 1"


def test_a_slurm_that_refuses_is_said_before_anything_is_submitted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", local_slurm.write_commands(tmp_path / "bin", tmp_path, sbatch=REFUSED))
    with pytest.raises(StiltsError) as refused:
        submit_study(study(), tmp_path / "run", {"partition": "gpus", "time": "10"})
    said = str(refused.value)
    assert "Slurm refuses such jobs: invalid partition specified: gpus; allocation failure: no." in said
    assert "sbatch --partition=gpus --time=10" in said and "There is no partition gpus. Did you mean gpu?" in said
    assert "Nothing was submitted" in said and not (tmp_path / "run").exists()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(StiltsError, match="There is no sbatch and no srun and no squeue on this machine.*login node"):
        submit_study(study(), tmp_path / "run", OPTIONS)
    assert not (tmp_path / "run").exists()


def test_options_are_those_of_sbatch():
    found = parse_options("partition=gpu,time=4:00:00,gpus=1,nodelist=n1,n2,cpus_per_task=4")
    assert found == {"partition": "gpu", "time": "4:00:00", "gpus": "1", "nodelist": "n1,n2", "cpus-per-task": "4"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("partition=gpu", "has no time.*partition=gpu,time=4:00:00"),
        ("gpu,time=10", "has 'gpu'.*name=value are expected"),
        ("time=", "has 'time='"),
        ("time=soon", "time=soon; minutes"),
        ("time=10,array=0-5", "has array.*--array N"),
        ("time=10,ntasks_per_node=2", "has ntasks-per-node.*a cell is one process"),
    ],
)
def test_wrong_options_are_said(mistake, given, said):
    assert re.search(said, mistake("study", "run", "phang2020", "--slurm", given))


def test_options_of_slurm_and_of_this_machine_do_not_mix(mistake):
    assert "--slurm was not given" in mistake("study", "run", "phang2020", "--array", "4")
    assert "Leave out" in mistake("study", "run", "phang2020", "--slurm", "time=10", "--workers", "2")


@pytest.mark.parametrize(
    ("given", "minutes"),
    [("90", 90), ("30:30", 31), ("4:00:00", 240), ("0:00:10", 1), ("2-0", 2880), ("1-12:30", 2190), ("1-0:0:1", 1441)],
)
def test_time_limits_are_read_as_slurm_reads_them(given, minutes):
    assert module._minutes({"time": given}) == minutes


def test_arrays_are_of_cells_that_wait_for_the_same(monkeypatch):
    found = unfold(study(arms=BASELINE, targets=("xquad", "udpos"), seeds=(0, 1)))
    groups = module._groups(found, list(found.cells), arrays=True)
    assert sorted(name for group in groups for name in group) == sorted(found.cells)
    seen = set()
    for group in groups:
        (needs,) = {found.cells[name].needs for name in group}
        assert seen.issuperset(needs), "what it waits for was submitted before"
        seen |= set(group)
    first = [found.cells[name].title for name in groups[0]]
    assert {"mnli, base, seed 0", "mnli, base, seed 1", "udpos after none, base, seed 1"} <= set(first)
    monkeypatch.setattr(module, "LARGEST_ARRAY", 2)
    assert max(len(group) for group in module._groups(found, list(found.cells), arrays=True)) == 2
    assert {len(group) for group in module._groups(found, list(found.cells), arrays=False)} == {1}


def test_the_script_of_a_job(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", local_slurm.write_commands(tmp_path / "bin", tmp_path))
    options = {"partition": "gpu", "time": "4:00:00", "cpus-per-task": "4"}
    made = module._executor(tmp_path, "tried", 240, options, 8)._executor
    made.parameters["additional_parameters"] = {**options, "requeue": True}
    text = made._make_submission_file_text("do it", "uid")
    for line in ("partition=gpu", "time=4:00:00", "job-name=tried", "requeue", "open-mode=append"):
        assert f"#SBATCH --{line}\n" in text
    assert "--open-mode=append --cpus-per-task=4 do it" in text and made.parameters["array_parallelism"] == 8


def test_the_commands_submit_and_say_what_to_type(folder, waiting):
    from command import run as command

    (folder / "tried.py").write_text(
        "from hf_stilts import Intermediate, Study\n"
        f"STUDY = Study(base=({BASE!r},), arms={{'mnli': Intermediate('mnli')}}, targets=('xquad',), seeds=(0,))\n"
    )
    words = (folder / "tried.py", "--output-dir", folder)
    code, text = command("study", "run", *words, "--slurm", "partition=gpu,time=10", "--array", "2")
    assert code == 0 and "3 cells submitted, 0 had a job, 0 were done." in text
    assert "Next: hf-stilts study status" in text
    (again,) = json.loads(command("study", "run", *words, "--slurm", "partition=gpu,time=10", "--json")[1])
    assert again["submitted"] == {} and len(again["queued"]) == 3
    text = command("study", "status", *words, "--cells")[1]
    assert "queued, job 0: PENDING" in text and "Next: hf-stilts study status" in text
    CellStore(folder).write_failure(named(ARM), 1, "run", "ValueError: it went wrong")
    (folder / "cells" / named(ARM) / "log.txt").write_text("What the cell prints.\n")
    for state in (folder / "slurm").glob("*.state"):
        state.unlink()
    text = command("study", "status", *words)[1]
    assert f"{ARM}: ValueError: it went wrong" in text and f"{named(ARM)}/log.txt" in text
    assert "What the cell prints." in text
    assert "--slurm partition=gpu,time=10" in text.partition("Next: hf-stilts study run")[2]


REPOSITORY = "team/base-stilts-mnli-seed0"  # of the intermediate checkpoint


def leave_a_model(folder):
    """Let every training leave a tiny model, with the record of an intermediate training."""
    tiny.save(folder / "model")
    record = Record(
        tasks=(TaskSource("mnli"),),
        parent=ParentModel("org/base"),
        languages=("en",),
        step=30,
        seed=0,
        recipe={"best_step": 20},
        metrics={"accuracy": 0.5},
    )
    (folder / "model" / "stilts.json").write_text(record.to_json())
    (folder / "does.json").write_text("{}")


@pytest.fixture
def published_from(folder, hub, api, monkeypatch):
    """As `folder`, whose trainings leave a model and whose jobs reach the embedded Hub."""
    monkeypatch.setattr(published, "HfApi", lambda: api)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # which jobs take over, as they do from sbatch
    leave_a_model(folder)
    return folder


def submit(folder, **how):
    """Submit the study, and wait until its jobs have ended."""
    found = submit_study(study(), folder, OPTIONS, publish=Publishing("team", **how))
    until(lambda: ended(folder))
    return found


def test_a_job_publishes_what_it_has_trained_and_the_next_call_the_targets(published_from, api):
    found = submit(published_from)
    assert len(found.submitted) == 3 and set(states(published_from).values()) == {"done"}
    info = api.model_info(REPOSITORY)
    assert info.private and [tag.name for tag in api.list_repo_refs(REPOSITORY).tags] == ["step-20"]
    cell = named(ARM)
    assert find_published("team", ["org/base"], {cell}, api)[cell].record.recipe[CELL] == cell
    again = submit(published_from, targets=True)
    assert (again.before, again.submitted, again.unpublished) == (3, {}, {})
    assert api.model_info(REPOSITORY).sha == info.sha
    target = named(AFTER_ARM[0])
    record = find_published("team", ["org/base"], {target}, api)[target].record
    assert (record.parent.id, record.parent.commit) == (REPOSITORY, info.sha)


def test_what_a_job_cannot_publish_stops_nothing_and_the_next_call_sends_it(published_from, api):
    api.create_repo(REPOSITORY)  # a public one, where a private one is wanted
    found = submit(published_from)
    assert found.unpublished == {} and set(states(published_from).values()) == {"done"}, "nobody has waited"
    assert not api.list_repo_refs(REPOSITORY).tags
    (log,) = (published_from / "slurm").glob(f"{found.submitted[ARM]}_*_log.err")
    assert f"{REPOSITORY} exists and is public" in log.read_text()
    assert "exists and is public" in submit(published_from).unpublished[ARM]
    api.update_repo_settings(REPOSITORY, private=True)
    assert submit(published_from).unpublished == {}
    assert [tag.name for tag in api.list_repo_refs(REPOSITORY).tags] == ["step-20"]


def test_a_model_that_cannot_be_described_fails_no_job_and_is_said(published_from, api):
    (published_from / "model" / "stilts.json").write_text("{")
    submit(published_from)
    assert set(states(published_from).values()) == {"done"}
    again = submit(published_from)
    assert again.submitted == {} and "stilts.json is no JSON" in again.unpublished[ARM]
    assert list(api.list_models()) == []
