"""A parcel: one checkpoint on its way to the Hub, as a folder that survives the process that made it.

    <output_dir>/outbox/step-200-1f0c9a7e/
        parcel.json     where it goes and how far it is
        files/          hard links to what will be published; gone once the Hub has confirmed every file

A parcel is packed under a temporary name and then renamed, and `parcel.json` is only ever replaced as a whole: whoever
is killed at any moment leaves either a complete parcel or none.
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
from hf_stilts.files import write_json
from hf_stilts.hub.naming import step_tag
from hf_stilts.hub.record import ParentModel, Record, is_local_path

logger = logging.getLogger(__name__)

# Where a mixture's heads lie, one folder each; see hf_stilts/models/heads.py.
HEADS, HEAD_FILE = "heads", "head.safetensors"
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
# An allow list: a file that nobody thought of stays at home. No *.bin, *.pt or *.pkl, since those are pickles.
PUBLISHED = (
    *WEIGHTS,
    *("config.json", "generation_config.json", "adapter_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "merges.txt", "*.model"),
    *(f"{HEADS}/*/{HEAD_FILE}", f"{HEADS}/*/config.json"),
)
STATE_FILE = "trainer_state.json"
# What a training needs besides to go on; only where the user asks for it, and never on main.
RESUMED = (*PUBLISHED, STATE_FILE, "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth")
RESUME_BRANCH = "resume"
TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_NO_TOKENIZER = (
    "no tokenizer was saved with this checkpoint, so the model cannot be used from its name alone; "
    "pass processing_class=tokenizer to the Trainer"
)
# Below this size a file is copied: a later save into the same folder may rewrite small JSON files in place.
_LINK_FROM_BYTES = 1 << 20
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS}


@dataclass(frozen=True)
class PackedFile:
    """What a file was when it was packed: `size` in bytes, `mtime_ns`, and `sha256` once it has been read."""

    size: int
    mtime_ns: int
    sha256: str | None = None


@dataclass(frozen=True)
class Parcel:
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

    @property
    def tag(self) -> str:
        """The tag under which this checkpoint is published."""
        return step_tag(self.step)

    def read_record(self) -> Record:
        """Read the checkpoint's record, less the checksums of its files."""
        return Record.from_json(json.dumps(self.record))

    @property
    def folder_name(self) -> str:
        """The parcel's folder; the id keeps apart two saves of the same step."""
        return f"{'' if self.branch == 'main' else self.branch + '-'}{self.tag}-{self.id[:8]}"


def new_parcel(record: Record, repo_id: str, private: bool, branch: str = "main") -> Parcel:
    """Begin the parcel of one checkpoint, without its files."""
    content = json.loads(record.to_json())
    return Parcel(uuid.uuid4().hex, repo_id, private, record.step, content, packed_at=time.time(), branch=branch)


def pack(checkpoint: Path, outbox: Path, parcel: Parcel) -> Parcel:
    """Link what is published of `checkpoint` into a folder of `outbox`; the caller may delete `checkpoint` afterwards.

    Raises OSError (disk full ...) having left nothing, and StiltsError where the checkpoint holds no safetensors.
    """
    wanted = PUBLISHED if parcel.branch == "main" else RESUMED
    inside = (path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file())
    names = sorted(name for name in inside if _matches(name, wanted))
    if not any(_matches(name, WEIGHTS) for name in names):
        raise StiltsError(_no_weights(checkpoint))
    parent = parcel.read_record().parent
    packing = outbox / f".packing-{parcel.id}"
    try:
        for name in names:
            (packing / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        files = {name: _pack_file(checkpoint / name, packing / "files" / name, parent) for name in names}
        notes = () if any(_matches(name, TOKENIZER) for name in names) else (_NO_TOKENIZER,)
        parcel = dataclasses.replace(parcel, files=files, notes=notes)
        _write(packing, parcel)
        packing.rename(outbox / parcel.folder_name)
    except BaseException:
        shutil.rmtree(packing, ignore_errors=True)
        raise
    return parcel


def note_unpacked(outbox: Path, parcel: Parcel, reason: str) -> None:
    """Leave a failed parcel without files, so that the report names a checkpoint that could not be packed."""
    try:
        folder = outbox / parcel.folder_name
        folder.mkdir(parents=True)
        update(folder, parcel, state="failed", reason=reason)
    except OSError as error:
        logger.warning("%s cannot be noted in the outbox: %s", parcel.tag, error)


def read_parcels(outbox: Path) -> Iterator[tuple[Path, Parcel]]:
    """Yield every parcel's folder and content, oldest first; a folder that is no parcel is passed over, aloud."""
    found = []
    for state in (*outbox.glob("step-*/parcel.json"), *outbox.glob(f"{RESUME_BRANCH}-step-*/parcel.json")):
        try:
            found.append((state.parent, _parse(json.loads(state.read_text()))))
        except (ValueError, TypeError, KeyError) as error:
            logger.warning("%s is no parcel (%s); it is left alone.", state, error)
    yield from sorted(found, key=lambda pair: (pair[1].packed_at, pair[1].step))


def update(folder: Path, parcel: Parcel, **changes: Any) -> Parcel:
    """Replace fields of a parcel, on disk first."""
    parcel = dataclasses.replace(parcel, **changes)
    _write(folder, parcel)
    return parcel


def forget_files(folder: Path) -> None:
    """Remove a parcel's files, which the Hub has confirmed; `parcel.json` stays as the memory of what was sent."""
    shutil.rmtree(folder / "files", ignore_errors=True)


def _write(folder: Path, parcel: Parcel) -> None:
    write_json(folder / "parcel.json", dataclasses.asdict(parcel))


def _parse(data: dict[str, Any]) -> Parcel:
    files = {name: PackedFile(**about) for name, about in data.pop("files").items()}
    return Parcel(**{**data, "files": files, "notes": tuple(data["notes"])})


def _pack_file(source: Path, target: Path, parent: ParentModel | None) -> PackedFile:
    link_or_copy(source, target)
    if source.name.endswith("config.json") or source.name == STATE_FILE:
        config = json.loads(source.read_text(encoding="utf-8"))
        cleaned = _without_paths(config, "", parent)
        if cleaned.get("best_model_checkpoint"):
            cleaned["best_model_checkpoint"] = Path(config["best_model_checkpoint"]).name
        if cleaned != config:
            write_json(target, cleaned)
    about = target.stat()
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
