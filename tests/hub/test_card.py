"""The card and `stilts.json`: every sentence of the card pinned, every field of the record checked."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from pending_checkpoints import api_of
from places import ROOT, SUPPORT

from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import licence_of, render, strictest
from hf_stilts.hub.record import (
    MOST_BYTES,
    MOST_EVALUATIONS,
    ParentModel,
    Record,
    TaskSource,
    at_step,
    is_local_path,
    scores_at,
)

FULL = Record(
    tasks=(
        TaskSource("mnli", "nyu-mll/multi_nli", None, "a" * 40, "train", 392_702, "cc-by-3.0"),
        TaskSource("xcopa", "cambridgeltl/xcopa", "et", "c" * 40, "validation", 100, "cc-by-4.0"),
    ),
    parent=ParentModel("FacebookAI/xlm-roberta-base", "b" * 40, "mit"),
    languages=("en", "et"),
    recipe={"learning_rate": 1e-05, "max_steps": -1, "per_device_train_batch_size": 32},
    seed=42,
    step=2000,
    epoch=0.5,
    metrics={"mnli_accuracy": 0.8423, "xcopa_accuracy": 0.6, "loss": 0.41},
    scored_on="500 rows of the English validation split",
    metrics_by_language={"de": {"accuracy": 0.75}, "sw": {"accuracy": 0.625, "f1": 0.5}},
    pipeline_tag="text-classification",
    layer=7,
    versions={"torch": "2.13.0"},
    hardware={"device": "NVIDIA A100", "devices": 2},
    wall_seconds=3605.2,
    files={"model.safetensors": "d" * 64},
)
CARD = (SUPPORT / "card_expected.md").read_text(encoding="utf-8")


def test_the_whole_card():
    assert render(FULL, "org/xlm-roberta-base-stilts-mnli.xcopa", "step-2000", ["no tokenizer was saved"]) == CARD


def test_an_empty_record_claims_nothing():
    card = render(Record(step=3), "me/x", "step-3")
    assert "No score was computed at step 3" in card
    assert card.count("not recorded") == 3 and "Not recorded." in card
    front = yaml.safe_load(card.split("---")[1])
    assert front == {
        "library_name": "transformers",
        "license": "unknown",
        "tags": ["hf_stilts", "stilts", "stilts-phase-intermediate"],
    }


def test_the_card_is_valid_by_the_hubs_own_rules(hub):
    assert ModelCard(CARD).data.eval_results[0].metric_value == 0.8423
    api_of(hub)._validate_yaml(CARD)


@pytest.mark.parametrize(
    ("phase", "architecture", "loaded_by"),
    [
        ("target", "XLMRobertaForTokenClassification", "AutoModelForTokenClassification"),
        ("intermediate", "XLMRobertaForTokenClassification", "AutoModel"),
        ("target", "SharedBody", "AutoModel"),
    ],
)
def test_a_target_checkpoint_is_loaded_with_its_head(phase, architecture, loaded_by):
    card = render(replace(FULL, phase=phase, architecture=architecture), "me/x", "step-2000")
    assert f"{loaded_by}.from_pretrained(" in card


def test_scores_are_plain_numbers_even_from_numpy():
    record = replace(FULL, metrics={"mnli_accuracy": np.float64(0.5)})
    front = yaml.safe_load(render(record, "me/x", "step-1").split("---")[1])
    assert front["model-index"][0]["results"][0]["metrics"] == [{"type": "accuracy", "value": 0.5}]


def test_an_adapter_and_a_local_parent_are_called_so():
    front = yaml.safe_load(render(replace(FULL, library="peft"), "me/x", "step-1").split("---")[1])
    assert front["base_model_relation"] == "adapter"
    local = render(replace(FULL, parent=ParentModel("checkpoint-500", published=False)), "me/x", "step-1")
    assert "base_model" not in local.split("---")[1] and "checkpoint-500 (a local folder, not published)" in local


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (("mit", "apache-2.0"), "apache-2.0"),
        (("apache-2.0", "cc-by-4.0"), "cc-by-4.0"),
        (("cc-by-sa-4.0", "cc-by-4.0"), "cc-by-sa-4.0"),
        (("cc-by-sa-4.0", "cc-by-nc-4.0"), "cc-by-nc-4.0"),
        (("cc-by-nc-4.0", "CC-BY-NC-SA-4.0"), "cc-by-nc-sa-4.0"),
        (("mit", None), "unknown"),
        (("cc-by-nc-sa-4.0", None), "unknown"),
        (("mit", "other"), "other"),
    ],
)
def test_the_stricter_licence_wins_whatever_the_order(licences, expected):
    sources = [(f"source-{index}", licence) for index, licence in enumerate(licences)]
    assert strictest(sources).id == strictest(sources[::-1]).id == expected


def test_the_card_says_whose_licence_won():
    record = replace(FULL, parent=ParentModel("org/base", license="cc-by-nc-4.0"))
    assert licence_of(record).because_of == ("org/base",)
    assert "cc-by-nc-4.0, the strictest among" in render(record, "me/x", "step-1")
    unknown = replace(FULL, tasks=(TaskSource("mine"),))
    assert "No licence is known for mine: ask before" in render(unknown, "me/x", "step-1")


def test_scores_belong_to_their_step_and_language():
    log = [
        {"eval_accuracy": 0.5, "step": 2},
        {"eval_accuracy": 0.75, "eval_runtime": 1.0, "eval_steps_per_second": 3.0, "loss": 0.1, "step": 4},
        {"eval_de_f1": 0.25, "eval_exact_match": float("nan"), "step": 4},
        {"eval_accuracy": 0.9, "step": 6},
    ]
    assert scores_at(4, log) == {"accuracy": 0.75, "de_f1": 0.25}
    record = at_step(Record(), 4, 1.5, log, 10.0)
    assert (record.metrics, record.metrics_by_language) == ({"accuracy": 0.75}, {"de": {"f1": 0.25}})
    assert (record.step, record.epoch, record.wall_seconds) == (4, 1.5, 10.0)
    beyond = replace(FULL, languages=("hau", "zh", "zh_Hant"))
    beyond = at_step(beyond, 1, 1.0, [{"eval_hau_f1": 1.0, "eval_zh_Hant_f1": 2.0, "eval_zh_f1": 3.0, "step": 1}])
    assert beyond.metrics_by_language == {"hau": {"f1": 1.0}, "zh_Hant": {"f1": 2.0}, "zh": {"f1": 3.0}}
    assert at_step(record, 5, None, log).metrics == {}


names = st.text(st.characters(codec="utf-8", exclude_characters="\\/"), max_size=8)
commits = st.none() | st.just("a" * 40)
records = st.builds(
    Record,
    phase=st.sampled_from(["pretraining", "intermediate", "target"]),
    tasks=st.lists(st.builds(TaskSource, name=names, revision=commits, rows=st.none() | st.integers(0))).map(tuple),
    parent=st.none() | st.builds(ParentModel, id=names, commit=commits),
    languages=st.lists(names).map(tuple),
    recipe=st.dictionaries(names, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names),
    step=st.integers(0),
    metrics=st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False)),
    metrics_by_language=st.dictionaries(names, st.dictionaries(names, st.floats(0, 1))),
)


@given(records.filter(lambda record: all(math.isfinite(v) for v in record.recipe.values() if isinstance(v, float))))
def test_a_record_comes_back_as_it_went(record):
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phase": "warmup"}, "Phase 'warmup' is none of"),
        ({"schema": 9}, "schema 9.*pip install"),
        ({"step": -1}, "below 0"),
        ({"step": "7"}, "stilts.json: step is '7'; int is expected"),
        ({"step": True}, "step is True"),
        ({"steps": 7}, r"unknown fields \['steps'\]"),
        ({"tasks": {}}, "tasks is {}; list"),
        ({"tasks": [{"dataset": "x"}]}, r"tasks\[0\] lacks \['name'\]"),
        ({"tasks": [{"name": "x", "revision": "main"}]}, "'main' is no commit"),
        ({"parent": {"id": "/home/ann/base"}}, "path on this machine"),
        ({"recipe": {"a": "hf_" + "x" * 34}}, "access token"),
        ({"metrics": {"accuracy": "good"}}, "metrics.accuracy is 'good'; float"),
    ],
)
def test_what_is_wrong_in_a_record_is_named(change, message):
    with pytest.raises(StiltsError, match=message):
        Record.from_json(json.dumps(json.loads(FULL.to_json()) | change))


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_what_is_no_record_is_said_to_be_none(text):
    with pytest.raises(StiltsError, match=r"stilts\.json is"):
        Record.from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 100_000,
        f'{{"step": {"9" * 5000}}}',
        f'{{"recipe": {{"a": {"[" * 900}{"]" * 900}}}}}',
        f'{{"metrics": {{"{"x" * 1_000_000}": []}}}}',
        f'{{"{"x" * 1_000_000}": 1}}',
        f'{{"languages": ["{"x" * 1_000_000}", 5]}}',
        " " * (MOST_BYTES + 1),
    ],
)
def test_a_record_made_to_harm_is_refused_in_one_line(text):
    with pytest.raises(StiltsError, match=r"stilts\.json") as error:
        Record.from_json(text)
    assert len(str(error.value)) < 1100 and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "/etc/passwd", "..\\x", "C:\\x\\y", ""])
def test_a_file_of_a_record_lies_in_its_repository(name):
    with pytest.raises(StiltsError, match="outside of the repository"):
        Record(files={name: "a" * 64})


def test_only_absolute_paths_are_paths():
    paths = ["/home/ann", "C:\\Users\\ann", "//server/share/x", "C:/runs"]
    others = ["org/model", "</s>", "/s", "step-2", "c: one", "https://huggingface.co/x", ""]
    assert [is_local_path(text) for text in paths + others] == [True] * len(paths) + [False] * len(others)


def test_the_documented_file_is_a_record():
    text = (ROOT / "docs/how-to/publishing.md").read_text(encoding="utf-8")
    documented = re.search(r"```json\n(\{.*?\n\})\n```", text, re.S)
    assert Record.from_json(documented[1]).tasks
    assert set(json.loads(documented[1])) == set(json.loads(Record().to_json()))


def test_the_evaluations_on_a_card_are_those_of_its_own_training_up_to_its_step():
    log = [
        {"loss": 2.0, "step": 250},
        {"eval_mnli_accuracy": 0.5, "eval_runtime": 3.0, "step": 500},
        {"eval_mnli_accuracy": 0.75, "step": 750},
        {"eval_loss": 1.5, "step": 750},
        {"eval_mnli_accuracy": float("nan"), "eval_de_accuracy": 0.25, "step": 800},
        {"eval_mnli_accuracy": 0.625, "step": 1000},
    ]
    table = "Evaluations of this training up to this step:\n\n| step | mnli_accuracy | loss |\n|---|---|---|\n"
    lines = ["| 500 | 0.5000 |  |", "| 750 | 0.7500 | 1.5000 |", "| 1000 | 0.6250 |  |"]
    assert "Evaluations of" not in render(at_step(FULL, 500, 1.0, log), "me/x", "step-500"), "its own scores say all"
    cards = {step: render(at_step(FULL, step, 1.0, log), "me/x", f"step-{step}") for step in (750, 1000)}
    assert table + "\n".join(lines[:2]) + "\n\n" in cards[750]
    assert table + "\n".join(lines) + "\n\n" in cards[1000]
    # Whatever is there already: the same card.
    earlier, later = at_step(FULL, 750, 1.0, log), at_step(FULL, 1000, 1.0, log)
    assert render(earlier, "me/x", "step-750", there=cards[1000], before=later) == cards[750]
    assert render(later, "me/x", "step-1000", there=cards[750], before=earlier) == cards[1000]
    assert Record.from_json(later.to_json()) == later
    assert "evaluations" not in json.loads(at_step(FULL, 500, 1.0, log).to_json()), "as earlier versions read it"


def test_of_many_evaluations_a_record_keeps_some_and_its_own():
    log = [{"eval_f1": step / 1000, "step": step} for step in range(1, 1001)]
    kept = [int(step) for step in at_step(Record(), 999, None, log).evaluations]
    assert kept == list(range(4, 1000, 5)) and len(kept) == MOST_EVALUATIONS
    with pytest.raises(StiltsError, match="evaluations names step 'x'; a number is expected"):
        Record.from_json(json.dumps({"evaluations": {"x": {"f1": 1.0}}}))


def test_an_intermediate_checkpoint_says_how_to_load_its_head():
    single = replace(FULL, tasks=FULL.tasks[:1], architecture="XLMRobertaForSequenceClassification")
    loaded = 'AutoModelForSequenceClassification.from_pretrained("me/x", revision="step-8")'
    assert loaded in render(single, "me/x", "step-8") and "AutoModel.from_pretrained" in render(
        single, "me/x", "step-8"
    )
    for headless in (
        replace(single, mixture="two"), replace(single, recipe={"adapter": "lora"}), replace(single, architecture=None)
    ):  # fmt: skip
        assert loaded not in render(headless, "me/x", "step-8")


def test_metrics_are_those_that_the_hub_has_pages_for():
    of_questions = replace(FULL, metrics={"mnli_em_and_f1": 0.5, "mnli_exact_match": 0.4, "xcopa_acc_and_f1": 0.5})
    front = yaml.safe_load(render(of_questions, "me/x", "step-8").split("---")[1])
    assert front["metrics"] == ["accuracy", "exact_match", "f1"] and "hf_stilts" in front["tags"]
