"""The tables of a study, from whatever of it is finished: scores, gains over the baseline, gaps between languages."""

from __future__ import annotations

import csv
import io
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from hf_stilts.benchmark import Benchmark, list_benchmarks, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import BY_LAYER, NOISE, PREDICTIONS, RESULTS
from hf_stilts.files import read_lines, write, write_lines
from hf_stilts.studies.cells import short
from hf_stilts.studies.gains import GainReport, best_starts, compare
from hf_stilts.studies.robustness import robustness
from hf_stilts.studies.statistics import SIGNIFICANT, holm
from hf_stilts.studies.store import CellStore
from hf_stilts.tabular import columns_of, filled

Entry: TypeAlias = Mapping[str, Any]  # a place of the table, as a run notes it
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
    "layers": "Retrieval accuracy (%) by hidden state, 0: embeddings; mean over languages, median over seeds",
    "noise": "Scores on misspelt rows, mean over languages and noise seeds",
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
        """Rows as they are read: targets of gains and hidden states become columns, other tables stay as they are."""
        if self.name == "layers":
            return self._layer_lines()
        if self.name != "gains":
            return self.rows
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in self.rows:
            own = {name: row[name] for name in (*_FACTORS, "arm", "intermediate") if name in row}
            line = lines.setdefault(tuple(own.values()), own)
            mark = "*" if row["p_holm"] < SIGNIFICANT else ""
            line[row["task"]] = f"{row['gain']:+.1f}{mark}"
        return filled(list(lines.values()))

    def _layer_lines(self) -> list[dict[str, Any]]:
        """A line for each arm and target, a column for each hidden state."""
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in self.rows:
            own = {name: value for name, value in row.items() if name not in ("layer", "score")}
            line = lines.setdefault(tuple(own.values()), own)
            line[str(row["layer"])] = row["score"]
        return filled(list(lines.values()))


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
            if name not in formats:
                continue
            for table in self.tables:
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
    unknown = [each for each in formats if each not in known]
    if not formats:
        unknown = [""]
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
    cells = _Cells(store)
    report = StudyReport(study, note["study"]["description"])
    report.missing = [each["title"] for name, each in note["cells"].items() if not cells.finished(name)]
    ran = _Ran(note, cells)
    if not ran.finished:
        raise StiltsError(
            f"No scores of {study} are finished in {output_dir}; one task of one arm is expected at least. Go on with "
            f"it: hf-stilts study run {study} --output-dir {shlex.quote(str(output_dir))}; to see why: hf-stilts study "
            f"status {study}"
        )
    report.groups, report.factors = dict(ran.benchmark.groups), tuple(ran.varying)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _TITLES}
    for entries in _alike(ran.entries, _FACTORS):
        found = _comparison(entries, ran, report, bootstrap, seed)
        for name, table in found.items():
            rows[name] += [ran.said(entries[0]) | row for row in table]
    if "train_on" in ran.varying:
        rows["grid"] = _grid(ran)
    rows["shots"], rows["layers"] = _few_shot(ran), _layers(ran)
    if "noise" in ran.varying:
        _add_noise(rows, ran, report)
    rows["arms"], rows["learning"] = _arms(ran), _learning(ran)
    wanted = ("scores", *ran.about["report"], "grid", "shots", "layers", "noise", "robustness", "arms", "learning")
    report.tables = [Table(name, _TITLES[name], rows[name]) for name in _TITLES if name in wanted and rows[name]]
    report.notes += _collapsed(note, cells) + _taken_over(note, cells)
    report.notes = list(dict.fromkeys(report.notes))
    return report


class _Cells:
    """What finished cells hold. Every file is read once, however many tables are made of it."""

    def __init__(self, store: CellStore) -> None:
        self.folder = store.folder
        self.record = cache(store.record)
        self.rows = cache(self._rows)
        self.scores = cache(self._scores)

    def finished(self, name: str) -> bool:
        """Whether a cell has a record, and a whole one."""
        return self.record(name) is not None

    def _rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a cell's results, which nobody changes."""
        return read_lines(self.folder(name) / RESULTS)

    def _scores(self, name: str) -> list[dict[str, Any]]:
        """The main ones of these rows."""
        return [row for row in self.rows(name) if row["main"]]


class _Ran:
    """A study as it was run: what its note says, and which of its scores are finished.

    Attributes:
        about: the study's fields.
        cells: what the finished cells hold.
        every: places of the table that all others are of, and of the table of shots.
        entries: those without shots and of the first noise seed, which all other tables are of; `finished`: those of
            them whose scores are there.
        noisy: as `finished`, of every noise seed.
        bases: base -> its short name, or where two have the same, the whole.
        varying: factors that have several values.
        baseline: name of the arm without intermediate training; None where there is none.
        trainings: base, arm and cell of each finished intermediate training -> its record.
    """

    def __init__(self, note: Mapping[str, Any], cells: _Cells) -> None:
        self.about, self.every, self.cells = note["study"], note["entries"], cells
        without_shots: list[Entry] = [entry for entry in self.every if not entry.get("shots")]
        seed = self.about.get("noise_seeds", [0])[0]
        self.entries = [each for each in without_shots if each["noise"] is None or each.get("noise_seed", 0) == seed]
        self.finished = [entry for entry in self.entries if cells.finished(entry["scores"])]
        self.noisy = [entry for entry in without_shots if cells.finished(entry["scores"])]
        self.bases = {each: short(each) for each in self.about["base"]}
        if len(set(self.bases.values())) < len(self.bases):
            self.bases = {each: each for each in self.bases}
        self.varying = [name for name in _FACTORS if len(_alike(self.entries, [name])) > 1]
        self.benchmark = _benchmark(self.about, self.entries)
        self.baseline = next((name for name, arm in self.about["arms"].items() if arm is None), None)
        self.trainings = self._trainings()

    def said(self, entry: Entry, leave_out: str = "") -> dict[str, str]:
        """Values of the factors that vary, as tables show them: of a comparison or of a place of the table."""
        return {name: self._value(entry[name]) for name in self.varying if name != leave_out}

    def _value(self, value: Any) -> str:
        return "none" if value is None else self.bases.get(value, str(value))

    def _trainings(self) -> dict[tuple[str, str, str], Mapping[str, Any]]:
        found: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        for entry in self.entries:
            last = self.cells.record(entry["trained"] or entry["scores"])
            start = last["spec"].get("start") if last else None
            record = self.cells.record(start) if start else None
            if start and record:
                found.setdefault((entry["base"], entry["arm"], start), record)
        return found


def _collapsed(note: Mapping[str, Any], cells: _Cells) -> list[str]:
    """Which trainings learnt nothing, so that what comes after them says nothing of their tasks."""
    notes = []
    for name, about in note["cells"].items():
        record = cells.record(name) if about["stage"] != "scores" else None
        if record and (tasks := record["result"].get("collapsed")):
            notes.append(
                f"{about['title']} gives the same answer to all dev rows of {tasks}: it was not learnt, and the scores "
                "after it do not show what that task does. Try a lower learning rate, or another seed."
            )
    return notes


def _taken_over(note: Mapping[str, Any], cells: _Cells) -> list[str]:
    """Whose the checkpoints are that were not trained here."""
    notes = []
    for name, about in note["cells"].items():
        record = cells.record(name) if about["stage"] == "intermediate" else None
        published = record["result"].get("published") if record else None
        if published:
            where = f"{published['repo_id']} at {published['commit'][:12]}"
            notes.append(f"{about['title']} was not trained here: it is {where}, published by {published['by']}.")
    return notes


def _alike(entries: Sequence[Entry], factors: Sequence[str]) -> list[list[Entry]]:
    """Entries in groups that agree in some factors."""
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(entry.get(name) for name in factors), []).append(entry)
    return list(groups.values())


@dataclass
class _Run:
    """One arm with one seed: rows of its main scores, and where its predictions lie."""

    arm: str
    seed: int
    rows: list[dict[str, Any]]
    predictions: dict[str, Path]

    @property
    def name(self) -> str:
        """As `compare` knows it."""
        return f"{self.arm}, seed {self.seed}"


def _runs(arm: str, entries: Sequence[Entry], ran: _Ran) -> list[_Run]:
    """Runs of an arm: the seeds that have the most tasks, since medians over seeds are of equal ones."""
    by_seed: dict[int, list[Entry]] = {}
    for entry in entries:
        if entry["arm"] == arm and ran.cells.finished(entry["scores"]):
            by_seed.setdefault(entry["seed"], []).append(entry)
    most = max((len(each) for each in by_seed.values()), default=0)
    return [_run(arm, seed, each, ran) for seed, each in by_seed.items() if len(each) == most]


def _run(arm: str, seed: int, entries: Sequence[Entry], ran: _Ran) -> _Run:
    run = _Run(arm, seed, [], {})
    for entry in entries:
        record = ran.cells.record(entry["trained"]) if entry["trained"] else None
        dev = record["result"].get("dev_score") if record else None
        about = {"intermediate": arm, "base": entry["base"], "benchmark": "study", "dev_score": dev}
        run.rows += [row | about for row in ran.cells.scores(entry["scores"])]
        run.predictions[entry["task"]] = ran.cells.folder(entry["scores"]) / PREDICTIONS / entry["task"]
    return run


def _comparison(
    entries: Sequence[Entry], ran: _Ran, report: StudyReport, bootstrap: int, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Tables of one comparison: one base, one way to fine-tune, one noise."""
    runs = {arm: _runs(arm, entries, ran) for arm in ran.about["arms"]}
    found: dict[str, list[dict[str, Any]]] = {"scores": _scores(runs, ran.benchmark.tasks)}
    if ran.baseline is None or not runs[ran.baseline]:
        said = ran.said(entries[0])
        where = f" ({', '.join(said.values())})" if said else ""
        report.notes.append(f"There are no gains{where}: the baseline has no scores.")
        return found
    every = [run for each in runs.values() for run in each]
    by_name = {run.name: run for run in every}
    results = _frames(every)

    def predictions(run: str, task: str, language: str) -> Path:
        return by_name[run].predictions[task] / f"{language}.jsonl"

    reports: dict[str, GainReport] = {}
    for arms in _arms_alike(runs, ran.baseline):
        both = [results[run.name] for run in every if run.arm == ran.baseline or run.arm in arms]
        compared = compare(
            both, predictions, baseline=ran.baseline, benchmark=ran.benchmark, bootstrap=bootstrap, seed=seed
        )
        for arm in arms:
            reports[arm] = compared
    in_order = [arm for arm in runs if arm in reports]
    for name, attribute in {"gains": "tasks", "groups": "groups", "languages": "languages", "gaps": "gaps"}.items():
        found[name] = []
        for arm in in_order:
            found[name] += [_renamed(row) for row in getattr(reports[arm], attribute) if row["intermediate"] == arm]
    for arm in in_order:
        report.notes += [f"{arm}: {said}" for said in reports[arm].notes]
    _correct(found["languages"])
    best = best_starts(list(results.values()), ran.baseline) if reports else []
    found["best"] = [_renamed(row) for row in best]
    return found


def _frames(runs: Sequence[_Run]) -> dict[str, pd.DataFrame]:
    """Name of a run -> its rows as `compare` takes them; all columns are typed at once, which is quicker."""
    rows = []
    for run in runs:
        rows += [row | {"run": run.name} for row in run.rows]
    return dict(list(pd.DataFrame(rows).groupby("run", sort=False)))


def _arms_alike(runs: Mapping[str, list[_Run]], baseline: str) -> list[list[str]]:
    """Arms but for the baseline, those together whose runs have scores of the same tasks and languages.

    An arm is compared with the baseline where both have scores, whatever other arms lack.
    """
    groups: dict[frozenset[frozenset[tuple[str, str]]], list[str]] = {}
    for arm, own in runs.items():
        if arm != baseline and own:
            groups.setdefault(frozenset(map(_places, own)), []).append(arm)
    return list(groups.values())


def _places(run: _Run) -> frozenset[tuple[str, str]]:
    """Tasks and languages that a run has scores of."""
    return frozenset((row["task"], row["language"]) for row in run.rows)


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
    """A row of `gains` or `robustness` in the words of a study: the start is an arm."""
    return {"arm" if name in ("intermediate", "start") else name: value for name, value in row.items()}


def _correct(rows: Sequence[dict[str, Any]]) -> None:
    """Add `p_holm` to languages, over all languages and tasks of an arm."""
    tested: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row.get("p") is not None:
            tested.setdefault(row["arm"], []).append(row)
    for own in tested.values():
        for row, corrected in zip(own, holm([row["p"] for row in own]), strict=True):
            row["p_holm"] = corrected


def _scores(runs: Mapping[str, list[_Run]], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each arm: its seeds, and the median over them of each task's mean over languages."""
    rows = []
    for arm, each in runs.items():
        means: dict[str, list[float]] = {}  # a number for each seed
        for run in each:
            of_task: dict[str, list[float]] = {}
            for line in run.rows:
                of_task.setdefault(line["task"], []).append(line["score"])
            for task, scores in of_task.items():
                means.setdefault(task, []).append(fmean(scores))
        row: dict[str, Any] = {"arm": arm, "seeds": len(each)}
        for task in tasks:
            row[task] = median(means[task]) if task in means else None
        rows.append(row)
    return rows


def _few_shot(ran: _Ran) -> list[dict[str, Any]]:
    """A row for each arm, target, language and number of its rows that were trained on, of languages that have shots.

    The rows are those of the clean test set. The seeds are those that have every number of rows.
    """
    if not any(entry.get("shots") for entry in ran.every):
        return []
    found: dict[tuple[tuple[str, str], ...], dict[int, dict[int, float]]] = {}
    for entry in ran.every:
        if entry["noise"] is not None or not ran.cells.finished(entry["scores"]):
            continue
        for row in ran.cells.scores(entry["scores"]):
            about = ran.said(entry, leave_out="noise")
            about |= {"arm": entry["arm"], "task": entry["task"], "language": row["language"]}
            of_shots = found.setdefault(tuple(about.items()), {})
            of_shots.setdefault(entry.get("shots", 0), {})[entry["seed"]] = row["score"]
    rows = []
    for key, of_shots in found.items():
        seeds = set.intersection(*map(set, of_shots.values()))
        if len(of_shots) < 2 or not seeds:
            continue
        for shots, scores in sorted(of_shots.items()):
            score = median(scores[seed] for seed in seeds)
            rows.append({**dict(key), "shots": shots, "seeds": len(seeds), "score": score})
    return rows


def _layers(ran: _Ran) -> list[dict[str, Any]]:
    """A row for each arm, retrieval target and hidden state that was scored, on clean rows."""
    found: dict[tuple[tuple[str, str], ...], dict[int, list[float]]] = {}
    languages: dict[tuple[tuple[str, str], ...], int] = {}
    for entry in ran.finished:
        if entry["noise"] is not None:
            continue
        of_layer: dict[int, list[float]] = {}
        for row in ran.cells.rows(entry["scores"]):
            if row["metric"] == BY_LAYER:
                of_layer.setdefault(row["layer"], []).append(row["score"])
        about = ran.said(entry, leave_out="noise")
        about |= {"arm": entry["arm"], "task": entry["task"]}
        key = tuple(about.items())
        for layer, scores in of_layer.items():
            found.setdefault(key, {}).setdefault(layer, []).append(fmean(scores))
            languages[key] = len(scores)
    rows = []
    for key, means in found.items():
        for layer, of_seeds in sorted(means.items()):
            counts = {"seeds": len(of_seeds), "languages": languages[key]}
            rows.append({**dict(key), **counts, "layer": layer, "score": median(of_seeds)})
    return rows


def _grid(ran: _Ran) -> list[dict[str, Any]]:
    """A row for each arm, target and choice of training languages: the score in every language."""
    found: dict[tuple[tuple[str, str], ...], dict[str, list[float]]] = {}
    for entry in ran.finished:
        about = ran.said(entry, leave_out="train_on")
        about |= {"arm": entry["arm"], "task": entry["task"], "trained in": entry["train_on"]}
        scores = found.setdefault(tuple(about.items()), {})
        for row in ran.cells.scores(entry["scores"]):
            scores.setdefault(row["language"], []).append(row["score"])
    languages = sorted(set().union(*found.values()))
    rows = []
    for key, scores in found.items():
        medians: dict[str, Any] = {code: None for code in languages}
        medians |= {code: median(of_seeds) for code, of_seeds in scores.items()}
        rows.append(dict(key) | medians)
    return rows


def _add_noise(rows: dict[str, list[dict[str, Any]]], ran: _Ran, report: StudyReport) -> None:
    """Add what noise costs, comparison by comparison: scores by level, drop rates, areas."""
    others = [name for name in _FACTORS if name != "noise"]
    for entries in _alike(ran.noisy, others):
        said = ran.said(entries[0], leave_out="noise")
        with tempfile.TemporaryDirectory() as scratch:
            folders: list[Path] = []
            for arm in ran.about["arms"]:
                folders += _clean_and_noisy(arm, entries, ran, Path(scratch))
            try:
                found = robustness(folders)
            except (StiltsError, FileNotFoundError, ValueError) as error:
                where = f" ({', '.join(said.values())})" if said else ""
                report.notes.append(f"There are no noise curves{where}: {error}")
                continue
        rows["noise"] += [said | _renamed(row) for row in found.tasks]
        rows["robustness"] += [said | _renamed(row) for row in found.overall]
        report.notes += found.notes


def _clean_and_noisy(arm: str, entries: Sequence[Entry], ran: _Ran, scratch: Path) -> Iterator[Path]:
    """Folders of an arm's seeds as `evaluate` leaves them: clean results, those of each noise below them."""
    clean: list[_Run] = []
    noisy: dict[int, list[_Run]] = {}  # seed -> its runs, level by level and noise seed by noise seed
    for own in _alike(entries, ["noise", "noise_seed"]):
        runs = _runs(arm, own, ran)
        if own[0]["noise"] is None:
            clean = runs
            continue
        for run in runs:
            noisy.setdefault(run.seed, []).append(run)
    for run in clean:
        if run.seed in noisy:
            folder = _lay_out(run, Path(tempfile.mkdtemp(dir=scratch))).parent
            for number, other in enumerate(noisy[run.seed]):
                _lay_out(other, folder / NOISE / str(number))
            yield folder


def _learning(ran: _Ran) -> list[dict[str, Any]]:
    """Dev scores of each intermediate training that is finished, where it was evaluated while it trained."""
    rows = []
    for (base, arm, _), record in ran.trainings.items():
        batch = record["result"].get("batch")
        for point in record["result"].get("curve", ()):
            step = point["step"]
            own = {"base": ran.bases[base], "arm": arm, "seed": record["spec"]["seed"], "step": step}
            own["examples"] = step * batch if batch else None
            rows += [{**own, "metric": name, "score": score} for name, score in point.items() if name != "step"]
    return rows


def _arms(ran: _Ran) -> list[dict[str, Any]]:
    """What the intermediate trainings that are finished have read, in fact and not by plan."""
    read: dict[tuple[str, str], list[_Read]] = {}
    for (base, arm, _), record in ran.trainings.items():
        read.setdefault((base, arm), []).append(_read_of(record, ran.cells))
    rows = []
    for (base, arm), reads in read.items():
        examples = [each.examples for each in reads if each.examples is not None]
        row = {"base": ran.bases[base], "arm": arm, "seeds": len(reads), "steps": round(median(r.steps for r in reads))}
        row["examples"] = round(median(examples)) if len(examples) == len(reads) else None
        rows.append(row | {"hours": round(median(each.seconds for each in reads) / 3600, 2)})
    return rows


class _Read(NamedTuple):
    """What one training, or all parts of a merge together, have read; examples are not known of a mixture."""

    steps: int
    examples: int | None
    seconds: float


def _read_of(record: Mapping[str, Any], cells: _Cells) -> _Read:
    result, seconds = record["result"], float(record["seconds"])
    steps, batch = result["steps"], result["batch"]
    examples = None if batch is None else steps * batch
    parts = [part for name in record["spec"].get("parts", ()) if (part := cells.record(name)) is not None]
    if parts:
        reads = [_read_of(part, cells) for part in parts]
        steps = sum(each.steps for each in reads)
        known = [each.examples for each in reads if each.examples is not None]
        examples = sum(known) if len(known) == len(reads) else None
        seconds += sum(each.seconds for each in reads)
    return _Read(steps, examples, seconds)


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
        group = _group_of(task)
        groups[group] = (*groups.get(group, ()), task)
    return groups


def _group_of(task: str) -> str:
    """The first group of a benchmark that has a task."""
    for name in list_benchmarks():
        for group, tasks in load_benchmark(name).groups.items():
            if task in tasks:
                return group
    return "other"


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
    alignment = "".join("r" if _numeric(rows, column) else "l" for column in columns)
    lines = [
        "\\begin{table}",
        f"\\caption{{{_escaped(table.title)}}}",
        f"\\begin{{tabular}}{{{alignment}}}",
        "\\toprule",
        " & ".join(map(_escaped, columns)) + " \\\\",
        "\\midrule",
    ]
    for row in rows:
        cells = [_escaped(cell_text(column, row.get(column))) for column in columns]
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"]) + "\n"


def cell_text(column: str, value: Any) -> str:
    """A value as tables show it: numbers to one place, p-values to three, what is missing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if column in ("p", "p_holm") else f"{value:.1f}"
    return str(value)


def _numeric(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether a column has no words in any row."""
    texts = [row[column] for row in rows if isinstance(row.get(column), str)]
    return all(map(_is_gain, texts))


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
    lines = sorted(filled(list(languages.values())), key=lambda line: str(line["language"]))
    tasks = [{"task": name, **task} for name, task in found["tasks"].items()]
    groups = [{"group": name, "score": score} for name, score in found["groups"].items()]
    tables = [
        Table("languages", "Scores in every language", lines),
        Table("tasks", "Scores, mean over languages", tasks),
        Table("groups", "Scores, mean over tasks", groups),
    ]
    return [table for table in tables if table.rows]
