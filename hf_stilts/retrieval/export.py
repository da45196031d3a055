"""An encoder cut at a layer, with its pooling, as a folder that sentence-transformers loads: its vectors are ours."""

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from hf_stilts.retrieval.encode import LONGEST, encode, position_limit
from hf_stilts.retrieval.hidden_states import encoder_of
from hf_stilts.retrieval.sentence_encoder import SentenceEncoder, sentence_encoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROBE = ["A sentence.", "Ein etwas längerer Satz, der anders lang ist."]


def export_sentence_transformer(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    folder: str | Path,
    layer: int,
    pooling: Literal["mean", "cls"] = "mean",
) -> Path:
    """Write `hidden_states[layer]` with its pooling as a sentence-transformers model; layers above are left out.

    Of a model that is one already its prompts, its longest text and its normalisation come along; Dense layers, which
    belong to its own last layer, do not. The vectors of the cut encoder are compared with those of `encode` before
    anything is written.

    Args:
        model: with or without a head; it stays as it is.
        tokenizer: its tokenizer.
        folder: to write; must not exist, or be empty.
        layer: 1 or more; k means `hidden_states[k]`.
        pooling: what sentence-transformers also knows.

    Returns:
        The folder, for `SentenceTransformer(folder)`.

    Raises:
        ValueError: the encoder cannot be cut there without changing its vectors (T5 puts a norm after the last layer).
        FileExistsError: the folder holds something.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty. Expected a new or empty folder; choose another.")
    expected = encode(model, tokenizer, PROBE, layers=[layer], pooling=pooling)[0]
    known, cut = sentence_encoder_of(model), cut_at(encoder_of(model), layer)
    if cut is None or not np.allclose(
        encode(cut, tokenizer, PROBE, layers=[-1], pooling=pooling)[0], expected, atol=1e-5
    ):
        raise ValueError(
            f"{type(encoder_of(model)).__name__} cannot be cut at hidden state {layer} without changing its vectors. "
            "Expected an encoder of BERT's or XLM-R's kind and a layer from 1 on; use encode for this one."
        )
    staged = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)  # what an interrupted export left
    cut.save_pretrained(staged)
    tokenizer.save_pretrained(staged)
    (staged / "1_Pooling").mkdir()
    pooled = {
        "word_embedding_dimension": expected.shape[1],
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
    }
    files = _settings(known, tokenizer, position_limit(cut)) | {"1_Pooling/config.json": pooled}
    for name, content in files.items():
        (staged / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    return staged.rename(folder)


def _settings(known: SentenceEncoder | None, tokenizer: "PreTrainedTokenizerBase", positions: int) -> dict[str, Any]:
    """Files of a sentence-transformers model beside its encoder, name -> content.

    Args:
        known: what the folder of the model said, if it was such a model already.
        tokenizer: its tokenizer.
        positions: the most tokens that the encoder reads.
    """
    parts = [("Transformer", ""), ("Pooling", "1_Pooling")]
    settings: dict[str, Any] = {"similarity_fn_name": "cosine"}
    longest, lower_case = LONGEST, False
    if known is not None:
        if known.normalise:
            parts.append(("Normalize", "2_Normalize"))
        longest, lower_case = known.max_length or tokenizer.model_max_length, known.lower_case
        settings |= {"prompts": dict(known.prompts), "default_prompt_name": known.default_prompt}
    modules = []
    for number, (name, path) in enumerate(parts):
        module = {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        modules.append(module)
    return {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": min(longest, positions), "do_lower_case": lower_case},
        "config_sentence_transformers.json": settings,
    }


def cut_at(encoder: "PreTrainedModel", layer: int) -> "PreTrainedModel | None":
    """A copy of the encoder with its first layers only; None if its layers are not one list."""
    depth = encoder.config.num_hidden_layers
    names = [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth
    ]
    if len(names) != 1 or not 1 <= layer <= depth:
        return None
    parent, _, attribute = names[0].rpartition(".")
    layers = encoder.get_submodule(names[0])
    # The copy is made without the upper layers, which may be most of the model.
    setattr(encoder.get_submodule(parent), attribute, layers[:layer])
    try:
        cut = copy.deepcopy(encoder)
    finally:
        setattr(encoder.get_submodule(parent), attribute, layers)
    cut.config.num_hidden_layers = layer
    return cut
