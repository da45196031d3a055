"""A benchmark is data: which tasks it has, in which languages, in which groups, and how their scores become a total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from hf_stilts.errors import StiltsError, did_you_mean
from hf_stilts.languages import LANGUAGES
from hf_stilts.task import Task, load_task

TOTAL = "all"


@dataclass(frozen=True)
class Benchmark:
    """Tasks that are reported together.

    Every mean is unweighted, as in `evaluate.py` of google-research/xtreme: a task's score is the mean of its main
    metric over those of its languages that are the benchmark's (XTREME's include English); a group's and the total are
    means over tasks.

    Args:
        name: what `hf-stilts evaluate` and `load_benchmark` call it.
        title: what people call it.
        languages: codes of its languages; a task is evaluated in those of them that it has. None: in all that it has.
        groups: group -> its tasks, each task in one group; the order is the table's.
        unread: tasks that the official scorer knows by name but cannot read, so that it never forms a total.
        paper: arXiv id.
    """

    name: str
    title: str
    languages: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()
    paper: str = ""
    tasks: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Gather the tasks of all groups."""
        object.__setattr__(self, "tasks", tuple(task for group in self.groups.values() for task in group))

    def languages_of(self, task: str | Task) -> tuple[str, ...]:
        """Languages in which the benchmark has the task, in alphabetic order of their codes.

        >>> [len(load_benchmark(name).languages_of("tatoeba")) for name in ("xtreme", "xtreme-r")]
        [36, 41]

        Raises:
            StiltsError: the task is none of the benchmark's, or has no file.
        """
        own = self._own(task).languages
        return tuple(code for code in self.languages if code in own) if self.languages else own

    def all_languages(self) -> tuple[str, ...]:
        """Codes of its languages: those that it names, or all of its tasks'."""
        return self.languages or tuple(sorted({code for task in self.tasks for code in load_task(task).languages}))

    def metric(self, task: str | Task) -> str:
        """Metric whose mean over languages is the task's score: the task's main one, for QA the mean of EM and F1.

        >>> load_benchmark("xtreme").metric("xquad"), load_benchmark("xtreme").metric("tatoeba")
        ('em_and_f1', 'accuracy')
        """
        task = self._own(task)
        return task.declaration.benchmark_metric or task.metric

    def totals(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Means over tasks: of each group, and of `all`; each only where every one of its tasks has a score.

        Args:
            scores: task -> its mean over languages.

        >>> load_benchmark("xtreme").totals({"bucc2018": 60.0, "tatoeba": 50.0, "xnli": 70.0})
        {'retrieval': 55.0}
        """
        found = {}
        for name, tasks in {**self.groups, TOTAL: self.tasks}.items():
            if all(task in scores for task in tasks):
                found[name] = fmean(scores[task] for task in tasks)
        return found

    def _own(self, task: str | Task) -> Task:
        task = load_task(task)
        if task.name not in self.tasks:
            raise StiltsError(f"{self.title} has no task {task.name}; it has {', '.join(self.tasks)}. Correct --tasks.")
        return task


_QA = ("xquad", "mlqa", "tydiqa")
_ALL = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            name="xtreme",
            title="XTREME",
            languages=tuple(code for code, language in LANGUAGES.items() if language.xtreme),
            groups={
                "classification": ("xnli", "pawsx"),
                "tagging": ("udpos", "panx"),
                "qa": _QA,
                "retrieval": ("bucc2018", "tatoeba"),
            },
            paper="2003.11080",
        ),
        Benchmark(
            name="xtreme-r",
            title="XTREME-R",
            languages=tuple(LANGUAGES),
            # The paper's groups. The official scorer counts XCOPA as `multi_choice` besides, and leaves out LAReQA.
            groups={
                "classification": ("xnli", "xcopa"),
                "tagging": ("udpos", "panx"),
                "qa": _QA,
                "retrieval": ("tatoeba", "mewslix", "lareqa"),
            },
            unread=("lareqa",),
            paper="2104.07412",
        ),
        # Means of these leave out English (and French), as the tables of the papers do.
        Benchmark(
            name="african",
            title="African languages",
            languages=(
                "am",
                "bbj",
                "bm",
                "ee",
                "fon",
                "ha",
                "ig",
                "lg",
                "ln",
                "luo",
                "mos",
                "ny",
                "om",
                "pcm",
                "rw",
                "sn",
                "st",
                "sw",
                "tn",
                "tw",
                "wo",
                "xh",
                "yo",
                "zu",
            ),
            groups={"classification": ("afrixnli", "sib200"), "tagging": ("masakhaner2", "masakhapos")},
            paper="2406.03368",
        ),
        Benchmark(
            name="americas",
            title="Indigenous languages of the Americas",
            languages=("ay", "bzd", "cni", "gn", "hch", "nah", "oto", "qu", "shp", "tar"),
            groups={"classification": ("americasnli", "sib200"), "retrieval": ("flores",)},
            paper="2104.08726",
        ),
        Benchmark(
            name="flores200",
            title="FLORES-200",
            languages=(),
            groups={"classification": ("sib200",), "reading": ("belebele",), "retrieval": ("flores",)},
            paper="2207.04672",
        ),
    )
}


def list_benchmarks() -> list[str]:
    """Names of the benchmarks.

    >>> list_benchmarks()
    ['xtreme', 'xtreme-r', 'african', 'americas', 'flores200']
    """
    return list(_ALL)


def load_benchmark(name: str | Benchmark) -> Benchmark:
    """Benchmark by name; a `Benchmark` is handed back.

    Raises:
        StiltsError: no such benchmark.
    """
    if isinstance(name, Benchmark):
        return name
    if name in _ALL:
        return _ALL[name]
    raise StiltsError(f"No benchmark {name!r}. {did_you_mean(name, _ALL)} There are {', '.join(_ALL)}.")


def chosen_parts(
    benchmark: Benchmark, tasks: Sequence[str] | None, languages: Sequence[str] | None, skip: Sequence[str] = ()
) -> list[tuple[Task, tuple[str, ...]]]:
    """Tasks of a benchmark with the languages to score.

    Args:
        benchmark: what is run.
        tasks: some of its tasks; None: all.
        languages: some of its languages; a task without any of them is left out.
        skip: what to leave out: a task (`"bucc2018"`), or languages of one (`"udpos:kk,yo"`).

    Raises:
        StiltsError: no such task or language.
    """
    known = benchmark.all_languages() if languages else ()
    unknown = [code for code in languages or () if code not in known]
    if unknown:
        raise StiltsError(
            f"{benchmark.title} has no language {unknown[0]}; it has {', '.join(known)}. Correct --languages."
        )
    skipped = _skipped(benchmark, skip)
    parts = []
    for name in tasks or benchmark.tasks:
        left_out = skipped.get(name, ())
        asked = [code for code in benchmark.languages_of(name) if languages is None or code in languages]
        chosen = tuple(code for code in asked if code not in left_out)
        if chosen:
            parts.append((load_task(name), chosen))
    return parts


def _skipped(benchmark: Benchmark, skip: Sequence[str]) -> dict[str, set[str]]:
    """Task -> its languages that are left out, of `udpos` (all) and `udpos:kk,yo`."""
    skipped: dict[str, set[str]] = {}
    for each in skip:
        name, colon, codes = each.partition(":")
        own = benchmark.languages_of(name)
        chosen = [code.strip() for code in codes.split(",")] if colon else own
        unknown = [code for code in chosen if code not in own]
        if unknown:
            raise StiltsError(
                f"--skip {each}: {name} has no language {unknown[0]!r} in {benchmark.title}; it has {', '.join(own)}."
            )
        skipped.setdefault(name, set()).update(chosen)
    return skipped
