"""Command that says what works on this machine, what does not, and what to type for it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hf_stilts.cli.options import App, DataDir, Json

app = App()

OK, NOTE, FAILS = "ok", "note", "fails"
_PACKAGE = "hf_stilts"


@dataclass(frozen=True)
class Finding:
    """What was looked at.

    Attributes:
        check: what; state: `ok`, `note` (something that not every command needs) or `fails`.
        found: what is there, and where that is not enough, what was expected.
        type: what to type next; empty where nothing is to be done.
    """

    check: str
    state: str
    found: str
    type: str = ""


@app.command()
def doctor(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Check this machine: versions, login, Hub, data, disk, precisions, GPU. Exit code 1 where something fails."""
    from hf_stilts.console import show_findings

    found = show_findings((vars(each) for each in look(data_dir)), as_json=as_json)
    if any(each["state"] == FAILS for each in found):
        raise typer.Exit(1)


def look(data_dir: Path | None) -> Iterator[Finding]:
    """Look at everything, the quick things first; nothing is written and nothing downloaded.

    Args:
        data_dir: local mirror of the data sets; default: HF_STILTS_DATA.
    """
    yield from _versions()
    try:
        yield from _hub_and_data(data_dir)
    except ImportError as error:
        yield Finding("Hub", FAILS, f"the Hub's client cannot be imported: {error}", "pip install huggingface-hub")
    yield from _devices()


def _versions() -> Iterator[Finding]:
    """Python and every package against the bounds that this package declares for itself."""
    python = ".".join(map(str, sys.version_info[:3]))
    try:
        declared = metadata.metadata(_PACKAGE)
    except metadata.PackageNotFoundError:
        yield Finding("hf_stilts", FAILS, "not installed: the versions that it needs are not known", "pip install .")
        return
    yield Finding("hf_stilts", OK, declared["Version"])
    bounds = SpecifierSet(declared["Requires-Python"] or "")
    if bounds.contains(python):
        yield Finding("python", OK, f"{python} ({bounds})")
    else:
        yield Finding("python", FAILS, f"{python}; expected {bounds}", "Install a Python within these bounds")
    requirements = [Requirement(each) for each in declared.get_all("Requires-Dist") or ()]
    packages = [_version_of(each) for each in _of_extra(requirements, None)]
    yield from (each for each in packages if each.state != OK)
    fitting = [f"{each.check} {each.found}" for each in packages if each.state == OK]
    yield Finding("packages", OK, ", ".join(fitting))
    yield from _extras(requirements, declared.get_all("Provides-Extra") or [])


def _extras(requirements: list[Requirement], extras: list[str]) -> Iterator[Finding]:
    """Which extras are installed, and what the others lack: no command but theirs needs them."""
    installed = []
    for extra in extras:
        wrong = [each for each in map(_version_of, _of_extra(requirements, extra)) if each.state != OK]
        if wrong:
            lacking = "; ".join(f"{each.check}: {each.found}" for each in wrong)
            yield Finding(f"extra {extra}", NOTE, lacking, f"pip install 'hf_stilts[{extra}]'")
        else:
            installed.append(extra)
    yield Finding("extras", OK, ", ".join(installed) or "none")


def _of_extra(requirements: list[Requirement], extra: str | None) -> list[Requirement]:
    """Requirements of an extra and of those that it names (`hf_stilts[figures]`); of None, those of the package."""
    here = [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    if extra is None:
        return here
    found: list[Requirement] = []
    for each in requirements:
        if each.marker is None or each in here or not each.marker.evaluate({"extra": extra}):
            continue
        if each.name.replace("-", "_") == _PACKAGE:
            for other in sorted(each.extras):
                found += [more for more in _of_extra(requirements, other) if more not in found]
        else:
            found.append(each)
    return found


def _version_of(requirement: Requirement) -> Finding:
    """One package against its bounds. Its metadata are read, and it is not imported."""
    name, bounds = requirement.name, requirement.specifier
    typed = f"pip install '{name}{bounds}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, FAILS, "not installed", typed)
    if bounds.contains(version, prereleases=True):
        return Finding(name, OK, f"{version} ({bounds})" if str(bounds) else version)
    return Finding(name, FAILS, f"{version}; expected {bounds}", typed)


def _hub_and_data(data_dir: Path | None) -> Iterator[Finding]:
    """Whether the Hub answers, who is logged in there, which data and how much room there is."""
    from huggingface_hub import constants

    from hf_stilts.hub.reachable import why_unreachable

    mirror = data_dir or os.environ.get("HF_STILTS_DATA")
    data = _data(mirror)
    offline = constants.HF_HUB_OFFLINE
    reason = why_unreachable()
    if offline:
        found = "HF_HUB_OFFLINE is set: folders, the cache and a mirror are read, nothing is published"
        yield Finding("Hub", NOTE, found, "unset HF_HUB_OFFLINE")
    elif reason is None:
        yield Finding("Hub", OK, f"{constants.ENDPOINT} answers")
    elif data.state == OK and mirror:
        there = "models that are folders or in the cache, and the data of the mirror, work"
        yield Finding("Hub", NOTE, f"{constants.ENDPOINT}: {reason}. Nothing is published; {there}", _OFFLINE)
    else:
        yield Finding("Hub", FAILS, f"{constants.ENDPOINT} does not answer: {reason}", _OFFLINE)
    yield _login(asked=reason is None and not offline)
    yield data
    yield from _disk(Path(constants.HF_HUB_CACHE))


_OFFLINE = (
    "Check the network and HTTPS_PROXY; without a network: hf-stilts hub serve DIR, then "
    "export HF_ENDPOINT=http://127.0.0.1:5564 HF_TOKEN=local"
)


def _login(*, asked: bool) -> Finding:
    """Whose token is there, and whether it may write."""
    from huggingface_hub import get_token, whoami
    from huggingface_hub.errors import HfHubHTTPError

    if get_token() is None:
        found = "no token: public models and data can be read, nothing can be published (--no-publish)"
        return Finding("login", NOTE, found, "hf auth login")
    if not asked:
        return Finding("login", NOTE, "there is a token; only a Hub that answers can say whose it is")
    wins = "; HF_TOKEN of the environment wins over it: unset HF_TOKEN" if os.environ.get("HF_TOKEN") else ""
    try:
        user = whoami()
    except HfHubHTTPError as error:
        return Finding(
            "login", FAILS, f"the Hub refuses the token: {str(error).splitlines()[0]}", f"hf auth login{wins}"
        )
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        found = f"{user['name']}, with a token that may only read: nothing can be published (--no-publish)"
        return Finding("login", NOTE, found, f"hf auth login, with a token that may write{wins}")
    return Finding("login", OK, user["name"])


def _data(mirror: str | os.PathLike[str] | None) -> Finding:
    """Which tasks the mirror holds data sets of, if one was named."""
    from hf_stilts.hub.card import CARD_FILE
    from hf_stilts.task import list_tasks, load_task

    if not mirror:
        return Finding("data", OK, "no mirror (--data-dir, HF_STILTS_DATA): rows come from the Hub")
    folder = Path(mirror).expanduser()
    fill = f"hf-stilts data prefetch TASK --out {folder}"
    if not folder.is_dir():
        return Finding("data", FAILS, f"there is no folder {folder}; a mirror of data sets is expected", fill)
    tasks = [load_task(name) for name in list_tasks()]
    held = []
    for task in tasks:
        if all((folder / source.dataset / CARD_FILE).is_file() for source in task.sources):
            held.append(task.name)
    if not held:
        return Finding("data", FAILS, f"{folder} holds the data set of no task", fill)
    return Finding("data", OK, f"{folder} has data sets of {len(held)} of {len(tasks)} tasks: {', '.join(held)}")


def _disk(cache: Path) -> Iterator[Finding]:
    """Room for the weights of the default base, and for one checkpoint of its training."""
    from hf_stilts.studies.sizes import WEIGHTS
    from hf_stilts.training.start import DEFAULT_BASE

    weights = WEIGHTS[DEFAULT_BASE]
    needed = {
        "cache": (cache, weights, "export HF_HOME=DIR on another disk, or: hf cache ls, hf cache rm"),
        # Weights, and AdamW's two numbers for each of them.
        "runs": (Path.cwd(), 3 * weights, "--output_dir on another disk, or --adapter lora: megabytes a checkpoint"),
    }
    for name, (folder, least, typed) in needed.items():
        there = next(each for each in (folder, *folder.parents) if each.is_dir())
        check = f"disk of {name}"
        if not os.access(there, os.W_OK):
            yield Finding(check, FAILS, f"{there} cannot be written to", typed.partition(", or")[0])
            continue
        free = shutil.disk_usage(there).free
        found = f"{free / 1e9:.1f} GB free in {there}"
        if free >= least:
            yield Finding(check, OK, found)
        else:
            yield Finding(check, FAILS, f"{found}; expected {least / 1e9:.1f} GB for {DEFAULT_BASE}", typed)


def _devices() -> Iterator[Finding]:
    """What computes here, and which precisions it multiplies fast: the only checks that import torch."""
    try:
        import torch

        from hf_stilts.devices import AMPERE, SLOW_BF16, bf16_slowdown, default_device
    except (ImportError, OSError) as error:
        yield Finding("torch", FAILS, f"cannot be imported: {error}", "pip install --force-reinstall torch")
        return
    device = default_device().type
    if device == "cuda":
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            native = about.major >= AMPERE
            fast = "bfloat16 (--bf16) and float16 (--fp16)" if native else "float16 (--fp16), not bfloat16"
            yield Finding(f"GPU {number}", OK, f"{about.name}, {about.total_memory / 1e9:.0f} GB; fast: {fast}")
        return
    if device != "cpu":
        yield Finding("GPU", OK, f"{device}, as torch {torch.__version__} calls it")
        return
    nvidia = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()
    if nvidia:
        found = f"this machine has NVIDIA's driver, and torch {torch.__version__} sees no GPU"
        yield Finding("GPU", NOTE, found, "nvidia-smi; then install torch's CUDA build (pytorch.org)")
    else:
        yield Finding("GPU", NOTE, "none: the processor trains")
    factor = bf16_slowdown()
    found = f"{torch.get_num_threads()} threads; bfloat16 takes {factor:.2g} times as long as float32 (measured)"
    if factor > SLOW_BF16:
        yield Finding("processor", NOTE, found, 'Leave out --bf16 and precision="bf16"')
    else:
        yield Finding("processor", OK, found)
