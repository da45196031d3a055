"""What holds kinds together: the type checker knows their methods, and only `kinds/` and `tasks/` know their names."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from packaging.version import Version

import hf_stilts
from hf_stilts.declarations import list_kinds

PACKAGE = Path(hf_stilts.__file__).parent
STUB = PACKAGE.parent / "stubs" / "transformers" / "__init__.pyi"

# Those who may say a kind's name, and why.
EXEMPT = {
    "kinds": "where kinds are",
    "tasks": "each of which is of a kind",
    "quickstart": "defines tasks of its own, and trains one masked LM from nothing to have a public model",
}
# A kind's module that is no kind by itself: what several share may be used by everybody.
SHARED = {"base", "dual_encoder", "features", "masked_positions", "offsets", "rows", "spans", "text_to_text", "vectors"}


def code_files():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in EXEMPT]


def names_of_kinds(source, kinds):
    """Line and word where code, docstrings apart, has a kind's name as a literal or imports a kind's module."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    modules = {f"hf_stilts.kinds.{kind.replace('-', '_')}" for kind in kinds}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in kinds and id(node) not in prose:
            yield node.lineno, node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            found = re.search(rf"(?<![\w-])(target:)?({'|'.join(kinds)})(?![\w-])", node.value)
            if found:
                yield node.lineno, found[0]
        elif isinstance(node, ast.ImportFrom):
            imported = {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
            yield from ((node.lineno, name) for name in sorted(imported & modules))


def test_no_kind_is_known_by_name_outside_of_kinds_and_tasks():
    kinds = {*list_kinds()}
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {word}"
        for path in code_files()
        for line, word in names_of_kinds(path.read_text(encoding="utf-8"), kinds)
    ]
    assert len(code_files()) > 100 and not found


@pytest.mark.parametrize(
    "source",
    ['if task.kind == "fill-mask": ...', 'ROWS = {"target:question-answering": 1}', 'print(f"no {x} fill-mask class")',
     "from hf_stilts.kinds import fill_mask", "from hf_stilts.kinds.fill_mask import KIND"],
)  # fmt: skip
def test_a_name_would_be_found(source):
    assert len([*names_of_kinds(source, {"fill-mask", "question-answering"})]) == 1
    assert not [*names_of_kinds(f'"""{source!r}"""', {"fill-mask", "question-answering"})], "prose may"


def test_no_kind_is_asked_in_a_way_that_the_type_checker_does_not_see():
    asked = re.compile(r"""\b(?:getattr|hasattr)\([^"'\n]*\bkind\b|\bkind: Any\b""")
    assert asked.search('getattr(load_kind(task.kind), "joint")') and asked.search('hasattr(self.kind, "loss")')
    files = [
        path for path in sorted(PACKAGE.rglob("*.py")) if "local_hub" not in path.parts and path.name != "record.py"
    ]
    assert len(files) > 100 and not [path for path in files if asked.search(path.read_text(encoding="utf-8"))]


def test_every_module_of_kinds_is_a_kind_or_shared():
    modules = {path.stem for path in (PACKAGE / "kinds").glob("*.py")} - {"__init__"}
    assert modules == SHARED | {kind.replace("-", "_") for kind in list_kinds()}


# Which file is broken how, and what mypy must say of it.
BROKEN = {
    "kinds/text_classification.py": ("def collator(", "def collate(", 'abstract.*"collator"'),
    "kinds/multiple_choice.py": (
        "def decode(self, task: Task, rows: Dataset, features: Dataset, outputs",
        "def decode(self, task: Task, rows: Dataset, outputs",
        'Signature of "decode" incompatible with supertype',
    ),
    "kinds/bitext_mining.py": ("def first(self, rows: Dataset, limit: int)", "def first(self, rows: Dataset)", "first"),
    "evaluation/predict.py": ("kind.reduce(found,", "kind.reduced(found,", 'no attribute "reduced"'),
    "evaluation/zero_shot.py": ("kind.evaluate_jointly(", "kind.evaluate_all(", 'attribute "evaluate_all"'),
    "kinds/text_to_text.py": ("self.of.decode(", "self.of.decoded(", 'no attribute "decoded"'),
    "data/canonical.py": ("task.declaration.corpus", "task.declaration.corpse", 'no attribute "corpse"'),
    "training/broken.py": ("", "", '"Broken" has no attribute "tusk"(.*\n)*.*"Kind" has no attribute "collate"'),
}
MIX_IN = """from hf_stilts.training.trainer import StiltsTrainer


class Broken(StiltsTrainer):
    def broken(self) -> None:
        self.tusk.call(self.args.seed)
        self.kind.collate(self.processing_class)
"""
# Packages that mypy does not read here, which makes it a matter of seconds.
OTHERS = """accelerate datasets evaluate filelock huggingface_hub jinja2 lazy_loader matplotlib numpy pandas peft
pyarrow regex rich safetensors tokenizers torch tqdm transformers yaml""".split()
SETTINGS = """[mypy]
strict = True
mypy_path = stubs
disallow_subclassing_any = False
disallow_untyped_decorators = False
warn_return_any = False
warn_unused_ignores = False
disable_error_code = import-untyped
"""


def mypy(root):
    """What mypy finds in the copy's files, with the project's strictness."""
    skip = "follow_imports = skip\nignore_missing_imports = True\n"
    settings = SETTINGS + "".join(f"[mypy-{name}.*]\n{skip}" for name in OTHERS)
    (root / "mypy.ini").write_text(settings)
    files = [f"hf_stilts/{name}" for name in BROKEN]
    command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", "--no-error-summary", *files]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow  # mypy over the whole package
@pytest.mark.skipif(not STUB.is_file(), reason="the stubs are not beside an installed package")
def test_mypy_fails_where_a_method_of_a_kind_or_of_a_trainer_has_another_name_or_signature(tmp_path):
    pytest.importorskip("mypy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "hf_stilts", ignore=ignored)
    shutil.copytree(PACKAGE.parent / "metrics", tmp_path / "hf_stilts" / "metrics", ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(STUB.parent, tmp_path / "stubs" / "transformers")
    (tmp_path / "hf_stilts" / "training" / "broken.py").write_text(MIX_IN)
    for name, (right, wrong, _) in BROKEN.items():
        path = tmp_path / "hf_stilts" / name
        text = path.read_text(encoding="utf-8")
        assert right in text, name
        path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    said = mypy(tmp_path)
    for name, (_, _, expected) in BROKEN.items():
        assert re.search(rf"^hf_stilts/{name}:.*{expected}", said, re.MULTILINE), f"{name} is not in:\n{said}"


@pytest.mark.skipif(not STUB.is_file(), reason="the stubs are not beside an installed package")
@pytest.mark.skipif(Version(transformers.__version__) < Version("5.23"), reason="the stubs are of 5.23")
def test_the_stub_of_the_trainer_names_what_the_stock_one_has():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    (trainer,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    names = {node.target.id if isinstance(node, ast.AnnAssign) else node.name for node in trainer.body}
    source = Path(inspect.getfile(transformers.Trainer)).read_text(encoding="utf-8")
    attributes = {*re.findall(r"\bself\.(\w+)\b", source), *dir(transformers.Trainer)}
    assert len(names) > 50 and not names - attributes
