"""Options that are declared once: the flags that commands make of them, and what a command receives."""

import dataclasses

import pytest
import typer

from hf_stilts.cli import app
from hf_stilts.cli.options import typed
from hf_stilts.errors import StiltsError
from hf_stilts.options import flag_of
from hf_stilts.studies.options import StudyOptions
from hf_stilts.studies.study import load_study


def parameters(*words: str) -> dict:
    """Parameters of a command, by name."""
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return {each.name: each for each in command.params}


@pytest.mark.parametrize("command", ["plan", "run"])
def test_planning_and_running_a_study_have_every_declared_option(command):
    found = parameters("study", command)
    for each in dataclasses.fields(StudyOptions):
        assert found[each.name].opts == [each.metadata.get("flag") or flag_of(each.name)]
        assert found[each.name].help == each.metadata["help"]
        assert found[each.name].multiple is (each.metadata.get("several") == "again")


def test_what_is_typed_changes_the_study():
    received = {
        "scale": "small",
        "base": ["a", "b"],
        "arms": ["none", "hellaswag"],
        "targets": "xnli, pawsx",
        "languages": "de,sw",
        "seeds": 2,
        "max_steps": 7,
        "limit": 5,
        "train_limit": 6,
        "rate": 3.0,  # the command's own
    }
    options = typed(StudyOptions, received)
    study = options.changed(load_study("phang2020"))
    assert (study.base, [*study.arms]) == (("a", "b"), ["none", "hellaswag"])
    assert (study.targets, study.languages) == (("xnli", "pawsx"), ("de", "sw"))
    assert (study.seeds, study.limit, study.train_limit, study.flags["max_steps"]) == ((0, 1), 5, 6, 7)
    assert options.folder(study.name).as_posix() == "runs/study-phang2020"


def test_nothing_typed_leaves_the_study_as_it_is():
    received = {name: parameter.default for name, parameter in parameters("study", "run").items()}
    assert typed(StudyOptions, received) == StudyOptions()
    assert StudyOptions().changed(load_study("phang2020")) == load_study("phang2020")


def test_a_number_below_the_least_is_refused():
    with pytest.raises(StiltsError, match="seeds=0 .*--seeds"):
        StudyOptions(seeds=0)
