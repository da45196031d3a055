"""What the program tells its user to type can be typed: every command in a message exists, every printed one runs."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache

import pytest
from command import check
from places import ROOT
from story import BASE

PACKAGE = ROOT / "hf_stilts"
# A command in a message ends where the sentence goes on.
COMMAND = re.compile(r"hf-stilts ((?:[\w./@=:,{}<>-]+|'[^']*'| )+)")
HF_COMMAND = re.compile(r"\bhf ((?:auth|repos|upload|download|cache)(?: [a-z]+)*(?: \{\} --[a-z]+)?)(?= |$|[.,:;)])")
END = re.compile(r"[,:;.](?: |$)")


@cache  # to collect the tests, and in two of them
def messages():
    """Every text that is no docstring, of the files that name a command, with placeholders for what is filled in."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "hf-stilts" not in source and "hf " not in source:
            continue
        no_messages = set()  # docstrings, and the parts of texts with placeholders
        for node in ast.walk(ast.parse(source)):  # what holds others comes before them
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                if node.body and isinstance(node.body[0], ast.Expr):
                    no_messages.add(node.body[0].value)
            elif isinstance(node, ast.JoinedStr):
                no_messages.update(node.values)
            if node in no_messages:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append((path, node.lineno, node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                found.append((path, node.lineno, "".join(map(str, parts))))
    return found


def commands():
    found = []
    for path, line, text in messages():
        for match in COMMAND.finditer(text):
            words = shlex.split(END.split(match[1])[0])
            if words[0].startswith("{"):  # the command itself is filled in: the other test types it
                continue
            found.append(pytest.param(words, id=f"{path.relative_to(PACKAGE)}:{line} {' '.join(words[:3])}"))
    return found


@pytest.mark.parametrize("words", commands())
def test_every_command_in_a_message_exists_with_its_options(words):
    check(words)


@pytest.mark.slow
def test_commands_of_hugging_face_exist():
    """`hf auth login` and the like."""
    found = set()
    for _, _, text in messages():
        found |= set(HF_COMMAND.findall(text))
    assert {"auth login", "repos tag delete", "repos settings {} --private"} <= found
    for words in found:
        command = [word for word in words.split() if word != "{}" and not word.startswith("--")]
        hf = [sys.executable, "-m", "huggingface_hub.cli.hf", *command, "--help"]
        done = subprocess.run(hf, capture_output=True, text=True)
        assert done.returncode == 0, words
        assert all(word in done.stdout for word in words.split() if word.startswith("--")), words


def test_the_texts_are_found():
    assert len(commands()) > 25


def next_step(said):
    """The words that were printed to be typed next."""
    (line,) = re.findall(r"^Next: hf-stilts (.*)$", said, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.slow
def test_every_next_step_runs_as_it_is_printed(stilts, tmp_path):
    """From raw files to a submission's check; folders with blanks, and a task from a file of its own."""
    built = stilts("data", "build", "tatoeba", "--raw", "tatoeba", "--out", "my mirror", "--no-checksum")
    assert "1 of 1 languages are in order" in stilts(*next_step(built))

    (tmp_path / "my tasks").mkdir()
    shutil.copy(PACKAGE / "tasks" / "udpos.py", tmp_path / "my tasks" / "xsd.py")
    steps = ("--max_steps", "1", "--use_cpu", "1", "--report_to", "none")
    trained = stilts("intermediate", "mnli", "--base", BASE, "--namespace", "me", *steps, "--output_dir", "my run")
    words = next_step(trained)
    assert words[:3] == ["target", "TASK", "--init"]
    words[1] = "my tasks/xsd.py"
    tagger = stilts(*words, *steps, "--output_dir", "my tagger")
    words = next_step(tagger)
    assert words[:2] == ["evaluate", "my tasks/xsd.py"]
    told = stilts(*words, code=1)  # the mirror has two languages, and the message says what to type
    assert "--available" in told and "--languages de,en" in told
    assert "mean over 2 languages" in stilts(*words, "--available")

    (published,) = re.findall(r"^published +(\S+)", trained, re.MULTILINE)
    assert "weights" in stilts("reproduce", published)
    assert "Nothing waits" in stilts("publish", "my run") or "on the Hub" in stilts("publish", "my run")

    run = ("evaluate", "xtreme", "--base", BASE, "--tasks", "udpos,tatoeba", "--available", *steps)
    stilts(*run, "--output-dir", "my benchmark")
    written = stilts("submission", "my submission", "--predictions", "my benchmark")
    assert "xnli" in stilts(*next_step(written), code=1), "a part of a benchmark is checked, and not complete"
