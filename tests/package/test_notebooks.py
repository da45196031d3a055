"""The notebooks run from top to bottom, at tiny size, against the embedded Hub."""

import json
import re

import pytest
import story
from places import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# In this order: the second loads what the first has published.
ORDER = ("first_checkpoint", "load_and_finetune", "mine_bitext", "your_own_task", "read_a_study")


def cells(path):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def code(path):
    """A notebook's Python, a few steps for hundreds; lines of IPython (%pip) are left out."""
    lines = "".join("".join(cell["source"]) + "\n" for cell in cells(path)).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(("%", "!")))
    return re.sub(r"save_steps=\d+", "save_steps=2", re.sub(r"max_steps=\d+", "max_steps=4, use_cpu=True", text))


def test_every_notebook_is_run_and_named_in_the_readme():
    assert sorted(ORDER) == [path.stem for path in NOTEBOOKS]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in ORDER if f"notebooks/{name}.ipynb" not in readme] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_no_outputs_are_kept_and_the_code_compiles(path):
    for cell in cells(path):
        assert cell["outputs"] == [] and cell["execution_count"] is None
    compile(code(path), str(path), "exec")


@pytest.mark.slow
def test_the_notebooks_run(client, tmp_path):
    story.publish_base(client, tmp_path)
    mirror = str(story.write_mirror(tmp_path))
    said = {}
    for name in ORDER:
        program = f"import os\nos.chdir({str(tmp_path)!r})\n{code(ROOT / 'notebooks' / f'{name}.ipynb')}"
        said[name] = client.python(program, HF_STILTS_DATA=mirror)
    assert "me/xlm-roberta-base-stilts-mnli" in said["first_checkpoint"]
    assert "come from me/xlm-roberta-base-stilts-mnli@" in said["load_and_finetune"]
    assert "zero-shot" in said["load_and_finetune"]
    assert "Eine Eule. =" in said["mine_bitext"]
    assert "accuracy" in said["your_own_task"]
    assert "phang2020" in said["read_a_study"]
