"""From an HTTP request to a call on the embedded Hub, and from a HubError to the answer that stock clients expect."""

from __future__ import annotations

import errno
import hmac
import ipaddress
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from hf_stilts.local_hub.objects import BLOCK, HubError, Incoming
from hf_stilts.local_hub.repository import HubRepository
from hf_stilts.local_hub.store import KINDS, Store

BODY_LIMIT = 8 << 20  # bytes of a JSON or form body; files travel by other roads
PAGE = 1000  # rows in an answer, as on the public Hub

T = TypeVar("T")

logger = logging.getLogger(__name__)


class _KindConvertor(StringConvertor):
    regex = "|".join(KINDS)


register_url_convertor("hub_kind", _KindConvertor())  # so that a route can say {kind:hub_kind}


class Call:
    """One request: who asks, for what, with which body (bytes; read only where the route wants one)."""

    def __init__(self, request: Request, body: bytes = b"") -> None:
        self.request, self.body = request, body
        self.store: Store = request.app.state.store
        self.params = {name: unquote(value) for name, value in request.path_params.items()}
        self.query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.endpoint = self._address(request.app.state.loopback)
        self.user = self._authenticate(request.app.state.token)

    def _address(self, loopback: bool) -> str:
        """The address under which the client reached us, without a slash at the end."""
        host = self.request.headers.get("host", "")
        match = re.fullmatch(r"([A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?", host)
        if match is None:
            raise HubError(400, f"{host!r:.300} is no Host header: expected name:port")
        if loopback and not is_loopback(match[1].strip("[]")):
            # A web page whose name was made to point at this machine must not act as if it were its user.
            raise HubError(403, f"this Hub answers on this machine only, not as {host}: use 127.0.0.1 or localhost")
        return f"{self.request.scope['scheme']}://{host}"

    def _authenticate(self, expected: str | None) -> str | None:
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        if expected is not None and not hmac.compare_digest(token.strip().encode(), expected.encode()):
            raise HubError(401, "Invalid credentials in Authorization header")
        return "local"

    def asked(self, name: str) -> list[str]:
        """All values of a query parameter, also under the spelling ``name[]``."""
        return [value for key, value in self.query if key in (name, f"{name}[]")]

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return any(value.lower() in ("1", "true") for value in self.asked(name))

    def number(self, name: str, default: int) -> int:
        """A query parameter that counts something; HubError 400 if it is no number."""
        text = (self.asked(name) or [str(default)])[-1]
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise HubError(400, f"{name}={text!r:.100}: expected a whole number")
        return int(text)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; HubError 400 if it is none."""
        return parse_json(self.body)

    def member(self) -> str:
        """The caller's name; HubError 401 if there is no valid token."""
        if self.user is None:
            raise HubError(401, "a token is needed: set HF_TOKEN (on a Hub opened without --token, to any word)")
        return self.user

    def repository(self, *, write: bool = False) -> HubRepository:
        """The repository that the path names, if the caller may see it (and, with `write`, change it)."""
        kind = self.params.get("kind", "models")
        repo_id = f"{self.params['namespace']}/{self.params['name']}"
        if write:
            self.member()
        found = self.store.find(kind, repo_id) if kind in KINDS else None
        if found is None or (found.private and self.user is None):
            # The same answer for both, so that nobody learns the name of a private repository.
            raise HubError(401 if self.user is None else 404, f"no {kind} repository {repo_id!r:.300}", "RepoNotFound")
        return found

    def page(self, rows: Iterable[dict[str, Any]]) -> Response:
        """One page of `rows`, with the address of the next one in the Link header."""
        size = min(max(self.number("limit", PAGE), 1), PAGE)
        start = self.number("cursor", 0)
        window = list(islice(rows, start, start + size + 1))
        headers = {}
        if len(window) > size:
            rest = [(key, value) for key, value in self.query if key != "cursor"]
            query = urlencode([*rest, ("cursor", str(start + size))])
            path = self.request.scope["path"]
            headers["Link"] = f'<{self.endpoint}{path}?{query}>; rel="next"'
        return JSONResponse(window[:size], headers=headers)


def is_loopback(host: str) -> bool:
    """Whether an address or host name is this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def parse_json(body: bytes) -> dict[str, Any]:
    """`body` as a JSON object; HubError 400 if it is none."""
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise HubError(400, f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise HubError(400, f"expected a JSON object, found a {type(value).__name__}")
    return value


def field(body: dict[str, Any], name: str, kind: type[T]) -> T:
    """A required member of a JSON object; HubError 400 if it is absent or of another type."""
    value = body.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise HubError(400, f"{name!r} is {value!r:.100}: expected a {kind.__name__}")
    return value


def optional(body: dict[str, Any], name: str, kind: type[T]) -> T | None:
    """The same for a member that may be absent or null."""
    return None if body.get(name) is None else field(body, name, kind)


async def blocks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives; HubError 413 past `limit` bytes."""
    length = 0
    async for block in request.stream():
        length += len(block)
        if length > limit:
            raise HubError(413, f"the body has more than {limit} bytes")
        yield block


async def gathered(arriving: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger blocks: a hop to a worker thread costs as much as hashing some 100 kB."""
    held: list[bytes] = []
    length = 0
    async for block in arriving:
        held.append(block)
        length += len(block)
        if length >= BLOCK:
            yield b"".join(held)
            held, length = [], 0
    yield b"".join(held)


async def store_body(request: Request, incoming: Incoming, limit: int) -> None:
    """Write the body to `incoming` as it arrives, and keep it once it is whole."""
    await run_in_threadpool(incoming.__enter__)
    error: BaseException | None = None
    try:
        async for block in gathered(blocks(request, limit)):
            await run_in_threadpool(incoming.write, block)
    except BaseException as raised:
        error = raised
        raise
    finally:
        await run_in_threadpool(incoming.__exit__, type(error) if error else None, error, None)


def plain(handler: Callable[[Call], Response]) -> Callable[[Request], Awaitable[Response]]:
    """A route whose body fits in memory: read it, then work in a thread so that other requests go on."""

    async def respond(request: Request) -> Response:
        body = b"".join([block async for block in blocks(request, BODY_LIMIT)])
        return await run_in_threadpool(lambda: handler(Call(request, body)))

    return respond


def refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that failed; an error that is neither the client's nor the disk's is raised again."""
    refusal = _refusal(request, error)
    headers = {"X-Error-Message": re.sub(r"[^ -~]", "?", refusal.message)[:1000]}
    if refusal.status == 408:
        headers["Connection"] = "close"
    if refusal.code:
        headers["X-Error-Code"] = refusal.code
    if refusal.commit:
        headers["X-Repo-Commit"] = refusal.commit
    body = None if request.method == "HEAD" else json.dumps({"error": refusal.message, **refusal.fields})
    return Response(body, refusal.status, headers, media_type="application/json")


def _refusal(request: Request, error: Exception) -> HubError:
    if isinstance(error, HubError):
        return error
    if isinstance(error, HTTPException):  # Starlette's own: no such route, or another method
        return HubError(error.status_code, f"the embedded Hub does not answer {request.method} here: {error.detail}")
    if isinstance(error, ClientDisconnect):
        return HubError(400, "the connection ended before the body did")
    if isinstance(error, OSError) and _says(error, errno.ENOSPC, errno.EDQUOT):
        return HubError(507, "the Hub's disk is full: free some space and send it again")
    if isinstance(error, pygit2.GitError) or _says(error, errno.ENOENT, errno.ENOTDIR):
        # The words of libgit2 hold paths of this machine: they are for its owner, not for the client.
        logger.warning("%s %s: %s", request.method, request.scope["path"], error)
        return HubError(409, "the repository changed while it was read: try again")
    raise error


def _says(error: Exception, *numbers: int) -> bool:
    """Whether an OSError, perhaps one of libgit2, which gives no number, is one of these."""
    number = getattr(error, "errno", None)
    return number in numbers or (number is None and any(os.strerror(each) in str(error) for each in numbers))


FAILURES = (HubError, HTTPException, ClientDisconnect, pygit2.GitError, OSError)  # what `refuse` knows
