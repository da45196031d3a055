"""Benchmarks as data: tasks, languages, groups and totals as the papers and the official scorer have them."""

import pytest

from hf_stilts.benchmark import Benchmark, chosen_parts, load_benchmark
from hf_stilts.errors import StiltsError
from hf_stilts.languages import LANGUAGES
from hf_stilts.task import load_task

# Membership as in `evaluate.py` of google-research/xtreme (commit 838c13b): languages of XTREME, then those that
# XTREME-R adds.
PUBLISHED = {
    "xnli": ("ar bg de el en es fr hi ru sw th tr ur vi zh", ""),
    "pawsx": ("de en es fr ja ko zh", None),
    "udpos": (
        "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
        "lt pl ro uk wo",
    ),
    "panx": (
        "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr "
        "ur vi yo zh",
        "az gu lt pa pl qu ro uk",
    ),
    "xquad": ("ar de el en es hi ru th tr vi zh", "ro"),
    "mlqa": ("ar de en es hi vi zh", ""),
    "tydiqa": ("ar bn en fi id ko ru sw te", ""),
    "bucc2018": ("de fr ru zh", None),
    "tatoeba": (
        "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh",
        "az lt pl ro uk",
    ),
    "xcopa": (None, "et ht id it qu sw ta th tr vi zh"),
    "mewslix": (None, "ar de en es fa ja pl ro ta tr uk"),
    "lareqa": (None, "ar de el en es hi ru th tr vi zh"),
}


def published(benchmark: str, task: str) -> set[str]:
    old, new = PUBLISHED[task]
    return set(f"{old or ''} {(new or '') if benchmark == 'xtreme-r' else ''}".split())


@pytest.mark.parametrize(("name", "tasks", "languages"), [("xtreme", 9, 40), ("xtreme-r", 10, 50)])
def test_sizes(name, tasks, languages):
    benchmark = load_benchmark(name)
    assert (len(benchmark.tasks), len(benchmark.languages)) == (tasks, languages)
    assert len(set(benchmark.tasks)) == tasks, "a task is in one group"
    column = 0 if name == "xtreme" else 1
    assert set(benchmark.tasks) == {task for task, parts in PUBLISHED.items() if parts[column] is not None}


@pytest.mark.parametrize(
    ("benchmark", "task"), [(name, task) for name in ("xtreme", "xtreme-r") for task in load_benchmark(name).tasks]
)
def test_every_task_has_the_languages_of_the_official_scorer(benchmark, task):
    assert set(load_benchmark(benchmark).languages_of(task)) == published(benchmark, task)


def test_benchmarks_of_other_languages_have_the_languages_of_their_papers():
    """IrokoBench averages AfriXNLI over 16 languages, Masakhane's taggers over 20, AmericasNLI over 10."""
    african, americas, flores = map(load_benchmark, ("african", "americas", "flores200"))
    sizes = {task: len(african.languages_of(task)) for task in african.tasks}
    assert sizes == {"afrixnli": 16, "sib200": 22, "masakhaner2": 20, "masakhapos": 20}
    assert not {"en", "fr"} & {*african.languages}
    assert len(americas.languages_of("americasnli")) == 10
    assert {task: len(flores.languages_of(task)) for task in flores.tasks} == {
        "sib200": 205, "belebele": 122, "flores": 203,
    }  # fmt: skip
    assert {"nqo", "ar_Latn", "zh_Hant"} <= {*flores.all_languages()}
    assert african.totals({"afrixnli": 40.0, "sib200": 60.0}) == {"classification": 50.0}
    chosen = chosen_parts(flores, None, ["ha", "hi_Latn"])
    assert [(task.name, codes) for task, codes in chosen] == [
        ("sib200", ("ha",)), ("belebele", ("ha", "hi_Latn")), ("flores", ("ha",)),
    ]  # fmt: skip


def test_the_language_table_says_which_ten_are_new():
    new = set("az gu ht lt pa pl qu ro uk wo".split())
    assert {code for code, language in LANGUAGES.items() if not language.xtreme} == new


def test_totals_are_unweighted_means_over_tasks():
    """XTREME-like: classification (60 + 80) / 2 = 70; qa (30 + 40 + 50) / 3 = 40; all = (140 + 100 + 120 + 30) / 9."""
    scores = {
        "xnli": 60.0, "pawsx": 80.0, "udpos": 40.0, "panx": 60.0, "xquad": 30.0, "mlqa": 40.0, "tydiqa": 50.0,
        "bucc2018": 10.0, "tatoeba": 20.0,
    }  # fmt: skip
    totals = load_benchmark("xtreme").totals(scores)
    assert totals == {"classification": 70, "tagging": 50, "qa": 40, "retrieval": 15, "all": pytest.approx(390 / 9)}
    del scores["panx"]
    assert list(load_benchmark("xtreme").totals(scores)) == ["classification", "qa", "retrieval"]


def test_the_mock_scores_of_the_official_repository_give_its_mock_total():
    """Task scores, groups and total that its own unit test expects."""
    scores = {
        "pawsx": 51.4286, "xnli": 30.6667, "panx": 57.5079, "udpos": 70.2175, "bucc2018": 55.0, "tatoeba": 53.6111,
        "xquad": (77.2727 + 79.9587) / 2, "mlqa": (57.1429 + 81.7687) / 2, "tydiqa": (88.8889 + 97.2222) / 2,
    }  # fmt: skip
    expected = {"classification": 41.0476, "tagging": 63.8627, "qa": 80.3757, "retrieval": 54.3056, "all": 62.1732}
    assert load_benchmark("xtreme").totals(scores) == pytest.approx(expected, abs=1e-4)


def test_unknown_names_are_named():
    with pytest.raises(StiltsError, match="No benchmark 'xtrem'. Did you mean xtreme"):
        load_benchmark("xtrem")
    with pytest.raises(StiltsError, match="XTREME has no task squad_v1; it has xnli"):
        load_benchmark("xtreme").languages_of("squad_v1")


def test_a_benchmark_of_ones_own():
    own = Benchmark(name="own", title="Own", languages=("de", "fr"), groups={"retrieval": ("tatoeba",)})
    assert load_benchmark(own) is own
    assert own.languages_of("tatoeba") == ("de", "fr") and own.metric("tatoeba") == load_task("tatoeba").metric
