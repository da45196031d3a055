"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand

from hf_stilts.training.options import HELP, LEAST, OPTIONS, PANELS, StiltsOptions, flag_of

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
DataDir = Annotated[Path | None, typer.Option(help=HELP["data_dir"])]
Limit = Annotated[int | None, typer.Option(min=1, help=HELP["limit"])]
Exclude = Annotated[Path | None, typer.Option(help=HELP["exclude"])]
Namespace = Annotated[
    str | None,
    typer.Option(rich_help_panel="Run", help="User or organisation on the Hub; else HF_STILTS_NAMESPACE, else you."),
]
Public = Annotated[bool, typer.Option("--public", help="Publish for everybody to see.", rich_help_panel="Run")]
Resume = Annotated[
    Literal["auto"] | None,
    typer.Option(
        rich_help_panel="Run",
        help="Go on from the newest checkpoint, here or on the Hub, and keep there what another machine needs.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", rich_help_panel="Run", help="Train anew where --output_dir holds a run, which is deleted."
    ),
]
Function = TypeVar("Function", bound=Callable[..., Any])
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


def training_options(*left_out: str) -> Callable[[Function], Function]:
    """Give a command the training options of hf_stilts (`StiltsOptions`), which it receives by name in `**options`.

    Args:
        left_out: options that it does not have, or has in another meaning.
    """

    def decorate(command: Function) -> Function:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        shared = [_parameter(name) for names in PANELS.values() for name in names if name not in left_out]
        # What typer reads in place of the function's own.
        vars(command)["__signature__"] = signature.replace(parameters=[*own, *shared])
        return command

    return decorate


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the training options that were typed, and not at their defaults."""
    return {name: options[name] for name in OPTIONS if name in options and options[name] != OPTIONS[name]}


def _parameter(name: str) -> inspect.Parameter:
    """A training option as typer takes it: type, default and help of the one declaration."""
    panel = next(panel for panel, names in PANELS.items() if name in names)
    option = next(each for each in fields(StiltsOptions) if each.name == name)
    option_type = get_type_hints(StiltsOptions)[name]
    declared = typer.Option(flag_of(name), help=HELP[name], rich_help_panel=panel, min=LEAST.get(name))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=Annotated[option_type, declared]
    )


def split_list(text: str | None) -> list[str] | None:
    """`"de, sw"` as `["de", "sw"]`; nothing stays nothing."""
    return [part.strip() for part in text.split(",")] if text else None
