"""Sentence vectors from any layers of an encoder: tokenise, run in batches of equal length, pool, keep one row each."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from tokenizers.normalizers import Lowercase
from torch import Tensor
from tqdm.auto import tqdm

from hf_stilts.errors import StiltsError
from hf_stilts.metrics.bucc_mining.mining import check_choice
from hf_stilts.retrieval.hidden_states import HiddenStates, encoder_of, inference
from hf_stilts.retrieval.int8 import int8_layers
from hf_stilts.retrieval.precision import Precision, settle, warn_of_slow
from hf_stilts.retrieval.sentence_encoder import SentenceEncoder, say_once, sentence_encoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Layers: TypeAlias = int | Sequence[int] | Literal["all"] | None
Pooling: TypeAlias = Literal["mean", "cls", "mean-no-specials", "pooler", "lasttoken"]

LONGEST = 512  # tokens of a text, where neither the caller nor the model's folder says otherwise
UNLIMITED = 1 << 30  # positions of a model without a table of them
# What transformers calls the table: in BERT and its kin, in BART and its kin, in GPT-2.
_POSITIONS = ("position_embeddings", "embed_positions", "wpe")
# Tokens in one batch. On a processor, what stays in its caches is fastest; a GPU wants to be filled.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 32768}


def encode(  # noqa: PLR0913 - an option each, passed by name
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    sentences: Sequence[str],
    layers: Layers = None,
    pooling: Pooling | None = None,
    precision: Precision | None = None,
    *,
    prefix: str | None = None,
    normalise: bool | None = None,
    max_length: int | None = None,
    tokens_per_batch: int | None = None,
    progress: bool | None = None,
    share: bool = False,
) -> NDArray[np.float32]:
    """Vectors of sentences from one or several hidden states of an encoder, all in one pass.

    As XTREME and jiant do it for Phang et al. (2020): one sentence between the tokenizer's special tokens, the mean of
    a hidden state over all its tokens, special ones included. Each distinct sentence runs once, in a batch of sentences
    of exactly its length, so there is no padding; layers above the deepest one asked for do not run. The model comes
    back as it was: device, weights, training mode.

    Of a sentence-transformers model (`modules.json` beside its weights) the defaults are those of its folder, and the
    vectors those of `SentenceTransformer.encode`: pooling, Dense layers, normalisation, default prompt, longest text.

    Args:
        model: what `AutoModel` loads, with or without a head; of an encoder-decoder (mT5) the encoder is used.
        tokenizer: its tokenizer.
        sentences: n strings.
        layers: k means `hidden_states[k]`: 0 the embedding output, 14 the output of the 14th layer, -1 (and None) the
            last. A list, or "all", adds a first axis to the result.
        pooling: "mean" over all tokens; "cls", the first token; "mean-no-specials", the mean without special tokens;
            "pooler", the model's own pooled output (in BERT and XLM-R first token, dense, tanh), last layer only;
            "lasttoken", the last token. None: what the model's folder says, else "mean". A folder's Dense layers are
            applied to its own pooling of the last layer, and left out, with a warning, where another is asked for.
        precision: None computes as the model was loaded, so that results do not depend on the machine. "fp32" insists
            on float32; "bf16" computes in bfloat16 where autocast does, about twice as fast on hardware that has it,
            for a cosine of 0.9999 to the exact vector. "auto" is the fastest that keeps such a cosine: bf16 where this
            machine and this model allow it, else fp32 (`hf_stilts.retrieval.precision.settle`). "int8"
            multiplies in int8 on a processor (`hf_stilts.retrieval.int8`); of two encoders measured, the lowest cosine
            was 0.9976 and 0.9998.
        prefix: put before every sentence, as `"query: "` of the E5 models. None: the default prompt of the model's
            folder, else nothing.
        normalise: make unit vectors. None: as the model's folder says, else not. Cosines do not depend on it.
        max_length: longer inputs are cut, special tokens counted; fewer if the model has fewer positions. None: what
            the model's folder says, else 512.
        tokens_per_batch: upper limit of a batch; chosen by device if None. It does not change the result.
        progress: show a bar; None shows it on a terminal.
        share: let the processes of `torch.distributed` take a part each. All must call with the same sentences; each
            gets all vectors.

    Returns:
        float32 (n, d) for a single layer, else (layers, n, d) in the order asked for. A sentence that has no token to
        pool (an empty one without its special tokens) is a row of zeros.

    Raises:
        ValueError: a layer the model does not have, an unknown pooling or precision, "pooler" without a pooler or for
            another layer than the last, "fp32" or "int8" with other weights, or a sentence that is not a string.
        StiltsError: the model's folder has modules that are not applied here, and `pooling` is left to it; or its files
            cannot be read.
    """
    known = sentence_encoder_of(model)
    if known is not None and pooling is None:
        known.check()
    chosen: Pooling = pooling or (known.pooling if known else "mean")  # type: ignore[assignment]  # one of ours
    vectors, numbers = encode_all(
        model,
        tokenizer,
        sentences,
        layers,
        [chosen],
        precision,
        prefix=prefix,
        max_length=max_length,
        tokens_per_batch=tokens_per_batch,
        progress=progress,
        share=share,
    )
    found = vectors[0, 0] if layers is None or isinstance(layers, int) else vectors[0]
    if known is not None and known.dense and applies_dense(known, layers, chosen, int(numbers[0]), model):
        found = projected(known, found)
    if normalise is None:
        normalise = known is not None and known.normalise
    return unit(found) if normalise else found


def applies_dense(known: SentenceEncoder, layers: Layers, pooling: str, layer: int, model: "PreTrainedModel") -> bool:
    """Whether the Dense layers of a folder belong to these vectors: its own pooling of the last layer; else it warns.

    Args:
        known: what the folder says.
        layers: as the caller of `encode` wrote it.
        pooling: what is pooled.
        layer: the first of the layers, counted from 0.
        model: the model.
    """
    last = int(encoder_of(model).config.num_hidden_layers)
    if pooling == known.pooling and (layers is None or (isinstance(layers, int) and layer == last)):
        return True
    leave_out_dense(known)
    return False


def leave_out_dense(known: SentenceEncoder) -> None:
    """Say that the Dense layers of a folder are not applied."""
    say_once(
        f"{known.source}: the Dense layers of the sentence-transformers model are left out, since they belong to "
        f"{known.pooling} pooling of the last layer alone."
    )


def projected(known: SentenceEncoder, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, d) behind the Dense layers of a folder, float32 (n, width of the last one)."""
    width = known.dense[0].weight.shape[1]
    if vectors.shape[1] != width:
        raise ValueError(
            f"{known.source} has Dense layers for vectors of {width} numbers; its hidden states have "
            f"{vectors.shape[1]}. Correct the folder, or pass layers=[-1] for the hidden state as it is."
        )
    with torch.no_grad():
        after = torch.from_numpy(vectors)
        for layer in known.dense:
            after = layer(after)
    return after.numpy()


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same directions with length 1; a zero vector stays as it is."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12, dtype=np.float32)


def encode_all(  # noqa: PLR0913 - an option each, passed by name
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    sentences: Sequence[str],
    layers: Layers,
    poolings: Sequence[Pooling],
    precision: Precision | None = None,
    *,
    prefix: str | None = None,
    max_length: int | None = None,
    tokens_per_batch: int | None = None,
    progress: bool | None = None,
    share: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Hidden states under several poolings at once: float32 (poolings, layers, n, d), and the layers counted from 0.

    As `encode`, without what comes after the pooling (Dense layers, normalisation).
    """
    check_request(sentences, poolings, precision)
    settled = settle(model, precision)
    known = sentence_encoder_of(model)
    sentences = as_read(sentences, known, prefix)
    if max_length is None:
        max_length = (known.max_length or tokenizer.model_max_length) if known else LONGEST
    encoder = encoder_of(model)
    device = next(encoder.parameters()).device
    budget = tokens_per_batch or TOKENS_PER_BATCH.get(device.type, TOKENS_PER_BATCH["cuda"])
    distinct = list(dict.fromkeys(sentences))
    ids, special = tokenise(tokenizer, distinct, min(max_length, position_limit(encoder)))
    check_embedded(max(map(max, filter(None, ids)), default=0), embedded_tokens(encoder), tokenizer)
    lengths = np.array([len(row) for row in ids], dtype=np.int64)

    warn_of_slow(settled, device.type)
    with ExitStack() as computing:
        computing.enter_context(inference(encoder, device, bf16=settled == "bf16"))
        shortest = min((row for row in ids if row), key=len, default=[0])
        states = HiddenStates(encoder, {"input_ids": torch.tensor([shortest], device=device)})
        if settled == "int8":
            computing.enter_context(int8_layers(encoder))
        wanted = resolve_layers(layers, states.count)
        pooler = pooler_of(encoder, wanted, states.count) if "pooler" in poolings else None
        vectors = np.zeros((len(poolings), len(wanted), len(distinct), states.width), dtype=np.float32)
        batches = list(equal_length_batches(lengths, budget))
        if share:
            batches = batches[dist.get_rank() :: dist.get_world_size()]
        into = PooledStates(vectors, wanted, poolings, pooler)
        bar = _token_bar(int(lengths.sum()), progress)
        for rows in batches:
            tokens = torch.tensor([ids[row] for row in rows], device=device)
            inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
            keep = 1 - torch.tensor([special[row] for row in rows], device=device)
            states.read(inputs, wanted.tolist(), partial(into.take, rows, keep))
            bar.update(tokens.numel())
        bar.close()

    if share:
        vectors = summed(vectors, device)
    if len(distinct) < len(sentences):
        row_of = {sentence: row for row, sentence in enumerate(distinct)}
        vectors = vectors[:, :, [row_of[sentence] for sentence in sentences]]
    return vectors, wanted


@dataclass(frozen=True)
class PooledStates:
    """Vectors that fill up batch by batch.

    Attributes:
        vectors: float32 (poolings, layers, n, d).
        layers: int64 (layers,), the hidden state of each of them, counted from 0; one may be there twice.
        poolings: names of the poolings.
        pooler: of the model, for "pooler".
    """

    vectors: NDArray[np.float32]
    layers: NDArray[np.int64]
    poolings: Sequence[Pooling]
    pooler: torch.nn.Module | None

    def take(self, rows: NDArray[np.int64], keep: Tensor, layer: int, hidden: Tensor) -> None:
        """Pool a hidden state (batch, tokens, d) into the given rows; `keep` (batch, tokens) is 0 at special tokens."""
        for into, pooling in zip(self.vectors, self.poolings, strict=True):
            pooled = pool(hidden, pooling, keep, self.pooler).cpu().numpy()
            for place in np.flatnonzero(self.layers == layer):
                into[place, rows] = pooled


def _token_bar(tokens: int, progress: bool | None) -> "tqdm[Any]":
    """A progress bar over tokens; without a choice it shows on a terminal alone."""
    return tqdm(
        total=tokens,
        desc="Sentences to vectors",
        unit="token",
        unit_scale=True,
        leave=False,
        disable=None if progress is None else not progress,
    )


def as_read(sentences: Sequence[str], known: SentenceEncoder | None, prefix: str | None) -> Sequence[str]:
    """Sentences as the tokenizer reads them: behind the prefix, in lower case where the model's folder says so."""
    if prefix is None and known is not None:
        prefix = known.prefix
    if prefix:
        sentences = [prefix + sentence for sentence in sentences]
    if known is not None and known.lower_case:
        lower = Lowercase()
        sentences = [lower.normalize_str(sentence) for sentence in sentences]
    return sentences


def check_request(sentences: Sequence[str], poolings: Sequence[str], precision: str | None) -> None:
    """Refuse what cannot be meant, before any work."""
    for pooling in poolings:
        check_choice("pooling", pooling, Pooling)
    if precision is not None:
        check_choice("precision", precision, Precision)
    if isinstance(sentences, str):
        raise ValueError(f"sentences is one string, {sentences[:40]!r}. Expected a list of strings; type [sentence].")
    for row, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise ValueError(f"Sentence {row} is {sentence!r}. Expected a string; drop or fill missing sentences.")


def resolve_layers(layers: Layers, count: int) -> NDArray[np.int64]:
    """Indices into `hidden_states`, from what the caller wrote, for a model that has `count` of them."""
    if layers == "all":
        return np.arange(count)
    if isinstance(layers, str):
        raise ValueError(f"layers={layers!r} is not known. Expected numbers, 'all' or None.")
    if layers is None:
        layers = -1
    asked = [layers] if isinstance(layers, int) else list(layers)
    for layer in asked:
        if not -count <= layer < count:
            raise ValueError(
                f"Layer {layer} was asked for. Expected 0 (embeddings) to {count - 1} (last) for this model."
            )
    if not asked:
        raise ValueError(f"An empty list of layers was given. Expected numbers from 0 to {count - 1}, or 'all'.")
    return np.array(asked) % count


def position_limit(encoder: "PreTrainedModel") -> int:
    """How many tokens a model has a table of positions for; `UNLIMITED` where positions are relative or rotary."""
    limits = [UNLIMITED]
    for name, module in encoder.named_modules():
        if name.rpartition(".")[2] in _POSITIONS and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin count positions from the padding index on: 514 rows are 512 positions. BART and its
            # kin leave the first two rows out.
            skipped = getattr(module, "offset", 0) if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - skipped)
    return min(limits)


def embedded_tokens(model: "PreTrainedModel") -> int:
    """How many tokens a model has embeddings for; `UNLIMITED` where they are no plain table."""
    words = model.get_input_embeddings()
    # A compact vocabulary is a subclass with fewer rows, which reads the ids of the whole one.
    return words.num_embeddings if type(words) is torch.nn.Embedding else UNLIMITED


def check_embedded(token: int, embedded: int, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a token that a model has no embedding of, which ends in an IndexError, on a GPU in an assertion.

    A larger tokenizer alone is refused by nobody: some published ones hold tokens that no text has.

    Args:
        token: the largest token id of the texts.
        embedded: `embedded_tokens` of the model.
        tokenizer: for the message.

    Raises:
        StiltsError: it is out of the table.
    """
    if token >= embedded:
        raise StiltsError(
            f"The tokenizer makes token {token} ({tokenizer.convert_ids_to_tokens(token)!r}) of the texts; the model "
            f"has embeddings of {embedded} tokens. Use the tokenizer that it was trained with, or enlarge the model, "
            f"model.resize_token_embeddings({len(tokenizer)}), and save both."
        )


def tokenise(
    tokenizer: "PreTrainedTokenizerBase", sentences: list[str], limit: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of every sentence, and 1 for each that is special."""
    if not sentences:
        return [], []
    output = tokenizer(
        sentences,
        truncation=True,
        max_length=limit,
        return_attention_mask=False,
        return_token_type_ids=False,
        return_special_tokens_mask=True,
    )
    return output["input_ids"], output["special_tokens_mask"]


def equal_length_batches(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Rows of equal length, at most `budget` tokens (at least one row) at a time, longest first; never of length 0.

    >>> [rows.tolist() for rows in equal_length_batches(np.array([2, 3, 2, 0, 2]), budget=4)]
    [[1], [0, 2], [4]]
    """
    for length in np.unique(lengths[lengths > 0])[::-1]:
        rows = np.flatnonzero(lengths == length)
        at_once = max(1, budget // int(length))
        yield from (rows[start : start + at_once] for start in range(0, len(rows), at_once))


def pooler_of(encoder: "PreTrainedModel", wanted: NDArray[np.int64], count: int) -> torch.nn.Module:
    """What makes the model's pooled output, where it has any and is asked of the last layer."""
    pooler = getattr(encoder, "pooler", None)
    if pooler is None:
        raise ValueError(f"{type(encoder).__name__} has no pooler. Expected one as BERT has; type pooling='mean'.")
    if (wanted != count - 1).any():
        raise ValueError(f"pooling='pooler' was asked of layers {wanted.tolist()}. It reads the last one; omit layers.")
    return pooler


def pool(hidden: Tensor, pooling: Pooling, keep: Tensor, pooler: torch.nn.Module | None = None) -> Tensor:
    """One float32 vector per row from a hidden state (rows, tokens, d) without padding; `keep` is 0 where special."""
    if pooler is not None and pooling == "pooler":
        return pooler(hidden).float()
    if pooling == "cls":
        return hidden[:, 0].float()
    if pooling == "mean":
        return hidden.mean(dim=1, dtype=torch.float32)
    if pooling == "lasttoken":
        return hidden[:, -1].float()
    kept = keep.unsqueeze(-1).to(torch.float32)
    return (hidden.float() * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


def summed(vectors: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """The vectors of all processes, each of which has filled its own rows and left the others 0."""
    for part in vectors.reshape(-1, *vectors.shape[2:]):
        tensor = torch.from_numpy(part).to(device)
        dist.all_reduce(tensor)
        part[:] = tensor.cpu().numpy()
    return vectors
