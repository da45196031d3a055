"""Writes the README's tables from the code, so that they cannot go stale: `python -m hf_stilts.readme README.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from hf_stilts.kinds import load_kind
from hf_stilts.task import KINDS, OPTIONAL_COLUMNS, StiltsError, list_tasks, load_task


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
        lines.append(
            f"| `{name}` | {task.kind} | {len(task.languages)} | {trained} | {task.metric} | `{task.dataset}`{pin} |"
        )
    return "\n".join(lines)


def kinds_table() -> str:
    """One line per kind, with the columns that its rows have."""
    lines = ["| kind | columns of a row | what it does |", "|---|---|---|"]
    for name, columns in KINDS.items():
        named = ", ".join(
            f"`{column}`" + (" (optional)" if (name, column) in OPTIONAL_COLUMNS else "") for column in columns
        )
        module = sys.modules[type(load_kind(name)).__module__]
        lines.append(f"| {name} | {named} | {(module.__doc__ or '').strip().splitlines()[0]} |")
    return "\n".join(lines)


def example(path: Path) -> str:
    """A script as a code block, its docstring left to the README's own words."""
    code = path.read_text(encoding="utf-8")
    return f"```python\n{code.split(chr(10) * 2, 1)[1].strip()}\n```"


def parts(root: Path) -> dict[str, str]:
    """What stands between the markers `<!-- name -->` and `<!-- /name -->`."""
    scripts = {f"examples/{name}.py" for name in ("publish", "load_by_name", "xcopa")}
    return {"tasks": tasks_table(), "kinds": kinds_table()} | {name: example(root / name) for name in sorted(scripts)}


def render(text: str, root: Path) -> str:
    """The same text with every marked part made anew from the code below `root`."""
    for name, part in parts(root).items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, opened, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise StiltsError(f"No {start.strip()} ... {end.strip()} with a line between them. Put the markers back.")
        text = before + start + part + end + after
    return text


def main(arguments: list[str]) -> int:
    """Rewrite the file, or with `--check` say whether it is stale."""
    check, path = "--check" in arguments, Path(next(word for word in arguments if not word.startswith("-")))
    before = path.read_text(encoding="utf-8")
    after = render(before, path.parent)
    if check and before != after:
        sys.stderr.write(f"{path} is stale. Run: python -m hf_stilts.readme {path}\n")
        return 1
    if not check:
        path.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
