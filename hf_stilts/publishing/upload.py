"""Deliver one parcel: one commit on `main`, compared file by file with what was packed, then a tag that never moves.

Every step first looks at what the Hub already has, so that a delivery may be cut anywhere and simply be done again:
files already there are not sent again, a commit whose answer was lost is found by the parcel's id in its message, and a
tag that exists is compared and never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoFile, RepoFolder
from huggingface_hub.utils.sha import git_hash

from hf_stilts.files import sha256
from hf_stilts.hub.card import render
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.pending import Parcel, is_published, update

_CONFLICTS_IN_A_ROW = 10
_EXISTS, _PARENT_MOVED = 409, 412


class Refused(Exception):
    """Trying again without the user's help is of no use; the text says why and what to do."""


class Unconfirmed(Exception):
    """The Hub did not come to hold what was sent."""


@dataclass(frozen=True)
class LocalFile:
    """A file here, with the sha256 (hex) of its content."""

    path: Path
    sha256: str


def prepare(folder: Path, parcel: Parcel, api: HfApi) -> Parcel:
    """Count the try, complete the destination, and pin the sha256 of every file; Refused where a file has changed."""
    parcel = update(folder, parcel, repo_id=full_name(api, parcel.repo_id), attempts=parcel.attempts + 1)
    return _with_checksums(folder, parcel)


def deliver(folder: Path, parcel: Parcel, api: HfApi) -> str:
    """Bring a prepared parcel to the Hub, or find that it is there; return its commit, every file confirmed.

    Raises Refused where only the user can help; any other error means that nothing is lost and a later try may succeed.
    """
    head = open_repository(api, parcel.repo_id, private=parcel.private)
    if tagged := _tagged(api, folder, parcel):
        return tagged
    parcel = _with_parents_licence(api, folder, parcel)
    files = _write_card(folder, parcel)
    commit = _made_before(api, parcel, files) if parcel.attempts > 1 else None
    commit = commit or _commit(api, parcel, files, head)
    if wrong := differences(api, parcel.repo_id, commit, files):
        raise Unconfirmed(f"commit {commit[:12]} of {parcel.repo_id} holds other bytes in {', '.join(wrong)}")
    _tag(api, folder, parcel, commit)
    return commit


def full_name(api: HfApi, repo_id: str) -> str:
    """Put the user's own namespace before a bare repository name."""
    return repo_id if "/" in repo_id else f"{api.whoami()['name']}/{repo_id}"


def open_repository(api: HfApi, repo_id: str, *, private: bool) -> ModelInfo:
    """Return what the repository holds, after making it where it is missing.

    Raises Refused where it exists and is public although `private` was asked for.
    """
    try:
        info = api.model_info(repo_id)
    except RepositoryNotFoundError:
        api.create_repo(repo_id, private=private, exist_ok=True)
        info = api.model_info(repo_id)
    if private and not info.private:
        raise Refused(
            f"{repo_id} exists and is public, and this run publishes in private. "
            "Pass PublishCheckpoints(private=False), or another repo_id"
        )
    return info


def differences(api: HfApi, repo_id: str, revision: str, files: dict[str, LocalFile]) -> list[str]:
    """Name the files (path in the repository -> the file here) that the Hub does not hold alike at `revision`.

    The Hub tells the sha256 of a large file; of a small one it tells git's checksum, which is computed here too.
    """
    there = {item.path: item for item in api.get_paths_info(repo_id, list(files), revision=revision)}
    return [name for name, file in files.items() if not _same(there.get(name), file)]


def _same(remote: RepoFile | RepoFolder | None, local: LocalFile) -> bool:
    if not isinstance(remote, RepoFile):
        return False
    if remote.lfs:
        return remote.lfs.sha256 == local.sha256
    return remote.blob_id == git_hash(local.path.read_bytes())


def choose(api: HfApi, repo_id: str, revision: str, why: str) -> str:
    """Make `main` hold what `revision` holds and return the commit; nothing is uploaded, the Hub copies.

    Where `main` holds that already, no commit is made.
    """
    for _ in range(_CONFLICTS_IN_A_ROW):
        head = api.model_info(repo_id, files_metadata=True)
        chosen = api.model_info(repo_id, revision=revision, files_metadata=True)
        here, wanted = _blobs(head), _blobs(chosen)
        stale = [name for name in here if name not in wanted and is_published(name)]
        changed = [name for name in wanted if here.get(name) != wanted[name]]
        if not changed and not stale:
            return str(head.sha)
        try:
            return api.create_commit(
                repo_id,
                [CommitOperationCopy(name, name, src_revision=chosen.sha) for name in changed]
                + [CommitOperationDelete(name) for name in stale],
                commit_message=f"main is {revision}: {why}",
                parent_commit=head.sha,
                num_threads=1,
            ).oid
        except HfHubHTTPError as error:
            if error.response.status_code != _PARENT_MOVED:
                raise
    raise Unconfirmed(f"{repo_id}: others kept moving main")


def _blobs(info: ModelInfo) -> dict[str, str | None]:
    return {file.rfilename: file.blob_id for file in info.siblings or [] if file.rfilename != ".gitattributes"}


def _with_checksums(folder: Path, parcel: Parcel) -> Parcel:
    """Read every file once and pin its sha256; a file that is no longer what was packed is refused."""
    if not parcel.files:
        raise Refused(parcel.reason or "this checkpoint could not be packed")
    checked = {}
    for name, packed in parcel.files.items():
        path = folder / "files" / name
        if not path.is_file():
            raise Refused(f"{name} is gone from the outbox; publish the checkpoint again")
        digest = packed.sha256 or sha256(path)
        about = path.stat()
        if (about.st_size, about.st_mtime_ns) != (packed.size, packed.mtime_ns):
            raise Refused(f"{name} was overwritten after {parcel.tag} had been saved; its first content is gone")
        checked[name] = replace(packed, sha256=digest)
    return parcel if checked == parcel.files else update(folder, parcel, files=checked)


def _with_parents_licence(api: HfApi, folder: Path, parcel: Parcel) -> Parcel:
    """Ask the Hub for the parent's licence where the run did not know it: the card's own licence depends on it."""
    parent = parcel.read_record().parent
    if parent is None or not parent.published or parent.license is not None:
        return parcel
    try:
        card = api.model_info(parent.id, revision=parent.commit).card_data
    except (RepositoryNotFoundError, HFValidationError):
        if parent.commit is not None:  # it was loaded from a Hub, which may be another one, or is gone from it
            return parcel
        # A folder that was gone before its name was looked at reads like a repository: no lineage is better than that.
        local = {**parcel.record["parent"], "id": Path(parent.id).name, "published": False}
        return update(folder, parcel, record={**parcel.record, "parent": local})
    except RevisionNotFoundError:
        return parcel
    licence = card.get("license") if card else None
    if not isinstance(licence, str):
        return parcel
    return update(folder, parcel, record={**parcel.record, "parent": {**parcel.record["parent"], "license": licence}})


def packed_files(folder: Path, parcel: Parcel) -> dict[str, LocalFile]:
    """List what was packed, with the sha256 that was pinned."""
    return {name: LocalFile(folder / "files" / name, str(file.sha256)) for name, file in parcel.files.items()}


def write_record(folder: Path, parcel: Parcel) -> dict[str, LocalFile]:
    """Write `stilts.json`, now with the sha256 of every file, beside the weights."""
    return _write(folder, {RECORD_FILE: _complete(folder, parcel).to_json()})


def _complete(folder: Path, parcel: Parcel) -> Record:
    files = {name: file.sha256 for name, file in packed_files(folder, parcel).items()}
    return replace(parcel.read_record(), files=files)


def _write_card(folder: Path, parcel: Parcel) -> dict[str, LocalFile]:
    """Write card and `stilts.json` beside the weights; return everything that is to be published."""
    card = render(_complete(folder, parcel), parcel.repo_id, parcel.tag, parcel.notes)
    return {**packed_files(folder, parcel), **write_record(folder, parcel), **_write(folder, {"README.md": card})}


def _write(folder: Path, texts: dict[str, str]) -> dict[str, LocalFile]:
    files = {}
    for name, text in texts.items():
        path = folder / "files" / name
        path.write_text(text, encoding="utf-8", newline="\n")
        files[name] = LocalFile(path, sha256(path))
    return files


def _tagged(api: HfApi, folder: Path, parcel: Parcel) -> str | None:
    """Return the commit under the parcel's tag, None if there is no such tag; Refused if it is another checkpoint."""
    for tag in api.list_repo_refs(parcel.repo_id).tags:
        if tag.name == parcel.tag:
            if differences(api, parcel.repo_id, tag.target_commit, packed_files(folder, parcel)):
                raise Refused(
                    f"tag {parcel.tag} of {parcel.repo_id} is already another checkpoint (commit "
                    f"{tag.target_commit[:12]}), and a published tag never moves. Choose another repo_id, or remove "
                    f"the old one: hf repos tag delete {parcel.repo_id} {parcel.tag}"
                )
            return str(tag.target_commit)
    return None


def _made_before(api: HfApi, parcel: Parcel, files: dict[str, LocalFile]) -> str | None:
    """Find a whole commit of this parcel whose answer never arrived."""
    for commit in api.list_repo_commits(parcel.repo_id):
        if parcel.id in commit.message and not differences(api, parcel.repo_id, commit.commit_id, files):
            return str(commit.commit_id)
    return None


def _commit(api: HfApi, parcel: Parcel, files: dict[str, LocalFile], head: ModelInfo) -> str:
    # Made once: they remember what is uploaded. Our sha256 is not handed to them: the client computes its own from the
    # bytes that it sends, so that comparing the Hub's with ours compares two readings.
    additions = [CommitOperationAdd(name, file.path) for name, file in files.items()]
    for _ in range(_CONFLICTS_IN_A_ROW):
        stale = [file.rfilename for file in head.siblings or [] if file.rfilename not in files]
        try:
            return api.create_commit(
                parcel.repo_id,
                additions + [CommitOperationDelete(name) for name in stale if is_published(name)],
                commit_message=f"{parcel.tag}: {parcel.read_record().title}",
                commit_description=f"Stilts-Parcel: {parcel.id}",
                parent_commit=head.sha,
                num_threads=1,
            ).oid
        except HfHubHTTPError as error:
            if error.response.status_code != _PARENT_MOVED:
                raise
            if commit := _made_before(api, parcel, files):
                return commit
            head = api.model_info(parcel.repo_id)
    raise Unconfirmed(f"others kept moving main of {parcel.repo_id}")


def _tag(api: HfApi, folder: Path, parcel: Parcel, commit: str) -> None:
    try:
        api.create_tag(parcel.repo_id, tag=parcel.tag, revision=commit)
    except HfHubHTTPError as error:
        if error.response.status_code != _EXISTS or _tagged(api, folder, parcel) is None:
            raise
