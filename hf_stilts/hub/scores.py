"""Adds scores that were measured after training, language by language, to a checkpoint that is already published."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CommitOperationAdd, EvalResultEntry, HfApi, eval_result_entries_to_yaml

from hf_stilts.errors import StiltsError
from hf_stilts.files import parse_lines
from hf_stilts.hub.card import CARD_FILE, notes_of, render
from hf_stilts.hub.checkpoints import Checkpoint, resolve, small_file
from hf_stilts.hub.naming import RESULTS_PREFIX
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.task import list_tasks, load_task

_COMMIT = re.compile("[0-9a-f]{40}")
SCORES_FILE = "scores.jsonl"
"""What decided each score of `stilts.json` that was added later: a row as `evaluate --output` writes it."""


def refuse_unless_scorable(name: str, api: HfApi | None = None) -> tuple[Checkpoint, Record]:
    """Find the checkpoint that scores can be added to, and its record; arguments and errors as `add_scores`."""
    found = resolve(name, api=api or HfApi(), to_load=False)
    if found.commit is None or found.revision is not None or found.record is None:
        raise StiltsError(
            f"{name} cannot take scores: {'it has no ' + RECORD_FILE if found.record is None else 'main alone can'}. "
            "Name a repository that hf_stilts published, without a revision: hf-stilts checkpoints"
        )
    return found, found.record


def add_scores(
    name: str,
    by_language: Mapping[str, Mapping[str, float]],
    api: HfApi | None = None,
    *,
    rows: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write scores into `stilts.json` and the card of a published checkpoint, in one commit on `main`.

    Weights and tags stay as they are. Scores of the same name are replaced, others are kept.

    Args:
        name: what `resolve` takes, without a revision: a tag does not move, so only `main` can be added to.
        by_language: language code -> name of the score (`udpos_f1`) -> value.
        api: client of the Hub.
        rows: of the table of `zero_shot`, those that these scores are from. They say what decided a score (setting,
            split, revision of the data, layer) and are kept in `scores.jsonl` beside the record, by which others can
            tell whether it compares with theirs.

    Returns:
        The new commit.

    Raises:
        StiltsError: the checkpoint is not on the Hub, has a revision, or was not published by hf_stilts.
    """
    api = api or HfApi()
    found, before = refuse_unless_scorable(name, api)
    old = before.metrics_by_language
    languages = sorted({*old, *by_language})
    record = replace(
        before,
        metrics_by_language={code: {**old.get(code, {}), **by_language.get(code, {})} for code in languages},
    )
    card = Path(api.hf_hub_download(found.repo_id, CARD_FILE, revision=found.commit)).read_bytes().decode()
    described = render(record, found.repo_id, f"step-{record.step}", notes_of(card), there=card, before=before)
    texts = {CARD_FILE: described, RECORD_FILE: record.to_json()}
    if rows:
        kept = score_rows(api, found.repo_id, str(found.commit), before) if SCORES_FILE in (found.files or ()) else []
        new = {_score_of(row) for row in rows}
        kept = [row for row in kept if _score_of(row) not in new]
        texts[SCORES_FILE] = "".join(_line(row) for row in [*kept, *rows])
        texts |= eval_results([*kept, *rows])
    commit = api.create_commit(
        found.repo_id,
        [CommitOperationAdd(path, text.encode()) for path, text in texts.items()],
        commit_message=f"Scores in {', '.join(sorted(by_language))}",
        parent_commit=found.commit,  # what somebody else wrote in between is not overwritten
    )
    return str(commit.oid)


def eval_results(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Path -> content of `.eval_results/stilts-<task>.yaml`, by which the Hub shows scores on the page of the model.

    Scores of test rows that the Hub holds: the benchmark's page lists them, and validation rows have no place there.

    Args:
        rows: of `scores.jsonl`.
    """
    entries: dict[str, list[EvalResultEntry]] = {}
    for row in rows:
        name, language = str(row.get("task")), str(row.get("language"))
        task = load_task(name) if name in list_tasks() else None
        revision = str(row.get("data_revision"))
        if task is None or task.parts or "/" not in task.dataset or row.get("split") != "test":
            continue
        if not _COMMIT.fullmatch(revision) or language not in task.languages:
            continue
        decided = {key: row.get(key) for key in ("setting", "layer", "pooling", "precision", "noise")}
        notes = [f"{row.get('metric')} in per cent, {language}"]
        notes += [f"{key} {value}" for key, value in decided.items() if value is not None and value == value]  # noqa: PLR0124
        entry = EvalResultEntry(
            dataset_id=task.dataset,
            task_id=task.config_for(language) or "default",
            value=float(row["score"]),
            dataset_revision=revision,
            notes="; ".join(notes),
        )
        entries.setdefault(name, []).append(entry)
    return {
        f"{RESULTS_PREFIX}{name}.yaml": yaml.safe_dump(
            eval_result_entries_to_yaml(found), sort_keys=False, allow_unicode=True
        )
        for name, found in sorted(entries.items())
    }


def score_rows(api: HfApi, name: str, commit: str, record: Record) -> list[dict[str, Any]]:
    """Rows of a repository's `scores.jsonl` that are about scores of this record.

    A checkpoint that is published later takes the place of the record, and not of this file: rows whose score the
    record does not hold are of an earlier one, and left out.

    Args:
        api: client of the Hub.
        name: the repository, which has such a file.
        commit: at which commit.
        record: its `stilts.json` there.

    Raises:
        StiltsError: the file is too large, or no JSON lines.
    """
    text = small_file(api, name, SCORES_FILE, commit).decode(errors="replace")
    rows = parse_lines(text, Path(name) / SCORES_FILE)
    found = []
    for row in rows:
        language, score = _score_of(row)
        if record.metrics_by_language.get(language, {}).get(score) == row.get("score"):
            found.append(row)
    return found


def _score_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """Language and name of a score, as the record has them."""
    return str(row.get("language")), f"{row.get('task')}_{row.get('metric')}"


def _line(row: Mapping[str, Any]) -> str:
    """A row as JSON; what a table of several tasks left empty (NaN) is not said."""
    said = {}
    for name, value in row.items():
        plain = value.item() if hasattr(value, "item") else value
        if plain is not None and plain == plain:  # noqa: PLR0124 - NaN alone differs from itself
            said[name] = plain
    return json.dumps(said, ensure_ascii=False, allow_nan=False) + "\n"
