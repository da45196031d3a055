"""What is wrong with a request to the embedded Hub is refused with a 4xx that says so: never a 5xx, never a hang."""

import hashlib
import json
import socket
import string

import pytest
from hub_fixture import ask, commit_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_stilts.local_hub import LocalHub

MAIN = "/api/models/org/repo/commit/main"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A Hub that many tests share, with one repository."""
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub:
        assert ask(hub.url, "POST", "/api/repos/create", {"name": "org/repo"}).status == 200
        lines = commit_lines({"file.txt": b"0123456789", "folder/other.txt": b""})
        assert ask(hub.url, "POST", MAIN, lines).status == 200
        yield hub.url


BATCH = "/org/repo.git/info/lfs/objects/batch"
OID = hashlib.sha256(b"never sent").hexdigest()
REFUSED = {
    "path above": ("POST", MAIN, commit_lines({"../x": b""}), 400),
    "path inside above": ("POST", MAIN, commit_lines({"a/../../x": b""}), 400),
    "absolute path": ("POST", MAIN, commit_lines({"/etc/passwd": b""}), 400),
    "NUL": ("POST", MAIN, commit_lines({"a\0b": b""}), 400),
    "git's own folder": ("POST", MAIN, commit_lines({"a/.GIT/config": b""}), 400),
    "backslash": ("POST", MAIN, commit_lines({"a\\b": b""}), 400),
    "empty path": ("POST", MAIN, commit_lines({"": b""}), 400),
    "half a character": ("POST", MAIN, b'{"key":"header","value":{"summary":"\\ud800"}}', 400),
    "file as a folder": ("POST", MAIN, commit_lines({"file.txt/below": b""}), 400),
    "folder as a file": ("POST", MAIN, commit_lines({"folder": b""}), 400),
    "delete nothing": (
        "POST", MAIN, [*commit_lines({}), {"key": "deletedFile", "value": {"path": "none"}}], 404,
    ),
    "no JSON": ("POST", MAIN, b"{", 400),
    "no object": ("POST", MAIN, b"[1]\n", 400),
    "deep JSON": ("POST", MAIN, b"[" * 200_000, 400),
    "no header": ("POST", MAIN, b"", 400),
    "no base64": (
        "POST", MAIN,
        [*commit_lines({}), {"key": "file", "value": {"path": "a", "content": "?", "encoding": "base64"}}], 400,
    ),
    "unknown key": ("POST", MAIN, [*commit_lines({}), {"key": "rename", "value": {}}], 400),
    "long line": ("POST", MAIN, b" " * (21 << 20) + b"x", 413),
    "object never sent": (
        "POST", MAIN, [*commit_lines({}), {"key": "lfsFile", "value": {"path": "a", "oid": OID, "size": 1}}], 400,
    ),
    "no object id": (
        "POST", MAIN, [*commit_lines({}), {"key": "lfsFile", "value": {"path": "a", "oid": "../../x", "size": 1}}], 400,
    ),
    "pull request": ("POST", f"{MAIN}?create_pr=1", commit_lines({"a": b""}), 400),
    "commit to a tag's name": ("POST", "/api/models/org/repo/commit/v0", commit_lines({"a": b""}), 404),
    "resolve above": ("GET", "/org/repo/resolve/main/..%2f..%2fhub.id", None, 400),
    "resolve NUL": ("GET", "/org/repo/resolve/main/a%00b", None, 400),
    "resolve a folder": ("GET", "/org/repo/resolve/main/folder", None, 404),
    "revision above": ("GET", "/org/repo/resolve/..%2f..%2fmain/file.txt", None, 404),
    "unknown revision": ("GET", "/api/models/org/repo/revision/none", None, 404),
    "revision of git's own": ("GET", "/api/models/org/repo/revision/main~0", None, 404),
    "tree of a file": ("GET", "/api/models/org/repo/tree/main/file.txt", None, 404),
    "owner above": ("GET", "/api/models/..%2f..%2f/repo", None, 404),
    "limit": ("GET", "/api/models?limit=-1", None, 400),
    "sort": ("GET", "/api/models?sort=size", None, 400),
    "name": ("POST", "/api/repos/create", {"name": "../x", "organization": "org"}, 400),
    "name of git": ("POST", "/api/repos/create", {"name": "x.git", "organization": "org"}, 400),
    "reserved owner": ("POST", "/api/repos/create", {"name": "x", "organization": "datasets"}, 400),
    "number as name": ("POST", "/api/repos/create", {"name": 3}, 400),
    "kind": ("POST", "/api/repos/create", {"name": "x", "type": "bucket"}, 400),
    "branch name": ("POST", "/api/models/org/repo/branch/a..b", {}, 400),
    "branch over a branch": ("POST", "/api/models/org/repo/branch/main%2fx", {}, 409),
    "tag without name": ("POST", "/api/models/org/repo/tag/main", {}, 400),
    "delete main": ("DELETE", "/api/models/org/repo/branch/main", None, 403),
    "size": ("POST", BATCH, {"operation": "upload", "objects": [{"oid": OID, "size": -1}]}, 413),
    "unsealed upload": ("PUT", f"/lfs/{OID}?size=1&until=9999999999&seal=0", b"x", 403),
    "xorb name": ("POST", "/xet/0/v1/xorbs/default/x", b"x", 400),
    "no shard": ("POST", "/xet/0/v1/shards", b"x" * 100, 400),
    "no form": ("POST", "/api/models/org/repo/preupload/main", b"\xff" * 100, 400),
    "huge body": ("POST", "/api/validate-yaml", b"x" * (9 << 20), 413),
    "squash nothing": ("POST", "/api/models/org/repo/super-squash/none", {}, 404),
    "no such route": ("GET", "/api/nothing/at/all", None, 404),
    "no such method": ("DELETE", "/api/whoami-v2", None, 405),
    "item": ("POST", "/api/collections/org/none/items", {"item": {"id": "x", "type": "model"}}, 404),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_and_said(url: str, case: str):
    method, path, body, status = REFUSED[case]
    head = ask(url, "GET", "/api/models/org/repo").json()["sha"]
    answer = ask(url, method, path, body)
    assert answer.status == status, answer.body
    assert answer.headers["x-error-message"]
    assert answer.json()["error"]
    assert ask(url, "GET", "/api/models/org/repo").json()["sha"] == head


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-", 206, b"23456789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-100", 206, b"89"),
        ("bytes=10-", 416, None),
        ("bytes=5-2", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=a-b", 416, None),
        ("lines=1-2", 416, None),
        ("bytes=" + "9" * 5000 + "-", 416, None),
    ],
)
def test_ranges(url: str, header: str, status: int, body: bytes | None):
    for method in "GET", "HEAD":
        answer = ask(url, method, "/org/repo/resolve/main/file.txt", Range=header)
        assert answer.status == status
        if body is not None:
            assert answer.headers["content-length"] == str(len(body))
            assert answer.body == (body if method == "GET" else b"")
            assert answer.headers["content-range"].endswith("/10")


def test_bytes_that_are_not_what_was_announced_are_refused(url: str):
    content = b"the right bytes"
    oid = hashlib.sha256(content).hexdigest()
    body = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
    wanted = ask(url, "POST", BATCH, body).json()["objects"][0]
    href = wanted["actions"]["upload"]["href"].removeprefix(url)
    assert ask(url, "PUT", href, b"the wrong bytes", token=None).status == 400
    assert ask(url, "PUT", href, b"too few", token=None).status == 400
    assert ask(url, "PUT", href, b"the right bytes and more", token=None).status == 413
    assert ask(url, "PUT", href.replace("size=15", "size=16"), content, token=None).status == 403
    assert (
        ask(url, "POST", wanted["actions"]["verify"]["href"].removeprefix(url), {"oid": oid, "size": 15}).status == 404
    )
    line = {"key": "lfsFile", "value": {"path": "a", "oid": oid}}
    assert ask(url, "POST", MAIN, [*commit_lines({}), line]).status == 400
    assert ask(url, "PUT", href, content, token=None).status == 200
    line["value"]["size"] = 14
    assert ask(url, "POST", MAIN, [*commit_lines({}), line]).status == 400


def test_a_body_that_ends_early_changes_nothing(url: str):
    before = ask(url, "GET", "/api/models/org/repo").json()["sha"]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in commit_lines({"early.txt": b"x"}))
    head = f"POST {MAIN} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n"
    head += f"Content-Length: {len(body) + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode() + body)  # all that a commit needs, but one byte was announced that never comes
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass
    assert ask(url, "GET", "/api/models/org/repo").json()["sha"] == before


PIECES = st.one_of(
    st.sampled_from(
        "api models datasets spaces org repo repo.git main resolve tree revision commit preupload refs tag branch lfs "
        "xet v1 xorbs default shards info objects batch verify whoami-v2 repos create delete move collections items "
        "settings paths-info commits validate-yaml file.txt folder xet-write-token auth-check .. . %00 %2f %ff "
        "%2e%2e super-squash".split()
    ),
    st.text(string.printable.translate(str.maketrans("", "", string.whitespace + "?#")), min_size=1, max_size=12),
)
MEMBERS = (
    "name organization type sdk files path size objects oid operation paths key value content item header summary "
    "parentCommit title namespace private visibility tag message fromRepo toRepo"
).split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4)
BODIES = st.none() | st.binary(max_size=200) | OBJECTS | st.lists(OBJECTS, max_size=3)
ROUTES = st.sampled_from(
    [(method, path) for method, path, _, _ in REFUSED.values() if "delete" not in path and method != "DELETE"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    route=st.tuples(st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]),
                    st.lists(PIECES, max_size=7).map(lambda pieces: "/" + "/".join(pieces))) | ROUTES,
    body=BODIES,
    headers=st.dictionaries(
        st.sampled_from(["Range", "Content_Type", "Host", "Accept", "X_Forwarded_For"]),
        st.text(string.ascii_letters + string.digits + " =-,;/*:[]@", max_size=20), max_size=2,
    ),
    token=st.sampled_from([None, "x", " "]),
)  # fmt: skip
def test_no_request_breaks_or_hangs_the_hub(url: str, route, body, headers, token):
    try:
        answer = ask(url, *route, body, token=token, timeout=10, **headers)
    except (ValueError, UnicodeEncodeError):
        return  # the client itself would not send it
    assert answer.status < 500
    assert answer.status < 400 or answer.headers["x-error-message"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_break_or_hang_the_hub(url: str, garbage: bytes):
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(garbage + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(1000)
        except ConnectionResetError:  # closed with some of the garbage unread
            answer = b""
    assert not answer or answer.split()[1][:1] in b"1234"
    assert ask(url, "GET", "/").status == 200


def test_a_web_page_under_another_name_cannot_act_as_the_user(url: str):
    """DNS rebinding: a name that an attacker owns can point at 127.0.0.1, but the Host header keeps it."""
    assert ask(url, "GET", "/api/models/org/repo", Host="evil.example:80").status == 403
    assert ask(url, "GET", "/api/models/org/repo", Host="localhost:80").status == 200
