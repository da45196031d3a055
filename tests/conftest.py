"""Fixtures that more than one test file uses."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before anything of Hugging Face is imported: tests neither read nor fill the caches and tokens of whoever runs them.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf_stilts_tests_")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

import pytest  # noqa: E402
from hub_fixture import Client, Faults  # noqa: E402


@pytest.fixture
def faults() -> Faults:
    """Faults of the `hub` fixture; none until a test adds one."""
    return Faults()


@pytest.fixture
def hub(tmp_path: Path, faults: Faults) -> Iterator:
    """A running embedded Hub on an empty folder: `hub.url`, `hub.environment()`."""
    from hf_stilts.local_hub import LocalHub

    with LocalHub(tmp_path / "hub", middleware=faults) as running:
        yield running


@pytest.fixture
def client(hub, tmp_path: Path) -> Client:
    """Stock clients in new processes, set to the `hub` fixture: `client.python(code)`, `client.hf("repos", "ls")`."""
    return Client(hub.environment(), tmp_path / "hf_home")
