"""One short question before a command loads anything: whether the Hub answers, or else what it needs is cached."""

from __future__ import annotations

import logging
from pathlib import Path

from huggingface_hub import constants, get_session
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import check_name

logger = logging.getLogger(__name__)

_SECONDS = 5.0
_NAME_OF_TASK = "*-stilts-"  # how the repository of an intermediate checkpoint ends


def why_unreachable(seconds: float = _SECONDS) -> str | None:
    """Ask the Hub for anything, once; None if it answers, or if HF_HUB_OFFLINE says that nobody shall ask it.

    Args:
        seconds: until it is given up.
    """
    try:
        get_session().head(constants.ENDPOINT, timeout=seconds)
    except OfflineModeIsEnabled:
        return None
    except HTTPError as error:
        return str(error) or type(error).__name__
    return None


def require_hub() -> None:
    """Before a question that only the Hub can answer.

    Raises:
        StiltsError: it does not answer.
    """
    reason = why_unreachable()
    if reason is not None:
        raise StiltsError(
            f"The Hub at {constants.ENDPOINT} does not answer ({reason}). Type the command again when it answers, or "
            "set HF_ENDPOINT to another Hub: hf-stilts hub serve DIR"
        )


def check_reachable(*names: str | None, rows: bool = False) -> None:
    """Before torch is loaded: refuse at once what would end in minutes of retries and a misleading reason.

    Where the Hub does not answer, this process goes on with the cache alone, as with HF_HUB_OFFLINE=1; the upload
    worker is another process and keeps trying.

    Args:
        names: models and checkpoints that will be loaded: a folder, `org/model`, `mnli`, each perhaps with `@revision`.
        rows: whether rows of data sets come from the Hub, too.

    Raises:
        StiltsError: one is a folder that is not there; the Hub does not answer, and one is not in the cache.
    """
    remote = [name for name in names if name is not None and not Path(name).is_dir()]
    for name in remote:
        check_name(name.partition("@")[0])
    if not remote and not rows:
        return
    reason = why_unreachable()
    if reason is None:
        return
    for name in remote:
        if not _is_cached(name.partition("@")[0]):
            raise StiltsError(
                f"The Hub at {constants.ENDPOINT} does not answer ({reason}), and {name} is neither a folder nor in "
                "the cache. Type the command again when it answers, name a folder, or set HF_ENDPOINT to another Hub: "
                "hf-stilts hub serve DIR"
            )
    logger.warning("The Hub at %s does not answer (%s); going on with the cache alone.", constants.ENDPOINT, reason)
    constants.HF_HUB_OFFLINE = True


def _is_cached(name: str) -> bool:
    """Whether any file of a repository, or of one that was trained on a task, is in the cache."""
    folder = f"models--{name.replace('/', '--')}"
    patterns = [folder] if "/" in name else [folder, f"models--*--{_NAME_OF_TASK}{name}*"]
    cache = Path(constants.HF_HUB_CACHE)
    return any(next(cache.glob(f"{pattern}/snapshots/*/*"), None) for pattern in patterns)
