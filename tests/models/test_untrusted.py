"""Checkpoints made to harm: each is refused in one line, before anything is built, and none of their code is run."""

import json
import os
import signal
from pathlib import Path

import pytest
import tiny
from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification

from hf_stilts import load_checkpoint, load_task
from hf_stilts.errors import StiltsError
from hf_stilts.models.body import load_body, load_tokenizer
from hf_stilts.models.compatibility import check_descent
from hf_stilts.models.heads import load_head
from hf_stilts.models.opened import open_checkpoint
from hf_stilts.models.transfer import load_trained, with_fresh_head
from hf_stilts.models.untrusted import check_config

EVIL = "open({sign!r}, 'w')\nclass Evil: pass\n"


@pytest.fixture(autouse=True)
def seconds():
    """A loop that never ends fails the test, and does not stop the suite."""

    def stop(*_):
        raise TimeoutError("still at it")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(tmp_path):
    tiny.save(tmp_path / "m", model_class=AutoModelForSequenceClassification)
    return tmp_path / "m"


def change(file, **values):
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, **values}))


def refused(call, match):
    with pytest.raises(StiltsError, match=match) as error:
        call()
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


LOADERS = {
    "body": lambda source: load_body(source),
    "fresh head": lambda source: with_fresh_head(source, load_task("xnli")),
    "trained head": lambda source: load_trained(source, load_task("xnli")),
    "checkpoint": lambda source: load_checkpoint(source),
}
CONFIGS = {
    "layers": ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
    "negative": ({"num_hidden_layers": -(10**9)}, "num_hidden_layers"),
    "labels": ({"num_labels": 10**9}, "num_labels"),
    "positions": ({"max_position_embeddings": 10**11}, "max_position_embeddings"),
    "in a list": ({"depths": [2, 10**9]}, "depths"),
    "in an object": ({"text_config": {"n_layers": 10**9}}, "n_layers"),
    "more digits than Python reads": ({"hidden_size": "@"}, "config.json"),
    "a word": ({"hidden_size": "a"}, "hidden_size"),
    "own code": ({"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}, "never run"),
}


@pytest.mark.parametrize(
    ("name", "loader"), [(name, "body") for name in CONFIGS] + [("layers", loader) for loader in LOADERS]
)
def test_a_configuration_that_no_model_has(name, loader, folder, monkeypatch):
    values, said = CONFIGS[name]
    change(folder / "config.json", **values)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"@"', "9" * 5000))
    sign = folder / "code was run"
    (folder / "evil.py").write_text(EVIL.format(sign=str(sign)))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # nobody is asked
    refused(lambda: LOADERS[loader](str(folder)), said)
    assert not sign.exists()


@pytest.mark.parametrize(
    "content", ["[" * 200_000, "[1]", "{", '{"model_type": "bert", "a": ' + '{"a":' * 900 + "1" + "}" * 901]
)
def test_a_configuration_that_nobody_can_read(content, folder):
    (folder / "config.json").write_text(content)
    refused(lambda: load_body(str(folder)), "cannot be (read|loaded)")


def test_a_configuration_as_large_as_a_model(folder):
    with (folder / "config.json").open("r+b") as file:
        file.truncate(1 << 30)  # sparse
    refused(lambda: load_body(str(folder)), "bytes")


@pytest.mark.parametrize(
    "shards",
    [{"a": "../../x.safetensors"}, {"a": "/x.safetensors"}, {"a": "optimizer.pt"}, {"a": 1}, [], {}, None],
)
def test_shards_that_lie_elsewhere(shards, folder):
    (folder / "model.safetensors").rename(folder.parent / "x.safetensors")
    change(folder / "model.safetensors.index.json", metadata={}, weight_map=shards)
    refused(lambda: load_body(str(folder)), "index.json names|cannot be loaded")


def test_a_head_that_only_the_checkpoint_has_is_not_asked_for(tmp_path, monkeypatch):
    """T5 has no multiple-choice model in transformers: stock would offer to run the checkpoint's."""
    folder = Path(tiny.save(tmp_path / "m", "mt5"))
    sign = folder / "code was run"
    (folder / "evil.py").write_text(EVIL.format(sign=str(sign)))
    change(folder / "config.json", auto_map={"AutoModelForMultipleChoice": "evil.Evil"})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it was offered"))
    refused(lambda: open_checkpoint(str(folder)).load(AutoModelForMultipleChoice), "custom code")
    assert not sign.exists()


def test_code_beside_a_tokenizer_is_not_run(folder, monkeypatch):
    sign = folder / "code was run"
    (folder / "evil.py").write_text(EVIL.format(sign=str(sign)))
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]}, tokenizer_class="Evil")
    (folder / "config.json").unlink()
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    for call in (load_tokenizer, lambda source: check_descent(open_checkpoint(source), open_checkpoint(source))):
        try:
            call(str(folder))
        except (StiltsError, OSError):
            pass
        assert not sign.exists()


def adapter(folder, base, **values):
    """LoRA of one matrix of a tiny body, as stock peft writes it."""
    import safetensors.torch
    import torch

    folder.mkdir(exist_ok=True)
    module = "base_model.model.encoder.layer.0.attention.self.query"
    weights = {f"{module}.lora_A.weight": torch.ones(2, 32), f"{module}.lora_B.weight": torch.ones(32, 2)}
    safetensors.torch.save_file(weights, folder / "adapter_model.safetensors")
    known = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["0.attention.self.query"]}
    change(folder / "adapter_config.json", **known, base_model_name_or_path=str(base), **{})
    change(folder / "adapter_config.json", **values)
    return str(folder)


def test_adapters_that_rest_upon_each_other(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    adapter(one, one)
    refused(lambda: load_body(str(one)), "rests upon itself")
    adapter(one, other)
    adapter(other, one)
    refused(lambda: load_body(str(one)), "rests upon itself")
    refused(lambda: with_fresh_head(str(one), load_task("xnli")), "rests upon itself")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"r": 10**9}, "adapter_config.json of .* has 'r'"),
        ({"r": 100_000}, "rank 100000"),
        ({"r": 0}, "rank 0"),
        ({"rank_pattern": {"query": 10_000}}, "rank 10000"),
        ({"rank_pattern": {"(a|a)*b": 2}}, r"\(a\|a\)"),
        ({"alpha_pattern": {"(a|.)*(a|.)*b": 2}}, "chooses modules by"),
        ({"peft_type": "EVIL"}, "EVIL"),
        ({"peft_type": "IA3"}, "expected LORA"),
    ],
)
def test_an_adapter_that_no_training_made(values, said, folder, tmp_path):
    refused(lambda: load_body(adapter(tmp_path / "a", folder, **values)), said)


@pytest.mark.parametrize("where", ["target_modules", "exclude_modules", "layers_pattern"])
def test_an_expression_that_never_ends_is_not_matched(where, folder, tmp_path):
    """The names of its weights say what the adapter changes; the body is the same as with these names."""
    values = {where: "(a|.)*(a|.)*(a|.)*(a|.)*(a|.)*(a|.)*!"}
    if where == "layers_pattern":
        values |= {"layers_to_transform": [0], "target_modules": ["query"]}
    told = load_body(adapter(tmp_path / "b", folder))[0].state_dict()
    found = load_body(adapter(tmp_path / "a", folder, **values))[0].state_dict()
    assert all((found[name] == told[name]).all() for name in told if "pooler" not in name)  # which is drawn anew
    query = "encoder.layer.0.attention.self.query.weight"
    assert (found[query] - load_body(str(folder))[0].state_dict()[query] - 2).abs().max() < 1e-6


def test_a_head_that_is_larger_than_its_body(folder):
    head = folder / "heads" / "mnli"
    head.mkdir(parents=True)
    (head / "config.json").write_text((folder / "config.json").read_text())
    os.link(folder / "model.safetensors", head / "head.safetensors")
    change(head / "config.json", vocab_size=10_000_000)
    refused(lambda: load_head(open_checkpoint(str(folder)), "mnli"), "vocab_size = 10000000, more than")
    change(head / "config.json", num_hidden_layers=10**9)
    refused(lambda: load_head(open_checkpoint(str(folder)), "mnli"), "config.json of .*, head mnli")


def test_the_name_of_a_head_does_not_lead_out_of_its_folder(folder):
    os.link(folder / "model.safetensors", folder / "head.safetensors")
    (folder / "heads").mkdir()
    opened = open_checkpoint(str(folder))
    assert not opened.has_head("..")
    assert not opened.has_head("../../m")


@pytest.mark.parametrize("arch", tiny.MULTILINGUAL)
def test_what_models_really_have_is_let_through(arch, tmp_path):
    check_config(Path(tiny.save(tmp_path / arch, arch), "config.json"), "me/tiny")


def test_the_largest_published_encoders_are_let_through(folder):
    change(
        folder / "config.json", num_hidden_layers=48, hidden_size=4096, intermediate_size=16384, vocab_size=1_000_000
    )
    change(folder / "config.json", rope_theta=10**9, pad_token_id=10**6, num_labels=21_841)
    check_config(folder / "config.json", "me/tiny")
