"""Merged encoders: each way of merging against numbers worked out by hand, and a checkpoint that targets start from."""

import json

import pytest
import tiny
import torch
from command import run
from pending_checkpoints import api_of
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint, lineage, resolve
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.models.merge import merge_checkpoints, merged, merged_repository
from hf_stilts.models.merge_options import MergeOptions
from hf_stilts.models.transfer import load_intermediate
from hf_stilts.studies.comparable import label_of

BASE = {"w": torch.tensor([1.0, 1.0, 1.0, 1.0]), "ids": torch.tensor([1, 2])}
ONE = {"w": torch.tensor([5.0, 1.5, 0.0, 3.0]), "ids": torch.tensor([1, 2])}  # differences 4, 0.5, -1, 2
TWO = {"w": torch.tensor([3.0, -2.0, 2.5, 1.2]), "ids": torch.tensor([1, 2])}  # differences 2, -3, 1.5, 0.2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (MergeOptions(), [4.0, -0.25, 1.25, 2.1]),
        (MergeOptions(weights=(3, 1)), [4.5, 0.625, 0.625, 2.55]),
        (MergeOptions("task-arithmetic", (0.5,)), [4.0, -0.25, 1.25, 2.1]),
        (MergeOptions("task-arithmetic", (1, -1)), [3.0, 4.5, -1.5, 2.8]),
        (MergeOptions("task-arithmetic"), [3.4, 0.0, 1.2, 1.88]),
        # Half of each is kept: 4 and 2 of the first, 2 and -3 of the second; signs + - 0 +, means 3, -3, 0, 2.
        (MergeOptions("ties", density=0.5), [4.0, -2.0, 1.0, 3.0]),
        # All is kept: signs + - + +; of the third only 1.5 has it: 3, -3, 1.5, 1.1.
        (MergeOptions("ties", density=1.0), [4.0, -2.0, 2.5, 2.1]),
        (MergeOptions("dare", (0.5,), density=1.0), [4.0, -0.25, 1.25, 2.1]),
    ],
)
def test_ways_of_merging_by_hand(options, expected):
    found = merged(BASE, [ONE, TWO], options)
    assert found["w"].tolist() == pytest.approx(expected, abs=1e-6)
    assert found["ids"].tolist() == [1, 2]


def test_dare_keeps_parts_and_scales_them_up():
    base = {"w": torch.zeros(4000)}
    torch.manual_seed(0)
    found = merged(base, [{"w": torch.ones(4000)}, {"w": torch.zeros(4000)}], MergeOptions("dare", (1.0,), 0.25))["w"]
    assert set(found.tolist()) == {0.0, 4.0} and found.mean().item() == pytest.approx(1, abs=0.1)


def test_what_does_not_fit_is_named():
    with pytest.raises(StiltsError, match="w is there in 1 of 2 checkpoints"):
        merged(BASE, [ONE, {}], MergeOptions())
    with pytest.raises(StiltsError, match=r"in the shapes \(2,\), \(4,\)"):
        merged(BASE, [ONE, {"w": torch.ones(2)}], MergeOptions())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"how": "tie"}, "Did you mean ties"),
        ({"how": "mean", "density": 0.5}, "mean keeps all"),
        ({"how": "ties", "density": 1.5}, "above 0 and up to 1"),
        ({"how": "mean", "weights": (1, -1)}, "To subtract a task"),
    ],
)
def test_options_that_no_merge_takes(options, match):
    with pytest.raises(StiltsError, match=match):
        MergeOptions(**options)


def trained(folder, task, seed, base="base"):
    """A checkpoint with a head, as a training on a task would leave it."""
    tiny.save(folder, model_class=AutoModelForSequenceClassification, seed=seed)
    source = TaskSource(task, f"org/{task}", revision="a" * 40, rows=5, license="cc-by-4.0", language="en")
    parent = ParentModel(base, license="mit", published=False)
    record = Record(tasks=(source,), parent=parent, languages=("en",), seed=seed, step=2)
    (folder / "stilts.json").write_text(record.to_json())
    return str(folder)


@pytest.fixture
def three(tmp_path):
    """A public model and two checkpoints of it."""
    base = tiny.save(tmp_path / "base")
    return base, trained(tmp_path / "mnli", "mnli", 1), trained(tmp_path / "qqp", "qqp", 2)


def body(folder):
    return {
        name: tensor for name, tensor in AutoModel.from_pretrained(folder).state_dict().items() if "pooler" not in name
    }


def test_the_mean_of_equal_checkpoints_is_the_checkpoint(three, tmp_path):
    base, one, _ = three
    twin = trained(tmp_path / "twin", "mnli", 1)
    merge_checkpoints([one, twin], base, tmp_path / "out")
    found, expected = body(tmp_path / "out"), body(one)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    pooler = "pooler.dense.weight"  # a part of the heads of both: the base's is kept
    assert torch.equal(
        AutoModel.from_pretrained(tmp_path / "out").state_dict()[pooler], load_file(f"{base}/model.safetensors")[pooler]
    )


@pytest.mark.parametrize("how", ["mean", "task-arithmetic", "ties", "dare"])
def test_a_merge_says_what_it_is_of_and_starts_a_target(how, three, tmp_path):
    base, one, two = three
    pytest.importorskip("peft")
    record = merge_checkpoints([one, two], base, tmp_path / "out", MergeOptions(how, seed=3))
    read = Record.from_json((tmp_path / "out" / "stilts.json").read_text())
    assert read == record and read.task_names == ("mnli", "qqp") and read.parent.id == "base"
    assert [each.id for each in read.merged_from] == ["mnli", "qqp"] and read.recipe["merge"] == how
    card = (tmp_path / "out" / "README.md").read_text()
    assert "A merge of 2 checkpoints" in card and "| merged | mnli" in card and "| trained on | qqp: org/qqp" in card
    assert merged_repository(record) == f"base-stilts-mnli.qqp-{how}"
    model = load_intermediate(str(tmp_path / "out"), "xnli", base=base)
    assert torch.equal(
        model.base_model.embeddings.word_embeddings.weight, body(tmp_path / "out")["embeddings.word_embeddings.weight"]
    )
    again = merge_checkpoints([one, two], base, tmp_path / "again", MergeOptions(how, seed=3))
    assert again == record
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "out" / "model.safetensors"
    ).read_bytes()


def test_a_record_without_parents_is_what_it_always_was():
    assert "merged_from" not in json.loads(Record().to_json())


def test_checkpoints_of_another_base_and_full_folders_are_refused(three, tmp_path):
    base, one, two = three
    other = tiny.save(tmp_path / "other", "bert", model_class=AutoModelForSequenceClassification)
    with pytest.raises(StiltsError, match="does not descend from"):
        merge_checkpoints([one, other], base, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(StiltsError, match="is not empty"):
        merge_checkpoints([one, two], base, tmp_path / "base")


def test_the_command_names_mistakes_before_it_loads_anything(three, tmp_path):
    base, one, two = three
    out = ["--base", base, "--output-dir", str(tmp_path / "out")]
    for arguments, match in (
        ([one], "1 checkpoint was given"),
        ([one, one], "was given twice"),
        ([one, two, "--weights", "1,2,3"], "3 weights for 2 checkpoints"),
        ([one, two, "--weights", "1,x"], "numbers are expected"),
        ([one, two, "--how", "slerp"], "No way to merge"),
    ):
        with pytest.raises(AssertionError, match=match):  # `run` asserts that nothing was raised
            run("merge", *arguments, *out)
    code, said = run("merge", one, two, "--how", "task-arithmetic", "--weights", "1,0.5", *out)
    assert code == 0 and "hf-stilts target xnli --init" in " ".join(said.split())


def test_steps_of_one_published_training_become_a_soup_that_is_found_by_name(hub, stock, three, tmp_path, monkeypatch):
    api, base = api_of(hub), three[0]
    api.create_repo("me/base-stilts-mnli")
    for step, seed in ((2, 1), (4, 2)):
        folder = trained(tmp_path / f"step-{step}", "mnli", seed)
        api.upload_folder(repo_id="me/base-stilts-mnli", folder_path=folder)
        api.create_tag("me/base-stilts-mnli", tag=f"step-{step}")
    names = ["me/base-stilts-mnli@step-2", "me/base-stilts-mnli@step-4"]
    record = merge_checkpoints(names, base, tmp_path / "soup")
    assert [each.commit for each in record.merged_from] == [resolve(name, api=api).commit for name in names]
    assert len({each.commit for each in record.merged_from}) == 2 and len(record.tasks) == 1
    name = "embeddings.word_embeddings.weight"
    both = [body(tmp_path / f"step-{step}")[name] for step in (2, 4)]
    assert torch.allclose(body(tmp_path / "soup")[name], (both[0] + both[1]) / 2)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # of the upload worker
    command = [
        "merge",
        *names,
        "--base",
        base,
        "--output-dir",
        str(tmp_path / "sent"),
        "--publish",
        "--namespace",
        "me",
    ]
    code, said = run(*command, "--public")
    assert code == 0 and "--init me/base-stilts-mnli-mean" in " ".join(said.split())
    assert not api.model_info("me/base-stilts-mnli-mean").private
    found = resolve("mnli-mean", namespace="me", base="base", api=api)
    assert found.repo_id == "me/base-stilts-mnli-mean" and found.record.merged_from == record.merged_from
    assert torch.equal(
        load_intermediate("me/base-stilts-mnli-mean").embeddings.word_embeddings.weight, body(tmp_path / "soup")[name]
    )
    steps = [step.repo_id if isinstance(step, Checkpoint) else step.id for step in lineage(found.repo_id, api=api)]
    assert steps == [found.repo_id, "me/base-stilts-mnli", "me/base-stilts-mnli", "base"]


def test_the_matrix_does_not_take_a_merge_for_a_mixture():
    tasks = tuple(TaskSource(name, language="en", rows=1) for name in ("mnli", "qqp"))
    record = Record(tasks=tasks, merged_from=(ParentModel("a"), ParentModel("b")), recipe={"merge": "ties"})
    assert label_of(record) == "mnli.qqp-ties"
    assert label_of(Record(tasks=tasks)) == "mnli.qqp"
