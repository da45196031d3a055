"""The `hf-stilts` command: what it prints for people and machines, its exit codes, what it says of a mistake."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from command import run
from typer.testing import CliRunner

from hf_stilts.cli import app, main
from hf_stilts.task import list_tasks, load_task

RAW = {
    "tatoeba.deu-eng.deu": "Eule\nMaus\n",
    "tatoeba.deu-eng.eng": "owl\nmouse\n",
    "tatoeba.fra-eng.fra": "hibou\n",
    "tatoeba.fra-eng.eng": "owl\n",
}


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    for name, text in RAW.items():
        (tmp_path / "raw" / name).write_text(text, encoding="utf-8")
    return tmp_path / "raw"


def test_tasks_are_listed_for_people():
    code, table = run("tasks")
    lines = {line.split()[0]: line for line in table.splitlines()[1:] if not line.startswith(" ")}
    assert code == 0 and list(lines) == list_tasks()
    assert f"{len(load_task('tatoeba').languages)}" in lines["tatoeba"].split()
    assert "squad_v1" in lines["xquad"], "what trains it"


def test_tasks_are_listed_for_machines():
    code, text = run("tasks", "--json")
    rows = {row["name"]: row for row in json.loads(text)}
    assert code == 0 and list(rows) == list_tasks()
    assert rows["tatoeba"]["languages"] == list(load_task("tatoeba").languages)
    assert rows["xquad"]["trained on"] == ["squad_v1"] and rows["tatoeba"]["trained on"] == []


def test_one_task_is_shown():
    task = load_task("mnli")
    fields = json.loads(run("tasks", "mnli", "--json")[1])
    assert (fields["dataset"], fields["revision"], fields["labels"]) == (task.dataset, task.revision, [*task.labels])
    code, table = run("tasks", "mnli")
    assert code == 0 and task.dataset in table and "entailment neutral contradiction" in table


def test_an_unknown_task_is_told_the_nearest_name(mistake):
    said = mistake("tasks", "mnl")
    assert "No task 'mnl'. Did you mean mnli?" in said and "Run: hf-stilts tasks" in said
    assert len(said.splitlines()) == 1


def test_a_mistake_shows_its_traceback_to_those_who_ask(monkeypatch):
    monkeypatch.setenv("HF_STILTS_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["hf-stilts", "tasks", "mnl"])
    with pytest.raises(ValueError, match="No task 'mnl'"):
        main()


def test_tasks_are_listed_without_loading_a_framework():
    # They would take seconds to import, for a table of text.
    code = "import sys; from hf_stilts.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, "tasks"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "mnli" in done.stdout
    assert not {"torch", "transformers", "datasets", "evaluate", "pandas", "numpy"} & {*done.stderr.split()}


def test_what_is_built_is_checked(raw, tmp_path):
    out = tmp_path / "mirror"
    code, text = run("data", "build", "tatoeba", "--raw", raw, "--out", out, "--no-checksum", "--json")
    built = json.loads(text)
    assert code == 0
    assert [(part["language"], part["split"], part["rows"]) for part in built] == [("de", "test", 2), ("fr", "test", 1)]
    assert all((tmp_path / part["file"]).is_file() for part in built)

    code, text = run("data", "check", "tatoeba", "--data-dir", out, "--languages", "de, fr", "--json")
    assert code == 0
    assert [(each["language"], each["rows"], each["fault"]) for each in json.loads(text)] == [
        ("de", 2, ""),
        ("fr", 1, ""),
    ]
    code, table = run("data", "check", "tatoeba", "--data-dir", out, "--languages", "de,es")
    assert code == 1, "a language that is not there is a fault"
    assert "configuration 'spa-eng'" in table


def test_a_build_and_its_check_are_compact_tables_at_80_columns(raw, tmp_path, monkeypatch):
    out = tmp_path / "a mirror with a long name" / ("x" * 60)
    words = ("data", "build", "tatoeba", "--raw", str(raw), "--out", str(out), "--no-checksum")
    narrow = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"})
    lines = [line.split() for line in narrow.invoke(app, words).stdout.splitlines()]
    assert lines[0] == ["folder", "language", "split", "rows"]
    assert lines[1:3] == [
        ["mteb/tatoeba-bitext-mining/deu-eng", "de", "test", "2"],
        ["mteb/tatoeba-bitext-mining/fra-eng", "fr", "test", "1"],
    ]
    done = narrow.invoke(app, ["data", "check", "tatoeba", "--data-dir", str(out), "--languages", "de,es"])
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["language", "split", "rows", "checked"] and lines[1].split() == ["de", "test", "2"]
    assert lines[2] == "" and lines[3].split() == ["language", "es"], "a path that is too wide for a table stays whole"
    assert "configuration 'spa-eng'" in " ".join(done.stdout.split())


def test_only_the_languages_asked_for_are_built(raw, tmp_path):
    words = ("--raw", raw, "--out", tmp_path / "mirror", "--no-checksum", "--json")
    assert [
        part["language"] for part in json.loads(run("data", "build", "tatoeba", *words, "--languages", "fr")[1])
    ] == ["fr"]


def test_files_that_differ_from_the_published_ones_are_refused(mistake, raw, tmp_path):
    said = mistake("data", "build", "tatoeba", "--raw", raw, "--out", tmp_path / "mirror")
    assert "has sha256" in said and "--no-checksum" in said


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("fused", "--option fused is not NAME=VALUE. Type for example: --option fused=false"),
        ("fuse=true", "udpos has no option 'fuse'. It has: fused"),
        ("fused=nein", "udpos: fused is 'nein'; expected true or false"),
    ],
)
def test_a_wrong_option_is_told_the_right_one(mistake, raw, tmp_path, option, said):
    assert said in mistake("data", "build", "udpos", "--raw", raw, "--out", tmp_path / "mirror", "--option", option)


def test_options_reach_the_converter(raw, tmp_path):
    lines = [
        "1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_",
        "1\tin\t_\tADP\t_\t_\t0\t_\t_\t_",
        "2\tdem\t_\tDET\t_\t_\t1\t_\t_\t_",
        "",
        "",
    ]
    (raw / "de_x-ud-test.conllu").write_text("\n".join(lines), encoding="utf-8")
    for fused, kept in (("true", "true"), ("False", "false"), ("no", "false")):
        out = tmp_path / fused
        run("data", "build", "udpos", "--raw", raw, "--out", out, "--option", f"fused={fused}", "--json")
        card = next(out.rglob("README.md")).read_text()
        assert f"fused: {kept}" in card


def test_a_folder_without_an_outbox_says_which_one_is_meant(mistake, tmp_path):
    said = mistake("publish", tmp_path)
    assert f"There is no outbox in {tmp_path}" in said and "hf-stilts publish OUTPUT_DIR" in said


def test_the_embedded_hub_is_explained():
    code, text = run("hub", "serve", "--help")
    assert code == 0 and "HF_ENDPOINT" in text
    assert all(word in text for word in ("--host", "--port", "--token", "127.0.0.1", "HF_STILTS_HUB_TOKEN"))


@pytest.mark.parametrize("words", [("tasks", "--jsn"), ("data", "build", "tatoeba"), ("target",), ("no-such-command",)])
def test_what_is_no_command_has_the_exit_code_of_usage(words):
    assert run(*words)[0] == 2


def test_an_error_is_printed_to_the_letter(capsys):
    """Words in square brackets are part of the message, not markup."""
    from hf_stilts.console import fail

    fail("found [bold] and [/y]")
    assert "found [bold] and [/y]" in capsys.readouterr().err


def test_what_is_shown_is_shown_to_the_letter(capsys):
    from hf_stilts.console import report_run, say, show

    say("main is [/x] of runs/[exp]")
    show([{"text": "[INST] a [/INST]"}], as_json=False)
    report_run({"phase": "target", "task": "udpos", "folder": "runs/[v2]"}, "udpos", as_json=False)
    said = capsys.readouterr().out
    assert "[/x] of runs/[exp]" in said and "[INST] a [/INST]" in said and "--model 'runs/[v2]'" in said


def test_what_scores_and_notes_name_is_shown_to_the_letter(capsys):
    """A name in brackets was taken for markup: lost, an error, or a link that others chose."""
    from hf_stilts.console import show_benchmark, show_gains, show_robustness, show_scores
    from hf_stilts.studies.gains import GainReport
    from hf_stilts.studies.robustness import RobustnessReport

    name = "runs/[/x][link=http://a]b[/link]"
    score = {"task": f"{name}.py", "language": "de", "metric": "f1", "score": 1.0, "main": True, "model": name}
    show_scores(pd.DataFrame([score]))
    said = capsys.readouterr().out
    assert said.count(name) == 2 and f"{name}.py f1" in said
    show_gains(
        GainReport(**dict.fromkeys(("languages", "tasks", "groups", "gaps", "best"), []), notes=[name]),
        languages=False,
        as_json=False,
    )
    show_robustness(
        RobustnessReport(**dict.fromkeys(("languages", "tasks", "curves", "overall"), []), notes=[name]),
        languages=False,
        as_json=False,
    )
    show_benchmark(pd.DataFrame([score]), {"tasks": {}, "groups": {}, "notes": [name]}, as_json=False)
    assert capsys.readouterr().out.count(name) == 5


def test_json_has_null_where_there_is_no_number(capsys):
    from hf_stilts.console import show

    show([{"layer": float("nan"), "scores": (1.0, float("inf"))}], as_json=True)
    assert capsys.readouterr().out == '[{"layer": null, "scores": [1.0, null]}]\n'


def test_a_task_stands_before_the_flags_and_public_needs_publishing(mistake):
    said = mistake("intermediate", "--learning_rate", "3e-5", "mnli")
    assert "No task stands before --learning_rate. Type for example: hf-stilts intermediate mnli" in said
    assert "--public says how to publish, and nothing is published" in mistake("target", "udpos", "--public")


def test_a_folder_that_no_quickstart_made_is_left_alone(tmp_path, mistake):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "corpus.csv").write_text("mine")
    for more in ((), ("--overwrite",)):
        assert "holds data, which no quickstart wrote" in mistake("quickstart", "--folder", tmp_path, *more)
    assert (tmp_path / "data" / "corpus.csv").read_text() == "mine"


def test_an_earlier_quickstart_is_not_replaced_unasked(tmp_path, mistake):
    (tmp_path / ".hf-stilts-quickstart").touch()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "mine").write_text("published")
    assert "holds an earlier quickstart" in mistake("quickstart", "--folder", str(tmp_path))
    assert (tmp_path / "hub" / "mine").read_text() == "published"


def test_the_next_step_names_the_task_as_it_was_typed(capsys):
    from hf_stilts.console import report_run

    result = {"phase": "target", "task": "xsd", "folder": "runs/my run"}
    report_run(result, "tasks/xsd.py", as_json=False, data_dir="mirror")
    said = capsys.readouterr().out
    assert "Next: hf-stilts evaluate tasks/xsd.py --model 'runs/my run' --data-dir mirror" in said


def test_a_benchmark_is_suggested_too(mistake):
    assert "No task or benchmark 'xtrem'. Did you mean xtreme?" in mistake("evaluate", "xtrem", "--model", "runs/x")


@pytest.mark.parametrize("name", ["./gone", "../gone", "/gone/model", "runs/gone/checkpoint-5"])
@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "tatoeba", "--model"),
        ("evaluate", "xtreme", "--base"),
        ("evaluate", "xtreme", "--base", "org/model", "--init"),
        ("intermediate", "mnli", "--base"),
        ("target", "udpos", "--init"),
        ("checkpoints", "lineage"),
        ("checkpoints", "verify"),
        ("reproduce",),
    ],
)
def test_a_folder_that_is_gone_is_not_looked_up_on_the_hub(words, name, mistake, monkeypatch):
    from hf_stilts.hub import reachable

    monkeypatch.setattr(reachable, "why_unreachable", lambda: pytest.fail("the Hub was asked"))
    assert f"{name} is neither a folder here nor a name on the Hub" in mistake(*words, name)


def test_tags_are_not_translated_and_no_model_is_loaded_to_find_that_out(mistake, monkeypatch):
    from hf_stilts.augmentation import translators

    monkeypatch.setattr(translators, "ModelTranslator", lambda *_, **__: pytest.fail("the model was loaded"))
    words = ("data", "translate", "udpos", "--to", "de", "--model", "org/model", "--out", "mirror")
    assert "hf-stilts data code-switch udpos --to de" in mistake(*words)


def test_a_translation_model_that_is_gone_is_not_looked_up_on_the_hub(mistake):
    words = ("data", "translate", "xnli_translate_train", "--to", "de", "--out", "mirror", "--model")
    assert "./gone is neither a folder here nor a name on the Hub" in mistake(*words, "./gone")


@pytest.fixture
def printed(monkeypatch, capsys):
    """What `show` prints at a width."""
    from hf_stilts import console

    def at(width, rows, **options):
        monkeypatch.setenv("COLUMNS", str(width))
        console.show(rows, as_json=False, **options)
        return capsys.readouterr().out

    return at


COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROW = {"name": "me/xlm-roberta-base-stilts-mnli", "step": 500, "commit": COMMIT, "why": "a long reason " * 9}


@pytest.mark.parametrize("width", [44, 60, 80, 120, 250])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width, printed):
    said = printed(width, [ROW, ROW | {"why": None}])
    assert max(map(len, said.splitlines())) <= width
    assert said.count("500") == 2 and said.split().count("reason") == 9
    assert said.split().count("me/xlm-roberta-base-stilts-mnli") == 2
    assert COMMIT[:12] in said and COMMIT not in said


def test_short_cells_are_never_broken(printed):
    said = printed(60, [ROW])
    assert COMMIT[:12] in said.split() and "500" in said.split()


def test_what_does_not_fit_side_by_side_stands_below_each_other(printed):
    rows = [{f"column {number}": f"value {number} of a row" for number in range(8)}] * 2
    said = printed(80, rows)
    assert said.count("\n\n") == 1 and said.splitlines()[0].split() == "column 0 value 0 of a row".split()


def test_columns_that_may_go_are_named(printed):
    rows = [{"first": "a" * 20, "second": "b" * 20, "third": "c" * 20, "fourth": "d" * 20}]
    assert "b" * 20 in printed(100, rows, optional=("second",))
    said = printed(80, rows, optional=("second",))
    assert "b" * 20 not in said and "Too narrow for: second. All columns: --json" in said


def test_the_tasks_fit_a_terminal_of_80_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check = ("data", "check", "mlqa", "--data-dir", ".")
    for words in (("tasks",), ("tasks", "mnli"), ("tasks", "anli_plus"), check):
        text = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "80"}).invoke(app, words).stdout
        table = [line for line in text.splitlines() if not line.startswith("mlqa: ")]
        assert max(map(len, table)) <= 80, words


def test_json_holds_lists_and_whole_commits(tmp_path):
    found = json.loads(run("tasks", "anli_plus", "--json")[1])
    assert found["parts"] == ["anli", "mnli", "snli"] and found["dataset"] is None
    faults = json.loads(run("data", "check", "mlqa", "--languages", "de,es", "--data-dir", tmp_path, "--json")[1])
    assert [each["language"] for each in faults] == ["de", "es"]
