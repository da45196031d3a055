"""The processes that evaluate together under `torchrun`: who of them this is, and who writes."""

from __future__ import annotations

from accelerate import PartialState

from hf_stilts.devices import default_device


def processes() -> PartialState:
    """State of the processes; accelerate only sees those of a machine without GPU when it is told that there is none.

    >>> processes().is_main_process, processes().num_processes
    (True, 1)
    """
    return PartialState() if PartialState._shared_state else PartialState(cpu=default_device().type == "cpu")
