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
    from matplotlib.text import Text

    return [each for each in figure.findobj(Text) if each.get_visible() and each.get_text().strip()]


def drawn(figure):
    """A figure with everything in its place, and what measures it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas.get_renderer()


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off_and_labels_do_not_lie_on_each_other(name):
    figure, renderer = drawn(PICTURES[name]())
    box = figure.get_tightbbox(renderer)  # inches
    wide, high = figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= wide and box.y1 <= high, (box, wide, high)
    for axes in figure.axes:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [each.get_window_extent(renderer) for each in labels if each.get_text()]
            for one, other in itertools.pairwise(boxes):
                across = abs((one.x0 + one.x1) - (other.x0 + other.x1)) / (one.width + other.width)
                down = abs((one.y0 + one.y1) - (other.y0 + other.y1)) / (one.height + other.height)
                # Letters with marks above, as of Burmese, may reach into the line before; its middle they may not.
                assert across > 0.9 or down > 0.6, name


def test_cells_hold_the_gains_in_the_order_of_the_groups():
    rows = [gain("a", "tatoeba", 2.0, p_holm=0.2), gain("a", "udpos", -1.0, p_holm=0.01), gain("b", "udpos", 0.01)]
    figure = gain_matrix(rows, groups=XTREME.groups, title="t")
    axes = figure.axes[0]
    (image,) = axes.get_images()
    values = np.ma.filled(image.get_array(), np.nan)
    assert np.array_equal(values, [[-1.0, 2.0], [0.01, np.nan]], equal_nan=True)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["udpos", "tatoeba"]
    said = [" ".join(each.get_text().split()) for each in texts(figure)]
    assert {"-1.0*", "+2.0", "0.0", "tagging", "retrieval"} <= set(said)
    assert any("n = 3 seeds" in each and "Grey: no score" in each for each in said)
    assert image.norm.vmin == -image.norm.vmax == -2.0  # no gain is white


def test_columns_of_languages_stand_in_strips_broken_between_tasks():
    figure = PICTURES["languages"]()
    strips = [
        axes for axes in figure.axes if axes.get_images() and axes.get_xlabel() == "" and len(axes.get_xticks()) > 3
    ]
    widths = [
        strip.get_images()[0].get_array().shape for strip in strips if strip.get_images()[0].get_array().shape[0] == 12
    ]
    assert sum(across for _, across in widths) == sum(len(XTREME.languages_of(task)) for task in XTREME.tasks)
    assert len(widths) == 2 and max(across for _, across in widths) <= 100
    assert {"xnli", "panx", "tatoeba", "retrieval"} <= {each.get_text() for each in texts(figure)}


def test_lines_differ_without_colour_and_colours_without_lines():
    styles = [line_style(number) for number in range(48)]
    assert len({style["marker"] for style in styles[:12]}) == len({style["color"] for style in styles[:12]}) == 12
    assert len({(style["marker"], str(style["linestyle"])) for style in styles}) == 48


def test_a_gap_that_only_a_fall_has_narrowed_is_hollow():
    figure = gaps(GAPS[:: len(XTREME.tasks)], title="t")
    markers = [line for line in figure.axes[0].get_lines() if line.get_marker() in "<>"]
    filled = [line.get_markerfacecolor() != "white" for line in markers]
    assert filled == [CHANGES[n % 5].startswith("reduced") for n in range(len(ARMS))]
    assert markers[0].get_xdata() == [9.0] and markers[0].get_marker() == "<" and markers[-1].get_marker() == ">"


def test_examples_stand_above_the_steps():
    figure, _ = drawn(learning_curves(LEARNING[:60], title="t"))
    (above,) = figure.axes[0].child_axes
    steps, examples = figure.axes[0].get_xlim()[1], above.get_xlim()[1]
    assert examples == pytest.approx(32 * steps)


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
