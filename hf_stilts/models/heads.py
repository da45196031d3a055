"""Several task heads on one body: how they share it, and how they are saved and loaded.

A checkpoint of a mixture is one folder, or one repository on the Hub:

    config.json, model.safetensors       the body; stock `AutoModel.from_pretrained` loads it
    heads/<task>/config.json             the stock class of a task's head, its labels
    heads/<task>/head.safetensors        the head's own weights, by the names that they have in that class

The head's file is not called model.safetensors, so that stock loading of the folder fails, instead of giving a random
body under a trained head; `load_checkpoint` puts the two together.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.naming import HEAD_FILE, HEADS
from hf_stilts.kinds import Kind
from hf_stilts.models.body import load_body, share
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint
from hf_stilts.models.untrusted import readable, sizes_of


def load_checkpoint(
    name: str,
    head: str | None = None,
    *,
    base: str | None = None,
    namespace: str | None = None,
    seed: int | None = None,
) -> PreTrainedModel:
    """Published model with the head that it was trained with, by name.

    Args:
        name: as `load_intermediate` takes it: `"mnli"`, `"mnli.squad_v2@step-2000"`, a repository id or a folder.
        head: task of a mixture whose head is wanted. Without it, the model that the checkpoint's root holds: the whole
            model of a single task (of an adapter with its head, merged), or the body of a mixture.
        base: public model that the checkpoint must descend from, where `name` is a task's.
        namespace: user or organisation that published it; default: `HF_STILTS_NAMESPACE`, then yourself.
        seed: the run's seed, where several were published.

    Returns:
        A stock transformers model in float32, in evaluation mode, whose logits are those of the training.

    Raises:
        StiltsError: nothing of that name, or no such head; the message lists what there is.

    Example:
        `load_checkpoint("me/xlm-roberta-base-stilts-mnli.squad_v2", head="mnli")` is an
        `XLMRobertaForSequenceClassification`.
    """
    opened = open_checkpoint(resolve(name, base=base, namespace=namespace, seed=seed))
    record = opened.record
    if head is None and record and opened.adapter:
        head = record.task_names[-1]
    if head is None:
        model: PreTrainedModel = opened.load(stock_class(opened.config, default=AutoModel))[0]
        return model
    if not opened.has_head(head):
        trained = ", ".join(record.task_names) if record else "tasks that it does not name"
        raise StiltsError(
            f"{name} has no head {head!r} in {HEADS}/; it was trained on {trained}. Pass one of these as head= if it "
            "is a mixture, and no head= if it was trained on one task."
        )
    return load_head(opened, head)


def load_head(
    opened: OpenedCheckpoint, head: str, *, kind: Kind | None = None, body: PreTrainedModel | None = None
) -> PreTrainedModel:
    """Stock model of a head under which the body of the same checkpoint stands, in float32 and evaluation mode.

    Args:
        opened: a checkpoint that holds the head.
        head: name of the head's task.
        kind: its class of that name is taken, where it has one: mT5's classifier then reads choices.
        body: the checkpoint's body, which the model then shares; None loads it.
    """
    config = opened.head_config(head)
    stock = stock_class(config)
    if kind is not None and (wanted := kind.model_class(config)).__name__ == stock.__name__:
        stock = wanted
    body = load_body(opened)[0] if body is None else body
    most = {name: size for name, size, _ in sizes_of(body.config.to_dict())}
    larger = [(name, size) for name, size, _ in sizes_of(config.to_dict()) if size > most.get(name, size)]
    if larger:  # it would be drawn at random in that size before anything is compared
        name, size = larger[0]
        raise StiltsError(
            f"{opened.name}: {HEADS}/{head}/config.json has {name} = {size}, more than the body's {most[name]}. "
            "Nothing was loaded. Use another checkpoint."
        )
    with readable(opened.name):
        model: PreTrainedModel = stock(config)
    share(model, body)
    weights = safetensors.torch.load_file(opened.path(f"{HEADS}/{head}/{HEAD_FILE}"))
    _load(model, weights, own_weights(model, body), f"{opened.name}, head {head}")
    return model.eval()


def stock_class(config: Any, default: Any = None) -> Any:
    """Stock class that a checkpoint was saved from.

    Raises:
        StiltsError: the configuration names none of transformers' models.
    """
    name = next(iter(config.architectures or ()), None)
    found = getattr(transformers, name, None) if name else default
    if found is None or not (found is default or (isinstance(found, type) and issubclass(found, PreTrainedModel))):
        raise StiltsError(
            f"The configuration of {config._name_or_path} names the class {name!r}, which transformers does not have. "
            "Install the version of transformers that stilts.json names."
        )
    return found


class SharedBody(PreTrainedModel):
    """One body under the heads of several tasks: each head is a stock model whose body modules are the shared ones.

    `heads[task]` keeps a pooler of its own where its class has one: a pooler is trained under a head and belongs to it.
    The body's own pooler is neither trained nor saved.

    Args:
        body: stock `AutoModel`.
        heads: task -> stock model with that task's head; their bodies are replaced.
    """

    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    def __init__(self, body: PreTrainedModel, heads: Mapping[str, PreTrainedModel]) -> None:
        super().__init__(copy.deepcopy(body.config))  # which the constructor may change
        self.config = body.config
        self.body = body
        for head in heads.values():
            share(head, body)
        self.heads = nn.ModuleDict(dict(heads))
        self.train(body.training)

    def forward(self, task: str, **batch: Any) -> Any:
        """What the task's stock model gives."""
        return self.heads[task](**batch)

    def get_input_embeddings(self) -> nn.Module:
        """The one embedding of all heads."""
        return self.body.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the one embedding of all heads."""
        self.body.set_input_embeddings(value)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        is_main_process: bool = True,
        state_dict: dict[str, torch.Tensor] | None = None,
        **stock: Any,
    ) -> None:
        """Write body and heads as the module's docstring shows; `state_dict` is this model's where others gather it."""
        state = self.state_dict() if state_dict is None else state_dict
        body = {name: state[f"body.{name}"] for name in _body_names(self.body)}
        self.body.save_pretrained(save_directory, is_main_process, state_dict=body, **stock)
        if not is_main_process:
            return
        for task, head in self.heads.items():
            own = {name: state[f"heads.{task}.{name}"] for name in own_weights(head, self.body)}
            save_head(head, own, save_directory, task)

    def load_weights(self, folder: str | os.PathLike[str]) -> None:
        """Read back what `save_pretrained` wrote for this very model.

        Raises:
            StiltsError: a weight is missing, or there is one that the model does not have.
        """
        path = Path(folder)
        body = safetensors.torch.load_file(path / SAFE_WEIGHTS_NAME)
        _load(self.body, body, _body_names(self.body), str(folder))
        for task, head in self.heads.items():
            restore_head(head, own_weights(head, self.body), folder, task)


def save_head(
    model: PreTrainedModel, weights: Mapping[str, torch.Tensor], checkpoint: str | os.PathLike[str], task: str
) -> None:
    """Write a head into a checkpoint's folder: the configuration of its whole model, and the weights that are its own.

    Args:
        model: the head with the body under it.
        weights: the tensors that `own_weights` names.
        checkpoint: the checkpoint's folder.
        task: name of the head.
    """
    folder = Path(checkpoint) / HEADS / task
    folder.mkdir(parents=True, exist_ok=True)
    config: Any = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = model.dtype
    config.save_pretrained(folder)
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    safetensors.torch.save_file(whole, folder / HEAD_FILE, metadata={"format": "pt"})


def restore_head(
    model: PreTrainedModel, expected: Iterable[str], checkpoint: str | os.PathLike[str], task: str
) -> None:
    """Read back what `save_head` wrote, which must be the weights of the `expected` names.

    Raises:
        StiltsError: a weight is missing, or there is one that the model does not have.
    """
    weights = safetensors.torch.load_file(Path(checkpoint) / HEADS / task / HEAD_FILE)
    _load(model, weights, expected, f"{checkpoint}, head {task}")


def own_weights(model: PreTrainedModel, body: PreTrainedModel) -> list[str]:
    """Names of a model's tensors that `body` does not share with it, one name each where several are tied."""
    seen, names = _shared_ids(body), []
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            names.append(name)
    return names


def _body_names(body: PreTrainedModel) -> list[str]:
    """Names of what a body shares: all but its pooler."""
    return [name for name in body.state_dict() if "pooler" not in name.split(".")]


def _shared_ids(body: PreTrainedModel) -> set[int]:
    tensors = body.state_dict(keep_vars=True)
    return {id(tensors[name]) for name in _body_names(body)}


def _load(model: PreTrainedModel, weights: dict[str, torch.Tensor], expected: Iterable[str], where: str) -> None:
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    tensors = model.state_dict(keep_vars=True)
    loaded = {id(tensors[name]) for name in weights if name in tensors}
    missing = [name for name in expected if id(tensors[name]) not in loaded]
    if missing or unexpected:
        raise StiltsError(
            f"{where} lacks {', '.join(missing) or 'nothing'} and has {', '.join(unexpected) or 'nothing'} too much "
            f"for {type(model).__name__}. Use a checkpoint of the same tasks and base model."
        )
