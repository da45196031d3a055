"""The error that speaks to the user, and the names that a misspelt one may have meant. Standard library only."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class StiltsError(ValueError):
    """A mistake that the user can mend: says what was found, what was expected and what to type next."""


def nearest(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Known names that are spelt like `name`, best first: at most `count`, none that is less alike than `cutoff`."""
    return difflib.get_close_matches(name, sorted(known), n=count, cutoff=cutoff)


def did_you_mean(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6) -> str:
    """The end of an error message: the nearest known names, or all of them where none is near.

    >>> did_you_mean("xnil", ["xnli", "pawsx"])
    'Did you mean xnli?'
    >>> did_you_mean("boolq", ["xnli", "pawsx"])
    'Known: pawsx, xnli.'
    """
    known = sorted(known)
    close = nearest(name, known, count, cutoff)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(known)}." if known else "There is none."


def refuse_misspelt(filters: Mapping[str, str | None], known: Mapping[str, Iterable[str]]) -> None:
    """Refuse a filter of a search that found nothing, where it is spelt almost like a name that there is.

    Args:
        filters: flag -> what was given; None: nothing.
        known: flag -> the names that there are.

    Raises:
        StiltsError: one is; the nearest name is in the message.

    >>> refuse_misspelt({"--task": "boolq", "--base": None}, {"--task": ["mnli"], "--base": ["x/y"]})
    >>> refuse_misspelt({"--task": "mnlii"}, {"--task": ["mnli"]})
    Traceback (most recent call last):
    hf_stilts.errors.StiltsError: Nothing matches --task mnlii. Did you mean mnli?
    """
    for flag, given in filters.items():
        names = {*known[flag]}
        if given is not None and given not in names and (near := nearest(given, names)):
            raise StiltsError(f"Nothing matches {flag} {given}. Did you mean {near[0]}?")


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Around the import of an optional dependency: where it is missing, an error that names what installs it.

    Args:
        extra: of `pip install 'hf_stilts[extra]'`.
        what: that cannot be done without it; the subject of the error.

    Raises:
        StiltsError: the dependency is not installed.
    """
    try:
        yield
    except ImportError as error:
        missing = error.name or str(error)
        raise StiltsError(
            f"{what} needs {missing}, which is not installed. Run: pip install 'hf_stilts[{extra}]'"
        ) from error
