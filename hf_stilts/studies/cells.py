"""The cells of a study: what is trained and scored, each known by a digest of everything that decides its result.

Two cells with the same identity have the same result, in whatever arm, study or folder they stand, so each is done
once. Nothing here imports torch: a plan of thousands of cells is a matter of a second.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hf_stilts import __version__
from hf_stilts.augmentation.noise import MISSPELT, Noise, noise_tag, trained_noise
from hf_stilts.data.language_shares import language_codes, spelt_languages
from hf_stilts.definitions import FILES
from hf_stilts.errors import StiltsError
from hf_stilts.files import sha256
from hf_stilts.studies.study import Flag, Intermediate, Languages, Merged, Soup, Study, target_tasks
from hf_stilts.task import Task, load_task
from hf_stilts.training.flags import deciding
from hf_stilts.training.recipes import recipe as load_recipe

STAGES = ("intermediate", "target", "scores")
MAJOR = __version__.partition(".")[0]
NEWEST = "newest"  # of a repository whose commit nobody has named
# What of a task decides neither its training rows nor its scores.
_ABOUT = ("license", "paper", "description", "name", "file", "train", "languages", "built", "translated", "revision")
_REPOSITORY = re.compile(r"[\w.-]*\w/?[\w.-]*\w")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.json", "*.model", "*.txt")


@dataclass(frozen=True)
class Cell:
    """One training, or the scores of one model on one task.

    Args:
        stage: of `STAGES`.
        spec: all that decides the result, as JSON holds it; its digest is the identity.
        call: what running it here takes beside that: paths and names.
        title: what people call it.
        needs: identities of the cells that must be finished first.
        problem: why it cannot be run here: rows that are not there.
    """

    stage: str
    spec: Mapping[str, Any]
    call: Mapping[str, Any]
    title: str
    needs: tuple[str, ...] = ()
    problem: str | None = None

    @cached_property
    def identity(self) -> str:
        """20 hexadecimal digits."""
        return identity(self.spec)


@dataclass(frozen=True)
class Entry:
    """One place of the study's table, and the cell that fills it; several may share a cell.

    With `shots` the target model was trained further on so many rows of `language`, which alone is scored.
    """

    base: str
    arm: str
    train_on: str
    adapter: str | None
    noise: str | None
    seed: int
    task: str
    trained: str | None
    scores: str
    shots: int = 0
    language: str | None = None
    noise_seed: int = 0


@dataclass(frozen=True)
class _Place:
    """Where in the study's table a cell stands, fields as those of `Entry`."""

    base: str
    arm: str
    seed: int
    train_on: str
    adapter: str | None = None
    noise: str | None = None
    noise_seed: int = 0

    def entry(self, task: str, trained: str | None, scores: str, shots: int = 0, language: str | None = None) -> Entry:
        """The place with what fills it."""
        return Entry(task=task, trained=trained, scores=scores, shots=shots, language=language, **asdict(self))


@dataclass
class Cells:
    """A study unfolded.

    Attributes:
        study: the study.
        cells: identity -> cell, in the order in which they are run: one seed of all arms before the next.
        entries: the places of the table.
    """

    study: Study
    cells: dict[str, Cell] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def add(self, cell: Cell) -> str:
        """Put a cell behind the others, once; its identity."""
        self.cells.setdefault(cell.identity, cell)
        return cell.identity

    def blocked(self) -> dict[str, str]:
        """Identity -> problem, of the cells that lack rows and of all that need one of these."""
        found: dict[str, str] = {}
        for name, cell in self.cells.items():  # a cell stands behind those that it needs
            reasons = [cell.problem, *(found.get(need) for need in cell.needs)]
            reason = next((reason for reason in reasons if reason), None)
            if reason:
                found[name] = reason
        return found

    def unfinished(self, finished: Callable[[str], bool], hopeless: Set[str]) -> list[str]:
        """Identities of the cells that can still be done: now, or when those that they need are finished.

        Args:
            finished: whether the cell of an identity is finished.
            hopeless: identities of the cells that failed for good or are blocked; what needs one of them is left out.
        """
        lost = set(hopeless)
        left = []
        for name, cell in self.cells.items():  # a cell stands behind those that it needs
            if finished(name):
                continue
            if any(need in lost for need in cell.needs):
                lost.add(name)
            elif name not in lost:
                left.append(name)
        return left


def identity(spec: Mapping[str, Any]) -> str:
    """Digest of a specification, the same on every machine: 20 hexadecimal digits."""
    text = json.dumps(spec, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def unfold(
    study: Study,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    revisions: Mapping[str, str] | None = None,
    available: bool = False,
) -> Cells:
    """All cells of a study, in the order in which whole comparisons are finished first.

    Args:
        study: the study.
        data_dir: local mirror of the data sets; else HF_STILTS_DATA, else the Hub.
        revisions: base -> commit, of the bases that the study names without one.
        available: score only the languages whose rows are there; by default such a cell has a problem.

    Raises:
        StiltsError: an unknown recipe or kind of noise, or languages that no target has.
    """
    return _Unfolding(study, _Rows(data_dir), dict(revisions or {}), available).cells()


def base_of(name: str, revisions: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Name and revision of a base: of a folder the digest of its files, of a repository a commit or `NEWEST`."""
    if Path(name).is_dir():
        return str(Path(name).resolve()), _folder_revision(Path(name))
    repository, _, commit = name.partition("@")
    if not _REPOSITORY.fullmatch(repository):
        raise StiltsError(
            f"There is no folder {name} here, and it is no name of a model on the Hub; one of the two is expected. "
            "Correct the study's base=, or --base: a folder with config.json and weights, or org/model."
        )
    return repository, commit or (revisions or {}).get(name) or NEWEST


def short(base: str) -> str:
    """Last part of a base's name: `org/xlmr@c0ffee` is `xlmr`."""
    return base.rstrip("/").partition("@")[0].rpartition("/")[2]


def words(flags: Mapping[str, Flag]) -> list[str]:
    """Fields of `TrainingArguments` as the words of a command line."""
    found = []
    for name, value in flags.items():
        found += [f"--{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return found


class _Rows:
    """What is known of the rows of tasks before any is read: their revisions, and which are not there."""

    def __init__(self, data_dir: str | os.PathLike[str] | None) -> None:
        root = data_dir if data_dir is not None else os.environ.get("HF_STILTS_DATA")
        self.mirror = str(Path(root).expanduser().resolve()) if root else None
        self.known: dict[tuple[str, str, str], str | StiltsError | OSError] = {}

    def revision(self, task: Task, language: str, split: str) -> str:
        """Revision of the rows in a language.

        Raises:
            StiltsError, FileNotFoundError: they are not there.
        """
        source = MISSPELT.sub("", language)
        if source != language:  # made from the rows of the source, by training itself, and the same every time
            return f"{self.revision(task, source, split)} as {language}"
        key = (task.name, language, split)
        if key not in self.known:
            try:
                self.known[key] = (
                    self._of_mirror(task, language, split) if self.mirror else self._of_hub(task, language)
                )
            except (StiltsError, OSError) as error:
                self.known[key] = error
        found = self.known[key]
        if isinstance(found, str):
            return found
        raise found

    def _of_mirror(self, task: Task, language: str, split: str) -> str:
        # `datasets` takes seconds to import, and a study whose rows are on the Hub needs nothing of it to be planned.
        from hf_stilts.data.load import data_revision, present

        revision = data_revision(task, language, self.mirror)
        if language in task.languages:
            present(task, split, [language], data_dir=self.mirror)
        return revision

    def _of_hub(self, task: Task, language: str) -> str:
        sources = task.sources
        for source in sources:
            if language not in source.languages or language in source.built:
                raise StiltsError(
                    f"Task {task.name} has no rows in {language!r} on the Hub; it has {', '.join(source.languages)}. "
                    "Rows made from others (hf-stilts data translate, transliterate, code-switch, noise, build) "
                    "lie in a mirror: pass --data-dir DIR."
                )
            if "/" not in source.dataset:
                raise StiltsError(
                    f"The rows of task {source.name} are on no Hub. Build them: hf-stilts data build {source.name} "
                    "--raw DIR --out MIRROR; then pass --data-dir MIRROR."
                )
        return " ".join(source.revision or NEWEST for source in sources)


class _Unfolding:
    """One unfolding: the study, and what was looked up for it."""

    def __init__(self, study: Study, rows: _Rows, revisions: Mapping[str, str], available: bool) -> None:
        self.study, self.rows, self.revisions, self.available = study, rows, revisions, available
        self.found = Cells(study)
        self.bases = {base: base_of(base, revisions) for base in study.base}
        self.noise = {each: str(Noise.parse(each)) if each else None for each in study.noise}
        # Thousands of cells are of a few tasks: each is read and described once.
        self.load = cache(load_task)
        self.described = cache(self._task)
        self.specified = cache(lambda name: _specification(self.load(name)))

    def cells(self) -> Cells:
        """Seed by seed, then base by base and target by target, all arms of one before the next."""
        targets = target_tasks(self.study)
        for seed in self.study.seeds:
            for base in self.study.base:
                for target, languages in targets.items():
                    for arm in self.study.arms:
                        self._target(base, arm, target, languages, seed)
        return self.found

    def _target(self, base: str, arm: str, target: str, languages: tuple[str, ...], seed: int) -> None:
        """The cells of one target after one arm."""
        task = self.load(target)
        start = self._start_after(base, arm, seed)
        for train_on, codes in self.study.train_on.items():
            place = _Place(base, arm, seed, train_on)
            for adapter in self.study.adapter:
                place = replace(place, adapter=adapter)
                trained = start
                if task.has_head or task.train:
                    trained = self._trained(place, start, target, codes)
                for noise, noise_seed in self._noises():
                    noisy = replace(place, noise=noise, noise_seed=noise_seed)
                    cell = self._scores(noisy, trained, target, languages)
                    # A model that is its base has no seed: its cell is shared by all of them.
                    own = trained if trained != start else None
                    self.found.entries.append(noisy.entry(task.name, own, cell))
            # Languages of a joint task are scored against each other's candidates: none of them alone.
            if trained is not None and trained != start and not task.declaration.joint:
                self._few_shot(_Place(base, arm, seed, train_on), trained, target, languages, codes)

    def _noises(self) -> list[tuple[str | None, int]]:
        """What is done to the rows that are scored, with its seeds; a clean text has none."""
        found: list[tuple[str | None, int]] = []
        for noise in self.study.noise:
            if noise is None:
                found.append((None, 0))
            else:
                found += [(noise, seed) for seed in self.study.noise_seeds]
        return found

    def _few_shot(self, place: _Place, trained: str, target: str, languages: tuple[str, ...], read: Languages) -> None:
        """Cells of a target model that is trained further on a few rows of each language, and scored in it."""
        task = self.load(target)
        own = task.train[-1] if task.train else target
        known = {MISSPELT.sub("", code) for code in language_codes(read, self.load(own).languages)}
        own_task = self.load(own)
        new = [code for code in languages if code in own_task.languages and code not in known]
        with_rows = [code for code in new if self._data([own_task], [code], "train")[0] is None]
        # Where no language has rows, the cells stay and say what is missing.
        for code in with_rows or new:
            for shots in sorted(self.study.shots):
                if not shots:
                    continue
                further = self._further(place, trained, own, code, shots)
                about = f"{place.train_on}, {shots} {code} rows"
                cell = self._scores(place, further, target, (code,), about)
                self.found.entries.append(place.entry(task.name, further, cell, shots, code))

    def _further(self, place: _Place, start: str, name: str, language: str, shots: int) -> str:
        """Cell of the further training of a target model on a few rows of one language."""
        task = self.load(name)
        text_to_text = self.study.text_to_text and bool(task.declaration.text_answers)
        options: dict[str, Any] = {"languages": language, "limit": shots, "keep_head": True}
        if text_to_text:
            options["text_to_text"] = True
        title = f"{task.name} on {shots} {language} rows"
        return self._target_training(place, start, name, {name: task}, [language], options, title)

    def _start_after(self, base: str, arm: str, seed: int) -> str | None:
        """Cell of what the targets of an arm start from; None for the baseline, whose targets start from the base."""
        how = self.study.arms[arm]
        if how is None:
            return None
        if isinstance(how, Merged):
            return self._merged(base, arm, how, seed)
        if isinstance(how, Soup):
            return self._intermediate(base, arm, how.training, seed, how)
        return self._intermediate(base, arm, how, seed)

    def _merged(self, base: str, arm: str, how: Merged, seed: int) -> str:
        """Cell of a merge, behind the cells of its parts, which other arms may share."""
        parts = [self._intermediate(base, self._part(arm, part), part, seed) for part in how.parts]
        options = how.options(seed)
        merge: dict[str, Any] = {"how": how.how, "weights": options.for_each(len(parts)), "density": options.kept}
        if how.how == "dare":
            merge["seed"] = seed  # of the parts that it draws
        references: list[str] = []
        names: list[str] = []
        for part in how.parts:
            references += _references(part.tasks)
            names += [self.load(task).name for task in part.tasks]
        references, names = list(dict.fromkeys(references)), list(dict.fromkeys(names))
        spec = {"stage": "intermediate", "merge": merge, "parts": parts, "tasks": names, "major": MAJOR}
        call: dict[str, Any] = {"base": self.bases[base], "tasks": references, "parts": parts, "seed": seed}
        call |= {"merge": asdict(options), "data_dir": self.rows.mirror}
        return self.found.add(Cell("intermediate", spec, call, f"{arm}, {short(base)}, seed {seed}", tuple(parts)))

    def _part(self, arm: str, part: Intermediate) -> str:
        """What titles call a part of a merge: the arm that is the same training, else its tasks and the merge."""
        same = next((name for name, each in self.study.arms.items() if each == part), None)
        return same or f"{' + '.join(part.tasks)} for {arm}"

    def _intermediate(self, base: str, arm: str, how: Intermediate, seed: int, soup: Soup | None = None) -> str:
        """Cell of an intermediate training: an arm, a part of a merge, or one whose own checkpoints are averaged."""
        tasks = [self.load(task) for task in how.tasks]
        text_to_text = self.study.text_to_text and all(task.declaration.text_answers for task in tasks)
        mixture = is_mixture(how)
        languages = _misspelt(how.languages, how.noise, tasks[0])
        codes = language_codes(languages, tasks[0].languages)
        limit = how.limit or self.study.train_limit
        problem, data = self._data(tasks, [*codes, *([how.contrastive] if how.contrastive else [])], "train")
        flags = {**self.study.flags, **how.flags, **(soup.flags if soup else {})}
        profile = how.recipe or self.study.recipe
        spelt = None if mixture and _reads_text(tasks[0]) else spelt_languages(languages, tasks[0].languages)
        options = {"languages": spelt, "limit": limit, "contrastive": how.contrastive, "batches": how.batches}
        options |= {"adapter": how.adapter}
        options |= {"sampler": how.sampler, "cap": how.cap, "text_to_text": text_to_text, "mixture": mixture}
        options = {name: value for name, value in options.items() if value}
        spec = {
            **self._start(base, None),
            "tasks": {
                task.name: self.described(name, text_to_text, profile, "intermediate")
                for name, task in zip(how.tasks, tasks, strict=True)
            },
            "data": data,
            "options": options,
            **self._run(flags, seed),
        }
        call: dict[str, Any] = {"tasks": _references(how.tasks), "base": self.bases[base], "recipe": profile}
        call |= {"flags": words(flags)}
        call |= {"options": options, "seed": seed, "data_dir": self.rows.mirror}
        if soup:  # absent elsewhere: such cells stay what they were
            spec["soup"] = call["soup"] = soup.last
        title = f"{arm}, {short(base)}, seed {seed}"
        return self.found.add(Cell("intermediate", {"stage": "intermediate", **spec}, call, title, (), problem))

    def _trained(
        self,
        place: _Place,
        start: str | None,
        target: str,
        languages: Languages,
    ) -> str:
        """Cell of the training for a target; targets with the same training rows share it."""
        task = self.load(target)
        trained = {name: self.load(name) for name in task.train or (target,)}
        text_to_text = self.study.text_to_text and all(each.declaration.text_answers for each in trained.values())
        first = next(iter(trained.values()))
        languages = _misspelt(languages, self.study.train_noise.get(place.train_on), first) or "en"
        codes = language_codes(languages, first.languages)
        options = {
            "languages": spelt_languages(languages, first.languages),
            "limit": self.study.train_limit,
            "adapter": place.adapter,
            "text_to_text": text_to_text,
        }
        options = {name: value for name, value in options.items() if value}
        title = "-".join(each.name for each in trained.values())
        return self._target_training(place, start, target, trained, codes, options, title)

    def _target_training(
        self,
        place: _Place,
        start: str | None,
        target: str,
        trained: Mapping[str, Task],
        codes: Sequence[str],
        options: dict[str, Any],
        title: str,
    ) -> str:
        """Cell of a training of the target phase, on the rows of some tasks in some languages."""
        problem, data = self._data(list(trained.values()), codes, "train")
        text_to_text = options.get("text_to_text", False)
        tasks = {}
        for name, task in trained.items():
            tasks[task.name] = self.described(name, text_to_text, self.study.recipe, "target")
        spec = {
            **self._start(place.base, start),
            "tasks": tasks,
            "data": data,
            "options": options,
            **self._run(self.study.flags, place.seed),
        }
        call: dict[str, Any] = {
            "task": _references([target])[0],
            "base": self.bases[place.base],
            "start": start,
            "seed": place.seed,
        }
        call |= {"recipe": self.study.recipe, "flags": words(self.study.flags), "options": options}
        call |= {"data_dir": self.rows.mirror}
        title += f" after {place.arm}, {short(place.base)}{self._factors(place)}, seed {place.seed}"
        needs = (start,) if start else ()
        return self.found.add(Cell("target", {"stage": "target", **spec}, call, title, needs, problem))

    def _scores(
        self,
        place: _Place,
        model: str | None,
        target: str,
        languages: tuple[str, ...],
        about: str = "",
    ) -> str:
        """Cell of a model's scores on a task in all its languages."""
        task = self.load(target)
        revisions: dict[str, str] = {}
        missing: dict[str, Exception] = {}
        for code in languages:
            try:
                revisions[code] = self.rows.revision(task, code, self.study.split)
            except (StiltsError, OSError) as error:
                missing[code] = error
        built = [code for code in missing if self.rows.mirror is None and code in task.built]  # the Hub never has them
        lacking = [code for code in missing if code not in built]
        problem = None
        if not revisions or (lacking and not self.available):
            first = next(iter(lacking or missing))
            problem = (
                f"{task.name} has no {self.study.split} rows here in {len(missing)} of {len(languages)} languages: "
                f"{', '.join(missing)}. Of {first}: {missing[first]}"
            )
        spec = {
            **self._start(place.base, model),
            "task": {task.name: self.specified(target)},
            "data": revisions,
            "split": self.study.split,
            "limit": self.study.limit,
            "noise": self.noise[place.noise],
            "major": MAJOR,
        }
        call: dict[str, Any] = {
            "task": _references([target])[0],
            "base": self.bases[place.base],
            "model": model,
            "noise": self.noise[place.noise],
        }
        call |= {"languages": list(revisions), "split": self.study.split, "limit": self.study.limit}
        call |= {"data_dir": self.rows.mirror}
        if place.noise_seed:  # absent where it is 0: such cells stay what they were
            spec["noise_seed"] = call["noise_seed"] = place.noise_seed
        if self.study.layers and task.declaration.layered and place.noise is None:
            spec["layers"] = call["layers"] = self.study.layers  # absent elsewhere: such cells stay what they were
        where = f", {about}" if about else self._factors(place)
        where += f", {place.noise}" if place.noise else ""
        where += f", noise seed {place.noise_seed}" if place.noise_seed else ""
        title = f"{task.name} scores after {place.arm}, {short(place.base)}{where}, seed {place.seed}"
        needs = (model,) if model else ()
        return self.found.add(Cell("scores", {"stage": "scores", **spec}, call, title, needs, problem))

    def _start(self, base: str, start: str | None) -> dict[str, Any]:
        """Where a cell starts: another cell, or the base by its content."""
        if start is not None:
            return {"start": start}
        name, revision = self.bases[base]
        # A folder is its files, wherever it lies.
        return {"base": revision if Path(name).is_dir() else f"{name}@{revision}"}

    def _run(self, flags: Mapping[str, Flag], seed: int) -> dict[str, Any]:
        chosen = {name: list(values) for name, values in deciding(words(flags)).items()}
        return {"flags": chosen, "seed": seed, "major": MAJOR}

    def _task(self, name: str, text_to_text: bool, profile: str, phase: str) -> dict[str, Any]:
        """A task as it is trained: its specification and the figures of its recipe."""
        task = replace(self.load(name), text_to_text=text_to_text)
        figures = asdict(load_recipe(profile, task, phase))
        del figures["source"]
        return _specification(task) | {"recipe": figures}

    def _data(self, tasks: Sequence[Task], codes: Sequence[str], split: str) -> tuple[str | None, dict[str, Any]]:
        """Revisions of the training rows by task and language, and the first thing that is not there."""
        problem = None
        found: dict[str, Any] = {}
        for task in tasks:
            # Masked language modelling reads text in all of its languages, whatever the others read.
            own = task.languages if _reads_text(task) and len(tasks) > 1 else codes
            found[task.name] = {}
            for code in own:
                try:
                    found[task.name][code] = self.rows.revision(task, code, split)
                except (StiltsError, OSError) as error:
                    problem = problem or str(error)
        return problem, found

    def _factors(self, place: _Place) -> str:
        """What of the factors a title says: only those that have several values."""
        said = [place.train_on] if len(self.study.train_on) > 1 else []
        if len(self.study.adapter) > 1:
            said.append(place.adapter or "all weights")
        return "".join(f", {each}" for each in said)


def is_mixture(arm: Intermediate) -> bool:
    """Whether an arm is trained as a mixture: several tasks, a sampler, or text in all languages at once."""
    everything = arm.languages == "all" and _reads_text(load_task(arm.tasks[0]))
    return len(arm.tasks) > 1 or arm.sampler is not None or arm.cap is not None or everything


def _reads_text(task: Task) -> bool:
    """Whether rows of a task are plain text and nothing else, as those of masked language modelling are."""
    return task.declaration.pretraining


def _misspelt(languages: Languages | None, noise: str | None, task: Task) -> Languages | None:
    """Languages of training rows as tags of their misspelt rows; as they are without noise."""
    chosen = trained_noise(noise) if noise else None
    if chosen is None or not chosen.level:
        return languages
    if isinstance(languages, Mapping):
        return {noise_tag(code, chosen): share for code, share in languages.items()}
    return [noise_tag(code, chosen) for code in language_codes(languages, task.languages)]


def _references(tasks: Sequence[str]) -> list[str]:
    """Tasks as another process finds them: a path is made absolute."""
    return [str(Path(task).resolve()) if task.endswith(FILES) else task for task in tasks]


def _specification(task: Task) -> dict[str, Any]:
    """Fields of a task that decide what is trained and scored; functions by their source, ours by their name."""
    said: dict[str, Any] = {}
    for name, value in vars(task).items():
        if name not in _ABOUT:
            said[name] = _function(value) if callable(value) else value
    if task.parts:
        said["parts"] = {source.name: _specification(source) for source in task.sources}
    return json.loads(json.dumps(said))


def _function(function: Callable[..., Any]) -> str:
    module = inspect.getmodule(function)
    if module is not None and module.__name__.startswith("hf_stilts."):
        return f"{module.__name__}.{function.__qualname__}"  # the major version says what it does
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:20]
    except (OSError, TypeError):
        return f"{function.__module__}.{function.__qualname__}"


def _folder_revision(folder: Path) -> str:
    """Digest of the files of a model in a folder, the same wherever the folder lies."""
    found = hashlib.sha256()
    files = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)})
    if not files:
        raise StiltsError(
            f"{folder} holds no model: a config.json and weights are expected. Correct the study's base= or --base."
        )
    for path in files:
        found.update(f"{sha256(path)}  {path.name}\n".encode())
    return f"folder:{found.hexdigest()[:20]}"
