"""Sentence vectors kept on disk, found again by everything they depend on."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_stilts.retrieval.encode import encode
from hf_stilts.retrieval.precision import settle
from hf_stilts.retrieval.sentence_encoder import sentence_encoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def cached_encode(
    folder: str | Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    sentences: Sequence[str],
    **arguments: Any,
) -> NDArray[np.float32]:
    """`encode`, or what it returned before for the same weights, tokenizer, sentences and arguments.

    The name of the file is a digest of all of these: the weights themselves, not a name or a commit, so a model that
    was trained on is another model. The array comes back memory-mapped, read-only; deleting the folder is always safe.

    Args:
        folder: where the vectors lie, one `.npy` file each; made if absent.
        model: as for `encode`.
        tokenizer: as for `encode`.
        sentences: as for `encode`.
        arguments: the others of `encode`.
    """
    folder = Path(folder)
    arguments["precision"] = settle(model, arguments.get("precision"))  # "auto" is not the same everywhere
    path = folder / f"{digest(model, tokenizer, sentences, arguments)}.npy"
    if not path.exists():
        vectors = encode(model, tokenizer, sentences, **arguments)
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / f".{path.stem}.{os.getpid()}.partial.npy"
        np.save(staged, vectors)
        staged.rename(path)
    return np.load(path, mmap_mode="r")


def digest(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", sentences: Iterable[str], arguments: dict[str, Any]
) -> str:
    """SHA-256 of everything that the vectors depend on."""
    found = hashlib.sha256()
    without_effect = {"progress", "tokens_per_batch", "share"}
    kept = {name: value for name, value in arguments.items() if name not in without_effect}
    described = {"arguments": kept, "config": model.config.to_json_string(), "tokenizer": tokenizer_state(tokenizer)}
    known = sentence_encoder_of(model)
    if known is not None:  # the defaults of `encode`
        described["sentence vectors"] = [str(known), known.prefix, known.lower_case, known.unsupported]
    found.update(json.dumps(described, sort_keys=True, default=str).encode())
    for layer in known.dense if known else ():
        found.update(f"\n{layer.activation}\n".encode() + layer.weight.numpy().tobytes())
        found.update(b"" if layer.bias is None else layer.bias.numpy().tobytes())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    for sentence in sentences:
        text = sentence.encode("utf-8", "surrogatepass")
        found.update(len(text).to_bytes(8, "little") + text)
    return found.hexdigest()


def tokenizer_state(tokenizer: "PreTrainedTokenizerBase") -> Any:
    """What a tokenizer does to a sentence, apart from how it was last asked to cut or pad."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [tokenizer.get_vocab(), tokenizer.init_kwargs]
    state = json.loads(backend.to_str())
    return {name: value for name, value in state.items() if name not in ("truncation", "padding")}
