"""Rows of a task from a Hub, in processes of their own: pinned commits, prefetching into a mirror, and no network."""

import pytest
from hub_fixture import Client, Fault, HubProcess

PUBLISH = """
from datasets import ClassLabel, Dataset, Features, Value
from huggingface_hub import HfApi
features = Features({"premise": Value("string"), "label": ClassLabel(names=["no", "yes"])})
def publish(labels, config):
    rows = [{"premise": f"p{n}", "label": label} for n, label in enumerate(labels)]
    rows = Dataset.from_list(rows, features=features)
    rows.push_to_hub("local/nli", config, split="train")
    return HfApi().dataset_info("local/nli").sha
first, second, third = publish([0, 1], "de"), publish([0, 1, 1], "de"), publish([1], "fr")
print(first, second, third)
"""

TASK = """
from hf_stilts.task import Task
from hf_stilts.data.load import data_revision, load, prefetch
def task(revision, **changes):
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
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A Hub that these tests only read."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as running:
        yield running.environment()


@pytest.fixture(scope="module")
def published(shared, tmp_path_factory):
    """Three commits of one repository: de with 2 rows, then with 3, then fr as well."""
    return Client(shared, tmp_path_factory.mktemp("home")).python(PUBLISH).split()


@pytest.fixture
def client(shared, tmp_path):
    return Client(shared, tmp_path / "home")


def test_a_pinned_commit_is_what_is_read(client, published):
    first, second, third = published
    code = f"""{TASK}
print([len(load(task(revision), language="de")) for revision in ({first!r}, {second!r}, None)])
print(load(task(None), language="de")["label"][:], load(task({second!r}), language="de", limit=2)["label"][:])
print(data_revision(task({first!r}), "de"), data_revision(task(None), "de"))
print(failure(lambda: load(task({first!r}), language="fr")))
print(failure(lambda: load(task(None, dataset="local/absent"), language="de")))
"""
    said = client.python(code).splitlines()
    assert said[:3] == ["[2, 3, 3]", "[1, 0, 0] [1, 0]", f"{first} {third}"]  # "no" is 0 there and 1 here
    assert said[3].startswith("StiltsError: local/nli on the Hub does not give configuration 'fr'")
    assert said[4].startswith("StiltsError: Task nli reads local/absent, which the Hub does not show")


def test_a_folder_of_the_same_name_is_not_taken_for_the_repository(client, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local/nli").mkdir(parents=True)
    assert client.python(f"{TASK}\nprint(len(load(task(None), language='fr')))") == "1\n"


def test_offline_the_cache_serves_its_own_commit_and_no_other(client, published):
    first, second, _ = published
    client.python(f"{TASK}\nload(task({first!r}), language='de')")
    code = f"""{TASK}
print(len(load(task({first!r}), language="de")), len(load(task({first!r}), language="de", limit=1)))
print(failure(lambda: load(task({second!r}), language="de")))
print(failure(lambda: load(task({first!r}), language="fr")))
print(failure(lambda: prefetch(task({first!r}), "mirror")))
"""
    served, *refused = client.python(code, HF_HUB_OFFLINE="1").splitlines()
    assert served == "2 1"
    assert f"the newest in the cache is of {first}, not of the pinned {second}" in refused[0]
    assert len(refused) == 3
    for said in refused:
        assert said.startswith("ConnectionError: The rows of task nli are on the Hub")
        assert "hf-stilts data prefetch nli --out DIR" in said and "HF_STILTS_DATA=DIR" in said


def test_prefetched_rows_are_those_of_the_hub(client, published, tmp_path):
    _, second, third = published
    out = tmp_path / "mirror"
    code = f"""{TASK}
report = prefetch(task({second!r}), {str(out)!r}, ["de"])
print(report, report.rows()[0]["revision"], report.rows()[0]["files"])
print(failure(lambda: load(task(None), language="fr", data_dir={str(out)!r})))
prefetch(task({third!r}), {str(out)!r}, ["fr"])
"""
    said = client.python(code).splitlines()
    assert said[0] == f"{out} {second} 1"
    assert "FileNotFoundError" in said[1] and "configuration 'fr'" in said[1]
    offline = f"""{TASK}
for language in ("de", "fr"):
    print(load(task({second!r}), language=language)["label"][:], data_revision(task({second!r}), language)[:7])
"""
    found = client.python(offline, HF_HUB_OFFLINE="1", HF_STILTS_DATA=str(out)).splitlines()
    assert found == ["[1, 0, 0] mirror:", "[0] mirror:"]


def test_prefetching_a_test_set_brings_what_trains_it(client, published, tmp_path):
    file = tmp_path / "trains.py"
    file.write_text(
        "from hf_stilts.task import Task\n"
        "TASK = Task(kind='text-classification', dataset='local/nli', config='fr', columns={'text': 'premise'},\n"
        "            labels=('yes', 'no'))\n"
    )
    code = f"""{TASK}
file = {str(file)!r}
print([part.task for part in prefetch(task(None, train=(file,)), {str(tmp_path / "mirror")!r}, ["de"]).parts])
print(len(load(file, data_dir={str(tmp_path / "mirror")!r})))
"""
    assert client.python(code).splitlines() == ["['nli', 'trains']", "1"]


def test_an_interrupted_prefetch_shows_nothing_and_goes_on(hub, tmp_path, faults):
    client, out = Client(hub.environment(), tmp_path / "home"), tmp_path / "mirror"
    client.python(PUBLISH)
    faults.add(Fault("GET .*parquet", times=99, status=403))
    assert "Error" in client.python(f"{TASK}\nprint(failure(lambda: prefetch(task(None), {str(out)!r}, ['de'])))")
    assert not list(out.rglob("README.md"))
    faults.waiting.clear()
    code = f"{TASK}\nprefetch(task(None), {str(out)!r}, ['de'])"
    assert client.python(f"{code}\nprint(len(load(task(None), language='de', data_dir={str(out)!r})))") == "3\n"
