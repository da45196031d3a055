"""The formats that the embedded Hub reads: xorbs and shards of `hf-xet`, metadata of cards."""

import hashlib
import json

import numpy as np
import pyarrow
import pytest
from hub_fixture import ask, commit_lines
from hypothesis import given
from hypothesis import strategies as st
from xet_formats import XORB, packed, shard

from hf_stilts.local_hub.card import problems, read_card, tags
from hf_stilts.local_hub.xorbs import Xorb, files_in_shard


@given(
    chunks=st.lists(st.tuples(st.binary(min_size=1, max_size=50), st.sampled_from([0, 1, 2])), min_size=1, max_size=5)
)
def test_chunks_come_out_as_they_went_in(tmp_path_factory, chunks):
    path = tmp_path_factory.mktemp("xorb") / XORB
    path.write_bytes(b"".join(packed(*chunk) for chunk in chunks))
    assert list(Xorb(path).chunks(1, len(chunks))) == [chunk for chunk, _ in chunks[1:]]
    with pytest.raises(ValueError):
        list(Xorb(path).chunks(0, len(chunks) + 1))


def test_byte_grouping_by_hand(tmp_path):
    # The specification's example, with one byte left over: A1 A2 A3 A4 B1 -> A1 B1, A2, A3, A4.
    grouped = pyarrow.compress(b"\xa1\xb1\xa2\xa3\xa4", codec="lz4", asbytes=True)
    header = bytes([0]) + len(grouped).to_bytes(3, "little") + bytes([2]) + (5).to_bytes(3, "little")
    (tmp_path / XORB).write_bytes(header + grouped)
    assert list(Xorb(tmp_path / XORB).chunks(0, 1)) == [b"\xa1\xa2\xa3\xa4\xb1"]


@given(cut=st.integers(0, 48 * 6 - 1))
def test_a_shard_is_read_whole_or_refused(cut: int):
    sha256 = hashlib.sha256(b"x").hexdigest()
    whole = shard([(XORB, 0, 1, 5), (XORB, 3, 4, 6)], sha256)
    (file,) = files_in_shard(whole)
    assert (file.sha256, file.size, file.terms[1]) == (sha256, 11, (XORB, 3, 4, 6))
    with pytest.raises(ValueError):
        list(files_in_shard(whole[:cut]))


def test_a_file_of_chunks_is_kept_only_if_it_is_what_it_says(hub):
    chunks = [b"one ", b"two ", b"three"]
    content = b"two one three"
    sha256 = hashlib.sha256(content + b"").hexdigest()
    right = [(XORB, 1, 2, 4), (XORB, 0, 1, 4), (XORB, 2, 3, 5)]

    def send(path: str, body: bytes) -> int:
        return ask(hub.url, "POST", f"/xet/any/v1/{path}", body).status

    assert send("shards", shard(right, sha256)) == 400  # no such xorb yet
    assert send(f"xorbs/default/{XORB}", packed(chunks[0], 1)) == 200  # cut short on its way, say
    assert send("shards", shard(right, sha256)) == 400
    assert send(f"xorbs/default/{XORB}", b"".join(packed(chunk, 1) for chunk in chunks)) == 200  # replaces the bad one
    assert send("shards", shard(right[:2], sha256)) == 400
    assert (
        send("shards", shard([(XORB, 1, 2, 5), (XORB, 0, 1, 3), (XORB, 2, 3, 5)], sha256)) == 400
    )  # sum right, parts not
    assert send("shards", shard([(XORB, 0, 4, 13)], sha256)) == 400
    assert send("shards", shard(right, sha256)) == 200
    assert not ask(hub.url, "POST", f"/xet/any/v1/xorbs/default/{XORB}", b"worse").json()["was_inserted"]

    ask(hub.url, "POST", "/api/repos/create", {"name": "org/repo"})
    line = {"key": "lfsFile", "value": {"path": "x.bin", "oid": sha256, "size": len(content)}}
    assert ask(hub.url, "POST", "/api/models/org/repo/commit/main", [*commit_lines({}), line]).status == 200
    for start in range(len(content)):
        for stop in range(start, len(content)):
            span = f"bytes={start}-{stop}"
            assert ask(hub.url, "GET", "/org/repo/resolve/main/x.bin", Range=span).body == content[start : stop + 1]
    assert ask(hub.url, "GET", "/org/repo/resolve/main/x.bin").body == content


@given(st.text(alphabet=st.sampled_from("-:[]{}&*!|>#'\"\n \tabc0.%@,"), max_size=60))
def test_any_head_is_a_mapping_or_an_error(text: str):
    try:
        card = read_card(f"---\n{text}\n---\n")
    except ValueError:
        return
    json.dumps(card, allow_nan=False)
    for kind in "models", "datasets", "spaces":
        tags(kind, card)
    list(problems(card))


def test_a_head_that_unfolds_without_end_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]  # 10**12 values
    with pytest.raises(ValueError, match="YAML"):
        read_card("---\n" + "\n".join(lines) + "\n---\n")
    with pytest.raises(ValueError):
        read_card("---\na: " + "[" * 5000 + "\n---\n")
    with pytest.raises(ValueError):
        read_card("---\na: !!python/object/apply:os.getcwd []\n---\n")


def test_metadata_of_every_kind_becomes_tags():
    model = read_card(
        "---\nlibrary_name: transformers\ntags: [stilts]\ndatasets: [nyu-mll/glue]\nbase_model: [a/b]\n"
        "base_model_relation: adapter\nlicense: mit\nwhen: 2020-05-26\nscore: .nan\n---\n"
    )
    assert model["when"] == "2020-05-26" and model["score"] is None  # both as JSON can hold them
    assert tags("models", model) == [
        *("transformers", "stilts", "dataset:nyu-mll/glue", "license:mit", "base_model:a/b", "base_model:adapter:a/b")
    ]
    assert tags("datasets", read_card("---\nlanguage: no\n---\n")) == ["language:no"]  # Norwegian, and not false
    table = {"language": ["sw"], "task_categories": ["translation"], "size_categories": "1K<n<10K", "tags": ["bitext"]}
    assert tags("datasets", table) == [
        "bitext",
        "task_categories:translation",
        "language:sw",
        "size_categories:1K<n<10K",
    ]


@pytest.mark.parametrize(
    ("card", "word"),
    [
        ({"license": {"a": 1}}, "license"),
        ({"tags": [1]}, "tags"),
        ({"model-index": {}}, "model-index"),
        ({"model-index": [{"name": "m"}]}, "results"),
        ({"model-index": [{"results": []}]}, "name"),
        ({"model-index": [{"name": "m", "results": [{"task": {"type": "x"}, "metrics": []}]}]}, "dataset"),
        ({"model-index": [{"name": "m", "results": [{"dataset": {"name": "d", "type": "d"}}]}]}, "metrics"),
        (
            {
                "model-index": [
                    {"name": "m", "results": [{"dataset": {"name": "d", "type": "d"}, "metrics": [{"value": 1}]}]}
                ]
            },
            "type and a value",
        ),
    ],
)
def test_what_the_public_hub_refuses_in_metadata_is_named(card, word):
    assert any(word in problem for problem in problems(card))


def test_metadata_that_stock_libraries_write_is_accepted():
    from huggingface_hub import EvalResult, ModelCardData

    result = EvalResult("translation", "mteb/bucc", "BUCC", "f1", float(np.float32(0.5)), dataset_split="test")
    data = ModelCardData(license="mit", language=["en"], model_name="m", eval_results=[result], tags=["stilts"])
    assert list(problems(read_card(f"---\n{data.to_yaml()}\n---\n"))) == []
