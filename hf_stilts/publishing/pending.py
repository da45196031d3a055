"""A pending checkpoint: one on its way to the Hub, as a folder that survives the process that made it.

    <output_dir>/outbox/step-200-1f0c9a7e/
        parcel.json     where it goes and how far it is
        sha256.json     what the bytes of the files were when they had just been saved
        files/          hard links to what will be published; gone once the Hub has confirmed every file

It is packed under a temporary name and then renamed, and `parcel.json` is only ever replaced as a whole: whoever is
killed at any moment leaves either a complete one or none. A power cut may still empty a file that was just written:
what cannot be read is set aside as `*.broken` and rebuilt from what lies beside it.
"""

from __future__ import annotations

import dataclasses
import errno
import fnmatch
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.files import cut_weights, sha256, write_json
from hf_stilts.hub.naming import HEAD_FILE, HEADS, step_tag
from hf_stilts.hub.record import ParentModel, Record, at_step, is_local_path

logger = logging.getLogger(__name__)

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
# An allow list: a file that nobody thought of stays at home. No *.bin, *.pt or *.pkl, since those are pickles.
PUBLISHED = (
    *WEIGHTS,
    *("config.json", "generation_config.json", "adapter_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "merges.txt", "*.model"),
    *(f"{HEADS}/*/{HEAD_FILE}", f"{HEADS}/*/config.json"),
    # How sentence-transformers makes vectors: 1_Pooling/config.json, 2_Dense/model.safetensors ...
    *("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
    *("[0-9]_*/config.json", "[0-9]_*/model.safetensors"),
)
# What other models are made of, here or elsewhere: beside our weights it would be taken for the same model.
_MODELS = (
    *PUBLISHED,
    *("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.onnx_data", "*.gguf"),
    *("*.tflite", "modules.json", "config_sentence_transformers.json", "sentence_*_config.json", "model_index.json"),
    *("pytorch_model.bin.index.json", "*/config.json", "*/*.safetensors", "*/*.bin", "*/*.onnx", "*/*.onnx_data"),
)
STATE_FILE = "trainer_state.json"
STATE = "parcel.json"
CHECKSUMS = "sha256.json"
# What reading a file of the outbox can raise: it is gone, empty, cut, or of another shape.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
LOST_STATE = "its parcel.json was broken and its files are gone: either it was sent, or it is lost"
# What a training needs besides to go on; only where the user asks for it, and never on main.
RESUMED = (*PUBLISHED, STATE_FILE, "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth")
RESUME_BRANCH = "resume"
TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_NO_TOKENIZER = (
    "no tokenizer was saved with this checkpoint, so the model cannot be used from its name alone; "
    "pass processing_class=tokenizer to the Trainer"
)
# Pending checkpoints of which this process has said that they cannot be read.
_UNREAD: set[Path] = set()
# Below this size a file is copied: a later save into the same folder may rewrite small JSON files in place.
_LINK_FROM_BYTES = 1 << 20
_TICK = 0.001  # seconds between two checkpoints in the outbox, by whatever clock
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS}


@dataclass(frozen=True)
class PackedFile:
    """What a file was when it was packed: `size` in bytes, `mtime_ns`, and `sha256` once it has been read."""

    size: int
    mtime_ns: int
    sha256: str | None = None


@dataclass(frozen=True)
class PendingCheckpoint:
    """One checkpoint on its way: the content of `parcel.json`.

    Args:
        id: 32 hex digits; stands in the commit message, so that a commit whose outcome is unknown is found again.
        repo_id: destination, with or without a namespace (without: the user's own).
        private: whether the repository is made private; a public one is then refused.
        step: optimizer step of the checkpoint; its tag is `step-<step>`.
        record: the content of its `stilts.json`, less the sha256 of the files.
        files: path in the repository -> what it was when packed.
        state: `waiting`, `sent` or `failed`; reason: why it waits or failed, in words.
        attempts: how often it was tried; commit: where it is on the Hub.
        packed_at, sent_at: seconds since 1970.
        notes: what the user should know about it (no tokenizer saved ...).
        branch: `main`, or `resume` for a checkpoint with optimizer and all, which gets no tag.
        run: id of the training that saved it; None where that is not known.
        stated: front matter of its card that the user gave.
    """

    id: str
    repo_id: str
    private: bool
    step: int
    record: dict[str, Any]
    files: dict[str, PackedFile] = field(default_factory=dict)
    state: str = "waiting"
    reason: str | None = None
    attempts: int = 0
    commit: str | None = None
    packed_at: float = 0.0
    sent_at: float | None = None
    notes: tuple[str, ...] = ()
    branch: str = "main"
    run: str | None = None
    stated: dict[str, Any] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The tag under which this checkpoint is published."""
        return step_tag(self.step)

    def read_record(self) -> Record:
        """Read the checkpoint's record, less the checksums of its files."""
        return Record.from_json(json.dumps(self.record))

    @property
    def folder_name(self) -> str:
        """The pending checkpoint's folder; the id keeps apart two saves of the same step."""
        return f"{'' if self.branch == 'main' else self.branch + '-'}{self.tag}-{self.id[:8]}"


def new_pending(
    record: Record, repo_id: str, private: bool, branch: str = "main", run: str | None = None, id: str | None = None
) -> PendingCheckpoint:
    """Begin a pending checkpoint, without its files; with a new `id` unless one is given."""
    content = json.loads(record.to_json())
    return PendingCheckpoint(
        id or uuid.uuid4().hex,
        repo_id,
        private,
        record.step,
        content,
        packed_at=time.time(),
        branch=branch,
        run=run,
    )


def pack(checkpoint: Path, outbox: Path, pending: PendingCheckpoint) -> PendingCheckpoint:
    """Link what is published of `checkpoint` into a folder of `outbox`; the caller may delete `checkpoint` afterwards.

    Raises OSError (disk full ...) having left nothing, and StiltsError where the checkpoint holds no safetensors.
    """
    wanted = PUBLISHED if pending.branch == "main" else RESUMED
    inside = (path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file())
    names = sorted(name for name in inside if _matches(name, wanted))
    if not any(_matches(name, WEIGHTS) for name in names):
        raise StiltsError(_no_weights(checkpoint))
    parent = pending.read_record().parent
    packing = outbox / f".packing-{pending.id}"
    try:
        for name in names:
            (packing / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        files = {name: _pack_file(checkpoint / name, packing / "files" / name, parent) for name in names}
        notes = () if any(_matches(name, TOKENIZER) for name in names) else (_NO_TOKENIZER,)
        # Later than what is there, even where the clock was set back: the newest to resume from is the last one packed.
        latest = max((other.packed_at for _, other in read_pending(outbox)), default=0.0)
        packed_at = max(pending.packed_at, latest + _TICK)
        pending = dataclasses.replace(pending, files=files, notes=notes, packed_at=packed_at)
        _write(packing, pending)
        packing.rename(outbox / pending.folder_name)
    except BaseException:
        shutil.rmtree(packing, ignore_errors=True)
        raise
    return pending


def note_checksums(folder: Path, pending: PendingCheckpoint) -> None:
    """Read the files just after they were saved and note their sha256: it tells what a disk or a copy makes of them.

    The upload worker may come to read them much later, or after a power cut. Nothing is raised: without the note, it
    takes what it finds.
    """
    try:
        found = {}
        for name, packed in pending.files.items():
            file = folder / "files" / name
            digest = sha256(file)
            if _is_as_packed(file, packed):
                found[name] = digest
        if (folder / STATE).is_file():
            write_json(folder / CHECKSUMS, found, durable=True)
    except OSError as error:  # sent already, perhaps
        logger.debug("%s of %s is not written: %s", CHECKSUMS, folder.name, error)


def read_checksums(folder: Path) -> dict[str, str]:
    """Read what `note_checksums` noted: path -> hex sha256; nothing where that is not known."""
    try:
        noted = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        return {name: digest for name, digest in noted.items() if isinstance(digest, str)}
    except UNREADABLE:
        return {}


def note_unpacked(outbox: Path, pending: PendingCheckpoint) -> bool:
    """Leave a failed one without files, so that the report names a checkpoint that could not be packed, and why.

    Returns:
        Whether that could be written.
    """
    folder = outbox / pending.folder_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        update(folder, pending)
    except OSError as error:
        logger.debug("%s cannot be noted in the outbox: %s", pending.tag, error)
        return False
    return True


def read_pending(outbox: Path) -> Iterator[tuple[Path, PendingCheckpoint]]:
    """Yield the folder and content of each pending checkpoint, oldest first; what is broken is passed over, aloud."""
    found = []
    for folder in pending_folders(outbox):
        try:
            found.append((folder, _parse(json.loads((folder / STATE).read_text(encoding="utf-8")))))
        except FileNotFoundError:  # just removed, or set aside
            continue
        except UNREADABLE as error:
            told = logging.DEBUG if folder in _UNREAD else logging.WARNING  # an outbox is read every second
            _UNREAD.add(folder)
            logger.log(told, "%s cannot be read (%s); the upload worker will set it aside.", folder / STATE, error)
    yield from sorted(found, key=lambda pair: (pair[1].packed_at, pair[1].step))


def rebuild_broken(outbox: Path, repo_id: str, private: bool, record: Record, run: str | None) -> None:
    """Set aside every `parcel.json` that cannot be read, and write it anew from the files beside it.

    Args:
        outbox: the folder of the run's pending checkpoints.
        repo_id: destination of the run.
        private: whether its repository is private.
        record: what all checkpoints of the run have in common.
        run: id of the run.

    Where the files are gone, which they are once they are sent, a failed one without files is left: the Hub knows
    whether it has it. Nothing is raised: what cannot be rebuilt stays as it is.
    """
    for folder in pending_folders(outbox):
        try:
            _parse(json.loads((folder / STATE).read_text(encoding="utf-8")))
            continue
        except FileNotFoundError:
            if not (folder / "files").is_dir():
                continue
        except UNREADABLE as error:
            set_aside(folder / STATE, error)
        try:
            _rebuild(folder, repo_id, private, record, run)
        except UNREADABLE as error:
            logger.warning("%s could not be rebuilt: %s", folder / STATE, error)


def _cut(files: Path, names: list[str]) -> str | None:
    """What a power cut left of files whose sizes nobody remembers: which one is empty or cut; None where all are whole.

    Raises OSError where one cannot be read.
    """
    for name in names:
        if not (files / name).stat().st_size:
            return f"{name} is empty"
        if name.endswith(".json"):
            try:
                json.loads((files / name).read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                return f"{name} cannot be read"
    return cut_weights(files)


def restore_files(outbox: Path) -> None:
    """Take files of pending checkpoints that are gone, empty or cut from their checkpoint folders again.

    Only where that folder still is the same save: its weights are as they were packed. What is restored must have the
    size, and the sha256 where it was read before, that was noted. Nothing is raised: what cannot be restored stays.
    """
    for folder, pending in read_pending(outbox):
        if pending.state == "sent" or not pending.files:
            continue
        files = folder / "files"
        kept = [name for name in pending.files if _matches(name, WEIGHTS)]
        changed = [name for name, packed in pending.files.items() if not _is_as_packed(files / name, packed)]
        if not changed and cut_weights(files):  # a power cut may keep size and time, and lose what was in a file
            changed = kept
        if not changed:
            continue
        saved = outbox.parent / f"checkpoint-{pending.step}"
        if not all(_has_bytes(saved / name, pending.files[name]) for name in kept):
            continue
        try:
            for name in changed:
                pending = _restore(folder, pending, saved, name)
        except UNREADABLE as error:
            logger.warning("%s could not be restored from %s: %s", pending.tag, saved, error)


def _restore(folder: Path, pending: PendingCheckpoint, saved: Path, name: str) -> PendingCheckpoint:
    packed, target = pending.files[name], folder / "files" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    about = _pack_file(saved / name, target, pending.read_record().parent)
    if about.size != packed.size or (packed.sha256 is not None and sha256(target) != packed.sha256):
        logger.warning("%s of %s is not what was packed, in %s neither.", name, pending.tag, saved)
        return pending
    logger.warning("%s of %s was lost in the outbox; it is taken from %s again.", name, pending.tag, saved)
    about = dataclasses.replace(about, sha256=packed.sha256)
    return update(folder, pending, files={**pending.files, name: about})


def restore_file(folder: Path, pending: PendingCheckpoint, name: str, pinned: str) -> bool:
    """Take a file from its checkpoint folder again if its sha256 there is `pinned` (hex); say whether that was so."""
    saved = folder.parent.parent / f"checkpoint-{pending.step}" / name
    target = folder / "files" / name
    again = target.with_name(f".again-{target.name}")
    try:
        _pack_file(saved, again, pending.read_record().parent)
        if sha256(again) == pinned:
            again.replace(target)
            logger.warning(
                "%s of %s had other bytes in the outbox; it is taken from %s again.", name, pending.tag, saved
            )
            return True
    except UNREADABLE as error:
        logger.debug("%s cannot be taken again: %s", saved, error)
    again.unlink(missing_ok=True)
    return False


def _is_as_packed(file: Path, packed: PackedFile) -> bool:
    """Whether a file has the size and the time that it had when it was packed."""
    try:
        about = file.stat()
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns) == (packed.size, packed.mtime_ns)


def _has_bytes(file: Path, packed: PackedFile) -> bool:
    """Whether a file is what was packed; where its time is another one, as in a copy, its sha256 decides."""
    if _is_as_packed(file, packed):
        return True
    try:
        return file.stat().st_size == packed.size and sha256(file) == packed.sha256
    except OSError:
        return False


def _rebuild(folder: Path, repo_id: str, private: bool, record: Record, run: str | None) -> None:
    front, _, rest = folder.name.rpartition("step-")
    step, _, id_begin = rest.partition("-")
    saved = folder.parent.parent / f"checkpoint-{step}" / STATE_FILE
    history: dict[str, Any] = {}
    if saved.is_file():
        history = json.loads(saved.read_text(encoding="utf-8"))
    about = at_step(record, int(step), history.get("epoch"), history.get("log_history", []))
    # The id's beginning finds a commit that was made before, so that it is not made twice.
    pending = new_pending(about, repo_id, private, front.rstrip("-") or "main", run, id_begin.ljust(32, "0"))
    inside = [path for path in (folder / "files").rglob("*") if path.is_file()]
    names = sorted(path.relative_to(folder / "files").as_posix() for path in inside)
    wanted = PUBLISHED if pending.branch == "main" else RESUMED
    files = {name: _about(folder / "files" / name) for name in names if _matches(name, wanted)}
    if wrong := _cut(folder / "files", names):  # without files it is packed again where its checkpoint is still there
        update(folder, pending, state="failed", reason=f"its parcel.json was broken, and {wrong}")
    elif any(_matches(name, WEIGHTS) for name in files):
        update(folder, pending, files=files, attempts=1)  # perhaps: then it is looked for before it is committed
        logger.warning("%s was rebuilt from its files; scores that only it held are lost.", folder / STATE)
    else:
        update(folder, pending, state="failed", reason=LOST_STATE)


def pending_folders(outbox: Path) -> list[Path]:
    """Folders of pending checkpoints, whether they can be read or not."""
    return [path for path in (*outbox.glob("step-*"), *outbox.glob(f"{RESUME_BRANCH}-step-*")) if path.is_dir()]


def set_aside(path: Path, error: Exception) -> None:
    """Rename a file that cannot be read to `<name>.broken`, and say so; where even that fails, only say so."""
    broken = path.with_name(f"{path.name}.broken")
    logger.warning("%s cannot be read (%s); it is set aside as %s and rebuilt.", path, error, broken.name)
    try:
        path.replace(broken)
    except OSError as problem:
        logger.warning("%s could not be renamed: %s", path, problem)


def update(folder: Path, pending: PendingCheckpoint, **changes: Any) -> PendingCheckpoint:
    """Replace fields of a pending checkpoint, on disk first: it survives a power cut.

    The upload worker does this, beside the training: waiting for the disk may take seconds after weights were written.
    """
    pending = dataclasses.replace(pending, **changes)
    _write(folder, pending, durable=True)
    return pending


def forget_files(folder: Path) -> None:
    """Remove the files, which the Hub has confirmed; `parcel.json` stays as the memory of what was sent."""
    shutil.rmtree(folder / "files", ignore_errors=True)


def _write(folder: Path, pending: PendingCheckpoint, *, durable: bool = False) -> None:
    write_json(folder / STATE, dataclasses.asdict(pending), durable=durable)


def _parse(data: dict[str, Any]) -> PendingCheckpoint:
    known = {each.name for each in dataclasses.fields(PendingCheckpoint)}
    files = {name: PackedFile(**about) for name, about in data["files"].items()}
    kept = {name: value for name, value in data.items() if name in known}
    return PendingCheckpoint(**{**kept, "files": files, "notes": tuple(data["notes"])})


def _pack_file(source: Path, target: Path, parent: ParentModel | None) -> PackedFile:
    link_or_copy(source, target)
    if source.name.endswith("config.json") or source.name == STATE_FILE:
        config = json.loads(source.read_text(encoding="utf-8"))
        cleaned = _without_paths(config, "", parent)
        if cleaned.get("best_model_checkpoint"):
            cleaned["best_model_checkpoint"] = Path(config["best_model_checkpoint"]).name
        if cleaned != config:
            write_json(target, cleaned)
    return _about(target)


def _about(file: Path) -> PackedFile:
    about = file.stat()
    return PackedFile(size=about.st_size, mtime_ns=about.st_mtime_ns)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a large file; copy a small one, and any file where links are impossible (another file system)."""
    if source.stat().st_size >= _LINK_FROM_BYTES:
        try:
            os.link(source, target)
            return
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
    shutil.copy2(source, target)


def _without_paths(value: Any, key: str, parent: ParentModel | None) -> Any:
    """Replace each path of this machine in a configuration (`_name_or_path`) by the parent's name or its last part."""
    if isinstance(value, dict):
        return {name: _without_paths(item, name, parent) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item, key, parent) for item in value]
    if not isinstance(value, str) or not is_local_path(value):
        return value
    # A label may look like a path too ("/m/02mk9" in AudioSet), but names no folder of this machine.
    if key.endswith(("path", "file", "dir", "folder")) or Path(*Path(value).parts[:2]).exists():
        return parent.id if parent and parent.published else Path(value).name
    return value


def is_published(name: str) -> bool:
    """Say whether a file of this path in a repository belongs to a published checkpoint."""
    return _matches(name, PUBLISHED)


def is_of_a_model(name: str) -> bool:
    """Say whether a file of this path in a repository belongs to a model, by whatever library it was written."""
    return _matches(name, _MODELS)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path matches, folder by folder: to `fnmatch`, a star would be any number of folders."""
    same_depth = (pattern for pattern in patterns if pattern.count("/") == name.count("/"))
    return any(fnmatch.fnmatch(name, pattern) for pattern in same_depth)


def _no_weights(checkpoint: Path) -> str:
    there = sorted(path.name for path in checkpoint.iterdir())
    sharded = any("fsdp" in name or name.startswith("global_step") for name in there)
    advice = (
        "FSDP or DeepSpeed saved sharded state; set the state dict type to FULL_STATE_DICT, or join the shards with "
        "`accelerate merge-weights`"
        if sharded
        else "save with safetensors, the default of transformers"
    )
    return f"{checkpoint.name} holds no *.safetensors weights (it holds {', '.join(there[:8])}); {advice}."
