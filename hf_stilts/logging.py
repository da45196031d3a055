"""How much hf_stilts says of what it does, with the functions that transformers has for it. Standard library only.

By default it says on standard error what happens to weights and checkpoints (`12 tensors of the body come from ...`).
`HF_STILTS_VERBOSITY=warning` in the environment, or `set_verbosity_warning()`, leaves the warnings.

>>> from hf_stilts import logging
>>> logging.set_verbosity_warning()
>>> logging.get_verbosity() == logging.WARNING
True
>>> logging.set_verbosity_info()
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

__all__ = [
    *("CRITICAL", "DEBUG", "ERROR", "INFO", "WARNING", "beside_bars", "get_verbosity", "printable", "set_verbosity"),
    *("set_verbosity_debug", "set_verbosity_error", "set_verbosity_info", "set_verbosity_warning"),
]
VARIABLE = "HF_STILTS_VERBOSITY"
_LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR, "critical": CRITICAL}
_root = logging.getLogger("hf_stilts")
# What a terminal obeys instead of showing it: controls, and marks that turn the direction of what stands after them.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""A text of anybody (names, cards and records of a Hub) as a terminal may be given it: what it obeys is spelt out.

    >>> printable("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


@contextmanager
def beside_bars() -> Iterator[None]:
    """Within it, tqdm's progress bars are off the terminal; then they are drawn again below what was written."""
    tqdm = sys.modules.get("tqdm")
    if tqdm is None:
        yield
        return
    with tqdm.tqdm.external_write_mode(file=sys.stderr):
        yield


class _Handler(logging.Handler):
    """Writes to standard error as it is at the moment; a program that has set up logging writes for itself."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        try:
            with beside_bars():
                sys.stderr.write(f"{printable(self.format(record))}\n")
                sys.stderr.flush()
        except Exception:
            self.handleError(record)


def set_verbosity(level: int) -> None:
    """Say what is of this level or above it.

    Args:
        level: `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL` of this module, the numbers of the standard library.
    """
    _root.setLevel(level)


def get_verbosity() -> int:
    """Level from which on hf_stilts says what it does."""
    return _root.getEffectiveLevel()


def set_verbosity_debug() -> None:
    """Say everything."""
    set_verbosity(DEBUG)


def set_verbosity_info() -> None:
    """Say what happens to weights and checkpoints; the default."""
    set_verbosity(INFO)


def set_verbosity_warning() -> None:
    """Say warnings and errors."""
    set_verbosity(WARNING)


def set_verbosity_error() -> None:
    """Say errors."""
    set_verbosity(ERROR)


def _default_level() -> int:
    """Level that the environment asks for; of processes that train together the first alone says what it does."""
    wanted = os.environ.get(VARIABLE, "").lower()
    if wanted in _LEVELS:
        return _LEVELS[wanted]
    if wanted:
        sys.stderr.write(f"{VARIABLE} is {printable(wanted)!r}; expected one of {', '.join(_LEVELS)}. Taken: info.\n")
    return INFO if os.environ.get("RANK", "0") == "0" else WARNING


if not any(isinstance(handler, _Handler) for handler in _root.handlers):
    _root.addHandler(_Handler())
    if _root.level == logging.NOTSET:  # the program has chosen none before
        _root.setLevel(_default_level())
