"""The README.md that a repository has already: what people wrote in it stays, the part between two marks is made anew.

What was generated before is known: a card is a pure function of the `stilts.json` beside it. A value of the front
matter that differs from what was generated was written by somebody, and so was all text outside of the marks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from hf_stilts.errors import StiltsError

_BEGIN = "<!-- hf_stilts: rewritten with every {}; what you write above or below this part stays -->"
BEGIN = _BEGIN.format("checkpoint")
BEGIN_PUSHED = _BEGIN.format("push")  # on the card of a study's results
END = "<!-- hf_stilts: end of the rewritten part -->"
_MARKED = re.compile(r"<!-- hf_stilts: rewritten.*?-->.*?<!-- hf_stilts: end.*?-->", re.DOTALL)
_STRAY_MARK = re.compile(r"<!-- hf_stilts: (rewritten|end).*?-->\n?")
# A sentence of every card that was generated before there were marks: such a card is ours from end to end.
_UNMARKED = "`stilts.json` in this repository holds the same for programs, with the sha256 of every file."

_LISTS = ("datasets", "language", "metrics", "tags")
_SCORES = "model-index"
# What is true of one model alone: where that is replaced by another one, so are these.
_OF_THE_MODEL = ("base_model", "base_model_relation", "library_name", "metrics", "pipeline_tag", _SCORES)
_NOT_SAID: tuple[Any, ...] = (None, "", "unknown", [], {})
_TRUTH = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """Truth values as the Hub reads them, by YAML 1.2: `no` is Norwegian, and not false."""


# PyYAML is of YAML 1.1, where `no`, `yes`, `on` and `off` are truth values. Written back, the language of a card would
# become `false`, which the Hub refuses.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _TRUTH]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TRUTH, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


@dataclass(frozen=True)
class Existing:
    """README.md of a repository, in parts.

    Args:
        metadata: its front matter.
        above: text between the front matter and the generated part.
        below: text after the generated part.
    """

    metadata: Mapping[str, Any]
    above: str = "\n"
    below: str = "\n"


def read_card(text: str, *, generated: bool) -> Existing:
    """Take a README.md apart.

    Args:
        text: its content.
        generated: whether a `stilts.json` lies beside it; then it may be a card of a version that wrote no marks.

    Raises:
        StiltsError: its front matter is no mapping in YAML.
    """
    text = text.removeprefix("\ufeff")
    front = REGEX_YAML_BLOCK.search(text)
    metadata: Any = {}
    if front:
        try:
            metadata = yaml.load(front[2], _Loader) or {}  # noqa: S506 - a safe loader
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise StiltsError(_unreadable(f"no YAML ({str(error).splitlines()[0]})")) from error
    if not isinstance(metadata, dict):
        raise StiltsError(_unreadable(f"a {type(metadata).__name__} and no mapping"))
    body = text[front.end() :] if front else text
    if marked := _MARKED.search(body):
        return Existing(metadata, body[: marked.start()], body[marked.end() :])
    if not body.strip() or (generated and _UNMARKED in body):
        return Existing(metadata)
    own = _STRAY_MARK.sub("", body).strip("\n")
    return Existing(metadata, f"\n{own}\n\n")


def _unreadable(found: str) -> str:
    return (
        f"README.md of this repository begins with what is {found}; front matter that the Hub can read is expected. "
        "Correct it on the Hub, and publish again."
    )


def merge(
    generated: Mapping[str, Any], there: Mapping[str, Any], before: Mapping[str, Any], *, another_model: bool
) -> dict[str, Any]:
    """Front matter of the new card: what is generated, and over it what people wrote.

    Lists (tags, languages, data sets, metrics, scores) are joined. Of single values the written one wins, except where
    it says that nothing is known (`license: unknown`).

    Args:
        generated: front matter for the checkpoint that is published now.
        there: front matter of the card that is there.
        before: what was generated for the card that is there; empty where it is somebody's own.
        another_model: the repository held another model until now, so what was said of that is not said of this one.
    """
    merged = dict(generated)
    for key, value in there.items():
        if another_model and key in _OF_THE_MODEL:
            continue
        if key == _SCORES:
            merged.update(_joined_scores(generated, value, before))
        elif key in _LISTS:
            written = [each for each in _as_list(value) if each not in _as_list(before.get(key))]
            ours = _as_list(generated.get(key))
            if joined := ours + [each for each in written if each not in (*ours, *_NOT_SAID)]:
                merged[key] = joined
        elif value not in _NOT_SAID and value != before.get(key):
            merged[key] = value
    return merged


def _joined_scores(generated: Mapping[str, Any], there: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    """The generated `model-index` with the scores that somebody added by hand."""
    ours, old = _scores_of(generated.get(_SCORES)), _scores_of(before.get(_SCORES))
    written = [score for score in _scores_of(there) if score not in (*ours, *old)]
    if not written:
        return {}
    model = _models_of(generated.get(_SCORES) or there)[0]
    return {_SCORES: [{**model, "results": ours + written}]}


def _models_of(index: Any) -> list[dict[str, Any]]:
    return [model for model in _as_list(index) if isinstance(model, dict)]


def _scores_of(index: Any) -> list[Any]:
    return [score for model in _models_of(index) for score in _as_list(model.get("results"))]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
