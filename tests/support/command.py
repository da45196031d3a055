"""The `hf-stilts` command run in this process."""

from typer.testing import CliRunner

from hf_stilts.cli import app


def run(*words):
    """Exit code and standard output of a command that makes no mistake."""
    done = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}).invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout
