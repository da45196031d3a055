"""Looks at the small files of a checkpoint before anything is built from them: whoever published it may mean harm.

Nothing in a checkpoint is run: its own code is refused, and weights are safetensors. What is left are sizes that no
model has, names that lead out of the repository, and files that nobody can read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import CONFIG_MAPPING

from hf_stilts.errors import StiltsError

# Chosen by us: more than ten times what any published encoder has.
_MOST_BYTES = 1 << 24
_MOST_BYTES_OF_AN_INDEX = 1 << 26
_MOST = (
    (re.compile("layer|depth"), 2_000),
    (re.compile("labels"), 1_000_000),
    (re.compile(r"size|dim|num_|^n_|heads|position|embed|^d_|^r$|rank|alpha|width|experts|groups|langs"), 20_000_000),
)
_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError)
_SHARD = re.compile(r"\w[\w.-]*\.(safetensors|bin)")


def check_config(file: Path, source: str) -> None:
    """Refuse a configuration that no model can have, before a model is built from it.

    Args:
        file: `config.json` or `adapter_config.json`.
        source: repository id or folder of the checkpoint that it belongs to.

    Raises:
        StiltsError: it is too large or no JSON object, a size is beyond every model, or it needs code of its own.
    """
    config = _read(file, source, _MOST_BYTES)
    for name, value, most in sizes_of(config):
        if abs(value) > most:
            raise StiltsError(
                f"{file.name} of {source} has {_short(name)} = {value:.3g}; at most {most:,} is expected. Nothing was "
                "loaded. Use another checkpoint."
            )
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise StiltsError(
            f"{source} needs code of its own (auto_map in {file.name}), and code of a checkpoint is never run. An "
            "architecture that transformers has is expected. Use another checkpoint."
        )


def shards_of(index: Path, source: str) -> list[str]:
    """Names of the files that a list of shards names, each once.

    Args:
        index: `model.safetensors.index.json`, or that of pickled weights.
        source: repository id or folder of the checkpoint that it belongs to.

    Raises:
        StiltsError: it is no list of shards, or one of them lies elsewhere.
    """
    named = _read(index, source, _MOST_BYTES_OF_AN_INDEX).get("weight_map")
    shards = list(named.values()) if isinstance(named, dict) else [named]
    names = [shard for shard in shards if isinstance(shard, str) and _SHARD.fullmatch(shard)]
    strange = [shard for shard in shards if shard not in names]
    if strange or not shards:
        raise StiltsError(
            f"{source}: {index.name} names {_short(strange[0]) if strange else 'nothing'} as a file of weights; the "
            "name of a file beside it is expected. Nothing was loaded. Use another checkpoint."
        )
    return sorted(set(names))


@contextmanager
def readable(source: str) -> Iterator[None]:
    """Around the loading of a checkpoint's files: what is wrong with them is said in one line.

    Raises:
        StiltsError: they cannot be loaded.
    """
    try:
        yield
    except (StiltsError, OSError):  # the stock message for a file that is not there says what to do
        raise
    except (*_UNREADABLE, StrictDataclassError, SafetensorError) as error:
        said = " ".join(str(error).split()) or "no message"
        raise StiltsError(
            f"{source} cannot be loaded ({type(error).__name__}: {said[:300]}). Whole files that transformers reads "
            "are expected. Use another checkpoint, or fetch it again."
        ) from error


def _read(file: Path, source: str, most: int) -> dict[str, Any]:
    try:
        size = file.stat().st_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes, more than {most:,}")
        found = json.loads(file.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"it is a {type(found).__name__}")
    except (ValueError, RecursionError) as error:
        raise StiltsError(
            f"{file.name} of {source} cannot be read ({error}); a JSON object is expected. Use another checkpoint."
        ) from error
    return found


def sizes_of(config: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Name, value and the most that is accepted of every size in a configuration, inside of lists and objects too."""
    unseen: list[tuple[str, Any]] = list(config.items())
    while unseen:  # no recursion: others chose the nesting
        name, value = unseen.pop()
        if isinstance(value, dict):
            unseen += [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            unseen += [(name, item) for item in value]
        elif isinstance(value, int) and not isinstance(value, bool):
            most = next((most for pattern, most in _MOST if pattern.search(name)), None)
            if most is not None:
                yield name, value, most


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else type(value).__name__
    return text if len(text) <= 100 else f"{text[:100]}..."
