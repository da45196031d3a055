"""Checkpoint folders as a Trainer leaves them, and a upload worker in this process, for the publishing tests."""

import json
import time
import zipfile
from pathlib import Path

from huggingface_hub import HfApi

from hf_stilts.hub.record import Record
from hf_stilts.publishing.outbox import OutboxStatus, Pace, outbox_status
from hf_stilts.publishing.pending import PendingCheckpoint, new_pending, pack
from hf_stilts.publishing.worker import Signals, UploadWorker

FAST = Pace(first_wait=0.05, longest_wait=0.2, timeout=5.0, patience=10.0)
SECRET = b"pickled optimizer state"


def checkpoint(output_dir: Path, step: int, content: bytes = b"", size: int = 1_100_000) -> Path:
    """Write `checkpoint-<step>`; weights are large enough to be linked, and differ with `step` and `content`."""
    folder = output_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / "model.safetensors", b"weights of %d " % step + content, size)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "step": step}))
    (folder / "tokenizer.json").write_text("{}")
    for name in ("training_args.bin", "pytorch_model.bin"):
        (folder / name).write_bytes(SECRET)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        with zipfile.ZipFile(folder / name, "w") as archive:  # as torch.save has it
            archive.writestr("data.pkl", SECRET)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "epoch": 1.0, "log_history": []}))
    return folder


def write_weights(file: Path, content: bytes, size: int) -> None:
    """Write a safetensors file of one tensor of bytes, which begins with `content` and is filled up with dots."""
    header = json.dumps({"bytes": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + content.ljust(size, b"."))


def put(
    output_dir: Path, step: int, content: bytes = b"", repo_id="me/tiny", private=True, branch="main"
) -> PendingCheckpoint:
    """Save a checkpoint, unless it is there and has no other content, and pack it into the outbox."""
    outbox = output_dir / "outbox"
    outbox.mkdir(parents=True, exist_ok=True)
    pending = new_pending(Record(step=step), repo_id, private, branch)
    folder = output_dir / f"checkpoint-{step}"
    return pack(checkpoint(output_dir, step, content) if content or not folder.exists() else folder, outbox, pending)


def api_of(hub) -> HfApi:
    """Client of the `hub` fixture in this process."""
    return HfApi(endpoint=hub.url, token="local")


def upload_all(output_dir: Path, api: HfApi, pace: Pace = FAST) -> OutboxStatus:
    """Run a upload worker until it has nothing left to do."""
    signals = Signals()
    signals.close()
    UploadWorker(output_dir / "outbox", api, pace, signals).run()
    return outbox_status(output_dir)


def commits(api: HfApi, repo_id: str = "me/tiny") -> list[str]:
    """Titles of the commits that published something, on `main` or under a tag alone, oldest first."""
    found = {}
    for revision in ("main", *tags(api, repo_id)):
        for commit in api.list_repo_commits(repo_id, revision=revision):
            if commit.title.startswith(("step-", "main ")):
                found[commit.commit_id] = (commit.created_at, commit.title)
    on_main = [commit.commit_id for commit in reversed(api.list_repo_commits(repo_id))]
    aside = sorted((when, title) for sha, (when, title) in found.items() if sha not in on_main)
    return [title for _, title in aside] + [found[sha][1] for sha in on_main if sha in found]


def tags(api: HfApi, repo_id: str = "me/tiny") -> dict[str, str]:
    """Tag -> commit."""
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(repo_id).tags}


def weights(api: HfApi, revision: str, cache: Path, repo_id: str = "me/tiny") -> bytes:
    """Content of the published weights, behind their header."""
    file = Path(api.hf_hub_download(repo_id, "model.safetensors", revision=revision, cache_dir=cache)).read_bytes()
    return file[8 + int.from_bytes(file[:8], "little") :]


def until(condition, seconds: float = 90.0) -> None:
    """Wait until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
