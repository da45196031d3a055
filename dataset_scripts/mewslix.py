"""Mewsli-X: mentions in news of 11 languages, and the million entities in 50 languages that they may mean.

| configuration | splits | a row |
|---|---|---|
| `{language}` of a query | `validation`, `test` | all mentions: `query_ids`, `queries`, `gold` (one entity id each) |
| `candidates` | `test` | one entity: `id`, `text`, `language` |
| `wikipedia_pairs` | `train`, `validation` | one training pair: `query`, `candidate`, `entity_id` |

A query is `{mention}: {left} { {mention} } {right}`, the sentence around the mention with the mention in braces; an
entity is the sentences of its description: both as XTREME-R's `utils_mewslix.py` forms them (Ruder et al. 2021).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from datasets import Dataset, Features, List, Value, concatenate_datasets

from hf_stilts.dataset_scripts import Beside
from hf_stilts.dataset_scripts.raw import Raw

FILES = "wikinews_mentions-*.jsonl"
SOURCE = "https://github.com/google-research/google-research/tree/master/dense_representations_for_entity_retrieval/mel"
CITATION = "Ruder et al. (2021), XTREME-R, EMNLP; data after Botha, Shan and Gillick (2020), EMNLP."
STRING, STRINGS = Value("string"), List(Value("string"))
FEATURES = Features({"query_ids": STRINGS, "queries": STRINGS, "gold": List(STRINGS)})
ENTITY = Features({"id": STRING, "text": STRING, "language": STRING})
PAIR = Features({"query": STRING, "candidate": STRING, "entity_id": STRING})
SPLITS = {"validation": "dev", "test": "test"}
BRACED = re.compile("{(.*?)}")
AT_A_TIME = 10_000  # rows that are Python objects at once; the rest are Arrow's bytes

Span = dict[str, Any]


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a split: the language's mentions in the order of the file; none where the file has none."""
    splits = {}
    for split, part in SPLITS.items():
        rows = list(_each(raw, f"wikinews_mentions-{part}.jsonl", lambda item: _mentions(item, language)))
        if rows:
            ids, queries, gold = (list(values) for values in zip(*rows, strict=True))
            _require_once(raw, f"wikinews_mentions-{part}.jsonl", ids)
            row = {"query_ids": ids, "queries": queries, "gold": gold}
            splits[split] = Dataset.from_list([row], features=FEATURES)
    return splits


def beside(raw: Raw, languages: list[str]) -> Iterator[Beside]:
    """The entities, and the pairs of mention and entity from English Wikipedia, where their files are there."""
    entities = _each(raw, "candidate_set_entities.jsonl", lambda item: [_entity(item)])
    candidates = _dataset(entities, ENTITY)
    _require_once(raw, "candidate_set_entities.jsonl", candidates["id"])
    yield Beside("candidates", (), {"test": candidates})
    pairs = {}
    for split, part in {"train": "train", "validation": "dev"}.items():
        name = f"wikipedia_pairs-{part}.jsonl"
        if raw.find(name):
            pairs[split] = _dataset(_each(raw, name, lambda item: [_pair(item)]), PAIR)
    if pairs:
        yield Beside("wikipedia_pairs", ("en",), pairs)


def query_text(context: dict[str, Any], mention: Span) -> str:
    """The mention, a colon, and its sentence with the mention in braces; braces of the text become parentheses.

    >>> context = {"text": "Hi. An owl {sic} sat.", "sentence_spans": [{"start": 0, "end": 3}, {"start": 4, "end": 21}]}
    >>> query_text(context, {"start": 7, "end": 10, "text": "owl"})
    'owl: An { owl } (sic) sat.'

    Raises:
        ValueError: the mention is not where it says, or in no sentence.
    """
    text, start, end = context["text"], mention["start"], mention["end"]
    if text[start:end] != mention["text"]:
        raise ValueError(f"{text[start:end]!r} at offset {start} where the mention {mention['text']!r} is said to be")
    around = [span for span in context["sentence_spans"] if span["start"] <= start and end <= span["end"]]
    if not around:
        raise ValueError(f"the mention {mention['text']!r} at offset {start} in no sentence")
    left, right = (
        BRACED.sub(r"(\1)", part) for part in (text[around[0]["start"] : start], text[end : around[0]["end"]])
    )
    return _in_one_line(f"{mention['text']}: {left} {{ {mention['text']} }} {right}")


def entity_text(entity: dict[str, Any]) -> str:
    """The description's sentences, joined by blanks."""
    spans = entity["sentence_spans"]
    return _in_one_line(" ".join(entity["description"][span["start"] : span["end"]] for span in spans))


def _in_one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _mentions(item: dict[str, Any], language: str) -> list[tuple[str, str, list[str]]]:
    context = item["context"]
    if context["language"] != language:
        return []
    return [
        (each["example_id"], query_text(context, each["mention_span"]), [each["entity_id"]])
        for each in item["mentions"]
    ]


def _entity(item: dict[str, Any]) -> dict[str, str]:
    return {"id": item["entity_id"], "text": entity_text(item), "language": item["description_language"]}


def _pair(item: dict[str, Any]) -> dict[str, str]:
    context, mention = item["contextual_mention"]["context"], item["contextual_mention"]["mention"]
    return {
        "query": query_text(context, mention["mention_span"]),
        "candidate": entity_text(item["entity"]),
        "entity_id": item["entity"]["entity_id"],
    }


def _each(raw: Raw, name: str, rows: Callable[[dict[str, Any]], list[Any]]) -> Iterator[Any]:
    for number, item in raw.json_lines(name):
        try:
            made = rows(item)
        except (AttributeError, KeyError, TypeError) as error:
            found = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise raw.error(name, number, found, "an object of Mewsli-X's schema") from error
        except ValueError as error:
            raise raw.error(name, number, str(error), "it there, within one sentence") from error
        yield from made


def _require_once(raw: Raw, name: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise raw.error(name, "its ids", f"{each!r} again", "every id once")
        seen.add(each)


def _dataset(rows: Iterator[dict[str, str]], features: Features) -> Dataset:
    """Rows as a table, never more than a few thousand of them as Python objects."""
    parts = []
    while chunk := list(islice(rows, AT_A_TIME)):
        parts.append(Dataset.from_list(chunk, features=features))
    return concatenate_datasets(parts or [Dataset.from_list([], features=features)])
