"""`hf-stilts intermediate TASK TASK`: which words are tasks and which are flags, and a run from words to folder."""

import json
from types import SimpleNamespace

import mixtures
import pytest
from command import run
from mixtures import LINES
from toy_tasks import PAIRS, rows

from hf_stilts.hub import reachable
from hf_stilts.task import Task
from hf_stilts.training import run as runs


@pytest.fixture
def called(monkeypatch):
    calls = []

    def note(name):
        def noted(tasks, flags, **options):
            calls.append((name, tasks, flags, options))
            return {"phase": "intermediate", "folder": "x"}

        return noted

    monkeypatch.setattr(reachable, "check_reachable", lambda *_, **__: None)  # nothing is loaded
    monkeypatch.setattr(runs, "run_mixture", note("mixture"))
    monkeypatch.setattr(
        runs, "run_phase", lambda phase, task, flags, **options: note("single")(task, flags, **options)
    )  # fmt: skip
    return calls


def test_several_tasks_are_a_mixture_and_what_follows_are_flags(called):
    words = [
        "mnli",
        "squad_v2",
        "hellaswag",
        "--sampler",
        "uniform",
        "--cap",
        "100",
        "--learning_rate",
        "3e-5",
        "--fp16",
    ]
    assert run("intermediate", *words, "--no-publish")[0] == 0
    name, tasks, flags, options = called[0]
    assert (name, tasks, flags) == ("mixture", ["mnli", "squad_v2", "hellaswag"], ["--learning_rate", "3e-5", "--fp16"])
    assert (options["sampler"], options["cap"]) == ("uniform", 100) and "name" not in options


def test_a_mixture_takes_languages_but_no_adapter(called, mistake):  # noqa: F811
    run("intermediate", "xnli", "pawsx", "--languages", "en=0.5,de=0.5", "--no-publish")
    assert called[0][3]["languages"] == "en=0.5,de=0.5"
    assert "--adapter was given" in mistake("intermediate", "xnli", "pawsx", "--adapter", "lora", "--no-publish")


def test_one_task_is_none_unless_it_is_said_to_be(called, tmp_path):
    run("intermediate", "mnli", "--max_steps", "5", "--no-publish")
    run("intermediate", "fill_mask", "--text", str(tmp_path), "--no-publish")
    assert [(name, tasks) for name, tasks, *_ in called] == [("single", "mnli"), ("mixture", ["fill_mask"])]
    assert called[0][2] == ["--max_steps", "5"] and called[1][3]["text"] == tmp_path


def test_a_mistyped_task_is_answered_at_once(mistake):  # noqa: F811
    assert "No task 'mnlo'. Did you mean mnli" in mistake("intermediate", "qqp", "mnlo", "--no-publish")


def test_from_words_to_folder(tmp_path):
    """Words of the command, text from a folder, each task's recipe; the result names every task's score."""
    folder = tmp_path / "text"
    folder.mkdir()
    for language, lines in LINES.items():
        (folder / f"{language}.txt").write_text("\n".join(lines), encoding="utf-8")
    words = Task(kind="fill-mask", dataset="x/y", name="words", languages=("en", "de"))
    data = {"pairs": rows(PAIRS, 40)}
    flags = [
        "--output_dir",
        str(tmp_path / "out"),
        "--use_cpu",
        "true",
        "--report_to",
        "none",
        "--disable_tqdm",
        "true",
    ]
    result = runs.run_mixture(
        [PAIRS, words], [*flags, "--num_train_epochs", "2"], model=mixtures.public(tmp_path), recipe="paper",
        text=folder, train_dataset=data, eval_dataset=data, name="both",
    )  # fmt: skip
    # 2 * (ceil(40 / 24) + ceil(29 / 8)): the paper's batches; 25 + 6 texts, two of them held out
    assert (result["task"], result["steps"]) == ("both", 12)
    assert {"aggregate", "pairs_accuracy", "words_accuracy"} <= set(result)
    record = json.loads((tmp_path / "out/stilts.json").read_text())
    assert record["recipe"]["batch_sizes"] == "pairs=24,words=8" and record["mixture"] == "both"
    assert record["recipe"]["learning_rate"] == 5e-6  # the most careful task's
    assert (tmp_path / "out/heads/words/head.safetensors").is_file()


def test_one_process_speaks_under_torchrun(called, monkeypatch):
    from hf_stilts.evaluation import processes

    assert "Next: hf-stilts target TASK --init x" in run("intermediate", "mnli", "--no-publish")[1]
    monkeypatch.setattr(processes, "processes", lambda: SimpleNamespace(is_main_process=False))
    assert run("intermediate", "mnli", "--no-publish") == (0, "")
