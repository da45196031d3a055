"""What files define, one a file (tasks, studies): found by file name, by entry point, or by path.

A file is Python, or, where all fields are data, YAML (`read_yaml`), of which no code is run.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from hf_stilts.errors import StiltsError, did_you_mean

Defined = TypeVar("Defined")

FILES = (".py", ".yaml")
"""How the path of a file ends; what ends otherwise is a name."""
_UNKNOWN_FIELD = re.compile(r"(?P<cls>\w+)\.__init__\(\) got an unexpected keyword argument '(?P<field>\w+)'.*")
_OTHER_FILES = {".yaml", ".yml", ".json", ".jsonl", ".toml", ".txt", ".ipynb"}  # no name of a definition ends so
_LARGEST = 1 << 16  # bytes of a YAML file: hundreds of languages and labels need less


def installed(group: str) -> tuple[metadata.EntryPoint, ...]:
    """Entry points of a group that the packages on the search path have.

    Reading what every package declares takes a hundredth of a second, so it is done once for each search path.
    """
    return _declared_on(tuple(sys.path), group)


@cache
def _declared_on(path: tuple[str, ...], group: str) -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=group))


@dataclass(frozen=True)
class Definitions(Generic[Defined]):
    """All definitions of one type.

    Args:
        type: a dataclass with `name` and `description`, which the file gives: its own name, and its first line where
            nothing else is said.
        package: package of hf_stilts with a file for each.
        entry_points: group of entry points of other packages, each a module or the object itself.
        command: lists all of them.
        yaml: whether its fields are data, so that a YAML file can define one.
    """

    type: type[Defined]
    package: str
    entry_points: str
    command: str
    yaml: bool = False

    @property
    def what(self) -> str:
        """What one is called: `task` for `TASK = Task(...)`."""
        return self.type.__name__.lower()

    @property
    def form(self) -> str:
        """What a file must hold."""
        return f"{self.what.upper()} = {self.type.__name__}(...)"

    def included(self, name: str) -> bool:
        """Whether hf_stilts itself brings one of this name."""
        return name in self._own()

    def names(self) -> list[str]:
        """Names of all, sorted: one per file of the package, one per entry point."""
        return sorted({*self._own(), *(point.name for point in installed(self.entry_points))})

    def load(self, name: str | Defined) -> Defined:
        """One by file name, entry point, or path of a Python or YAML file; an object is handed back.

        Raises:
            StiltsError: none of this name; the nearest names and the command that lists all are in the message.
            FileNotFoundError: no such file.
        """
        if isinstance(name, self.type):
            return name
        name = str(name)
        if name.endswith(".py"):
            return self._defined_in(self._module_of_file(Path(name)), Path(name).stem)
        if name.endswith(".yaml") and self.yaml:
            return self._named(read_yaml(Path(name), self.type), Path(name).stem)
        if name in self._own():
            return self._defined_in(importlib.import_module(f"{self.package}.{name}"), name)
        for point in installed(self.entry_points):
            if point.name == name:
                loaded = point.load()
                return self._named(loaded, name) if isinstance(loaded, self.type) else self._defined_in(loaded, name)
        self._refuse_path(Path(name))
        raise StiltsError(f"No {self.what} {name!r}. {did_you_mean(name, self.names(), 3)} Run: {self.command}")

    def _refuse_path(self, path: Path) -> None:
        """Refuse what is meant as a file, and is none that can define one: known names would not help.

        Raises:
            FileNotFoundError: there is no such file.
            StiltsError: it is a folder, or a file of another kind.
        """
        meant = path.suffix in _OTHER_FILES
        if not meant and not path.exists():
            return
        yaml = " or a YAML file of its fields" if self.yaml else ""
        expected = f"Expected the name of a {self.what}, or the path of a Python file that defines {self.form}{yaml}"
        if not path.exists():
            raise FileNotFoundError(f"There is no file {path}. {expected}. Run: {self.command}")
        kind = "folder" if path.is_dir() else f"file that ends in {path.suffix or 'nothing'}"
        raise StiltsError(f"{path} is a {kind}. {expected}. Run: {self.command}")

    def _own(self) -> frozenset[str]:
        return _modules_of(self.package)

    def _module_of_file(self, path: Path) -> ModuleType:
        """Run a Python file of the user's.

        Raises:
            FileNotFoundError: there is no such file.
            StiltsError: it does not run.
        """
        expected = f"Give the path of a Python file that defines {self.form}."
        if not path.is_file():
            raise FileNotFoundError(f"No {self.what} file at {path}. {expected}")
        spec = importlib.util.spec_from_file_location(f"hf_stilts_file_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise StiltsError(f"{path} cannot be read as Python. {expected}")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except StiltsError as error:  # of the object itself, which says what to write
            raise StiltsError(f"{path}: {error}") from error
        except Exception as error:
            if unknown := _unknown_field(error, module):
                raise StiltsError(f"{path}: {unknown} Correct it, or leave it out.") from error
            why = f"{type(error).__name__}: {str(error).rstrip('.')}"
            raise StiltsError(
                f"{path} ends in {why}. Expected Python that defines {self.form}. "
                f"Run it alone to see where: python {path}"
            ) from error
        return module

    def _defined_in(self, module: ModuleType, name: str) -> Defined:
        found = vars(module).get(self.what.upper())
        if not isinstance(found, self.type):
            raise StiltsError(
                f"{module.__file__} has no {self.form}. Define it; its file name is the {self.what}'s name."
            )
        return self._named(found, name, (module.__doc__ or "").strip().split("\n")[0])

    def _named(self, found: Any, name: str, summary: str = "") -> Defined:
        named: Defined = replace(found, name=name, description=found.description or summary)
        return named


@cache
def _modules_of(package: str) -> frozenset[str]:
    """Names of the modules of a package of hf_stilts, without importing it; its folder is read once in a process."""
    folder = Path(__file__).parents[1].joinpath(*package.split("."))
    return frozenset(module.name for module in pkgutil.iter_modules([str(folder)]))


def _unknown_field(error: Exception, module: ModuleType) -> str | None:
    """What is wrong where a dataclass was given a field that it does not have; None of any other error."""
    said = _UNKNOWN_FIELD.fullmatch(str(error)) if isinstance(error, TypeError) else None
    cls = vars(module).get(said["cls"]) if said else None
    if said is None or not isinstance(cls, type) or not is_dataclass(cls):
        return None
    known = [each.name for each in fields(cls) if each.init]
    return f"{said['cls']}(...) has no field {said['field']!r}. {did_you_mean(said['field'], known)}"


def read_yaml(path: Path, cls: type[Defined], default: Mapping[str, Any] | None = None) -> Defined:
    """What a YAML file defines: a mapping from fields of a dataclass to their values. No code of it is run.

    Scalars are text where the field holds text: `no` is Norwegian, and `2005.00333` a paper.

    Args:
        path: the file.
        cls: a dataclass; its fields that hold functions are none of the file's.
        default: values of fields that the file leaves out.

    Raises:
        FileNotFoundError: no such file.
        StiltsError: it is no YAML, has a field that there is not, or a value that the field cannot have; the message
            has file, line and field.
    """
    import yaml  # takes a hundredth of a second, and most commands read none

    if not path.is_file():
        raise FileNotFoundError(f"No file {path}. Give the path of a YAML file with the fields of {cls.__name__}.")
    if path.stat().st_size > _LARGEST:
        raise StiltsError(f"{path} has {path.stat().st_size} bytes; expected at most {_LARGEST}. Give a smaller file.")
    try:
        top = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise StiltsError(f"{path} is no YAML: {error}. Expected `field: value` lines. Correct it.") from error
    if not isinstance(top, yaml.MappingNode):
        raise StiltsError(f"{path} holds no mapping; expected `field: value` lines. Write for example: kind: ...")
    hints = get_type_hints(cls)
    data = {name: hint for name, hint in hints.items() if get_origin(hint) is not Callable and not _is_function(hint)}
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in top.value:
        name, line = str(key.value), key.start_mark.line + 1
        where = f"{path}, line {line}, field {name}"
        if name not in data:
            code = " It holds a function: write the task as a Python file." if name in hints else ""
            raise StiltsError(f"{where}: there is no such field of data.{code} {did_you_mean(name, data, 1)}")
        if name in values:
            raise StiltsError(f"{where}: it is there already, in line {lines[name]}; expected once. Delete one.")
        values[name], lines[name] = _value(value, data[name], path, name), line
    return _made(cls, {**(default or {}), **values}, lines, path)


def _made(cls: type[Defined], values: Mapping[str, Any], lines: Mapping[str, int], path: Path) -> Defined:
    """The object; where it refuses its values, the line of the field without which it would not."""
    try:
        return cls(**values)
    except TypeError as error:  # a field without a default is missing
        raise StiltsError(f"{path}: {error}; expected every field without a default. Add it.") from error
    except StiltsError as error:
        wrong = None
        for name in lines:
            try:
                cls(**{other: value for other, value in values.items() if other != name})
            except StiltsError:
                continue
            except TypeError:  # one without a default: wrong if no other is
                wrong = wrong or name
                continue
            wrong = name
            break
        where = f"{path}, line {lines[wrong]}, field {wrong}" if wrong else str(path)
        raise StiltsError(f"{where}: {error}") from error


def _is_function(hint: Any) -> bool:
    return any(get_origin(each) is Callable for each in get_args(hint))


def _value(node: Any, hint: Any, path: Path, name: str) -> Any:
    """The value of a node of YAML, as the type of the field wants it."""
    origin, inner = get_origin(hint), get_args(hint)
    wrong = StiltsError(
        f"{path}, line {node.start_mark.line + 1}, field {name}: found {_shown(node)}; expected {_said(hint)}. "
        "Correct it."
    )
    if origin is tuple and node.id == "sequence":
        return tuple(_value(each, inner[0], path, name) for each in node.value)
    if origin is Mapping and node.id == "mapping":
        return {_value(key, inner[0], path, name): _value(value, inner[1], path, name) for key, value in node.value}
    if origin in (tuple, Mapping):
        raise wrong
    if inner and origin is not Literal:  # `str | None`, `str | tuple[str, ...]`
        if type(None) in inner and node.tag.endswith(":null"):
            return None
        sequence = next((each for each in inner if get_origin(each) is tuple), None)
        return _value(node, sequence if node.id == "sequence" and sequence else inner[0], path, name)
    if node.id != "scalar" or (node.tag.endswith(":null") and hint is str):
        raise wrong
    if hint is bool and node.tag.endswith(":bool"):
        return node.value.lower() in ("true", "yes", "on")
    if hint is float and node.tag.endswith((":float", ":int")):
        return float(node.value)
    if hint is str or (origin is Literal and node.value in inner):
        return node.value
    raise wrong


def _shown(node: Any) -> str:
    return repr(node.value) if node.id == "scalar" else f"a {node.id}"


def _said(hint: Any) -> str:
    """What a type is called in an error."""
    names = {str: "text", float: "a number", bool: "true or false", type(None): "null"}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        return "a list of texts"
    if origin is Mapping:
        return f"a mapping to {_said(inner[1])}"
    if origin is Literal:
        return " or ".join(map(str, inner))
    return " or ".join(map(_said, inner)) if inner else names[hint]
