"""A checkpoint is opened once: no file is looked up or read a second time, whoever needs it."""

import json
import re
from collections import Counter
from pathlib import Path

import mirrors
import pytest
import safetensors.torch
import tiny
import torch
import transformers.modeling_utils
from packaging.version import Version
from safetensors.torch import load_file
from toy_tasks import PAIRS, rows
from transformers import AutoModelForMaskedLM, BertForPreTraining, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.models.body import load_body
from hf_stilts.models.opened import open_checkpoint
from hf_stilts.models.transfer import load_trained, with_fresh_head
from hf_stilts.task import Task, load_task
from hf_stilts.training.mixture_tasks import shared_model
from hf_stilts.training.trainer import IntermediateTrainer

TEXT = Task(kind="fill-mask", dataset="x/y", name="text")
# Opened files are counted where safetensors is imported first; requests are counted by the Hub, between two marks.
PROGRAM = """
import json, shutil, sys
from collections import Counter
from pathlib import Path
import safetensors

opened = Counter()
stock = safetensors.safe_open

def counting(file, *rest, **named):
    path = Path(file)
    opened[f"{path.parent.name}/{path.name}"] += 1
    return stock(file, *rest, **named)

safetensors.safe_open = counting
from huggingface_hub import HfApi, constants, get_session
from toy_tasks import TAGS, rows
from transformers import TrainingArguments
from hf_stilts import TargetTrainer, load_checkpoint, load_intermediate, zero_shot

folder = Path(sys.argv[1])
api = HfApi()
commits = {}
for name in ("base", "adapter", "tagger"):
    api.create_repo(f"org/{name}")
    commits[name] = api.upload_folder(repo_id=f"org/{name}", folder_path=folder / name).oid
    shutil.rmtree(folder / name)
args = TrainingArguments(str(folder / "run"), use_cpu=True, report_to="none")
data = {"train_dataset": rows(TAGS), "eval_dataset": rows(TAGS)}
calls = {
    "target": lambda: TargetTrainer(args=args, init="org/adapter", task=TAGS, adapter="lora=2", **data),
    "zero_shot": lambda: zero_shot("org/tagger", "udpos", ["de"], data_dir=folder / "mirror"),
    "zero_shot adapter": lambda: zero_shot("org/adapter", "tatoeba", ["de"], data_dir=folder / "mirror", layer=1),
    "load_intermediate": lambda: load_intermediate("org/adapter"),
    "load_checkpoint": lambda: load_checkpoint("org/adapter"),
}
found = {}
for name, call in calls.items():
    shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)
    opened.clear()
    get_session().get(f"{constants.ENDPOINT}/mark/{name}")
    call()
    found[name] = dict(opened)
get_session().get(f"{constants.ENDPOINT}/mark/end")
print("JSON" + json.dumps([commits, found]))
"""


def trainer(folder, base, task, **settings):
    args = TrainingArguments(str(folder), use_cpu=True, report_to="none")
    data = {"train_dataset": rows(task), "eval_dataset": rows(task)}
    return IntermediateTrainer(base, args, task=task, **data, **settings)


def requests_by_call(seen):
    """Requests between two marks, by the mark before them."""
    found = {}
    for request in seen:
        mark = re.fullmatch("GET /mark/(.*)", request)
        if mark:
            current = found.setdefault(mark[1].replace("%20", " "), Counter())
        elif found:
            current[request] += 1
    return found


@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.23"), reason="earlier clients ask for an absent file once more"
)
@pytest.mark.slow
def test_against_a_hub_every_file_is_asked_for_and_read_once(client, faults, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed")
    base = tiny.save(tmp_path / "base", model_class=AutoModelForMaskedLM)
    trainer(tmp_path / "run", base, PAIRS, adapter="lora=2").save_model(tmp_path / "adapter")
    config = tmp_path / "adapter/adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": "org/base"}))
    with_fresh_head(base, load_task("udpos"))[0].save_pretrained(tmp_path / "tagger")
    tiny.tokenizer().save_pretrained(tmp_path / "tagger")
    mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    said = client.python(f"import sys; sys.argv = ['', {str(tmp_path)!r}]\n{PROGRAM}")
    commits, opened = json.loads(said.split("JSON")[-1])
    of_adapter = {
        f"{commits['base']}/model.safetensors": 1,
        f"{commits['adapter']}/adapter_model.safetensors": 1,
    }
    assert opened == {
        "target": of_adapter,
        "zero_shot": {f"{commits['tagger']}/model.safetensors": 1},
        "zero_shot adapter": of_adapter,
        "load_intermediate": of_adapter,
        "load_checkpoint": of_adapter | {"pairs/head.safetensors": 1},
    }
    asked = requests_by_call(faults.seen)
    assert asked.pop("end") == {}
    assert set(asked) == set(opened)
    for call, requests in asked.items():
        assert {request: times for request, times in requests.items() if times > 1} == {}, call
        # Which commit a name is, and what that holds, one answer says.
        assert sum(request.startswith("GET /api/models/") and "tree" not in request for request in requests) <= 2, call


@pytest.fixture
def opened(monkeypatch):
    """How often each file of weights is opened in this process, by its folder's and its own name."""
    found = Counter()
    stock = safetensors.torch.safe_open

    def counting(file, *rest, **named):
        path = Path(file)
        found[f"{path.parent.name}/{path.name}"] += 1
        return stock(file, *rest, **named)

    monkeypatch.setattr(safetensors.torch, "safe_open", counting)
    monkeypatch.setattr(transformers.modeling_utils, "safe_open", counting)
    return found


def test_a_masked_lm_is_read_once_to_go_on(opened, tmp_path):
    public = tiny.save(tmp_path / "public", model_class=AutoModelForMaskedLM)
    model, _ = with_fresh_head(public, TEXT)
    assert opened == {"public/model.safetensors": 1}
    assert torch.equal(model.lm_head.dense.weight, load_file(f"{public}/model.safetensors")["lm_head.dense.weight"])


def test_modernberts_body_and_prediction_layer_are_read_once(opened, tmp_path):
    public = tiny.save(tmp_path / "public", "modernbert", model_class=AutoModelForMaskedLM)
    model, _ = with_fresh_head(public, PAIRS)
    assert opened == {"public/model.safetensors": 1}
    assert torch.equal(model.head.dense.weight, load_file(f"{public}/model.safetensors")["head.dense.weight"])


@pytest.mark.parametrize("shards", [False, True])
def test_a_mixture_reads_body_pooler_and_masked_lm_head_once(shards, opened, tmp_path):
    """BERT's stock masked LM has no pooler, and its `AutoModel` no masked-LM head: the file holds both."""
    folder = tmp_path / "public"
    tiny.tokenizer("bert").save_pretrained(folder)
    size = {"max_shard_size": "40KB"} if shards else {}
    BertForPreTraining(tiny.config("bert")).save_pretrained(folder, **size)
    files = sorted(folder.glob("*.safetensors"))
    assert (len(files) > 1) == shards
    stored = {name: tensor for file in files for name, tensor in load_file(file).items()}
    opened.clear()
    model, _ = shared_model(str(folder), {"pairs": PAIRS, "text": TEXT}, None, seed=0)
    assert opened == {f"public/{file.name}": 1 for file in files}
    masked_lm, pairs = model.heads["text"], model.heads["pairs"]
    assert torch.equal(pairs.bert.pooler.dense.weight, stored["bert.pooler.dense.weight"])
    name = "cls.predictions.transform.dense.weight"
    assert torch.equal(masked_lm.get_parameter(name), stored[name])
    assert masked_lm.get_input_embeddings() is pairs.get_input_embeddings() is model.get_input_embeddings()
    model.save_pretrained(tmp_path / "mixed")
    opened.clear()
    shared_model(str(tmp_path / "mixed"), {"pairs": PAIRS, "text": TEXT}, None, seed=0)
    assert opened == {"mixed/model.safetensors": 1, "text/head.safetensors": 1}
    opened.clear()
    load_trained(str(tmp_path / "mixed"), PAIRS)
    assert opened == {"mixed/model.safetensors": 1, "pairs/head.safetensors": 1}


def test_a_head_at_the_root_goes_before_one_that_an_earlier_training_left(tmp_path):
    """A single task that is trained into a mixture's folder replaces the root, and not the folder of heads."""
    public = tiny.save(tmp_path / "public")
    shared_model(public, {"pairs": PAIRS}, None, seed=0)[0].save_pretrained(tmp_path / "run")
    single, _ = with_fresh_head(public, PAIRS)
    single.save_pretrained(tmp_path / "run")
    found, _ = load_trained(str(tmp_path / "run"), PAIRS)
    assert torch.equal(found.classifier.dense.weight, single.classifier.dense.weight)


def test_two_models_of_one_checkpoint_share_no_memory(tmp_path):
    opened = open_checkpoint(tiny.save(tmp_path / "public"))
    first, second = load_body(opened)[0], load_body(opened)[0]
    with torch.no_grad():
        first.get_input_embeddings().weight.fill_(7.0)
    assert not (second.get_input_embeddings().weight == 7.0).any()
    assert first.config is not second.config is not opened.config


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    folder = tmp_path / "public"
    tiny.save(folder, model_class=AutoModelForMaskedLM)
    (folder / "model.safetensors").unlink()
    with pytest.raises(StiltsError, match="public holds no weights"):
        shared_model(str(folder), {"pairs": PAIRS, "text": TEXT}, None, seed=0)
