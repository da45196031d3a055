"""Finding published checkpoints by name, walking back to the public model, and checking that nothing has changed."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, HfApi, constants, parse_eval_result_entries
from pending_checkpoints import api_of, checkpoint, upload_all

from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import render
from hf_stilts.hub.checkpoints import Checkpoint, collect, lineage, list_checkpoints, resolve, verify, why_nothing
from hf_stilts.hub.record import MOST_BYTES, ParentModel, Record, TaskSource
from hf_stilts.hub.scores import add_scores, eval_results
from hf_stilts.publishing.pending import new_pending, pack
from hf_stilts.task import load_task

BASE = ParentModel("FacebookAI/xlm-roberta-base", license="mit")


@pytest.fixture
def api(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_STILTS_NAMESPACE", "org")
    return api_of(hub)


@pytest.fixture
def publish(tmp_path, api):
    """Publish checkpoints of one run: `publish("mnli", 2, 4, base="xlm-r", seed=..)`; the repository's id."""

    def run(task, *steps, base="xlm-r", suffix="", **record):
        output_dir = tmp_path / f"{base}-{task}{suffix}"
        (output_dir / "outbox").mkdir(parents=True)
        name = f"org/{base}-stilts-{task}{suffix}"
        about = Record(tasks=(TaskSource(task, f"data/{task}"),), **{"parent": BASE, "languages": ("en",), **record})
        for step in steps or (2,):
            pending = new_pending(replace(about, step=step), name, False)
            pack(checkpoint(output_dir, step, content=name.encode()), output_dir / "outbox", pending)
        status = upload_all(output_dir, api)
        assert status.ok, str(status)
        shutil.rmtree(output_dir)
        return name

    return run


def test_a_task_name_is_enough(publish, api):
    name = publish("mnli", 2, 4)
    found = resolve("mnli", api=api)
    assert (found.repo_id, found.revision, found.record.step) == (name, None, 4)
    assert found.commit == api.model_info(name).sha
    early = resolve("mnli@step-2", api=api)
    assert (early.revision, early.record.step) == ("step-2", 2) and early.commit != found.commit
    assert resolve(f"{name}@step-2", api=api) == early
    assert resolve(f"{name}@{early.commit}", api=api).commit == early.commit


def test_base_and_seed_tell_runs_apart(publish, api):
    plain = publish("mnli")
    large = publish("mnli", base="xlm-r-large", parent=replace(BASE, id="FacebookAI/xlm-roberta-large"))
    other = publish("mnli", suffix="-seed2", seed=2)
    publish("squad_v1")
    assert resolve("mnli", base="some/xlm-r-large", api=api).repo_id == large
    assert resolve("mnli", base="xlm-r", api=api).repo_id == plain
    assert resolve("mnli", base="xlm-r", seed=2, api=api).repo_id == other
    assert resolve("mnli", seed=2, api=api).repo_id == other
    with pytest.raises(StiltsError, match="xlm-r-large-stilts-mnli.*one was expected.*Write the whole name, such as"):
        resolve("mnli", api=api)


def test_an_only_run_with_another_seed_is_found(publish, api):
    name = publish("mnli", suffix="-seed2")
    assert resolve("mnli", api=api).repo_id == name


def test_a_local_folder_is_itself(tmp_path):
    folder = checkpoint(tmp_path, 2)
    assert resolve(str(folder)) == Checkpoint(str(folder))
    (folder / "stilts.json").write_text(Record(step=2).to_json())
    assert resolve(str(folder)).record.step == 2


def test_a_foreign_model_has_no_record(api):
    api.create_repo("org/foreign")
    assert resolve("org/foreign", api=api).record is None


def test_the_unknown_is_answered_with_what_exists_and_what_is_nearest(publish, api):
    with pytest.raises(StiltsError, match="no checkpoint for the task 'mnli'. It has none at all"):
        resolve("mnli", api=api)
    name = publish("mnli", 2, 40)
    with pytest.raises(StiltsError, match=f"The nearest is {name}. There is: {name}.*hf-stilts checkpoints"):
        resolve("mnil", api=api)
    with pytest.raises(StiltsError, match=r"no revision 'step-30'. It has step-2, step-40, main. Nearest: .*@step-40"):
        resolve("mnli@step-30", api=api)
    with pytest.raises(StiltsError, match=f"no model org/xlm-r-stilts-mnIi .*nearest is {name}"):
        resolve("org/xlm-r-stilts-mnIi", api=api)
    with pytest.raises(StiltsError, match="trained from large"):
        resolve("mnli", base="large", api=api)


def test_without_a_network_the_cache_answers(publish, api, monkeypatch):
    name = publish("mnli", 2, 4)
    online = {asked: resolve(asked, api=api) for asked in ("mnli", "mnli@step-2", f"{name}@step-4")}
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token="local")
    for asked, found in online.items():
        assert resolve(asked, api=nowhere) == found
    assert resolve("mnli", base="some/xlm-r", api=nowhere) == online["mnli"]
    for asked, message in {
        "mnli@step-9": f"no network, and {name}@step-9 is not in the cache",
        "udpos": "the cache has none",
        "org/other": "org/other@main is not in the cache",
    }.items():
        with pytest.raises(StiltsError, match=message):
            resolve(asked, api=nowhere)
    publish("mnli", base="large")
    resolve("mnli", base="large", api=api)
    with pytest.raises(StiltsError, match="the cache has org/large-stilts-mnli, org/xlm-r-stilts-mnli"):
        resolve("mnli", api=nowhere)


def test_the_hubs_tags_are_the_index(publish, api):
    first = publish("mnli", languages=("en", "de"))
    second = publish("udpos", phase="target", parent=ParentModel(first, "a" * 40))
    api.create_repo("org/unrelated")

    def names(**filters):
        return {found.repo_id for found in list_checkpoints(api=api, **filters)}

    assert names() == {first, second} == names(namespace="org")
    assert names(task="mnli") == names(language="de") == names(phase="intermediate") == {first}
    assert names(base="FacebookAI/xlm-roberta-base") == {first} and names(base=first) == {second}
    assert names(task="mnli", phase="target") == names(namespace="nobody") == set()
    row = list_checkpoints(task="mnli", api=api)[0].row()
    assert (row["name"], row["tasks"], row["base"], row["step"]) == (first, ["mnli"], BASE.id, 2)
    assert row["languages"] == ["en", "de"] and len(row["commit"]) == 40


def test_a_search_that_finds_nothing_says_what_was_searched_and_what_was_misspelt(api):
    def put(name, task, parent):
        record = Record(tasks=(TaskSource(task, f"data/{task}"),), parent=parent, languages=("en", "ha"), step=2)
        files = {"stilts.json": record.to_json(), "README.md": render(record, name, "step-2")}
        operations = [CommitOperationAdd(path, text.encode()) for path, text in files.items()]
        api.create_repo(name)
        api.create_commit(name, operations, commit_message="a model")

    put("org/one", "mnli", BASE)
    put("org/two", "my_own_pairs", BASE)
    api.create_repo("FacebookAI/xlm-roberta-large")

    def said(base=None, task=None, language=None, namespace=None):
        assert not list_checkpoints(base=base, task=task, language=language, namespace=namespace, api=api)
        return why_nothing(base, task, language, namespace, api)

    where = f"searched: 2 checkpoints of hf_stilts at {api.endpoint}."
    for honest, filters in {
        "--task boolq": {"task": "boolq"},
        "--task mlqa": {"task": "mlqa"},  # which nobody trained on
        "--base FacebookAI/xlm-roberta-large": {"base": "FacebookAI/xlm-roberta-large"},  # which there is
        "--task mnli --language haw": {"task": "mnli", "language": "haw"},
        "--namespace nobody": {"namespace": "nobody"},
    }.items():
        assert said(**filters) == f"No published checkpoint matches {honest}; {where}"
    for message, filters in {
        "--task mnlii. Did you mean mnli?": {"task": "mnlii"},
        "--task my_own_pair. Did you mean my_own_pairs?": {"task": "my_own_pair"},
        "--base xlm-roberta-base. Did you mean FacebookAI/xlm-roberta-base?": {"base": "xlm-roberta-base"},
        "--language Hausa is no language code. Did you mean ha": {"language": "Hausa"},
        "--namespace orgg. Did you mean org?": {"namespace": "orgg"},
    }.items():
        with pytest.raises(StiltsError, match=re.escape(message)):
            said(**filters)


def test_one_broken_record_does_not_hide_the_others(publish, api, caplog):
    good, broken = publish("mnli"), publish("squad_v1")
    api.upload_file(path_or_fileobj=b"{}!", path_in_repo="stilts.json", repo_id=broken)
    found = {each.repo_id: each.record for each in list_checkpoints(api=api)}
    assert found[good].step == 2 and found[broken] is None and broken in caplog.text
    with pytest.raises(StiltsError, match="no JSON"):
        resolve(broken, api=api)


def test_a_huge_record_of_somebody_is_not_downloaded(publish, api, hub, caplog):
    good, huge = publish("mnli"), publish("squad_v1")
    api.upload_file(path_or_fileobj=b"[" * (MOST_BYTES + 1), path_in_repo="stilts.json", repo_id=huge)
    found = {each.repo_id: each.record for each in list_checkpoints(api=api)}
    assert found[good].step == 2 and found[huge] is None
    assert f"stilts.json of {huge} has 4,194,305 bytes" in caplog.text
    there = [path for path in Path(constants.HF_HUB_CACHE).rglob("*") if path.is_file()]
    assert max((path.stat().st_size for path in there), default=0) <= MOST_BYTES
    for look in (resolve, verify, lineage):
        with pytest.raises(StiltsError, match="4,194,305 bytes"):
            look(huge, api=api)


def test_a_collection_groups_a_study(publish, api):
    first, second = publish("mnli"), publish("squad_v1")
    slug = collect("My study", ["mnli"], api=api)
    assert collect("My study", ["mnli", f"{second}@step-2"], api=api) == slug
    found = api.get_collection(slug)
    assert [item.item_id for item in found.items] == [first, second] and found.private
    assert found.items[0].note == "intermediate training on mnli"
    with pytest.raises(StiltsError):
        collect("Another study", ["mnli", "nothing"], api=api)
    assert [each.title for each in api.list_collections(owner="org")] == ["My study"]


def test_lineage_walks_back_to_the_public_model_at_the_commits_that_were_loaded(publish, api):
    first = publish("mnli", 2, 4)
    early = resolve(f"{first}@step-2", api=api)
    publish("udpos", phase="target", parent=ParentModel(first, early.commit))
    walk = lineage("udpos", api=api)
    assert [getattr(step, "repo_id", None) or step.id for step in walk] == ["org/xlm-r-stilts-udpos", first, BASE.id]
    assert walk[1].commit == early.commit and walk[1].record.step == 2 and walk[2] == BASE


def test_lineage_ends_where_a_parent_is_gone_or_local_or_its_own(publish, api):
    publish("mnli", parent=ParentModel("org/deleted", "c" * 40))
    publish("squad_v1", parent=ParentModel("checkpoint-5", published=False))
    publish("udpos", parent=ParentModel("org/xlm-r-stilts-udpos"))
    publish("xquad", parent=None)
    lengths = {task: len(lineage(task, api=api)) for task in ("mnli", "squad_v1", "udpos", "xquad")}
    assert lengths == {"mnli": 2, "squad_v1": 2, "udpos": 2, "xquad": 1}


def test_verify_finds_what_changed_and_what_is_gone(publish, api):
    name = publish("mnli", 2, 4)
    assert verify("mnli", api=api).ok
    assert set(verify("mnli", api=api).alike) == {"config.json", "model.safetensors", "tokenizer.json"}
    api.create_commit(
        name,
        [CommitOperationAdd("model.safetensors", b"other" * 300_000), CommitOperationAdd("config.json", b"{ }")],
        commit_message="meddled",
    )
    api.delete_file("tokenizer.json", name)
    found = verify("mnli", api=api)
    assert not found.ok
    assert (set(found.different), found.missing) == ({"config.json", "model.safetensors"}, ("tokenizer.json",))
    assert verify("mnli@step-4", api=api).ok  # the tag is what was published


def test_verify_needs_checksums(api):
    api.create_repo("org/foreign")
    with pytest.raises(StiltsError, match="org/foreign has no stilts.json with checksums"):
        verify("org/foreign", api=api)


def test_scores_measured_later_stand_in_the_record_and_on_the_card_and_weights_and_tags_stay(publish, api):
    name = publish("mnli", 2, metrics_by_language={"de": {"mnli_accuracy": 0.5}})
    before = resolve(name, api=api)
    commit = add_scores("mnli", {"de": {"udpos_f1": 71.25}, "sw": {"udpos_f1": 40.0}}, api=api)
    after = resolve(name, api=api)
    assert after.commit == commit != before.commit
    expected = {"de": {"mnli_accuracy": 0.5, "udpos_f1": 71.25}, "sw": {"udpos_f1": 40.0}}
    assert after.record == replace(before.record, metrics_by_language=expected)
    card = Path(api.hf_hub_download(name, "README.md", revision=commit)).read_text()
    assert "| de | 0.5000 | 71.2500 |" in card and "| sw |  | 40.0000 |" in card
    assert resolve(f"{name}@step-2", api=api).record == before.record
    assert verify(name, api=api).ok
    for wrong in (f"{name}@step-2", str(Path.cwd())):
        with pytest.raises(StiltsError, match="without a revision"):
            add_scores(wrong, expected, api=api)


def test_test_scores_become_eval_results_of_the_hub():
    row = {
        "task": "xnli", "language": "sw", "metric": "accuracy", "score": 71.25, "split": "test", "setting": "zero-shot",
        "data_revision": "b" * 40, "layer": float("nan"),
    }  # fmt: skip
    others = [row | {"split": "validation"}, row | {"data_revision": "mirror:0123456789ab"}, row | {"task": "my_own"}]
    ((path, text),) = eval_results([row, row | {"language": "de", "score": 80.0}, *others]).items()
    assert path == ".eval_results/stilts-xnli.yaml"
    swahili, german = parse_eval_result_entries(yaml.safe_load(text))
    assert (swahili.dataset_id, swahili.task_id) == ("facebook/xnli", load_task("xnli").config_for("sw"))
    assert (swahili.value, german.value, swahili.dataset_revision) == (71.25, 80.0, "b" * 40)
    assert swahili.notes == "accuracy in per cent, sw; setting zero-shot"
