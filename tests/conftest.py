"""Fixtures that more than one test file uses."""

import atexit
import functools
import gc
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

# Before anything of Hugging Face is imported: tests neither read nor fill the caches and tokens of whoever runs them.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf_stilts_tests_")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

import pytest  # noqa: E402
import typer.main  # noqa: E402

# All commands with all their options are made from their functions once, and not for every command that a test types.
typer.main.get_command = functools.cache(typer.main.get_command)

import result_files  # noqa: E402
import story  # noqa: E402
import warm  # noqa: E402
from hub_fixture import TOKEN, Client, Faults  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# How long a busy machine takes says nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """Leave what is imported out of garbage collections: each training ends with one, half a second long otherwise."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _leave_out_of_collections() -> Iterator[None]:
    """What the tests of a file have imported and kept, too: the collections of later trainings grew to 0.2 seconds."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def online() -> Iterator[None]:
    """A command that found no Hub goes on without it, to the end of its process; here tests come after it."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    yield
    constants.HF_HUB_OFFLINE = before


@pytest.fixture
def faults() -> Faults:
    """Faults of the `hub` fixture; none until a test adds one."""
    return Faults()


@pytest.fixture
def hub(tmp_path: Path, faults: Faults) -> Iterator:
    """A running embedded Hub on an empty folder: `hub.url`, `hub.environment()`."""
    from hf_stilts.local_hub import LocalHub

    running = LocalHub(tmp_path / "hub", middleware=faults)
    running.__enter__()
    yield running
    # Its server takes 0.2 seconds to see that it has to end; the next test need not wait for that.
    threading.Thread(target=running.__exit__, args=(None, None, None)).start()


@pytest.fixture
def client(hub, tmp_path: Path) -> Client:
    """Stock clients in new processes, set to the `hub` fixture: `client.python(code)`, `client.hf("repos", "ls")`."""
    return Client(hub.environment(), tmp_path / "hf_home")


@pytest.fixture
def stock(hub, monkeypatch, tmp_path: Path) -> None:
    """Make stock clients in this process ask the `hub` fixture, and keep what they fetch apart."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def here(hub, monkeypatch):
    """Make the upload workers of trainings in this process talk to the `hub` fixture."""
    from hf_stilts.publishing import outbox

    monkeypatch.setattr(outbox, "constants", SimpleNamespace(ENDPOINT=hub.url))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def api(hub, here):
    """A stock client of the `hub` fixture in this process."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture
def mistake(monkeypatch, capsys):
    """What the command says of a mistake on standard error; it ends with exit code 1 and prints nothing else."""
    from hf_stilts.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["hf-stilts", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert (end.value.code, said.out) == (1, "")
        assert said.err.startswith("Error: ")
        return said.err

    return run


@pytest.fixture
def stilts(client, tmp_path):
    """The command, its Hub holding a tiny public model under the real name; what it printed as JSON comes back."""
    story.publish_base(client, tmp_path)
    environment = client.environment | {"HF_STILTS_DATA": str(story.write_mirror(tmp_path))}

    def run(*words: str, code: int = 0):
        typed = f"import sys; sys.argv = {['hf-stilts', *words]}; from hf_stilts.cli import main; main()"
        done = warm.run(typed, environment, tmp_path, timeout=180)
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if "--json" in words and code == 0 else done.stdout + done.stderr

    return run


@pytest.fixture
def files(tmp_path):
    """Result files of all starts and seeds of `result_files.SCORES`."""
    return [
        result_files.write(tmp_path / f"{start}-{seed}", start, scores)
        for start, runs in result_files.SCORES.items()
        for seed, scores in enumerate(runs)
    ]
