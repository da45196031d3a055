"""A mirror: folders on this machine that look as data set repositories on the Hub do, a card and the files it names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard

CARD = "README.md"
_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def digest(folder: Path, files: Iterable[Path]) -> str:
    """12 hex digits that change when a file or its name changes, and not when the folder moves."""
    found = hashlib.sha256()
    for path in sorted(files):
        name = path.resolve().relative_to(folder.resolve()).as_posix()
        found.update(f"{sha256(path)}  {name}\n".encode())
    return found.hexdigest()[:12]


def read_card(path: Path | None) -> DatasetCard:
    """Card of a repository; an empty one where there is none yet."""
    return DatasetCard(path.read_text(encoding="utf-8") if path and path.is_file() else "---\n{}\n---\n")


def describe(card: DatasetCard, files: Mapping[str, Mapping[str, list[str]]], infos: Mapping[str, DatasetInfo]) -> None:
    """Put configurations into a card, in place; those of other names stay as they are.

    Args:
        card: what `read_card` gave.
        files: configuration -> split -> paths or patterns relative to the repository.
        infos: configuration -> its features and sizes.
    """
    configs = {
        config: {"data_files": [{"split": split, "path": paths} for split, paths in splits.items()]}
        for config, splits in files.items()
    }
    MetadataConfigs(configs).to_dataset_card_data(card.data)
    DatasetInfosDict(infos).to_dataset_card_data(card.data)


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
