"""Checkpoints of a study's cells on the Hub: how they are named, which are there already, and publishing finished ones.

A published checkpoint says in its `stilts.json` which cell trained it (`recipe`: `study_cell`). Whoever has a cell of
the same identity uses it instead of training again.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
)
from huggingface_hub.hf_api import ModelInfo

from hf_stilts.errors import StiltsError
from hf_stilts.files import cut_weights, sha256
from hf_stilts.hub.checkpoints import read_record
from hf_stilts.hub.naming import check_repo_id, mixture_name, repo_id, search_tags
from hf_stilts.hub.record import RECORD_FILE, ParentModel, Record
from hf_stilts.publishing.outbox import FOLDER, Outbox, OutboxStatus, Pace, outbox_status, wait_for
from hf_stilts.studies.cells import Cell, Cells, short
from hf_stilts.studies.store import MODEL, CellStore

logger = logging.getLogger(__name__)

CELL = "study_cell"  # in the recipe of a record: identity of the cell
TRAINED = "trained_steps"  # the same: steps of the training, where the checkpoint is of an earlier one, the best
_WORKERS = 8  # requests at a time
_PATIENCE = Pace(patience=60.0)


@dataclass(frozen=True)
class Publishing:
    """That checkpoints of finished cells are published, and how.

    Args:
        namespace: user or organisation.
        private: make new repositories private.
        targets: also publish target models.
    """

    namespace: str
    private: bool = True
    targets: bool = False


@dataclass(frozen=True)
class PublishedCell:
    """A finished training of a cell on the Hub.

    Args:
        repo_id: repository; commit: the commit of `main` that holds it.
        by: who made that commit, as far as the Hub says.
        record: its `stilts.json`.
    """

    repo_id: str
    commit: str
    by: str
    record: Record

    def as_call(self) -> dict[str, str]:
        """What a worker needs to load it."""
        return {"repo_id": self.repo_id, "commit": self.commit, "by": self.by}


def published_names(found: Cells, namespace: str, *, targets: bool = False) -> dict[str, str]:
    """Identity of a training cell -> the repository that it is published to.

    An intermediate checkpoint has the name that `hf-stilts intermediate` gives it. Where several cells of the study
    would have the same, as arms that differ in the amount of data, each gets the beginning of its identity as well;
    a target model always does.

    Args:
        found: cells of the study.
        namespace: user or organisation.
        targets: also name target models.

    Raises:
        StiltsError: a name that the Hub does not allow.
    """
    plain = {name: _plain_name(cell, namespace) for name, cell in found.cells.items() if cell.stage == "intermediate"}
    times = Counter(plain.values())
    names = {}
    for name, cell in found.cells.items():
        if name in plain:
            names[name] = plain[name] if times[plain[name]] == 1 else check_repo_id(f"{plain[name]}-{name[:8]}")
        elif targets and cell.stage == "target":
            base = short(str(cell.call["base"][0]))
            names[name] = check_repo_id(f"{namespace}/{base}-stilts-{'.'.join(cell.spec['tasks'])}-{name[:8]}")
    return names


def _plain_name(cell: Cell, namespace: str) -> str:
    """Repository of an intermediate checkpoint, as `hf-stilts intermediate` names it."""
    tasks = list(cell.spec["tasks"])
    base = short(str(cell.call["base"][0]))
    if "merge" in cell.spec:  # as `hf-stilts merge` names it
        return repo_id(namespace, base, [f"{mixture_name(tasks)}-{cell.spec['merge']['how']}"], cell.call["seed"])
    if "soup" in cell.spec:  # as the matrix names it
        return repo_id(namespace, base, [f"{mixture_name(tasks)}-mean"], cell.call["seed"])
    options = cell.call["options"]
    rows: dict[str, int] = {}  # of a million, in each language
    for each in options.get("languages", "").split(","):
        code, _, share = each.partition("=")
        if code:
            rows[code] = round(float(share or 1) * 10**6)
    named = [mixture_name(tasks)] if options.get("mixture") else tasks
    with_text = bool(options.get("text_to_text")) and not options.get("mixture")
    adapter = bool(options.get("adapter"))
    return repo_id(namespace, base, named, cell.call["seed"], rows, adapter=adapter, text_to_text=with_text)


def find_published(
    namespace: str, bases: Iterable[str], wanted: Collection[str], api: HfApi | None = None
) -> dict[str, PublishedCell]:
    """Identity -> checkpoint, of the cells that anybody has published in a namespace.

    Args:
        namespace: user or organisation.
        bases: public models that the cells begin with; only repositories named after them are read.
        wanted: identities.
        api: client of the Hub.

    Raises:
        HTTPError, OfflineModeIsEnabled: the Hub does not answer.
    """
    if not wanted:
        return {}
    api = api or HfApi()
    starts = tuple(f"{namespace}/{short(base)}-stilts-" for base in bases)
    listed = api.list_models(filter=search_tags(), author=namespace, sort="last_modified", full=True)
    infos = [info for info in listed if info.id.startswith(starts)]
    found: dict[str, PublishedCell] = {}
    with ThreadPoolExecutor(_WORKERS) as pool:
        records = list(pool.map(lambda info: _record_of(api, info), infos))
    for info, record in zip(infos, records, strict=True):
        name = str(record.recipe.get(CELL)) if record else ""
        if record and name in wanted and name not in found:
            found[name] = PublishedCell(info.id, str(info.sha), _author(api, info), record)
    return found


def _record_of(api: HfApi, info: ModelInfo) -> Record | None:
    try:
        return read_record(api, info.id, info)
    except (
        StiltsError,
        HfHubHTTPError,
        RecursionError,
        OverflowError,
    ) as error:  # one that others wrote hides no other
        logger.warning("%s: %s", info.id, error)
        return None


def _author(api: HfApi, info: ModelInfo) -> str:
    """Who made the commit; the owner of the repository where the Hub names nobody."""
    commits = api.list_repo_commits(info.id, revision=info.sha)
    authors = commits[0].authors if commits else []
    return ", ".join(authors) or info.id.partition("/")[0]


def use_published(
    store: CellStore, found: Cells, namespace: str, api: HfApi | None = None
) -> tuple[dict[str, PublishedCell], str | None]:
    """Let the cells whose intermediate checkpoint is on the Hub load it instead of training.

    Args:
        store: cells that are finished there are left alone.
        found: cells of the study; those of which a checkpoint is there are replaced by ones that load it.
        namespace: whose checkpoints are looked through.
        api: client of the Hub.

    Returns:
        Those that were found; and why the Hub could not be asked, or None.
    """
    wanted = {name for name, cell in found.cells.items() if cell.stage == "intermediate" and not store.finished(name)}
    bases = {str(found.cells[name].call["base"][0]) for name in wanted}
    try:
        there = find_published(namespace, bases, wanted, api)
    except (HTTPError, OfflineModeIsEnabled) as error:
        return {}, f"The Hub was not asked for checkpoints of {namespace}: {str(error).splitlines()[0]}"
    for name, published in there.items():
        cell = found.cells[name]
        found.cells[name] = replace(cell, call={**cell.call, "published": published.as_call()})
    return there, None


def load_published(folder: Path, published: Mapping[str, str], api: HfApi | None = None) -> Record:
    """Load a checkpoint of a cell from the Hub into the cell's folder, every file compared with its record.

    Args:
        folder: of the cell.
        published: `repo_id` and `commit`.
        api: client of the Hub.

    Raises:
        StiltsError: the repository does not hold what its record says.
    """
    where = f"{published['repo_id']}@{published['commit']}"
    loading = folder / ".loading"
    shutil.rmtree(loading, ignore_errors=True)
    loader: Callable[..., Any] = api.snapshot_download if api else snapshot_download
    loader(published["repo_id"], revision=published["commit"], local_dir=loading, allow_patterns=[RECORD_FILE])
    record = Record.from_json((loading / RECORD_FILE).read_bytes())
    files = [*record.files, RECORD_FILE]
    loader(published["repo_id"], revision=published["commit"], local_dir=loading, allow_patterns=files)
    wrong = [name for name, digest in record.files.items() if not _is_whole(loading / name, digest)]
    if wrong or not any(loading.glob("*.safetensors")):
        raise StiltsError(
            f"{where} does not hold what its {RECORD_FILE} says ({', '.join(wrong) or 'no weights'}). Remove that "
            "repository, or leave out --namespace to train the cell here."
        )
    shutil.rmtree(loading / ".cache", ignore_errors=True)  # the client's notes on what it downloaded
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    loading.rename(folder / MODEL)
    return record


def _is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


class CellPublisher:
    """Brings the checkpoints of finished cells to the Hub, by the outbox of each model's folder.

    Args:
        store: where the cells lie.
        names: identity -> repository, of the cells to be published.
        private: make new repositories private.
        pace: how patient the upload workers are.
    """

    def __init__(
        self, store: CellStore, names: Mapping[str, str], *, private: bool = True, pace: Pace = _PATIENCE
    ) -> None:
        self.store, self.names, self.private, self.pace = store, names, private, pace
        self.begun: dict[str, Outbox] = {}
        self.broken: dict[str, str] = {}

    def add(self, name: str, starts: Sequence[tuple[str, str] | None] = ()) -> None:
        """Begin to publish a finished cell, unless that was done or it came from the Hub; does not wait.

        What cannot be published stops no study: `finish` says why.

        Args:
            name: identity of the cell.
            starts: repository and commit of the checkpoint of each cell that it needs, in their order; None for one
                that is not published.
        """
        record = self.store.record(name)
        model = self.store.folder(name) / MODEL
        if name not in self.names or record is None or "published" in record["result"]:
            return
        if not (model / RECORD_FILE).is_file() or cut_weights(model) is not None:
            self.broken[name] = f"{model} is not whole. To train it again: --redo-broken"
            return
        before = self.status(name)
        sent_there = [each for each in before.checkpoints if each.repo_id == self.names[name]] if before else []
        if before is not None and before.ok and sent_there:
            return
        try:
            said = self._described(name, starts)
        except StiltsError as error:
            self.broken[name] = str(error)
            return
        outbox = Outbox(
            model,
            self.names[name],
            private=self.private,
            record=said,
            pace=self.pace,
            resumed=bool(sent_there),
        )
        if not sent_there:
            outbox.add(model, said)
        outbox.close(wait=False)
        self.begun[name] = outbox

    def finish(self) -> dict[str, str]:
        """Wait until all that was begun is sent; identity -> what stopped those that are not."""
        failed, self.broken = self.broken, {}
        for name, outbox in self.begun.items():
            if outbox.worker is not None:
                wait_for(outbox.worker, outbox.folder, self.pace)
            status = self.status(name)
            if status is not None and not status.ok:
                failed[name] = str(status)
        self.begun.clear()
        return failed

    def status(self, name: str) -> OutboxStatus | None:
        """What became of the checkpoint of a cell; None where it was never begun to be published."""
        model = self.store.folder(name) / MODEL
        return outbox_status(model) if (model / FOLDER).is_dir() else None

    def where(self, name: str) -> tuple[str, str] | None:
        """Repository and commit of a cell's checkpoint, published from here or loaded from there; else None."""
        record = self.store.record(name)
        if record is not None and (published := record["result"].get("published")):
            return published["repo_id"], published["commit"]
        status = self.status(name)
        sent = [each for each in status.sent if each.commit] if status else []
        return (sent[-1].repo_id, str(sent[-1].commit)) if sent else None

    def _described(self, name: str, starts: Sequence[tuple[str, str] | None]) -> Record:
        """The record of a cell's final model, with the cell's identity and the step of its weights."""
        record = Record.from_json((self.store.folder(name) / MODEL / RECORD_FILE).read_bytes())
        recipe = {**record.recipe, CELL: name}
        best = recipe.pop("best_step", None)
        step = record.step
        if isinstance(best, int):
            recipe[TRAINED], step = step, best
        found = replace(record, recipe=recipe, step=step, files={})
        if record.merged_from:
            return replace(found, merged_from=_parents(record.merged_from, starts))
        parent = record.parent
        if starts and starts[0] is not None:
            parent = ParentModel(*starts[0], parent.license if parent else None)
        return replace(found, parent=parent)


def _parents(merged: Sequence[ParentModel], starts: Sequence[tuple[str, str] | None]) -> tuple[ParentModel, ...]:
    """What was merged, by the repositories of those that are published."""
    if len(starts) != len(merged):
        return tuple(merged)
    return tuple(ParentModel(*start) if start else own for own, start in zip(merged, starts, strict=True))
