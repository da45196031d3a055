"""A sentence-transformers folder is used as sentence-transformers uses it; what cannot be applied is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import sentence_encoders
import tiny
import torch
from sentence_encoders import save
from transformers import AutoModel, AutoTokenizer

from hf_stilts.errors import StiltsError
from hf_stilts.retrieval import encode
from hf_stilts.retrieval.sentence_encoder import read_sentence_encoder, say_once, sentence_encoder_of

SENTENCES = ["The CAT sings", "der Hund und das Haus", "", "a", "what did the old teacher read because of two " * 3]
TANH, IDENTITY = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"


@pytest.fixture(autouse=True)
def said_anew():
    say_once.cache_clear()


def loaded(folder):
    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "how",
    [
        {"pooling": "mean_tokens"},
        {"pooling": "cls_token", "dense": TANH},
        {"pooling": "mean_tokens", "dense": IDENTITY, "normalise": False},
        {"pooling": "lasttoken", "lower_case": True, "max_length": None},
        {"settings": {"prompts": {"query": "who ", "topic": "the cat "}, "default_prompt_name": "topic"}},
    ],
)
def test_vectors_are_those_of_sentence_transformers(tmp_path, how):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = save(tmp_path / "model", **how)
    expected = sentence_transformers.SentenceTransformer(folder, device="cpu").encode(SENTENCES)
    found = encode(*loaded(folder), SENTENCES)
    assert found.shape == expected.shape == (5, 24 if "dense" in how else 32)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_explicit_options_win(tmp_path):
    prompts = {"prompts": {"topic": "the cat "}, "default_prompt_name": "topic"}
    model, tokenizer = loaded(save(tmp_path / "model", settings=prompts))
    model.config._name_or_path, folder = "", model.config._name_or_path
    plain = {
        "hidden state": encode(model, tokenizer, ["the cat a dog"], layers=1),
        "without prompt": encode(model, tokenizer, ["a dog"], pooling="cls"),
        "long": encode(model, tokenizer, ["the cat " * 20], pooling="cls"),
    }
    model.config._name_or_path = folder
    asked = {
        "hidden state": encode(model, tokenizer, ["a dog"], layers=1, pooling="mean", normalise=False),
        "without prompt": encode(model, tokenizer, ["a dog"], prefix="", normalise=False),
        "long": encode(model, tokenizer, ["the cat " * 20], prefix="", max_length=512, normalise=False),
    }
    for name, vectors in plain.items():
        np.testing.assert_array_equal(asked[name], vectors, err_msg=name)
    assert not np.allclose(encode(model, tokenizer, ["the cat " * 20], prefix="", normalise=False), plain["long"])


def test_a_dense_layer_is_left_out_aloud(tmp_path, caplog):
    """It belongs to the folder's own pooling of the last layer: 24 numbers there, 32 elsewhere."""
    model, tokenizer = loaded(save(tmp_path / "model", dense=TANH))
    assert [encode(model, tokenizer, ["a"], layers=layer).shape[1] for layer in (None, -1, 2)] == [24, 24, 24]
    assert not caplog.records
    assert encode(model, tokenizer, ["a"], layers=1).shape == (1, 32)
    assert encode(model, tokenizer, ["a"], layers="all").shape == (3, 1, 32)
    assert encode(model, tokenizer, ["a"], pooling="mean").shape == (1, 32)
    assert len(caplog.records) == 1 and "Dense layers" in caplog.text and "cls pooling" in caplog.text


def test_weights_of_a_dense_layer_may_be_a_pickle_of_tensors(tmp_path):
    folder = Path(save(tmp_path / "model", dense=TANH))
    expected = encode(*loaded(str(folder)), ["a"])
    dense = read_sentence_encoder(str(folder)).dense[0]
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(StiltsError, match="2_Dense of .* cannot be read"):
        read_sentence_encoder(str(folder))
    torch.save({"linear.weight": dense.weight, "linear.bias": dense.bias}, folder / "2_Dense" / "pytorch_model.bin")
    np.testing.assert_allclose(encode(*loaded(str(folder)), ["a"]), expected, atol=1e-6)


def change(folder, name, **values):
    path = Path(folder, name)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "poolings cls and max"),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "pooling weightedmean"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Softmax"}, "activation torch.nn"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "activation os.system"),
        ("2_Dense/config.json", {"use_residual": True}, "Dense layer that is not a plain one"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "Dense layer that is not a plain one"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer task fill-mask"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model type SparseEncoder"),
    ],
)
def test_what_is_not_applied_is_refused_unless_the_pooling_is_given(tmp_path, name, values, named):
    folder = save(tmp_path / "model", dense=TANH)
    change(folder, name, **values)
    model, tokenizer = loaded(folder)
    with pytest.raises(StiltsError, match=f"sentence-transformers model with .*{named}"):
        encode(model, tokenizer, ["a"])
    assert encode(model, tokenizer, ["a"], layers=1, pooling="mean").shape == (1, 32)


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        ([("Transformer", ""), ("WordWeights", "1"), ("Pooling", "1_Pooling")], "module WordWeights"),
        ([("Transformer", ""), ("Normalize", "1"), ("Pooling", "1_Pooling")], "module Normalize"),
        ([("Transformer", "")], "no Pooling"),
    ],
)
def test_modules_that_are_not_known_are_refused(tmp_path, modules, named):
    folder = save(tmp_path / "model")
    written = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in modules]
    Path(folder, "modules.json").write_text(json.dumps(written))
    with pytest.raises(StiltsError, match=named):
        encode(*loaded(folder), ["a"])


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"a": 1}', '[{"type": "x"}]', "[1]", '"text"'])
def test_a_broken_list_of_modules_is_one_line(tmp_path, content):
    folder = save(tmp_path / "model")
    Path(folder, "modules.json").write_text(content)
    with pytest.raises(StiltsError, match="modules.json of .* cannot be read"):
        encode(*loaded(folder), ["a"])


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "a\\..\\b"])
def test_a_module_outside_the_folder_is_not_read(tmp_path, path):
    folder = save(tmp_path / "model")
    modules = [{"type": sentence_encoders.TRANSFORMER, "path": ""}, {"type": sentence_encoders.POOLING, "path": path}]
    Path(folder, "modules.json").write_text(json.dumps(modules))
    with pytest.raises(StiltsError, match="leaves the folder"):
        read_sentence_encoder(folder)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sentence_bert_config.json", {"max_seq_length": "long"}),
        ("sentence_bert_config.json", {"max_seq_length": -1}),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}),
    ],
)
def test_values_that_cannot_be_meant_name_their_file(tmp_path, name, values):
    folder = save(tmp_path / "model")
    change(folder, name, **values)
    with pytest.raises(StiltsError, match=f"{name} of .* cannot be read"):
        read_sentence_encoder(folder)


def test_prompts_that_the_pooling_leaves_out_are_refused(tmp_path):
    folder = save(tmp_path / "model", settings={"prompts": {"query": "who "}})
    change(folder, "1_Pooling/config.json", include_prompt=False)
    with pytest.raises(StiltsError, match="prompts that are left out of the pooling"):
        encode(*loaded(folder), ["a"])


def test_prompts_for_queries_and_for_what_is_searched(tmp_path):
    prompts = {"query": "query: ", "document": "", "passage": "passage: "}
    found = read_sentence_encoder(save(tmp_path / "model", settings={"prompts": prompts}))
    assert (found.prefix, found.query_prefix, found.candidate_prefix) == ("", "query: ", "passage: ")
    assert str(found) == "cls pooling, normalised, at most 16 tokens, queries 'query: ', candidates 'passage: '"


def test_other_models_are_plain_encoders(tmp_path):
    assert sentence_encoder_of(tiny.encoder()) is None
    tiny.encoder().save_pretrained(tmp_path / "plain")
    assert sentence_encoder_of(AutoModel.from_pretrained(tmp_path / "plain")) is None
    gone = tiny.encoder()
    gone.config._name_or_path = "/nowhere/at all"
    assert sentence_encoder_of(gone) is None
