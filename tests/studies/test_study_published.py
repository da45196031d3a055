"""Checkpoints of a study on the Hub: published under the planned name, found by identity, loaded instead of trained."""

import json
from types import SimpleNamespace

import pytest
import quick_worker
import tiny
from command import run as command
from safetensors.numpy import load_file

from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.studies import page, published, push
from hf_stilts.studies import run as module
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.published import CELL, Publishing, find_published, load_published, published_names
from hf_stilts.studies.push import push_study
from hf_stilts.studies.run import run_study
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study

BASE = "org/xlmr@0123456789012345678901234567890123456789"


def study(**other):
    fields = {"base": (BASE,), "arms": {"none": None, "mnli": Intermediate("mnli")}, "targets": ("xquad",)}
    return Study(**{**fields, "seeds": (0,), "name": "tried", **other})


def intermediate(made=None):
    (found,) = [cell for cell in unfold(made or study()).cells.values() if cell.stage == "intermediate"]
    return found


def prepared(folder):
    """An output folder whose trainings leave a tiny model."""
    tiny.save(folder / "model")
    record = Record(
        tasks=(TaskSource("mnli"),), parent=ParentModel("org/xlmr"), languages=("en",), step=30, seed=0,
        recipe={"best_step": 20, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1},
        metrics={"accuracy": 0.5},
    )  # fmt: skip
    (folder / "model" / "stilts.json").write_text(record.to_json())
    (folder / "does.json").write_text("{}")
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, hub, api):
    monkeypatch.setattr(module, "WORKER", (quick_worker.__file__,))
    monkeypatch.setattr(module, "_flaw", lambda model: None)
    monkeypatch.setattr(published, "HfApi", lambda: api)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # of the workers
    return prepared(tmp_path / "first")


def did(folder):
    return (folder / "did.txt").read_text().split()


def test_a_name_is_the_planned_one_and_never_shared():
    arms = {
        "mnli": Intermediate("mnli"),
        "some": Intermediate("mnli", limit=320),
        "German": Intermediate("mnli", languages="de-t-en"),
        "both": Intermediate("mnli", "qqp"),
    }
    found = unfold(study(arms=arms))
    of_arm = {cell.title.partition(",")[0]: name for name, cell in found.cells.items() if cell.stage == "intermediate"}
    names = published_names(found, "me")
    start = "me/xlmr-stilts-mnli"
    assert names[of_arm["mnli"]] == f"{start}-seed0-{of_arm['mnli'][:8]}"
    assert names[of_arm["some"]] == f"{start}-seed0-{of_arm['some'][:8]}"
    assert names[of_arm["German"]] == f"{start}-de-t-en-seed0" and names[of_arm["both"]] == f"{start}.qqp-seed0"
    assert set(names) == set(of_arm.values())
    every = published_names(found, "me", targets=True)
    assert len(set(every.values())) == len(every) == sum(cell.stage != "scores" for cell in found.cells.values())


def test_without_a_namespace_nothing_is_published(folder, api):
    run_study(study(), folder)
    assert list(api.list_models()) == [] and not (folder / "cells" / intermediate().identity / "model/outbox").exists()


def test_a_finished_checkpoint_is_published_and_used_by_the_next_who_has_the_cell(folder, api, tmp_path):
    cell = intermediate()
    result = run_study(study(), folder, publish=Publishing("team"))
    assert result.unpublished == {} and len(result.done) == 5
    assert [info.id for info in api.list_models()] == ["team/xlmr-stilts-mnli-seed0"]
    info = api.model_info("team/xlmr-stilts-mnli-seed0")
    assert info.private and {ref.name for ref in api.list_repo_refs(info.id).tags} == {"step-20"}
    found = find_published("team", ["org/xlmr"], {cell.identity}, api)
    assert found[cell.identity].commit == info.sha and found[cell.identity].by == "local"
    assert found[cell.identity].record.recipe[CELL] == cell.identity
    assert find_published("team", ["org/xlmr"], {"another"}, api) == {}
    assert find_published("team", ["org/other"], {cell.identity}, api) == {}

    second, told = prepared(tmp_path / "second"), []
    result = run_study(study(), second, publish=Publishing("team"), tell=lambda *said: told.append(said))
    assert len(result.done) == 5 and result.unpublished == {}
    assert any("mnli, xlmr, seed 0 is not trained: team/xlmr-stilts-mnli-seed0" in said[2] for said in told)
    record = CellStore(second).record(cell.identity)
    where = {"repo_id": info.id, "commit": info.sha, "by": "local"}
    assert record["result"]["published"] == where and record["result"]["steps"] == 30
    model = second / "cells" / cell.identity / "model"
    ours, theirs = (load_file(each / "model.safetensors") for each in (model, folder / "model"))
    assert all((ours[name] == theirs[name]).all() for name in theirs) and (model / "tokenizer.json").is_file()
    assert api.model_info(info.id).sha == info.sha, "what came from the Hub is not published again"


def test_what_was_finished_without_publishing_is_published_by_a_later_call(folder, api):
    run_study(study(), folder)
    before = did(folder)
    run_study(study(), folder, publish=Publishing("team", private=False))
    assert did(folder) == before and not api.model_info("team/xlmr-stilts-mnli-seed0").private
    sha = api.model_info("team/xlmr-stilts-mnli-seed0").sha
    run_study(study(), folder, publish=Publishing("team", private=False, targets=True))
    names = {info.id for info in api.list_models()}
    assert len(names) == 3 and api.model_info("team/xlmr-stilts-mnli-seed0").sha == sha
    found = unfold(study())
    after = next(name for name, cell in found.cells.items() if cell.stage == "target" and "after mnli" in cell.title)
    record = find_published("team", ["org/xlmr"], {after}, api)[after].record
    assert (record.parent.id, record.parent.commit) == ("team/xlmr-stilts-mnli-seed0", sha)


def test_a_repository_of_another_training_is_left_alone_and_said(folder, api):
    api.create_repo("team/xlmr-stilts-mnli-seed0", private=True)
    api.upload_file(path_or_fileobj=b"theirs", path_in_repo="pytorch_model.bin", repo_id="team/xlmr-stilts-mnli-seed0")
    result = run_study(study(), folder, publish=Publishing("team"))
    assert len(result.done) == 5 and "another model" in result.unpublished["mnli, xlmr, seed 0"]
    assert "1 not published" in str(result)
    assert "model.safetensors" not in api.list_repo_files("team/xlmr-stilts-mnli-seed0")


@pytest.mark.slow
def test_a_hub_that_is_down_stops_no_training(folder, api, monkeypatch):
    api.endpoint, told = "http://127.0.0.1:9", []
    monkeypatch.setattr(module, "end_publishing", lambda *of_run: {})
    result = run_study(study(), folder, publish=Publishing("team"), tell=lambda *said: told.append(said[2]))
    assert len(result.done) == 5 and any("was not asked" in said for said in told)


def test_nobody_logged_in_is_said_before_anything_is_done(folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(StiltsError, match="Nobody is logged in.*Nothing was done.*hf auth login"):
        run_study(study(), folder, publish=Publishing("team"))
    assert not (folder / "did.txt").exists()


def test_files_that_are_not_those_of_the_record_are_refused(folder, api, tmp_path):
    run_study(study(), folder, publish=Publishing("team"))
    name = "team/xlmr-stilts-mnli-seed0"
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=name)
    place = tmp_path / "cell"
    (place / "model").mkdir(parents=True)
    with pytest.raises(StiltsError, match=r"does not hold what its stilts.json says \(config.json\).*--namespace"):
        load_published(place, {"repo_id": name, "commit": api.model_info(name).sha}, api)
    assert list((place / "model").iterdir()) == [], "what was there is left alone"


def test_the_report_says_whose_it_is_and_the_push_links_and_collects(folder, api, monkeypatch, tmp_path):
    from test_study_tables import SCORES, finish
    from test_study_tables import study as scored

    monkeypatch.setattr(push, "study_pictures", lambda report: [])
    monkeypatch.setattr(page, "study_pictures", lambda report, **how: [])
    made = scored(base=(BASE,))
    finish(folder, made, SCORES)
    found = unfold(made)
    start = next(name for name, cell in found.cells.items() if cell.stage == "intermediate" and "seed 0" in cell.title)
    store = CellStore(folder)
    (folder / "model").rename(store.folder(start) / "model")
    publisher = published.CellPublisher(store, published_names(found, "team"))
    publisher.add(start)
    assert publisher.finish() == {}
    api.create_repo("team/xlmr-stilts-other")  # nothing of the study
    assert push_study("tried", folder, "team", dry_run=True, api=api).collection is None
    pushed = push_study("tried", folder, "team", api=api)
    title = found.cells[start].title
    assert pushed.checkpoints == {title: "team/xlmr-stilts-mnli-seed0"}
    items = api.get_collection(pushed.collection).items
    assert [item.item_id for item in items] == ["team/tried-results", "team/xlmr-stilts-mnli-seed0"]
    again = push_study("tried", folder, "team", api=api)
    assert again.changed == [] and again.collection == pushed.collection
    card = api.hf_hub_download(pushed.repo_id, "README.md", repo_type="dataset", cache_dir=tmp_path / "cache")
    assert f"- {title}: [team/xlmr-stilts-mnli-seed0]" in open(card, encoding="utf-8").read()

    record = json.loads((store.folder(start) / "record.json").read_text())
    record["result"]["published"] = {"repo_id": "team/a", "commit": "c" * 40, "by": "ann"}
    record["result"]["collapsed"] = "mnli"
    (store.folder(start) / "record.json").write_text(json.dumps(record))
    from hf_stilts.studies.tables import study_report

    notes = study_report("tried", folder).notes
    assert f"{title} was not trained here: it is team/a at cccccccccccc, published by ann." in notes
    assert any(said.startswith(f"{title} gives the same answer to all dev rows of mnli: it was not") for said in notes)


def test_the_plan_says_what_is_on_the_hub(folder, api, monkeypatch, tmp_path):
    (tmp_path / "tried.py").write_text(
        "from hf_stilts import Intermediate, Study\n"
        f"STUDY = Study(base=({BASE!r},), arms={{'none': None, 'mnli': Intermediate('mnli')}}, targets=('xquad',), "
        "seeds=(0,))\n"
    )
    run_study(study(), folder, publish=Publishing("team"))
    from hf_stilts.hub import reachable

    monkeypatch.setattr(reachable, "constants", SimpleNamespace(ENDPOINT=api.endpoint))
    words = ("study", "plan", tmp_path / "tried.py", "--output-dir", tmp_path / "none", "--namespace", "team")
    cells = json.loads(command(*words, "--json")[1])["cells"]
    states = {cell["stage"]: (cell["state"], cell["name"], cell["why"]) for cell in cells}
    name = "team/xlmr-stilts-mnli-seed0"
    assert states["intermediate"] == ("on the Hub", name, f"{name}, by local")
    assert states["target"] == ("to do", None, None)


def test_options_of_publishing_want_a_namespace(mistake, tmp_path):
    said = mistake("study", "run", "phang2020", "--output-dir", tmp_path, "--publish-targets")
    assert "--publish-targets is about what is published" in said and "--namespace YOU" in said
