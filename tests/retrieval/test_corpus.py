"""Search shard by shard finds what a search in one piece finds, ties included, and goes on where it was stopped."""

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.metrics.bucc_mining.mining import unit_rows
from hf_stilts.retrieval import corpus
from hf_stilts.retrieval.corpus import encode_shards, search_shards
from hf_stilts.retrieval.neighbours import nearest_rows


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 30), cut=st.integers(1, 12), k=st.integers(1, 8), seed=st.integers(0, 99))
def test_equals_the_search_in_one_piece(rows, cut, k, seed):
    """Vectors along the axes: cosines are exactly -1, 0 or 1, so that many are equal."""
    random = np.random.default_rng(seed)
    x, y = (np.eye(3)[random.integers(0, 3, n)] * random.choice([-2.0, 1.0], (n, 1)) for n in (5, rows))
    whole = nearest_rows(unit_rows(x, "x"), unit_rows(y, "y"), k)
    found = search_shards(x, (y[start : start + cut] for start in range(0, rows, cut)), k)
    assert (found.indices == whole.indices).all()
    assert np.allclose(found.scores, whole.scores)


def test_a_stopped_run_encodes_only_what_is_left(tmp_path, monkeypatch):
    model, tokenizer, texts = tiny.encoder(), tiny.tokenizer(), [f"the cat {'reads ' * n}" for n in range(7)]
    whole = np.concatenate(list(encode_shards(model, tokenizer, texts, shard=3)))
    begun = encode_shards(model, tokenizer, texts, folder=tmp_path, shard=3)
    next(begun), next(begun)
    asked = []
    real = corpus.cached_encode.__globals__["encode"]
    monkeypatch.setitem(
        corpus.cached_encode.__globals__, "encode", lambda *a, **k: asked.append(len(a[2])) or real(*a, **k)
    )
    again = list(encode_shards(model, tokenizer, texts, folder=tmp_path, shard=3))
    assert asked == [1]  # two shards of three lay on disk; the third holds the rest
    assert [type(each) for each in again] == [np.memmap] * 3
    assert np.concatenate(again) == pytest.approx(whole, abs=1e-6)
