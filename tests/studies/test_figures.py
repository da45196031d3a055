"""Pictures: the right numbers in the right places, nothing cut off or on top of each other, readable without colour."""

import itertools
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from hf_stilts.benchmark import load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.studies import drawing
from hf_stilts.studies.drawing import arm_labels, ending_of, inline_svg, language_label, line_style, save
from hf_stilts.studies.figures import (
    gain_matrix,
    gaps,
    language_gains,
    language_groups,
    layer_curves,
    learning_curves,
    noise_curves,
    score_matrix,
)
from hf_stilts.studies.panels import limits, ticks_of

pytest.importorskip("matplotlib")
XTREME = load_benchmark("xtreme")
ARMS = [*(f"arm of tasks number {number}" for number in range(9)), "ไทย", "العربية", "தமிழ்"]
CHANGES = [
    "reduced", "reduced, but the higher side fell too", "narrower only since the higher side fell", "as before",
    "wider",
]  # fmt: skip


def gain(arm, task, value, language=None, **other):
    of_language = {"language": language, "low": value - 1, "high": value + 1} if language else {}
    return {"arm": arm, "task": task, "gain": value, "score": 50 + value, "seeds": 3, **of_language, **other}


TASKS = [gain(arm, task, n - 5.0, p_holm=0.01) for n, arm in enumerate(ARMS) for task in XTREME.tasks]
LANGUAGES = [
    gain(arm, task, n - 5.0, code, rows=1000, p_holm=0.2)
    for n, arm in enumerate(ARMS)
    for task in XTREME.tasks
    for code in XTREME.languages_of(task)
]
GAPS = [
    {"arm": arm, "task": task, "points": 9.0 + n, "baseline": 12.0, "change": CHANGES[n % 5], "seeds": 3}
    for n, arm in enumerate(ARMS)
    for task in XTREME.tasks
]
LEARNING = [
    {"arm": arm, "seed": seed, "metric": "accuracy", "step": step, "examples": 32 * step, "score": 50 + step / 100}
    for arm in ARMS
    for seed in (0, 1, 2)
    for step in range(100, 2001, 100)
]
NOISE = [
    {"start": arm, "task": task, "noise": "keyboard", "levels": [0, 0.1, 0.2], "scores": [70 - n, 60, 50]}
    for n, arm in enumerate(ARMS)
    for task in ("xnli", "udpos")
]
OVERALL = [{"start": arm, "noise": "keyboard", "area": 60.0, "average_drop_rate": 8.0} for arm in ARMS]
CURVES = {arm: [float(state + n) for state in range(25)] for n, arm in enumerate(ARMS)}
PICTURES = {
    "targets": lambda: gain_matrix(TASKS, groups=XTREME.groups, title="Gain over the baseline"),
    "languages": lambda: gain_matrix(LANGUAGES, groups=XTREME.groups, title="Gain in every language"),
    "one cell": lambda: gain_matrix(TASKS[:1], title="Gain over the baseline, of which there is but one"),
    "scores": lambda: score_matrix(LANGUAGES[:163], groups=XTREME.groups, title="Scores"),
    "by language": lambda: language_gains(LANGUAGES[:163], title="Gain of one arm by language"),
    "gaps": lambda: gaps(GAPS, title="Gap before and after, classes 4-5 less 0-2"),
    "layers": lambda: layer_curves(CURVES, title="By layer", chance=0.1),
    "noise": lambda: noise_curves(NOISE, overall=OVERALL, title="Scores on misspelt rows", note="Area: mean score."),
    "learning": lambda: learning_curves(LEARNING, title="Dev score of intermediate training"),
}  # fmt: skip


def texts(figure):
    """Whatever is written in a figure and seen."""
    found = [*figure.texts]
    for legend in figure.legends:
        found += legend.get_texts()
    for axes in figure.axes:
        found += axes.texts
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            if axis.get_visible():
                low, high = sorted(axis.get_view_interval())
                found += [
                    axis.label,
                    *(tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high),
                ]
    return [each for each in found if each.get_visible() and each.get_text().strip()]


def centres(figure, renderer, word):
    """Where a word stands, from left to right and from the top down."""
    boxes = [each.get_window_extent(renderer) for each in texts(figure) if each.get_text() == word]
    return [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in sorted(boxes, key=lambda box: (-box.y1, box.x0))]


def drawn(figure):
    """A figure with everything in its place, and what measures it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas.get_renderer()


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off_and_labels_do_not_lie_on_each_other(name):
    figure, renderer = drawn(PICTURES[name]())
    wide, high = figure.bbox.width, figure.bbox.height
    boxes = {each: each.get_window_extent(renderer) for each in texts(figure)}
    assert len(boxes) > 2
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= wide and box.y1 <= high, (text, box, wide, high)
    for (one, box), (two, other) in itertools.combinations(boxes.items(), 2):
        across = abs((box.x0 + box.x1) - (other.x0 + other.x1)) / (box.width + other.width)
        down = abs((box.y0 + box.y1) - (other.y0 + other.y1)) / (box.height + other.height)
        # Letters with marks above, as of Burmese, may reach into the line before; its middle they may not.
        assert across > 0.9 or down > 0.6, (name, one, two)


def test_cells_hold_the_gains_in_the_order_of_the_groups():
    rows = [gain("a", "tatoeba", 2.0, p_holm=0.2), gain("a", "udpos", -1.0, p_holm=0.01), gain("b", "udpos", 0.01)]
    figure = gain_matrix(rows, groups=XTREME.groups, title="t")
    axes = figure.axes[0]
    (image,) = axes.get_images()
    values = np.ma.filled(image.get_array(), np.nan)
    assert np.array_equal(values, [[-1.0, 2.0], [0.01, np.nan]], equal_nan=True)
    _, renderer = drawn(figure)
    (udpos,), (tatoeba,) = (centres(figure, renderer, word) for word in ("udpos", "tatoeba"))
    (gained,), (lost,) = (centres(figure, renderer, word) for word in ("+2.0", "-1.0*"))
    assert (udpos[0], tatoeba[0]) == pytest.approx((lost[0], gained[0]), abs=2)  # names below their columns
    assert centres(figure, renderer, "a")[0][1] == pytest.approx(lost[1], abs=2)
    said = [" ".join(each.get_text().split()) for each in texts(figure)]
    assert {"-1.0*", "+2.0", "0.0", "tagging", "retrieval"} <= set(said)
    assert any("n = 3 seeds" in each and "Grey: no score" in each for each in said)
    assert image.norm.vmin == -image.norm.vmax == -2.0  # no gain is white


def test_columns_of_languages_stand_in_strips_broken_between_tasks():
    figure = PICTURES["languages"]()
    shapes = [axes.get_images()[0].get_array().shape for axes in figure.axes if axes.get_images()]
    widths = [shape for shape in shapes if shape[0] == 12]
    assert sum(across for _, across in widths) == sum(len(XTREME.languages_of(task)) for task in XTREME.tasks)
    assert len(widths) == 2 and max(across for _, across in widths) <= 100
    assert {"xnli", "panx", "tatoeba", "retrieval"} <= {each.get_text() for each in texts(figure)}


def test_lines_differ_without_colour_and_colours_without_lines():
    styles = [line_style(number) for number in range(48)]
    assert len({style["marker"] for style in styles[:12]}) == len({style["color"] for style in styles[:12]}) == 12
    assert len({(style["marker"], str(style["linestyle"])) for style in styles}) == 48


def test_a_gap_that_only_a_fall_has_narrowed_is_hollow():
    figure = gaps(GAPS[:: len(XTREME.tasks)], title="t")
    found = {}
    for line in figure.axes[0].get_lines():
        for place in zip(line.get_xdata(), line.get_ydata(), strict=True):
            found[place] = (line.get_marker(), line.get_markerfacecolor() != "white")
    markers = [found[place] for place in sorted(found, key=lambda place: -place[1])]  # from the first arm down
    assert [filled for _, filled in markers] == [CHANGES[n % 5].startswith("reduced") for n in range(len(ARMS))]
    assert [marker for marker, _ in markers] == ["<"] * 4 + [">"] * 8
    # The baseline's gap of 12 points is where the fourth arm has no arrow; the first arm narrows it by 3, as the
    # seventh widens it.
    across = [x for x, _ in sorted(found, key=lambda place: -place[1])]
    assert across[3] - across[0] == pytest.approx(across[6] - across[3])
    figure, renderer = drawn(figure)
    (ten,), (twenty,) = (centres(figure, renderer, word) for word in ("10", "20"))
    inches = figure.dpi
    per_point = (twenty[0] - ten[0]) / 10 / inches
    assert across[0] == pytest.approx(ten[0] / inches - per_point, abs=0.02)  # 9 points


def test_examples_stand_above_the_steps():
    figure, renderer = drawn(learning_curves(LEARNING[:60], title="t"))
    (half,), (whole,) = (centres(figure, renderer, word) for word in ("1000", "2000"))
    (examples,) = centres(figure, renderer, "40k")
    assert (examples[0] - half[0]) / (whole[0] - half[0]) == pytest.approx((40_000 / 32 - 1000) / 1000, abs=0.02)
    assert examples[1] > half[1]


def test_a_curve_stands_where_its_axes_say():
    figure, renderer = drawn(learning_curves(LEARNING[:60], title="t"))
    (half,), (whole,) = (centres(figure, renderer, word) for word in ("1000", "2000"))
    (low,), (high,) = (centres(figure, renderer, word) for word in ("55", "70"))
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["seed 0", "seed 1", "seed 2"]
    places = lines[0].get_xydata()[:20] * figure.dpi
    steps = 1000 + 1000 * (places[:, 0] - half[0]) / (whole[0] - half[0])
    scores = 55 + 15 * (places[:, 1] - low[1]) / (high[1] - low[1])
    assert steps == pytest.approx(range(100, 2001, 100), abs=15)
    assert scores == pytest.approx([50 + step / 100 for step in range(100, 2001, 100)], abs=0.3)


def test_a_million_steps_are_written_out():
    shown = (0.0, 4_200_000.0)
    assert [text for _, text in ticks_of(shown, 4)] == ["0", "2000000", "4000000"]
    assert ticks_of((-2.2, 5.1), 4) == [(-2.0, "\N{MINUS SIGN}2"), (0.0, "0"), (2.0, "2"), (4.0, "4")]


def test_one_value_alone_has_room_on_both_sides():
    low, high = limits([3.0, 3.0])
    assert low < 3 < high and limits([0.0, 10.0]) == pytest.approx((-0.5, 10.5))


def test_names_with_dollars_are_no_formulas(tmp_path):
    arms = ["a $x_1$", "$\\frac$"]
    rows = [gain(arm, "udpos", 1.0) for arm in arms]
    (file,) = save(gain_matrix(rows, title="costs $1 and $2"), tmp_path / "p", ["svg"])
    assert file.stat().st_size
    assert set(arms) <= {each.get_text() for each in texts(gain_matrix(rows, title="t"))}


def test_languages_are_grouped():
    codes = ["hi-Latn", "de", "sw", "xx", "de"]
    assert language_groups(codes, "script") == {"Devanagari": ["hi-Latn"], "Latin": ["de", "sw"], "other": ["xx"]}
    assert list(language_groups(codes, "class")) == [
        "class 5, winners", "class 4, underdogs", "class 2, hopefuls", "other",
    ]  # fmt: skip


def test_names_that_no_font_here_has_are_numbered_and_none_stands_twice():
    private = "\ue000\uf8ff"
    long = "a name that goes on and on and on"
    assert arm_labels(["mnli", private]) == {"mnli": "mnli", private: "arm 2"}
    labels = arm_labels([f"{long} one", f"{long} two"])
    assert len(set(labels.values())) == 2 and all(len(each) <= drawing.LONGEST for each in labels.values())


def test_a_script_whose_letters_change_is_named_by_code_where_it_cannot_be_set(monkeypatch):
    monkeypatch.setattr(drawing, "_shapes", lambda: False)
    assert language_label("ar") == "Arabic (ar)" and language_label("ru") == "Russian русский (ru)"
    assert arm_labels(["العربية"]) == {"العربية": "arm 1"}


def test_files_are_the_same_again_and_no_ids_collide_in_a_page(tmp_path):
    once, again = (save(gain_matrix(TASKS[:4], title="t"), tmp_path / folder / "gains") for folder in ("once", "again"))
    assert [file.name for file in once] == ["gains.svg", "gains.pdf", "gains.png"]
    assert once[0].read_bytes() == again[0].read_bytes()
    assert once[1].read_bytes().startswith(b"%PDF") and once[2].read_bytes().startswith(b"\x89PNG")
    pages = [inline_svg(gain_matrix(TASKS[:4], title="t"), name, 'of "a" & <b>') for name in ("x", "y")]
    found = []
    for page in pages:
        tree = ElementTree.fromstring(page)  # well formed
        assert tree.get("aria-label") == 'of "a" & <b>' and tree.get("role") == "img"
        ids = {each.get("id") for each in tree.iter() if each.get("id")}
        uses = {
            each.get("{http://www.w3.org/1999/xlink}href", "")[1:] for each in tree.iter() if each.tag.endswith("use")
        }
        assert uses <= ids
        found.append(ids)
    assert not found[0] & found[1]


def test_endings_of_pictures(tmp_path):
    assert ending_of(tmp_path / "a.SVG") == "svg" and ending_of(tmp_path / "a") == "png"
    with pytest.raises(StiltsError, match=r"ends in \.jpg.*Type .*a\.png"):
        ending_of(tmp_path / "a.jpg")


def test_without_matplotlib_the_command_says_what_installs_it_before_it_works(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; from hf_stilts.cli import main; main()"
    words = ["gains", str(tmp_path / "nothing"), "--figures", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install 'hf_stilts[figures]'" in done.stderr
