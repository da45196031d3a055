"""Writes converted rows as a data set repository: Parquet and the card that names it, on this machine or on the Hub."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import CommitOperationAdd, DatasetCard, HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from hf_stilts.data.mirror import CARD, describe, read_card
from hf_stilts.data.source import mirror_root
from hf_stilts.files import write
from hf_stilts.languages import hub_codes
from hf_stilts.progress import progress_bars

if TYPE_CHECKING:
    from datasets import Dataset, DatasetInfo

RECORD = "converted"  # in a card: configuration -> what it was made from
_OURS = "<!-- written by: hf-stilts data build -->"


@dataclass(frozen=True)
class Config:
    """One configuration as it was converted: its splits, the languages in it, and what it was made from."""

    name: str | None
    splits: Mapping[str, Dataset]
    languages: tuple[str, ...]
    record: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Name in the card."""
        return self.name or "default"

    @property
    def folder(self) -> str:
        """Folder in the repository; the Hub's own writer calls that of a nameless configuration `data`."""
        return self.name or "data"

    def files(self) -> dict[str, str]:
        """Split -> its Parquet file, relative to the repository."""
        return {split: f"{self.folder}/{split}-00000-of-00001.parquet" for split in self.splits}


def write_parquet(config: Config, repository: Path) -> None:
    """Write the Parquet files of one configuration below a folder.

    Raises:
        StiltsError: the folder could not be read again (`mirror_root`).
    """
    mirror_root(repository)
    for split, file in config.files().items():
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        with progress_bars(config.splits[split].data.nbytes):
            config.splits[split].to_parquet(repository / file)


def update_card(card: DatasetCard, configs: list[Config], repository: Path, license: str, body: str) -> None:
    """Put configurations, whose Parquet lies below `repository`, into a card; a text that is not ours stays."""
    files = {}
    for each in configs:
        files[each.title] = {split: [f"{each.folder}/{split}-*"] for split in each.splits}
    describe(card, files, {each.title: _info(each, repository) for each in configs})
    record = {**(card.data.get(RECORD) or {}), **{each.title: dict(each.record) for each in configs}}
    card.data[RECORD] = dict(sorted(record.items()))
    languages = card.data.get("language") or []
    known = [languages] if isinstance(languages, str) else languages
    card.data["language"] = sorted({*known, *hub_codes(code for each in configs for code in each.languages)})
    card.data["license"] = card.data.get("license") or license
    if not card.text.strip() or _OURS in card.text:
        card.text = f"\n{_OURS}\n{body}\n{_table(card.data[RECORD])}"


def replace_folders(unfinished: Path, repository: Path, configs: list[Config]) -> None:
    """Move finished folders into the repository, each in place of its older self."""
    for folder in dict.fromkeys(each.folder for each in configs):
        old = unfinished / f"{folder}.old"
        if (repository / folder).exists():
            (repository / folder).replace(old)
        repository.mkdir(parents=True, exist_ok=True)
        (unfinished / folder).replace(repository / folder)
        if old.exists():
            shutil.rmtree(old)


def send(repository: Path, configs: list[Config], repo_id: str, license: str, body: str, *, private: bool) -> str:
    """Send configurations to a data set repository on the Hub in one commit; the commit's sha.

    What the repository already holds of other configurations stays in its card.
    """
    api = HfApi()
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    try:
        card = read_card(Path(hf_hub_download(repo_id, CARD, repo_type="dataset")))
    except EntryNotFoundError:
        card = read_card(None)
    update_card(card, configs, repository, license, body)
    files = [file for each in configs for file in each.files().values()]
    operations = [CommitOperationAdd(file, repository / file) for file in files]
    operations.append(CommitOperationAdd(CARD, str(card).encode()))
    titles = ", ".join(each.title for each in configs)
    commit = api.create_commit(repo_id, operations, commit_message=f"Convert {titles}", repo_type="dataset")
    return str(commit.oid)


def write_card(card: DatasetCard, repository: Path) -> None:
    """Write a repository's card, last of all: it is what makes its files visible."""
    write(repository / CARD, str(card))


def _info(config: Config, repository: Path) -> DatasetInfo:
    from datasets import DatasetInfo, SplitDict, SplitInfo

    sizes = {
        split: SplitInfo(split, num_bytes=rows.data.nbytes, num_examples=len(rows))
        for split, rows in config.splits.items()
    }
    return DatasetInfo(
        features=next(iter(config.splits.values())).features,
        splits=SplitDict(sizes),
        download_size=sum((repository / file).stat().st_size for file in config.files().values()),
        dataset_size=sum(size.num_bytes for size in sizes.values()),
    )


def _table(record: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| configuration | raw file | sha256 |", "|---|---|---|"]
    for config, made in record.items():
        for file, digest in made["raw"].items():
            lines.append(f"| {config} | `{file}` | `{digest}` |")
    return "\n".join([*lines, ""])
