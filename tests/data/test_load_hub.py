"""Rows of a task from a Hub, in processes of their own: pinned commits, prefetching into a mirror, and no network."""

import json

import pytest
from hub_fixture import Client, Fault, Faults

# A process spends seconds on imports, so one does all that wants the Hub, one all that is done without it, and each
# prints what it saw. Both work in a folder named as the repository is: no load may take it for the repository.
TASK = """
import json, os, shutil, sys
from hf_stilts.task import Task
from hf_stilts.data.load import data_revision, load
from hf_stilts.data.prefetch import prefetch
def task(revision=None, **changes):
    known = dict(
        kind="text-classification", dataset="local/nli", config="{language}", revision=revision, name="nli",
        labels=("yes", "no"), columns={"text": "premise", "label": "label"}, languages=("de", "fr"),
    )
    return Task(**(known | changes))
def failure(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
def labels(revision, language="de", **how):
    return load(task(revision), language=language, **how)["label"][:]
os.chdir(os.environ["WORK"])
os.makedirs("local/nli", exist_ok=True)
saw = {}
"""

ONLINE = f"""{TASK}
from datasets import ClassLabel, Dataset, Features, Value
from huggingface_hub import HfApi
features = Features({{"premise": Value("string"), "label": ClassLabel(names=["no", "yes"])}})
def publish(labels, config, repository="local/nli"):
    rows = [{{"premise": f"p{{n}}", "label": label}} for n, label in enumerate(labels)]
    rows = Dataset.from_list(rows, features=features)
    rows.push_to_hub(repository, config, split="train")
    return HfApi().dataset_info(repository).sha

saw["commits"] = first, second, third = publish([0, 1], "de"), publish([0, 1, 1], "de"), publish([1], "fr")
load(task(first), language="de")
shutil.copytree(os.environ["HF_HOME"], "home-with-first-alone")

saw["pinned"] = [labels(first), labels(second), labels(None), labels(second, limit=2), labels(None, "fr")]
saw["revisions"] = data_revision(task(first), "de"), data_revision(task(None), "de")
saw["no configuration"] = failure(lambda: load(task(first), language="fr"))
saw["no repository"] = failure(lambda: load(task(None, dataset="local/absent"), language="de"))

report = prefetch(task(second), "mirror", ["de"])
saw["prefetched"] = str(report), report.rows()[0]["revision"], report.rows()[0]["files"]
saw["not prefetched"] = failure(lambda: labels(None, "fr", data_dir="mirror"))
prefetch(task(third), "mirror", ["fr"])

with open("trains.py", "w") as file:
    file.write('''from hf_stilts.task import Task
TASK = Task(kind="text-classification", dataset="local/nli", config="fr", columns=dict(text="premise"),
            labels=("yes", "no"))
''')
parts = prefetch(task(None, train=("trains.py",)), "trained", ["de"]).parts
saw["with what trains it"] = [part.task for part in parts], load("trains.py", data_dir="trained")["label"][:]

publish([0, 1, 1], "de", "local/interrupted")
interrupted = task(None, dataset="local/interrupted")
saw["interrupted"] = failure(lambda: prefetch(interrupted, "later", ["de"])), os.path.exists("later/README.md")
prefetch(interrupted, "later", ["de"])
saw["gone on"] = load(interrupted, language="de", data_dir="later")["label"][:]
print(json.dumps(saw))
"""

OFFLINE = f"""{TASK}
first, second, third = json.loads(os.environ["COMMITS"])
saw["cached"] = labels(first), labels(first, limit=1)
calls = dict(
    commit=lambda: labels(second), configuration=lambda: labels(first, "fr"), copy=lambda: prefetch(task(first), "new")
)
saw["refused"] = {{name: failure(call) for name, call in calls.items()}}
os.environ["HF_STILTS_DATA"] = "mirror"
saw["mirror"] = [labels(second), labels(second, "fr"), *(data_revision(task(second), each) for each in ("de", "fr"))]
print(json.dumps(saw))
"""

AGAIN = f"""{TASK}
first, second, third = json.loads(os.environ["COMMITS"])
saw["rows"] = [labels(first), labels(second), labels(None), labels(second, limit=2), labels(None, "fr")]
saw["revisions"] = data_revision(task(first), "de"), data_revision(task(None), "de")
print(json.dumps(saw))
"""


WORDS = (
    TASK
    + """
def words(config, revision=None, **how):
    own = task(revision, dataset="local/words", config=config, columns=dict(text="words"), labels=("0", "1"))
    rows = load(own, language="de", **how)
    return rows["text"][:], rows["id"][:], data_revision(own, "de", how.get("data_dir"))
def everything(commit):
    return [words("semicolons"), words("lines"), words("semicolons", commit, limit=2)]
"""
)

WORDS_ONLINE = (
    WORDS
    + '''
from huggingface_hub import CommitOperationAdd, HfApi
texts = ["null", "NA", "007", "2020-01-01", "1e5"]
card = """---
configs:
- {config_name: semicolons, sep: ";", data_files: [{split: train, path: "w*.csv"}, {split: test, path: test.csv}]}
- {config_name: lines, data_files: [{split: train, path: "lines.jsonl"}]}
---
"""
lines = [{"id": f"00{n}", "words": word, "label": 0} for n, word in enumerate(texts)]
files = {
    "README.md": card,
    "words.csv": "id;words;label\\n" + "".join(f"00{n};{word};0\\n" for n, word in enumerate(texts)),
    "test.csv": "id;words;label\\n7;no;0\\n",
    "lines.jsonl": "".join(json.dumps(line) + "\\n" for line in lines),
}
api = HfApi()
api.create_repo("local/words", repo_type="dataset")
added = [CommitOperationAdd(name, text.encode()) for name, text in files.items()]
saw["commit"] = api.create_commit("local/words", added, commit_message="words", repo_type="dataset").oid
saw["words"] = everything(saw["commit"])
prefetch(task(None, dataset="local/words", config="semicolons"), "copy", ["de"])
saw["copied"] = words("semicolons", data_dir="copy")
print(json.dumps(saw))
'''
)

WORDS_OFFLINE = (
    WORDS
    + """
print(json.dumps(everything(os.environ["COMMIT"])))
"""
)


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """What a process with a Hub saw, and the folder that it worked in."""
    from hf_stilts.local_hub import LocalHub

    folder, faults = tmp_path_factory.mktemp("work"), Faults()
    faults.add(Fault("GET .*local/interrupted/.*parquet", status=403))
    with LocalHub(tmp_path_factory.mktemp("hub"), middleware=faults) as hub:
        client = Client(hub.environment(), folder / "home")
        saw = json.loads(client.python(ONLINE, WORK=str(folder)))
        return saw | {"words": json.loads(client.python(WORDS_ONLINE, WORK=str(folder))), "folder": folder}


@pytest.fixture(scope="module")
def offline(online):
    """What a second process saw without a network; its cache holds what a load of the first commit left there."""
    folder, commits = online["folder"], json.dumps(online["commits"])
    client = Client({"HF_HUB_OFFLINE": "1"}, folder / "home-with-first-alone")
    return json.loads(client.python(OFFLINE, WORK=str(folder), COMMITS=commits))


def test_a_pinned_commit_is_what_is_read(online):
    first, _, third = online["commits"]
    assert online["pinned"] == [[1, 0], [1, 0, 0], [1, 0, 0], [1, 0], [0]]  # "no" is 0 there and 1 here
    assert online["revisions"] == [first, third]


def test_what_the_hub_does_not_have_is_named(online):
    said = online["no configuration"]
    assert said.startswith("StiltsError: local/nli on the Hub does not give configuration 'fr'")
    assert online["no repository"].startswith("StiltsError: Task nli reads local/absent, which the Hub does not show")


def test_offline_the_cache_serves_its_own_commit_and_no_other(online, offline):
    first, second, _ = online["commits"]
    assert offline["cached"] == [[1, 0], [1]]
    refused = offline["refused"]
    assert f"the newest in the cache is of {first}, not of the pinned {second}" in refused["commit"]
    for said in refused.values():
        assert said.startswith("ConnectionError: The rows of task nli are on the Hub")
        assert "hf-stilts data prefetch nli --out DIR" in said and "HF_STILTS_DATA=DIR" in said


def test_what_worked_online_works_offline(online):
    """Each commit that was loaded, not the newest of the cache alone; and the newest where none is pinned."""
    folder, commits = online["folder"], json.dumps(online["commits"])
    client = Client({"HF_HUB_OFFLINE": "1"}, folder / "home")
    again = json.loads(client.python(AGAIN, WORK=str(folder), COMMITS=commits))
    assert again["rows"] == online["pinned"]
    assert again["revisions"] == online["revisions"]


def test_csv_and_json_of_a_hub_are_not_guessed_at(online):
    """Read as they stand, with the options of the card, and without a network from the cache."""
    texts, ids = ["null", "NA", "007", "2020-01-01", "1e5"], ["000", "001", "002", "003", "004"]
    saw = online["words"]
    commit = saw["commit"]
    assert saw["words"] == [[texts, ids, commit], [texts, ids, commit], [texts[:2], ids[:2], commit]]
    assert saw["copied"][:2] == [texts, ids]
    client = Client({"HF_HUB_OFFLINE": "1"}, online["folder"] / "home")
    assert json.loads(client.python(WORDS_OFFLINE, WORK=str(online["folder"]), COMMIT=commit)) == saw["words"]


def test_prefetched_rows_are_those_of_the_hub(online, offline):
    _, second, _ = online["commits"]
    assert online["prefetched"] == ["mirror", second, 1]
    assert "FileNotFoundError" in online["not prefetched"] and "configuration 'fr'" in online["not prefetched"]
    german, french, *revisions = offline["mirror"]
    assert (german, french) == ([1, 0, 0], [0])
    assert all(revision.startswith("mirror:") for revision in revisions) and len(set(revisions)) == 2


def test_prefetching_a_test_set_brings_what_trains_it(online):
    assert online["with what trains it"] == [["nli", "trains"], [0]]


def test_an_interrupted_prefetch_shows_nothing_and_goes_on(online):
    error, shown = online["interrupted"]
    assert "Error" in error and not shown
    assert online["gone on"] == [1, 0, 0]
