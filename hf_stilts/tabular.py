"""What the library hands back as rows: short in a terminal, a table in a notebook, a data frame on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of columns in the order in which rows bring them."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)


def filled(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that all have the columns of any of them, with None where a row has nothing."""
    empty = dict.fromkeys(columns_of(rows))
    return [{**empty, **row} for row in rows]


class Tabular:
    """A result that consists of rows; a class that mixes it in says which (`rows`).

    A dataclass must be declared with `repr=False` for the short representation.
    """

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One dictionary a row, all with the same keys."""
        raise NotImplementedError

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a data frame."""
        import pandas as pd  # takes half a second, which commands and the upload worker need not wait for

        return pd.DataFrame(list(self.rows()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.rows())} rows; to_pandas() has them>"

    def _repr_html_(self) -> str:
        """Show the rows in a notebook; what they hold is escaped, and the middle of a long table is left out."""
        return str(self.to_pandas().to_html(max_rows=20, notebook=True))
