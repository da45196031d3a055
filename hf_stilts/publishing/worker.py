"""The upload worker: a small process beside the training that sends what lies in the outbox, however often it must try.

A process of its own and not a thread: its uploads take nothing from the training's interpreter, it runs at low
priority, its connections have time limits (those of the training's own Hub client have none), and it goes on when the
training is killed. It is told of new checkpoints by lines on its standard input; the last line, or its end, says that
there will be no more.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from hf_stilts.errors import StiltsError
from hf_stilts.files import sync_folder, write_json
from hf_stilts.publishing.lost import find_lost
from hf_stilts.publishing.outbox import (
    END,
    RUN_FILE,
    Choice,
    MainState,
    Pace,
    adopt,
    forget_main,
    own_checkpoints,
    read_choices,
    read_mains,
    read_run,
    repack_to_resume,
    same_repository,
    write_main,
)
from hf_stilts.publishing.pending import (
    PendingCheckpoint,
    forget_files,
    read_pending,
    rebuild_broken,
    restore_files,
    update,
)
from hf_stilts.publishing.published import NEWEST
from hf_stilts.publishing.resume import upload_resume
from hf_stilts.publishing.upload import OfAnother, Refused, full_name, prepare, sent_before, settle, upload_checkpoint

logger = logging.getLogger(__name__)

COMMITS_PER_HOUR = 120
"""The Hub allows 128 to one repository and then answers 429; a few are left for `main` and for people."""

_LOOK_EVERY = 2.0  # seconds; another process may put pending checkpoints in, and does not ring here
_ABANDONED_AFTER = 600.0  # seconds; packing takes moments, and a training may be at it right now
# Answers that trying again will not change: something is wrong with the request, the token or the account. Not 404: a
# repository made a moment ago may not be known to every machine of the Hub yet.
_FINAL = {400, 401, 402, 403, 405, 410, 413, 415, 422, 451}


class Signals:
    """Tells the upload worker that a pending checkpoint was put down, and that no more will come."""

    def __init__(self) -> None:
        self._changed = threading.Event()
        self.closed = False

    def wake(self) -> None:
        """Wake the upload worker: there is a new pending checkpoint."""
        self._changed.set()

    def close(self) -> None:
        """Tell the upload worker that no more pending checkpoints will come."""
        self.closed = True
        self._changed.set()

    def wait(self, seconds: float) -> None:
        """Sleep until it is woken, at most `seconds`."""
        self._changed.wait(seconds)
        self._changed.clear()


class UploadWorker:
    """Uploads the pending checkpoints of one outbox, one process at a time.

    Args:
        outbox: the folder `<output_dir>/outbox`.
        api: client of the Hub.
        pace: how long to wait between tries, for an answer, and for the Hub after the end.
        signals: set for each new pending checkpoint, closed when no more will come.
        overwrite: remove files of another model from a repository instead of refusing to publish there.
    """

    def __init__(self, outbox: Path, api: HfApi, pace: Pace, signals: Signals, *, overwrite: bool = False) -> None:
        self.outbox, self.api, self.pace, self.signals, self.overwrite = outbox, api, pace, signals, overwrite
        self.failures = 0
        # Repositories of which it is not known that `main` is what it must be.
        self.unsettled: set[str] = set()
        # Those of which it is not known whether they still hold what was sent.
        self.unchecked: set[str] = set()
        self._names: dict[str, str] = {}  # as they were given -> with their namespace
        # All by the monotonic clock: the other one may be set, back or forth, at any time.
        self.resume_at = 0.0  # our own back-off, dropped when the training ends
        self.told_until = 0.0  # the Hub said when to come back: kept to
        self.progress_at = time.monotonic()

    def run(self) -> None:
        """Upload until the signal is closed and nothing is left to do, or patience is at its end."""
        lock = FileLock(self.outbox / "lock")
        while True:
            try:
                with lock.acquire(timeout=1):
                    return self._upload_all()
            except Timeout:  # another process uploads, our pending checkpoints too
                waiting = any(pending.state == "waiting" for _, pending in read_pending(self.outbox))
                if self.signals.closed and not waiting and not self._undone():
                    return None

    def _undone(self) -> list[Choice]:
        """Choices for `main` that are neither carried out nor refused."""
        return [choice for choice in read_choices(self.outbox) if choice.commit is None and not choice.reason]

    def _upload_all(self) -> None:
        self._start_afresh()
        last_pass = False
        while True:
            # Read before the outbox: a pending checkpoint that was put down before the closing is seen.
            closed = self.signals.closed
            if closed and not last_pass:
                last_pass, self.resume_at, self.progress_at = True, 0.0, time.monotonic()
                self._start_afresh()
            _drop_outdated(self.outbox)
            waiting = [(folder, pending) for folder, pending in read_pending(self.outbox) if pending.state == "waiting"]
            self.unsettled |= {choice.repo_id for choice in self._undone()}
            if not waiting and not self.unsettled:
                if closed:
                    return
                self.signals.wait(_LOOK_EVERY)
                continue
            seconds = self._must_wait(waiting)
            if closed and time.monotonic() + seconds > self.progress_at + self.pace.patience:
                for name in self.unsettled:  # nobody answered: then the report must not speak from memory
                    self._write(forget_main, self.outbox, name)
                return
            if seconds > 0:
                self.signals.wait(seconds)
            elif self.unsettled and (not waiting or not self.failures):
                self._settle(min(self.unsettled))
            else:
                self._try(*min(waiting, key=lambda pair: (pair[1].attempts, pair[1].packed_at)))

    def _start_afresh(self) -> None:
        """Give what failed another chance, mend what a power cut left, and pack what a killed process did not."""
        for leftover in self.outbox.glob(".packing-*"):
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(leftover, ignore_errors=True)
        run = read_run(self.outbox)
        if run is not None:
            rebuild_broken(self.outbox, run.repo_id, run.private, run.record, run.id)
        restore_files(self.outbox)
        repack_to_resume(self.outbox)
        for folder, pending in read_pending(self.outbox):
            if pending.commit:
                self.unsettled.add(pending.repo_id)
                self.unchecked.add(pending.repo_id)
            if pending.state == "failed":
                self._write(update, folder, pending, state="waiting")
            elif pending.state == "sent":
                forget_files(folder)
        for choice in read_choices(self.outbox):
            if choice.reason:
                self._write(_write_choice, replace(choice, reason=None))
        if run is not None:
            # A training that goes on packs what it saves: until its end only an earlier run's can be left over.
            begun = (self.outbox / RUN_FILE).stat().st_mtime
            adopt(self.outbox, run, begun, before=math.inf if self.signals.closed else begun)

    def _write(self, function: Callable[..., Any], *arguments: Any, **changes: Any) -> None:
        """Write something that can be written later as well: a full disk stops nothing."""
        try:
            function(*arguments, **changes)
        except OSError as error:
            logger.warning("%s: %s", self.outbox, error)

    def _must_wait(self, waiting: list[tuple[Path, PendingCheckpoint]]) -> float:
        """Return the seconds until the next try is allowed: by our back-off, by the Hub's word, by its rate limit."""
        seconds = max(self.resume_at, self.told_until) - time.monotonic()
        goes_on_at = self._goes_on_at(waiting)
        limit = goes_on_at - time.time()
        if limit > max(seconds, 0):
            goes_on = time.strftime("%H:%M", time.localtime(goes_on_at))
            reason = (
                f"the Hub takes {COMMITS_PER_HOUR} commits an hour to one repository, and they are made; "
                f"it goes on at {goes_on}"
            )
            for folder, pending in waiting:
                if pending.reason != reason:
                    self._write(update, folder, pending, reason=reason)
        return max(0.0, seconds, limit)

    def _goes_on_at(self, waiting: list[tuple[Path, PendingCheckpoint]]) -> float:
        """When every repository that something waits for takes another commit (seconds since 1970; 0: now)."""
        now = time.time()
        wanted = {pending.repo_id for _, pending in waiting}
        busiest: dict[str, list[float]] = {}
        for _, pending in read_pending(self.outbox):
            # A time in the future says that the clock was set back: how long ago it was is not known then.
            if pending.sent_at and now - 3600 < pending.sent_at <= now:
                busiest.setdefault(pending.repo_id, []).append(pending.sent_at)
        goes_on_at = 0.0
        for repo_id, times in busiest.items():
            if len(times) >= COMMITS_PER_HOUR and any(same_repository(repo_id, each) for each in wanted):
                goes_on_at = max(goes_on_at, sorted(times)[-COMMITS_PER_HOUR] + 3600)
        return goes_on_at

    def _try(self, folder: Path, pending: PendingCheckpoint) -> None:
        try:
            if not pending.files and (commit := sent_before(self.api, pending)):
                update(folder, pending, state="sent", reason=None, commit=commit)
                self.unsettled.add(pending.repo_id)
                return
            pending = prepare(folder, pending, self.api)
            sync_folder(self.outbox)
            if pending.branch == "main":
                self._send(folder, pending)
            else:
                commit = upload_resume(folder, pending, self.api)
                update(folder, pending, state="sent", reason=None, commit=commit, sent_at=time.time())
            forget_files(folder)
        except Exception as error:  # whatever it is, it must cost one pending checkpoint one try, never the others
            logger.info("%s: %s", pending.tag, error, exc_info=error)
            reason, final = self._judge(error)
            self._note(folder, "failed" if final else "waiting", reason)
        else:
            self._succeeded()

    def _send(self, folder: Path, pending: PendingCheckpoint) -> None:
        choice = self._choice_of(pending.repo_id)
        uploaded = upload_checkpoint(
            folder, pending, self.api, choice.step if choice else None, overwrite=self.overwrite
        )
        self.unsettled.add(pending.repo_id)  # until it is written below what main is
        update(folder, pending, state="sent", reason=None, commit=uploaded.commit, sent_at=time.time())
        if uploaded.on_main:
            self._note_main(pending.repo_id, pending.step, uploaded.commit)
            self.unsettled.discard(pending.repo_id)

    def _note(self, folder: Path, state: str, reason: str) -> None:
        try:
            for path, pending in read_pending(self.outbox):  # as it is on disk: the try was counted there
                if path == folder:
                    update(folder, pending, state=state, reason=reason)
        except OSError as error:  # disk full: it stays as it is, waiting
            logger.warning("%s: %s", folder.name, error)
            self._back_off()

    def _settle(self, name: str) -> None:
        """See that `main` of a repository is what it must be."""
        try:
            repo_id = self._full_name(name)
            if repo_id in self.unchecked:
                find_lost(self.api, self.outbox, repo_id)
                self.unchecked.discard(repo_id)
            choice = self._choice_of(repo_id)
            step, why = (choice.step, choice.why) if choice else (None, NEWEST)
            run = read_run(self.outbox)
            own = own_checkpoints(self.outbox, run.id if run else None)
            main = settle(self.api, repo_id, step, why, own=own, overwrite=self.overwrite)
            if main is not None:
                self._note_main(repo_id, *main)
            elif choice:
                write_json(choice.path, replace(choice, reason=f"{repo_id} has no checkpoint").to_dict(), durable=True)
        except Exception as error:
            logger.info("main of %s: %s", name, error, exc_info=error)
            reason, final = self._judge(error)
            if isinstance(error, RepositoryNotFoundError):
                reason, final = f"{name} is not on the Hub", True
            if final and not isinstance(error, Refused):  # what main is now is not known
                self._write(forget_main, self.outbox, name)
            if isinstance(error, OfAnother) and error.step is not None:
                main_state = MainState(repo_id, error.step, "another training's, which is left as it is", error.commit)
                self._write(write_main, self.outbox, main_state)
            if not final:
                return
            for choice in read_choices(self.outbox):
                if same_repository(name, choice.repo_id) and choice.commit is None:
                    self._write(_write_choice, replace(choice, reason=reason))
            self.unsettled.discard(name)
        else:
            self.unsettled -= {name, repo_id}
            self._succeeded()

    def _full_name(self, repo_id: str) -> str:
        if repo_id not in self._names:
            self._names[repo_id] = full_name(self.api, repo_id)
        return self._names[repo_id]

    def _choice_of(self, repo_id: str) -> Choice | None:
        """What was chosen for `main` of a repository, given by its full name."""
        choices = [each for each in read_choices(self.outbox) if self._full_name(each.repo_id) == repo_id]
        return choices[-1] if choices else None

    def _note_main(self, repo_id: str, step: int, commit: str) -> None:
        """Write down what `main` is now, and whether that is what was chosen."""
        choice = self._choice_of(repo_id)
        fulfilled = choice is not None and choice.step == step
        main = MainState(repo_id, step, choice.why if choice and fulfilled else NEWEST, commit)
        if main not in read_mains(self.outbox):
            write_main(self.outbox, main)
        if choice is not None:
            reason = None if fulfilled else f"step-{choice.step}, chosen as {choice.why}, is not on the Hub"
            noted = replace(choice, commit=commit if fulfilled else None, reason=reason)
            if noted != choice:
                _write_choice(noted)

    def _succeeded(self) -> None:
        self.failures, self.resume_at, self.progress_at = 0, 0.0, time.monotonic()

    def _back_off(self) -> None:
        self.failures += 1
        seconds = min(self.pace.longest_wait, self.pace.first_wait * 2 ** min(self.failures - 1, 20))
        self.resume_at = time.monotonic() + seconds * random.uniform(0.75, 1.25)

    def _judge(self, error: Exception) -> tuple[str, bool]:
        """Put an error into words, say whether it is final, and set when to try again."""
        if isinstance(error, Refused | StiltsError):
            return str(error), True
        if isinstance(error, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, so nothing is sent; unset it", True
        if isinstance(error, LocalTokenNotFoundError):
            return "there is no access token; run: hf auth login", True
        response = _response_of(error)
        if response is not None and response.status_code in _FINAL:
            return f"the Hub answered {response.status_code}: {_first_line(error)}", True
        self._back_off()
        told = _retry_after(response)
        if told is not None:
            self.told_until = time.monotonic() + told
            return f"the Hub asked to come back in {told:.0f} s ({response.status_code})", False
        if response is not None:
            return f"the Hub answered {response.status_code}: {_first_line(error)}", False
        return f"{type(error).__name__}: {_first_line(error)}", False


def _write_choice(choice: Choice) -> None:
    write_json(choice.path, choice.to_dict(), durable=True)


def _drop_outdated(outbox: Path) -> None:
    """Of a repository's checkpoints to resume from, keep the newest that was packed, and what came after it."""
    newer: set[str] = set()
    for folder, pending in reversed(list(read_pending(outbox))):
        if pending.branch == "main":
            continue
        if pending.repo_id in newer:
            shutil.rmtree(folder)
        elif pending.files:
            newer.add(pending.repo_id)


def _response_of(error: BaseException | None) -> Any:
    """Find the Hub's answer in an error or in what caused it: an upload wraps it."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response
        error = error.__cause__
    return None


def _retry_after(response: Any) -> float | None:
    """Read the header Retry-After, seconds or a date; without one, a 429 asks for a minute."""
    if response is None:
        return None
    value = response.headers.get("Retry-After")
    if value is None:
        return 60.0 if response.status_code == 429 else None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value).timestamp()
    except ValueError:
        return 60.0
    try:  # by the Hub's own clock where it tells it: ours may be wrong
        now = parsedate_to_datetime(response.headers.get("Date")).timestamp()
    except (ValueError, TypeError):
        now = time.time()
    return max(0.0, until - now)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")[:300]


def main(outbox: str, pace: str, overwrite: str = "") -> None:
    """Run as a process: `python -m hf_stilts.publishing.worker OUTBOX PACE_AS_JSON [overwrite]`."""
    from huggingface_hub.utils._http import default_client_factory

    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("hf_stilts").setLevel(logging.INFO)
    logger.setLevel(logging.INFO)  # as __main__ it is not below hf_stilts
    chosen = Pace(**json.loads(pace))
    if hasattr(os, "nice"):
        os.nice(10)

    def with_time_limit() -> Any:
        client = default_client_factory()
        client.timeout = chosen.timeout
        return client

    set_client_factory(with_time_limit)
    signals = Signals()

    def listen() -> None:
        for line in iter(sys.stdin.buffer.readline, b""):
            if line == END:
                break
            signals.wake()
        signals.close()

    threading.Thread(target=listen, daemon=True).start()
    api = HfApi(token=os.environ.get("HF_TOKEN"))
    UploadWorker(Path(outbox), api, chosen, signals, overwrite=bool(overwrite)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
