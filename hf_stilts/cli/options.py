"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from hf_stilts.cli import argument_files
from hf_stilts.definitions import FILES
from hf_stilts.errors import StiltsError
from hf_stilts.options import DATA_DIR_HELP, MIRROR, NAMESPACE_HELP, Options, check_mirror
from hf_stilts.task import list_tasks, load_task
from hf_stilts.training.options import OPTIONS, StiltsOptions


def known_task(name: str) -> str:
    """The name or path of a task that there is; another one is refused before the command imports anything large.

    A task of a data set repository on the Hub (`user/dataset`) becomes the path of its file.
    """
    if name in list_tasks() or name.endswith(FILES) or "/" not in name or Path(name).exists():
        load_task(name)
        return name
    from hf_stilts.hub.reachable import check_reachable  # huggingface_hub: the other tasks want no Hub yet
    from hf_stilts.hub.tasks import task_file

    check_reachable(rows=True)
    return str(task_file(name))


TaskName = Annotated[
    str, typer.Argument(callback=known_task, help="Task: its name, the path of its file, or user/dataset on the Hub.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DataDir = Annotated[Path | None, typer.Option(help=DATA_DIR_HELP)]
Namespace = Annotated[
    str | None,
    typer.Option(rich_help_panel="Run", help=NAMESPACE_HELP),
]
Figures = Annotated[
    Path | None, typer.Option(help="Also draw pictures into this folder, as SVG, PDF and PNG; needs matplotlib.")
]
GroupBy = Annotated[
    Literal["class", "family", "script"],
    typer.Option(help="How the pictures of gains by language group them: by resource class, family or script."),
]
Format = Annotated[
    Literal["md", "csv", "latex"] | None,
    typer.Option("--format", help="Print the tables in this format instead; csv: the first table alone."),
]
Function = TypeVar("Function", bound=Callable[..., Any])
Declared = TypeVar("Declared", bound=Options)
STOCK_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}


# Of each command, options that have had another name: they work, and a line says what they are called now.
RENAMED: dict[str, dict[str, str]] = {
    "intermediate": {"--model": "--base"},
    "target": {"--model": "--base", "--from": "--init"},
    "evaluate": {"--from": "--init"},
}


def say_renamed(old: str, new: str) -> None:
    """Say in one line, on standard error, that an option has another name now."""
    typer.echo(f"{old} is {new} now; the old name still works.", err=True)


class Command(TyperCommand):
    """A command whose options are spelled with `-` or `_`, and whose switches have a `--no-` each.

    Options that have had another name (`RENAMED`) are also known by that.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the stock method, with every option as the help spells it."""
        if self.name in argument_files.COMMANDS:
            args = argument_files.with_file(args, self.params)
        switches = {name for each in self.params if getattr(each, "is_flag", False) for name in each.opts}
        known = {name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        renamed = RENAMED.get(self.name or "", {})
        words: list[str] = []
        for number, word in enumerate(args):
            if word == "--":
                words += args[number:]
                break
            name, equals, value = word.partition("=")
            spelt = name.replace("_", "-") if name.startswith("--") else name
            if spelt in renamed:
                say_renamed(spelt, renamed[spelt])
                spelt = renamed[spelt]
            turned_off = f"--{spelt[5:]}" if spelt.startswith("--no-") and spelt not in known else None
            if turned_off in switches:  # the last one counts
                words = [each for each in words if each != turned_off]
            else:
                words.append(f"{spelt}{equals}{value}" if spelt in known else word)
        return super().parse_args(ctx, words)


class App(typer.Typer):
    """A group of commands that are each a `Command`."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """As the stock method."""
        return super().command(name, cls=Command, **settings)


def shared_options(declaration: type[Options], *left_out: str) -> Callable[[Function], Function]:
    """Give a command the options of a declaration, which it receives by name in `**options`.

    Args:
        declaration: a dataclass of `hf_stilts.options.Options`; each of its options becomes a flag.
        left_out: options that the command does not have, or has in another meaning.
    """

    def decorate(command: Function) -> Function:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        shared = [_parameter(declaration, name) for name in declaration.names() if name not in left_out]
        # What typer reads in place of the function's own.
        vars(command)["__signature__"] = signature.replace(parameters=[*own, *shared])
        return command

    return decorate


def training_options(*left_out: str) -> Callable[[Function], Function]:
    """Give a command the training options of hf_stilts (`StiltsOptions`), as `shared_options` does."""
    return shared_options(StiltsOptions, *left_out)


def typed(declaration: type[Declared], options: dict[str, Any], *left_out: str) -> Declared:
    """A declaration's options as a command received them, several values as tuples.

    Args:
        declaration: as for `shared_options`.
        options: all that the command received; those of the declaration are taken out.
        left_out: as for `shared_options`.

    Raises:
        StiltsError: as the declaration.
    """
    values = {}
    for each in fields(declaration):
        if each.name in left_out:
            continue
        value, several = options.pop(each.name), each.metadata.get("several")
        if several == "commas":
            value = split_list(value)
        if several:
            value = tuple(value) if value else each.default
        values[each.name] = value
    return declaration(**values)


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the training options that were typed, and not at their defaults."""
    return {name: options[name] for name in OPTIONS if name in options and options[name] != OPTIONS[name]}


def _parameter(declaration: type[Options], name: str) -> inspect.Parameter:
    """An option as typer takes it: type, default and help of the one declaration."""
    option = declaration.__dataclass_fields__[name]
    option_type = get_type_hints(declaration)[name]
    default: Any = option.default
    several = option.metadata.get("several")
    if several == "commas":
        option_type = str | None
        default = ",".join(default) if default else None
    elif several == "again":
        option_type = list[_each_of(option_type)] | None  # type: ignore[misc]
    declared = typer.Option(
        declaration.flag_for(name),
        help=declaration.help_for(name),
        rich_help_panel=next((panel for panel, names in declaration.PANELS.items() if name in names), None),
        min=declaration.LEAST.get(name),
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[option_type, declared]
    )


def _each_of(option_type: Any) -> Any:
    """The type of one value of `tuple[Path, ...]`, or of that or None."""
    return next(get_args(each)[0] for each in (option_type, *get_args(option_type)) if get_origin(each) is tuple)


def ask_hub(*names: str | None, data_dir: Path | None) -> None:
    """As `check_reachable`, for a command that loads models by name, and rows from the Hub where there is no mirror.

    Raises:
        FileNotFoundError: the mirror that is named is not there.
    """
    check_mirror(data_dir)
    from hf_stilts.hub.reachable import check_reachable

    check_reachable(*names, rows=data_dir is None and not os.environ.get(MIRROR))


def hush_stock_bars() -> None:
    """No bars of transformers for reading and writing weights; those of downloads stay."""
    import transformers
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars

    downloads = not are_progress_bars_disabled()
    transformers.utils.logging.disable_progress_bar()
    if downloads:
        enable_progress_bars()


def refuse_two_formats(table_format: str | None, as_json: bool) -> None:
    """Refuse `--format` beside `--json`.

    Raises:
        StiltsError: both were given.
    """
    if table_format and as_json:
        raise StiltsError(f"--format {table_format} and --json were given; one of them is expected. Leave one out.")


def split_list(text: str | None) -> list[str] | None:
    """`"de, sw"` as `["de", "sw"]`; nothing stays nothing."""
    return [part.strip() for part in text.split(",")] if text else None
