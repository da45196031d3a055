"""Go on with a killed training on another machine: its newest checkpoint, optimizer and all, on the branch `resume`.

The branch holds one checkpoint at a time, in a single commit. Optimizer, scheduler and random states are files that
transformers writes with `torch.save` and reads with `weights_only=True`, which runs no code of the file.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256, write_json
from hf_stilts.hub.checkpoints import read_record
from hf_stilts.hub.naming import step_tag
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.outbox import own_checkpoints
from hf_stilts.publishing.pending import RESUME_BRANCH, RESUMED, STATE_FILE, UNREADABLE, PendingCheckpoint
from hf_stilts.publishing.saved import newest_saved, weights_flaw
from hf_stilts.publishing.upload import (
    Refused,
    Unconfirmed,
    differences,
    full_name,
    look,
    open_repository,
    packed_files,
    refuse_another_run,
    write_record,
)

logger = logging.getLogger(__name__)


def deliver_resume(folder: Path, pending: PendingCheckpoint, api: HfApi) -> str:
    """Make the branch `resume` hold exactly this checkpoint; return its commit.

    Nothing is done where another machine has put a later step there since this one was packed.
    """
    main = open_repository(api, pending)
    own = own_checkpoints(folder.parent, pending.run)
    on_main = look(api, pending.repo_id, main, own)
    refuse_another_run(pending.repo_id, on_main, own)
    api.create_branch(pending.repo_id, branch=RESUME_BRANCH, exist_ok=True)
    files = {**packed_files(folder, pending), **write_record(folder, pending)}
    head = api.model_info(pending.repo_id, revision=RESUME_BRANCH)
    there = _remote_record(pending.repo_id, api)
    if there is None and all(head.sha != commit.commit_id for commit in on_main.commits):
        raise Refused(
            f"{pending.repo_id} has a branch {RESUME_BRANCH} that hf_stilts did not make, and what is there would be "
            "lost. Nothing is committed there. Choose another repository (repo_id=, --namespace), or rename that branch"
        )
    if there and there.step > pending.step:
        newest = api.list_repo_commits(pending.repo_id, revision=RESUME_BRANCH)[0]
        if newest.created_at.timestamp() >= int(pending.packed_at):  # commits are dated to the second
            return str(head.sha)
    stale = [file.rfilename for file in head.siblings or [] if file.rfilename not in {*files, ".gitattributes"}]
    if stale or differences(api, pending.repo_id, RESUME_BRANCH, files):
        api.create_commit(
            pending.repo_id,
            [CommitOperationAdd(name, file.path) for name, file in files.items()]
            + [CommitOperationDelete(name) for name in stale],
            commit_message=f"To resume at {pending.tag}",
            revision=RESUME_BRANCH,
            parent_commit=head.sha,
            num_threads=1,
        )
    if wrong := differences(api, pending.repo_id, RESUME_BRANCH, files):
        raise Unconfirmed(f"branch {RESUME_BRANCH} of {pending.repo_id} holds other bytes in {', '.join(wrong)}")
    api.super_squash_history(pending.repo_id, branch=RESUME_BRANCH, commit_message=f"To resume at {pending.tag}")
    return str(api.model_info(pending.repo_id, revision=RESUME_BRANCH).sha)


def newest_checkpoint(output_dir: str | Path, repo_id: str, api: HfApi | None = None) -> Path | None:
    """Return the newest checkpoint to resume from: in `output_dir`, or fetched there from the Hub if that is newer.

    None where there is neither. Pass the result to `trainer.train(resume_from_checkpoint=...)`. Every file that is
    fetched is compared with the sha256 recorded for it, and the folder appears only when it is whole.
    """
    api = api or HfApi()
    local = newest_saved(output_dir)
    try:
        repo_id = full_name(api, repo_id)
        remote = _remote_record(repo_id, api)
    except LocalTokenNotFoundError:
        logger.warning("Nobody is logged in, so a checkpoint on the Hub is not looked for. To log in: hf auth login")
        remote = None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        if local is None:  # the Hub may hold hours of work: nobody shall begin anew unasked
            raise StiltsError(
                f"The Hub cannot be asked for a checkpoint to go on from ({type(error).__name__}), and {output_dir} "
                "has none. Type the command again when it answers, or without --resume to begin anew."
            ) from error
        logger.warning("Going on from %s; whether the Hub has a newer one is not known: %s", local.name, error)
        return local
    if remote and (local is None or remote.step > int(local.name.rpartition("-")[2])):
        return _fetch(Path(output_dir), repo_id, remote, api)
    return local


def _remote_record(repo_id: str, api: HfApi) -> Record | None:
    try:
        info = api.model_info(repo_id, revision=RESUME_BRANCH, files_metadata=True)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    return read_record(api, repo_id, info)


def _fetch(output_dir: Path, repo_id: str, record: Record, api: HfApi) -> Path:
    fetched = _download(output_dir, repo_id, RESUME_BRANCH, record, api)
    state, step = _state_of(fetched, repo_id)
    if step is not None:
        best = output_dir / f"checkpoint-{step}"  # by its step alone: a path in there may lead anywhere
        if step != record.step and weights_flaw(best) is not None:  # the Trainer loads it at the end
            about = read_record(api, repo_id, api.model_info(repo_id, revision=step_tag(step), files_metadata=True))
            whole = _download(output_dir, repo_id, step_tag(step), about or Record(), api)
            shutil.rmtree(best, ignore_errors=True)
            whole.rename(best)
        write_json(fetched / STATE_FILE, {**state, "best_model_checkpoint": str(best)})
    final = output_dir / f"checkpoint-{record.step}"
    shutil.rmtree(final, ignore_errors=True)  # it is not whole, or it would be newer
    fetched.rename(final)
    os.utime(final / STATE_FILE, (0, 0))  # older than any run here: it came from the Hub, and nobody packs it again
    logger.info("Fetched %s of %s to go on from.", final.name, repo_id)
    return final


def _state_of(fetched: Path, repo_id: str) -> tuple[dict[str, Any], int | None]:
    """State of a fetched checkpoint, and the step of its best checkpoint; None where it notes none."""
    try:
        state = json.loads((fetched / STATE_FILE).read_text(encoding="utf-8"))
        step = int(state["best_global_step"]) if state.get("best_model_checkpoint") else None
        if step is not None and step < 0:
            raise ValueError(f"best_global_step is {step}")
    except UNREADABLE as error:
        shutil.rmtree(fetched)
        raise StiltsError(
            f"{STATE_FILE} of {repo_id}@{RESUME_BRANCH} cannot be read ({type(error).__name__}: {str(error)[:200]}); "
            "what a Trainer saved is expected. Type the command without --resume to begin anew."
        ) from error
    return state, step


def _download(output_dir: Path, repo_id: str, revision: str, record: Record, api: HfApi) -> Path:
    """Download a whole checkpoint to a temporary folder and compare every file with what was recorded."""
    folder = output_dir / f".fetching-{revision}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    snapshot_download(
        repo_id,
        revision=revision,
        local_dir=folder,
        allow_patterns=list(RESUMED),
        endpoint=api.endpoint,
        token=api.token,
    )
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    there = {name: sha256(folder / name) for name in record.files if (folder / name).is_file()}
    wrong = [name for name, pinned in record.files.items() if there.get(name) != pinned]
    if wrong or not there:
        shutil.rmtree(folder)
        named = ", ".join(wrong) or RECORD_FILE
        raise StiltsError(f"{repo_id}@{revision} holds other bytes than were published in {named}. Run again.")
    return folder
