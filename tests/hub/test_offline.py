"""What worked with a network works without one, by what our own calls and stock clients leave in the cache."""

import json

import pytest
import tiny
from hub_fixture import Client
from transformers import AutoModel

OURS = """
import json
from hf_stilts import load_intermediate
from hf_stilts.hub.checkpoints import resolve
weight = next(load_intermediate("local/encoder").parameters())
print(json.dumps([resolve("local/encoder").commit, weight.sum().item()]))
"""
STOCK = """
from transformers import AutoModel, AutoTokenizer
AutoTokenizer.from_pretrained("local/encoder")
print(next(AutoModel.from_pretrained("local/encoder").parameters()).sum().item())
"""
SNAPSHOT = """
from huggingface_hub import snapshot_download
snapshot_download("local/encoder", ignore_patterns=["onnx/*"])
"""


@pytest.fixture
def published(hub, api, tmp_path):
    """Commit and first weight of a model on the Hub, beside which lies a format that nobody here loads."""
    folder = tmp_path / "published"
    tiny.save(folder)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"another format")
    api.create_repo("local/encoder")
    commit = api.upload_folder(repo_id="local/encoder", folder_path=folder).oid
    return commit, next(AutoModel.from_pretrained(folder).parameters()).sum().item()


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(OURS, id="our own load", marks=pytest.mark.slow),
        pytest.param(STOCK, id="stock load", marks=pytest.mark.slow),
        pytest.param(SNAPSHOT, id="stock snapshot", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_was_loaded_online_is_loaded_offline(before, published, hub, tmp_path):
    commit, weight = published
    Client(hub.environment(), tmp_path / "home").python(before)
    offline = Client({"HF_HUB_OFFLINE": "1"}, tmp_path / "home")
    assert json.loads(offline.python(OURS)) == [commit, pytest.approx(weight)]
    assert float(offline.python(STOCK)) == pytest.approx(weight)
