"""Mined pairs, matches and thresholds: equal to a plain miner after XTREME's script, and defined at every edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.retrieval import fit_threshold, match_translations, mine_bitext, score_bitext


def unit(x):
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


def planted(n, m, seed, width=8, noise=0.3):
    """Two sides that share min(n, m) // 2 sentences in another order; row i of `gold` is (source, target)."""
    rng = np.random.default_rng(seed)
    shared = min(n, m) // 2
    x, y = rng.normal(size=(n, width)), rng.normal(size=(m, width))
    source, target = rng.permutation(n)[:shared], rng.permutation(m)[:shared]
    y[target] = x[source] + noise * rng.normal(size=(shared, width))
    return x + 1.0, y + 1.0, np.stack((source, target), axis=1)


def naive(x, y, k, margin, retrieval):
    """The steps of XTREME's `mine_bitext`, one row at a time in float64, with the guard on means below 0."""
    table = unit(x.astype(float)) @ unit(y.astype(float)).T
    near_x = [sorted(range(len(y)), key=lambda j: -table[i, j])[:k] for i in range(len(x))]
    near_y = [sorted(range(len(x)), key=lambda i: -table[i, j])[:k] for j in range(len(y))]
    mean_x = [np.mean([table[i, j] for j in near]) for i, near in enumerate(near_x)]
    mean_y = [np.mean([table[i, j] for i in near]) for j, near in enumerate(near_y)]

    def score(i, j):
        a, b = table[i, j], (mean_x[i] + mean_y[j]) / 2
        return {"absolute": a, "distance": a - b, "ratio": a / b if b > 0 else 0.0}[margin]

    forward = [(i, max(near, key=lambda j: score(i, j))) for i, near in enumerate(near_x)]
    backward = [(max(near, key=lambda i: score(i, j)), j) for j, near in enumerate(near_y)]
    pairs = {
        "forward": forward,
        "backward": backward,
        "intersect": [pair for pair in forward if pair in backward],
        "max": forward + backward,
        "all": [(i, j) for i, near in enumerate(near_x) for j in near]
        + [(i, j) for j, near in enumerate(near_y) for i in near],
    }[retrieval]
    mined, seen = [], (set(), set())
    for i, j in sorted(set(pairs), key=lambda pair: -score(*pair)):
        if retrieval != "max" or (i not in seen[0] and j not in seen[1]):
            seen[0].add(i)
            seen[1].add(j)
            if score(i, j) > 0:
                mined.append((i, j, score(i, j)))
    return mined


@pytest.mark.parametrize("retrieval", ["max", "forward", "backward", "intersect", "all"])
@pytest.mark.parametrize("margin", ["ratio", "distance", "absolute"])
@pytest.mark.parametrize(("n", "m", "k"), [(40, 60, 4), (3, 50, 4), (30, 2, 1)])
def test_equal_to_the_plain_miner(n, m, k, margin, retrieval):
    x, y, _ = planted(n, m, seed=n + k)
    pairs = mine_bitext(x, y, k, margin, retrieval)
    expected = naive(x, y, k, margin, retrieval)
    assert list(zip(pairs.source, pairs.target, strict=True)) == [pair[:2] for pair in expected]
    assert np.allclose(pairs.score, [pair[2] for pair in expected], atol=1e-5)
    assert pairs.setting == {"k": k, "margin": margin, "retrieval": retrieval, "duplicates": "drop"}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 25), st.sampled_from(["max", "intersect", "all"]))
def test_the_two_sides_are_alike(seed, n, m, retrieval):
    x, y, _ = planted(n, m, seed)
    one, other = mine_bitext(x, y, retrieval=retrieval), mine_bitext(y, x, retrieval=retrieval)
    assert set(zip(one.source, one.target, strict=True)) == set(zip(other.target, other.source, strict=True))
    assert np.allclose(one.score, other.score, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 25))
def test_the_order_of_rows_does_not_matter(seed, n, m):
    x, y, _ = planted(n, m, seed)
    rng = np.random.default_rng(seed)
    p, q = rng.permutation(n), rng.permutation(m)
    one, other = mine_bitext(x, y), mine_bitext(x[p], y[q])
    assert set(zip(one.source, one.target, strict=True)) == set(zip(p[other.source], q[other.target], strict=True))


def test_max_takes_every_row_at_most_once():
    x, y, _ = planted(50, 80, seed=1)
    pairs = mine_bitext(x, y)
    assert len(set(pairs.source)) == len(pairs) == len(set(pairs.target))
    assert (np.diff(pairs.score) <= 0).all()


def test_duplicates_are_dropped_expanded_or_kept():
    # Sentence "a" stands twice among the sources; it translates target 0. "b" translates target 1.
    a, b, c = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.1, 1.0]
    x, y = np.array([a, b, a]), np.array([a, b, c])
    found = {rule: mine_bitext(x, y, k=2, duplicates=rule) for rule in ("drop", "expand", "keep")}
    pairs = {rule: list(zip(p.source.tolist(), p.target.tolist(), strict=True)) for rule, p in found.items()}
    # The pair of "a" is discarded, but has taken target 0 before that, as in XTREME.
    assert pairs["drop"] == [(1, 1)]
    assert sorted(pairs["expand"]) == [(0, 0), (1, 1), (2, 0)]
    assert (0, 0) in pairs["keep"] and (2, 0) not in pairs["keep"] and (1, 1) in pairs["keep"]
    merged = mine_bitext(x[:2], y, k=2)
    assert found["expand"].score.max() == merged.score.max()


def test_texts_say_what_is_equal_where_vectors_do_not():
    x, y = np.eye(3)[[0, 1, 0]], np.eye(3)
    different = mine_bitext(x, y, k=1, sentences=(["a", "b", "c"], ["A", "B", "C"]))
    assert {(0, 0), (1, 1)} <= set(zip(different.source.tolist(), different.target.tolist(), strict=True))
    with pytest.raises(ValueError, match="2 sentences were given for 3 vectors"):
        mine_bitext(x, y, sentences=(["a", "b"], ["A", "B", "C"]))


def test_expanded_pairs_are_every_combination():
    x, y = np.eye(3)[[0, 0, 1, 0]], np.eye(3)[[2, 0, 1, 0]]
    pairs = mine_bitext(x, y, k=1, duplicates="expand")
    assert sorted(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [
        (0, 1), (0, 3), (1, 1), (1, 3), (2, 2), (3, 1), (3, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sides_give_no_pairs(n, m):
    pairs = mine_bitext(np.ones((n, 2)), np.ones((m, 2)))
    assert len(pairs) == 0 and pairs.source.dtype == np.int64


def test_zero_vectors_are_never_mined():
    pairs = mine_bitext([[0.0, 0.0], [1.0, 0.0]], [[1.0, 0.1], [0.0, 0.0]], k=1)
    assert list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [(1, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"margin": "rate"}, "margin='rate' is not known. Expected one of: ratio, distance, absolute"),
        ({"retrieval": "both"}, "retrieval='both'"),
        ({"duplicates": "first"}, "duplicates='first'"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        mine_bitext(np.eye(2), np.eye(2), **arguments)


def test_refuses_nan_with_its_row():
    with pytest.raises(ValueError, match="target holds NaN or infinity, first in row 2"):
        mine_bitext(np.eye(2), [[1.0, 0.0], [0.0, 1.0], [np.nan, 0.0]])


def test_scores_of_given_pairs_are_those_of_mining():
    x, y, _ = planted(30, 40, seed=3)
    pairs = mine_bitext(x, y, retrieval="all", floor=None)
    given_pairs = np.stack((pairs.source, pairs.target), axis=1)
    assert np.allclose(score_bitext(x, y, given_pairs), pairs.score, atol=1e-5)
    assert score_bitext(x, y[:30]).shape == (30,)
    with pytest.raises(ValueError, match="30 and 40 rows"):
        score_bitext(x, y)


def test_match_by_hand():
    # Angles: sources 20 and -10 degrees, targets 45 and 0. Target 1 is a hub: cos 20 = 0.94 beats cos 25 = 0.91, so
    # both sources go there by cosine. r of the targets is (0.91 + 0.57) / 2 = 0.74 and (0.94 + 0.98) / 2 = 0.96, so for
    # source 0 CSLS is 1.81 - 0.74 = 1.07 against 1.88 - 0.96 = 0.92, both less r of the source, and target 0 wins.
    angles = np.radians([[20, -10], [45, 0]])
    x, y = np.stack((np.cos(angles), np.sin(angles)), axis=2)
    assert match_translations(x, y).indices.tolist() == [1, 1]
    assert match_translations(x, y).scores == pytest.approx((x @ y.T).max(axis=1), abs=1e-6)
    assert match_translations(x, y, "csls", k=2).indices.tolist() == [0, 1]
    assert match_translations(x, y, "margin", k=2).indices.tolist() == [0, 1]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_csls_is_its_formula_over_all_rows(seed, n, m, k):
    x, y, _ = planted(n, m, seed)
    table = unit(x) @ unit(y).T
    r_x = -np.sort(-table, axis=1)[:, :k].mean(axis=1)
    r_y = -np.sort(-table, axis=0)[:k].mean(axis=0)
    csls = 2 * table - r_x[:, None] - r_y
    matches = match_translations(x, y, "csls", k)
    assert np.allclose(csls[np.arange(n), matches.indices], csls.max(axis=1), atol=1e-5)
    assert np.allclose(matches.scores, csls.max(axis=1), atol=1e-5)


def test_matches_at_the_edges():
    assert match_translations(np.ones((0, 2)), np.ones((3, 2))).indices.shape == (0,)
    with pytest.raises(ValueError, match="no target row"):
        match_translations(np.ones((2, 2)), np.ones((0, 2)))
    with pytest.raises(ValueError, match="method='euclid'"):
        match_translations(np.eye(2), np.eye(2), "euclid")


def test_threshold_travels_from_one_split_to_another():
    x, y, gold = planted(200, 300, seed=5, width=32)
    dev = mine_bitext(x, y)
    threshold = fit_threshold(dev, gold, on="dev")
    assert threshold.f1 == pytest.approx(2 * threshold.correct / (threshold.kept + threshold.gold))
    assert len(threshold.apply(dev)) == threshold.kept
    assert threshold.evaluate(dev, gold)["f1"] == threshold.f1

    x, y, gold = planted(150, 220, seed=6, width=32)
    result = threshold.evaluate(mine_bitext(x, y), gold)
    kept = threshold.apply(mine_bitext(x, y))
    right = len(set(zip(kept.source, kept.target, strict=True)) & set(map(tuple, gold)))
    assert result["kept"] == len(kept) and result["correct"] == right
    assert result["f1"] == pytest.approx(2 * right / (len(kept) + len(gold)))
    assert result["threshold"] == threshold.value and result["threshold_from"] == "dev"
    assert (result["k"], result["margin"], result["retrieval"], result["duplicates"]) == (4, "ratio", "max", "drop")
    assert {type(value) for value in result.values()} <= {int, float, str}


def test_threshold_refuses_scores_of_another_kind():
    x, y, gold = planted(20, 20, seed=7)
    threshold = fit_threshold(mine_bitext(x, y).noting(layer=14), gold)
    with pytest.raises(ValueError, match="margin='ratio', these have margin='distance'"):
        threshold.apply(mine_bitext(x, y, margin="distance"))
    with pytest.raises(ValueError, match="layer=14, these have layer=8"):
        threshold.apply(mine_bitext(x, y).noting(layer=8))
    assert threshold.evaluate(mine_bitext(x, y).noting(layer=14), gold)["layer"] == 14


def test_threshold_edges():
    x, y, _ = planted(10, 10, seed=8)
    pairs = mine_bitext(x, y)
    wrong = np.array([[50, 50]])
    nothing = fit_threshold(pairs, wrong)
    assert (nothing.value, nothing.f1) == (0.0, 0.0)
    everything = fit_threshold(pairs, np.stack((pairs.source, pairs.target), axis=1))
    # The best cut is after the last pair, where XTREME's script reads past the end.
    assert everything.f1 == 1.0 and everything.kept == len(pairs) and everything.value == pairs.score[-1]
    for gold, message in (([], "gold list is empty"), ([(0, -1)], "counted from 0"), ([(0, 1, 2)], "shape")):
        with pytest.raises(ValueError, match=message):
            fit_threshold(pairs, gold)
