"""Routes of the embedded Hub about repositories as a whole: make, move, delete, list, describe, branch and tag them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pygit2
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hf_stilts.local_hub.card import problems, read_card, shown, tags
from hf_stilts.local_hub.http import Call, field, optional, plain
from hf_stilts.local_hub.objects import HubError
from hf_stilts.local_hub.repository import Entry, HubRepository
from hf_stilts.local_hub.store import KINDS


def stamp(commit: pygit2.Commit) -> str:
    """The time of a commit as the Hub writes it: UTC, milliseconds."""
    return iso(datetime.fromtimestamp(commit.commit_time, timezone.utc))


def iso(time: datetime) -> str:
    """The same for any time."""
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def describe(
    repository: HubRepository, revision: str = "main", blobs: bool = False, siblings: bool = True
) -> dict[str, Any]:
    """What the Hub tells of a repository at a revision; a README without readable metadata has none."""
    commit = repository.at(revision)
    try:
        card = shown(read_card(repository.text(commit, "README.md")))
    except ValueError:
        card = {}
    info: dict[str, Any] = {
        "_id": repository.setting("id"),
        "id": repository.id,
        "author": repository.id.partition("/")[0],
        "sha": str(commit.id),
        "lastModified": stamp(repository.at("main")),
        "createdAt": iso(repository.created),
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags(repository.kind, card),
        "cardData": card,
    }
    if repository.kind == "models":
        info |= {
            "modelId": repository.id,
            "pipeline_tag": card.get("pipeline_tag"),
            "model-index": card.get("model-index"),
        }
        info |= {"library_name": card.get("library_name")}
    if repository.kind == "spaces":
        info["sdk"] = card.get("sdk") or repository.setting("sdk") or None
    if siblings:
        files = (entry for entry in repository.entries(commit, recursive=True) if not entry.folder)
        info["siblings"] = [_sibling(entry, blobs) for entry in files]
    return info


def _sibling(entry: Entry, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    lfs = {"sha256": entry.lfs, "size": entry.size, "pointerSize": entry.pointer_size}
    return {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid} | ({"lfs": lfs} if entry.lfs else {})


def _only(info: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name in ("_id", "id", *names)} if names else info


# --- repositories ---


def whoami(call: Call) -> Response:
    """GET /api/whoami-v2."""
    user = call.member()
    token = {"displayName": "embedded Hub", "role": "write", "createdAt": "2020-01-01T00:00:00.000Z"}
    others = sorted(call.store.namespaces() - {user})
    organisations = [{"type": "org", "id": name, "name": name, "fullname": name} for name in others]
    answer = {"type": "user", "id": user, "name": user, "fullname": user, "orgs": organisations}
    return JSONResponse(answer | {"auth": {"type": "access_token", "accessToken": token}})


def _named(call: Call) -> tuple[str, str]:
    body = call.json()
    kind = f"{optional(body, 'type', str) or 'model'}s"
    if kind not in KINDS:
        raise HubError(400, f"type {kind[:-1]!r:.100}: expected model, dataset or space")
    name = field(body, "name", str)
    return kind, name if "/" in name else f"{optional(body, 'organization', str) or call.member()}/{name}"


def _wants_private(body: dict[str, Any]) -> bool | None:
    visibility = optional(body, "visibility", str)
    if visibility is not None and visibility not in ("public", "private"):
        raise HubError(400, f"visibility {visibility!r:.100}: expected public or private")
    return optional(body, "private", bool) if visibility is None else visibility == "private"


def address(call: Call, kind: str, repo_id: str) -> str:
    """Where people would look at the repository."""
    return f"{call.endpoint}/{'' if kind == 'models' else f'{kind}/'}{repo_id}"


def create(call: Call) -> Response:
    """POST /api/repos/create."""
    user = call.member()
    kind, repo_id = _named(call)
    body = call.json()
    url = address(call, kind, repo_id)
    try:
        sdk = optional(body, "sdk", str)
        call.store.create(kind, repo_id, user=user, private=bool(_wants_private(body)), sdk=sdk)
    except HubError as error:
        error.fields["url"] = url  # what `exist_ok=True` goes on with
        raise
    return JSONResponse({"url": url, "name": repo_id, "id": repo_id})


def delete(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    call.member()
    kind, repo_id = _named(call)
    call.store.delete(_existing(call, kind, repo_id))
    return JSONResponse({})


def move(call: Call) -> Response:
    """POST /api/repos/move."""
    call.member()
    body = call.json()
    kind = f"{optional(body, 'type', str) or 'model'}s"
    call.store.move(_existing(call, kind, field(body, "fromRepo", str)), field(body, "toRepo", str))
    return JSONResponse({})


def _existing(call: Call, kind: str, repo_id: str) -> HubRepository:
    found = call.store.find(kind, repo_id) if kind in KINDS else None
    if found is None:
        raise HubError(404, f"no {kind} repository {repo_id!r:.300}", "RepoNotFound")
    return found


def settings(call: Call) -> Response:
    """PUT /api/T/ID/settings."""
    private = _wants_private(call.json())
    repository = call.repository(write=True)
    if private is not None:
        repository.set("private", private)
    return JSONResponse({"private": repository.private})


def auth_check(call: Call) -> Response:
    """GET /api/T/ID/auth-check, also with /write."""
    call.repository(write=call.request.scope["path"].endswith("/write"))
    return JSONResponse({})


def info(call: Call) -> Response:
    """GET /api/T/ID and /api/T/ID/revision/REV."""
    described = describe(call.repository(), call.params.get("revision", "main"), call.flag("blobs"))
    return JSONResponse(_only(described, call.asked("expand")))


def listing(call: Call) -> Response:
    """GET /api/T: every filter must match a tag; newest first unless told otherwise."""
    wanted = {tag for value in call.asked("filter") for tag in value.split(",")}
    author, search, pipeline = (next(iter(call.asked(name)), None) for name in ("author", "search", "pipeline_tag"))
    order = next(iter(call.asked("sort")), "lastModified")

    def matching() -> Iterator[dict[str, Any]]:
        for repository in call.store.all(call.params["kind"]):
            if (repository.private and call.user is None) or (author and not repository.id.startswith(f"{author}/")):
                continue
            if search and search.lower() not in repository.id.lower():
                continue
            try:
                described = describe(repository, siblings=call.flag("full") or "siblings" in call.asked("expand"))
            except (HubError, pygit2.GitError):  # deleted since its folder was seen
                continue
            if wanted <= set(described["tags"]) and pipeline in (None, described.get("pipeline_tag")):
                yield described

    if order not in ("lastModified", "createdAt", "downloads", "likes", "trendingScore"):
        raise HubError(400, f"sort={order!r:.100}: expected lastModified, createdAt, downloads, likes or trendingScore")
    rows = sorted(matching(), key=lambda row: row.get(order) or "", reverse=call.asked("direction") != ["1"])
    return call.page(_only(row, call.asked("expand")) for row in rows)


def owned(call: Call) -> Response:
    """GET /api/settings/repositories and /api/organizations/NAME/settings/repositories: what an owner stores."""
    owner = call.params.get("owner", call.member())

    def rows() -> Iterator[dict[str, Any]]:
        for repository in call.store.all():
            if repository.id.startswith(f"{owner}/"):
                head = repository.at("main")
                yield {
                    "id": repository.id,
                    "type": repository.kind.removesuffix("s"),
                    "updatedAt": stamp(head),
                    "visibility": "private" if repository.private else "public",
                    "storage": sum(entry.size for entry in repository.entries(head, recursive=True)),
                }

    return call.page(rows())


def validate_yaml(call: Call) -> Response:
    """POST /api/validate-yaml."""
    content = field(call.json(), "content", str)
    try:
        card = read_card(content)
        errors = list(problems(card))
    except ValueError as error:
        card, errors = {}, [str(error)]
    warnings = [] if card or errors else ["empty or missing yaml metadata in repo card"]
    answer = {"errors": [{"message": each} for each in errors], "warnings": [{"message": each} for each in warnings]}
    return JSONResponse(answer, 400 if errors else 200)


# --- branches, tags, history ---


def refs(call: Call) -> Response:
    """GET /api/T/ID/refs."""
    repository = call.repository()

    def below(prefix: str) -> list[dict[str, str]]:
        found = repository.refs(prefix).items()
        return [{"name": name, "ref": prefix + name, "targetCommit": sha} for name, sha in found]

    answer = {"branches": below("refs/heads/"), "tags": below("refs/tags/"), "converts": [], "pullRequests": []}
    return JSONResponse(answer)


def bare(call: Call) -> Response:
    """Repositories without a namespace, like bert-base-uncased on the public Hub, do not exist here."""
    name = call.params["name"]
    status = 401 if call.user is None else 404
    raise HubError(status, f"no repository {name!r:.300}: here every name is namespace/name", "RepoNotFound")


def create_branch(call: Call) -> Response:
    """POST /api/T/ID/branch/NAME."""
    start = optional(call.json(), "startingPoint", str) if call.body else None
    call.repository(write=True).create_branch(call.params["ref"], start or "main")
    return JSONResponse({})


def create_tag(call: Call) -> Response:
    """POST /api/T/ID/tag/REV."""
    body = call.json()
    name, message = field(body, "tag", str), optional(body, "message", str)
    call.repository(write=True).create_tag(name, call.params["ref"], call.member(), message)
    return JSONResponse({})


def delete_branch(call: Call) -> Response:
    """DELETE /api/T/ID/branch/NAME."""
    call.repository(write=True).delete_ref(f"refs/heads/{call.params['ref']}")
    return JSONResponse({})


def delete_tag(call: Call) -> Response:
    """DELETE /api/T/ID/tag/NAME."""
    call.repository(write=True).delete_ref(f"refs/tags/{call.params['ref']}")
    return JSONResponse({})


def squash(call: Call) -> Response:
    """POST /api/T/ID/super-squash/BRANCH."""
    message = optional(call.json(), "message", str) if call.body else None
    call.repository(write=True).squash(call.params["ref"], message or "Super-squash branch", call.member())
    return JSONResponse({})


def commits(call: Call) -> Response:
    """GET /api/T/ID/commits/REV, newest first."""
    repository = call.repository()
    history = repository.history(repository.at(call.params["revision"]))
    return call.page(
        {
            "id": str(commit.id),
            "title": re.split(r"\n+", commit.message, maxsplit=1)[0],
            "message": commit.message.partition("\n")[2].strip(),
            "date": stamp(commit),
            "authors": [{"user": commit.author.name, "avatar": ""}],
        }
        for commit in history
    )


_REPO = "/api/{kind:hub_kind}/{namespace}/{name}"

ROUTES = [
    Route("/api/whoami-v2", plain(whoami), methods=["GET"]),
    Route("/api/repos/create", plain(create), methods=["POST"]),
    Route("/api/repos/delete", plain(delete), methods=["DELETE"]),
    Route("/api/repos/move", plain(move), methods=["POST"]),
    Route("/api/settings/repositories", plain(owned), methods=["GET"]),
    Route("/api/organizations/{owner}/settings/repositories", plain(owned), methods=["GET"]),
    Route("/api/validate-yaml", plain(validate_yaml), methods=["POST"]),
    Route("/api/{kind:hub_kind}", plain(listing), methods=["GET"]),
    Route(_REPO, plain(info), methods=["GET"]),
    Route(f"{_REPO}/revision/{{revision}}", plain(info), methods=["GET"]),
    Route(f"{_REPO}/settings", plain(settings), methods=["PUT"]),
    Route(f"{_REPO}/auth-check", plain(auth_check), methods=["GET"]),
    Route(f"{_REPO}/auth-check/write", plain(auth_check), methods=["GET"]),
    Route(f"{_REPO}/refs", plain(refs), methods=["GET"]),
    Route(f"{_REPO}/branch/{{ref}}", plain(create_branch), methods=["POST"]),
    Route(f"{_REPO}/branch/{{ref}}", plain(delete_branch), methods=["DELETE"]),
    Route(f"{_REPO}/tag/{{ref}}", plain(create_tag), methods=["POST"]),
    Route(f"{_REPO}/tag/{{ref}}", plain(delete_tag), methods=["DELETE"]),
    Route(f"{_REPO}/super-squash/{{ref}}", plain(squash), methods=["POST"]),
    Route(f"{_REPO}/commits/{{revision}}", plain(commits), methods=["GET"]),
    Route("/api/{kind:hub_kind}/{name}", plain(bare)),
    Route("/api/{kind:hub_kind}/{name}/revision/{revision}", plain(bare)),
    Route("/{name}/resolve/{revision}/{path:path}", plain(bare)),
    Route("/{kind:hub_kind}/{name}/resolve/{revision}/{path:path}", plain(bare)),
]
