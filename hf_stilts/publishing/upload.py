"""Upload one pending checkpoint: one commit, compared file by file with what was packed, then a tag that never moves.

Every step first looks at what the Hub already has, so that an upload may be cut anywhere and simply be done again:
files already there are not sent again, a commit whose answer was lost is found by the pending checkpoint's id in its
message, and a tag that exists is compared and never overwritten. `main` only ever goes forward; see `main_step`.
What people wrote in the card stays, and files of another model are not touched without the user's word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import GitCommitInfo, ModelInfo, RepoFile, RepoFolder
from huggingface_hub.utils.sha import git_hash

from hf_stilts.errors import StiltsError
from hf_stilts.files import cut_weights, sha256
from hf_stilts.hub.card import CARD_FILE, notes_of, render
from hf_stilts.hub.naming import RESULTS_PREFIX, step_of, step_tag
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.claim import Claim, remote_claim
from hf_stilts.publishing.outbox import own_checkpoints
from hf_stilts.publishing.pending import (
    RESUME_BRANCH,
    PendingCheckpoint,
    is_of_a_model,
    is_published,
    read_checksums,
    restore_file,
    update,
)
from hf_stilts.publishing.published import MAIN_TITLE, NEWEST, PENDING_LINE, RUN_LINE, Own, Published, main_step

_CONFLICTS_IN_A_ROW = 10
_EXISTS, PARENT_MOVED = 409, 412


class Refused(Exception):
    """Trying again without the user's help is of no use; the text says why and what to do."""


class OfAnother(Refused):
    """`main` is left as it is, since the repository holds checkpoints of another training."""

    def __init__(self, repo_id: str, taken: list[str], there: Published) -> None:
        super().__init__(f"{repo_id} holds checkpoints of another training ({', '.join(taken)}), so main is its own")
        self.step, self.commit = there.step_on_main, str(there.head.sha)


class Unconfirmed(Exception):
    """The Hub did not come to hold what was sent."""


@dataclass(frozen=True)
class LocalFile:
    """A file here, with the sha256 (hex) of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Uploaded:
    """A checkpoint on the Hub: its commit, and whether that was just made on `main`, which is this checkpoint then."""

    commit: str
    on_main: bool


@dataclass(frozen=True)
class Held:
    """What a commit holds beside a model: `README.md`, and `stilts.json` where hf_stilts published it; else None.

    `foreign` are the files of a model that this `stilts.json` does not name: somebody else put them there.
    """

    card: str | None
    record: Record | None
    foreign: tuple[str, ...]


def prepare(folder: Path, pending: PendingCheckpoint, api: HfApi) -> PendingCheckpoint:
    """Count the try, pin the sha256 of every file, and complete the destination; Refused where a file has changed.

    The checksums come before the Hub is asked: while it is down, a folder may be copied, or lose its power.
    """
    pending = _with_checksums(folder, update(folder, pending, attempts=pending.attempts + 1))
    repo_id = full_name(api, pending.repo_id)
    return pending if repo_id == pending.repo_id else update(folder, pending, repo_id=repo_id)


def upload_checkpoint(
    folder: Path, pending: PendingCheckpoint, api: HfApi, chosen: int | None = None, *, overwrite: bool = False
) -> Uploaded:
    """Bring a prepared checkpoint to the Hub, or find that it is there, every file confirmed.

    `main` gets it only if `main` must then be this checkpoint (see `main_step`). Any other goes to a branch of its own
    that is removed once the tag holds the commit, so that `main` never goes back, whatever order things arrive in.

    Args:
        folder: the pending checkpoint's folder in the outbox.
        pending: its content, as `prepare` returned it.
        api: client of the Hub.
        chosen: step that was chosen for `main`; None for the newest.
        overwrite: remove files of another model that the repository holds; without it they are a reason to refuse.

    Raises Refused where only the user can help; any other error means that nothing is lost and a later try may succeed.
    """
    branch = f"upload-{pending.folder_name}"
    additions: list[CommitOperationAdd] = []
    for conflicts in range(_CONFLICTS_IN_A_ROW):
        own = own_checkpoints(folder.parent, pending.run)
        there = look(api, pending.repo_id, open_repository(api, pending), own)
        try:
            tagged = _tagged(api, folder, pending, there.tags)
        except Refused:  # that all of it is another training's says more than one of its tags, which is not to go
            refuse_another_run(pending, there, own, _claim(api, pending, there))
            raise
        if tagged:
            if branch in there.branches:
                _drop_branch(api, pending, branch)
            return Uploaded(tagged, on_main=False)
        claim = _claim(api, pending, there)
        refuse_another_run(pending, there, own, claim)
        if claim is not None and claim.run not in own.lineage:
            chosen = None  # what `main` is, the machine decides that goes on with the training
        tried = pending.attempts > 1 or conflicts > 0
        commit = _made_before(api, folder, pending, there, branch) if tried else None
        to_main = False
        if commit is None:
            to_main = main_step({*there.tags, pending.step}, chosen, there.in_flight) == pending.step
            held = read_held(api, pending.repo_id, there.head)
            refuse_another_model(pending.repo_id, held, overwrite)
            if not additions:
                _check_bytes(folder, pending)
                pending = _with_parents_licence(api, folder, pending)
                # Made once: they remember what is uploaded. Our sha256 is not handed to them: the client computes its
                # own from the bytes that it sends, so that comparing the Hub's with ours compares two readings.
                additions = [
                    CommitOperationAdd(name, file.path) for name, file in packed_files(folder, pending).items()
                ]
            described = _write_card(folder, pending, held)
            added = [*additions, *(CommitOperationAdd(name, file.path) for name, file in described.items())]
            try:
                commit = _commit(api, pending, added, there.head, None if to_main else branch)
            except HfHubHTTPError as error:
                if error.response.status_code != PARENT_MOVED:
                    raise
                continue  # somebody else committed: what `main` must be may be another checkpoint now
            files = {**packed_files(folder, pending), **described}
            if wrong := differences(api, pending.repo_id, commit, files):
                raise Unconfirmed(f"commit {commit[:12]} of {pending.repo_id} holds other bytes in {', '.join(wrong)}")
        _tag(api, folder, pending, commit)
        if not to_main:
            _drop_branch(api, pending, branch)
        return Uploaded(commit, on_main=to_main)
    raise Unconfirmed(f"others kept moving main of {pending.repo_id}")


def sent_before(api: HfApi, pending: PendingCheckpoint) -> str | None:
    """Return the commit of a checkpoint whose files are gone here if its tag says that it was sent; else None."""
    try:
        commits = api.list_repo_commits(full_name(api, pending.repo_id), revision=pending.tag)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    made = commits[0]
    return str(made.commit_id) if f"{PENDING_LINE}{pending.id[:8]}" in made.message else None


def look(api: HfApi, repo_id: str, head: ModelInfo, own: Own | None = None) -> Published:
    """Ask the Hub what a repository holds beside `head` of `main`.

    The head is read first, by the caller: a commit that names it as its parent fails if anything moved since. Tags
    beside `main` are looked into where whose they are is asked (`own`), and is not known: those of another training.
    """
    commits = api.list_repo_commits(repo_id, revision=head.sha)
    refs = api.list_repo_refs(repo_id)
    tags = {step: tag.target_commit for tag in refs.tags if (step := step_of(tag.name)) is not None}
    aside: list[GitCommitInfo] = []
    if own is not None and own.run is not None:
        known = {commit.commit_id for commit in commits} | own.commits
        strange = [step for step, commit in sorted(tags.items()) if commit not in known]
        aside = [api.list_repo_commits(repo_id, revision=step_tag(step))[0] for step in strange]
    return Published(head, commits, tags, frozenset(branch.name for branch in refs.branches), tuple(aside))


def read_held(api: HfApi, repo_id: str, at: ModelInfo) -> Held:
    """Read card and record of a commit, which `at` describes.

    Raises:
        Refused: the card is no text.
    """
    names = [file.rfilename for file in at.siblings or []]
    texts = {}
    with tempfile.TemporaryDirectory() as folder:  # the cache is for models
        for name in (CARD_FILE, RECORD_FILE):
            if name in names:
                texts[name] = Path(api.hf_hub_download(repo_id, name, revision=at.sha, local_dir=folder)).read_bytes()
    record = None
    if RECORD_FILE in texts:
        try:
            record = Record.from_json(texts[RECORD_FILE])
        except StiltsError:  # of another version, or no record at all: then nothing there is known to be ours
            record = None
    try:
        card = texts[CARD_FILE].decode("utf-8") if CARD_FILE in texts else None
    except UnicodeDecodeError as error:
        raise Refused(f"{CARD_FILE} of {repo_id} is not UTF-8, so what it says cannot be kept. Correct it") from error
    known = record.files if record else {}
    return Held(card, record, tuple(name for name in names if is_of_a_model(name) and name not in known))


def refuse_another_model(repo_id: str, held: Held, overwrite: bool) -> None:
    """Refuse a repository that holds files of another model: beside ours they would be taken for the same one."""
    if held.foreign and not overwrite:
        more = f" and {len(held.foreign) - 8} more" if len(held.foreign) > 8 else ""
        raise Refused(
            f"{repo_id} holds files of another model ({', '.join(held.foreign[:8])}{more}), and one revision is one "
            "model. Nothing is committed there. Choose another repository (repo_id=, --namespace); or, to have them "
            "removed (the repository's history keeps them), add --overwrite to hf-stilts publish --retry, or "
            "PublishCheckpoints(overwrite=True)"
        )


def settle(
    api: HfApi, repo_id: str, chosen: int | None, why: str, *, own: Own, overwrite: bool = False
) -> tuple[int, str] | None:
    """Make `main` hold what it must: the chosen checkpoint where the Hub has it, else the newest.

    Nothing is uploaded, the Hub copies. Where `main` holds it already, scores added to its card included, no commit is
    made.

    Args:
        api: client of the Hub.
        repo_id: full name of the repository.
        chosen: step that was chosen; None for the newest.
        why: it was chosen, for the commit message.
        own: what of the repository is the training's that asks.
        overwrite: as for `upload_checkpoint`.

    Returns:
        The step and the commit of `main`; None where no checkpoint is published.

    Raises:
        OfAnother: the repository holds checkpoints of another training, which decides what `main` is.
        Refused: somebody put files of another model on `main`.
    """
    for _ in range(_CONFLICTS_IN_A_ROW):
        there = look(api, repo_id, api.model_info(repo_id), own)
        if taken := there.of_another_run(own):
            raise OfAnother(repo_id, taken, there)
        step = main_step(there.tags, chosen, there.in_flight)
        if step is None:
            return None
        if step not in there.tags:  # somebody is about to tag it
            return step, str(there.head.sha)
        head = api.model_info(repo_id, revision=there.head.sha, files_metadata=True)
        wanted = api.model_info(repo_id, revision=there.tags[step], files_metadata=True)
        if _holds(api, repo_id, head, wanted, step):
            return step, str(head.sha)
        held = read_held(api, repo_id, head)
        refuse_another_model(repo_id, held, overwrite)
        try:
            commit = api.create_commit(
                repo_id,
                _to_make_it(head, wanted) + _card_of(api, repo_id, wanted, step, held),
                commit_message=f"{MAIN_TITLE}{step_tag(step)}: {why if step == chosen else NEWEST}",
                parent_commit=head.sha,
                num_threads=1,
            ).oid
        except HfHubHTTPError as error:
            if error.response.status_code != PARENT_MOVED:
                raise
        else:
            return step, str(commit)
    raise Unconfirmed(f"{repo_id}: others kept moving main")


def _to_make_it(head: ModelInfo, wanted: ModelInfo) -> list[CommitOperationCopy | CommitOperationDelete]:
    """What makes the model at `head` the one at `wanted`, record included; files of other kinds stay as they are."""
    here, blobs = _blobs(head), _blobs(wanted)
    model = [name for name in blobs if name == RECORD_FILE or is_of_a_model(name)]
    changed = [name for name in model if here.get(name) != blobs[name]]
    stale = [name for name in here if name not in blobs and _says_of_a_model(name)]
    copies = [CommitOperationCopy(name, name, src_revision=wanted.sha) for name in changed]
    return [*copies, *(CommitOperationDelete(name) for name in stale)]


def _says_of_a_model(name: str) -> bool:
    """Whether a file goes when another model comes: its own, and the scores that were added to it."""
    return is_of_a_model(name) or name.startswith(RESULTS_PREFIX)


def _card_of(
    api: HfApi, repo_id: str, wanted: ModelInfo, step: int, held: Held
) -> list[CommitOperationCopy | CommitOperationAdd]:
    """The card of the checkpoint at `wanted`, with what people wrote in the one that is on `main`."""
    there = read_held(api, repo_id, wanted)
    if there.card is None:
        return []
    if there.record is None:
        return [CommitOperationCopy(CARD_FILE, CARD_FILE, src_revision=wanted.sha)]
    card = render(
        there.record,
        repo_id,
        step_tag(step),
        notes_of(there.card),
        there=held.card,
        before=held.record,
        another_model=bool(held.foreign),
    )
    return [CommitOperationAdd(CARD_FILE, card.encode())]


def _holds(api: HfApi, repo_id: str, head: ModelInfo, wanted: ModelInfo, step: int) -> bool:
    """Whether `head` is the checkpoint `wanted`: the same model, under a record of the same step."""
    here, there = _blobs(head), _blobs(wanted)
    model = {name for name in {*here, *there} if is_published(name)}
    if any(here.get(name) != there.get(name) for name in model):
        return False
    if here.get(RECORD_FILE) == there.get(RECORD_FILE):
        return True
    if RECORD_FILE not in here:
        return False
    try:  # scores that were added afterwards stay
        path = api.hf_hub_download(repo_id, RECORD_FILE, revision=head.sha)
        return Record.from_json(Path(path).read_bytes()).step == step
    except StiltsError:
        return False


def full_name(api: HfApi, repo_id: str) -> str:
    """Put the user's own namespace before a bare repository name."""
    return repo_id if "/" in repo_id else f"{api.whoami()['name']}/{repo_id}"


def open_repository(api: HfApi, pending: PendingCheckpoint) -> ModelInfo:
    """Return what the repository of a checkpoint holds, after making it where it is missing.

    Raises Refused where it exists and is public although private was asked for, or where it was deleted after the
    checkpoint had been sent there: that may be meant.
    """
    repo_id = pending.repo_id
    try:
        info = api.model_info(repo_id)
    except RepositoryNotFoundError as error:
        if pending.commit:
            visible = " --private" if pending.private else ""
            raise Refused(
                f"{repo_id} is gone from the Hub since. To send its checkpoints again, make it anew and retry: "
                f"hf repos create {repo_id}{visible}"
            ) from error
        api.create_repo(repo_id, private=pending.private, exist_ok=True)
        info = api.model_info(repo_id)
    if pending.private and not info.private:
        raise Refused(
            f"{repo_id} exists and is public, and this run publishes in private. Make it private (hf repos settings "
            f"{repo_id} --private) and retry; or publish for everybody (PublishCheckpoints(private=False), --public), "
            "or to another repository (repo_id=, --namespace)"
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


def _blobs(info: ModelInfo) -> dict[str, str | None]:
    return {file.rfilename: file.blob_id for file in info.siblings or [] if file.rfilename != ".gitattributes"}


def _with_checksums(folder: Path, pending: PendingCheckpoint) -> PendingCheckpoint:
    """Read every file once and pin its sha256; a file that is no longer what was packed is refused."""
    if not pending.files:
        raise Refused(pending.reason or "this checkpoint could not be packed")
    checked, noted = {}, read_checksums(folder)
    for name, packed in pending.files.items():
        path = folder / "files" / name
        if not path.is_file():
            lost = pending.reason if pending.commit else None
            raise Refused(
                lost
                or f"{name} is gone from the outbox, and checkpoint-{pending.step} does not have it as it was saved. "
                "Train this checkpoint again"
            )
        about = path.stat()
        changed = (about.st_size, about.st_mtime_ns) != (packed.size, packed.mtime_ns)
        if packed.sha256 is not None and not changed:
            checked[name] = packed
            continue
        # Copied without its time, a file still has its bytes; after a power cut it may have its time and no bytes.
        digest, pinned = sha256(path), packed.sha256 or noted.get(name)
        if pinned is None and not changed:
            pinned = digest
        if digest != pinned:
            if pinned is None or not restore_file(folder, pending, name, pinned):
                raise Refused(_other_bytes(name, pending, changed))
            about = path.stat()
        checked[name] = replace(packed, sha256=pinned, mtime_ns=about.st_mtime_ns)
    never_read = any(packed.sha256 is None for packed in pending.files.values())
    if never_read and (cut := cut_weights(folder / "files")):
        raise Refused(f"{cut}, and its checkpoint has no better one")
    return pending if checked == pending.files else update(folder, pending, files=checked)


def _other_bytes(name: str, pending: PendingCheckpoint, changed: bool) -> str:
    """What to say of a file that is not what was packed, by its time (`changed`) or by its bytes alone."""
    if changed:
        return (
            f"{name} was overwritten after {pending.tag} had been saved; its first content is gone. Train this "
            "checkpoint again"
        )
    return (
        f"{name} of {pending.tag} is no longer what was saved: its bytes changed on the disk, and checkpoint-"
        f"{pending.step} has no better ones. Train this checkpoint again"
    )


def _with_parents_licence(api: HfApi, folder: Path, pending: PendingCheckpoint) -> PendingCheckpoint:
    """Ask the Hub for the parent's licence where the run did not know it: the card's own licence depends on it."""
    parent = pending.read_record().parent
    if parent is None or not parent.published or parent.license is not None:
        return pending
    try:
        card = api.model_info(parent.id, revision=parent.commit).card_data
    except (RepositoryNotFoundError, HFValidationError):
        if parent.commit is not None:  # it was loaded from a Hub, which may be another one, or is gone from it
            return pending
        # A folder that was gone before its name was looked at reads like a repository: no lineage is better than that.
        local = {**pending.record["parent"], "id": Path(parent.id).name, "published": False}
        return update(folder, pending, record={**pending.record, "parent": local})
    except RevisionNotFoundError:
        return pending
    licence = card.get("license") if card else None
    if not isinstance(licence, str):
        return pending
    return update(
        folder, pending, record={**pending.record, "parent": {**pending.record["parent"], "license": licence}}
    )


def packed_files(folder: Path, pending: PendingCheckpoint) -> dict[str, LocalFile]:
    """List what was packed, with the sha256 that was pinned."""
    return {name: LocalFile(folder / "files" / name, str(file.sha256)) for name, file in pending.files.items()}


def write_record(folder: Path, pending: PendingCheckpoint) -> dict[str, LocalFile]:
    """Write `stilts.json`, now with the sha256 of every file, beside the weights."""
    return write_beside(folder, {RECORD_FILE: _complete(folder, pending).to_json()})


def _complete(folder: Path, pending: PendingCheckpoint) -> Record:
    files = {name: file.sha256 for name, file in packed_files(folder, pending).items()}
    return replace(pending.read_record(), files=files)


def _write_card(folder: Path, pending: PendingCheckpoint, held: Held) -> dict[str, LocalFile]:
    """Write `stilts.json` and the card, with what people wrote in the card that is there, beside the weights."""
    card = render(
        _complete(folder, pending),
        pending.repo_id,
        pending.tag,
        pending.notes,
        there=held.card,
        before=held.record,
        another_model=bool(held.foreign),
        stated=pending.stated,
    )
    return {**write_record(folder, pending), **write_beside(folder, {CARD_FILE: card})}


def write_beside(folder: Path, texts: dict[str, str]) -> dict[str, LocalFile]:
    """Write files (name -> text) beside the weights of a pending checkpoint."""
    files = {}
    for name, text in texts.items():
        path = folder / "files" / name
        path.write_text(text, encoding="utf-8", newline="\n")
        files[name] = LocalFile(path, sha256(path))
    return files


def _tagged(api: HfApi, folder: Path, pending: PendingCheckpoint, tags: Mapping[int, str]) -> str | None:
    """Return the commit under its tag, None if there is no such tag; Refused if it is another checkpoint."""
    commit = tags.get(pending.step)
    if commit is None:
        return None
    if differences(api, pending.repo_id, commit, packed_files(folder, pending)):
        raise Refused(
            f"tag {pending.tag} of {pending.repo_id} is already another checkpoint (commit {commit[:12]}), and a "
            "published tag never moves. Choose another repository (repo_id=, --namespace), or remove the old one: "
            f"hf repos tag delete {pending.repo_id} {pending.tag}"
        )
    return commit


def _claim(api: HfApi, pending: PendingCheckpoint, there: Published) -> Claim | None:
    """Whose the branch `resume` is; None where there is none."""
    if RESUME_BRANCH not in there.branches:
        return None
    to_resume = api.model_info(pending.repo_id, revision=RESUME_BRANCH)
    return remote_claim(api, pending.repo_id, to_resume)


def refuse_another_run(pending: PendingCheckpoint, there: Published, own: Own, claim: Claim | None) -> None:
    """Refuse to mix two trainings in a repository, before a commit does.

    Args:
        pending: the checkpoint to be committed.
        there: what the repository holds.
        own: how the checkpoint's training is known.
        claim: of the branch `resume`; None where there is none.

    Raises:
        Refused: another machine had gone on with the training when the checkpoint was saved, or the repository holds
            checkpoints of another training.
    """
    repo_id = pending.repo_id
    taken = there.of_another_run(own)
    if claim is not None and pending.run is not None:
        if not claim.allows(pending.run, pending.step, own.lineage):
            if claim.continued.keys() & {pending.run, *own.lineage}:
                raise Refused(
                    f"another machine goes on with this training since {step_tag(claim.step)} and has claimed "
                    f"{repo_id}, and one repository is one training. Nothing that was saved here later is committed "
                    "there; it stays in the outbox. To go on here instead, end the other one and type the training's "
                    "command again, with --resume auto; to keep both, choose another repository (repo_id=, --namespace)"
                )
            taken = taken or [f"branch {RESUME_BRANCH}"]
        elif pending.run in claim.continued:
            return  # the other machine goes on from it, or from a later one
    if taken:
        raise Refused(
            f"{repo_id} holds checkpoints of another training ({', '.join(taken)}), and one repository is one "
            "training; a folder that was copied and goes on in both places is two. Nothing of this one is committed "
            "there. Choose another repository (repo_id=, --namespace), or remove the other's tags and its branch "
            f"{RESUME_BRANCH}, and retry in 15 minutes: hf repos tag delete {repo_id} TAG"
        )


def _made_before(api: HfApi, folder: Path, pending: PendingCheckpoint, there: Published, branch: str) -> str | None:
    """Find a commit of this pending checkpoint whose answer never arrived; Refused if the Hub holds other bytes in it.

    Another commit would not help then, and would be made at every try.
    """
    commits = [*there.commits]
    if branch in there.branches:
        commits += api.list_repo_commits(pending.repo_id, revision=branch)
    for commit in commits:
        if f"{PENDING_LINE}{pending.id[:8]}" in commit.message:
            if wrong := differences(api, pending.repo_id, commit.commit_id, packed_files(folder, pending)):
                raise Refused(
                    f"commit {commit.commit_id[:12]} of {pending.repo_id} holds other bytes in {', '.join(wrong)} than "
                    "were sent, and sending them again does not help. "
                    "Publish to another repository (repo_id=, --namespace)"
                )
            return str(commit.commit_id)
    return None


def _check_bytes(folder: Path, pending: PendingCheckpoint) -> None:
    """Before a commit at a later try, read the files again: a disk may have changed what was pinned at the first."""
    if pending.attempts <= 1:
        return
    for name, file in packed_files(folder, pending).items():
        if sha256(file.path) != file.sha256:
            raise Refused(
                f"{name} of {pending.tag} is no longer what was saved: its sha256 is not {file.sha256[:12]}, as "
                "recorded. Nothing is committed; train this checkpoint again"
            )


def _commit(
    api: HfApi, pending: PendingCheckpoint, additions: list[CommitOperationAdd], main: ModelInfo, branch: str | None
) -> str:
    """Commit on top of `main`: there, or on `branch`, which is made for this checkpoint."""
    head = main
    if branch is not None:
        api.create_branch(pending.repo_id, branch=branch, revision=main.sha, exist_ok=True)
        head = api.model_info(pending.repo_id, revision=branch)
    added = {addition.path_in_repo for addition in additions}
    there = [file.rfilename for file in head.siblings or []]
    run = f"\n{RUN_LINE}{pending.run}" if pending.run else ""
    return api.create_commit(
        pending.repo_id,
        additions + [CommitOperationDelete(name) for name in there if name not in added and _says_of_a_model(name)],
        commit_message=f"{pending.tag}: {pending.read_record().title}",
        commit_description=f"{PENDING_LINE}{pending.id}{run}",
        revision=branch or "main",
        parent_commit=head.sha,
        num_threads=1,
    ).oid


def _tag(api: HfApi, folder: Path, pending: PendingCheckpoint, commit: str) -> None:
    try:
        api.create_tag(pending.repo_id, tag=pending.tag, revision=commit)
    except HfHubHTTPError as error:
        if error.response.status_code != _EXISTS:
            raise
        there = look(api, pending.repo_id, api.model_info(pending.repo_id))
        if _tagged(api, folder, pending, there.tags) is None:
            raise


def _drop_branch(api: HfApi, pending: PendingCheckpoint, branch: str) -> None:
    """Remove the branch on which a checkpoint arrived, if there is one; its tag keeps the commit."""
    if branch in {ref.name for ref in api.list_repo_refs(pending.repo_id).branches}:
        api.delete_branch(pending.repo_id, branch=branch)
