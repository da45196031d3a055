"""Sweeps, published profiles, the mining report, export and cache: what stands around `encode` and `mine_bitext`."""

import subprocess
import sys

import numpy as np
import pytest
import tiny
import torch
from places import SUPPORT

from hf_stilts.retrieval import encode, fit_threshold, match_translations, mine_bitext
from hf_stilts.retrieval.cache import cached_encode
from hf_stilts.retrieval.export import export_sentence_transformer
from hf_stilts.retrieval.profiles import PROFILES, profile
from hf_stilts.retrieval.report import mining_report
from hf_stilts.retrieval.sweep import plot_layers, sweep

ENGLISH = ["the cat sings", "a dog walks", "one two three", "the old house is green", "who reads the book"]
GERMAN = ["die cat sings", "ein dog walks", "ein two three", "das old Haus is green", "who reads das book"]


def test_sweep_is_encode_and_match_for_every_layer_and_pooling():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    passes = []
    model.embeddings.register_forward_hook(lambda *_: passes.append(1))
    rows = list(sweep(model, tokenizer, {"de": (ENGLISH, GERMAN)}))
    once = len(passes)
    assert len(rows) == 3 * 3 * 2  # layers, poolings, directions
    for row in rows:
        x, y = (encode(model, tokenizer, side, row["layer"], row["pooling"]) for side in (ENGLISH, GERMAN))
        source, target = (x, y) if row["direction"] == "en-de" else (y, x)
        assert row["accuracy"] == np.mean(match_translations(source, target).indices == np.arange(5))
        assert (row["language"], row["sentences"], row["method"], row["precision"]) == ("de", 5, "cosine", "fp32")
    lengths = {len(ids) for ids in tokenizer(ENGLISH + GERMAN)["input_ids"]}
    assert once == 1 + len(lengths)  # the pass that sees the architecture, then every batch once for all of it
    with pytest.raises(ValueError, match="de: 5 English sentences for 4"):
        next(sweep(model, tokenizer, {"de": (ENGLISH, GERMAN[:4])}))


def test_picture_of_the_layers(tmp_path):
    rows = list(sweep(tiny.encoder(), tiny.tokenizer(), {"de": (ENGLISH, GERMAN), "fr": (ENGLISH, ENGLISH)}))
    plot_layers(rows, tmp_path / "layers.png", "tiny")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "depth", "layer", "pooling"),
    [
        # hidden_states[-12:][7] of 13 and 25, hidden_states[-24:][13] of 25 (XTREME); 14 (jiant)
        ("xtreme-tatoeba", 12, 8, "mean"),
        ("xtreme-tatoeba", 24, 14, "mean"),
        ("xtreme-bucc", 12, 8, "mean"),
        ("xtreme-bucc", 24, 20, "mean"),
        ("xtreme-bucc-cls", 24, 20, "cls"),
        ("jiant", 24, 14, "mean"),
        ("phang2020", 24, 14, "mean"),
        ("phang2020", 12, 7, "mean"),
    ],
)
def test_profiles(name, depth, layer, pooling):
    assert profile(name).layer(depth)[0] == layer and PROFILES[name].pooling == pooling


def test_profile_of_a_model_says_where_its_layer_comes_from(caplog):
    model = tiny.encoder()
    caplog.set_level("INFO")
    arguments = profile("phang2020").arguments(model)
    assert encode(model, tiny.tokenizer(), ENGLISH, **arguments).shape == (5, 32)
    assert profile("phang2020").setting(model)["layer_from"] == "scaled from 14 of 24 layers"
    assert "hidden_states[1], scaled from 14 of 24 layers; mean pooling" in caplog.text
    with pytest.raises(ValueError, match="Did you mean xtreme-bucc"):
        profile("xtreme-buc")


def test_report_shows_hubs_the_threshold_and_pairs_to_read():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 8))
    y = np.concatenate((x[:20] + 0.1 * rng.normal(size=(20, 8)), x.mean(axis=0, keepdims=True) + 0.3))
    source, target = [f"source {i} | a" for i in range(30)], [f"target {i}" for i in range(21)]
    pairs = mine_bitext(x, y, retrieval="forward", floor=None)
    threshold = fit_threshold(pairs, [(i, i) for i in range(20)], on="dev")
    page = mining_report(pairs, source, target, threshold, read=4)
    assert "<- threshold" in page and "set on dev" in page and "retrieval forward" in page
    hub = int(np.bincount(pairs.target).argmax())
    assert f"- target {hub}, in {np.bincount(pairs.target).max()} pairs: target {hub}" in page
    assert f"| {pairs.score[0]:.4f} | source {pairs.source[0]} \\| a | target {pairs.target[0]} |" in page
    assert "No pairs were mined" in mining_report(mine_bitext(x[:0], y), [], target)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_exported_folder_gives_our_vectors(tmp_path, pooling):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model, tokenizer = tiny.encoder(num_hidden_layers=3).train(), tiny.tokenizer()
    (tmp_path / ".out.partial" / "1_Pooling").mkdir(parents=True)  # an earlier export was interrupted
    folder = export_sentence_transformer(model, tokenizer, tmp_path / "out", layer=2, pooling=pooling)
    peer = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    expected = encode(model, tokenizer, ENGLISH, layers=2, pooling=pooling)
    np.testing.assert_allclose(peer.encode(ENGLISH), expected, atol=1e-5)
    assert len(model.encoder.layer) == 3 and model.config.num_hidden_layers == 3 and model.training
    with pytest.raises(FileExistsError, match="not empty"):
        export_sentence_transformer(model, tokenizer, folder, layer=2)


def test_export_refuses_an_encoder_that_norms_after_its_last_layer(tmp_path):
    with pytest.raises(ValueError, match="cannot be cut at hidden state 1"):
        export_sentence_transformer(tiny.encoder("mt5"), tiny.tokenizer("mt5"), tmp_path / "out", layer=1)
    assert not list(tmp_path.iterdir())


def test_cache_knows_weights_sentences_and_arguments(tmp_path):
    model, tokenizer = tiny.encoder(), tiny.tokenizer()

    def vectors(**arguments):
        return cached_encode(tmp_path, model, tokenizer, ENGLISH, **arguments)

    first = vectors(layers=1)
    np.testing.assert_array_equal(first, encode(model, tokenizer, ENGLISH, layers=1))
    vectors(layers=1, tokens_per_batch=7, progress=False)
    assert len(list(tmp_path.iterdir())) == 1
    vectors(layers=2)
    cached_encode(tmp_path, model, tokenizer, GERMAN, layers=1)
    with torch.no_grad():
        model.embeddings.LayerNorm.bias[0] += 1
    assert not np.array_equal(vectors(layers=1), first)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.slow
def test_two_processes_share_the_sentences(tmp_path):
    code = """
import sys; sys.path.insert(0, {tests!r})
import numpy as np, tiny, torch.distributed as dist
from hf_stilts.retrieval import encode
dist.init_process_group("gloo")
model, tokenizer, text = tiny.encoder(), tiny.tokenizer(), {text!r}
shared = encode(model, tokenizer, text, layers="all", share=True)
np.testing.assert_array_equal(shared, encode(model, tokenizer, text, layers="all"))
open({out!r} + str(dist.get_rank()), "w").write("equal")
dist.destroy_process_group()
"""
    script = tmp_path / "run.py"
    script.write_text(code.format(tests=str(SUPPORT), text=[*ENGLISH, *GERMAN, ENGLISH[0]], out=str(tmp_path / "rank")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["equal", "equal"]
