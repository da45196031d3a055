"""The examples run as they stand, against an embedded Hub that holds tiny models and rows under the real names."""

import json

import pytest
import tiny
from places import ROOT
from transformers import AutoModelForMaskedLM

from hf_stilts.languages import LANGUAGES
from hf_stilts.task import load_task

EXAMPLES = ROOT / "examples"
SENTENCE = "1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_\n2\tdog\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"


@pytest.fixture
def world(client, tmp_path):
    """The public model and the data sets that the examples name, all tiny."""
    base = tiny.save(tmp_path / "base", model_class=AutoModelForMaskedLM)
    client.python(f"""
from huggingface_hub import HfApi
from datasets import ClassLabel, Dataset, Features, Value
api = HfApi()
api.create_repo("FacebookAI/xlm-roberta-base")
api.upload_folder(repo_id="FacebookAI/xlm-roberta-base", folder_path={base!r})
features = Features({{"premise": Value("string"), "hypothesis": Value("string"),
                      "label": ClassLabel(names=["entailment", "neutral", "contradiction"]), "idx": Value("int32")}})
rows = [{{"premise": "the old house", "hypothesis": "a small dog", "label": i % 3, "idx": i}} for i in range(24)]
Dataset.from_list(rows, features=features).push_to_hub("nyu-mll/glue", "mnli", split="train")
""")
    for code in load_task("udpos").languages:
        folder = tmp_path / "raw" / f"UD_{LANGUAGES[code].name}-Tiny"
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / f"{code}_tiny-ud-{split}.conllu").write_text(SENTENCE * 3)
    from hf_stilts.dataset_scripts import build

    build("udpos", tmp_path / "raw", tmp_path / "mirror")
    return client


def run(client, tmp_path, example: str) -> str:
    script = str(EXAMPLES / example)
    code = f"import os, runpy; os.chdir({str(tmp_path)!r}); runpy.run_path({script!r}, run_name='__main__')"
    return client.python(code, HF_STILTS_DATA=str(tmp_path / "mirror"))


@pytest.mark.slow
def test_publish_from_a_plain_trainer_then_load_by_name_in_another_process(world, tmp_path):
    run(world, tmp_path, "publish.py")
    refs = json.loads(world.python("""
import json
from huggingface_hub import HfApi
api, name = HfApi(), "me/xlm-roberta-base-stilts-mnli"
tags = [tag.name for tag in api.list_repo_refs(name).tags]
files, private = api.list_repo_files(name), api.model_info(name).private
print(json.dumps({"tags": tags, "files": files, "private": private}))
""").splitlines()[-1])  # fmt: skip
    assert refs["tags"] == ["step-9"]  # 24 rows, batches of 8, 3 epochs
    assert refs["private"]
    assert {"README.md", "stilts.json", "config.json", "model.safetensors", "tokenizer.json"} <= set(refs["files"])
    assert not [name for name in refs["files"] if name.endswith((".bin", ".pt", ".pth"))]
    printed = run(world, tmp_path, "load_by_name.py")
    assert "zero-shot" in printed
    assert "in-language" in printed
