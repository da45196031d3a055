"""What a Hugging Face Job does for one cell of a study: all that it needs and leaves is on the Hub.

    python -m hf_stilts.studies.job

Its environment names the commit of the results repository that has the order (`HF_STILTS_ORDERS`), the cell
(`HF_STILTS_CELL`) and, as a secret, the token (`HF_TOKEN`). Models of the cells that it needs are loaded from their
repositories; its own model goes to one, then its record into the results repository, which finishes the cell.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import PREDICTIONS, RESULTS
from hf_stilts.hub.checkpoints import read_record
from hf_stilts.studies import worker
from hf_stilts.studies.cells import Cell
from hf_stilts.studies.hub_jobs import CELL_VARIABLE, FILES, ORDERS, ORDERS_VARIABLE, RECORDS
from hf_stilts.studies.published import CELL, CellPublisher, load_published
from hf_stilts.studies.store import RECORD, CellStore

_CONFLICTS = (409, 412, 429, 500, 502, 503)  # of a commit beside those of other jobs
_TRIES = 10


def main() -> None:
    """Do the cell.

    Raises:
        StiltsError, or whatever stopped the cell: the job fails, and its log ends with it.
    """
    repository, _, commit = os.environ[ORDERS_VARIABLE].partition("@")
    name = os.environ[CELL_VARIABLE]
    api = HfApi()
    if api.file_exists(repository, f"{RECORDS}/{name}.json", repo_type="dataset"):
        sys.stdout.write(f"Cell {name} is finished already.\n")
        return
    path = api.hf_hub_download(repository, ORDERS, repo_type="dataset", revision=commit)
    orders = json.loads(Path(path).read_text(encoding="utf-8"))
    cell = Cell(**orders["cells"][name])
    sys.stdout.write(f"{cell.title}\n")
    if cell.identity != name:
        raise StiltsError(f"The order of cell {name} is of another one. Type the command of the study again.")
    if orders["data"] is not None:
        rows = api.snapshot_download(orders["data"], repo_type="dataset", revision=orders["data_commit"])
        cell = Cell(**{**orders["cells"][name], "call": {**cell.call, "data_dir": rows}})
    store = CellStore("study")
    starts = {need: _load(api, store, need, orders["names"][need]) for need in cell.needs}
    worker.load_libraries()
    number = store.claim(name)
    if number is None:
        raise StiltsError(f"Cell {name} is held by another process of this machine. Type the study's command again.")
    with store.holding(name, number):
        worker.do(store, cell, number)
    if name in orders["names"]:
        _publish(store, name, orders, list(starts.values()))
    _hand_in(api, store, repository, cell)


def _load(api: HfApi, store: CellStore, name: str, repository: str) -> tuple[str, str]:
    """Load the model of a cell that another job has trained; its repository and commit.

    Raises:
        StiltsError: the repository holds another cell's.
    """
    info = api.model_info(repository)
    record = read_record(api, repository, info)
    if record is None or record.recipe.get(CELL) != name:
        raise StiltsError(f"{repository} does not hold the model of cell {name}, as its record says it should.")
    folder = store.folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    load_published(folder, {"repo_id": repository, "commit": str(info.sha)}, api)
    return repository, str(info.sha)


def _publish(store: CellStore, name: str, orders: Mapping[str, Any], starts: Sequence[tuple[str, str]]) -> None:
    """Bring the trained model to its repository.

    Raises:
        StiltsError: it is not there.
    """
    publisher = CellPublisher(store, orders["names"], private=orders["private"])
    publisher.add(name, starts)
    failed = publisher.finish()
    if failed:
        raise StiltsError(f"The model of cell {name} is not published. {failed[name]}")


def _hand_in(api: HfApi, store: CellStore, repository: str, cell: Cell) -> None:
    """Commit the record of a cell, with the scores and predictions that belong to it."""
    folder = store.folder(cell.identity)
    operations = [CommitOperationAdd(f"{RECORDS}/{cell.identity}.json", folder / RECORD)]
    if cell.stage == "scores":
        packed = folder / "scores.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in [folder / RESULTS, *sorted((folder / PREDICTIONS).rglob("*.jsonl"))]:
                archive.write(path, path.relative_to(folder).as_posix())
        operations.append(CommitOperationAdd(f"{FILES}/{cell.identity}.zip", packed))
    for tried in range(_TRIES):
        try:
            api.create_commit(repository, operations, commit_message=cell.title[:200], repo_type="dataset")
            return
        except HfHubHTTPError as error:
            if error.response.status_code not in _CONFLICTS or tried == _TRIES - 1:
                raise
            time.sleep(2.0 * (tried + 1))


if __name__ == "__main__":
    main()
