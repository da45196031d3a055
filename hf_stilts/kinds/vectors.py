"""How the texts of a retrieval task become vectors: layer, pooling, prefixes and lengths, every default filled in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_stilts.errors import StiltsError
from hf_stilts.retrieval.precision import Precision, Settled, name_of, settle
from hf_stilts.retrieval.sentence_encoder import SentenceEncoder, file_beside, say_once, sentence_encoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Layers that published scores use, by depth: mBERT, XLM, XLM-R-base (12) and XLM-R-large (24) in XTREME and jiant.
PUBLISHED_LAYERS = {12: 8, 24: 14}
_RECORD = "stilts.json"  # beside what was trained here, from a start that was no sentence-transformers model
Prefix = str | Sequence[str] | None


@dataclass(frozen=True)
class VectorSetting:
    """What `encode` is asked for on both sides of a retrieval task.

    Args:
        layer: k means `hidden_states[k]`.
        layer_from: "given", "sentence-transformers" (the last layer), or "papers" (`default_layer`).
        pooling: as in `encode`.
        prefixes: put before every source or query, and before every target or candidate.
        max_length: tokens of a text; None leaves it to `encode`.
        dense: how many Dense layers of the folder are applied.
        known: what the model's folder says; None for a plain encoder.
        precision: as `encode` takes it, "auto" being decided; None: as the model was loaded.
        computed_in: name of the precision that is really used.
    """

    layer: int
    layer_from: str
    pooling: str
    prefixes: tuple[str, str]
    max_length: int | None = None
    dense: int = 0
    known: SentenceEncoder | None = None
    precision: Settled | None = None
    computed_in: str = "fp32"

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        *,
        layer: int | None,
        pooling: str | None,
        prefix: Prefix = None,
        max_length: int | None = None,
        queries: bool = False,
        precision: Precision | None = None,
    ) -> VectorSetting:
        """Fill in what was not given, and say in one line which it is.

        Args:
            model: the encoder. One that sentence-transformers saved is used as its folder says: its last layer, its
                pooling. Any other takes the layer that the papers chose for masked language models.
            layer: as given to the kind.
            pooling: as given to the kind.
            prefix: one text for both sides, or two.
            max_length: as given to the kind.
            queries: whether one side asks and the other answers, so that the folder's prompts for these are meant.
            precision: as given to the kind.

        Raises:
            StiltsError: a prefix that is neither a text nor two of them, or a folder whose modules are not applied.
        """
        known = sentence_encoder_of(model)
        prefixes = both_prefixes(prefix)
        settled = settle(model, precision)
        computed: dict[str, Any] = {"precision": settled, "computed_in": name_of(model, settled)}
        if known is None:
            if layer is None:
                layer, origin = default_layer(model), "papers"
                _say_which(model, layer)
            else:
                origin = "given"
            return cls(layer, origin, pooling or "mean", prefixes or ("", ""), max_length, **computed)
        if pooling is None:
            known.check()
        if prefixes is None:
            prefixes = (known.query_prefix, known.candidate_prefix) if queries else (known.prefix, known.prefix)
        last, origin = int(model.config.num_hidden_layers), "sentence-transformers"
        if layer is not None:
            origin = "given"
        say_once(
            f"{known.source} is a sentence-transformers model: {known}, hidden state {last} (the last) unless another "
            "is asked for. To change it: layer=, pooling=, prefix= (hf-stilts evaluate: --layer, --pooling, --prefix)."
        )
        layer = last if layer is None else layer
        pooling = pooling or known.pooling
        own = pooling == known.pooling and layer in (last, -1)
        return cls(layer, origin, pooling, prefixes, max_length, len(known.dense) if own else 0, known, **computed)

    def arguments(self, side: int) -> dict[str, Any]:
        """What `encode` is given for the sources or queries (0), or the targets or candidates (1)."""
        found: dict[str, Any] = {"layers": self.layer, "pooling": self.pooling}
        if self.prefixes[side] != (self.known.prefix if self.known else ""):
            found["prefix"] = self.prefixes[side]
        if self.max_length is not None:
            found["max_length"] = self.max_length
        if self.precision is not None:
            found["precision"] = self.precision
        return found

    def columns(self) -> dict[str, Any]:
        """What stands beside the scores; what a plain encoder does not have is left out."""
        found: dict[str, Any] = {"layer": self.layer, "pooling": self.pooling}
        if self.layer_from != "given":
            found["layer_from"] = self.layer_from
        if any(self.prefixes):
            found["source_prefix"], found["target_prefix"] = self.prefixes
        longest = self.max_length or (self.known.max_length if self.known else None)
        if longest is not None:
            found["max_length"] = longest
        if self.known is not None:
            found["normalised"], found["dense"] = self.known.normalise, self.dense
        if self.computed_in != "fp32":
            found["precision"] = self.computed_in
        return found


def default_layer(model: PreTrainedModel) -> int:
    """Hidden state that the papers take sentence vectors from: published for 12 and 24 layers, else two thirds deep.

    0 is the embedding output, so the result is also the number of layers that run.
    """
    depth = int(model.config.num_hidden_layers)
    return PUBLISHED_LAYERS.get(depth, round(depth * 2 / 3))


def both_prefixes(prefix: Prefix) -> tuple[str, str] | None:
    """A prefix for each side; None where none was given."""
    if prefix is None:
        return None
    texts = (prefix, prefix) if isinstance(prefix, str) else tuple(prefix)
    if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
        raise StiltsError(
            f"prefix={prefix!r}; expected one text for both sides, or two: for sources and targets, or for queries and "
            'candidates. Type prefix="query: " or prefix=["query: ", "passage: "].'
        )
    return texts


def _say_which(model: PreTrainedModel, layer: int) -> None:
    """Say which layer is used, and aloud where nothing says that the model is one that the papers chose it for."""
    config = model.config
    depth, source = int(config.num_hidden_layers), str(getattr(config, "_name_or_path", "") or "")
    chosen = f"{source or type(model).__name__}: hidden state {layer} of {depth}, the papers' layer of masked LMs."
    trained_as = next(iter(config.architectures or ()), "")
    headless = trained_as.endswith(("Model", "Encoder")) and "LMHead" not in trained_as
    if (trained_as and not headless) or file_beside(model, _RECORD):
        say_once(chosen, logging.INFO)
        return
    say_once(
        f"{chosen} Nothing says how it was trained{f' ({trained_as})' if trained_as else ''}: if it is a sentence "
        f"encoder, its last layer is the one to use: layer={depth} (hf-stilts evaluate: --layer {depth})."
    )
