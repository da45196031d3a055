"""Go on with a killed training on another machine: its newest checkpoint, optimizer and all, on the branch `resume`.

The branch holds one checkpoint at a time, and whose training it is (see claim.py). Optimizer, scheduler and random
states are files that transformers writes with `torch.save` and reads with `weights_only=True`, which runs no code of
the file.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
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
from hf_stilts.publishing.claim import CLAIM_FILE, Claim, Claimed, read_claimed, remote_claim, write_claimed
from hf_stilts.publishing.outbox import FOLDER, own_checkpoints, place_of, read_run
from hf_stilts.publishing.pending import RESUME_BRANCH, RESUMED, STATE_FILE, UNREADABLE, PendingCheckpoint
from hf_stilts.publishing.published import Own, run_of
from hf_stilts.publishing.saved import newest_saved, weights_flaw
from hf_stilts.publishing.upload import (
    PARENT_MOVED,
    Refused,
    Unconfirmed,
    differences,
    full_name,
    look,
    open_repository,
    packed_files,
    refuse_another_run,
    write_beside,
    write_record,
)

logger = logging.getLogger(__name__)

_CONFLICTS_IN_A_ROW = 10


def upload_resume(folder: Path, pending: PendingCheckpoint, api: HfApi) -> str:
    """Make the branch `resume` hold exactly this checkpoint; return its commit.

    Nothing is done where another machine has put a later step there since this one was packed.
    """
    main = open_repository(api, pending)
    own = own_checkpoints(folder.parent, pending.run)
    on_main = look(api, pending.repo_id, main, own)
    if RESUME_BRANCH not in on_main.branches:
        refuse_another_run(pending, on_main, own, None)
        api.create_branch(pending.repo_id, branch=RESUME_BRANCH, exist_ok=True)
    files = {**packed_files(folder, pending), **write_record(folder, pending)}
    head = api.model_info(pending.repo_id, revision=RESUME_BRANCH)
    claim = remote_claim(api, pending.repo_id, head)
    refuse_another_run(pending, on_main, own, claim)
    if claim is not None and own.run is not None and claim.run not in own.lineage:
        return str(head.sha)  # who goes on with it has this checkpoint
    if own.run is not None:
        claim = Claim(own.run, claim.continued if claim else {})
    if claim is not None:
        files |= write_beside(folder, {CLAIM_FILE: claim.to_json()})
    there = read_record(api, pending.repo_id, head)
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


def newest_checkpoint(
    output_dir: str | Path, repo_id: str, api: HfApi | None = None, *, claim: bool = True
) -> Path | None:
    """Return the newest checkpoint to resume from: in `output_dir`, or fetched there from the Hub if that is newer.

    None where there is neither. Pass the result to `trainer.train(resume_from_checkpoint=...)`. Every file that is
    fetched is compared with the sha256 recorded for it, and the folder appears only when it is whole.

    A training of another machine is claimed for this one, in a commit to the branch `resume`: the other publishes
    nothing more, should it still run.

    Args:
        output_dir: of the training.
        repo_id: where its checkpoints are published, with or without a namespace.
        api: client of the Hub.
        claim: False in processes of a training that do not publish.

    Raises:
        StiltsError: the Hub does not answer and nothing is here; what it holds is broken; another machine has just
            claimed the training; or it went on from an earlier checkpoint than the newest one here.
    """
    api = api or HfApi()
    for _ in range(_CONFLICTS_IN_A_ROW):
        local = newest_saved(output_dir)
        remote = _ask(Path(output_dir), repo_id, local, api)
        if remote is None:
            return local
        found = local
        if local is None or remote.record.step > _step(local):
            found = _fetch(Path(output_dir), remote.repo_id, remote.record, api)
        if not claim or _claim(Path(output_dir), local, remote, api):
            return found
    raise StiltsError(f"Others kept moving the branch {RESUME_BRANCH} of {repo_id}. Type the command again.")


@dataclass(frozen=True)
class _Remote:
    """What the branch `resume` of a repository holds at its commit `sha`."""

    repo_id: str
    sha: str
    record: Record
    claim: Claim | None


def _ask(output_dir: Path, repo_id: str, local: Path | None, api: HfApi) -> _Remote | None:
    """What the Hub has to go on from; None where it has nothing, or cannot be asked and there is a checkpoint here.

    Raises:
        StiltsError: it cannot be asked, and nothing is here.
    """
    try:
        return _remote_checkpoint(full_name(api, repo_id), api)
    except LocalTokenNotFoundError:
        logger.warning("Nobody is logged in, so a checkpoint on the Hub is not looked for. To log in: hf auth login")
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        if local is None:  # the Hub may hold hours of work: nobody shall begin anew unasked
            raise StiltsError(
                f"The Hub cannot be asked for a checkpoint to go on from ({type(error).__name__}), and {output_dir} "
                "has none. Type the command again when it answers, or without --resume to begin anew."
            ) from error
        logger.warning("Going on from %s; whether the Hub has a newer one is not known: %s", local.name, error)
    return None


def _remote_checkpoint(repo_id: str, api: HfApi) -> _Remote | None:
    """What is on the branch `resume`; None where there is none, or hf_stilts did not make it."""
    try:
        info = api.model_info(repo_id, revision=RESUME_BRANCH)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    record = read_record(api, repo_id, info)
    return _Remote(repo_id, str(info.sha), record, remote_claim(api, repo_id, info)) if record else None


def _claim(output_dir: Path, local: Path | None, remote: _Remote, api: HfApi) -> bool:
    """Claim the training for this folder, unless it is its own; False where the branch has moved since it was read.

    Args:
        output_dir: of the training.
        local: the newest checkpoint that was here.
        remote: the branch, as it was read.
        api: client of the Hub.

    Raises:
        StiltsError: another machine has claimed it meanwhile, or went on from an earlier checkpoint than `local`; or
            the token may not write.
    """
    outbox = output_dir / FOLDER
    lineage = _ids_of(outbox)
    if remote.claim is not None and remote.claim.run in lineage:
        return True
    _refuse_two_lines(local, remote, lineage)
    step = max(remote.record.step, _step(local) if local else 0)
    new = Claim(uuid.uuid4().hex, _continued(remote, lineage, step, api))
    try:
        api.create_commit(
            remote.repo_id,
            [CommitOperationAdd(CLAIM_FILE, new.to_json().encode())],
            commit_message=f"Gone on with at {step_tag(step)}",
            revision=RESUME_BRANCH,
            parent_commit=remote.sha,
        )
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise StiltsError(
                f"The access token may not write to {remote.repo_id}, and a training that goes on from there publishes "
                "there. Nothing was trained. Log in with one that may (hf auth login), or choose another repository "
                "(repo_id=, --namespace)."
            ) from error
        if error.response.status_code != PARENT_MOVED:
            raise
        again = _remote_checkpoint(remote.repo_id, api)
        if again is None or again.claim != remote.claim:
            raise StiltsError(
                f"Another machine has claimed the training of {remote.repo_id} at this very moment. Nothing was "
                "trained here. Let it go on; or end it, and type the command again."
            ) from error
        return False  # the machine that it runs on is alive, and has just saved a newer checkpoint
    outbox.mkdir(parents=True, exist_ok=True)
    write_claimed(outbox, Claimed(remote.repo_id, place_of(outbox), new))
    return True


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _ids_of(outbox: Path) -> tuple[str, ...]:
    """Ids under which the training of an outbox is known."""
    run, claimed = read_run(outbox), read_claimed(outbox)
    known = run.lineage if run else ()
    return known if claimed is None else (*known, claimed.claim.run)


def _continued(remote: _Remote, lineage: Collection[str], step: int, api: HfApi) -> dict[str, int]:
    """Id of every training that published here, or is this folder's -> the step up to which it is gone on with."""
    there = look(api, remote.repo_id, api.model_info(remote.repo_id), Own(run=uuid.uuid4().hex))
    before = dict(remote.claim.continued) if remote.claim else {}
    runs = {run_of(commit) for commit in (*there.commits, *there.aside)}
    if remote.claim is not None:
        runs.add(remote.claim.run)
    earlier = {run: step for run in runs if run is not None}
    return {**earlier, **before, **dict.fromkeys(lineage, step)}


def _refuse_two_lines(local: Path | None, remote: _Remote, lineage: Collection[str]) -> None:
    """Refuse to go on from a local checkpoint where another machine went on, and published, from an earlier one."""
    if local is None or remote.claim is None or _step(local) < remote.record.step:
        return
    taken_at = max((step for run, step in remote.claim.continued.items() if run in lineage), default=None)
    if taken_at is not None and remote.record.step > taken_at and _step(local) > taken_at:
        raise StiltsError(
            f"{local} was saved after another machine had gone on with this training from {step_tag(taken_at)}; "
            f"{remote.repo_id} holds that one's {step_tag(remote.record.step)}, and one repository is one training. "
            "Nothing was done. To go on with what is on the Hub, pass another --output_dir; with this checkpoint, "
            "another repository (repo_id=, --namespace)."
        )


def _fetch(output_dir: Path, repo_id: str, record: Record, api: HfApi) -> Path:
    fetched = _download(output_dir, repo_id, RESUME_BRANCH, record, api)
    state, step = _state_of(fetched, repo_id)
    if step is not None:
        best = output_dir / f"checkpoint-{step}"  # by its step alone: a path in there may lead anywhere
        if step != record.step and weights_flaw(best) is not None:  # the Trainer loads it at the end
            about = read_record(api, repo_id, api.model_info(repo_id, revision=step_tag(step)))
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
