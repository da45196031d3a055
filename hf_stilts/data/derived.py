"""Rows made from a task's own (translated, transliterated, misspelt ...): how they are called, kept and found again.

They are called by a language tag (BCP 47), so that a table or a repository's name says what they are:
`de-t-en` is German translated from English, `hi-Latn` Hindi in Latin script, `en-x-cs50-de-sw` English of which every
second word that a lexicon knows is German or Swahili, `de-x-nz10-keyboard-0` German of which every tenth word has a
typing error, drawn with seed 0.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import DatasetCard

from hf_stilts.data.canonical import types
from hf_stilts.data.mirror import CARD, describe, read_card
from hf_stilts.errors import StiltsError
from hf_stilts.files import write
from hf_stilts.languages import CODE_PATTERN, did_you_mean_language, hub_codes, is_language
from hf_stilts.task import Task

if TYPE_CHECKING:
    from datasets import Dataset, DatasetInfo, Features, SplitInfo


OWNER = "varieties"
"""Folder of a mirror below which derived rows lie: `varieties/<task>/` looks like a data set repository on the Hub."""

MADE = "made"  # in a card: tag -> what the rows were made from, and how
_TAG = re.compile(
    f"(?P<language>{CODE_PATTERN})(?:-(?P<script>[A-Z][a-z]{{3}}))?(?:-t-(?P<source>{CODE_PATTERN}))?"
    f"(?:-x-cs(?P<percent>[0-9]{{1,3}})-(?P<switched>{CODE_PATTERN}(?:-{CODE_PATTERN})*))?"
    "(?:(?:-x)?-nz(?P<noise>[0-9]{1,3}-[a-z]+-[0-9]+))?"
)
_CHUNK = 10_000


@dataclass(frozen=True)
class LanguageTag:
    """A language as rows are written in it; as text, its BCP 47 tag.

    Args:
        language: code of what the rows are, mostly, in.
        script: ISO 15924 code of the script that they were transliterated into.
        source: language that they were translated from.
        switched: languages that words were switched into, with `percent` of the words that a lexicon knows.
        noise: per cent of the words that were misspelt, kind of the noise and its seed: `10-keyboard-0`.
    """

    language: str
    script: str | None = None
    source: str | None = None
    switched: tuple[str, ...] = ()
    percent: int = 0
    noise: str = ""

    def __str__(self) -> str:
        script = f"-{self.script}" if self.script else ""
        source = f"-t-{self.source}" if self.source else ""
        switched = f"-x-cs{self.percent}-{'-'.join(self.switched)}" if self.switched else ""
        noise = f"-nz{self.noise}" if self.noise else ""
        if noise and not switched:
            noise = f"-x{noise}"
        return f"{self.language}{script}{source}{switched}{noise}"

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language that has words in the rows."""
        return (self.language, *self.switched)


def parse_tag(tag: str) -> LanguageTag:
    """Read a tag.

    >>> parse_tag("de-t-en")
    LanguageTag(language='de', script=None, source='en', switched=(), percent=0, noise='')
    >>> parse_tag("en-x-cs50-de-sw").languages
    ('en', 'de', 'sw')

    Raises:
        StiltsError: it is no such tag, or names a language that there is not.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        raise StiltsError(
            f"{tag!r} is no language: expected a code such as 'de', or a tag such as 'de-t-en' (German translated from "
            "English), 'hi-Latn' (Hindi in Latin script), 'en-x-cs50-de' (English, half of its words German), "
            "'de-x-nz10-keyboard-0' (German, every tenth word misspelt). "
            f"{did_you_mean_language(tag.partition('-')[0])}"
        )
    switched = tuple(match["switched"].split("-")) if match["switched"] else ()
    for code in (match["language"], *switched, *([match["source"]] if match["source"] else [])):
        if not is_language(code):
            where = f" of {tag!r}" if tag != code else ""
            raise StiltsError(f"{code!r}{where} is no language code that is known here. {did_you_mean_language(code)}")
    percent, noise = int(match["percent"] or 0), match["noise"] or ""
    return LanguageTag(match["language"], match["script"], match["source"], switched, percent, noise)


def is_tag(tag: object) -> bool:
    """Whether `parse_tag` can read it."""
    try:
        return isinstance(tag, str) and parse_tag(tag) is not None
    except StiltsError:
        return False


def row_keys(rows: Dataset) -> list[str]:
    """What names each row among those of its split in every language: its id, or else its number, from 0.

    Rows of `load` have an id, and rows that were made from others keep it, so one list of keys excludes an example in
    all its languages.
    """
    # The slice reads all at once; a column that is gone through is read row by row, seventy times as long.
    return list(map(str, rows["id"][:])) if "id" in rows.column_names else list(map(str, range(len(rows))))


def made_tags(task: Task, data_dir: str | os.PathLike[str] | None) -> list[str]:
    """Tags of the rows made from a task that a mirror holds, sorted."""
    card = _repository(task, data_dir) / CARD if data_dir is not None else None
    return sorted(read_card(card).data.get(MADE) or {}) if card and card.is_file() else []


def stored_as(task: Task, language: str, data_dir: str | os.PathLike[str] | None) -> tuple[Task, str]:
    """Task and language to load rows by: as given where the task has the language, else the rows made from it.

    Args:
        task: what was asked for.
        language: one of its languages, a tag, or a plain code that it was translated into.
        data_dir: mirror that holds the derived rows.

    Raises:
        StiltsError: the task has no such language, and the mirror no rows made from it; says which command makes them.
    """
    if language in task.languages:
        return task, language
    asked, there = parse_tag(language), made_tags(task, data_dir)
    translated = LanguageTag(asked.language)
    found = [tag for tag in there if tag == language or (asked == translated and _is_translation(tag, asked.language))]
    if len(found) != 1:
        raise StiltsError(_not_there(task, asked, there, found))
    return made_task(task, found[0]), asked.language


def made_task(task: Task, tag: str) -> Task:
    """The task that reads the rows made from `task`: its columns are canonical already."""
    return replace(
        task,
        dataset=f"{OWNER}/{task.name}",
        config=tag,
        languages=(parse_tag(tag).language,),
        revision=None,
        columns={},
        splits={},
        parts=(),
        train=(),
        prepare=None,
        language_of=None,
    )


def write_made(
    task: Task,
    tag: str,
    splits: Mapping[str, Iterable[Mapping[str, Any]]],
    out: str | os.PathLike[str],
    made: Mapping[str, Any],
) -> dict[str, int]:
    """Write rows made from a task into a mirror, whole or not at all; the card, which makes them visible, comes last.

    Args:
        task: what they were made from; its name, labels and licence go with them.
        tag: what they are.
        splits: canonical split -> canonical rows with `id`; read once, kept nowhere.
        out: the mirror; what else it holds stays, other splits of the tag included.
        made: from what and how, for the card.

    Returns:
        Rows of each split that was written.

    Raises:
        StiltsError: a split has no row, or the mirror holds others that were made from other data or in another way.
    """
    from datasets import DatasetInfo, SplitDict

    repository = _repository(task, out)
    repository.mkdir(parents=True, exist_ok=True)
    card = read_card(repository / CARD)
    before = (card.data.get(MADE) or {}).get(tag)
    there = _splits_of(card, tag) if before is not None else {}
    kept = {split: info for split, info in there.items() if split not in splits}
    if kept and before != dict(made):
        raise StiltsError(
            f"{repository / tag} holds {', '.join(kept)}, made otherwise ({before}) than now ({dict(made)}). Nothing "
            f"was written. Make all splits at once (--splits {','.join([*kept, *splits])}), or choose another --out."
        )
    unfinished = Path(tempfile.mkdtemp(prefix=f".{tag}.", dir=repository))
    try:
        infos, features = dict(kept), None
        for split, rows in splits.items():
            infos[split], features = _write_parquet(task, split, iter(rows), unfinished / _file(split))
        if (repository / tag).exists():
            (repository / tag).replace(unfinished / "old")
        (unfinished / "new").mkdir()
        for split in splits:
            (unfinished / _file(split)).replace(unfinished / "new" / _file(split))
        for split in kept:
            shutil.copyfile(unfinished / "old" / _file(split), unfinished / "new" / _file(split))
        (unfinished / "new").replace(repository / tag)
    finally:
        shutil.rmtree(unfinished)
    _write_card(task, tag, repository, DatasetInfo(features=features, splits=SplitDict(infos)), made)
    return {split: int(infos[split].num_examples or 0) for split in splits}


def _splits_of(card: DatasetCard, tag: str) -> dict[str, SplitInfo]:
    """Splits of a tag that lie there already."""
    from datasets.info import DatasetInfosDict

    info = DatasetInfosDict.from_dataset_card_data(card.data).get(tag)
    return dict(info.splits or {}) if info else {}


def _write_parquet(task: Task, split: str, rows: Iterator[Mapping[str, Any]], path: Path) -> tuple[SplitInfo, Features]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, SplitInfo, Value

    first = next(rows, None)
    if first is None:
        raise StiltsError(f"No row of {task.name}, {split}, is left to write. Give more rows, or another split.")
    features = Features({"id": Value("string"), **{name: kind for name, kind in types(task).items() if name in first}})
    schema, count, size = features.arrow_schema, 0, 0
    rows = itertools.chain([first], rows)
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := list(itertools.islice(rows, _CHUNK)):
            table = pa.Table.from_pylist([dict(row) for row in chunk], schema=schema)
            writer.write_table(table)
            count, size = count + len(chunk), size + table.nbytes
    return SplitInfo(split, num_bytes=size, num_examples=count), features


def _write_card(task: Task, tag: str, repository: Path, info: DatasetInfo, made: Mapping[str, Any]) -> None:
    card = read_card(repository / CARD)
    files = {tag: {split: [f"{tag}/{_file(split)}"] for split in info.splits or ()}}
    info.download_size = 0
    for paths in files[tag].values():
        info.download_size += sum((repository / path).stat().st_size for path in paths)
    describe(card, files, {tag: info})
    card.data[MADE] = dict(sorted({**(card.data.get(MADE) or {}), tag: dict(made)}.items()))
    languages: set[str] = set()
    for each in card.data[MADE]:
        languages.update(parse_tag(each).languages)
    card.data["language"] = sorted(hub_codes(languages))
    card.data["license"] = task.license
    lines = ["| configuration | made |", "|---|---|"]
    for each, how in card.data[MADE].items():
        said = "; ".join(f"{name}: {value}" for name, value in how.items())
        lines.append(f"| {each} | {said} |")
    table = "\n".join(lines)
    card.text = f"\n# {task.name}, made into other languages\n\nFrom {task.dataset}; its licence holds.\n\n{table}\n"
    write(repository / CARD, str(card))


def _file(split: str) -> str:
    return f"{split}-00000-of-00001.parquet"


def _repository(task: Task, data_dir: str | os.PathLike[str] | None) -> Path:
    return Path(data_dir or ".").expanduser() / OWNER / task.name


def _is_translation(tag: str, language: str) -> bool:
    each = parse_tag(tag)
    return each == LanguageTag(language, source=each.source) and each.source is not None


def _not_there(task: Task, asked: LanguageTag, there: list[str], found: list[str]) -> str:
    if found:
        return f"Task {task.name} is there in {asked} more than once: {', '.join(found)}. Name one of these."
    make = f"hf-stilts data translate {task.typed} --to {asked.language} --model NAME --out DIR"
    if asked.script:
        make = (
            f"hf-stilts data transliterate {task.typed} --languages {asked.language} --script {asked.script} --out DIR"
        )
    if asked.switched:
        chosen = f"--to {','.join(asked.switched)} --probability {asked.percent / 100:g}"
        make = f"hf-stilts data code-switch {task.typed} {chosen} --lexicons DIR --out DIR"
    if asked.noise:
        percent, kind, seed = asked.noise.split("-")
        source = replace(asked, noise="")
        make = (
            f"hf-stilts data noise {task.typed} --languages {source} --noise {kind}={int(percent) / 100:g} "
            f"--seed {seed} --out DIR"
        )
    more = f" The mirror has made ones: {', '.join(there)}." if there else ""
    return (
        f"Task {task.name} has no language {str(asked)!r}. It has: {', '.join(task.languages)}.{more} "
        f"Name one of them, or make the rows ({make}) and pass --data-dir DIR (data_dir=)."
    )
