"""How alike languages are: in words, characters, sub-words, translations, word lists and a model's vectors."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.files import read_lines, write_lines
from hf_stilts.studies.language_texts import LanguageText, TextPair
from hf_stilts.tabular import Tabular, filled

NOT_MEASURES = ("first", "second", "first_texts", "second_texts", "first_characters", "second_characters", "script")
"""Columns of a table that say what was compared, and how much of it."""


@dataclass(frozen=True, repr=False)
class SimilarityReport(Tabular):
    """Similarities of pairs of languages, a row a pair.

    Attributes:
        pairs: `first` and `second` language, texts and characters of each, `script` of the measures of words and
            characters ("own", or "Latn" where a side was transliterated), then the measures, between 0 and 1 but for
            `ldnd` and those of tables; None where a pair lacks what a measure needs.

            - `word_overlap`: types that both have, by the sum of both numbers of types (Lin et al. 2019, LangRank).
            - `char_jaccard`, `char_cosine`, `char_js`: of n-grams of 1 to 5 characters with the edges of words: types
              that both have by those that either has; cosine of counts; 1 less the Jensen-Shannon divergence (base 2).
            - `subword_jaccard`, `subword_overlap`, `subword_coverage`, `subword_js`: the same of the base's sub-words;
              `subword_coverage` is the part of the running sub-words of `second` that occur in `first`.
            - `chrf`: sacrebleu's chrF / 100 of the texts of `second` with their translations in `first` as references.
            - `edit_similarity`: 1 less LDN, the mean over concepts of Levenshtein distance / longer word; `ldnd`: LDN
              by the same mean over words of different concepts, lower is more alike (ASJP); `concepts`: how many.
            - `model_cosine`: mean cosine of the vectors of a text and its translation (mPLM-Sim, Lin et al. 2023);
              `model_contrast`: that less the mean cosine of texts that are no translations.
        notes: what could not be measured, and why.
    """

    pairs: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """The pairs."""
        return self.pairs

    @property
    def measures(self) -> list[str]:
        """Names of the measures that some pair has."""
        names = [name for name in self.pairs[0] if name not in (*NOT_MEASURES, "concepts")] if self.pairs else []
        return [name for name in names if any(row[name] is not None for row in self.pairs)]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the pairs as JSON lines, which `read_tables` reads."""
        write_lines(Path(path), self.pairs)
        return Path(path)


def similarity(
    pairs: Sequence[TextPair] = (),
    *,
    base: str | None = None,
    encoder: str | None = None,
    layer: int | None = None,
    transliterate: bool = False,
    words: str | os.PathLike[str] | None = None,
    to: Sequence[str] = ("en",),
    tables: Iterable[str | os.PathLike[str]] = (),
) -> SimilarityReport:
    """Measure pairs of languages.

    Args:
        pairs: their texts, see `text_pairs`. Counts of types grow with the text: compare pairs of about equal sizes.
        base: model whose tokenizer cuts the texts into sub-words; no weights are read.
        encoder: model whose vectors of parallel texts are compared.
        layer: its hidden state; None: as in retrieval tasks, the papers' layer or the last of a sentence encoder.
        transliterate: write the texts and words in Latin letters before words and characters are compared. Sub-words
            and the model see the texts as they are.
        words: a word list, TSV: the first line has codes of languages, each other line the words of one concept, one a
            language or none.
        to: first languages of the pairs that only word lists know.
        tables: files of measures, see `read_tables`: what another tool says of the pairs (URIEL, ezGlot), or an earlier
            report.

    Raises:
        StiltsError: a library is not installed (extra `similarity`), nothing to compare, or a file has another form.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    notes: list[str] = []
    for pair in pairs:
        found[pair.first.language, pair.second.language] = _of_texts(pair, transliterate)
    if base is not None:
        _add_subwords(found, pairs, base)
    if encoder is not None:
        _add_vectors(found, pairs, encoder, layer)
    if words is not None:
        _add_words(found, Path(words), to, transliterate)
    known = {path: _add_table(found, Path(path), keep_all=not pairs and words is None) for path in tables}
    notes += [f"{path} has {count} of the {len(found)} pairs." for path, count in known.items() if count < len(found)]
    if not found:
        raise StiltsError(
            "No pair of languages to compare; expected texts, a word list or a table. Type for example: "
            "hf-stilts similarity tatoeba"
        )
    if pairs and not any(pair.parallel for pair in pairs):
        notes.append("The texts are not said to be parallel: no chrF. Where they are, add --parallel.")
    return SimilarityReport(filled(list(found.values())), notes)


def read_tables(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a file of measures: JSON lines, or TSV or CSV with a header.

    Args:
        path: `.jsonl`, `.tsv` or `.csv`; columns `first` and `second` are two-letter codes, in either order, the others
            numbers, or empty.

    Raises:
        FileNotFoundError: there is no such file.
        StiltsError: it has no such columns, or something else than numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}; a table of measures is expected, JSON lines, TSV or CSV, with the columns first "
            "and second. Correct --table."
        )
    if path.suffix == ".jsonl":
        rows = read_lines(path)
    else:
        # Spreadsheets put a byte order mark before the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    for number, row in enumerate(rows, start=1):
        if not {"first", "second"} <= set(row):
            raise StiltsError(
                f"{path} has columns {', '.join(map(str, row))}; expected first, second (codes of languages) and "
                "measures. Correct its first line."
            )
        for name, value in row.items():
            if name not in ("first", "second", "script"):
                row[name] = _number(value, f"{path}, row {number}, {name}")
    return rows


def jaccard(first: Iterable[Hashable], second: Iterable[Hashable]) -> float:
    """What both have, by what either has (Jaccard; of sub-words as in Pires et al. 2019).

    >>> jaccard("abc", "bcd")
    0.5
    """
    ours, theirs = set(first), set(second)
    return len(ours & theirs) / max(1, len(ours | theirs))


def type_overlap(first: Iterable[Hashable], second: Iterable[Hashable]) -> float:
    """What both have, by the sum of what each has: at most 0.5 (Lin et al. 2019, LangRank).

    >>> type_overlap("abc", "bcde")  # 2 / 7
    0.2857142857142857
    """
    ours, theirs = set(first), set(second)
    return len(ours & theirs) / max(1, len(ours) + len(theirs))


def coverage(first: Iterable[Any], second: Mapping[Any, int]) -> float:
    """Part of the running tokens of the second that occur in the first.

    >>> coverage("ab", {"a": 3, "c": 1})
    0.75
    """
    known = set(first)
    return sum(count for token, count in second.items() if token in known) / max(1, sum(second.values()))


def cosine(first: Mapping[Any, int], second: Mapping[Any, int]) -> float:
    """Cosine of two vectors of counts.

    >>> round(cosine({"a": 1, "b": 1}, {"a": 1}), 4)
    0.7071
    """
    product = sum(count * second.get(token, 0) for token, count in first.items())
    lengths = sum(count**2 for count in first.values()) * sum(count**2 for count in second.values())
    return float(product / lengths**0.5) if lengths else 0.0


def jensen_shannon(first: Mapping[Any, int], second: Mapping[Any, int]) -> float:
    """1 less the Jensen-Shannon divergence (base 2, Lin 1991) of two distributions: 1 is equal, 0 nothing in common."""
    with needs_extra("similarity", "The Jensen-Shannon divergence"):
        from scipy.spatial.distance import jensenshannon

    if not first or not second:
        return 0.0
    tokens = list({**first, **second})
    ours = [first.get(token, 0) for token in tokens]
    theirs = [second.get(token, 0) for token in tokens]
    return float(1 - jensenshannon(ours, theirs, base=2) ** 2)


def word_list_distances(first: Sequence[str], second: Sequence[str]) -> tuple[float, float | None]:
    """LDN and LDND of two word lists (ASJP, Wichmann et al. 2010): row i of both is one concept.

    Args:
        first: words, none empty.
        second: as many.

    Returns:
        LDN: the mean over concepts of Levenshtein distance / length of the longer word; LDND: LDN by the same mean over
        all words of two different concepts, None where there is one concept or where these are all equal.

    >>> word_list_distances(["ab", "c"], ["ab", "d"])  # (0 + 1) / 2; different concepts: 1 and 1
    (0.5, 0.5)
    """
    with needs_extra("similarity", "Edit distance"):
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

    distances = cdist(first, second, scorer=Levenshtein.normalized_distance, dtype=np.float64)
    same = float(np.trace(distances)) / len(first)
    if len(first) < 2:
        return same, None
    others = (float(distances.sum()) - float(np.trace(distances))) / (len(first) * (len(first) - 1))
    return same, same / others if others else None


def _of_texts(pair: TextPair, transliterate: bool) -> dict[str, Any]:
    first, second = pair.first, pair.second
    row: dict[str, Any] = {"first": first.language, "second": second.language}
    row |= {"first_texts": len(first.texts), "second_texts": len(second.texts)}
    row |= {"first_characters": first.size, "second_characters": second.size}
    if transliterate:
        first, second = first.in_latin(), second.in_latin()
    row["script"] = "Latn" if transliterate else "own"
    row["word_overlap"] = type_overlap(first.words, second.words)
    row["char_jaccard"] = jaccard(first.ngrams, second.ngrams)
    row["char_cosine"] = cosine(first.ngrams, second.ngrams)
    row["char_js"] = jensen_shannon(first.ngrams, second.ngrams)
    if pair.parallel:
        row["chrf"] = chrf(second.texts, first.texts)
    return row


def chrf(texts: Sequence[str], translations: Sequence[str]) -> float:
    """Corpus chrF (Popović 2015) of texts with their translations as references, sacrebleu's / 100."""
    with needs_extra("similarity", "chrF"):
        from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().corpus_score(list(texts), [list(translations)]).score) / 100


def _add_subwords(found: dict[tuple[str, str], dict[str, Any]], pairs: Sequence[TextPair], base: str) -> None:
    from hf_stilts.models.body import load_tokenizer

    tokenizer = load_tokenizer(base)
    known: dict[LanguageText, Counter[int]] = {}
    for pair in pairs:
        for side in (pair.first, pair.second):
            if side not in known:
                ids = tokenizer(list(side.texts), add_special_tokens=False, verbose=False)["input_ids"]
                known[side] = Counter(token for row in ids for token in row)
        ours, theirs = known[pair.first], known[pair.second]
        found[pair.first.language, pair.second.language] |= {
            "subword_jaccard": jaccard(ours, theirs),
            "subword_overlap": type_overlap(ours, theirs),
            "subword_coverage": coverage(ours, theirs),
            "subword_js": jensen_shannon(ours, theirs),
        }


def _add_vectors(
    found: dict[tuple[str, str], dict[str, Any]], pairs: Sequence[TextPair], name: str, layer: int | None
) -> None:
    if not any(pair.parallel for pair in pairs):
        raise StiltsError(
            f"--encoder {name} compares vectors of translations, and the texts are not said to be parallel. Add "
            "--parallel where line i of every file translates line i of the others, or leave out --encoder."
        )
    from hf_stilts.kinds.vectors import VectorSetting
    from hf_stilts.models.body import load_body, load_tokenizer
    from hf_stilts.retrieval.encode import encode, unit

    model, tokenizer = load_body(name)[0], load_tokenizer(name)
    setting = VectorSetting.of(model, layer=layer, pooling=None)
    known: dict[LanguageText, Any] = {}
    for pair in pairs:
        if not pair.parallel:
            continue
        for side in (pair.first, pair.second):
            if side not in known:
                known[side] = unit(encode(model, tokenizer, list(side.texts), **setting.arguments(0)))
        ours, theirs = known[pair.first].astype(np.float64), known[pair.second].astype(np.float64)
        count = len(ours)
        same = float((ours * theirs).sum()) / count
        row = found[pair.first.language, pair.second.language]
        row["model_cosine"], row["model_contrast"] = same, None
        if count > 1:  # the sum over all pairs of texts is that of the two sums
            others = (float(ours.sum(axis=0) @ theirs.sum(axis=0)) - same * count) / (count * (count - 1))
            row["model_contrast"] = same - others


def _add_words(
    found: dict[tuple[str, str], dict[str, Any]], path: Path, to: Sequence[str], transliterate: bool
) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        concepts = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    languages = [code for code in concepts[0] if code] if concepts else []
    if len(languages) < 2:
        raise StiltsError(
            f"{path} has words of {len(languages)} language; expected TSV whose first line has codes of two or more "
            "(en<tab>de<tab>sw) and whose other lines have a word each. Correct its first line."
        )
    couples = list(found) or [(one, other) for one in to for other in languages if one != other]
    for one, other in couples:
        both = [(row.get(one) or "", row.get(other) or "") for row in concepts]
        both = [(ours.strip(), theirs.strip()) for ours, theirs in both if ours.strip() and theirs.strip()]
        if not both:
            continue
        sides = [LanguageText(code, side) for code, side in zip((one, other), zip(*both, strict=True), strict=True)]
        if transliterate:
            sides = [side.in_latin() for side in sides]
        ours, theirs = ([word.casefold() for word in side.texts] for side in sides)
        ldn, ldnd = word_list_distances(ours, theirs)
        row = found.setdefault((one, other), {"first": one, "second": other})
        row |= {"concepts": len(both), "edit_similarity": 1 - ldn, "ldnd": ldnd}


def _add_table(found: dict[tuple[str, str], dict[str, Any]], path: Path, *, keep_all: bool) -> int:
    """Add the measures of a file to the pairs that are there, or all of its pairs where only tables are given.

    Returns:
        How many of the pairs it has.
    """
    known = set()
    for row in read_tables(path):
        pair = (row["first"], row["second"])
        if pair not in found and pair[::-1] in found:
            pair = pair[::-1]
        if pair not in found and keep_all:
            found[pair] = {"first": row["first"], "second": row["second"]}
        if pair in found:
            known.add(pair)
            others = {name: value for name, value in row.items() if name not in ("first", "second")}
            found[pair] |= {name: value for name, value in others.items() if found[pair].get(name) is None}
    return len(known)


def _number(value: Any, where: str) -> float | None:
    if value in (None, ""):
        return None
    if isinstance(value, int | float):
        return value
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise StiltsError(f"{where}: found {value!r}; expected a number, or nothing. Correct it.") from error
