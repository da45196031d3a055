"""Adds scores that were measured after training, language by language, to a checkpoint that is already published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import CARD_FILE, notes_of, render
from hf_stilts.hub.checkpoints import Checkpoint, resolve
from hf_stilts.hub.record import RECORD_FILE, Record


def refuse_unless_scorable(name: str, api: HfApi | None = None) -> tuple[Checkpoint, Record]:
    """Find the checkpoint that scores can be added to, and its record; arguments and errors as `add_scores`."""
    found = resolve(name, api=api or HfApi(), to_load=False)
    if found.commit is None or found.revision is not None or found.record is None:
        raise StiltsError(
            f"{name} cannot take scores: {'it has no ' + RECORD_FILE if found.record is None else 'main alone can'}. "
            "Name a repository that hf_stilts published, without a revision: hf-stilts checkpoints"
        )
    return found, found.record


def add_scores(name: str, by_language: Mapping[str, Mapping[str, float]], api: HfApi | None = None) -> str:
    """Write scores into `stilts.json` and the card of a published checkpoint, in one commit on `main`.

    Weights and tags stay as they are. Scores of the same name are replaced, others are kept.

    Args:
        name: what `resolve` takes, without a revision: a tag does not move, so only `main` can be added to.
        by_language: language code -> name of the score (`udpos_f1`) -> value.
        api: client of the Hub.

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
    commit = api.create_commit(
        found.repo_id,
        [CommitOperationAdd(path, text.encode()) for path, text in texts.items()],
        commit_message=f"Scores in {', '.join(sorted(by_language))}",
        parent_commit=found.commit,  # what somebody else wrote in between is not overwritten
    )
    return str(commit.oid)
