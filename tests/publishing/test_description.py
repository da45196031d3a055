"""What a plain Trainer's checkpoints are described as: by the model that was trained, and by what its rows know."""

import shutil

import pytest
import stock_run
import tiny
import transformers
from datasets import Dataset, DatasetInfo, Split
from hub_fixture import read
from pending_checkpoints import tags
from transformers import TrainingArguments

from hf_stilts.hub.checkpoints import list_checkpoints
from hf_stilts.hub.record import Record
from hf_stilts.publishing.callback import describe_run, parent_of, source_of

HEADS = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForMaskedLM": "fill-mask",
}
COMMIT = "c" * 40


@pytest.mark.parametrize("head", list(HEADS))
def test_the_trained_model_decides_and_not_its_base(head, tmp_path):
    base = tiny.save(tmp_path / "base", model_class=transformers.AutoModelForMaskedLM)
    model = getattr(transformers, head).from_pretrained(base)
    assert model.config.architectures == ["XLMRobertaForMaskedLM"], "what a public checkpoint says"
    record = describe_run(Record(), TrainingArguments(str(tmp_path / "run")), model)
    assert (record.pipeline_tag, record.architecture) == (HEADS[head], type(model).__name__)
    assert record.labels == (), "nobody named the classes"


def test_a_published_classifier_is_a_classifier_for_the_pipeline(tmp_path, api, client):
    base = tiny.save(tmp_path / "base", model_class=transformers.AutoModelForMaskedLM)
    names = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, **names)
    _, report = stock_run.run(tmp_path / "out", model=model, publish={"repo_id": "me/tiny", "task": "mnli"})
    assert report.ok and len(tags(api)) == 3
    said = client.python(  # stock classes, by the name alone, in a process that knows nothing of hf_stilts
        "from transformers import AutoModelForSequenceClassification as Model, AutoTokenizer, pipeline\n"
        "pipe = pipeline(model='me/tiny')\n"
        "print(type(pipe).__name__, sorted(pipe.model.config.label2id), pipe('the cat')[0]['label'] in ('no', 'yes'))\n"
        "model = Model.from_pretrained('me/tiny', revision='step-4')\n"
        "print(model.num_parameters(), len(AutoTokenizer.from_pretrained('me/tiny', revision='step-4')))"
    )
    pipe, earlier = said.splitlines()
    assert pipe == "TextClassificationPipeline ['no', 'yes'] True"
    assert earlier.split() == [str(model.num_parameters()), str(len(tiny.tokenizer()))]
    (found,) = list_checkpoints(namespace="me", task="mnli", api=api)
    assert found.record.labels == ("no", "yes")
    card = read(api, "README.md", "main", tmp_path / "cache").decode()
    assert "pipeline_tag: text-classification" in card
    assert "with the labels `no`, `yes`" in card


def noted(dataset, config):
    """Rows with what `load_dataset` notes of where they are from."""
    url = f"hf://datasets/{dataset}@{COMMIT}/{config}/train-00000-of-00001.parquet"
    info = DatasetInfo(dataset_name=dataset.split("/")[-1], config_name=config, download_checksums={url: {}})
    rows = Dataset.from_dict({"text": ["a", "b"]}, split=Split.TRAIN)
    rows.info.update(info)
    return rows.map(lambda row: {"more": 1})


def test_rows_of_load_dataset_say_where_they_are_from():
    source = source_of(noted("nyu-mll/glue", "mnli"), None)
    assert (source.name, source.dataset, source.config, source.revision) == ("mnli", "nyu-mll/glue", "mnli", COMMIT)
    assert (source.split, source.rows) == ("train", 2)
    assert source_of(noted("some/data", "all"), None).name == "data"
    assert source_of(noted("some/data", "all"), "boolq").name == "boolq"
    assert source_of(Dataset.from_dict({"text": []}), None) is None
    assert source_of([1, 2, 3], "boolq").rows == 3


@pytest.mark.parametrize("where", ["{tmp}/base", "runs/first/checkpoint-4", "./base", "../base", "C:\\runs\\base"])
def test_a_folder_that_is_gone_is_no_lineage_and_stops_nothing(where, tmp_path):
    model = stock_run.classifier()
    folder = tiny.save(tmp_path / "base")
    shutil.rmtree(folder)
    model.config._name_or_path = where.format(tmp=tmp_path)
    parent = parent_of(model.config)
    assert not parent.published
    assert "/" not in parent.id
    Record(parent=parent)  # which refuses paths of this machine


def test_a_relative_folder_that_reads_like_a_repository_is_looked_up(tmp_path, api):
    """`runs/first` might be a repository of a user called runs: the Hub is asked before it is published."""
    model = stock_run.classifier()
    model.config._name_or_path = "runs/first"
    _, report = stock_run.run(tmp_path / "out", model=model)
    assert report.ok
    (found,) = list_checkpoints(namespace="me", api=api)
    assert (found.record.parent.id, found.record.parent.published) == ("first", False)
