"""Names by rule: legal on the Hub, and different runs never get the same one."""

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import repo_id, search_tags, step_of, step_tag
from hf_stilts.task import list_tasks

TASKS = st.lists(st.sampled_from([task if isinstance(task, str) else task.name for task in list_tasks()]), min_size=1)


@given(tasks=TASKS.filter(lambda tasks: len(".".join(tasks)) < 60), seed=st.none() | st.integers(0, 10**6))
def test_every_mixture_of_tasks_has_a_legal_name_of_its_own(tasks, seed):
    name = repo_id("org", "FacebookAI/xlm-roberta-base", tasks, seed)
    validate_repo_id(name)
    rest = name.removeprefix("org/xlm-roberta-base-stilts-")
    joined, _, number = rest.partition("-seed")
    assert joined.split(".") == tasks
    assert (int(number) if number else 42) == (42 if seed is None else seed)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("org", "FacebookAI/xlm-roberta-base", ["mnli"]), "org/xlm-roberta-base-stilts-mnli"),
        (("org", "me/xlm-roberta-base-stilts-mnli", ["udpos"]), "org/xlm-roberta-base-stilts-mnli-stilts-udpos"),
        (("org", "runs/base/", ["mnli"], 42), "org/base-stilts-mnli"),
        (("org", "base", ["mnli"], 0), "org/base-stilts-mnli-seed0"),
        ((None, "base", ["mnli"]), "base-stilts-mnli"),
    ],
)
def test_names(arguments, expected):
    assert repo_id(*arguments) == expected


@pytest.mark.parametrize(
    "arguments", [("org", "b" * 90, ["mnli"]), ("org", "a+b", ["mnli"]), ("a/b", "base", ["mnli"])]
)
def test_what_the_hub_would_refuse_is_refused_here(arguments):
    with pytest.raises(StiltsError, match="no name the Hub allows.*another repo_id"):
        repo_id(*arguments)


def test_a_name_needs_a_task():
    with pytest.raises(StiltsError, match="No task"):
        repo_id("org", "base", [])


@given(st.integers(0, 10**9))
def test_tags_hold_their_step(step):
    assert step_of(step_tag(step)) == step


def test_other_tags_hold_none():
    assert [step_of(tag) for tag in ("main", "step-", "step-2b", "last-step-2")] == [None] * 4


def test_search_tags():
    assert search_tags() == ["stilts"]
    assert search_tags("target", ["mnli", "udpos"]) == [
        "stilts", "stilts-phase-target", "stilts-task-mnli", "stilts-task-udpos",
    ]  # fmt: skip
