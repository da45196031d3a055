"""Translates a task's rows with any model: it can be killed and goes on, and answers are found again or counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_stilts.augmentation.answer_spans import Segments, Span, marked, search, unmarked
from hf_stilts.augmentation.reports import WrittenReport
from hf_stilts.augmentation.translation_cache import TranslationCache, Translator
from hf_stilts.data.derived import LanguageTag, parse_tag, row_keys, write_made
from hf_stilts.data.load import data_revision, labelled, load
from hf_stilts.data.words import refuse_unless_trained_on
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task, load_task

if TYPE_CHECKING:
    from datasets import Dataset


Known = Mapping[str, str | None]
CACHE = ".translations.sqlite"


@dataclass(frozen=True)
class Translated:
    """What became of the rows of one language and split.

    Args:
        language: tag that the rows are loaded by.
        rows: as they were read; kept: as they were written; dropped: cause -> rows.
        searched: answers that were found as their own translation; bracketed: by brackets translated along.
    """

    task: str
    language: str
    split: str
    rows: int
    kept: int
    searched: int
    bracketed: int
    dropped: Mapping[str, int]


class TranslationReport(WrittenReport[Translated]):
    """What `translate` wrote, language by language and split by split."""

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a language and split, for tables."""
        return [{**vars(each), "dropped": dict(each.dropped)} for each in self.written]


def translate(
    task: Task | str,
    to: Sequence[str],
    translator: Translator,
    out: str | os.PathLike[str],
    *,
    language: str = "en",
    splits: Sequence[str] = ("train",),
    limit: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> TranslationReport:
    """Write a task's rows in other languages into a mirror, where `load(task, language="de")` finds them (`de-t-en`).

    Every text is translated sentence by sentence, each different sentence once: what models are trained on, and no
    paragraph is too long for one. Each choice, question and premise is translated by itself. A row is dropped, and
    counted by its cause, where a text of it has no translation, where two choices that differed no longer do, or where
    none of its answers is found again. An answer is looked for in the translation of its own sentence: first as its own
    translation; if it is not there, or not clear where, the sentence is translated once more with brackets around the
    answer (EasyProject: Chen, Jiang, Ritter and Xu 2023, Frustratingly Easy Label Projection for Cross-lingual
    Transfer, Findings of ACL, arXiv 2211.15613), and stands in the context as it then reads.

    A run that was killed goes on from the last few hundred sentences. What is written is written whole.

    Args:
        task: a task or its name.
        to: languages to translate into.
        translator: `hf_stilts.augmentation.translators.ModelTranslator("Helsinki-NLP/opus-mt-en-de")`, or one's own.
        out: the mirror; what it holds stays.
        language: of the rows; one of the task's own.
        splits: canonical splits to write.
        limit: as for `load`.
        data_dir: as for `load`.
        exclude: as for `load`; of the split `train` alone.
        cache: file that keeps the translations. Default: `.translations.sqlite` in `out`.

    Raises:
        StiltsError: tags belong to tokens, which a translation has others of; no training task; or as `load`.
    """
    check_translation(task, to, language)
    task = labelled(load_task(task), data_dir)
    kept = TranslationCache(cache or Path(out).expanduser() / CACHE)
    made = {"from": f"{task.name} {language} {data_revision(task, language, data_dir)}", "by": translator.identity}
    written: list[Translated] = []
    for code in to:
        runs = {}
        for split in splits:
            left_out = exclude if split == "train" else None
            rows = load(task, split, language, limit=limit, data_dir=data_dir, exclude=left_out)
            runs[split] = _Run(task, rows, kept, translator, language, code)
            runs[split].ask()
        tag = str(LanguageTag(code, source=language))
        sizes = write_made(task, tag, {split: run.translated() for split, run in runs.items()}, out, made)
        written += [run.report(tag, split, sizes[split]) for split, run in runs.items()]
    return TranslationReport(Path(out), tuple(written))


def check_translation(task: Task | str, to: Sequence[str], language: str = "en") -> None:
    """Refuse what `translate` cannot do, before a model is loaded.

    Args:
        task: a task or its name.
        to: languages to translate into.
        language: of the rows.

    Raises:
        StiltsError: tags belong to tokens, which a translation has others of; no training task; not its language, or
            not another one.
    """
    task = load_task(task)
    refuse_unless_trained_on(task, "translating")
    if task.declaration.per_word:
        raise StiltsError(
            f"{task.name} has a tag for each token, and a translation has other tokens in another order. Switch words "
            f"in place: hf-stilts data code-switch {task.typed} --to {','.join(to)} --lexicons DIR --out DIR"
        )
    if language not in task.languages:
        raise StiltsError(
            f"Task {task.name} has no rows of its own in {language!r}; it has {', '.join(task.languages)}."
        )
    for code in to:
        if parse_tag(code) != LanguageTag(code) or code == language:
            raise StiltsError(f"--to {code}: expected the code of another language than {language}, such as de.")


class _Run:
    """One split into one language."""

    def __init__(
        self, task: Task, rows: Dataset, cache: TranslationCache, translator: Translator, source: str, target: str
    ) -> None:
        self.task, self.rows, self.target = task, rows, target
        self.cache, self.translator, self.source = cache, translator, source
        self.columns = [column for column in task.declaration.text_columns() if column in rows.column_names]
        self.answers: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.known: dict[str, str | None] = {}

    def ask(self) -> None:
        """Have everything translated that the rows need; this is what takes days, and what is kept as it comes."""
        self.known = self._ask(text for row in self.rows for text in self._needed(row))
        if "answers" in self.rows.column_names:
            self.known |= self._ask(text for row in self.rows for text in _bracketed(row, self.known))

    def translated(self) -> Iterator[dict[str, Any]]:
        """Rows that could be translated, in their order, with the keys that they have in the source."""
        for key, row in zip(row_keys(self.rows), self.rows, strict=True):
            new = self._row(row, self.known)
            if isinstance(new, str):
                self.dropped[new] += 1
            else:
                yield {**new, "id": key}
        if self.dropped.total() == len(self.rows):
            causes = ", ".join(f"{count} for: {cause}" for cause, count in self.dropped.items())
            raise StiltsError(
                f"No row of {self.task.name} is left in {self.target!r} of {len(self.rows)} ({causes}); nothing was "
                "written. Look at what the model makes of a few sentences, or name another one: --model NAME"
            )

    def report(self, tag: str, split: str, kept: int) -> Translated:
        found = self.answers
        return Translated(
            self.task.name, tag, split, len(self.rows), kept, found["searched"], found["bracketed"], dict(self.dropped)
        )

    def _ask(self, texts: Iterator[str]) -> dict[str, str | None]:
        return self.cache.translate(self.translator, texts, self.source, self.target)

    def _needed(self, row: Mapping[str, Any]) -> Iterator[str]:
        for column in self.columns:
            for text in _texts(row[column]):
                spans = answer_spans(row) if column == "context" else []
                yield from Segments.of(text, spans).texts
        for span in answer_spans(row):
            yield row["context"][span.start : span.end]

    def _row(self, row: Mapping[str, Any], known: Known) -> dict[str, Any] | str:
        """The row in the other language, or why there is none."""
        new = dict(row)
        for column in self.columns:
            if column == "context" and "answers" in row:
                continue
            whole = [self._text(text, known) for text in _texts(row[column])]
            if any(text is None for text in whole):
                return "no translation"
            new[column] = whole if isinstance(row[column], list) else next(iter(whole), row[column])
        if "choices" in row and len(set(new["choices"])) < len(set(row["choices"])):
            return "choices alike"
        if "answers" not in row:
            return new
        found = _answered(row, known, self.target)
        if isinstance(found, str):
            return found
        context, spans, bracketed = found
        self.answers["bracketed"] += bracketed
        self.answers["searched"] += len(spans) - bracketed
        texts = [context[span.start : span.end] for span in spans]
        return {**new, "context": context, "answers": {"text": texts, "answer_start": [span.start for span in spans]}}

    def _text(self, text: str, known: Known) -> str | None:
        segments = Segments.of(text)
        translations = [known[each] for each in segments.texts]
        return segments.joined([each for each in translations if each], self.target)[0] if all(translations) else None


def answer_spans(row: Mapping[str, Any]) -> list[Span]:
    """Where a row's answers stand in its context, without white space around them; empty ones left out.

    >>> answer_spans({"context": "A cat .", "answers": {"text": ["cat ", ""], "answer_start": [2, 0]}})
    [Span(start=2, end=5)]
    """
    answers = row.get("answers") or {"text": [], "answer_start": []}
    spans = []
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        if text.strip():
            begin = start + len(text) - len(text.lstrip())
            spans.append(Span(begin, begin + len(text.strip())))
    return spans


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _placed(context: str, spans: Sequence[Span]) -> tuple[Segments, list[tuple[int, Span]]]:
    """The context's sentences, and for each answer the number of its sentence and its place within."""
    segments = Segments.of(context, spans)
    places = []
    for span in spans:
        number = next(n for n, each in enumerate(segments.spans) if each.start <= span.start and span.end <= each.end)
        begin = segments.spans[number].start
        places.append((number, Span(span.start - begin, span.end - begin)))
    return segments, places


def _searched(sentence: str, at: Span, translation: str, known: Known) -> Span | None:
    answer = known[sentence[at.start : at.end]]
    return search(answer, translation, sentence, at) if answer else None


def _bracketed(row: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Sentences to translate once more, with brackets around the answer that the first translation lost."""
    segments, places = _placed(row["context"], answer_spans(row))
    for number, at in places:
        sentence, translation = segments.texts[number], known[segments.texts[number]]
        if translation and _searched(sentence, at, translation, known) is None:
            with_brackets = marked(sentence, at)
            if with_brackets is not None:
                yield with_brackets


def _answered(row: Mapping[str, Any], known: Known, target: str) -> tuple[str, list[Span], int] | str:
    """Translated context, the answers' places in it, and how many of them brackets gave; or why there is none."""
    segments, places = _placed(row["context"], answer_spans(row))
    translations = [known[text] or "" for text in segments.texts]
    if not all(translations):
        return "no translation"
    found: dict[int, Span] = {}  # answer -> place in the translation of its sentence
    bracketed = 0
    for number in dict.fromkeys(number for number, _ in places):
        sentence = segments.texts[number]
        members = {answer: at for answer, (place, at) in enumerate(places) if place == number}
        here = {answer: _searched(sentence, at, translations[number], known) for answer, at in members.items()}
        for lost in [answer for answer, span in here.items() if span is None]:
            clear = unmarked(known.get(marked(sentence, members[lost]) or "") or "")
            if clear is not None:
                translations[number], span = clear
                here = {answer: _searched(sentence, at, translations[number], known) for answer, at in members.items()}
                here[lost] = span
                bracketed += 1
                break
        found |= {answer: span for answer, span in here.items() if span is not None}
    if places and not found:
        unmarkable = all(marked(segments.texts[number], at) is None for number, at in places)
        return "answer lost, brackets in its sentence" if unmarkable else "answer lost"
    context, starts = segments.joined(translations, target)
    spans = []
    for answer, span in sorted(found.items()):
        sentence_number, _ = places[answer]
        begin = starts[sentence_number]
        spans.append(Span(begin + span.start, begin + span.end))
    return context, spans, bracketed
