"""Find published checkpoints by name, list them, walk their lineage, and check that they are still unchanged."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_url, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoFile
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)

from hf_stilts.errors import StiltsError, nearest, refuse_misspelt
from hf_stilts.files import cut_weights, sha256, write
from hf_stilts.hub.naming import ADAPTER_SUFFIX, TEXT_SUFFIX, repo_id, search_tags, step_of
from hf_stilts.hub.record import MOST_BYTES, RECORD_FILE, ParentModel, Record
from hf_stilts.languages import did_you_mean_language, is_language
from hf_stilts.tabular import Tabular
from hf_stilts.task import list_tasks

logger = logging.getLogger(__name__)

# No part begins with a point: `./mnli` and `../mnli` are folders, there or not.
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_COMMIT = re.compile("[0-9a-f]{40}")
# Files of which a checkpoint has one at least, whatever else it is made of.
_TELLING = ("config.json", "adapter_config.json", RECORD_FILE)


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint, or a local folder: `from_pretrained(repo_id, revision=commit)` loads it.

    Args:
        repo_id: repository on the Hub, or the path of a local folder.
        revision: the tag, branch or commit that was asked for; None for `main` or a folder.
        commit: what that was when it was looked up; None for a folder.
        record: its `stilts.json`; None where it has none.
        files: what it holds at that commit, by path; None for a folder, whose files are on the disk.
    """

    repo_id: str
    revision: str | None = None
    commit: str | None = None
    record: Record | None = field(default=None, repr=False)
    files: frozenset[str] | None = field(default=None, repr=False, compare=False)

    def row(self) -> dict[str, str | int | list[str] | None]:
        """Return what a table of checkpoints shows."""
        record = self.record or Record()
        return {
            "name": self.repo_id,
            "tasks": list(record.task_names),
            "phase": record.phase if self.record else None,
            "base": record.parent.id if record.parent else None,
            "languages": list(record.languages),
            "step": record.step if self.record else None,
            "commit": self.commit,
        }


class CheckpointList(list[Checkpoint], Tabular):
    """Checkpoints as a list that a notebook shows as a table."""

    __repr__ = Tabular.__repr__

    def rows(self) -> list[dict[str, str | int | list[str] | None]]:
        """One dictionary a checkpoint."""
        return [each.row() for each in self]


@dataclass(frozen=True, repr=False)
class Verification(Tabular):
    """What `verify` found: files alike, files that differ or are gone, and whether there was anything to compare."""

    checkpoint: Checkpoint
    alike: tuple[str, ...]
    different: tuple[str, ...]
    missing: tuple[str, ...]

    def rows(self) -> list[dict[str, str]]:
        """One dictionary a file, with its state."""
        found = {"unchanged": self.alike, "differs": self.different, "missing": self.missing}
        return [{"file": file, "state": state} for state, files in found.items() for file in files]

    @property
    def ok(self) -> bool:
        """Whether every file that was published is there, unchanged."""
        return bool(self.alike) and not self.different and not self.missing


def resolve(
    name: str,
    base: str | None = None,
    namespace: str | None = None,
    seed: int | None = None,
    api: HfApi | None = None,
    *,
    to_load: bool = True,
) -> Checkpoint:
    """Turn a name into one checkpoint, pinned to a commit.

    Args:
        name: a task (`mnli`), a task at a step (`mnli@step-2000`), a repository with or without a revision
            (`org/model@main`), or a local folder.
        base: model that it was trained from; needed where several were trained on the same task.
        namespace: whose. Default: the environment's HF_STILTS_NAMESPACE, else the user's own.
        seed: the run's seed. Default: 42, or the only one there is. An adapter's repository is `mnli-adapter`; `mnli`
            finds it, too, where there is nothing else.
        api: client of the Hub.
        to_load: whether its weights will be loaded by that commit: the cache then notes which commit the name is, so
            that the name finds them without a network, here and in stock `from_pretrained`.

    Raises StiltsError, naming what exists and what is nearest, where there is no such checkpoint. Without a network,
    what was resolved and loaded before is found in the cache.
    """
    if Path(name).is_dir():
        return _local(Path(name))
    api = api or HfApi()
    wanted, _, revision = name.partition("@")
    check_name(wanted)
    try:
        if "/" not in wanted and wanted not in list_tasks() and api.repo_exists(wanted):  # bert-base-multilingual-cased
            return _with_record(api, _on_the_hub(api, wanted, revision or None, to_load))
        if "/" not in wanted:
            wanted = _by_task(api, wanted, base, namespace or default_namespace(api), seed)
        return _with_record(api, _on_the_hub(api, wanted, revision or None, to_load))
    except HfHubHTTPError:
        raise
    except (HTTPError, OfflineModeIsEnabled) as error:
        logger.info("The Hub cannot be reached (%s); looking for %s in the cache.", error, name)
        if _is_task(wanted):
            wanted = _cached_task(Path(constants.HF_HUB_CACHE), wanted, base, namespace, seed)
        found, folder = _in_the_cache(wanted, revision or None)
        return replace(found, record=_local(folder).record)


def locate(name: str, revision: str | None = None, api: HfApi | None = None) -> Checkpoint:
    """A repository by its id, or a folder, as it is now; unlike `resolve` it knows no tasks and reads no record.

    Args:
        name: repository id or folder.
        revision: commit, tag or branch; None for `main`.
        api: client of the Hub.

    Raises:
        StiltsError: there is no such repository or revision; or there is no network, and it is not in the cache.
    """
    if Path(name).is_dir():
        return Checkpoint(name)
    api = api or HfApi()
    try:
        return _on_the_hub(api, name, revision, to_load=True)
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        reason: Exception = error
    except (HTTPError, OfflineModeIsEnabled) as error:
        reason = error
    logger.info("The Hub cannot be reached (%s); looking for %s in the cache.", reason, name)
    return _in_the_cache(name, revision)[0]


def check_name(name: str) -> None:
    """Refuse what is neither a folder nor spelt as the Hub spells names; the Hub's client says less of it.

    Raises:
        StiltsError: it is neither; or it is a folder whose weights are cut short.
    """
    if Path(name).is_dir() and (wrong := cut_weights(Path(name))):
        raise StiltsError(
            f"{name} cannot be loaded: {wrong}. Whole weights are expected. Use another checkpoint, or copy it again; "
            "to have its training write it again, type that command with --resume auto."
        )
    if not Path(name).is_dir() and not _HUB_NAME.fullmatch(name):
        raise StiltsError(
            f"{name} is neither a folder here nor a name on the Hub. Expected a folder, a repository id (org/model), "
            "or a task (mnli, mnli@step-2000). To see what is published: hf-stilts checkpoints"
        )


def _on_the_hub(api: HfApi, name: str, revision: str | None, to_load: bool) -> Checkpoint:
    try:
        info = api.model_info(name, revision=revision)
        if to_load and (commit := _noted_commit(api, name, info, revision)) not in (None, info.sha):
            info = api.model_info(name, revision=commit)  # it has moved in between
    except RevisionNotFoundError as error:
        raise StiltsError(_unknown_revision(api, name, str(revision))) from error
    except RepositoryNotFoundError as error:
        raise StiltsError(_unknown_repository(api, name)) from error
    return Checkpoint(name, revision, info.sha, files=frozenset(file.rfilename for file in info.siblings or ()))


def _with_record(api: HfApi, found: Checkpoint) -> Checkpoint:
    return replace(found, record=_fetched_record(api, found.repo_id, found.commit, found.files))


def _noted_commit(api: HfApi, name: str, info: ModelInfo, revision: str | None) -> str | None:
    """Let the stock client note in its cache which commit a branch or tag is: it does so for a file asked by that name.

    Returns:
        The commit; None where the repository holds no configuration, and so nothing to load.
    """
    there = {file.rfilename for file in info.siblings or ()}
    file = next((file for file in _TELLING if file in there), None)
    return Path(api.hf_hub_download(name, file, revision=revision)).parent.name if file else None


def _is_task(name: str) -> bool:
    """Whether a name is a task's and not a repository's, as far as the cache tells."""
    cached = Path(constants.HF_HUB_CACHE) / f"models--{name}"
    return "/" not in name and (name in list_tasks() or not cached.is_dir())


def _in_the_cache(name: str, revision: str | None) -> tuple[Checkpoint, Path]:
    """A repository as the cache has it, and the folder where it lies there."""
    cache = Path(constants.HF_HUB_CACHE)
    try:
        # Without a pattern the client wants the whole repository, of which a load needs a part.
        snapshot = Path(snapshot_download(name, revision=revision, allow_patterns=[*_TELLING], local_files_only=True))
    except LocalEntryNotFoundError as error:
        commits = sorted(each.name for each in (cache / f"models--{name.replace('/', '--')}/snapshots").glob("*"))
        there = f"It has {', '.join(f'{name}@{commit}' for commit in commits)}, which you can name. " if commits else ""
        raise StiltsError(
            f"There is no folder {name} here, no network, and {name}@{revision or 'main'} is not in the cache. "
            f"{there}Correct the folder, or load it once with a network."
        ) from error
    files = frozenset(path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file())
    return Checkpoint(name, revision, snapshot.name, files=files), snapshot


def _cached_task(cache: Path, task: str, base: str | None, namespace: str | None, seed: int | None) -> str:
    """The one repository in the cache that a task's name means, by the rules of `_by_task`."""
    owner = namespace or os.environ.get("HF_STILTS_NAMESPACE") or "*"
    everything = sorted(
        folder.name.removeprefix("models--").replace("--", "/", 1) for folder in cache.glob(f"models--{owner}--*")
    )
    ending = _ending("*", task, seed).lstrip("*")
    found = [name for name in everything if name.endswith(f"/{repo_id(None, base, [task], seed)}" if base else ending)]
    if not found and base is None:
        found = _others(task, everything)
    if len(found) != 1:
        there = f"the cache has {', '.join(found)}" if found else "the cache has none"
        raise StiltsError(f"There is no network, and for the task {task!r} {there}. Pass a whole repository id.")
    return found[0]


def _ending(base: str, task: str, seed: int | None) -> str:
    return repo_id(None, base, [task], seed) if base != "*" else "*" + repo_id(None, "x", [task], seed)[1:]


def default_namespace(api: HfApi) -> str:
    """Return HF_STILTS_NAMESPACE from the environment, else the user whose token is used."""
    try:
        return os.environ.get("HF_STILTS_NAMESPACE") or str(api.whoami()["name"])
    except LocalTokenNotFoundError as error:
        raise StiltsError(
            "Whose checkpoint is meant? No namespace was given and nobody is logged in. Write the whole name "
            "(org/model), pass --namespace where the command has it, set HF_STILTS_NAMESPACE, or run: hf auth login"
        ) from error


def list_checkpoints(
    base: str | None = None,
    task: str | None = None,
    language: str | None = None,
    phase: str | None = None,
    namespace: str | None = None,
    api: HfApi | None = None,
) -> CheckpointList:
    """List what is published, one entry a repository at `main`, newest first; the Hub's own tags are the index.

    The list has `to_pandas()`, and a notebook shows it as a table.

    Args:
        base: id of the model they were trained from (`FacebookAI/xlm-roberta-base`).
        task: task they were trained on.
        language: code of a language they were trained in.
        phase: `pretraining`, `intermediate` or `target`.
        namespace: whose; None asks for everybody's.
        api: client of the Hub.

    Returns:
        A list of `Checkpoint`: `repo_id`, `commit` and `record`. A repository whose record cannot be read is there
        without one, and a warning says why.
    """
    api = api or HfApi()
    tags = search_tags(phase, [task] if task else [])
    if base:
        tags.append(f"base_model:{base}")
    if language:
        tags.append(language)
    found = CheckpointList()
    for info in api.list_models(filter=tags, author=namespace, sort="last_modified", full=True):
        try:
            record = read_record(api, info.id, info)
        except (
            StiltsError,
            HfHubHTTPError,
            RecursionError,
            OverflowError,
        ) as error:  # one that others wrote hides no other
            logger.warning("%s: %s", info.id, error)
            record = None
        found.append(Checkpoint(info.id, None, info.sha, record))
    return found


def why_nothing(
    base: str | None, task: str | None, language: str | None, namespace: str | None, api: HfApi | None = None
) -> str:
    """What was searched by `list_checkpoints` with these filters, which found nothing, as a sentence.

    Raises:
        StiltsError: a filter is spelt almost like a name that there is, or is no language.
    """
    api = api or HfApi()
    everywhere = list_checkpoints(api=api)
    records = [each.record for each in everywhere if each.record is not None]
    tasks = {*list_tasks(), *(name for record in records for name in record.task_names)}
    languages = {code for record in records for code in record.languages}
    refuse_misspelt({"--task": task}, {"--task": tasks})
    refuse_misspelt_origin(
        base, namespace, {record.parent.id for record in records if record.parent}, owners(everywhere), api
    )
    if language is not None and language not in languages and not is_language(language):
        raise StiltsError(f"--language {language} is no language code. {did_you_mean_language(language)}")
    filters = {"--base": base, "--task": task, "--language": language, "--namespace": namespace}
    given = " ".join(f"{flag} {value}" for flag, value in filters.items() if value is not None)
    searched = f"{len(everywhere)} checkpoints of hf_stilts at {api.endpoint}"
    return f"No published checkpoint matches {given}; searched: {searched}." if given else f"Searched: {searched}."


def owners(checkpoints: Iterable[Checkpoint]) -> set[str]:
    """Users and organisations whose checkpoints these are."""
    return {each.repo_id.partition("/")[0] for each in checkpoints}


def refuse_misspelt_origin(
    base: str | None, namespace: str | None, bases: Iterable[str], namespaces: Iterable[str], api: HfApi
) -> None:
    """Refuse a base or a namespace by which nothing was found, where it is spelt almost like one that there is.

    Args:
        base: as of `list_checkpoints`. A model that the Hub has is not misspelt: nothing was trained from it.
        namespace: as of `list_checkpoints`.
        bases: those that something was trained from.
        namespaces: those that something is published in.
        api: client of the Hub.

    Raises:
        StiltsError: one is; the nearest is in the message.
    """
    if base is not None and ("/" not in base or not api.repo_exists(base)):
        refuse_misspelt({"--base": base}, {"--base": bases})
    refuse_misspelt({"--namespace": namespace}, {"--namespace": namespaces})


def collect(title: str, names: list[str], namespace: str | None = None, api: HfApi | None = None) -> str:
    """Group checkpoints of one study in a private collection of that title, made where it is missing; return its slug.

    `names` are what `resolve` takes; a repository that is in the collection already stays there once. The note beside
    each says what it was trained on.
    """
    api = api or HfApi()
    found = [resolve(name, namespace=namespace, api=api, to_load=False) for name in names]
    owner = namespace or default_namespace(api)
    collection = api.create_collection(title, namespace=owner, private=True, exists_ok=True)
    for checkpoint in found:
        note = checkpoint.record.title if checkpoint.record else None
        api.add_collection_item(collection.slug, checkpoint.repo_id, "model", note=note, exists_ok=True)
    return str(collection.slug)


def lineage(name: str, api: HfApi | None = None) -> list[Checkpoint | ParentModel]:
    """Walk from a checkpoint back to the public model: each parent at the commit that was loaded.

    The list begins with the checkpoint itself; it ends with a model that has no `stilts.json`, as a `ParentModel`.
    Behind a merge stand the checkpoints that were merged, then the model that all of them started from.
    """
    api = api or HfApi()
    walk: list[Checkpoint | ParentModel] = [resolve(name, api=api, to_load=False)]
    while isinstance(last := walk[-1], Checkpoint) and last.record and (parent := last.record.parent):
        walk.extend(last.record.merged_from)
        seen = [step.repo_id for step in walk if isinstance(step, Checkpoint)]
        if parent.published and parent.id not in seen and (step := _published(api, parent)):
            walk.append(step)
        else:
            walk.append(parent)
    return walk


def verify(name: str, api: HfApi | None = None) -> Verification:
    """Compare what the Hub holds now with the sha256 that `stilts.json` recorded when it was published.

    The Hub states the sha256 of large files; small ones are downloaded and read.
    """
    api = api or HfApi()
    checkpoint = resolve(name, api=api, to_load=False)
    if checkpoint.record is None or not checkpoint.record.files:
        raise StiltsError(f"{name} has no {RECORD_FILE} with checksums. Pass a checkpoint that hf_stilts published.")
    there = _sha256_there(checkpoint, api)
    expected = checkpoint.record.files
    return Verification(
        checkpoint,
        alike=tuple(file for file, sha256 in expected.items() if there.get(file) == sha256),
        different=tuple(file for file, sha256 in expected.items() if there.get(file, sha256) != sha256),
        missing=tuple(file for file in expected if file not in there),
    )


def read_record(api: HfApi, name: str, info: ModelInfo) -> Record | None:
    """Read the `stilts.json` of a repository at the commit of `info`; None if it has none.

    Raises:
        StiltsError: it is none that a version of hf_stilts writes.
    """
    if info.siblings is not None and all(file.rfilename != RECORD_FILE for file in info.siblings):
        return None
    try:
        return Record.from_json(small_file(api, name, RECORD_FILE, str(info.sha)))
    except EntryNotFoundError:
        return None


def small_file(api: HfApi, name: str, path: str, commit: str) -> bytes:
    """Read a file of anybody's repository, which may hold no more than a record: nobody waits an hour for it.

    One request, or none where it was read before: the stock download makes two, and does not know a largest size; a
    thousand records by three requests each are beyond what the Hub answers in five minutes.

    Args:
        api: client of the Hub.
        name: the repository.
        path: the file in it.
        commit: at which commit.

    Raises:
        EntryNotFoundError: there is no such file.
        HfHubHTTPError, HTTPError, OfflineModeIsEnabled: the Hub does not answer.
        StiltsError: it is too large.
    """
    cached = try_to_load_from_cache(name, path, revision=commit)
    if isinstance(cached, str):
        return Path(cached).read_bytes()
    kept = Path(constants.HF_ASSETS_CACHE) / "hf_stilts" / "small" / name / commit / path
    if not _COMMIT.fullmatch(commit):  # what moves is not kept, and what is no commit is no name of a folder
        return _streamed(api, name, path, commit)
    if kept.is_file():
        return kept.read_bytes()
    content = _streamed(api, name, path, commit)
    # A cache that takes nothing, or bytes that are no text, are no reason to fail: the next call reads them again.
    with suppress(OSError, UnicodeDecodeError):
        write(kept, content.decode("utf-8"))
    return content


def _streamed(api: HfApi, name: str, path: str, commit: str) -> bytes:
    """Read a file from the Hub, as far as it may be read."""
    url = hf_hub_url(name, path, revision=commit, endpoint=api.endpoint)
    headers = build_hf_headers(token=api.token, library_name="hf_stilts")
    content = b""
    with http_stream_backoff("GET", url, headers=headers, max_retries=2, follow_redirects=True) as response:
        hf_raise_for_status(response)
        _check_size(name, path, int(response.headers.get("Content-Length", 0)))
        for part in response.iter_bytes():
            content += part
            _check_size(name, path, len(content))  # whatever was announced
    return content


def _check_size(name: str, path: str, size: int) -> None:
    if size > MOST_BYTES:
        raise StiltsError(
            f"{path} of {name} has {size:,} bytes; at most {MOST_BYTES:,} are expected. Use another checkpoint."
        )


def _fetched_record(api: HfApi, name: str, commit: str | None, files: frozenset[str] | None) -> Record | None:
    if files is not None and RECORD_FILE not in files:
        return None
    try:
        path = api.hf_hub_download(name, RECORD_FILE, revision=commit)
    except EntryNotFoundError:
        return None
    return Record.from_json(Path(path).read_bytes())


def _sha256_there(checkpoint: Checkpoint, api: HfApi) -> dict[str, str]:
    files = list(checkpoint.record.files) if checkpoint.record else []
    if checkpoint.commit is None:
        folder = Path(checkpoint.repo_id)
        return {name: sha256(folder / name) for name in files if (folder / name).is_file()}
    there = {}
    for item in api.get_paths_info(checkpoint.repo_id, files, revision=checkpoint.commit):
        if isinstance(item, RepoFile):
            path = None if item.lfs else api.hf_hub_download(checkpoint.repo_id, item.path, revision=checkpoint.commit)
            there[item.path] = item.lfs.sha256 if item.lfs else sha256(Path(str(path)))
    return there


def _local(folder: Path) -> Checkpoint:
    record = folder / RECORD_FILE
    return Checkpoint(str(folder), record=Record.from_json(record.read_bytes()) if record.is_file() else None)


def _published(api: HfApi, parent: ParentModel) -> Checkpoint | None:
    try:
        info = api.model_info(parent.id, revision=parent.commit)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    record = read_record(api, parent.id, info)
    return Checkpoint(parent.id, parent.commit, info.sha, record) if record else None


def _by_task(api: HfApi, task: str, base: str | None, namespace: str, seed: int | None) -> str:
    """Find the one repository of `namespace` that was trained on `task` alone, or say what there is."""
    # The first question also finds out at once whether there is a network; a listing would try for half a minute.
    wanted = repo_id(namespace, base, [task], seed) if base else f"{namespace}/{task}"
    if api.repo_exists(wanted) and base:
        return wanted
    ending = _ending("*", task, seed).lstrip("*")
    everything = [info.id for info in api.list_models(filter=search_tags(), author=namespace)]
    found = [name for name in everything if name.endswith(ending)]
    if base is not None or len(found) > 1:
        there = ", ".join(found) or "nothing"
        raise StiltsError(
            f"{namespace} has {there} trained on {task}; one was expected"
            + (f" that was trained from {base}" if base else "")
            + f". Write the whole name, such as {found[0] if found else f'{namespace}/MODEL-stilts-{task}'}."
        )
    return found[0] if found else _only_other(task, namespace, everything)


def _only_other(task: str, namespace: str, everything: list[str]) -> str:
    """The one repository of `task` with another seed, or that holds an adapter or answers with text."""
    others = _others(task, everything)
    if len(others) == 1:
        return others[0]
    raise StiltsError(
        f"{namespace} has no checkpoint for the task {task!r}. {_nearest(task, everything)} "
        "Write a whole repository id (org/model), or name another owner (--namespace). To see all: "
        "hf-stilts checkpoints"
    )


def _others(task: str, everything: list[str]) -> list[str]:
    ending = re.compile(f"-stilts-{re.escape(task)}(-seed|({ADAPTER_SUFFIX}|{TEXT_SUFFIX})$)")
    return [name for name in everything if ending.search(name)]


def _nearest(wanted: str, names: list[str]) -> str:
    if not names:
        return "It has none at all."
    tasks = {name.rpartition("-stilts-")[2]: name for name in names}
    near = nearest(wanted, tasks, cutoff=0.4)
    return (f"The nearest is {tasks[near[0]]}. " if near else "") + f"There is: {', '.join(sorted(names))}."


def _unknown_repository(api: HfApi, name: str) -> str:
    namespace = name.partition("/")[0]
    names = [info.id for info in api.list_models(author=namespace)]
    near = nearest(name, names, cutoff=0.4)
    there = f"The nearest is {near[0]}." if near else f"{namespace} has {', '.join(names) or 'none that you can see'}."
    absent = f"There is no folder {name} here, and no model {name} on the Hub, or your token cannot see it."
    return f"{absent} {there} To log in: hf auth login"


def _unknown_revision(api: HfApi, name: str, revision: str) -> str:
    refs = api.list_repo_refs(name)
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    names.sort(key=lambda ref: (step_of(ref) is None, step_of(ref) or 0, ref))
    step = step_of(revision)
    steps = {value: ref for ref in names if (value := step_of(ref)) is not None}
    if step is not None and steps:
        near = [steps[min(steps, key=lambda value: abs(value - step))]]
    else:
        near = nearest(revision, names)
    hint = f" Nearest: {name}@{near[0]}." if near else ""
    return f"{name} has no revision {revision!r}. It has {', '.join(names)}.{hint}"
