"""Words of a command line as flags: how they are spelled, which there are, and which decide a result.

The stock flags are read from the source of transformers: importing them would import torch, and a mistake is answered
before that.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hf_stilts.errors import StiltsError, did_you_mean, nearest
from hf_stilts.options import flag_of
from hf_stilts.training.options import OPTIONS

# Flags that change what is printed, kept, or how fast rows are read, and no weight and no score.
_PRESENTATION = (
    *("output_dir", "disable_tqdm", "report_to", "run_name", "project", "trackio_space_id", "debug"),
    *("log_level", "log_level_replica", "log_on_each_node", "skip_memory_metrics", "include_num_input_tokens_seen"),
    *("save_total_limit", "save_on_each_node", "ddp_timeout", "eval_accumulation_steps", "torch_empty_cache_steps"),
    *("use_cpu", "push_to_hub", "enable_jit_checkpoint", "data_dir", "micro_tokens"),
)
_PRESENTATION_PREFIXES = ("logging_", "dataloader_num", "dataloader_p", "dataloader_multi", "hub_")

# Where the stock Trainer can report to: the package to install, and the modules of which it needs one.
_REPORTING = {
    "azure_ml": ("azureml-sdk", "azureml"),
    "clearml": ("clearml", "clearml"),
    "codecarbon": ("codecarbon", "codecarbon"),
    "comet_ml": ("comet-ml", "comet_ml"),
    "dagshub": ("dagshub", "dagshub"),
    "dvclive": ("dvclive", "dvclive"),
    "flyte": ("flytekit", "flytekit"),
    "kubeflow": ("kubeflow",),  # it needs no package: a variable of the environment names its server
    "mlflow": ("mlflow", "mlflow"),
    "neptune": ("neptune", "neptune"),
    "swanlab": ("swanlab", "swanlab"),
    "tensorboard": ("tensorboard", "tensorboard", "tensorboardX"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
}


# Fields whose words are no literal in the source that declares them.
_LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")
_CHOICES = {"log_level": _LEVELS, "log_level_replica": _LEVELS}


def words(flags: Sequence[str]) -> list[str]:
    """Flags as `TrainingArguments` spells them, each value a word of its own: `--save-steps=5` as `--save_steps 5`."""
    found: list[str] = []
    for flag in flags:
        name, equals, value = flag.partition("=") if flag.startswith("--") else (flag, "", "")
        found.append(f"--{name[2:].replace('-', '_')}" if flag.startswith("--") else flag)
        if equals:
            found.append(value)
    return found


def names(flags: Sequence[str]) -> list[str]:
    """Names of the flags that are given."""
    return [word[2:] for word in words(flags) if word.startswith("--")]


def deciding(flags: Sequence[str]) -> dict[str, tuple[str | float, ...]]:
    """Flags that decide a result, by name, with their values; equal numbers are equal however they are written.

    >>> deciding(["--learning-rate=3e-5", "--disable_tqdm", "true"]) == deciding(["--learning_rate", "0.00003"])
    True
    """
    found: dict[str, tuple[str | float, ...]] = {}
    name = None
    for word in words(flags):
        if word.startswith("--"):
            name = word[2:]
            found[name] = ()  # of a flag that is given twice the last one counts
        elif name is not None:
            found[name] += (_value(word),)
    return {
        name: values
        for name, values in found.items()
        if name not in _PRESENTATION and not name.startswith(_PRESENTATION_PREFIXES)
    }


def _value(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word.lower() if word.lower() in ("true", "false") else word


class FlagParser(argparse.ArgumentParser):
    """A parser that says a wrong value in one line, without the usage of two hundred flags."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found.

        Raises:
            StiltsError: always.
        """
        end = "" if message.endswith((".", "?")) else "."
        raise StiltsError(f"{message}{end} What a flag takes: the fields of transformers.TrainingArguments.")


class StockField(NamedTuple):
    """A field of `transformers.TrainingArguments`, as its source declares it.

    Attributes:
        annotation: its type, as the source spells it.
        alone: whether its flag may stand without a value.
        choices: the words that it takes; none where it takes any.
    """

    annotation: str
    alone: bool
    choices: tuple[str, ...]


@lru_cache(maxsize=1)
def stock_fields() -> dict[str, StockField]:
    """Fields of the installed `transformers.TrainingArguments`, by name, as its source declares them.

    Empty where that source is not to be found; then a mistake is found later, by transformers itself.
    """
    spec = importlib.util.find_spec("transformers")
    places = spec.submodule_search_locations if spec else None
    package = Path(next(iter(places or ["."])))
    classes = _classes_in(package / "training_args.py")
    if "TrainingArguments" not in classes:
        return {}
    enumerations = {
        **_classes_in(package / "trainer_utils.py"),
        **_classes_in(package / "debug_utils.py"),
        **classes,
    }
    found: dict[str, StockField] = {}
    for line in classes["TrainingArguments"].body:
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
            continue
        declared = {each.arg: each.value for each in line.value.keywords} if isinstance(line.value, ast.Call) else {}
        if _literal(declared.get("init")) is False:  # a field that no caller gives
            continue
        annotation = ast.unparse(line.annotation)
        enumeration = enumerations.get(annotation.partition(" | ")[0]) or enumerations.get(_listed(annotation))
        metadata = _items(declared.get("metadata"))
        choices = _members(enumeration) if enumeration else _words_of(metadata.get("choices"))
        choices = choices or _CHOICES.get(line.target.id, ())
        alone = annotation in ("bool", "str | bool") or _literal(metadata.get("nargs")) == "?"
        found[line.target.id] = StockField(annotation, alone, choices)
    return found


def check_stock_flags(flags: Sequence[str]) -> str | None:
    """Refuse flags that `TrainingArguments` does not have, and values that it cannot take, before torch is imported.

    Args:
        flags: stock flags with their values; flags of ours were taken out.

    Returns:
        Where the run will write, if a flag says so.

    Raises:
        StiltsError: such a flag, with the nearest ones; such a value; or a place to report to that is not installed.
    """
    if not stock_fields():
        return None
    parser = FlagParser(allow_abbrev=False, add_help=False)
    for name, declared in stock_fields().items():
        parser.add_argument(f"--{name}", **_values_of(declared))
        if declared.annotation == "bool":
            parser.add_argument(f"--no_{name}", action="store_true")
    parsed, unknown = parser.parse_known_args(words(flags))
    refuse_unknown(unknown, [*stock_fields(), *OPTIONS])
    check_reporting(getattr(parsed, "report_to", None))
    return str(parsed.output_dir) if parsed.output_dir else None


def check_reporting(report_to: str | Sequence[str] | None) -> None:
    """Refuse `report_to` where the package that it needs is missing; the stock Trainer says so when all is loaded.

    Args:
        report_to: one name or several, as `TrainingArguments` takes them.

    Raises:
        StiltsError: there is no such name, or its package is not installed.
    """
    asked = [report_to] if isinstance(report_to, str) else list(report_to or [])
    for name in asked:
        if name in ("none", "all"):
            continue
        if name not in _REPORTING:
            raise StiltsError(
                f"--report_to {name}: there is no such place. {did_you_mean(name, ('none', *_REPORTING))}"
            )
        package, *modules = _REPORTING[name]
        if modules and not any(importlib.util.find_spec(module) for module in modules):
            raise StiltsError(
                f"--report_to {name} needs {package}, which is not installed. Run: pip install {package}; or leave it "
                "out: --report_to none"
            )


def refuse_unknown(unknown: Sequence[str], known: Iterable[str]) -> None:
    """Stop at a word that no parser took.

    Args:
        unknown: what is left of the words.
        known: names of all flags.

    Raises:
        StiltsError: there is one; the message names the flags that it may have meant.
    """
    if not unknown:
        return
    flags = [f"--{name}" for name in known]
    short = unknown[0].lstrip("-").partition("=")[0].replace("-", "_")
    spelt = [flag for flag in flags if _initials(flag) == short]
    within = [flag for flag in flags if len(short) > 3 and short in flag]  # epochs, batch_size
    near = (spelt + nearest(unknown[0], flags, 2) + within)[:2]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise StiltsError(
        f"{unknown[0]} is neither an option of this command nor a field of transformers.TrainingArguments.{hint}"
    )


def _initials(flag: str) -> str:
    """First letters of the words of a flag, which some people type: `lr` for `--learning_rate`."""
    return "".join(word[:1] for word in flag.strip("-").split("_"))


def as_flags(options: Mapping[str, Any]) -> list[str]:
    """Options of ours as words of a command line.

    >>> as_flags({"micro_tokens": 512, "compact_vocabulary": True})
    ['--micro-tokens', '512', '--compact-vocabulary', 'True']
    """
    return [word for name, value in options.items() for word in (flag_of(name), str(value))]


def _listed(annotation: str) -> str:
    """Type of what a list holds, as a source spells it: `DebugOption` of `str | list[DebugOption]`; else nothing."""
    return annotation.partition("list[")[2].partition("]")[0]


def _classes_in(source: Path) -> dict[str, ast.ClassDef]:
    """Classes that a Python file defines, by name; none where there is no such file."""
    if not source.is_file():
        return {}
    body = ast.parse(source.read_text(encoding="utf-8")).body
    return {each.name: each for each in body if isinstance(each, ast.ClassDef)}


def _members(enumeration: ast.ClassDef) -> tuple[str, ...]:
    """Values of an enumeration of words."""
    values = [_literal(line.value) for line in enumeration.body if isinstance(line, ast.Assign)]
    return tuple(value for value in values if isinstance(value, str))


def _items(mapping: ast.expr | None) -> dict[str, ast.expr]:
    """Values of a dictionary in a source, by key."""
    if not isinstance(mapping, ast.Dict):
        return {}
    return {str(_literal(key)): value for key, value in zip(mapping.keys, mapping.values, strict=True)}


def _words_of(listed: ast.expr | None) -> tuple[str, ...]:
    """Words of a list in a source; none of anything else."""
    return tuple(str(_literal(each)) for each in listed.elts) if isinstance(listed, ast.List) else ()


def _literal(value: ast.expr | None) -> Any:
    """Value of a constant in a source; None of anything else."""
    return value.value if isinstance(value, ast.Constant) else None


def _values_of(declared: StockField) -> dict[str, Any]:
    """How argparse shall read the values of a field: never more strictly than `HfArgumentParser` does."""
    annotation = declared.annotation
    types = [part for part in annotation.split(" | ") if part != "None"]
    if annotation.startswith("list["):
        return {"nargs": "+"}
    if _listed(annotation) and declared.choices:  # several words, in one or in several
        return {"nargs": "+", "type": _each_of(declared.choices)}
    values: dict[str, Any] = {"nargs": "?"} if declared.alone else {}
    if declared.choices:
        values["type"] = _one_of(declared.choices)
    elif types == ["bool"]:
        values["type"] = _truth
    elif any(part.partition("[")[0] == "dict" for part in types):
        values["type"] = _json
    elif types in (["int"], ["float"]):
        values["type"] = int if types == ["int"] else float
    return values


def _each_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """A type of argparse: some words of those that there are, with blanks between them."""
    one = _one_of(choices)

    def several(value: str) -> str:
        for word in value.split():
            one(word)
        return value

    return several


def _json(value: str) -> str:
    """A type of argparse: an object of JSON, or the path of a file that holds one."""
    if value.lstrip().startswith("{"):
        try:
            json.loads(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{value} is no JSON: {error}.") from error
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """A type of argparse: one of some words."""

    def word(value: str) -> str:
        if value not in choices:
            raise argparse.ArgumentTypeError(f"{value!r} is none of its values. {did_you_mean(value, choices)}")
        return value

    return word


def _truth(value: str) -> bool:
    """A type of argparse: what `HfArgumentParser` takes for true or false."""
    if value.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if value.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{value!r} is neither true nor false.")
