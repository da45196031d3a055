"""A mirror: folders on this machine that look as data set repositories on the Hub do, a card and the files it names."""

from __future__ import annotations

import glob
import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from huggingface_hub import DatasetCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from hf_stilts.data.text_files import as_parquet, readable
from hf_stilts.files import sha256

if TYPE_CHECKING:
    from datasets import DatasetBuilder, DatasetInfo, Features
    from datasets.data_files import DataFilesList
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs


CARD = "README.md"
_SETTLED = 2_000_000_000  # nanoseconds: a tick of the coarsest clock that file systems have (FAT)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where PyYAML was built with it


@dataclass(frozen=True)
class Configuration:
    """What a repository of a mirror holds of one configuration: its files as they lie there now.

    `datasets.load_dataset_builder(folder)` would say the same, but resolves every configuration of the card anew each
    time, prepares all splits where one is wanted, and keys its cache by the folder's name and the card alone: an edited
    file, or a second mirror, would give the old rows.

    Attributes:
        folder: the repository.
        name: of the configuration.
        files: split -> its files, absolute, all of one format.
        features: types that the card gives; None where the files say them.
        options: what else the card gives to the reader of the files, such as `sep` of CSV.
    """

    folder: Path
    name: str
    files: Mapping[str, DataFilesList]
    features: Features | None
    options: Mapping[str, Any]

    @property
    def revision(self) -> str:
        """`mirror:` and 12 hex digits of the files' content."""
        return f"mirror:{digest(self.folder, [Path(file) for files in self.files.values() for file in files])}"

    def builder(self, split: str, *, stream: bool = False) -> DatasetBuilder:
        """What reads one split; unless it only streams, its cache is keyed by the content of the files."""
        from datasets import DatasetInfo
        from datasets.data_files import DataFilesDict, DataFilesList
        from datasets.load import import_main_class, infer_module_for_data_files_list
        from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

        files = self.files[split]
        module, defaults = infer_module_for_data_files_list(files)
        options = {**defaults, **self.options}
        content = "stream" if stream else f"{digest(self.folder, map(Path, files))} {self.features}"
        size = sum(os.path.getsize(file) for file in files)
        if readable(files, module, options):
            key = f"2 {digest(self.folder, map(Path, files))} {module} {sorted(options.items())} {self.features}"
            table = as_parquet(files, module, options, self.features, hashlib.sha256(key.encode()).hexdigest()[:32])
            files, module, options = DataFilesList([table], []), "parquet", {}
        reader = import_main_class(_PACKAGED_DATASETS_MODULES[module][0])
        return reader(
            dataset_name=self.folder.name,
            config_name=self.name,
            hash=hashlib.sha256(content.encode()).hexdigest(),
            info=DatasetInfo(features=self.features and self.features.copy(), download_size=size),
            data_files=DataFilesDict({split: files}),
            **{key: value for key, value in options.items() if hasattr(reader.BUILDER_CONFIG_CLASS, key)},
        )


def read_configuration(folder: Path, name: str | None) -> Configuration:
    """A configuration by name, or the default one.

    Raises:
        FileNotFoundError: the card does not name it, or a file that it names is not there.
        ValueError: the card cannot be understood.
    """
    from datasets.data_files import get_data_patterns, sanitize_patterns
    from datasets.utils.metadata import MetadataConfigs

    card = folder / CARD
    configs, infos = _parse(card.read_text(encoding="utf-8-sig") if card.is_file() else "")
    if not configs:  # then the files are known by their names and places, as on the Hub
        configs = MetadataConfigs({next(iter(infos)) if len(infos) == 1 else "default": {}})
    name = name or configs.get_default_config_name()
    if name not in configs:
        raise FileNotFoundError(f"the card names {shortened(configs)}")
    options = dict(configs[name])
    base = (folder / (options.pop("data_dir", None) or "")).resolve().as_posix()
    base = glob.escape(base)  # `run[1]` is that folder, and not `run1`
    listed = options.pop("data_files", None)
    patterns = sanitize_patterns(listed) if listed else get_data_patterns(base)
    files = {split: found for split, each in patterns.items() if (found := _resolve(each, base))}
    if not files:
        raise FileNotFoundError(f"no file there matches {listed}")
    known = {key: value for key, value in options.items() if key not in ("default", "description")}
    return Configuration(folder, name, files, infos[name].features if name in infos else None, known)


def shortened(names: Iterable[str], most: int = 5) -> str:
    """The first names of many, for a message, and how many there are besides.

    >>> shortened(["de", "en"]), shortened("abcdefgh")
    ('de, en', 'a, b, c, d, e and 3 more')
    """
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def digest(folder: Path, files: Iterable[Path]) -> str:
    """12 hex digits that change when a file or its name changes, and not when the folder moves."""
    found, root = hashlib.sha256(), folder.resolve()
    for path in sorted(files):
        name = Path(os.path.relpath(path, root)).as_posix()
        found.update(f"{_known_sha256(path)}  {name}\n".encode())
    return found.hexdigest()[:12]


def read_card(path: Path | None) -> DatasetCard:
    """Card of a repository; an empty one where there is none yet."""
    return DatasetCard(path.read_text(encoding="utf-8-sig") if path and path.is_file() else "---\n{}\n---\n")


def describe(
    card: DatasetCard,
    files: Mapping[str, Mapping[str, list[str]]],
    infos: Mapping[str, DatasetInfo],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Put configurations into a card, in place; those of other names stay as they are.

    Args:
        card: what `read_card` gave.
        files: configuration -> split -> paths or patterns relative to the repository.
        infos: configuration -> its features and sizes.
        options: configuration -> what else the reader of its files is given.
    """
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    configs = {}
    for config, splits in files.items():
        configs[config] = dict(options[config]) if options else {}
        configs[config]["data_files"] = [{"split": split, "path": paths} for split, paths in splits.items()]
    MetadataConfigs(configs).to_dataset_card_data(card.data)
    DatasetInfosDict(infos).to_dataset_card_data(card.data)


@lru_cache(maxsize=32)
def _parse(card: str) -> tuple[MetadataConfigs, DatasetInfosDict]:
    """Configurations of a card, and their features; cached by its whole text, so that no edit can be missed."""
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    block = REGEX_YAML_BLOCK.search(card)
    try:
        data = (yaml.load(block.group(2), Loader=_Loader) if block else None) or {}
        return MetadataConfigs.from_dataset_card_data(data), DatasetInfosDict.from_dataset_card_data(data)
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise ValueError(f"the YAML of its {CARD} cannot be understood ({' '.join(str(error).split())})") from error


def _resolve(patterns: Iterable[str], base: str) -> DataFilesList:
    """Files of a split, without those of other formats that lie beside them; a file that is named must be there."""
    from datasets.data_files import DataFilesList, resolve_pattern
    from datasets.load import infer_module_for_data_files_list
    from datasets.packaged_modules import _MODULE_TO_EXTENSIONS

    found: list[str] = []
    for pattern in patterns:
        try:
            found += resolve_pattern(pattern, base)
        except FileNotFoundError:
            if not glob.has_magic(pattern):
                raise
    module, _ = infer_module_for_data_files_list(found)
    # No origin metadata: `datasets` would key its cache by the time of modification, where we have the content.
    return (
        DataFilesList(found, []).filter(extensions=_MODULE_TO_EXTENSIONS[module]) if module else DataFilesList([], [])
    )


def _known_sha256(path: Path) -> str:
    """`sha256`, once a process for a file that lies still."""
    stat = path.stat()
    # Who edits a file can set its modification time back, but not the time of its last change. A file that changed just
    # now may change again within the same tick of the clock, so nothing of it is cached.
    if time.time_ns() - stat.st_ctime_ns < _SETTLED:
        return sha256(path)
    return _cached_text(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=4096)
def _cached_text(path: Path, *stamp: int) -> str:
    return sha256(path)
