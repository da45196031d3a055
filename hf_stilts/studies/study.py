"""A study is data: arms, targets, training languages, noise and seeds, every combination a cell of one table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

from hf_stilts.augmentation.noise import trained_noise
from hf_stilts.benchmark import list_benchmarks, load_benchmark
from hf_stilts.definitions import FILES, Definitions
from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.languages import did_you_mean_language, is_language
from hf_stilts.models.merge_options import MergeOptions
from hf_stilts.task import Task, list_tasks, load_task

Languages: TypeAlias = str | Sequence[str] | Mapping[str, float]
"""Of training rows: "de", ("en", "sw"), {"en": 0.5, "de-t-en": 0.5}, or "all" that the task has."""
Flag: TypeAlias = str | int | float | bool

ENTRY_POINTS = "hf_stilts.studies"
CONTROLS = ("examples", "steps")
TABLES = ("gains", "groups", "languages", "gaps", "best")
_ADAPTER = re.compile("lora(=[1-9][0-9]*)?(:[A-Za-z0-9_.,]+)?")
_NOISE = re.compile("[a-z]+=[^=]+")


@dataclass(frozen=True, init=False)
class Intermediate:
    """Phase two of one arm: what the base is trained on before any target.

    Args:
        tasks: names of tasks, or paths of task files; several are a mixture.
        languages: of the training rows; default: English. `"all"`: every language that the task has. Masked language
            modelling in a mixture always reads all of its text.
        noise: what is done to the training rows: `"keyboard=0.1"`, a tenth of their words misspelt on a keyboard.
        sampler: of a mixture: `"proportional"`, `"uniform"`, `"temperature=2"` or weights. With it or `cap` a single
            task is a mixture of one.
        cap: of a mixture: so many examples of a task count for the sampler; default: 131072.
        limit: at most so many training rows (of a mixture: of each task); with shares of languages their total.
        contrastive: also hold each row's features to those of its translation into this language.
        batches: of a dual encoder: `"monolingual"`, `"cross-lingual"` or `"hybrid"`.
        adapter: train this and the head instead of all weights: `"lora=16"`. The study's `adapter` decides whether
            targets train the whole body with it merged in (`None`), or stack a second one on it.
        recipe: profile of hyper-parameters; default: the study's.
        flags: fields of `transformers.TrainingArguments` for this arm; they win over the study's.

    Raises:
        StiltsError: no task, an unknown one, or an option that does not go with these tasks.

    >>> Intermediate("mnli", languages={"en": 0.5, "de-t-en": 0.5}).tasks
    ('mnli',)
    """

    tasks: tuple[str, ...]
    languages: Languages | None
    noise: str | None
    sampler: str | None
    cap: int | None
    limit: int | None
    contrastive: str | None
    batches: str | None
    adapter: str | None
    recipe: str | None
    flags: Mapping[str, Flag]

    def __init__(
        self,
        *tasks: str,
        languages: Languages | None = None,
        noise: str | None = None,
        sampler: str | None = None,
        cap: int | None = None,
        limit: int | None = None,
        contrastive: str | None = None,
        batches: str | None = None,
        adapter: str | None = None,
        recipe: str | None = None,
        flags: Mapping[str, Flag] | None = None,
    ) -> None:
        given: dict[str, Any] = {"tasks": tasks, "languages": languages, "sampler": sampler, "cap": cap, "limit": limit}
        given |= {
            "noise": noise,
            "contrastive": contrastive,
            "batches": batches,
            "adapter": adapter,
            "recipe": recipe,
            "flags": dict(flags or {}),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if not self.tasks:
            raise StiltsError(
                "An Intermediate names no task; one or more are expected. Write Intermediate('mnli'), or None for an "
                "arm without intermediate training."
            )
        loaded = [load_task(task) for task in self.tasks]
        headless = [task.name for task in loaded if not task.has_head]
        if headless:
            raise StiltsError(
                f"Intermediate{self.tasks} names {headless[0]}, which has no training data and no head; a task that is "
                "trained is expected. Make it one of the study's targets. To see all: hf-stilts tasks"
            )
        of_one = [name for name in ("contrastive", "batches") if getattr(self, name) is not None]
        if len(loaded) > 1 and of_one:
            raise StiltsError(f"Intermediate{self.tasks} has {of_one[0]}=, which is for one task alone. Leave it out.")
        if self.languages is not None:
            check_languages(self.languages, f"Intermediate{self.tasks}")
        if self.adapter is not None:
            self._check_adapter(loaded)
        if self.noise is not None:
            trained_noise(self.noise)
            text = [task.name for task in loaded if task.declaration.pretraining]
            if text:
                raise StiltsError(
                    f"Intermediate{self.tasks} has noise={self.noise!r}, and {text[0]} reads text, not rows; tasks "
                    "with rows are expected. Leave noise= out, or misspell the files of the text."
                )

    def _check_adapter(self, tasks: Sequence[Task]) -> None:
        who = f"Intermediate{self.tasks} has adapter={self.adapter!r}"
        if not isinstance(self.adapter, str) or not _ADAPTER.fullmatch(self.adapter):
            raise StiltsError(f"{who}; a name with its rank is expected. Write for example: adapter='lora=16'")
        text = self.languages == "all" and tasks[0].declaration.pretraining
        if len(tasks) > 1 or self.sampler is not None or self.cap is not None or text:
            raise StiltsError(f"{who} and is a mixture, which trains a body under several heads. Leave adapter= out.")
        if tasks[0].declaration.in_batch_negatives:
            raise StiltsError(f"{who} and is a dual encoder, whose checkpoints are whole encoders. Leave adapter= out.")


@dataclass(frozen=True, init=False)
class Merged:
    """Phase two of one arm as a merge: encoders that were trained apart become one, instead of training on a mixture.

    Args:
        parts: the trainings, two or more; a task's name stands for `Intermediate(name)`. Several of one task with other
            hyper-parameters make a model soup. A training that is also an arm, or part of another merge, is done once.
        how: `"mean"`, `"task-arithmetic"`, `"ties"` or `"dare"`, as `hf-stilts merge --how` has it.
        weights: one for each part, or one for all; default: as `hf-stilts merge`.
        density: of `"ties"` and `"dare"`: share of each difference from the base that is kept.

    Raises:
        StiltsError: fewer than two parts, one of them twice, or options that do not go together.

    Examples:
        >>> [part.tasks for part in Merged("mnli", Intermediate("squad_v2", limit=5000), how="ties").parts]
        [('mnli',), ('squad_v2',)]
    """

    parts: tuple[Intermediate, ...]
    how: str
    weights: tuple[float, ...]
    density: float | None

    def __init__(
        self,
        *parts: str | Intermediate,
        how: str = "mean",
        weights: Sequence[float] = (),
        density: float | None = None,
    ) -> None:
        trainings = tuple(Intermediate(part) if isinstance(part, str) else part for part in parts)
        object.__setattr__(self, "parts", trainings)
        object.__setattr__(self, "how", how)
        object.__setattr__(self, "weights", tuple(weights))
        object.__setattr__(self, "density", density)
        self._check()

    def _check(self) -> None:
        strange = [part for part in self.parts if not isinstance(part, Intermediate)]
        if strange:
            raise StiltsError(
                f"A Merged has the part {strange[0]!r}; an Intermediate or a task's name is expected. Write for "
                "example: Merged('mnli', Intermediate('squad_v2', limit=50000), how='ties')"
            )
        self.options(0).for_each(len(self.parts))
        twice = [part.tasks for place, part in enumerate(self.parts) if part in self.parts[:place]]
        if twice:
            raise StiltsError(
                f"A Merged has {' + '.join(twice[0])} twice, trained alike; parts that differ are expected. Name it "
                "once; to count it twice as much: weights=(2, 1)"
            )

    def options(self, seed: int) -> MergeOptions:
        """How the parts become one, of the trainings of a seed."""
        return MergeOptions(self.how, self.weights, self.density, seed)


@dataclass(frozen=True)
class Soup:
    """Phase two of one arm as the mean of the last checkpoints that one training saves (Izmailov et al. 2018).

    The training saves at equal distances, and selects none by dev scores. It is done for this arm alone: no other arm
    shares it.

    Args:
        training: the training; a task's name stands for `Intermediate(name)`.
        last: so many checkpoints are averaged, the last ones, that of the last step among them.
        every: share of the training between two checkpoints, which is rounded up to whole steps.

    Raises:
        StiltsError: fewer than two checkpoints, or more than the training saves.

    Examples:
        >>> Soup(Intermediate("mnli", flags={"max_steps": 3000}), last=3, every=0.1).flags["save_steps"]
        0.1
    """

    training: Intermediate
    last: int = 3
    every: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what no training could save."""
        if isinstance(self.training, str):
            object.__setattr__(self, "training", Intermediate(self.training))
        example = "Write for example: Soup(Intermediate('mnli'), last=3, every=0.1)"
        if not isinstance(self.training, Intermediate):
            raise StiltsError(
                f"A Soup has the training {self.training!r}; an Intermediate or a task's name is expected. {example}"
            )
        if type(self.last) is not int or self.last < 2:
            raise StiltsError(f"A Soup has last={self.last!r}; a number of checkpoints from 2 is expected. {example}")
        if type(self.every) is not float or not 0 < self.every < 1:
            raise StiltsError(f"A Soup has every={self.every!r}; a share above 0 and below 1 is expected. {example}")
        if self.last > math.ceil(1 / self.every):
            raise StiltsError(
                f"A Soup has last={self.last} and every={self.every:g}, by which a training saves "
                f"{math.ceil(1 / self.every)} checkpoints; as many as last= are expected. {example}"
            )
        own = [name for name in self.flags if name in self.training.flags]
        if own:
            raise StiltsError(
                f"The training of a Soup has the flag {own[0]!r}, which last= and every= decide. Leave it out."
            )

    @property
    def flags(self) -> dict[str, Flag]:
        """Fields of `TrainingArguments` by which the training saves what is averaged, and keeps nothing else."""
        found: dict[str, Flag] = {"save_strategy": "steps", "save_steps": self.every, "save_total_limit": self.last}
        return found | {"load_best_model_at_end": False}

    def saves(self, steps: int) -> int:
        """How many checkpoints a training of so many steps saves.

        >>> Soup("mnli", last=3, every=0.3).saves(20)
        4
        """
        return math.ceil(steps / math.ceil(steps * self.every))


Arm: TypeAlias = Intermediate | Merged | Soup | None


@dataclass(frozen=True)
class Study:
    """A comparison: every base x arm x target x training languages x noise x adapter x seed is trained and scored.

    Args:
        base: public models, each by id, `id@commit`, or folder.
        arms: name -> intermediate training, a merge of several (`Merged`) or of the steps of one (`Soup`),
            `None` for the baseline without any.
        targets: names of benchmarks and tasks.
        train_on: name -> languages of the target phase's training rows; several make it a factor.
        train_noise: name of `train_on` -> what is done to those training rows: `{"misspelt": "keyboard=0.1"}`.
        shots: how many training rows of a scored language the target model is then trained on further, body and head:
            `(0, 10, 100, 1000)` gives curves of few-shot transfer. 0, the model as it is, always belongs to them. The
            10 rows are among the 100, and the same for every arm and seed. Languages that the target phase reads
            anyway, and those without training rows, have no shots; rows that are scored with noise neither.
        noise: what is done to the rows that are scored: `None` (nothing), `"keyboard=0.1"`; several make it a factor.
        noise_seeds: each misspells other words, or them otherwise; tables of noise are means over them, all others are
            of the first.
        adapter: of the target phase: `None` (all weights), `"lora=16"`.
        seeds: each trains every arm once.
        controls: what must be equal over the arms of a comparison: `"examples"`, `"steps"` of the intermediate
            training; the plan refuses others.
        report: tables of the report, of `TABLES`.
        languages: of the rows that are scored; default: all of each target.
        recipe: profile of hyper-parameters.
        flags: fields of `transformers.TrainingArguments` for all trainings: `{"max_steps": 500}`.
        layers: `"all"`: retrieval tasks of sentences are also scored at every hidden state, for a curve of each arm.
        split: canonical split that is scored.
        limit: at most so many rows of each language are scored.
        train_limit: at most so many rows are trained on in the target phase, and in an arm that sets no limit.
        text_to_text: train encoder-decoders to answer with text, where a task can be answered so.
        small: fields that `--scale small` puts in place of these; `arms` may name those that stay, and `flags` hold for
            every arm.
        description: one line; default: the first line of the study's file.
        name: the file's name; filled in by `load_study`.

    Raises:
        StiltsError: a field that no plan could be made of: what was found, what was expected, what to write.
    """

    base: tuple[str, ...]
    arms: Mapping[str, Arm]
    targets: tuple[str, ...]
    train_on: Mapping[str, Languages] = field(default_factory=lambda: {"English": "en"})
    train_noise: Mapping[str, str] = field(default_factory=dict)
    shots: tuple[int, ...] = (0,)
    noise: tuple[str | None, ...] = (None,)
    noise_seeds: tuple[int, ...] = (0,)
    adapter: tuple[str | None, ...] = (None,)
    seeds: tuple[int, ...] = (0, 1, 2)
    controls: tuple[str, ...] = ()
    report: tuple[str, ...] = ("gains", "languages", "gaps")
    languages: tuple[str, ...] = ()
    recipe: str = "jiant"
    flags: Mapping[str, Flag] = field(default_factory=dict)
    layers: str | None = None
    split: str = "test"
    limit: int | None = None
    train_limit: int | None = None
    text_to_text: bool = False
    small: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse a study that no plan could be made of."""
        for each in fields(self):
            if not each.type.startswith("tuple"):
                continue
            value = getattr(self, each.name)
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise self._wrong(each.name, repr(value), "several in parentheses", f"({value!r},)")
            object.__setattr__(self, each.name, tuple(value))
        self._check_factors()
        self._check_arms()
        self._check_targets()
        for name, languages in self.train_on.items():
            check_languages(languages, f"train_on[{name!r}]")
        for name, noise in self.train_noise.items():
            if name not in self.train_on:
                raise StiltsError(f"{self._who} has train_noise of {name!r}. {did_you_mean(name, self.train_on)}")
            trained_noise(noise)
        self._check_shots()
        self._check_layers()
        if self.languages:
            check_languages(self.languages, "languages=")
        self._check_choices("controls", CONTROLS)
        self._check_choices("report", TABLES)
        known = {each.name for each in fields(self)} - {"name", "description", "small"}
        stray = [name for name in self.small if name not in known]
        if stray:
            raise StiltsError(f"small= of this study names {stray[0]!r}. {did_you_mean(stray[0], known)}")

        own = [name for name in ("seed", "output_dir") if name in self.flags]
        if own:
            raise self._wrong("flags", f"{own[0]!r}", "other fields of TrainingArguments", "seeds=(0, 1, 2)")

    @property
    def baseline(self) -> str | None:
        """Name of the arm without intermediate training; None where there is none."""
        return next((name for name, arm in self.arms.items() if arm is None), None)

    def _check_factors(self) -> None:
        for name in ("base", "arms", "targets", "train_on", "noise", "noise_seeds", "adapter", "seeds", "shots"):
            values = list(getattr(self, name))
            if not values:
                raise self._wrong(name, "nothing", "one or more", "see hf-stilts study show phang2020")
            if len(set(values)) != len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise self._wrong(name, f"{twice!r} twice", "each once", "leave one out")
        for name in ("seeds", "noise_seeds"):
            strange = [seed for seed in getattr(self, name) if type(seed) is not int or seed < 0]
            if strange:
                raise self._wrong(name, repr(strange[0]), "whole numbers from 0", "(0, 1, 2)")
        spelt = {"adapter": (_ADAPTER, "(None, 'lora=16')"), "noise": (_NOISE, "(None, 'keyboard=0.1')")}
        for name, (pattern, example) in spelt.items():
            for value in getattr(self, name):
                if value is not None and (not isinstance(value, str) or not pattern.fullmatch(value)):
                    raise self._wrong(name, repr(value), "None or a name with its value", example)
        for name in ("limit", "train_limit"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise self._wrong(name, repr(value), "a number of rows from 1, or None for all", "200")

    def _check_shots(self) -> None:
        strange = [shots for shots in self.shots if not isinstance(shots, int) or isinstance(shots, bool) or shots < 0]
        if strange or 0 not in self.shots:
            found = repr(strange[0]) if strange else "none that is 0"
            raise self._wrong("shots", found, "numbers of rows, and 0 among them", "(0, 10, 100)")
        if self.shots != (0,) and self.adapter != (None,):
            raise self._wrong(
                "shots",
                f"{self.shots} beside adapter={self.adapter}",
                "shots of a model with all weights",
                "adapter=(None,), or shots=(0,)",
            )

    def _check_layers(self) -> None:
        if self.layers is None:
            return
        if self.layers != "all":
            raise self._wrong("layers", repr(self.layers), "'all' or None", "layers='all'")
        if not any(load_task(task).declaration.layered for task in target_tasks(self)):
            raise self._wrong(
                "layers", "'all' without a retrieval task of sentences", "one of the targets", "targets=('tatoeba',)"
            )

    def _check_arms(self) -> None:
        for name, arm in self.arms.items():
            if not isinstance(name, str) or not name.strip():
                raise self._wrong("arms", f"an arm called {name!r}", "a name", "{'mnli': Intermediate('mnli')}")
            if arm is not None and not isinstance(arm, Intermediate | Merged | Soup):
                expected = "an Intermediate, a Merged, a Soup or None"
                raise self._wrong("arms", f"{name!r}: {arm!r}", expected, "Intermediate('mnli')")
        without = [name for name, arm in self.arms.items() if arm is None]
        if len(without) > 1:
            raise self._wrong("arms", f"None for {' and '.join(without)}", "one baseline", "leave out all but one")

    def _check_targets(self) -> None:
        known = [*list_benchmarks(), *list_tasks()]
        for name in self.targets:
            if not isinstance(name, str) or (name not in known and not name.endswith(FILES)):
                hint = did_you_mean(str(name), known, 3) if isinstance(name, str) else "A name is expected."
                raise StiltsError(
                    f"{self._who} has target {name!r}, which is no task or benchmark. {hint} Run: hf-stilts tasks"
                )
        named = [task for name in self.targets for task in _tasks_of(name)]
        twice = [task for task in named if named.count(task) > 1]
        if twice:
            raise self._wrong("targets", f"{twice[0]} twice, perhaps within a benchmark", "each once", "leave one out")

    def _check_choices(self, name: str, known: Sequence[str]) -> None:
        stray = [value for value in getattr(self, name) if value not in known]
        if stray:
            raise StiltsError(
                f"{self._who} has {name}={stray[0]!r}. {did_you_mean(str(stray[0]), known)} "
                f"Write {name}=({', '.join(map(repr, known))})."
            )

    @property
    def _who(self) -> str:
        return f"Study {self.name}" if self.name else "The study"

    def _wrong(self, name: str, found: str, expected: str, example: str) -> StiltsError:
        return StiltsError(f"{self._who} has {name}={found}; expected {expected}. Write for example: {example}")


def check_languages(languages: Languages, where: str) -> None:
    """Refuse languages of training rows that nobody could have; which of them have rows, the plan finds out.

    Raises:
        StiltsError: an unknown code, one twice, or shares that do not sum to 1.
    """
    if languages == "all":
        return
    shares = languages if isinstance(languages, Mapping) else {}
    codes = languages.split(",") if isinstance(languages, str) else list(languages)
    if not codes or len(set(codes)) != len(codes):
        raise StiltsError(f"{where} has languages {languages!r}; expected every language once. Write for example: 'en'")
    for code in codes:
        language = str(code).partition("-")[0]  # de-t-en: German translated from English
        if not is_language(language):
            raise StiltsError(f"{where} names language {code!r}. {did_you_mean_language(language)}")
    total = sum(shares.values())
    if shares and (min(shares.values()) < 0 or abs(total - 1) > 0.001):
        raise StiltsError(
            f"{where} has shares of languages that sum to {total:g}; expected 1. Write for example: "
            "{'en': 0.5, 'sw': 0.5}"
        )


def target_tasks(study: Study) -> dict[str, tuple[str, ...]]:
    """Tasks that are scored, in the study's order, each with its languages: a benchmark's own, else all the task has.

    Raises:
        StiltsError: none of the study's languages is one of a task's.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in study.targets:
        for task in _tasks_of(name):
            own = load_benchmark(name).languages_of(task) if name in list_benchmarks() else load_task(task).languages
            chosen = tuple(code for code in own if not study.languages or code in study.languages)
            if chosen:
                found[task] = chosen
    if not found:
        raise StiltsError(
            f"Study {study.name} scores {', '.join(study.languages)}, and no target has any of them. Add a target that "
            "has, or leave out languages=."
        )
    return found


def list_studies() -> list[str]:
    """Names of all studies, sorted: one per file in `hf_stilts/studies/library`, one per entry point.

    >>> "phang2020" in list_studies()
    True
    """
    return STUDIES.names()


def load_study(name: str | Study) -> Study:
    """Study by file name, entry point of group `hf_stilts.studies`, or path of a Python file that defines `STUDY`.

    Args:
        name: `"phang2020"`, `"my_study"` from an installed package, or `"path/to/my_study.py"`. A `Study` is handed
            back.

    Raises:
        StiltsError: no such study; the nearest names and the command that lists all are in the message.
        FileNotFoundError: no such file.
    """
    return STUDIES.load(name)


STUDIES = Definitions(Study, "hf_stilts.studies.library", ENTRY_POINTS, "hf-stilts study list")


def scaled(study: Study, scale: str) -> Study:
    """The study as it is (`"full"`), or with what its `small` puts in place (`"small"`).

    Raises:
        StiltsError: no such scale, or `small` names an arm that the study lacks.
    """
    if scale == "full":
        return study
    if scale != "small":
        raise StiltsError(f"No scale {scale!r}; there are full and small. Pass --scale small.")
    changes = dict(study.small)
    flags = changes.pop("flags", {})
    if "arms" in changes and not isinstance(changes["arms"], Mapping):
        changes["arms"] = chosen_arms(study, changes["arms"])
    return with_flags(replace(study, **changes), flags)


def overridden(study: Study, *, scale: str = "full", **given: Any) -> Study:
    """The study with what a command says in place of its own fields.

    Args:
        study: the study.
        scale: as for `scaled`, which comes first.
        given: fields of `Study`, of which None leaves the study's own; `arms` names those that stay, `seeds` says how
            many, from 0, and `max_steps` holds for every training; the parts of a merge share it, so that every arm
            reads as much.

    Raises:
        StiltsError: as `Study` and `scaled`.
    """
    study = scaled(study, scale)
    changes = {name: value for name, value in given.items() if value is not None}
    max_steps = changes.pop("max_steps", None)
    if "arms" in changes:
        changes["arms"] = chosen_arms(study, changes["arms"])
    if "seeds" in changes:
        changes["seeds"] = tuple(range(changes["seeds"]))
    return with_flags(replace(study, **changes), {"max_steps": max_steps} if max_steps else {})


def with_flags(study: Study, flags: Mapping[str, Flag]) -> Study:
    """The study with fields of `TrainingArguments` for all of its trainings; they win over those of the arms, too."""
    if not flags:
        return study
    arms = {name: arm and arm_with_flags(arm, flags) for name, arm in study.arms.items()}
    return replace(study, arms=arms, flags={**study.flags, **flags})


def arm_with_flags(arm: Intermediate | Merged | Soup, flags: Mapping[str, Flag]) -> Intermediate | Merged | Soup:
    """An arm with fields of `TrainingArguments` that win over its own; the parts of a merge share `max_steps`."""
    if isinstance(arm, Intermediate):
        return _with_flags(arm, flags)
    if isinstance(arm, Soup):
        return replace(arm, training=_with_flags(arm.training, flags))
    count = len(arm.parts)
    parts = []
    for place, part in enumerate(arm.parts):
        shared = {**flags}
        if "max_steps" in flags:
            shared["max_steps"] = max(1, (int(flags["max_steps"]) + place) // count)
        parts.append(_with_flags(part, shared))
    return Merged(*parts, how=arm.how, weights=arm.weights, density=arm.density)


def _with_flags(arm: Intermediate, flags: Mapping[str, Flag]) -> Intermediate:
    own = {each.name: getattr(arm, each.name) for each in fields(arm) if each.name not in ("tasks", "flags")}
    return Intermediate(*arm.tasks, flags={**arm.flags, **flags}, **own)


def chosen_arms(study: Study, names: Iterable[str]) -> dict[str, Arm]:
    """Some of a study's arms, in the study's order.

    Raises:
        StiltsError: one that the study does not have.
    """
    names = list(names)
    for name in names:
        if name not in study.arms:
            raise StiltsError(f"Study {study.name} has no arm {name!r}. {did_you_mean(name, study.arms, 3)}")
    return {name: arm for name, arm in study.arms.items() if name in names}


def describe_study(study: Study) -> dict[str, Any]:
    """What people and tables are told of a study, field by field; plain values that JSON can hold."""
    said = {each.name: getattr(study, each.name) for each in fields(study)}
    said["arms"] = {name: describe_arm(arm) for name, arm in study.arms.items()}
    said["small"] = {key: _plain(value) for key, value in study.small.items()}
    first = {name: said.pop(name) for name in ("name", "description")}
    return first | said


def describe_arm(arm: Arm) -> dict[str, Any] | None:
    """Fields of an arm that are set; None for the baseline."""
    if arm is None:
        return None
    if isinstance(arm, Merged):
        said: dict[str, Any] = {"merged": [describe_arm(part) for part in arm.parts], "how": arm.how}
        said |= {"weights": arm.weights} if arm.weights else {}
        return said | ({} if arm.density is None else {"density": arm.density})
    if isinstance(arm, Soup):
        return {"soup": describe_arm(arm.training), "last": arm.last, "every": arm.every}
    return {each.name: value for each in fields(arm) if (value := getattr(arm, each.name)) not in (None, {})}


def _plain(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    arms = Intermediate | Merged | Soup
    return {key: describe_arm(each) if isinstance(each, arms) else each for key, each in value.items()}


def _tasks_of(target: str) -> tuple[str, ...]:
    return load_benchmark(target).tasks if target in list_benchmarks() else (target,)
