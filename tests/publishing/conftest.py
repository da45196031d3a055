"""An upload worker in a thread of the tests' process: starting a process costs more than what it does here."""

import threading

import pytest
from huggingface_hub import HfApi

from hf_stilts.publishing import outbox
from hf_stilts.publishing.worker import Signals, UploadWorker


class ThreadWorker:
    """What `start_worker` returns, as far as the outbox uses it, without a process."""

    def __init__(self, folder, pace, token=None, overwrite=False):
        self.signals, self.returncode, self.stdin = Signals(), None, self
        api = HfApi(endpoint=outbox.constants.ENDPOINT, token=token or outbox.get_token())
        self._worker = UploadWorker(folder, api, pace, self.signals, overwrite=bool(overwrite))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self.returncode = 1
        try:
            self._worker.run()
            self.returncode = 0
        except FileNotFoundError:  # the test is over, and its folder gone
            pass

    def write(self, message):
        if message == outbox.END:
            self.signals.close()
        else:
            self.signals.wake()

    def flush(self):
        pass

    def close(self):
        self.signals.close()

    def poll(self):
        return None if self._thread.is_alive() else self.returncode

    def wait(self, timeout=None):
        self._thread.join(timeout)
        return self.poll()

    def kill(self):
        raise AssertionError("it was taken for one that hangs")


@pytest.fixture
def real_process():
    """The upload worker is a process, as it is for users."""


@pytest.fixture(autouse=True)
def upload_worker(request, monkeypatch):
    """Upload workers are threads, and end with the test; with `real_process` they are what they are."""
    if "real_process" in request.fixturenames:
        yield
        return
    started = []

    def start(*arguments, **options):
        started.append(ThreadWorker(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(outbox, "start_worker", start)
    yield
    for worker in started:
        worker.signals.close()
