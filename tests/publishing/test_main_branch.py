"""Which checkpoint `main` is: at every moment the chosen one, or the newest of what is on the Hub."""

import datetime
import json
import shutil
from types import SimpleNamespace

import pytest
from hub_fixture import Fault
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pending_checkpoints import FAST, api_of, checkpoint, put, tags, upload_all, weights

from hf_stilts.files import write_json
from hf_stilts.hub.record import Record
from hf_stilts.hub.scores import add_scores
from hf_stilts.publishing import published
from hf_stilts.publishing.outbox import Choice, MainState, Run, outbox_status, write_main, write_run
from hf_stilts.publishing.pending import new_pending, pack, read_pending, update
from hf_stilts.publishing.published import PENDING_LINE, RUN_LINE, Own, Published, main_step
from hf_stilts.publishing.upload import prepare, upload_checkpoint
from hf_stilts.publishing.worker import Signals, UploadWorker

COMMIT = "POST .*/commit/"


@pytest.fixture
def api(hub):
    return api_of(hub)


def on_main(api) -> list[str]:
    """Everything that `main` ever was, oldest first."""
    return [c.title.partition(":")[0] for c in reversed(api.list_repo_commits("me/tiny")) if "step-" in c.title]


def step_on_main(api, cache) -> int:
    return json.loads(open(api.hf_hub_download("me/tiny", "stilts.json", cache_dir=cache)).read())["step"]


def choose(output_dir, step):
    path = output_dir / "outbox/choice-1.json"
    write_json(path, Choice(path, "me/tiny", step, "best").to_dict())


def worker(output_dir, api):
    return UploadWorker(output_dir / "outbox", api, FAST, Signals())


def test_a_checkpoint_that_arrives_late_does_not_become_main(tmp_path, api, faults):
    faults.add(Fault(COMMIT, status=502))
    for step in (4, 8, 12, 16, 20):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    assert status.ok and "main of me/tiny is step-20: the newest checkpoint." in str(status)
    assert sorted(tags(api)) == ["step-12", "step-16", "step-20", "step-4", "step-8"]
    assert on_main(api) == ["step-8", "step-12", "step-16", "step-20"]
    assert weights(api, "step-4", tmp_path / "cache").startswith(b"weights of 4 ")
    assert [branch.name for branch in api.list_repo_refs("me/tiny").branches] == ["main"]


@pytest.mark.parametrize("chosen", [None, 8])
def test_main_is_right_after_both_processes_were_killed_and_the_folder_was_renamed(tmp_path, api, faults, chosen):
    run = tmp_path / "run"
    put(run, 4)
    faults.add(Fault(COMMIT, status=502))
    put(run, 8)
    killed = worker(run, api)
    for folder, pending in read_pending(run / "outbox"):
        killed._try(folder, pending)
    assert sorted(tags(api)) == ["step-8"] and on_main(api) == ["step-8"]
    put(run, 12)
    if chosen:
        choose(run, chosen)
    renamed = run.rename(tmp_path / "another name")
    status = upload_all(renamed, api)
    why = "best" if chosen else "the newest checkpoint"
    assert status.ok and f"main of me/tiny is step-{chosen or 12}: {why}." in str(status)
    assert sorted(tags(api)) == ["step-12", "step-4", "step-8"]
    assert on_main(api) == (["step-8"] if chosen else ["step-8", "step-12"])
    assert step_on_main(api, tmp_path / "cache") == (chosen or 12)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations([2, 4, 6]),
    lost=st.sets(st.integers(0, 2), max_size=2),
    chosen=st.sampled_from([None, 2, 4]),
)
def test_main_is_right_after_each_arrival_in_any_order(tmp_path_factory, faults, api, order, lost, chosen):
    tmp_path = tmp_path_factory.mktemp("orders")
    if api.repo_exists("me/tiny"):
        api.delete_repo("me/tiny")
    here = []
    for place, step in enumerate(order):
        put(tmp_path, step)
        folder, pending = next(pair for pair in read_pending(tmp_path / "outbox") if pair[1].state == "waiting")
        if place in lost:  # killed when the Hub had done it: the same checkpoint is sent again
            faults.add(Fault(COMMIT, times=10, lose_answer=True))
            with pytest.raises(Exception, match=r"."):
                upload_checkpoint(folder, prepare(folder, pending, api), api, chosen)
            faults.waiting.clear()
            _, pending = next(pair for pair in read_pending(tmp_path / "outbox") if pair[0] == folder)
        commit = upload_checkpoint(folder, prepare(folder, pending, api), api, chosen).commit
        update(folder, pending, state="sent", commit=commit)
        here.append(step)
        assert step_on_main(api, tmp_path / "cache") == (chosen if chosen in here else max(here))
    assert len(tags(api)) == 3 and [branch.name for branch in api.list_repo_refs("me/tiny").branches] == ["main"]
    for step in order:
        assert weights(api, f"step-{step}", tmp_path / "cache").startswith(b"weights of %d " % step)


@given(st.sets(st.integers(0, 30)), st.none() | st.integers(0, 30), st.none() | st.integers(0, 30))
def test_the_step_of_main_depends_on_what_is_there_alone(steps, chosen, in_flight):
    found = main_step(steps, chosen, in_flight)
    if chosen in steps:
        assert found == chosen
    else:
        assert found == max(steps | ({in_flight} - {None}), default=None)


def test_a_main_that_an_earlier_version_left_behind_is_mended_by_a_retry(tmp_path, api):
    for step in (4, 8):
        put(tmp_path, step)
    upload_all(tmp_path, api)
    wrong = api.hf_hub_download("me/tiny", "stilts.json", revision="step-4", cache_dir=tmp_path / "cache")
    api.upload_file(path_or_fileobj=wrong, path_in_repo="stilts.json", repo_id="me/tiny")
    other = api.hf_hub_download("me/tiny", "model.safetensors", revision="step-4", cache_dir=tmp_path / "cache")
    api.upload_file(path_or_fileobj=other, path_in_repo="model.safetensors", repo_id="me/tiny")
    for state in (tmp_path / "outbox").glob("main-*.json"):
        state.unlink()
    status = outbox_status(tmp_path)
    assert not status.ok and "main of me/tiny has not been checked" in str(status)
    assert upload_all(tmp_path, api).ok
    assert weights(api, "main", tmp_path / "again").startswith(b"weights of 8 ")
    assert on_main(api)[-1] == "main is step-8"


def test_main_that_a_killed_worker_did_not_write_down_is_asked_again(tmp_path, api):
    for step in (2, 4):
        put(tmp_path, step)
    assert upload_all(tmp_path, api).ok
    write_main(tmp_path / "outbox", MainState("me/tiny", 2, "the newest checkpoint", "a" * 40))
    assert not outbox_status(tmp_path).ok
    assert upload_all(tmp_path, api).ok and on_main(api) == ["step-2", "step-4"]


def test_what_was_chosen_stays_main_whatever_arrives_later(tmp_path, api):
    put(tmp_path, 4)
    choose(tmp_path, 4)
    assert upload_all(tmp_path, api).ok
    for step in (2, 6):
        put(tmp_path, step)
    status = upload_all(tmp_path, api)
    assert status.ok and "main of me/tiny is step-4: best." in str(status)
    assert on_main(api) == ["step-4"] and len(tags(api)) == 3


def test_a_chosen_checkpoint_that_is_not_there_leaves_the_newest_until_it_is(tmp_path, api):
    put(tmp_path, 2)
    kept = [path for path, _ in read_pending(tmp_path / "outbox")][0]
    weights_file = kept / "files/model.safetensors"
    content = weights_file.read_bytes()
    weights_file.unlink()
    shutil.rmtree(tmp_path / "checkpoint-2")  # else they would be taken from there
    put(tmp_path, 4)
    choose(tmp_path, 2)
    status = upload_all(tmp_path, api)
    assert not status.ok and "main of me/tiny is step-4: the newest" in str(status)
    assert "main is not step-2: step-2, chosen as best, is not on the Hub" in str(status)
    weights_file.write_bytes(content)
    pending = next(pending for path, pending in read_pending(kept.parent) if path == kept)
    about = weights_file.stat()
    files = pending.files | {"model.safetensors": type(pending.files["config.json"])(about.st_size, about.st_mtime_ns)}
    update(kept, pending, files=files)
    assert upload_all(tmp_path, api).ok
    assert step_on_main(api, tmp_path / "cache") == 2


def test_scores_that_were_added_to_main_stay(tmp_path, api):
    put(tmp_path, 2)
    upload_all(tmp_path, api)
    commit = add_scores("me/tiny", {"sw": {"xnli_accuracy": 0.5}}, api)
    assert upload_all(tmp_path, api).ok
    assert api.model_info("me/tiny").sha == commit


def test_eval_results_go_with_the_weights_that_they_are_of(tmp_path, api):
    put(tmp_path, 2)
    upload_all(tmp_path, api)
    row = {"task": "xnli", "language": "sw", "metric": "accuracy", "score": 50.0, "split": "test"}
    add_scores("me/tiny", {"sw": {"xnli_accuracy": 50.0}}, api, rows=[row | {"data_revision": "b" * 40}])
    results = ".eval_results/stilts-xnli.yaml"
    assert results in api.list_repo_files("me/tiny")
    put(tmp_path, 4)
    assert upload_all(tmp_path, api).ok
    assert results not in api.list_repo_files("me/tiny")


def run_of(output_dir, run_id):
    (output_dir / "outbox").mkdir(parents=True)
    write_run(output_dir / "outbox", Run("me/tiny", True, Record(), since=0.0, id=run_id))


def put_of(output_dir, step, run_id, content=b""):
    pending = new_pending(Record(step=step), "me/tiny", True, run=run_id)
    pack(checkpoint(output_dir, step, content), output_dir / "outbox", pending)


def test_of_two_trainings_with_one_repository_the_second_commits_nothing(tmp_path, api, monkeypatch):
    for name, steps in (("a", (4, 8)), ("b", (5, 10))):  # no step in common
        run_of(tmp_path / name, name * 32)
        for step in steps:
            put_of(tmp_path / name, step, name * 32, name.encode())
    first, second = (worker(tmp_path / name, api) for name in "ab")
    first._try(*next(read_pending(first.outbox)))
    for folder, pending in read_pending(second.outbox):
        second._try(folder, pending)
    status = outbox_status(tmp_path / "b")
    assert len(status.failed) == 2 and "another training (step-4)" in status.failed[0].reason
    assert "Choose another repository" in status.failed[0].reason
    assert upload_all(tmp_path / "a", api).ok
    assert on_main(api) == ["step-4", "step-8"] and sorted(tags(api)) == ["step-4", "step-8"]
    for tag in tags(api):
        api.delete_tag("me/tiny", tag=tag)  # as the report says
    monkeypatch.setattr(published, "_TAGGED_WITHIN", datetime.timedelta())  # and later
    assert upload_all(tmp_path / "b", api).ok and sorted(tags(api)) == ["step-10", "step-5"]


def test_the_second_of_two_trainings_is_refused_before_the_first_has_its_tag(tmp_path, api, faults):
    for name, step in (("a", 4), ("b", 10)):
        run_of(tmp_path / name, name * 32)
        put_of(tmp_path / name, step, name * 32, name.encode())
    faults.add(Fault("POST .*/tag/", status=500))
    first, second = (worker(tmp_path / name, api) for name in "ab")
    first._try(*next(read_pending(first.outbox)))
    assert on_main(api) == ["step-4"] and not tags(api)
    second._try(*next(read_pending(second.outbox)))
    assert "another training (step-4)" in outbox_status(tmp_path / "b").failed[0].reason
    assert on_main(api) == ["step-4"]


def test_the_second_training_does_not_take_the_place_to_resume_from(tmp_path, api):
    for name, step in (("a", 4), ("b", 10)):
        run_of(tmp_path / name, name * 32)
        put_of(tmp_path / name, step, name * 32, name.encode())
        pending = new_pending(Record(step=step), "me/tiny", True, "resume", name * 32)
        pack(tmp_path / name / f"checkpoint-{step}", tmp_path / name / "outbox", pending)
        upload_all(tmp_path / name, api)
    assert "another training" in outbox_status(tmp_path / "b").to_resume.reason
    assert weights(api, "resume", tmp_path / "cache").startswith(b"weights of 4 ")


def test_a_training_repeated_to_the_same_bytes_goes_on_where_the_first_was(tmp_path, api):
    for name, steps in (("a", (2,)), ("b", (2, 4))):
        run_of(tmp_path / name, name * 32)
        for step in steps:
            put_of(tmp_path / name, step, name * 32)
    assert upload_all(tmp_path / "a", api).ok and upload_all(tmp_path / "b", api).ok
    assert on_main(api) == ["step-2", "step-4"]


def commit_of(number, title, run=None, minutes=0):
    made = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
    message = f"{PENDING_LINE}{number:032d}" + (f"\n{RUN_LINE}{run}" if run else "")
    return SimpleNamespace(commit_id=f"{number:040d}", title=title, message=message, created_at=made)


def test_a_commit_without_its_tag_counts_for_a_quarter_of_an_hour():
    fresh, old = commit_of(1, "step-8: x", "other"), commit_of(1, "step-8: x", "other", minutes=16)
    assert Published(None, [fresh], {}).in_flight == 8
    assert Published(None, [fresh], {}).of_another_run(Own("mine")) == ["step-8"]
    assert Published(None, [old], {}).in_flight is None
    assert Published(None, [old], {}).of_another_run(Own("mine")) == []
    assert Published(None, [old], {8: old.commit_id}).of_another_run(Own("mine")) == ["step-8"]
    assert Published(None, [old], {8: old.commit_id}).of_another_run(Own("mine", frozenset({old.commit_id}))) == []
    assert Published(None, [old], {8: old.commit_id}).of_another_run(Own(None)) == []
    assert Published(None, [commit_of(2, "main is step-4: best"), fresh], {}).in_flight is None
