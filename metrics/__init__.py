"""`evaluate` modules of what is scored here; each folder is also a complete Space; `metric_path` says where it is."""

import difflib
from pathlib import Path

__all__ = ["list_metrics", "metric_path"]


def list_metrics() -> list[str]:
    """Names of the modules in this folder, sorted.

    >>> "tatoeba_retrieval" in list_metrics()
    True
    """
    here = Path(__file__).parent
    return sorted(folder.name for folder in here.iterdir() if (folder / f"{folder.name}.py").is_file())


def metric_path(name: str) -> str:
    """Folder of a metric module, to hand to `evaluate.load`; works offline, from a checkout and from a wheel.

    >>> import evaluate
    >>> accuracy = evaluate.load(metric_path("tatoeba_retrieval"))
    >>> accuracy.compute(predictions=[0, 2], references=[0, 1])["accuracy"]
    0.5

    Args:
        name: one of `list_metrics()`.

    Raises:
        ValueError: no module has that name; the nearest name is suggested.
    """
    known = list_metrics()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"No metric is called {name!r}.{hint} Expected one of: {', '.join(known)}.")
    return str(Path(__file__).parent / name)
