"""Where a training starts is said in three words, base, init and model; the words of before warn, and work."""

import warnings
from types import SimpleNamespace

import pytest
import tiny
import torch
from toy_tasks import PAIRS, rows
from transformers import TrainingArguments
from typer.testing import CliRunner

from hf_stilts.cli import app
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation import processes
from hf_stilts.hub import reachable
from hf_stilts.studies import benchmark
from hf_stilts.training import run as runs
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.start import model_and_base
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer


def trainer(folder, trainer_class=TargetTrainer, **start):
    args = TrainingArguments(str(folder / "run"), use_cpu=True, report_to="none")
    data = {"train_dataset": rows(PAIRS), "eval_dataset": rows(PAIRS)}
    if trainer_class is MixtureTrainer:
        data = {name: {PAIRS.name: given} for name, given in data.items()} | {"tasks": [PAIRS]}
    else:
        data["task"] = PAIRS
    return trainer_class(args=args, **data, **start)


def test_a_name_as_model_is_a_base_and_warns(tmp_path):
    model = tiny.encoder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model_and_base(model, None) == (model, None)
        assert model_and_base(None, "org/base") == (None, "org/base")
        assert model_and_base(None, tmp_path) == (None, str(tmp_path))
        assert model_and_base(None, None) == (None, None)
    for name in ("org/base", tmp_path):
        with pytest.warns(FutureWarning, match="Pass base= for a public model, or init="):
            assert model_and_base(name, None) == (None, str(name))
    for given in (model, "org/other"):
        with pytest.raises(StiltsError, match="model= was given beside base='org/base'"):
            model_and_base(given, "org/base")


@pytest.mark.parametrize("trainer_class", [TargetTrainer, MixtureTrainer])
def test_a_processor_pins_no_memory_of_which_torch_warns(trainer_class, tmp_path):
    """In whatever way a Trainer is used: in a script, by a command, by its dry run."""
    here = trainer(tmp_path, trainer_class, base=tiny.save(tmp_path / "public"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert next(iter(here.get_train_dataloader()))


@pytest.mark.parametrize("trainer_class", [IntermediateTrainer, TargetTrainer, MixtureTrainer])
def test_a_trainer_starts_from_its_base_by_either_word(trainer_class, tmp_path):
    public = tiny.save(tmp_path / "public")
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        now = trainer(tmp_path, trainer_class, base=public)
    with pytest.warns(FutureWarning, match="base= for a public model") as said:
        before = trainer(tmp_path, trainer_class, model=public)
    assert len([each for each in said if "base=" in str(each.message)]) == 1
    assert now.record().parent == before.record().parent
    assert now.record().parent.id == "public"
    states = (each.model.state_dict() for each in (now, before))
    assert all(torch.equal(first, second) for first, second in zip(*(each.values() for each in states), strict=True))


def test_a_base_beside_init_is_compared_and_not_loaded(tmp_path):
    base, other = tiny.save(tmp_path / "base"), tiny.save(tmp_path / "init", seed=1)
    started = trainer(tmp_path, base=base, init=other)
    assert started.record().parent.id == "init"
    wanted = tiny.encoder(seed=1).get_input_embeddings().weight
    assert torch.equal(started.model.get_input_embeddings().weight, wanted)
    with pytest.raises(StiltsError, match="does not descend from .*bert"):
        trainer(tmp_path, base=tiny.save(tmp_path / "bert", "bert"), init=other)
    with pytest.raises(StiltsError, match="Both a model object and init="):
        trainer(tmp_path, model=tiny.encoder(), init=other)


def test_a_benchmark_takes_a_base_by_either_word():
    for words in ({"base": "../gone"}, {"model": "../gone"}):
        with pytest.raises(StiltsError, match="gone is neither a folder"):
            benchmark.run_benchmark("xtreme", **words)
    with pytest.warns(FutureWarning, match="Pass base="), pytest.raises(StiltsError, match="gone is neither"):
        benchmark.run_benchmark("xtreme", model="../gone")


@pytest.fixture
def started(monkeypatch):
    """Where trainings were told to start by a command; nothing is trained, and no Hub is asked."""
    found = []

    def note(*_, base=None, init=None, **__):
        found.append((base, init))
        return {"phase": "target", "folder": "x"}

    monkeypatch.setattr(runs, "run_phase", note)
    monkeypatch.setattr(benchmark, "run_benchmark", lambda _, base, *, init=None, **__: note(base=base, init=init))
    monkeypatch.setattr(reachable, "check_reachable", lambda *_, **__: None)
    monkeypatch.setattr(processes, "processes", lambda: SimpleNamespace(is_main_process=False))
    return found


COMMANDS = {
    "intermediate mnli --no-publish": {"--base org/base": ("--model org/base",)},
    "target udpos": {
        "--base org/base --init mnli": ("--model org/base --from mnli", "--model=org/base --from=mnli"),
        "--init mnli": ("--from mnli",),
    },
    "evaluate xtreme": {"--base org/base --init mnli": ("--model org/base --from mnli",)},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_take_either_word_and_say_the_new_one(command, started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for now, before in COMMANDS[command].items():
        for words in (now, *before):
            started.clear()
            done = CliRunner().invoke(app, [*command.split(), *words.split()])
            assert done.exit_code == 0, done.output
            expected = "org/base" if "org/base" in words else None, "mnli" if "mnli" in words else None
            assert started == [expected]
            old = [word.partition("=")[0] for word in words.split() if word.startswith(("--model", "--from"))]
            new = [word for word in now.split() if word.startswith("--")]
            said = done.stderr.splitlines()
            assert len(said) == len(old)
            assert all(any(line.startswith(f"{word} is --") for line in said) for word in old)
            assert not old or all(any(word in line for line in said) for word in new)


def test_a_task_that_is_scored_still_wants_a_model(mistake):
    assert "No model was given to score on udpos" in mistake("evaluate", "udpos")
    assert "--base is no option for udpos" in mistake("evaluate", "udpos", "--model", "x/y", "--base", "x/y")
    assert "--model was given beside --base" in mistake("evaluate", "xtreme", "--model", "x/y", "--base", "x/y")
