"""A mixture through the embedded Hub: one repository with all heads, found by name, transferred, resumed elsewhere."""

import json

import pytest
import yaml
from hub_fixture import read
from mixtures import CHOICES, PAIRS, TEXT, StopAt, mixture, public
from pending_checkpoints import tags
from stock_run import IMPATIENT

from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.publishing.resume import newest_checkpoint
from hf_stilts.training.samplers import Proportional

SAVING = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "eval_strategy": "steps", "eval_steps": 2,
          "metric_for_best_model": "aggregate", "load_best_model_at_end": True}  # fmt: skip
NAME = "me/public-stilts-pairs.choices.text"
LOAD = """
import json, sys, torch
from hf_stilts import load_checkpoint, load_intermediate
from transformers import AutoModel
ids = torch.tensor([[5, 6, 7, 8]])
with torch.inference_mode():
    heads = {task: load_checkpoint(sys.argv[1], head=task).eval() for task in ("pairs", "text")}
    found = {task: [type(head).__name__, head(input_ids=ids).logits.tolist()] for task, head in heads.items()}
    found["body"] = AutoModel.from_pretrained(sys.argv[2], revision="step-4")(input_ids=ids)[0].tolist()
    found["transferred"] = load_intermediate(sys.argv[2])(input_ids=ids)[0].tolist()
print("JSON" + json.dumps(found))
"""


def published(folder, callback=None, **settings):
    callback = callback or PublishCheckpoints(namespace="me", pace=IMPATIENT)
    settings = {"tasks": [PAIRS, CHOICES, TEXT], "sampler": Proportional(), "args": SAVING, **settings}
    run = mixture(folder, **{**settings, "callbacks": [callback, *settings.get("callbacks", ())]})
    return run, callback


@pytest.mark.slow
def test_one_repository_holds_the_body_and_every_head(tmp_path, api, client):  # noqa: F811
    import torch

    run, callback = published(tmp_path)
    made = iter([10.0, 20.0])
    run._aggregate = lambda metrics, prefix: next(made)
    run.train()
    assert callback.report.ok, str(callback.report)
    assert sorted(tags(api, NAME)) == ["step-2", "step-4"]
    there = {file.rfilename for file in api.model_info(NAME).siblings}
    heads = {f"heads/{task}/{file}" for task in run.task_data for file in ("config.json", "head.safetensors")}
    assert there - {".gitattributes"} == heads | {
        "README.md", "stilts.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    run.model.eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    names = ["", "pairs.choices.text@step-4", NAME]  # by the tasks' names, and as it is called
    said = client.python(f"import sys; sys.argv = {names}\n{LOAD}", HF_STILTS_NAMESPACE="me")
    found = json.loads(said.split("JSON")[-1])
    with torch.inference_mode():
        for task, expected in (("pairs", "SequenceClassification"), ("text", "MaskedLM")):
            logits = run.model(task=task, input_ids=ids).logits
            assert found[task][0] == f"XLMRobertaFor{expected}"
            assert torch.equal(torch.tensor(found[task][1]), logits)
        body = run.model.body(input_ids=ids)[0]
    assert torch.equal(torch.tensor(found["body"]), body)
    assert torch.equal(torch.tensor(found["transferred"]), body)


def test_card_and_record_name_every_task_and_its_scores(tmp_path, api):  # noqa: F811
    run, _ = published(tmp_path)
    run.train()
    record = json.loads(read(api, "stilts.json", "step-2", tmp_path / "cache", NAME))
    named = [(task["name"], task["language"]) for task in record["tasks"]]
    own_rows = [("pairs", None), ("choices", None)]  # given, without a column that says their language
    assert named == [*own_rows, ("text", "en"), ("text", "de")]
    assert record["mixture"] == "pairs.choices.text" and record["languages"] == ["en", "de"]
    assert {"pairs_accuracy", "choices_accuracy", "text_accuracy", "aggregate"} <= set(record["metrics"])
    assert set(record["files"]) > {"heads/pairs/head.safetensors", "model.safetensors"}
    card = read(api, "README.md", "step-2", tmp_path / "cache", NAME).decode()
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "feature-extraction"
    assert {"stilts-task-pairs", "stilts-task-choices", "stilts-task-text"} <= set(front["tags"])
    assert f'load_checkpoint("{NAME}@step-2", head="pairs")' in card
    assert "| aggregate |" in card and "| choices_accuracy |" in card


def test_many_tasks_have_a_short_name_or_the_one_that_is_given(tmp_path):
    from hf_stilts.hub.naming import mixture_name

    nine = ["anli_plus", "mnli", "qqp", "squad_v2", "squad_v1", "hellaswag", "ccg", "cosmosqa", "commonsenseqa"]
    assert mixture_name(nine) == mixture_name(nine[::-1]) == "9-tasks-" + mixture_name(nine)[-6:]
    run, callback = published(tmp_path, name="all")
    callback.record = run.record
    assert callback.destination(run.args, run.model) == "me/public-stilts-all"


@pytest.mark.slow
def test_a_killed_mixture_goes_on_elsewhere(tmp_path, api, monkeypatch):  # noqa: F811
    """Its heads travel on the branch `resume` too: the end is bit for bit that of the uninterrupted run."""
    import torch
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    model = public(tmp_path, hidden_dropout_prob=0.1)
    whole, _ = published(tmp_path / "whole", callback=StopAt(99), model=model)
    whole.train()
    resuming = PublishCheckpoints(namespace="me", pace=IMPATIENT, resume=True)
    killed, _ = published(tmp_path / "here", callback=resuming, model=model, callbacks=[StopAt(3)])
    killed.train()
    start = newest_checkpoint(tmp_path / "elsewhere/run", NAME, api)
    assert start.name == "checkpoint-2"
    resumed, _ = published(tmp_path / "elsewhere", callback=StopAt(99), model=model)
    resumed.train(resume_from_checkpoint=str(start))
    first, second = (dict(run.model.named_parameters()) for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first if "body.pooler" not in name)
