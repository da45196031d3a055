"""`hf stilts`: what `hf extensions install` looks for is there, and `hf` runs it."""

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from huggingface_hub.cli import extensions


def test_hf_runs_the_command_as_an_extension(tmp_path):
    name = extensions._get_executable_name("stilts")
    (script,) = entry_points(group="console_scripts", name=name)
    assert script.value == "hf_stilts.cli:main"
    executable = Path(sys.executable).parent / name
    if not executable.is_file():
        pytest.skip(f"{executable} is not installed")
    # What `hf extensions install` leaves behind, without the network and the second environment.
    manifest = {
        "owner": "me", "repo": "hf-stilts", "repo_id": "me/hf-stilts", "short_name": "stilts", "type": "python",
        "executable_path": str(executable), "installed_at": datetime.now(timezone.utc).isoformat(),
    }  # fmt: skip
    folder = tmp_path / ".local/share/hf/extensions/hf-stilts"
    folder.mkdir(parents=True)
    (folder / extensions.MANIFEST_FILENAME).write_text(json.dumps(manifest))
    quiet = {"HF_HUB_DISABLE_UPDATE_CHECK": "1", "HOME": str(tmp_path)}
    hf = [str(Path(sys.executable).parent / "hf"), "stilts", "--version"]
    done = subprocess.run(hf, capture_output=True, text=True, env=os.environ | quiet, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"hf_stilts {version('hf_stilts')}\n"
