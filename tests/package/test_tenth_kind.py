"""A kind in one file outside the package: trained, published, loaded by name, evaluated, compared, not submitted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import regression_kind
import tiny
from datasets import Dataset
from huggingface_hub import ModelCard
from stock_run import IMPATIENT

from hf_stilts.benchmark import Benchmark
from hf_stilts.declarations import Declaration, declared, import_kind, list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation import xtreme
from hf_stilts.evaluation.results import SETTINGS
from hf_stilts.evaluation.submission import check_submission, write_submission
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.studies.benchmark import run_benchmark
from hf_stilts.studies.gains import gains
from hf_stilts.task import Task, load_task
from hf_stilts.training.checks import mixture_tasks
from hf_stilts.training.mixture_tasks import aggregate_weights
from hf_stilts.training.recipes import recipe
from hf_stilts.training.run import run_phase

SUPPORT = Path(regression_kind.__file__).parent
FLAGS = ("--use_cpu", "true", "--report_to", "none", "--per_device_train_batch_size", "4", "--learning_rate", "1e-2")


def install(folder, kind="text-regression", points_at="regression_kind", task="starred_reviews"):
    """Make entry points of an installed package; its modules lie beside this file's helpers, which can be imported."""
    info = folder / "starred-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: starred\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[hf_stilts.kinds]\n{kind} = {points_at}\n[hf_stilts.tasks]\nstarred_reviews = {task}\n"
    )
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    yield tmp_path / "site"
    declared.cache_clear()


@pytest.fixture
def data(tmp_path):
    """A mirror in which cats get one star and dogs get four; who only knows the mean is right in no row."""
    repository = tmp_path / "data" / "owls" / "reviews"
    for code in ("en", "de"):
        for split in ("train", "validation", "test"):
            rows = [{"text": "the cat reads", "stars": 1.0}, {"text": "the dog reads", "stars": 4.0}] * 6
            (repository / code).mkdir(parents=True, exist_ok=True)
            Dataset.from_list(rows).to_parquet(repository / code / f"{split}-00000-of-00001.parquet")
    lines = ["---", "configs:"]
    for code in ("en", "de"):
        lines += [f"- config_name: {code}", "  data_files:"]
        lines += [
            line
            for split in ("train", "validation", "test")
            for line in (f"  - split: {split}", f"    path: {code}/{split}-*")
        ]
    (repository / "README.md").write_text("\n".join([*lines, "---", ""]))
    return tmp_path / "data"


OWLS = Benchmark(name="owls", title="Owls", languages=("en", "de"), groups={"reviews": ("starred_reviews",)})


def test_its_package_is_read_and_not_imported_to_know_its_columns(installed):
    code = (
        "import sys; from hf_stilts.task import load_task, list_tasks; task = load_task('starred_reviews')\n"
        "print(task.name in list_tasks(), [*task.declaration.columns], task.declaration.pipeline_tag)\n"
        "print(*({'torch', 'transformers', 'numpy', 'regression_kind'} & {*sys.modules}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{installed}:{SUPPORT}"},
    ).stdout  # fmt: skip
    assert said == "True ['text', 'stars'] text-classification\n\n"


@pytest.mark.parametrize("name", [*list_kinds(), "text-regression"])
def test_what_is_read_off_the_source_is_what_the_class_has(name, installed):
    imported, read = type(import_kind(name)), declared(name)
    assert read is not imported, "it had to be imported"
    for value in Declaration.__annotations__:
        assert getattr(read, value) == getattr(imported, value), value


def test_a_declaration_that_is_computed_is_imported(tmp_path, monkeypatch):
    (tmp_path / "counted_kind.py").write_text(
        "from regression_kind import TextRegression\nclass Counted(TextRegression):\n"
        "    name = 'counted'\n    columns = {f'{name}_text': 'text'}\nKIND = Counted()\n"
    )
    monkeypatch.syspath_prepend(install(tmp_path, "counted", "counted_kind"))
    assert declared("counted").columns == {"counted_text": "text"}


@pytest.mark.parametrize(("columns", "said"), [({"text": "txt"}, "text: 'txt'"), ({}, "nothing")])
def test_columns_that_hold_nothing_known_are_refused(columns, said, tmp_path, monkeypatch):
    (tmp_path / "wrong_kind.py").write_text(
        "from hf_stilts.kinds import Kind\nclass Wrong(Kind):\n    name = 'wrong'\n"
        f"    columns = {columns}\nKIND = Wrong()\n"
    )
    monkeypatch.syspath_prepend(install(tmp_path, "wrong", "wrong_kind"))
    with pytest.raises(StiltsError, match=f"{said} in its columns; expected.*text, texts"):
        Task(kind="wrong", dataset="x/y")


@pytest.mark.parametrize("points_at", ["stock_run:IMPATIENT", "regression_kind:np", "regression_kind"])
def test_what_bears_the_name_of_a_kind_and_is_none_is_refused(points_at, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path, "something-else", points_at))
    with pytest.raises(StiltsError, match="was to hold the kind 'something-else'"):
        import_kind("something-else")


def test_a_kind_without_file_or_entry_point_names_the_nearest():
    for name in ("text-regression", "features", "../task", ""):  # some of them files, which are no kinds
        with pytest.raises(StiltsError, match=f"has kind '{name}'.*(Did you mean|Known)"):
            Task(kind=name, dataset="x/y")


@pytest.mark.slow
def test_it_is_trained_published_loaded_by_name_and_evaluated(installed, data, tmp_path, api, client):
    publish = PublishCheckpoints(namespace="me", pace=IMPATIENT)
    base = tiny.save(tmp_path / "tiny")
    done = run_phase(
        "intermediate", "starred_reviews", [*FLAGS, "--output_dir", str(tmp_path / "run"), "--max_steps", "60"],
        publish=publish, model=base, data_dir=data,
    )  # fmt: skip
    assert publish.report.ok and done["accuracy"] > 40
    name = "me/tiny-stilts-starred_reviews"
    card = ModelCard(Path(api.hf_hub_download(name, "README.md", cache_dir=tmp_path / "hub")).read_text())
    assert card.data.pipeline_tag == "text-classification" and card.data.datasets == ["owls/reviews"]
    assert "accuracy" in card.data.metrics and "starred_reviews" in card.content
    record = Record.from_json(Path(api.hf_hub_download(name, RECORD_FILE, cache_dir=tmp_path / "hub")).read_bytes())
    assert record.tasks[0].license == "cc0-1.0" and record.labels == ("stars",)

    code = (
        "import json; from hf_stilts import load_checkpoint, zero_shot\n"
        "model = load_checkpoint('starred_reviews', base='tiny', namespace='me')\n"
        f"table = zero_shot({name!r}, 'starred_reviews', data_dir={str(data)!r})\n"
        "found = table[table['main']][['language', 'metric', 'score']].values.tolist()\n"
        "print(json.dumps([type(model).__name__, found]))"
    )
    path = f"{installed}:{SUPPORT}"
    architecture, found = json.loads(client.python(code, PYTHONPATH=path).splitlines()[-1])
    assert architecture == "XLMRobertaForSequenceClassification"
    assert found == [["en", "accuracy", done["accuracy"]], ["de", "accuracy", done["accuracy"]]]


@pytest.mark.slow
def test_a_benchmark_has_it_gains_count_it_and_no_submission_takes_it(installed, data, tmp_path):
    runs = []
    for label, steps in (("none", "1"), ("mnli", "60")):
        runs.append(tmp_path / label)
        run_benchmark(
            OWLS, str(tiny.save(tmp_path / "tiny")), label=label, out=runs[-1], data_dir=data,
            flags=[*FLAGS, "--max_steps", steps],
        )  # fmt: skip
    # Shorter training stands for a worse start; runs whose settings say so would be refused.
    (runs[0] / SETTINGS).write_bytes((runs[1] / SETTINGS).read_bytes())
    report = gains(runs, benchmark=OWLS, bootstrap=20)
    (row,) = report.tasks
    assert row["task"] == "starred_reviews" and row["gain"] > 20 and row["up"] == 2
    assert all(0 <= each["p"] <= 1 and each["low"] <= each["gain"] <= each["high"] for each in report.languages)
    refused = "starred_reviews is a text-regression task, whose predictions have no form in a submission"
    with pytest.raises(StiltsError, match=refused):
        write_submission(tmp_path / "submission", runs[1], OWLS, data_dir=data)
    (tmp_path / "submission" / "starred_reviews").mkdir(parents=True)
    with pytest.raises(StiltsError, match=refused):
        check_submission(tmp_path / "submission", OWLS)
    with pytest.raises(StiltsError, match=refused):
        xtreme.evaluate(tmp_path / "submission", tmp_path / "submission", OWLS)


def test_recipes_and_mixtures_take_it(installed):
    task = load_task("starred_reviews")
    assert recipe("jiant", task) == recipe("jiant", load_task("mnli"))
    assert aggregate_weights(mixture_tasks([task]), None) == {"starred_reviews": 1.0}
