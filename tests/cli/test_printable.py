"""Texts of unknown people are shown and not obeyed, by every command that prints what a Hub holds."""

import dataclasses
import json
import re

import pytest
from command import run
from pending_checkpoints import api_of, checkpoint, upload_all
from typer.testing import CliRunner

from hf_stilts.cli import app
from hf_stilts.console import printable
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.publishing.pending import new_pending, pack

EVIL = "x\x1b]0;owned\x07\x1b[2J\u202egnp"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_what_a_terminal_obeys_is_spelt_out():
    assert printable(EVIL) == r"x\x1b]0;owned\x07\x1b[2J\u202egnp"
    assert printable("मराठी, 한국어, עברית\n\tand 👩🏽‍🏫") == "मराठी, 한국어, עברית\n\tand 👩🏽‍🏫"


@pytest.fixture
def published(hub, stock, tmp_path):
    """A checkpoint of somebody else, whose record says what a terminal obeys wherever a text may stand."""
    source = TaskSource(EVIL, dataset="org/data", config=EVIL, license=EVIL, language=EVIL)
    parent = ParentModel(EVIL, license=EVIL, published=False)
    record = Record(tasks=(source,), parent=parent, recipe={EVIL: EVIL}, scored_on=EVIL, versions={EVIL: EVIL}, step=2)
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    pack(checkpoint(tmp_path, 2), outbox, dataclasses.replace(new_pending(record, "me/tiny", True), notes=(EVIL,)))
    api = api_of(hub)
    assert upload_all(tmp_path, api).ok
    api.create_repo("me/task", repo_type="dataset")
    card = f"---\ntags: [stilts-task]\nlicense: {json.dumps(EVIL)}\n---\n"
    fields = {"kind": "text-classification", "dataset": "me/task", "labels": [EVIL, "b"], "license": EVIL}
    for file, text in {"README.md": card, "stilts_task.yaml": json.dumps(fields)}.items():
        api.upload_file(repo_id="me/task", repo_type="dataset", path_in_repo=file, path_or_fileobj=text.encode())
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("checkpoints", "--namespace", "me"),
        ("checkpoints", "list", "--namespace", "me"),
        ("checkpoints", "collect", EVIL, "me/tiny"),
        ("checkpoints", "lineage", "me/tiny"),
        ("checkpoints", "verify", "me/tiny"),
        ("publish", "{folder}"),
        ("reproduce", "me/tiny"),
        ("matrix", "--namespace", "me"),
        ("rank", "xnli", "--namespace", "me"),
        ("target", "xnli", "--init", "me/tiny", "--base", EVIL),
        ("tasks", "--hub"),
        ("tasks", "me/task"),
        ("tasks", EVIL),
        ("evaluate", EVIL, "--model", EVIL),
    ],
    ids=lambda words: " ".join(words[:2]) if EVIL not in words else f"{words[0]} EVIL",
)
def test_no_command_hands_them_to_the_terminal(words, published, capsys, monkeypatch):
    import sys

    from hf_stilts.cli import main

    monkeypatch.setattr(sys, "argv", ["hf-stilts", *(word.format(folder=published) for word in words)])
    try:
        main()
    except SystemExit:
        pass
    said = capsys.readouterr()
    assert said.out + said.err
    assert not OBEYED.search(said.out + said.err), (said.out + said.err).encode("unicode_escape")


def test_json_of_one_task_is_an_object():
    code, said = run("tasks", "mnli", "--json")
    found = json.loads(said)
    assert code == 0 and found["name"] == "mnli"
    assert found["labels"] == ["entailment", "neutral", "contradiction"]
    assert len(found["revision"]) == 40


def test_shell_completion_is_offered():
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).stdout
