"""How a sentence-transformers model makes its vectors: read off the files beside its weights, as the default here."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.utils import ADAPTER_CONFIG_NAME, cached_file

from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

MODULES, SETTINGS = "modules.json", "config_sentence_transformers.json"
MODULE_CONFIG = "config.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"
DENSE_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Older files say each pooling with a flag of its own; several together are concatenated.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLINGS = ("mean", "cls", "lasttoken")
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    each.__name__: each for each in (nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid)
}


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear layer with an activation, after the pooling.

    Args:
        weight: float32 (out, in); bias: float32 (out,), or None.
        activation: what is applied to the result.
    """

    weight: Tensor
    bias: Tensor | None
    activation: nn.Module

    def __call__(self, vectors: Tensor) -> Tensor:
        """Vectors (n, in) to vectors (n, out)."""
        projected: Tensor = self.activation(nn.functional.linear(vectors, self.weight, self.bias))
        return projected


@dataclass(frozen=True, eq=False)
class SentenceEncoder:
    """What sentence-transformers does with a model, as its folder says; what the folder leaves open is None or empty.

    Args:
        source: name or folder of the model.
        pooling: by the names of `hf_stilts.encode`.
        dense: layers after the pooling, in order.
        normalise: whether vectors are made unit vectors at the end.
        max_length: longest text in tokens, special ones included. None: as long as the tokenizer says.
        lower_case: whether the text is lower-cased before it is tokenised.
        prefix: put before every text (the default prompt).
        query_prefix: put before a query; candidate_prefix: before what is searched.
        prompts: all texts by name, as pairs, and the name of the default one.
        similarity: what the vectors were trained to be compared by.
        unsupported: what the folder does to its vectors that is not done here; empty if nothing.
    """

    source: str
    pooling: str = "mean"
    dense: tuple[Dense, ...] = ()
    normalise: bool = False
    max_length: int | None = None
    lower_case: bool = False
    prefix: str = ""
    query_prefix: str = ""
    candidate_prefix: str = ""
    prompts: tuple[tuple[str, str], ...] = ()
    default_prompt: str | None = None
    similarity: str = "cosine"
    unsupported: str = ""

    def check(self) -> None:
        """Refuse a folder whose vectors cannot be made here.

        Raises:
            StiltsError: it has a module, or a setting of one, that is not applied.
        """
        if self.unsupported:
            raise StiltsError(
                f"{self.source} is a sentence-transformers model with {self.unsupported}, which is not applied here; "
                "expected a Transformer, one Pooling, Dense layers and Normalize. For a hidden state as it is, say "
                'which: layers=-1, pooling="mean" (hf-stilts evaluate: --layer, --pooling).'
            )

    def __str__(self) -> str:
        """Say in a few words what is done with the last hidden state."""
        parts = [f"{self.pooling} pooling"]
        if self.dense:
            parts.append(f"{len(self.dense)} Dense")
        if self.normalise:
            parts.append("normalised")
        if self.max_length:
            parts.append(f"at most {self.max_length} tokens")
        if self.lower_case:
            parts.append("lower case")
        prefixes = {"prefix": self.prefix, "queries": self.query_prefix, "candidates": self.candidate_prefix}
        said = [f"{name} {text!r}" for name, text in prefixes.items() if text]
        parts += said or ["no prefix"]
        if self.similarity != "cosine":
            parts.append(f"trained for {self.similarity} similarity and compared by cosine here")
        return ", ".join(parts)


@functools.cache
def say_once(text: str, level: int = logging.WARNING) -> None:
    """Log a line about a model the first time: it is encoded with many times in one evaluation."""
    logger.log(level, "%s", text)


def sentence_encoder_of(model: PreTrainedModel | None) -> SentenceEncoder | None:
    """What sentence-transformers would do with a loaded model, by the files beside the weights that it came from.

    Args:
        model: as `from_pretrained` gave it: its configuration knows the folder or the name. Of a name the files are
            read at the commit that was loaded, from the cache where they are there: then without a network, too.

    Returns:
        None for a model that no `modules.json` lies beside, or that was not loaded from anywhere.

    Raises:
        StiltsError: the files cannot be read; or the Dense layers do not fit together.
    """
    origin = _origin(model)
    # A dual encoder that was trained here says in its configuration how its vectors are made.
    if origin is None or getattr(getattr(model, "config", None), "dual_encoder", None):
        return None
    source, commit = origin
    return read_sentence_encoder(source) if commit is None else _of_repository(source, commit)


def file_beside(model: PreTrainedModel, name: str) -> Path | None:
    """A file that lies beside the weights of a loaded model; None where there is none, or where it was not loaded."""
    origin = _origin(model)
    return _file(origin[0], name, origin[1]) if origin else None


def _origin(model: PreTrainedModel | None) -> tuple[str, str | None] | None:
    """Folder, or name and commit, that a model was loaded from."""
    config = getattr(model, "config", None)
    source = str(getattr(config, "_name_or_path", "") or "")
    if not source:
        return None
    if Path(source).is_dir():
        return source, None
    commit = getattr(config, "_commit_hash", None) or _cached_commit(source)
    return (source, commit) if commit else None


@functools.lru_cache(maxsize=32)
def _of_repository(source: str, commit: str) -> SentenceEncoder | None:
    return read_sentence_encoder(source, commit)


def read_sentence_encoder(source: str, commit: str | None = None) -> SentenceEncoder | None:
    """As `sentence_encoder_of`, of a folder, or of a repository at a commit."""
    modules = _read(source, MODULES, commit)
    if modules is None:
        if commit is not None and try_to_load_from_cache(source, MODULES, revision=commit) is None:
            say_once(
                f"Whether {source} is a sentence-transformers model is not known: its {MODULES} is not in the cache, "
                "and the Hub cannot be reached. It is taken for a plain encoder."
            )
        return None
    found = _with_settings(SentenceEncoder(source), _read(source, SETTINGS, commit) or {})
    try:
        parts = [(str(each["type"]), str(each["path"])) for each in modules]
    except (TypeError, KeyError) as error:
        raise _unreadable(source, MODULES, error) from error
    for place, (kind, path) in enumerate(parts):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
            raise _unreadable(source, MODULES, ValueError(f"path {path!r} leaves the folder"))
        name = kind.rpartition(".")[2] if kind.startswith("sentence_transformers.") else kind
        found = _with_module(found, name, path, commit, first=place == 0, last=place == len(parts) - 1)
    if not any(kind.endswith(".Pooling") for kind, _ in parts):
        found = replace(found, unsupported=found.unsupported or "no Pooling")
    return found


def kept_by_training(model: PreTrainedModel | None) -> SentenceEncoder | None:
    """What a model's start says of sentence vectors, so far as the checkpoints of its training can keep it.

    Args:
        model: that is trained; its configuration knows the start. A dual encoder keeps its own account.

    Returns:
        None for any other start, and where it is lost, which is said: no training stops for it.
    """
    try:
        known = sentence_encoder_of(model)
        if known is not None:
            known.check()
    except StiltsError as error:
        say_once(f"The checkpoints of this training lose how its start makes sentence vectors. {error}")
        return None
    return known


def keep_beside(model: PreTrainedModel | None, folder: Path) -> None:
    """Write beside a checkpoint what its start says of sentence vectors, as `SentenceTransformer(folder)` reads it.

    Args:
        model: that is trained; its configuration knows the start.
        folder: of the checkpoint. What lies there already stays.
    """
    known, origin = kept_by_training(model), _origin(model)
    if known is None or origin is None or (folder / MODULES).exists() or folder.resolve() == Path(origin[0]).resolve():
        return
    names = [SETTINGS, TRANSFORMER_CONFIG]
    parts = [(str(each["type"]), str(each["path"])) for each in _read(known.source, MODULES, origin[1])]
    names += [_within(path, MODULE_CONFIG) for _, path in parts if path]
    layers = [path for kind, path in parts if kind.endswith(".Dense")]
    for path, layer in zip(layers, known.dense, strict=True):
        bias = {} if layer.bias is None else {"linear.bias": layer.bias}
        (folder / path).mkdir(parents=True, exist_ok=True)
        save_file({"linear.weight": layer.weight, **bias}, folder / path / DENSE_WEIGHTS[0], {"format": "pt"})
    for name in (*names, MODULES):  # the list last: without it, none of the others counts
        content = _read(known.source, name, origin[1])
        if content is not None:
            write_json(folder / name, content)


def _with_settings(found: SentenceEncoder, settings: Any) -> SentenceEncoder:
    prompts = settings.get("prompts") or {} if isinstance(settings, dict) else {}
    if not isinstance(settings, dict) or not isinstance(prompts, dict):
        raise _unreadable(found.source, SETTINGS, ValueError("no object of settings and prompts"))
    texts = {str(name): str(text or "") for name, text in prompts.items()}
    of_candidates = [texts[name] for name in ("document", "passage", "corpus") if texts.get(name)]
    default = settings.get("default_prompt_name")
    family = settings.get("model_type") or "SentenceTransformer"
    return replace(
        found,
        prefix=texts.get(str(default), ""),
        query_prefix=texts.get("query", ""),
        candidate_prefix=next(iter(of_candidates), ""),
        prompts=tuple(texts.items()),
        default_prompt=None if default is None else str(default),
        similarity=str(settings.get("similarity_fn_name") or "cosine"),
        unsupported="" if family == "SentenceTransformer" else f"the model type {family}",
    )


def _with_module(
    found: SentenceEncoder, name: str, path: str, commit: str | None, *, first: bool, last: bool
) -> SentenceEncoder:
    """What is known with one more module of `modules.json`."""
    source = found.source
    if name == "Transformer" and first:
        return _with_transformer(found, path, _read(source, _within(path, TRANSFORMER_CONFIG), commit) or {})
    config = _read(source, _within(path, MODULE_CONFIG), commit) or {}
    if not isinstance(config, dict):
        raise _unreadable(source, _within(path, MODULE_CONFIG), ValueError("no JSON object"))
    if name == "Pooling":
        return _with_pooling(found, config)
    if name == "Dense":
        return _with_dense(found, path, config, commit)
    if name == "Normalize" and last:
        return replace(found, normalise=True)
    if name == "Dropout":  # which does nothing outside a training
        return found
    return replace(found, unsupported=found.unsupported or f"the module {name}")


def _with_transformer(found: SentenceEncoder, path: str, config: Any) -> SentenceEncoder:
    longest = config.get("max_seq_length") if isinstance(config, dict) else ""
    if not isinstance(longest, int | None) or (longest is not None and longest < 1):
        raise _unreadable(found.source, _within(path, TRANSFORMER_CONFIG), ValueError("max_seq_length is no number"))
    task = config.get("transformer_task", "feature-extraction")
    unsupported = found.unsupported
    if task != "feature-extraction":
        unsupported = unsupported or f"the transformer task {task}"
    if path:
        unsupported = unsupported or f"its weights in the folder {path}"
    return replace(found, max_length=longest, lower_case=bool(config.get("do_lower_case")), unsupported=unsupported)


def _with_pooling(found: SentenceEncoder, config: dict[str, Any]) -> SentenceEncoder:
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else list(named or ())
    if not modes:
        modes = [mode for flag, mode in _POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    unsupported = found.unsupported
    if len(modes) > 1:
        unsupported = unsupported or f"the poolings {' and '.join(map(str, modes))} in one vector"
    elif modes[0] not in _POOLINGS:
        unsupported = unsupported or f"the pooling {modes[0]}"
    if config.get("include_prompt", True) is False and (found.prefix or found.query_prefix or found.candidate_prefix):
        unsupported = unsupported or "prompts that are left out of the pooling"
    return replace(found, pooling=str(modes[0]), unsupported=unsupported)


def _with_dense(found: SentenceEncoder, path: str, config: dict[str, Any], commit: str | None) -> SentenceEncoder:
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    function = _ACTIVATIONS.get(activation.rpartition(".")[2]) if activation.startswith("torch.nn.") else None
    if function is None:
        return replace(found, unsupported=found.unsupported or f"a Dense layer with the activation {activation}")
    places = {config.get(name) or "sentence_embedding" for name in ("module_input_name", "module_output_name")}
    if config.get("use_residual") or places != {"sentence_embedding"}:
        return replace(found, unsupported=found.unsupported or "a Dense layer that is not a plain one")
    weights = _dense_weights(found.source, path, commit)
    try:
        weight, bias = weights["linear.weight"].float(), weights.get("linear.bias")
        if weight.ndim != 2 or (found.dense and found.dense[-1].weight.shape[0] != weight.shape[1]):
            raise ValueError(f"linear.weight has the shape {tuple(weight.shape)}")
    except (KeyError, ValueError) as error:
        raise _unreadable(found.source, path, error) from error
    layer = Dense(weight, None if bias is None else bias.float(), function())
    return replace(found, dense=(*found.dense, layer))


def _dense_weights(source: str, path: str, commit: str | None) -> dict[str, Tensor]:
    for name in DENSE_WEIGHTS:
        file = _file(source, _within(path, name), commit)
        if file is None:
            continue
        try:
            if file.suffix == ".bin":
                weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
                return weights
            return load_file(file)
        except Exception as error:  # files of unknown origin fail in many ways
            raise _unreadable(source, _within(path, name), error) from error
    raise _unreadable(source, path, FileNotFoundError(f"neither {' nor '.join(DENSE_WEIGHTS)} is there"))


def _read(source: str, name: str, commit: str | None) -> Any:
    """A file's JSON; None where there is no such file."""
    file = _file(source, name, commit)
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(source, name, error) from error


def _file(source: str, name: str, commit: str | None) -> Path | None:
    if commit is None:
        path = Path(source, name)
        return path if path.is_file() else None
    try:
        found = cached_file(
            source,
            name,
            revision=commit,
            _commit_hash=commit,  # then what is known to be missing is not asked for again
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:  # the repository is gone since, or closed: its weights were in the cache
        return None
    return Path(found) if found else None


def _within(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _cached_commit(source: str) -> str | None:
    """Commit of a name that stock loading has left in the cache; None where nothing of that name was loaded."""
    for name in (MODULE_CONFIG, ADAPTER_CONFIG_NAME):
        try:
            file = try_to_load_from_cache(source, name)
        except ValueError:  # no name of a repository: what is left of a folder that is gone
            return None
        if isinstance(file, str):
            return Path(file).parent.name
    return None


def _unreadable(source: str, name: str, error: Exception) -> StiltsError:
    return StiltsError(
        f"{name} of {source} cannot be read ({type(error).__name__}: {error}); expected what sentence-transformers "
        "writes. Correct the folder, or save the model there again."
    )
