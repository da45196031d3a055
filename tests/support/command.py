"""The `hf-stilts` command: run in this process, and checked without running it."""

import typer
from transformers import TrainingArguments
from typer.testing import CliRunner

from hf_stilts.cli import app


def check(words):
    """Assert that a command exists and has the options that these words give it; `words` begin behind `hf-stilts`."""
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    if hasattr(command, "commands") and command.name == "submission":  # `submission DIR` is `submission write DIR`
        command = command.commands["write"]
    assert command.name, f"no command {words[0]}"
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options |= {option.replace("-", "_").replace("__", "--", 1) for option in options}  # both spellings are taken
    for word in rest:
        if not word.startswith("--"):
            continue
        name = word.partition("=")[0]
        takes_stock = command.context_settings.get("ignore_unknown_options")
        stock = takes_stock and name[2:] in TrainingArguments.__dataclass_fields__
        assert name in options or stock, f"{' '.join(words)}: {command.name} has no option {name}"


def run(*words):
    """Exit code and standard output of a command that makes no mistake."""
    done = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}).invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout
