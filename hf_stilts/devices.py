"""Which device computes, and what its processor multiplies fast. torch is imported where it is asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hf_stilts.files import write_json

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_SIZE, _ROUNDS = 256, 8  # the fastest round counts: others may share the processor
SLOW_BF16 = 1.3  # above what measuring varies by
AMPERE = 8  # compute capability of the first NVIDIA GPUs with bfloat16; earlier ones emulate it


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


def bf16_slowdown() -> float:
    """How many times longer the CPU takes for a bfloat16 linear layer than for a float32 one; see `slowdowns`."""
    return slowdowns()["bf16"]


@lru_cache(maxsize=1)
def slowdowns() -> dict[str, float]:
    """How many times longer the CPU takes for a product in "bf16" and in "int8" than in float32.

    Processors without bfloat16 (AVX2 alone, early AVX-512) take up to 60 times longer; a tenth of a second tells.
    Measured once for a kind of processor and a version of torch, and kept in the cache folder, so that all processes
    on a machine choose alike. A cache folder that cannot be written to is no error: then it is once a process.
    """
    kept = _measured_file()
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        return {name: float(found[name]) for name in ("bf16", "int8")}
    except (OSError, ValueError, KeyError, TypeError):  # not measured yet, or no file of ours
        found = _measure()
    with contextlib.suppress(OSError):
        write_json(kept, found)
    return found


def _measure() -> dict[str, float]:
    """Seconds of a product in bfloat16 and in int8, each divided by those in float32, on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other would be measured, too
    try:
        seconds = {}
        for dtype in (torch.float32, torch.bfloat16, torch.int8):
            rows = torch.ones(_SIZE, _SIZE, dtype=dtype)
            seconds[dtype] = _fastest(rows, rows.clone())
    finally:
        torch.set_num_threads(threads)
    exact = seconds[torch.float32]
    return {"bf16": seconds[torch.bfloat16] / exact, "int8": seconds[torch.int8] / exact}


def _fastest(rows: torch.Tensor, weights: torch.Tensor) -> float:
    """Seconds of the fastest of a few products of rows (n, d) and weights (o, d)."""
    import torch

    def multiply() -> None:
        if rows.dtype == torch.int8:
            torch._int_mm(rows, weights.T)
        else:
            torch.nn.functional.linear(rows, weights, weights[0])

    rounds = []
    with torch.inference_mode():
        multiply()  # the first product prepares its kernel
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            multiply()
            rounds.append(time.perf_counter() - begun)
    return min(rounds)


def _measured_file() -> Path:
    """Where the measured factors of this processor are kept."""
    import torch
    from huggingface_hub import constants

    found = [platform.machine(), platform.processor(), torch.__version__]
    with contextlib.suppress(OSError):  # Linux alone has it
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        found += [line for line in lines if line.startswith(("vendor_id", "cpu family", "model", "stepping", "flags"))]
    name = hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]
    return Path(constants.HF_ASSETS_CACHE) / "hf_stilts" / "processors" / f"{name}.json"


def bf16_is_faster(device: torch.device) -> bool:
    """Whether a device clearly gains by bfloat16: a processor by measuring, an NVIDIA GPU from Ampere on; else no."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= AMPERE
    return device.type == "cpu" and bf16_slowdown() * SLOW_BF16 < 1


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


def warn_of_slow_int8(instead: str) -> None:
    """Say with the measured factor that int8 is slow on this processor.

    Args:
        instead: what to leave out or to type.
    """
    factor = slowdowns()["int8"]
    if factor > 1:
        logger.warning("This processor multiplies int8 %.1f times slower than float32 (measured). %s", factor, instead)
