"""The metric folders work as Spaces: uploaded as they are, loaded by name, scores as from the folder; forms compute."""

import importlib.util
import json
import shutil

import pytest
from places import ROOT

from hf_stilts.metrics import list_metrics

METRICS = ROOT / "metrics"
SCORES = {  # of the example that stands in the form, by hand
    "bucc_mining": {"f1": 1.0, "kept": 2, "threshold_from": "tuned on these candidates"},
    "chunk_f1": {"f1": pytest.approx(5 / 6), "accuracy": pytest.approx(5 / 6)},
    "multilingual_qa": {"exact_match": 50.0, "f1": pytest.approx((100 + 200 / 3) / 2)},
    "retrieval_map": {"map@20": pytest.approx((5 / 6 + 1 / 2) / 2), "queries": 2},
    "tatoeba_retrieval": {"accuracy": 0.75},
}


def space(name, tmp_path):
    """The page of a metric in a folder of another name, as the Hub has it; without gradio, which only draws it."""
    folder = tmp_path / "app"
    shutil.copytree(METRICS / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    spec = importlib.util.spec_from_file_location(f"page_of_{name}", folder / "app.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    return page


@pytest.mark.parametrize("name", list_metrics())
def test_the_form_of_a_space_computes_its_example(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    page = space(name, tmp_path)
    texts = [page.text_of(value) for value in page.EXAMPLE.values()]
    result = page.compute(next(iter(page.FORM["configurations"]), None), *texts)
    assert {score: result[score] for score in SCORES[name]} == SCORES[name]
    json.dumps(result)
    first = next(iter(page.EXAMPLE))
    assert page.compute(None, "[1,", *texts[1:])["error"].startswith(f"{first} is no JSON")
    fewer = page.text_of(page.EXAMPLE[first][:1])
    assert "error" in page.compute(None, fewer, *texts[1:]), "as many of each are expected"
    again = page.compute(next(iter(page.FORM["configurations"]), None), *texts)
    assert again == result, "a mistake leaves nothing behind"


def test_all_spaces_have_the_same_page():
    pages = {(METRICS / name / "app.py").read_bytes() for name in list_metrics()}
    assert len(pages) == 1


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
