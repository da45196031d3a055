"""README and documentation say what is there: files, links, commands with their options, names that are imported."""

import ast
import importlib
import importlib.util
import json
import re
import shlex

import pytest
from command import check
from places import ROOT

from hf_stilts.data.load import load
from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.task import Task

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "dataset_scripts").glob("*.md"),
    *(ROOT / "metrics").rglob("*.md"),
]
PAGES = sorted(page for page in PAGES if page.name != "commands.md")  # which `make docs` generates
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
# Where a path in backticks may begin.
ROOTS = (ROOT, ROOT / "hf_stilts")
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/[\w.-]+\.(?:py|md|toml|yml|pyi))`")
PLACEHOLDERS = ("NAME", "my_package", "mirror/", "path/to", "training_args")
MADE = ("docs/reference/commands.md",)


def blocks(page, languages):
    """Code blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    return [block for _, language, block in BLOCK.findall(text) if language in languages]


def commands(block):
    """The words of every `hf-stilts` command of a shell block, without `hf-stilts` itself."""
    for line in block.replace("\\\n", " ").splitlines():
        for command in line.partition("# ")[0].split("hf-stilts ")[1:]:
            yield shlex.split(re.split(r" && |; | {3,}", command)[0])  # text beside a command stands apart from it


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_a_page_names_are_there(page):
    named = FILE.findall(page.read_text(encoding="utf-8"))
    ours = [name for name in named if not any(word in name for word in PLACEHOLDERS)]
    roots = (*ROOTS, page.parent)
    missing = [name for name in ours if name not in MADE and not any((root / name).exists() for root in roots)]
    assert not missing


def test_the_architecture_draws_every_module_and_names_files_that_are_there():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawing = blocks(ROOT / "docs/architecture.md", ("",))[0]
    drawn = [word for line in drawing.splitlines() for word in re.split(r"\s{3,}", line.strip())[0].split()]
    there = [path.stem for path in (ROOT / "hf_stilts").iterdir() if path.suffix == ".py" or path.is_dir()]
    assert sorted(drawn) == sorted({*there, "metrics", "dataset_scripts"} - {"__init__", "__pycache__"})
    named = set(re.findall(r"`([\w./]+\.py)`", text))
    assert len(named) > 40
    assert not [name for name in named if not any((root / name).is_file() for root in ROOTS)]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", each.lower()).strip().replace(" ", "-") for each in headings}
            assert heading in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist_with_their_options(page):
    for block in blocks(page, ("", "bash")):
        for words in commands(block):
            check(words)


def test_every_wish_has_a_command_or_function_that_exists():
    page = (ROOT / "docs/how-to/asked_for.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row[0]) for row in rows] == [*range(1, 26)]
    for row in rows:
        said = re.findall("`([^`]+)`", row[2])
        typed = [each for each in said if "hf-stilts " in each]
        named = [each for each in said if re.fullmatch(r"hf_stilts(\.\w+)+", each)]
        assert typed or named, row
        for command in typed:
            check(shlex.split(command.split("hf-stilts ")[1]))
        for name in named:
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


def test_commands_are_found():
    assert sum(len(list(commands(block))) for page in PAGES for block in blocks(page, ("", "bash"))) > 100


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_compiles_and_imports_what_there_is(page):
    for block in blocks(page, ("python",)):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                assert all(importlib.util.find_spec(alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_converter_that_is_shown_converts(tmp_path):
    (code,) = [block for block in blocks(ROOT / "dataset_scripts/README.md", ("python",)) if "def convert" in block]
    shown = {}
    exec(code, shown)
    row = {"premise": "It rained.", "choice1": "It is wet.", "choice2": "It is dry.", "question": "effect", "label": 0}
    (tmp_path / "test.et.jsonl").write_text(json.dumps(row | {"idx": 7}) + "\n")
    assert shown["convert"](Raw(tmp_path, "xcopa", checksum=False), "et")["test"][0] == row


def test_the_card_for_files_of_ones_own_is_read(tmp_path):
    (card,) = [block for block in blocks(ROOT / "docs/how-to/data.md", ("yaml",)) if "configs:" in block]
    folder = tmp_path / "me" / "reviews"
    for file in re.findall(r"path: ([\w/.]+)", card):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps({"text": file, "label": "good"}) + "\n")
    (folder / "README.md").write_text(card)
    task = Task(
        kind="text-classification", dataset="me/reviews", config="{language}", labels=("bad", "good"),
        languages=("en", "de"), name="reviews",
    )  # fmt: skip
    for split, language in (("train", "en"), ("test", "en"), ("test", "de")):
        assert load(task, split, language, data_dir=tmp_path)[0]["text"] == f"{language}/{split}.jsonl"
