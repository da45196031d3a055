"""Options that are declared once: the flags that commands make of them, and what a command receives."""

import dataclasses

import mirrors
import pytest
import tiny
import typer
from command import run

from hf_stilts.cli import app
from hf_stilts.cli.options import typed
from hf_stilts.cli.training import RunOptions
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.options import ScoringOptions
from hf_stilts.evaluation.zero_shot import zero_shot
from hf_stilts.options import flag_of
from hf_stilts.studies.benchmark import run_benchmark
from hf_stilts.studies.options import BenchmarkOptions, StudyOptions
from hf_stilts.studies.study import load_study


def parameters(*words: str) -> dict:
    """Parameters of a command, by name."""
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return {each.name: each for each in command.params}


@pytest.mark.parametrize("command", ["plan", "run"])
def test_planning_and_running_a_study_have_every_declared_option(command):
    found = parameters("study", command)
    for each in dataclasses.fields(StudyOptions):
        assert found[each.name].opts == [each.metadata.get("flag") or flag_of(each.name)]
        assert found[each.name].help == each.metadata["help"]
        assert found[each.name].multiple is (each.metadata.get("several") == "again")


def test_what_is_typed_changes_the_study():
    received = {name: parameter.default for name, parameter in parameters("study", "plan").items()} | {
        "scale": "small",
        "base": ["a", "b"],
        "arms": ["none", "hellaswag"],
        "targets": "xnli, pawsx",
        "languages": "de,sw",
        "seeds": 2,
        "max_steps": 7,
        "limit": 5,
        "train_limit": 6,
        "rate": 3.0,
    }
    options = typed(StudyOptions, received)
    assert received["rate"] == 3.0 and "base" not in received, "the command's own stay, the others are taken out"
    study = options.changed(load_study("phang2020"))
    assert (study.base, [*study.arms]) == (("a", "b"), ["none", "hellaswag"])
    assert (study.targets, study.languages) == (("xnli", "pawsx"), ("de", "sw"))
    assert (study.seeds, study.limit, study.train_limit, study.flags["max_steps"]) == ((0, 1), 5, 6, 7)
    assert options.folder(study.name).as_posix() == "runs/study-phang2020"


def test_nothing_typed_leaves_the_study_as_it_is():
    received = {name: parameter.default for name, parameter in parameters("study", "run").items()}
    assert typed(StudyOptions, received) == StudyOptions()
    assert StudyOptions().changed(load_study("phang2020")) == load_study("phang2020")


def test_a_number_below_the_least_is_refused():
    with pytest.raises(StiltsError, match="seeds=0 .*--seeds"):
        StudyOptions(seeds=0)


def test_every_flag_of_a_benchmark_reaches_it(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "hf_stilts.studies.benchmark.run_benchmark", lambda name, **options: given.append((name, options)) or ()
    )
    monkeypatch.setattr("hf_stilts.hub.reachable.check_reachable", lambda *_, **__: None)
    folder = str(mirrors.build(tmp_path, {"udpos": {"validation": ["en"]}}))
    words = ["--base", "a/b", "--init", "mnli", "--tasks", "xnli, udpos", "--skip", "xnli:sw", "--skip", "udpos:kk"]
    words += ["--train-limit", 9, "--train-languages", "en=0.5,de-t-en=0.5"]
    words += ["--label", "seeds", "--namespace", "me", "--output-dir", folder, "--available"]
    words += ["--languages", "de,en", "--split", "validation", "--limit", 5, "--layer", 3, "--pooling", "cls"]
    words += ["--prefix", "query: ", "--prefix", "passage: ", "--data-dir", folder, "--noise", "keyboard=0.1"]
    words += ["--precision", "bf16"]
    words += ["--noise-seed", 4, "--recipe", "paper", "--text-to-text", "--adapter", "lora=8", "--max-length", 64]
    code, text = run("evaluate", "xtreme", *words, "--lora-target-modules", "query", "--seed", 7)
    assert code == 0, text
    assert given == [
        (
            "xtreme",
            {
                "languages": ("de", "en"),
                "available": True,
                "split": "validation",
                "limit": 5,
                "max_length": None,  # of the trainings, whose flags have it
                "trained_in": None,
                "layer": 3,
                "best_layer": False,
                "pooling": "cls",
                "prefix": ("query: ", "passage: "),
                "precision": "bf16",
                "data_dir": tmp_path,
                "noise": "keyboard=0.1",
                "noise_seed": 4,
                "noise_dictionaries": None,
                "answer_similarity": False,
                "base": "a/b",
                "init": "mnli",
                "tasks": ("xnli", "udpos"),
                "skip": ("xnli:sw", "udpos:kk"),
                "train_limit": 9,
                "train_languages": "en=0.5,de-t-en=0.5",
                "label": "seeds",
                "namespace": "me",
                "out": tmp_path,
                "recipe": "paper",
                "flags": ("--max-length", "64", "--seed", "7"),
                "text_to_text": True,
                "adapter": "lora=8:query",
            },
        )
    ]


def test_one_prefix_is_for_all_texts_and_three_are_too_many(tmp_path, monkeypatch, mistake):
    given = []
    monkeypatch.setattr("hf_stilts.hub.reachable.check_reachable", lambda *_, **__: None)
    monkeypatch.setattr(
        "hf_stilts.studies.benchmark.run_benchmark", lambda name, **options: given.append(options["prefix"]) or ()
    )
    run("evaluate", "xtreme", "--prefix", "query: ")
    run("evaluate", "xtreme")
    assert given == ["query: ", None]
    said = mistake("evaluate", "tatoeba", "--model", tmp_path, *["--prefix", "a"] * 3)
    assert "--prefix was given 3 times" in said


def test_an_option_that_scoring_does_not_have_is_refused(tmp_path):
    with pytest.raises(StiltsError, match="run_benchmark has no limmit=.*limit"):
        run_benchmark("xtreme", limmit=3)
    with pytest.raises(StiltsError, match="limit=0 .*--limit"):
        zero_shot("nobody/nothing", "xnli", limit=0)
    with pytest.raises(StiltsError, match="train_limit=0 .*--train-limit"):
        run_benchmark("xtreme", train_limit=0)


def test_a_folder_of_a_run_is_compared_by_every_option_of_scoring(tmp_path):
    """Also one that only Python callers give; a tuple and a list of prefixes are the same."""
    data = mirrors.build(tmp_path / "mirror", {"tatoeba": {"test": ["de"]}})
    given = {"base": tiny.save(tmp_path / "m"), "out": tmp_path / "run", "tasks": ["tatoeba"], "languages": ["de"]}
    given |= {"data_dir": data, "layer": 1}
    run_benchmark("xtreme", **given, prefix=["a ", "b "], max_length=16)
    run_benchmark("xtreme", **given, prefix=("a ", "b "), max_length=16)
    with pytest.raises(StiltsError, match="max_length 16; this one has None"):
        run_benchmark("xtreme", **given, prefix=["a ", "b "])


@pytest.mark.parametrize("declaration", [ScoringOptions, BenchmarkOptions, StudyOptions, RunOptions])
def test_a_declaration_has_a_help_for_every_option_and_no_stray_name(declaration):
    names = set(declaration.names())
    assert all(declaration.help_for(name) for name in names)
    assert set(declaration.LEAST) <= names
    assert {name for panel in declaration.PANELS.values() for name in panel} <= names


def commands(command, *words):
    """Every command with its words."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *words, name)


def test_every_argument_and_option_has_a_help():
    found = list(commands(typer.main.get_command(app)))
    assert len(found) > 30
    unexplained = [(*words, each.name) for words, command in found for each in command.params if not each.help]
    assert unexplained == []
