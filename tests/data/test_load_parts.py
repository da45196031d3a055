"""Tasks that join splits, other tasks or the languages of one configuration; class names of the data's own."""

from dataclasses import replace

import pytest
import tiny
from datasets import ClassLabel, Dataset, Features, List, Value
from transformers import TrainingArguments

from hf_stilts.data.check import check
from hf_stilts.data.load import data_revision, labelled, load, splits
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task, load_task
from hf_stilts.training.trainer import IntermediateTrainer

STRING = Value("string")
NLI = ("entailment", "neutral", "contradiction")


def add(root, dataset, config, rows, features, described=True):
    """A repository of a mirror: one Parquet file a split, and a card that may say the types."""
    folder = root / dataset
    lines = ["---", "configs:", f"- config_name: {config}", "  data_files:"]
    for split, each in rows.items():
        (folder / config).mkdir(parents=True, exist_ok=True)
        Dataset.from_list(each, features=features).to_parquet(folder / config / f"{split}.parquet")
        lines += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def pairs(name, *labels):
    return [{"premise": f"{name} {place}", "hypothesis": "h", "label": label} for place, label in enumerate(labels)]


@pytest.fixture
def mirror(tmp_path):
    """ANLI, MNLI and SNLI, each with its labels in another order."""
    for dataset, config, names, rows in (
        ("facebook/anli", "plain_text", NLI,
         {f"{split}_r{n}": pairs(f"{split}{n}", 0, 2) for split in ("train", "dev", "test") for n in (1, 2, 3)}),
        ("nyu-mll/glue", "mnli", NLI[::-1],
         {split: pairs(f"mnli {split}", 0, 1) for split in ("train", "validation_matched", "validation_mismatched")}),
        ("stanfordnlp/snli", "plain_text", ("neutral", "entailment", "contradiction"),
         {split: pairs(f"snli {split}", 0, -1, 1) for split in ("train", "validation", "test")}),
    ):  # fmt: skip
        features = Features({"premise": STRING, "hypothesis": STRING, "label": ClassLabel(names=list(names))})
        add(tmp_path, dataset, config, rows, features)
    return tmp_path


def test_splits_are_joined_in_the_order_given(mirror):
    assert load("anli", data_dir=mirror)["text"][:] == [f"train{n} {place}" for n in (1, 2, 3) for place in (0, 1)]
    assert load("anli", "validation", data_dir=mirror)["label"][:] == [0, 2] * 3
    assert splits("anli", data_dir=mirror) == ("train", "validation", "test")


def test_a_split_of_which_a_part_is_missing_is_not_there(mirror):
    task = replace(load_task("anli"), splits={"train": "train_r1+train_r4"})
    assert splits(task, data_dir=mirror) == ()
    with pytest.raises(StiltsError, match=r"no split 'train' \(called 'train_r1\+train_r4' there\)"):
        load(task, data_dir=mirror)


def test_parts_come_one_after_the_other_with_labels_by_name(mirror):
    rows = load("anli_plus", data_dir=mirror)
    assert rows.features["label"] == ClassLabel(names=list(NLI))
    # entailment 0, neutral 1, contradiction 2: MNLI stores them reversed, SNLI with the first two exchanged
    assert rows["label"][:] == [0, 2] * 3 + [2, 1] + [1, 0]
    assert rows["text"][-4:] == ["mnli train 0", "mnli train 1", "snli train 0", "snli train 2"]
    assert len(load("anli_plus", "test", data_dir=mirror)) == 6 + 2 + 2
    assert check("anli_plus", data_dir=mirror).ok


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        (1, ["train1 0"]),
        (4, ["train1 0", "train2 0", "mnli train 0", "snli train 0"]),
        (7, ["train1 0", "train2 0", "train3 0", "mnli train 0", "mnli train 1", "snli train 0", "snli train 2"]),
    ],
)
def test_a_limit_is_shared_by_all_parts(limit, taken, mirror):
    assert load("anli_plus", limit=limit, data_dir=mirror)["text"][:] == taken


def test_a_revision_names_every_part(mirror):
    found = data_revision("anli_plus", data_dir=mirror)
    assert found == " ".join(f"{name}@{data_revision(name, data_dir=mirror)}" for name in ("anli", "mnli", "snli"))


def trained(task, mirror, tmp_path, **settings):
    args = TrainingArguments(str(tmp_path / "run"), max_steps=1, use_cpu=True, save_strategy="no")
    return IntermediateTrainer(tiny.save(tmp_path / "public"), args, task=task, data_dir=mirror, **settings)


def test_a_run_records_every_source(mirror, tmp_path):
    record = trained("anli_plus", mirror, tmp_path, limit=5).record()
    assert [(each.dataset, each.split, each.rows, each.license) for each in record.tasks] == [
        ("facebook/anli", "train_r1+train_r2+train_r3", 2, "cc-by-nc-4.0"),
        ("nyu-mll/glue", "train", 2, "other"),
        ("stanfordnlp/snli", "train", 1, "cc-by-sa-4.0"),
    ]
    assert {each.name for each in record.tasks} == {
        "anli_plus"
    } and record.title == "intermediate training on anli_plus"
    assert [each.revision for each in record.tasks] == [
        data_revision(name, data_dir=mirror) for name in ("anli", "mnli", "snli")
    ]


TAGGED = Features({"tokens": List(STRING), "supertags": List(ClassLabel(names=["n", "np/n", "unseen"]))})


@pytest.fixture
def tags(tmp_path):
    rows = [{"tokens": ["the", "owl"], "supertags": [1, 0]}] * 4
    add(tmp_path, "ccg", "en", {"train": rows, "validation": rows}, TAGGED)
    return tmp_path


def test_class_names_may_come_with_the_rows(tags, tmp_path):
    assert load_task("ccg").labels == ()
    assert labelled("ccg", tags).labels == ("n", "np/n", "unseen")
    assert load("ccg", data_dir=tags).features["tags"] == List(ClassLabel(names=["n", "np/n", "unseen"]))
    assert labelled("mnli", tags / "nowhere") == load_task("mnli"), "nothing is read for a task that names its own"
    run = trained("ccg", tags, tmp_path)
    assert run.model.config.id2label == {0: "n", 1: "np/n", 2: "unseen"}
    assert run.record().tasks[0].dataset is None, "no card may link to a data set that no Hub has"


def test_rows_of_others_bring_their_class_names(tmp_path):
    rows = Dataset.from_list([{"tokens": ["the", "owl"], "tags": [1, 0]}] * 4).cast(
        Features({"tokens": List(STRING), "tags": TAGGED["supertags"]})
    )
    task = Task(kind="token-classification", dataset="x/y", name="tags")
    run = trained(task, None, tmp_path, train_dataset=rows, eval_dataset=rows)
    assert run.task.labels == ("n", "np/n", "unseen") and run.model.config.num_labels == 3


def test_what_no_hub_has_must_be_built(monkeypatch):
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="on no Hub.*Run: hf-stilts data build ccg --raw DIR --out DIR"):
        load("ccg")


def test_languages_of_one_configuration_are_kept_apart(tmp_path):
    features = Features({"id": STRING, "text": STRING})
    rows = [{"id": f"{name}-{n}", "text": f"{name} {n}"} for n in (1, 2, 3) for name in ("swahili", "korean")]
    add(tmp_path, "x/all", "all", {"train": rows}, features)
    task = Task(kind="fill-mask", dataset="x/all", config="all", languages=("ko", "sw"), language_of=first_two)
    assert load(task, "train", "sw", data_dir=tmp_path)["text"][:] == ["swahili 1", "swahili 2", "swahili 3"]
    assert load(task, "train", "ko", limit=2, data_dir=tmp_path)["id"][:] == ["korean-1", "korean-2"]
    with pytest.raises(StiltsError, match="no row left in language 'te': .* Choose another language or split"):
        load(replace(task, languages=("ko", "sw", "te")), "train", "te", data_dir=tmp_path)


def first_two(row):
    return row["id"][:2]
