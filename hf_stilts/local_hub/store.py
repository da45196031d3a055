"""The repositories of the embedded Hub on disk: one bare git repository per model, dataset and Space."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pygit2
from filelock import FileLock, Timeout
from pygit2.enums import FileMode

from hf_stilts.local_hub.objects import HubError, ObjectStore, write_whole
from hf_stilts.local_hub.repository import HubRepository, signature

KINDS = ("models", "datasets", "spaces")

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_RESERVED = {*KINDS, "api", "lfs", "xet", "collections"}
_LARGE_SUFFIXES = (
    "7z arrow bin bz2 ckpt ftz gz h5 joblib lz4 model mlmodel msgpack npy npz onnx ot parquet pb pickle pkl pt pth "
    "rar safetensors tar tflite tgz wasm xz zip zst"
).split()
_GIT_ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in _LARGE_SUFFIXES)


def check_id(repo_id: object) -> str:
    """`repo_id` itself if it reads ``namespace/name`` by the public Hub's rules; else HubError 400."""
    parts = repo_id.split("/") if isinstance(repo_id, str) else []
    if (
        len(parts) != 2
        or parts[0] in _RESERVED
        or not all(_NAME.fullmatch(part) and "--" not in part and ".." not in part for part in parts)
        or parts[1].endswith(".git")
    ):
        raise HubError(
            400, f"{repo_id!r:.300} is no repository id: expected namespace/name of letters, digits, '-', '_', '.'"
        )
    return "/".join(parts)


class Store:
    """All repositories under `root`; exactly one process at a time may hold one.

    Raises:
        ValueError: another process serves this folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root = Path(root).absolute()
        root.mkdir(parents=True, exist_ok=True)
        self._served = FileLock(root / "hub.lock")
        try:
            self._served.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"{root} is served by another process; expected one Hub per folder. Stop the other or name a new folder"
            ) from None
        for each in ("models", "datasets", "spaces", "objects", "xorbs", "collections"):
            # What is private here must not be readable past the Hub, by other users of this machine.
            (root / each).mkdir(exist_ok=True)
            (root / each).chmod(0o700)
        pygit2.settings.enable_fsync_gitdir(True)
        self._incoming = root / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(mode=0o700)
        self.objects = ObjectStore(root, self._incoming)
        if not (root / "hub.id").exists():
            write_whole(root / "hub.id", secrets.token_hex(8).encode(), self._incoming)
        self.id = (root / "hub.id").read_text()
        self._locks: dict[Path, threading.RLock] = {}
        for repository in self.all():
            repository.recover()

    def close(self) -> None:
        """Let another process have the folder."""
        self._served.release()

    def find(self, kind: str, repo_id: str) -> HubRepository | None:
        """The repository, None if there is none of this kind and name."""
        with contextlib.suppress(HubError, pygit2.GitError):  # no such name, or deleted since the folder was seen
            path = self._path(kind, check_id(repo_id))
            if path.is_dir():
                return self._open(kind, repo_id, path)
        return None

    def all(self, kind: str | None = None) -> Iterator[HubRepository]:
        """Every repository (of one kind), by name."""
        for each in KINDS if kind is None else (kind,):
            for path in sorted((self.root / each).glob("*/*.git")):
                with contextlib.suppress(pygit2.GitError):  # deleted since the folder was read
                    yield self._open(each, f"{path.parent.name}/{path.name.removesuffix('.git')}", path)

    def namespaces(self) -> set[str]:
        """Every owner of a repository."""
        return {path.parent.name for kind in KINDS for path in (self.root / kind).glob("*/*.git")}

    def create(self, kind: str, repo_id: str, *, user: str, private: bool = False, sdk: str | None = None) -> None:
        """A new repository with one commit on ``main``, as on the public Hub; HubError 409 if the name is taken."""
        path = self._path(kind, check_id(repo_id))
        with self._lock(path), tempfile.TemporaryDirectory(dir=self._incoming) as folder:
            if path.exists():
                raise HubError(409, f"{repo_id} exists already: choose another name or pass exist_ok=True")
            git = pygit2.init_repository(Path(folder) / "new", bare=True, initial_head="main")
            git.config["hub.id"] = secrets.token_hex(12)
            git.config["hub.created"] = datetime.now(timezone.utc).isoformat()
            git.config["hub.private"] = private
            if sdk is not None:
                git.config["hub.sdk"] = sdk
            tree = git.TreeBuilder()
            tree.insert(".gitattributes", git.create_blob(_GIT_ATTRIBUTES.encode()), FileMode.BLOB)
            (Path(folder) / "new").chmod(0o700)  # copied elsewhere, too, it is the owner's alone
            author = signature(user)
            git.create_commit("refs/heads/main", author, author, "initial commit", tree.write(), [])
            git.free()
            path.parent.mkdir(parents=True, exist_ok=True)
            os.rename(Path(folder) / "new", path)

    def delete(self, repository: HubRepository) -> None:
        """Take the repository away; its large objects stay, as others may share them."""
        with self._lock(repository.path), tempfile.TemporaryDirectory(dir=self._incoming) as folder:
            with contextlib.suppress(FileNotFoundError):
                os.rename(repository.path, Path(folder) / "gone")

    def move(self, repository: HubRepository, repo_id: str) -> None:
        """Rename the repository; HubError 409 if the new name is taken."""
        path = self._path(repository.kind, check_id(repo_id))
        with contextlib.ExitStack() as held:
            for each in sorted({path, repository.path}):  # one order for all, so that two moves cannot lock each other
                held.enter_context(self._lock(each))
            if path.exists():
                raise HubError(409, f"{repo_id} exists already: choose another name")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(repository.path, path)
            except FileNotFoundError:
                raise HubError(404, f"{repository.id} was deleted or moved meanwhile", "RepoNotFound") from None

    def _open(self, kind: str, repo_id: str, path: Path) -> HubRepository:
        return HubRepository(kind, repo_id, path, self.objects, self._lock(path))

    def _path(self, kind: str, repo_id: str) -> Path:
        return self.root / kind / f"{repo_id}.git"

    def _lock(self, path: Path) -> threading.RLock:
        return self._locks.setdefault(path, threading.RLock())
