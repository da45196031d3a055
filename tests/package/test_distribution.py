"""The source distribution holds every folder of the repository, so that its tests run where it is unpacked."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"hf_stilts", "metrics", "dataset_scripts"}  # the wheel holds them, and so the source distribution


def test_every_folder_is_in_the_source_distribution():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("git says which folders there are, and this is no clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {line.partition("/")[0] for line in listed.splitlines() if "/" in line}
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    assert folders - PACKAGES == {line.removeprefix("graft ") for line in lines if line.startswith("graft ")}
