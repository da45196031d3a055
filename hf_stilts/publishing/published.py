"""What a repository holds already, and what follows from it: which checkpoint `main` must be, and whose they are.

Everything here is decided from what the Hub shows (tags, history of `main`) and never from the order of uploads.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from huggingface_hub.hf_api import GitCommitInfo, ModelInfo

from hf_stilts.hub.naming import step_of, step_tag

# Lines of a commit's description: which pending checkpoint it is, and of which training. The first is as it always was.
PENDING_LINE, RUN_LINE = "Stilts-Parcel: ", "Stilts-Run: "
MAIN_TITLE = "main is "
NEWEST = "the newest checkpoint"
# Between a commit and its tag lie seconds. After this, whoever made it is dead, or the tag was removed on purpose.
_TAGGED_WITHIN = datetime.timedelta(minutes=15)


def main_step(published: Iterable[int], chosen: int | None, in_flight: int | None = None) -> int | None:
    """Return the step that `main` must be: the chosen one where it is published, else the newest; None without any.

    Args:
        published: steps that have a tag.
        chosen: step that a training chose as its best.
        in_flight: step that is on `main` and is about to be tagged.

    >>> main_step([4, 20, 8], chosen=None), main_step([4, 20, 8], chosen=8), main_step([4, 20], chosen=8)
    (20, 8, 20)
    """
    steps = {*published}
    if chosen in steps:
        return chosen
    if in_flight is not None:
        steps.add(in_flight)
    return max(steps, default=None)


def run_of(commit: GitCommitInfo) -> str | None:
    """Id of the training that made a commit; None where the commit does not say it."""
    _, line, rest = commit.message.partition(RUN_LINE)
    return rest.strip().partition("\n")[0] if line else None


@dataclass(frozen=True)
class Own:
    """How a training knows its checkpoints in a repository.

    Args:
        run: id of the training; None where that is not known: then nobody else's is known either.
        commits: under which its checkpoints are known to be there. One of another id is the same training, repeated to
            the same bytes.
        pending: how the ids of its pending checkpoints begin (8 hex digits): an upload worker of the folder that this
            one was copied from may have sent them.
        lineage: ids that the training had in this folder, before that was copied or moved; `run` may be among them.
        inherited: ids of the trainings on other machines that this one goes on with, and has claimed.
    """

    run: str | None
    commits: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    lineage: frozenset[str] = frozenset()
    inherited: frozenset[str] = frozenset()

    def has(self, commit: GitCommitInfo) -> bool:
        """Whether a commit is this training's, or does not say whose it is."""
        run = run_of(commit)
        if run is None or run == self.run or run in self.inherited or commit.commit_id in self.commits:
            return True
        _, line, rest = commit.message.partition(PENDING_LINE)
        return bool(line) and rest[:8] in self.pending


@dataclass(frozen=True)
class Published:
    """A repository as it was when `main` was at `head`.

    Args:
        head: the repository at the head of `main`.
        commits: history of `main`, newest first.
        tags: step -> the commit under its tag.
        branches: names of the branches.
        aside: commits under a tag that never were on `main`; those that the asking training knows are left out.
    """

    head: ModelInfo
    commits: list[GitCommitInfo]
    tags: Mapping[int, str]
    branches: frozenset[str] = frozenset()
    aside: tuple[GitCommitInfo, ...] = ()

    @property
    def in_flight(self) -> int | None:
        """Step of the checkpoint that was just committed to `main` and has no tag yet; None where there is none."""
        commit = self._untagged
        return step_of(commit.title.partition(":")[0]) if commit else None

    @property
    def step_on_main(self) -> int | None:
        """Step of the checkpoint that was last put on `main`; None where there is none."""
        for commit in self.commits:
            step = step_of(commit.title.removeprefix(MAIN_TITLE).partition(":")[0])
            if step is not None:
                return step
        return None

    @property
    def _untagged(self) -> GitCommitInfo | None:
        for commit in self.commits:
            if commit.title.startswith(MAIN_TITLE):
                return None
            if PENDING_LINE in commit.message:
                age = datetime.datetime.now(datetime.timezone.utc) - commit.created_at
                tagged = commit.commit_id in self.tags.values()
                return commit if not tagged and age < _TAGGED_WITHIN else None
        return None

    def of_another_run(self, own: Own) -> list[str]:
        """Tags of the checkpoints that are another training's: those on `main`, oldest first, then those aside."""
        if own.run is None:
            return []
        steps = {commit: step for step, commit in self.tags.items()}
        if untagged := self._untagged:
            steps[untagged.commit_id] = self.in_flight or 0
        found = []
        for commit in (*reversed(self.commits), *self.aside):
            if commit.commit_id in steps and not own.has(commit):
                found.append(step_tag(steps[commit.commit_id]))
        return found
