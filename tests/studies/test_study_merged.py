"""Merging as an arm of a study: behind its parts, trained once; budgets that count them; published with its parents."""

import json
from dataclasses import replace
from pathlib import Path

import mirrors
import pytest
import quick_worker
import tiny
import torch
from command import run as command
from safetensors.torch import load_file, save_file

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import lineage
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.models.merge import merge_checkpoints
from hf_stilts.studies import published, worker
from hf_stilts.studies import run as module
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.plan import Reads, arm_reads, check_controls, plan
from hf_stilts.studies.probe import probe
from hf_stilts.studies.published import Publishing, published_names
from hf_stilts.studies.reproducible import reproducible
from hf_stilts.studies.run import run_study
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Merged, Soup, Study, describe_study, load_study, overridden, scaled
from hf_stilts.studies.tables import study_report

BASE = "org/xlmr@0123456789012345678901234567890123456789"
PARTS = (Intermediate("mnli"), Intermediate("squad_v2", flags={"max_steps": 7}))


def study(**other):
    arms = {"none": None, "mnli": PARTS[0], "mean": Merged(*PARTS), "ties": Merged(*PARTS, how="ties", density=0.5)}
    return Study(**{"base": (BASE,), "arms": arms, "targets": ("xquad",), "seeds": (0,), "name": "tried", **other})


def of_title(found, title):
    (name,) = [name for name, cell in found.cells.items() if cell.title == title]
    return found.cells[name]


def test_a_merge_stands_behind_its_parts_which_it_shares_with_arms_and_other_merges():
    found = unfold(study())
    titles = [cell.title for cell in found.cells.values() if cell.stage == "intermediate"]
    assert titles == [
        "mnli, xlmr, seed 0", "squad_v2 for mean, xlmr, seed 0", "mean, xlmr, seed 0", "ties, xlmr, seed 0",
    ]  # fmt: skip
    merge = of_title(found, "ties, xlmr, seed 0")
    parts = [of_title(found, title).identity for title in titles[:2]]
    assert list(merge.needs) == parts == merge.spec["parts"]
    assert merge.spec["merge"] == {"how": "ties", "weights": [1.0, 1.0], "density": 0.5}
    assert of_title(found, "squad_v1 after ties, xlmr, seed 0").needs == (merge.identity,)
    alone = unfold(study(arms={"mnli": PARTS[0]}))
    assert of_title(alone, "mnli, xlmr, seed 0").identity == parts[0], "what it was without merges"


def test_what_decides_a_merge_decides_its_identity():
    def identity(*parts, seeds=(0,), **how):
        found = unfold(study(arms={"merged": Merged(*parts, **how)}, seeds=seeds))
        return of_title(found, f"merged, xlmr, seed {seeds[0]}").identity

    plain = identity(*PARTS)
    assert identity(*PARTS, weights=(2, 2)) == plain, "a mean of equal shares"
    changed = [identity(*PARTS, how=how) for how in ("ties", "dare", "task-arithmetic")]
    changed += [identity(*PARTS, weights=(2, 1)), identity("mnli", "squad_v2"), identity(*PARTS, seeds=(1,))]
    changed += [identity(*PARTS, how="ties", density=0.5)]
    assert len({plain, *changed}) == 8


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Merged("mnli"), "two or more"),
        (lambda: Merged("mnli", "mnli"), "mnli twice, trained alike"),
        (lambda: Merged("mnli", None), "an Intermediate or a task's name"),
        (lambda: Merged("mnli", "tatoeba"), "no training data"),
        (lambda: Merged("mnli", "squad_v2", how="tie"), "Did you mean ties"),
        (lambda: Merged("mnli", "squad_v2", weights=(1, 2, 3)), "3 weights for 2"),
        (lambda: Merged("mnli", "squad_v2", density=0.2), "mean keeps all"),
        (lambda: study(arms={"none": None, "mnli": "mnli"}), "an Intermediate, a Merged, a Soup or None"),
    ],
)
def test_wrong_merges_are_refused_when_the_study_is_read(wrong, said):
    with pytest.raises(StiltsError, match=said):
        wrong()


def test_a_merge_has_read_what_its_parts_have():
    flags = {"max_steps": 10, "per_device_train_batch_size": 8}
    half = {**flags, "max_steps": 5}
    arms = {
        "mixture": Intermediate("mnli", "squad_v2", flags=flags),
        "mean": Merged(Intermediate("mnli", flags=half), Intermediate("squad_v2", flags=half)),
    }
    made = study(arms=arms, controls=("examples", "steps"))
    assert arm_reads(made) == {"mixture": Reads(10, 80), "mean": Reads(10, 80)}
    assert check_controls(made, arm_reads(made)) == []
    uneven = replace(made, arms={**arms, "mnli": Intermediate("mnli", flags=half)})
    with pytest.raises(StiltsError, match="mnli: 5 steps, 40 examples"):
        check_controls(uneven, arm_reads(uneven))
    # With one number for all, the parts of a merge share it.
    for steps in (6, 7):
        again = overridden(made, max_steps=steps)
        assert {reads.steps for reads in arm_reads(again).values()} == {steps}


def test_the_shipped_study_compares_arms_that_read_equally(tmp_path):
    made = load_study("merging")
    for each in (made, scaled(made, "small"), overridden(made, scale="small", max_steps=20)):
        reads = arm_reads(each)
        assert check_controls(each, reads) == [] and len(set(reads.values())) == 1
    small = plan(scaled(made, "small"), output_dir=tmp_path, rate=100.0)
    merges = [cell for cell in small.cells if cell.title.startswith(("mean,", "ties,", "dare,", "soup of mnli,"))]
    assert len(merges) == 4 * 3 and all(cell.hours == 0 and cell.gigabytes > 1 for cell in merges)
    assert small.notes == []
    json.dumps(describe_study(made))
    code, text = command("study", "show", "merging")
    assert code == 0 and "ties: merge of mnli" in " ".join(text.split())


def model(folder, start, tasks, change):
    """A tiny model as an intermediate training leaves it: the base's weights and a difference."""
    tiny.save(folder)
    weights = {name: tensor + change for name, tensor in load_file(start / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    sources = tuple(TaskSource(task, language="en", rows=8) for task in tasks)
    record = Record(tasks=sources, parent=ParentModel("xlmr", license="mit"), languages=("en",), step=10)
    (folder / "stilts.json").write_text(record.to_json())


@pytest.fixture
def trained(tmp_path):
    """A study of a tiny base in a folder, the parts of its merges trained."""
    base = Path(tiny.save(tmp_path / "xlmr"))
    made = study(base=(str(base),), targets=("tatoeba",))
    found, store = unfold(made), CellStore(tmp_path / "run")
    for title, task, change in (("mnli", "mnli", 1.0), ("squad_v2 for mean", "squad_v2", 3.0)):
        cell = of_title(found, f"{title}, xlmr, seed 0")
        model(store.folder(cell.identity) / "model", base, [task], change)
        result = {"steps": 10, "batch": 8, "curve": []}
        store.write_record(cell, store.claim(cell.identity), result, seconds=3600.0, versions={})
    return found, store, base


def test_a_worker_merges_the_models_of_the_parts(trained):
    found, store, base = trained
    cell = of_title(found, "mean, xlmr, seed 0")
    folder = store.folder(cell.identity)
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.safetensors").write_bytes(b"cut short by whatever ended the first attempt")
    assert worker.attempt(store, cell, store.claim(cell.identity), "run") == {"outcome": "done"}
    before, after = (load_file(each / "model.safetensors") for each in (base, folder / "model"))
    same = {name.partition(".")[2] if name not in after else name: tensor for name, tensor in before.items()}
    compared = [name for name in after if name in same and "pooler" not in name]
    assert len(compared) > 5
    assert all(torch.allclose(after[name], same[name] + 2.0, atol=1e-5) for name in compared)
    record = Record.from_json((folder / "model" / "stilts.json").read_bytes())
    assert [*record.task_names] == ["mnli", "squad_v2"] and len(record.merged_from) == 2
    assert store.record(cell.identity)["result"]["steps"] == 0


def test_its_checkpoint_is_published_under_its_ways_name_with_its_parts_as_parents(trained, api, monkeypatch):
    found, store, _ = trained
    monkeypatch.setattr(published, "HfApi", lambda: api)
    cell = of_title(found, "mean, xlmr, seed 0")
    worker.attempt(store, cell, store.claim(cell.identity), "run")
    names = published_names(found, "team")
    assert names[cell.identity] == "team/xlmr-stilts-mnli.squad_v2-mean-seed0"
    publisher = module.begin_publishing(store, found, Publishing("team"), lambda *said: None)
    assert not publisher.begun.get(cell.identity), "it waits until its parts are there"
    assert module.end_publishing(publisher, found, lambda *said: None) == {}
    walk = [getattr(each, "repo_id", None) or each.id for each in lineage(names[cell.identity], api)]
    assert walk[:3] == [names[name] for name in (cell.identity, *cell.needs)]
    loaded = published.find_published("team", ["xlmr"], {cell.identity}, api)
    assert loaded[cell.identity].repo_id == names[cell.identity]


def test_a_run_does_the_parts_first_and_each_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORKER", (quick_worker.__file__,))
    monkeypatch.setattr(module, "_flaw", lambda model: None)
    (tmp_path / "does.json").write_text("{}")
    found = unfold(study())
    run_study(study(), tmp_path, workers=2)
    did = (tmp_path / "did.txt").read_text().split()
    assert sorted(did) == sorted(found.cells)
    for title in ("mean", "ties"):
        merge = of_title(found, f"{title}, xlmr, seed 0")
        assert all(did.index(part) < did.index(merge.identity) for part in merge.needs)


def test_without_peft_a_study_that_needs_it_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(StiltsError, match=r"ties, xlmr, seed 0 is a merge by ties.*hf_stilts\[peft\]"):
        run_study(study(), tmp_path)
    assert not (tmp_path / "cells").exists()


@pytest.mark.slow
def test_a_study_that_merges_is_trained_scored_and_reported_against_the_mixture(tmp_path):
    base, mirror = tiny.save(tmp_path / "base"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    flags = {"use_cpu": True, "per_device_train_batch_size": 4, "learning_rate": 0.01}
    half, whole = {**flags, "max_steps": 2}, {**flags, "max_steps": 4}
    parts = (Intermediate("squad_v1", flags=half), Intermediate("udpos", flags=half))
    arms = {"none": None, "mixture": Intermediate("squad_v1", "udpos", flags=whole)}
    arms |= {how: Merged(*parts, how=how) for how in ("mean", "ties", "dare")}
    made = Study(
        base=(str(base),), arms=arms, targets=("udpos",), languages=("en", "de"), seeds=(7,), name="tried",
        controls=("steps", "examples"), flags={**flags, "max_steps": 2},
    )  # fmt: skip
    result = run_study(made, tmp_path / "run", data_dir=mirror)
    assert result.failed == {} and len(result.done) == 2 + 1 + 3 + 5 + 5
    report = study_report("tried", tmp_path / "run", bootstrap=0)
    rows = {row["arm"]: row for table in report.tables if table.name == "arms" for row in table.rows}
    assert {row["steps"] for row in rows.values()} == {4} and rows["ties"]["examples"] == 16
    gains = {row["arm"] for table in report.tables if table.name == "gains" for row in table.rows}
    assert gains == {"mixture", "mean", "ties", "dare"}


def test_a_soup_is_a_training_of_its_own_and_changes_no_other_arm():
    plain = unfold(study(arms={"mnli": PARTS[0]}))
    found = unfold(study(arms={"mnli": PARTS[0], "soup": Soup(PARTS[0]), "of 2": Soup("mnli", last=2)}))
    titles = [f"{arm}, xlmr, seed 0" for arm in ("mnli", "soup", "of 2")]
    cells = [of_title(found, title) for title in titles]
    assert cells[0].identity == of_title(plain, titles[0]).identity
    assert len({cell.identity for cell in cells}) == 3
    assert all(cell.needs == () for cell in cells)
    assert len({*published_names(found, "team").values()}) == 3
    other = unfold(study(arms={"soup": Soup("mnli", every=0.05)}))
    assert of_title(other, titles[1]).identity != cells[1].identity


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Soup(None), "an Intermediate or a task's name"),
        (lambda: Soup("mnli", last=1), "from 2 is expected"),
        (lambda: Soup("mnli", every=500), "a share above 0 and below 1"),
        (lambda: Soup("mnli", last=6, every=0.2), "saves 5 checkpoints"),
        (lambda: Soup(Intermediate("mnli", flags={"save_steps": 500})), "flag 'save_steps'"),
    ],
)
def test_wrong_soups_are_refused_when_the_study_is_read(wrong, said):
    with pytest.raises(StiltsError, match=said):
        wrong()


def test_a_soup_has_read_what_its_training_has_and_must_save_enough():
    flags = {"max_steps": 20, "per_device_train_batch_size": 8}
    made = study(arms={"mnli": Intermediate("mnli", flags=flags), "soup": Soup(Intermediate("mnli", flags=flags))})
    made = replace(made, controls=("examples", "steps"))
    assert {*arm_reads(made).values()} == {Reads(20, 160)}
    assert check_controls(made, arm_reads(made)) == []
    assert {reads.steps for reads in arm_reads(overridden(made, max_steps=6)).values()} == {6}
    with pytest.raises(StiltsError, match=r"soup averages the last 3 checkpoints.*2 steps saves 2"):
        arm_reads(overridden(made, max_steps=2))
    said = describe_study(made)["arms"]["soup"]
    assert said["soup"]["tasks"] == ("mnli",) and (said["last"], said["every"]) == (3, 0.1)
    json.dumps(said)


@pytest.fixture
def soup(tmp_path):
    """A study of one soup of a tiny base: its cells, their store, and the mirror of the rows."""
    base, mirror = tiny.save(tmp_path / "xlmr"), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    flags = {"use_cpu": True, "per_device_train_batch_size": 4, "learning_rate": 0.01, "max_steps": 5}
    arms = {"soup": Soup(Intermediate("udpos", flags=flags), last=2, every=0.2)}
    found = unfold(study(base=(str(base),), arms=arms, targets=("tatoeba",)), data_dir=mirror)
    return of_title(found, "soup, xlmr, seed 0"), CellStore(tmp_path / "run"), found


def test_a_worker_trains_a_soup_and_keeps_the_mean_of_its_last_steps(soup, monkeypatch):
    cell, store, _ = soup
    seen = {}

    def merged(names, *given, **other):
        seen["states"] = [load_file(Path(name) / "model.safetensors") for name in names]
        seen["names"] = [Path(name).name for name in names]
        return merge_checkpoints(names, *given, **other)

    monkeypatch.setattr("hf_stilts.models.merge.merge_checkpoints", merged)
    assert worker.attempt(store, cell, store.claim(cell.identity), "run") == {"outcome": "done"}
    assert seen["names"] == ["checkpoint-4", "checkpoint-5"]
    folder = store.folder(cell.identity)
    weights = load_file(folder / "model" / "model.safetensors")
    one, two = ({name.partition(".")[2]: tensor for name, tensor in state.items()} for state in seen["states"])
    compared = [name for name in weights if name in one]
    assert len(compared) > 5
    assert any(not torch.equal(one[name], two[name]) for name in compared)
    assert all(torch.allclose(weights[name], (one[name] + two[name]) / 2, atol=1e-6) for name in compared)
    result = store.record(cell.identity)["result"]
    assert (result["steps"], result["batch"], result["soup"]) == (5, 4, [4, 5])
    assert [each.name for each in folder.iterdir() if each.is_dir() and each.name != "model"] == []
    record = Record.from_json((folder / "model" / "stilts.json").read_bytes())
    assert [*record.task_names] == ["udpos"] and len(record.merged_from) == 2
    assert (record.step, record.recipe["merge"], record.recipe["learning_rate"]) == (5, "mean", 0.01)
    assert "A merge of 2 checkpoints" in (folder / "model" / "README.md").read_text()


def test_a_soup_that_was_stopped_before_it_was_merged_is_not_trained_again(soup, monkeypatch):
    cell, store, _ = soup

    def stopped(*given, **other):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("hf_stilts.models.merge.merge_checkpoints", stopped)
        assert worker.attempt(store, cell, store.claim(cell.identity), "run")["outcome"] == "failed"
    before = (store.folder(cell.identity) / "training" / "checkpoint-5" / "model.safetensors").stat().st_ino
    seen = []

    def merged(names, *given, **other):
        seen.append((Path(names[-1]) / "model.safetensors").stat().st_ino)
        return merge_checkpoints(names, *given, **other)

    monkeypatch.setattr("hf_stilts.models.merge.merge_checkpoints", merged)
    assert worker.attempt(store, cell, store.claim(cell.identity), "run") == {"outcome": "done"}
    assert seen == [before]


def test_a_published_soup_is_taken_over_with_what_it_has_read(soup, api, monkeypatch):
    cell, store, found = soup
    monkeypatch.setattr(published, "HfApi", lambda: api)
    worker.attempt(store, cell, store.claim(cell.identity), "run")
    publisher = module.begin_publishing(store, found, Publishing("team"), lambda *said: None)
    assert module.end_publishing(publisher, found, lambda *said: None) == {}
    there = published.find_published("team", ["xlmr"], {cell.identity}, api)[cell.identity]
    assert there.repo_id == "team/xlmr-stilts-udpos-mean-seed0"
    commit = {"repo_id": there.repo_id, "commit": there.commit}
    monkeypatch.setattr(published, "snapshot_download", api.snapshot_download)
    result = worker._loaded(store.root / "other", commit)
    assert (result["steps"], result["batch"]) == (5, 4)
    with pytest.raises(StiltsError, match="a merge of 2 checkpoints"):
        reproducible(there.repo_id, api=api)


def test_the_probe_measures_the_training_of_a_soup(soup):
    cell, _, _ = soup
    (speed,) = {*probe([cell]).values()}
    assert speed.each > 0
