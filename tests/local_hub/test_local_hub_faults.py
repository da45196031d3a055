"""The embedded Hub under fire: killed, crowded, filled. What it acknowledged stays, and stays readable."""

import errno
import hashlib
import http.client
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_fixture import Client, Fault, HubProcess, ask, commit_lines
from huggingface_hub import CommitOperationAdd, HfApi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_stilts.local_hub import LocalHub
from hf_stilts.local_hub.objects import HubError, Incoming
from hf_stilts.local_hub.repository import Change
from hf_stilts.local_hub.store import Store

MAIN = "/api/models/org/repo/commit/main"


def create(url: str, name: str = "repo") -> int:
    return ask(url, "POST", "/api/repos/create", {"name": name, "organization": "org"}).status


def upload(url: str, content: bytes, repository: str = "org/repo") -> dict:
    """Send `content` through git-lfs; the commit line that names it."""
    oid = hashlib.sha256(content).hexdigest()
    body = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
    wanted = ask(url, "POST", f"/{repository}.git/info/lfs/objects/batch", body).json()["objects"][0]
    if "actions" in wanted:
        assert ask(url, "PUT", wanted["actions"]["upload"]["href"].removeprefix(url), content, token=None).status == 200
    return {"key": "lfsFile", "value": {"path": "large.bin", "algo": "sha256", "oid": oid, "size": len(content)}}


def test_a_killed_hub_keeps_every_acknowledged_commit_and_serves_no_torn_one(tmp_path: Path):
    acknowledged: dict[str, bytes] = {}
    chance = random.Random(0)

    def publish(url: str, life: int) -> None:
        """Commit until the Hub is gone; every answer is written down."""
        for number in range(1_000_000):
            content = f"{life}.{number} ".encode() * 20_000
            try:
                lines = [*commit_lines({"small.txt": content, f"{life}/{number}.txt": b""}), upload(url, content)]
                acknowledged[ask(url, "POST", MAIN, lines).json()["commitOid"]] = content
            except (OSError, http.client.HTTPException):
                return

    hub = HubProcess(tmp_path / "hub")
    for life in range(5):
        hub.start()
        if life == 0:
            assert create(hub.url) == 200
        with ThreadPoolExecutor(1) as threads:
            publisher = threads.submit(publish, hub.url, life)
            before = len(acknowledged)
            while len(acknowledged) < before + 3 and not publisher.done():
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.05))  # somewhere inside of an upload or a commit
            hub.kill()
            publisher.result()

    with HubProcess(tmp_path / "hub") as hub:
        commits = ask(hub.url, "GET", "/api/models/org/repo/commits/main").json()
        assert set(acknowledged) <= {commit["id"] for commit in commits}
        for commit in commits[:-1]:
            small, large = (
                ask(hub.url, "GET", f"/org/repo/resolve/{commit['id']}/{name}") for name in ("small.txt", "large.bin")
            )
            assert small.status == large.status == 200
            assert small.body == large.body == acknowledged.get(commit["id"], small.body)
        assert ask(hub.url, "POST", MAIN, commit_lines({"after.txt": b""})).status == 200
    assert not list((tmp_path / "hub/incoming").iterdir())


def test_locks_of_a_killed_hub_block_nothing(tmp_path: Path):
    with LocalHub(tmp_path) as hub:
        create(hub.url)
    for name in "refs/heads/main.lock", "HEAD.lock", "config.lock":
        (tmp_path / "models/org/repo.git" / name).touch()
    with LocalHub(tmp_path) as hub:
        assert ask(hub.url, "POST", MAIN, commit_lines({"a": b""})).status == 200
        assert ask(hub.url, "PUT", "/api/models/org/repo/settings", {"private": True}).status == 200


def test_of_parallel_commits_on_one_parent_one_wins_and_the_others_try_again(hub):
    api = HfApi(endpoint=hub.url, token="x")
    api.create_repo("org/repo")
    parent = api.model_info("org/repo").sha

    def publish(number: int) -> int:
        lines = commit_lines({f"{number}.txt": b""}, parent=parent)
        first = ask(hub.url, "POST", MAIN, lines).status
        while first == 412:
            now = ask(hub.url, "GET", "/api/models/org/repo").json()["sha"]
            if ask(hub.url, "POST", MAIN, commit_lines({f"{number}.txt": b""}, parent=now)).status == 200:
                break
        return first

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(publish, range(8))) == [200, *[412] * 7]
    assert len(api.list_repo_commits("org/repo")) == 9
    with ThreadPoolExecutor(8) as threads:  # without a parent they line up
        list(
            threads.map(
                lambda n: api.upload_file(repo_id="org/repo", path_in_repo=f"{n}.bin", path_or_fileobj=b"x"), range(8)
            )
        )
    assert len(api.list_repo_files("org/repo")) == 17


def test_twenty_clients_at_once(hub):
    def work(number: int) -> None:
        api = HfApi(endpoint=hub.url, token="x")
        content = random.Random(number).randbytes(300_000)
        api.create_repo(f"org/repo-{number}")
        operations = [CommitOperationAdd("w.safetensors", content), CommitOperationAdd("n.txt", str(number).encode())]
        head = api.create_commit(f"org/repo-{number}", operations, commit_message="all").oid
        api.create_tag(f"org/repo-{number}", tag="v1")
        answer = ask(hub.url, "GET", f"/org/repo-{number}/resolve/v1/w.safetensors")
        assert answer.body == content and answer.headers["x-repo-commit"] == head
        assert len(list(api.list_models(search="repo"))) >= 1

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(work, range(20)))


def test_repositories_that_come_and_go_break_nobody_else(hub):
    statuses: set[int] = set()

    def churn(number: int) -> None:
        for _ in range(30):
            statuses.add(create(hub.url, "gone"))
            statuses.add(ask(hub.url, "DELETE", "/api/repos/delete", {"name": "org/gone"}).status)

    def look(number: int) -> None:
        for path in ["/api/models", "/api/models/org/gone", "/api/models/org/gone/tree/main", "/api/whoami-v2"] * 15:
            statuses.add(ask(hub.url, "GET", path).status)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda number: (churn, look)[number % 2](number), range(6)))
    assert statuses <= {200, 404, 409}
    assert ask(hub.url, "GET", "/api/models").status == 200


def test_a_full_disk_is_said_and_leaves_nothing(hub, tmp_path: Path, monkeypatch):
    create(hub.url)

    def full(self, block):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Incoming, "write", full)
    body = {"operation": "upload", "objects": [{"oid": hashlib.sha256(b"x").hexdigest(), "size": 1}]}
    wanted = ask(hub.url, "POST", "/org/repo.git/info/lfs/objects/batch", body).json()["objects"][0]
    answer = ask(hub.url, "PUT", wanted["actions"]["upload"]["href"].removeprefix(hub.url), b"x")
    assert answer.status == 507 and "full" in answer.headers["x-error-message"]
    assert not list((tmp_path / "hub/incoming").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("xet", ["0", "1"])
def test_two_gibibytes_pass_in_flat_memory(tmp_path: Path, xet: str):
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(2 << 30)
    code = f"""
from huggingface_hub import HfApi, hf_hub_download
api = HfApi(); api.create_repo("local/big")
api.upload_file(repo_id="local/big", path_in_repo="big.bin", path_or_fileobj={str(tmp_path / "big.bin")!r})
hf_hub_download("local/big", "big.bin", local_dir={str(tmp_path / "copy")!r})
"""
    try:
        with HubProcess(tmp_path / "hub") as hub:
            ask(hub.url, "GET", "/")

            def peak() -> int:
                status = Path(f"/proc/{hub.process.pid}/status").read_text()
                return int(status.partition("VmHWM:")[2].split()[0]) // 1024

            before = peak()
            Client(hub.environment(), tmp_path / "home").python(code, HF_HUB_DISABLE_XET=xet)
            assert (tmp_path / "copy/big.bin").stat().st_size == 2 << 30
            assert peak() - before < 64  # MiB: some blocks, and what the threads keep
    finally:
        shutil.rmtree(tmp_path)


NAMES = st.sampled_from(["a", "b", "a/x", "a/y", "a/y/z", "c/d/e", ".gitattributes"])
STEPS = st.lists(
    st.lists(st.tuples(st.sampled_from(["put", "remove", "remove folder"]), NAMES, st.binary(max_size=3)), max_size=4),
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(steps=STEPS)
def test_commits_do_to_files_what_they_do_to_a_dictionary(tmp_path_factory, steps):
    store = Store(tmp_path_factory.mktemp("store"))
    store.create("models", "org/repo", user="local")
    repository = store.find("models", "org/repo")
    expected = {".gitattributes": repository.text(repository.at("main"), ".gitattributes").encode()}
    for step in steps:
        wanted, changes, wrong = dict(expected), [], False
        for kind, name, content in step:
            if kind == "put":
                wanted[name] = content
                changes.append(repository.add_file(name, content))
            else:
                changes.append(Change(name, folder=kind != "remove"))
                inside = [each for each in wanted if kind != "remove" and each.startswith(f"{name}/")]
                wrong |= not (gone := {name, *inside} & set(wanted))
                wanted = {each: content for each, content in wanted.items() if each not in gone}
        wrong |= any(f"{name}/" == each[: len(name) + 1] for name in wanted for each in wanted)
        before = repository.at("main").id
        if wrong:
            with pytest.raises(HubError):
                repository.commit("main", changes, "step", "local", None)
            assert repository.at("main").id == before
        else:
            repository.commit("main", changes, "step", "local", str(before))
            expected = wanted
        head = repository.at("main")
        files = [entry for entry in repository.entries(head, recursive=True) if not entry.folder]
        assert {entry.path: b"".join(repository.read(entry)) for entry in files} == expected
    store.close()


def test_faults_for_the_tests_of_others(hub, faults, tmp_path: Path):
    api = HfApi(endpoint=hub.url, token="x")
    api.create_repo("org/repo")
    content = bytes(range(256)) * 40
    api.upload_file(repo_id="org/repo", path_in_repo="a.txt", path_or_fileobj=content)

    faults.add(Fault("POST .*/preupload/", status=429, headers={"Retry-After": "0"}))
    faults.add(Fault("GET .*/resolve/", truncate=100))
    api.upload_file(repo_id="org/repo", path_in_repo="b.txt", path_or_fileobj=b"after a 429")
    path = api.hf_hub_download("org/repo", "a.txt", local_dir=tmp_path / "copy")  # goes on where the answer broke off
    assert Path(path).read_bytes() == content
    assert sum("/preupload/" in request for request in faults.seen) == 3

    faults.add(Fault("POST .*/commit/", lose_answer=True))
    with pytest.raises(OSError):
        ask(hub.url, "POST", MAIN, commit_lines({"c.txt": b""}))
    assert api.file_exists("org/repo", "c.txt")  # done, though nobody was told
    faults.add(Fault("POST .*/commit/", drop=True))
    with pytest.raises(OSError):
        ask(hub.url, "POST", MAIN, commit_lines({"d.txt": b""}))
    assert not api.file_exists("org/repo", "d.txt")
    faults.add(Fault("GET /api/models", delay=2))
    with pytest.raises(TimeoutError):
        ask(hub.url, "GET", "/api/models/org/repo", timeout=0.2)
    assert ask(hub.url, "GET", "/api/models/org/repo").status == 200
