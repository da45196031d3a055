"""Nearest neighbours: exact, both directions alike, and defined at every edge."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts import match_translations, mine_bitext
from hf_stilts.metrics.bucc_mining.mining import unit_rows
from hf_stilts.retrieval import screening
from hf_stilts.retrieval.neighbours import as_tensor, exhaustive, neighbours

small = st.integers(-4, 4)


matrices = st.lists(st.lists(small, min_size=3, max_size=3), max_size=20).map(
    lambda rows: np.array(rows, dtype=np.float32).reshape(-1, 3)
)


def unit(x):
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


@settings(deadline=None)
@given(matrices, matrices, st.integers(1, 6))
def test_agrees_with_the_full_table(x, y, k):
    table = unit(x) @ unit(y).T
    found = neighbours(x, y, k)
    for side, full in ((found.forward, table), (found.backward, table.T)):
        width = min(k, full.shape[1])
        assert side.indices.shape == side.scores.shape == (len(full), width)
        assert np.allclose(side.scores, -np.sort(-full, axis=1)[:, :width], atol=1e-6)
        assert np.allclose(np.take_along_axis(full, side.indices, axis=1), side.scores, atol=1e-6)
        assert all(len(set(row)) == width for row in side.indices.tolist())


def test_blocks_do_not_show():
    rng = np.random.default_rng(0)
    x, y = (as_tensor(rng.normal(size=(n, 8)).astype("f")) for n in (70, 45))
    one, other = exhaustive(x, y, 5), exhaustive(x, y, 5, block=7)
    assert (one.indices == other.indices).all()
    assert np.allclose(one.scores, other.scores, atol=1e-6)


def test_equal_scores_give_the_lower_index_first():
    # Axis vectors: every product is exactly 0 or 1, so ties are ties to the last bit, inside a block and across blocks.
    x, y = np.eye(4, dtype="f")[[0, 1]], np.eye(4, dtype="f")[[2, 0, 1, 0, 3, 0, 1]]
    for block in (100, 2):
        forward = exhaustive(as_tensor(x), as_tensor(y), 4, block=block)
        assert forward.indices.tolist() == [[1, 3, 5, 0], [2, 6, 0, 1]]
        assert forward.scores.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sides(n, m):
    found = neighbours(np.ones((n, 2)), np.ones((m, 2)), 4)
    assert found.forward.indices.shape == (n, min(4, m)) and found.backward.scores.shape == (m, min(4, n))


def test_zero_vectors_have_cosine_zero_with_everything():
    found = neighbours([[0.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]], 2)
    assert found.forward.scores.tolist() == [[0.0, 0.0]] and found.forward.indices.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("x", "y", "k", "message"),
    [
        ([[1.0, 0.0]], [[1.0, 0.0]], 0, "k is 0"),
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], 1, "widths 2 and 3"),
        ([[1.0, 0.0], [np.nan, 0.0]], [[1.0, 0.0]], 1, "x holds NaN or infinity, first in row 1"),
        ([[1.0, 0.0]], [[np.inf, 0.0]], 1, "y holds NaN or infinity, first in row 0"),
        ([1.0, 0.0], [[1.0, 0.0]], 1, r"x has shape \(2,\)"),
    ],
)
def test_refuses(x, y, k, message):
    with pytest.raises(ValueError, match=message):
        neighbours(x, y, k)


@pytest.mark.parametrize("form", ["reversed", "bfloat16", "with gradient", "tensor"])
def test_any_form_of_vectors(form):
    x = unit_rows(np.random.default_rng(0).standard_normal((40, 8)), "x")
    tensor = torch.from_numpy(x)
    given = {
        "reversed": x[::-1],
        "bfloat16": tensor.bfloat16(),
        "with gradient": tensor.clone().requires_grad_(),
        "tensor": tensor,
    }[form]
    expected = np.arange(40)[::-1] if form == "reversed" else np.arange(40)
    assert (match_translations(given, x)[0] == expected).all()
    assert len(mine_bitext(given, x)) == 40


def test_vectors_that_are_all_but_equal_are_searched_in_full(monkeypatch):
    """A collapsed encoder's: nearly everything is within the bound, and scored pair by pair would take gigabytes."""
    scored = []
    one_by_one = screening.inner_products
    monkeypatch.setattr(
        screening, "inner_products", lambda x, y, row, column: scored.append(len(row)) or one_by_one(x, y, row, column)
    )
    x = 1 + 1e-5 * np.random.default_rng(0).standard_normal((4200, 16)).astype(np.float32)
    assert neighbours(x, x, 4) is not None
    assert sum(scored) < 4200 * 4200 / 10
