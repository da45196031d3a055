"""Mistakes in what was typed are answered before torch or datasets is imported; help fits a terminal; `_` is `-`."""

import subprocess
import sys

import mirrors
import pytest
from command import run
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from typer.main import get_command
from typer.testing import CliRunner

from hf_stilts.cli import _said_of, app
from hf_stilts.hub.record import RECORD_FILE, Record, TaskSource
from hf_stilts.studies.options import StudyOptions
from hf_stilts.training import run as runs

MISTAKES = {
    "intermediate mnlii": "Did you mean mnli",
    "intermediate mnli --lerning_rate 3": "Did you mean --learning_rate",
    "intermediate mnli --max_steps many": "--max_steps",
    "intermediate mnli --bf16 maybe": "--bf16: 'maybe' is neither true nor false",
    "intermediate mnli --save_strategy never": "--save_strategy: 'never'",
    "target xnli --lr_scheduler_type cosin": "Did you mean cosine",
    "evaluate xtreme --base x/y --fp16 maybe": "--fp16: 'maybe'",
    "intermediate mnli --adapter lorra=8": "Did you mean lora=8",
    "target xnli --adapter lora=none": "lora=32 for its rank",
    "target xnli --adapter lora --lora-target-modules ,": "modules after the colon",
    "evaluate xtreme --base x/y --adapter lorra": "Did you mean lora",
    "target udpos --text-to-text": "no text for an answer",
    "intermediate mnli --contrastive de": "mnli has no language 'de'",
    "target xnli --contrastive german": "'german' is no language code",
    "intermediate hellaswag --contrastive de": "holds several",
    "target xnli --resume auto --max_steps 10 --output_dir {done}": "finished run of 20 steps",
    "target xnli --resume auto --max_steps=10 --output_dir {begun}": "checkpoint of 20 steps",
    "intermediate mnli --languages sw": "mnli has no language 'sw'",
    "intermediate mnli --recipe jant": "No recipe 'jant'",
    "intermediate mnli --batches hybrid": "--batches is for dual encoders",
    "intermediate mnli --limit 0": "--limit",
    "intermediate mnli qqp --adapter lora": "--adapter was given",
    "intermediate mnli mnli": "each task is expected once. Leave one out",
    "intermediate mnli --log_level loud": "--log_level: 'loud'",
    "target xnli --log_level_replica warn": "Did you mean warning",
    "intermediate mnli --debug underflow": "Did you mean underflow_overflow",
    "intermediate mnli --lr_scheduler_kwargs {{bad": "{{bad is no JSON",
    "intermediate mnli --base ./tinny --output-dir {run}": "./tinny is neither a folder",
    "target xnli --init ./tinny --output-dir {run}": "./tinny is neither a folder",
    "target {labels}": "Task(...) has no field 'lables'. Did you mean labels?",
    "target {trained}": "names the task 'mnlli' in train=, and there is none. Did you mean mnli",
    "intermediate mnli --public --no-publish": "--public says",
    "merge a b --base x/y --output-dir {run}/merged --public": "--public says",
    "data build pawsx --raw {empty} --out {run} --public": "--public says",
    "intermediate mnli --resume auto --overwrite": "both were given",
    "intermediate mnli --output-dir {run}": "holds a run",
    "intermediate mnli --output-dir {run}/file/run": "no folder that can be written to",
    "target xnli --base ./gone": "./gone is neither a folder",
    "target xnli --data_dir ./gone": "no folder gone",
    "target xnli --exclude ./gone": "no file gone",
    "target tatoeba": "has no training data|no training data and no head",
    "target mewslix --compact_vocabulary": "A dual encoder is not trained with",
    "target xquad --adapter lora --text-to-text": "as text-to-text",
    "target xquad --sampler uniform": "--sampler is neither",
    "evaluate xtreme --base x/y --lerning_rate 3": "Did you mean --learning_rate",
    "evaluate xtreme --base x/y --train-languages en,xx": "names language 'xx'",
    "evaluate xtreme --base x/y --train-languages en=0.5,sw=0.6": "sum to 1",
    "evaluate xtreme --base x/y --tasks xnlii": "xnlii",
    "evaluate xtreme --base x/y --languages xx": "no language xx",
    "evaluate xnli --model x/y --languages xx": "xnli has no xx",
    "evaluate xtreem --base ./tiny": "Did you mean xtreme",
    "evaluate xnli --model ./gone": "./gone is neither a folder",
    "intermediate mnli --data-dir {empty}": "No {empty}/nyu-mll/glue/README.md",
    "target xcopa --data-dir {empty}": "the mirror lacks lighteval/siqa",
    "evaluate tatoeba --model x/y --data-dir {empty}": "No {empty}/mteb",
    "evaluate xtreme --base x/y --data-dir {empty}": "{empty} has no test rows of any task of xtreme",
    "data noise mnli --noise keyboard=0.1 --out {run}/out --data-dir {empty}": "the mirror lacks nyu-mll/glue",
    "data noise mnli --noise keybord=0.1 --out {run}/out --data-dir {empty}": "keybord",
    "data overlap mnli --against xnlii --data-dir {empty}": "Did you mean xnli",
    "data overlap mnli --against xnli --data-dir {empty}": "the mirror lacks",
    "data translate mnli --to en --model x/y --out {run}/out --data-dir {empty}": "another language than en",
    "data code-switch mnli --to de --lexicons ./gone --out {run}/out --data-dir {empty}": "No lexicon gone",
    "data transliterate mnli --languages hii --out {run}/out --data-dir {empty}": "cannot be written in 'Latn'",
    "data build pawsxx --raw {empty} --out {run}/out": "No converter 'pawsxx'",
    "data build pawsx --raw ./gone --out {run}/out": "No folder gone",
    "evaluate mewslix --model x/y --every-layer": "--every-layer is no option",
    "evaluate xnli --model x/y --recipe paper": "--recipe is no option for xnli",
    "matrix --targets mnlii": "Did you mean mnli",
    "equal-budget {empty} {run}": "neither a stilts.json nor a trainer_state.json",
    "data check mnlii": "Did you mean mnli",
    "data prefetch mnlii --out x": "Did you mean mnli",
    "data translate mnlii --to de --model x --out x": "Did you mean mnli",
    "data noise mnlii --noise keyboard=0.1 --out x": "Did you mean mnli",
    "similarity": "Nothing to compare was given",
    "similarity --table {empty}/gone.tsv": "There is no file {empty}/gone.tsv; a table of measures",
    "study plan {empty}": "{empty} is a folder. Expected the name of a study, or the path of a Python file",
    "study plan gone.yaml": "There is no file gone.yaml. Expected the name of a study",
    "study plan {run}/file": "{run}/file is a file that ends in nothing",
    "tasks gone.json": "a Python file that defines TASK = Task(...) or a YAML",
    "study report phang2020 --output-dir {empty}": "{empty} holds no study. Expected the --output-dir",
    "robustness gone": "There is no file gone; the results.jsonl of a run, or its folder, is expected",
    "data noise mnli --noise keyboard=0.1 --out x --data-dir {empty}/gone": "There is no folder {empty}/gone; a mirror",
    "data check mnli --data-dir {empty}/gone": "There is no folder {empty}/gone; a mirror",
    "study run phang2020 --scale small --data-dir {empty}/gone": "There is no folder {empty}/gone; a mirror",
    "evaluate xnli --model x/y --micro_tokens 5": "--micro-tokens is no option for xnli",
}
# Found by a look into a data set of the mirror, which imports data sets.
IN_MIRROR = {
    "intermediate udpos --contrastive fr --data-dir {mirror}": "configuration 'udpos.French'",
    "intermediate udpos --languages en,fr --data-dir {mirror}": "configuration 'udpos.French'",
    "intermediate udpos xquad --data-dir {mirror}": "Its English training rows are those of squad_v1",
    "evaluate udpos --model x/y --data-dir {mirror}": "udpos has no test rows here",
    "evaluate xtreme --base x/y --data-dir {mirror} --tasks panx": "{mirror} has no test rows of any task of xtreme",
}
PROGRAM = """
import functools, sys
import typer.main
typer.main.get_command = functools.cache(typer.main.get_command)  # as for all commands in the tests' own process
from hf_stilts.cli import main
for words in sys.stdin.read().split("\\n"):
    sys.argv = ["hf-stilts", *words.split()]
    try:
        main()
    except SystemExit as end:
        loaded = [name for name in ("torch", "datasets", "accelerate") if name in sys.modules]
        print(f"== {end.code} {loaded}", file=sys.stderr, flush=True)
"""


def test_mistakes_are_found_before_torch_is_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    (tmp_path / "run" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "run" / "file").touch()
    checkpoint = tmp_path / "begun" / "checkpoint-20"
    checkpoint.mkdir(parents=True)
    (checkpoint / "pytorch_model.bin").write_bytes(b"weights")
    (checkpoint / "trainer_state.json").write_text('{"global_step": 20}')
    (tmp_path / "done").mkdir()
    finished = Record(phase="target", tasks=(TaskSource("xnli"),), parent=None, languages=("en",), step=20)
    (tmp_path / "done" / RECORD_FILE).write_text(finished.to_json())
    (tmp_path / "empty").mkdir()
    english = {"udpos": {"train": ["en"], "validation": ["en"], "test": ["en"]}, "xquad": {"validation": ["en"]}}
    mirrors.build(tmp_path / "mirror", english)
    places = {name: tmp_path / name for name in ("run", "begun", "done", "empty", "mirror")}
    for name, field in {"labels": 'lables=("a", "b")', "trained": 'train=("mnlli",)'}.items():
        places[name] = tmp_path / f"{name}.py"
        task = f'Task(kind="text-classification", dataset="x/y", {field})'
        places[name].write_text(f"from hf_stilts import Task\n\nTASK = {task}\n")
    mistakes = {**MISTAKES, **IN_MIRROR}
    words = "\n".join(mistakes).format(**places)
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=words, capture_output=True, text=True, timeout=400)
    answers = done.stderr.split("== ")
    assert len(answers) == len(mistakes) + 1, done.stderr
    for (typed, subject), answer, end in zip(mistakes.items(), answers, answers[1:], strict=False):
        said = answer.partition("\n")[2] if answer is not answers[0] else answer
        assert any(each in said for each in subject.format(**places).split("|")), (typed, said)
        code, loaded = end.partition("\n")[0].split(" ", 1)
        assert code in "12" and loaded == ("['datasets']" if typed in IN_MIRROR else "[]"), (typed, end)


def _commands(command, path=()):
    """Every command with its words."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, (*path, name))


COMMANDS = list(_commands(get_command(app)))


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "all" for words, _ in COMMANDS])
def test_help_fits_80_columns_and_cuts_no_name(words, command):
    done = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "80", "TERMINAL_WIDTH": "80"}).invoke(app, [*words, "--help"])
    assert done.exit_code == 0 and max(map(len, done.stdout.splitlines())) <= 80
    said = done.stdout.replace("│", " ").split()
    names = [name for each in command.params if not getattr(each, "hidden", False) for name in each.opts]
    assert not [name for name in names if name.startswith("--") and name not in said]


def test_training_options_stand_under_their_headings():
    done = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "80"}).invoke(app, ["target", "--help"])
    for panel in ("Run", "Training", "Data", "Memory", "Dual encoder"):
        assert f"─ {panel} ─" in done.stdout
    assert "─ Mixture ─" not in done.stdout


@pytest.fixture
def given(monkeypatch):
    """Keywords that a training would be called with."""
    from hf_stilts.hub import reachable

    seen = []

    def note(phase, task, flags, **options):
        seen.append((flags, options))
        return {"phase": phase, "folder": "x"}

    monkeypatch.setattr(reachable, "check_reachable", lambda *_, **__: None)
    monkeypatch.setattr(runs, "run_phase", note)
    return seen


def test_underscore_and_hyphen_and_no_are_the_same_everywhere(given, tmp_path):
    mirrors.build(tmp_path, {"udpos": {"train": ["en"]}})
    words = ["--micro_tokens=64", "--compact_vocabulary", "--max-length", "32", "--data_dir", str(tmp_path)]
    assert run("target", "udpos", *words, "--learning-rate", "1e-5")[0] == 0
    flags, options = given[-1]
    assert flags == ["--learning-rate", "1e-5"]
    assert (options["micro_tokens"], options["compact_vocabulary"], options["max_length"]) == (64, True, 32)
    assert options["data_dir"] == tmp_path and "recipe" not in options
    run("target", "xnli", "--compact-vocabulary", "--no_compact_vocabulary")
    assert "compact_vocabulary" not in given[-1][1]
    run("target", "xnli", "--no-compact-vocabulary", "--compact-vocabulary")
    assert given[-1][1]["compact_vocabulary"] is True
    assert run("tasks", "mnli", "--json")[0] == 0


def test_a_mirror_that_the_environment_names_is_looked_for_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_STILTS_DATA", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="gone.*HF_STILTS_DATA, or unset it"):
        StudyOptions().check()


def test_a_name_that_no_repository_can_have_is_no_fault_of_the_network():
    with pytest.raises(HFValidationError) as raised:
        validate_repo_id("/a/folder/of/mine")
    said = _said_of(raised.value)
    assert "The name of a repository on the Hub is expected there." in said and "reachable" not in said
