"""Options declared once, as fields of a dataclass: Python takes them as keywords, a command makes its flags of them.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from hf_stilts.errors import StiltsError

MIRROR = "HF_STILTS_DATA"
DATA_DIR_HELP = f"Local mirror of the data sets; default: {MIRROR}, else the Hub."
NAMESPACE_HELP = "User or organisation on the Hub; default: HF_STILTS_NAMESPACE, else you."


class Options:
    """Base of the dataclasses that declare options; each field is an `option`.

    Attributes:
        PANELS: heading of a command's help -> the options under it; the others stand under the command's own.
        LEAST: option -> the least number that it takes.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    PANELS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    LEAST: ClassVar[Mapping[str, float]] = {}

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            StiltsError: the message names the option and the least that it takes.
        """
        for name, least in self.LEAST.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and value < least:
                raise StiltsError(
                    f"{name}={value} was given; {least} or more is expected. Correct {flag_of(name)} ({name}=)."
                )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all options, in the order of their declaration."""
        return tuple(each.name for each in fields(cls))

    def keywords(self, declaration: type[Options] | None = None) -> dict[str, Any]:
        """The options by name: all of them, or those of a declaration that this one is based on."""
        return {name: getattr(self, name) for name in (declaration or type(self)).names()}

    @classmethod
    def help_for(cls, name: str) -> str:
        """The help of an option."""
        return str(cls.__dataclass_fields__[name].metadata["help"])

    @classmethod
    def flag_for(cls, name: str) -> str:
        """An option as a command line spells it."""
        return str(cls.__dataclass_fields__[name].metadata.get("flag") or flag_of(name))


def option(
    default: Any, help: str, *, flag: str | None = None, several: Literal["commas", "again"] | None = None
) -> Any:
    """A field of a dataclass of `Options`.

    Args:
        default: of the keyword and of the flag.
        help: one line, for the flag.
        flag: how a command line spells it, where that is not as its name.
        several: how a command line gives several values: one word with `commas`, or the flag `again` for each. The
            field is then a tuple, or None.
    """
    spelt = {"flag": flag, "several": several}
    # HfArgumentParser hands the metadata on to argparse, so that it holds nothing that is not said.
    return field(default=default, metadata={"help": help, **{name: value for name, value in spelt.items() if value}})


def check_mirror(data_dir: str | os.PathLike[str] | None) -> None:
    """Refuse a mirror that is not there, given or named by the environment.

    Raises:
        FileNotFoundError: the message says which of the two to correct.
    """
    root = data_dir if data_dir is not None else os.environ.get(MIRROR)
    if root and not Path(root).expanduser().is_dir():
        mend = "Correct --data-dir (data_dir=)" if data_dir is not None else f"Correct {MIRROR}, or unset it"
        raise FileNotFoundError(f"There is no folder {root}; a mirror of data sets is expected. {mend}.")


def flag_of(name: str) -> str:
    """An option as a command line spells it.

    >>> flag_of("micro_tokens")
    '--micro-tokens'
    """
    return f"--{name.replace('_', '-')}"
