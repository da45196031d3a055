"""Small models with random weights as sentence-transformers saves them: pooling, Dense, Normalize, prompts."""

import json
from pathlib import Path

import tiny
import torch
from safetensors.torch import save_file

TRANSFORMER, POOLING, DENSE, NORMALIZE = (
    f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Dense", "Normalize")
)


def save(
    folder: Path,
    *,
    pooling: str = "cls_token",
    dense: str | None = None,
    normalise: bool = True,
    max_length: int | None = 16,
    lower_case: bool = False,
    settings: dict | None = None,
    **shape,
) -> str:
    """Write a model in sentence-transformers' older layout, which its newer versions read; the folder comes back.

    Args:
        folder: to write.
        pooling: ending of the flag `pooling_mode_...`.
        dense: activation of a Dense layer from 32 to 24 numbers (`torch.nn.modules.activation.Tanh`); None: none.
        normalise: whether there is a Normalize module.
        max_length: of `sentence_bert_config.json`.
        lower_case: its `do_lower_case`.
        settings: content of `config_sentence_transformers.json`.
        shape: as for `tiny.config`.
    """
    torch.manual_seed(5)
    folder.mkdir(parents=True)
    tiny.encoder(**shape).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    modules = [(TRANSFORMER, ""), (POOLING, "1_Pooling")]
    written = {
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": lower_case},
        "1_Pooling/config.json": {"word_embedding_dimension": 32, f"pooling_mode_{pooling}": True},
        "config_sentence_transformers.json": settings or {},
    }
    if dense:
        modules.append((DENSE, "2_Dense"))
        about = {"in_features": 32, "out_features": 24, "bias": True, "activation_function": dense}
        written["2_Dense/config.json"] = about
    if normalise:
        modules.append((NORMALIZE, f"{len(modules)}_Normalize"))
    written["modules.json"] = [
        {"idx": number, "name": str(number), "path": path, "type": kind} for number, (kind, path) in enumerate(modules)
    ]
    for name, content in written.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    if dense:
        weights = {"linear.weight": torch.randn(24, 32), "linear.bias": torch.randn(24)}
        save_file(weights, folder / "2_Dense" / "model.safetensors")
    return str(folder)
