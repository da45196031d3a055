"""Training options: declared once, the same as keywords, as arguments and as flags, refused where they do not go."""

import argparse
import dataclasses
import importlib.util
import json

import pytest
from transformers import HfArgumentParser, TrainingArguments

from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError
from hf_stilts.task import load_task
from hf_stilts.training import checks
from hf_stilts.training.arguments import StiltsArguments, arguments, typed_options
from hf_stilts.training.flags import check_stock_flags, stock_fields
from hf_stilts.training.options import HELP, LEAST, OPTIONS, PANELS, StiltsOptions, taken
from hf_stilts.training.recipes import PROFILES, recipe


def test_every_option_has_a_help_a_panel_and_no_stock_name():
    assert sorted(name for names in PANELS.values() for name in names) == sorted(OPTIONS)
    assert all(HELP.values()) and set(LEAST) <= set(OPTIONS)
    assert not set(OPTIONS) & {field.name for field in dataclasses.fields(TrainingArguments)}
    assert all(profile in HELP["recipe"] for profile in PROFILES)


def test_stock_arguments_and_ours_in_one_object(tmp_path):
    args = StiltsArguments(str(tmp_path), learning_rate=1e-4, limit=5, text=tmp_path)
    assert isinstance(args, TrainingArguments) and (args.output_dir, args.limit) == (str(tmp_path), 5)
    assert json.loads(args.to_json_string())["text"] == str(tmp_path)
    assert args.given() == {"limit": 5, "text": tmp_path}


@pytest.mark.skipif(default_device().type != "cpu", reason="on an accelerator stock takes bfloat16 there")
def test_bfloat16_where_the_processor_is_the_only_device(tmp_path):
    with pytest.raises(ValueError, match="use_cpu"):
        TrainingArguments(str(tmp_path), bf16=True)
    assert StiltsArguments(str(tmp_path), bf16=True).device.type == "cpu"


def test_keywords_win_over_arguments_and_are_taken_out(tmp_path):
    keywords = {"limit": 7, "callbacks": []}
    options = taken(StiltsArguments(str(tmp_path), limit=5, adapter="lora"), keywords)
    assert (options.limit, options.adapter, keywords) == (7, "lora", {"callbacks": []})
    assert taken(TrainingArguments(str(tmp_path)), {}) == StiltsOptions()


def test_the_stock_parser_makes_the_flags():
    flags = ["--output_dir", "x", "--micro-tokens", "64", "--text_to_text", "--batches", "hybrid", "--max-steps", "3"]
    args = HfArgumentParser(StiltsArguments).parse_args_into_dataclasses(flags, look_for_args_file=False)[0]
    assert (args.micro_tokens, args.text_to_text, args.batches, args.max_steps) == (64, True, "hybrid", 3)
    figures = recipe("jiant", load_task("mnli"))
    both = arguments(figures, ["--output-dir=x", "--limit=5", "--micro_tokens=9"], {"limit": 6})
    assert (both.output_dir, both.limit, both.micro_tokens, both.learning_rate) == ("x", 6, 9, 1e-5)
    assert typed_options(["--seed", "3", "--alpha=0.5"]).given() == {"alpha": 0.5}


@pytest.mark.parametrize("name", LEAST)
def test_a_number_below_the_least_is_refused(name):
    with pytest.raises(StiltsError, match=f"{name}=-1 .*--{name.replace('_', '-')}"):
        StiltsOptions(**{name: -1})


def test_modules_are_part_of_the_adapter():
    assert StiltsOptions(adapter="lora=4", lora_target_modules="query,value").whole_adapter == "lora=4:query,value"
    assert StiltsOptions(lora_target_modules="query").whole_adapter == "lora:query"
    assert StiltsOptions().whole_adapter is None
    with pytest.raises(StiltsError, match="target_modules"):
        _ = StiltsOptions(adapter=object(), lora_target_modules="query").whole_adapter


def test_the_stock_flags_are_those_of_the_installed_transformers():
    fields = [field.name for field in dataclasses.fields(TrainingArguments) if field.init]
    assert list(stock_fields()) == fields


def test_what_the_stock_parser_takes_is_not_refused_early():
    """Each stock flag with a value that `HfArgumentParser` takes, and those that stand without one."""
    parser = HfArgumentParser(TrainingArguments)
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = action.option_strings[0]
        if action.nargs == 0:
            check_stock_flags([name])
            continue
        value = str(next(iter(action.choices))) if action.choices else "true" if action.nargs == "?" else "1"
        if name == "--debug":  # whose words are checked, as TrainingArguments does when it is made
            value = "underflow_overflow"
        if name == "--report_to":  # whose places are checked, which the stock parser does not do
            value = "none"
        check_stock_flags([name, value])
        check_stock_flags([f"{name.replace('_', '-')}={value}"])
        if action.nargs == "?":
            check_stock_flags([name])
        if action.nargs == "+":
            check_stock_flags([name, value, value])
        for choice in action.choices or ():
            check_stock_flags([name, str(choice)])


@pytest.mark.parametrize(
    ("flags", "subject"),
    [
        (["--lerning-rate", "1"], "--lerning_rate is neither.*Did you mean --learning_rate"),
        (["--micro_token=1"], "Did you mean --micro_tokens"),
        (["--max_steps", "many"], "--max_steps.*many"),
        (["--learning_rate"], "--learning_rate.*argument"),
        (["--run_name", "--bf16"], "--run_name.*argument"),
        (["--bf16", "maybe"], "--bf16.*'maybe' is neither true nor false"),
        (["--greater_is_better=perhaps"], "--greater_is_better.*'perhaps'"),
        (["--save_strategy", "never"], "--save_strategy.*'never'.*Known: best, epoch, no, steps"),
        (["--eval-strategy", "stesp"], "--eval_strategy.*Did you mean steps"),
        (["--lr_scheduler_type", "cosin"], "--lr_scheduler_type.*Did you mean cosine"),
        (["--optim", "adamw_troch"], "--optim.*Did you mean adamw_torch"),
        (["--train_sampling_strategy", "groups"], "--train_sampling_strategy.*'groups'"),
        (["--save_total_limit", "2.5"], "--save_total_limit.*2.5"),
        (["stray"], "stray is neither"),
    ],
)
def test_what_no_parser_takes_is_refused_early(flags, subject):
    with pytest.raises(StiltsError, match=subject):
        check_stock_flags(flags)


@pytest.mark.parametrize(
    ("task", "given", "subject"),
    [
        ("mnli", {"batches": "hybrid"}, "--batches is for dual encoders; mnli"),
        ("mnli", {"pooling": "cls"}, "--pooling is for dual encoders"),
        ("mnli", {"sampler": "uniform"}, "sampler= .*is for mixtures"),
        ("mnli", {"adapter": "lora", "text_to_text": True}, "adapter='lora'.*text-to-text"),
        ("mnli", {"adapter": "lorra=4"}, "Did you mean lora=4"),
        ("udpos", {"text_to_text": True}, "no text for an answer"),
        ("hellaswag", {"contrastive": "de"}, "contrastive= .*holds several"),
        ("mnli", {"contrastive": "de", "compact_vocabulary": True}, "contrastive= .*compact_vocabulary="),
        ("mewslix_pairs", {"compact_vocabulary": True}, "dual encoder .*compact_vocabulary="),
        ("mewslix_pairs", {"adapter": "lora"}, "dual encoder .*adapter="),
        ("mewslix_pairs", {"micro_tokens": 5}, "dual encoder .*micro_tokens="),
    ],
)
def test_options_that_do_not_go_together_are_refused(task, given, subject):
    with pytest.raises(StiltsError, match=subject):
        checks.check_options(StiltsOptions(**given), load_task(task))


def test_an_adapter_without_its_package_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StiltsError, match=r"needs peft.*pip install 'hf_stilts\[peft\]'"):
        checks.check_options(StiltsOptions(adapter="lora"), load_task("mnli"))
    checks.check_options(StiltsOptions(limit=5), load_task("mnli"))


def test_what_changes_nothing_is_not_refused():
    checks.check_options(StiltsOptions(micro_tokens=0, adapter=None), load_task("mewslix_pairs"))
    checks.check_options(StiltsOptions(adapter="lora", limit=5), load_task("mnli"))


def test_a_mixture_takes_what_a_single_task_takes_or_says_why_not():
    tasks = checks.mixture_tasks(["mnli", "qqp"])
    alone = {
        "recipe": "paper", "adapter": "lora", "lora_target_modules": "query", "text_to_text": True, "contrastive": "de",
        "languages": "en", "limit": 5, "exclude": "list.jsonl", "max_length": 64, "data_dir": ".", "micro_tokens": 9,
        "compact_vocabulary": True,
    }  # fmt: skip
    refused = set()
    for name, value in alone.items():
        checks.check_options(StiltsOptions(**{name: value}), load_task("mnli"))
        try:
            checks.check_mixture(StiltsOptions(**{name: value}), tasks)
        except StiltsError as error:
            assert f"--{name.replace('_', '-')} was given" in str(error) and "not for a mixture: " in str(error)
            refused.add(name)
    assert refused == {"adapter", "lora_target_modules", "text_to_text", "contrastive"}
    assert set(alone) == set(OPTIONS) - {*PANELS["Dual encoder"], *PANELS["Mixture"]}


@pytest.mark.parametrize(
    ("languages", "subject"), [("xx", "'xx' is no language"), ("en,sw", "mnli has no language 'sw'"), ("en,en", "once")]
)
def test_languages_that_no_rows_can_have_are_refused(languages, subject, monkeypatch):
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    with pytest.raises(StiltsError, match=subject):
        checks.check_typed_languages(StiltsOptions(languages=languages), [load_task("mnli")])


def test_a_mirror_may_hold_what_was_made_from_a_task(tmp_path, monkeypatch):
    options = StiltsOptions(languages="sw", data_dir=tmp_path)
    checks.check_typed_languages(options, [load_task("mnli")])
    checks.check_typed_languages(StiltsOptions(languages="de-t-en"), [load_task("mnli")])
