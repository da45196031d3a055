"""Text of two languages to compare: a task's rows, or files with a sentence a line."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from hf_stilts.augmentation.transliterate import word_writer
from hf_stilts.data.load import load, present
from hf_stilts.data.sentences import normalised
from hf_stilts.data.words import runs
from hf_stilts.errors import StiltsError
from hf_stilts.languages import code_of, find_language
from hf_stilts.task import Task, load_task

LONGEST_NGRAM = 5  # characters, as in the usual definitions of character n-gram overlap
# Codes of file names (NTREX-128, FLORES-200) that differ from Tatoeba's, which `languages` has.
_OTHER_CODES = {
    "arb": "ar", "azj": "az", "est": "et", "ekk": "et", "fas": "fa", "fil": "tl", "msa": "ms", "quy": "qu",
    "swa": "sw", "swc": "sw", "zho": "zh",
}  # fmt: skip
# Ends of file names that are codes of languages as well (`tsv` is Tsagu).
_FORMATS = frozenset(("csv", "doc", "log", "pdf", "tsv", "xls", "xml", "zip"))


@dataclass(frozen=True, eq=False)
class LanguageText:
    """Texts of one language.

    Attributes:
        language: code of the language.
        texts: as they were written.
        romanised: whether `texts` are a transliteration into Latin letters.
    """

    language: str
    texts: tuple[str, ...]
    romanised: bool = False

    @cached_property
    def size(self) -> int:
        """Characters of all texts."""
        return sum(map(len, self.texts))

    @cached_property
    def words(self) -> Counter[str]:
        """How often each word occurs, case folded; where a script puts no blanks, a run of letters is one word."""
        return Counter(text[run.start : run.end] for text in map(normalised, self.texts) for run in runs(text))

    @cached_property
    def ngrams(self) -> Counter[str]:
        """How often each n-gram of 1 to 5 characters of a word occurs; a blank stands for the edge of a word."""
        found: Counter[str] = Counter()
        for word, count in self.words.items():
            edged = f" {word} "
            for length in range(1, LONGEST_NGRAM + 1):
                for start in range(len(edged) - length + 1):
                    found[edged[start : start + length]] += count
        del found[" "]  # the edge alone is in every word
        return found

    def in_latin(self) -> LanguageText:
        """The same in Latin letters; itself where it is written in them.

        Raises:
            StiltsError: uroman is not installed, or no table knows the script of the language.
        """
        known = find_language(self.language)
        if known and known.script_code == "Latn":
            return self
        writer = word_writer(self.language, "Latn")
        texts = tuple("".join(_rewritten(unicodedata.normalize("NFC", text), writer)) for text in self.texts)
        return LanguageText(self.language, texts, romanised=True)


@dataclass(frozen=True)
class TextPair:
    """Texts of two languages; where they are `parallel`, text i of one translates text i of the other."""

    first: LanguageText
    second: LanguageText
    parallel: bool = False


def text_pairs(
    source: str | os.PathLike[str],
    *,
    to: Sequence[str] = ("en",),
    languages: Sequence[str] | None = None,
    parallel: bool = False,
    split: str = "test",
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[TextPair]:
    """Texts of pairs of languages, from a task or a folder.

    Args:
        source: a task's name, whose rows `load` reads; or a folder with one text file a language, a sentence a line,
            UTF-8, whose name ends in the language's code: `de.txt`, `newstest2019-ref.deu.txt`.
        to: languages that the others are compared with.
        languages: the others. Default: all that there are.
        parallel: text i of every language is a translation of text i of every other. Rows of tasks with `source` and
            `target` (Tatoeba) always are, for English and each language.
        split: of a task.
        limit: at most so many rows or lines, the first ones.
        data_dir: as for `load`.

    Returns:
        One pair for each language of `to` and each other; each distinct text, or pair of parallel texts, once.

    Raises:
        StiltsError: no such language; two files of one; parallel texts of unequal number; or as `load`.
        FileNotFoundError: no such folder or task's data.
    """
    if Path(source).is_dir():
        texts = _of_files(Path(source), {*to, *languages} if languages else None, limit)
    elif os.sep in str(source):
        raise FileNotFoundError(f"No folder {source}. Expected one with a text file a language: de.txt, en.txt ...")
    else:
        task = load_task(str(source))
        if {"source", "target"} <= set(task.declaration.text_columns()):
            return _of_translations(task, to, languages, split, limit, data_dir)
        asked = list(dict.fromkeys([*to, *languages])) if languages else None
        found = present(task, split, asked, available=asked is None, data_dir=data_dir)
        texts = {
            code: _texts(task, load(task, split, code, limit=limit, data_dir=data_dir).to_list()) for code in found
        }
    missing = [code for code in to if code not in texts]
    if missing:
        raise StiltsError(
            f"{source} has no text in {missing[0]!r}, which the others are compared with; it has "
            f"{', '.join(sorted(texts))}. Name one of these: --to CODE"
        )
    if parallel:
        return [_parallel(one, texts[one], other, texts[other]) for one, other in _couples(to, languages or texts)]
    once = {code: LanguageText(code, tuple(dict.fromkeys(of))) for code, of in texts.items()}
    return [TextPair(once[one], once[other]) for one, other in _couples(to, languages or texts)]


def _couples(to: Sequence[str], languages: Sequence[str] | dict[str, Any]) -> list[tuple[str, str]]:
    """Each pair once, whichever of the two comes first."""
    found: dict[frozenset[str], tuple[str, str]] = {}
    for one, other in product(to, languages):
        if one != other:
            found.setdefault(frozenset((one, other)), (one, other))
    return list(found.values())


def _of_files(folder: Path, wanted: set[str] | None, limit: int | None) -> dict[str, list[str]]:
    """Lines of the files of a folder by language, without empty ones at the end."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        last = path.name.removesuffix(".txt").rpartition(".")[2].partition("-")[0].partition("_")[0]
        code = _OTHER_CODES.get(last) or code_of(last)
        if code is None or last in _FORMATS or not path.is_file():
            continue
        if code in files:
            raise StiltsError(
                f"{folder} has two files in {code!r}, {files[code].name} and {path.name}; expected one a language. "
                "Move one away; of Tatoeba's files, name the task: hf-stilts similarity tatoeba"
            )
        files[code] = path
    missing = sorted((wanted or set()) - set(files))
    if missing or not files:
        raise StiltsError(
            f"{folder} has no text file {f'in {missing[0]!r}' if missing else 'of a known language'}; it has "
            f"{', '.join(files) or 'none'}. Expected names that end in the code of a language: de.txt, "
            "test.hau.txt"
        )
    chosen = {code: path for code, path in files.items() if wanted is None or code in wanted}
    lines = {code: path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n") for code, path in chosen.items()}
    return {code: found[:limit] for code, found in lines.items()}


def _texts(task: Task, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Texts of a task's rows, column by column; the tokens or choices of a row are one text."""
    found = []
    for column in task.declaration.text_columns():
        for row in rows:
            value = row.get(column)
            if value is not None:
                found.append(value if isinstance(value, str) else " ".join(value))
    return found


def _of_translations(
    task: Task,
    to: Sequence[str],
    languages: Sequence[str] | None,
    split: str,
    limit: int | None,
    data_dir: str | os.PathLike[str] | None,
) -> list[TextPair]:
    """Pairs of a task whose rows are a sentence and its English translation."""
    if list(to) != ["en"]:
        raise StiltsError(
            f"{task.name} has translations from English alone, and --to {','.join(to)} was given. Leave it out."
        )
    pairs = []
    for code in present(task, split, languages, available=languages is None, data_dir=data_dir):
        rows = load(task, split, code, limit=limit, data_dir=data_dir)
        pairs.append(_parallel("en", rows["target"][:], code, rows["source"][:]))
    return pairs


def _parallel(one: str, texts: Sequence[str], other: str, translations: Sequence[str]) -> TextPair:
    if len(texts) != len(translations):
        raise StiltsError(
            f"{one} has {len(texts)} texts and {other} {len(translations)}; parallel texts are as many. Leave out "
            "--parallel, or give files whose lines translate each other."
        )
    distinct = list(dict.fromkeys(zip(texts, translations, strict=True)))
    return TextPair(
        LanguageText(one, tuple(text for text, _ in distinct)),
        LanguageText(other, tuple(text for _, text in distinct)),
        parallel=True,
    )


def _rewritten(text: str, writer: Any) -> Iterator[str]:
    """Parts of a text with each run of letters in another script."""
    done = 0
    for run in runs(text):
        yield text[done : run.start]
        yield writer(text[run.start : run.end])
        done = run.end
    yield text[done:]
