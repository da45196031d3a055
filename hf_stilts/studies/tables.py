"""The tables of a study, from whatever of it is finished: scores, gains over the baseline, gaps between languages."""

from __future__ import annotations

import csv
import io
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeAlias

import pandas as pd

from hf_stilts.benchmark import Benchmark, list_benchmarks, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import NOISE, PREDICTIONS, RESULTS
from hf_stilts.files import read_lines, write, write_lines
from hf_stilts.studies.cells import short
from hf_stilts.studies.gains import GainReport, best_starts, compare
from hf_stilts.studies.robustness import robustness
from hf_stilts.studies.statistics import SIGNIFICANT, holm
from hf_stilts.studies.store import CellStore

Trainings: TypeAlias = dict[tuple[str, str, str], Mapping[str, Any]]
FORMATS = {"md": "md", "csv": "csv", "latex": "tex"}
_FACTORS = ("base", "train_on", "adapter", "noise")
_TITLES = {
    "scores": "Scores: mean over languages, median over seeds",
    "gains": "Gains over the baseline in points, median over seeds; * p < 0.05, sign test over languages, Holm",
    "groups": "Gains of groups of tasks",
    "languages": "Gains by language, with 95 % intervals over examples; p_holm corrected over the languages of an arm",
    "gaps": "Gaps between languages in points, and what of them is gone",
    "best": "Best start per target, chosen on English dev",
    "grid": "Scores by language of target training (rows) and of scoring (columns), median over seeds",
    "shots": "Scores after training on so many rows of the language itself, median over seeds",
    "noise": "Scores on misspelt rows, mean over languages",
    "robustness": "What noise costs: mean drop rate in per cent, area under the curve",
    "arms": "What each arm read in phase two, median over seeds",
    "learning": "Dev scores of the intermediate trainings step by step",
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
            own = {name: row[name] for name in (*_FACTORS, "arm", "intermediate") if name in row}
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
        groups: group -> its targets, as pictures have them.
        factors: columns that tell comparisons apart, each of which has a baseline of its own.
    """

    study: str
    description: str
    tables: list[Table] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    factors: tuple[str, ...] = ()

    def write(self, folder: Path, formats: Sequence[str]) -> list[Path]:
        """Write the tables.

        Args:
            folder: receives `report.md`, and for each table `<name>.csv` and `<name>.tex`; `page.write_report` also
                writes `report.html`.
            formats: of `FORMATS`.

        Raises:
            StiltsError: an unknown format.
        """
        check_formats(formats)
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


def check_formats(formats: Sequence[str], known: Sequence[str] = tuple(FORMATS)) -> None:
    """Refuse a format that there is not.

    Raises:
        StiltsError: an unknown format, or none.
    """
    unknown = [each for each in formats if each not in known] or ([""] if not formats else [])
    if unknown:
        raise StiltsError(f"No format {unknown[0]!r}; there are {', '.join(known)}. Pass --format {','.join(known)}.")


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
    about, every = note["study"], note["entries"]
    entries = [entry for entry in every if not entry.get("shots")]  # what all other tables are of
    report = StudyReport(study, about["description"])
    report.missing = [each["title"] for name, each in note["cells"].items() if not store.finished(name)]
    finished = [entry for entry in entries if store.finished(entry["scores"])]
    if not finished:
        raise StiltsError(
            f"No scores of {study} are finished in {output_dir}; one task of one arm is expected at least. Go on with "
            f"it: hf-stilts study run {study} --output-dir {shlex.quote(str(output_dir))}; to see why: hf-stilts study "
            f"status {study}"
        )
    bases = {each: short(each) for each in about["base"]}
    if len(set(bases.values())) < len(bases):
        bases = {each: each for each in bases}
    varying = [name for name in _FACTORS if len({entry[name] for entry in entries}) > 1]
    benchmark = _benchmark(about, entries)
    report.groups, report.factors = dict(benchmark.groups), tuple(varying)
    baseline = next((name for name, arm in about["arms"].items() if arm is None), None)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _TITLES}
    for factors in dict.fromkeys(tuple(entry[name] for name in _FACTORS) for entry in entries):
        chosen = [entry for entry in finished if tuple(entry[name] for name in _FACTORS) == factors]
        said = {name: _value(value, bases) for name, value in zip(_FACTORS, factors, strict=True) if name in varying}
        runs = {arm: _runs(arm, chosen, store) for arm in about["arms"]}
        found = _compare(runs, baseline, benchmark, bootstrap, seed, report, said)
        for name, table in found.items():
            rows[name] += [said | row for row in table]
    if "train_on" in varying:
        rows["grid"] = _grid(finished, store, varying, bases)
    rows["shots"] = _few_shot(every, store, [name for name in varying if name != "noise"], bases)
    if "noise" in varying:
        _add_noise(rows, about["arms"], finished, store, bases, report)
    trainings = _intermediates(entries, store)
    rows["arms"], rows["learning"] = _arms(trainings, bases), _learning(trainings, bases)
    wanted = ("scores", *about["report"], "grid", "shots", "noise", "robustness", "arms", "learning")
    report.tables = [Table(name, _TITLES[name], rows[name]) for name in _TITLES if name in wanted and rows[name]]
    report.notes += _taken_over(note["cells"], store)
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _taken_over(cells: Mapping[str, Any], store: CellStore) -> list[str]:
    """Whose the checkpoints are that were not trained here."""
    notes = []
    for name, about in cells.items():
        record = store.record(name) if about["stage"] == "intermediate" else None
        published = record["result"].get("published") if record else None
        if published:
            where = f"{published['repo_id']} at {published['commit'][:12]}"
            notes.append(f"{about['title']} was not trained here: it is {where}, published by {published['by']}.")
    return notes


@dataclass
class _Run:
    """One arm with one seed: rows of its main scores, and where its predictions lie."""

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
        run.rows += [row | about for row in read_lines(folder / RESULTS) if row["main"]]
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
    # One file of predictions for each run, task and language: `compare` knows runs by name.
    by_name = {f"{run.arm}, seed {run.seed}": run for each in runs.values() for run in each}
    table = pd.DataFrame([row | {"run": name} for name, run in by_name.items() for row in run.rows])
    results = dict(list(table.groupby("run", sort=False)))

    def predictions(run: str, task: str, language: str) -> Path:
        return by_name[run].predictions[task] / f"{language}.jsonl"

    compared: list[GainReport] = []
    for arm in runs:
        if arm == baseline or not runs[arm]:
            continue
        both = [results[name] for name, run in by_name.items() if run.arm in (baseline, arm)]
        found_here = compare(both, predictions, baseline=baseline, benchmark=benchmark, bootstrap=bootstrap, seed=seed)
        compared.append(found_here)
        report.notes += [f"{arm}: {said}" for said in found_here.notes]
    best = best_starts([*results.values()], baseline) if compared else []
    for name, attribute in {"gains": "tasks", "groups": "groups", "languages": "languages", "gaps": "gaps"}.items():
        found[name] = [_renamed(row) for each in compared for row in getattr(each, attribute)]
    _correct(found["languages"])
    found["best"] = [_renamed(row) for row in best]
    return found


def _lay_out(run: _Run, folder: Path) -> Path:
    """A run's results in a folder as `evaluate` leaves them: one file, and the predictions beside it."""
    (folder / PREDICTIONS).mkdir(parents=True)
    write_lines(folder / RESULTS, run.rows)
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


def _few_shot(
    entries: Sequence[Mapping[str, Any]], store: CellStore, factors: Sequence[str], bases: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each arm, target, language and number of its rows that were trained on, of languages that have shots.

    The rows are those of the clean test set. The seeds are those that have every number of rows.
    """
    found: dict[tuple[str, ...], dict[int, dict[int, float]]] = {}
    for entry in entries:
        if entry["noise"] is not None or not store.finished(entry["scores"]):
            continue
        own = tuple(_value(entry[name], bases) for name in factors)
        for row in read_lines(store.folder(entry["scores"]) / RESULTS):
            if row["main"]:
                of_shots = found.setdefault((*own, entry["arm"], entry["task"], row["language"]), {})
                of_shots.setdefault(entry.get("shots", 0), {})[entry["seed"]] = row["score"]
    rows = []
    for key, of_shots in found.items():
        seeds = set.intersection(*(set(scores) for scores in of_shots.values()))
        if len(of_shots) < 2 or not seeds:
            continue
        about = dict(zip((*factors, "arm", "task", "language"), key, strict=True))
        for shots, scores in sorted(of_shots.items()):
            score = median(scores[seed] for seed in seeds)
            rows.append({**about, "shots": shots, "seeds": len(seeds), "score": score})
    return rows


def _grid(
    finished: Sequence[Mapping[str, Any]], store: CellStore, varying: Sequence[str], bases: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each arm, target and choice of training languages: the score in every language."""
    scores: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for entry in finished:
        others = [_value(entry[name], bases) for name in varying if name != "train_on"]
        cell = scores.setdefault((*others, entry["arm"], entry["task"], entry["train_on"]), {})
        for row in read_lines(store.folder(entry["scores"]) / RESULTS):
            if row["main"]:
                cell.setdefault(row["language"], []).append(row["score"])
    names = [*(name for name in varying if name != "train_on"), "arm", "task", "trained in"]
    languages = sorted({code for cell in scores.values() for code in cell})
    found = []
    for key, cell in scores.items():
        medians = {code: median(cell[code]) if code in cell else None for code in languages}
        found.append(dict(zip(names, key, strict=True)) | medians)
    return found


def _add_noise(
    rows: dict[str, list[dict[str, Any]]],
    arms: Iterable[str],
    finished: Sequence[Mapping[str, Any]],
    store: CellStore,
    bases: Mapping[str, str],
    report: StudyReport,
) -> None:
    """Add what noise costs, comparison by comparison: scores by level, drop rates, areas."""
    others = [name for name in _FACTORS if name != "noise"]
    for factors in dict.fromkeys(tuple(entry[name] for name in others) for entry in finished):
        chosen = [entry for entry in finished if tuple(entry[name] for name in others) == factors]
        said = {
            name: _value(value, bases) for name, value in zip(others, factors, strict=True) if name in report.factors
        }
        with tempfile.TemporaryDirectory() as scratch:
            folders = [folder for arm in arms for folder in _clean_and_noisy(arm, chosen, store, Path(scratch))]
            try:
                found = robustness(folders)
            except (StiltsError, FileNotFoundError, ValueError) as error:
                where = f" ({', '.join(said.values())})" if said else ""
                report.notes.append(f"There are no noise curves{where}: {error}")
                continue
        rows["noise"] += [said | _of_arm(row) for row in found.tasks]
        rows["robustness"] += [said | _of_arm(row) for row in found.overall]
        report.notes += found.notes


def _clean_and_noisy(arm: str, entries: Sequence[Mapping[str, Any]], store: CellStore, scratch: Path) -> Iterator[Path]:
    """Folders of an arm's seeds as `evaluate` leaves them: clean results, those of each noise below them."""
    levels = dict.fromkeys(entry["noise"] for entry in entries)
    runs = {noise: _runs(arm, [each for each in entries if each["noise"] == noise], store) for noise in levels}
    for clean in runs.get(None, ()):
        noisy = [run for noise in levels if noise for run in runs[noise] if run.seed == clean.seed]
        if noisy:
            folder = _lay_out(clean, Path(tempfile.mkdtemp(dir=scratch))).parent
            for number, run in enumerate(noisy):
                _lay_out(run, folder / NOISE / str(number))
            yield folder


def _of_arm(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `robustness` in the words of a study: the start is an arm."""
    return {{"start": "arm"}.get(name, name): value for name, value in row.items()}


def _learning(trainings: Trainings, bases: Mapping[str, str]) -> list[dict[str, Any]]:
    """Dev scores of each intermediate training that is finished, where it was evaluated while it trained."""
    rows = []
    for (base, arm, _), record in trainings.items():
        batch = record["result"].get("batch")
        for point in record["result"].get("curve", ()):
            step = point["step"]
            own = {"base": bases[base], "arm": arm, "seed": record["spec"]["seed"], "step": step}
            own["examples"] = step * batch if batch else None
            rows += [{**own, "metric": name, "score": score} for name, score in point.items() if name != "step"]
    return rows


def _intermediates(entries: Sequence[Mapping[str, Any]], store: CellStore) -> Trainings:
    """Base, arm and cell of each intermediate training that is finished -> its record."""
    found: Trainings = {}
    for entry in entries:
        start = _start_of(entry, store)
        if start and (entry["base"], entry["arm"], start) not in found and (record := store.record(start)):
            found[entry["base"], entry["arm"], start] = record
    return found


def _arms(trainings: Trainings, bases: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the intermediate trainings that are finished have read, in fact and not by plan."""
    read: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for (base, arm, _), record in trainings.items():
        read.setdefault((base, arm), []).append(record)
    rows = []
    for (base, arm), records in read.items():
        results = [record["result"] for record in records]
        batches = [result["batch"] for result in results]
        steps = median(result["steps"] for result in results)
        examples = None if None in batches else round(steps * median(batches))
        hours = median(record["seconds"] for record in records) / 3600
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
    groups = groups_of(dict.fromkeys(entry["task"] for entry in entries))
    return Benchmark(about["name"], about["name"], tuple(about["languages"]), groups)


def groups_of(tasks: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Tasks in the groups that the first benchmark which has them puts them in; the rest are others."""
    groups: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        named = (load_benchmark(name).groups.items() for name in list_benchmarks())
        group = next((group for each in named for group, members in each if task in members), "other")
        groups[group] = (*groups.get(group, ()), task)
    return groups


def as_markdown(table: Table) -> str:
    """A table of Markdown; numbers to one place, what is missing as a dash."""
    rows = table.lines()
    columns = columns_of(rows)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [cell_text(column, row.get(column)).replace("|", "\\|") for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_csv(table: Table) -> str:
    """Comma-separated values with a line of names: a row for each number, none of them rounded."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns_of(table.rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    return file.getvalue()


def as_latex(table: Table) -> str:
    r"""A LaTeX table with the rules of booktabs, to be read by \input."""
    rows = table.lines()
    columns = columns_of(rows)
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
        lines.append(" & ".join(_escaped(cell_text(column, row.get(column))) for column in columns) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"]) + "\n"


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of columns in the order in which rows bring them."""
    return list(dict.fromkeys(name for row in rows for name in row))


def cell_text(column: str, value: Any) -> str:
    """A value as tables show it: numbers to one place, p-values to three, what is missing as a dash."""
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


def as_text(tables: Sequence[Table], spelling: str) -> str:
    """Tables as one text: with `"csv"` the first alone, since a file of values has one head.

    Args:
        tables: at least one.
        spelling: of `FORMATS`.
    """
    if spelling == "csv":
        return as_csv(tables[0])
    if spelling == "latex":
        return "\n".join(as_latex(table) for table in tables)
    return "\n\n".join(f"## {table.title}\n\n{as_markdown(table)}" for table in tables) + "\n"


def gain_tables(report: GainReport, *, languages: bool = False) -> list[Table]:
    """Tables of the gains of some runs, those of tasks first.

    Args:
        report: of `gains`.
        languages: the gain of every language too, and first.
    """
    tasks = Table("gains", _TITLES["gains"], report.tasks)
    of_languages = Table("languages", "Gains by language, with 95 % intervals over examples", report.languages)
    others = [Table(name, _TITLES[name], getattr(report, name)) for name in ("groups", "gaps", "best")]
    tables = [of_languages, tasks, *others] if languages else [tasks, *others]
    return [table for table in tables if table.rows]


def score_tables(rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> list[Table]:
    """Tables of a benchmark's scores: every language, then the means of tasks and groups.

    Args:
        rows: of `run_benchmark`, the main ones.
        found: what `benchmark_scores` makes of them.
    """
    languages: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = languages.setdefault(row["language"], {"language": row["language"]})
        line[row["task"]] = row["score"]
    columns = columns_of(list(languages.values()))
    lines = [{column: languages[code].get(column) for column in columns} for code in sorted(languages)]
    tasks = [{"task": name, **task} for name, task in found["tasks"].items()]
    groups = [{"group": name, "score": score} for name, score in found["groups"].items()]
    tables = [
        Table("languages", "Scores in every language", lines),
        Table("tasks", "Scores, mean over languages", tasks),
        Table("groups", "Scores, mean over tasks", groups),
    ]
    return [table for table in tables if table.rows]


def _value(value: Any, bases: Mapping[str, str]) -> str:
    return "none" if value is None else bases.get(value, str(value))
