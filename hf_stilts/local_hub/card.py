"""What the head of a README says: the metadata that the embedded Hub checks, shows and filters by."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

_HEAD = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_HEAD_LIMIT = 256 << 10  # characters; the longest published lists of results have some 160,000
_NODES = 100_000  # a card has hundreds; aliases of aliases could otherwise unfold into more than fits in memory
_NUMBER_LIMIT = 100  # characters; numbers to base 60 take time in the square of their length

# Fields of a card that become `field:value` tags, per kind of repository, as the public Hub names them.
_PREFIXED = {
    "models": {"datasets": "dataset", "license": "license"},
    "datasets": {
        field: field.removesuffix("s") if field == "licenses" else field
        for field in ("task_categories", "task_ids", "language", "size_categories", "multilinguality", "license")
    },
    "spaces": {"license": "license"},
}
_PLAIN = {
    "models": ("library_name", "pipeline_tag", "tags", "language"),
    "datasets": ("tags",),
    "spaces": ("sdk", "tags"),
}
_TEXTS = ("license", "library_name", "pipeline_tag", "base_model_relation", "title", "sdk", "pretty_name")
_LISTS = ("tags", "language", "datasets", "metrics", "base_model", "task_categories", "task_ids", "size_categories")
_ARGUMENTS = ("self", "ignore_metadata_errors")  # of the class into which clients put all fields of a card by name


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML whose cost is bounded by the length of the text."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse merge keys (``<<``): merges of merges double with every line."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", node.start_mark)
        super().flatten_mapping(node)

    def number(self, node: yaml.ScalarNode) -> int | float:
        """An integer or a floating-point number of bounded length."""
        if len(node.value) > _NUMBER_LIMIT:
            raise yaml.constructor.ConstructorError(None, None, "a number of too many digits", node.start_mark)
        whole = node.tag == "tag:yaml.org,2002:int"
        read: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        return read


# The public Hub reads YAML 1.2, where `no` is Norwegian, and not false.
_TRUTH = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _TRUTH]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TRUTH, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)


def read_card(readme: str) -> dict[str, Any]:
    r"""The metadata as plain JSON values; empty if the README has none.

    Raises:
        ValueError: a head is there, but it is no YAML mapping, or one that JSON cannot say.

    >>> read_card("---\nlicense: mit\ntags: [stilts]\n---\n# A model")
    {'license': 'mit', 'tags': ['stilts']}
    """
    match = _HEAD.match(readme)
    if match is None:
        return {}
    if len(match[1]) > _HEAD_LIMIT:
        raise ValueError(f"the metadata has {len(match[1])} characters; expected at most {_HEAD_LIMIT}")
    card, problem = _read_head(match[1])
    if problem is not None:
        raise ValueError(f"the metadata is no YAML mapping: {problem}")
    return card


@lru_cache(maxsize=512)
def _read_head(head: str) -> tuple[dict[str, Any], str | None]:
    """The metadata, and what is wrong with it: returned, not raised, so that a bad head is read only once, too."""
    try:
        card = yaml.load(head, _Loader)  # noqa: S506 - a safe loader
        if card is not None and not isinstance(card, dict):
            return {}, f"expected `key: value` lines, found a {type(card).__name__}"
        plain = dict(_plain(card or {}, iter(range(_NODES))))
        json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
    except yaml.YAMLError as error:
        return {}, str(error)
    except Exception as error:  # PyYAML raises whatever int(), datetime() or its own tables do of a malformed value
        return {}, f"it holds a value that cannot be read ({type(error).__name__}: {error})"
    return plain, None


def problems(card: dict[str, Any]) -> Iterator[str]:
    """What the public Hub would refuse in this metadata, one sentence each."""
    for field in _TEXTS:
        if not isinstance(card.get(field), str | list | None):
            yield f'"{field}" must be a string'
    for field in _LISTS:
        if not _is_texts(card.get(field)):
            yield f'"{field}" must be a string or a list of strings'
    for field in _ARGUMENTS:
        if field in card:
            yield f'"{field}" is no field of a card'
    results = card.get("model-index")
    if results is not None and not isinstance(results, list):
        yield '"model-index" must be a list'
    for model in results if isinstance(results, list) else ():
        yield from _model_problems(model)


def shown(card: dict[str, Any]) -> dict[str, Any]:
    """The fields that may stand in an answer: `huggingface_hub` gives up a whole listing over one of the others.

    >>> shown({"license": "mit", "tags": 5, "self": None})
    {'license': 'mit'}
    """
    wrong = {field for field in _LISTS if not _is_texts(card.get(field))}.union(_ARGUMENTS)
    return {field: value for field, value in card.items() if field not in wrong}


def tags(kind: str, card: dict[str, Any]) -> list[str]:
    """What ``filter=`` matches, in the public Hub's spelling.

    >>> tags("models", {"license": "mit", "base_model": "org/base", "language": ["en", "sw"]})
    ['en', 'sw', 'license:mit', 'base_model:org/base', 'base_model:finetune:org/base']
    """
    found = [each for field in _PLAIN[kind] for each in _texts(card.get(field))]
    found += [f"{prefix}:{each}" for field, prefix in _PREFIXED[kind].items() for each in _texts(card.get(field))]
    relation = next(iter(_texts(card.get("base_model_relation"))), "finetune")
    for base in _texts(card.get("base_model")) if kind == "models" else ():
        found += [f"base_model:{base}", f"base_model:{relation}:{base}"]
    return list(dict.fromkeys(found))


def _model_problems(model: object) -> Iterator[str]:
    if not isinstance(model, dict) or not isinstance(model.get("results"), list):
        yield '"model-index[].results" must be a list'
        return
    if not isinstance(model.get("name"), str):
        yield '"model-index[].name" is required'
    for result in model["results"]:
        for part, fields in {"task": ("type",), "dataset": ("type", "name")}.items():
            value = result.get(part) if isinstance(result, dict) else None
            if part == "dataset" or value is not None:
                for field in fields:
                    if not isinstance(value, dict) or not isinstance(value.get(field), str):
                        yield f'"model-index[].results[].{part}.{field}" must be a string'
        metrics = result.get("metrics") if isinstance(result, dict) else None
        if not isinstance(metrics, list):
            yield '"model-index[].results[].metrics" must be a list'
        elif not all(isinstance(m, dict) and isinstance(m.get("type"), str) and "value" in m for m in metrics):
            yield '"model-index[].results[].metrics[]" needs a type and a value'


def _plain(value: Any, budget: Iterator[int]) -> Any:
    next(budget)
    if isinstance(value, dict):
        return {str(key): _plain(each, budget) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each, budget) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is_texts(value: Any) -> bool:
    return all(isinstance(each, str) for each in _as_list(value))


def _texts(value: Any) -> list[str]:
    return [each for each in _as_list(value) if isinstance(each, str)]
