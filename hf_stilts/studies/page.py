"""A study's report as one HTML file: tables to sort, filter and download, pictures inside, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError
from hf_stilts.files import write
from hf_stilts.languages import NATIVE_NAMES, find_language
from hf_stilts.studies.drawing import inline_svg
from hf_stilts.studies.figures import language_groups
from hf_stilts.studies.pictures import Picture, study_pictures
from hf_stilts.studies.tables import FORMATS as TABLE_FORMATS
from hf_stilts.studies.tables import StudyReport, Table, cell_text, check_formats
from hf_stilts.tabular import columns_of

FORMATS = ("html", *TABLE_FORMATS)
TEMPLATES = Path(__file__).parent
SHOWN = 100  # rows of a table that stand in the page; a button shows the others
MOST_ARMS = 4  # whose gains by language are drawn; all are in the tables, and in `study report --figures`


def write_report(report: StudyReport, folder: Path, formats: Sequence[str], *, by: str = "class") -> list[Path]:
    """Write a report's tables, and with `"html"` the page `report.html`.

    Args:
        report: of `study_report`.
        folder: receives the files.
        formats: of `FORMATS`.
        by: how the page's pictures group languages, of `figures.GROUPINGS`.

    Raises:
        StiltsError: an unknown format.
    """
    check_formats(formats, FORMATS)
    written = []
    if "html" in formats:
        written.append(folder / "report.html")
        write(written[-1], html(report, by=by))
    others = [each for each in formats if each in TABLE_FORMATS]
    return written + (report.write(folder, others) if others else [])


def html(report: StudyReport, *, by: str = "class") -> str:
    """The page; without its pictures, which it says, where matplotlib is not installed."""
    notes = list(report.notes)
    pictures = []
    try:
        pictures = [
            _inline(number, each) for number, each in enumerate(study_pictures(report, by=by, most_arms=MOST_ARMS))
        ]
    except StiltsError as error:
        notes.append(f"There are no pictures: {error}")
    tables = [_table(table) for table in report.tables]
    codes = dict.fromkeys(row["language"] for table in report.tables for row in table.rows if row.get("language"))
    return render(
        "report.html",
        study=report.study,
        description=report.description,
        tables=tables,
        data={
            "tables": [_data(table) for table in report.tables],
            "languages": languages_of(list(codes)),
            "shown": SHOWN,
        },
        pictures=pictures,
        missing=report.missing,
        notes=notes,
    )


def render(template: str, **given: Any) -> str:
    """A page of a template beside this file; all that it is given is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**given)


def _inline(number: int, picture: Picture) -> dict[str, Any]:
    """A picture as the page takes it: title, markup, and inches across."""
    return {
        "title": picture.title,
        "svg": inline_svg(picture.figure, f"picture{number}", picture.title),
        "inches": float(picture.figure.get_size_inches()[0]),
    }


def _table(table: Table) -> dict[str, Any]:
    """A table as it stands in the page before anybody sorts it: its first rows, and which columns are numbers."""
    lines = table.lines()
    columns = columns_of(lines)
    return {
        "name": table.name,
        "title": table.title,
        "columns": columns,
        "rows": [[cell_text(column, line.get(column)) for column in columns] for line in lines[:SHOWN]],
        "count": len(lines),
    }


def _data(table: Table) -> dict[str, Any]:
    """A table's numbers in full for the page's script: as it shows them, and as its CSV has them where that differs."""
    lines = table.lines()
    data = {"name": table.name, **_columnar(lines)}
    if lines is not table.rows:
        data["csv"] = _columnar(table.rows)
    return data


def _columnar(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = columns_of(rows)
    return {"columns": columns, "rows": [[_plain(row.get(column)) for column in columns] for row in rows]}


def _plain(value: Any) -> Any:
    """A value as JSON has it: what is no number is nothing."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def languages_of(codes: Sequence[str]) -> dict[str, dict[str, str]]:
    """What the filters know of each language: its name, resource class, family and script."""
    groups: dict[str, dict[str, str]] = {}
    for by in ("class", "family", "script"):
        for group, members in language_groups(codes, by).items():
            for code in members:
                groups.setdefault(code, {})[by] = group
    for code, facts in groups.items():
        known = find_language(code.partition("-")[0])
        names = [known.name if known else "", NATIVE_NAMES.get(code, "")]
        facts["name"] = " ".join(filter(None, names))
    return groups
