"""Samplers and plans of mixtures: the paper's weights, determinism, and every example as often as any other."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_stilts.errors import StiltsError
from hf_stilts.training.samplers import (
    Given,
    Plan,
    Proportional,
    Schedule,
    Temperature,
    Uniform,
    describe_sampler,
    language_draws,
    language_shares,
    max_steps,
    parse_sampler,
    probabilities,
)

# Training examples of the nine intermediate tasks of Phang et al. 2020, table 1.
NINE = {
    "anli_plus": 1_104_934, "mnli": 392_702, "qqp": 363_846, "squad_v2": 130_319, "squad_v1": 87_599,
    "hellaswag": 39_905, "ccg": 38_015, "cosmosqa": 25_588, "commonsenseqa": 9_741,
}  # fmt: skip

sizes = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 50), min_size=1, max_size=5)
seeds = st.integers(0, 2**32)


def plan_of(sizes, seed=0, batch=3, sampler=None):
    return Plan(sizes, dict.fromkeys(sizes, batch), sampler or Uniform(), seed)


def drawn(plan, steps):
    return [(step.task, step.examples.tolist(), step.seeds) for step in plan.steps(steps)]


def test_the_nine_weights_of_the_paper():
    """min(n, 2**17) of the nine sizes: the first three are capped at 131,072, and the total is 724,383."""
    weights = Proportional()(NINE, 0)
    assert list(weights.values()) == [131_072] * 3 + [130_319, 87_599, 39_905, 38_015, 25_588, 9_741]
    assert sum(weights.values()) == 724_383
    percent = [round(100 * share, 1) for share in probabilities(Proportional(), NINE).values()]
    assert percent == [18.1, 18.1, 18.1, 18.0, 12.1, 5.5, 5.2, 3.5, 1.3]


def test_samplers_by_hand():
    two = {"big": 900, "small": 100}
    assert probabilities(Uniform(), two) == {"big": 0.5, "small": 0.5}
    assert probabilities(Temperature(2.0, cap=None), two) == {"big": 0.75, "small": 0.25}  # square roots 30 and 10
    assert probabilities(Temperature(1.0, cap=300), two) == probabilities(Proportional(300), two)  # 300 and 100
    assert probabilities(Given({"small": 3, "big": 1}), two) == {"big": 0.25, "small": 0.75}
    moving = Schedule({100: {"big": 1, "small": 0}, 200: {"big": 0, "small": 1}})
    assert [probabilities(moving, two, step)["small"] for step in (0, 100, 150, 175, 999)] == [0, 0, 0.5, 0.75, 1]


def test_steps_by_hand():
    """2 epochs of min(10, 8) = 8 and 3 examples: with batches of 3, 2 * (ceil(2.67) + 1) = 8; uncapped 2 * (4 + 1).

    Of 0.7 epochs of 3 batches, 2.1 steps, three are trained.
    """
    assert max_steps({"a": 10, "b": 3}, {"a": 3, "b": 3}, epochs=2, cap=8) == 8
    assert max_steps({"a": 10, "b": 3}, {"a": 3, "b": 3}, epochs=2, cap=None) == 10
    assert max_steps({"a": 8}, {"a": 3}, epochs=0.7) == 3


@pytest.mark.parametrize("text", ["proportional", "uniform", "temperature=2.0", "a=2,b=1", "0:a=1,b=1;100:a=1,b=0.5"])
def test_a_sampler_is_written_as_it_is_read(text):
    assert describe_sampler(parse_sampler(text)) == text


@pytest.mark.parametrize("text", ["proportionate", "a=", "a=x,b=1", "temperature=hot", "1:a=1;x:b=2", ""])
def test_what_is_no_sampler_is_said_to_be_none(text):
    with pytest.raises(StiltsError, match="is none. Type proportional"):
        parse_sampler(text)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 1}, "weighs a; the mixture's tasks are a, b"),
        ({"a": 1, "b": 1, "c": 1}, "weighs a, b, c"),
        ({"a": 1, "b": -1}, "at least 0"),
        ({"a": 0, "b": 0}, "above 0"),
        ({"a": float("nan"), "b": 1}, "finite"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(StiltsError, match=message):
        probabilities(Given(weights), {"a": 1, "b": 1})


def test_a_schedule_names_the_same_tasks_at_each_step():
    with pytest.raises(StiltsError, match="the same tasks"):
        parse_sampler("0:a=1,b=1;100:a=1")


def test_no_temperature_of_zero():
    with pytest.raises(StiltsError, match="more than 0"):
        Temperature(0)


@given(sizes, seeds, st.integers(1, 40), st.integers(0, 40))
def test_a_step_is_the_same_however_many_follow(sizes, seed, steps, more):
    assert drawn(plan_of(sizes, seed), steps + more)[:steps] == drawn(plan_of(sizes, seed), steps)


@given(sizes, seeds, st.integers(1, 7))
def test_every_example_once_in_each_pass(sizes, seed, batch):
    """However batches lie over the ends of passes."""
    plan = plan_of(sizes, seed, batch)
    by_task = {}
    for task, examples, _ in drawn(plan, 60):
        by_task.setdefault(task, []).extend(examples)
    for task, examples in by_task.items():
        size = sizes[task]
        for start in range(0, len(examples) - size + 1, size):
            assert sorted(examples[start : start + size]) == list(range(size))


@given(sizes, seeds)
def test_a_tasks_order_does_not_depend_on_its_companions(sizes, seed):
    task = next(iter(sizes))
    alone = [examples for _, examples, _ in drawn(plan_of({task: sizes[task]}, seed), 20)]
    among = [examples for name, examples, _ in drawn(plan_of(sizes, seed), 20) if name == task]
    assert among == alone[: len(among)]


def test_different_seeds_give_different_plans():
    orders = [drawn(plan_of({"a": 20, "b": 20}, seed), 10) for seed in (1, 2)]
    assert orders[0] != orders[1]
    assert [task for task, *_ in orders[0]] != [task for task, *_ in orders[1]]


def test_tasks_are_drawn_as_often_as_they_weigh():
    """10,000 draws: a share of p deviates by at most 5 standard errors, sqrt(p (1 - p) / 10,000)."""
    plan = Plan(NINE, dict.fromkeys(NINE, 1), seed=7)
    counts = np.bincount(plan.tasks(10_000), minlength=len(NINE)) / 10_000
    wanted = np.array([*probabilities(Proportional(), NINE).values()])
    assert (np.abs(counts - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / 10_000)).all()


def test_a_function_of_ones_own_and_the_same_weights_given_draw_the_same():
    weights = {"a": 1.0, "b": 3.0}
    own = plan_of({"a": 9, "b": 9}, sampler=lambda sizes, step: weights)
    assert drawn(own, 50) == drawn(plan_of({"a": 9, "b": 9}, sampler=Given(weights)), 50)


def test_a_weight_of_zero_is_never_drawn():
    plan = plan_of({"a": 5, "b": 5, "c": 5}, sampler=Given({"a": 0, "b": 1, "c": 0}))
    assert {task for task, *_ in drawn(plan, 200)} == {"b"}


def test_an_empty_task_is_refused():
    with pytest.raises(StiltsError, match="b has no examples"):
        plan_of({"a": 1, "b": 0})


def test_a_draws_seed_comes_once():
    seen = list(itertools.chain.from_iterable(seeds for *_, seeds in drawn(plan_of({"a": 4, "b": 4}), 100)))
    assert len(set(seen)) == len(seen) == 300


def test_language_shares_by_hand():
    """Square roots of .64, .32 and .04 would be .8, .57 and .2; with alpha 0 all are equal, with 1 as they are."""
    sizes = {"en": 64, "de": 32, "sw": 4}
    assert language_shares(sizes, 1.0) == pytest.approx({"en": 0.64, "de": 0.32, "sw": 0.04})
    assert language_shares(sizes, 0.0) == pytest.approx(dict.fromkeys(sizes, 1 / 3))
    smoothed = language_shares(sizes)
    assert smoothed["sw"] / smoothed["en"] == pytest.approx((4 / 64) ** 0.3)


@given(st.dictionaries(st.sampled_from(["en", "de", "sw"]), st.integers(1, 30), min_size=1), st.integers(1, 200))
def test_a_text_has_its_total_and_goes_through_a_language_evenly(sizes, total):
    shares = language_shares(sizes)
    drawn = language_draws(sizes, shares, total)
    assert sum(map(len, drawn.values())) == total
    for language, examples in drawn.items():
        assert abs(len(examples) - shares[language] * total) < 1
        counts = Counter(examples.tolist())
        often = [counts[example] for example in range(sizes[language])]
        assert max(often) - min(often) <= 1
