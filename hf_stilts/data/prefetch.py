"""Copies what tasks read from the Hub into a mirror, for machines that have no network."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import DatasetCard, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from hf_stilts.data.mirror import CARD, describe, read_card
from hf_stilts.data.source import commit_of, config_of, hub_builder, reaching
from hf_stilts.files import write
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, load_task

if TYPE_CHECKING:
    from datasets import BuilderConfig


@dataclass(frozen=True)
class Prefetched:
    """What `prefetch` copied for one task: from which repository and commit, into which folder, how many bytes."""

    task: str
    dataset: str
    revision: str
    folder: Path
    files: tuple[str, ...]
    size: int


@dataclass(frozen=True, repr=False)
class PrefetchReport(Tabular):
    """What `prefetch` copied into a mirror: for the task itself, then for the tasks that train it."""

    mirror: Path
    parts: tuple[Prefetched, ...]

    def rows(self) -> list[dict[str, object]]:
        """One dictionary a task, for tables."""
        return [vars(part) | {"folder": str(part.folder), "files": len(part.files)} for part in self.parts]

    def __str__(self) -> str:
        return str(self.mirror)


def prefetch(task: Task | str, out: str | os.PathLike[str], languages: Iterable[str] | None = None) -> PrefetchReport:
    """Copy what a task reads, and the tasks that train it, from the Hub into a mirror, at the pinned commits.

    Args:
        task: a task or its name.
        out: the mirror; what it already holds of other tasks stays.
        languages: two-letter codes; all of the task's that the Hub has when None.

    Returns:
        What was copied, task by task.

    Raises:
        StiltsError, ConnectionError: as `load`. Files that have come stay, and a second call goes on from there; the
            card, which makes them visible to `load`, is written last.
    """
    task, mirror = load_task(task), Path(out).expanduser()
    wanted = tuple(languages or (code for code in task.languages if code not in task.built))
    own = [(source, wanted) for source in task.sources]
    trained_on = [(source, ("en",)) for name in task.train for source in load_task(name).sources]
    return PrefetchReport(mirror, tuple(_prefetch(source, mirror, codes) for source, codes in [*own, *trained_on]))


def _each_path(files: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """Paths of all configurations and splits."""
    for splits in files.values():
        for paths in splits.values():
            yield from paths


def _prefetch(task: Task, out: Path, languages: tuple[str, ...]) -> Prefetched:
    revision, folder = commit_of(task), out / task.dataset
    root = f"hf://datasets/{task.dataset}@{revision}/"
    files: dict[str, dict[str, list[str]]] = {}
    infos, options = {}, {}
    with reaching(task):
        configs = [config_of(task, language) for language in languages]
        if task.candidates is not None:
            configs.append(task.candidates)
        for config in dict.fromkeys(configs):
            builder = hub_builder(replace(task, revision=revision), config)
            if not builder.config.data_files:
                raise ConnectionError("only the cache of an earlier load was found, which is no copy of its files")
            name = config or builder.config.name
            files[name] = {}
            for split, found in builder.config.data_files.items():
                files[name][split] = [path.removeprefix(root) for path in found]
            infos[name] = builder.info
            options[name] = _reader_options(builder.config)
        paths = sorted(set(_each_path(files)))
        # Both the client and the card take patterns, and the name of a file may look like one.
        snapshot_download(
            task.dataset,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[glob.escape(path) for path in paths],
            local_dir=folder,
        )
        card = read_card(folder / CARD) if (folder / CARD).is_file() else _foreign_card(task, revision)
    patterns: dict[str, dict[str, list[str]]] = {}
    for name, splits in files.items():
        patterns[name] = {split: [glob.escape(path) for path in listed] for split, listed in splits.items()}
    describe(card, patterns, infos, options)
    write(folder / CARD, str(card))
    size = sum((folder / path).stat().st_size for path in paths)
    return Prefetched(task.name, task.dataset, revision, folder, tuple(paths), size)


def _reader_options(config: BuilderConfig) -> dict[str, Any]:
    """What the card gives to the reader of the files beside their names, such as `sep` of CSV."""
    from datasets import BuilderConfig

    every = {field.name for field in fields(BuilderConfig)}
    own = [field for field in fields(config) if field.name not in every]
    given = {field.name: getattr(config, field.name) for field in own}
    return {field.name: given[field.name] for field in own if given[field.name] != field.default}


def _foreign_card(task: Task, revision: str) -> DatasetCard:
    """The repository's own card, without the configurations: it names files that a mirror of a part does not have."""
    try:
        card = read_card(Path(hf_hub_download(task.dataset, CARD, repo_type="dataset", revision=revision)))
    except EntryNotFoundError:
        return read_card(None)
    card.data.pop("configs", None)
    card.data.pop("dataset_info", None)
    return card
