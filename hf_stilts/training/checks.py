"""Mistakes in what a training is asked for, found before torch is imported: tasks, options that do not go together.

Commands ask here first. Trainers ask again, for those who write Python.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hf_stilts.data.language_shares import shares
from hf_stilts.errors import StiltsError
from hf_stilts.languages import did_you_mean_language, is_language
from hf_stilts.models.adapter_words import rank_and_modules
from hf_stilts.options import MIRROR, flag_of
from hf_stilts.task import Task, load_task
from hf_stilts.training.options import MIXTURE_OPTIONS, PAIR_OPTIONS, StiltsOptions

# Why an option of a single task is none of a mixture, and why one of a classifier is none of a dual encoder.
_NOT_OF_MIXTURES: Mapping[str, str] = {
    "adapter": "an adapter is saved for one head, and a mixture trains a body under several",
    "lora_target_modules": "an adapter is saved for one head, and a mixture trains a body under several",
    "contrastive": "it compares the rows of one task with their translations",
    "text_to_text": "a mixture trains a head for each task, and a text-to-text answer has none",
}
_NOT_OF_DUAL_ENCODERS: Mapping[str, str] = {
    "adapter": "its checkpoints are whole encoders",
    "lora_target_modules": "its checkpoints are whole encoders",
    "contrastive": "it has a contrastive loss of its own",
    "text_to_text": "it compares vectors",
    "compact_vocabulary": "it reads candidates beyond the training rows",
    "micro_tokens": "micro-batches of other examples would have other negatives",
}
# What reads or saves a head or a body, and is none of an encoder-decoder that answers with text.
_NOT_TEXT_TO_TEXT = ("adapter", "lora_target_modules", "compact_vocabulary", "contrastive")


def mirror_of(data_dir: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """The mirror whose rows are read, as an option or the environment names it; None where they come from the Hub."""
    return data_dir or os.environ.get(MIRROR) or None


def rows_of(task: str | Task, phase: str) -> list[Task]:
    """Tasks whose rows a phase trains on, in order.

    >>> [each.name for each in rows_of("xcopa", "target")], [each.name for each in rows_of("mnli", "target")]
    (['siqa', 'copa'], ['mnli'])
    """
    task = load_task(task)
    names = task.train if phase == "target" else ()
    return [load_task(name) for name in names] or [task]


def trained_by(task: str | Task, phase: str) -> Task:
    """The task whose rows a phase trains on, last: XQuAD has none and is trained on SQuAD.

    >>> trained_by("xquad", "target").name, trained_by("mnli", "intermediate").name
    ('squad_v1', 'mnli')
    """
    return rows_of(task, phase)[-1]


def check_trained(task: Task) -> None:
    """Refuse a task without training rows and head.

    Raises:
        StiltsError: it is one.
    """
    if not task.has_head:
        raise StiltsError(
            f"{task.name} is a {task.kind} task: it has no training data and no head. "
            f"Evaluate an encoder on it as it is: hf-stilts evaluate {task.typed} --model NAME"
        )


def mixture_tasks(tasks: Sequence[str | Task]) -> dict[str, Task]:
    """Tasks of a mixture by name.

    Raises:
        StiltsError: none, one twice, one without a name, or one that trains no head.
    """
    found: dict[str, Task] = {}
    for task in map(load_task, tasks):
        if not task.name:
            raise StiltsError("A mixture was given a task of no name; one is expected. Pass Task(name=...).")
        if task.name in found:
            raise StiltsError(
                f"A mixture was given the task {task.name!r} twice; each task is expected once. Leave one out, or give "
                f"one another name (that of its file); for more examples of a task: --sampler {task.name}=2,OTHER=1"
            )
        if not task.has_head or task.declaration.in_batch_negatives:  # pairs cut in pieces are another task
            why = "its batch is its task" if task.has_head else "it has no training data and no head"
            raise StiltsError(f"{task.name} is a {task.kind} task: {why}. Leave it out of the mixture.")
        found[task.name] = task
    if not found:
        raise StiltsError("A mixture of no tasks was asked for; one or more are expected. See: hf-stilts tasks")
    return found


def check_options(options: StiltsOptions, task: Task) -> None:
    """Refuse options that do not go with the training of one task, or with each other.

    Args:
        options: of that training.
        task: what is trained.

    Raises:
        StiltsError: there is one; the message says why.
    """
    given = {name: value for name, value in options.given().items() if value}
    strange = [name for name in MIXTURE_OPTIONS if name in given]
    if strange:
        raise StiltsError(
            f"{_both(strange[0])} is for mixtures, and {task.name} is trained alone. Leave it out, or train with "
            "MixtureTrainer: hf-stilts intermediate TASK TASK"
        )
    if task.declaration.in_batch_negatives:
        for name, why in _NOT_OF_DUAL_ENCODERS.items():
            if name in given:
                raise StiltsError(f"A dual encoder is not trained with {_both(name)}: {why}. Leave it out.")
        return
    strange = [name for name in PAIR_OPTIONS if name in given]
    if strange:
        raise StiltsError(
            f"{flag_of(strange[0])} is for dual encoders; {task.name} is a {task.kind} task. Leave it out."
        )
    if options.text_to_text:
        replace(task, text_to_text=True)  # which says of a task that it has no text for an answer
    if options.contrastive and task.declaration.several_texts:
        raise StiltsError(
            f"{_both('contrastive')} compares one text with its translation, and an example of a {task.kind} task "
            "holds several. Leave it out."
        )
    strange = [name for name in _NOT_TEXT_TO_TEXT if name in given]
    if strange and (options.text_to_text or task.text_to_text):
        raise StiltsError(
            f"{strange[0]}={given[strange[0]]!r} was given for {task.name} as text-to-text; it is for an encoder and "
            "its head, and here a whole encoder-decoder is trained. "
            f"Leave out {flag_of(strange[0])} or --text-to-text."
        )
    check_adapter(options)
    if options.contrastive and options.compact_vocabulary:
        raise StiltsError(
            "contrastive= (--contrastive) reads words beyond the training rows, and compact_vocabulary= "
            "(--compact-vocabulary) trains only theirs. Leave out compact_vocabulary= or contrastive=."
        )


def check_adapter(options: StiltsOptions) -> None:
    """Refuse an adapter that is none, or whose package is not installed.

    Raises:
        StiltsError: another word than `lora`, a rank that is none, or no package peft.
    """
    adapter = options.whole_adapter
    if adapter is None:
        return
    if isinstance(adapter, str):
        rank_and_modules(adapter)
    if importlib.util.find_spec("peft") is None:
        raise StiltsError("An adapter needs peft, which is not installed. Run: pip install 'hf_stilts[peft]'")


def check_mixture(options: StiltsOptions, tasks: Mapping[str, Task]) -> None:
    """Refuse options that do not go with a mixture: it accepts all others that a single task accepts.

    Args:
        options: of the mixture.
        tasks: its tasks by name.

    Raises:
        StiltsError: there is one; the message says why.
    """
    given = {name: value for name, value in options.given().items() if value}
    for name, why in _NOT_OF_MIXTURES.items():
        if name in given:
            raise StiltsError(
                f"{flag_of(name)} was given, which is for one task and not for a mixture: {why}. Give it to a single "
                "task."
            )
    strange = [name for name in PAIR_OPTIONS if name in given]
    if strange:
        raise StiltsError(f"{_both(strange[0])} is for dual encoders, which no mixture trains. Leave it out.")
    if options.text is not None and not any(task.declaration.pretraining for task in tasks.values()):
        raise StiltsError(
            "text= (--text) was given, and no task that reads it. Add fill_mask to the tasks, or leave it out."
        )


def check_typed_languages(options: StiltsOptions, tasks: Sequence[Task]) -> None:
    """Refuse languages that no rows can have; which derived rows a mirror holds is seen when it is read.

    Args:
        options: with `languages` and `contrastive` as they were typed.
        tasks: what is trained.

    Raises:
        StiltsError: shares or a code that are none; or a language that a task lacks, where there is no mirror.
    """
    asked = dict.fromkeys(shares(options.languages), "languages") if options.languages is not None else {}
    if isinstance(options.contrastive, str):
        asked.setdefault(options.contrastive, "contrastive")
    for language, option in asked.items():
        if "-" in language:  # rows derived from the task's own
            continue
        if not is_language(language):
            raise StiltsError(
                f"{language!r} is no language code that is known here. {did_you_mean_language(language)} "
                f"Correct {flag_of(option)}."
            )
        lacking = [task for task in tasks if language not in task.languages and not task.declaration.pretraining]
        if lacking and not mirror_of(options.data_dir):
            raise StiltsError(
                f"Task {lacking[0].name} has no language {language!r}. It has: {', '.join(lacking[0].languages)}. "
                "Name one of them, or make the rows "
                f"(hf-stilts data translate {lacking[0].name} --to {language} --model NAME --out DIR) "
                "and pass --data-dir DIR."
            )


def check_typed_paths(options: StiltsOptions) -> None:
    """Refuse files and folders that are not there.

    Raises:
        FileNotFoundError: one is not.
    """
    for name in ("data_dir", "text"):
        folder = getattr(options, name)
        if isinstance(folder, str | os.PathLike) and not Path(folder).expanduser().is_dir():
            raise FileNotFoundError(f"There is no folder {folder}; one is expected. Correct {flag_of(name)}.")
    if options.exclude is not None and not Path(options.exclude).expanduser().is_file():
        raise FileNotFoundError(
            f"There is no file {options.exclude}; a list of rows is expected. Correct --exclude, or make one: "
            "hf-stilts data overlap"
        )


def _both(name: str) -> str:
    return f"{name}= ({flag_of(name)})"
