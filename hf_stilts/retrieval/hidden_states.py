"""Read any `hidden_states[k]` of any encoder while it runs, and stop it at the deepest one that is wanted."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Take = Callable[[int, Tensor], None]


class _Deepest(Exception):
    """Ends a forward pass whose remaining layers nobody asked for."""


def encoder_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """The encoder inside a model: without its head, and of an encoder-decoder such as mT5 the encoder alone."""
    body = getattr(model, "base_model", model)
    return body.get_encoder() if hasattr(body, "decoder") else body


class HiddenStates:
    """The hidden states of one encoder, counted as `output_hidden_states=True` counts them: 0 is the embedding output.

    In nearly every architecture `hidden_states[k]` is what enters layer k, and the last one is `last_hidden_state` (in
    T5 after the final norm). Where that holds, a state is read from a hook on the layer and nothing after the deepest
    wanted one is computed. Whether it holds is seen in one forward pass over `probe`, not assumed; where it does not
    (layers that are shared, or of another form), all states are asked for in the ordinary way.
    """

    def __init__(self, encoder: "PreTrainedModel", probe: dict[str, Tensor]) -> None:
        self.encoder = encoder
        self.stack: list[nn.Module] | None = None
        depth = encoder.config.num_hidden_layers
        lists = (module for module in encoder.modules() if isinstance(module, nn.ModuleList))
        stacks = [list(modules) for modules in lists if len(modules) == depth]
        seen: list[dict[int, Tensor]] = [{} for _ in stacks]
        with ExitStack() as hooks:
            for stack, entered in zip(stacks, seen, strict=True):
                hooks.enter_context(_hooks(stack, range(len(stack)), entered.__setitem__))
            states: tuple[Tensor, ...] = encoder(**probe, output_hidden_states=True).hidden_states
        self.count, self.width = len(states), states[0].shape[-1]
        for stack, entered in zip(stacks, seen, strict=True):
            whole = len(entered) == depth == self.count - 1
            if whole and all(torch.equal(entered[k], states[k]) for k in entered):
                self.stack = stack
                break

    def read(self, inputs: dict[str, Tensor], layers: Iterable[int], take: Take) -> None:
        """Run the encoder as deep as the largest of `layers` and call `take(k, hidden_states[k])` for each of them."""
        wanted = sorted(set(layers))
        length = inputs["input_ids"].shape[1]

        def cut(k: int, hidden: Tensor) -> None:
            take(k, hidden[:, :length])  # Longformer pads within, to whole windows

        if self.stack is None:
            states = self.encoder(**inputs, output_hidden_states=True).hidden_states
            for k in wanted:
                take(k, states[k])
            return
        inner = [k for k in wanted if k < len(self.stack)]
        with _hooks(self.stack, inner, cut, stop=inner == wanted):
            try:
                output = self.encoder(**inputs)
            except _Deepest:
                return
        take(len(self.stack), output.last_hidden_state)


def probe_tokens(encoder: "PreTrainedModel") -> Tensor:
    """The same input ids int64 (16, 16) for every text, spread over the vocabulary: an encoder is tried out on them."""
    words = encoder.get_input_embeddings()
    spread = torch.linspace(0, words.num_embeddings - 1, 256, device=words.weight.device)
    return spread.long().view(16, 16).T.contiguous()


@contextmanager
def _hooks(stack: list[nn.Module], layers: Iterable[int], take: Take, stop: bool = False) -> Iterator[None]:
    """Call `take` with what enters each of the layers, and end the pass at the last of them if told to."""
    layers = list(layers)

    def hook(k: int) -> Callable[..., None]:
        def on_entry(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            take(k, args[0] if args else kwargs["hidden_states"])
            if stop and k == layers[-1]:
                raise _Deepest

        return on_entry

    handles = [stack[k].register_forward_pre_hook(hook(k), with_kwargs=True) for k in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def inference(encoder: "PreTrainedModel", device: torch.device, *, bf16: bool) -> Iterator[None]:
    """Evaluation mode, no gradients, bfloat16 if asked for; every module's own training mode comes back afterwards."""
    training = [module for module in encoder.modules() if module.training]
    encoder.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            yield
    finally:
        for module in training:
            module.training = True
