"""What one holder of a token stores takes the embedded Hub from nobody else."""

import hashlib
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hub_fixture import Fault, ask, commit_lines
from huggingface_hub import HfApi
from xet_formats import XORB, packed, shard

from hf_stilts.console import announce_hub
from hf_stilts.local_hub import LocalHub, timeouts
from hf_stilts.local_hub import card as cards
from hf_stilts.local_hub.card import problems, read_card
from hf_stilts.local_hub.objects import HubError
from hf_stilts.local_hub.store import Store
from hf_stilts.local_hub.xorbs import Xorb

HEADS = {
    "no bool": "a: !!bool foo",
    "no int": 'a: !!int ""',
    "no float": "a: !!float ''",
    "no time": "a: !!timestamp foo",
    "no date": "a: 2020-99-99",
    "half a character": 'a: "\\ud800"',
    "no number for JSON": "a: 0x" + "f" * 6000,
    "long number": "a: 1" + ":1" * 100_000,
    "deep": "a: " + "- " * 60_000,
    "merges of merges": "a0: &a0 {k: v}\n"
    + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 15)),
    "long": "tags:\n" + "- abcdef\n" * 200_000,
    "list": "- a",
}


@pytest.mark.parametrize("case", HEADS)
def test_a_card_that_cannot_be_read_is_no_metadata_and_takes_no_listing_down(hub, case: str):
    api = HfApi(endpoint=hub.url, token="x")
    for name in "org/bad", "org/good":
        api.create_repo(name)
    good = commit_lines({"README.md": b"---\nlicense: mit\n---\n"})
    assert ask(hub.url, "POST", "/api/models/org/good/commit/main", good).status == 200
    content = f"---\n{HEADS[case]}\n---\nA model.".encode()
    assert ask(hub.url, "POST", "/api/models/org/bad/commit/main", commit_lines({"README.md": content})).status == 200
    listed = {each.id: each.card_data and each.card_data.to_dict() for each in api.list_models(full=True)}
    assert listed == {"org/bad": None, "org/good": {"license": "mit"}}
    assert api.model_info("org/bad").card_data is None
    answer = ask(hub.url, "POST", "/api/validate-yaml", {"content": content.decode(), "repoType": "model"})
    assert answer.status == 400 and answer.json()["errors"]


@pytest.mark.parametrize("line", ["self: 1", "ignore_metadata_errors: 1", "tags: 5", "tags: [5]"])
@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_field_over_which_stock_clients_stumble_is_not_sent(hub, kind: str, line: str):
    api = HfApi(endpoint=hub.url, token="x")
    api.create_repo("org/bad", repo_type=kind, space_sdk="static" if kind == "space" else None)
    lines = commit_lines({"README.md": f"---\nlicense: mit\n{line}\n---\n".encode()})
    assert ask(hub.url, "POST", f"/api/{kind}s/org/bad/commit/main", lines).status == 200
    listed = {"model": api.list_models, "dataset": api.list_datasets, "space": api.list_spaces}[kind](full=True)
    assert [each.card_data.to_dict() for each in listed] == [{"license": "mit"}]
    assert list(problems(read_card(f"---\n{line}\n---\n")))


def test_a_bad_head_is_read_once(monkeypatch):
    loads = []
    load = cards.yaml.load
    monkeypatch.setattr(cards.yaml, "load", lambda *given: loads.append(1) or load(*given))
    for _ in range(3):
        with pytest.raises(ValueError, match="YAML"):
            read_card("---\nread once: !!bool foo\n---\n")
    assert len(loads) == 1


def test_what_a_card_holds_is_kept_where_json_can_say_it():
    head = "a: 1_000\nb: 0x1f\nc: 1.5\nd: .nan\ne: 2020-01-01\nf: yes\ng: &g [x]\nh: *g\n1: é\n"
    card = read_card(f"---\n{head}---\n")
    expected = {
        "a": 1000,
        "b": 31,
        "c": 1.5,
        "d": None,
        "e": "2020-01-01",
        "f": "yes",
        "g": ["x"],
        "h": ["x"],
        "1": "é",
    }
    assert json.loads(json.dumps(card)) == expected


def send(url: str, path: str, body: bytes) -> int:
    return ask(url, "POST", f"/xet/any/v1/{path}", body).status


@pytest.mark.slow
def test_a_small_shard_cannot_unpack_to_hours_of_work(hub):
    chunks = [bytes(128 << 10)] * 120  # of zeros: 66 kB packed
    xorb = b"".join(packed(chunk, 1) for chunk in chunks)
    assert len(xorb) < 100_000 and send(hub.url, f"xorbs/default/{XORB}", xorb) == 200
    whole = (XORB, 0, 120, 120 << 17)
    assert send(hub.url, "shards", shard([whole] * 2800, "0" * 64)) == 413  # 44 GB
    assert send(hub.url, "shards", shard([(XORB, 0, 1, 1)] * 600_000, "0" * 64)) == 413  # few bytes, many terms
    content = bytes(120 << 17) * 2
    sha256 = hashlib.sha256(content).hexdigest()
    assert send(hub.url, "shards", shard([whole] * 2, sha256)) == 200


def test_a_chunk_larger_than_the_protocol_has_is_refused(hub):
    size = (128 << 10) + 1
    assert send(hub.url, f"xorbs/default/{XORB}", packed(bytes(size), 1)) == 200
    assert send(hub.url, "shards", shard([(XORB, 0, 1, size)], hashlib.sha256(bytes(size)).hexdigest())) == 400


def test_the_end_of_a_xorb_is_found_without_walking_it_again(tmp_path):
    (tmp_path / XORB).write_bytes(b"".join(packed(bytes([number]), 0) for number in range(200)))
    headers = []
    xorb = Xorb(tmp_path / XORB)
    read = xorb._header
    xorb._header = lambda data, index: headers.append(index) or read(data, index)
    for _ in range(50):
        assert list(xorb.chunks(199, 200)) == [bytes([199])]
    assert len(headers) < 300


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"GET / HT"])
@pytest.mark.parametrize("before", [False, True])
def test_a_head_that_never_ends_is_closed(hub, monkeypatch, sent: bytes, before: bool):
    monkeypatch.setattr(timeouts, "SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2])), timeout=10) as connection:
        if before:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"<token>\n"):
                answer += connection.recv(10_000)
            sent = sent or b"G"  # silence after an answer is no request: it may last
        connection.sendall(sent)
        with suppress(ConnectionResetError):
            assert connection.recv(1000) == b""


def test_a_body_that_never_ends_is_refused_and_closed(hub, monkeypatch):
    monkeypatch.setattr(timeouts, "SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n")
        connection.sendall(b"Content-Length: 50\r\n\r\n{")
        answer = b""
        while block := connection.recv(10_000):
            answer += block
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_answer_may_take_longer_than_a_request(hub, faults, monkeypatch):
    monkeypatch.setattr(timeouts, "SECONDS", 0.2)
    faults.add(Fault("GET /api/whoami-v2", delay=0.6))
    assert ask(hub.url, "GET", "/api/whoami-v2").status == 200


@pytest.mark.parametrize("name", ["a" * 230, "é" * 120, "a/" * 150 + "b"])
def test_a_reference_name_that_no_disk_takes_is_refused_without_a_path(hub, tmp_path, name: str):
    HfApi(endpoint=hub.url, token="x").create_repo("org/repo")
    quoted = quote(name, safe="")
    for method, path, body, status in [
        ("POST", f"/api/models/org/repo/branch/{quoted}", {}, 400),
        ("POST", "/api/models/org/repo/tag/main", {"tag": name}, 400),
        ("DELETE", f"/api/models/org/repo/branch/{quoted}", None, 404),
        ("DELETE", f"/api/models/org/repo/tag/{quoted}", None, 404),
        ("GET", f"/api/models/org/repo/revision/{quoted}", None, 404),
        ("POST", f"/api/models/org/repo/commit/{quoted}", commit_lines({"a": b""}), 404),
        ("POST", f"/api/models/org/repo/super-squash/{quoted}", {}, 404),
    ]:
        answer = ask(hub.url, method, path, body)
        assert (answer.status, str(tmp_path).encode() in answer.body) == (status, False), path


def test_a_commit_to_a_repository_that_went_meanwhile_is_refused(tmp_path):
    store = Store(tmp_path)
    for what in "deleted", "moved", "made anew":
        store.create("models", "org/repo", user="x")
        found = store.find("models", "org/repo")
        change = found.add_file("a.txt", b"a")
        if what == "moved":
            store.move(store.find("models", "org/repo"), "org/other")
        else:
            store.delete(store.find("models", "org/repo"))
        if what == "made anew":
            store.create("models", "org/repo", user="x")
        for write in (
            lambda of=found: of.add_file("b.txt", b"b"),
            lambda of=found, with_=change: of.commit("main", [with_], "late", "x", None),
            lambda of=found: of.create_branch("late", "main"),
            lambda of=found: of.create_tag("late", "main", "x", "late"),
            lambda of=found: of.squash("main", "late", "x"),
            lambda of=found: of.set("private", True),
        ):
            with pytest.raises(HubError) as refusal:
                write()
            assert refusal.value.status in (404, 409), what
    assert len(list(store.find("models", "org/repo").history(store.find("models", "org/repo").at("main")))) == 1
    assert {path.name for path in (tmp_path / "models/org").iterdir()} == {"repo.git", "other.git"}
    store.close()


def test_a_collection_deleted_while_all_are_read_is_left_out(hub, monkeypatch):
    api = HfApi(endpoint=hub.url, token="x")
    for title in "one", "two":
        api.create_collection(title, namespace="org")
    read = Path.read_text

    def gone(path: Path, *given, **named):
        if path.name.startswith("one-"):
            path.unlink(missing_ok=True)
        return read(path, *given, **named)

    monkeypatch.setattr(Path, "read_text", gone)
    assert [each.title for each in api.list_collections(owner="org")] == ["two"]


def test_other_users_of_the_machine_cannot_read_past_the_hub(tmp_path):
    before = os.umask(0o022)
    try:
        with LocalHub(tmp_path / "hub", token="x") as hub:
            api = HfApi(endpoint=hub.url, token="x")
            api.create_repo("org/secret", private=True)
            api.upload_file(repo_id="org/secret", path_in_repo="a.bin", path_or_fileobj=b"large")
            api.upload_file(repo_id="org/secret", path_in_repo="a.txt", path_or_fileobj=b"small")
            api.create_collection("secret", namespace="org", private=True)
            shut = {path for path in (tmp_path / "hub").rglob("*") if path.is_dir() and not path.stat().st_mode & 0o077}
            assert tmp_path / "hub/models/org/secret.git" in shut
            for path in (tmp_path / "hub").rglob("*"):
                if path.is_file() and path.name not in ("hub.id", "hub.lock"):
                    assert shut & set(path.parents), path
        (tmp_path / "hub/models").chmod(0o755)  # as an older version left it
        with LocalHub(tmp_path / "hub"):
            assert not (tmp_path / "hub/models").stat().st_mode & 0o077
    finally:
        os.umask(before)


def test_a_hub_for_other_machines_says_an_endpoint_that_can_be_asked(tmp_path):
    with LocalHub(tmp_path, host="0.0.0.0", token="a word") as hub:
        assert hub.url.startswith("http://127.0.0.1:")
        assert ask(hub.url, "GET", "/api/whoami-v2", token="a word").status == 200


def test_the_lines_to_type_hold_the_token_and_both_endpoints(capsys):
    announce_hub("http://127.0.0.1:5564", "new", token="it's mine", others="box")
    said = capsys.readouterr().out
    assert "export HF_ENDPOINT=http://127.0.0.1:5564 HF_TOKEN='it'\"'\"'s mine'\n" in said
    assert "export HF_ENDPOINT=http://box:5564 HF_TOKEN='it'\"'\"'s mine'\n" in said
    announce_hub("http://127.0.0.1:5564", "with 1 model of runs[1]")
    said = capsys.readouterr().out
    assert "HF_ENDPOINT=http://127.0.0.1:5564 HF_TOKEN=local\n" in said and "runs[1]" in said


def test_an_empty_token_is_refused(tmp_path):
    with pytest.raises(ValueError, match="token is empty"):
        LocalHub(tmp_path, token=" ").__enter__()
