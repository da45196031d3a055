"""The study that tests of runs try; alone in its file, so that a process which runs it imports nothing else."""

from hf_stilts.studies.study import Intermediate, Study

BASE = "org/base@0123456789012345678901234567890123456789"


def study(**other) -> Study:
    """Two arms, two targets, one seed; `other` replaces fields."""
    fields = {"base": (BASE,), "arms": {"none": None, "mnli": Intermediate("mnli")}, "targets": ("xquad", "udpos")}
    return Study(**{**fields, "seeds": (0,), "name": "tried", **other})
