"""What anybody has published with a model: `stilts.json`, `scores.jsonl`, cards, `.eval_results` files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, HfApi, parse_eval_result_entries
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import ModelInfo

from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import card_data
from hf_stilts.hub.checkpoints import read_record, small_file
from hf_stilts.hub.naming import search_tags
from hf_stilts.hub.record import ParentModel, Record
from hf_stilts.hub.scores import SCORES_FILE, score_rows

logger = logging.getLogger(__name__)

WORKERS = 8  # requests at a time: the Hub answers each in a tenth of a second, and 1,000 models are 1,000 requests
MOST_FILES = 20  # of `.eval_results` in one repository
MOST_ANCESTORS = 10
_RESULTS = re.compile(r"\.eval_results/[^/]+\.ya?ml")
_OURS = "-stilts-"
# What others wrote, and cannot be read, hides no other model.
_UNREADABLE = (HfHubHTTPError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError)


@dataclass(frozen=True)
class PublishedModel:
    """One model on the Hub at `main`, and the scores that were published with it.

    Attributes:
        repo_id, commit: where it is.
        record: its `stilts.json`; None where it has none, or none that can be read.
        bases: what its card says that it was trained from.
        rows: of `scores.jsonl`: what decided the scores of the record.
        card: scores in the card's `model-index`, but for those that were generated from the record.
        entries: those of `.eval_results/*.yaml`.
        problems: what could not be read, a sentence each.
    """

    repo_id: str
    commit: str
    record: Record | None = None
    bases: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    card: list[EvalResult] = field(default_factory=list)
    entries: list[EvalResultEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def published_models(
    namespace: str | None = None, *, derived: bool = False, api: HfApi | None = None
) -> list[PublishedModel]:
    """Models that carry the tag of hf_stilts, with their scores, newest first.

    Args:
        namespace: whose; None: anybody's.
        derived: also models that somebody trained with another program from the intermediate checkpoints among them,
            as their cards say; a request for each checkpoint.
        api: client of the Hub.
    """
    api = api or HfApi()
    infos = _listed(api, search_tags(), namespace)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda info: _read(api, info), infos))
        if derived:
            starts = [model.repo_id for model in found if model.record and model.record.phase != "target"]
            known = {info.id for info in infos}
            others: dict[str, ModelInfo] = {}
            for listed in pool.map(lambda name: _listed(api, [f"base_model:{name}"], namespace), starts):
                others |= {info.id: info for info in listed if info.id not in known}
            found += pool.map(lambda info: _read(api, info), others.values())
    return found


def _listed(api: HfApi, tags: list[str], namespace: str | None) -> list[ModelInfo]:
    return list(api.list_models(filter=tags, author=namespace, sort="last_modified", full=True, cardData=True))


def _read(api: HfApi, info: ModelInfo) -> PublishedModel:
    """All that one model says of itself; what cannot be read is named and left out."""
    name, commit = info.id, str(info.sha)
    problems: list[str] = []
    files = {file.rfilename for file in info.siblings or ()}
    record, rows, entries = None, [], []
    try:
        record = read_record(api, name, info)
    except _UNREADABLE as error:
        problems.append(_problem(name, error))
    try:
        rows = score_rows(api, name, commit, record) if record and SCORES_FILE in files else []
    except _UNREADABLE as error:
        problems.append(_problem(name, error))
    for path in sorted(path for path in files if _RESULTS.fullmatch(path))[:MOST_FILES]:
        try:
            entries += _entries(small_file(api, name, path, commit))
        except _UNREADABLE as error:
            problems.append(_problem(f"{name}/{path}", error))
    for problem in problems:
        logger.warning(problem)
    bases = info.card_data.base_model if info.card_data else None
    listed = bases if isinstance(bases, list) else [bases]
    return PublishedModel(
        name,
        commit,
        record,
        tuple(base for base in listed if isinstance(base, str)),
        rows,
        _on_the_card(info, record),
        entries,
        problems,
    )


def _problem(where: str, error: Exception) -> str:
    return f"{where}: {str(error)[:300] or type(error).__name__}"


def _entries(content: bytes) -> list[EvalResultEntry]:
    loaded = yaml.safe_load(content)
    if not isinstance(loaded, list):
        raise StiltsError("a list of results is expected, each with dataset and value")
    return parse_eval_result_entries(loaded)


def _on_the_card(info: ModelInfo, record: Record | None) -> list[EvalResult]:
    """Scores of a card that its record does not generate: somebody else wrote them."""
    stated = info.card_data.eval_results if info.card_data else None
    generated = card_data(record, info.id).eval_results if record else None
    ours = [_short(result) for result in generated or ()]
    return [result for result in stated or () if _short(result) not in ours]


def _short(result: EvalResult) -> tuple[Any, ...]:
    return (result.dataset_type, result.dataset_config, result.metric_type, result.metric_value)


def from_scratch(record: Record) -> bool:
    """Whether a model was trained from no other, as far as its record knows: to those after it, a public model."""
    return record.parent is None and not record.merged_from


class Ancestors:
    """Walks from a model back to the public one, and reads each record once, however many models share it.

    Args:
        models: those whose records are known already.
        api: client of the Hub.
    """

    def __init__(self, models: Iterable[PublishedModel], api: HfApi | None = None) -> None:
        self.api = api or HfApi()
        self.known: dict[tuple[str, str | None], Record | None] = {}
        for model in models:
            if model.record:
                self.known[model.repo_id, model.commit] = model.record

    def of(self, record: Record) -> tuple[list[Record], str]:
        """Records of the trainings before this one, the last first, and the public model that the first began with.

        Raises:
            StiltsError: the walk ends before a public model.
        """
        before: list[Record] = []
        while len(before) < MOST_ANCESTORS:
            parent = record.parent
            if parent is None:
                raise StiltsError("it does not say which model it was trained from")
            if not parent.published:
                raise StiltsError(f"it was trained from {parent.id}, a folder that was not published")
            earlier = self._record(parent)
            if earlier is None:
                if _OURS in parent.id:
                    raise StiltsError(f"it was trained from {parent.id}, whose record cannot be read")
                return before, parent.id
            if from_scratch(earlier):
                return before, parent.id
            before.append(earlier)
            record = earlier
        raise StiltsError(f"more than {MOST_ANCESTORS} trainings lie behind it")

    def _record(self, parent: ParentModel) -> Record | None:
        key = (parent.id, parent.commit)
        if key not in self.known:
            try:
                info = self.api.model_info(parent.id, revision=parent.commit)
                self.known[key] = read_record(self.api, parent.id, info)
            except (RepositoryNotFoundError, RevisionNotFoundError, ValueError):
                self.known[key] = None
            except HfHubHTTPError as error:
                raise StiltsError(f"{parent.id}, which it was trained from, cannot be read now ({error})") from error
        return self.known[key]
