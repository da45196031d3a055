"""The transfer matrix as a static Space: its numbers, what others wrote, and the page as a browser shows it."""

import json
import re

import browser
import pandas as pd
import pytest
from command import run
from huggingface_hub import metadata_load
from pending_checkpoints import api_of
from test_page import needs_browser
from test_study_tables import SCORES, finish, study

from hf_stilts.errors import StiltsError
from hf_stilts.hub.naming import repo_id
from hf_stilts.studies.comparable import NONE, Score
from hf_stilts.studies.matrix import compare, transfer_matrix
from hf_stilts.studies.push import push_study
from hf_stilts.studies.pushed import ARMS, GAINS, gains_of_study
from hf_stilts.studies.space import write_space
from hf_stilts.studies.study import Intermediate

BASE, OTHER = "FacebookAI/xlm-roberta-base", "org/mbert"
LANGUAGES = ("ar", "de", "en", "hi", "sw", "th", "ur", "zh")
STRANGE = "<img alt=x onerror=alert(1)>"


def score(intermediate, target, language, points, base=BASE, **conditions):
    said = {"setting": "zero-shot", "data revision": "r", "rows scored": "10", "recipe": "jiant", **conditions}
    return Score(intermediate, base, target, language, "accuracy", points, "org/m", "scores.jsonl", said)


def checkpoint(intermediate, repository=None, base=BASE, adapter=False):
    repository = repository or repo_id("you", base, [intermediate])
    return {"base": base, "intermediate": intermediate, "repository": repository, "adapter": adapter}


def matrix():
    """Gains that tell places apart: on xnli 1, 2, 3 ... by language from MNLI; on panx they fall; one target alone."""
    scores = []
    for target in ("xnli", "panx"):
        scores += [score(NONE, target, code, 50.0) for code in LANGUAGES]
        for place, code in enumerate(LANGUAGES, start=1):
            scores.append(score("mnli", target, code, 50.0 + place))
        for code in LANGUAGES[:3]:
            scores.append(score("squad_v2", target, code, 48.0))
    scores += [score(NONE, "tatoeba", "de", 30.0), score("mnli", "tatoeba", "de", 30.01)]
    scores += [score(NONE, "xquad", "en", 60.0, recipe=STRANGE), score("mnli", "xquad", "en", 61.0, recipe=STRANGE)]
    scores += [score(NONE, "xnli", "en", 40.0, OTHER), score("qqp", "xnli", "en", 41.0, OTHER)]
    found = compare(scores)
    found.notes.insert(0, f"4 models read {STRANGE}")
    found.checkpoints.extend([checkpoint("mnli"), checkpoint("squad_v2", "you/adapted", adapter=True)])
    found.checkpoints.extend([checkpoint("mnli", "others/second"), checkpoint("qqp", base=OTHER)])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "matrix"
    write_space(matrix(), folder)
    return folder


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_the_numbers_of_the_matrix_and_nothing_of_elsewhere(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    data = data_of(page)
    rows = [dict(zip(data["cells"]["columns"], row, strict=True)) for row in data["cells"]["rows"]]
    assert len(rows) == 8 + 8 + 3 + 3 + 1 + 1 + 1
    (row,) = [row for row in rows if (row["intermediate"], row["target"], row["language"]) == ("mnli", "panx", "sw")]
    assert (row["base"], row["gain"], row["score"], row["baseline"], row["runs"]) == (BASE, 5, 55, 50, 1)
    assert data["languages"]["sw"]["family"] == "Niger-Congo"
    assert STRANGE not in page
    markup = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href|action)\s*=\s*["']?([^"'\s>]+)""", markup) == ["data:,", "matrix.csv"]
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", page)
    assert (folder / "matrix.csv").read_text(encoding="utf-8").count("\n") == len(rows) + 1


def test_of_several_comparisons_the_page_has_the_one_that_the_matrix_shows(tmp_path):
    found = compare(
        [score(start, "xnli", code, points) for start, points in ((NONE, 50), ("mnli", 53)) for code in ("de", "sw")]
        + [score(start, "xnli", "de", points, recipe="own") for start, points in ((NONE, 50), ("mnli", 90))]
    )
    write_space(found, tmp_path)
    rows = data_of((tmp_path / "index.html").read_text(encoding="utf-8"))["cells"]["rows"]
    assert len(found.cells) == 3 and [row[3] for row in rows] == ["de", "sw"]
    assert [row[6] for row in rows] == [3, 3]


def test_the_hub_gets_a_static_space_and_a_card_of_ones_own_stays(folder, tmp_path, client):
    assert metadata_load(folder / "README.md")["sdk"] == "static"
    client.hf("upload", "local/stilts-matrix", str(folder), "--repo-type", "space")
    there = client.python(
        "from huggingface_hub import snapshot_download\n"
        "print(snapshot_download('local/stilts-matrix', repo_type='space'))"
    ).strip()
    for name in ("index.html", "matrix.csv", "README.md"):
        assert open(f"{there}/{name}", "rb").read() == (folder / name).read_bytes()
    write_space(matrix(), tmp_path)
    (tmp_path / "README.md").write_text("---\nsdk: static\ntitle: Ours\n---\nOur own words.\n")
    assert tmp_path / "README.md" not in write_space(matrix(), tmp_path)
    assert "Our own words." in (tmp_path / "README.md").read_text()


def test_the_command_writes_it_and_says_how_it_comes_to_the_hub(tmp_path, hub, stock):
    results = pushed(tmp_path / "results")
    code, printed = run("matrix", "--results", str(results), "--space", str(tmp_path / "a b"), "--namespace", "you")
    assert code == 0 and f"hf upload you/stilts-matrix '{tmp_path}/a b' --repo-type space" in " ".join(printed.split())
    rows = data_of((tmp_path / "a b" / "index.html").read_text(encoding="utf-8"))["cells"]["rows"]
    assert len(rows) == 2, "the second comparison of the same target is not shown"


def pushed(folder, arms=True, **changes):
    rows = [
        {"arm": "squad, translated", "task": "xquad", "language": code, "score": 50.0 + place, "baseline": 49.5,
         "gain": 0.5 + place, "seeds": 3, "noise": noise} | changes
        for noise in ("none", "keyboard=0.1") for place, code in enumerate(("de", "sw"))
    ]  # fmt: skip
    (folder / "data").mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / GAINS)
    if arms:
        pd.DataFrame([{"base": "xlm-roberta-base", "arm": "squad, translated"}]).to_parquet(folder / ARMS)
    return folder


def test_a_study_that_was_pushed_is_a_comparison_of_its_own_for_each_value_of_its_factors(tmp_path, hub, stock):
    api = api_of(hub)
    api.create_repo("you/tried-results", repo_type="dataset")
    api.upload_folder(repo_id="you/tried-results", repo_type="dataset", folder_path=pushed(tmp_path / "run"))
    found = transfer_matrix(results=["you/tried-results"], api=api)
    assert [each["conditions"] for each in found.comparisons] == [
        {"study": "you/tried-results", "noise": noise} for noise in ("none", "keyboard=0.1")
    ]
    assert [(cell["language"], cell["gain"], cell["comparison"]) for cell in found.cells] == [
        ("de", 0.5, 1), ("sw", 1.5, 1), ("de", 0.5, 2), ("sw", 1.5, 2),
    ]  # fmt: skip
    assert {(cell["base"], cell["intermediate"]) for cell in found.cells} == {("xlm-roberta-base", "squad, translated")}
    assert [task["gain"] for task in found.tasks] == [1.0, 1.0]
    assert not transfer_matrix(results=["you/tried-results"], targets=["xnli"], api=api).cells


def test_a_studys_base_has_its_full_name_where_it_is_known(tmp_path):
    rows = gains_of_study(pushed(tmp_path / "run"), [BASE, OTHER])
    assert {row["base"] for row in rows} == {BASE} and rows[0]["metric"] == "em_and_f1" and rows[0]["runs"] == 3
    two = gains_of_study(pushed(tmp_path / "two"), [BASE, "you/xlm-roberta-base"])
    assert {row["base"] for row in two} == {"xlm-roberta-base"}
    unsaid = gains_of_study(pushed(tmp_path / "unsaid", arms=False), [BASE])
    assert {row["base"] for row in unsaid} == {"not stated"}
    strange = gains_of_study(pushed(tmp_path / "strange", arm="=cmd|' /C calc'!A0"))
    assert strange[0]["intermediate"].startswith("(sha256 ")


def test_what_is_no_study_is_refused_with_what_to_type(tmp_path, hub):
    with pytest.raises(StiltsError, match="There is no you/nothing here"):
        gains_of_study("you/nothing", api=api_of(hub))
    with pytest.raises(StiltsError, match="study push"):
        gains_of_study(tmp_path)
    (tmp_path / "data").mkdir()
    pd.DataFrame([{"arm": "mnli"}]).to_parquet(tmp_path / GAINS)
    with pytest.raises(StiltsError, match="no column task, language"):
        gains_of_study(tmp_path)


@pytest.fixture(scope="module")
def opened(folder, tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("profile")) as page:
        yield page, folder / "index.html"


def texts(page, selector):
    return page.run(f"[...document.querySelectorAll({selector!r})].map(each => each.textContent)")


def choose(page, name, value):
    page.run(
        f"select = document.querySelector('select[name={name}]'); select.value = {value!r};"
        "select.dispatchEvent(new Event('change'))"
    )


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1400])
def test_a_browser_shows_it_without_complaint_and_without_scrolling_sideways(opened, width, dark):
    page, file = opened
    page.open(file, width, dark=dark)
    page.run("document.querySelector('.matrix button').click()")
    page.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints == [] and all(each.startswith(("file:", "data:")) for each in page.requests)
    sizes = (
        "[...document.querySelectorAll('td, th, p, label, small, dd, code')]"
        ".map(each => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(page.run(sizes)) >= 13
    assert STRANGE in page.run("document.body.textContent") and page.run("document.querySelector('img')") is None


@pytest.mark.slow
@needs_browser
def test_filters_and_languages(opened):
    page, file = opened
    page.open(file, 1400)
    assert texts(page, "#matrix thead th") == ["intermediate", "panx", "tatoeba", "xnli", "xquad"]
    lines = (
        "[...document.querySelectorAll('#matrix tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    low = "\u2212"
    assert page.run(lines) == [
        ["mnli", "+4.5", "0.0", "+4.5", "+1.0"],
        ["squad_v2", f"{low}2.0 (3 of 8)", "\u2013", f"{low}2.0 (3 of 8)", "\u2013"],
    ]  # fmt: skip
    choose(page, "group", "family: Niger-Congo")
    assert page.run(lines) == [["mnli", "+5.0", "+5.0"]]
    choose(page, "group", "")
    choose(page, "language", "de")
    assert page.run(lines) == [["mnli", "+2.0", "0.0", "+2.0"], ["squad_v2", f"{low}2.0", "\u2013", f"{low}2.0"]]
    choose(page, "language", "")
    choose(page, "target", "panx")
    assert texts(page, "#matrix thead th")[:3] == ["intermediate", "Arabic العربية (ar)", "Chinese 中文 (zh)"]
    choose(page, "intermediate", "squad_v2")
    assert len(texts(page, "#matrix thead th")) == 1 + 3
    choose(page, "base", OTHER)
    assert page.run(lines) == [["qqp", "+1.0"]]
    assert page.complaints == []


@pytest.mark.slow
@needs_browser
def test_a_number_shows_its_languages_and_the_code_that_loads_its_checkpoint(opened):
    page, file = opened
    page.open(file, 1400)
    page.run("document.querySelectorAll('#matrix tbody tr')[1].querySelector('button').click()")
    assert page.run("document.getElementById('chosen-title').textContent") == "squad_v2 on panx"
    assert texts(page, "#chosen tbody tr:first-child td")[1:] == ["\u22122.0", "48.0", "50.0", "1 and 1"]
    assert "recipe" in texts(page, "#chosen dt")
    adapted, command = texts(page, "#code code")
    assert 'load_intermediate("you/adapted")' in adapted
    assert command == "hf-stilts target panx --init you/adapted"
    page.run("document.querySelectorAll('#matrix tbody tr')[0].querySelector('button').click()")
    name = f"you/{BASE.partition('/')[2]}-stilts-mnli"
    assert texts(page, "#code code")[0].splitlines() == [
        "from transformers import AutoModel, AutoTokenizer",
        f'model = AutoModel.from_pretrained("{name}")',
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
    ]
    choose(page, "checkpoint", "others/second")
    assert '"others/second"' in texts(page, "#code code")[0]
    choose(page, "target", "tatoeba")
    assert texts(page, "#code code")[1] == f"hf-stilts evaluate tatoeba --model {name}"
    assert page.complaints == []


@pytest.mark.slow
@needs_browser
def test_it_is_used_with_the_keyboard_alone(opened):
    page, file = opened
    page.open(file, 1400)
    assert page.run("document.querySelectorAll('#matrix button[tabindex=\"0\"]').length") == 1
    page.run("document.querySelector('#matrix button').focus()")
    where = "document.activeElement.getAttribute('aria-label')"
    assert page.run(where).startswith("mnli on panx: +4.5 points, mean over 8 of 8 languages")
    steps = [("ArrowRight", "mnli on tatoeba"), ("ArrowRight", "mnli on xnli"), ("ArrowRight", "mnli on xquad")]
    steps += [("ArrowDown", "mnli on xquad"), ("ArrowLeft", "mnli on xnli"), ("ArrowDown", "squad_v2 on xnli")]
    for key, then in [*steps, ("ArrowUp", "mnli on xnli")]:
        page.press(key)
        assert page.run(where).startswith(then), key
    page.press("Enter")
    assert page.run("document.getElementById('chosen-title').textContent") == "mnli on xnli"
    assert page.run(where).startswith("mnli on xnli"), "the focus stays where it was"
    choose(page, "target", "panx")
    assert page.run("document.getElementById('chosen-title').textContent") == "Languages"


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("width", [360, 1400])
def test_a_space_from_the_hub_shows_the_results_of_a_study_that_was_pushed_there(tmp_path, hub, api, client, width):
    """Study, results data set, matrix, Space and browser; what lies on the Hub is all that each step reads."""
    arms = {"none": None, "mnli, 50 % German": Intermediate("mnli")}
    scores = dict(zip(arms, SCORES.values(), strict=True))
    finish(tmp_path / "run", study(arms=arms), scores)
    push_study("tried", tmp_path / "run", "me", api=api)
    said = ["hf-stilts", "matrix", "--results", "me/tried-results", "--space", str(tmp_path / "made")]
    client.python(f"import sys; sys.argv = {said!r}\nfrom hf_stilts.cli import main; main()")
    client.hf("upload", "me/stilts-matrix", str(tmp_path / "made"), "--repo-type", "space", "--private")
    assert api.space_info("me/stilts-matrix").sdk == "static" and api.space_info("me/stilts-matrix").private
    from_the_hub = tmp_path / "visited"
    api.snapshot_download("me/stilts-matrix", repo_type="space", local_dir=from_the_hub)
    gains = pd.read_parquet(api.hf_hub_download("me/tried-results", GAINS, repo_type="dataset", cache_dir=tmp_path))
    with browser.Browser(tmp_path / "profile") as page:
        page.open(from_the_hub / "index.html", width)
        found = {}
        for target in texts(page, "select[name=target] option")[1:]:
            choose(page, "target", target)
            for arm, language, points in page.run(SHOWN_BY_LANGUAGE):
                found[arm, target, language] = points
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.complaints == [] and all(each.startswith(("file:", "data:")) for each in page.requests)
    expected = {}
    for row in gains.dropna(subset="gain").to_dict("records"):
        sign = "\u2212" if row["gain"] < 0 else "+"
        expected[row["arm"], row["task"], row["language"]] = f"{sign}{abs(row['gain']):.1f}"
    assert found == expected and expected


# Rows of the matrix of one target: intermediate task, code of the language in brackets, gain.
SHOWN_BY_LANGUAGE = """
(() => {
  const codes = [...document.querySelectorAll('#matrix thead th')].slice(1);
  const found = [];
  for (const row of document.querySelectorAll('#matrix tbody tr')) {
    [...row.cells].slice(1).forEach((cell, place) => {
      found.push([row.cells[0].textContent, codes[place].textContent.match(/\\((\\w+)\\)$/)[1], cell.textContent]);
    });
  }
  return found;
})()
"""


@pytest.mark.slow
@needs_browser
def test_an_empty_matrix_says_so(tmp_path, opened):
    page, _ = opened
    (file, *_) = write_space(compare([]), tmp_path)
    page.open(file, 360)
    assert "No published score has a baseline" in page.run("document.body.textContent")
    assert "No intermediate checkpoint" in page.run("document.body.textContent") and page.complaints == []
