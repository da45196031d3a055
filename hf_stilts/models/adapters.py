"""Trains a few added weights (LoRA) in place of the whole body, and puts them into the body where others go on.

A checkpoint of such a training is a few megabytes, one folder or one repository on the Hub:

    adapter_config.json, adapter_model.safetensors    LoRA of the body; stock `peft` loads it on the body of its base
    heads/<task>/                                     the head, trained in full, as in a mixture (see `heads.py`)

A second LoRA that is trained upon a first one is saved together with it: a sum of two products is one product of the
matrices side by side, so that the two are a single adapter of the same base, and nobody who loads it has to know.
"""

from __future__ import annotations

import copy
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from transformers import AutoModel, PreTrainedModel, Trainer
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.utils import ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME, cached_file

from hf_stilts.errors import StiltsError, needs_extra

if TYPE_CHECKING:
    from peft import LoraConfig

    from hf_stilts.task import Task

logger = logging.getLogger(__name__)

RANK = 16
PREFIX = "base_model.model."  # what stock peft puts before the names of the body
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
        peft = _peft()
        config = replace(self.config, task_type=None, modules_to_save=None)
        model = peft.PeftModel(body, config)
        _set(model, _of_body(self.weights, body), self.base)
        merged: PreTrainedModel = model.merge_and_unload()
        return merged

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write configuration and weights as stock peft does, less the README that it adds."""
        config: Any = copy.copy(self.config)
        config.inference_mode = True
        config.save_pretrained(os.fspath(folder))
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        safetensors.torch.save_file(weights, Path(folder) / ADAPTER_SAFE_WEIGHTS_NAME, metadata={"format": "pt"})


def find_adapter(source: str, revision: str | None = None) -> Adapter | None:
    """Adapter that a checkpoint (repository id or folder) consists of; None where it holds a model."""
    config = _file(source, ADAPTER_CONFIG_NAME, revision)
    weights = config and _file(source, ADAPTER_SAFE_WEIGHTS_NAME, revision)
    if not config or not weights:
        return None
    found = _peft().PeftConfig.from_pretrained(str(Path(config).parent))
    if found.peft_type != "LORA":
        raise StiltsError(
            f"{source} is an adapter of type {getattr(found.peft_type, 'value', found.peft_type)}; expected LORA. "
            "Merge it with peft (merge_and_unload), save the model, and pass that folder."
        )
    return Adapter(found, safetensors.torch.load_file(weights))


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
    peft = _peft()
    if isinstance(adapter, str):
        chosen, colon, listed = adapter.partition(":")
        modules = [name.strip() for name in listed.split(",") if name.strip()]
        if colon and not modules:
            raise StiltsError(f"adapter is {adapter!r}; expected modules after the colon: lora=16:query,value.")
        name, _, rank = chosen.partition("=")
        if name != "lora" or (rank and not (rank.isdecimal() and int(rank))) or chosen.endswith("="):
            raise StiltsError(f"adapter is {adapter!r}; expected lora, or lora=32 for its rank, or a peft.LoraConfig.")
        return peft.LoraConfig(r=int(rank or RANK), lora_alpha=2 * int(rank or RANK), target_modules=modules or None)
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


class AdapterTrainer(Trainer):
    """A Trainer that can train LoRA in the body and the head in full, and saves these alone.

    Attributes:
        task: what is trained; the head is called after it.
        adapter: `"lora"`, `"lora=32"`, a `peft.LoraConfig`, or None to train the model as it is.
        start: name or folder of the checkpoint that the model's body came from, and its commit.
    """

    task: Task
    adapter: str | LoraConfig | None = None
    start: tuple[str, str | None] | None = None

    def __init__(self, model: PreTrainedModel, *stock: Any, **named: Any) -> None:
        if self.adapter is not None:
            self._adapt(model, lora_config(self.adapter))
        super().__init__(model, *stock, **named)
        if self.adapter is not None:
            self._refuse_folder_of_base(self.args.output_dir)

    @property
    def adapter_recipe(self) -> dict[str, str]:
        """What the record of a run says of it."""
        return {} if self.adapter is None else {"adapter": self.adapter if isinstance(self.adapter, str) else "custom"}

    def _adapt(self, model: PreTrainedModel, config: LoraConfig) -> None:
        """Put LoRA into the body and leave only it and the head to train; what was there before is frozen."""
        if self.start is None:
            raise StiltsError(
                f"adapter= was given with a {type(model).__name__} object. An adapter is saved without the body, and "
                "names the checkpoint that holds it. Pass model= by name or folder."
            )
        body = model.base_model
        self._below = find_adapter(*self.start)
        base, commit = (self._below.base, self._below.config.revision) if self._below else self.start
        self._own = _head_weights(model)
        _choose_modules(body, config)
        tensors = model.state_dict(keep_vars=True)
        head = [tensors[name] for name in self._own]
        model.requires_grad_(False)
        config.task_type = "FEATURE_EXTRACTION"
        if config.target_modules is not None and config.exclude_modules is None:
            own = {id(tensor) for tensor in head}  # trained in full, a pooler among them
            inside = (name for name, module in body.named_modules() if {id(each) for each in module.parameters()} & own)
            config.exclude_modules = [name for name in inside if name] or None
        self._lora = _peft().PeftModel(body, config)
        config.base_model_name_or_path, config.revision = base, commit
        for tensor in head:
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(True)
        if self._below is not None:
            stacked(self._below, self._trained())  # what cannot be saved is said before the training
        trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        logger.info("Training %s of %s weights: LoRA and the head.", f"{trained:,}", f"{model.num_parameters():,}")

    def _refuse_folder_of_base(self, folder: str | Path) -> None:
        base = Path(self._lora.peft_config["default"].base_model_name_or_path)
        if base.is_dir() and base.resolve() == Path(folder).resolve():
            raise StiltsError(
                f"{folder} holds the model that the adapter is trained on; saved there, the adapter would take its "
                "place. Pass another --output_dir."
            )

    def _trained(self) -> Adapter:
        """The adapter that is trained, as it is now."""
        weights = _peft().get_peft_model_state_dict(self._lora, save_embedding_layers=False)
        return Adapter(self._lora.peft_config["default"], {name: part.cpu() for name, part in weights.items()})

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As the stock method; with an adapter, that and the head in place of the model."""
        folder = Path(output_dir or self.args.output_dir)
        if self.adapter is not None:
            self._refuse_folder_of_base(folder)
        if self.args.should_save:  # what an earlier training left in the folder would be taken for a part of this one
            adapter, model = (ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME), ("config.json", "model*.safetensors*")
            earlier = model if self.adapter is not None else adapter
            for file in (file for pattern in earlier for file in folder.glob(pattern)):
                file.unlink()
        if self.adapter is None:
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            from hf_stilts.models.heads import save_head

            folder.mkdir(parents=True, exist_ok=True)
            trained = self._trained()
            (trained if self._below is None else stacked(self._below, trained)).save(folder)
            whole = self.accelerator.unwrap_model(self.model)
            tensors = whole.state_dict()
            save_head(whole, {name: tensors[name] for name in self._own}, folder, self._head)
            self.processing_class.save_pretrained(folder)
            torch.save(self.args, folder / TRAINING_ARGS_NAME)

    @property
    def _head(self) -> str:
        return self.task.name

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.adapter is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._restore(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.adapter is None:
            super()._load_best_model()
        else:
            self._restore(self.state.best_model_checkpoint)

    def _restore(self, folder: str) -> None:
        """Read back what `_save` wrote for this very training."""
        from hf_stilts.models.heads import restore_head

        file = Path(folder) / ADAPTER_SAFE_WEIGHTS_NAME
        if not file.is_file():
            raise StiltsError(
                f"{folder} holds no {file.name}: it was trained without adapter=. Go on without it, or start anew in "
                "another --output_dir."
            )
        weights = safetensors.torch.load_file(file)
        _set(self._lora, split_off(weights, self._below.config.r) if self._below else weights, folder)
        restore_head(self.accelerator.unwrap_model(self.model), self._own, folder, self._head)


def _head_weights(model: PreTrainedModel) -> list[str]:
    """Names of a model's tensors that are none of its body's; where the model has no module for it (mT5's QA), too."""
    from hf_stilts.models.heads import own_weights  # which builds on encoder.py, as this module's users do

    if model.base_model is not model:
        return own_weights(model, model.base_model)
    with torch.device("meta"):
        body = set(AutoModel.from_config(copy.deepcopy(model.config)).state_dict())
    return [name for name in model.state_dict() if name not in body]


def _set(model: Any, weights: dict[str, torch.Tensor], where: str) -> None:
    """Give a model of peft its adapter's weights, all of them; of modules it alone has the product stays zero."""
    own = _peft().get_peft_model_state_dict(model, save_embedding_layers=False)
    misfits = [
        name for name, weight in weights.items() if name not in own or own[name].shape != weight.shape
    ] or [name for name in own if name not in weights and "decoder" not in name]  # fmt: skip
    if misfits:
        raise StiltsError(
            f"{where}: {misfits[0].removeprefix(PREFIX)} of the adapter does not fit "
            f"{type(model.get_base_model()).__name__}. Expected the same architecture, rank and adapted modules. Use "
            "the checkpoint that the adapter was trained on, and the adapter= that it was trained with."
        )
    _peft().set_peft_model_state_dict(model, weights)


def _of_body(weights: dict[str, torch.Tensor], body: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Weights by the body's names, for an adapter that was saved with a head: that of stock peft for a classifier."""
    prefix = f"{PREFIX}{body.base_model_prefix}."
    if not any(name.startswith(prefix) for name in weights):
        return weights
    return {PREFIX + name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _check_plain(config: LoraConfig) -> None:
    """Refuse what the sum of two adapters would not keep."""
    plain, own = (
        {name: getattr(each, name) for name in type(each).__dataclass_fields__} for each in (type(config)(), config)
    )
    others = [name for name, value in own.items() if name not in _FREE and value != plain[name]]
    if others or not isinstance(config.target_modules, set | list):
        name = (others or ["target_modules"])[0]
        raise StiltsError(
            f"An adapter with {name}={own[name]} cannot be stacked; expected plain LoRA with a list of target modules. "
            "Leave out adapter=: then the intermediate adapter is merged into the body, which is trained in full."
        )


def _choose_modules(body: PreTrainedModel, config: LoraConfig) -> None:
    """Name the modules to adapt where nobody did and peft has none for the architecture: all linear layers.

    Raises:
        StiltsError: modules were named that the body does not have, or it has no linear layer.
    """
    linear = [name for name, module in body.named_modules() if isinstance(module, torch.nn.Linear)]
    known = _peft().utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    if config.target_modules is None and body.config.model_type not in known:
        config.target_modules = linear
    wanted = [] if isinstance(config.target_modules, str) else [*(config.target_modules or ())]
    missing = [name for name in wanted if not any(f".{each}".endswith(f".{name}") for each in linear)]
    if missing or not linear:
        there = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
        raise StiltsError(
            f"{type(body).__name__} has no linear layer {', '.join(map(str, missing)) or 'at all'}; there are: "
            f"{there}. Correct --lora-target-modules."
        )


def _peft() -> Any:
    with needs_extra("peft", "An adapter"):
        import peft
    return peft


def _file(source: str, name: str, revision: str | None) -> str | None:
    found: str | None = cached_file(
        source,
        name,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,  # without a network, what is not in the cache is not there
    )
    return found
