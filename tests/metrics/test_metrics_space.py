"""The metric folders work as Spaces: uploaded as they are, loaded by name, scores as from the folder."""

import pytest
from places import ROOT

METRICS = ROOT / "metrics"


@pytest.mark.slow
def test_a_metric_loads_from_a_space_on_the_hub(client):
    printed = client.python(f"""
import evaluate
import pytest
from huggingface_hub import HfApi
api = HfApi()
for name in ("bucc_mining", "tatoeba_retrieval"):
    api.create_repo(f"local/{{name}}", repo_type="space", space_sdk="gradio")
    api.upload_folder(repo_id=f"local/{{name}}", repo_type="space", folder_path={str(METRICS)!r} + "/" + name,
                      ignore_patterns=["__pycache__/*"])
tatoeba = evaluate.load("local/tatoeba_retrieval")
print(tatoeba.compute(predictions=[0, 1, 1, 3], references=[0, 1, 2, 3])["accuracy"])
bucc = evaluate.load("local/bucc_mining")
print(bucc.compute(sources=["a", "b"], targets=["x", "y"], scores=[1.2, 1.1], gold=[("a", "x")], threshold=1.15)["f1"])
""")
    tatoeba, bucc = map(float, printed.split()[-2:])
    assert tatoeba == 0.75  # three of four
    assert bucc == 1.0  # the one pair above the threshold is the one gold pair
