"""What `main` of a repository is: the chosen checkpoint, else the newest that is there; it never goes back."""

import itertools
import json

import pytest
from hub_fixture import Fault
from hypothesis import given
from hypothesis import strategies as st
from parcels import api_of, deliver_all, put, tags, weights

from hf_stilts.files import write_json
from hf_stilts.publishing.outbox import Choice
from hf_stilts.publishing.upload import moves_main, step_of_main


@pytest.fixture
def api(hub):
    return api_of(hub)


@given(st.permutations([2, 4, 6, 8, 10]), st.sampled_from([None, 2, 6, 10]))
def test_any_order_of_arrivals_ends_at_the_chosen_or_the_newest(order, chosen):
    main, seen = None, []
    for count, step in enumerate(order, start=1):
        if moves_main(step, main, chosen):
            main = step
        seen.append(main)
        there = order[:count]
        assert main == (chosen if chosen in there else max(there))
    newest = [step for step in seen if chosen is None]
    assert newest == sorted(newest)


@pytest.mark.parametrize("order", list(itertools.permutations([2, 4, 6])))
def test_on_the_hub_too(order, tmp_path, api):
    for count, step in enumerate(order, start=1):
        put(tmp_path, step)
        status = deliver_all(tmp_path, api)
        assert status.ok
        assert step_of_main(api, "me/tiny") == max(order[:count])
        assert f"main of me/tiny is step-{max(order[:count])}: the newest checkpoint there" in str(status)
    assert sorted(tags(api)) == ["step-2", "step-4", "step-6"]
    for step in order:
        assert weights(api, f"step-{step}", tmp_path / "cache").startswith(b"weights of %d " % step)
    assert [branch.name for branch in api.list_repo_refs("me/tiny").branches] == ["main"]


def test_a_first_try_that_fails_does_not_put_the_oldest_on_main(tmp_path, api, faults):
    """A 502 on the first commit: that checkpoint comes last, the training is killed before it chooses."""
    faults.add(Fault("POST .*/commit/", status=502, times=1))
    for step in (4, 8, 12):
        put(tmp_path / "run", step)
    status = deliver_all(tmp_path / "run", api)
    assert status.ok and len(tags(api)) == 3
    assert step_of_main(api, "me/tiny") == 12
    assert weights(api, "main", tmp_path / "cache") == weights(api, "step-12", tmp_path / "cache")
    assert deliver_all((tmp_path / "run").rename(tmp_path / "renamed"), api).ok
    assert step_of_main(api, "me/tiny") == 12


def test_what_arrives_after_the_choice_goes_beside_main(tmp_path, api):
    put(tmp_path, 2)
    put(tmp_path, 4)
    path = tmp_path / "outbox/choice-1.json"
    write_json(path, Choice(path, "me/tiny", 2, "best eval_loss (0.1)").to_dict())
    assert deliver_all(tmp_path, api).ok and step_of_main(api, "me/tiny") == 2
    before = api.model_info("me/tiny").sha
    put(tmp_path, 6)
    status = deliver_all(tmp_path, api)
    assert status.ok and api.model_info("me/tiny").sha == before
    assert "main of me/tiny is step-2: best eval_loss (0.1)." in str(status)


def test_the_loser_of_two_trainings_puts_nothing_on_main(tmp_path, api):
    put(tmp_path / "first", 2, b"of the first")
    deliver_all(tmp_path / "first", api)
    put(tmp_path / "second", 2, b"of the second")
    put(tmp_path / "second", 3, b"of the second")
    status = deliver_all(tmp_path / "second", api)
    assert [parcel.tag for parcel in status.failed] == ["step-2", "step-3"]
    assert "another training publishes to me/tiny" in status.failed[1].reason
    assert weights(api, "main", tmp_path / "cache").startswith(b"weights of 2 of the first")
    assert sorted(tags(api)) == ["step-2"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"repo_id": 1}', "null"])
@pytest.mark.parametrize("name", ["run.json", "choice-1.json", "main-1.json", "parcel.json"])
def test_a_file_that_a_power_cut_left_broken_stops_nothing(name, content, tmp_path, api):
    put(tmp_path, 2)
    put(tmp_path, 4)
    folder = tmp_path / "outbox"
    path = next(folder.glob("step-2-*")) / name if name == "parcel.json" else folder / name
    path.write_text(content)
    deliver_all(tmp_path, api)
    assert path.with_name(f"{name}.broken").read_text() == content
    assert "step-4" in tags(api)
    assert step_of_main(api, "me/tiny") == 4


def test_a_broken_note_of_a_pending_checkpoint_is_rebuilt_from_its_files(tmp_path, api):
    """The checkpoint itself is rotated away: the outbox has the only copy of its weights."""
    put(tmp_path, 2)
    parcel = put(tmp_path, 4)
    run = {"repo_id": "me/tiny", "private": True, "record": parcel.record, "since": 0.0}
    write_json(tmp_path / "outbox/run.json", run)
    broken = next((tmp_path / "outbox").glob("step-2-*"))
    (broken / "parcel.json").write_text("")
    for checkpoint in tmp_path.glob("checkpoint-*"):
        checkpoint.rename(tmp_path / f"rotated-{checkpoint.name}")
    status = deliver_all(tmp_path, api)
    assert status.ok and len(status.sent) == 2, str(status)
    assert weights(api, "step-2", tmp_path / "cache").startswith(b"weights of 2 ")
    assert json.loads((tmp_path / "outbox" / broken.name / "parcel.json").read_text())["state"] == "sent"
