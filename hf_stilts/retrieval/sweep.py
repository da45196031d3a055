"""Accuracy of translation retrieval for every layer and pooling of an encoder, out of one pass over the text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_stilts.errors import needs_extra
from hf_stilts.retrieval.encode import Layers, Pooling, encode_all, leave_out_dense
from hf_stilts.retrieval.mining import Method, match_translations
from hf_stilts.retrieval.precision import Precision, name_of, settle
from hf_stilts.retrieval.sentence_encoder import sentence_encoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sweep(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    bitexts: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    layers: Layers = "all",
    poolings: Sequence[Pooling] = ("mean", "cls", "mean-no-specials"),
    method: Method = "cosine",
    precision: Precision | None = None,
    prefix: str | None = None,
) -> Iterator[dict[str, Any]]:
    """One row for every language, direction, layer and pooling, language by language as they are done.

    Args:
        model: as for `encode`.
        tokenizer: as for `encode`.
        bitexts: for every language its English sentences and their translations, line by line.
        layers: as for `encode`, but "all" by default.
        poolings: which ones; "pooler" reads the last layer alone and goes with `layers=None`.
        method: as for `match_translations`.
        precision: as for `encode`.
        prefix: as for `encode`. Dense layers of a sentence-transformers model are left out, which is said: they belong
            to one of the layers and poolings alone.

    Yields:
        language, direction ("en-xx" looks for the translation of the English sentence: XTREME's; or "xx-en"), layer,
        pooling, method, precision (the one used), sentences, accuracy between 0 and 1. `pandas.DataFrame(sweep(...))`
        is a table.
    """
    known = sentence_encoder_of(model)
    if known is not None and known.dense:
        leave_out_dense(known)
    settled = settle(model, precision)
    for language, (english, foreign) in bitexts.items():
        if len(english) != len(foreign) or not english:
            raise ValueError(
                f"{language}: {len(english)} English sentences for {len(foreign)} translations. "
                "Expected as many, line by line, at least one."
            )
        vectors, numbers = encode_all(model, tokenizer, [*english, *foreign], layers, poolings, settled, prefix=prefix)
        for pooling, by_layer in zip(poolings, vectors, strict=True):
            for layer, both in zip(numbers.tolist(), by_layer, strict=True):
                sides = both[: len(english)], both[len(english) :]
                for direction, source, target in ((f"en-{language}", *sides), (f"{language}-en", *sides[::-1])):
                    right = match_translations(source, target, method).indices == np.arange(len(english))
                    yield {
                        "language": language,
                        "direction": direction,
                        "layer": layer,
                        "pooling": pooling,
                        "method": method,
                        "precision": name_of(model, settled),
                        "sentences": len(english),
                        "accuracy": float(right.mean()),
                    }


def plot_layers(rows: Sequence[Mapping[str, Any]], path: str | Path, title: str = "") -> None:
    """A picture of accuracy by layer: thin lines are languages, the bold one their mean; needs matplotlib.

    Args:
        rows: of `sweep`.
        path: file to write; its ending names the format.
        title: over the picture.
    """
    with needs_extra("figures", "A picture of layers"):
        from matplotlib.figure import Figure

    poolings = list(dict.fromkeys(row["pooling"] for row in rows))
    layers = sorted({row["layer"] for row in rows})
    figure = Figure(figsize=(4.2 * len(poolings), 3.4), layout="constrained")
    axes = figure.subplots(1, len(poolings), sharey=True, squeeze=False)[0]
    for axis, pooling in zip(axes, poolings, strict=True):
        own = [row for row in rows if row["pooling"] == pooling]
        for language in dict.fromkeys(row["language"] for row in own):
            heights = curve([row for row in own if row["language"] == language], layers)
            axis.plot(layers, heights, color="0.75", lw=0.8)
            axis.annotate(language, (layers[-1], heights[-1]), (3, -2), textcoords="offset points", size=6, color="0.5")
        axis.plot(layers, curve(own, layers), color="C0", lw=2, label="all languages")
        axis.set(title=pooling, xlabel="hidden state", xticks=layers)
        axis.margins(x=0.12)
    axes[0].set(ylabel="accuracy", ylim=(0, None))
    axes[0].legend(loc="upper left", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)


def curve(rows: Sequence[Mapping[str, Any]], layers: Sequence[int]) -> list[float]:
    """Mean accuracy at every layer."""
    means = []
    for layer in layers:
        means.append(float(np.mean([row["accuracy"] for row in rows if row["layer"] == layer])))
    return means
