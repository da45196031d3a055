"""A few added weights (LoRA) in place of a whole body: read, written, stacked, and merged into the body.

A checkpoint of such a training is a few megabytes, one folder or one repository on the Hub:

    adapter_config.json, adapter_model.safetensors    LoRA of the body; stock `peft` loads it on the body of its base
    heads/<task>/                                     the head, trained in full, as in a mixture (see `heads.py`)

A second LoRA that is trained upon a first one is saved together with it: a sum of two products is one product of the
matrices side by side, so that the two are a single adapter of the same base, and nobody who loads it has to know.
"""

from __future__ import annotations

import copy
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from transformers import PreTrainedModel
from transformers.utils import ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME

from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.models.adapter_words import rank_and_modules
from hf_stilts.models.untrusted import check_config, readable

if TYPE_CHECKING:
    from peft import LoraConfig

PREFIX = "base_model.model."  # what stock peft puts before the names of the body
_PLAIN_PATTERN = re.compile(r"[\w.^$\\]*")  # of a module's name: nothing that repeats
# What two adapters may differ in and still be one; any other setting must be as LoRA was published.
_FREE = (
    *("r", "lora_alpha", "use_rslora", "target_modules", "exclude_modules", "base_model_name_or_path", "revision"),
    *("inference_mode", "lora_dropout", "init_lora_weights", "task_type", "peft_version", "auto_mapping"),
)


@dataclass(frozen=True)
class Adapter:
    """LoRA of a body, as a checkpoint holds it.

    Attributes:
        config: stock configuration; `base_model_name_or_path` and `revision` name the body that it belongs to.
        weights: `<module>.lora_A.weight` (rank, inputs) and `<module>.lora_B.weight` (outputs, rank), float32.
    """

    config: LoraConfig
    weights: dict[str, torch.Tensor]

    @property
    def base(self) -> str:
        """Name or folder of the model whose body it belongs to."""
        return str(self.config.base_model_name_or_path)

    @property
    def scale(self) -> float:
        """Factor of the product of its matrices."""
        return float(self.config.lora_alpha / (self.config.r**0.5 if self.config.use_rslora else self.config.r))

    def merged_into(self, body: PreTrainedModel) -> PreTrainedModel:
        """The stock body with the product of the matrices added to its own; changed in place.

        Raises:
            StiltsError: the body has no place for one of the matrices.
        """
        peft = load_peft()
        config = replace(self.config, task_type=None, modules_to_save=None)
        model = peft.PeftModel(body, config)
        set_weights(model, _of_body(self.weights, body), self.base)
        merged: PreTrainedModel = model.merge_and_unload()
        return merged

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write configuration and weights as stock peft does, less the README that it adds."""
        config: Any = copy.copy(self.config)
        config.inference_mode = True
        config.save_pretrained(os.fspath(folder))
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        safetensors.torch.save_file(weights, Path(folder) / ADAPTER_SAFE_WEIGHTS_NAME, metadata={"format": "pt"})


def read_adapter(name: str, folder: Path, weights: Path) -> Adapter:
    """Adapter of a checkpoint.

    Args:
        name: what the checkpoint is called.
        folder: where its `adapter_config.json` lies.
        weights: its `adapter_model.safetensors`.

    Raises:
        StiltsError: it is of another type than LoRA, or peft is not installed.
    """
    check_config(folder / ADAPTER_CONFIG_NAME, name)
    with readable(name):
        found = load_peft().PeftConfig.from_pretrained(str(folder))
    if found.peft_type != "LORA":
        raise StiltsError(
            f"{name} is an adapter of type {getattr(found.peft_type, 'value', found.peft_type)}; expected LORA. "
            "Merge it with peft (merge_and_unload), save the model, and pass that folder."
        )
    with readable(name):
        adapter = Adapter(found, safetensors.torch.load_file(weights))
    _tame(adapter, name)
    return adapter


def _tame(adapter: Adapter, source: str) -> None:
    """Keep an untrusted adapter to what its weights say: no rank beyond theirs, no regular expression of its own.

    An expression can be written so that matching it never ends; the names of the weights say which modules it meant.
    """
    config = adapter.config
    ranks = [matrix.shape[0] for name, matrix in adapter.weights.items() if ".lora_A" in name and matrix.ndim]
    wanted = max(config.r, *(config.rank_pattern or {}).values()) if config.rank_pattern else config.r
    if not isinstance(wanted, int) or not 0 < wanted <= max(ranks, default=0):
        raise StiltsError(
            f"{source}: adapter_config.json has rank {wanted}; the weights beside it have {max(ranks, default=0)}. "
            "Nothing was loaded. Use another checkpoint."
        )
    patterns = [*(config.rank_pattern or {}), *(config.alpha_pattern or {})]
    strange = [pattern for pattern in patterns if not _PLAIN_PATTERN.fullmatch(pattern)]
    if strange:
        raise StiltsError(
            f"{source}: adapter_config.json chooses modules by {strange[0][:100]!r}; their names are expected. Nothing "
            "was loaded. Merge it with peft (merge_and_unload), save the model, and pass that folder."
        )
    free = isinstance(config.target_modules, str) and config.target_modules != "all-linear"
    if free or isinstance(config.exclude_modules, str) or config.layers_pattern:
        config.target_modules = sorted({name.partition(".lora_")[0].removeprefix(PREFIX) for name in adapter.weights})
        config.exclude_modules = config.layers_pattern = config.layers_to_transform = None


def lora_config(adapter: str | LoraConfig) -> LoraConfig:
    """LoRA's settings: `"lora"`, `"lora=32"` (its rank), `"lora=32:query,value"` (the modules that it adapts).

    Without modules it adapts those that peft has for the architecture, else every linear layer of the body. The scale
    is 2, so alpha twice the rank.

    >>> lora_config("lora=8").lora_alpha
    16
    >>> sorted(lora_config("lora:query,key").target_modules)
    ['key', 'query']

    Raises:
        StiltsError: another word, or a setting that the body alone cannot be saved with.
    """
    peft = load_peft()
    if isinstance(adapter, str):
        rank, modules = rank_and_modules(adapter)
        return peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=modules or None)
    if not isinstance(adapter, peft.LoraConfig):
        raise StiltsError(f"adapter is a {type(adapter).__name__}; expected lora, lora=32, or a peft.LoraConfig.")
    if adapter.modules_to_save:
        raise StiltsError(
            f"LoraConfig(modules_to_save={adapter.modules_to_save}) would save weights of the base model; the head is "
            "trained in full without it. Leave modules_to_save out."
        )
    if isinstance(adapter.init_lora_weights, str) and adapter.init_lora_weights not in ("gaussian", "orthogonal"):
        raise StiltsError(
            f"LoraConfig(init_lora_weights={adapter.init_lora_weights!r}) changes the base model, which the adapter "
            "then does not fit. Use True, gaussian or orthogonal."
        )
    return replace(adapter)


def stacked(first: Adapter, second: Adapter) -> Adapter:
    """Two adapters of one body as one: its rank is the sum of theirs, its product the sum of their products.

    The scale is the second's, whose weights are in it bit by bit (`split_off`); a module that only one of the two
    adapts gets zeros from the other.

    Raises:
        StiltsError: one of the two is more than plain LoRA.
    """
    for each in (first, second):
        _check_plain(each.config)
    ranks = first.config.r, second.config.r
    weights = {}
    for name in dict.fromkeys((*first.weights, *second.weights)):
        rows = name.endswith("lora_A.weight")
        parts = [each.weights.get(name) for each in (first, second)]
        like = next(part for part in parts if part is not None)
        shapes = [(rank, like.shape[1]) if rows else (like.shape[0], rank) for rank in ranks]
        above, below = (
            like.new_zeros(shape) if part is None else part for part, shape in zip(parts, shapes, strict=True)
        )
        weights[name] = torch.cat([above, below] if rows else [above * (first.scale / second.scale), below], 1 - rows)
    settings: dict[str, Any] = {"r": sum(ranks), "lora_alpha": second.scale * sum(ranks), "use_rslora": False}
    adapted = [name for each in (first, second) for name in each.config.target_modules or ()]
    return Adapter(replace(second.config, **settings, target_modules=sorted(set(adapted))), weights)


def split_off(weights: dict[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """Of stacked weights those of the second adapter; `rank` is the first's."""
    return {name: part[rank:] if name.endswith("lora_A.weight") else part[:, rank:] for name, part in weights.items()}


def set_weights(model: Any, weights: dict[str, torch.Tensor], where: str) -> None:
    """Give a model of peft its adapter's weights, all of them; of modules it alone has the product stays zero."""
    own = load_peft().get_peft_model_state_dict(model, save_embedding_layers=False)
    misfits = [name for name, weight in weights.items() if name not in own or own[name].shape != weight.shape]
    if not misfits:
        misfits = [name for name in own if name not in weights and "decoder" not in name]
    if misfits:
        raise StiltsError(
            f"{where}: {misfits[0].removeprefix(PREFIX)} of the adapter does not fit "
            f"{type(model.get_base_model()).__name__}. Expected the same architecture, rank and adapted modules. Use "
            "the checkpoint that the adapter was trained on, and the adapter= (--adapter) that it was trained with."
        )
    load_peft().set_peft_model_state_dict(model, weights)


def _of_body(weights: dict[str, torch.Tensor], body: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Weights by the body's names, for an adapter that was saved with a head: that of stock peft for a classifier."""
    prefix = f"{PREFIX}{body.base_model_prefix}."
    if not any(name.startswith(prefix) for name in weights):
        return weights
    return {PREFIX + name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _check_plain(config: LoraConfig) -> None:
    """Refuse what the sum of two adapters would not keep."""
    plain = type(config)()
    names = [name for name in type(config).__dataclass_fields__ if name not in _FREE]
    others = [name for name in names if getattr(config, name) != getattr(plain, name)]
    if others or not isinstance(config.target_modules, set | list):
        name = (others or ["target_modules"])[0]
        raise StiltsError(
            f"An adapter with {name}={getattr(config, name)} cannot be stacked; expected plain LoRA with a list of "
            "target modules. Leave out adapter= (--adapter): then the intermediate adapter is merged into the body, "
            "which is trained in full."
        )


def choose_modules(body: PreTrainedModel, config: LoraConfig) -> None:
    """Name the modules to adapt where nobody did and peft has none for the architecture: all linear layers.

    Raises:
        StiltsError: modules were named that the body does not have, or it has no linear layer.
    """
    linear = [name for name, module in body.named_modules() if isinstance(module, torch.nn.Linear)]
    known = load_peft().utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    if config.target_modules is None and body.config.model_type not in known:
        config.target_modules = linear
    wanted = [] if isinstance(config.target_modules, str) else [*(config.target_modules or ())]
    missing = []
    for name in wanted:
        if not any(f".{each}".endswith(f".{name}") for each in linear):
            missing.append(name)
    if missing or not linear:
        there = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
        raise StiltsError(
            f"{type(body).__name__} has no linear layer {', '.join(map(str, missing)) or 'at all'}; there are: "
            f"{there}. Correct --lora-target-modules."
        )


def load_peft() -> Any:
    """The package peft, which is an extra."""
    with needs_extra("peft", "An adapter"):
        import peft
    return peft
