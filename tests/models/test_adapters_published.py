"""An adapter on the embedded Hub: which files travel, what they say, and the three phases with it, by commands."""

import json

import pytest
import tiny
import yaml
from hub_fixture import read
from pending_checkpoints import tags
from stock_run import IMPATIENT
from story import BASE
from toy_tasks import PAIRS, rows

from hf_stilts.hub.record import Record
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.training.run import run_phase

pytest.importorskip("peft", reason="peft is not installed")
FILES = {
    *("README.md", "stilts.json", "adapter_config.json", "adapter_model.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "heads/pairs/config.json", "heads/pairs/head.safetensors"),
}
LOAD = """
import json, sys, torch
from huggingface_hub import HfApi
from peft import AutoPeftModelForFeatureExtraction, PeftModel
from transformers import AutoModel
from hf_stilts import load_intermediate
ids = torch.tensor([[5, 6, 7, 8]])
base, name = sys.argv[1:]
commit = HfApi().model_info(base).sha
with torch.inference_mode():
    found = [
        load_intermediate("mnli-adapter"),
        load_intermediate("mnli"),
        AutoPeftModelForFeatureExtraction.from_pretrained(name),
        PeftModel.from_pretrained(AutoModel.from_pretrained(base, revision=commit), name),
        AutoModel.from_pretrained(base),
    ]
    print("JSON" + json.dumps([type(found[0]).__name__, *(model.eval()(input_ids=ids)[0].tolist() for model in found)]))
"""


def test_what_is_published_is_the_adapter_the_head_and_nothing_of_here(tmp_path, api):  # noqa: F811
    flags = ["--output_dir", str(tmp_path / "out"), "--max_steps", "4", "--save_steps", "2", "--use_cpu", "True"]
    flags += ["--eval_strategy", "no", "--load_best_model_at_end", "False"]
    publish = PublishCheckpoints(namespace="me", pace=IMPATIENT)
    run_phase(
        "intermediate", PAIRS, flags, model=tiny.save(tmp_path / "public"), publish=publish, adapter="lora=2",
        train_dataset=rows(PAIRS), eval_dataset=rows(PAIRS),
    )  # fmt: skip
    assert publish.report.ok, str(publish.report)
    name = "me/public-stilts-pairs-adapter"
    assert sorted(tags(api, name)) == ["step-2", "step-4"]
    for revision in ("main", "step-2"):
        files = api.model_info(name, revision=revision, files_metadata=True).siblings
        assert {file.rfilename for file in files} - {".gitattributes"} == FILES
    texts = {file: read(api, file, "step-4", tmp_path / "cache", name).decode() for file in FILES if "safe" not in file}
    assert not [file for file, text in texts.items() if str(tmp_path) in text]
    assert json.loads(texts["adapter_config.json"])["base_model_name_or_path"] == "public"
    record = Record.from_json(texts["stilts.json"])
    assert (record.library, record.recipe["adapter"]) == ("peft", "lora=2")
    assert set(record.files) == FILES - {"README.md", "stilts.json"}
    front = yaml.safe_load(texts["README.md"].split("---")[1])
    assert front["library_name"] == "peft"
    assert f'AutoPeftModelForFeatureExtraction.from_pretrained("{name}", revision="step-4")' in texts["README.md"]
    assert f'load_checkpoint("{name}@step-4")' in texts["README.md"]


@pytest.mark.slow
def test_three_phases_with_adapters(stilts, client, tmp_path):  # noqa: F811
    """Adapter of MNLI; POS-tagging merged and stacked upon it; scored in languages, found, verified, walked back."""
    quick = ("--max_steps", "4", "--save_steps", "2", "--eval_steps", "2", "--per_device_train_batch_size", "4")
    quick += ("--learning_rate", "3e-2", "--use_cpu", "1", "--namespace", "me")
    stilts("intermediate", "mnli", "--model", BASE, "--adapter", "lora=4", *quick)
    name = "me/xlm-roberta-base-stilts-mnli-adapter"
    (listed,) = stilts("checkpoints", "--task", "mnli", "--base", BASE, "--json")
    assert (listed["name"], listed["base"]) == (name, BASE)
    assert {row["state"] for row in stilts("checkpoints", "verify", name, "--json")} == {"unchanged"}
    again = stilts("reproduce", f"{name}@step-2", "--json")
    assert {row["compared"]: row["difference"] for row in again} == {"accuracy": 0, "loss": 0, "weights": 0}

    said = client.python(f"import sys; sys.argv = ['', {BASE!r}, {name!r}]\n{LOAD}", HF_STILTS_NAMESPACE="me")
    kind, *found, public = json.loads(said.split("JSON")[-1])
    assert kind == "XLMRobertaModel"
    flat = [[value for row in each[0] for value in row] for each in (*found, public)]
    assert all(each == pytest.approx(flat[0], abs=1e-5) for each in flat[:-1])
    assert flat[-1] != pytest.approx(flat[0], abs=1e-3)

    target = ("target", "udpos", "--from", "mnli-adapter", *quick, "--output_dir")
    stilts(*target, "runs/merged")
    assert (tmp_path / "runs/merged/model.safetensors").is_file()
    (stacked,) = stilts(*target, "runs/stacked", "--adapter", "lora=2", "--publish", "--json")
    assert f"come from {name}@" in stacked["body"]
    tagger = "me/xlm-roberta-base-stilts-mnli-adapter-stilts-udpos-adapter"
    config = json.loads((tmp_path / "runs/stacked/adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"], len(config["revision"])) == (6, BASE, 40)
    walk = stilts("checkpoints", "lineage", tagger, "--json")
    assert [step["name"] for step in walk] == [tagger, name, BASE]
    rows = stilts("evaluate", "udpos", "--model", tagger, "--languages", "en,de", "--json")
    assert {row["language"]: row["setting"] for row in rows} == {"en": "in-language", "de": "zero-shot"}
    (row, *_) = stilts("evaluate", "tatoeba", "--model", name, "--languages", "de", "--json")
    assert row["model"] == name


def test_a_mixture_has_no_adapter(mistake):  # noqa: F811
    assert "--adapter was given, which is for one task" in " ".join(
        mistake("intermediate", "mnli", "qqp", "--adapter", "lora", "--no-publish").split()
    )
