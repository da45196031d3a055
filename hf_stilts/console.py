"""How commands answer: a table for people, JSON for machines, and errors that say what to type next."""

from __future__ import annotations

import itertools
import json
import logging
import math
import re
import shlex
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hf_stilts.logging import beside_bars, get_verbosity, printable

if TYPE_CHECKING:
    import pandas as pd

    from hf_stilts.data.check import CheckReport
    from hf_stilts.evaluation.xtreme import Report
    from hf_stilts.studies.explain import Explanation
    from hf_stilts.studies.gains import GainReport
    from hf_stilts.studies.matrix import TransferMatrix
    from hf_stilts.studies.plan import Plan
    from hf_stilts.studies.rank import Ranking
    from hf_stilts.studies.robustness import RobustnessReport
    from hf_stilts.studies.similarity import SimilarityReport
    from hf_stilts.studies.status import Status
    from hf_stilts.studies.tables import StudyReport

# A cell of at most so many letters stands in one line; longer ones are wrapped between words (names of repositories and
# paths are words), to no fewer letters than the second.
_WHOLE, _WRAPPED = 24, 16
_COMMIT = re.compile(r"^([0-9a-f]{12})[0-9a-f]{28}$")

# What decides the score of a retrieval task besides the model, and stands beside it.
_OF_VECTORS = ("layer", "layer_from", "pooling", "precision", "source_prefix", "target_prefix")
# What a narrow terminal may do without among the gains, the first to go first.
_OF_GAINS = (
    "baseline_spread", "seeds", "spread", "gain of the higher", "gain of the lower", "languages", "down", "up",
    "chosen on",
)  # fmt: skip
_MOST_LINES = 20  # of what explains a table
_OF_ROBUSTNESS = ("seeds", "worst_score", "flip_rate", "robust_accuracy", "sd", "worst")

_OF_SIMILARITY = ("first_texts", "second_texts", "concepts", "first_characters", "second_characters")


class _Console(Console):
    """A console that is given nothing but printable text, and writes it beside progress bars, not into them."""

    def print(self, *objects: Any, **options: Any) -> None:
        with beside_bars():
            super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **options)


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "", optional: Sequence[str] = ()) -> None:
    """Print rows of equal keys, no wider than the terminal, or than COLUMNS (else 80) where there is none.

    Args:
        rows: what to print; the keys of the first row are the columns.
        as_json: one JSON list on standard output, nothing else.
        title: a line above the table.
        optional: columns that a narrow terminal may do without, the first to go first; a line below names them. Where
            the others are still too wide, each row is a block of lines.
    """
    if as_json:
        _write_json([dict(row) for row in rows])
        return
    if not rows:
        out.print(f"{title}: nothing." if title else "Nothing.", markup=False)
        return
    columns = {}
    for key in rows[0]:
        columns[key] = [_cell(row[key]) for row in rows]
        if len(rows[0]) > 2:  # among others a commit is known by its beginning; --json has it whole
            columns[key] = [_COMMIT.sub(r"\1", cell) for cell in columns[key]]
    fitting = Console(highlight=False)  # as wide as the terminal is now
    width = fitting.width
    left_out = []
    for key in optional:
        if key in columns and not _fits(columns, width):
            left_out.append(key)
            del columns[key]
    if title:
        out.print(title, markup=False, style="italic")
    if _fits(columns, width):
        numbers = {key for key, value in rows[0].items() if isinstance(value, int | float)}
        fitting.print(_table(columns, numbers, width))
    else:
        for place in range(len(rows)):
            if place:
                out.print()
            _print_block({key: cells[place] for key, cells in columns.items()}, fitting)
    if left_out:
        out.print(f"Too narrow for: {', '.join(left_out)}. All columns: --json", markup=False)


def _narrowest(key: str, cells: Sequence[str]) -> int:
    """Width below which a column cannot be read: short cells stay whole, long ones are wrapped between words."""
    longest = max(map(cell_len, cells))
    if longest > _WHOLE:
        words = [cell_len(word) for cell in cells for word in cell.split()]
        longest = max(_WRAPPED, *words)
    return max(longest, max(map(cell_len, key.split()), default=0))


def _fits(columns: Mapping[str, Sequence[str]], width: int) -> bool:
    """Whether the columns can be read with one blank between each and the next."""
    return sum(_narrowest(key, cells) + 1 for key, cells in columns.items()) - 1 <= width


def _widths(columns: Mapping[str, Sequence[str]], room: int) -> dict[str, int]:
    """Width of each column: what it needs at least, and of what is left an equal part, the least needy first.

    Left to rich, two columns that are wrapped may push the last one over the edge.
    """
    widths = {key: _narrowest(key, cells) for key, cells in columns.items()}
    needs = {key: max(map(cell_len, [key, *cells])) - widths[key] for key, cells in columns.items()}
    spare = room - sum(widths.values())
    for place, key in enumerate(sorted(needs, key=lambda name: needs[name])):
        more = max(0, min(needs[key], spare // (len(needs) - place)))
        widths[key] += more
        spare -= more
    return widths


def _table(columns: Mapping[str, Sequence[str]], numbers: Container[str], width: int) -> Table:
    roomy = sum(_narrowest(key, cells) + 2 for key, cells in columns.items()) - 2 <= width
    gap = 2 if roomy else 1
    headed = any(key.strip() for key in columns)
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold", show_header=headed)
    widths = _widths(columns, width - gap * (len(columns) - 1))
    for key, cells in columns.items():
        longest = max(map(cell_len, cells))
        table.add_column(
            Text(printable(key)),
            justify="right" if key in numbers else "left",
            overflow="fold",
            width=widths[key],
            no_wrap=longest <= _WHOLE and " " not in key,
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _print_block(row: Mapping[str, str], fitting: Console) -> None:
    """Print a row as a line a column. A word that is wider than the terminal stays whole, so that it can be copied."""
    keys = max(map(cell_len, row))
    room = max(fitting.width - keys - 2, 1)
    for key, text in row.items():
        words = map(cell_len, text.split())
        lines = [text] if max(words, default=0) > room else [str(line) for line in Text(text).wrap(fitting, room)]
        for start, line in zip([key, *[""] * len(lines)], lines or [""], strict=False):
            out.print(f"{start}{' ' * (keys - cell_len(start))}  {line.rstrip()}".rstrip(), markup=False)


def show_object(value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing, a line a field; as JSON, one object."""
    if as_json:
        _write_json(dict(value))
    else:
        show([{"field": key, "value": each} for key, each in value.items()], as_json=False)


def show_scores(table: pd.DataFrame) -> None:
    """Print a zero-shot table: a line a task with its mean, below it the score of each language."""
    import pandas as pd

    from hf_stilts.evaluation.zero_shot import summary

    for task, row in summary(table).iterrows():
        first = table[table["task"] == task].iloc[0]
        metric = table[(table["task"] == task) & table["main"]].iloc[0]["metric"]
        scores = row.drop("mean").dropna()
        noted = {name: first[name] for name in _OF_VECTORS if name in first and pd.notna(first[name])}
        said = {name: int(value) if isinstance(value, float) else value for name, value in noted.items()}
        said |= {name: repr(value) for name, value in said.items() if name.endswith("prefix")}
        count = f"{len(scores)} language" if len(scores) == 1 else f"{len(scores)} languages"
        how = escape(printable("".join(f", {name.replace('_', ' ')} {value}" for name, value in said.items())))
        if "noise" in first:
            how += escape(f", noise {first['noise']} seed {int(first['noise_seed'])}")
        out.print(
            f"\n[bold]{escape(str(task))}[/] {metric} {row['mean']:.1f}, mean over {count}; "
            f"{escape(str(first['model']))}{how}"
        )
        out.print(
            Columns(
                [escape(printable(f"{language} {score:.1f}")) for language, score in scores.items()],
                padding=(0, 3),
                equal=True,
            )
        )


def show_benchmark(table: pd.DataFrame, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a benchmark's scores: every language, then the means of tasks, groups and the whole.

    Args:
        table: rows of `run_benchmark`.
        found: what `benchmark_scores` makes of them; this is the JSON.
        as_json: one JSON object on standard output, nothing else.
    """
    if as_json:
        _write_json(found)
        return
    show_scores(table)
    rows = [
        {
            "task": name,
            "group": task["group"],
            "metric": task["metric"],
            "score": task["score"],
            "languages": f"{task['languages']} of {task['should be']}",
        }
        for name, task in found["tasks"].items()
    ]
    out.print()
    show(rows, as_json=False)
    if found["groups"]:
        out.print()
        show([{"group": name, "score": score} for name, score in found["groups"].items()], as_json=False)
    for note in found["notes"]:
        out.print(f"\n{note}", markup=False)


def show_check(report: CheckReport, *, as_json: bool) -> None:
    """Print what a check of a task found in order, then what is not; as JSON a list of all."""
    if as_json:
        _write_json([vars(each) for each in report.checked])
        say(str(report), as_json=True)
        return
    rows = report.rows()
    sound, faulty = [], []
    for row in rows:
        if row["fault"]:
            faulty.append({key: value for key, value in row.items() if key != "rows checked"})
        else:
            sound.append({key: value for key, value in row.items() if key != "fault"})
    if sound:
        show(sound, as_json=False)
    if sound and faulty:
        out.print()
    if faulty:
        show(faulty, as_json=False)
    say(str(report))


def show_report(report: Report, *, as_json: bool) -> None:
    """Print official scores: for machines as `evaluate.py` writes them; for people a line per task, group and total."""
    if as_json:
        _write_json(report.as_json())
        return
    show(report.summary(), as_json=False, title=report.benchmark.title)
    for note in report.notes:
        say(note)


def show_gains(report: GainReport, *, languages: bool, as_json: bool) -> None:
    """Print what intermediate training brought; as JSON all tables in one object."""
    if as_json:
        _write_json(vars(report))
        return
    tables = {
        "Tasks, mean over languages (p: sign test over languages, p_holm: corrected over tasks)": report.tasks,
        "Languages (low, high: 95 % over examples)": report.languages if languages else [],
        "Groups": report.groups,
        "Gaps between languages (low, high: 95 % of the reduction over examples; p_holm: over gaps)": report.gaps,
        "Best start per target, chosen on English dev": report.best,
    }
    for title, rows in tables.items():
        if rows:
            lines = []
            columns = dict.fromkeys(itertools.chain.from_iterable(rows))
            for row in rows:
                line = {column: row.get(column) for column in columns}
                for p in ("p", "p_holm"):
                    if line.get(p) is not None:
                        line[p] = f"{line[p]:.3f}"
                lines.append(line)
            show(lines, as_json=False, title=title, optional=_OF_GAINS)
            out.print()
    for note in report.notes:
        out.print(note, markup=False)


def show_text(text: str, *, notes: Sequence[str] = ()) -> None:
    """Print a text for another program as it is, and notes for people on standard error."""
    sys.stdout.write(text)
    for note in notes:
        warn(note)


def show_matrix(matrix: TransferMatrix, *, languages: bool, as_json: bool) -> None:
    """Print the transfer matrix, and what does not compare, with the reason; as JSON all tables in one object."""
    if as_json:
        _write_json(vars(matrix))
        return
    lines = matrix.lines()
    bases = list(dict.fromkeys(line["base"] for line in lines))
    title = "Gain over the baseline in points, mean over languages"
    if len(bases) == 1:  # then it need not stand in every line
        title += f"; base {bases[0]}"
        lines = [{name: value for name, value in line.items() if name != "base"} for line in lines]
    if lines:
        show(lines, as_json=False, title=title)
    else:
        out.print("No published score has a baseline to compare with.")
    if languages and matrix.cells:
        out.print()
        show(matrix.cells, as_json=False, title="Languages", optional=("metric", "setting", "baseline_runs", "base"))
    compared = [
        {
            "comparison": each["comparison"],
            "target": each["target"],
            "intermediates": each["intermediates"],
            "languages": each["languages"],
            "not stated": ", ".join(each["not stated"]) or "-",
        }
        for each in matrix.comparisons
    ]
    for title, rows in {"Comparisons": compared, "Compares with nothing": matrix.left_out}.items():
        if rows:
            out.print()
            show(rows[:_MOST_LINES], as_json=False, title=title, optional=("languages", "intermediates"))
        if len(rows) > _MOST_LINES:
            out.print(f"and {len(rows) - _MOST_LINES} more; all: --json")
    out.print()
    for note in matrix.notes:
        out.print(note, markup=False)


def show_ranking(ranking: Ranking, *, as_json: bool) -> None:
    """Print intermediate tasks in order of their gain for a target, then on what that rests."""
    if as_json:
        _write_json(vars(ranking))
        return
    rows = [{**row, "targets": ", ".join(row["targets"])} for row in ranking.tasks]
    if rows:
        show(rows, as_json=False, title=f"Intermediate tasks for {ranking.target}, gain in points")
    if ranking.estimates:
        out.print()
        lines = [
            row | {"logme": f"{row['logme']:.4f}", "over_base": _signed(row["over_base"])} for row in ranking.estimates
        ]
        show(lines, as_json=False, title=f"Encoders on examples of {ranking.target}, LogME in nats an example")
    if ranking.agreement:
        each = ranking.agreement
        out.print(
            f"LogME over the base against {each['points']} measured gains: Spearman {each['spearman']:.2f}, 95 % "
            f"interval {each['spearman_low']:.2f} to {each['spearman_high']:.2f}."
        )
    for note in ranking.notes:
        out.print(note, markup=False)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def show_plan(plan: Plan, *, cells: bool, as_json: bool) -> None:
    """Print what a study takes: its cells by stage and state, then what each arm reads."""
    if as_json:
        _write_json(plan.as_json())
        return
    show(plan.stages(), as_json=False, title=f"Cells of {plan.study}")
    arms = [
        {"arm": name, "phase two reads": "not known" if each is None else str(each)} for name, each in plan.arms.items()
    ]
    if arms:
        out.print()
        show(arms, as_json=False)
    names = [f"  {cell.name}: {cell.title}" for cell in plan.cells if cell.name]
    if names:
        out.print("\n".join(["", "Names on the Hub", *names]), markup=False)
    if cells:
        out.print()
        show(
            [
                {"cell": each.title, "state": each.state, "hours": each.hours, "identity": each.identity}
                for each in plan.cells
            ],
            as_json=False,
        )
    say(f"\nHours: {plan.rate}.")
    if plan.price is not None:
        total = "not known" if plan.price["usd"] is None else f"{plan.price['usd']:.2f} USD, the start of jobs left out"
        say(f"Price: {plan.price['hour']:.2f} USD an hour of {plan.price['flavor']} by the Hub's list; in all {total}.")
    for note in plan.notes:
        warn(note)


def show_status(status: Status, study: str, folder: Any, *, cells: bool, as_json: bool) -> None:
    """Print where a run of a study stands, what failed, and what to type."""
    if as_json:
        _write_json({"study": status.study, "stages": status.stages(), "cells": status.cells})
        return
    show(status.stages(), as_json=False, title=f"Cells of {status.study}")
    running = [cell for cell in status.cells if cell["state"] == "running"]
    for title, chosen in {"Running": running, "Failed or broken": status.wrong()}.items():
        if chosen:
            out.print(f"\n{title}")
        for cell in chosen:
            out.print(f"  {cell['title']}: {cell['why'] or cell['log'] or ''}", markup=False)
            if cell["log"] and cell["why"] and cell["log"] not in cell["why"]:
                out.print(f"    {cell['log']}", markup=False)
            if cell["log"] or cell["state"] == "failed":
                out.print(f"    log: {folder}/cells/{cell['cell']}/log.txt", markup=False)
    if cells:
        out.print()
        rows = []
        for cell in status.cells:
            state = f"{cell['state']}, {cell['why']}" if cell["state"] == "queued" else cell["state"]
            rows.append({"title": cell["title"], "state": state, "cell": cell["cell"]})
        show(rows, as_json=False)
    out.print()
    words = ["study", status.next_command(), study, "--output-dir", str(folder)]
    if status.slurm and words[1] == "run":
        words += ["--slurm", status.slurm]
    elif status.hub and words[1] in ("run", "status"):
        flavor, namespace = status.hub
        words = ["study", "run", *words[2:], "--jobs", f"flavor={flavor}", "--namespace", namespace]
    say_next(words)


def show_study_report(report: StudyReport, files: Sequence[Any], *, as_json: bool) -> None:
    """Print the tables of a study that are read at once, and say where all of them were written."""
    if as_json:
        _write_json({**vars(report), "tables": {table.name: table.rows for table in report.tables}})
        return
    for table in report.tables:
        if table.name in ("scores", "gains", "groups", "best", "arms"):
            show(table.lines(), as_json=False, title=table.title, optional=_OF_GAINS)
            out.print()
    for note in report.notes:
        warn(note)
    if report.missing:
        warn(f"{len(report.missing)} cells are not finished; the files name them.")
    if files:
        say(f"Written: {files[0].parent}: {', '.join(file.name for file in files)}")


def tell_cell(outcome: str, title: str, detail: str) -> None:
    """Say on standard error what became of a cell of a study."""
    if outcome == "note":
        warn(detail)
    else:
        err.print(f"{outcome}: {title}{'. ' + detail if detail else ''}", markup=False)


def show_findings(findings: Iterable[Mapping[str, str]], *, as_json: bool) -> list[Mapping[str, str]]:
    """Print what `hf-stilts doctor` finds, each as it is found, with what to type; as JSON one list.

    Args:
        findings: with the keys `check`, `state`, `found` and `type`.
        as_json: as for `show`.

    Returns:
        All findings.
    """
    rows = []
    styles = {"ok": "green", "note": "yellow", "fails": "bold red"}
    for row in findings:
        rows.append(row)
        if as_json:
            continue
        out.print(
            f"[{styles[row['state']]}]{row['state']:<6}[/][bold]{escape(row['check'])}[/]: {escape(row['found'])}"
        )
        if row["type"]:
            out.print(f"      {row['type']}", markup=False)
    if as_json:
        _write_json(rows)
        return rows
    failing = [row["check"] for row in rows if row["state"] == "fails"]
    out.print(f"\nFails: {', '.join(failing)}." if failing else "\nNothing fails.", markup=False)
    return rows


def show_robustness(report: RobustnessReport, *, languages: bool, as_json: bool) -> None:
    """Print what noise costs; as JSON all tables in one object."""
    if as_json:
        _write_json(vars(report))
        return
    curves = [
        {**row, "levels": _spaced(row["levels"], "g"), "scores": _spaced(row["scores"], ".1f")} for row in report.curves
    ]
    tables = {
        "Tasks, mean over languages (drop_rate: mean over languages of drop / clean, in %)": report.tasks,
        "Languages": report.languages if languages else [],
        "Curves (area: mean score over the levels)": curves,
        "Overall": report.overall,
    }
    for title, rows in tables.items():
        if rows:
            lines = [row | ({"level": f"{row['level']:g}"} if "level" in row else {}) for row in rows]
            show(lines, as_json=False, title=title, optional=_OF_ROBUSTNESS)
            out.print()
    for note in report.notes:
        out.print(note, markup=False)


def show_similarity(report: SimilarityReport, *, as_json: bool) -> None:
    """Print how alike languages are, a line a pair; as JSON one object."""
    if as_json:
        _write_json(vars(report))
        return
    rows = []
    for pair in report.pairs:
        measured = {name: "-" if pair[name] is None else f"{pair[name]:.3f}" for name in report.measures}
        sizes = {name: value for name, value in pair.items() if name not in measured and name != "script"}
        rows.append(sizes | measured)
    show(rows, as_json=False, optional=_OF_SIMILARITY)
    for note in report.notes:
        out.print(note, markup=False)


def show_explanation(found: Explanation, *, as_json: bool) -> None:
    """Print how similarity goes with gains; as JSON all tables in one object."""
    if as_json:
        _write_json(vars(found))
        return
    correlations = []
    for row in found.correlations:
        line = {name: row[name] for name in ("intermediate", "task", "measure", "languages")}
        for name in ("spearman", "pearson"):
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            between = "" if low is None else f" [{low:.2f}, {high:.2f}]"
            line[name] = f"{row[name]:.2f}{between}"
        line |= {"p_holm": f"{row['p_holm']:.3f}"}
        line["partial"] = "-" if row["partial"] is None else f"{row['partial']:.2f} (p {row['partial_p']:.3f})"
        correlations.append(line | {"error": row["error"], "error_of_mean": row["error_of_mean"]})
    terms = []
    for row in found.regression:
        line = {name: row[name] for name in ("intermediate", "task", "term", "coefficient")}
        line |= {"95 %": f"[{row['low']:.1f}, {row['high']:.1f}]", "p": f"{row['p']:.3f}"}
        terms.append(line | {"r2": f"{row['r2']:.2f}", "r2_adjusted": f"{row['r2_adjusted']:.2f}"})
    optional = ("error_of_mean", "error", "pearson")
    show(
        correlations,
        as_json=False,
        title="Correlations over languages (partial: given log CC-100 size; error: of languages left out, in points)",
        optional=optional,
    )
    if terms:
        show(terms, as_json=False, title="Regression on all measures (points for a standard deviation)")
    for note in found.notes:
        out.print(note, markup=False)


def show_dry_run(trainings: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print what trainings would take, a table for each; as JSON a list of all that is known."""
    if as_json:
        _write_json([dict(training) for training in trainings])
        return
    for training in trainings:
        found = {name: value for name, value in training.items() if value not in (None, {}, [])}
        vocabulary = found.pop("word_embeddings")
        used = "not known" if vocabulary["used"] is None else f"{vocabulary['used']:,}"
        often = f"{used} of {vocabulary['whole']:,} occur in the data"
        found["word_embeddings"] = f"{often}, and they alone are trained" if vocabulary["compact"] else often
        for name in ("steps", "weights", "trained_weights"):
            if name in found:
                found[name] = f"{found[name]:,}"
        for name in ("memory_gb", "disk_gb", "published_gb", "hours"):
            if name in found:
                found[name] = f"{found[name]:.3g}"
        tags = found.pop("checkpoints", [])
        if len(tags) > 4:
            tags = [*tags[:3], "...", tags[-1], f"({len(training['checkpoints'])})"]
        found["checkpoints"] = tags or "none"
        show([{"": name.replace("_", " "), " ": value} for name, value in found.items()], as_json=False)
        out.print()
    out.print("Nothing was trained and nothing was written. To train: the same command without --dry-run")


def report_run(result: Mapping[str, Any], task: str, *, as_json: bool, data_dir: Any = None) -> None:
    """Print what a training run came to, and what to type next, with the task as it was typed and the mirror read."""
    if as_json:
        show([result], as_json=True)
        return
    fields = dict(result)
    if "published" in fields:  # what became of its checkpoints was said when the training had ended
        fields["published"] = str(fields["published"]).partition(": ")[0]
    if get_verbosity() <= logging.INFO:  # then it was said when the model was loaded
        fields.pop("body", None)
    show([{"": key, " ": value} for key, value in fields.items()], as_json=False)
    intermediate = result["phase"] == "intermediate"
    words = ["target", "TASK", "--init"] if intermediate else ["evaluate", task, "--model"]
    words += [str(result["folder"]), *(["--data-dir", str(data_dir)] if data_dir else [])]
    out.print()
    say_next(words)


def announce_hub(url: str, holds: str, token: str | None = None, others: str | None = None) -> None:
    """Say where the embedded Hub answers, what it holds, and how stock clients find it.

    Args:
        url: its endpoint on this machine.
        holds: what lies in it, in words.
        token: the one that callers must present; None where any will do.
        others: the name of this machine for others, where they can reach the Hub, too.
    """
    shown = shlex.quote(token or "local")
    out.print(f"The embedded Hub answers at [bold]{url}[/], {escape(holds)}. In another terminal:")
    out.print(f"  export HF_ENDPOINT={url} HF_TOKEN={shown}", markup=False, soft_wrap=True)
    if others is not None:
        there = f"http://{others}:{url.rpartition(':')[2]}"
        out.print("On another machine (its name for this one may differ):")
        out.print(f"  export HF_ENDPOINT={there} HF_TOKEN={shown}", markup=False, soft_wrap=True)
    out.print("Stop it with Ctrl-C.")


def say(line: str, *, as_json: bool = False) -> None:
    """One line for a person: on standard error when standard output carries JSON."""
    (err if as_json else out).print(line, markup=False)


def say_next(words: Sequence[str], *, as_json: bool = False) -> None:
    """Print the command to type next, as a shell takes it: a path may hold blanks."""
    say(f"Next: hf-stilts {shlex.join(words)}", as_json=as_json)


def warn(line: str) -> None:
    """Print to standard error what the user should know of a command that went well otherwise."""
    err.print(f"[bold yellow]Note:[/] {escape(line)}")


def fail(message: str) -> None:
    """One error for a person, on standard error."""
    err.print(f"[bold red]Error:[/] {escape(message)}")


def _spaced(numbers: Sequence[float], form: str) -> str:
    """Numbers of a row in one cell of a table."""
    return " ".join(format(number, form) for number in numbers)


def _write_json(value: Any) -> None:
    """One line of JSON, which has no NaN: a column that a row does not fill is null."""
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False, default=str, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, Mapping):
        value = [f"{key}: {each};" for key, each in value.items()] or ["-"]
    if isinstance(value, list | tuple):
        return printable(" ".join(map(str, value)).rstrip(";") or "-")
    return printable(str(value))
