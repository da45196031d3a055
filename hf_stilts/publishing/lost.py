"""Checkpoints that were sent and are not on the Hub any more: a tag was removed, or the repository made anew.

What the Hub still has is tagged again; what lies here still is sent again; the rest is said.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from hf_stilts.hub.naming import step_of
from hf_stilts.publishing.outbox import own_checkpoints, same_repository
from hf_stilts.publishing.pending import WEIGHTS, PendingCheckpoint, read_pending, restore_files, update
from hf_stilts.publishing.upload import look


def find_lost(api: HfApi, outbox: Path, repo_id: str) -> None:
    """Compare what was sent to a repository with what it holds, by one listing of its tags and branches.

    What is missing waits to be sent again where its files are here, and has failed where they are gone.

    Args:
        api: client of the Hub.
        outbox: folder of the pending checkpoints.
        repo_id: full name of the repository.

    Raises:
        HfHubHTTPError: the Hub did not answer, so that nothing is known.
    """
    sent = _newest_sent(outbox, repo_id)
    if not sent:
        return
    tags: dict[int, str] = {}
    branches: set[str] = set()
    gone = f"{repo_id} is gone from the Hub"
    try:
        refs = api.list_repo_refs(repo_id)
        gone = ""
        tags = {step: tag.target_commit for tag in refs.tags if (step := step_of(tag.name)) is not None}
        branches = {branch.name for branch in refs.branches}
    except RepositoryNotFoundError:
        pass
    lost = set()
    for folder, pending in sent:
        if pending.branch != "main":
            missing = None if pending.branch in branches else f"branch {pending.branch} of {repo_id} is gone"
        else:
            missing = _missing(api, folder, pending, tags)
        if missing is None:
            if pending.state != "sent":
                update(folder, pending, state="sent", reason=None)
            continue
        lost.add(folder)
        if pending.state == "sent":
            update(folder, pending, state="waiting", reason=gone or missing)
    if lost:
        restore_files(outbox)
    for folder, pending in read_pending(outbox):
        if folder in lost and not all((folder / "files" / name).is_file() for name in pending.files):
            reason = gone or f"tag {pending.tag} of {repo_id} is gone, or is another checkpoint"
            reason += f", and so is checkpoint-{pending.step} here: train it again"
            update(folder, pending, state="failed", reason=reason)


def _newest_sent(outbox: Path, repo_id: str) -> list[tuple[Path, PendingCheckpoint]]:
    """Checkpoints that were sent to a repository, less those whose step was saved again: that one has their place."""
    newest = {}
    for folder, pending in read_pending(outbox):
        if same_repository(repo_id, pending.repo_id):
            newest[pending.branch, pending.step] = folder, pending
    return [(folder, pending) for folder, pending in newest.values() if pending.commit]


def _missing(api: HfApi, folder: Path, pending: PendingCheckpoint, tags: Mapping[int, str]) -> str | None:
    """What a sent checkpoint lacks on the Hub; None where it is there, if need be by another commit."""
    there = tags.get(pending.step)
    if there == pending.commit:
        return None
    if there is None:
        if _tag_again(api, folder, pending):
            return None
        return f"tag {pending.tag} of {pending.repo_id} is gone"
    if _has_weights(api, pending, there):
        update(folder, pending, commit=there, state="sent", reason=None)
        return None
    return f"tag {pending.tag} of {pending.repo_id} is another checkpoint"


def _tag_again(api: HfApi, folder: Path, pending: PendingCheckpoint) -> bool:
    """Tag the commit of a checkpoint again where the repository has it still, and no other training took its place."""
    try:
        commits = api.list_repo_commits(pending.repo_id, revision=pending.commit)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return False
    if not commits or commits[0].commit_id != pending.commit:
        return False
    own = own_checkpoints(folder.parent, pending.run)
    if look(api, pending.repo_id, api.model_info(pending.repo_id), own).of_another_run(own):
        return False
    try:
        api.create_tag(pending.repo_id, tag=pending.tag, revision=pending.commit, exist_ok=True)
    except HfHubHTTPError as error:
        if error.response.status_code != 404:  # the Hub forgets commits that nothing leads to
            raise
        return False
    return True


def _has_weights(api: HfApi, pending: PendingCheckpoint, commit: str) -> bool:
    """Whether a commit holds the weights of a checkpoint: the same bytes, published again."""
    names = [name for name in pending.files if any(fnmatch.fnmatch(name, pattern) for pattern in WEIGHTS)]
    there = {item.path: item for item in api.get_paths_info(pending.repo_id, names, revision=commit)}
    for name in names:
        item = there.get(name)
        if not isinstance(item, RepoFile) or item.size != pending.files[name].size:
            return False
        if item.lfs and item.lfs.sha256 != pending.files[name].sha256:
            return False
    return True
