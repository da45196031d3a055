"""Collections of the embedded Hub: named lists of repositories, one JSON file each."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hf_stilts.local_hub.http import Call, field, optional, plain
from hf_stilts.local_hub.objects import HubError, write_whole
from hf_stilts.local_hub.repos import iso
from hf_stilts.local_hub.store import check_id

_LOCK = threading.RLock()  # collections are small and rare: one at a time is enough
_TYPES = ("model", "dataset", "space", "paper", "collection")


def _folder(call: Call) -> Path:
    return call.store.root / "collections"


def _save(call: Call, collection: dict[str, Any]) -> None:
    collection["lastUpdated"] = iso(datetime.now(timezone.utc))
    path = _folder(call) / f"{collection['slug']}.json"
    write_whole(path, json.dumps(collection).encode(), call.store.objects.incoming)


def _visible(call: Call) -> Iterator[dict[str, Any]]:
    for path in sorted(_folder(call).glob("*/*.json")):
        try:
            collection: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:  # deleted since the folder was read
            continue
        if call.user is not None or not collection["private"]:
            yield collection


def _find(call: Call) -> dict[str, Any]:
    slug = f"{call.params['namespace']}/{call.params['slug']}"
    for collection in _visible(call):
        if collection["slug"] == slug:
            return collection
    raise HubError(404, f"no collection {slug!r:.300}", "CollectionNotFound")


def _item(call: Call, collection: dict[str, Any]) -> dict[str, Any]:
    for item in collection["items"]:
        if item["_id"] == call.params["item"]:
            return dict(item)
    raise HubError(404, f"no item {call.params['item']!r:.100} in {collection['slug']}", "EntryNotFound")


def _numbered(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item | {"position": position} for position, item in enumerate(items)]


def create(call: Call) -> Response:
    """POST /api/collections."""
    user, body = call.member(), call.json()
    title, owner = field(body, "title", str), optional(body, "namespace", str) or user
    check_id(f"{owner}/collection")
    with _LOCK:
        for present in _visible(call):
            if present["owner"] == owner and present["title"] == title:
                raise HubError(409, f"{title!r:.100} exists already", slug=present["slug"])
        stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "collection"
        collection: dict[str, Any] = {
            "slug": f"{owner}/{stem}-{secrets.token_hex(12)}",
            "title": title,
            "description": optional(body, "description", str),
            "owner": owner,
            "private": bool(optional(body, "private", bool)),
            "position": 0,
            "theme": "blue",
            "upvotes": 0,
            "items": [],
        }
        _save(call, collection)
    return JSONResponse(collection)


def listing(call: Call) -> Response:
    """GET /api/collections?owner=&item=."""
    owners, items = call.asked("owner"), call.asked("item")
    rows = []
    for collection in _visible(call):
        del collection["position"]  # the client fills it in itself and trips over a second one
        held = {f"{item['type']}s/{item['id']}" for item in collection["items"]}
        if (not owners or collection["owner"] in owners) and all(item in held for item in items):
            rows.append(collection)
    return call.page(rows)


def get(call: Call) -> Response:
    """GET /api/collections/SLUG."""
    return JSONResponse(_find(call))


def update(call: Call) -> Response:
    """PATCH /api/collections/SLUG."""
    call.member()
    body = call.json()
    with _LOCK:
        collection = _find(call)
        for name, kind in {"title": str, "description": str, "theme": str, "private": bool, "position": int}.items():
            if (value := optional(body, name, kind)) is not None:
                collection[name] = value
        _save(call, collection)
    return JSONResponse({"success": True, "data": collection})


def delete(call: Call) -> Response:
    """DELETE /api/collections/SLUG."""
    call.member()
    with _LOCK:
        (_folder(call) / f"{_find(call)['slug']}.json").unlink()
    return JSONResponse({})


def add_item(call: Call) -> Response:
    """POST /api/collections/SLUG/items."""
    call.member()
    body = call.json()
    wanted = field(body, "item", dict)
    item_id, kind = field(wanted, "id", str), field(wanted, "type", str)
    if kind not in _TYPES:
        raise HubError(400, f"type {kind!r:.100}: expected one of {', '.join(_TYPES)}")
    if f"{kind}s" in ("models", "datasets", "spaces") and call.store.find(f"{kind}s", item_id) is None:
        raise HubError(404, f"no {kind} {item_id!r:.300}", "RepoNotFound")
    note = optional(body, "note", str)
    with _LOCK:
        collection = _find(call)
        if any((item["id"], item["type"]) == (item_id, kind) for item in collection["items"]):
            raise HubError(409, f"{item_id} is in the collection already", slug=collection["slug"])
        item = {"_id": secrets.token_hex(12), "id": item_id, "type": kind} | ({"note": {"text": note}} if note else {})
        collection["items"] = _numbered([*collection["items"], item])
        _save(call, collection)
    return JSONResponse(collection)


def update_item(call: Call) -> Response:
    """PATCH /api/collections/SLUG/items/ITEM: its note, its position."""
    call.member()
    body = call.json()
    note, position = optional(body, "note", str), optional(body, "position", int)
    with _LOCK:
        collection = _find(call)
        item = _item(call, collection)
        others = [each for each in collection["items"] if each["_id"] != item["_id"]]
        place = item["position"] if position is None else max(position, 0)
        if note is not None:
            item["note"] = {"text": note}
        collection["items"] = _numbered([*others[:place], item, *others[place:]])
        _save(call, collection)
    return JSONResponse({})


def delete_item(call: Call) -> Response:
    """DELETE /api/collections/SLUG/items/ITEM."""
    call.member()
    with _LOCK:
        collection = _find(call)
        gone = _item(call, collection)["_id"]
        collection["items"] = _numbered([item for item in collection["items"] if item["_id"] != gone])
        _save(call, collection)
    return JSONResponse({})


_SLUG = "/api/collections/{namespace}/{slug}"

ROUTES = [
    Route("/api/collections", plain(create), methods=["POST"]),
    Route("/api/collections", plain(listing), methods=["GET"]),
    Route(_SLUG, plain(get), methods=["GET"]),
    Route(_SLUG, plain(update), methods=["PATCH"]),
    Route(_SLUG, plain(delete), methods=["DELETE"]),
    Route(f"{_SLUG}/items", plain(add_item), methods=["POST"]),
    Route(f"{_SLUG}/items/{{item}}", plain(update_item), methods=["PATCH"]),
    Route(f"{_SLUG}/items/{{item}}", plain(delete_item), methods=["DELETE"]),
]
