"""Routes of the embedded Hub about the files of a repository: list, download, upload, commit."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hf_stilts.local_hub.http import Call, blocks, field, gathered, optional, parse_json, plain, store_body
from hf_stilts.local_hub.objects import HubError, check_sha256
from hf_stilts.local_hub.repos import address, stamp
from hf_stilts.local_hub.repository import LARGE_FILE, Change, Entry, HubRepository, check_path

_LINE_LIMIT = 2 * LARGE_FILE  # bytes of one line of a commit: a regular file in base64, with some air
_COMMIT_LIMIT = 1 << 31
_LARGEST = 1 << 40  # bytes of one object
_UPLOAD_HOURS = 24


# --- listing ---


def _row(entry: Entry, last: dict[str, pygit2.Commit]) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "directory" if entry.folder else "file", "oid": entry.oid, "size": entry.size}
    row["path"] = entry.path
    if entry.lfs:
        row["lfs"] = {"oid": entry.lfs, "size": entry.size, "pointerSize": entry.pointer_size}
    if commit := last.get(entry.path):
        title = commit.message.partition("\n")[0]
        row["lastCommit"] = {"id": str(commit.id), "title": title, "date": stamp(commit)}
    return row


def _last_commits(repository: HubRepository, commit: pygit2.Commit, paths: list[str]) -> dict[str, pygit2.Commit]:
    """The newest commit that touched each path: the last one, walking back, that still has today's content."""

    def content(of: pygit2.Commit, path: str) -> str | None:
        try:
            return str(of.tree[path].id)
        except KeyError:
            return None

    found, open_paths = {}, {path: content(commit, path) for path in paths}
    for each in repository.history(commit):
        older = each.parents[0] if each.parents else None
        for path, today in list(open_paths.items()):
            if older is None or content(older, path) != today:
                found[path] = each
                del open_paths[path]
        if not open_paths:
            break
    return found


def tree(call: Call) -> Response:
    """GET /api/T/ID/tree/REV[/PATH]."""
    repository = call.repository()
    commit = repository.at(call.params["revision"])
    folder = call.params.get("path", "").strip("/")
    entries = list(repository.entries(commit, check_path(folder) if folder else "", call.flag("recursive")))
    last = _last_commits(repository, commit, [entry.path for entry in entries]) if call.flag("expand") else {}
    return call.page(_row(entry, last) for entry in entries)


def paths_info(call: Call) -> Response:
    """POST /api/T/ID/paths-info/REV, as a form or as JSON; paths that do not exist are left out."""
    if "json" in call.request.headers.get("content-type", ""):
        body = call.json()
        given = [path for path in field(body, "paths", list) if isinstance(path, str)]
        expand = bool(body.get("expand"))
    else:
        form = parse_qsl(call.body.decode("latin-1"))
        given = [value for key, value in form if key == "paths"]
        expand = ("expand", "true") in [(key, value.lower()) for key, value in form]
    repository = call.repository()
    commit = repository.at(call.params["revision"])
    entries = [entry for path in given if (entry := repository.entry(commit, path.strip("/")))]
    last = _last_commits(repository, commit, [entry.path for entry in entries]) if expand else {}
    return JSONResponse([_row(entry, last) for entry in entries])


# --- download ---


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """``start, stop`` of a Range header, None for the whole file; HubError 416 where it names no bytes of it."""
    if header is None:
        return None
    match = re.fullmatch(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", header.replace(" ", ""))
    if match is None:
        raise HubError(416, f"Range {header!r:.100}: expected bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT")
    first, last, count = match.groups()
    start = max(size - int(count), 0) if count else int(first)
    stop = min(int(last) + 1, size) if last else size
    if start >= stop:
        raise HubError(416, f"Range {header!r:.100} lies outside of the {size} bytes of this file")
    return start, stop


def resolve(call: Call) -> Response:
    """GET and HEAD /PID/resolve/REV/FILE, with Range."""
    repository = call.repository()
    commit = repository.at(call.params["revision"])
    entry = repository.entry(commit, check_path(call.params["path"]))
    if entry is None or entry.folder:
        message = f"no file {call.params['path']!r:.300} in {repository.id} at {commit.id}"
        raise HubError(404, message, "EntryNotFound", commit=str(commit.id))
    span = _range(call.request.headers.get("range"), entry.size)
    start, stop = span or (0, entry.size)
    headers = {
        "X-Repo-Commit": str(commit.id),
        "ETag": f'"{entry.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Length": str(stop - start),
    }
    if entry.lfs:
        headers |= {"X-Linked-Etag": f'"{entry.lfs}"', "X-Linked-Size": str(entry.size)}
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    # Never text/html: a page in a repository must not run as if it were this server's own.
    kind = "application/octet-stream" if entry.lfs else "text/plain; charset=utf-8"
    if call.request.method == "HEAD":
        return Response(None, 206 if span else 200, headers, media_type=kind)
    return StreamingResponse(repository.read(entry, start, stop), 206 if span else 200, headers, media_type=kind)


# --- upload ---


def preupload(call: Call) -> Response:
    """POST /api/T/ID/preupload/REV: whether each file is sent within the commit or through LFS."""
    files = field(call.json(), "files", list)
    repository = call.repository(write=True)
    commit = repository.at(call.params["revision"])
    answer = []
    for file in files:
        if not isinstance(file, dict):
            raise HubError(400, f"{file!r:.100}: expected an object with path and size")
        path, size = check_path(file.get("path")), field(file, "size", int)
        large = size >= LARGE_FILE or repository.is_large(path, commit)
        present = repository.entry(commit, path)
        oid = None if present is None or present.folder else present.etag
        answer.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid})
    return JSONResponse({"files": answer, "commitOid": str(commit.id)})


def _seal(key: bytes, oid: str, size: int, until: int) -> str:
    return hmac.new(key, f"{oid} {size} {until}".encode(), hashlib.sha256).hexdigest()


def batch(call: Call) -> Response:
    """POST /PID.git/info/lfs/objects/batch (git-lfs, "Batch API"): where to put which object."""
    call.params["name"] = call.params["name"].removesuffix(".git")
    call.repository(write=True)
    body = call.json()
    if field(body, "operation", str) != "upload" or body.get("hash_algo", "sha256") != "sha256":
        raise HubError(400, "expected operation upload and hash_algo sha256; downloads go through /resolve")
    key, until = call.request.app.state.key, int(time.time()) + 3600 * _UPLOAD_HOURS
    answer = []
    for wanted in field(body, "objects", list):
        if not isinstance(wanted, dict):
            raise HubError(400, f"{wanted!r:.100}: expected an object with oid and size")
        oid, size = check_sha256(wanted.get("oid")), field(wanted, "size", int)
        if not 0 <= size <= _LARGEST:
            raise HubError(413, f"an object of {size} bytes: expected at most {_LARGEST}")
        row: dict[str, Any] = {"oid": oid, "size": size}
        if call.store.objects.size(oid) != size:
            seal = f"size={size}&until={until}&seal={_seal(key, oid, size, until)}"
            kind = call.params.get("kind", "models")
            verify = f"{address(call, kind, call.params['namespace'] + '/' + call.params['name'])}.git/info/lfs/verify"
            row["actions"] = {"upload": {"href": f"{call.endpoint}/lfs/{oid}?{seal}"}, "verify": {"href": verify}}
        answer.append(row)
    return JSONResponse({"transfer": "basic", "objects": answer, "hash_algo": "sha256"})


def verify(call: Call) -> Response:
    """POST the verify address of a batch: whether the object is here."""
    call.params["name"] = call.params["name"].removesuffix(".git")
    call.repository(write=True)
    body = call.json()
    oid, size = check_sha256(body.get("oid")), field(body, "size", int)
    if call.store.objects.size(oid) != size:
        raise HubError(404, f"object {oid} of {size} bytes is not here: upload it again", "EntryNotFound")
    return JSONResponse({})


async def receive(request: Request) -> Response:
    """PUT the upload address of a batch. The address itself is the permission: clients send no token along."""
    state, query = request.app.state, request.query_params
    oid = check_sha256(request.path_params["oid"])
    size, until = (int(v) if re.fullmatch("[0-9]{1,15}", v := query.get(name, "")) else 0 for name in ("size", "until"))
    if until < time.time() or not hmac.compare_digest(
        _seal(state.key, oid, size, until).encode(), query.get("seal", "").encode(errors="replace")
    ):
        raise HubError(403, "this upload address is not or no longer valid: ask for a new one")
    await store_body(request, state.store.objects.receive(oid, size), limit=size)
    return Response(status_code=200)


# --- commit ---


def _change(repository: HubRepository, line: dict[str, Any]) -> Change:
    value = field(line, "value", dict)
    path: object = value.get("path")
    match line.get("key"):
        case "file":
            content, encoding = field(value, "content", str), value.get("encoding", "utf-8")
            if encoding not in ("base64", "utf-8"):
                raise HubError(400, f"encoding {encoding!r:.100}: expected base64 or utf-8")
            try:
                data = base64.b64decode(content, validate=True) if encoding == "base64" else content.encode()
            except (binascii.Error, ValueError) as error:
                raise HubError(400, f"the content of {path!r:.300} is no base64: {error}") from None
            return repository.add_file(path, data)
        case "lfsFile":
            return repository.add_large_file(path, check_sha256(value.get("oid")), optional(value, "size", int))
        case "deletedFile" | "deletedFolder":
            folder = line["key"] == "deletedFolder"
            return Change(check_path(path.rstrip("/") if folder and isinstance(path, str) else path), folder=folder)
        case other:
            raise HubError(400, f"{other!r:.100}: expected file, lfsFile, deletedFile or deletedFolder")


async def commit(request: Request) -> Response:
    """POST /api/T/ID/commit/REV: one JSON object a line, read and stored as they arrive."""
    call = Call(request)
    user = call.member()
    repository = await run_in_threadpool(call.repository, write=True)
    if call.flag("create_pr"):
        raise HubError(400, "the embedded Hub has no pull requests: commit to a branch")
    branch = call.params["revision"].removeprefix("refs/heads/")
    await run_in_threadpool(repository.at, f"refs/heads/{branch}")
    header: dict[str, Any] | None = None
    changes: list[Change] = []

    def take(line: bytes) -> None:
        nonlocal header
        item = parse_json(line)
        if item.get("key") == "header":
            header = field(item, "value", dict)
        else:
            changes.append(_change(repository, item))

    await _each_line(request, take)
    if header is None:
        raise HubError(400, "the commit has no line with key header")
    summary, description = optional(header, "summary", str), optional(header, "description", str)
    message = "\n\n".join(part for part in (summary, description) if part) or "no message"
    parent = optional(header, "parentCommit", str)
    oid = await run_in_threadpool(repository.commit, branch, changes, message, user, parent)
    url = f"{address(call, repository.kind, repository.id)}/commit/{oid}"
    return JSONResponse({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


async def _each_line(request: Request, take: Callable[[bytes], None]) -> None:
    rest = bytearray()
    async for block in gathered(blocks(request, _COMMIT_LIMIT)):
        *lines, last = block.split(b"\n")
        if lines:
            rest += lines[0]
            for line in (bytes(rest), *lines[1:]):
                if line.strip():
                    await run_in_threadpool(take, line)
            rest = bytearray()
        rest += last
        if len(rest) > _LINE_LIMIT:
            raise HubError(413, f"a line of more than {_LINE_LIMIT} bytes: send large files through LFS")
    if rest.strip():
        await run_in_threadpool(take, bytes(rest))


_API = "/api/{kind:hub_kind}/{namespace}/{name}"

ROUTES = [
    Route(f"{_API}/tree/{{revision}}", plain(tree), methods=["GET"]),
    Route(f"{_API}/tree/{{revision}}/{{path:path}}", plain(tree), methods=["GET"]),
    Route(f"{_API}/paths-info/{{revision}}", plain(paths_info), methods=["POST"]),
    Route(f"{_API}/preupload/{{revision}}", plain(preupload), methods=["POST"]),
    Route(f"{_API}/commit/{{revision}}", commit, methods=["POST"]),
    Route("/lfs/{oid}", receive, methods=["PUT"]),
]
for _prefix in ("/{kind:hub_kind}", ""):  # the address of a model names no kind
    _repository = f"{_prefix}/{{namespace}}/{{name}}"
    ROUTES += [
        Route(f"{_repository}/resolve/{{revision}}/{{path:path}}", plain(resolve), methods=["GET"]),
        Route(f"{_repository}/info/lfs/objects/batch", plain(batch), methods=["POST"]),
        Route(f"{_repository}/info/lfs/verify", plain(verify), methods=["POST"]),
    ]
