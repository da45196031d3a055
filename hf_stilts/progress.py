"""Keeps the progress bars of `datasets` for people who wait: on a terminal, and for work that takes a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

CONVERTED, TOKENISED = 32 << 20, 4 << 20  # bytes a second on a machine of today


@contextmanager
def progress_bars(size: int | None, rate: int = CONVERTED) -> Iterator[None]:
    """Within it, `datasets` shows bars if stderr is a terminal and `size` is large; then the caller's setting is back.

    Args:
        size: bytes to be worked on; None if that is not known, and may be many.
        rate: so many of them take about a second.
    """
    import datasets

    wanted = sys.stderr.isatty() and (size is None or size >= rate)
    if wanted or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
