"""Pictures of a comparison: who gains where, gaps between languages, layers, noise, and how much training is enough.

Each function takes plain rows and gives a matplotlib figure, which `drawing.save` writes as SVG, PDF and PNG.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import cached_property
from statistics import fmean
from typing import Any

from hf_stilts.languages import find_language
from hf_stilts.studies.drawing import (
    COLOURS,
    FAINT,
    INK,
    MISSING,
    arm_labels,
    font_families,
    language_label,
    line_style,
    style,
    width,
)
from hf_stilts.studies.panels import NAME_SIZE, TICK_SIZE, Canvas, Panel, limits, ticks_of
from hf_stilts.studies.statistics import SIGNIFICANT

Row = Mapping[str, Any]
Box = tuple[float, float, float, float]  # left, bottom, width and height in inches
MOST_COLUMNS = 100  # of one strip of a matrix; more are broken into strips
GROUPINGS = ("class", "family", "script")
_CLASSES = {0: "left behind", 1: "scraping by", 2: "hopefuls", 3: "rising stars", 4: "underdogs", 5: "winners"}
_SMALL = 6.5
_ENDS = ("gain", "low", "high")


def gain_matrix(
    rows: Sequence[Row], *, groups: Mapping[str, Sequence[str]] | None = None, title: str, show: str = "gain"
) -> Any:
    """Arms x targets, or arms x targets and languages, coloured by the gain over the baseline.

    Args:
        rows: `arm`, `task`, `gain` in points, and where languages are the columns `language`; with `p_holm` below 0.05
            a cell is marked; `seeds` and `rows` are said below.
        groups: group -> its tasks, in the order of the columns; others come behind.
        title: above the picture.
        show: what cells say that are wide enough for numbers: `"gain"` or `"score"`.
    """
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    named = arm_labels(arms)
    columns = _columns(rows, groups or {})
    by_language = any(code for _, _, code in columns)
    cells = {(row["arm"], row["task"], row.get("language", "")): row for row in rows}
    strips = _strips(columns)
    wide = max(map(len, strips)) <= 24 and (not by_language or len(columns) <= 24)
    across, high = (0.52, 0.3) if wide else (0.145, 0.2)
    reach = _reach([row["gain"] for row in rows])
    marked = any(row.get("p_holm") is not None for row in rows)
    mark = ""
    if marked:
        sign = "*" if wide else "Dot"
        mark = f"{sign}: p < 0.05 after Holm's correction; "
    foot = mark + _counted(rows) + _empty(cells, arms, columns)
    with style():
        sheet = _Sheet(
            title,
            foot,
            left=0.25 + width(list(named.values()), 7.5),
            sizes=[(across * len(strip), high * len(arms)) for strip in strips],
            above=0.2 + (0.22 if groups else 0) * by_language,
            below=0.2 + (0.2 if by_language else width([task for _, task, _ in columns], 7)),
        )
        for axes, box, strip in zip(sheet.axes, sheet.boxes, strips, strict=True):
            image = _draw_strip(axes, strip, arms, cells, reach, numbers=show if wide else None)
            panel = _cells_of(sheet, box, len(strip), len(arms))
            panel.names(enumerate(named.values()), ticks=False)
            _label_strip(panel, strip, small=not wide, headed=bool(groups))
        sheet.colour_bar(image, "gain in points")
        return sheet.finish()


def score_matrix(rows: Sequence[Row], *, groups: Mapping[str, Sequence[str]] | None = None, title: str) -> Any:
    """Tasks x languages: scores in per cent.

    Args:
        rows: `task`, `language`, `score`; `rows` are said below.
        groups: group -> its tasks, in the order of the lines.
        title: above the picture.
    """
    tasks = list(dict.fromkeys(task for _, task, _ in _columns(rows, groups or {})))
    codes = sorted({row["language"] for row in rows})
    cells = {(row["task"], row["language"]): row["score"] for row in rows}
    with style():
        foot = _counted(rows) + _empty(cells, tasks, [(code,) for code in codes])
        sheet = _Sheet(
            title,
            foot,
            left=0.25 + width(tasks, 7.5),
            sizes=[(0.3 * len(codes), 0.28 * len(tasks))],
            above=0.1,
            below=0.3,
        )
        axes = sheet.axes[0]
        values = [[cells.get((task, code)) for code in codes] for task in tasks]
        low, high = min(cells.values()), max(cells.values())
        image = _paint(axes, values, "cividis", low, high)
        for line, scores in enumerate(values):
            for place, score in enumerate(scores):
                if score is not None:
                    colour = "white" if score < (low + high) / 2 else "black"
                    axes.text(place, line, f"{score:.0f}", ha="center", va="center", size=_SMALL, color=colour)
        panel = _cells_of(sheet, sheet.boxes[0], len(codes), len(tasks))
        panel.names(enumerate(tasks), ticks=False)
        panel.columns(codes)
        sheet.colour_bar(image, "score (%)")
        return sheet.finish()


def language_gains(rows: Sequence[Row], *, by: str = "class", title: str) -> Any:
    """One arm's gain in every language: a panel a target, dots with their 95 % intervals, languages in groups.

    Args:
        rows: `task`, `language`, `gain`; `low` and `high` of the interval and `p_holm` where they are known.
        by: `"class"` (Joshi et al. 2020), `"family"` or `"script"`.
        title: above the picture.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    grouped = language_groups([row["language"] for row in rows], by)
    lines: list[tuple[str, bool]] = []
    for group, codes in grouped.items():
        lines += [(group, True), *((code, False) for code in codes)]
    place = {name: number for number, (name, heading) in enumerate(lines) if not heading}
    headings = {name: number for number, (name, heading) in enumerate(lines) if heading}
    drawn = [name if heading else language_label(name) for name, heading in lines]
    intervals = "lines: 95 % over examples; " if any(row.get("low") is not None for row in rows) else ""
    tested = any(row.get("p_holm") is not None for row in rows)
    filled = "filled: p < 0.05 after Holm's correction; " if tested else ""
    foot = f"Diamonds: mean of a group; {intervals}{filled}" + _counted(rows)
    with style():
        each = max(1.05, min(4.0, 9.0 / len(tasks)))
        sheet = _Sheet(
            title,
            foot,
            left=0.3 + width(drawn, 7.8),
            above=0.25,
            below=0.45,
            right=0.2,
            split=len(tasks),
            sizes=[(each * len(tasks) + 0.12 * (len(tasks) - 1), 0.165 * len(lines) + 0.1)],
        )
        for box, task in zip(sheet.boxes, tasks, strict=True):
            own = [row for row in rows if row["task"] == task]
            shown = limits([0.0, *(row[name] for row in own for name in _ENDS if row.get(name) is not None)])
            panel = Panel(sheet.canvas, box, shown, (len(lines) - 0.3, -0.7))
            _draw_gains(panel, own, place, headings, grouped)
            panel.head(task)
            panel.frame()
            first = box is sheet.boxes[0]
            panel.ticks_below(ticks_of(shown, 4), "gain in points" if first else "")
            if first:
                panel.names(enumerate(drawn), ticks=False, bold=headings)
        return sheet.finish()


def language_groups(codes: Sequence[str], by: str) -> dict[str, list[str]]:
    """Languages in groups: resource classes from 5 down, families or scripts by name; the unknown ones last.

    Args:
        codes: of languages, once or more; `hi-Latn` and other variants are of the language before the hyphen.
        by: `"class"`, `"family"` or `"script"`.

    >>> language_groups(["sw", "de", "xx", "sw"], "class")
    {'class 5, winners': ['de'], 'class 2, hopefuls': ['sw'], 'other': ['xx']}
    """
    found: dict[tuple[int, str], list[str]] = {}
    for code in sorted(set(codes)):
        known = find_language(code.partition("-")[0])
        key = (9, "other")
        if known and by == "class" and known.joshi is not None:
            key = (5 - known.joshi, f"class {known.joshi}, {_CLASSES[known.joshi]}")
        if known and by == "family" and known.family:
            key = (0, known.family)
        if known and by == "script" and known.script:
            key = (0, known.script)
        found.setdefault(key, []).append(code)
    return {name: found[rank, name] for rank, name in sorted(found)}


def gaps(rows: Sequence[Row], *, title: str) -> Any:
    """The gap between two sides of languages before (dashed line) and after each arm: a panel a target.

    Args:
        rows: of one kind of gap: `arm`, `task`, `points` (after), `baseline` (before) and `change`, as
            `GainReport.gaps` says it.
        title: above the picture.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    named = arm_labels(arms)
    place = {arm: number for number, arm in enumerate(arms)}
    across = min(5, len(tasks))
    with style():
        foot = "Dashed line: the baseline's gap. " + _counted(rows)
        occurring = {row["change"] for row in rows}
        changes = [change for change in _CHANGES if change in occurring]
        sheet = _panels(
            title,
            foot,
            len(tasks),
            across,
            (1.75, 0.25 + 0.2 * len(arms)),
            tail=0.1 + 0.17 * len(changes),
            left=0.25 + width(list(named.values()), 7.5),
            above=0.25,
            below=0.45,
            right=0.3,
        )
        for number, (box, task) in enumerate(zip(sheet.boxes, tasks, strict=True)):
            own = [row for row in rows if row["task"] == task]
            shown = limits([value for row in own for value in (row["points"], row["baseline"])], 0.12)
            panel = Panel(sheet.canvas, box, shown, (len(arms) - 0.5, -0.5))
            _draw_changes(panel, own, place)
            panel.head(task)
            panel.frame()
            lowest = number >= len(tasks) - across
            panel.ticks_below(ticks_of(shown, 5), "gap in points" if lowest else "")
            if number % across == 0:
                panel.names(enumerate(named.values()))
        _change_legend(sheet, changes)
        return sheet.finish()


# How a gap changed -> colour, and whether its marker is filled: hollow is what does not count as a reduction.
_CHANGES = {
    "reduced": (COLOURS[0], True),
    "reduced, but the higher side fell too": (COLOURS[4], True),
    "narrower only since the higher side fell": (COLOURS[5], False),
    "as before": (FAINT, False),
    "wider": (COLOURS[1], False),
}


def _draw_changes(panel: Panel, rows: Sequence[Row], place: Mapping[str, int]) -> None:
    """An arrow from the baseline's gap to that of each arm."""
    panel.upright(rows[0]["baseline"], INK, 1, (0, (4, 2)))
    for row in rows:
        colour, filled = _CHANGES.get(row["change"], (INK, True))
        line = place[row["arm"]]
        panel.line([(row["baseline"], line), (row["points"], line)], colour, 1.6)
        marker = ">" if row["points"] > row["baseline"] else "<"
        panel.canvas.mark(panel.at(row["points"], line), marker, colour, 5, filled=filled)


def layer_curves(
    curves: Mapping[str, Sequence[float]], *, title: str, chance: float | None = None, foot: str = ""
) -> Any:
    """Retrieval accuracy over the hidden states, a line an arm.

    Args:
        curves: arm -> accuracy in per cent of `hidden_states[0]`, `[1]`, ...
        title: above the picture.
        chance: accuracy of guessing in per cent, as a dotted line.
        foot: below the picture: seeds, languages, sentences.
    """
    named = arm_labels(curves)
    states = max(len(values) for values in curves.values())
    with style():
        names = [*named.values(), *(["chance"] if chance is not None else [])]
        size = (max(3.8, 0.24 * states), 3.4)
        sheet = _panels(title, foot, 1, 1, size, left=0.6, above=0.05, below=0.45, right=_beside(names))
        axes = sheet.axes[0]
        for number, (arm, values) in enumerate(curves.items()):
            # Markers of lines that lie on each other stand at different places.
            every = (number % 3, 3) if states > 8 else 1
            axes.plot(range(len(values)), values, label=named[arm], markevery=every, **line_style(number))
        if chance is not None:
            axes.axhline(chance, color=FAINT, linestyle=":", label="chance", linewidth=1)
        axes.set_xlabel("hidden state (0 = embeddings)")
        axes.set_ylabel("accuracy, mean over languages (%)")
        axes.set_xticks(range(0, states, 1 if states <= 13 else 2))
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=MISSING, linewidth=0.6)
        _legend(sheet, axes)
        return sheet.finish()


def noise_curves(curves: Sequence[Row], *, title: str, overall: Sequence[Row] = (), note: str = "") -> Any:
    """Scores on misspelt rows over the level of noise: a panel a target and kind of noise, a line a start.

    Args:
        curves: rows of `RobustnessReport.curves`.
        title: above the picture.
        overall: rows of `RobustnessReport.overall`; where there is one kind of noise, the legend has their area under
            the curve and average drop rate.
        note: below it.
    """
    panels = list(dict.fromkeys((each["task"], each["noise"]) for each in curves))
    starts = list(dict.fromkeys(str(each["start"]) for each in curves))
    names = arm_labels(starts)
    said = dict(names)
    if len({noise for _, noise in panels}) == 1:
        for row in overall:
            rate = row["average_drop_rate"]
            drop = "" if rate is None else f", drop {rate:.1f} %"
            said[str(row["start"])] = f"{names[str(row['start'])]} (area {row['area']:.1f}{drop})"
    with style():
        across = 2 if len(panels) == 4 else min(3, len(panels))
        beside = _beside(list(said.values()))
        sheet = _panels(
            title, note, len(panels), across, (2.4, 1.8), left=0.6, above=0.28, below=0.45, right=beside, between=0.5
        )
        every = sheet.axes
        for axes, (task, noise) in zip(every, panels, strict=False):
            for each in curves:
                if (each["task"], each["noise"]) == (task, noise):
                    levels = [100 * level for level in each["levels"]]
                    start = str(each["start"])
                    axes.plot(levels, each["scores"], label=said[start], **line_style(starts.index(start)))
            _head(axes, f"{task}, {noise}")
            axes.grid(axis="y", color=MISSING, linewidth=0.6)
            axes.locator_params(axis="x", nbins=5)
            axes.set_xlabel("words misspelt (%)")
        for axes in every[::across]:
            axes.set_ylabel("score, mean over languages (%)")
        _legend(sheet, *every[: len(panels)])
        return sheet.finish()


def shot_curves(rows: Sequence[Row], *, title: str) -> Any:
    """Scores over the number of a language's own training rows, on a log axis: a panel a target, a line an arm.

    Args:
        rows: of a study's table `shots`: `arm`, `task`, `language`, `shots` and `score` in per cent. A point is the
            mean over the languages that every arm of the target has with every number of rows.
        title: above the picture.
    """
    tasks = list(dict.fromkeys(str(row["task"]) for row in rows))
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    names = arm_labels(arms)
    with style():
        sheet = _panels(
            title,
            "0: the target model as it is. Mean over the languages that have every number of rows.",
            len(tasks),
            min(3, len(tasks)),
            (2.4, 1.8),
            left=0.6,
            above=0.28,
            below=0.45,
            right=_beside(list(names.values())),
            between=0.5,
        )
        for axes, task in zip(sheet.axes, tasks, strict=False):
            own = [row for row in rows if row["task"] == task]
            numbers = sorted({row["shots"] for row in own})
            scores = {(row["arm"], row["language"], row["shots"]): row["score"] for row in own}
            trained = {row["arm"] for row in own}
            drawn = [arm for arm in arms if arm in trained]
            wanted = {(arm, number) for arm in drawn for number in numbers}
            whole = []
            for code in dict.fromkeys(row["language"] for row in own):
                if all((arm, code, number) in scores for arm, number in wanted):
                    whole.append(code)
            for arm in drawn if whole else ():
                means = []
                for number in numbers:
                    means.append(fmean(scores[arm, code, number] for code in whole))
                axes.plot(numbers, means, label=names[arm], **line_style(arms.index(arm)))
            # A log axis has no 0: from there to the least number of rows it is linear.
            axes.set_xscale("symlog", linthresh=next((number for number in numbers if number), 1))
            axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
            axes.minorticks_off()
            axes.set_xlabel("rows of the language")
            axes.set_ylabel("score (%)")
            axes.grid(axis="y", color=MISSING, linewidth=0.6)
            _head(axes, f"{task}, {len(whole)} language{'' if len(whole) == 1 else 's'}")
        _legend(sheet, *sheet.axes[: len(tasks)])
        return sheet.finish()


def similarity_points(points: Sequence[Row], measures: Sequence[str], *, title: str, outcome: str = "gain") -> Any:
    """Gain over each measure of similarity: a panel a measure, a point a language, a marker an intermediate and target.

    Args:
        points: rows of `Explanation.points`.
        measures: names of their columns, a panel each.
        title: above the picture.
        outcome: what `gain` is, for the axis: "gain" or "score".
    """
    cases = list(dict.fromkeys((str(each["intermediate"]), each["task"]) for each in points))
    starts = arm_labels(list(dict.fromkeys(start for start, _ in cases)))
    names = [f"{starts[start]}, {task}" for start, task in cases]
    with style():
        across = min(3, len(measures))
        sheet = _panels(
            title,
            "",
            len(measures),
            across,
            (2.2, 1.9),
            left=0.6,
            above=0.28,
            below=0.45,
            right=_beside(names),
            between=0.5,
        )
        for axes, measure in zip(sheet.axes, measures, strict=False):
            for place, (start, task) in enumerate(cases):
                of_case = [each for each in points if (str(each["intermediate"]), each["task"]) == (start, task)]
                those = [each for each in of_case if each[measure] is not None]
                x = [each[measure] for each in those]
                y = [each["gain"] for each in those]
                axes.plot(x, y, label=names[place], **line_style(place) | {"linestyle": "none"})
                for each in those:
                    axes.annotate(
                        each["language"],
                        (each[measure], each["gain"]),
                        xytext=(3, 2),
                        textcoords="offset points",
                        size=_SMALL,
                    )
            _head(axes, measure)
            axes.locator_params(axis="x", nbins=5)
        for axes in sheet.axes[: len(measures) : across]:
            axes.set_ylabel("gain (points)" if outcome == "gain" else "score (%)")
        _legend(sheet, *sheet.axes[: len(measures)])
        return sheet.finish()


def learning_curves(rows: Sequence[Row], *, title: str) -> Any:
    """Dev score over the steps of each intermediate training, examples above: a panel an arm, a line a seed.

    Args:
        rows: `arm`, `seed`, `metric`, `step`, `examples` (read so far, or None) and `score` in per cent.
        title: above the picture.
    """
    panels = list(dict.fromkeys((row["arm"], row["metric"]) for row in rows))
    named = arm_labels(dict.fromkeys(arm for arm, _ in panels))
    seeds = sorted({row["seed"] for row in rows})
    foot = f"English dev rows of the intermediate task. n = {len(seeds)} seed{'s' if len(seeds) > 1 else ''}."
    with style():
        sheet = _panels(
            title,
            foot,
            len(panels),
            min(4, len(panels)),
            (1.8, 1.3),
            left=0.6,
            above=0.62,
            below=0.45,
            right=1.2 if len(seeds) > 1 else 0.2,
            between=0.6,
        )
        lines: dict[int, list[tuple[float, float]]] = {seed: [] for seed in seeds}
        for box, (arm, metric) in zip(sheet.boxes, panels, strict=True):
            own = [row for row in rows if (row["arm"], row["metric"]) == (arm, metric)]
            panel = _learning_panel(sheet, box, own, metric, named[arm])
            for seed in seeds:
                points = sorted((row["step"], row["score"]) for row in own if row["seed"] == seed)
                lines[seed] += [*(panel.at(*point) for point in points), (math.nan, math.nan)]
        for number, (seed, places) in enumerate(lines.items()):
            across, up = zip(*places, strict=True)
            sheet.canvas.axes.plot(across, up, label=f"seed {seed}", **line_style(number))
        _legend(sheet, sheet.canvas.axes)
        return sheet.finish()


def _learning_panel(sheet: _Sheet, box: Box, rows: Sequence[Row], metric: str, name: str) -> Panel:
    """A panel for the curves of one arm; where examples are known, they are a second scale above the steps."""
    shown, scores = limits([row["step"] for row in rows]), limits([row["score"] for row in rows])
    panel = Panel(sheet.canvas, box, shown, scores)
    levels = ticks_of(scores, 6)
    for value, _ in levels:
        panel.level(value, MISSING, 0.6)
    batches = [row["examples"] / row["step"] for row in rows if row["examples"] and row["step"]]
    panel.head(name, 0.36 if batches else 0.05)
    panel.frame(top=bool(batches))
    panel.ticks_below(ticks_of(shown, 4), "steps")
    panel.names(levels)
    panel.label_left(f"dev {metric} (%)", width([text for _, text in levels], NAME_SIZE))
    if batches:
        batch = fmean(batches)
        ticks = []
        for value, _ in ticks_of((shown[0] * batch, shown[1] * batch), 4):
            ticks.append((value / batch, f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))
        panel.ticks_above(ticks, "examples")
    return panel


class _Sheet:
    """A figure whose panels lie where they are told, in inches: a layout engine takes seconds for so many labels.

    Args:
        title: above all panels.
        foot: below them.
        left: of the panels, for the labels of lines.
        sizes: width and height of each row of panels.
        above: every row of panels.
        below: every row of panels.
        right: of the panels, for a colour bar.
        split: panels beside each other in every row.
        between: inches between these.
        tail: inches that stay free between the panels and the foot.
    """

    def __init__(
        self,
        title: str,
        foot: str,
        *,
        left: float,
        sizes: Sequence[tuple[float, float]],
        above: float,
        below: float,
        right: float = 0.85,
        split: int = 1,
        between: float = 0.12,
        tail: float = 0.0,
    ) -> None:
        from matplotlib.figure import Figure

        self.right = left + max(across for across, _ in sizes)
        self.wide = max(self.right + right, 4.2)
        title, foot = _wrapped(title, int(self.wide * 11)), _wrapped(foot, int(self.wide * 15))
        head = 0.36 + 0.17 * title.count("\n")
        self.end = end = 0.3 + 0.12 * foot.count("\n")
        self.high = head + sum(above + high + below for _, high in sizes) + tail + end
        self.figure = Figure(figsize=(self.wide, self.high))
        self.figure.text(0.08 / self.wide, 1 - 0.1 / self.high, title, size=10, weight="bold", va="top")
        self.figure.text(0.08 / self.wide, (end - 0.08) / self.high, foot, size=_SMALL, va="top", color=INK)
        self.boxes: list[Box] = []
        top = self.high - head
        for across, high in sizes:
            one = (across - between * (split - 1)) / split
            for place in range(split):
                self.boxes.append((left + place * (one + between), top - above - high, one, high))
            top -= above + high + below

    @cached_property
    def axes(self) -> list[Any]:
        """A matplotlib axes for each panel."""
        return [self._at(*box) for box in self.boxes]

    @cached_property
    def canvas(self) -> Canvas:
        """One axes for all that is drawn in inches."""
        return Canvas(self.figure)

    def finish(self) -> Any:
        """The figure, all of it drawn, each text in fonts that have its letters."""
        if "canvas" in vars(self):
            self.canvas.finish()
        texts = [*self.figure.texts]
        for legend in self.figure.legends:
            texts += legend.get_texts()
        for axes in self.figure.axes:
            texts += axes.texts
        for text in texts:
            text.set_fontfamily(font_families(text.get_text()))
        return self.figure

    def _at(self, left: float, bottom: float, across: float, high: float) -> Any:
        wide, tall = self.wide, self.high
        return self.figure.add_axes((left / wide, bottom / tall, across / wide, high / tall))

    def colour_bar(self, image: Any, said: str) -> None:
        """Beside the first row of panels."""
        from matplotlib.ticker import MaxNLocator

        _, bottom, _, beside = self.boxes[0]
        high = min(2.2, max(0.7, beside))
        axes = self._at(self.right + 0.15, bottom + beside - high, 0.12, high)
        bar = self.figure.colorbar(image, cax=axes, label=said)
        bar.locator = MaxNLocator(3 if high < 1 else 7)
        bar.update_ticks()


def _columns(rows: Sequence[Row], groups: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Group, task and language ("" where there is none) of the columns, in the order of the groups."""
    group_of = {task: group for group, tasks in groups.items() for task in tasks}
    order = {task: number for number, task in enumerate(group_of)}
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    tasks.sort(key=lambda task: order.get(task, len(order)))
    columns = []
    for task in tasks:
        codes = sorted({row.get("language", "") for row in rows if row["task"] == task})
        columns += [(group_of.get(task, "other"), task, code) for code in codes]
    return columns


def _strips(columns: Sequence[tuple[str, str, str]]) -> list[list[tuple[str, str, str]]]:
    """Columns in strips of at most `MOST_COLUMNS`, about equally long and broken between tasks."""
    tasks: dict[str, list[tuple[str, str, str]]] = {}
    for column in columns:
        tasks.setdefault(column[1], []).append(column)
    count = -(-len(columns) // MOST_COLUMNS)
    aim = len(columns) / count
    strips: list[list[tuple[str, str, str]]] = [[]]
    for own in tasks.values():
        longer = len(strips[-1]) + len(own)
        if strips[-1] and (longer > MOST_COLUMNS or longer - aim > aim - len(strips[-1])):
            strips.append([])
        strips[-1] += own
    return strips


def _reach(gains: Sequence[float]) -> float:
    """Where the colours end: at the largest gain, but for the fiftieth part of the cells that are beyond the others."""
    largest = sorted(abs(gain) for gain in gains)
    return max(1.0, largest[math.ceil(0.98 * (len(largest) - 1))])


def _paint(axes: Any, values: Sequence[Sequence[float | None]], colours: str, low: float, high: float) -> Any:
    """Draw numbers as colours, the missing ones grey."""
    import matplotlib
    import numpy as np

    array = np.array(values, dtype=float)  # None becomes not-a-number
    shades = matplotlib.colormaps[colours].with_extremes(bad=MISSING)
    image = axes.imshow(array, cmap=shades, vmin=low, vmax=high, aspect="auto", interpolation="none")
    axes.set_axis_off()
    return image


def _draw_strip(
    axes: Any,
    strip: Sequence[tuple[str, str, str]],
    arms: Sequence[str],
    cells: Mapping[tuple[str, str, str], Row],
    reach: float,
    numbers: str | None,
) -> Any:
    """Cells of one strip; `numbers` says which column of the rows is written into them."""
    found = []
    gains = []
    for arm in arms:
        line = [cells.get((arm, task, code)) for _, task, code in strip]
        found.append(line)
        gains.append([row["gain"] if row else None for row in line])
    image = _paint(axes, gains, "RdBu", -reach, reach)
    dots: dict[str, list[tuple[int, int]]] = {"white": [], "black": []}
    for down, rows in enumerate(found):
        for across, row in enumerate(rows):
            if row is None:
                continue
            holds = row.get("p_holm") is not None and row["p_holm"] < SIGNIFICANT
            colour = "white" if abs(row["gain"]) > 0.6 * reach else "black"
            if numbers:
                text = f"{row[numbers]:.0f}"
                if numbers == "gain":
                    text = "0.0" if abs(row["gain"]) < 0.05 else f"{row['gain']:+.1f}"
                text += "*" if holds else ""
                axes.text(across, down, text, ha="center", va="center", size=7, color=colour)
            elif holds:
                dots[colour].append((across, down))
    for colour, places in dots.items():
        if places:
            xs, ys = zip(*places, strict=True)
            axes.plot(xs, ys, ".", color=colour, markersize=2.2)
    return image


def _cells_of(sheet: _Sheet, box: Box, columns: int, lines: int) -> Panel:
    """A panel whose values are the numbers of columns and lines of cells, counted from the top left."""
    return Panel(sheet.canvas, box, (-0.5, columns - 0.5), (lines - 0.5, -0.5))


def _label_strip(panel: Panel, strip: Sequence[tuple[str, str, str]], *, small: bool, headed: bool) -> None:
    """Names of columns; lines between tasks, thicker ones between groups, whose names stand above."""
    by_language = any(code for _, _, code in strip)
    if by_language:
        panel.columns([code for _, _, code in strip], 5 if small else TICK_SIZE, 90 if small else 0, away=1.5)
    else:
        panel.columns([task for _, task, _ in strip], TICK_SIZE, 90)
    for level, above in ((0, 0.24), (1, 0.06)):
        if level == 1 and not by_language:
            continue
        if level == 0 and not headed:
            continue
        for name, first, last in _spans([column[level] for column in strip]):
            if first > 0:
                colour, thick = (INK, 1.6) if level == 0 else ("white", 1.8)
                panel.upright(first - 0.5, colour, thick)
            place, _ = panel.at((first + last) / 2, panel.y[1])
            up = panel.box[1] + panel.box[3] + (above if by_language else 0.06)
            look = {"size": 7, "weight": "normal"} if level else {"size": 7.5, "weight": "bold"}
            panel.canvas.text((place, up), _fitted(name, last - first + 1, small), ha="center", va="bottom", **look)


def _fitted(name: str, columns: int, small: bool) -> str:
    """A name over so many columns, cut to what stands there."""
    letters = max(2, int(columns * (2.4 if small else 10)))
    return name if len(name) <= letters else name[: letters - 1] + "…"


def _spans(names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of equal names: name, first and last place."""
    spans: list[tuple[str, int, int]] = []
    for place, name in enumerate(names):
        if spans and spans[-1][0] == name:
            spans[-1] = (name, spans[-1][1], place)
        else:
            spans.append((name, place, place))
    return spans


def _draw_gains(
    panel: Panel,
    rows: Sequence[Row],
    place: Mapping[str, int],
    headings: Mapping[str, int],
    grouped: Mapping[str, Sequence[str]],
) -> None:
    """Dots of one target with their intervals, and the mean of each group."""
    panel.upright(0, FAINT, 0.8)
    for number in headings.values():
        panel.level(number - 0.5, MISSING, 0.8)
    for row in rows:
        line = place[row["language"]]
        if row.get("low") is not None:
            panel.line([(row["low"], line), (row["high"], line)], COLOURS[0], 1)
        panel.canvas.mark(panel.at(row["gain"], line), "o", COLOURS[0], 3.6, filled=_stands(row))
    gain = {row["language"]: row["gain"] for row in rows}
    for group, codes in grouped.items():
        own_gains = [gain[code] for code in codes if code in gain]
        if own_gains:
            panel.canvas.mark(panel.at(fmean(own_gains), headings[group]), "D", COLOURS[1], 4.2)


def _stands(row: Row) -> bool:
    """Whether a gain is drawn as one that is more than chance; where nothing was tested, all are."""
    corrected = row.get("p_holm")
    return corrected is None or corrected < SIGNIFICANT


def _change_legend(sheet: _Sheet, changes: Sequence[str]) -> None:
    """What the colours of gaps mean, below the panels."""
    from matplotlib.lines import Line2D

    lines = []
    for change in changes:
        colour, filled = _CHANGES[change]
        face = colour if filled else "white"
        lines.append(Line2D([], [], color=colour, marker="<", markerfacecolor=face, label=change))
    place = (0.08 / sheet.wide, sheet.end / sheet.high)
    sheet.figure.legend(handles=lines, loc="lower left", bbox_to_anchor=place, borderaxespad=0, labelspacing=0.25)


def _panels(title: str, foot: str, count: int, across: int, size: tuple[float, float], **margins: float) -> _Sheet:
    """A sheet of `count` panels of `size` inches, `across` beside each other; margins as `_Sheet` has them."""
    wide, high = size
    between = margins.pop("between", 0.15)
    down = -(-count // across)
    sizes = [(wide * across + between * (across - 1), high)] * down
    sheet = _Sheet(title, foot, sizes=sizes, split=across, between=between, **margins)
    del sheet.boxes[count:]
    return sheet


def _head(axes: Any, text: str, up: float = 0.05) -> None:
    """A panel's heading, so many inches above it; matplotlib's own titles look for what they hit, which is slow."""
    high = axes.get_position().height * axes.figure.get_size_inches()[1]
    axes.text(0.5, 1 + up / high, text, size=9, ha="center", va="bottom", transform=axes.transAxes)


def _legend(sheet: _Sheet, *panels: Any) -> None:
    """One legend beside all panels, a line for each name of any of them."""
    lines: dict[str, Any] = {}
    for axes in panels:
        for line, name in zip(*axes.get_legend_handles_labels(), strict=True):
            lines.setdefault(name, line)
    if len(lines) > 1:
        top = sheet.boxes[0][1] + sheet.boxes[0][3]
        place = ((sheet.right + 0.12) / sheet.wide, top / sheet.high)
        sheet.figure.legend(
            lines.values(), lines.keys(), loc="upper left", bbox_to_anchor=place, handlelength=3.4, borderaxespad=0
        )


def _beside(names: Sequence[str]) -> float:
    """Inches that a legend of these names takes beside the panels."""
    return 0.75 + width(list(names), 7.5) if len(names) > 1 else 0.2


def _wrapped(text: str, letters: int) -> str:
    """A text in lines of at most so many letters."""
    return textwrap.fill(text, letters)


def _counted(rows: Sequence[Row]) -> str:
    """How many seeds and test rows are behind a picture, as its rows say it."""
    parts = []
    for name, said in (("seeds", "seeds"), ("rows", "test rows a language")):
        values = sorted({int(row[name]) for row in rows if row.get(name) is not None})
        if values:
            reach = f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
            parts.append(f"{reach} {said if values != [1] or name == 'rows' else 'seed'}")
    return "n = " + ", ".join(parts) + ". " if parts else ""


def _empty(cells: Mapping[Any, Any], lines: Sequence[str], columns: Sequence[tuple[str, ...]]) -> str:
    """A word on grey cells, where there are any."""
    return "Grey: no score." if len(cells) < len(lines) * len(columns) else ""
