"""How many training rows share a sentence with the evaluation sets, and the list of them, to be left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hf_stilts.data.derived import row_keys
from hf_stilts.data.exclusion import Excluded, Exclusion
from hf_stilts.data.load import data_revision, load, served, splits
from hf_stilts.data.sentences import RULE, normalised, sentences
from hf_stilts.data.words import runs
from hf_stilts.errors import StiltsError
from hf_stilts.tabular import Tabular
from hf_stilts.task import Task, load_task

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Shared:
    """What the training rows of one language share with one evaluation set.

    Args:
        language: of the training rows.
        against: name of the evaluation task.
        keys: of the rows that share a sentence (`row_keys`).
        texts: different texts (a paragraph, a question, a premise) among theirs that hold such a sentence.
        rows: all training rows that were looked at.
        all_texts: different texts in them.
        examples: a few of the sentences, normalised.
    """

    language: str
    against: str
    keys: frozenset[str]
    texts: int
    rows: int
    all_texts: int
    examples: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class OverlapReport(Tabular):
    """What `overlap` found: one `Shared` for each language and evaluation set."""

    task: str
    split: str
    shared: tuple[Shared, ...]
    revisions: Mapping[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a language and evaluation set, for tables."""
        return [
            {
                "task": self.task,
                "language": each.language,
                "against": each.against,
                "rows": each.rows,
                "sharing": len(each.keys),
                "texts": each.all_texts,
                "texts sharing": each.texts,
                "for example": each.examples[0] if each.examples else "",
            }
            for each in self.shared
        ]

    def exclusion(self) -> Exclusion:
        """The list of all rows that share a sentence with any of the evaluation sets; `save` writes it."""
        languages = {}
        for language, revision in self.revisions.items():
            keys: set[str] = set()
            for each in self.shared:
                if each.language == language:
                    keys |= each.keys
            languages[language] = Excluded(revision, frozenset(keys))
        against = ", ".join(dict.fromkeys(each.against for each in self.shared))
        why = f"shares a sentence with {against} (NFKC, single blanks, case folded; sentences by rule {RULE!r})"
        return Exclusion(self.task, self.split, why, languages)


def overlap(
    task: Task | str,
    against: Sequence[Task | str],
    *,
    languages: Sequence[str] = ("en",),
    against_languages: Sequence[str] | None = None,
    split: str = "train",
    minimum: int = 3,
    data_dir: str | os.PathLike[str] | None = None,
) -> OverlapReport:
    """Count the training rows that share a sentence with evaluation sets, in any of their texts and languages.

    Two sentences are the same if they are after NFKC, single blanks and case folding. Every text of a row counts
    (premise, question, paragraph, each choice, tokens joined by blanks), and so does every text of the evaluation sets,
    of all splits but `train`. The evaluation sets are held as 8-byte hashes, the training rows are read once: memory
    grows with the evaluation sets alone.

    Args:
        task: what would be trained on.
        against: evaluation tasks.
        languages: languages of the training rows, or made ones (`hf_stilts.data.derived`).
        against_languages: languages of the evaluation sets; all of theirs when None.
        split: of the training rows.
        minimum: words (for scripts without blanks: characters) that a sentence must have to count: two texts that both
            say "No." are no leak.
        data_dir: as for `load`.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`.
    """
    task = load_task(task)
    evaluated = {each.name: each for each in map(load_task, against)}
    if not evaluated:
        raise StiltsError("No evaluation set was named. Name at least one: --against xquad,tatoeba")
    known = {name: frozenset(_held_out(each, against_languages, minimum, data_dir)) for name, each in evaluated.items()}
    shared, revisions = [], {}
    for language in languages:
        rows = load(task, split, language, data_dir=data_dir)
        revisions[language] = data_revision(task, language, data_dir)
        shared += _shared(rows, task.declaration.text_columns(), language, known, minimum)
    return OverlapReport(task.name, split, tuple(shared), revisions)


def _held_out(
    task: Task, languages: Sequence[str] | None, minimum: int, data_dir: str | os.PathLike[str] | None
) -> Iterator[int]:
    """Hashes of the sentences of an evaluation set."""
    # Asked for several sets, which need not have them all.
    chosen = [each for each in languages if each in task.languages] if languages else served(task, data_dir)
    for language, present in _splits_by_language(task, chosen, data_dir).items():
        for split in present:
            if split != "train":
                rows = load(task, split, language, data_dir=data_dir)
                for _, text in _texts(rows, task.declaration.text_columns()):
                    yield from hashes(text, minimum)


def _splits_by_language(
    task: Task, languages: Iterable[str], data_dir: str | os.PathLike[str] | None
) -> dict[str, tuple[str, ...]]:
    """Splits of an evaluation set in each language; one error for all languages that a mirror lacks."""
    found: dict[str, tuple[str, ...]] = {}
    missing: dict[str, FileNotFoundError] = {}
    for language in languages:
        try:
            found[language] = splits(task, language, data_dir)
        except FileNotFoundError as error:
            missing[language] = error
    if missing and not found:
        raise next(iter(missing.values()))
    if missing:
        raise FileNotFoundError(
            f"The mirror lacks {task.name} in {', '.join(missing)}; expected all languages that the training rows are "
            f"compared with. To compare with those that are there: --against-languages {','.join(found)}"
        ) from next(iter(missing.values()))
    return found


def _shared(
    rows: Dataset, columns: Sequence[str], language: str, known: Mapping[str, frozenset[int]], minimum: int
) -> list[Shared]:
    everything = frozenset().union(*known.values())
    keys = row_keys(rows)
    sharing: dict[str, set[str]] = {name: set() for name in known}
    texts: dict[str, set[int]] = {name: set() for name in known}
    examples: dict[str, dict[str, None]] = {name: {} for name in known}
    seen: set[int] = set()
    for number, text in _texts(rows, columns):
        digest = _hash(text)
        seen.add(digest)
        found = everything.intersection(hashes(text, minimum))
        for name in known if found else ():
            if common := found & known[name]:
                sharing[name].add(keys[number])
                texts[name].add(digest)
                if len(examples[name]) < 3:
                    examples[name] |= dict.fromkeys(each for each in _sentences(text) if _hash(each) in common)
    return [
        Shared(
            language, name, frozenset(sharing[name]), len(texts[name]), len(rows), len(seen), tuple(examples[name])[:3]
        )
        for name in known
    ]


@lru_cache(maxsize=4096)  # a paragraph comes back with each of its questions
def hashes(text: str, minimum: int) -> tuple[int, ...]:
    """Hashes of the sentences of a text that are long enough to count."""
    return tuple(_hash(sentence) for sentence in _sentences(text) if _length(sentence) >= minimum)


def _sentences(text: str) -> list[str]:
    return [normalised(sentence) for sentence in sentences(text)]


def _length(sentence: str) -> int:
    """Words; in scripts that put no blanks between them, as Chinese or Thai, characters."""
    words = len(sentence.split())
    if sentence.isascii():
        return words
    return words + sum(run.end - run.start - 1 for run in runs(sentence) if run.unspaced)


def _texts(rows: Dataset, columns: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Row number and text, for every text of every row."""
    present = [column for column in columns if column in rows.column_names]
    start = 0
    for batch in rows.select_columns(present).iter(1000):
        for column in present:
            for number, value in enumerate(batch[column], start):
                if column == "tokens":
                    yield number, " ".join(value)
                else:
                    yield from ((number, text) for text in _flat(value))
        start += len(batch[present[0]])


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for each in value or ():
            yield from _flat(each)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
