"""What is imported is declared, and what is an extra is asked for by name where it is missing."""

import ast
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, version

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from places import ROOT

from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.models.adapters import load_peft
from hf_stilts.retrieval.sweep import plot_layers
from hf_stilts.studies.drawing import check_drawing
from hf_stilts.studies.explain import explain
from hf_stilts.studies.slurm import submit_study

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
# Import name -> distribution, where the two differ.
DISTRIBUTIONS = {"yaml": "pyyaml", "lazy_loader": "lazy-loader", "indic_transliteration": "indic-transliteration"}
OWN = {"hf_stilts", "metrics", "dataset_scripts"}


def imported(path):
    """Top-level names of other packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def declared(requirements):
    return {Requirement(requirement).name.replace("_", "-") for requirement in requirements}


def test_every_folder_of_the_package_is_in_the_wheel():
    built = PYPROJECT["tool"]["setuptools"]
    places = {"hf_stilts": ROOT / "hf_stilts"}
    places |= {name: ROOT / folder for name, folder in built["package-dir"].items()}
    there = set()
    for name, folder in places.items():
        for file in folder.rglob("*.py"):
            there.add(".".join([name, *file.parent.relative_to(folder).parts]))
    assert sorted(there) == built["packages"]


def test_constraints_hold_on_the_lowest_python():
    """A pin that the lowest Python cannot install carries a marker, or `make install` fails there."""
    lowest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    pins = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    checked = 0
    for pin in map(Requirement, filter(None, pins)):
        try:
            needed = metadata(pin.name)["Requires-Python"] or ""
        except PackageNotFoundError:
            continue
        if pin.specifier.contains(version(pin.name), prereleases=True):
            checked += 1
            taken = pin.marker is None or pin.marker.evaluate({"python_version": lowest})
            assert not taken or SpecifierSet(needed).contains(lowest), f"{pin}: needs Python {needed}"
    if not checked:
        pytest.skip("none of the pinned versions is installed")


def test_every_package_that_is_imported_is_declared():
    known = declared(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        known |= declared(extra)
    for folder in OWN:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name == "app.py":
                continue  # of a Space, where gradio is
            others = set(imported(path)) - sys.stdlib_module_names - OWN
            names = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in others}
            assert names <= known, f"{path} imports {names - known}"


def test_every_declared_dependency_has_a_lower_bound():
    for requirement in PROJECT["dependencies"]:
        assert ">=" in str(Requirement(requirement).specifier), requirement


def test_the_lowest_versions_are_those_of_the_bounds():
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci/lowest.py"), "torch==9.9"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert "torch==9.9" in lines
    (bound,) = (Requirement(each).specifier for each in PROJECT["dependencies"] if each.startswith("transformers"))
    (lowest,) = (re.sub("^transformers==", "", line) for line in lines if line.startswith("transformers=="))
    assert f">={lowest}" in str(bound)


def test_an_extra_that_is_missing_is_named():
    with pytest.raises(StiltsError, match=r"A picture needs no_such_package.*pip install 'hf_stilts\[figures\]'"):
        with needs_extra("figures", "A picture"):
            import no_such_package  # noqa: F401


@pytest.mark.parametrize(
    ("blocked", "extra", "call"),
    [
        ("matplotlib.figure", "figures", lambda: plot_layers([], "layers.png")),
        ("matplotlib", "figures", check_drawing),
        ("scipy.stats", "similarity", lambda: explain([], [], [])),
        ("submitit", "slurm", lambda: submit_study(None, "folder", {})),
        ("peft", "peft", load_peft),
    ],
)
def test_every_extra_is_named_by_what_needs_it(blocked, extra, call, monkeypatch):
    monkeypatch.setitem(sys.modules, blocked, None)
    with pytest.raises(StiltsError, match=rf"pip install 'hf_stilts\[{extra}\]'"):
        call()


@pytest.mark.parametrize(
    ("blocked", "command", "extra"),
    [
        ("pygit2", ["hub", "serve", "{folder}"], "local-hub"),
        ("starlette", ["quickstart", "--folder", "{folder}/new"], "quickstart"),
        ("matplotlib", ["quickstart", "--folder", "{folder}/new"], "quickstart"),
    ],
)
def test_a_command_without_its_extra_ends_in_one_line_before_it_writes(blocked, command, extra, tmp_path):
    code = f"import sys; sys.modules[{blocked!r}] = None; from hf_stilts.cli import main; main()"
    words = [word.format(folder=tmp_path) for word in command]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"pip install 'hf_stilts[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
