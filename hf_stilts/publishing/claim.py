"""Which machine goes on with a training: the last one that claimed its branch `resume`.

The claim is a file on that branch. A machine that goes on without being the one named there writes it anew, in a commit
that fails if anybody else moved the branch since it was read. Whoever finds another's claim at its next commit
publishes nothing more. A commit to `main` that is under way at the moment of the claim may still arrive, one at most.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.hf_api import ModelInfo

from hf_stilts.errors import StiltsError
from hf_stilts.files import write_json
from hf_stilts.hub.checkpoints import small_file
from hf_stilts.publishing.pending import UNREADABLE

CLAIM_FILE = "claim.json"


@dataclass(frozen=True)
class Claim:
    """Who goes on with the training of a repository.

    Args:
        run: id of the training that does.
        continued: id of each earlier one -> the step from which it was gone on with. What that one saved up to there
            is this training, too; what it saved later is not.
    """

    run: str
    continued: Mapping[str, int] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Step from which the training was gone on with last; 0 where it never was."""
        return max(self.continued.values(), default=0)

    def allows(self, run: str, step: int, lineage: Collection[str]) -> bool:
        """Whether the checkpoint of `step` that `run` saved may be published by a training of these ids."""
        if run in self.continued:
            return step <= self.continued[run]
        return self.run in lineage

    def to_json(self) -> str:
        """Return the text of the file on the branch."""
        return json.dumps({"run": self.run, "continued": dict(self.continued)}, indent=2) + "\n"


@dataclass(frozen=True)
class Claimed:
    """A claim that was made here: for which repository (full name), and in which place the outbox was then."""

    repo_id: str
    place: str | None
    claim: Claim


def parse_claim(data: Any) -> Claim:
    """Read a claim from parsed JSON; raise one of `UNREADABLE` where it is none."""
    continued = {str(run): int(step) for run, step in data["continued"].items()}
    if not isinstance(data["run"], str):
        raise TypeError(f"run {data['run']!r} is no text")
    return Claim(data["run"], continued)


def remote_claim(api: HfApi, repo_id: str, at: ModelInfo) -> Claim | None:
    """Claim at a commit of the branch `resume`; None where an earlier version wrote the branch, or it is no claim.

    Args:
        api: client of the Hub.
        repo_id: full name of the repository.
        at: the commit.
    """
    if all(file.rfilename != CLAIM_FILE for file in at.siblings or []):
        return None
    try:
        return parse_claim(json.loads(small_file(api, repo_id, CLAIM_FILE, str(at.sha))))
    except (StiltsError, ValueError, TypeError, KeyError, AttributeError, RecursionError):  # of another hand
        return None


def write_claimed(outbox: Path, claimed: Claimed) -> None:
    """Remember a claim in the outbox, through a power cut."""
    write_json(outbox / CLAIM_FILE, asdict(claimed), durable=True)


def read_claimed(outbox: Path) -> Claimed | None:
    """The claim that was made from an outbox; None where none was, or it cannot be read: then one is made anew."""
    try:
        data = json.loads((outbox / CLAIM_FILE).read_text(encoding="utf-8"))
        return Claimed(str(data["repo_id"]), data["place"], parse_claim(data["claim"]))
    except UNREADABLE:
        return None
