"""Fixtures that more than one test file uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_fixture import Client, Faults


@pytest.fixture
def faults() -> Faults:
    """Faults of the `hub` fixture; none until a test adds one."""
    return Faults()


@pytest.fixture
def hub(tmp_path: Path, faults: Faults) -> Iterator:
    """A running embedded Hub on an empty folder: `hub.url`, `hub.environment()`."""
    from hf_stilts.hub.local import LocalHub

    with LocalHub(tmp_path / "hub", middleware=faults) as running:
        yield running


@pytest.fixture
def client(hub, tmp_path: Path) -> Client:
    """Stock clients in new processes, set to the `hub` fixture: `client.python(code)`, `client.hf("auth", "whoami")`."""
    return Client(hub.environment(), tmp_path / "hf_home")
