"""A list of rows that must not be trained on, such as those that share a sentence with an evaluation set."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hf_stilts.data.derived import row_keys
from hf_stilts.errors import StiltsError
from hf_stilts.files import write

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Excluded:
    """Keys (`row_keys`) of the excluded rows of one language, and the revision of the data that they are keys of."""

    revision: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Exclusion:
    """Rows of one split of a task that must not be trained on, and why; a JSON file, for people to read as well."""

    task: str
    split: str
    why: str
    languages: Mapping[str, Excluded] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file, whole or not at all."""
        languages = {
            language: {"revision": each.revision, "keys": sorted(each.keys)}
            for language, each in sorted(self.languages.items())
        }
        content = {"task": self.task, "split": self.split, "why": self.why, "languages": languages}
        write(Path(path), json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        return Path(path)

    def without(self, rows: Dataset, languages: Mapping[str, str | None]) -> Dataset:
        """Rows that the list does not name.

        Args:
            rows: one language of the task's split.
            languages: by which names the list may know them, and their revision under that name; None is not compared:
                rows that were made from others keep the others' keys.

        Raises:
            StiltsError: the list knows none of the names, or was made from other data.
        """
        named = {language: self.languages[language] for language in languages if language in self.languages}
        asked = next(iter(languages))
        again = f"Run: hf-stilts data overlap {self.task} --languages {asked} --against TASKS --exclude FILE"
        if not named:
            raise StiltsError(
                f"The exclusion list of {self.task} says nothing of {' or '.join(languages)}; it was made for "
                f"{', '.join(self.languages) or 'no language'}. {again}"
            )
        for language, excluded in named.items():
            if languages[language] not in (None, excluded.revision):
                raise StiltsError(
                    f"The exclusion list of {self.task} names rows of revision {excluded.revision}; these are of "
                    f"{languages[language]}. {again}"
                )
        keys = frozenset().union(*(each.keys for each in named.values()))
        return rows.select([number for number, key in enumerate(row_keys(rows)) if key not in keys]) if keys else rows


def read_exclusion(path: str | os.PathLike[str], task: str, split: str) -> Exclusion:
    """Read an exclusion list, which must be one of this task's split.

    Raises:
        FileNotFoundError: no such file.
        StiltsError: it is no exclusion list, or one of another task or split.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"No exclusion list {path}. Make it: hf-stilts data overlap {task} --against TASKS --exclude "
            f"{shlex.quote(str(path))}"
        )
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        languages = {
            language: Excluded(str(each["revision"]), frozenset(each["keys"]))
            for language, each in content["languages"].items()
        }
        found = Exclusion(content["task"], content["split"], content["why"], languages)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StiltsError(
            f"{path} is no exclusion list ({error!r}): expected JSON with task, split, why, languages. "
            f"Make it: hf-stilts data overlap {task} --against TASKS --exclude {shlex.quote(str(path))}"
        ) from error
    if (found.task, found.split) != (task, split):
        raise StiltsError(
            f"{path} excludes rows of {found.task}, {found.split}; these are of {task}, {split}. "
            f"Make one for them: hf-stilts data overlap {task} --split {split} --against TASKS --exclude FILE"
        )
    return found
