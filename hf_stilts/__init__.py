"""Intermediate-task training (STILTs) across languages on the stock Hugging Face stack.

Importing this package imports neither torch nor transformers: each public name, listed in `__init__.pyi`,
is loaded from its module when it is first used.
"""

import lazy_loader

from hf_stilts import logging as logging

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0.dev0"
