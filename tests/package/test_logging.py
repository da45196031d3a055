"""What hf_stilts says of what it does: by default what happens to weights; nobody's words reach a terminal raw."""

import logging as standard
import os
import subprocess
import sys

import pytest
import tiny

from hf_stilts import logging

SAY = """
import hf_stilts
from hf_stilts.models.transfer import load_intermediate
from hf_stilts.task import Task
load_intermediate({source!r}, Task(kind="text-classification", dataset="x/y", labels=("no", "yes")))
"""
LINE = "tensors of the body come from"


def said(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in (logging.VARIABLE, "RANK")}
    done = subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert LINE not in done.stdout, "standard output is for results"
    return done.stderr


@pytest.mark.slow
def test_what_happens_to_weights_is_said_once_and_no_more_where_nobody_wants_it(tmp_path):
    code = SAY.format(source=tiny.save(tmp_path / "public"))
    assert said(code).count(LINE) == 1
    assert LINE not in said(code, HF_STILTS_VERBOSITY="warning")
    own = "import logging; logging.basicConfig(level=logging.INFO, format='mine: %(message)s')\n" + code
    assert [line[:6] for line in said(own).splitlines() if LINE in line] == ["mine: "]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "20"),
        ({"HF_STILTS_VERBOSITY": "ERROR"}, "40"),
        ({"RANK": "0"}, "20"),
        ({"RANK": "1"}, "30"),
        ({"RANK": "1", "HF_STILTS_VERBOSITY": "debug"}, "10"),
    ],
)
def test_the_level_at_the_start(environment, expected):
    code = "import sys, hf_stilts; print(hf_stilts.logging.get_verbosity(), file=sys.stderr)"
    assert said(code, **environment).strip() == expected


def test_a_level_that_is_none_is_said():
    assert "expected one of debug, info" in said("import hf_stilts", HF_STILTS_VERBOSITY="loud")


def test_words_of_anybody_are_spelt_out():
    evil = "\\x1b[2J\\u202e"
    code = f"import hf_stilts, logging; logging.getLogger('hf_stilts.hub.checkpoints').warning('%s', '{evil}')"
    assert said(code).strip() == evil


def test_the_functions_of_transformers():
    before = logging.get_verbosity()
    try:
        for name in ("debug", "info", "warning", "error"):
            getattr(logging, f"set_verbosity_{name}")()
            assert logging.get_verbosity() == getattr(standard, name.upper())
    finally:
        logging.set_verbosity(before)
