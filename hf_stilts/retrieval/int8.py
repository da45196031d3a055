"""Linear layers of an encoder multiplied in int8, for processors that do that several times as fast as float32.

Weights are rounded once, with a scale for each row; what enters a layer is rounded as it comes, with a scale for each
token. A few inputs of a transformer's layers are many times larger than the rest, for every token; one scale for all
would leave the others hardly any digits. The largest stay in float32, as in LLM.int8() (Dettmers et al. 2022,
https://arxiv.org/abs/2208.07339). Which these are is seen on one set of tokens, the same for every text, so that the
vector of a sentence does not depend on the sentences beside it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_stilts.retrieval.hidden_states import probe_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LARGEST = 8  # inputs of a layer that stay in float32: more bring the vectors hardly closer
SMALLEST = 64  # inputs and outputs of a layer that is worth its rounding


class Int8Linear(nn.Module):
    """A linear layer whose product is taken in int8, but for a few inputs.

    Args:
        linear: float32 weight (outputs, inputs), and a bias or none; it is not changed.
        large: int64 (k,), the inputs that stay in float32.
    """

    def __init__(self, linear: nn.Linear, large: Tensor) -> None:
        super().__init__()
        self.weight = linear.weight  # some architectures look at its type
        self.large = large
        weight = linear.weight.detach()
        bias = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias.detach()
        self.offset = bias
        self.exact = weight[:, large].T.contiguous()
        rest = weight.index_fill(1, large, 0)
        self.scale = rest.abs().amax(dim=1).clamp(min=1e-12) / 127
        self.rounded = (rest / self.scale[:, None]).round().to(torch.int8).T

    def forward(self, inputs: Tensor) -> Tensor:
        """float32 (..., inputs) to (..., outputs)."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        exact = torch.addmm(self.offset, flat[:, self.large], self.exact)
        rest = flat.index_fill(1, self.large, 0)
        scale = rest.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
        product = torch._int_mm(rest.div_(scale).round_().to(torch.int8), self.rounded)
        return exact.addcmul_(product * self.scale, scale).view(*inputs.shape[:-1], -1)


@contextmanager
def int8_layers(encoder: "PreTrainedModel") -> Iterator[None]:
    """Let the layers of an encoder multiply in int8; its own modules come back afterwards.

    Args:
        encoder: on a processor, with float32 weights.
    """
    layers = _linear_layers(encoder)
    largest = _largest_inputs(encoder, list(layers.values()))
    try:
        for (parent, name), linear in layers.items():
            large = largest[linear].topk(LARGEST).indices
            setattr(parent, name, Int8Linear(linear, large))
        yield
    finally:
        for (parent, name), linear in layers.items():
            setattr(parent, name, linear)


def _linear_layers(encoder: nn.Module) -> dict[tuple[nn.Module, str], nn.Linear]:
    """Parent and name -> layer, for every plain linear layer in the encoder's lists of layers that is large enough."""
    found: dict[tuple[nn.Module, str], nn.Linear] = {}
    for stack in encoder.modules():
        if not isinstance(stack, nn.ModuleList):
            continue
        for parent in stack.modules():
            for name, child in parent.named_children():
                if type(child) is nn.Linear and min(child.weight.shape) >= SMALLEST:
                    found[parent, name] = child
    return found


def _largest_inputs(encoder: "PreTrainedModel", layers: list[nn.Linear]) -> dict[nn.Linear, Tensor]:
    """The largest absolute value (inputs,) of each input of each layer, over tokens spread over the vocabulary."""
    found = {layer: torch.zeros(layer.in_features) for layer in layers}

    def look(layer: nn.Linear, inputs: tuple[Any, ...]) -> None:
        largest = inputs[0].detach().abs().reshape(-1, layer.in_features).amax(dim=0)
        found[layer] = torch.maximum(found[layer], largest)

    tokens = probe_tokens(encoder)
    with ExitStack() as hooks, torch.no_grad():
        for layer in found:
            hooks.callback(layer.register_forward_pre_hook(look).remove)
        encoder(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    return found
