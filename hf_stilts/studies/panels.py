"""Panels in one matplotlib axes: an `Axes` for each, its ticks objects of their own, is most of the time of a picture.

Whatever is drawn is collected, and becomes one artist for all lines and one for the markers of each form and colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_stilts.studies.drawing import FAINT, INK, font_families

Limits = tuple[float, float]
_POINT = 1 / 72  # in inches
_TICK, _PAD, _LABEL_PAD = 3.5 * _POINT, 3.5 * _POINT, 4 * _POINT
TICK_SIZE, NAME_SIZE, LABEL_SIZE, HEAD_SIZE = 7.0, 7.5, 8.0, 9.0  # points


@dataclass
class Canvas:
    """A whole figure as one axes whose units are inches.

    Args:
        figure: of matplotlib.
    """

    figure: Any
    axes: Any = field(init=False)

    def __post_init__(self) -> None:
        wide, high = self.figure.get_size_inches()
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, wide), ylim=(0, high), autoscale_on=False)
        self._segments: list[Sequence[tuple[float, float]]] = []
        self._styles: list[tuple[str, float, Any]] = []
        self._marks: dict[tuple[str, str, str, float], list[tuple[float, float]]] = {}

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float, dashes: Any = "-") -> None:
        """A line through some places, `width` points wide; later ones lie on earlier ones."""
        self._segments.append(points)
        self._styles.append((colour, width, dashes))

    def mark(self, place: tuple[float, float], marker: str, colour: str, size: float, *, filled: bool = True) -> None:
        """A marker, `size` points wide; all lie on all lines."""
        face = colour if filled else "white"
        self._marks.setdefault((marker, colour, face, size), []).append(place)

    def text(self, place: tuple[float, float], text: str, **look: Any) -> None:
        """A text in any script; `look` as matplotlib's `Axes.text` has it."""
        self.axes.text(*place, text, family=font_families(text), **look)

    def finish(self) -> None:
        """Make artists of what was collected."""
        from matplotlib.collections import LineCollection

        if self._segments:
            # Lists: two words in a tuple, ("-", "-"), would be one pattern of dashes.
            colours, widths, dashes = (list(values) for values in zip(*self._styles, strict=True))
            lines = LineCollection(self._segments, colors=colours, linewidths=widths, linestyles=dashes, zorder=1.9)
            self.axes.add_collection(lines, autolim=False)  # below all curves and markers
        for (marker, colour, face, size), places in self._marks.items():
            across, up = zip(*places, strict=True)
            look = {"color": colour, "markerfacecolor": face, "markersize": size, "markeredgewidth": 0.9}
            self.axes.plot(across, up, marker, **look)
        self._segments, self._styles, self._marks = [], [], {}


@dataclass(frozen=True)
class Panel:
    """A plot on a canvas.

    Args:
        canvas: what it is drawn on.
        box: its left, bottom, width and height in inches.
        x: values at its left and right edges.
        y: values at its bottom and top edges; the first may be the larger one.
    """

    canvas: Canvas
    box: tuple[float, float, float, float]
    x: Limits
    y: Limits

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in inches."""
        left, bottom, wide, high = self.box
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * wide, bottom + up * high

    def line(self, points: Iterable[tuple[float, float]], colour: str, width: float, dashes: Any = "-") -> None:
        """A line through some points."""
        self.canvas.line([self.at(x, y) for x, y in points], colour, width, dashes)

    def upright(self, x: float, colour: str, width: float, dashes: Any = "-") -> None:
        """A line from the bottom to the top."""
        self.line([(x, self.y[0]), (x, self.y[1])], colour, width, dashes)

    def level(self, y: float, colour: str, width: float) -> None:
        """A line from the left to the right."""
        self.line([(self.x[0], y), (self.x[1], y)], colour, width)

    def head(self, text: str, above: float = 0.05) -> None:
        """A heading, so many inches above the panel."""
        left, bottom, wide, high = self.box
        self.canvas.text((left + wide / 2, bottom + high + above), text, size=HEAD_SIZE, ha="center", va="bottom")

    def frame(self, *, top: bool = False) -> None:
        """Its left and lower edges, and where that is asked for the upper one."""
        self.upright(self.x[0], FAINT, 0.7)
        self.level(self.y[0], FAINT, 0.7)
        if top:
            self.level(self.y[1], FAINT, 0.7)

    def ticks_below(self, ticks: Iterable[tuple[float, str]], label: str = "") -> None:
        """Ticks on the lower edge, and what they count."""
        left, bottom, wide, _ = self.box
        for value, text in ticks:
            across, _ = self.at(value, self.y[0])
            self.canvas.line([(across, bottom), (across, bottom - _TICK)], INK, 0.8)
            self.canvas.text((across, bottom - _TICK - _PAD), text, size=TICK_SIZE, ha="center", va="top")
        down = _TICK + _PAD + TICK_SIZE * _POINT + _LABEL_PAD
        if label:
            self.canvas.text((left + wide / 2, bottom - down), label, size=LABEL_SIZE, ha="center", va="top")

    def ticks_above(self, ticks: Iterable[tuple[float, str]], label: str) -> None:
        """Ticks on the upper edge, and what they count."""
        left, bottom, wide, high = self.box
        top = bottom + high
        for value, text in ticks:
            across, _ = self.at(value, self.y[1])
            self.canvas.line([(across, top), (across, top + _TICK)], INK, 0.8)
            self.canvas.text((across, top + _TICK + _PAD), text, size=TICK_SIZE, ha="center", va="bottom")
        up = _TICK + _PAD + TICK_SIZE * _POINT + 0.5 * _LABEL_PAD
        self.canvas.text((left + wide / 2, top + up), label, size=TICK_SIZE, ha="center", va="bottom")

    def names(self, names: Iterable[tuple[float, str]], *, ticks: bool = True, bold: Iterable[str] = ()) -> None:
        """Names of lines at the left edge, with ticks or without; the bold ones are headings."""
        left, heavy = self.box[0], set(bold)
        away = _TICK if ticks else 0.0
        for value, text in names:
            _, up = self.at(self.x[0], value)
            if ticks:
                self.canvas.line([(left, up), (left - _TICK, up)], INK, 0.8)
            weight = "bold" if text in heavy else "normal"
            place = (left - away - _PAD, up)
            self.canvas.text(place, text, size=NAME_SIZE, ha="right", va="center_baseline", weight=weight)

    def columns(self, names: Iterable[str], size: float = TICK_SIZE, rotation: float = 0, away: float = 3.5) -> None:
        """Names of columns below the panel, so many points from it; their values are 0, 1, ..."""
        for number, name in enumerate(names):
            across, bottom = self.at(number, self.y[0])
            place = (across, bottom - away * _POINT)
            self.canvas.text(place, name, size=size, ha="center", va="top", rotation=rotation)

    def label_left(self, text: str, away: float) -> None:
        """What the ticks at the left count, upwards, so many inches from the widest of them."""
        left, bottom, _, high = self.box
        place = (left - _TICK - _PAD - away - _LABEL_PAD, bottom + high / 2)
        self.canvas.text(place, text, size=LABEL_SIZE, ha="right", va="center", rotation=90)


def limits(values: Iterable[float], margin: float = 0.05) -> Limits:
    """Smallest and largest of some values, with a margin that is a part of their distance."""
    from matplotlib.transforms import nonsingular

    found = list(values)
    low, high = nonsingular(min(found), max(found), expander=0.05)
    more = margin * (high - low)
    return float(low - more), float(high + more)


def ticks_of(shown: Limits, most: int) -> list[tuple[float, str]]:
    """Round values between two limits, at most so many intervals, and how they are written."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    low, high = shown
    found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    values = [float(value) for value in found if low <= value <= high]
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    formatter.create_dummy_axis()
    formatter.axis.set_view_interval(low, high)  # type: ignore[union-attr]
    return list(zip(values, formatter.format_ticks(values), strict=True))
