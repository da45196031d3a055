"""Misspells the rows of a task and keeps their labels right; writes such rows into a mirror to train on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex

from hf_stilts.augmentation.noise import Noise, TextNoise, noise_tag
from hf_stilts.augmentation.reports import WrittenReport
from hf_stilts.data.derived import made_tags, parse_tag, row_keys, write_made
from hf_stilts.data.load import data_revision, labelled, load
from hf_stilts.data.source import mirror_root
from hf_stilts.data.words import refuse_unless_trained_on, rewrite
from hf_stilts.declarations import declared
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.progress import progress_bars
from hf_stilts.task import Task, load_task

if TYPE_CHECKING:
    from datasets import Dataset


MENTION = "mention"
"""Beside a column of queries: misspell the mention in them too, where they have one (Mewsli-X)."""

# What is searched stays as it is by default, and so does the English side of a bitext.
_SEARCHED = {"target", "candidate", "candidates"}
_ENGLISH = {"target"}
_QUERIES = {"query", "queries"}
# `{mention}: {left} { {mention} } {right}`, as the converter of Mewsli-X writes a query.
_WITH_MENTION = regex.compile(r"(?P<mention>.+?): (?P<sentence>.*\{ (?P<inside>(?P=mention)) \}.*)", regex.DOTALL)


@dataclass(frozen=True)
class NoisyRows:
    """What `misspell` wrote of one language and split: rows, rows that are changed, and edits in them."""

    task: str
    language: str
    split: str
    rows: int
    changed: int
    edits: int


class NoiseReport(WrittenReport[NoisyRows]):
    """What `misspell` wrote, language by language and split by split."""


def columns_of(kind: str, noise: Noise) -> tuple[str, ...]:
    """Columns that are misspelt: those that the noise names, else what a user of the task would type.

    By default the texts of a classification and of a tagging; of multiple choice the context and the choices (XCOPA's
    question is a fixed English phrase); the question and not the context that holds its answer; the source side of a
    bitext; queries and not what they are searched among.

    >>> columns_of("question-answering", Noise("keyboard", 0.1))
    ('question',)

    Raises:
        StiltsError: a column that rows of this kind have no text in.
    """
    texts, every = declared(kind).text_columns(), declared(kind).columns
    allowed = (*texts, *([MENTION] if _QUERIES & {*texts} else ()))
    unknown = [column for column in noise.columns if column not in allowed]
    if unknown:
        raise StiltsError(
            f"noise {str(noise)!r} names column {unknown[0]!r}; a {kind} task has text in {', '.join(allowed)}. "
            f"{did_you_mean(unknown[0], allowed)} Type for example: --noise {noise.kind}={noise.level:g}:{texts[0]}"
        )
    if noise.columns:
        return noise.columns
    left = set(_SEARCHED)
    if "answers" in every:
        left.add("context")
    elif "choices" in every:
        left.add("question")
    return tuple(column for column in texts if column not in left)


class RowNoise:
    """A row in, the row misspelt out; number of tokens and choices, labels, tags and answers stay.

    Args:
        noise: what is done.
        task: its name and kind; the name keeps the errors of one task apart from another's.
        language: two-letter code of the rows, or a tag (`de-t-en`).

    Attributes:
        edits: words and characters that were changed so far.
    """

    def __init__(self, noise: Noise, task: Task, language: str) -> None:
        self._columns = columns_of(task.kind, noise)
        self._task, self._code = task.name, parse_tag(language).language
        self._own = TextNoise(noise, self._code)
        self._english = TextNoise(noise, "en") if _ENGLISH & {*self._columns} else self._own
        self.edits = 0

    def __call__(self, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The row, misspelt.

        Args:
            row: canonical columns; not changed.
            key: its id; of a row that is a whole corpus the ids in it are read.
        """
        new = dict(row)
        for column in self._columns:
            value = row.get(column)
            if column == "context" and "answers" in row:
                new |= self._around_answers(row, key)
            elif isinstance(value, str):
                new[column] = self._text(value, column, key)
            elif column == "tokens" and value is not None:
                new[column] = self._tokens(value, key)
            elif value is not None:
                new[column] = self._list(value, column, key, row)
        return new

    def _text(self, text: str, column: str, key: str) -> str:
        noise = self._english if column in _ENGLISH else self._own
        where = f"{self._task} {column} {key}"
        found = _WITH_MENTION.fullmatch(text) if column in _QUERIES else None
        if found is None:
            return self._rewritten(noise, text, where)
        sentence, at = found["sentence"], found.start("sentence")
        inside = (found.start("inside") - at, found.end("inside") - at)
        edits = noise.edits(sentence, where, () if MENTION in self._columns else (inside,))
        self.edits += len(edits)
        new, (start, end) = rewrite(sentence, edits, inside)
        return f"{new[start:end]}: {new}"

    def _rewritten(self, noise: TextNoise, text: str, where: str) -> str:
        edits = noise.edits(text, where)
        self.edits += len(edits)
        return rewrite(text, edits)[0]

    def _tokens(self, tokens: Sequence[str], key: str) -> list[str]:
        new = self._own.tokens(tokens, f"{self._task} tokens {key}")
        self.edits += sum(before != after for before, after in zip(tokens, new, strict=True))
        return new

    def _list(self, texts: Sequence[str], column: str, key: str, row: Mapping[str, Any]) -> list[str]:
        """Choices, by their numbers; sentences of a corpus, by their ids."""
        names = row.get({"queries": "query_ids", "candidates": "candidate_ids"}.get(column, f"{column}_ids"))
        if names is None:
            names = [f"{key} {number}" for number in range(len(texts))]
        return [
            self._text(text, column, str(name)) if isinstance(text, str) else text
            for name, text in zip(names, texts, strict=True)
        ]

    def _around_answers(self, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The context misspelt outside its answers, and where they are then."""
        text, answers = row["context"], row["answers"]
        starts = list(answers["answer_start"])
        named = zip(starts, answers["text"], strict=True)
        spans = [(start, start + max(1, len(each))) for start, each in named if start >= 0]
        edits = self._own.edits(text, f"{self._task} context {key}", spans)
        self.edits += len(edits)
        new, places = rewrite(text, edits, [max(start, 0) for start in starts])
        moved = [place if start >= 0 else start for place, start in zip(places, starts, strict=True)]
        return {"context": new, "answers": {**answers, "text": list(answers["text"]), "answer_start": moved}}


def noisy(rows: Dataset, task: Task, language: str, noise: Noise) -> tuple[Dataset, int]:
    """Rows of a task, misspelt, and how many words and characters were changed.

    Args:
        rows: of `load`; where they have a column `language`, each is of that language.
        task: theirs.
        language: theirs, where no column says it.
        noise: what is done.

    Raises:
        StiltsError: the noise names a column that the rows have no text in.
        FileNotFoundError: a dictionary of errors is missing.
    """
    columns = [column for column in columns_of(task.kind, noise) if column != MENTION]
    languages = set(rows["language"][:]) if "language" in rows.column_names else {language}
    noises = {code: RowNoise(noise, task, code) for code in sorted(languages)}
    described = [noise.described(parse_tag(code).language) for code in noises]
    state = f"{rows._fingerprint} {noise} {noise.seed} {task.name} {language} {described}"
    keys = row_keys(rows)

    def change(batch: dict[str, list[Any]], numbers: list[int]) -> dict[str, list[Any]]:
        changed = [column for column in columns if column in batch]
        if "context" in columns and "answers" in batch:
            changed.append("answers")
        made: dict[str, list[Any]] = {column: [] for column in changed}
        for number, values in zip(numbers, zip(*batch.values(), strict=True), strict=True):
            row = dict(zip(batch, values, strict=True))
            new = noises[row.get("language", language)](row, keys[number])
            for column, found in made.items():
                found.append(new[column])
        return made

    with progress_bars(rows.data.nbytes):
        changed = rows.map(
            change,
            batched=True,
            with_indices=True,
            features=rows.features,
            keep_in_memory=True,
            load_from_cache_file=False,
            new_fingerprint=hashlib.blake2b(state.encode(), digest_size=8).hexdigest(),
            desc=f"{task.name}: {noise}",
        )
    return changed, sum(each.edits for each in noises.values())


def stored_tag(task: Task, language: str, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Language by which the rows are stored: of misspelt rows that no mirror holds, that of the rows before."""
    rows = parse_tag(language) if language not in task.languages else None
    if rows is None or not rows.noise or language in made_tags(task, mirror_root(data_dir)):
        return language
    return str(replace(rows, noise=""))


def load_noisy(
    task: Task,
    split: str = "train",
    language: str = "en",
    *,
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
) -> Dataset:
    """As `hf_stilts.data.load.load`; misspelt rows that no mirror holds are made here: `en-x-nz10-keyboard-0`.

    Raises:
        StiltsError, FileNotFoundError, ConnectionError: as `load`; or a tag that names no kind of noise, or `natural`,
            whose dictionary it does not say.
    """
    stored = stored_tag(task, language, data_dir)
    rows = load(task, split, stored, limit=limit, data_dir=data_dir, exclude=exclude)
    if stored == language:
        return rows
    percent, kind, seed = parse_tag(language).noise.split("-")
    if kind == "natural":
        raise StiltsError(
            f"{language!r} does not say of which dictionary its errors are, and no mirror holds such rows of "
            f"{task.name}. Make them: hf-stilts data noise {task.typed} --noise natural={int(percent) / 100:g} "
            f"--seed {seed} --languages {stored} --noise-dictionaries DIR --out DIR"
        )
    return noisy(rows, task, stored, Noise(kind, int(percent) / 100, seed=int(seed)))[0]


def misspell(
    task: Task | str,
    noise: Noise,
    out: str | os.PathLike[str],
    *,
    languages: Sequence[str] = ("en",),
    splits: Sequence[str] = ("train",),
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> NoiseReport:
    """Write misspelt rows of a task into a mirror, where `load(task, language="de-x-nz10-keyboard-0")` finds them.

    Args:
        task: a task or its name.
        noise: what is done; its level in whole per cents, as the name of the rows says it.
        out: the mirror; what it holds stays.
        languages: of the rows, the task's own or made ones: `de-t-en` gives `de-t-en-x-nz10-keyboard-0`.
        splits: canonical splits to write.
        limit: as for `load`.
        data_dir: as for `load`.

    Raises:
        StiltsError: no training task, rows that are misspelt already, a level that is no whole per cent, or as `load`.
    """
    task = labelled(load_task(task), data_dir)
    refuse_unless_trained_on(task, "misspelling")

    def rows(split: str, language: str, row_noise: RowNoise, counts: dict[str, int]) -> Iterator[dict[str, Any]]:
        stored = load(task, split, language, limit=limit, data_dir=data_dir)
        for key, row in zip(row_keys(stored), stored, strict=True):
            before = row_noise.edits
            new = row_noise(row, key)
            counts["changed"] += row_noise.edits > before
            counts["edits"] += row_noise.edits - before
            yield {**new, "id": key}

    written = []
    for language, tag in [(language, noise_tag(language, noise)) for language in languages]:
        row_noise = RowNoise(noise, task, language)
        counts = {split: {"changed": 0, "edits": 0} for split in splits}
        described = noise.described(parse_tag(language).language)
        made = {
            "from": f"{task.name} {language} {data_revision(task, language, data_dir)}",
            "by": f"noise {described} in {', '.join(columns_of(task.kind, noise))}, seed {noise.seed}",
        }
        derived = {split: rows(split, language, row_noise, counts[split]) for split in splits}
        sizes = write_made(task, tag, derived, out, made)
        written += [NoisyRows(task.name, tag, split, sizes[split], **counts[split]) for split in splits]
    return NoiseReport(Path(out), tuple(written))
