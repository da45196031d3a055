"""Python processes that begin with torch imported, which is most of what a new one works before it does anything.

They are forks of one process that has imported no library of Hugging Face, so each still reads its own HF_ENDPOINT
and HF_HOME when it imports them, and ends as a process of its own does: exit code, output, `atexit`. Only the memory
is not taken apart at the end: two seconds of copying what the forks share. Differences are seen by nobody who does
not ask for them: modules that are there already, and one seed of hashes for all.
"""

import atexit
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path


def run(code: str, environment: dict[str, str], folder: Path | str, timeout: float) -> subprocess.CompletedProcess:
    """As `subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True)`.

    Raises:
        subprocess.TimeoutExpired: it took more than `timeout` seconds; it was killed.
    """
    if sys.platform != "linux":  # macOS ends forks of a process that has loaded its frameworks
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=timeout)
    server = _started()
    with tempfile.TemporaryDirectory() as place:
        written = [os.path.join(place, name) for name in ("stdout", "stderr")]
        asked = {"code": code, "environment": environment, "folder": str(folder), "output": written}
        server.stdin.write(json.dumps(asked).encode() + b"\n")
        pid = int(server.stdout.readline())
        if not select.select([server.stdout], [], [], timeout)[0]:
            os.kill(pid, signal.SIGKILL)
            server.stdout.readline()
            raise subprocess.TimeoutExpired(code, timeout)
        code_of_exit = int(server.stdout.readline())
        return subprocess.CompletedProcess(code, code_of_exit, *(Path(each).read_text() for each in written))


_SERVERS: list[subprocess.Popen] = []


def _started() -> subprocess.Popen:
    if not _SERVERS:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        server = subprocess.Popen(
            [sys.executable, "-c", "import warm; warm.serve()"],
            env=kept | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        atexit.register(_end, server)
        _SERVERS.append(server)
    return _SERVERS[0]


def _end(server: subprocess.Popen) -> None:
    server.stdin.close()
    server.wait()


def serve() -> None:
    """In the process that is forked: answer requests until there are no more; in each fork: run its code."""
    for module in ("torch._dynamo", "pandas", "pyarrow.dataset", "sklearn.metrics"):
        importlib.import_module(module)
    for line in iter(sys.stdin.buffer.readline, b""):
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _work(_begin(asked))
        os.write(1, b"%d\n" % pid)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _work(code: str) -> None:
    """Run the code as `python -c` does, and end."""
    status = 0
    try:
        exec(code, vars(sys.modules["__main__"]))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _begin(asked: dict) -> str:
    """Take environment, folder, search path and output of the request, and hand back the code to run."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    importlib.invalidate_caches()
    for number, name in enumerate([os.devnull, *asked["output"]]):
        file = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    return asked["code"]
