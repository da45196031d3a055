"""One repository of the embedded Hub: a bare git repository in which revisions hold files, small and large."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pygit2
from pygit2.enums import AttrCheck, FileMode, ObjectType, SortMode

from hf_stilts.local_hub.objects import POINTER_LIMIT, HubError, ObjectStore, read_pointer, write_pointer

_REF_LIMIT = 200  # bytes of a full name, so that its file and the lock beside it have names that any disk takes
LARGE_FILE = 10 << 20  # bytes; from here on the public Hub, too, takes a file only as a large one


@dataclass(frozen=True)
class Entry:
    """A file or folder of a commit; for a large file, `size` and `lfs` speak of the content, not of its pointer."""

    path: str
    oid: str
    size: int = 0
    folder: bool = False
    lfs: str | None = None
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """What changes when the content changes: sha256 for large files, git's blob id for the others."""
        return self.lfs or self.oid


@dataclass(frozen=True)
class Change:
    """One line of a commit: a blob to put at `path`, or (`blob` None) a file or folder to take away."""

    path: str
    blob: pygit2.Oid | None = None
    large: bool = False
    folder: bool = False


def check_path(path: object) -> str:
    """`path` itself if it names a file inside a repository on every system; else HubError 400.

    >>> check_path("data/train.parquet")
    'data/train.parquet'
    """
    parts = path.split("/") if isinstance(path, str) else []
    wrong = {"", ".", ".."}
    if (
        not isinstance(path, str)
        or len(path.encode()) > 4096
        or any(part in wrong or part.lower() == ".git" or len(part.encode()) > 255 for part in parts)
        or any(ord(character) < 32 or character in "\\\x7f" for character in path)
    ):
        raise HubError(400, f"{path!r:.300} is no path inside a repository: expected e.g. 'data/train.parquet'")
    return path


class HubRepository:
    """One repository: revisions in, files and commits out. An instance serves one request."""

    def __init__(self, kind: str, repo_id: str, path: Path, objects: ObjectStore, lock: threading.RLock) -> None:
        self.kind, self.id, self.path = kind, repo_id, path
        self.git = pygit2.Repository(str(path))
        self._objects = objects
        self._lock = lock  # held by whoever changes anything; `Store` holds it to delete and to move
        self._opened = self.setting("id")

    def setting(self, name: str) -> str:
        """A property of the repository that no commit holds: ``id``, ``created``, ``private``, ``sdk``."""
        try:
            return str(self.git.config[f"hub.{name}"])
        except KeyError:
            return ""

    def set(self, name: str, value: str | bool) -> None:
        """Change such a property."""
        with self._writing():
            self.git.config[f"hub.{name}"] = value

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Nobody else changes the repository, and it is still the one that was opened; HubError 404 if it is not.

        libgit2 would write into whatever lies at the path by now: nothing, or a new repository of the same name.
        """
        with self._lock:
            try:  # anew: the configuration of an open repository outlives its file
                there = pygit2.Config(str(self.path / "config"))["hub.id"]
            except (KeyError, OSError, pygit2.GitError):
                there = None
            if there is None or there != self._opened:
                raise HubError(404, f"{self.id} was deleted or moved meanwhile", "RepoNotFound")
            yield

    @property
    def private(self) -> bool:
        """Whether only callers with a valid token may see it; one that is just being deleted is."""
        return self.setting("private") != "false"

    @property
    def created(self) -> datetime:
        """When it was made; HubError 404 if it was deleted since this object was."""
        try:
            return datetime.fromisoformat(self.setting("created"))
        except ValueError:
            raise HubError(404, f"{self.id} was deleted meanwhile", "RepoNotFound") from None

    def recover(self) -> None:
        """Remove the lock files of a process that was killed: they would block every later commit."""
        for stale in [*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")]:
            stale.unlink(missing_ok=True)

    # --- revisions ---

    def at(self, revision: str) -> pygit2.Commit:
        """The commit that a branch, a tag, a full reference name or a (shortened) sha names; HubError 404."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if name.startswith("refs/") and _is_ref(name):
                with contextlib.suppress(KeyError):
                    return self.git.references[name].peel(pygit2.Commit)
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            with contextlib.suppress(KeyError, ValueError):
                found = self.git.get(revision)
                if isinstance(found, pygit2.Commit):
                    return found
        raise HubError(404, f"no branch, tag or commit {revision!r:.300} in {self.id}", "RevisionNotFound")

    def refs(self, prefix: str) -> dict[str, str]:
        """Short name -> commit sha of every reference below `prefix`, e.g. ``refs/tags/``."""
        found = {}
        for name in sorted(name for name in self.git.references if name.startswith(prefix)):
            with contextlib.suppress(KeyError):  # deleted since the list was read
                found[name[len(prefix) :]] = str(self.git.references[name].peel(pygit2.Commit).id)
        return found

    def create_branch(self, name: str, start: str) -> None:
        """A new branch at revision `start`."""
        self._create_ref(f"refs/heads/{name}", self.at(start).id)

    def create_tag(self, name: str, revision: str, user: str, message: str | None = None) -> None:
        """A new tag at `revision`: an annotated one if there is a message."""
        target = self.at(revision).id
        with self._writing():
            self._check_new(f"refs/tags/{name}")
            if not message:
                self._create_ref(f"refs/tags/{name}", target)
            else:
                self.git.create_tag(name, target, ObjectType.COMMIT, signature(user), message.replace("\0", ""))

    def delete_ref(self, name: str) -> None:
        """Remove a branch or tag given by its full name; HubError 404 if there is none, 403 for ``main``."""
        if name == "refs/heads/main":
            raise HubError(403, "main cannot be deleted: every repository has it")
        with self._writing():
            if not _is_ref(name) or name not in self.git.references:
                raise HubError(404, f"no {name!r:.300} in {self.id}", "RevisionNotFound")
            self.git.references.delete(name)

    def _create_ref(self, name: str, target: pygit2.Oid) -> None:
        with self._writing():
            self._check_new(name)
            self.git.references.create(name, target)

    def _check_new(self, name: str) -> None:
        if not _is_ref(name) or name.split("/", 2)[2].startswith("-"):
            raise HubError(400, f"{name!r:.300} is no reference name: see `git check-ref-format`")
        for taken in self.git.references:  # git keeps references as files: "a" and "a/b" exclude each other
            if taken == name or taken.startswith(f"{name}/") or name.startswith(f"{taken}/"):
                raise HubError(409, f"{taken} exists already in {self.id}: choose another name")

    # --- files ---

    def entry(self, commit: pygit2.Commit, path: str) -> Entry | None:
        """What lies at `path` in `commit`, None if nothing does."""
        try:
            found = commit.tree[path]
        except (KeyError, ValueError):
            return None
        return self._entry(path, found)

    def entries(self, commit: pygit2.Commit, folder: str = "", recursive: bool = False) -> Iterator[Entry]:
        """Files and folders below `folder`, folders before what they contain; HubError 404 if it is no folder."""
        tree = commit.tree
        if folder:
            found = self.entry(commit, folder)
            if found is None or not found.folder:
                raise HubError(404, f"no folder {folder!r:.300} in {self.id} at {commit.id}", "EntryNotFound")
            tree = commit.tree[folder]
        waiting = [(f"{folder}/" if folder else "", iter(tree))]
        while waiting:
            prefix, children = waiting[-1]
            child = next(children, None)
            if child is None:
                waiting.pop()
                continue
            yield self._entry(prefix + child.name, child)
            if recursive and isinstance(child, pygit2.Tree):
                waiting.append((f"{prefix}{child.name}/", iter(child)))

    def _entry(self, path: str, found: Any) -> Entry:
        if isinstance(found, pygit2.Tree):
            return Entry(path, str(found.id), folder=True)
        pointer = read_pointer(found.data) if found.size <= POINTER_LIMIT else None
        if pointer and self._objects.size(pointer[0]) == pointer[1]:
            return Entry(path, str(found.id), pointer[1], lfs=pointer[0], pointer_size=found.size)
        return Entry(path, str(found.id), found.size)

    def read(self, entry: Entry, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes ``start <= i < stop`` of a file, in blocks."""
        stop = entry.size if stop is None else stop
        if entry.lfs:
            return self._objects.read(entry.lfs, start, stop)
        return iter([self.git[entry.oid].data[start:stop]])

    def text(self, commit: pygit2.Commit, path: str) -> str:
        """A small text file, empty if it is absent, a folder or large."""
        entry = self.entry(commit, path)
        if entry is None or entry.folder or entry.lfs or entry.size > LARGE_FILE:
            return ""
        return b"".join(self.read(entry)).decode(errors="replace")

    def is_large(self, path: str, commit: pygit2.Commit) -> bool:
        """Whether the repository's ``.gitattributes`` send this path to LFS."""
        flags = AttrCheck.INDEX_ONLY | AttrCheck.NO_SYSTEM | AttrCheck.INCLUDE_COMMIT
        return bool(self.git.get_attr(path, "filter", flags, commit.id) == "lfs")

    # --- commits ---

    def add_file(self, path: object, content: bytes) -> Change:
        """Stage an ordinary file; nothing refers to it before `commit`."""
        return Change(check_path(path), self._blob(content))

    def add_large_file(self, path: object, oid: str, size: int | None) -> Change:
        """Stage an uploaded object under its pointer; HubError 400 if it never arrived or has another size."""
        stored = self._objects.size(oid)
        if stored is None or size not in (None, stored):
            found = "is not here" if stored is None else f"has {stored} bytes, not {size}"
            raise HubError(400, f"object {oid} {found}: upload it before the commit that names it")
        return Change(check_path(path), self._blob(write_pointer(oid, stored)), large=True)

    def _blob(self, content: bytes) -> pygit2.Oid:
        with self._writing():
            return self.git.create_blob(content)

    def commit(self, branch: str, changes: Iterable[Change], message: str, user: str, parent: str | None) -> str:
        """Apply `changes` to `branch` in one commit and give its sha; the moved reference is the commit point.

        Raises:
            HubError: 404 unknown branch or file to delete, 412 if `parent` is given and no longer the head.
        """
        with self._writing():
            name, head = self._branch(branch)
            if parent is not None and not (len(parent) >= 7 and str(head.id).startswith(parent)):
                raise HubError(412, f"{branch} is at {head.id}, not at the parent {parent!r:.50}: fetch and try again")
            files = {entry.path: entry for entry in _index(head.tree)}
            unlisted = []
            for change in changes:
                _apply(files, change)
                if change.large and not self.is_large(change.path, head):
                    unlisted.append(change.path)
            if unlisted:
                self._list_large(files, unlisted)
            index = pygit2.Index()
            for path, entry in files.items():
                if any(f"{parent}" in files for parent in PurePosixPath(path).parents):
                    raise HubError(400, f"{path!r:.300} lies inside what is a file: delete one of the two")
                index.add(entry)
            author = signature(user)
            tree = index.write_tree(self.git)
            # libgit2 moves the reference only if it still points at the parent, and syncs the objects before.
            return str(self.git.create_commit(name, author, author, message.replace("\0", ""), tree, [head.id]))

    def squash(self, branch: str, message: str, user: str) -> None:
        """Replace the history of `branch` by one commit with today's files."""
        with self._writing():
            name, head = self._branch(branch)
            author = signature(user)
            oid = self.git.create_commit(None, author, author, message.replace("\0", ""), head.tree.id, [])
            self.git.references[name].set_target(oid)

    def _branch(self, branch: str) -> tuple[str, pygit2.Commit]:
        name = f"refs/heads/{branch}"
        if not _is_ref(name) or name not in self.git.references:
            raise HubError(404, f"no branch {branch!r:.300} in {self.id}: create it first", "RevisionNotFound")
        return name, self.git.references[name].peel(pygit2.Commit)

    def history(self, commit: pygit2.Commit) -> Iterator[pygit2.Commit]:
        """`commit` and its ancestors, newest first."""
        return iter(self.git.walk(commit.id, SortMode.TOPOLOGICAL))

    def _list_large(self, files: dict[str, pygit2.IndexEntry], paths: list[str]) -> None:
        """Name the large files that no pattern covers in ``.gitattributes``, so that git-lfs knows them, too."""
        name = ".gitattributes"
        text = self.git[files[name].id].data if name in files else b""
        if text and not text.endswith(b"\n"):
            text += b"\n"
        for path in paths:
            pattern = re.sub(r"\s", "[[:space:]]", re.sub(r"([*?\[\]])", r"\\\1", path))
            text += f"/{pattern} filter=lfs diff=lfs merge=lfs -text\n".encode()
        files[name] = pygit2.IndexEntry(name, self.git.create_blob(text), FileMode.BLOB)


def _index(tree: pygit2.Tree) -> pygit2.Index:
    index = pygit2.Index()
    index.read_tree(tree)
    return index


def _apply(files: dict[str, pygit2.IndexEntry], change: Change) -> None:
    if change.blob is not None:
        files[change.path] = pygit2.IndexEntry(change.path, change.blob, FileMode.BLOB)
        return
    gone = [path for path in files if path == change.path or (change.folder and path.startswith(f"{change.path}/"))]
    if not gone:
        raise HubError(404, f"no {change.path!r:.300} to delete", "EntryNotFound")
    for path in gone:
        del files[path]


def _is_ref(name: str) -> bool:
    # References are files: one whose name no disk takes is a mistake of the client, not of the disk.
    return "\0" not in name and len(name.encode()) <= _REF_LIMIT and pygit2.reference_is_valid_name(name)


def signature(user: str) -> pygit2.Signature:
    """Author and committer of whatever `user` does now."""
    return pygit2.Signature(user, f"{user}@localhost")
