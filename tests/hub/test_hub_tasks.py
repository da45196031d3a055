"""Tasks of data set repositories: their YAML is read and checked, found by tag, and trained on, without code run."""

import json
import re

import pytest

from hf_stilts.definitions import read_yaml
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task, load_task

MINE = """\
kind: text-classification
config: "{language}"
columns: {text: premise, text_pair: hypothesis}
labels: [yes, no]          # text, although YAML has truth values of these names
languages:
  - ca
  - no
held_out: 0
paper: 2005.00333
"""


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_a_task_and_scalars_are_text_where_fields_are(tmp_path):
    path = written(tmp_path, MINE + "dataset: user/mine\n")
    task = load_task(str(path))
    assert task == Task(
        kind="text-classification",
        dataset="user/mine",
        config="{language}",
        columns={"text": "premise", "text_pair": "hypothesis"},
        labels=("yes", "no"),
        languages=("ca", "no"),
        held_out=0.0,
        paper="2005.00333",
        name="mine",
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("kind: text", "kinds: text"), ["line 1", "field kinds", "Did you mean kind?"]),
        (("held_out: 0", "held_out: many"), ["line 8", "field held_out", "'many'", "a number"]),
        (("labels: [yes, no] ", "labels: yes "), ["line 4", "field labels", "a list of texts"]),
        (("  - ca\n", "  - caa_Xxxx\n"), ["line 5", "field languages", "'caa_Xxxx'"]),
        (("text-classification", "tagging"), ["field kind", "'tagging'"]),
        (('"{language}"', '"{lang}"'), ["line 2", "field config", "Did you mean language?"]),
        (("text: premise", "txt: premise"), ["line 3", "field columns", "'txt'"]),
        (("held_out: 0", "prepare: os.system"), ["line 8", "field prepare", "Python file"]),
        (("held_out: 0", "kind: x"), ["line 8", "field kind", "line 1"]),
        (("labels: [yes, no] ", "labels: [[yes], no] "), ["line 4", "field labels", "a sequence"]),
        (("held_out: 0", "translated: perhaps"), ["field translated", "true or false"]),
        (("held_out: 0", "!!python/object/apply:os.system [ls]: 0"), ["line 8"]),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_field(tmp_path, wrong, said):
    path = written(tmp_path, MINE.replace(*wrong) + "dataset: user/mine\n")
    with pytest.raises(StiltsError) as error:
        read_yaml(path, Task)
    for part in [str(path), *said]:
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "[" * 5000, "x" * 70_000])
def test_what_is_no_task_at_all(tmp_path, text):
    with pytest.raises(StiltsError, match="mine.yaml"):
        read_yaml(written(tmp_path, text), Task)


PUBLISH = """
from huggingface_hub import HfApi
api = HfApi()
api.create_repo({repository!r}, repo_type="dataset", exist_ok=True)
card = "---\\nlanguage: [ca, 'no']\\nlicense: cc-by-4.0\\ntags: [{tag}]\\n---\\n"
files = {{"stilts_task.yaml": {yaml!r}, "README.md": card, **{more!r}}}
for name, text in files.items():
    api.upload_file(path_or_fileobj=text.encode(), path_in_repo=name, repo_id={repository!r}, repo_type="dataset")
print(api.dataset_info({repository!r}).sha)
"""


def publish(client, repository, yaml, tag="stilts-task", more=None):
    return client.python(PUBLISH.format(repository=repository, yaml=yaml, tag=tag, more=more or {})).strip()


READ = """
from hf_stilts.errors import StiltsError
from hf_stilts.hub.tasks import hub_task
from hf_stilts.task import describe
import json
try:
    print(json.dumps(describe(hub_task({name!r}))))
except StiltsError as error:
    print(json.dumps(str(error)))
"""


def read(client, name, **environment):
    return json.loads(client.python(READ.format(name=name), **environment))


def test_a_task_of_a_repository_is_pinned_to_the_commit_of_its_file(client):
    commit = publish(client, "user/Catalan-NLI", MINE)
    task = read(client, "user/Catalan-NLI")
    assert (task["name"], task["dataset"], task["revision"]) == ("catalan_nli", "user/Catalan-NLI", commit)
    assert (task["languages"], task["labels"], task["paper"]) == (
        ["ca", "no"], ["yes", "no"], "https://arxiv.org/abs/2005.00333",
    )  # fmt: skip
    assert read(client, "user/Catalan-NLI", HF_HUB_OFFLINE="1") == task, "from the cache"
    newer = publish(client, "user/Catalan-NLI", MINE.replace("[yes, no]", "[yes, no, perhaps]"))
    assert read(client, "user/Catalan-NLI")["labels"] == ["yes", "no", "perhaps"]
    assert read(client, f"user/Catalan-NLI@{commit}")["labels"] == ["yes", "no"]
    assert newer != commit


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("train: [/tmp/evil.py]", "field train: '/tmp/evil.py' is no task"),
        ("name: ../../mine", "field name: the task is called '../../mine'"),
        ("name: xnli", "field name: the task is called 'xnli'"),
        ("dataset: ../secret", "field dataset"),
        ("parts: [mnli]", "parts=('mnli',)"),
    ],
)
def test_a_file_of_others_names_no_path_and_no_other_task(client, field, said):
    publish(client, "user/mine", f"{MINE}{field}\n")
    assert said in read(client, "user/mine")


def test_a_repository_without_the_file_or_none_at_all(client):
    client.python('from huggingface_hub import HfApi; HfApi().create_repo("user/bare", repo_type="dataset")')
    assert "has no stilts_task.yaml" in read(client, "user/bare")
    assert "No task 'user/none'" in read(client, "user/none")


ROWS = "".join(
    json.dumps({"premise": f"La casa {number}", "hypothesis": "Sí", "label": ["yes", "no"][number % 2]}) + "\n"
    for number in range(8)
)


@pytest.mark.slow
def test_the_commands_find_show_and_train_it(stilts, client, tmp_path):
    configs = "\n".join(
        f"- config_name: {code}\n  data_files:\n"
        + "".join(f"  - {{split: {split}, path: {code}.jsonl}}\n" for split in ("train", "validation", "test"))
        for code in ("en", "ca")
    )
    card = f"---\nlanguage: [en, ca]\nlicense: cc-by-4.0\ntags: [stilts-task]\nconfigs:\n{configs}\n---\n"
    yaml = MINE.replace("- no\n", "- en\n")
    publish(client, "user/catalan-nli", yaml, more={"README.md": card, "en.jsonl": ROWS, "ca.jsonl": ROWS})
    publish(client, "user/other", yaml, tag="nothing")
    assert stilts("tasks", "--hub", "--json") == [
        {"repository": "user/catalan-nli", "languages": ["en", "ca"], "license": "cc-by-4.0", "downloads": 0}
    ]
    assert stilts("tasks", "user/catalan-nli", "--json")["name"] == "catalan_nli"
    run = [
        "target", "user/catalan-nli", "--output_dir", str(tmp_path / "out"), "--max_steps", "1",
        "--eval_strategy", "no", "--save_strategy", "no",
    ]  # fmt: skip
    printed = command(client, *run)
    assert re.search("Next: hf-stilts evaluate user/catalan-nli@[0-9a-f]{40} --model", printed), "no path of the cache"
    scored = command(client, "evaluate", "user/catalan-nli", "--model", str(tmp_path / "out"), "--json")
    rows = [row for row in json.loads(scored) if row["metric"] == "accuracy"]
    assert [(row["task"], row["language"], row["rows"]) for row in rows] == [
        ("catalan_nli", "ca", 8), ("catalan_nli", "en", 8),
    ]  # fmt: skip
    assert (tmp_path / "out" / "stilts.json").is_file()


def command(client, *words):
    """What the command prints; the rows come from the Hub and from no mirror."""
    return client.python(f"import sys; sys.argv = {['hf-stilts', *words]}; from hf_stilts.cli import main; main()")
