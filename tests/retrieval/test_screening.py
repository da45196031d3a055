"""Screened products: the same neighbours as a search of every product, whatever the vectors are like."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from hf_stilts.retrieval import neighbours, screening
from hf_stilts.retrieval.neighbours import as_tensor, exhaustive
from hf_stilts.retrieval.screening import screened_neighbours


def sides(n, m, width=24, common=0.0, seed=0):
    """Unit vectors around a common direction, of which a third has a near copy on the other side."""
    draw = torch.Generator().manual_seed(seed)
    mean = common * normalize(torch.randn(width, generator=draw), dim=0)
    x, y = (torch.randn(rows, width, generator=draw) / width**0.5 + mean for rows in (n, m))
    shared = min(n, m) // 3
    y[torch.randperm(m, generator=draw)[:shared]] = x[:shared] + 0.03 * torch.randn(shared, width, generator=draw)
    return normalize(x), normalize(y)


def assert_best(best, x, y, k):
    """The k best of every row of x but the crowded ones; scores equal up to rounding, indices up to ties."""
    expected = exhaustive(x, y, k)
    calm = ~best.crowded.numpy()
    np.testing.assert_allclose(best.scores.numpy()[calm], expected.scores[calm], atol=2e-6)
    own = (x[:, None] * y[best.indices]).sum(dim=2).numpy()
    np.testing.assert_allclose(own[calm], expected.scores[calm], atol=2e-6)
    assert all(len(set(row)) == k for row in best.indices.numpy()[calm].tolist())


@pytest.mark.parametrize("dtype", [torch.int8, torch.float32])
@pytest.mark.parametrize(("n", "m", "common", "k"), [(4500, 4100, 0.0, 4), (4100, 6000, 1.5, 1), (5000, 5200, 4.0, 9)])
def test_finds_what_a_full_search_finds(n, m, common, k, dtype):
    x, y = sides(n, m, common=common)
    forward, backward = screened_neighbours(x, y, k, dtype)
    assert forward.crowded.float().mean() < 0.01 and backward.crowded.float().mean() < 0.01
    assert_best(forward, x, y, k)
    assert_best(backward, y, x, k)


def test_many_strips_with_a_first_look(monkeypatch):
    monkeypatch.setattr(screening, "STRIP_ENTRIES", 0)
    monkeypatch.setattr(screening, "STRIP_ROWS", 64)
    x, y = sides(4200, 4100, common=1.0, seed=1)
    forward, backward = screened_neighbours(x, y, 4, torch.int8)
    assert not forward.crowded.any() and not backward.crowded.any()
    assert_best(forward, x, y, 4)
    assert_best(backward, y, x, 4)


def test_entries_are_thrown_away_when_there_are_many(monkeypatch):
    monkeypatch.setattr(screening, "STRIP_ENTRIES", 0)
    x, y = sides(4200, 4100, seed=2)
    kept = screened_neighbours(x, y, 4, torch.int8)[1]
    start = screening.Columns.__init__

    def forgetful(self, *arguments):
        start(self, *arguments)
        self.most = 0

    monkeypatch.setattr(screening.Columns, "__init__", forgetful)
    assert torch.equal(screened_neighbours(x, y, 4, torch.int8)[1].indices, kept.indices)


def test_plain_bfloat16_loses_neighbours_that_screening_keeps():
    # Around a strong common direction the scores lie near 0.9, where bfloat16 knows two of them apart by 1/256 at best.
    x, y = sides(4200, 4100, common=4.0, seed=3)
    truth = exhaustive(x, y, 4)
    naive = (x.bfloat16() @ y.bfloat16().T).float().topk(4).indices.numpy()
    kept = np.mean([len(set(a) & set(b)) / 4 for a, b in zip(naive, truth.indices, strict=True)])
    assert kept < 0.9
    found = neighbours(x.numpy(), y.numpy(), 4).forward
    assert np.mean([len(set(a) & set(b)) / 4 for a, b in zip(found.indices, truth.indices, strict=True)]) > 0.9999


@pytest.mark.parametrize("odd", ["zero rows", "one row many times", "far from all others", "all alike"])
def test_odd_sides_are_searched_in_full(odd):
    x, y = (side.numpy().copy() for side in sides(4200, 4150, common=1.0, seed=4))
    if odd == "zero rows":
        x[::7], y[::5] = 0, 0
    elif odd == "one row many times":
        x[:300], y[:900] = x[0], x[0]
    elif odd == "far from all others":
        x[:50], y[:40] = -x[:50], -y[50:90]
    else:
        x[:], y[:] = x[0], x[0]  # every row is crowded
    found = neighbours(x, y, 4)
    for side, own, other in ((found.forward, x, y), (found.backward, y, x)):
        expected = exhaustive(as_tensor(own), as_tensor(other), 4)
        np.testing.assert_allclose(side.scores, expected.scores, atol=2e-6)
        np.testing.assert_allclose((own[:, None] * other[side.indices]).sum(2), expected.scores, atol=2e-6)


def test_the_smaller_side_may_be_either():
    x, y = (side.numpy() for side in sides(4500, 4100, seed=5))
    one, other = neighbours(x, y, 4), neighbours(y, x, 4)
    assert (one.forward.indices == other.backward.indices).all()
    assert (one.backward.indices == other.forward.indices).all()


def test_memory_mapped_vectors_are_read_where_they_lie(tmp_path):
    x, y = (side.numpy() for side in sides(4200, 4100, seed=6))
    np.save(tmp_path / "x.npy", x)
    mapped = neighbours(np.load(tmp_path / "x.npy", mmap_mode="r"), y, 4)
    assert (mapped.forward.indices == neighbours(x, y, 4).forward.indices).all()


@pytest.mark.parametrize(("width", "common"), [(16, 0.0), (64, 2.0), (300, 0.5), (300, 20.0)])
def test_no_product_is_off_by_more_than_its_bound(width, common):
    x, y = sides(700, 600, width=width, common=common, seed=7)
    y = normalize(y + 0.3 * torch.randn(width, generator=torch.Generator().manual_seed(8)))  # another mean
    x[3], y[5] = 0, 0
    left, right = screening.RoundedSide(x), screening.RoundedSide(y)
    left.meet(right)
    unit = left.scale * right.scale
    product = left.operand(right, 0, 700, first=True).long() @ right.operand(left, 0, 600, first=False).long().T
    true = (x.double() @ y.double().T - left.mean.double() @ right.mean.double()) * unit
    off = (product - true).abs()
    assert (off <= left.slack(right)[:, None]).all() and (off <= right.slack(left)).all()
    # A bound that is never come near would let too much through.
    assert (off / left.slack(right)[:, None]).max() > 0.05
    assert left.rounded.abs().max() > 60


def test_shares_are_written_in_columns_of_127s():
    share = torch.tensor([0.0, 1.4, -63.6, 127.0 * 127 * 3 + 5, -127.0 * 127 * 2.5])
    columns, factors = screening.in_127s(share)
    assert columns.abs().max() <= 127 and factors.max() <= 127
    assert torch.equal(columns @ factors, share.round())
