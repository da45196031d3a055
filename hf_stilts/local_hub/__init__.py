"""A small Hub on this machine: stock Hugging Face clients publish to it and load from it through HF_ENDPOINT alone."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hf_stilts.local_hub import collections, files, jobs, repos, xet
from hf_stilts.local_hub.http import FAILURES, Call, is_loopback, plain, refuse
from hf_stilts.local_hub.store import Store
from hf_stilts.local_hub.timeouts import TimedProtocol, timed

Middleware = Callable[[ASGIApp], ASGIApp]


def _welcome(call: Call) -> Response:
    return PlainTextResponse(
        f"The embedded Hub of hf_stilts. Point stock clients at it: HF_ENDPOINT={call.endpoint} HF_TOKEN=<token>\n"
    )


def application(
    store: Store, token: str | None = None, loopback: bool = True, running: jobs.Jobs | None = None
) -> ASGIApp:
    """The Hub over `store` as an ASGI application.

    Args:
        store: where the repositories lie.
        token: what callers must present to write and to see private repositories; None lets any token pass.
        loopback: refuse requests for host names other than this machine's own.
        running: the jobs; default: none are run.
    """
    routes = [
        Route("/", plain(_welcome)),
        *collections.ROUTES,
        *jobs.ROUTES,
        *repos.ROUTES,
        *files.ROUTES,
        *xet.ROUTES,
    ]
    app = Starlette(routes=routes, exception_handlers={each: refuse for each in FAILURES})
    app.router.redirect_slashes = False
    app.state.store, app.state.token, app.state.loopback = store, token, loopback
    app.state.jobs = running or jobs.Jobs(store.root / "jobs", allowed=False)
    app.state.unpacking = asyncio.Semaphore(2)
    app.state.key = secrets.token_bytes(32)  # seals the addresses of uploads

    async def with_raw_path(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Names of branches and folders may hold "/" as %2F: split the path first, decode its parts after.
            scope = {**scope, "path": scope["raw_path"].decode("latin-1"), "root_path": ""}
            receive = timed(receive)
        await app(scope, receive, send)

    return with_raw_path


def _server(
    root: Path, host: str, port: int, token: str | None, middleware: Middleware, run_jobs: bool
) -> tuple[uvicorn.Server, Store, jobs.Jobs]:
    if run_jobs and not token:
        raise ValueError(
            "jobs are commands that run as you, and without a token anybody on this machine could send one; expected a "
            "token. Pass --token WORD, or leave --run-jobs away"
        )
    if token is not None and not token.strip():
        raise ValueError("the token is empty; expected a word that callers present. Name one, or leave --token away")
    loopback = is_loopback(host)
    if not loopback and not token:
        raise ValueError(
            f"host {host} can be reached from other machines, and anybody there could write to this Hub; "
            "expected a loopback address or a token. Pass --token, or leave --host away"
        )
    store = Store(root)
    running = jobs.Jobs(store.root / "jobs", run_jobs)
    config = uvicorn.Config(
        middleware(application(store, token, loopback, running)),
        host=host,
        port=port,
        http=TimedProtocol,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
        server_header=False,
    )
    return uvicorn.Server(config), store, running


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ValueError(f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port, or 0") from error
    return listener


def _url(listener: socket.socket) -> str:
    """Where clients on this machine find it: "any address" (0.0.0.0) is none that they could ask."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    *,
    run_jobs: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve the folder `root` as a Hub until the process is interrupted.

    Args:
        root: folder for repositories and objects; made if absent. One process at a time serves it.
        host: address to listen on; anything but loopback needs a `token`.
        port: 0 takes a free one.
        token: see `application`.
        run_jobs: run the commands of jobs as processes of this machine, as you; needs a `token`. They end with the Hub.
        announce: called with the endpoint once the Hub answers.

    Raises:
        ValueError: another process serves `root`, the port is taken, or `host` is open to others without a token.
    """
    server, store, running = _server(root, host, port, token, lambda app: app, run_jobs)
    with suppress(KeyboardInterrupt), closing(store), closing(running), closing(_listen(host, port)) as listener:
        if announce is not None:
            announce(_url(listener))  # the socket listens already: a client that comes now is answered soon
        server.run(sockets=[listener])


class LocalHub:
    """The same Hub in a thread of this process, for the length of a ``with`` block.

    Clients in *this* process read HF_ENDPOINT when `huggingface_hub` is first imported; give `environment()` to
    processes that start later, or `HfApi(endpoint=hub.url)` to calls that take one.

    Args:
        root: folder for repositories and objects.
        host: see `serve`.
        port: see `serve`.
        token: see `serve`.
        run_jobs: see `serve`.
        middleware: wraps the ASGI application, e.g. to make the Hub fail on purpose in a test.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder)) as hub:
    ...     hub.environment()["HF_ENDPOINT"] == hub.url
    True
    """

    def __init__(
        self,
        root: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        *,
        run_jobs: bool = False,
        middleware: Middleware = lambda app: app,
    ) -> None:
        self._arguments = (Path(root), host, port, token, middleware)
        self._run_jobs = run_jobs
        self._token = token
        self.url = ""

    def __enter__(self) -> LocalHub:
        root, host, port, token, middleware = self._arguments
        self._server, self._store, self._jobs = _server(root, host, port, token, middleware, self._run_jobs)
        try:
            self._listener = _listen(host, port)
        except ValueError:
            self._store.close()
            raise
        self.url = _url(self._listener)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="hf-stilts-hub", daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self._store.close()

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment so that stock clients in it talk to this Hub."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": self._token or "local"}
