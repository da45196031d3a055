"""Machines that go on with one training from the Hub's branch `resume`: one publishes, the other says why not."""

import json

import pytest
import stock_run
from huggingface_hub import constants
from pending_checkpoints import api_of, checkpoint, tags, upload_all, weights

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import Record
from hf_stilts.publishing.outbox import Outbox
from hf_stilts.publishing.resume import newest_checkpoint

SMALL = 100  # bytes of weights


@pytest.fixture
def api(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return api_of(hub)


@pytest.fixture
def by_hand(monkeypatch):
    monkeypatch.setattr(Outbox, "_wake_worker", lambda _: None)  # `upload_all` is the upload worker


def save(machine, *steps, resumed=True):
    """Let the training of a machine save checkpoints, whose bytes are its own."""
    run = Outbox(machine, "me/tiny", private=True, record=Record(), resumed=resumed)
    for step in steps:
        folder = checkpoint(machine, step, machine.name.encode(), SMALL)
        run.add(folder, Record(step=step))
        run.add(folder, Record(step=step), "resume")
    run.close()


def claim_on_the_hub(api):
    path = api.hf_hub_download("me/tiny", "claim.json", revision="resume", force_download=True)
    return json.loads(open(path).read())


def whose(api, tmp_path):
    """Step -> machine that saved it."""
    found = {}
    for tag in tags(api):
        content = weights(api, tag, tmp_path / "cache").rstrip(b".")
        found[int(tag.removeprefix("step-"))] = content.split()[-1].decode()
    return found


def test_of_two_trainings_that_go_on_elsewhere_the_last_to_claim_publishes(tmp_path, api, here):
    first, early, late = tmp_path / "first", tmp_path / "early", tmp_path / "late"
    job = {"publish": {"repo_id": "me/tiny", "resume": True}}
    _, report = stock_run.run(first, steps=2, **job)
    assert report.ok
    starts = {machine: newest_checkpoint(machine, "me/tiny", api) for machine in (early, late)}
    assert {start.name for start in starts.values()} == {"checkpoint-2"}
    other = {"learning_rate": 1e-3}  # so that its checkpoints are others
    _, refused = stock_run.run(early, steps=6, resume_from=str(starts[early]), args=other, **job)
    assert [pending.tag for pending in refused.failed] == ["step-4", "step-6"]
    assert "another machine goes on with this training since step-2" in refused.failed[0].reason
    assert all((early / "outbox" / p.folder_name / "files/model.safetensors").is_file() for p in refused.failed)
    assert set(tags(api)) == {"step-2"}
    _, report = stock_run.run(late, steps=6, resume_from=str(starts[late]), **job)
    assert report.ok, str(report)
    assert set(tags(api)) == {"step-2", "step-4", "step-6"}
    published = api.hf_hub_download("me/tiny", "model.safetensors", revision="step-6")
    assert open(published, "rb").read() == (late / "checkpoint-6/model.safetensors").read_bytes()


def test_the_first_machine_sends_what_it_saved_before_it_was_replaced_and_nothing_later(tmp_path, api, by_hand):
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    save(first, 2, 4, resumed=False)
    assert upload_all(first, api).ok
    save(first, 3, 5)  # and nothing sends them, until the second machine has gone on
    assert newest_checkpoint(second, "me/tiny", api) == second / "checkpoint-4"
    save(second, 6)
    assert upload_all(second, api).ok
    assert newest_checkpoint(third, "me/tiny", api) == third / "checkpoint-6"
    save(third, 8)
    status = upload_all(first, api)
    assert [pending.step for pending in status.failed] == [5], "of the step at which it was replaced, not of the last"
    status = upload_all(third, api)
    assert status.ok, str(status)
    save(second, 7)
    assert "since step-6" in upload_all(second, api).failed[0].reason
    assert whose(api, tmp_path) == {2: "first", 3: "first", 4: "first", 6: "second", 8: "third"}
    assert sorted(claim_on_the_hub(api)["continued"].values()) == [4, 6]


def test_a_machine_that_is_killed_and_goes_on_in_its_folder_claims_nothing_anew(tmp_path, api, by_hand):
    first, second = tmp_path / "first", tmp_path / "second"
    save(first, 2, resumed=False)
    assert upload_all(first, api).ok
    before = claim_on_the_hub(api)
    assert newest_checkpoint(first, "me/tiny", api) == first / "checkpoint-2"
    assert claim_on_the_hub(api) == before
    newest_checkpoint(second, "me/tiny", api)
    claimed = claim_on_the_hub(api)
    assert claimed["run"] != before["run"] and claimed["continued"] == {before["run"]: 2}
    newest_checkpoint(second, "me/tiny", api)  # killed before its first step
    assert claim_on_the_hub(api) == claimed
    save(second, 4)
    assert upload_all(second, api).ok
    assert claim_on_the_hub(api) == claimed, "squashing keeps it"


def test_a_machine_takes_its_training_back_unless_two_lines_would_be_mixed(tmp_path, api, by_hand):
    first, second = tmp_path / "first", tmp_path / "second"
    save(first, 2, resumed=False)
    assert upload_all(first, api).ok
    newest_checkpoint(second, "me/tiny", api)
    save(first, 4)
    assert [pending.step for pending in upload_all(first, api).failed] == [4]
    assert newest_checkpoint(first, "me/tiny", api) == first / "checkpoint-4"  # the second has published nothing
    save(first, 6)
    assert upload_all(first, api).ok
    save(second, 4)
    assert upload_all(second, api).failed
    assert newest_checkpoint(second, "me/tiny", api) == second / "checkpoint-6", "the published line's"
    save(second, 8)
    status = upload_all(second, api)
    assert [pending.step for pending in status.failed] == [4] and 8 in {pending.step for pending in status.sent}
    save(first, 9)
    with pytest.raises(StiltsError, match=r"checkpoint-9 was saved after.*from step-6.*step-8.*another --output_dir"):
        newest_checkpoint(first, "me/tiny", api)
    upload_all(first, api)
    assert whose(api, tmp_path) == {2: "first", 4: "first", 6: "first", 8: "second"}


def test_of_two_machines_that_claim_at_the_same_moment_one_does_not_begin(tmp_path, api, by_hand, monkeypatch):
    first, quick, slow = tmp_path / "first", tmp_path / "quick", tmp_path / "slow"
    save(first, 2, resumed=False)
    assert upload_all(first, api).ok
    commit, between = api.create_commit, []

    def commit_after_others(*arguments, **options):
        if between:
            between.pop()()
        return commit(*arguments, **options)

    monkeypatch.setattr(api, "create_commit", commit_after_others)
    between.append(lambda: newest_checkpoint(quick, "me/tiny", api))
    with pytest.raises(StiltsError, match="claimed the training of me/tiny at this very moment.*Nothing was trained"):
        newest_checkpoint(slow, "me/tiny", api)

    save(quick, 4)  # it is alive, and saves while another one claims
    between.append(lambda: upload_all(quick, api))
    assert newest_checkpoint(slow, "me/tiny", api) == slow / "checkpoint-4"


def test_a_branch_without_a_claim_is_claimed(tmp_path, api, by_hand, caplog):
    """As versions wrote it that knew no claims."""
    first, second = tmp_path / "first", tmp_path / "second"
    save(first, 2, resumed=False)
    assert upload_all(first, api).ok
    api.delete_file("claim.json", "me/tiny", revision="resume")
    assert newest_checkpoint(second, "me/tiny", api) == second / "checkpoint-2"
    save(first, 3)
    save(second, 4)
    assert upload_all(second, api).ok
    assert [pending.step for pending in upload_all(first, api).failed] == [3]
    save(first, 5, 6)
    said = [line for line in caplog.messages if "is not published: another machine goes on" in line]
    assert len(said) == 1 and said[0].startswith("step-3"), "once, while the training still runs"
    assert whose(api, tmp_path) == {2: "first", 4: "second"}
