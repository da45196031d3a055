"""Recipes: the figures that the scripts show, by task, kind and phase (spec: jiant's guide, XTREME's scripts)."""

import logging
from types import SimpleNamespace

import pytest

from hf_stilts.errors import StiltsError
from hf_stilts.task import load_task
from hf_stilts.training.arguments import arguments
from hf_stilts.training.flags import names
from hf_stilts.training.recipes import recipe
from hf_stilts.training.run import evaluate_within


@pytest.mark.parametrize(
    ("profile", "task", "phase", "rate", "batch", "epochs", "length"),
    [
        ("jiant", "udpos", "target", 1e-5, 32, 10, 256),
        ("jiant", "squad_v1", "target", 1e-5, 16, 2, 384),
        ("xtreme-2020", "udpos", "target", 2e-5, 32, 10, 128),
        ("xtreme-2020", "squad_v1", "target", 3e-5, 16, 2, 384),
        ("xtreme-r-2021", "squad_v1", "target", 3e-5, 32, 3, 384),
        ("xtreme-2020", "xnli", "target", 2e-5, 32, 5, 128),
        ("xtreme-r-2021", "xnli", "target", 3e-5, 32, 5, 128),
        ("xtreme-2020", "panx", "target", 2e-5, 32, 10, 128),
        ("xtreme-r-2021", "copa", "target", 2e-5, 32, 5, 128),
        ("jiant", "siqa", "target", 2e-5, 32, 5, 128),
        ("jiant", "xnli", "target", 1e-5, 32, 2, 256),
        ("jiant", "pawsx", "target", 1e-5, 32, 5, 256),
        ("jiant", "tydiqa", "target", 1e-5, 16, 2, 384),
    ],
)
def test_published_figures(profile, task, phase, rate, batch, epochs, length):
    found = recipe(profile, load_task(task), phase)
    assert (found.learning_rate, found.batch_size, found.epochs, found.max_length) == (rate, batch, epochs, length)


@pytest.mark.parametrize(
    ("profile", "task", "steps", "selects"),
    [("xtreme-2020", "xnli", 100, True), ("xtreme-2020", "pawsx", 200, True), ("xtreme-2020", "panx", 1000, True),
     ("xtreme-2020", "udpos", 500, True), ("xtreme-2020", "squad_v1", 500, False), ("jiant", "squad_v1", 1000, True)],
)  # fmt: skip
def test_what_is_kept_is_the_best_on_english_dev_but_of_xtremes_questions_the_last(profile, task, steps, selects):
    found = recipe(profile, load_task(task), "target")
    assert (found.eval_steps, found.selects) == (steps, selects)


def test_a_device_batch_accumulates_to_the_recipes():
    found = recipe("jiant", load_task("udpos")).arguments(device_batch_size=4)
    assert found["per_device_train_batch_size"] * found["gradient_accumulation_steps"] == 32


def test_flags_win_over_the_recipe_and_hyphens_are_fine():
    figures = recipe("jiant", load_task("mnli"))
    args = arguments(figures, ["--output_dir", "runs/x", "--learning-rate", "3e-4", "--seed", "7"])
    assert (args.learning_rate, args.seed, args.warmup_steps) == (3e-4, 7, 0.1)


def test_a_value_behind_an_equals_sign_is_the_same_flag():
    figures = recipe("jiant", load_task("mnli"))
    flags = ["--output-dir=runs/a-b", "--learning_rate=3e-4", "--eval-steps=7"]
    args = arguments(figures, flags)
    assert (args.output_dir, args.learning_rate) == ("runs/a-b", 3e-4)
    fixed = SimpleNamespace(args=args, phase="target", train_dataset=range(320), eval_dataset=None)
    fixed.main_metrics = ("accuracy",)
    fixed.add_callback = lambda callback: None
    evaluate_within(fixed, figures, names(flags))
    assert (args.eval_steps, args.save_steps) == (7, 30)  # 320 rows, 32 a batch, 3 epochs


@pytest.mark.parametrize(
    ("flags", "selects", "warned"),
    [
        ([], True, False),
        (["--eval_steps", "5"], True, False),
        (["--save_steps", "20"], False, True),  # evaluated at 30, saved at 20
        (["--eval_strategy", "epoch"], False, True),
        (["--eval_strategy", "no"], False, False),
    ],
)
def test_the_best_is_kept_where_it_is_saved(flags, selects, warned, caplog):
    figures = recipe("jiant", load_task("mnli"))
    args, stops = arguments(figures, ["--output_dir", "x", *flags]), []
    fixed = SimpleNamespace(args=args, phase="target", train_dataset=range(320), eval_dataset=None)
    fixed.main_metrics = ("accuracy",)
    fixed.add_callback = stops.append
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        evaluate_within(fixed, figures, names(flags))
    assert (args.load_best_model_at_end, len(stops)) == (selects, int(selects))
    assert ("The last checkpoint will be kept" in caplog.text) == warned


def test_an_unknown_flag_names_the_nearest():
    with pytest.raises(StiltsError, match="--lerning_rate is neither.*Did you mean --learning_rate"):
        arguments(recipe("jiant", load_task("mnli")), ["--output_dir", "x", "--lerning_rate", "1"])


def test_an_unknown_profile_lists_the_known():
    with pytest.raises(StiltsError, match="No recipe 'jant'; there are jiant"):
        recipe("jant", load_task("mnli"))


GUESSES = [("--lr", "--learning_rate"), ("--learning-rat", "--learning_rate"), ("--epochs", "num_train_epochs")]


@pytest.mark.parametrize(("flag", "meant"), GUESSES)
def test_a_flag_is_never_guessed(flag, meant):
    with pytest.raises(StiltsError, match=f"{flag.replace('-', '.')} is neither.*{meant}"):
        arguments(recipe("jiant", load_task("mnli")), ["--output_dir", "x", flag, "3e-5"])
