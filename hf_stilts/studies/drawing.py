"""How pictures look: colours, lines and markers to be told apart, labels in any script, files of three formats."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.languages import NATIVE_NAMES, find_language

FORMATS = ("svg", "pdf", "png")
INK, FAINT, MISSING = "#1b1b1f", "#8a8a92", "#e4e4e8"
# Okabe and Ito's colours but for their yellow, then five of Paul Tol's: safe for the three kinds of colour blindness.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#882255", "#44AA99", "#999933",
    "#332288", "#AA4499",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
LONGEST = 30  # letters of a label; tables have all
_MAIN_FONT = "DejaVu Sans"  # comes with matplotlib
# Scripts whose letters change with their neighbours, or are not written from left to right: drawn one by one, they are
# no words.
_SHAPED = ("ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "GUJARATI", "GURMUKHI", "TAMIL", "TELUGU", "MALAYALAM",
           "MYANMAR", "THAI", "KHMER", "LAO", "SINHALA", "KANNADA", "TIBETAN", "ETHIOPIC")  # fmt: skip
_SETTINGS = {
    "font.size": 8, "axes.titlesize": 9, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5, "legend.frameon": False, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "lines.linewidth": 1.4, "lines.markersize": 4.5, "axes.linewidth": 0.7, "pdf.fonttype": 42,
    "svg.hashsalt": "hf_stilts", "figure.facecolor": "white", "axes.facecolor": "white", "font.family": [_MAIN_FONT],
    "text.parse_math": False,  # a name may have two dollars
}  # fmt: skip


def check_drawing() -> None:
    """Refuse to draw where that is not possible, before what is drawn is made with much work.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    with needs_extra("figures", "A picture"):
        import matplotlib  # noqa: F401


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this block: settings of all pictures.

    Raises:
        StiltsError: matplotlib is not installed.
    """
    with needs_extra("figures", "A picture"):
        import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


@cache
def font_families(text: str) -> tuple[str, ...]:
    """Fonts that a text needs. Each text has its own: every font of a list is looked up whenever the text is drawn."""
    others = [family for points in _lacking(text) if (family := _font_with(points))]
    return (_MAIN_FONT, *dict.fromkeys(others))


def line_style(place: int) -> dict[str, Any]:
    """Colour, dashes and marker of the n-th line of a picture: 48 differ in at least one, 12 in colour and marker."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[(place + place // len(COLOURS)) % len(DASHES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def label(text: str, otherwise: str) -> str:
    """A text as it can be drawn here, cut to `LONGEST` letters; `otherwise` where no font here has its letters.

    Args:
        text: any script.
        otherwise: what to draw in its place, in ASCII.
    """
    text = " ".join(text.split())
    if not _drawable(text):
        return otherwise
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


def arm_labels(arms: Iterable[str]) -> dict[str, str]:
    """Names of arms as they can be drawn, no two alike: those that cannot, or are cut to the same, are numbered."""
    found: dict[str, str] = {}
    for number, arm in enumerate(arms, start=1):
        drawn = label(str(arm), f"arm {number}")
        found[arm] = f"{drawn[: LONGEST - 4]} #{number}" if drawn in found.values() else drawn
    return found


def language_label(code: str) -> str:
    """A language by code and name, and where its script is not Latin by its own name, if a font here has it.

    >>> language_label("de"), language_label("hi-Latn"), language_label("xx")
    ('German (de)', 'Hindi (hi-Latn)', 'xx')
    """
    known = find_language(code.partition("-")[0])
    if known is None:
        return code
    native = NATIVE_NAMES.get(code)
    own = f" {native}" if native and _drawable(native) else ""
    return f"{known.name}{own} ({code})"


def width(labels: Sequence[str], size: float) -> float:
    """Inches that the widest of some labels takes, in letters of `size` points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    renderer = FigureCanvasAgg(Figure(dpi=72)).get_renderer()
    widest = 0.0
    for text in labels:
        font = FontProperties(family=font_families(text), size=size)
        across, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
        widest = max(widest, across / 72)
    return widest


def save(figure: Any, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a picture as `<stem>.svg`, `.pdf` and `.png`; the same picture gives the same bytes.

    Args:
        figure: of matplotlib.
        stem: path without an ending; its folder is made.
        formats: of `FORMATS`.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for ending in formats:
        path = stem.with_name(f"{stem.name}.{ending}")
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(ending)
        with style():
            figure.savefig(path, dpi=180, metadata=undated)
        written.append(path)
    return written


def ending_of(path: Path) -> str:
    """Format that a picture's file asks for by its ending; none is PNG.

    Raises:
        StiltsError: another ending than those of `FORMATS`.
    """
    ending = path.suffix.lower().lstrip(".") or "png"
    if ending not in FORMATS:
        raise StiltsError(
            f"{path} ends in .{ending}; a picture is a file of .{', .'.join(FORMATS)}. Type {path.with_suffix('.png')}"
        )
    return ending


def inline_svg(figure: Any, name: str, title: str) -> str:
    """A picture as an `<svg>` element for the middle of a page.

    Args:
        figure: of matplotlib.
        name: put before every id, so that several pictures share a page.
        title: what a reader hears who does not see it.
    """
    file = io.StringIO()
    with style():
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    spoken = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg", f'<svg role="img" aria-label="{spoken}"', 1)


def _drawable(text: str) -> bool:
    """Whether fonts here have every letter of a text, and matplotlib can set its script."""
    if any(script in _SHAPED for script in _scripts(text)) and not _shapes():
        return False
    return all(_font_with(points) is not None for points in _lacking(text))


@cache
def _shapes() -> bool:
    """Whether this matplotlib (3.11 is the first) forms words of letters that depend on their neighbours."""
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")


def _scripts(text: str) -> dict[str, set[int]]:
    """Letters of a text by script, which is the first word of a letter's name in Unicode: THAI, CJK, HANGUL."""
    found: dict[str, set[int]] = {}
    for letter in text:
        if not letter.isspace():
            found.setdefault(unicodedata.name(letter, "?").partition(" ")[0], set()).add(ord(letter))
    return found


@cache
def _lacking(text: str) -> list[frozenset[int]]:
    """Letters of a text that the main font does not have, those of a script together."""
    from matplotlib.font_manager import FontProperties, findfont

    there = _letters_of(findfont(FontProperties(family=_MAIN_FONT)))
    missing = [frozenset(points - there) for points in _scripts(text).values()]
    return [points for points in missing if points]


@cache
def _letters_of(path: str) -> frozenset[int]:
    """All letters of a font."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@cache
def _font_with(points: frozenset[int]) -> str | None:
    """Family of a font here that has all of some letters of one script."""
    script = unicodedata.name(chr(min(points)), "?").partition(" ")[0]
    # One that is made for the script first, which is the quickest to find; then Noto's, then sans before serif.
    fonts = sorted(
        _fonts(),
        key=lambda font: (
            script not in font[0].upper().split(),
            not font[0].startswith("Noto Sans"),
            "Sans" not in font[0],
            font[0],
        ),
    )
    return next((family for family, path in fonts if _has(path, points)), None)


@cache
def _fonts() -> list[tuple[str, str]]:
    """Family and file of each upright font of usual weight, also of those installed since matplotlib listed them."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    listed = {each.fname for each in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in listed:
            with suppress(OSError, RuntimeError):  # of a form that is not read
                fontManager.addfont(path)
    return [
        (str(each.name), str(each.fname))
        for each in fontManager.ttflist
        # The font of last resort has a box with a number for every letter there is.
        if each.style == "normal" and each.weight in (400, "regular", "normal") and "Last Resort" not in each.name
    ]


def _has(path: str, points: Iterable[int]) -> bool:
    """Whether a font has all of some letters."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # a font that is listed and gone, or of a form that is not read
        return False
    return all(font.get_char_index(point) for point in points)
