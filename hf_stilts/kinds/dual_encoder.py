"""One encoder for both sides of a pair, a learned scale, and in-batch negatives: what trains retrieval (XTREME-R)."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from hf_stilts.errors import StiltsError

VectorPooling: TypeAlias = Literal["pooler", "mean", "cls"]
SCALE = "logit_scale"


@dataclass(frozen=True)
class DualEncoding:
    """How texts become vectors and vectors a loss; `dual_encoder` in the `config.json` of a checkpoint.

    Args:
        pooling: "pooler" (first token, dense, tanh: XTREME-R), "mean" over all tokens, or "cls". None takes the pooler
            where the architecture has one, else the mean.
        logit_scale: what cosines are multiplied by, 1 / temperature; learned, this is where it starts or stood.
        both_directions: also ask which query belongs to a candidate, and take the mean of both losses.
        query_length: tokens of a query, special ones included; candidate_length: of a candidate.
        query_prefix: put before every query; candidate_prefix: before every candidate.
    """

    pooling: VectorPooling | None = None
    logit_scale: float = 100.0
    both_directions: bool = False
    query_length: int = 96
    candidate_length: int = 256
    query_prefix: str = ""
    candidate_prefix: str = ""

    @classmethod
    def of(cls, config: PretrainedConfig) -> DualEncoding | None:
        """How the checkpoint was trained; None for one that never was a dual encoder."""
        stored = getattr(config, "dual_encoder", None)
        return cls(**stored) if stored else None


@dataclass
class DualEncoderOutput(ModelOutput):
    """Unit vectors of both sides, float32 (n, d) each, and the loss if `labels` were given."""

    loss: Tensor | None = None
    query: Tensor | None = None
    candidate: Tensor | None = None


class DualEncoder(PreTrainedModel):
    """A stock encoder that reads queries and candidates alike (XTREME-R's LAReQA and Mewsli-X).

    `save_pretrained` writes the encoder alone, as stock `AutoModel` loads it, with the scale in its configuration.

    Args:
        config: the encoder's; its `dual_encoder`, where it has one, says how to pool.
        encoder: the encoder itself; None makes a random one.
    """

    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    # Which attention there is, the encoder itself decides.
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    def __init__(self, config: PretrainedConfig, encoder: PreTrainedModel | None = None) -> None:
        # The stock __init__ notes in the configuration an attention that this class has, and the encoder may lack.
        untouched = copy.deepcopy(config) if encoder is None else config
        super().__init__(config)
        self.encoder = _auto_class(config).from_config(untouched) if encoder is None else encoder
        self.config = self.encoder.config
        self.encoding = DualEncoding.of(config) or DualEncoding()
        self.configure(**asdict(self.encoding))

    def configure(self, **changes: Any) -> None:
        """Change how it pools, where the scale stands, or which directions count.

        Raises:
            StiltsError: a pooling that there is not, or the pooler of an encoder that has none.
        """
        encoding = replace(self.encoding, **changes)
        has_pooler = getattr(self.encoder, "pooler", None) is not None
        pooling = encoding.pooling or ("pooler" if has_pooler else "mean")
        if pooling not in ("pooler", "mean", "cls") or (pooling == "pooler" and not has_pooler):
            raise StiltsError(
                f"pooling is {pooling!r} for a {type(self.encoder).__name__}, which has {'a' if has_pooler else 'no'} "
                f"pooler. Expected {'pooler, ' if has_pooler else ''}mean or cls."
            )
        self.encoding = replace(encoding, pooling=pooling)
        if SCALE not in self._parameters:
            self.logit_scale = nn.Parameter(torch.tensor(float(encoding.logit_scale)))
        else:
            self.logit_scale.data.fill_(encoding.logit_scale)

    def forward(
        self,
        query_input_ids: Tensor,
        query_attention_mask: Tensor,
        candidate_input_ids: Tensor,
        candidate_attention_mask: Tensor,
        labels: Tensor | None = None,
    ) -> DualEncoderOutput:
        """Vectors of both sides, and the cross entropy of every query's cosines x scale against all candidates.

        In training the candidates of all processes are negatives, with their gradients; with gradient accumulation
        those of the micro-batch, as in XTREME-R's scripts.

        Args:
            query_input_ids: int64 (n, longest query).
            query_attention_mask: the same shape, 0 where padded.
            candidate_input_ids: int64 (n, longest candidate).
            candidate_attention_mask: the same shape, 0 where padded.
            labels: int64 (n,), the place of each query's candidate in the batch.
        """
        query = self.vectors(query_input_ids, query_attention_mask)
        candidate = self.vectors(candidate_input_ids, candidate_attention_mask)
        if labels is None:
            return DualEncoderOutput(query=query, candidate=candidate)
        loss = self._loss(query, candidate, labels)
        if self.encoding.both_directions:
            loss = (loss + self._loss(candidate, query, labels.argsort())) / 2
        return DualEncoderOutput(loss=loss, query=query, candidate=candidate)

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors of texts, float32 (n, d)."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        if self.encoding.pooling == "pooler":
            pooled = output.pooler_output
        elif self.encoding.pooling == "cls":
            pooled = output.last_hidden_state[:, 0]
        else:
            kept = attention_mask.unsqueeze(-1)
            pooled = (output.last_hidden_state * kept).sum(dim=1) / kept.sum(dim=1)
        return functional.normalize(pooled.float(), dim=-1)

    def _loss(self, one: Tensor, other: Tensor, labels: Tensor) -> Tensor:
        if self.training and dist.is_initialized() and dist.get_world_size() > 1:
            labels = labels + dist.get_rank() * len(other)
            other = _Gathered.apply(other)  # type: ignore[no-untyped-call]
        return functional.cross_entropy(self.logit_scale * (one @ other.T), labels)

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], state_dict: Mapping[str, Tensor] | None = None, **stock: Any
    ) -> None:
        """Write the encoder as a stock checkpoint; the scale and the pooling stand in `config.json`."""
        self.encoding = replace(self.encoding, logit_scale=self.logit_scale.item())
        stored = asdict(self.encoding)
        for name in ("query_prefix", "candidate_prefix"):
            if not stored[name]:  # which earlier versions do not know
                del stored[name]
        self.encoder.config.dual_encoder = stored
        if state_dict is not None:
            prefix = f"{self.base_model_prefix}."
            stock["state_dict"] = {
                name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)
            }
        self.encoder.save_pretrained(save_directory, **stock)

    def restore(self, folder: str | os.PathLike[str]) -> None:
        """Weights and scale of a checkpoint that `save_pretrained` wrote, into this very model."""
        saved = type(self.encoder).from_pretrained(folder, dtype=self.encoder.dtype)
        self.encoder.load_state_dict(saved.state_dict())
        self.configure(**asdict(DualEncoding.of(saved.config) or self.encoding))

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike[str], *, output_loading_info: bool = False, **stock: Any
    ) -> Any:  # the stock signature: with output_loading_info a pair
        """A stock encoder as a dual encoder; one that was never trained as such lacks the scale."""
        stock["trust_remote_code"] = False
        config = stock.pop("config", None) or AutoConfig.from_pretrained(
            source, revision=stock.get("revision"), trust_remote_code=False
        )
        encoder, info = _auto_class(config).from_pretrained(source, config=config, output_loading_info=True, **stock)
        if DualEncoding.of(config) is None:
            info["missing_keys"] = {*info["missing_keys"], SCALE}
        model = cls(encoder.config, encoder)
        return (model, info) if output_loading_info else model


def _auto_class(config: PretrainedConfig) -> Any:
    """Of T5's family the encoder alone; a checkpoint of that encoder no longer calls itself an encoder-decoder."""
    return AutoModelForTextEncoding if hasattr(config, "num_decoder_layers") else AutoModel


class _Gathered(torch.autograd.Function):
    """Rows of all processes in the order of their ranks; the gradient of every process comes back to the owner.

    Every process must bring as many rows as the others, which accelerate's training batches do.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]
