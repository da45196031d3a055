"""The model card of a published checkpoint: a pure function of its `stilts.json`, and what people wrote around it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Template

from hf_stilts.hub.existing_card import BEGIN, END, Existing, merge, read_card
from hf_stilts.hub.naming import search_tags
from hf_stilts.hub.record import Record, TaskSource
from hf_stilts.languages import find_language, hub_codes

TEMPLATE = Path(__file__).with_name("card.md")
CARD_FILE = "README.md"
_HEADS = ("SequenceClassification", "TokenClassification", "MultipleChoice", "QuestionAnswering")
LIBRARY_TAG = "hf_stilts"
# Scores of ours that are means of metrics of the Hub, which has a page for each of those.
_HUB_METRICS = {
    "em_and_f1": ("exact_match", "f1"),
    "best_em_and_f1": ("exact_match", "f1"),
    "best_exact": ("exact_match",),
    "best_f1": ("f1",),
    "acc_and_f1": ("accuracy", "f1"),
}
_NOTE = re.compile(r"^> \*\*Note:\*\* (.*)\.$", re.MULTILINE)

# What a licence asks of whoever passes the weights on, from little to much; the first pattern that matches counts.
# Ours, not the Hub's, which orders nothing: read it as help to be careful, not as legal advice.
_DEMANDS = (
    (0, r"cc0|unlicense|pddl|public-domain"),
    (1, r"mit|bsd|isc|wtfpl|zlib|postgresql|ncsa"),
    (1.5, r"apache|afl|artistic|ecl"),
    (4, r"cc-by-nc-sa|cc-by-nc-nd"),
    (3.5, r"cc-by-nc"),
    (3, r"cc-by-nd"),
    (2.5, r"cc-by-sa|gfdl|gpl|agpl|lgpl|odbl|osl|eupl|mpl|epl|openrail|bigscience|llama|gemma"),
    (2, r"cc-by|odc-by|cdla"),
)
UNKNOWN = "unknown"
_UNKNOWN_DEMANDS = 5.0


@dataclass(frozen=True)
class Licence:
    """The licence of the weights: the strictest among those of the data and of the parent, and whose it is."""

    id: str
    because_of: tuple[str, ...]


def strictest(sources: Iterable[tuple[str, str | None]]) -> Licence:
    """Choose the strictest of several licences; one that is not known is stricter than any that is.

    `sources` are pairs of a name (a data set, the parent model) and its licence.

    >>> strictest([("nyu-mll/multi_nli", "cc-by-3.0"), ("FacebookAI/xlm-roberta-base", "mit")])
    Licence(id='cc-by-3.0', because_of=('nyu-mll/multi_nli',))
    >>> strictest([("my-data", None), ("FacebookAI/xlm-roberta-base", "mit")])
    Licence(id='unknown', because_of=('my-data',))
    """
    known = [(name, (licence or UNKNOWN).lower()) for name, licence in sources]
    if not known:
        return Licence(UNKNOWN, ())
    chosen = max((licence for _, licence in known), key=lambda licence: (_demands(licence), licence))
    return Licence(chosen, tuple(name for name, licence in known if licence == chosen))


def _demands(licence: str) -> float:
    return next((rank for rank, pattern in _DEMANDS if re.match(pattern, licence)), _UNKNOWN_DEMANDS)


def licence_of(record: Record) -> Licence:
    """Derive the licence of a checkpoint from its data and its parent."""
    parents = [(record.parent.id, record.parent.license)] if record.parent else []
    return strictest([*((task.dataset or task.name, task.license) for task in record.tasks), *parents])


@functools.cache
def _template() -> Template:
    """The text of a card, compiled once: that takes longer than all the rest of it."""
    return Template(TEMPLATE.read_text(encoding="utf-8"))


def render(
    record: Record,
    repo_id: str,
    tag: str,
    notes: Sequence[str] = (),
    *,
    there: str | None = None,
    before: Record | None = None,
    another_model: bool = False,
    stated: Mapping[str, Any] | None = None,
) -> str:
    """Write the README.md of a checkpoint: front matter by the Hub's rules, then what a reader needs to trust it.

    Args:
        record: what the checkpoint went through.
        repo_id: where it is published.
        tag: under which tag.
        notes: remarks to the reader, one sentence each.
        there: README.md that the repository has now; what people wrote in it stays.
        before: the `stilts.json` beside that one; None where there is none.
        another_model: that one speaks of another model, which is replaced.
        stated: front matter that the user gives, which wins as what is written there does.

    Raises:
        StiltsError: `there` cannot be read.
    """
    generated = _front_matter(record, repo_id)
    existing = Existing({}) if there is None else read_card(there, generated=before is not None)
    generated_before = _front_matter(before, repo_id) if before else {}
    metadata = merge(generated, existing.metadata, generated_before, another_model=another_model)
    metadata = merge(metadata, stated or {}, {}, another_model=False)
    text = _template().render(
        record=record,
        repo_id=repo_id,
        tag=tag,
        auto_class=_auto_class(record),
        notes=notes,
        head_class=_head_class(record),
        curve=_curve(record),
        licence=licence_of(record),
        stated_licence=metadata["license"],
        language_names={code: known.name for code in record.languages if (known := find_language(code))},
        metric_columns=sorted({name for scores in record.metrics_by_language.values() for name in scores}),
    )
    front = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    ours = f"{BEGIN}\n\n{text.strip()}\n\n{END}"
    return f"---\n{front}---\n{existing.above}{ours}{existing.below}".rstrip("\n") + "\n"


def _auto_class(record: Record) -> str:
    """Stock class that loads the model: a target checkpoint with its head, others without."""
    head = (record.architecture or "").rpartition("For")[2]
    return f"AutoModelFor{head}" if record.phase == "target" and head in _HEADS else "AutoModel"


def _head_class(record: Record) -> str | None:
    """Stock class that loads the model with its head, where `_auto_class` loads none and the root holds one."""
    head = (record.architecture or "").rpartition("For")[2]
    elsewhere = record.mixture or record.recipe.get("adapter") or record.recipe.get("text_to_text")
    return None if elsewhere or record.phase == "target" or head not in _HEADS else f"AutoModelFor{head}"


def _curve(record: Record) -> dict[int, dict[str, float]]:
    """Step -> scores of the evaluations up to this checkpoint; empty where the table of its own scores says all."""
    found = {int(step): dict(scores) for step, scores in record.evaluations.items()}
    if record.metrics:
        found[record.step] = dict(record.metrics)
    return dict(sorted(found.items())) if len(found) > 1 else {}


def _front_matter(record: Record, repo_id: str) -> dict[str, Any]:
    return dict(card_data(record, repo_id).to_dict())  # type: ignore[no-untyped-call]


def notes_of(card: str) -> list[str]:
    """The remarks to the reader on a card that `render` wrote."""
    return _NOTE.findall(card)


def card_data(record: Record, repo_id: str) -> ModelCardData:
    """Build the card's front matter. Every score is a plain float: a numpy scalar would corrupt the YAML."""
    parent = record.parent if record.parent and record.parent.published else None
    relation = "adapter" if record.library == "peft" else "finetune"
    results = list(_results(record))
    return ModelCardData(
        library_name=record.library,
        base_model=parent.id if parent else None,
        base_model_relation=relation if parent else None,
        datasets=sorted({task.dataset for task in record.tasks if task.dataset}) or None,
        language=hub_codes(record.languages) or None,
        license=licence_of(record).id,
        metrics=sorted(_metric_ids(record)) or None,
        pipeline_tag=record.pipeline_tag,
        tags=[LIBRARY_TAG, *search_tags(record.phase, record.task_names)],
        model_name=repo_id.rsplit("/", 1)[-1] if results else None,
        eval_results=results or None,
    )


def _metric_ids(record: Record) -> set[str]:
    """Metrics by the names that the Hub has pages for, where it has."""
    return {hub for _, name, _ in _scores(record) for hub in _HUB_METRICS.get(name, (name,))}


def _results(record: Record) -> Iterable[EvalResult]:
    for task, name, value in _scores(record):
        if task.dataset:
            yield EvalResult(
                task_type=record.pipeline_tag or "other",
                dataset_type=task.dataset,
                dataset_name=task.name,
                dataset_config=task.config,
                dataset_revision=task.revision,
                metric_type=name,
                metric_value=float(value),
            )


def _scores(record: Record) -> Iterable[tuple[TaskSource, str, float]]:
    """Pair each score with its task. In a mixture the Trainer puts the data set's name before the metric's."""
    for key, value in record.metrics.items():
        owners = [task for task in record.tasks if key.startswith(f"{task.name}_")]
        if not owners and len(record.tasks) == 1:
            owners = list(record.tasks)
        for task in sorted(owners, key=lambda task: -len(task.name))[:1]:  # squad_v2_... is not of a task `squad`
            name = key.removeprefix(f"{task.name}_")
            if name != "loss":
                yield task, name, value
