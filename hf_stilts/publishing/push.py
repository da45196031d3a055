"""What the stock Trainer calls `push_to_hub`, through the outbox: with our card, `stilts.json` and tags, no pickles."""

from __future__ import annotations

import copy
import logging
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, constants
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy

from hf_stilts.errors import StiltsError
from hf_stilts.files import write
from hf_stilts.hub.card import CARD_FILE, render
from hf_stilts.hub.naming import step_tag
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.publishing.outbox import FOLDER, Outbox, read_run

logger = logging.getLogger(__name__)

# What the stock methods call it -> the front matter of a card. What else they take, a record knows better.
_STATED = {"language": "language", "license": "license", "tags": "tags", "dataset_tags": "datasets"}
_KNOWN_BETTER = ("model_name", "finetuned_from", "tasks", "dataset", "dataset_args")


def taken_over(args: TrainingArguments, callbacks: Iterable[Any]) -> tuple[TrainingArguments, list[Any]]:
    """Let `PublishCheckpoints` do what `push_to_hub=True` asks for.

    The stock Trainer would skip checkpoints, and send its own card and `training_args.bin`.

    Args:
        args: of the Trainer.
        callbacks: of the Trainer; a `PublishCheckpoints` among them is enough.

    Returns:
        Arguments with `push_to_hub` off, and the callbacks. With `hub_strategy="end"` none is added: the final model
        alone is wanted.

    Raises:
        StiltsError: a branch other than main is asked for.
    """
    callbacks = list(callbacks)
    if not args.push_to_hub:
        return args, callbacks
    refuse_branch(args.hub_revision)
    if args.hub_strategy != HubStrategy.END and publisher_among(callbacks) is None:
        callbacks.append(publisher_of(args))
    args = copy.copy(args)
    args.push_to_hub = False
    return args, callbacks


def publisher_of(args: TrainingArguments) -> PublishCheckpoints:
    """`PublishCheckpoints` as the `hub_` arguments want it; private unless `hub_private_repo=False`."""
    with_state = args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS)
    return PublishCheckpoints(
        args.hub_model_id,
        private=args.hub_private_repo is not False,
        resume=with_state and not args.save_only_model,
        token=args.hub_token,
    )


def publisher_among(callbacks: Iterable[Any]) -> PublishCheckpoints | None:
    """The `PublishCheckpoints` among callbacks, if there is one."""
    for callback in callbacks:
        if isinstance(callback, PublishCheckpoints):
            return callback
    return None


def push(
    folder: Path,
    repo_id: str,
    record: Record,
    *,
    publisher: PublishCheckpoints,
    private: bool | None = None,
    token: str | None = None,
    wait: bool = True,
    stated: Mapping[str, Any] | None = None,
) -> CommitInfo | None:
    """Publish the model in a folder as the checkpoint of its step, and wait until it is on the Hub.

    Args:
        folder: where it was saved.
        repo_id: destination, with or without a namespace.
        record: what it went through.
        publisher: says how.
        private: make the repository private; default: as `publisher` does.
        token: access token; default: that of `publisher`.
        wait: False leaves it to the upload worker.
        stated: front matter of the card that the user knows: `license`, `tags`, `language`, `datasets`.

    Returns:
        The commit; None where it is not waited for.

    Raises:
        StiltsError: it is not on the Hub; the message says why and how to send it.
    """
    earlier = read_run(folder / FOLDER)
    outbox = Outbox(
        folder,
        repo_id,
        private=publisher.private if private is None else private,
        record=record,
        pace=publisher.pace,
        token=token or publisher.token,
        overwrite=publisher.overwrite,
        resumed=earlier is not None and earlier.repo_id == repo_id,
    )
    outbox.add(folder, record, stated=stated)
    status = outbox.close(wait)
    if not wait:
        return None
    sent = [pending for pending in status.checkpoints if pending.step == record.step]
    if not sent or sent[-1].commit is None:
        reason = sent[-1].reason if sent else "it could not be packed"
        raise StiltsError(
            f"{step_tag(record.step)} is not on the Hub: {reason}. To send it: hf-stilts publish --retry "
            f"{shlex.quote(str(folder))}"
        )
    logger.info("%s", status)
    url = f"{constants.ENDPOINT}/{sent[-1].repo_id}/commit/{sent[-1].commit}"
    message = f"{step_tag(record.step)}: {record.title}"
    return CommitInfo(commit_url=url, commit_message=message, commit_description="", oid=sent[-1].commit)


def write_card(folder: Path, repo_id: str, record: Record, stated: Mapping[str, Any]) -> None:
    """Write `stilts.json` and the card into a folder; what people wrote in a card that is there stays."""
    card, about = folder / CARD_FILE, folder / RECORD_FILE
    before = Record.from_json(about.read_bytes()) if about.is_file() else None
    there = card.read_bytes().decode("utf-8") if card.is_file() else None
    write(card, render(record, repo_id, step_tag(record.step), there=there, before=before, stated=stated))
    write(about, record.to_json())


def stated_by(card: Mapping[str, Any]) -> dict[str, Any]:
    """Front matter that the arguments of the stock `create_model_card` state.

    Raises:
        StiltsError: an argument that the stock method does not have.
    """
    known = {*_STATED, *_KNOWN_BETTER}
    if strange := sorted(set(card) - known):
        raise StiltsError(f"create_model_card has no argument {strange[0]!r}; it has {', '.join(sorted(known))}.")
    return {_STATED[name]: value for name, value in card.items() if name in _STATED and value is not None}


def refuse_branch(revision: str | None) -> None:
    """Refuse a branch other than `main`.

    Raises:
        StiltsError: it is one.
    """
    if revision not in (None, "main"):
        raise StiltsError(
            f"revision={revision!r} was given; checkpoints are published on main, each with its tag. Leave it out, or "
            "publish to another repository: hub_model_id="
        )
