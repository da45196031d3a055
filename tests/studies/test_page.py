"""The report as one HTML file: complete, escaped, of nothing from elsewhere; and as a browser shows it."""

import csv
import json
import re
import sys

import browser
import pytest
from reports import NAME, XTREME, report

from hf_stilts.studies.page import SHOWN, html, write_report
from hf_stilts.studies.pictures import study_pictures

needs_browser = pytest.mark.skipif(
    browser.PROGRAM is None, reason=f"no browser here: one of {', '.join(browser.NAMES)}"
)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("matplotlib")
    return report(), html(report())


def test_the_page_is_whole_and_escaped(made):
    made, page = made
    assert (
        "<script>alert" not in page
        and "&lt;script&gt;alert(&#39;not run&#39;)" in page
        and "so: &lt;b&gt;&amp;" in page
    )
    data = data_of(page)
    for table, there in zip(made.tables, data["tables"], strict=True):
        rows = there.get("csv", there)
        assert [dict(zip(rows["columns"], row, strict=True)) for row in rows["rows"]] == table.rows
    assert data["tables"][0]["columns"] == ["arm", "xnli", "tatoeba"]  # gains: a line an arm
    assert data["tables"][0]["rows"][1] == [NAME, "+0.8*", "+0.8*"]
    assert data["languages"]["sw"] == {
        "class": "class 2, hopefuls", "family": "Niger-Congo", "script": "Latin", "name": "Swahili",
    }  # fmt: skip
    assert data["languages"]["th"]["name"] == "Thai ไทย"
    assert page.count("<svg") == 6  # two matrices, two arms by language, a gap, learning curves
    assert "xnli after qqp, seed 1" in page and "A note &amp; no &lt;more&gt;." in page
    assert len(re.findall("<tr>", page)) == 4 + 2 + SHOWN + 4 + 4  # heads, gains, languages cut short, gaps, learning


def test_nothing_comes_from_elsewhere(made):
    page = made[1]
    markup = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
    addresses = re.findall(r"""(?:src|href|action|data)\s*=\s*["']?([^"'\s>]+)""", markup)
    assert all(each.startswith(("#", "data:")) for each in addresses), addresses
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", page)


def test_without_matplotlib_the_page_has_tables_and_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = html(report())
    assert "<svg" not in page and "pip install &#39;hf_stilts[figures]&#39;" in page and "Table of gains" in page


def test_numbers_that_are_none_are_nothing():
    made = report()
    made.tables[3].rows[0]["score"] = float("nan")
    del made.tables[:3]
    assert data_of(html(made))["tables"][0]["rows"][0][-1] is None


def test_pictures_of_arms_in_other_scripts_have_names_of_their_own():
    pytest.importorskip("matplotlib")
    names = [each.name for each in study_pictures(report(arms=("ไทย", "தமிழ்", "a/b")))]
    assert names == [
        "gain-matrix", "gain-matrix-languages", "gains-arm-1", "gains-arm-2", "gains-a-b", "gap-resources",
        "learning-curves",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("page")
    (file,) = write_report(report(arms=("mnli", "qqp", NAME), tasks=XTREME.tasks), folder, ["html"])
    with browser.Browser(folder / "profile") as page:
        page.downloads_to(folder)
        yield page, file


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1400])
def test_a_browser_shows_it_without_complaint_and_without_scrolling_sideways(opened, width, dark):
    page, file = opened
    page.open(file, width, dark=dark)
    page.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints == []
    assert all(each.startswith(("file:", "data:")) for each in page.requests)
    colours = page.run("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    ink, paper = (sum(map(int, re.findall(r"\d+", each)[:3])) for each in colours)
    assert abs(ink - paper) > 450 and (ink > paper) == dark
    sizes = (
        "[...document.querySelectorAll('td, th, p, label')].map(each => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(page.run(sizes)) >= 13
    # What is wider than the page scrolls in a box of its own, never with letters too small to read.
    assert page.run("Math.min(...[...document.querySelectorAll('figure svg')].map(e => e.clientWidth))") >= min(
        width, 300
    )


@pytest.mark.slow
@needs_browser
def test_tables_sort_filter_and_are_saved(opened, tmp_path):
    page, file = opened
    page.open(file, 1400)
    page.run("window.section = document.querySelector('section[data-table=\"1\"]')")
    cells = "[...section.querySelectorAll('tbody tr')].map(row => row.cells[{}].textContent)"
    columns = page.run("[...section.querySelectorAll('th')].map(head => head.textContent)")
    gain, language = columns.index("gain"), columns.index("language")

    def click(column):
        page.run(f"section.querySelectorAll('th button')[{column}].click()")

    def choose(name, value):
        page.run(
            f"const s = section.querySelector('select[name=\"{name}\"]'); s.value = '{value}';"
            "s.dispatchEvent(new Event('change'))".replace("const s", "s")
        )

    assert page.run("section.querySelectorAll('tbody tr').length") == SHOWN
    assert page.run("section.querySelector('output').textContent") == "100 of 486 rows"
    click(gain)
    first = [float(each) for each in page.run(cells.format(gain))]
    assert first == sorted(first, reverse=True) and first[0] == 34.0
    click(gain)
    assert float(page.run(cells.format(gain))[0]) == -5.5
    assert page.run(f"section.querySelectorAll('th')[{gain}].getAttribute('aria-sort')") == "ascending"
    click(language)
    assert page.run(cells.format(language))[0] == "Afrikaans (af)"
    choose("resource class", "class 2, hopefuls")
    assert set(page.run(cells.format(language))) == {"Marathi मराठी (mr)", "Swahili (sw)", "Yoruba (yo)"}
    choose("script", "Devanagari")
    choose("task", "panx")
    assert page.run(cells.format(language)) == ["Marathi मराठी (mr)"] * 3
    for name in ("resource class", "script", "task"):
        choose(name, "")
    page.run(
        "[...section.querySelectorAll('.bar button')].find(each => each.textContent.startsWith('Show all')).click()"
    )
    assert page.run("section.querySelectorAll('tbody tr').length") == 486
    folder = file.parent
    page.run("document.querySelector('[aria-label=\"Download gains.csv\"]').click()")
    saved = folder / "gains.csv"
    while not saved.is_file() or not saved.stat().st_size:
        page.run("new Promise(done => setTimeout(done, 50))")
    with saved.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 27 and rows[-1]["arm"] == NAME and rows[-1]["gain"] == "1.75"
    assert page.complaints == []


@pytest.mark.slow
@needs_browser
def test_it_prints_on_a4_with_all_pictures(opened, tmp_path):
    page, file = opened
    page.open(file, 1400)
    page.print(tmp_path / "report.pdf")
    content = (tmp_path / "report.pdf").read_bytes()
    boxes = {box.decode() for box in re.findall(rb"/MediaBox \[([^\]]*)\]", content)}
    (box,) = boxes
    assert [round(float(each)) for each in box.split()] in ([0, 0, 595, 842], [0, 0, 596, 842])
    assert page.run("document.querySelectorAll('details:not([open])').length") > 0  # as before
