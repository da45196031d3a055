"""Which flags make another run."""

import importlib.util
import sys

import pytest
from toy_tasks import PAIRS, TAGS, rows
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from hf_stilts.errors import StiltsError
from hf_stilts.training import flags
from hf_stilts.training.flags import check_reporting, deciding, names
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.trainer import IntermediateTrainer


def test_what_decides_a_result_is_compared_by_value():
    ours = ["--learning-rate=3e-5", "--max_steps", "20", "--bf16", "False", "--lr_scheduler_type", "cosine"]
    theirs = ["--bf16=false", "--max-steps=20", "--disable_tqdm", "true", "--learning_rate", "0.00003"]
    theirs += ["--logging_steps", "5", "--save_total_limit=1", "--report_to", "none", "--lr_scheduler_type=cosine"]
    assert deciding(ours) == deciding(theirs)
    assert deciding([*ours, "--seed", "2"])["seed"] == (2.0,)
    assert deciding(["--max_steps", "20", "--max_steps", "30"]) == {"max_steps": (30.0,)}, "the last one counts"
    assert names(theirs)[:2] == ["bf16", "max_steps"]


@pytest.fixture
def missing(monkeypatch):
    """No package to report with is installed."""
    found = importlib.util.find_spec
    gone = {module for _, *modules in flags._REPORTING.values() for module in modules}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in gone else found(name, *rest))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_place_to_report_to_that_is_not_installed_is_said_before_any_work(name, missing, mistake, monkeypatch):
    monkeypatch.setitem(sys.modules, "hf_stilts.training.run", None)  # which imports torch: nobody comes that far
    said = mistake("intermediate", "mnli", "--report_to", name)
    assert f"pip install {name}" in said and said.count("\n") == 1
    assert f"pip install {name}" in mistake("target", "xnli", f"--report-to={name}")


def test_trainers_say_so_before_a_model_is_loaded(missing, monkeypatch, tmp_path):
    args = TrainingArguments(str(tmp_path), report_to=["wandb"])
    data = rows(PAIRS)
    for make in (
        lambda: IntermediateTrainer("org/nowhere", args, task=PAIRS, train_dataset=data, eval_dataset=data),
        lambda: MixtureTrainer(
            "org/nowhere", args, tasks=[PAIRS, TAGS], train_dataset={"pairs": data, "tags": rows(TAGS)}
        ),
    ):
        with pytest.raises(StiltsError, match="pip install wandb"):
            make()


def test_places_to_report_to(monkeypatch):
    assert set(flags._REPORTING) >= set(INTEGRATION_TO_CALLBACK), "transformers knows another one"
    for allowed in (None, "none", "all", [], ["none"], "kubeflow"):
        check_reporting(allowed)
    with pytest.raises(StiltsError, match="Did you mean wandb"):
        check_reporting("wandbb")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: name == "tensorboardX")
    check_reporting(["tensorboard"])
