"""An embedded Hub for tests, stock clients that talk to it from processes of their own, and faults made on purpose."""

import asyncio
import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import warm

SERVE = """
import sys
from hf_stilts.local_hub import serve
serve({root!r}, port={port}, token={token!r}, announce=lambda url: print(url, flush=True))
"""


class Client:
    """Stock Hub clients in new processes: HF_ENDPOINT is read when `huggingface_hub` is imported, so not in ours."""

    def __init__(self, environment: dict[str, str], home: Path):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        quiet = {
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        single = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "NO_COLOR": "1"}
        here = {"HF_HOME": str(home), "PYTHONPATH": str(Path(__file__).parent)}  # so that code can `import tiny`
        self.environment = kept | quiet | single | here | environment

    def python(self, code: str, **more: str) -> str:
        """Run `code`; what it printed. A failure shows what it wrote to stderr."""
        return self._printed(warm.run(code, self.environment | more, Path.cwd(), timeout=300))

    def hf(self, *arguments: str, **more: str) -> str:
        """Run the `hf` command; what it printed."""
        return self._run([str(Path(sys.executable).parent / "hf"), *arguments], more)

    def _run(self, command: list[str], more: dict[str, str]) -> str:
        done = subprocess.run(command, env=self.environment | more, capture_output=True, text=True, timeout=300)
        return self._printed(done)

    def _printed(self, done: subprocess.CompletedProcess) -> str:
        assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@dataclass
class Answer:
    """What came back over HTTP: status, headers (lower case) and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


def ask(url: str, method: str, path: str, body=None, *, token: str | None = "local", timeout=20, **headers) -> Answer:
    """One request, written as given, without any client's good manners. A dict is sent as JSON, a list as NDJSON."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    elif isinstance(body, list):
        body = b"".join(json.dumps(line).encode() + b"\n" for line in body)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def commit_lines(files: dict[str, bytes], summary: str = "a commit", parent: str | None = None) -> list[dict]:
    """The body of a commit that adds `files` by the regular road."""
    header = {"summary": summary} | ({"parentCommit": parent} if parent else {})
    lines = [{"path": path, "content": base64.b64encode(c).decode(), "encoding": "base64"} for path, c in files.items()]
    return [{"key": "header", "value": header}, *({"key": "file", "value": line} for line in lines)]


class HubProcess:
    """A Hub in a process of its own, to be killed: `with HubProcess(root) as hub: ... hub.kill(); hub.start()`."""

    def __init__(self, root: Path, port: int = 0, token: str | None = None):
        self.root, self.port, self.token = root, port, token

    def start(self) -> str:
        """Start (again, on the same port) and wait until it answers; the endpoint."""
        code = SERVE.format(root=str(self.root), port=self.port, token=self.token)
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.rpartition(":")[2])
        return self.url

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def environment(self) -> dict[str, str]:
        """The same as `LocalHub.environment`."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": self.token or "local"}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose "METHOD /path" matches `pattern`.

    status: answer this instead of asking the Hub, with `headers`.
    delay: wait so many seconds first (an hour is a hang).
    lose_answer: let the Hub do it, then drop the connection without an answer: the outcome is unknown to the client.
    truncate: send only so many bytes of the answer's body, then drop the connection.
    drop: drop the connection before the Hub hears of the request.
    """

    pattern: str
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    lose_answer: bool = False
    truncate: int | None = None
    drop: bool = False


class Faults:
    """Middleware for `LocalHub(root, middleware=faults)`; `faults.add(Fault("POST .*/commit/", status=429))`.

    `seen` lists every request as "METHOD /path", faulty ones included.
    """

    def __init__(self):
        self.waiting: list[Fault] = []
        self.seen: list[str] = []

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def __call__(self, app):
        async def faulty(scope, receive, send):
            if scope["type"] != "http":
                return await app(scope, receive, send)
            request = f"{scope['method']} {scope['raw_path'].decode()}"
            self.seen.append(request)
            fault = self._next(request)
            if fault is None:
                return await app(scope, receive, send)
            await asyncio.sleep(fault.delay)
            if fault.drop:
                return _drop(send)
            if fault.status:
                return await _answer(send, fault.status, fault.headers)
            await app(scope, receive, _cut(send, fault) if fault.lose_answer or fault.truncate is not None else send)

        return faulty

    def _next(self, request: str) -> Fault | None:
        for fault in self.waiting:
            if fault.times > 0 and re.search(fault.pattern, request):
                fault.times -= 1
                return fault
        return None


def _drop(send) -> None:
    send.__self__.transport.abort()  # uvicorn's request cycle: ASGI itself has no word for a broken connection


async def _answer(send, status: int, headers: dict[str, str]) -> None:
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*lines, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def _cut(send, fault: Fault):
    left = 0 if fault.lose_answer else fault.truncate

    async def cut(message):
        nonlocal left
        if fault.lose_answer:
            return _drop(send)
        if message["type"] == "http.response.body":
            body = message.get("body", b"")[:left]
            left -= len(body)
            if left == 0:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                return _drop(send)
        await send(message)

    return cut


TOKEN = "hf_" + "SecretTokenOfTheTest" * 2


def read(api, name, revision, cache, repo_id="me/tiny"):
    return Path(api.hf_hub_download(repo_id, name, revision=revision, cache_dir=cache)).read_bytes()
