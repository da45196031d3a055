"""Writes tables of READMEs from the code, so that they cannot go stale: `python -m hf_stilts.readme README.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from hf_stilts.benchmark import list_benchmarks, load_benchmark
from hf_stilts.dataset_scripts import list_converters, load_converter
from hf_stilts.declarations import import_kind, list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.task import list_tasks, load_task
from hf_stilts.training.recipes import PROFILES

ROOT = Path(__file__).parent.parent


def tasks_table() -> str:
    """One line per task."""
    lines = [
        "| task | kind | languages | English training data | metric | data on the Hub |",
        "|---|---|---|---|---|---|",
    ]
    for name in list_tasks():
        task = load_task(name)
        trained = ", ".join(f"`{each}`" for each in task.train) or ("its own" if task.has_head else "none needed")
        pin = f" @ `{task.revision[:8]}`" if task.revision else ""
        data = " + ".join(f"`{part}`" for part in task.parts) or f"`{task.dataset}`{pin}"
        data = data if task.parts or "/" in task.dataset else "none: built from its publisher's files"
        lines.append(f"| `{name}` | {task.kind} | {len(task.languages)} | {trained} | {task.metric} | {data} |")
    return "\n".join(lines)


def converters_table() -> str:
    """One line per converter: what it reads, and the repository of a mirror that it writes."""
    lines = ["| converter | raw files, at any depth below `--raw` | repository that is written |", "|---|---|---|"]
    for name in list_converters():
        task, files = load_task(name), load_converter(name).FILES
        named = ", ".join(f"`{each}`" for each in ([files] if isinstance(files, str) else files))
        config = f", `{task.config}`" if task.config else ""
        lines.append(f"| `{name}` | {named} | `{task.dataset}`{config} |")
    return "\n".join(lines)


def benchmarks_table() -> str:
    """One line per group of tasks of each benchmark, with the number of languages of every task."""
    lines = ["| benchmark | group | tasks, with their languages |", "|---|---|---|"]
    for name in list_benchmarks():
        benchmark = load_benchmark(name)
        for group, tasks in benchmark.groups.items():
            counted = ", ".join(f"`{task}` {len(benchmark.languages_of(task))}" for task in tasks)
            lines.append(f"| `{name}` | {group} | {counted} |")
    return "\n".join(lines)


def recipes_table() -> str:
    """One line per profile and row of hyper-parameters."""
    lines = [
        "| profile | for | learning rate | batch | epochs | tokens | warm-up | decay | source |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for profile, rows in PROFILES.items():
        for key, row in sorted(rows.items()):
            warmup = f"{row.warmup:.0%}" if 0 < row.warmup < 1 else f"{row.warmup:.0f} steps"
            figures = f"{row.learning_rate:g} | {row.batch_size} | {row.epochs} | {row.max_length}"
            about = f"{warmup} | {row.weight_decay:g} | {row.source}"
            lines.append(f"| `{profile}` | {key or 'everything else'} | {figures} | {about} |")
    return "\n".join(lines)


def kinds_table() -> str:
    """One line per kind, with the columns that its rows have."""
    lines = ["| kind | columns of a row | what it does |", "|---|---|---|"]
    for name in list_kinds():
        kind = import_kind(name)
        named = ", ".join(f"`{column}`" + (" (optional)" if column in kind.optional else "") for column in kind.columns)
        module = sys.modules[type(kind).__module__]
        lines.append(f"| {name} | {named} | {(module.__doc__ or '').strip().splitlines()[0]} |")
    return "\n".join(lines)


def example(path: Path) -> str:
    """A script as a code block, its docstring left to the README's own words."""
    code = path.read_text(encoding="utf-8")
    return f"```python\n{code.split(chr(10) * 2, 1)[1].strip()}\n```"


# What stands between the markers `<!-- name -->` and `<!-- /name -->`, in whichever file has them.
TABLES = {
    "tasks": tasks_table,
    "kinds": kinds_table,
    "benchmarks": benchmarks_table,
    "recipes": recipes_table,
    "converters": converters_table,
}
_MARKED = re.compile(r"<!-- (?P<name>[\w/.]+) -->\n.*?\n<!-- /(?P=name) -->", re.DOTALL)


def render(text: str) -> str:
    """The same text with every marked part made anew: a table by its name, an example by its path.

    Raises:
        StiltsError: a marker names neither, or is not closed.
    """
    markers, whole = set(re.findall(r"<!-- ([\w/.]+) -->", text)), {m["name"] for m in _MARKED.finditer(text)}
    opened = {name for name in markers if not name.startswith("/")}
    unknown = [name for name in sorted(opened - TABLES.keys()) if not (ROOT / name).is_file()]
    if unknown or markers != whole | {f"/{name}" for name in whole}:
        raise StiltsError(
            f"Markers {', '.join(unknown or sorted(opened))}: expected <!-- name --> ... <!-- /name --> with a line "
            f"between them, of {', '.join(TABLES)} or a file of the clone. Put the markers back."
        )

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- {name} -->\n{TABLES[name]() if name in TABLES else example(ROOT / name)}\n<!-- /{name} -->"

    return _MARKED.sub(made, text)


def main(arguments: list[str]) -> int:
    """Rewrite the files, or with `--check` say which are stale."""
    check, stale = "--check" in arguments, False
    for path in (Path(word) for word in arguments if not word.startswith("-")):
        before = path.read_text(encoding="utf-8")
        after = render(before)
        if check and before != after:
            stale = True
            sys.stderr.write(f"{path} is stale. Run: python -m hf_stilts.readme {path}\n")
        if not check:
            path.write_text(after, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
