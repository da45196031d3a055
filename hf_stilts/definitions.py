"""What Python files define, one a file (tasks, studies): found by file name, by entry point, or by path."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from hf_stilts.errors import StiltsError, did_you_mean

Defined = TypeVar("Defined")


@dataclass(frozen=True)
class Definitions(Generic[Defined]):
    """All definitions of one type.

    Args:
        type: a dataclass with `name` and `description`, which the file gives: its own name, and its first line where
            nothing else is said.
        package: package of hf_stilts with a file for each.
        entry_points: group of entry points of other packages, each a module or the object itself.
        command: lists all of them.
    """

    type: type[Defined]
    package: str
    entry_points: str
    command: str

    @property
    def what(self) -> str:
        """What one is called: `task` for `TASK = Task(...)`."""
        return self.type.__name__.lower()

    @property
    def form(self) -> str:
        """What a file must hold."""
        return f"{self.what.upper()} = {self.type.__name__}(...)"

    def names(self) -> list[str]:
        """Names of all, sorted: one per file of the package, one per entry point."""
        return sorted({*self._own(), *(point.name for point in entry_points(group=self.entry_points))})

    def load(self, name: str | Defined) -> Defined:
        """One by file name, entry point, or path of a Python file; an object is handed back.

        Raises:
            StiltsError: none of this name; the nearest names and the command that lists all are in the message.
            FileNotFoundError: no such file.
        """
        if isinstance(name, self.type):
            return name
        name = str(name)
        if name.endswith(".py"):
            return self._defined_in(self._module_of_file(Path(name)), Path(name).stem)
        if name in self._own():
            return self._defined_in(importlib.import_module(f"{self.package}.{name}"), name)
        for point in entry_points(group=self.entry_points):
            if point.name == name:
                loaded = point.load()
                return self._named(loaded, name) if isinstance(loaded, self.type) else self._defined_in(loaded, name)
        raise StiltsError(f"No {self.what} {name!r}. {did_you_mean(name, self.names(), 3)} Run: {self.command}")

    def _own(self) -> list[str]:
        folder = Path(__file__).parents[1].joinpath(*self.package.split("."))
        return [module.name for module in pkgutil.iter_modules([str(folder)])]

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
        except Exception as error:
            raise StiltsError(
                f"{path} ends in {type(error).__name__}: {error}. Expected Python that defines {self.form}. "
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
