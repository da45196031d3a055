"""Puts the results of a study on the Hub: its tables as a dataset repository, with the report and the pictures."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from huggingface_hub import HfApi, RepoFile, constants, metadata_save
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils.sha import git_hash

from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256, write
from hf_stilts.hub.checkpoints import default_namespace
from hf_stilts.hub.existing_card import BEGIN_PUSHED, END, Existing, read_card
from hf_stilts.hub.naming import check_repo_id
from hf_stilts.studies.page import write_report
from hf_stilts.studies.pictures import study_pictures, write_pictures
from hf_stilts.studies.published import find_published
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.tables import StudyReport, as_markdown, study_report

CARD = "README.md"
_TAGS = ("hf_stilts", "stilts")
_FOLDERS = ("data/", "figures/")  # what is there and is not made again is deleted from the repository


@dataclass
class StudyPush:
    """What was pushed, or with `dry_run` would be.

    Attributes:
        repo_id: the dataset repository.
        tables: table -> number of its rows.
        changed: files that differ from what was there.
        missing: how many cells are not finished.
        checkpoints: title of a training cell -> its repository on the Hub.
        collection: slug of the collection of these repositories; None where there are none, or with `dry_run`.
    """

    repo_id: str
    tables: dict[str, int]
    changed: list[str] = field(default_factory=list)
    missing: int = 0
    checkpoints: dict[str, str] = field(default_factory=dict)
    collection: str | None = None


def push_study(
    study: str,
    output_dir: str | os.PathLike[str],
    namespace: str | None = None,
    *,
    private: bool = True,
    dry_run: bool = False,
    api: HfApi | None = None,
) -> StudyPush:
    """Push the results of a study: what is finished, with what is missing named on the card.

    The card links the checkpoints of its cells that are published in the namespace, and a collection has them all.
    The repository `<namespace>/<study>-results` has a Parquet file and a configuration for each table, `report.html`
    and, where matplotlib is installed, `figures/`. Pushing again commits only what changed, and keeps what people
    wrote on the card.

    Args:
        study: its name.
        output_dir: the folder it was run into.
        namespace: user or organisation; default: HF_STILTS_NAMESPACE, else the user whose token is used.
        private: whether a repository that is new is private.
        dry_run: ask the Hub what is there, and change nothing.
        api: client of the Hub.

    Raises:
        StiltsError: no scores are finished; nobody is logged in; no write access; the Hub does not answer.
    """
    api = api or HfApi()
    report = study_report(study, output_dir)
    name = f"{study.replace('_', '-')}-results"
    try:
        api.whoami()
        name = check_repo_id(f"{namespace or default_namespace(api)}/{name}")
        there = _existing(api, name)
        found = StudyPush(name, {table.name: len(table.rows) for table in report.tables}, missing=len(report.missing))
        found.checkpoints = _checkpoints(study, CellStore(output_dir), name.partition("/")[0], api)
        with tempfile.TemporaryDirectory() as folder:
            _write(report, Path(folder), there, found)
            found.changed = _changed(api, name, Path(folder))
            if found.changed and not dry_run:
                api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
                api.upload_folder(
                    repo_id=name,
                    repo_type="dataset",
                    folder_path=folder,
                    delete_patterns=[f"{each}*" for each in _FOLDERS],
                    commit_message=f"Results of {study}",
                )
        if found.checkpoints and not dry_run:
            found.collection = _collect(study, found, private, api)
    except LocalTokenNotFoundError as error:
        raise StiltsError(
            "Nobody is logged in, and a push needs a token with write access. Run: hf auth login"
        ) from error
    except HfHubHTTPError as error:
        raise StiltsError(_refused(name, error)) from error
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise StiltsError(
            f"The Hub at {api.endpoint or constants.ENDPOINT} does not answer ({error}), and a push needs it. Nothing "
            "is lost: type the same command when it answers, without HF_HUB_OFFLINE."
        ) from error
    return found


def _refused(name: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code if error.response is not None else None
    if status == 401:
        return "The Hub does not know this token; one with write access is expected. Run: hf auth login"
    if status == 403:
        return (
            f"The Hub refuses to write {name}: a token with write access to it is expected. Log in with one "
            "(hf auth login), or pass --namespace with your own name."
        )
    return f"The Hub refused {name}: {str(error).splitlines()[0]}. Type the same command again to go on."


def _existing(api: HfApi, name: str) -> Existing:
    """The card that is there, in parts; an empty one where there is none."""
    if not api.repo_exists(name, repo_type="dataset"):
        return Existing({})
    try:
        path = api.hf_hub_download(name, CARD, repo_type="dataset")
    except EntryNotFoundError:
        return Existing({})
    return read_card(Path(path).read_text(encoding="utf-8"), generated=False)


def _checkpoints(study: str, store: CellStore, namespace: str, api: HfApi) -> dict[str, str]:
    """Title -> repository, of the training cells of a study whose identity a `stilts.json` in the namespace states."""
    note = store.note(study)
    trainings = {name: about["title"] for name, about in note["cells"].items() if about["stage"] != "scores"}
    there = find_published(namespace, note["study"]["base"], trainings, api)
    return {title: there[name].repo_id for name, title in trainings.items() if name in there}


def _collect(study: str, found: StudyPush, private: bool, api: HfApi) -> str:
    """Put the checkpoints of a study, each once, and its results into a collection; its slug."""
    owner = found.repo_id.partition("/")[0]
    collection = api.create_collection(f"Study {study}"[:60], namespace=owner, private=private, exists_ok=True)
    api.add_collection_item(collection.slug, found.repo_id, "dataset", exists_ok=True)
    for title, repository in found.checkpoints.items():
        api.add_collection_item(collection.slug, repository, "model", note=title[:500], exists_ok=True)
    return str(collection.slug)


def _write(report: StudyReport, folder: Path, there: Existing, found: StudyPush) -> None:
    """Write all files of the repository."""
    (folder / "data").mkdir()
    for table in report.tables:
        pd.DataFrame(table.rows).to_parquet(folder / "data" / f"{table.name}.parquet", index=False)
    write_report(report, folder, ["html"])
    try:
        pictures = write_pictures(study_pictures(report), folder / "figures")
    except StiltsError:  # matplotlib is not installed
        pictures = []
    card = _card(report, found, pictures=bool(pictures))
    write(folder / CARD, f"{there.above}{BEGIN_PUSHED}\n{card}\n{END}{there.below}")
    configs: list[dict[str, str | bool]] = []
    for table in report.tables:
        configs.append({"config_name": table.name, "data_files": f"data/{table.name}.parquet"})
    configs[0]["default"] = True
    tags = there.metadata.get("tags") or []
    tags = tags if isinstance(tags, list) else [tags]
    joined = list(dict.fromkeys([*_TAGS, *tags]))
    metadata_save(folder / CARD, {**there.metadata, "configs": configs, "tags": joined})


def _card(report: StudyReport, found: StudyPush, *, pictures: bool) -> str:
    """The generated part of the card."""
    name = found.repo_id
    chosen = {table.name: table for table in report.tables}
    headline = chosen.get("gains") or chosen["scores"]
    parts = [f"# Results of the study {report.study}\n\n{report.description}"]
    parts.append(f"## {headline.title}\n\n{as_markdown(headline)}")
    drawn = " Pictures are in `figures/`." if pictures else ""
    load = f'```python\nfrom datasets import load_dataset\n\nload_dataset("{name}", "{headline.name}")\n```'
    parts.append(f"Each table is a configuration; `report.html` has them all on one page.{drawn}\n\n{load}")
    parts.append(
        "This part of the card is rewritten with every push of the study. Made with:\n\n"
        f"```bash\nhf-stilts study run {report.study}\nhf-stilts study push {report.study}\n```"
    )
    if found.checkpoints:
        lines = "\n".join(f"- {title}: [{each}](/{each})" for title, each in found.checkpoints.items())
        parts.append(f"## Checkpoints\n\n{lines}")
    if report.missing:
        lines = "\n".join(f"- {title}" for title in report.missing)
        parts.append(f"## Missing: {len(report.missing)} cells that are not finished\n\n{lines}")
    if report.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in report.notes))
    return "\n\n".join(parts)


def _changed(api: HfApi, name: str, folder: Path) -> list[str]:
    """Files that are not in the repository as they are in the folder, and those of ours that are there alone."""
    there: dict[str, RepoFile] = {}
    if api.repo_exists(name, repo_type="dataset"):
        for each in api.list_repo_tree(name, repo_type="dataset", recursive=True):
            if isinstance(each, RepoFile):
                there[each.path] = each
    made = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    changed = [file for file, path in sorted(made.items()) if file not in there or not _same(there[file], path)]
    return changed + [file for file in there if file not in made and file.startswith(_FOLDERS)]


def _same(there: RepoFile, path: Path) -> bool:
    """Whether a file of the repository has the bytes of a file here."""
    if there.lfs is not None:
        return bool(there.lfs.sha256 == sha256(path))
    return bool(there.blob_id == git_hash(path.read_bytes()))
