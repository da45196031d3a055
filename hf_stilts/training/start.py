"""Where a training starts: `base` is a public model, `init` a published checkpoint, `model` an object as it is."""

from __future__ import annotations

import os
import warnings
from typing import Any

from hf_stilts.errors import StiltsError

DEFAULT_BASE = "FacebookAI/xlm-roberta-base"


def model_and_base(model: Any, base: Any, *, stacklevel: int = 3) -> tuple[Any, Any]:
    """`model=` and `base=` of a Trainer or a run, where `model=` may still name what is `base=` now.

    Args:
        model: a model object; a name or folder is taken for `base`, with a FutureWarning.
        base: repository id or folder of a public model, or a checkpoint that is open already.
        stacklevel: of the warning, so that it names the line of the user.

    Returns:
        Both, at most one of which is not None.

    Raises:
        StiltsError: both were given.
    """
    if model is not None and base is not None:
        raise StiltsError(
            f"model= was given beside base={base!r}; one of them is expected. base= names a public model, model= is a "
            "model object. Leave out one."
        )
    if isinstance(model, str | os.PathLike):
        warnings.warn(
            f"model={os.fspath(model)!r} names where the training starts. Pass base= for a public model, or init= of "
            "TargetTrainer for a published checkpoint; model= is for a model object.",
            FutureWarning,
            stacklevel=stacklevel,
        )
        model, base = None, model
    return model, os.fspath(base) if isinstance(base, os.PathLike) else base
