"""What the makers of derived rows hand back: where the rows lie, and a line for each language and split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hf_stilts.tabular import Tabular

Line = TypeVar("Line")


@dataclass(frozen=True, repr=False)
class WrittenReport(Tabular, Generic[Line]):
    """What was written.

    Attributes:
        mirror: folder that now holds the rows.
        written: a dataclass for each language and split.
    """

    mirror: Path
    written: tuple[Line, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a language and split, for tables."""
        return [dict(vars(each)) for each in self.written]
