"""Which device computes, and what its processor multiplies fast. torch is imported where it is asked."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_SIZE, _ROUNDS = 256, 8  # the fastest round counts: others may share the processor
SLOW_BF16 = 1.3  # above what measuring varies by


def default_device() -> torch.device:
    """The accelerator that torch has here, as the stock Trainer chooses it (CUDA, XPU, Apple's MPS), else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return torch.device("xpu")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@lru_cache(maxsize=1)
def bf16_slowdown() -> float:
    """How many times longer the CPU takes for a bfloat16 linear layer than for a float32 one; measured once a process.

    Processors without bfloat16 (AVX2 alone, early AVX-512) take up to 60 times longer; a tenth of a second tells.
    """
    import torch

    seconds, threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other would be measured, too
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            rows, weights = torch.ones(_SIZE, _SIZE, dtype=dtype), torch.ones(_SIZE, _SIZE, dtype=dtype)
            torch.nn.functional.linear(rows, weights, weights[0])  # the first product prepares its kernel
            rounds = []
            for _ in range(_ROUNDS):
                begun = time.perf_counter()
                torch.nn.functional.linear(rows, weights, weights[0])
                rounds.append(time.perf_counter() - begun)
            seconds[dtype] = min(rounds)
    torch.set_num_threads(threads)
    return seconds[torch.bfloat16] / seconds[torch.float32]


def warn_of_slow_bf16(device_type: str, instead: str) -> None:
    """Say with the measured factor that bfloat16 is slow here; nothing on an accelerator.

    Args:
        device_type: of the device that computes, as `torch.device.type` spells it.
        instead: what to leave out or to type.
    """
    if device_type == "cpu" and (factor := bf16_slowdown()) > SLOW_BF16:
        logger.warning(
            "This processor multiplies bfloat16 %.0f times slower than float32 (measured). %s", factor, instead
        )
