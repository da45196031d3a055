"""The `evaluate` modules: what they compute, that they load offline from a folder, and that they stand alone."""

import ast
import sys
from fractions import Fraction

import evaluate
import numpy as np
import pytest
import warm
import yaml
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from hf_stilts.metrics import list_metrics, metric_path
from hf_stilts.metrics.bucc_mining import mining
from hf_stilts.metrics.tatoeba_retrieval import ranking

MODULES = ROOT / "metrics"


@pytest.fixture(scope="module")
def bucc():
    return evaluate.load(metric_path("bucc_mining"))


@pytest.fixture(scope="module")
def tatoeba():
    return evaluate.load(metric_path("tatoeba_retrieval"))


def test_names():
    assert list_metrics() == sorted(folder.name for folder in MODULES.iterdir() if (folder / "README.md").exists())
    with pytest.raises(ValueError, match="Did you mean 'bucc_mining'"):
        metric_path("bucc_minning")


@pytest.mark.parametrize(
    "name", [*list_metrics()[:1], *(pytest.param(name, marks=pytest.mark.slow) for name in list_metrics()[1:])]
)
def test_loads_offline_from_a_relative_path_without_hf_stilts(name, tmp_path):
    code = (
        "import sys, evaluate; sys.modules['hf_stilts'] = None\n"
        f"module = evaluate.load('./metrics/{name}')\n"
        "print(type(module).__name__, module.inputs_description[:1] == '\\n')"
    )
    environment = {"HF_EVALUATE_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    ran = warm.run(code, environment, MODULES.parent, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [name.title().replace("_", ""), "True"]


@pytest.mark.parametrize("name", list_metrics())
def test_space_is_complete(name):
    folder = MODULES / name
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert {"title", "sdk", "sdk_version", "app_file"} <= set(front) and {"evaluate", "metric"} <= set(front["tags"])
    assert (folder / front["app_file"]).is_file()
    wanted = {line.split(">")[0] for line in (folder / "requirements.txt").read_text().split()}
    imported = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported |= {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    # datasets comes with evaluate, gradio with the Space's sdk
    assert imported - set(sys.stdlib_module_names) - {"datasets", "gradio"} <= wanted


def test_bucc_f1_by_hand(bucc):
    # By falling score: right, wrong, right, wrong; two gold pairs are not among the candidates, so gold is 4.
    # F1 after 1, 2, 3, 4 candidates: 2/5, 2/6, 4/7, 4/8. Best after 3; threshold (0.7 + 0.5) / 2.
    columns = {"sources": list("badc"), "targets": list("YXVZ"), "scores": [0.8, 0.9, 0.5, 0.7]}
    gold = [("a", "X"), ("c", "Z"), ("e", "U"), ("f", "T")]
    tuned = bucc.compute(**columns, gold=gold)
    assert tuned == {
        "f1": pytest.approx(4 / 7),
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "threshold": pytest.approx(0.6),
        "threshold_from": "tuned on these candidates",
        "candidates": 4,
        "kept": 3,
        "correct": 2,
        "gold": 4,
    }
    given_one = bucc.compute(**columns, gold=gold, threshold=0.85, setting={"layer": 14, "pooling": "mean"})
    assert given_one["f1"] == pytest.approx(2 / 5) and given_one["threshold_from"] == "given"
    assert given_one["layer"] == 14 and given_one["pooling"] == "mean"
    assert {type(value) for value in given_one.values()} <= {float, int, str}


def test_bucc_takes_integer_ids_and_batches(bucc):
    bucc.add_batch(sources=[1, 2], targets=[10, 20], scores=[0.9, 0.8])
    bucc.add_batch(sources=[3], targets=[30], scores=[0.1])
    assert bucc.compute(gold=[(1, 10), (2, 20)])["f1"] == 1.0


def test_bucc_counts_a_repeated_pair_once_with_its_best_score(bucc):
    columns = {"sources": ["a", "a"], "targets": ["X", "X"], "scores": [0.2, 0.9]}
    result = bucc.compute(**columns, gold=[("a", "X"), ("a", "X"), ("b", "Y")], threshold=0.5)
    assert (result["candidates"], result["kept"], result["correct"], result["gold"]) == (1, 1, 1, 2)


def test_bucc_takes_what_mine_bitext_returns(bucc):
    from hf_stilts import mine_bitext

    angles = np.radians([0, 40, 90, 130.0])
    source = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    gold = [(0, 0), (1, 1), (2, 3)]
    mined = mine_bitext(source, source, k=2).noting(layer=14)
    found = bucc.compute(mined, gold=gold, setting={"pooling": "mean"})
    columns = {"sources": mined.source.tolist(), "targets": mined.target.tolist(), "scores": mined.score.tolist()}
    same = bucc.compute(**columns, gold=gold)
    assert {name: found[name] for name in same} == same and found["correct"] == 2
    assert (found["k"], found["layer"], found["pooling"]) == (2, 14, "mean")
    assert bucc.compute(pairs=[("a", "X", 0.5)], gold=[("a", "X")])["f1"] == 1.0
    with pytest.raises(ValueError, match="Both pairs= and sources= were given"):
        bucc.compute(mined, sources=[1], gold=gold)


def test_bucc_without_candidates(bucc):
    result = bucc.compute(sources=[], targets=[], scores=[], gold=[("a", "X")])
    assert (result["f1"], result["threshold"], result["kept"], result["gold"]) == (0.0, 0.0, 0, 1)


def test_bucc_from_embeddings(bucc):
    rng = np.random.default_rng(0)
    english = rng.normal(size=(30, 16))
    german = english[::-1][:20] + 0.01 * rng.normal(size=(20, 16))
    result = bucc.compute(
        source_embeddings=german, target_embeddings=english, gold=[(i, 29 - i) for i in range(20)], margin="distance"
    )
    assert result["f1"] == 1.0 and (result["k"], result["margin"], result["retrieval"]) == (4, "distance", "max")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"sources": ["a"], "targets": ["b"], "scores": [1.0], "gold": []}, "gold list is empty"),
        ({"sources": ["a"], "targets": ["b"], "scores": [1.0], "gold": ["ab"]}, "not a pair"),
        ({"sources": ["a"], "targets": ["b"], "gold": [("a", "b")]}, "scores="),
        ({"source_embeddings": [[1, np.nan]], "target_embeddings": [[1, 0]], "gold": [(0, 0)]}, "row 0"),
        ({"source_embeddings": [[1, 0]], "target_embeddings": [[1, 0]], "gold": [(0, 0)], "margin": "x"}, "margin="),
    ],
)
def test_bucc_refuses(bucc, inputs, message):
    with pytest.raises(ValueError, match=message):
        bucc.compute(**inputs)


def test_tatoeba_by_hand(tatoeba):
    result = tatoeba.compute(predictions=[0, 2, -1, 3], references=[0, 1, 2, 3], setting={"direction": "en-de"})
    assert result == {"accuracy": 0.5, "queries": 4, "direction": "en-de"}


def test_tatoeba_from_embeddings(tatoeba):
    # Query 0 lies next to candidate 1, query 1 next to candidate 0; both candidates 0 and 2 are nearest to query 1.
    queries, candidates = [[1.0, 0.0], [0.0, 1.0]], [[0.1, 1.0], [1.0, 0.1], [0.5, 0.9]]
    result = tatoeba.compute(query_embeddings=queries, candidate_embeddings=candidates, gold=[1, 2])
    assert result == {"accuracy": 0.5, "queries": 2, "reverse_accuracy": 1.0}
    with pytest.raises(ValueError, match="gold rows run from 1 to 3"):
        tatoeba.compute(query_embeddings=queries, candidate_embeddings=candidates, gold=[1, 3])


vectors = st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=12)


@given(vectors, vectors)
def test_tatoeba_matches_in_both_directions_agree_with_a_full_table(x, y):
    best = ranking.best_matches(x, y, rows=5)
    table = ranking.unit_rows(x, "x") @ ranking.unit_rows(y, "y").T
    assert np.allclose(table[np.arange(len(x)), best.forward], table.max(axis=1), atol=1e-6)
    assert np.allclose(table[best.backward, np.arange(len(y))], table.max(axis=0), atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 5)), min_size=1, max_size=40))
def test_one_to_one_is_the_walk_by_falling_score(edges):
    pairs = mining.distinct(mining.Pairs(*(np.array(column) for column in zip(*edges, strict=True))))
    seen_source, seen_target, walked = set(), set(), []
    for pair in zip(*(column.tolist() for column in pairs), strict=True):
        if pair[0] not in seen_source and pair[1] not in seen_target:
            seen_source.add(pair[0])
            seen_target.add(pair[1])
            walked.append(pair)
    assert [
        tuple(pair) for pair in zip(*(column.tolist() for column in mining.one_to_one(pairs)), strict=True)
    ] == walked


def test_one_to_one_on_a_long_chain_walks_the_rest():
    # 0-0, 1-0, 1-1, 2-1, ...: each pair waits for the one before it, so a round of mutual best pairs settles two.
    n = 400
    source = np.repeat(np.arange(n), 2)[1:]
    target = np.repeat(np.arange(n), 2)[:-1]
    matched = mining.one_to_one(mining.Pairs(source, target, np.arange(2 * n - 1, 0, -1.0)))
    assert matched.source.tolist() == matched.target.tolist() == list(range(n))


def xtreme_threshold(score, correct, gold):
    """`bucc_optimize` of XTREME, but for the best cut at the last pair, where the script reads past the end.

    In whole numbers: of two cuts with the same F1 the script takes the one that its rounding happens to favour.
    """
    order = sorted(range(len(score)), key=lambda i: -score[i])
    best, threshold, hits = Fraction(0), 0.0, 0
    for place, i in enumerate(order):
        hits += correct[i]
        if hits:
            f1 = Fraction(2 * hits, place + 1 + gold)  # 2 P R / (P + R)
            if f1 > best:
                following = score[order[place + 1]] if place + 1 < len(order) else score[i]
                best, threshold = f1, (score[i] + following) / 2
    return threshold, float(best)


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 5), st.randoms(use_true_random=False))
def test_threshold_is_xtremes_where_scores_differ(correct, missing, random):
    score = random.sample(range(100), len(correct))
    gold = max(1, sum(correct) + missing)
    cut = mining.best_cut(np.array(score, dtype=float), np.array(correct), gold)
    assert (cut.value, cut.f1) == pytest.approx(xtreme_threshold(score, correct, gold))


def test_no_cut_falls_between_equal_scores():
    # The right pair and the wrong one score the same: no threshold keeps one of them alone, F1 is 2/3 and not 1.
    cut = mining.best_cut(np.array([0.5, 0.5, 0.1]), np.array([True, False, False]), gold=1)
    assert cut.f1 == pytest.approx(2 / 3) and cut.kept == 2 and cut.value == pytest.approx(0.3)


def test_threshold_between_neighbouring_floats_keeps_what_it_should():
    low = 1.0
    high = np.nextafter(low, 2.0)
    cut = mining.best_cut(np.array([high, low]), np.array([True, False]), gold=1)
    assert cut.kept == 1 and cut.f1 == 1.0
