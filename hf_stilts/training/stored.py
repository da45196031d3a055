"""Whether the rows that a training asks for are there, before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence

from hf_stilts.augmentation.noisy_rows import stored_tag
from hf_stilts.data.language_shares import shares
from hf_stilts.data.load import load, splits
from hf_stilts.task import Task
from hf_stilts.training.options import StiltsOptions


def check_rows(options: StiltsOptions, tasks: Sequence[Task]) -> None:
    """Refuse a training whose rows are not there, all of its tasks before one of them is read.

    Args:
        options: of the training: its languages, their translations for `contrastive`, the mirror.
        tasks: whose own rows are trained. Of masked language modelling the text may be elsewhere: it is passed over.

    Raises:
        StiltsError: a task has no training rows in a language.
        FileNotFoundError: the mirror lacks a data set.
        ConnectionError: the rows are on the Hub, which cannot be reached.
    """
    languages = [*shares(options.languages)] if options.languages is not None else ["en"]
    if isinstance(options.contrastive, str):
        languages.append(options.contrastive)
    for task in tasks:
        if task.declaration.pretraining:
            continue
        for language in languages:
            stored = stored_tag(task, language, options.data_dir)  # rows are misspelt as they are read
            if "train" not in splits(task, stored, options.data_dir):
                load(task, "train", stored, limit=1, data_dir=options.data_dir)  # which says what there is instead
