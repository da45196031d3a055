"""The tables of a study, from whatever of it is finished: scores, gains over the baseline, gaps between languages."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from hf_stilts.benchmark import Benchmark, list_benchmarks, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import PREDICTIONS, RESULTS
from hf_stilts.files import read_lines, write, write_lines
from hf_stilts.studies.cells import short
from hf_stilts.studies.gains import GainReport, gains
from hf_stilts.studies.statistics import holm
from hf_stilts.studies.store import CellStore

FORMATS = {"md": "md", "csv": "csv", "latex": "tex"}
SIGNIFICANT = 0.05
_FACTORS = ("base", "train_on", "adapter", "noise")
_TITLES = {
    "scores": "Scores: mean over languages, median over seeds",
    "gains": "Gains over the baseline in points, median over seeds; * p < 0.05, sign test over languages, Holm",
    "groups": "Gains of groups of tasks",
    "languages": "Gains by language, with 95 % intervals over examples; p_holm corrected over the languages of an arm",
    "gaps": "Gaps between languages in points, and what of them is gone",
    "best": "Best start per target, chosen on English dev",
    "arms": "What each arm read in phase two, median over seeds",
}


@dataclass
class Table:
    """One table of a report: its name among `TABLES`, a title, and plain rows."""

    name: str
    title: str
    rows: list[dict[str, Any]]

    def lines(self) -> list[dict[str, Any]]:
        """Rows as they are read: gains become a line for each arm and a column for each target, the others stay."""
        if self.name != "gains":
            return self.rows
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in self.rows:
            own = {name: row[name] for name in (*_FACTORS, "arm") if name in row}
            line = lines.setdefault(tuple(own.values()), own)
            mark = "*" if row["p_holm"] < SIGNIFICANT else ""
            line[row["task"]] = f"{row['gain']:+.1f}{mark}"
        columns = list(dict.fromkeys(name for line in lines.values() for name in line))
        return [{column: line.get(column) for column in columns} for line in lines.values()]


@dataclass
class StudyReport:
    """Tables of a study.

    Attributes:
        study: its name; description: its question.
        tables: the matrices of scores and gains first.
        missing: titles of the cells that are not finished.
        notes: what a reader should know.
    """

    study: str
    description: str
    tables: list[Table] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, folder: Path, formats: Sequence[str]) -> list[Path]:
        """Write the tables.

        Args:
            folder: receives `report.md`, and for each table `<name>.csv` and `<name>.tex`.
            formats: of `FORMATS`.

        Raises:
            StiltsError: an unknown format.
        """
        unknown = [each for each in formats if each not in FORMATS]
        if unknown:
            raise StiltsError(f"No format {unknown[0]!r}; there are {', '.join(FORMATS)}. Pass --format md,csv,latex.")
        written = []
        if "md" in formats:
            written.append(folder / "report.md")
            write(written[-1], self.markdown())
        for name, spelt in (("csv", as_csv), ("latex", as_latex)):
            for table in self.tables if name in formats else ():
                written.append(folder / f"{table.name}.{FORMATS[name]}")
                write(written[-1], spelt(table))
        return written

    def markdown(self) -> str:
        """All tables as one Markdown page."""
        parts = [f"# {self.study}\n\n{self.description}"]
        parts += [f"## {table.title}\n\n{as_markdown(table)}" for table in self.tables]
        if self.missing:
            lines = "\n".join(f"- {title}" for title in self.missing)
            parts.append(f"## Missing: {len(self.missing)} cells that are not finished\n\n{lines}")
        if self.notes:
            parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"


def study_report(
    study: str, output_dir: str | os.PathLike[str], *, bootstrap: int = 1000, seed: int = 0
) -> StudyReport:
    """Tables of a study that was run into a folder, also while it runs; cells that are missing are named.

    Args:
        study: its name.
        output_dir: the folder.
        bootstrap: draws over the examples of a language for the intervals; 0: none.
        seed: of the draws.

    Raises:
        StiltsError: the study was not run there, none of its scores is finished, or a record is broken.
    """
    store = CellStore(output_dir)
    note = store.note(study)
    about, entries = note["study"], note["entries"]
    report = StudyReport(study, about["description"])
    report.missing = [each["title"] for name, each in note["cells"].items() if not store.finished(name)]
    finished = [entry for entry in entries if store.finished(entry["scores"])]
    if not finished:
        raise StiltsError(
            f"No scores of {study} are finished in {output_dir}; one task of one arm is expected at least. Go on with "
            f"it: hf-stilts study run {study} --output-dir {output_dir}; to see why: hf-stilts study status {study}"
        )
    bases = {each: short(each) for each in about["base"]}
    if len(set(bases.values())) < len(bases):
        bases = {each: each for each in bases}
    varying = [name for name in _FACTORS if len({entry[name] for entry in entries}) > 1]
    baseline = next((name for name, arm in about["arms"].items() if arm is None), None)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _TITLES}
    for factors in dict.fromkeys(tuple(entry[name] for name in _FACTORS) for entry in entries):
        chosen = [entry for entry in finished if tuple(entry[name] for name in _FACTORS) == factors]
        said = {name: _value(value, bases) for name, value in zip(_FACTORS, factors, strict=True) if name in varying}
        runs = {arm: _runs(arm, chosen, store) for arm in about["arms"]}
        found = _compare(runs, baseline, _benchmark(about, entries), bootstrap, seed, report, said)
        for name, table in found.items():
            rows[name] += [said | row for row in table]
    rows["arms"] = _arms(entries, store, bases)
    wanted = ("scores", *about["report"], "arms")
    report.tables = [Table(name, _TITLES[name], rows[name]) for name in _TITLES if name in wanted and rows[name]]
    report.notes = list(dict.fromkeys(report.notes))
    return report


@dataclass
class _Run:
    """One arm with one seed: rows of its scores, and where its predictions lie."""

    arm: str
    seed: int
    rows: list[dict[str, Any]]
    predictions: dict[str, Path]


def _runs(arm: str, entries: Sequence[Mapping[str, Any]], store: CellStore) -> list[_Run]:
    """Runs of an arm: the seeds that have the most tasks, since medians over seeds are of equal ones."""
    by_seed: dict[int, list[Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["arm"] == arm:
            by_seed.setdefault(entry["seed"], []).append(entry)
    most = max((len(each) for each in by_seed.values()), default=0)
    return [_run(arm, seed, each, store) for seed, each in by_seed.items() if len(each) == most]


def _run(arm: str, seed: int, entries: Sequence[Mapping[str, Any]], store: CellStore) -> _Run:
    run = _Run(arm, seed, [], {})
    for entry in entries:
        folder = store.folder(entry["scores"])
        dev = None
        if entry["trained"] and (record := store.record(entry["trained"])):
            dev = record["result"].get("dev_score")
        about = {"intermediate": arm, "base": entry["base"], "benchmark": "study", "dev_score": dev}
        run.rows += [row | about for row in read_lines(folder / RESULTS)]
        run.predictions[entry["task"]] = folder / PREDICTIONS / entry["task"]
    return run


def _compare(
    runs: Mapping[str, list[_Run]],
    baseline: str | None,
    benchmark: Benchmark,
    bootstrap: int,
    seed: int,
    report: StudyReport,
    factors: Mapping[str, str],
) -> dict[str, list[dict[str, Any]]]:
    """Tables of one comparison: one base, one way to fine-tune, one noise."""
    found: dict[str, list[dict[str, Any]]] = {"scores": _scores(runs, benchmark.tasks)}
    if baseline is None or not runs[baseline]:
        where = f" ({', '.join(factors.values())})" if factors else ""
        report.notes.append(f"There are no gains{where}: the baseline has no scores.")
        return found
    tables: dict[str, list[GainReport]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = {arm: [_lay_out(run, Path(scratch)) for run in each] for arm, each in runs.items()}
        for arm in runs:
            if arm == baseline or not runs[arm]:
                continue
            both = [*files[baseline], *files[arm]]
            compared = gains(both, baseline=baseline, benchmark=benchmark, bootstrap=bootstrap, seed=seed)
            tables.setdefault("arms", []).append(compared)
            report.notes += [f"{arm}: {said}" for said in compared.notes]
        every = [file for each in files.values() for file in each]
        best: list[dict[str, Any]] = []
        if len([arm for arm in runs if runs[arm]]) > 1:
            best = gains(every, baseline=baseline, benchmark=benchmark, bootstrap=0).best
    for name, attribute in {"gains": "tasks", "groups": "groups", "languages": "languages", "gaps": "gaps"}.items():
        found[name] = [_renamed(row) for each in tables.get("arms", ()) for row in getattr(each, attribute)]
    _correct(found["languages"])
    found["best"] = [_renamed(row) for row in best]
    return found


def _lay_out(run: _Run, scratch: Path) -> Path:
    """A run's results as `evaluate` leaves them: one file, and the predictions beside it."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    write_lines(folder / RESULTS, run.rows)
    (folder / PREDICTIONS).mkdir()
    for task, predictions in run.predictions.items():
        (folder / PREDICTIONS / task).mkdir()
        for file in predictions.glob("*.jsonl"):
            _link(file, folder / PREDICTIONS / task / file.name)
    return folder / RESULTS


def _link(file: Path, to: Path) -> None:
    try:
        to.symlink_to(file.resolve())
    except OSError:  # Windows, where a user may not
        to.write_bytes(file.read_bytes())


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `gains` in the words of a study: the start is an arm."""
    return {{"intermediate": "arm"}.get(name, name): value for name, value in row.items()}


def _correct(rows: Sequence[dict[str, Any]]) -> None:
    """Add `p_holm` to languages, over all languages and tasks of an arm."""
    for arm in dict.fromkeys(row["arm"] for row in rows):
        tested = [row for row in rows if row["arm"] == arm and row.get("p") is not None]
        for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row["p_holm"] = corrected


def _scores(runs: Mapping[str, list[_Run]], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each arm: its seeds, and the median over them of each task's mean over languages."""
    rows = []
    for arm, each in runs.items():
        row: dict[str, Any] = {"arm": arm, "seeds": len(each)}
        for task in tasks:
            of_seeds = [
                fmean(scores)
                for run in each
                if (scores := [line["score"] for line in run.rows if line["task"] == task and line["main"]])
            ]
            row[task] = median(of_seeds) if of_seeds else None
        rows.append(row)
    return rows


def _arms(entries: Sequence[Mapping[str, Any]], store: CellStore, bases: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the intermediate trainings that are finished have read, in fact and not by plan."""
    read: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for entry in entries:
        start = _start_of(entry, store)
        if start and (record := store.record(start)):
            read.setdefault((entry["base"], entry["arm"]), {})[start] = record
    rows = []
    for (base, arm), records in read.items():
        results = [record["result"] for record in records.values()]
        batches = [result["batch"] for result in results]
        steps = median(result["steps"] for result in results)
        examples = None if None in batches else round(steps * median(batches))
        hours = median(record["seconds"] for record in records.values()) / 3600
        rows.append(
            {"base": bases[base], "arm": arm, "seeds": len(results), "steps": round(steps), "examples": examples}
        )
        rows[-1]["hours"] = round(hours, 2)
    return rows


def _start_of(entry: Mapping[str, Any], store: CellStore) -> str | None:
    """Cell of the intermediate training behind an entry, where it is finished."""
    record = store.record(entry["trained"] or entry["scores"])
    start = record["spec"].get("start") if record else None
    return start if start and store.finished(start) else None


def _benchmark(about: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Benchmark:
    """The benchmark that a study is of, or its tasks in the groups that benchmarks put them in."""
    targets = list(about["targets"])
    if len(targets) == 1 and targets[0] in list_benchmarks():
        return load_benchmark(targets[0])
    groups: dict[str, tuple[str, ...]] = {}
    for task in dict.fromkeys(entry["task"] for entry in entries):
        named = (load_benchmark(name).groups.items() for name in list_benchmarks())
        group = next((group for each in named for group, tasks in each if task in tasks), "other")
        groups[group] = (*groups.get(group, ()), task)
    return Benchmark(about["name"], about["name"], tuple(about["languages"]), groups)


def as_markdown(table: Table) -> str:
    """A table of Markdown; numbers to one place, what is missing as a dash."""
    rows = table.lines()
    columns = _columns(rows)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [_cell(column, row.get(column)).replace("|", "\\|") for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_csv(table: Table) -> str:
    """Comma-separated values with a line of names: a row for each number, none of them rounded."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _columns(table.rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    return file.getvalue()


def as_latex(table: Table) -> str:
    r"""A LaTeX table with the rules of booktabs, to be read by \input."""
    rows = table.lines()
    columns = _columns(rows)
    numbers = [all(not isinstance(row.get(column), str) or _is_gain(row[column]) for row in rows) for column in columns]
    lines = [
        "\\begin{table}",
        f"\\caption{{{_escaped(table.title)}}}",
        f"\\begin{{tabular}}{{{''.join('r' if number else 'l' for number in numbers)}}}",
        "\\toprule",
        " & ".join(map(_escaped, columns)) + " \\\\",
        "\\midrule",
    ]
    for row in rows:
        lines.append(" & ".join(_escaped(_cell(column, row.get(column))) for column in columns) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"]) + "\n"


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if column in ("p", "p_holm") else f"{value:.1f}"
    return str(value)


def _is_gain(text: str) -> bool:
    return text[:1] in "+-" and text.rstrip("*")[1:].replace(".", "", 1).isdigit()


_LATEX = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--", "<": "$<$", ">": "$>$",
}  # fmt: skip


def _escaped(text: str) -> str:
    """A text in LaTeX, character by character."""
    return "".join(_LATEX.get(character, character) for character in text)


def _value(value: Any, bases: Mapping[str, str]) -> str:
    return "none" if value is None else bases.get(value, str(value))
