"""`hf-stilts intermediate run.yaml`: the same as its fields typed as flags, and less than what is typed behind it."""

import json

import pytest
from test_mixture_command import called  # noqa: F401
from transformers import HfArgumentParser
from typer.testing import CliRunner

from hf_stilts.cli import app
from hf_stilts.training.arguments import StiltsArguments

YAML = """# a run
task: xnli
base: some/model
learning_rate: 3e-5
max_steps: 500
save_strategy: no
languages: en=0.5,de=0.5
compact_vocabulary: true
lr_scheduler_kwargs: {num_cycles: 2}
label_names: [a, b]
publish: false
namespace: null
"""
FLAGS = {
    "--learning_rate": ["3e-5"], "--max_steps": ["500"], "--save_strategy": ["no"], "--label_names": ["a", "b"],
    "--lr_scheduler_kwargs": ['{"num_cycles": 2}'],
}  # fmt: skip


def invoke(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done


def flags_of(words):
    """Values of each flag; of one that is there twice, the last ones."""
    found, name = {}, None
    for word in words:
        if word.startswith("--"):
            name = word
            found[name] = []
        else:
            found[name].append(word)
    return found


def test_the_fields_of_a_file_are_those_of_flags(called, tmp_path):  # noqa: F811
    (tmp_path / "run.yaml").write_text(YAML)
    done = invoke("intermediate", tmp_path / "run.yaml")
    assert done.exit_code == 0, done.exception
    name, task, flags, options = called[0]
    assert (name, task) == ("single", "xnli") and flags_of(flags) == FLAGS
    assert options["base"] == "some/model" and options["languages"] == "en=0.5,de=0.5"
    assert options["compact_vocabulary"] is True and options["publish"] is None
    # Stock `HfArgumentParser` reads the flags as it reads the fields themselves.
    (parsed,) = HfArgumentParser(StiltsArguments).parse_args_into_dataclasses([*flags, "--output_dir", str(tmp_path)])
    assert (parsed.learning_rate, parsed.max_steps, parsed.lr_scheduler_kwargs) == (3e-5, 500, {"num_cycles": 2})


def test_json_is_the_same_and_what_is_typed_wins(called, tmp_path):  # noqa: F811
    fields = {"task": ["xnli", "pawsx"], "max_steps": 500, "bf16": False, "cap": 100, "publish": False, "name": "two"}
    (tmp_path / "run.json").write_text(json.dumps(fields, indent="\t"))
    done = invoke("intermediate", tmp_path / "run.json")
    assert done.exit_code == 0, done.exception
    name, tasks, flags, options = called[0]
    assert (name, tasks) == ("mixture", ["xnli", "pawsx"]) and (options["cap"], options["name"]) == (100, "two")
    assert flags_of(flags) == {"--max_steps": ["500"], "--bf16": ["false"]}
    done = invoke("intermediate", tmp_path / "run.json", "mnli", "snli", "--max_steps", "7", "--cap", "5")
    assert done.exit_code == 0, done.exception
    name, tasks, flags, options = called[1]
    assert (tasks, options["cap"], flags_of(flags)["--max_steps"]) == (["mnli", "snli"], 5, ["7"])


def test_a_switch_of_the_file_is_turned_off_by_typing(called, tmp_path):  # noqa: F811
    (tmp_path / "run.yml").write_text("task: xnli\ncompact_vocabulary: true\n")
    assert invoke("target", tmp_path / "run.yml", "--no-compact-vocabulary").exit_code == 0
    assert "compact_vocabulary" not in called[0][3]


def test_a_task_file_is_still_a_task(called, tmp_path):  # noqa: F811
    path = tmp_path / "mine.yaml"
    path.write_text("kind: text-classification\ndataset: me/mine\nmetric: accuracy\nlanguages: [en]\nlabels: [a, b]\n")
    done = invoke("target", path)
    assert done.exit_code == 0, done.exception
    assert called[0][1] == str(path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.yaml", "task: mnli\n\nlerning_rate: 3\n", "run.yaml, line 3: lerning_rate .*Did you mean learning_rate"),
        ("run.json", '{"task": "mnli",\n "lerning_rate": 3}', "run.json, line 2: lerning_rate .*learning_rate"),
        ("run.yaml", "task: mnli\nmax_steps: 1\nmax_steps: 2\n", "line 3: max_steps is there already, in line 2"),
        ("run.yaml", "max_steps: 1\n", "names no task"),
        ("run.yaml", "- mnli\n", "holds no mapping"),
        ("run.yaml", "task: [mnli\n", "is no YAML"),
        ("run.json", "{", "is no JSON"),
        ("run.yaml", "task: mnli\nmax_steps: many\n", "--max_steps"),
        ("gone.json", None, "No file .*gone.json"),
    ],
)
def test_mistakes_in_a_file(name, text, said, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises((ValueError, OSError), match=said):
        done = invoke("intermediate", tmp_path / name)
        raise done.exception
